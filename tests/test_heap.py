"""Memory that was given back once is there at once when it is asked for again."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import numpy as np
from agent.service.heap import keep_heap
kept = keep_heap() if sys.argv[1] == "kept" else True
def touch():
    parts = [np.ones(250_000) for _ in range(4)]  # 2 MB each
for _ in range(5):
    touch()
first = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    touch()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - first)
"""


def faults(kind: str) -> tuple[bool, int]:
    """Whether glibc took the settings, and how many pages were fetched in fifty rounds."""
    command = [sys.executable, "-c", SCRIPT, kind]
    kept, count = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return kept == "True", int(count)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone is told")
def test_pages_are_fetched_once_and_kept() -> None:
    kept, after = faults("kept")
    if not kept:
        pytest.skip("another C library")
    _, plain = faults("plain")
    assert after < 1000  # of 8 MB in pages of 4 kB, fifty times over: 100,000
    assert plain > 10 * after + 1000
