"""The work of a worker on an object, without Ray: fetch, render, stage the views, report the attempt."""

import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from base.digest import sha256_file
from base.errors import Failure
from base.outcomes import Outcome
from base.storage import Storage, error_path, reason
from pipeline.catalog.objects import SourceObject
from pipeline.catalog.rows import Attempt, SampleLocation
from pipeline.fetch.fetch import FetchError, check_glb, fetch
from pipeline.fetch.limiter import Gate
from pipeline.fetch.model_cache import ModelCache
from pipeline.settings import FetchSettings, ObjaverseSettings
from pipeline.sources.folder import model_sha256
from pipeline.sources.hub import address_on, find_downloaded, token
from pipeline.sources.renders import views_sha256
from pipeline.work.earlier_views import copy_earlier_views
from pipeline.work.found_views import check_found_views, found_fingerprints
from pipeline.work.pack import PackJob, PackResult, pack
from pipeline.work.staging import stage, work_folder
from render.child import RenderChild
from render.fingerprint import fingerprints
from render.formats.registry import CHECKS
from render.formats.roots import Root
from render.job import RenderResult
from render.run import render_views
from render.settings import RenderSettings

T = TypeVar("T")
HUB_SOURCES = ("objaverse", "objaverse-xl")
SUFFIX = re.compile(r"\.[a-z][a-z0-9]{1,4}")
"""An ending of an address that names a format. Other endings belong to the name."""

FREE_BYTES = 64 << 20
"""With less free space a failed render is blamed on the disk, not on the object."""


@dataclass(frozen=True)
class WorkerSpec:
    """The constant inputs of a worker: the dataset's location, and how to fetch and render.

    Only the address `hub` may see the token. A worker takes the token from its own environment. `models` is the source
    folder, empty for other sources.
    """

    run: str
    root: str
    seed: int
    render: RenderSettings
    fetch: FetchSettings
    objaverse: ObjaverseSettings
    hub: str
    models: str = ""

    def models_root(self, item: SourceObject) -> Root | None:
        """Return the folders below which an object's model may name files; None for the model's own folder."""
        return Root.of_folder(Path(self.models)) if item.source == "folder" and self.models else None


@dataclass(frozen=True)
class ViewJob:
    """An object to render. `earlier` locates a sample with its first views."""

    item: SourceObject
    earlier: SampleLocation | None = None

    @property
    def name(self) -> str:
        """The name of the job in messages."""
        return self.item.uid


Job = ViewJob | PackJob

LOCAL: dict[str, Callable[[Path, Root | None], str]] = {
    "folder": model_sha256,
    "renders": lambda path, _root: views_sha256(path),
}
"""Sources on local disks, and the function to digest an object of each."""


def view_fingerprints(source: str, render: RenderSettings, seed: int) -> Callable[[str], str]:
    """Return a function from an object's sha256 to its fingerprint, for this kind of source."""
    return found_fingerprints(render) if source == "renders" else fingerprints(render, render.compat, seed)


def view_fingerprint(source: str, sha256: str, render: RenderSettings, seed: int) -> str:
    """Return the fingerprint of an object, given its sha256."""
    return view_fingerprints(source, render, seed)(sha256)


class Worker:
    """A worker with its own Blender child, started at the first render. Requests to servers pass the `gate`.

    `phase` is the present phase, empty between jobs. Any thread may read it.
    """

    def __init__(self, spec: WorkerSpec, gate: Gate) -> None:
        self.spec, self.storage, self.gate = spec, Storage(spec.root), gate
        self.child = RenderChild(spec.render)
        self.child.watch = self._enter
        self.phase = ""

    def do(self, job: Job) -> Attempt | PackResult:
        """Render or pack. A failure of the object is part of the answer; a failure of the machine raises Failure."""
        try:
            self._enter("pack" if isinstance(job, PackJob) else "fetch")
            return pack(self.storage, job) if isinstance(job, PackJob) else self._views(job)
        except OSError as error:
            raise Failure(f"{error_path(error) or self.spec.root}: {reason(error)}") from error
        finally:
            self._enter("")

    def _enter(self, phase: str) -> None:
        self.phase = phase

    def close(self) -> None:
        """End the child."""
        self.child.close()

    def _views(self, job: ViewJob) -> Attempt:
        item, started, seconds = job.item, time.time(), dict[str, float]()
        identity: dict[str, Any] = {
            "attempt": secrets.token_hex(8),
            "run": self.spec.run,
            "uid": item.uid,
            "at": started,
        }
        with work_folder(self.storage) as folder:
            try:
                path, sha256 = _time(seconds, "fetch", lambda: self._file(item, folder))
            except FetchError as error:
                unread: dict[str, Any] = {
                    "sha256": item.sha256,
                    "fingerprint": self._fingerprint(item, item.sha256),
                }
                return Attempt(
                    **identity,
                    **unread,
                    outcome=error.outcome,
                    reason=error.reason,
                    phase="fetch",
                    seconds=seconds,
                    host=socket.gethostname(),
                )
            views = folder / "views"
            views.mkdir()
            self._enter("start")
            result = self._result(job, path, sha256, views)
            known = {
                "sha256": sha256,
                "fingerprint": self._fingerprint(item, sha256),
                "peak_mb": self.child.peak_mb,
                "walls": self.child.isolation,
            }
            attempt = _attempt(identity | known, result, seconds, _size(path))
            if attempt.outcome == Outcome.OK:
                self._enter("stage")
                stage(self.storage, views, attempt)
            # A full disk fails every object, and recorded failures are not tried again.
            elif shutil.disk_usage(folder).free < FREE_BYTES:
                raise Failure(f"{folder.parent}: the disk is full; free some space and run the same command again")
            return attempt

    def _result(self, job: ViewJob, path: Path, sha256: str, views: Path) -> RenderResult:
        uid, render = job.item.uid, self.spec.render
        if job.item.source == "renders":
            return check_found_views(path, uid, render, views)
        earlier = copy_earlier_views(self.storage, job.earlier, sha256, render, views.parent)
        root = self.spec.models_root(job.item)
        return render_views(self.child, path, uid, render, self.spec.seed, views, earlier, root=root)

    def _fingerprint(self, item: SourceObject, sha256: str) -> str:
        return view_fingerprint(item.source, sha256, self.spec.render, self.spec.seed) if sha256 else ""

    def _file(self, item: SourceObject, folder: Path) -> tuple[Path, str]:
        """Fetch the object's file. Returns its path and digest. Raises FetchError."""
        if item.source in LOCAL:
            return _read_here(item, self.spec.models_root(item))
        if not item.location:
            raise FetchError(
                Outcome.MISSING, f"{item.title or item.uid}: expected in the index of {item.source}, got nothing"
            )
        suffix = PurePosixPath(unquote(urlsplit(item.location).path)).suffix.lower()
        if suffix not in CHECKS and SUFFIX.fullmatch(suffix):
            raise FetchError(Outcome.UNSUPPORTED, f"{item.location}: expected a model of {', '.join(sorted(CHECKS))}")
        # Without a suffix the file's bytes say what it is.
        path = folder / f"source{suffix if suffix in CHECKS else ''}"
        return path, self._copy_downloaded(item, path) or self._take_or_fetch(item, path)

    def _copy_downloaded(self, item: SourceObject, path: Path) -> str:
        """Copy the file from the `objaverse` package's downloads. Returns its digest, or "" without a sound file."""
        objaverse = self.spec.objaverse
        found = find_downloaded(item.location, objaverse.revision, objaverse.downloaded)
        # Another user's download, for example. Then the file is fetched as usual.
        if found is None or not os.access(found, os.R_OK):
            return ""
        shutil.copyfile(found, path)
        sha256 = sha256_file(path)
        try:
            check_glb(path, item.location)
        except FetchError:
            return ""
        return sha256 if item.sha256 in ("", sha256) else ""

    def _take_or_fetch(self, item: SourceObject, path: Path) -> str:
        fetching = self.spec.fetch
        cache = ModelCache(Path(fetching.cache).expanduser(), fetching.cache_mb << 20)
        if sha256 := cache.take(item.location, path, item.sha256):
            return sha256
        address = self._address(item)
        # With the slash: `https://hub.example.evil` starts with `https://hub.example` too.
        secret = token() if address.startswith(f"{self.spec.hub}/") else ""
        fetched = fetch(address, path, fetching, self.gate, token=secret, sha256=item.sha256)
        # Under its location: an address has a new signature each time.
        cache.keep(item.location, path, fetched.sha256)
        return fetched.sha256

    def _address(self, item: SourceObject) -> str:
        """Where the object's file is asked for: with its signature, or on the mirror that HF_ENDPOINT names."""
        if item.source in HUB_SOURCES:
            return address_on(self.spec.hub, item.location)
        return item.address or item.location


def _read_here(item: SourceObject, root: Root | None) -> tuple[Path, str]:
    """Return a local object's path and digest. Raises FetchError."""
    path = Path(item.location)
    try:
        sha256 = LOCAL[item.source](path, root)
    except (FileNotFoundError, NotADirectoryError):
        raise FetchError(Outcome.MISSING, f"{path.name}: expected in {path.parent}, got nothing there") from None
    except OSError as error:
        # Other errors are the disk's or the network share's and may pass.
        outcome = Outcome.FORBIDDEN if isinstance(error, PermissionError) else Outcome.LOST
        raise FetchError(outcome, f"{path.name}: expected to be readable, got: {error.strerror}") from None
    # The plan was made for the listed bytes: shard, split and copies follow from them.
    if item.sha256 and sha256 != item.sha256:
        raise FetchError(Outcome.MODIFIED, f"{path.name}: changed since the build began")
    return path, sha256


def _attempt(known: Mapping[str, Any], result: RenderResult, seconds: Mapping[str, float], size: int) -> Attempt:
    faults: dict[str, Any] = result.faults
    return Attempt(
        **known,
        **faults,
        outcome=result.outcome,
        reason=result.reason,
        phase=result.phase,
        checks=result.positive_checks,
        seconds={**seconds, **result.seconds},
        views=len(result.views) - result.kept,
        source_bytes=size,
        device=", ".join(f"{key} {value}" for key, value in sorted(result.device.items())),
        host=socket.gethostname(),
        warnings="; ".join(result.warnings),
        stderr_tail=result.stderr_tail,
    )


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.iterdir()) if path.is_dir() else path.stat().st_size


def _time(seconds: dict[str, float], phase: str, act: Callable[[], T]) -> T:
    started = time.monotonic()
    try:
        return act()
    finally:
        seconds[phase] = time.monotonic() - started
