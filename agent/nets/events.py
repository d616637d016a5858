"""Labelled events kept as they came: a ring of the last ones, and a bank that takes what leaves it.

With a bank, the oldest quarter of the ring is handed over when room is needed: the ring then holds
three quarters of its slots, and fills again.

The leaves, all with the task axis first: `key`, `y`, `born` (number of the label, `NEVER` in an
empty slot) and `group` of the ring; `now`, the group of what comes; `count`, the labels so far; and
those of `agent.nets.bank` as `bank.*`, unless it has no slots.

Shapes: T tasks, B rows, W ring slots, M bank slots, N = M + W, K = N + B, F features.
"""

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor

from agent.nets import before, pad_last, part, prefixed
from agent.nets.bank import Leavers, bank_begin, bank_take, flat, written
from agent.nets.kernel import FAR, NEVER

PARTS = 4
"""Of the ring: one of them at a time goes to the bank, so that few blocks have to wait for it."""


def events_begin(tasks: int, ring: int, bank: int, features: int) -> dict[str, Tensor]:
    """Nothing kept yet."""
    leaves = {
        "key": torch.zeros(tasks, ring, features),
        "y": torch.zeros(tasks, ring),
        "born": torch.full((tasks, ring), NEVER, dtype=torch.float64),
        "group": torch.zeros(tasks, ring),
        "now": torch.zeros(tasks, 1),
        "count": torch.zeros(tasks, 1, dtype=torch.float64),
    }
    return leaves | (prefixed("bank", bank_begin(tasks, bank, features)) if bank else {})


def kept(state: Mapping[str, Tensor], name: str, *more: Tensor) -> Tensor:
    """Give a leaf of the bank, of the ring, and more, in this order along the second axis."""
    bank = state.get(f"bank.{name}")
    return torch.cat([state[name], *more] if bank is None else [bank, state[name], *more], 1)


def aged(state: Mapping[str, Tensor], born_TN: Tensor, seen_TB: Tensor) -> Tensor:
    """Births of what is kept and of the block's rows, from the block's start on, shape TK."""
    return torch.cat([born_TN - state["count"], before(seen_TB)], 1).float()


def masses(state: Mapping[str, Tensor], keys: int) -> Tensor:
    """Logs of how many events each of K keys stands for, shape TK."""
    if "bank.mass" not in state:
        return torch.zeros(len(state["y"]), keys, device=state["y"].device)
    return pad_last(state["bank.mass"].log(), keys)


def hide(
    apart_TBK: Tensor, seen_TB: Tensor, aged_TK: Tensor, late_TB1: Tensor | None = None
) -> None:
    """Put rows that are not seen or not before a row far away from it, in place.

    Where rows are late by d labels, so is all that was learned less than d labels before.
    """
    rows = seen_TB.shape[1]
    hidden = _later(rows, seen_TB.device) | ~seen_TB.unsqueeze(1)
    apart_TBK[..., -rows:].masked_fill_(hidden, FAR)
    if late_TB1 is not None:
        asked = aged_TK[:, -rows:].unsqueeze(2) - late_TB1
        apart_TBK.masked_fill_(aged_TK.unsqueeze(1) >= asked, FAR)


@cache
def _later(rows: int, device: torch.device) -> Tensor:
    """Mark what does not come before each row of a block, shape BB."""
    with torch.inference_mode(mode=False):
        return torch.ones(rows, rows, dtype=torch.bool, device=device).triu_()


def ring_moments(state: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and variance of the numbers in the ring, each of shape T1."""
    filled = (state["born"] >= 0).float()
    total = filled.sum(1, keepdim=True).clamp(min=1)
    mean = (state["y"] * filled).sum(1, keepdim=True) / total
    return mean, ((state["y"] - mean) ** 2 * filled).sum(1, keepdim=True) / total


def remember(
    state: Mapping[str, Tensor],
    rows: tuple[Tensor, Tensor, Tensor],
    weight_TF: Tensor,
    classes: int,
) -> dict[str, Tensor]:
    """Write the seen rows over the oldest slots of the ring; what stood there goes to the bank.

    Args:
        state: the leaves named above, and others.
        rows: keys TBF, labels TB, and which of them are seen, TB.
        weight_TF: of each feature in the bank's squared distances.
        classes: C; 0 where labels are numbers.
    """
    x, y, seen = rows
    ring = state["key"].shape[1]
    place = state["count"] + before(seen)
    total, keep = state["count"] + seen.sum(1, keepdim=True), seen
    if seen.shape[1] > ring:
        keep = seen & (place >= total - ring)  # a run longer than the ring laps itself
    slot_TB = (place % ring).long()
    after = _hand_over(state, slot_TB, keep, weight_TF, classes) if "bank.y" in state else {}
    row = keep.flatten().nonzero().squeeze(1)
    at = flat(slot_TB, ring).index_select(0, row)
    fresh = {"key": x, "y": y.float(), "born": place, "group": state["now"].expand_as(y)}
    for name, leaf in fresh.items():
        new = leaf.flatten(0, 1).index_select(0, row)
        after[name] = written(after.get(name, state[name]), at, new)
    after["count"] = total
    return after


def _hand_over(
    state: Mapping[str, Tensor], slot_TB: Tensor, keep_TB: Tensor, weight_TF: Tensor, classes: int
) -> dict[str, Tensor]:
    """Pass the oldest events of the ring to the bank, a quarter of them, where room is needed."""
    due_T = (keep_TB & (state["born"].gather(1, slot_TB) >= 0)).any(1)
    if not bool(due_T.any()):
        return {}
    ring = state["key"].shape[1]
    some = min(max(ring // PARTS, keep_TB.shape[1]), ring)
    row = torch.arange(some, device=slot_TB.device)
    slot_TL = ((state["count"] + row) % ring).long()
    born = state["born"].gather(1, slot_TL)
    key = state["key"].gather(1, slot_TL.unsqueeze(2).expand(-1, -1, state["key"].shape[2]))
    y, group = (state[name].gather(1, slot_TL) for name in ("y", "group"))
    valid = due_T.unsqueeze(1) & (born >= 0)
    bank = part("bank", state)
    late = due_T.nonzero().squeeze(1)  # the tasks for which it is time; the others' banks stay
    leaving = Leavers(*(leaf.index_select(0, late) for leaf in (key, y, born, group, valid)))
    taken = bank_take(
        {name: leaf.index_select(0, late) for name, leaf in bank.items()},
        leaving,
        weight_TF.index_select(0, late),
        classes,
        None if classes else ring_moments(state)[1].index_select(0, late),
    )
    bank |= {name: bank[name].index_copy(0, late, leaf) for name, leaf in taken.items()}
    gone = state["born"].scatter(1, slot_TL, torch.where(valid, NEVER, born))
    return {"born": gone, **prefixed("bank", bank)}
