"""What may be given to Blender: the known formats, each checked without Blender first."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from base.outcomes import Outcome
from base.storage import reason
from render.formats.blend import check_blend
from render.formats.fbx import check_fbx
from render.formats.glb import check_glb, check_gltf
from render.formats.model_files import ModelFiles
from render.formats.obj import check_obj
from render.formats.ply import check_ply
from render.formats.refused import Refused, unsupported
from render.formats.roots import Root
from render.formats.sniff import format_of
from render.formats.stl import check_stl
from render.formats.suffixes import READ_SUFFIXES
from render.formats.surroundings import Surroundings
from render.formats.usd import check_usd

CHECKS: dict[str, Callable[[Path, Surroundings], ModelFiles]] = {
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
"""By the suffix of a format: a check that finds the files of a model, or raises Refused."""

MAX_FILES = 4096
MAX_BYTES = 2 << 30


def model_files(source: Path, root: Root | None = None) -> ModelFiles:
    """Check the model at `source` and find its files below `root`, by default the model's folder.

    Raises Refused, with its outcome, for an unusable model.
    """
    try:
        suffix = format_of(source)
        check = CHECKS.get(suffix)
        if check is None:
            raise unsupported(f"expected a model of {', '.join(sorted(CHECKS))}, got {suffix or 'an unknown format'}")
        found = check(source, Surroundings(source, root))
        _check_sizes(source, found)
    except FileNotFoundError as error:
        raise Refused(Outcome.MISSING, f"expected a file, got no file at {error.filename}") from None
    except OSError as error:
        raise Refused(Outcome.FORBIDDEN, f"could not read the file: {reason(error)}") from None
    named = source.suffix.lower()
    other = (f"the file is read as {suffix}, which its bytes are",) if named in READ_SUFFIXES - {suffix} else ()
    return replace(found, suffix=suffix, warnings=(*other, *found.warnings))


def _check_sizes(source: Path, found: ModelFiles) -> None:
    """Raises Refused when a model and the files it needs are too many or too large to copy."""
    if len(found.files) > MAX_FILES:
        raise Refused(Outcome.TOO_LARGE, f"expected at most {MAX_FILES} files beside the model, got {len(found.files)}")
    total = sum(path.stat().st_size for path in (source, *found.files.values()))
    if total > MAX_BYTES:
        raise Refused(Outcome.TOO_LARGE, f"expected a model of at most {MAX_BYTES} bytes with its files, got {total}")
