"""A network over experts, teaching the attention through itself.

The network reads the features and what attention and recency said of the row; its gradient by those
votes goes on into the attention's feature scales, bandwidths and recencies (stacked generalization,
Wolpert 1992, learned end to end). All of them speak: the stack's voices are theirs and the
network's.

Shapes: T tasks, B rows, V votes, C classes, Z payload.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from agent.learners.attention import Attention
from agent.learners.attention import Trace as Attended
from agent.learners.base import Classes, Exact, Numbers, Said, Spec, State
from agent.learners.network import OnlineNetwork, Trace
from agent.learners.recency import Recency
from agent.nets import EPSILON, all_seen, part, prefixed
from agent.nets.heap import keep_freed_memory


class Stack(Exact):
    """Attention, recency and a network above them.

    Args:
        attention, recency: the experts that vote.
        network: made with `votes` equal to the number of their voices.
        own: weight of the attention's own log loss beside what the network teaches it.
        spec: of the rows that come, each part being shown what its own spec asks for (see
            `Spec.sees`); without it, the attention's.
    """

    def __init__(
        self,
        attention: Attention,
        recency: Recency,
        network: OnlineNetwork,
        own: float = 0.1,
        spec: Spec | None = None,
    ) -> None:
        self.spec: Spec = spec or attention.spec
        self._attention, self._recency, self._network = attention, recency, network
        self._own = own
        keep_freed_memory()

    @property
    def voices(self) -> tuple[str, ...]:
        """The experts', then the network's."""
        return (*self._attention.voices, *self._recency.voices, *self._network.voices)

    def begin(self, tasks: int) -> State:
        """All parts at their start."""
        return _joined(
            self._attention.begin(tasks), self._recency.begin(tasks), self._network.begin(tasks)
        )

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Answer each row from what has been learned so far."""
        y_TB = torch.zeros(x_TBF.shape[:2], device=x_TBF.device)
        return self.foresee(state, x_TBF, y_TB, torch.zeros_like(y_TB).bool())

    @override
    def foresee(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> Said:
        """Let the votes move from row to row, and nothing else."""
        return self._hear(state, x_TBF, y_TB, all_seen(y_TB, seen_TB)).said

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Votes exact at every row; one step of all weights at the end."""
        seen_TB = all_seen(y_TB, seen_TB)
        heard = self._hear(state, x_TBF, y_TB, seen_TB)
        if not bool(seen_TB.any()):
            return heard.said, state
        near, net, attended = heard.near, heard.net, heard.attended
        grad = self._network.output_gradient(net, heard.trace, y_TB, seen_TB)
        upstream = self._upstream(net, attended, self._network.vote_gradient(net, grad))
        if self._own > 0:
            own = self._attention.own_gradient(near, attended, y_TB, seen_TB)
            upstream = torch.add(upstream, own, alpha=self._own)
        return heard.said, _joined(
            self._attention.settle(near, attended, upstream, heard.near_x_TBF, y_TB, seen_TB),
            heard.recent,
            self._network.settle(net, heard.trace, grad, y_TB, seen_TB),
        )

    def widen(self, state: State, classes: int) -> State:
        """Widen every part."""
        return _joined(
            self._attention.widen(part("attention", state), classes),
            self._recency.widen(part("recency", state), classes),
            self._network.widen(part("network", state), classes),
        )

    def _hear(self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor) -> "_Heard":
        """Ask everybody."""
        near, late, net = (part(name, state) for name in ("attention", "recency", "network"))
        near_x, late_x, net_x = (
            self.spec.shown(one.spec, x_TBF)
            for one in (self._attention, self._recency, self._network)
        )
        attended = self._attention.attend(near, near_x, y_TB, seen_TB)
        said, recent = self._recency.predict_then_learn(late, late_x, y_TB, seen_TB)
        votes = [self._attention.said(near, attended), said]
        trace = self._network.forward(net, net_x, self._votes(net, votes))
        together = _together([*votes, self._network.said(net, trace)])
        return _Heard(together, near, net, near_x, attended, trace, recent)

    def _votes(self, net: State, said: list[Said]) -> Tensor:
        """Log-probabilities, or means in the network's own units."""
        if not self.spec.regression:
            return torch.cat([one.logp_TBVC for one in said if isinstance(one, Classes)], 2)
        middle, spread = (leaf.unsqueeze(2) for leaf in self._network.target(net))
        mean = torch.cat([one.mean_TBV for one in said if isinstance(one, Numbers)], 2)
        return ((mean - middle) / spread).clamp(-10, 10).unsqueeze(3)

    def _upstream(self, net: State, attended: Attended, by_vote_TBVO: Tensor) -> Tensor:
        """From a gradient by the votes to one by the attention's moments, shape TVBZ."""
        moment = attended.moment_TVBZ
        by_vote = by_vote_TBVO[:, :, : moment.shape[1]].transpose(1, 2)
        known = attended.known_TB[:, None, :, None]
        if self.spec.regression:
            _, spread = self._network.target(net)
            by_mean = by_vote * known / spread[:, None, None]
            return torch.cat([by_mean, torch.zeros_like(by_mean)], 3)
        return by_vote * known / (moment + EPSILON / moment.shape[3])


@dataclass(frozen=True, slots=True)
class _Heard:
    """What all said of a block, and what learning it needs."""

    said: Said
    near: State
    net: State
    near_x_TBF: Tensor
    attended: Attended
    trace: Trace
    recent: State


def _joined(attention: State, recency: State, network: State) -> dict[str, Tensor]:
    return {
        **prefixed("attention", attention),
        **prefixed("recency", recency),
        **prefixed("network", network),
    }


def _together(parts: list[Said]) -> Said:
    """All voices at one table, each as loud as the others."""
    if isinstance(parts[0], Classes):
        logp = torch.cat([one.logp_TBVC for one in parts if isinstance(one, Classes)], 2)
        return Classes(torch.full_like(logp[..., 0], -math.log(logp.shape[2])), logp)
    mean = torch.cat([one.mean_TBV for one in parts if isinstance(one, Numbers)], 2)
    scale = torch.cat([one.scale_TBV for one in parts if isinstance(one, Numbers)], 2)
    return Numbers(torch.full_like(mean, -math.log(mean.shape[2])), mean, scale)
