"""Training runs to look at: curves of the log, validations, checkpoints."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from report.numbers import count_text
from web.browse.files import picture_of_file, read_json_lines
from web.browse.schemas import CurveAnswer, PictureAnswer, RunAnswer
from web.errors import unknown

LOG, SCORES, GRIDS = "log.jsonl", "validation.jsonl", "validation"
GRID, CHECKPOINT = re.compile(r"\d{10}\.webp"), re.compile(r"\d{1,12}")
CURVES = {
    "loss": ("Training loss", True),
    "images_per_s": ("Images a second", False),
    "gradient_norm": ("Norm of the gradient", True),
}
SCORE_CURVES = {"psnr_db": ("PSNR on held-out views, dB", False), "ssim": ("SSIM on held-out views", False)}
MOST_POINTS, MOST_GRIDS = 400, 12


def show_run(name: str, where: str) -> RunAnswer:
    """Tell how far a run is and what it has learnt. Raises Failure for an unreadable log."""
    folder = Path(where)
    rows, scores = (_by_images(read_json_lines(folder, file)) for file in (LOG, SCORES))
    known = [*((rows, key, words) for key, words in CURVES.items())]
    known += [*((scores, key, words) for key, words in SCORE_CURVES.items())]
    curves = [_curve(points, key, *words) for points, key, words in known]
    return RunAnswer(
        name=name,
        figures=_figures(rows, scores),
        curves=[curve for curve in curves if any(value is not None for value in curve.values)],
        grids=_grids(name, folder),
        checkpoints=_checkpoints(folder),
    )


def grid_picture(where: str, file: str, longest_px: int) -> bytes:
    """Return the grid of a validation as WebP. Raises Refused (404) for another file."""
    if not GRID.fullmatch(file) or not (Path(where) / GRIDS / file).exists():
        raise unknown("picture")
    return picture_of_file(Path(where), f"{GRIDS}/{file}", "WEBP", longest_px)


def _by_images(lines: Any) -> list[dict[str, Any]]:
    return [line for line in lines if type(line.get("images")) is int]


def _curve(rows: Sequence[Mapping[str, Any]], key: str, title: str, is_log: bool) -> CurveAnswer:
    step = max(1, math.ceil(len(rows) / MOST_POINTS))
    shown = [rows[index] for index in range(len(rows) - 1, -1, -step)][::-1]  # the newest is always shown
    return CurveAnswer(
        title=title,
        images=[row["images"] for row in shown],
        values=[_number(row.get(key)) for row in shown],
        is_log=is_log,
    )


def _number(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and math.isfinite(value) else None


def _figures(rows: Sequence[Mapping[str, Any]], scores: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    figures: dict[str, str] = {}
    if rows:
        last = rows[-1]
        figures["images learnt from"] = count_text(last["images"])
        for key, label, form in (("loss", "loss at the end", ".4f"), ("images_per_s", "images a second", ",.1f")):
            if (value := _number(last.get(key))) is not None:
                figures[label] = f"{value:{form}}"
        if type(last.get("skipped")) is int:
            figures["steps skipped"] = str(last["skipped"])
    known = [value for row in scores if (value := _number(row.get("psnr_db"))) is not None]
    if known:
        figures["best PSNR on held-out views"] = f"{max(known):.2f} dB"
    return figures


def _grids(name: str, folder: Path) -> list[PictureAnswer]:
    found = sorted(path.name for path in (folder / GRIDS).glob("*.webp")) if (folder / GRIDS).is_dir() else []
    return [
        PictureAnswer(url=f"/api/browse/runs/{name}/grids/{file}", label=f"after {int(file[:-5]):,} images")
        for file in [file for file in found if GRID.fullmatch(file)][: -MOST_GRIDS - 1 : -1]
    ]


def _checkpoints(folder: Path) -> list[int]:
    kept = (folder / "checkpoints").iterdir() if (folder / "checkpoints").is_dir() else ()
    names = [path.name for path in kept if CHECKPOINT.fullmatch(path.name) and (path / "model_index.json").is_file()]
    return sorted(map(int, names))
