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
from functools import cache

import torch
from torch import Tensor

from agent.nets.exact import product
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
    slots, groups = bank["born"].shape[1], max(classes, 1) * GROUPS
    cell = _cells(bank, leaving, classes)
    there = torch.where(torch.cat([bank["born"] >= 0, leaving.valid_TL], 1), cell, float(groups))
    cell_TM, cell_TL = there[:, :slots].long(), cell[:, slots:].long()
    size_TG = torch.zeros(len(cell), groups + 1, device=cell.device)
    size_TG.scatter_add_(1, cell_TM, torch.ones_like(bank["mass"]))
    other = cell[:, slots:].unsqueeze(2) - there.unsqueeze(1)
    distance = _distance(bank, leaving, weight_TF, number_T1)
    distance.addcmul_(other, other, value=FAR).clamp_(max=FAR)  # other cells are far away
    past = torch.maximum(distance[..., slots:], _early(cell_TL.shape[1], cell.device))
    near = torch.minimum(distance[..., :slots].amin(2), past.amin(2))
    own_TL = size_TG.gather(1, cell_TL) + (other[..., slots:] == 0).tril(-1).sum(2)
    enter_TL = _entering(leaving, near, own_TL, size_TG, slots)
    out_TL = torch.where(enter_TL, 0.0, FAR)
    gap = _gap(bank["gap"], (distance, past), out_TL)
    victim = _redundant(gap[:, :slots], cell_TM, size_TG, cell_TL.shape[1])
    slot_TL = victim.gather(1, (enter_TL.cumsum(1) - 1).clamp_(0, victim.shape[1] - 1))
    places = _Places.of(enter_TL, slot_TL, slots)
    after = _entered({**bank, "cell": cell_TM}, leaving, places, gap, size_TG)
    return _absorbed(after, leaving, (distance, out_TL), places)


@dataclass(frozen=True, slots=True)
class _Places:
    """The slot that each leaver would get, and, of those that enter, both numbered flat.

    `row_E` counts over all tasks' leavers, `slot_E` over all tasks' slots.
    """

    slot_TL: Tensor
    row_E: Tensor
    slot_E: Tensor

    @classmethod
    def of(cls, enter_TL: Tensor, slot_TL: Tensor, slots: int) -> "_Places":
        """Number them."""
        row_E = enter_TL.flatten().nonzero().squeeze(1)
        return cls(slot_TL, row_E, flat(slot_TL, slots).index_select(0, row_E))

    def written(self, leaf_TM: Tensor, leaf_TL: Tensor) -> Tensor:
        """Give a leaf of the slots with what those that enter bring."""
        return written(leaf_TM, self.slot_E, leaf_TL.flatten(0, 1).index_select(0, self.row_E))


def flat(slot_TL: Tensor, slots: int) -> Tensor:
    """Number slots over all tasks, in one row."""
    if len(slot_TL) == 1:
        return slot_TL[0]
    first_T = torch.arange(0, len(slot_TL) * slots, slots, device=slot_TL.device)
    return (slot_TL + first_T.unsqueeze(1)).flatten()


def written(leaf_TM: Tensor, slot_E: Tensor, new_E: Tensor) -> Tensor:
    """Give a leaf with these in the slots, numbered as `flat` does."""
    return leaf_TM.flatten(0, 1).index_copy(0, slot_E, new_E).view_as(leaf_TM)


@cache
def _early(rows: int, device: torch.device) -> Tensor:
    """FAR for a leaver that does not come before another, else 0."""
    with torch.inference_mode(mode=False):
        return torch.ones(rows, rows, device=device).triu_().mul_(FAR)


def _cells(bank: Mapping[str, Tensor], leaving: Leavers, classes: int) -> Tensor:
    """Number of the cell of each slot, then of each leaver, a whole float."""
    cell = torch.cat([bank["group"], leaving.group_TL], 1).remainder_(GROUPS)
    return cell.add_(torch.cat([bank["y"], leaving.y_TL], 1), alpha=GROUPS) if classes else cell


def _distance(
    bank: Mapping[str, Tensor], leaving: Leavers, weight_TF: Tensor, number_T1: Tensor | None
) -> Tensor:
    """Squared distances of the leavers to the bank and to the leavers, below FAR; TL(M+L)."""
    key = torch.cat([bank["key"], leaving.key_TLF], 1)
    length = product(key.square(), weight_TF.unsqueeze(2))
    slots = bank["key"].shape[1]
    far = apart(leaving.key_TLF, key, length.squeeze(2), weight_TF)
    far.add_(length[:, slots:]).clamp_(min=0)
    if number_T1 is not None:
        y = torch.cat([bank["y"], leaving.y_TL], 1)
        miss = leaving.y_TL.unsqueeze(2) - y.unsqueeze(1)
        far.addcmul_(miss, miss / number_T1.unsqueeze(2).clamp(min=1e-12))
    return far.clamp_(max=FAR / 2)


def _entering(
    leaving: Leavers, near_TL: Tensor, own_TL: Tensor, size_TG: Tensor, slots: int
) -> Tensor:
    """Say which events get a slot of their own.

    Args:
        leaving: the events.
        near_TL: how near the nearest slot or earlier leaver of each one's cell is.
        own_TL: the size of each one's cell then.
        size_TG: sizes of the cells, and how many slots are empty.
        slots: M.
    """
    cells = (size_TG[:, :-1] > 0).sum(1, keepdim=True).clamp_(min=1)
    chance = (own_TL * cells / -slots).add_(1).clamp_(min=1 / EVERY)  # 1 - own / (a fair share)
    order = leaving.valid_TL.cumsum(1)
    chosen = (leaving.born_TL * GOLDEN).frac_() < chance
    chosen |= order <= size_TG[:, -1:]
    if order.shape[1] > slots:
        chosen &= order <= slots
    return chosen & leaving.valid_TL & (near_TL > SAME)


def _gap(gap_TM: Tensor, distances: tuple[Tensor, Tensor], out_TL: Tensor) -> Tensor:
    """Distance from each slot, then each leaver, to the nearest one that enters after it."""
    distance, past = distances
    bank = (distance[..., : gap_TM.shape[1]] + out_TL.unsqueeze(2)).amin(1)
    own = (past + out_TL.unsqueeze(2)).amin(1)
    return torch.cat([torch.minimum(bank, gap_TM), own.clamp_(max=FAR)], 1)


def _redundant(gap_TM: Tensor, cell_TM: Tensor, size_TG: Tensor, most: int) -> Tensor:
    """Slots to give away, first ones first: the empty, then the last of their cell by gap."""
    nearness = (gap_TM.double() + 1).reciprocal_().mul_(0.999)
    use, place = nearness.add_(cell_TM).sort(dim=1, stable=True)
    first = size_TG.cumsum(1) - size_TG
    first[:, -1] = -FAR
    rank = torch.arange(place.shape[1], device=place.device) - first.gather(1, use.long())
    return place.gather(1, rank.topk(min(most, rank.shape[1]), 1).indices)


def _entered(
    bank: Mapping[str, Tensor], leaving: Leavers, places: _Places, gap: Tensor, size_TG: Tensor
) -> dict[str, Tensor]:
    """Write the entering events into their slots; the mass that stood there passes to its cell."""
    slots = bank["y"].shape[1]
    nothing = torch.zeros_like(places.slot_E, dtype=torch.float32)
    left = written(bank["mass"], places.slot_E, nothing)
    one, two = (
        torch.zeros_like(size_TG).scatter_add_(1, bank["cell"], m) for m in (bank["mass"], left)
    )
    mass = left.mul_(one.div_(two.clamp_(min=1)).gather(1, bank["cell"])).clamp_(min=1)
    fresh = {
        "key": (bank["key"], leaving.key_TLF),
        "y": (bank["y"], leaving.y_TL),
        "born": (bank["born"], leaving.born_TL),
        "gap": (gap[:, :slots], gap[:, slots:]),
        "group": (bank["group"], leaving.group_TL),
    }
    after = {name: places.written(leaf, new) for name, (leaf, new) in fresh.items()}
    return {**after, "mass": written(mass, places.slot_E, nothing.add_(1))}


def _absorbed(
    bank: dict[str, Tensor],
    leaving: Leavers,
    distances: tuple[Tensor, Tensor],
    places: _Places,
) -> dict[str, Tensor]:
    """Count the events that stay outside in the masses and births of their nearest slots.

    What stood in a slot that was given away is not there; the distances are used up. The second
    ones are FAR for leavers that do not enter, else 0.
    """
    distance, out_TL = distances
    slots = bank["y"].shape[1]
    itself = torch.arange(slots, device=out_TL.device).expand(len(out_TL), -1)
    given = torch.zeros_like(bank["y"])
    given.view(-1).index_fill_(0, places.slot_E, FAR)
    gap_TL, near = distance.add_(torch.cat([given, out_TL], 1).unsqueeze(1)).min(2)
    near_TL = torch.cat([itself, places.slot_TL], 1).gather(1, near)
    stay_TL = ((gap_TL < FAR) & leaving.valid_TL & (out_TL > 0)).float()
    fade = torch.exp(leaving.valid_TL.sum(1, keepdim=True) / -(REACH * slots))
    mass = (bank["mass"] * fade).clamp_(min=1).scatter_add_(1, near_TL, stay_TL)
    moved = (leaving.born_TL - bank["born"].gather(1, near_TL)).mul_(stay_TL)
    moved.div_(mass.gather(1, near_TL))
    return {**bank, "mass": mass, "born": bank["born"].scatter_add(1, near_TL, moved)}
