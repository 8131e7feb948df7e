"""The lights of an object: plain data, a function of (seed, uid)."""

import math
from typing import Any

from base.seeds import stable_rng
from render.environments import environment_maps
from render.settings import LampSettings, RigSettings

Light = dict[str, Any]
"""`kind` area, point, sun or world; `position` and `target` (3,); `size` in world units (sun: radians); `strength` in
watts (area, point), watts per square metre (sun) or radiance (world). A world may show the file `map`, whose bytes have
`map_sha256`, its middle at +x before it is turned by `rotation_rad` about +z. Every light has every key, so all
records have the same columns."""


NO_MAP: Light = {"map": "", "map_sha256": "", "rotation_rad": 0.0}


def draw_lights(rig: RigSettings, uid: str, seed: int) -> list[Light]:
    """Return the lights of an object: each lamp of the rig with its own draws, then the world.

    Raises UsageError for an unusable folder of maps.
    """
    lamps = [_lamp(lamp, uid, seed, number) for number, lamp in enumerate(rig.lamps)]
    nowhere = [0.0, 0.0, 0.0]
    world = {"kind": "world", "position": nowhere, "target": nowhere, "size": 0.0, "strength": rig.world}
    return [*lamps, world | (_map(rig.maps, uid, seed) if rig.maps is not None else NO_MAP)]


def _map(folder: str, uid: str, seed: int) -> Light:
    rng = stable_rng(seed, "environment", uid)
    maps = environment_maps(folder)
    name, sha256 = maps[int(rng.integers(len(maps)))]
    return {"map": name, "map_sha256": sha256, "rotation_rad": float(rng.uniform(0.0, 2.0 * math.pi))}


def _lamp(lamp: LampSettings, uid: str, seed: int, number: int) -> Light:
    # A generator for each lamp: a lamp added to a rig leaves the draws of the others.
    rng = stable_rng(seed, "light", uid, number)
    x, y, z, strength = (float(rng.uniform(*bounds)) for bounds in (lamp.x, lamp.y, lamp.z, lamp.strength))
    # A target straight below makes the lamp shine down, wherever it is.
    target = [0.0, 0.0, 0.0] if lamp.aim == "origin" else [x, y, z - 1.0]
    described = {"kind": lamp.kind, "position": [x, y, z], "target": target, "size": lamp.size, "strength": strength}
    return described | NO_MAP
