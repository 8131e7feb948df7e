"""Forecast a plan: shards to write, their bytes, and machine hours, from measured renders.

Without a measured attempt a figure is unknown, and the forecast says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from base.outcomes import Outcome
from pipeline.catalog.columns import texts
from pipeline.catalog.rows import device_text
from pipeline.catalog.tables import ATTEMPTS, Catalog
from pipeline.plan.catalog_join import Mask
from pipeline.plan.plan import Plan, Rules, State
from report.numbers import bytes_text, seconds_text

NEWEST = 2000
"""The number of newest attempts read."""
NAMED = 20
"""The most shards named."""


@dataclass(frozen=True)
class ViewCounts:
    """The number of views wanted of each object, the number in the newest version, and the number of objects to extend
    by the views between the two."""

    wanted: int
    there: int
    extended: int = 0

    @property
    def growth(self) -> float:
        """The ratio of wanted views to existing views."""
        return self.wanted / self.there

    def renders(self, objects: int) -> float:
        """Return the equivalent of whole renders for `objects`, some of them extended."""
        return objects - self.extended * self.there / self.wanted

    def scaling_note(self, *measured: int) -> str:
        """Return a note for a figure measured with other numbers of views; empty if all are equal."""
        least, most = min(measured), max(measured)
        some = f"{least}–{most} views" if least < most else f"{most} view{'s' * (most != 1)}"
        return "" if least == most == self.wanted else f", scaled from {some} to {self.wanted}"


@dataclass(frozen=True)
class MeasuredRender:
    """A successful render: whether settings and device match this build, the number of views, and the seconds."""

    same: bool
    device: str
    seconds: float
    views: int


@dataclass(frozen=True)
class Forecast:
    """`rewritten` are the newest version's shards missing from the next, `added` the number of new shard numbers.

    `bytes` is the size of all shards to write, and `worker_s` the time of a worker for all renders. They are None
    without a measurement. `bytes_from` and `seconds_from` name the measurement.
    """

    rewritten: tuple[str, ...]
    added: int
    bytes: int | None
    bytes_from: str
    worker_s: float | None
    seconds_from: str

    def lines(self, plan: Plan) -> list[str]:
        """Return the plan and its forecast as lines for people."""
        if plan.idle:
            return [plan.sentence()]
        size = f"about {bytes_text(self.bytes)}" if self.bytes is not None else "unknown"
        told = [f"replaces {len(self.rewritten)} shards of the newest version, begins {self.added} new numbers"]
        told += [f"  {name}" for name in self.rewritten[:NAMED]]
        told += [f"  and {len(self.rewritten) - NAMED} more"] if len(self.rewritten) > NAMED else []
        hours = f"about {hours_text(self.worker_s)}" if self.worker_s is not None else "unknown"
        return [plan.sentence(), *told, f"bytes to write: {size} ({self.bytes_from})",
                f"machine hours, a worker a machine: {hours} ({self.seconds_from})"]  # fmt: skip


def forecast(plan: Plan, measured: Sequence[MeasuredRender], views: ViewCounts) -> Forecast:
    """Forecast `plan` from measured renders."""
    ok = texts(plan.rows.column("outcome")) == Outcome.OK.encode()
    number = plan.rows.column("shard").to_numpy()
    standing = np.flatnonzero(ok & np.isin(number, list(plan.rewrite)))
    size, bytes_from = _bytes(plan, ok, views)
    seconds, seconds_from = _seconds(len(plan.order), measured, views)
    return Forecast(
        rewritten=tuple(sorted(plan.rows.counts("shard_name", standing))),
        added=len(plan.rewrite - set(number.tolist())),
        bytes=size,
        bytes_from=bytes_from,
        worker_s=seconds,
        seconds_from=seconds_from,
    )


def measure_renders(catalog: Catalog, rules: Rules, device: str, views: ViewCounts) -> list[MeasuredRender]:
    """Return the newest successful renders, newest first. `device` is a kind of device, or `auto` for any.

    A render without a recorded number of views counts as whole with these settings, and with the newest version's views
    otherwise.
    """
    # Attempts of earlier releases have no such column, and the query would fail.
    made = "views" if "views" in catalog.columns(ATTEMPTS) else "0"
    rows = catalog.select(
        ATTEMPTS,
        f"select sha256, fingerprint, device, array_sum(map_values(seconds)) as spent, {made} as made from rows "  # noqa: S608
        f"where outcome = 'ok' order by at desc, attempt limit {NEWEST}",
    )
    return [_measure(row, rules, device, views) for row in rows]


def _measure(row: Mapping[str, Any], rules: Rules, device: str, views: ViewCounts) -> MeasuredRender:
    kinds = ("auto", row["device"].removeprefix("kind ").partition(",")[0])
    same = rules.fingerprint(row["sha256"]) == row["fingerprint"]
    made = row["made"] or (views.wanted if same else views.there)
    return MeasuredRender(same and device in kinds, row["device"], row["spent"] or 0.0, made)


def _seconds(objects: int, measured: Sequence[MeasuredRender], views: ViewCounts) -> tuple[float | None, str]:
    if not objects:
        return 0.0, "nothing to do"
    like = [one for one in measured if one.same]
    # Renders with the same settings if there are any; else a rough figure with its origin stated.
    found = like or list(measured)
    if not found:
        return None, "no work on this dataset was measured yet"
    # Per view, because some attempts only added views to an object.
    mean = views.wanted * sum(one.seconds / one.views for one in found) / len(found)
    how = "with these settings" if like else "with other settings or on another kind of device"
    how += views.scaling_note(*(one.views for one in found))
    devices = sorted({device_text(one.device) for one in found if one.device})
    where = f", on {' and '.join(devices[:3])}" if devices else ""
    return mean * views.renders(
        objects
    ), f"{seconds_text(mean)} a render, the mean of the newest {len(found)} {how}{where}"


def _bytes(plan: Plan, ok: Mask, views: ViewCounts) -> tuple[int | None, str]:
    sizes, kept = plan.rows.column("sample_bytes").to_numpy(), plan.state == State.KEPT
    stay = int(sizes[plan.row[kept & np.isin(plan.number, list(plan.rewrite))]].sum())
    stay += int(plan.former.column("sample_bytes").to_numpy().sum())
    come = len(plan.order) + len(plan.staged)
    if not come:
        return stay, "samples that are there"
    # Kept samples have today's settings; others may have another size or number of views.
    found = sizes[plan.row[kept]] if kept.any() else sizes[ok]
    if not len(found):
        return None, "no sample of this dataset was measured yet"
    mean = float(found.mean()) * (1.0 if kept.any() else views.growth)
    how = "" if kept.any() else f", which were made with other settings{views.scaling_note(views.there)}"
    return round(stay + mean * come), f"{bytes_text(mean)} a sample, the mean of the {len(found)} there are{how}"


def hours_text(seconds: float) -> str:
    """Return hours to two figures: 0.0034, 1.2, 470."""
    return f"{seconds / 3600:.2g}" if seconds < 36_000 else f"{seconds / 3600:,.0f}"
