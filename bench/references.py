"""Reference pictures: many samples, no denoiser, stored on disk by the digest of their scene."""

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from base.digest import digest_json, sha256_file
from base.errors import Failure
from base.outcomes import Outcome
from evaluation.baselines import on_white
from evaluation.metrics import psnr, ssim
from render.child import RenderChild
from render.job import view_name
from render.lights import draw_lights
from render.run import render_views
from render.settings import RenderSettings
from render.viewpoints import draw_viewpoints

Picture = NDArray[np.uint8]

SEEN = {
    "hw", "lens", "bounces", "filter_width_px", "view_transform", "exposure", "pose", "merge_vertices", "backfaces",
    "coincident_faces", "bounds", "importer_quirks", "neutral",
}  # fmt: skip
"""The settings of the true picture, besides model, cameras and lights. The others only affect its accuracy."""

PATIENCE_S = 3600.0
"""The limit for a view. It is long, because a reference has many samples."""


def references(
    path: Path, settings: RenderSettings, seed: int, samples: int, folder: Path, *, make: bool
) -> list[Picture]:
    """Return the true RGBA pictures (H, W, 4) of all views of a model's scene under `settings`.

    They are stored in `folder`. Missing pictures are rendered now; without `make` the list is then empty.

    Raises Failure for a model that cannot be rendered.
    """
    exact = settings.model_copy(
        update={
            "samples": samples,
            # Every approximation is off: a reference must be the picture itself.
            "adaptive_threshold": 0.0,
            "clamp_indirect": 0.0,
            "light_tree": True,
            "object_rectangle": True,
            "alpha": "soft",
            "denoise": settings.denoise.model_copy(update={"enabled": False}),
            "child": settings.child.model_copy(update={"view_timeout_s": PATIENCE_S}),
        }
    )
    kept = folder / scene_digest(path, exact, seed)
    if not (kept / "views.json").exists():
        if not make:
            return []
        folder.mkdir(parents=True, exist_ok=True)
        with RenderChild(exact) as child, tempfile.TemporaryDirectory(dir=folder) as scratch:
            result = render_views(child, path, path.stem, exact, seed, Path(scratch) / "views")
            if result.outcome is not Outcome.OK:
                raise Failure(f"{path}: expected a reference, got {result.outcome}: {result.reason}")
            # By a rename, so that a stopped reference is not taken for a whole one.
            (Path(scratch) / "views").rename(kept)
    return pictures(kept, settings.views)


def scene_digest(path: Path, settings: RenderSettings, seed: int) -> str:
    """Return 16 hexadecimal digits of everything that determines a perfect render of the model, and of the samples."""
    scene = {
        "model": sha256_file(path),
        "cameras": draw_viewpoints(settings, path.stem, seed).tolist(),
        "lights": draw_lights(settings.chosen_lights, path.stem, seed),
        "settings": settings.model_dump(mode="json", include=SEEN),
        "samples": settings.samples,
        "compat": settings.compat,
    }
    return digest_json(scene)


def pictures(folder: Path, views: int) -> list[Picture]:
    """Read the first `views` views from a folder of rendered views, RGBA (H, W, 4)."""
    return [np.array(Image.open(folder / view_name(view))) for view in range(views)]


def likeness(picture: Picture, true: Picture) -> tuple[float, float]:
    """Return PSNR in dB and SSIM of two RGBA pictures on white, within the bounding box of the object in `true`."""
    rows, columns = np.nonzero(true[..., 3].any(axis=1))[0], np.nonzero(true[..., 3].any(axis=0))[0]
    # White around the object is equal on both sides and would flatter any picture.
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    ours, truth = on_white(picture)[part], on_white(true)[part]
    return psnr(ours, truth), ssim(ours, truth)
