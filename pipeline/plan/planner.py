"""Make the plan of a build from requests, catalogue and staging.

Every step handles all objects at once, in arrays by index in `requested`.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow
from numpy.typing import NDArray

from base.outcomes import Outcome
from pipeline.catalog.columns import CHUNK, Columns, Indices, texts
from pipeline.catalog.memory import release_memory
from pipeline.catalog.objects import SourceObject
from pipeline.catalog.rows import UNASSIGNED, Attempt, BuildResult
from pipeline.plan.assign import Numbers, assign, find_originals, uid_digests
from pipeline.plan.catalog_join import CatalogJoin, Mask, Texts
from pipeline.plan.plan import RETRIED, Plan, Rules, State

States = NDArray[np.int8]


def make_plan(
    requested: Columns[SourceObject],
    catalogue: Iterable[pyarrow.Table],
    staged: Sequence[Attempt],
    failed: Mapping[tuple[str, str], Attempt],
    rules: Rules,
) -> Plan:
    """Plan for the `requested` objects, given tables of catalogue rows, `staged` attempts, and attempts that `failed`
    for good, by (uid, fingerprint)."""
    join, rule = (
        CatalogJoin(requested, catalogue),
        rules.find_refusals(requested) if rules.find_refusals is not None else {},
    )
    rows = join.rows
    # Staged under the other setting, without some pictures: such views may not be packed now.
    whole = [one for one in staged if not (rules.leaves_out_missing and one.missing_pictures)]
    waiting = {
        one.uid: one for one in whole if rules.fingerprint(one.sha256) == one.fingerprint and one.uid in requested
    }
    sha256 = join.known_sha256(waiting)
    fingerprint = _fingerprints(sha256, rules)
    ended = {uid: one for (uid, digest), one in failed.items() if _is(fingerprint, requested, uid, digest.encode())}
    release_memory()

    # From here on in order of strength: a staged attempt outweighs a row, a copy is never rendered, a rule wins.
    state = _states(join, fingerprint, rules)
    _mark(state, State.RENDER, requested.indices(list(waiting)), State.STAGED)
    _mark(state, State.RENDER, requested.indices(list(ended)), State.ENDED)
    copies = _copies(join, sha256, rule, _ranks(join, state))
    state[requested.indices(list(copies))] = State.DUPLICATE
    state[list(rule)] = State.FILTERED
    former = _former(requested, state, fingerprint, rules)
    state[requested.indices(former.uids)] = State.FORMER
    number = _numbers(join, state, copies, rules)
    # A removed object keeps its row, so it is removed only once.
    dropped = (requested.indices(rows.uids) < 0) & (texts(rows.column("outcome")) != Outcome.REMOVED.encode())
    certain = _changing(join, state, number, _find_moved(join, state, sha256, rules), dropped)
    return Plan(
        rules=rules,
        requested=requested,
        rows=rows,
        state=state,
        number=number,
        sha256=sha256,
        row=join.row,
        restated=join.restated | (number != join.number),
        order=_order(requested, number, np.flatnonzero(state == State.RENDER)),
        failed={
            uid: one
            for uid, one in ended.items()
            if _is(state, requested, uid, State.ENDED) and not join.has_recorded(one)
        },
        staged={uid: one for uid, one in waiting.items() if _is(state, requested, uid, State.STAGED)},
        duplicate=copies,
        rule=rule,
        removed=np.flatnonzero(dropped),
        rewrite=certain | frozenset(number[state == State.RENDER].tolist()),
        certain=certain,
        former=former,
    )


def _fingerprints(sha256: Texts, rules: Rules) -> Texts:
    """Fingerprint in chunks: Python texts of all objects at once would fill memory."""
    parts = [sha256[start : start + CHUNK] for start in range(0, len(sha256) or 1, CHUNK)]
    return np.concatenate(
        [np.array([rules.fingerprint(one.decode()) if one else "" for one in part], np.bytes_) for part in parts]
    )


def _mark(state: States, before: State, indices: Indices, after: State) -> None:
    state[indices[state[indices] == before]] = after


def _is(values: NDArray, requested: Columns[SourceObject], uid: str, value: object) -> bool:
    index = requested.indices([uid])[0]
    return bool(index >= 0 and values[index] == value)


def _ranks(join: CatalogJoin, state: States) -> States:
    """Rank duplicates: those already in a shard first, unfetchable duplicates last."""
    # An original without bytes would keep its copies from being rendered.
    unread = (state == State.ENDED) & join.unread
    return np.select([state == State.KEPT, state == State.STAGED, unread], [0, 1, 3], 2).astype(np.int8)


def _copies(join: CatalogJoin, sha256: Texts, rule: Mapping[int, str], rank: States) -> dict[str, str]:
    """Call `find_originals` for the objects that share their bytes with another."""
    known = np.flatnonzero(sha256 != b"")
    known = known[~np.isin(known, list(rule))]
    ordered = known[np.argsort(sha256[known], kind="stable")]
    # Only objects that share their bytes become Python texts: few of a million.
    alike = sha256[ordered][1:] == sha256[ordered][:-1]
    indices = ordered[np.append(alike, False) | np.append(False, alike)] if len(ordered) else ordered
    uids = [uid.decode() for uid in join.requested.uids[indices]]
    numbers = dict(zip(uids, join.number[indices].tolist(), strict=True))
    existing = {uid: number for uid, number in numbers.items() if number != UNASSIGNED}
    ranks = dict(zip(uids, rank[indices].tolist(), strict=True))
    return find_originals(dict(zip(uids, (one.decode() for one in sha256[indices]), strict=True)), ranks, existing)


def _former(requested: Columns[SourceObject], state: States, fingerprint: Texts, rules: Rules) -> Columns[BuildResult]:
    sought = np.flatnonzero((state == State.RENDER) & (fingerprint != b""))
    if rules.former is None or not len(sought):
        return Columns.of(BuildResult, [])
    return rules.former(requested.uids[sought], fingerprint[sought])


def _numbers(join: CatalogJoin, state: States, copies: Mapping[str, str], rules: Rules) -> Numbers:
    """Return the numbers of objects with a possible sample. A copy of an object with a sample gets no number."""
    # Over removed objects too: a number used once never gets other objects.
    first = int(join.rows.column("shard").to_numpy().max(initial=UNASSIGNED)) + 1
    number, wanted = join.number.copy(), ~np.isin(state, (State.DUPLICATE, State.FILTERED))
    stands = state[join.requested.indices(list(copies.values()))] == State.KEPT
    # A copy of an object still to be rendered may have to replace it, and needs a shard for that.
    wanted[join.requested.indices(list(copies))[~stands]] = True
    number[wanted] = assign(number[wanted], join.requested.uids[wanted], first, rules.objects_per_shard)
    return number


def _states(join: CatalogJoin, fingerprint: Texts, rules: Rules) -> States:
    """Return KEPT and ENDED as the catalogue says, and RENDER for all others, including those in lost shards."""
    open_again = [outcome.encode() for outcome in RETRIED | rules.retry]
    # Two empty fingerprints say nothing; then only an unchanged location keeps a failure.
    same = (join.fingerprint == fingerprint) & ((join.fingerprint != b"") | join.same_location)
    settled = (join.row >= 0) & ~np.isin(join.outcome, open_again) & same & ~join.is_in_shards(rules.lost)
    if rules.leaves_out_missing:
        settled &= ~(join.ok & join.lacks_pictures)
    return np.where(settled, np.where(join.ok, State.KEPT, State.ENDED), State.RENDER).astype(np.int8)


def _find_moved(join: CatalogJoin, state: States, sha256: Texts, rules: Rules) -> Mask:
    """True for a kept object with changed facts or split, to be written anew.

    Facts can change only where the source or the bytes differ from the row. A single object is compared in any case: a
    release with other facts then compares all.
    """
    kept = np.flatnonzero(state == State.KEPT)
    moved = np.zeros(len(state), bool)
    moved[kept] = [rules.split(one.decode()) for one in sha256[kept]] != join.split[kept].astype(str)
    doubtful = kept[join.restated[kept] | (sha256[kept] != join.sha256[kept])]
    if _other_facts(join, kept[:1], sha256).any():
        doubtful = kept
    moved[doubtful] |= _other_facts(join, doubtful, sha256)
    return moved


def _other_facts(join: CatalogJoin, indices: Indices, sha256: Texts) -> Mask:
    items = zip(join.requested.records(indices), sha256[indices].tolist(), strict=True)
    now = np.array([item.facts_digest(known.decode()) for item, known in items], np.bytes_)
    return np.asarray(now != join.facts_digest[indices], bool)


def _changing(join: CatalogJoin, state: States, number: Numbers, moved: Mask, dropped: Mask) -> frozenset[int]:
    """Return the numbers that change however the renders end: by staged, former, moved, removed or replaced samples."""
    changed = moved | np.isin(state, (State.STAGED, State.FORMER))
    # Their old shards change even if the new render fails.
    leaving = join.ok & (state != State.KEPT)
    rows = join.rows
    gone = dropped & (texts(rows.column("outcome")) == Outcome.OK.encode())
    parts = (number[changed], join.number[leaving], rows.column("shard").to_numpy()[gone])
    return frozenset(np.concatenate(parts).tolist())


def _order(requested: Columns[SourceObject], number: Numbers, indices: Indices) -> Indices:
    """Order by shard, so that shards are sealed early, then by uid digest."""
    ordered: Indices = indices[np.lexsort((uid_digests(requested.uids[indices]), number[indices]))]
    return ordered
