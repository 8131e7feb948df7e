"""One tiny build in a process of its own, for tests that stop it: `python -m tests.pipeline.one_build ROOT MODELS`."""

import signal
import sys
from pathlib import Path

from base.errors import Failure
from base.progress import standard_progress
from pipeline.builder import BuildSettings, build
from tests.pipeline.builds import tiny


def slow(root: Path, models: Path) -> BuildSettings:
    """A build that takes its time, with a shard for each object."""
    return tiny(root, models, run={"workers": 1}, render={"samples": 64}, shards={"objects_per_shard": 1})


def stop(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    signal.signal(signal.SIGTERM, stop)
    root, models = map(Path, sys.argv[1:])
    try:
        build(slow(root, models), standard_progress())
    except KeyboardInterrupt:
        return 130
    except Failure as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
