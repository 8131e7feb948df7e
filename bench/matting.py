"""How exact `--alpha` is: renders laid on white, with and without an autoencoder, against their own alpha.

python -m bench.matting --renders FOLDER [--json FILE]

FOLDER holds folders of views as `zero123 render` writes them; the first view of each counts. The alpha error is the sum
of its absolute difference over the object's area.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from app.settings import load_settings
from base.errors import UsageError
from base.versions import machine, versions
from evaluation.table import markdown_table
from inference.matting import matte_on_white
from inference.settings import MattingSettings
from report.images import composite
from zero123.latents import image_from_latent, target_latent
from zero123.taesd import load_taesd

Pixels = NDArray[np.uint8]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--renders", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    settings = load_settings(None).views.alpha
    pictures = sorted(options.renders.glob("*/00.webp"))
    if not pictures:
        raise UsageError(f"{options.renders}: expected folders of views (00.webp), got nothing")
    vae = load_taesd()
    rows = [row for path in pictures for row in errors(path, vae, settings)]
    print(table(rows))
    if options.json:
        facts = {"rows": rows, "settings": settings.model_dump(), "machine": machine(), "versions": versions()}
        options.json.write_text(json.dumps(facts, indent=2) + "\n")
    return 0


def errors(path: Path, vae: Any, settings: MattingSettings) -> list[dict[str, Any]]:
    """Alpha error and IoU of a render, on white and after the autoencoder."""
    with Image.open(path) as picture:
        rgba = np.asarray(picture.convert("RGBA"))
    on_white, true = composite(rgba), rgba[..., 3] / 255.0
    rows = []
    for view, pixels in (("on white", on_white), ("after TAESD", encode_and_decode(on_white, vae))):
        made = matte_on_white(pixels, settings)[..., 3] / 255.0
        overlap = ((made > 0.5) & (true > 0.5)).sum() / max(1, ((made > 0.5) | (true > 0.5)).sum())
        # Relative to the object's area, so that small objects count as much as large ones.
        error = float(np.abs(made - true).sum() / true.sum())
        rows.append({"object": path.parent.name, "view": view, "error": error, "iou": float(overlap)})
    return rows


def encode_and_decode(pixels: Pixels, vae: Any) -> Pixels:
    """The picture after encoding and decoding."""
    images = torch.as_tensor(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1.0
    with torch.no_grad():
        back = image_from_latent(vae, target_latent(vae, images))[0]
    return np.asarray(((back.permute(1, 2, 0) + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8))


def table(rows: list[dict[str, Any]]) -> str:
    """Median and mean alpha error, median and worst IoU, of each kind of view."""
    lines = []
    for view in dict.fromkeys(row["view"] for row in rows):
        error, iou = (np.array([row[key] for row in rows if row["view"] == view]) for key in ("error", "iou"))
        lines.append([view, *(f"{x:.3f}" for x in (np.median(error), error.mean(), np.median(iou), iou.min()))])
    return markdown_table(["view", "alpha error, median", "mean", "IoU, median", "worst"], lines)


if __name__ == "__main__":
    raise SystemExit(main())
