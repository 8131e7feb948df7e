"""Return memory to the system: the driver of a million objects makes and drops large tables one after another.

Call `release_memory` between dropping a table and making the next.
"""

import ctypes

import pyarrow

M_MMAP_THRESHOLD = -3
"""Its name in malloc.h of the GNU C library."""
LARGE_BYTES = 1 << 18


def free_large_blocks_at_once() -> None:
    """Have freed large blocks go back to the system at once, in the whole process and for good.

    By default, Arrow's pool and the C library keep them for the next large table.
    """
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())
    library = ctypes.CDLL(None)
    # Other C libraries lack the switch.
    if hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)


def release_memory() -> None:
    """Return freed small blocks to the system."""
    pyarrow.default_memory_pool().release_unused()
