"""What a folder of sampled views is opened with: a contact sheet, cameras, and the views as a film."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from base.storage import write_atomically
from geometry.transforms import nerf_transforms
from inference.sample_views import json_bytes
from inference.views_folder import Pixels, ViewsFolder
from report.contact_sheet import contact_sheet
from report.images import encode_image
from report.turntable import turntable_webp
from report.video import VIDEO_KINDS, VideoKind, video_bytes

COLUMNS = 6
CELL_PX = 256


def write_cameras(views: ViewsFolder) -> None:
    """Write transforms.json and extrinsics.npy (V, 3, 4), a camera for each view's first guess."""
    plan, cameras = views.plan, views.cameras
    # All guesses of a view share its camera.
    files = [job.file for job in plan.jobs() if job.sample == 0]
    stream = BytesIO()
    np.save(stream, cameras, allow_pickle=False)
    write_atomically(views.folder / "extrinsics.npy", stream.getvalue())
    transforms = nerf_transforms(cameras, files, plan.lens, plan.hw)
    write_atomically(views.folder / "transforms.json", json_bytes(transforms))


def write_sheet(views: ViewsFolder, photo: Pixels) -> Path:
    """Write sheet.png: the photo and its views, or with several guesses a row of guesses for each view; its path."""
    jobs, samples = views.plan.jobs(), views.plan.samples
    cells, labels = [photo], ["input"]
    empty = np.zeros((1, 1, 4), np.uint8)
    for number, job in enumerate(jobs):
        if samples > 1 and number and job.sample == 0:
            cells.append(empty)  # below the photo
            labels.append("")
        cells.append(views.pixels(job))
        labels.append(job.move.label if job.sample == 0 else f"guess {job.sample + 1}")
    columns = samples + 1 if samples > 1 else min(COLUMNS, len(cells))
    # Views smaller than a cell are not enlarged.
    cell_px = min(CELL_PX, max(views.plan.hw))
    sheet = contact_sheet(cells, labels=labels, columns=columns, cell_px=cell_px)
    path = views.folder / "sheet.png"
    write_atomically(path, encode_image(_on_white(sheet), "png"))
    return path


def write_film(views: ViewsFolder, kind: VideoKind | str, fps: float) -> Path:
    """Write the first guesses, in order, as orbit.mp4, .webm or .webp (animated); its path.

    Raises Failure when the encoder is not installed.
    """
    frames = [views.pixels(job) for job in views.plan.jobs() if job.sample == 0]
    path = views.folder / f"orbit.{kind}"
    if kind in VIDEO_KINDS:
        write_atomically(path, video_bytes(frames, kind, fps))
    else:
        write_atomically(path, turntable_webp(frames, seconds=len(frames) / fps))
    return path


def _on_white(sheet: Image.Image) -> Image.Image:
    ground = Image.new("RGBA", sheet.size, "white")
    return Image.alpha_composite(ground, sheet).convert("RGB")
