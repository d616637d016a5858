"""Model predictive path integral control (Williams et al. 2017), batched over robots.

    u <- sum_c w_c u_c,   w_c = softmax(R_c / l)     over candidates u_c = u + noise   (algorithm 2)

The temperature l is a share of the candidates' spread, so that worth has no unit. Noise comes in
several scales at once: wide ones to get somewhere, narrow ones to stay there. The plan itself is
always among the candidates.

Shapes: N robots, C candidates, H horizon, A actions.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from agent.control.planner import Value, scales, smooth_noise
from agent.learners.base import State


@dataclass(frozen=True, slots=True)
class MppiSettings:
    """How plans are sought.

    Args:
        candidates: C, in each round.
        horizon: H, steps of control.
        noise: standard deviations, dealt out to the candidates in turn.
        smooth: share of the noise that lasts into the next step.
        temperature: of the weights, in standard deviations of the candidates' worth.
        rounds: how often the plan is improved in a step of control.
    """

    candidates: int = 96
    horizon: int = 12
    noise: tuple[float, ...] = (1.0, 0.4, 0.1)
    smooth: float = 0.7
    temperature: float = 0.1
    rounds: int = 1

    def __post_init__(self) -> None:
        for name in ("candidates", "horizon", "rounds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give 1 or more")
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
        robots, horizon, actions = plan_NHA.shape
        shape = (robots, settings.candidates, horizon, actions)
        noise = smooth_noise(shape, settings.smooth, draw, plan_NHA.device)
        noise *= scales(settings.noise, settings.candidates, plan_NHA.device)
        noise[:, 0] = 0.0
        tried = (plan_NHA.unsqueeze(1) + noise).clamp(-1, 1)
        worth_NC = value(tried)
        unit_N1 = settings.temperature * worth_NC.std(1, keepdim=True, unbiased=False) + 1e-9
        weight_NC = torch.softmax((worth_NC - worth_NC.amax(1, keepdim=True)) / unit_N1, 1)
        return torch.einsum("nc,ncha->nha", weight_NC, tried)
