"""Bring a dataset up to date with an order: plan, do the stage's work on a crew, publish versions.

The same order again resumes stopped work, does new or changed items, and otherwise does nothing.
"""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from base.errors import UsageError
from base.outcomes import CHILD_DEATHS, Outcome
from base.progress import Progress
from base.storage import Storage
from pipeline.catalog.columns import Columns
from pipeline.catalog.faults import RENDERED, fault_counts, fault_sentence
from pipeline.catalog.lease import Lease
from pipeline.catalog.memory import free_large_blocks_at_once, release_memory
from pipeline.catalog.objects import SourceObject
from pipeline.catalog.rows import SampleLocation
from pipeline.catalog.tables import Catalog, VersionFacts
from pipeline.cluster.actor import RunnerFactory
from pipeline.dataset.card import refresh_card
from pipeline.ledger import Ledger, failures
from pipeline.plan.fewer_views import find_fewer_views
from pipeline.plan.filters import describe_left_out, find_refusals
from pipeline.plan.forecast import ViewCounts, forecast, measure_renders
from pipeline.plan.former_versions import find_former_samples
from pipeline.plan.known_uids import check_unique, keep_known_uids
from pipeline.plan.plan import Plan, Rules
from pipeline.plan.planner import make_plan
from pipeline.report.reports import keep_plan
from pipeline.run import DamagedShard, Run
from pipeline.settings import FetchSettings, FilterSettings, ObjaverseSettings, RunSettings
from pipeline.sources.hub import endpoint
from pipeline.work.stage import Stage
from pipeline.work.staging import clear_work, staged_attempts
from pipeline.work.worker import Worker, WorkerSpec
from report.wording import BUILDING, Wording
from shards.settings import ShardsSettings
from shards.verify import find_truncated_or_missing
from shards.version import Version, read_version, version_numbers


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is asked of the dataset at `root`: its items, the stage's work on each, and how it is run.

    `items` lists the items. `filter` leaves some out; None takes all. `facts` are those of a version, `settings` all
    settings, for the report.
    """

    root: str
    items: Callable[[], Iterable[SourceObject]]
    stage: Stage
    run: RunSettings
    shards: ShardsSettings
    fetch: FetchSettings
    objaverse: ObjaverseSettings
    filter: FilterSettings | None
    facts: VersionFacts
    settings: Mapping[str, Any]

    @property
    def words(self) -> Wording:
        """The words for people."""
        return self.stage.wording


@dataclass(frozen=True)
class BuildSummary:
    """What a command did. `reused` counts objects done earlier; `seconds` is summed over objects, by phase.

    `version` is 0 for a dataset without a version. `idle` is true when there was nothing to do.
    """

    version: int
    rendered: int
    reused: int
    outcomes: Mapping[str, int]
    shards_written: tuple[str, ...]
    wall_s: float
    idle: bool
    plan: str
    seconds: Mapping[str, float] = field(default_factory=dict)
    words: Wording = BUILDING

    def sentence(self) -> str:
        """Describe it in a single line."""
        ended = ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.items())
        if self.idle:
            return f"nothing to do: version {self.version} is up to date ({ended})"
        return (
            f"version {self.version}: {self.rendered} {self.words.item}s {self.words.done}, {self.reused} reused, "
            f"{len(self.shards_written)} shards written, in {self.wall_s:.1f} s ({ended})"
        )


def bring_up_to_date(
    order: Order,
    progress: Progress,
    *,
    dry_run: bool = False,
    retry: frozenset[str] = frozenset(),
    make: RunnerFactory = Worker,
) -> BuildSummary:
    """Bring a dataset up to date with an order. `dry_run` only reports the plan.

    Items with an outcome in `retry` are tried as if for the first time. `make` makes the job runner of a worker.
    Raises UsageError when items cannot be listed, and for a dataset of another command. Raises Failure when another
    builder is at work, when the machine fails, or when the version would be empty. KeyboardInterrupt leaves finished
    items for the next call.
    """
    started = time.monotonic()
    free_large_blocks_at_once()
    storage = Storage(_absolute(order.root))
    catalog = Catalog(storage)
    _check_kind(catalog, order)
    requested = Columns.of(SourceObject, order.items())
    check_unique(requested)
    # Uids are settled before the plan: the catalogue, staging and shards all know an object by its uid alone.
    requested = keep_known_uids(requested, catalog)
    if dry_run:
        return _describe_only(order, catalog, requested, retry, progress, started)
    with Lease(storage, order.run.lease_s) as lease:
        # Work folders are those of a dead builder: the lease says that no other is alive.
        clear_work(storage)
        ledger, newest, changed = _work_until_sound(order, catalog, lease, requested, retry, make, progress)
        if newest is not None:
            refresh_card(storage, newest)
    summary = _summary(ledger.plan, catalog.counts("outcome"), newest, started, ledger, changed=changed)
    progress.say(summary.sentence())
    if faults := fault_counts(catalog, RENDERED):
        progress.say(f"faults of the data: {fault_sentence(faults)}")
    return summary


def _check_kind(catalog: Catalog, order: Order) -> None:
    """Raise UsageError for a dataset of another command: its items would all count as removed."""
    numbers = version_numbers(catalog.storage)
    made_by = catalog.facts(numbers[-1]).settings.get("command", BUILDING.command) if numbers else order.words.command
    if made_by != order.words.command:
        root = catalog.storage.root
        raise UsageError(f"{root}: expected a dataset of zero123 {order.words.command}, got one of zero123 {made_by}")


def _describe_only(
    order: Order,
    catalog: Catalog,
    requested: Columns[SourceObject],
    retry: frozenset[str],
    progress: Progress,
    started: float,
) -> BuildSummary:
    """Print the plan. It needs neither the lease nor the right to write, so it works beside a build."""
    storage = catalog.storage
    newest = read_version(storage) if version_numbers(storage) else None
    ledger = _plan_work(
        order, catalog, requested, retry, _lost_shards(storage, newest, order.words, progress), progress
    )
    lines = _describe_plan(
        order, catalog, ledger, find_fewer_views(ledger.plan, newest, order.facts.views, order.stage), newest
    )
    _print_lines(storage, lines, progress)
    return _summary(ledger.plan, catalog.counts("outcome"), None, started)


def _work_until_sound(
    order: Order,
    catalog: Catalog,
    lease: Lease,
    requested: Columns[SourceObject],
    retry: frozenset[str],
    make: RunnerFactory,
    progress: Progress,
) -> tuple[Ledger, Version | None, bool]:
    """Plan and work until no shard turns out to be damaged. Returns the last ledger, the newest version, and whether
    anything has changed."""
    storage, damaged = catalog.storage, frozenset[str]()
    while True:
        # A crash may have come between a commit and its version's file, or between staging and its record.
        newest = catalog.publish()
        _recover_attempts(catalog, storage)
        lost = _lost_shards(storage, newest, order.words, progress) | damaged
        ledger = _plan_work(order, catalog, requested, retry, lost, progress)
        # A plan without renders can still have changes: facts of the source or a filter may change rows.
        if ledger.plan.idle and not ledger.collect_changes(final=True):
            return ledger, newest, False
        run = _prepare_run(order, catalog, lease, ledger, newest, progress)
        newest = None  # frees the list of its samples, a large one, for the time of the work
        try:
            return ledger, _execute(run, order, make) or catalog.publish(), True
        # Noticed during the work. Rendered views are staged, so the next round only adds to them.
        except DamagedShard as error:
            progress.say(f"{storage.root}/{error.shard}: its bytes have changed; {order.words.again}")
            damaged |= {error.shard}


def _lost_shards(storage: Storage, newest: Version | None, words: Wording, progress: Progress) -> frozenset[str]:
    """Report and return the shards missing from the storage. The work on their items is done again."""
    damages = find_truncated_or_missing(storage, newest) if newest is not None else {}
    for name, damage in damages.items():
        progress.say(f"{storage.root}/{name}: {damage}; {words.again}")
    return frozenset(damages)


def _plan_work(
    order: Order,
    catalog: Catalog,
    requested: Columns[SourceObject],
    retry: frozenset[str],
    lost: frozenset[str],
    progress: Progress,
) -> Ledger:
    """Make the plan, and the ledger as it is before the work."""
    former = catalog.former_versions()
    leaves_out = order.stage.leaves_out_missing
    # The setting was changed back: objects left out for missing pictures get a chance again.
    if not leaves_out:
        retry |= {Outcome.MISSING_PICTURES}
    rules = Rules(
        order.shards.objects_per_shard,
        order.shards.val_fraction,
        order.stage.fingerprint,
        retry,
        partial(find_refusals, settings=order.filter) if order.filter is not None else None,
        lost,
        partial(find_former_samples, catalog, former, lost, progress, with_all_pictures=leaves_out) if former else None,
        leaves_out,
        order.words,
    )
    troubled = catalog.troubled_attempts()
    tried = Counter(attempt.uid for attempt in troubled)
    # `tried` counts these attempts all the same: the number of attempts in an object's row never falls.
    troubled = [attempt for attempt in troubled if attempt.outcome not in retry]
    failed = failures(troubled, order.run.child_deaths)
    plan = make_plan(requested, catalog.rows(), list(staged_attempts(catalog.storage).values()), failed, rules)
    ledger = Ledger(plan, tried)
    # Other settings are other work, so only deaths under today's fingerprint count towards the quarantine.
    deaths = (attempt for attempt in troubled if attempt.outcome in CHILD_DEATHS)
    ledger.deaths.update(death.uid for death in deaths if death.fingerprint == plan.fingerprint(death.uid))
    release_memory()
    return ledger


def _prepare_run(
    order: Order,
    catalog: Catalog,
    lease: Lease,
    ledger: Ledger,
    before: Version | None,
    progress: Progress,
) -> Run:
    """Prepare the run, print its plan, and keep the plan for the report."""
    storage = catalog.storage
    # With other settings, half the objects would be of the old kind and half of the new: such a version is made only at
    # the end, when all are of one kind.
    same_kind = before is None or not before.shards or before.settings_digest == order.facts.settings_digest
    earlier = find_fewer_views(ledger.plan, before, order.facts.views, order.stage)
    run = Run(run_name(), storage, catalog, lease, ledger, order.run, order.facts, progress, same_kind, earlier)
    lines = _describe_plan(order, catalog, ledger, earlier, before)
    _print_lines(storage, lines, progress)
    if not ledger.plan.idle:
        keep_plan(storage, run.name, lines, order.settings, order.words)
    return run


def _execute(run: Run, order: Order, make: RunnerFactory) -> Version | None:
    """Do the work of a run. Returns its newest version, or None without changes."""
    if run.ledger.plan.idle:
        # Only rows change, as after a corrected licence: no Ray and no report for it.
        run.publish(final=True)
        return run.version
    try:
        run.work(
            WorkerSpec(
                run=run.name,
                root=run.storage.root,
                stage=order.stage,
                fetch=order.fetch,
                objaverse=order.objaverse,
                hub=endpoint(),
            ),
            make,
        )
        run.publish(final=True)
    finally:
        # After a failure or a stop too: the report names the objects at fault.
        run.report()
    return run.version


def _describe_plan(
    order: Order,
    catalog: Catalog,
    ledger: Ledger,
    earlier: Mapping[str, SampleLocation],
    newest: Version | None,
) -> list[str]:
    """Describe the plan and its cost, line by line."""
    wanted, words = order.facts.views, order.words
    views = ViewCounts(wanted, newest.views if newest is not None else wanted, len(earlier))
    found = measure_renders(catalog, ledger.rules, order.stage.device, views) if len(ledger.plan.order) else []
    plan, *rest = forecast(ledger.plan, found, views).lines(ledger.plan)
    left_out = describe_left_out(ledger.plan.requested, ledger.plan.rule, order.filter) if order.filter else []
    kept = f"{len(earlier)} of the {words.item}s to {words.do} keep their earlier views and get more"
    nothing = [f"no {words.item} would remain: no version would be made"] if ledger.plan.would_be_empty else []
    return [plan, *left_out, *nothing, *([kept] if earlier else []), *rest]


def _print_lines(storage: Storage, lines: list[str], progress: Progress) -> None:
    progress.say("\n".join([f"{storage.root}: {lines[0]}", *(f"  {line}" for line in lines[1:])]))


def run_name() -> str:
    """Name a run by its start, so names sort by time, and a few random digits."""
    return time.strftime("%Y%m%dT%H%M%SZ-", time.gmtime()) + secrets.token_hex(3)


def _recover_attempts(catalog: Catalog, storage: Storage) -> None:
    """Record attempts with staged views that a crash kept out of the catalogue."""
    staged = staged_attempts(storage)
    if staged:
        known = catalog.recorded_attempts([attempt.attempt for attempt in staged.values()])
        catalog.record([attempt for attempt in staged.values() if attempt.attempt not in known])


def _absolute(root: str) -> str:
    """Return a local folder as an absolute path, for workers in other folders; a URL as it is."""
    return root if "://" in root else str(Path(root).expanduser().absolute())


def _summary(
    plan: Plan,
    outcomes: Mapping[str, int],
    version: Version | None,
    started: float,
    ledger: Ledger | None = None,
    *,
    changed: bool = False,
) -> BuildSummary:
    return BuildSummary(
        version=version.number if version is not None else 0,
        rendered=ledger.rendered if ledger is not None else 0,
        reused=plan.reused,
        outcomes=outcomes,
        shards_written=tuple(ledger.written) if ledger is not None else (),
        wall_s=time.monotonic() - started,
        # A plan without work can still change rows.
        idle=plan.idle and not changed,
        plan=plan.sentence(),
        seconds=dict(ledger.seconds) if ledger is not None else {},
        words=plan.rules.wording,
    )
