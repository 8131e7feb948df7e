"""Digests of everything an object's views depend on; an object is rendered again when its digest changes."""

from collections.abc import Callable
from typing import Any

from base.digest import canonical_json, sha256_bytes
from render.environments import environment_maps
from render.settings import RenderSettings, RigSettings

SCHEMA = 4
"""Raised by hand when the code renders other pixels from the same settings."""

NOT_SEEN = {"child", "device", "compat", "lights", "light", "missing_pictures"}


def fingerprint(source_sha256: str, settings: RenderSettings, compat: str, seed: int) -> str:
    """Return 16 hexadecimal digits of the source, the settings that change pixels, `compat`, the seed and the schema.

    Of the lights only the chosen rig counts; its name, the device and the child's limits do not.
    """
    return fingerprints(settings, compat, seed)(source_sha256)


def fingerprints(settings: RenderSettings, compat: str, seed: int) -> Callable[[str], str]:
    """Return `fingerprint` as a function of the source; the shared part is encoded once."""
    # Without a rig it is left out, as in the digests of earlier releases.
    seen = settings.model_dump(mode="json", exclude=NOT_SEEN | (set() if settings.rig else {"rig"}))
    shared = ",".join(canonical_json(part) for part in (compat, seed, seen, _lights(settings.chosen_lights)))
    # The text is canonical JSON put together by hand, because a million objects share most of it.
    return lambda sha256: sha256_bytes(f"[{SCHEMA},{canonical_json(sha256)},{shared}]".encode())[:16]


def _lights(rig: RigSettings) -> dict[str, Any]:
    """The rig, with the digests of its maps in place of their folder."""
    described = rig.model_dump(mode="json", exclude={"maps"})
    return described if rig.maps is None else described | {"maps": environment_maps(rig.maps)}
