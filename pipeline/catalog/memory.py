"""Memory that is given back: a driver of a million objects makes and drops large tables one after another.

Whoever has dropped one and is about to make the next releases what it took.
"""

import ctypes

import pyarrow

M_MMAP_THRESHOLD = -3
"""The name that malloc.h of the GNU C library gives it."""
LARGE_BYTES = 1 << 18


def be_frugal() -> None:
    """Have large blocks go back to the system as soon as they are freed; for the whole process, and for good.

    Arrow's own pool and the C library, as they come, keep them for the next large table.
    """
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)


def release_memory() -> None:
    """Give back what was freed in small blocks, too."""
    pyarrow.default_memory_pool().release_unused()
