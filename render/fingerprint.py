"""When an object must be rendered again: a digest of what its views depend on."""

from typing import Any

from base.digest import digest_json
from render.environments import environment_maps
from render.settings import RenderSettings, RigSettings

SCHEMA = 3
"""Raised by hand when the code draws other pixels from the same settings."""

NOT_SEEN = {"child", "device", "compat", "lights", "light"}


def fingerprint(source_sha256: str, settings: RenderSettings, compat: str, seed: int) -> str:
    """16 hexadecimal digits that change when the source, a setting that shows, `compat`, the seed or the schema does.

    Of the lights only the chosen rig counts; its name, the device and the child's limits do not.
    """
    seen = settings.model_dump(mode="json", exclude=NOT_SEEN)
    return digest_json([SCHEMA, source_sha256, compat, seed, seen, _rig(settings.rig)])


def _rig(rig: RigSettings) -> dict[str, Any]:
    """The rig, with what its maps hold in place of the folder where they lie."""
    described = rig.model_dump(mode="json", exclude={"maps"})
    return described if rig.maps is None else described | {"maps": environment_maps(rig.maps)}
