"""The photos of all clients: a folder for each, named by a secret, with what was made of it; unused folders expire.

Whoever knows a photo's name may use it: names are random and never listed. Everything is on the disk, so that a server
started again finds it.
"""

import json
import os
import re
import secrets
import shutil
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import BoundedSemaphore, Lock

from base.digest import sha256_bytes
from base.storage import write_atomically
from photo.settings import PhotoSettings
from web.cutouts import Correction, Shown, cut
from web.errors import Refused, unknown

ORIGINAL, MASK, ABOUT = "photo", "mask", "about.json"
# The form of `token_urlsafe(16)`; anything else in a request is no name and touches no file.
NAMES = re.compile(r"[A-Za-z0-9_-]{22}")
IN_MEMORY = 16
"""Cut-outs kept in memory; others are cut out again when they are needed."""


class StoredPhoto:
    """A photo's folder."""

    def __init__(self, folder: Path, settings: PhotoSettings) -> None:
        self.folder, self._settings = folder, settings

    @property
    def name(self) -> str:
        """The secret that clients know the photo by."""
        return self.folder.name

    @property
    def correction(self) -> Correction:
        """What a person corrected of the cut-out."""
        mask = self.folder / MASK
        about = json.loads((self.folder / ABOUT).read_bytes())
        return Correction(mask.read_bytes() if mask.is_file() else None, about["threshold"])

    def correct(self, correction: Correction) -> Shown:
        """Cut out anew, and keep the correction if that works. Raises UsageError for a wrong mask."""
        shown = cut((self.folder / ORIGINAL).read_bytes(), correction, self._settings)
        # Written only after the cut-out worked: a wrong mask leaves the earlier correction.
        if correction.mask is None:
            (self.folder / MASK).unlink(missing_ok=True)
        else:
            write_atomically(self.folder / MASK, correction.mask)
        about = json.loads((self.folder / ABOUT).read_bytes())
        self._write_about({**about, "threshold": correction.threshold})
        return shown

    def shown(self) -> Shown:
        """Cut out by the kept correction."""
        return cut((self.folder / ORIGINAL).read_bytes(), self.correction, self._settings)

    def result(self, job: str) -> Path:
        """Return the folder of a job's files."""
        return self.folder / "results" / job

    @property
    def client(self) -> str:
        """The digest of the address that brought the photo."""
        return str(json.loads((self.folder / ABOUT).read_bytes())["client"])

    def begin(self, data: bytes, client: str) -> None:
        """Write the files of a new photo."""
        self.folder.mkdir(mode=0o700)
        write_atomically(self.folder / ORIGINAL, data)
        self._write_about({"threshold": None, "client": client})

    def _write_about(self, about: dict[str, object]) -> None:
        write_atomically(self.folder / ABOUT, (json.dumps(about) + "\n").encode())


class PhotoStore:
    """All photos below `root`."""

    def __init__(
        self,
        root: Path,
        settings: PhotoSettings,
        *,
        expire_s: float,
        most_per_client: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.root, self.settings = root, settings
        self._expire_s, self._most, self._clock = expire_s, most_per_client, clock
        self._memory: OrderedDict[str, Shown] = OrderedDict()
        self._lock = Lock()
        # Requests have dozens of threads, and a large photo needs a gigabyte while it is cut out.
        self._cutting = BoundedSemaphore(os.cpu_count() or 1)
        # Folders appear and go under this lock alone, so that counting them meets no half-removed folder.
        self._folders = Lock()
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.sweep()

    def add(self, data: bytes, address: str) -> tuple[StoredPhoto, Shown]:
        """Keep a new photo and cut it out. Raises UsageError for what is no picture, Refused beyond the limit."""
        with self._cutting:
            shown = cut(data, Correction(), self.settings)  # before anything is written
        # A digest is enough to count by, and no address of a person is written to the disk.
        client = sha256_bytes(address.encode())[:16]
        self.sweep()
        photo = StoredPhoto(self.root / secrets.token_urlsafe(16), self.settings)
        with self._folders:
            own = sum(photo.client == client for photo in self._all())
            if own >= self._most:
                raise Refused(429, f"expected at most {self._most} photos of an address, got another", self._expire_s)
            photo.begin(data, client)
        self._remember(photo.name, shown)
        return photo, shown

    def get(self, name: str) -> StoredPhoto:
        """Find a photo by its name, and begin its time anew. Raises Refused (404)."""
        folder = self.root / name
        if not NAMES.fullmatch(name) or not (folder / ABOUT).is_file():
            raise unknown("photo")
        now = self._clock()
        if now - folder.stat().st_mtime > self._expire_s:
            raise unknown("photo")
        # The folder's own time is the time of the last use, and survives a restart.
        _touch(folder, now)
        return StoredPhoto(folder, self.settings)

    def shown(self, photo: StoredPhoto) -> Shown:
        """Return the photo's cut-out, from memory where it is."""
        with self._lock:
            known = self._memory.get(photo.name)
        if known is None:
            with self._cutting:
                known = photo.shown()
            self._remember(photo.name, known)
        return known

    def correct(self, photo: StoredPhoto, correction: Correction) -> Shown:
        """Cut a photo out as a person says. Raises UsageError for a wrong mask."""
        with self._cutting:
            shown = photo.correct(correction)
        self._remember(photo.name, shown)
        return shown

    def remove(self, photo: StoredPhoto) -> None:
        """Forget a photo and everything made of it."""
        with self._lock:
            self._memory.pop(photo.name, None)
        with self._folders:
            # A running job may write a file at the same time; the next sweep takes what is left.
            shutil.rmtree(photo.folder, ignore_errors=True)

    def sweep(self) -> None:
        """Remove the photos that have expired, and folders that a killed server had only begun."""
        with self._folders:
            old = [folder for folder in self._list_folders() if self._clock() - folder.stat().st_mtime > self._expire_s]
        for folder in old:
            self.remove(StoredPhoto(folder, self.settings))

    def _all(self) -> list[StoredPhoto]:
        folders = [folder for folder in self._list_folders() if (folder / ABOUT).is_file()]
        return [StoredPhoto(folder, self.settings) for folder in folders]

    def _list_folders(self) -> list[Path]:
        return [path for path in self.root.iterdir() if NAMES.fullmatch(path.name)]

    def _remember(self, name: str, shown: Shown) -> None:
        with self._lock:
            self._memory.pop(name, None)
            self._memory[name] = shown
            if len(self._memory) > IN_MEMORY:
                self._memory.popitem(last=False)


def _touch(folder: Path, now: float) -> None:
    os.utime(folder, (now, now))
