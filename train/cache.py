"""Making a version's latent shards: by several processes, each a shard at a time, and only what is not there whole."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from base.errors import Failure, UsageError
from base.progress import Progress
from base.storage import Storage
from shards.damage import Damaged
from shards.latents import (
    SCHEMA,
    Encoder,
    Latents,
    latent_members,
    latents_folder,
    latents_name,
    read_record,
    record_name,
)
from shards.read import is_whole, read_shard
from shards.sample import view_suffix
from shards.version import ShardEntry, Version, shard_json
from shards.write import write_shard
from zero123.build import build_encoders
from zero123.device import torch_device
from zero123.encoders import FrozenEncoders
from zero123.settings import ModelSettings


@dataclass(frozen=True)
class CacheSummary:
    """The encoder's digest, how many shards were made now and how many there are, and the bytes of all."""

    encoder: str
    made: int
    shards: int
    bytes: int


@dataclass(frozen=True)
class Job:
    """What each process needs to know: the dataset, the model whose frozen part encodes, and where."""

    storage: Storage
    version: Version
    model: ModelSettings
    seed: int
    device: str
    threads: int


def cache_latents(job: Job, processes: int, progress: Progress) -> CacheSummary:
    """Encode every view of a version that is not encoded yet, and list all of them for the version.

    What is there is read, and made again where it is not what was made. The same call goes on where one was stopped,
    and several may work on one dataset. Raises UsageError for a model of
    another view size, Failure for a damaged sample or a process that was killed.
    """
    if tuple(job.version.hw) != tuple(job.model.hw):
        raise UsageError(f"model.hw: expected the dataset's view size {list(job.version.hw)}, got {list(job.model.hw)}")
    work = Work(job)
    had: dict[str, Had] = {}
    with progress.task("cache", total=sum(len(shard.samples) for shard in job.version.shards), unit="objects") as task:
        for shard, had[shard.name] in _had(work, processes):
            task.advance(len(shard.samples), note=shard.name)
    shards = tuple(had[shard.name].shard for shard in job.version.shards)
    index = Latents(SCHEMA, job.version.number, work.encoder, shards)
    job.storage.write(latents_name(job.version.number, work.digest), index.to_json().encode())
    made = sum(one.made for one in had.values())
    return CacheSummary(work.digest, made, len(shards), sum(shard.bytes for shard in shards))


class Had(NamedTuple):
    """A latent shard that is there whole, and whether it was made now."""

    shard: ShardEntry
    made: bool


class Work:
    """The encoders, loaded, and what they do to a shard."""

    def __init__(self, job: Job) -> None:
        self.job = job
        if job.threads:
            torch.set_num_threads(job.threads)
        encoders = build_encoders(job.model, job.seed)
        self.digest = encoders.digest()
        device = torch_device(job.device)
        for module in (encoders.vae, encoders.image_encoder):
            if module is not None:
                module.to(device)
        self.encoders: FrozenEncoders = encoders
        moments, vectors = encoders.encode(np.zeros((1, *job.version.hw, 4), np.uint8))
        count, length = (0, 0) if vectors is None else vectors.shape[1:]
        _, channels, height, width = moments.shape
        self.encoder = Encoder(self.digest, (channels, height, width), (count, length))

    def have(self, shard: ShardEntry) -> Had:
        """The latent shard of a shard: the one that is there, when that is whole, or one that is made. Raises Damaged.

        To read all of it costs little beside encoding, and nothing else shows damage inside.
        """
        entry = read_record(self.job.storage, record_name(self.digest, shard))
        if entry is not None and is_whole(self.job.storage, entry):
            return Had(entry, made=False)
        return Had(self.make(shard), made=True)

    def make(self, shard: ShardEntry) -> ShardEntry:
        """Encode a shard, write it, and then its record, which says that it is whole. Raises Damaged."""
        samples = ((entry.uid, members) for entry, members in zip(shard.samples, self._samples(shard), strict=True))
        folder = latents_folder(self.digest)
        entry = write_shard(self.job.storage, shard.split, shard.number, samples, folder)
        self.job.storage.write(record_name(self.digest, shard), (shard_json(entry) + "\n").encode())
        return entry

    def _samples(self, shard: ShardEntry) -> Iterator[dict[str, bytes]]:
        for sample in read_shard(self.job.storage, shard):
            if (count := len(sample.extrinsics)) != self.job.version.views:
                raise Damaged(shard.name, sample.uid, f": expected {self.job.version.views} views, got {count}")
            views = [sample.image(view) for view in range(count)]
            for view, image in enumerate(views):
                if image.shape[:2] != tuple(self.job.version.hw):
                    raise Damaged(
                        shard.name, sample.uid, f".{view_suffix(view)}: expected {self.job.version.hw} pixels"
                    )
            yield latent_members(sample, *self.encoders.encode(np.stack(views)))


def _had(work: Work, processes: int) -> Iterator[tuple[ShardEntry, Had]]:
    """Each of the version's shards with its latent shard, as they become ready."""
    shards = work.job.version.shards
    if min(processes, len(shards)) <= 1:
        yield from ((shard, work.have(shard)) for shard in shards)
        return
    with _pool(work.job, min(processes, len(shards))) as pool:
        waiting: dict[Future[Had], ShardEntry] = {pool.submit(_have, shard): shard for shard in shards}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        except BrokenProcessPool:
            raise Failure("cache: a process that encodes was killed; the same command goes on from there") from None


@contextmanager
def _pool(job: Job, processes: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that load the encoders anew; whatever ends this one's work ends theirs at once."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_begin, initargs=(job,))
    before = set(multiprocessing.active_children())
    try:
        yield pool
    except BaseException:
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


_work: Work | None = None
"""Of a process in the pool: loaded once."""


def _begin(job: Job) -> None:
    global _work  # noqa: PLW0603 -- how a pool's initialiser hands on what it made
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _work = Work(job)


def _end_with_parent() -> None:
    """A pool's process waits for work for ever when the one that gives it is killed."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)


def _have(shard: ShardEntry) -> Had:
    if _work is None:
        raise RuntimeError("expected a process that has begun")
    return _work.have(shard)
