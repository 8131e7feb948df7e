"""What may be told of an address: all but what lets its holder in."""

import re
from collections.abc import Collection
from urllib.parse import unquote_plus

USER = re.compile(r"^([^/?#@:]+:)?([/\\]*)[^/?#]*@")
SCHEMES = ("x-amz-", "x-goog-", "x-oss-")
"""What the names of all parameters of a signature begin with, by the stores whose they are."""
SECRETS = frozenset(
    {
        *("signature", "sig", "token", "access_token", "id_token", "auth_token", "sas_token", "jwt", "auth"),
        *("password", "secret", "client_secret", "api_key", "apikey", "access_key", "accesskey", "credential"),
        *("policy", "key-pair-id", "awsaccesskeyid", "googleaccessid", "ossaccesskeyid"),
    }
)
"""Names, in small letters, of parameters that let in, or that belong to one that does."""
BESIDE = frozenset(
    {
        *("expires", "keyname", "urlprefix"),
        *("sv", "ss", "srt", "sr", "sp", "st", "se", "spr", "sip", "sdd", "skoid", "sktid", "skt", "ske", "sks", "skv"),
    }
)
"""Names of parameters that belong to a signature where there is one, and mean anything where there is none."""
SIGNATURES = frozenset({"signature", "sig"})


def has_user(address: str) -> bool:
    """True for an address with a user's name, or a name and a password, before its host."""
    return USER.match(address) is not None


def public_address(address: str) -> str:
    """`address` without user information and without the parameters of its query that let in.

    An address that is signed anew has the same one. Nothing is decoded or reordered; an address without secrets stays.
    """
    if "?" not in address and "@" not in address:
        return address
    place, asks, query = USER.sub(r"\1\2", address).partition("?")
    query, mark, fragment = query.partition("#")
    parts = query.split("&") if asks else []
    names = [unquote_plus(part.partition("=")[0]).lower() for part in parts]
    secret = _secret(names)
    left = [part for part, name in zip(parts, names, strict=True) if name not in secret]
    return f"{place}{'?' if left else ''}{'&'.join(left)}{mark}{fragment}"


def _secret(names: Collection[str]) -> set[str]:
    beside = BESIDE if SIGNATURES.intersection(names) else frozenset[str]()
    return {name for name in names if name in SECRETS | beside or name.startswith(SCHEMES)}
