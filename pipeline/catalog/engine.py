"""The threads of the tables' engine, which it starts at its first use in a process."""

import os

THREADS_VARIABLE = "TOKIO_WORKER_THREADS"
FEWEST, MOST = 4, 8


def give_engine_threads() -> None:
    """Give the engine several threads on a single processor too, before its first use.

    A commit writes rows that are read from the same engine. With one thread it would wait for itself for ever.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault(THREADS_VARIABLE, str(min(max(usable, FEWEST), MOST)))
