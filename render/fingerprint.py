"""When an object must be rendered again: a digest of what its views depend on."""

from base.digest import digest_json
from render.settings import RenderSettings

SCHEMA = 2
"""Raised by hand when the code draws other pixels from the same settings."""

NOT_SEEN = {"child", "device", "compat", "lights", "light"}


def fingerprint(source_sha256: str, settings: RenderSettings, compat: str, seed: int) -> str:
    """16 hexadecimal digits that change when the source, a setting that shows, `compat`, the seed or the schema does.

    Of the lights only the chosen rig counts; its name, the device and the child's limits do not.
    """
    seen = settings.model_dump(mode="json", exclude=NOT_SEEN)
    return digest_json([SCHEMA, source_sha256, compat, seed, seen, settings.rig.model_dump(mode="json")])
