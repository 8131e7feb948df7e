"""Make the latent shards of a version in several processes. Intact latent shards are kept."""

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
    """The encoder's digest, the counts of new and of all shards, their bytes, and the count of damaged samples."""

    encoder: str
    made: int
    shards: int
    bytes: int
    damaged_samples: int


@dataclass(frozen=True)
class CacheJob:
    """The work of all processes: the dataset, the model with the encoders, and the device."""

    storage: Storage
    version: Version
    model: ModelSettings
    seed: int
    device: str
    threads: int


def cache_latents(job: CacheJob, processes: int, progress: Progress, damaged_samples: int = 0) -> CacheSummary:
    """Encode all views of a version that are not encoded yet, and write the index of its latent shards.

    Existing latent shards are checked, and made again if damaged. The same call continues an interrupted call, and
    several calls may work on a dataset at the same time. Up to `damaged_samples` are reported and skipped, and tried
    again by the next call. Raises UsageError for a model of another view size. Raises Failure for more damaged samples,
    and if a process is killed.
    """
    if tuple(job.version.hw) != tuple(job.model.hw):
        raise UsageError(f"model.hw: expected the dataset's view size {list(job.version.hw)}, got {list(job.model.hw)}")
    worker = CacheWorker(job)
    tolerance = DamageTolerance(damaged_samples, progress.say)
    cached: dict[str, CachedShard] = {}
    with progress.task("cache", total=sum(len(shard.samples) for shard in job.version.shards), unit="objects") as task:
        for shard, latent in _cache_shards(worker, processes, tolerance):
            cached[shard.name] = latent
            task.advance(len(shard.samples), note=shard.name)
    # In the order of the version, whichever process was first: the plan of an epoch depends on it.
    shards = tuple(cached[shard.name].shard for shard in job.version.shards)
    # Last of all: readers start from the index, so a call that was stopped leaves nothing half listed.
    index = LatentIndex(SCHEMA, job.version.number, worker.encoder, shards)
    job.storage.write(latents_name(job.version.number, worker.digest), index.to_json().encode())
    made = sum(latent.made for latent in cached.values())
    size = sum(shard.bytes for shard in shards)
    return CacheSummary(worker.digest, made, len(shards), size, len(tolerance.samples))


class CachedShard(NamedTuple):
    """An intact latent shard, and whether this call made it."""

    shard: ShardEntry
    made: bool


class CacheWorker:
    """The loaded encoders, applied to a shard at a time."""

    def __init__(self, job: CacheJob) -> None:
        self.job = job
        if job.threads:
            torch.set_num_threads(job.threads)
        encoders = build_encoders(job.model, job.seed)
        self.digest = encoders.digest()
        device = torch_device(job.device)
        # After the digest, because copies on a GPU would have to come back for it.
        for module in (encoders.vae, encoders.image_encoder):
            if module is not None:
                module.to(device)
        self.encoders: FrozenEncoders = encoders
        # A black view, for the shapes of the encoders' output.
        moments, vectors = encoders.encode(np.zeros((1, *job.version.hw, 4), np.uint8))
        count, length = (0, 0) if vectors is None else vectors.shape[1:]
        _, channels, height, width = moments.shape
        self.encoder = Encoder(self.digest, (channels, height, width), (count, length))

    def find_or_make(self, shard: ShardEntry, on_damage: DamageHandler) -> CachedShard:
        """Return the latent shard of an image shard: the existing shard if it is intact, or else a new shard."""
        # Only a full read finds damage inside, and it costs little beside encoding.
        entry = read_record(self.job.storage, record_name(self.digest, shard))
        if entry is not None and is_intact(self.job.storage, entry):
            return CachedShard(entry, made=False)
        return CachedShard(self.make(shard, on_damage), made=True)

    def make(self, shard: ShardEntry, on_damage: DamageHandler) -> ShardEntry:
        """Encode and write a shard, and then its record. A shard with damaged samples gets no record."""
        damages = list[DamagedSample]()

        def note(damage: DamagedSample) -> None:
            on_damage(damage)
            damages.append(damage)

        samples = ((entry.uid, self._members(shard, entry, note)) for entry in shard.samples)
        latents = write_samples(self.job.storage, shard.split, shard.number, samples, latents_folder(self.digest))
        if not damages:  # without a record the next call tries the damaged samples again
            self.job.storage.write(record_name(self.digest, shard), (shard_json(latents) + "\n").encode())
        return latents

    def _members(self, shard: ShardEntry, entry: SampleEntry, on_damage: DamageHandler) -> dict[str, bytes]:
        version = self.job.version
        try:
            sample = read_sample(self.job.storage, shard, entry)
            # Before the views: a sample with another number of them has no row for each.
            sample.check_count(version.views)
            _ = sample.good_views, sample.pairs
        except DamagedSample as damage:
            on_damage(damage)
            return damage_members({WHOLE: damage})
        # A damaged view stays black here and is marked: the encoder wants every row, and its output for it is dropped.
        views, damages = np.zeros((version.views, *version.hw, 4), np.uint8), dict[int, DamagedSample]()
        for view in range(version.views):
            try:
                views[view] = sample.image(view, version.hw)
            except DamagedSample as damage:
                on_damage(damage)
                damages[view] = damage
        return latent_members(sample, *self.encoders.encode(views), damages)


def _cache_shards(
    worker: CacheWorker, processes: int, on_damage: DamageHandler
) -> Iterator[tuple[ShardEntry, CachedShard]]:
    """Yield each shard of the version with its latent shard, as they become ready."""
    shards = worker.job.version.shards
    # A pool of a single process would only add its start.
    if min(processes, len(shards)) <= 1:
        yield from ((shard, worker.find_or_make(shard, on_damage)) for shard in shards)
        return
    with _pool(worker.job, min(processes, len(shards))) as pool:
        waiting = {pool.submit(_find_or_make, shard): shard for shard in shards}
        try:
            for future in as_completed(waiting):
                cached, damages = future.result()
                for damage in damages:
                    on_damage(damage)
                yield waiting[future], cached
        except BrokenProcessPool:
            raise Failure("cache: a process that encodes was killed; the same command goes on from there") from None


@contextmanager
def _pool(job: CacheJob, processes: int) -> Iterator[ProcessPoolExecutor]:
    """Start processes with encoders of their own. An error in this process ends them at once."""
    # Forked from a server that has loaded torch and diffusers, 5 CPU seconds, once for all. The server is a fresh
    # process: a fork of this one would copy locks held by its threads.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_begin, initargs=(job,))
    # Other children, such as a test's server, are not ours to end.
    before = set(multiprocessing.active_children())
    try:
        yield pool
    except BaseException:
        for child in set(multiprocessing.active_children()) - before:
            # A shutdown alone would wait for the shards they encode.
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


_worker: CacheWorker | None = None
"""The worker of a process in the pool, loaded once."""


def _begin(job: CacheJob) -> None:
    global _worker  # noqa: PLW0603 -- an initialiser can pass on its result in no other way
    # Ctrl-C is for the parent, which ends its processes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    _worker = CacheWorker(job)


def _find_or_make(shard: ShardEntry) -> tuple[CachedShard, list[DamagedSample]]:
    """Return a latent shard and its damages. The parent judges them: the limit is for all processes together."""
    if _worker is None:
        raise RuntimeError("expected a process after its initialiser")
    damages = list[DamagedSample]()
    return _worker.find_or_make(shard, damages.append), damages
