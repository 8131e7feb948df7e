"""A reader of a dataset that others build meanwhile: `python -m tests.pipeline.reader ROOT PINNED`.

Until a line comes in it looks again and again: is every shard that can be seen what its name says, is every version
whole, and does version PINNED still hold the samples that it held at first? Says what it saw, or the damage.
"""

import json
import select
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from base.digest import sha256_bytes
from base.errors import Failure
from base.progress import SILENT
from base.storage import Storage
from shards.reader import read_shard
from shards.verify import verify
from shards.version import SHARD_NAME, read_version, version_name, version_numbers

PAUSE_S = 0.3


@dataclass
class Reader:
    """What one reader has seen so far; `looks` counts."""

    storage: Storage
    pinned: int
    looks: Counter[str] = field(default_factory=Counter)
    _sound: set[str] = field(default_factory=set)
    _held: str = ""

    def look(self) -> None:
        """Look once at everything. Raises Failure for what no reader should ever see."""
        self.looks["looks"] += 1
        for name in self.storage.names("shards"):
            self._once(name, self._whole_shard)
        for number in version_numbers(self.storage):
            self._once(version_name(number), lambda _, number=number: self._whole_version(number))
        if version_name(self.pinned) in self._sound:
            self._same()

    def _once(self, name: str, check: Callable[[str], None]) -> None:
        if name not in self._sound:
            check(name)
            self._sound.add(name)

    def _whole_shard(self, name: str) -> None:
        stated = SHARD_NAME.fullmatch(name)
        digest = sha256_bytes(self.storage.read(name))
        if stated is None or not name.endswith(f"-{digest[:12]}.tar"):
            raise Failure(f"{name}: expected a whole shard, got one of digest {digest[:12]}")
        self.looks["shards"] += 1

    def _whole_version(self, number: int) -> None:
        verify(self.storage, read_version(self.storage, number), SILENT)
        self.looks["versions"] += 1

    def _same(self) -> None:
        version = read_version(self.storage, self.pinned)
        members = [sample.members for shard in version.shards for sample in read_shard(self.storage, shard)]
        held = sha256_bytes(repr(members).encode())
        if self._held not in ("", held):
            raise Failure(f"version {self.pinned}: expected the samples that were there before, got others")
        self._held = held
        self.looks["pinned"] += 1


def main() -> int:
    reader = Reader(Storage(sys.argv[1]), int(sys.argv[2]))
    last = False
    while True:
        try:
            reader.look()
        except Failure as failure:
            if str(failure).startswith("could not"):
                reader.looks["out of reach"] += 1  # a server in trouble; no damage
                continue
            sys.stdout.write(json.dumps({"damage": str(failure)}))
            return 1
        if last:
            break
        last = bool(select.select([sys.stdin], [], [], PAUSE_S)[0])  # once more when all is over
    sys.stdout.write(json.dumps(reader.looks))
    return 0


if __name__ == "__main__":
    sys.exit(main())
