"""What learning several shards in one call is worth: events a second of one process, one thread.

    OMP_NUM_THREADS=1 python -m benchmarks.shards [events per shard]

Each shard is a stream of its own; all are fed turn by turn, a poll's worth of records each. Rates
are by the processor's time of this process, so that a busy machine does not move them much.
"""

import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from agent.continual.default import AgentSettings
from agent.encode import EncoderSettings
from agent.service.fleet import feed_all
from agent.service.prequential import Prequential
from streams.labels import PendingSettings
from streams.records import Event
from streams.schema import Schema

Feed = Callable[[dict[str, Prequential], dict[str, list[Event]]], object]
SHARDS = (1, 2, 4, 12)
TURN = 64  # records of each shard at a time
SCHEMA = Schema(
    {"amount": "numeric", "age": "numeric", "rate": "numeric", "country": "categorical"},
    classes=("no", "yes"),
)


def shard(number: int, size: int) -> list[Event]:
    """Make a stream with a rule of its own."""
    draw = np.random.default_rng(number)
    rule = draw.normal(size=3)
    made = []
    for at in range(size):
        x = draw.normal(size=3)
        truth = "yes" if x @ rule > 1 else "no"
        values = (*x.tolist(), f"c{int(draw.integers(20))}")
        made.append(Event(f"{number}-{at}", "k", float(at), values, truth))
    return made


def rate(shards: int, size: int, how: Feed) -> float:
    """Events a second, all shards together, once the streams are no longer young."""
    records = {f"{at:04d}": shard(at, size) for at in range(shards)}
    agent = AgentSettings(device="cpu", batched="on")
    learners = {
        name: Prequential.build(SCHEMA, agent, EncoderSettings(), PendingSettings())
        for name in records
    }
    spent, warm = 0.0, size // 4 // TURN * TURN
    for start in range(0, size, TURN):
        begun = time.process_time()
        how(learners, {name: some[start : start + TURN] for name, some in records.items()})
        spent += (time.process_time() - begun) * (start >= warm)
    return shards * (size - warm) / spent


def one_by_one(learners: dict[str, Prequential], records: dict[str, list[Event]]) -> None:
    """Feed each alone."""
    for name, some in records.items():
        learners[name].feed(some)


def main() -> None:
    """Print a table."""
    torch.set_num_threads(1)
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 2048
    print(
        f"{'shards':>6} {'one by one':>12} {'together':>12} {'ratio':>6}   events/s of one thread"
    )
    for shards in SHARDS:
        alone, joint = rate(shards, size, one_by_one), rate(shards, size, feed_all)
        print(f"{shards:>6} {alone:>12.0f} {joint:>12.0f} {joint / alone:>6.2f}")


if __name__ == "__main__":
    main()
