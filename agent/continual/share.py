"""Fixed share: experts weighed by how well they have done lately.

Weights move with every label: w_v ← (1 - s) w_v p_v(y) / Σ_u w_u p_u(y) + s / V (Herbster and
Warmuth 1998, fixed share under log loss). The mixture's regret to the best sequence of experts with
k switches in n labels is at most about k log(n / k) + (k + 1) log V nats: never far behind its best
part, also when the best part changes. A voice that gave the truth nearly no probability is cut by
`floor` instead of being silenced for good.

Shapes: T tasks, B rows, V voices.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from agent.learners.base import Classes, Exact, Learner, Numbers, Said, Spec, State
from agent.nets import all_seen, normal_log_density, part, prefixed

FAINT = 1e-200  # of a sum of weights, under which they are brought back to one


class Share(Exact):
    """All voices of its experts, weighed by fixed share.

    Args:
        experts: learners by name; every voice of each is weighed on its own.
        switch: s, how often the best voice is thought to change, per label.
        floor: the least likelihood, relative to the best voice, that a label can give a voice.
        spec: of the rows that come, each expert being shown what its own spec asks for (see
            `Spec.sees`); without it, the first expert's.
    """

    def __init__(
        self,
        experts: dict[str, Learner],
        switch: float = 0.01,
        floor: float = 0.05,
        spec: Spec | None = None,
    ) -> None:
        if not experts:
            raise ValueError("experts is empty: give at least one learner to weigh")
        self._experts, self._switch, self._floor = experts, switch, floor
        self.spec: Spec = spec or next(iter(experts.values())).spec

    @property
    def voices(self) -> tuple[str, ...]:
        """Every expert's voices in turn."""
        return tuple(voice for expert in self._experts.values() for voice in expert.voices)

    def begin(self, tasks: int) -> State:
        """Equal weights."""
        voices = len(self.voices)
        state: dict[str, Tensor] = {
            "weight": torch.full((tasks, voices), 1 / voices, dtype=torch.float64)
        }
        for name, expert in self._experts.items():
            state |= prefixed(name, expert.begin(tasks))
        return state

    def standing(self, state: State) -> dict[str, float]:
        """The voices' weights of the first task; they sum to one."""
        return dict(zip(self.voices, state["weight"][0].tolist(), strict=True))

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Mix what all voices say by the weights as they stand."""
        said = [
            expert.predict(part(name, state), self.spec.shown(expert.spec, x_TBF))
            for name, expert in self._experts.items()
        ]
        weight = state["weight"].unsqueeze(1).expand(-1, x_TBF.shape[1], -1)
        return _weighed(said, weight.log().float())

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Weights exact at every row; the experts do as they do."""
        seen_TB = all_seen(y_TB, seen_TB)
        heard: list[Said] = []
        after: dict[str, Tensor] = {}
        for name, expert in self._experts.items():
            shown = self.spec.shown(expert.spec, x_TBF)
            said, learned = expert.predict_then_learn(part(name, state), shown, y_TB, seen_TB)
            heard.append(said)
            after |= prefixed(name, learned)
        trail, after["weight"] = self._weigh(state["weight"], heard, y_TB, seen_TB)
        return _weighed(heard, trail), after

    @override
    def foresee(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> Said:
        """Let the weights move from row to row, and teach nobody."""
        seen_TB = all_seen(y_TB, seen_TB)
        heard = [
            expert.foresee(part(name, state), self.spec.shown(expert.spec, x_TBF), y_TB, seen_TB)
            for name, expert in self._experts.items()
        ]
        return _weighed(heard, self._weigh(state["weight"], heard, y_TB, seen_TB)[0])

    def widen(self, state: State, classes: int) -> State:
        """Widen every expert."""
        after = {"weight": state["weight"]}
        for name, expert in self._experts.items():
            after |= prefixed(name, expert.widen(part(name, state), classes))
        return after

    def _weigh(
        self, weight_TV: Tensor, heard: Sequence[Said], y_TB: Tensor, seen_TB: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Log-weights before each row, weights after the last."""
        each = []
        for said in heard:
            if isinstance(said, Classes):
                index = y_TB.long()[..., None, None].expand(*said.logp_TBVC.shape[:3], 1)
                each.append(said.logp_TBVC.gather(3, index).squeeze(3))
            else:
                each.append(normal_log_density(y_TB.unsqueeze(2), said.mean_TBV, said.scale_TBV))
        gained = torch.cat(each, 2)
        trail, after = fixed_share(weight_TV, gained, seen_TB, self._switch, self._floor)
        return trail.log().float(), after


def fixed_share(
    weight_TV: Tensor, gained_TBV: Tensor, seen_TB: Tensor, switch: float, floor: float
) -> tuple[Tensor, Tensor]:
    """Run fixed share down the rows.

    Args:
        weight_TV: weights before the first row, in double precision.
        gained_TBV: the log-probability that each voice gave each row's truth.
        seen_TB: rows that count.
        switch: s of the equation at the head of this file.
        floor: the least likelihood, relative to the best voice.

    Returns:
        Weights before each row, shape TBV, and after the last, shape TV.
    """
    log_TBV = gained_TBV.double().nan_to_num(nan=-1e9, posinf=-1e9)
    relative = (log_TBV - log_TBV.amax(2, keepdim=True)).exp().clamp(min=floor) * (1 - switch)
    seen = seen_TB.cpu().numpy()
    factor = np.where(seen[..., None], relative.cpu().numpy(), 1.0)
    back = np.where(seen, switch / (1 - switch) / factor.shape[2], 0.0)
    trail = np.empty((factor.shape[0], factor.shape[1] + 1, factor.shape[2]))
    trail[:, 0] = weight_TV.cpu().numpy()
    for task in range(len(factor)):
        _run(trail[task], factor[task], back[task].tolist())
    trail /= trail.sum(2, keepdims=True)
    to = weight_TV.device
    return torch.from_numpy(trail[:, :-1]).to(to), torch.from_numpy(trail[:, -1].copy()).to(to)


def _run(
    trail_BV: NDArray[np.float64], factor_BV: NDArray[np.float64], back_B: list[float]
) -> None:
    """Unnormalised fixed share, in place: w ← f w + back Σ f w, brought to one now and then."""
    for row, factor in enumerate(factor_BV):
        after = trail_BV[row + 1]
        np.multiply(trail_BV[row], factor, out=after)
        total = float(np.add.reduce(after))
        after += back_B[row] * total
        if total < FAINT:
            after /= np.add.reduce(after)


def _weighed(heard: Sequence[Said], voice_TBV: Tensor) -> Said:
    """All voices under these log-weights."""
    if isinstance(heard[0], Classes):
        logp = [said.logp_TBVC for said in heard if isinstance(said, Classes)]
        return Classes(voice_TBV, logp[0] if len(logp) == 1 else torch.cat(logp, 2))
    mean = torch.cat([said.mean_TBV for said in heard if isinstance(said, Numbers)], 2)
    scale = torch.cat([said.scale_TBV for said in heard if isinstance(said, Numbers)], 2)
    return Numbers(voice_TBV, mean, scale)
