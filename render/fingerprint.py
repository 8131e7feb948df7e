"""When an object must be rendered again: a digest of what its views depend on."""

from collections.abc import Callable
from typing import Any

from base.digest import canonical_json, sha256_bytes
from render.environments import environment_maps
from render.settings import RenderSettings, RigSettings

SCHEMA = 4
"""Raised by hand when the code draws other pixels from the same settings."""

NOT_SEEN = {"child", "device", "compat", "lights", "light", "missing_pictures"}


def fingerprint(source_sha256: str, settings: RenderSettings, compat: str, seed: int) -> str:
    """16 hexadecimal digits that change when the source, a setting that shows, `compat`, the seed or the schema does.

    Of the lights only the chosen rig counts; its name, the device and the child's limits do not.
    """
    return fingerprints(settings, compat, seed)(source_sha256)


def fingerprints(settings: RenderSettings, compat: str, seed: int) -> Callable[[str], str]:
    """`fingerprint` as a function of the source alone: what all sources share is put into words once."""
    seen = settings.model_dump(mode="json", exclude=NOT_SEEN)
    shared = ",".join(canonical_json(part) for part in (compat, seed, seen, _rig(settings.rig)))
    return lambda sha256: sha256_bytes(f"[{SCHEMA},{canonical_json(sha256)},{shared}]".encode())[:16]


def _rig(rig: RigSettings) -> dict[str, Any]:
    """The rig, with what its maps hold in place of the folder where they lie."""
    described = rig.model_dump(mode="json", exclude={"maps"})
    return described if rig.maps is None else described | {"maps": environment_maps(rig.maps)}
