"""Keeps the memory of tensors that are gone for those to come, instead of giving it back.

A block's tensors, of 100 kB and more, come and go some hundred times. By default glibc maps each
anew or trims the heap when they go, so the system clears the same pages over and over: a fifth of a
block of 64 rows, a third of one of 256 (mallopt(3): M_TRIM_THRESHOLD, M_MMAP_THRESHOLD).
"""

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # their numbers in malloc.h
KEPT = 256 * 2**20
"""Bytes free at the end of the heap, up to which it is not trimmed."""
MAPPED = 32 * 2**20
"""Bytes from which a tensor is mapped on its own; the most that glibc takes."""


def keep_heap() -> bool:
    """Set the process's allocator so; False where it is not glibc, which is left alone."""
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):  # another library has other numbers
        return False
    asked = ((MMAP_THRESHOLD, MAPPED), (TRIM_THRESHOLD, KEPT))
    return all(library.mallopt(number, size) == 1 for number, size in asked)
