"""Files of an evaluation: figures as JSON, some pairs as pictures, a page."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from base.progress import Progress
from base.storage import Storage, write_atomically
from evaluation.novel_views import NovelViews, Triptych, evaluate_novel_views
from evaluation.settings import EvaluateSettings
from evaluation.table import novel_views_json, novel_views_notes
from report.images import encode_image
from report.pages.evaluation_page import EvaluationFacts, ShownPair, evaluation_page
from shards.version import Version

if TYPE_CHECKING:
    from zero123.pipeline import Zero123Pipeline

PARTS, NEAREST = ("input", "novel", "true"), "nearest"
WORDS = {"input": "input", "novel": "model", "true": "truth", NEAREST: "nearest view"}


def evaluate_into(
    folder: Path,
    pipeline: "Zero123Pipeline",
    version: Version,
    storage: Storage,
    settings: EvaluateSettings,
    progress: Progress,
) -> NovelViews:
    """Evaluate the model of `pipeline` and write `novel_views.json` and `pairs/*.png` into `folder`.

    A pair's `nearest` picture is the nearest training view, if known.
    """
    result = evaluate_novel_views(pipeline, version, storage, settings, progress)
    for shown in result.triptychs:
        for part, picture in _parts(shown).items():
            write_atomically(_picture_path(folder, shown, part), encode_image(Image.fromarray(picture), "png"))
    text = json.dumps(novel_views_json(result), indent=2)
    write_atomically(folder / "novel_views.json", f"{text}\n".encode())
    return result


def shown_pairs(result: NovelViews) -> list[dict[str, Any]]:
    """List the pairs with pictures as plain values: uid, source, target."""
    return [{"uid": shown.uid, "source": shown.source, "target": shown.target} for shown in result.triptychs]


def pair_pictures(folder: Path, pair: dict[str, Any]) -> tuple[NDArray[np.uint8], ...]:
    """Read the pictures of a pair from `evaluate_into`: input, novel, true, each RGB (H, W, 3)."""
    shown = Triptych(pair["uid"], pair["source"], pair["target"], ())  # type: ignore[arg-type]
    return tuple(np.asarray(Image.open(_picture_path(folder, shown, part)).convert("RGB")) for part in PARTS)


def page_of(result: NovelViews, dataset: str, split: str, about: Mapping[str, str]) -> str:
    """Write the evaluation as self-contained HTML; `about` goes to its foot."""
    # Rows are in novel_views.json; a page with thousands of them is of no use.
    values = {key: value for key, value in novel_views_json(result).items() if key != "rows"}
    shown = [
        ShownPair(
            title=f"{pair.uid}, from view {pair.source} to view {pair.target}",
            pictures={WORDS[part]: picture for part, picture in _parts(pair).items()},
        )
        for pair in result.triptychs
    ]
    facts = EvaluationFacts(
        dataset=dataset, split=split, scores=values, notes=novel_views_notes(values), shown=shown, about=about
    )
    return evaluation_page(facts)


def _parts(shown: Triptych) -> dict[str, NDArray[np.uint8]]:
    nearest = {} if shown.nearest is None else {NEAREST: shown.nearest}
    return {**dict(zip(PARTS, shown.pictures, strict=True)), **nearest}


def _picture_path(folder: Path, shown: Triptych, part: str) -> Path:
    return folder / "pairs" / f"{shown.uid}-{shown.source:02d}-{shown.target:02d}-{part}.png"
