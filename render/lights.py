"""What lights an object: a pure description, a function of (seed, uid)."""

from typing import Any

from base.seeds import stable_rng
from render.settings import LampSettings, RigSettings

Light = dict[str, Any]
"""`kind` area, point, sun or world; `position` and `target` (3,); `size` in world units (sun: radians); `strength` in
watts (area, point), watts per square metre (sun) or radiance (world). Every light has every key: records look alike."""


def lights(rig: RigSettings, uid: str, seed: int) -> list[Light]:
    """The lights of one object: the lamps of the rig, each drawn by itself, and last the world."""
    lamps = [_lamp(lamp, uid, seed, number) for number, lamp in enumerate(rig.lamps)]
    nowhere = [0.0, 0.0, 0.0]
    return [*lamps, {"kind": "world", "position": nowhere, "target": nowhere, "size": 0.0, "strength": rig.world}]


def _lamp(lamp: LampSettings, uid: str, seed: int, number: int) -> Light:
    rng = stable_rng(seed, "light", uid, number)
    x, y, z, strength = (float(rng.uniform(*bounds)) for bounds in (lamp.x, lamp.y, lamp.z, lamp.strength))
    target = [0.0, 0.0, 0.0] if lamp.aim == "origin" else [x, y, z - 1.0]
    return {"kind": lamp.kind, "position": [x, y, z], "target": target, "size": lamp.size, "strength": strength}
