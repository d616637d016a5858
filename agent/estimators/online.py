"""The default agent behind two verbs: learn dicts with their truths, say what it thinks of dicts.

The agent works as in the daemon: rows with their labels fill a block, a full block is learned with
one step, and what is asked meanwhile is answered from the block as it stands. Asking changes
nothing. Its rows are those of `Columns`, whose width the first dict fixes.

Shapes: B lanes of the block, F columns with the lateness behind (always 0: a truth comes with its
dict), n rows asked.
"""

from collections.abc import Hashable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from agent.continual.default import AgentSettings, default_agent
from agent.estimators.columns import Columns, Features, Layout, Rows
from agent.learners.base import Classes, Learner, Numbers, Spec, State
from agent.service.block import Block
from agent.service.calls import no_denormals
from agent.service.seats import seats

WIDE: Final = 8  # blocks that one call may ask at a time


class Online:
    """The agent, its open block, the columns and the classes met.

    Args:
        settings: of the agent.
        layout: of its rows.
        numbers: whether the truths are numbers; else they are classes of any name.
    """

    def __init__(self, settings: AgentSettings, layout: Layout, *, numbers: bool) -> None:
        self.columns = Columns(layout)
        self.classes: list[Hashable] = []
        self._settings = settings
        classes = 0 if numbers else settings.classes
        self._spec = Spec(layout.width + 1, classes, codes=layout.words, dated=True)
        self._index: dict[Hashable, int] = {}
        self._room = self._spec.classes
        self._device = _device(settings)
        self._learner = _agent(self._spec, settings)
        self._block = Block.empty(settings.block, self._spec.features)
        begun = self._learner.begin(1)
        self._state = {name: leaf.to(self._device) for name, leaf in begun.items()}

    def learn(self, xs: Sequence[Features], truths: Sequence[Any]) -> None:
        """Learn these, in their order; truths are classes, or numbers."""
        with torch.inference_mode(), no_denormals():
            for row, truth in zip(self.columns.learn(xs), truths, strict=True):
                self._block.teach(row, self._number(truth), 0)
                if self._block.full:
                    self._close()

    def probabilities(self, xs: Sequence[Features]) -> NDArray[np.float64]:
        """Probabilities of the classes met, one row a dict; they sum to one. Changes nothing."""
        parts = []
        for said, lanes in self._said(self.columns.look(xs)):
            if not isinstance(said, Classes):
                raise TypeError("the agent predicts numbers, and classes were asked for")
            logp = said.marginal()[0, lanes, : len(self.classes)].double()
            parts.append(torch.softmax(logp, 1).cpu().numpy())
        return np.concatenate(parts)

    def moments(self, xs: Sequence[Features]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and deviation of the target, each one a dict. Changes nothing."""
        means, deviations = [], []
        for said, lanes in self._said(self.columns.look(xs)):
            if not isinstance(said, Numbers):
                raise TypeError("the agent predicts classes, and numbers were asked for")
            mean, deviation = said.moments()
            means.append(mean[0, lanes].double().cpu().numpy())
            deviations.append(deviation[0, lanes].double().cpu().numpy())
        return np.concatenate(means), np.concatenate(deviations)

    @override
    def __getstate__(self) -> dict[str, Any]:
        """All but the learner, which its settings make anew; tensors as arrays."""
        kept = {k: v for k, v in self.__dict__.items() if k not in {"_learner", "_device"}}
        return kept | {"_state": {k: leaf.cpu().numpy() for k, leaf in self._state.items()}}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        self.__dict__ |= kept
        self._learner, self._device = _agent(self._spec, self._settings), _device(self._settings)
        leaves = kept["_state"].items()
        self._state = {k: torch.from_numpy(leaf).to(self._device) for k, leaf in leaves}

    def _said(self, rows_nF: Rows) -> Iterator[tuple[Classes | Numbers, slice]]:
        """Ask rows behind the block's lanes, a few blocks' worth at a time; which lanes are it."""
        block, lanes = self._block, self._block.lanes
        at, size = 0, len(block.y_B)
        while at < len(rows_nF):
            taken = min(len(rows_nF) - at, WIDE * size - lanes)
            behind = -(lanes + taken) % size
            x = np.pad(rows_nF[at : at + taken], ((lanes, behind), (0, 1)))  # late by 0
            x[:lanes] = block.x_BF[:lanes]
            y = np.pad(block.y_B[:lanes], (0, taken + behind))
            seen = np.pad(block.seen_B[:lanes], (0, taken + behind))
            with torch.inference_mode(), no_denormals():
                said = self._learner.foresee(self._state, *self._tensors(x, y, seen))
            yield said, slice(lanes, lanes + taken)
            at += taken

    def _number(self, truth: Any) -> float:
        """A number as it is; a class by its index, with room made for a new one."""
        if self._spec.regression:
            return float(truth)
        index = self._index.get(truth)
        if index is None:
            index = len(self.classes)
            if index >= self._room:
                self._widen()
            self._index[truth] = index
            self.classes.append(truth)
        return float(index)

    def _widen(self) -> None:
        """Learn the block as it is and double the room for classes."""
        self._close()
        self._room *= 2
        self._state = _laid_out(self._learner.widen(self._state, self._room))

    def _close(self) -> None:
        """Learn the block and open the next."""
        block = self._block
        lanes = self._tensors(block.x_BF, block.y_B, block.seen_B)
        self._state = _laid_out(self._learner.learn(self._state, *lanes))
        self._block = Block.empty(*block.x_BF.shape)

    def _tensors(
        self, x_BF: Rows, y_B: NDArray[np.float64], seen_B: NDArray[np.bool_]
    ) -> tuple[Tensor, Tensor, Tensor]:
        y = torch.from_numpy(y_B).unsqueeze(0)
        y = y.float() if self._spec.regression else y.long()
        x, seen = torch.from_numpy(x_BF).unsqueeze(0), torch.from_numpy(seen_B).unsqueeze(0)
        return x.to(self._device), y.to(self._device), seen.to(self._device)


def _laid_out(state: State) -> dict[str, Tensor]:
    """Lay leaves out as a copy does: products round by how a matrix lies in memory."""
    return {name: leaf.contiguous() for name, leaf in state.items()}


def _device(settings: AgentSettings) -> torch.device:
    cuda = settings.device == "cuda" or (settings.device == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if cuda else "cpu")


@lru_cache(maxsize=16)
def _agent(spec: Spec, settings: AgentSettings) -> Learner:
    """One learner serves all estimators of the same settings: it holds no state."""
    return default_agent(spec, settings, seats(spec.sees(), settings.learners, _device(settings)))
