"""Check views rendered elsewhere and lay them out as our own. Pixels and cameras stay as they are."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from base.digest import canonical_json, digest_json
from base.errors import Failure
from base.outcomes import Outcome
from base.storage import write_atomically
from geometry.camera import camera_centre
from render.blender.view import view_facts
from render.job import RenderResult, ViewFacts, view_name
from render.run import SCHEMA, judge, npy_bytes, view_rows
from render.settings import RenderSettings
from shards.image import encode_rgba
from shards.layouts import FoundViews, find_views, layout_of

DEPENDS_ON = frozenset({"views", "hw", "lens", "checks", "max_bad_views"})
"""The render settings with a meaning for views rendered elsewhere."""
RIGID = 1e-3
"""The largest deviation of R Rᵀ from the identity, in any entry."""


def found_fingerprints(settings: RenderSettings) -> Callable[[str], str]:
    """Return a function from the digest of views to their fingerprint, 16 hexadecimal digits."""
    asked = settings.model_dump(mode="json", include=set(DEPENDS_ON))
    return lambda sha256: digest_json(["found views", SCHEMA, sha256, asked])


def check_found_views(folder: Path, uid: str, settings: RenderSettings, out_dir: Path) -> RenderResult:
    """Check the views in `folder`, in any layout of shards/, and write to `out_dir` the files of a renderer.

    The outcome is ok, empty, corrupt, unsupported (another number or size than the dataset's) or blank.
    """
    if layout_of(folder) is None:
        return _bad(Outcome.EMPTY, f"{folder.name}: expected views (000.png and 000.npy, and so on), got nothing")
    started = time.monotonic()
    try:
        found = find_views(folder)
        if len(found.pictures) != settings.views:
            got = f"expected {settings.views} views (render.views), got {len(found.pictures)}"
            return _bad(Outcome.UNSUPPORTED, f"{folder.name}: {got}")
        _check_cameras(found)
        facts = _pictures(found, settings, out_dir)
    except Failure as failure:
        return _bad(Outcome.CORRUPT, str(failure))
    except _WrongSizeError as other:
        return _bad(Outcome.UNSUPPORTED, str(other))
    result = RenderResult(outcome=Outcome.OK, views=facts, seconds={"check": time.monotonic() - started})
    record = {
        "schema": SCHEMA,
        "uid": uid,
        "hw": list(settings.hw),
        "lens": settings.lens.model_dump(),
        "layout": found.layout,
        "passes": "",
        "views": view_rows(facts, found.extrinsics),
    }
    write_atomically(out_dir / "extrinsics.npy", npy_bytes(found.extrinsics))
    write_atomically(out_dir / "views.json", canonical_json(record).encode())
    return judge(result, settings.max_bad_views)


class _WrongSizeError(Exception):
    """A view of another size than the dataset's."""


def _bad(outcome: Outcome, reason: str) -> RenderResult:
    return RenderResult(outcome=outcome, reason=reason, phase="check")


def _pictures(found: FoundViews, settings: RenderSettings, out_dir: Path) -> list[ViewFacts]:
    checks, facts = settings.checks.model_dump(), []
    for view, picture in enumerate(found.pictures):
        rgba = found.image(view)
        # Not resized: extrinsics and lens hold for the pixels as they are.
        if rgba.shape[:2] != settings.hw:
            (height, width), got = settings.hw, rgba.shape
            words = f"expected {height}×{width} pixels (render.hw), got {got[0]}×{got[1]}"
            raise _WrongSizeError(f"{picture.parent.name}/{picture.name}: {words}")
        facts.append(view_facts(rgba, view, checks, is_finite=True))
        # Encoded anew, also from PNG: equal pixels then give equal shards.
        write_atomically(out_dir / view_name(view), encode_rgba(rgba))
    return facts


def _check_cameras(found: FoundViews) -> None:
    """Raise Failure unless every matrix is a rotation and a translation away from the origin."""
    for view, matrix in enumerate(found.extrinsics):
        if not _is_camera(matrix):
            raise Failure(
                f"{found.folder.name}: view {view}: expected a rotation and a translation, got {matrix.tolist()}"
            )


def _is_camera(matrix: NDArray[np.float64]) -> bool:
    rotation = matrix[:, :3]
    # A mirrored matrix passes the first test.
    rigid = bool(np.abs(rotation @ rotation.T - np.eye(3)).max() <= RIGID) and float(np.linalg.det(rotation)) > 0.0
    return rigid and float(np.linalg.norm(camera_centre(matrix))) > 0.0
