"""What may be given to Blender: the formats known here, each checked without Blender first."""

from collections.abc import Callable
from pathlib import Path

from base.outcomes import Outcome
from base.storage import reason
from render.formats.beside import check_sizes
from render.formats.blend import check_blend
from render.formats.fbx import check_fbx
from render.formats.glb import check_glb, check_gltf
from render.formats.obj import check_obj
from render.formats.ply import check_ply
from render.formats.refused import Refused, unsupported
from render.formats.stl import check_stl
from render.formats.usd import check_usd

CHECKS: dict[str, Callable[[Path], list[str]]] = {
    ".blend": check_blend,
    ".fbx": check_fbx,
    ".glb": check_glb,
    ".gltf": check_gltf,
    ".obj": check_obj,
    ".ply": check_ply,
    ".stl": check_stl,
    ".usd": check_usd,
    ".usda": check_usd,
    ".usdc": check_usd,
    ".usdz": check_usd,
}
"""By suffix: a check that raises Refused, or returns the other files that the model needs, relative to its folder."""


def companions(source: Path) -> list[str]:
    """The other files that the model at `source` needs. Raises Refused with the outcome of a model that is no use."""
    check = CHECKS.get(source.suffix.lower())
    if check is None:
        expected = ", ".join(sorted(CHECKS))
        raise unsupported(f"expected a model of {expected}, got {source.suffix or 'no suffix'}")
    try:
        names = check(source)
        check_sizes(source, names)
        return names
    except FileNotFoundError as error:
        raise Refused(Outcome.MISSING, f"expected a file, got none at {error.filename}") from None
    except OSError as error:
        raise Refused(Outcome.FORBIDDEN, f"could not read the file: {reason(error)}") from None
