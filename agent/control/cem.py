"""The cross-entropy method as a planner (Rubinstein 1999; with the memory of Pinneri et al. 2020).

In each round candidates are drawn about the plan, the best of them are kept, and the plan and the
spread of every action become theirs. Of the last round's best some stand among the next one's
candidates; the very best is what is planned.

Shapes: N robots, C candidates, H horizon, A actions, E elites.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from agent.control.planner import Value, smooth_noise
from agent.learners.base import State


@dataclass(frozen=True, slots=True)
class CemSettings:
    """How plans are sought.

    Args:
        candidates: C, in each round.
        horizon: H, steps of control.
        elites: E, the best that a round keeps.
        carried: of these, candidates of the next round.
        noise: standard deviation of the first round.
        narrowest: of any round.
        smooth: share of the noise that lasts into the next step.
        rounds: how often the plan is improved in a step of control.
    """

    candidates: int = 64
    horizon: int = 10
    elites: int = 8
    carried: int = 2
    noise: float = 0.6
    narrowest: float = 0.02
    smooth: float = 0.6
    rounds: int = 3

    def __post_init__(self) -> None:
        if not 0 <= self.carried <= self.elites <= self.candidates - self.carried:
            raise ValueError(
                f"elites is {self.elites} of {self.candidates}, carried {self.carried}:"
                " give carried <= elites <= candidates - carried"
            )
        if min(self.horizon, self.rounds) < 1 or self.elites < 2:  # noqa: PLR2004 - for a spread
            raise ValueError("horizon and rounds must be 1 or more, elites 2 or more")
        if not 0 < self.narrowest <= self.noise or not 0 <= self.smooth < 1:
            raise ValueError("give 0 < narrowest <= noise, and smooth from 0 to less than 1")


class Cem:
    """A planner that narrows down on the best candidates.

    >>> planner = Cem(CemSettings(horizon=3, rounds=6))
    >>> wanted = torch.tensor([[[0.5], [-0.5], [0.0]]])
    >>> value = lambda u_NCHA: -(u_NCHA - wanted.unsqueeze(1)).square().sum((2, 3))
    >>> state = planner.improve(planner.begin(1, 1), value, torch.Generator().manual_seed(0))
    >>> bool((state["plan"] - wanted).abs().max() < 0.2)
    True
    """

    def __init__(self, settings: CemSettings | None = None) -> None:
        self.settings = settings or CemSettings()

    def begin(self, robots: int, actions: int) -> State:
        """Nothing planned."""
        return {"plan": torch.zeros(robots, self.settings.horizon, actions)}

    def improve(self, state: State, value: Value, draw: torch.Generator) -> State:
        """Narrow down, `rounds` times."""
        settings, mean_NHA = self.settings, state["plan"]
        spread_NHA = torch.full_like(mean_NHA, settings.noise)
        kept_NEHA = mean_NHA.unsqueeze(1)
        for _ in range(settings.rounds):
            tried = self._candidates(mean_NHA, spread_NHA, draw)
            tried = torch.cat([kept_NEHA, tried], 1)
            best_NE = value(tried).topk(settings.elites, 1).indices
            index = best_NE[..., None, None].expand(-1, -1, *mean_NHA.shape[1:])
            elite_NEHA = tried.gather(1, index)
            mean_NHA = elite_NEHA.mean(1)
            spread_NHA = elite_NEHA.std(1).clamp(settings.narrowest, settings.noise)
            kept_NEHA = elite_NEHA[:, : max(settings.carried, 1)]
        return {**state, "plan": kept_NEHA[:, 0]}

    def _candidates(self, mean_NHA: Tensor, spread_NHA: Tensor, draw: torch.Generator) -> Tensor:
        robots, horizon, actions = mean_NHA.shape
        shape = (robots, self.settings.candidates, horizon, actions)
        noise = smooth_noise(shape, self.settings.smooth, draw, mean_NHA.device)
        return (mean_NHA.unsqueeze(1) + noise * spread_NHA.unsqueeze(1)).clamp(-1, 1)
