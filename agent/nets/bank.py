"""A long bank of labelled events: balanced by class and group, without what others stand for.

Events come, some at a time, when they leave a memory of recent ones. An event enters while there is
room, likely while its cell (its class in its group) has less than a fair share, and else once in
`EVERY`, by its number; a copy of what is there never enters. It takes the place of the most
redundant slot of the largest cell: the one that a later event of its cell came nearest to. So a
region that nobody visits any more keeps its slots.

What does not enter is absorbed by its nearest slot of the same cell. A slot's mass says for how
many events it stands, and its birth is their mean birth; the mass of what is put out passes to the
rest of its cell, so that masses keep the frequencies that the balance hides. Masses fade over
`REACH` events a slot, down to 1.

After the condensed nearest neighbours (Hart 1968) and balanced reservoirs (Chrysakis & Moens 2020),
without chance: the same events give the same bank.

Shapes: T tasks, L leavers, M slots, F features, G cells.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from agent.nets.kernel import FAR, NEVER, apart

GROUPS = 16
"""Groups that are told apart; more are taken modulo this."""

EVERY = 8
REACH = 8
SAME = 1e-4
"""Squared distance below which two events are copies."""

GOLDEN = 0.6180339887498949


@dataclass(frozen=True, slots=True)
class Leavers:
    """Events on their way into the bank; those that are not `valid_TL` are padding."""

    key_TLF: Tensor
    y_TL: Tensor
    born_TL: Tensor
    group_TL: Tensor
    valid_TL: Tensor


def bank_begin(tasks: int, slots: int, features: int) -> dict[str, Tensor]:
    """Give the leaves of an empty bank."""
    return {
        "key": torch.zeros(tasks, slots, features),
        "y": torch.zeros(tasks, slots),
        "born": torch.full((tasks, slots), NEVER, dtype=torch.float64),
        "mass": torch.ones(tasks, slots),
        "gap": torch.full((tasks, slots), FAR),
        "group": torch.zeros(tasks, slots),
    }


def bank_take(
    bank: Mapping[str, Tensor],
    leaving: Leavers,
    weight_TF: Tensor,
    classes: int,
    number_T1: Tensor | None = None,
) -> dict[str, Tensor]:
    """Give the bank after these events.

    Args:
        bank: what `bank_begin` or this gave.
        leaving: L events, oldest first.
        weight_TF: of each feature in a squared distance. Distances are compared with those of long
            ago, so their unit should not change with the events of the day.
        classes: C; 0 where labels are numbers.
        number_T1: for numbers, their variance: how far apart two of them are counts too.
    """
    filled_TM = bank["born"] >= 0
    cell_TM = _cell(bank["y"], bank["group"], classes)
    cell_TL = _cell(leaving.y_TL, leaving.group_TL, classes)
    size_TG = torch.zeros(len(cell_TM), max(classes, 1) * GROUPS, device=cell_TM.device)
    size_TG.scatter_add_(1, cell_TM, filled_TM.float())
    distance = _distance(bank, leaving, weight_TF, number_T1)
    cells = torch.cat([cell_TM, cell_TL], 1)
    there = torch.where(torch.cat([filled_TM, leaving.valid_TL], 1), cells, -1).float()
    alike = cell_TL.float().unsqueeze(2) == there.unsqueeze(1)
    distance = torch.where(alike, distance, FAR)
    own_TL = size_TG.gather(1, cell_TL) + alike[..., cell_TM.shape[1] :].tril(-1).sum(2)
    enter_TL = _entering(leaving, distance, own_TL, (size_TG, filled_TM))
    gap = _gap(bank["gap"], distance, enter_TL)
    victim = _redundant(gap[:, : filled_TM.shape[1]], cell_TM, size_TG, filled_TM, enter_TL)
    slot_TL = victim.gather(1, (enter_TL.cumsum(1) - 1).clamp(0, victim.shape[1] - 1))
    after = _entered({**bank, "cell": cell_TM}, leaving, (enter_TL, slot_TL), gap, size_TG)
    return _absorbed(after, leaving, distance, (enter_TL, slot_TL))


def _cell(y: Tensor, group: Tensor, classes: int) -> Tensor:
    """Number of the cell of each event."""
    cell = group.long() % GROUPS
    return cell + y.long() * GROUPS if classes else cell


def _distance(
    bank: Mapping[str, Tensor], leaving: Leavers, weight_TF: Tensor, number_T1: Tensor | None
) -> Tensor:
    """Squared distances of the leavers to the bank and to the leavers, shape TL(M+L)."""
    key = torch.cat([bank["key"], leaving.key_TLF], 1)
    length = torch.bmm(key.square(), weight_TF.unsqueeze(2))
    slots = bank["key"].shape[1]
    far = apart(leaving.key_TLF, key, length.squeeze(2), weight_TF)
    far = far.add_(length[:, slots:]).clamp_(min=0)
    if number_T1 is not None:
        y = torch.cat([bank["y"], leaving.y_TL], 1)
        miss = (leaving.y_TL.unsqueeze(2) - y.unsqueeze(1)).square()
        far += miss / number_T1.unsqueeze(2).clamp(min=1e-12)
    return far


def _entering(
    leaving: Leavers, distance: Tensor, own_TL: Tensor, there: tuple[Tensor, Tensor]
) -> Tensor:
    """Say which events get a slot of their own; `own_TL` is the size of each one's cell then."""
    size_TG, filled_TM = there
    slots = filled_TM.shape[1]
    room = slots - filled_TM.sum(1, keepdim=True)
    fair = slots / (size_TG > 0).sum(1, keepdim=True).clamp(min=1)
    chance = (1 - own_TL / fair).clamp(min=1 / EVERY)
    order = leaving.valid_TL.cumsum(1)
    chosen = ((leaving.born_TL * GOLDEN).frac() < chance) | (order <= room)
    near = distance[..., :slots].amin(2) <= SAME
    copied = near | (distance[..., slots:] <= SAME).tril(-1).any(2)
    return leaving.valid_TL & (order <= slots) & chosen & ~copied


def _gap(gap_TM: Tensor, distance: Tensor, enter_TL: Tensor) -> Tensor:
    """Distance from each slot, then each leaver, to the nearest one that enters after it."""
    slots, rows = gap_TM.shape[1], enter_TL.shape[1]
    out = FAR * (~enter_TL).float().unsqueeze(2)
    early = torch.ones(rows, rows, device=out.device).triu().mul_(FAR)
    bank = (distance[..., :slots] + out).amin(1)
    own = (distance[..., slots:] + out).add_(early).amin(1)
    return torch.cat([torch.minimum(bank, gap_TM), own.clamp(max=FAR)], 1)


def _redundant(
    gap_TM: Tensor, cell_TM: Tensor, size_TG: Tensor, filled_TM: Tensor, enter_TL: Tensor
) -> Tensor:
    """Slots to give away, first ones first: the empty, then the last of their cell by gap."""
    use = torch.where(filled_TM, cell_TM + 0.999 / (1 + gap_TM.double()), FAR)
    place = use.argsort(dim=1, stable=True)
    first = (size_TG.cumsum(1) - size_TG).gather(1, cell_TM.gather(1, place))
    rank = torch.arange(place.shape[1], device=place.device) - first
    rank = torch.empty_like(rank).scatter_(1, place, rank)
    rank = torch.where(filled_TM, rank, FAR)
    return rank.topk(min(enter_TL.shape[1], rank.shape[1]), 1).indices


def _entered(
    bank: Mapping[str, Tensor],
    leaving: Leavers,
    places: tuple[Tensor, Tensor],
    gap: Tensor,
    size_TG: Tensor,
) -> dict[str, Tensor]:
    """Write the entering events into their slots; the mass that stood there passes to its cell."""
    enter_TL, slot_TL = places
    task, row = enter_TL.nonzero(as_tuple=True)
    slot, slots = slot_TL[task, row], bank["y"].shape[1]
    held = bank["mass"] * (bank["born"] >= 0)
    left = held.index_put((task, slot), held.new_zeros(()))
    one, two = (torch.zeros_like(size_TG).scatter_add_(1, bank["cell"], m) for m in (held, left))
    mass = (left * (one / two.clamp(min=1)).gather(1, bank["cell"])).clamp(min=1)
    fresh = {
        "key": (bank["key"], leaving.key_TLF[task, row]),
        "y": (bank["y"], leaving.y_TL[task, row]),
        "born": (bank["born"], leaving.born_TL[task, row]),
        "mass": (mass, mass.new_ones(())),
        "gap": (gap[:, :slots], gap[:, slots:][task, row]),
        "group": (bank["group"], leaving.group_TL[task, row]),
    }
    return {name: leaf.index_put((task, slot), new) for name, (leaf, new) in fresh.items()}


def _absorbed(
    bank: Mapping[str, Tensor],
    leaving: Leavers,
    distance: Tensor,
    places: tuple[Tensor, Tensor],
) -> dict[str, Tensor]:
    """Count the events that stay outside in the masses and births of their nearest slots."""
    enter_TL, slot_TL = places
    slots = bank["y"].shape[1]
    victim = torch.zeros_like(bank["y"]).scatter_add_(1, slot_TL, enter_TL.float()) > 0
    absent = FAR * torch.cat([victim, ~enter_TL], 1).float().unsqueeze(1)
    gap_TL, near = (distance + absent).min(2)
    near_TL = torch.where(near < slots, near, slot_TL.gather(1, (near - slots).clamp(min=0)))
    stay_TL = (leaving.valid_TL & ~enter_TL & (gap_TL < FAR)).float()
    fade = torch.exp(leaving.valid_TL.sum(1, keepdim=True) / -(REACH * slots))
    mass = (bank["mass"] * fade).clamp(min=1).scatter_add(1, near_TL, stay_TL)
    moved = stay_TL * (leaving.born_TL - bank["born"].gather(1, near_TL))
    shift = torch.zeros_like(bank["born"]).scatter_add_(1, near_TL, moved)
    return {**bank, "mass": mass, "born": bank["born"] + shift / mass}
