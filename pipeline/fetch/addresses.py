"""Remove credentials from addresses before they are recorded or shown."""

import re
from collections.abc import Collection
from urllib.parse import unquote_plus

USER = re.compile(r"^([^/?#@:]+:)?([/\\]*)[^/?#]*@")
SCHEMES = ("x-amz-", "x-goog-", "x-oss-")
"""Prefixes of all parameters of a signature, by store."""
SECRETS = frozenset(
    {
        *("signature", "sig", "token", "access_token", "id_token", "auth_token", "sas_token", "jwt", "auth"),
        *("password", "secret", "client_secret", "api_key", "apikey", "access_key", "accesskey", "credential"),
        *("policy", "key-pair-id", "awsaccesskeyid", "googleaccessid", "ossaccesskeyid"),
    }
)
"""Parameters, in lower case, that give access or belong to such a parameter."""
BESIDE = frozenset(
    {
        *("expires", "keyname", "urlprefix"),
        *("sv", "ss", "srt", "sr", "sp", "st", "se", "spr", "sip", "sdd", "skoid", "sktid", "skt", "ske", "sks", "skv"),
    }
)
"""Parameters of a signature if the address has a signature. Otherwise they can mean anything."""
SIGNATURES = frozenset({"signature", "sig"})


def has_user(address: str) -> bool:
    """True for an address with a user's name, or a name and a password, before its host."""
    return USER.match(address) is not None


def public_address(address: str) -> str:
    """Return `address` without user information and without query parameters that give access.

    The result does not change when an address is signed again. Nothing is decoded or reordered.
    """
    # Most addresses have neither, and lists have millions.
    if "?" not in address and "@" not in address:
        return address
    # Not urlsplit: it drops empty parts and would change the identity of an object.
    path, asks, query = USER.sub(r"\1\2", address).partition("?")
    query, mark, fragment = query.partition("#")
    parts = query.split("&") if asks else []
    names = [unquote_plus(part.partition("=")[0]).lower() for part in parts]
    secret = _secret(names)
    left = [part for part, name in zip(parts, names, strict=True) if name not in secret]
    return f"{path}{'?' if left else ''}{'&'.join(left)}{mark}{fragment}"


def _secret(names: Collection[str]) -> set[str]:
    beside = BESIDE if SIGNATURES.intersection(names) else frozenset[str]()
    return {name for name in names if name in SECRETS | beside or name.startswith(SCHEMES)}
