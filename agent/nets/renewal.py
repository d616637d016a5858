"""Continual backprop: now and then the least useful hidden unit is born anew.

Dohare et al. 2024, Loss of plasticity in deep continual learning (eq. 1 and 2). A unit's utility is
its running mean activation times the sum of its outgoing weights' sizes; of the units older than
the maturity threshold the least useful is given fresh incoming weights and outgoing weights of
zero; its mean contribution goes over to the outgoing bias. What differs: the running mean stands
for a running mean of the product (weights are read as they are), one unit falls due every so many
blocks (their rate times the width), and second moments take the mean of the layer's instead of
zero, so that the first gradients of a new unit are no larger than others'.

The draw is a hash of the number of units renewed so far: a pure function of the state.

Shapes: T tasks, B rows, R rows of W, H hidden units, O outputs, P parameters.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from agent.nets import Layout
from agent.nets.plasticity import Plasticity

HORIZON = 1000.0  # rows that the running moments of the layer remember
WORD = 0xFFFFFFFF


def hidden_begin(like_T: Tensor, hidden: int) -> dict[str, Tensor]:
    """Leaves of a layer: second moments (of the units and a one), ages, the number of renewals.

    `hidden.age` counts blocks: since each unit was born, and, last, since the last renewal.
    """
    tasks = like_T.shape[0]
    return {
        "hidden.second": like_T.new_zeros(tasks, hidden + 1, hidden + 1),
        "hidden.age": like_T.new_zeros(tasks, hidden + 1),
        "hidden.renewed": like_T.new_zeros(tasks, 1),
    }


def hidden_note(
    state: Mapping[str, Tensor], hidden_TBH: Tensor, seen_TB: Tensor
) -> dict[str, Tensor]:
    """Leaves after a block; `hidden_TBH` ends in a column of ones."""
    share = seen_TB / HORIZON
    more = share.sum(1, keepdim=True)
    second = torch.baddbmm(state["hidden.second"], (hidden_TBH * share.unsqueeze(2)).mT, hidden_TBH)
    return {
        "hidden.second": second.div_((1 + more).unsqueeze(2)),
        "hidden.age": state["hidden.age"] + (more > 0),
    }


def activation(state: Mapping[str, Tensor]) -> Tensor:
    """Running mean of each unit's activation, shape TH."""
    second = state["hidden.second"]
    return second[:, :-1, -1] / second[:, -1:, -1].clamp(min=1e-9)


def due(state: Mapping[str, Tensor], outer_THO: Tensor, every: int, mature: int) -> Tensor:
    """Mark the unit of each task that is to be renewed now, shape TH; at most one a task."""
    age, waited = state["hidden.age"][:, :-1], state["hidden.age"][:, -1:]
    utility = activation(state) * outer_THO.abs().sum(2)
    worth = utility.masked_fill(age < mature, torch.inf)
    least = torch.nn.functional.one_hot(worth.argmin(1), worth.shape[1]).bool()
    return least & (age >= mature) & (waited >= every)


def renew_if_due(
    state: Mapping[str, Tensor], layout: Layout, first_TP: Tensor, how: Plasticity, seed: int
) -> dict[str, Tensor]:
    """Leaves that change where a unit is due; none as a rule."""
    if how.renew == 0 or not bool((state["hidden.age"][:, -1] >= how.renew).any()):
        return {}
    outer = layout.split(state["fast"])["Z"][:, :-1]
    mark = due(state, outer, how.renew, how.mature)
    return renew(state, layout, mark, first_TP, seed) if bool(mark.any()) else {}


def renew(
    state: Mapping[str, Tensor], layout: Layout, mark_TH: Tensor, first_TP: Tensor, seed: int
) -> dict[str, Tensor]:
    """Leaves with the marked units born anew; tasks without a mark stay as they are, to the bit.

    `first_TP` holds the log step sizes that a new unit starts with.
    """
    parts = layout.split(state["fast"])
    mark = mark_TH.unsqueeze(1)
    fresh = draw(state["hidden.renewed"], parts["W"].shape[1], seed) * parts["W"].shape[1] ** -0.5
    second, outer = state["hidden.second"], parts["Z"]
    lost = ((activation(state) * mark_TH).unsqueeze(2) * outer[:, :-1]).sum(1, keepdim=True)
    parts["W"] = torch.where(mark, fresh.unsqueeze(2).to(outer.dtype), parts["W"])
    kept = outer[:, :-1].masked_fill(mark_TH.unsqueeze(2), 0)
    parts["Z"] = torch.cat([kept, outer[:, -1:] + lost], 1)
    touched = {name: torch.zeros_like(leaf, dtype=torch.bool) for name, leaf in parts.items()}
    touched["W"] |= mark
    touched["Z"][:, :-1] |= mark_TH.unsqueeze(2)
    born = layout.join(touched)
    after = {"fast": layout.join(parts)}
    for leaf in ("fast.m", "fast.trace", "fast.s"):
        if leaf in state:
            after[leaf] = state[leaf].masked_fill(born, 0)
    after["fast.v"] = torch.where(born, _of_their_kind(state["fast.v"], layout), state["fast.v"])
    after["fast.step"] = torch.where(born, first_TP, state["fast.step"])
    any_T1 = mark_TH.any(1, keepdim=True)
    gone = torch.nn.functional.pad(mark_TH, (0, 1))
    after["hidden.second"] = second.masked_fill(gone.unsqueeze(1) | gone.unsqueeze(2), 0)
    begun = torch.cat([mark_TH, any_T1], 1)
    after["hidden.age"] = state["hidden.age"].masked_fill(begun, 0)
    after["hidden.renewed"] = state["hidden.renewed"] + any_T1
    return after


def draw(count_T1: Tensor, many: int, seed: int) -> Tensor:
    """Numbers spread evenly over -1 to 1, shape T x many: a hash of count, place and seed."""
    place = torch.arange(many, device=count_T1.device)
    word = (count_T1.long() * 0x9E3779B1 + place * 0x85EBCA77 + (seed + 1) * 0xC2B2AE3D) & WORD
    for _ in range(2):
        word = ((word ^ (word >> 16)) * 0x45D9F3B) & WORD
    return (word ^ (word >> 16)).double() / 2**31 - 1


def _of_their_kind(leaf_TP: Tensor, layout: Layout) -> Tensor:
    """The mean over each part, in every place of it, shape TP."""
    parts = layout.split(leaf_TP)
    return layout.join(
        {
            name: one.flatten(1).mean(1).view(-1, *[1] * (one.ndim - 1)).expand_as(one)
            for name, one in parts.items()
        }
    )
