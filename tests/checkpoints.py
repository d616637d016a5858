"""What the tests of checkpoints share: small states, and a disk that is full."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from agent.service.checkpoint import CheckpointStore
from agent.service.snapshot import Arrays, Flat
from agent.service.store import Options

SETTINGS: Flat = {"encoder.clip": 10.0, "seed": 3, "source.kind": "world"}


def store(
    folder: str | Path,
    keep: int = 3,
    fingerprint: Flat = SETTINGS,
    shard: str = "all",
    options: Options | None = None,
) -> CheckpointStore:
    return CheckpointStore(folder, keep, fingerprint, lambda: 1_700_000_000.0, shard, options)


def paths(folder: Path, shard: str = "all") -> list[Path]:
    """Give the checkpoints there are, oldest first."""
    one = store(folder, shard=shard)
    return [Path(one.path) / name for name in one.names()]


def state(value: float) -> Arrays:
    return {"weights": torch.full((2, 3), value), "counts": np.array([int(value)], np.int64)}


def loaded(folder: str | Path, shard: str = "all") -> float | None:
    """Load, see that all belongs together, and give the value it was made of."""
    return value_of(store(folder, shard=shard))


def value_of(one: CheckpointStore) -> float | None:
    """Load from a store, see that all belongs together, and give the value it was made of."""
    found = one.load()
    if found is None:
        return None
    arrays, meta = found
    expected = state(meta["value"])
    assert arrays.keys() == expected.keys()
    assert torch.equal(torch.as_tensor(arrays["weights"]), torch.as_tensor(expected["weights"]))
    assert np.array_equal(np.asarray(arrays["counts"]), np.asarray(expected["counts"]))
    return float(meta["value"])


def save(folder: str | Path, value: float, keep: int = 3, shard: str = "all") -> Path:
    """Save as a process of its own would."""
    one = store(folder, keep, shard=shard)
    return Path(one.save(state(value), {"value": value}).path)


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Let the kernel refuse larger files, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
