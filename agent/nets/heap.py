"""Keep freed memory at hand: a block of rows needs the same few megabytes again and again.

The C library of Linux gives large freed pieces back to the system at once and gets them anew, page
by page, a moment later. With blocks of 64 rows and more, that took a third of the time.
"""

import ctypes
import os
from functools import cache

TRIM, MAP = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of mallopt(3)
KEPT = 128 * 2**20  # bytes that may lie free
LARGEST = 32 * 2**20  # bytes of a piece; the most that mallopt takes


@cache
def keep_freed_memory() -> bool:
    """Ask for it, once in a process; give whether it was granted.

    Where the environment sets `MALLOC_TRIM_THRESHOLD_`, or the C library has no `mallopt`, all
    stays as it is.
    """
    if "MALLOC_TRIM_THRESHOLD_" in os.environ:
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(TRIM, KEPT)) and bool(mallopt(MAP, LARGEST))
