"""Where training views have their objects: the figures behind `photo.framing`.

python -m bench.extents --data DATASET [--objects N] [--json FILE]

Extents are the longer side of an object's box in a view, in longest edges of the object, at the view's own distance.
`off centre` is the distance of the box's middle from the frame's, as a fraction of the frame. `kept` counts the views
that `--prepare framed` leaves as they are when the distance is known, and when it is taken to be
`photo.framing.radius`. `spread` is what is left of the logarithm of the extent when the mean is taken for all views:
the error of any framing that looks at the outline's box alone.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.settings import Settings, load_settings
from base.storage import Storage
from base.versions import versions
from evaluation.novel_views import read_objects
from evaluation.table import markdown_table
from geometry.camera import camera_centre
from geometry.framing import frame_fraction
from photo.framing import is_framed, object_box
from shards.version import read_version

SHOWN = (0.01, 0.05, 0.5, 0.95, 0.99)


@dataclass(frozen=True)
class Place:
    """Where a view has its object, and whether its framing would be kept by its distance and by the assumed one."""

    extent: float
    off_centre: float
    kept: bool
    kept_unknown: bool


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="DATASET", help="the root of a dataset")
    parser.add_argument("--objects", type=int, default=100, metavar="N", help="default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    facts = figures(measured(options.data, options.objects, load_settings(None, ["tiny"])))
    rows = [[name, *(f"{value:.3f}" for value in facts[name])] for name in ("extent", "off centre")]
    print(markdown_table([f"{facts['views'][0]:.0f} views", *(f"{part:.0%}" for part in SHOWN)], rows))
    kept = facts["kept"]
    print(f"mean extent {facts['mean'][0]:.3f}, spread {facts['spread'][0]:.3f}")
    print(f"kept: {kept[0]:.1%} by the true distance, {kept[1]:.1%} by the assumed one")
    if options.json:
        options.json.write_text(json.dumps({**facts, "versions": versions()}, indent=2) + "\n")
    return 0


def measured(data: str, objects: int, settings: Settings) -> list[Place]:
    """Return a place for each good view of the first objects of a dataset."""
    storage, framing = Storage(data), settings.photo.framing
    version = read_version(storage)
    evaluate = settings.evaluate.model_copy(update={"split": "train", "max_objects": objects})
    places = []
    for sample in read_objects(version, storage, evaluate):
        for view in sample.good_views:
            rgba, radius = sample.image(view), float(np.linalg.norm(camera_centre(sample.extrinsics[view])))
            left, top, right, bottom = object_box(rgba)
            height, width = rgba.shape[:2]
            part = max(right - left, bottom - top) / max(height, width)
            off = float(np.hypot(left + right - width, top + bottom - height)) / 2.0 / max(height, width)
            known = framing.model_copy(update={"radius": radius})
            extent = part / frame_fraction(framing.lens(), radius)
            places.append(Place(extent, off, is_framed(rgba, known), is_framed(rgba, framing)))
    return places


def figures(places: list[Place]) -> dict[str, list[float]]:
    """Quantiles, the geometric mean of the extents with its spread, and the kept shares."""
    extents = np.array([place.extent for place in places])
    off = np.array([place.off_centre for place in places])
    logs = np.log(extents)
    kept = [float(np.mean([getattr(place, name) for place in places])) for name in ("kept", "kept_unknown")]
    return {
        "views": [float(len(places))],
        "extent": np.quantile(extents, SHOWN).tolist(),
        "off centre": np.quantile(off, SHOWN).tolist(),
        "mean": [float(np.exp(logs.mean()))],
        "spread": [float(logs.std())],
        "kept": kept,
    }


if __name__ == "__main__":
    raise SystemExit(main())
