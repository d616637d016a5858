"""Model predictive path integral control (Williams et al. 2017), batched over robots.

    u <- sum_c w_c u_c,   w_c = softmax(R_c / l)     over candidates u_c = u + noise   (algorithm 2)

The temperature l is a share of the candidates' spread, so that worth has no unit. Noise comes in
several scales at once: wide ones to get somewhere, narrow ones to stay there. The plan itself is
always among the candidates; some are none of its variations but two constant actions, one after the
other, strong ones as a rule: they lead out where each small change of the plan makes it worse.

Shapes: N robots, C candidates, H horizon, A actions.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from agent.control.planner import Value, scales, smooth_noise, two_pieces
from agent.learners.base import State


@dataclass(frozen=True, slots=True)
class MppiSettings:
    """How plans are sought.

    Args:
        candidates: C, in each round.
        anew: share of them that owe nothing to the plan.
        horizon: H, steps of control.
        noise: standard deviations, dealt out to the candidates in turn.
        smooth: share of the noise that lasts into the next step.
        temperature: of the weights, in standard deviations of the candidates' worth.
        rounds: how often the plan is improved in a step of control.
    """

    candidates: int = 128
    anew: float = 0.25
    horizon: int = 12
    noise: tuple[float, ...] = (1.0, 0.4, 0.1)
    smooth: float = 0.7
    temperature: float = 0.05
    rounds: int = 1

    def __post_init__(self) -> None:
        for name in ("candidates", "horizon", "rounds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give 1 or more")
        if not 0 <= self.anew < 1:
            raise ValueError(f"anew is {self.anew}; give 0 or more, less than 1")
        if not self.noise or min(self.noise) <= 0 or self.temperature <= 0:
            raise ValueError("noise and temperature must be above 0")
        if not 0 <= self.smooth < 1:
            raise ValueError(f"smooth is {self.smooth}; give 0 or more, less than 1")


class Mppi:
    """A planner whose plan is the mean of all candidates, by worth.

    >>> planner = Mppi(MppiSettings(candidates=64, horizon=3, rounds=5))
    >>> wanted = torch.tensor([[[0.5], [-0.5], [0.0]]])
    >>> value = lambda u_NCHA: -(u_NCHA - wanted.unsqueeze(1)).square().sum((2, 3))
    >>> state = planner.improve(planner.begin(1, 1), value, torch.Generator().manual_seed(0))
    >>> bool((state["plan"] - wanted).abs().max() < 0.2)
    True
    """

    def __init__(self, settings: MppiSettings | None = None) -> None:
        self.settings = settings or MppiSettings()
        self._fresh = int(self.settings.anew * self.settings.candidates)

    def begin(self, robots: int, actions: int) -> State:
        """Nothing planned."""
        return {"plan": torch.zeros(robots, self.settings.horizon, actions)}

    def improve(self, state: State, value: Value, draw: torch.Generator) -> State:
        """Algorithm 2 of the paper, `rounds` times."""
        plan_NHA = state["plan"]
        for _ in range(self.settings.rounds):
            plan_NHA = self._round(plan_NHA, value, draw)
        return {**state, "plan": plan_NHA}

    def _round(self, plan_NHA: Tensor, value: Value, draw: torch.Generator) -> Tensor:
        settings = self.settings
        tried = self._varied(plan_NHA, draw)
        worth_NC = value(tried)
        near_NC = worth_NC[:, : settings.candidates - self._fresh]
        unit_N1 = settings.temperature * near_NC.std(1, keepdim=True, unbiased=False) + 1e-9
        weight_NC = torch.softmax((worth_NC - worth_NC.amax(1, keepdim=True)) / unit_N1, 1)
        return torch.einsum("nc,ncha->nha", weight_NC, tried)

    def _varied(self, plan_NHA: Tensor, draw: torch.Generator) -> Tensor:
        """The candidates: the plan, variations of it, and those made anew, NCHA."""
        settings, device = self.settings, plan_NHA.device
        robots, horizon, actions = plan_NHA.shape
        near = settings.candidates - self._fresh
        noise = smooth_noise((robots, near, horizon, actions), settings.smooth, draw, device)
        noise *= scales(settings.noise, near, device)
        noise[:, 0] = 0.0
        tried = plan_NHA.unsqueeze(1) + noise
        if self._fresh:
            fresh = two_pieces((robots, self._fresh, horizon, actions), draw, device)
            tried = torch.cat([tried, fresh], 1)
        return tried.clamp(-1, 1)
