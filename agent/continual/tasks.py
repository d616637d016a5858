"""The book of a mixture: which hypothesis stands where; when one is begun, moved, kept, forgotten.

The H = M + R places of a task's hypotheses hold M *tasks*, one of which is the current one, and R
*rungs*: restarted learners of growing age, the pruned run lengths of the changepoint posterior.
A rung is begun on the lowest step; it climbs when it has come of age and the next step is free. At
its birth the current task's state is photographed (*kept*), so that a task that is left can be put
back to what it was before the change, however late that was noticed.

Moves are told as sources: for each place, then for each kept photograph, where in the pool
[H places | R kept | fresh] its new content stands.

Shapes: H places, M tasks, R rungs, K changes kept.
"""

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from agent.continual.changes import NEW, RETURNED
from agent.continual.posterior import Floats, array
from agent.learners.base import State

KEPT = 64  # changes in the log
HOLD = 0.05  # of the posterior: a rung with more waits for a verdict
WAIT = 4.0  # spans that it may wait
BEFORE = 48.0  # labels: a photograph this old was taken before a return was noticed
SHORT = 0.25  # of a task's tenure: what may be given up for a photograph surely clean
YOUNG = 192.0  # labels: a task that is new may still be begun better
FADE = 0.5 ** (1 / 50_000)  # of a task's usefulness, a label


@dataclass(slots=True)
class Book:
    """One task's book; its arrays are written in place.

    `weight` holds two rows of H: the posterior by which tasks change, and the weights of answers.
    `number` holds: the current place, the next id, labels, label at which the current task began,
    changes, changes logged.
    """

    weight: Floats
    ids: Floats
    use: Floats
    born: Floats
    log: Floats
    number: Floats

    @staticmethod
    def first(tasks: int, places: int, rungs: int) -> dict[str, Tensor]:
        """The leaves of fresh books: one task, number 0, and one rung."""
        kinds = ("weight", "ids", "use", "born", "log", "number")
        shapes = ((2, places + rungs), (places,), (places,), (rungs,), (KEPT, 4), (6,))
        values = (0.0, -1.0, 0.0, -1.0, -1.0, 0.0)
        book = {
            kind: torch.full((tasks, *shape), value, dtype=torch.float64)
            for kind, shape, value in zip(kinds, shapes, values, strict=True)
        }
        book["weight"][:, :, 0], book["ids"][:, 0], book["born"][:, 0] = 1.0, 0.0, 0.0
        book["number"][:, 1] = 1.0
        return book

    @classmethod
    def opened(cls, state: State) -> "tuple[list[Book], dict[str, Tensor]]":
        """Copy the books of a mixture's state, one a task; and the leaves that they write on."""
        leaves = {one.name: array(state[f"mixture.{one.name}"]).copy() for one in fields(cls)}
        books = [cls(*pages) for pages in zip(*leaves.values(), strict=True)]
        return books, {name: torch.from_numpy(leaf) for name, leaf in leaves.items()}

    @property
    def current(self) -> int:
        """The place of the current task."""
        return int(self.number[0])

    @property
    def tasks(self) -> int:
        """M."""
        return len(self.ids)

    @property
    def places(self) -> int:
        """H."""
        return int(self.weight.shape[1])

    def ages(self) -> Floats:
        """Labels since each rung was begun; -1 where there is none."""
        return np.where(self.born < 0, -1.0, self.number[2] - self.born)

    def settle(
        self, spans: tuple[float, ...], winner: int | None, young: float = YOUNG
    ) -> list[int] | None:
        """Let the rungs climb, or take up the winner's task; give the sources of what moved.

        Args:
            spans: the age at which each rung leaves its step.
            winner: the place that is the current task from now on; None where nothing changed.
            young: labels for which a new task may still be begun better.
        """
        held = [*range(self.places + len(self.born))]
        source = held.copy()
        if winner is None or winner == self.current:
            self._climb(spans, source)
        else:
            self._take_up(winner, source, young)
        self.weight /= self.weight.sum(1, keepdims=True)
        return None if source == held else source

    def _take_up(self, winner: int, source: list[int], young: float) -> None:
        """Begin or resume the winner's task; or begin the current one better, that was just new."""
        places, rung = self.places, winner >= self.tasks
        place = self.current if rung and self._just_begun(young) else self._changed(winner, source)
        source[place] = winner
        self.weight[:, place] = self.weight[:, winner]
        self.weight[:, self.tasks :] = 0.0
        self.born[:], self.born[0] = -1.0, self.number[2]
        source[self.tasks : places] = [places + len(self.born)] * len(self.born)
        source[places:] = [source[place]] * len(self.born)

    def _just_begun(self, young: float) -> bool:
        """Whether the current task is new and so young that it may have learned of the one before.

        A younger rung that beats it is then no other task, but a cleaner beginning of this one.
        """
        kind = self.log[int(self.number[5] - 1) % len(self.log), 1]
        return bool(kind == NEW and self.number[2] - self.number[3] <= young)

    def _changed(self, winner: int, source: list[int]) -> int:
        """Leave the current task as it was before the change, log it; give the next one's place."""
        new, left = winner >= self.tasks, self.current
        chance = float(self.weight[0, winner])
        source[left] = self.places + self._clean(winner - self.tasks if new else None)
        place = self._room() if new else winner
        if new:
            self.ids[place], self.use[place] = self.number[1], 0.0
            self.number[1] += 1
        self.number[0], self.number[3] = place, self.number[2]
        self.number[4] += 1
        spot = int(self.number[5]) % len(self.log)
        kind = NEW if new else RETURNED
        self.log[spot] = self.number[2], kind, self.ids[place], chance
        self.number[5] += 1
        return place

    def _clean(self, rung: int | None) -> int:
        """The photograph of the current task that shows nothing of the new one."""
        ages = self.ages()
        if rung is None:
            old = [j for j, age in enumerate(ages) if age >= BEFORE]
            return old[0] if old else int(ages.argmax())
        above = rung + 1
        tenure = self.number[2] - self.number[3]
        if above < len(ages) and 0 <= ages[above] <= SHORT * tenure:
            return above
        return rung

    def _room(self) -> int:
        """A free place for a task, or that of the least useful."""
        worth = np.where(self.ids < 0, -1.0, self.use)
        worth[self.current] = np.inf
        place = int(worth.argmin())
        self.weight[:, place] = 0.0
        return place

    def _climb(self, spans: tuple[float, ...], source: list[int]) -> None:
        """Move rungs that have come of age; begin one where the lowest step is free."""
        places = self.places
        for rung in reversed(range(len(self.born))):
            place = self.tasks + rung
            age = self.number[2] - self.born[rung]
            waits = self.weight[0, place] > HOLD and age < WAIT * spans[rung]
            if self.born[rung] < 0 or age < spans[rung] or waits:
                continue
            above = rung + 1
            if above < len(self.born) and self.born[above] < 0:
                source[place + 1], source[places + above] = place, places + rung
                self.born[above] = self.born[rung]
                self.weight[:, place + 1] = self.weight[:, place]
            else:
                self.weight[:, self.current] += self.weight[:, place]
            self.born[rung], self.weight[:, place] = -1.0, 0.0
        if self.born[0] < 0:
            self.born[0] = self.number[2]
            source[self.tasks], source[places] = places + len(self.born), self.current
