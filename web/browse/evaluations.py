"""Evaluations to look at: of held-out views (`zero123 evaluate`) and of a protocol (`zero123 benchmark`)."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from base.errors import Failure
from evaluation.metric_words import format_figure, words_of
from evaluation.summary import Summary, read_summary
from evaluation.table import DIGITS, novel_views_notes
from report.pages.answers import ANSWERS, MEASURES
from web.browse.files import picture_of_file, read_json
from web.browse.schemas import EvaluationAnswer, PairAnswer, PictureAnswer, RowsAnswer, TableAnswer
from web.browse.words import clean
from web.errors import unknown

NOVEL_VIEWS, SUMMARY, PAIRS = "novel_views.json", "summary.json", "pairs"
PAIR = re.compile(r"([A-Za-z0-9_-]{1,64})-(\d{2,3})-(\d{2,3})-(input|novel|true|nearest)\.png")
WORDS = {"input": "input", "novel": "model", "true": "truth", "nearest": "nearest training view"}
MOST_PAIRS = 24
ROW_MEASURES = {"psnr": ("PSNR dB", 2), "ssim": ("SSIM", 3), "haarpsi_distance": ("1 − HaarPSI", 3)}
BAD = (KeyError, TypeError, ValueError, AttributeError, IndexError)


class Evaluation(Protocol):
    """An evaluation of either kind."""

    def about(self) -> EvaluationAnswer:
        """Tell its means and show some pairs. Raises Failure for a damaged evaluation."""
        ...

    def page(self, start: int, most: int) -> RowsAnswer:
        """Return `most` rows from `start` on. Raises Failure for a damaged evaluation."""
        ...


def open_evaluation(name: str, where: str) -> Evaluation:
    """Open the evaluation in a folder."""
    folder = Path(where)
    return _NovelViews(name, folder) if (folder / NOVEL_VIEWS).exists() else _Benchmark(name, folder)


def pair_picture(where: str, file: str, longest_px: int) -> bytes:
    """Return a picture of a pair as WebP. Raises Refused (404) for another file."""
    if not PAIR.fullmatch(file) or not (Path(where) / PAIRS / file).exists():
        raise unknown("picture")
    return picture_of_file(Path(where), f"{PAIRS}/{file}", "PNG", longest_px)


class _NovelViews:
    def __init__(self, name: str, folder: Path) -> None:
        self._name, self._folder = name, folder

    def about(self) -> EvaluationAnswer:
        values = self._values()
        try:
            return EvaluationAnswer(
                name=self._name,
                title="Held-out views",
                tables=[_answers(values)],
                notes=[clean(note) for note in [_verdict(values), *novel_views_notes(values)]],
                pairs=_pairs(self._name, self._folder),
                rows=len(values["rows"]),
            )
        except BAD as error:
            raise _damaged(self._folder / NOVEL_VIEWS, error) from None

    def page(self, start: int, most: int) -> RowsAnswer:
        rows = self._values()["rows"]
        head = ["object", "from view", "to view", "angle", *(f"{title}, model" for title, _ in ROW_MEASURES.values())]
        try:
            return RowsAnswer(
                head=[*head, "PSNR dB, input"],
                rows=[_pair_cells(row) for row in rows[start : start + most]],
                next=_next(start, most, len(rows)),
            )
        except BAD as error:
            raise _damaged(self._folder / NOVEL_VIEWS, error) from None

    def _values(self) -> dict[str, Any]:
        values = read_json(self._folder, NOVEL_VIEWS)
        if not isinstance(values, dict) or not isinstance(values.get("rows"), list):
            raise _damaged(self._folder / NOVEL_VIEWS, ValueError("no rows"))
        return values


class _Benchmark:
    def __init__(self, name: str, folder: Path) -> None:
        self._name, self._folder = name, folder

    def about(self) -> EvaluationAnswer:
        summary = self._summary()
        notes = [
            f"{summary.objects} objects, {len(summary.failed)} failed, {len(summary.unusable)} with damaged truth."
        ]
        notes += [f"failed: {uid}: {reason}" for uid, reason in sorted(summary.failed.items())[:MOST_PAIRS]]
        notes += [f"Not measured, for lack of a network: {', '.join(summary.unmeasured)}."] * bool(summary.unmeasured)
        return EvaluationAnswer(
            name=self._name,
            title=clean(f"{summary.name} under {summary.protocol} ({summary.protocol_digest})"),
            tables=[_variant(summary, variant) for variant in summary.figures],
            notes=[clean(note, str(self._folder)) for note in notes],
            pairs=[],
            rows=len(_uids(summary)),
        )

    def page(self, start: int, most: int) -> RowsAnswer:
        summary = self._summary()
        columns = [(variant, metric) for variant, metrics in summary.figures.items() for metric in metrics]
        uids = _uids(summary)
        return RowsAnswer(
            head=["object", *(clean(f"{words_of(metric).label}, {variant}") for variant, metric in columns)],
            rows=[
                [
                    clean(uid),
                    *(_figure(metric, summary.figures[variant][metric].get(uid)) for variant, metric in columns),
                ]
                for uid in uids[start : start + most]
            ],
            next=_next(start, most, len(uids)),
        )

    def _summary(self) -> Summary:
        read_json(self._folder, SUMMARY)  # its size and place
        return read_summary(self._folder)


def _answers(values: Mapping[str, Any]) -> TableAnswer:
    measures = {key: measure for key, measure in MEASURES.items() if values.get(key)}
    return TableAnswer(
        title=f"{int(values['pairs'])} held-out views",
        note="Means over all pairs.",
        head=["answer", *(measure.name for measure in measures.values())],
        rows=[
            [answer.name, *(f"{float(values[key][name]):.{DIGITS[kind.kind]}f}" for key, kind in measures.items())]
            for name, answer in ANSWERS.items()
            if name in values["psnr_db"]
        ],
    )


def _variant(summary: Summary, variant: str) -> TableAnswer:
    rows = []
    for metric in summary.figures[variant]:
        mean, words = summary.mean(variant, metric), words_of(metric)
        interval = f"[{format_figure(mean.low, words.digits)}, {format_figure(mean.high, words.digits)}]"
        rows.append([clean(f"{words.label}{words.arrow}"), format_figure(mean.value, words.digits), interval])
    return TableAnswer(
        title=clean(variant), note="Means over objects with 95 % intervals.", head=["metric", "mean", "95 %"], rows=rows
    )


def _verdict(values: Mapping[str, Any]) -> str:
    margin, goal = float(values["margin_db"]), float(values["minimum_margin_db"])
    verdict = "enough" if values["passed"] else "too little"
    return f"The model is {margin:+.2f} dB over the better of input and white, {verdict} for {goal:+.2f}."


def _pairs(name: str, folder: Path) -> list[PairAnswer]:
    found: dict[tuple[str, str, str], dict[str, str]] = {}
    for path in sorted((folder / PAIRS).glob("*.png")) if (folder / PAIRS).is_dir() else ():
        if match := PAIR.fullmatch(path.name):
            found.setdefault((match[1], match[2], match[3]), {})[match[4]] = path.name
    return [
        PairAnswer(
            title=f"{uid}, from view {int(source)} to view {int(target)}",
            pictures=[
                PictureAnswer(url=f"/api/browse/evaluations/{name}/pairs/{files[part]}", label=label)
                for part, label in WORDS.items()
                if part in files
            ],
        )
        for (uid, source, target), files in [*found.items()][:MOST_PAIRS]
    ]


def _pair_cells(row: Mapping[str, Any]) -> list[str]:
    figures = [f"{float(row[key]['model']):.{digits}f}" for key, (_, digits) in ROW_MEASURES.items()]
    place = [clean(row["uid"]), str(int(row["source"])), str(int(row["target"])), f"{float(row['angle_deg']):.0f}°"]
    return [*place, *figures, f"{float(row['psnr']['input']):.2f}"]


def _figure(metric: str, value: float | None) -> str:
    return format_figure(math.nan if value is None else value, words_of(metric).digits)


def _uids(summary: Summary) -> Sequence[str]:
    return sorted({uid for metrics in summary.figures.values() for found in metrics.values() for uid in found})


def _next(start: int, most: int, total: int) -> int:
    return start + most if start + most < total else 0


def _damaged(path: Path, error: Exception) -> Failure:
    return Failure(f"{path}: expected an evaluation of this program, got: {error!r}")
