"""Making a version's latent shards: by several processes, each a shard at a time, and only what is not there whole."""

import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from base.children import end_with_parent
from base.errors import Failure, UsageError
from base.progress import Progress
from base.storage import Storage
from shards.damage import DamagedSample, DamageHandler, DamageTolerance
from shards.latents import (
    SCHEMA,
    WHOLE,
    Encoder,
    LatentIndex,
    damage_members,
    latent_members,
    latents_folder,
    latents_name,
    read_record,
    record_name,
)
from shards.reader import is_intact, read_sample
from shards.version import SampleEntry, ShardEntry, Version, shard_json
from shards.write import write_samples
from zero123.build import build_encoders
from zero123.device import torch_device
from zero123.encoders import FrozenEncoders
from zero123.settings import ModelSettings


@dataclass(frozen=True)
class CacheSummary:
    """The encoder's digest, how many shards were made now and how many there are, their bytes, samples passed over."""

    encoder: str
    made: int
    shards: int
    bytes: int
    damaged_samples: int


@dataclass(frozen=True)
class CacheJob:
    """What each process needs to know: the dataset, the model whose frozen part encodes, and where."""

    storage: Storage
    version: Version
    model: ModelSettings
    seed: int
    device: str
    threads: int


def cache_latents(job: CacheJob, processes: int, progress: Progress, damaged_samples: int = 0) -> CacheSummary:
    """Encode every view of a version that is not encoded yet, and list all of them for the version.

    What is there is read, and made again where it is not what was made. The same call goes on where one was stopped,
    and several may work on one dataset. Up to `damaged_samples` are told and passed over; each call tries them again.
    Raises UsageError for a model of another view size, Failure for one damaged sample more or a process that is killed.
    """
    if tuple(job.version.hw) != tuple(job.model.hw):
        raise UsageError(f"model.hw: expected the dataset's view size {list(job.version.hw)}, got {list(job.model.hw)}")
    work = CacheWorker(job)
    passed_over = DamageTolerance(damaged_samples, progress.say)
    had: dict[str, CachedShard] = {}
    with progress.task("cache", total=sum(len(shard.samples) for shard in job.version.shards), unit="objects") as task:
        for shard, one in _had(work, processes, passed_over):
            had[shard.name] = one
            task.advance(len(shard.samples), note=shard.name)
    shards = tuple(had[shard.name].shard for shard in job.version.shards)
    index = LatentIndex(SCHEMA, job.version.number, work.encoder, shards)
    job.storage.write(latents_name(job.version.number, work.digest), index.to_json().encode())
    made = sum(one.made for one in had.values())
    size = sum(shard.bytes for shard in shards)
    return CacheSummary(work.digest, made, len(shards), size, len(passed_over.samples))


class CachedShard(NamedTuple):
    """A latent shard that is there, and whether it was made now."""

    shard: ShardEntry
    made: bool


class CacheWorker:
    """The encoders, loaded, and what they do to a shard."""

    def __init__(self, job: CacheJob) -> None:
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

    def find_or_make(self, shard: ShardEntry, on_damage: DamageHandler) -> CachedShard:
        """The latent shard of a shard: the one that is there, where that is whole, or one that is made.

        To read all of it costs little beside encoding, and nothing else shows damage inside.
        """
        entry = read_record(self.job.storage, record_name(self.digest, shard))
        if entry is not None and is_intact(self.job.storage, entry):
            return CachedShard(entry, made=False)
        return CachedShard(self.make(shard, on_damage), made=True)

    def make(self, shard: ShardEntry, on_damage: DamageHandler) -> ShardEntry:
        """Encode a shard, write it, and then, unless a sample is damaged, the record that says that it is whole."""
        damages = list[DamagedSample]()

        def noted(damage: DamagedSample) -> None:
            on_damage(damage)
            damages.append(damage)

        samples = ((entry.uid, self._members(shard, entry, noted)) for entry in shard.samples)
        latents = write_samples(self.job.storage, shard.split, shard.number, samples, latents_folder(self.digest))
        if not damages:
            self.job.storage.write(record_name(self.digest, shard), (shard_json(latents) + "\n").encode())
        return latents

    def _members(self, shard: ShardEntry, entry: SampleEntry, on_damage: DamageHandler) -> dict[str, bytes]:
        version = self.job.version
        try:
            sample = read_sample(self.job.storage, shard, entry)
            sample.check_count(version.views)
            _ = sample.good_views, sample.pairs
        except DamagedSample as damage:
            on_damage(damage)
            return damage_members({WHOLE: damage})
        views, damages = np.zeros((version.views, *version.hw, 4), np.uint8), dict[int, DamagedSample]()
        for view in range(version.views):
            try:
                views[view] = sample.image(view, version.hw)
            except DamagedSample as damage:
                on_damage(damage)
                damages[view] = damage
        return latent_members(sample, *self.encoders.encode(views), damages)


def _had(work: CacheWorker, processes: int, on_damage: DamageHandler) -> Iterator[tuple[ShardEntry, CachedShard]]:
    """Each of the version's shards with its latent shard, as they become ready."""
    shards = work.job.version.shards
    if min(processes, len(shards)) <= 1:
        yield from ((shard, work.find_or_make(shard, on_damage)) for shard in shards)
        return
    with _pool(work.job, min(processes, len(shards))) as pool:
        waiting = {pool.submit(_have, shard): shard for shard in shards}
        try:
            for future in as_completed(waiting):
                had, damages = future.result()
                for damage in damages:
                    on_damage(damage)
                yield waiting[future], had
        except BrokenProcessPool:
            raise Failure("cache: a process that encodes was killed; the same command goes on from there") from None


@contextmanager
def _pool(job: CacheJob, processes: int) -> Iterator[ProcessPoolExecutor]:
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


_work: CacheWorker | None = None
"""Of a process in the pool: loaded once."""


def _begin(job: CacheJob) -> None:
    global _work  # noqa: PLW0603 -- how a pool's initialiser hands on what it made
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    _work = CacheWorker(job)


def _have(shard: ShardEntry) -> tuple[CachedShard, list[DamagedSample]]:
    """A latent shard and what was damaged, which the parent judges: it alone knows of all processes."""
    if _work is None:
        raise RuntimeError("expected a process that has begun")
    damages = list[DamagedSample]()
    return _work.find_or_make(shard, damages.append), damages
