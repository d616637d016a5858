"""The bodies that a robot has met: a few slots, gains in each; the least recently used one goes.

Slot 0 is the intact body and stays. A body that has just been met sits in its slot on trial until
it is told of; a better guess takes the same slot, so that a change is one body and not several.

Shapes: N robots, M slots, A actions.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

State = Mapping[str, Tensor]
EMPTY = -1


def begun(robots: int, slots: int, actions: int) -> dict[str, Tensor]:
    """Give the memory that holds the intact body alone."""
    used_NM = torch.full((robots, slots), EMPTY)
    used_NM[:, 0] = 0
    number_NM = torch.full((robots, slots), EMPTY)
    number_NM[:, 0] = 0
    none_N = torch.zeros(robots, dtype=torch.int64)
    return {
        "known": torch.ones(robots, slots, actions),
        "wide": torch.ones(robots, slots),
        "used": used_NM,
        "number": number_NM,
        "body": none_N,
        "told": none_N,
        "met": none_N,
        "trial": torch.zeros(robots, dtype=torch.bool),
    }


def others(state: State) -> Tensor:
    """Say which slots (N, M) hold another body than the present one."""
    mine = torch.arange(state["used"].shape[1]) == state["body"].unsqueeze(1)
    return (state["used"] != EMPTY) & ~mine


def moved(state: State, change_N: Tensor, slot_N: Tensor, gain_NA: Tensor) -> dict[str, Tensor]:
    """Let the robots that `change_N` names have another body: that of a slot, or a new one (-1)."""
    fresh_N = change_N & (slot_N < 0)
    again_N = fresh_N & state["trial"]
    used_NM, wide_NM = state["used"].clone(), state["wide"].clone()
    left_N = change_N & ~fresh_N & state["trial"]
    rows = torch.arange(len(slot_N))
    used_NM[rows[left_N], state["body"][left_N]] = EMPTY
    age_NM = used_NM.clone()
    age_NM[:, 0] = torch.iinfo(torch.int64).max
    age_NM[rows, state["body"]] = torch.iinfo(torch.int64).max
    age_NM[rows, state["told"]] = torch.iinfo(torch.int64).max
    room_N = torch.where(again_N, state["body"], age_NM.argmin(1))
    body_N = torch.where(fresh_N, room_N, torch.where(change_N, slot_N, state["body"]))
    known_NMA = state["known"].clone()
    known_NMA[rows[fresh_N], body_N[fresh_N]] = gain_NA[fresh_N]
    first_N = fresh_N & ~again_N
    wide_NM[rows[first_N], body_N[first_N]] = 1.0
    trial_N = torch.where(change_N, fresh_N, state["trial"])
    return {
        "known": known_NMA, "wide": wide_NM, "used": used_NM, "body": body_N, "trial": trial_N,
    }  # fmt: skip


def kept(state: State, gain_NA: Tensor, calm_N: Tensor, step_N: Tensor) -> dict[str, Tensor]:
    """Write the gains of calm robots into their bodies' slots, and note when each was used."""
    rows = torch.arange(len(calm_N))
    known_NMA, used_NM = state["known"].clone(), state["used"].clone()
    write_N = calm_N & (state["body"] != 0)
    known_NMA[rows[write_N], state["body"][write_N]] = gain_NA[write_N]
    used_NM[rows, state["body"]] = step_N
    return {"known": known_NMA, "used": used_NM}


def same(state: State, sure_N: Tensor, near: float) -> dict[str, Tensor]:
    """Join a body on trial with an older one that has the same gains, where one is near enough."""
    rows = torch.arange(len(sure_N))
    mine_N1A = state["known"][rows, state["body"]].unsqueeze(1)
    apart_NM = (state["known"] - mine_N1A).abs().amax(2)
    apart_NM = apart_NM.masked_fill(~others(state), torch.inf)
    close = apart_NM.min(1)
    join_N = sure_N & state["trial"] & (close.values < near)
    used_NM = state["used"].clone()
    used_NM[rows[join_N], state["body"][join_N]] = EMPTY
    body_N = torch.where(join_N, close.indices, state["body"])
    return {"used": used_NM, "body": body_N, "trial": state["trial"] & ~join_N}


def named(state: State, sure_N: Tensor) -> tuple[dict[str, Tensor], list[str]]:
    """Tell of those that are sure of another body than was told; a new one gets its number."""
    other_N = sure_N & (state["body"] != state["told"])
    new_N = other_N & state["trial"]
    rows = torch.arange(len(sure_N))
    met_N = state["met"] + new_N
    number_NM = state["number"].clone()
    number_NM[rows[new_N], state["body"][new_N]] = met_N[new_N]
    kinds = zip(other_N.tolist(), new_N.tolist(), strict=True)
    words = ["" if not other else "new" if new else "returned" for other, new in kinds]
    told_N = torch.where(sure_N, state["body"], state["told"])
    after = {
        "told": told_N, "met": met_N, "number": number_NM, "trial": state["trial"] & ~sure_N,
    }  # fmt: skip
    return after, words
