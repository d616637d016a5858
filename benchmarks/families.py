"""What each learner costs: milliseconds of `learn` and `predict`, bytes of a state.

    python -m benchmarks.families

One thread, after a warm-up, the median of some repeats in turn: 32 rows of 8 features and 5 classes
(or one number) for one task, as a block of a stream, and for 32 tasks at once.
"""

import statistics
import time
from collections.abc import Callable

import torch

from agent.catalogue import parameters, size, spec_for, taught
from agent.learners.base import Learner, Spec, State
from agent.learners.registry import Entry, every_learner
from benchmarks.table import Row, write

FEATURES, CLASSES, ROWS, REPEATS = 8, 5, 32, 15
TASKS = (1, 32)


def draws(spec: Spec, tasks: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(tasks, ROWS, spec.features, generator=draw)
    if not spec.regression:
        return x, torch.randint(spec.classes, (tasks, ROWS), generator=draw)
    shape = (tasks, ROWS) if spec.outputs == 1 else (tasks, ROWS, spec.outputs)
    return x, torch.randn(shape, generator=draw)


def milliseconds(call: Callable[[], object]) -> float:
    call()
    each = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        each.append(1e3 * (time.perf_counter() - start))
    return statistics.median(each)


def costs(learner: Learner, tasks: int) -> tuple[float, float]:
    """Of `learn` and of `predict`."""
    x, y = draws(learner.spec, tasks)
    state: State = learner.learn(learner.begin(tasks), x, y)
    return (
        milliseconds(lambda: learner.learn(state, x, y)),
        milliseconds(lambda: learner.predict(state, x)),
    )


def row(entry: Entry) -> Row:
    spec = spec_for(entry, FEATURES, CLASSES)
    learner = entry(spec)
    if isinstance(learner, torch.nn.Module):
        learner.eval().requires_grad_(requires_grad=False)
    found: dict[str, str | float | None] = {
        "learner": entry.name,
        "family": entry.family,
        "predicts": "classes" if spec.classes else "number",
        "parameters": parameters(learner),
        "state bytes": size(taught(learner, spec)),
    }
    for tasks in TASKS:
        learn, predict = costs(learner, tasks)
        found[f"learn ms, T={tasks}"] = learn
        found[f"predict ms, T={tasks}"] = predict
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    with torch.no_grad():
        entries = [one for one in every_learner().values() if one.family != "stream"]
        rows = [row(entry) for entry in sorted(entries, key=lambda one: one.family.lower())]
    write("families", rows, "python -m benchmarks.families")
