"""Processes that multiprocessing starts: none outlives the one that started it."""

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """Have this process end at once when its parent is killed, whatever it waits for then."""
    threading.Thread(target=_end, name="end with parent", daemon=True).start()


def _end() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)
