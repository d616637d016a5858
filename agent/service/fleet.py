"""Learners of one process, fed together: blocks full at the same time are learned in one call.

On a CPU each gives what it would give alone, to the last bit, or they are fed one by one: see
`agent.service.agreement`. On a GPU each does to rounding only: a shard that is replayed in other
company after a crash is there the same to a tolerance.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from agent.service.calls import Call, Came, abreast
from agent.service.fed import Fed, Walk
from agent.service.prequential import Prequential
from streams.records import Record


def feed_all(
    learners: Mapping[str, Prequential],
    records: Mapping[str, Sequence[Record]],
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Fed]:
    """Feed each learner its records; give what came of it, by name.

    Args:
        learners: made alike, by shard.
        records: by shard; shards without records are left alone.
        clock: monotonic seconds. Those of a call made for several count to each in equal parts.
    """
    if len(records) < 2 or not learners[next(iter(records))].abreast():  # noqa: PLR2004 - one is none
        return {name: learners[name].feed(some) for name, some in records.items()}
    fed: dict[str, Fed] = {}
    walks = {name: learners[name].walk(some) for name, some in records.items()}
    waiting = {name: calls for name in walks if (calls := _on(name, walks, None, fed))}
    while waiting:
        now = _now(waiting)
        start = clock()
        came = iter(abreast([call for calls in now.values() for call in calls]))
        share = (clock() - start) / len(now)
        told = {name: [next(came) for _ in calls] for name, calls in now.items()}
        waiting = {name: calls for name, calls in waiting.items() if name not in now}
        waiting |= {
            name: calls
            for name, one in told.items()
            if (calls := _on(name, walks, (one, share), fed))
        }
    return {name: fed[name] for name in records}


def _now(waiting: Mapping[str, list[Call]]) -> Mapping[str, list[Call]]:
    """Give those that learn, if any do: answers to open blocks wait until all can be given."""
    learn = {name: calls for name, calls in waiting.items() if any(call.teach for call in calls)}
    return learn or waiting


def _on(
    name: str,
    walks: Mapping[str, Walk],
    came: tuple[list[Came], float] | None,
    fed: dict[str, Fed],
) -> list[Call]:
    """Go on with a walk; give the calls that it needs, none if it has ended."""
    try:
        return next(walks[name]) if came is None else walks[name].send(came)
    except StopIteration as done:
        fed[name] = done.value
        return []
