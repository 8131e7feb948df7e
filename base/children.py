"""Child processes of multiprocessing, ended together with their parent."""

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """End this process at once when its parent ends, even while it waits for something."""
    threading.Thread(target=_end, name="end with parent", daemon=True).start()


def _end() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        # Not sys.exit: this is a thread, and the main thread may be blocked in C code.
        os._exit(1)
