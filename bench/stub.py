"""A worker without fetching and rendering: all objects get the same tiny views at once, in real shards."""

import hashlib
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from base.outcomes import Outcome
from base.storage import Storage
from geometry.camera import look_at_origin
from pipeline.catalog.rows import Attempt
from pipeline.fetch.limiter import Gate
from pipeline.work.pack import Member, PackJob, PackResult
from pipeline.work.worker import ItemJob, Job, WorkerSpec
from shards.image import encode_rgba
from shards.reader import read_sample
from shards.sample import members_from_views, replace_object_facts, view_suffix
from shards.write import write_shard

VIEWS, HW = 2, (16, 16)
BAD = 0.05
"""The share of corrupt objects, decided by the digest of their URL."""


class StubWorker:
    """Replaces `Worker` between the real crew and the real catalogue."""

    def __init__(self, spec: WorkerSpec, gate: Gate) -> None:
        self.spec, self.storage, self.phase = spec, Storage(spec.root), ""
        self.fingerprint = spec.stage.fingerprint

    def do(self, job: Job) -> Attempt | PackResult:
        if isinstance(job, PackJob):
            return self._pack(job)
        sha256 = job.item.sha256 or hashlib.sha256(job.item.location.encode()).hexdigest()
        # By digest, so that the same objects fail in every build.
        bad = int(sha256[:8], 16) < BAD * 2**32
        return Attempt(
            attempt=f"{job.item.uid}-{time.time_ns()}",
            run=self.spec.run,
            uid=job.item.uid,
            outcome=Outcome.CORRUPT if bad else Outcome.OK,
            reason="expected a model, got a stub for a corrupt file" if bad else "",
            phase="import" if bad else "",
            sha256=sha256,
            fingerprint=self.fingerprint(sha256),
            seconds={"fetch": 0.5, "import": 0.25, "sample": 8.0},
            peak_mb=500.0,
            source_bytes=4_000_000,
            device="kind CPU, name none",
            host=socket.gethostname(),
            at=time.time(),
        )

    def do_together(self, jobs: Sequence[ItemJob]) -> list[Attempt]:
        """Do each: there is nothing to gain from a batch."""
        return [attempt for job in jobs if isinstance(attempt := self.do(job), Attempt)]

    def close(self) -> None:
        """Do nothing: there is no child to end."""

    def _pack(self, job: PackJob) -> PackResult:
        by_split: dict[str, list[Member]] = {}
        for member in sorted(job.members, key=lambda member: member.uid):
            by_split.setdefault(member.split, []).append(member)
        shards = (write_shard(self.storage, split, job.number, self._samples(of)) for split, of in by_split.items())
        return PackResult(job.number, tuple(shards))

    def _samples(self, members: list[Member]) -> Iterator[tuple[str, Mapping[str, bytes]]]:
        for member in members:
            sample = template()
            if member.kept_in is not None and member.entry is not None:
                sample = read_sample(self.storage, member.kept_in, member.entry).members
            yield member.uid, replace_object_facts(sample, member.facts)


@cache
def template() -> Mapping[str, bytes]:
    """Return the sample of every object."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        cameras = [look_at_origin(np.array([1.5, 0.5, view])) for view in range(VIEWS)]
        np.save(folder / "extrinsics.npy", np.stack(cameras))
        (folder / "views.json").write_text('{"light": "none"}')
        for view in range(VIEWS):
            (folder / view_suffix(view)).write_bytes(encode_rgba(np.full((*HW, 4), 200, np.uint8)))
        return members_from_views(folder, {"uid": "template"})
