"""The states of a mixture's hypotheses, and what is noted of the inputs that each has met.

Three trees of leaves: `live`, H places a task; `kept`, R photographs; `fresh`, the start. In each
stand the learner's own leaves under `inner`, and what is noted: `input`, fading sums of the inputs
that a hypothesis learned and of their squares; `mass`, how many those are.

Shapes: T tasks, B rows, F features, H hypotheses, R rungs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

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


def noted(state: State, mask_TBH: Tensor, x_TBF: Tensor) -> dict[str, Tensor]:
    """What is noted in the live tree after rows, of which each hypothesis has learned its own."""
    tasks, _, places = mask_TBH.shape
    mask_THB = mask_TBH.transpose(1, 2).float()
    rows = mask_THB.sum(2).view(tasks * places, 1)
    keep = (1 - 1 / MEMORY) ** rows
    x = x_TBF.clamp(-FAR, FAR)
    sums = (mask_THB @ torch.cat([x, x * x], 2)).view(tasks * places, 2, -1)
    return {
        "input": state["live.input"] * keep.unsqueeze(2) + sums,
        "mass": state["live.mass"] * keep + rows,
    }


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
    tasks = len(sources)
    kept, fresh = part("kept", state), part("fresh", state)
    device = next(iter(live.values())).device
    index = torch.tensor(sources, device=device)
    row = torch.arange(tasks, device=device).unsqueeze(1)
    after: dict[str, Tensor] = {}
    for name, leaf in live.items():
        three = (leaf, kept[name], fresh[name])
        pool = torch.cat([one.view(tasks, -1, *leaf.shape[1:]) for one in three], 1)
        found = pool[row, index]
        after[f"live.{name}"] = found[:, :places].flatten(0, 1)
        after[f"kept.{name}"] = found[:, places:].flatten(0, 1)
    return after


def referred(state: State, x_TBF: Tensor, seen_TB: Tensor) -> dict[str, Tensor]:
    """Rows of reference: the first one seen in a block, at most one in `APART` labels."""
    rows, known = state["mixture.rows"], state["mixture.known"]
    place = state["mixture.number"][:, 2].long() // APART % REFERENCE
    task = torch.arange(len(rows), device=rows.device)
    place = torch.where(known.all(1), place, known.sum(1) % REFERENCE)
    first = x_TBF[task, seen_TB.int().argmax(1)]
    any_T = seen_TB.any(1)
    kept = torch.where(any_T.unsqueeze(1), first, rows[task, place])
    return {
        "rows": rows.index_put((task, place), kept),
        "known": known.index_put((task, place), any_T | known[task, place]),
    }
