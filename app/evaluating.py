"""The evaluation's results as files: figures as JSON, some pairs as pictures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from base.progress import Progress
from base.storage import Storage, write_atomically
from evaluation.novel_views import NovelViews, Triptych, evaluate_novel_views
from evaluation.settings import EvaluateSettings
from evaluation.table import novel_views_json
from report.images import encoded
from shards.version import Version

PARTS = ("input", "novel", "true")


def evaluate_into(
    folder: Path, pipeline: Any, version: Version, storage: Storage, settings: EvaluateSettings, progress: Progress
) -> NovelViews:
    """Evaluate the model of `pipeline` and write `novel_views.json` and `pairs/*.png` into `folder`."""
    result = evaluate_novel_views(pipeline, version, storage, settings, progress)
    for shown in result.triptychs:
        for part, picture in zip(PARTS, shown.pictures, strict=True):
            write_atomically(_picture_path(folder, shown, part), encoded(Image.fromarray(picture), "png"))
    text = json.dumps(novel_views_json(result), indent=2)
    write_atomically(folder / "novel_views.json", f"{text}\n".encode())
    return result


def shown_pairs(result: NovelViews) -> list[dict[str, Any]]:
    """Which pairs have pictures, as plain values: uid, source, target."""
    return [{"uid": shown.uid, "source": shown.source, "target": shown.target} for shown in result.triptychs]


def pair_pictures(folder: Path, pair: dict[str, Any]) -> tuple[NDArray[np.uint8], ...]:
    """The pictures of a pair that `evaluate_into` wrote: input, novel, true, each RGB (H, W, 3)."""
    shown = Triptych(pair["uid"], pair["source"], pair["target"], ())  # type: ignore[arg-type]
    return tuple(np.asarray(Image.open(_picture_path(folder, shown, part)).convert("RGB")) for part in PARTS)


def _picture_path(folder: Path, shown: Triptych, part: str) -> Path:
    return folder / "pairs" / f"{shown.uid}-{shown.source:02d}-{shown.target:02d}-{part}.png"
