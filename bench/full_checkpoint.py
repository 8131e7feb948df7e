"""A `.ckpt` of the original's layout and full size, with random weights, through `zero123 sample` from end to end.

python -m bench.full_checkpoint --photo FILE [--folder DIR] [--steps N] [--json FILE]

The file holds the UNet twice, as trained and as averaged, as the public files do; both are the same tensors and stored
once. It is written once and left in --folder. The command runs in a process of its own.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from app.settings import load_settings
from base.storage import move_atomically
from base.versions import machine, versions
from zero123.build import build_pipeline
from zero123.layouts.ldm import read_state, save_ldm

FILE = "random.ckpt"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=Path, required=True, metavar="FILE")
    parser.add_argument("--folder", type=Path, default=Path("runs/full-checkpoint"), metavar="DIR")
    parser.add_argument("--steps", type=int, default=2, metavar="N", help="of UniPC, unguided (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    path = options.folder / FILE
    if not path.exists():
        write_random(path)
    state = read_state(path)
    facts = {"tensors": len(state), "gigabytes": path.stat().st_size / 1e9} | sampled(path, options)
    print("\n".join(f"{name}: {value:,.4g}" for name, value in facts.items()))
    if options.json:
        options.json.write_text(json.dumps({**facts, "machine": machine(), "versions": versions()}, indent=2) + "\n")
    return 0


def write_random(path: Path) -> None:
    """Write a model of preset `paper` with random weights as the original's `.ckpt`."""
    without_weights = ["model.weights=null", "model.weights_revision=null"]
    model = build_pipeline(load_settings(None, ["paper"], without_weights).model, 0)
    with torch.no_grad():
        # A new UNet answers 0 everywhere, which would show nothing of its weights.
        torch.nn.init.normal_(model.unet.conv_out.weight, std=0.02)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_ldm(model, part)
    move_atomically(part, path)


def sampled(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Sample a view by the command; return what it took, and the view's size and spread of levels."""
    out = options.folder / "views"
    words = ["sample", str(options.photo), "--model", str(path), "--pose-slot4", "radius_difference", "--move", "0,30",
             "--sampler", "unipc", "--set", f"sample.steps={options.steps}", "--set", "sample.guidance_scale=1.0",
             "--device", "cpu", "--out", str(out)]  # fmt: skip
    subprocess.run([sys.executable, "-m", "app", *words], check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    with Image.open(out / "000.png") as picture:
        pixels = np.asarray(picture)
    return {
        "cpu_seconds": used.ru_utime + used.ru_stime,
        # Pages of the mapped file count as well.
        "peak_gigabytes": used.ru_maxrss * 1024 / 1e9,
        "side_px": float(pixels.shape[0]),
        "levels_std": float(pixels.std()),
    }


if __name__ == "__main__":
    raise SystemExit(main())
