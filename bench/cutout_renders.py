"""Renders of objects from where people photograph them: level with the object or above it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.settings import load_settings
from base.errors import Failure
from base.outcomes import Outcome
from base.progress import Progress
from base.seeds import stable_rng
from geometry.camera import look_at_origin
from geometry.sphere import cartesian_from_spherical
from render.child import RenderChild
from render.job import RenderJob, view_name
from render.lights import draw_lights

Pixels = NDArray[np.uint8]
SEED, ELEVATION_DEG = 0, (5.0, 45.0)


def render_views(objects: Path, cache: Path, views: int, progress: Progress) -> dict[str, list[Pixels]]:
    """The first `views` views (256, 256, 4) of each model in a folder, rendered where `cache` has none yet."""
    files = sorted(objects.glob("*.glb"))
    if not files:
        raise Failure(f"{objects}: expected models, got nothing")
    missing = [
        file for file in files if not all((cache / file.stem / view_name(view)).exists() for view in range(views))
    ]
    # Renders are kept, because they take longer than everything measured on them.
    if missing:
        _render(missing, cache, views, progress)
    return {file.stem: [_read(cache / file.stem / view_name(view)) for view in range(views)] for file in files}


def _render(files: list[Path], cache: Path, views: int, progress: Progress) -> None:
    settings = load_settings(None).render
    with RenderChild(settings) as child, progress.task("render", total=len(files), unit="objects") as task:
        for file in files:
            folder = cache / file.stem
            folder.mkdir(parents=True, exist_ok=True)
            job = RenderJob(
                uid=file.stem[:60],
                file=str(file),
                seed=SEED,
                settings=settings.model_dump(mode="json"),
                extrinsics=[camera(file.stem, view, settings.radius).tolist() for view in range(views)],
                lights=draw_lights(settings.chosen_lights, file.stem, SEED),
                out_dir=str(folder),
            )
            result = child.render(job)
            if result.outcome is not Outcome.OK:
                raise Failure(f"{file}: expected views, got {result.outcome}")
            task.advance(1, note=file.stem)


def camera(name: str, view: int, radius: tuple[float, float]) -> NDArray[np.float64]:
    """The camera (3, 4) of a view: its own whatever else is rendered."""
    rng = stable_rng(SEED, "cutout-camera", name, view)
    polar = np.radians(90.0 - rng.uniform(*ELEVATION_DEG))
    return look_at_origin(cartesian_from_spherical(polar, rng.uniform(0, 2 * np.pi), rng.uniform(*radius)))


def _read(path: Path) -> Pixels:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGBA"))
