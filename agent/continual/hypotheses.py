"""The states of a mixture's hypotheses, and what is noted of the inputs that each has met.

Three trees of leaves: `live`, H places a task; `kept`, R photographs; `fresh`, the start. In each
stand the learner's own leaves under `inner`, and what is noted: `input`, fading sums of the inputs
that a hypothesis learned and of their squares; `mass`, how many those are.

Shapes: T tasks, B rows, F features, H hypotheses, R rungs.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agent.continual.posterior import Bools, array
from agent.learners.base import State
from agent.nets import part, prefixed

MEMORY = 2000.0  # labels whose inputs a hypothesis remembers
FAR = 10.0  # where an input is cut
REFERENCE = 32  # rows of reference
APART = 64  # labels between two of them


def noted_at_first(inner: State, tasks: int, features: int) -> dict[str, Tensor]:
    """The learner's leaves, and nothing noted yet."""
    return {
        **prefixed("inner", inner),
        "input": torch.zeros(tasks, 2, features),
        "mass": torch.zeros(tasks, 1),
    }


def noted(state: State, mask_TBH: Bools, x_TBF: Tensor) -> dict[str, Tensor]:
    """What is noted in the live tree after rows, of which each hypothesis has learned its own."""
    about, mass = state["live.input"], state["live.mass"]
    mask_THB = mask_TBH.swapaxes(1, 2).astype(np.float32)
    rows = mask_THB.sum(2).reshape(-1, 1)
    keep = (1 - 1 / MEMORY) ** rows
    x = array(x_TBF).clip(-FAR, FAR)
    sums = (mask_THB @ np.concatenate([x, x * x], 2)).reshape(about.shape)
    return {
        "input": torch.from_numpy(array(about) * keep[:, None] + sums).to(about.device),
        "mass": torch.from_numpy(array(mass) * keep + rows).to(mass.device),
    }


def picked(live: State, place_T: NDArray[np.intp], places: int) -> dict[str, Tensor]:
    """Of each task the content of one of its H places."""
    row_T = torch.from_numpy(place_T + places * np.arange(len(place_T)))
    return {name: leaf.index_select(0, row_T.to(leaf.device)) for name, leaf in live.items()}


def moved(
    state: State, live: State, sources: Sequence[Sequence[int]], places: int
) -> dict[str, Tensor]:
    """Give both trees with each content taken from its source in the pool [live | kept | fresh].

    Args:
        state: with the trees `kept` and `fresh`.
        live: the live tree as it is now.
        sources: for each task, places in the pool, for the live tree and then the kept one.
        places: H.
    """
    kept, fresh = part("kept", state), part("fresh", state)
    index = torch.tensor(_rows(sources, places), device=next(iter(live.values())).device)
    after: dict[str, Tensor] = {}
    for name, leaf in live.items():
        pool = torch.cat([leaf, kept[name], fresh[name]])
        found = pool.index_select(0, index)
        after[f"live.{name}"] = found[: len(leaf)]
        after[f"kept.{name}"] = found[len(leaf) :]
    return after


def _rows(sources: Sequence[Sequence[int]], places: int) -> list[int]:
    """The sources as rows of all tasks' trees laid end to end: live, kept, fresh."""
    tasks, rungs = len(sources), len(sources[0]) - places

    def row(task: int, source: int) -> int:
        if source < places:
            return task * places + source
        if source < places + rungs:
            return tasks * places + task * rungs + source - places
        return tasks * (places + rungs) + task

    live = [row(task, one) for task, each in enumerate(sources) for one in each[:places]]
    return live + [row(task, one) for task, each in enumerate(sources) for one in each[places:]]


def referred(state: State, x_TBF: Tensor, seen_TB: Bools) -> dict[str, Tensor]:
    """Rows of reference: the first one seen in a block, at most one in `APART` labels."""
    rows, known = (array(state[f"mixture.{name}"]).copy() for name in ("rows", "known"))
    task = np.flatnonzero(seen_TB.any(1))
    place = (array(state["mixture.number"])[:, 2] // APART % REFERENCE).astype(int)
    place = np.where(known.all(1), place, known.sum(1) % REFERENCE)[task]
    rows[task, place] = array(x_TBF)[task, seen_TB.argmax(1)[task]]
    known[task, place] = True
    return {"rows": torch.from_numpy(rows), "known": torch.from_numpy(known)}
