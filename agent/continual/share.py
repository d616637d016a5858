"""Fixed share: experts weighed by how well they have done lately.

Weights move with every label: w_v ← (1 - s) w_v p_v(y) / Σ_u w_u p_u(y) + s / V (Herbster and
Warmuth 1998, fixed share under log loss). The mixture's regret to the best sequence of experts with
k switches in n labels is at most about k log(n / k) + (k + 1) log V nats: never far behind its best
part, also when the best part changes. A voice that gave the truth nearly no probability is cut by
`floor` instead of being silenced for good.

Shapes: T tasks, B rows, V voices.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from typing_extensions import override

from agent.learners.base import Classes, Exact, Learner, Numbers, Said, Spec, State
from agent.nets import all_seen, normal_log_density, part, prefixed
from agent.nets.exact import product

DECADES = 250  # that unnormalised weights may span in double precision
SURELY = 1 - 1e-9  # the highest share of switches


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
    """Run fixed share down the rows, many at a time.

    Args:
        weight_TV: weights before the first row, in double precision.
        gained_TBV: the log-probability that each voice gave each row's truth.
        seen_TB: rows that count.
        switch: s of the equation at the head of this file.
        floor: the least likelihood, relative to the best voice.

    Returns:
        Weights before each row, shape TBV, and after the last, shape TV.
    """
    seen, least, switch = seen_TB.double().unsqueeze(2), math.log(floor), min(switch, SURELY)
    log_TBV = gained_TBV.double().nan_to_num(nan=-1e9, posinf=-1e9)
    factor = (log_TBV - log_TBV.amax(2, keepdim=True)).clamp(min=least) * seen
    back = seen * (switch / (1 - switch) / log_TBV.shape[2])
    some = max(int(DECADES * math.log(10) / -(least + math.log1p(-switch))), 1)
    trail = [weight_TV.unsqueeze(1)]
    for start in range(0, factor.shape[1], some):
        cut = slice(start, start + some)
        trail.append(_run(trail[-1][:, -1:], factor[:, cut], back[:, cut]))
    whole = torch.cat(trail, 1)
    return whole[:, :-1], whole[:, -1]


def _run(weight_T1V: Tensor, factor_TBV: Tensor, back_TB1: Tensor) -> Tensor:
    """Weights after each row, shape TBV, from the logarithms f of the likelihoods.

    Without bringing them to one at every row, w ← e^f w + b z 1 with z = Σ_v e^f_v w_v. With
    P_i = exp(f_1 + ... + f_i) the totals z solve a triangular system, all of whose terms are
    positive, and with them the weights are sums:

        z_i = Σ_v P_iv (w_v + Σ_(j<i) b_j z_j / P_jv),   w_i = P_i (w + Σ_(j≤i) b_j z_j / P_j)
    """
    up = factor_TBV.cumsum(1).exp()
    down = back_TB1 / up
    between = torch.bmm(up, -down.mT)  # only what lies under the diagonal is read
    alone = product(up, weight_T1V.mT)
    total = torch.linalg.solve_triangular(between, alone, upper=False, unitriangular=True)
    after = (weight_T1V + (down * total).cumsum(1)) * up
    weight_TBV: Tensor = after / after.sum(2, keepdim=True)
    return weight_TBV


def _weighed(heard: Sequence[Said], voice_TBV: Tensor) -> Said:
    """All voices under these log-weights."""
    if isinstance(heard[0], Classes):
        logp = [said.logp_TBVC for said in heard if isinstance(said, Classes)]
        return Classes(voice_TBV, logp[0] if len(logp) == 1 else torch.cat(logp, 2))
    mean = torch.cat([said.mean_TBV for said in heard if isinstance(said, Numbers)], 2)
    scale = torch.cat([said.scale_TBV for said in heard if isinstance(said, Numbers)], 2)
    return Numbers(voice_TBV, mean, scale)
