"""Between observations and a learner's rows: what a model of dynamics reads, and what it foresees.

A row is the observation, normalised, and the action; its target is the change of the observation in
a step of control, in units of how much each number changes as a rule. A goal that stands in the
observation is no part of the body: the model neither reads it nor foresees it.

Shapes: N robots, C candidates, O observations, A actions, B numbers of the body, F = B + A.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from agent.learners.base import Learner, Numbers, Spec, State

FAR = 6.0  # deviations at which a normalised number is cut
CHANGE = 8.0  # units: no change is taken for a larger one


@dataclass(frozen=True, slots=True)
class View:
    """What the numbers of an observation are.

    Args:
        body: columns that the model reads and foresees, B of them.
        actions: A, numbers in an action.
        circles: pairs of columns that are the cosine and the sine of an angle.
        from_goal: pairs of columns (a number told from the goal, that coordinate of the goal): the
            model reads their sum, so that a goal that moves is no surprise.
    """

    body: tuple[int, ...]
    actions: int
    circles: tuple[tuple[int, int], ...] = ()
    from_goal: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if not self.body or self.actions < 1:
            raise ValueError("give one column of the body or more, and one action or more")
        if len(set(self.body)) < len(self.body):
            raise ValueError(f"body is {self.body}; give each column once")

    @property
    def spec(self) -> Spec:
        """What the learner of such rows is asked for."""
        return Spec(len(self.body) + self.actions, 0, len(self.body))

    def read(self, obs: Tensor) -> Tensor:
        """Take the body's numbers, last axis B."""
        if self.from_goal:
            own, goal = (list(columns) for columns in zip(*self.from_goal, strict=True))
            obs = obs.clone()
            obs[..., own] += obs[..., goal]
        return obs[..., list(self.body)]


@dataclass(frozen=True, slots=True)
class Scaling:
    """Units of the body's numbers, each of shape B.

    Args:
        mean_B: what each number is as a rule.
        spread_B: its standard deviation.
        change_B: the standard deviation of its change in a step.
    """

    mean_B: Tensor
    spread_B: Tensor
    change_B: Tensor

    @classmethod
    def of(cls, body_XB: Tensor, next_XB: Tensor) -> "Scaling":
        """Measure them on transitions, X any leading axes."""
        flat, change = body_XB.flatten(0, -2), (next_XB - body_XB).flatten(0, -2)
        return cls(flat.mean(0), flat.std(0) + 1e-6, change.std(0) + 1e-6)

    @classmethod
    def read(cls, tensors: Mapping[str, Tensor]) -> "Scaling":
        """Take them from the tensors of a part that was trained."""
        return cls(*(tensors[f"scaling.{name}"] for name in ("mean", "spread", "change")))

    def tensors(self) -> dict[str, Tensor]:
        """Give them as tensors of a part."""
        names = ("mean", "spread", "change")
        leaves = (self.mean_B, self.spread_B, self.change_B)
        return {f"scaling.{name}": leaf for name, leaf in zip(names, leaves, strict=True)}


@runtime_checkable
class Foreseeing(Protocol):
    """A learner that can leave out how sure it is."""

    def mean(self, state: State, x_TBF: Tensor) -> Tensor:
        """Give the mean of what it answers, shape TBO."""
        ...


class Dynamics:
    """A robot's steps as a learner's rows, and a learner's answers as steps.

    Args:
        view: of the observations.
        scaling: units of the body's numbers.
    """

    def __init__(self, view: View, scaling: Scaling) -> None:
        self.view, self.scaling = view, scaling
        self._body = torch.tensor(view.body)
        self._circles = torch.tensor(view.circles, dtype=torch.int64).reshape(-1, 2)

    def rows(self, obs: Tensor, action: Tensor) -> Tensor:
        """What the learner reads, last axis F."""
        body = (self.view.read(obs) - self.scaling.mean_B) / self.scaling.spread_B
        return torch.cat([body.clamp(-FAR, FAR), action], -1)

    def targets(self, obs: Tensor, following: Tensor) -> Tensor:
        """What it is taught: last axis B, or none where the body is one number."""
        change = self.view.read(following) - self.view.read(obs)
        unit = (change / self.scaling.change_B).clamp(-CHANGE, CHANGE)
        return unit if len(self.view.body) > 1 else unit[..., 0]

    def step(self, learner: Learner, state: State, obs_NCO: Tensor, action_NCA: Tensor) -> Tensor:
        """Foresee the next observations, shape NCO; goals stay."""
        mean = _mean(learner, state, self.rows(obs_NCO, action_NCA))
        mean = mean.reshape(*action_NCA.shape[:2], -1)
        change = mean.clamp(-CHANGE, CHANGE) * self.scaling.change_B
        after = obs_NCO.index_add(2, self._body, change)
        return self._round(after) if len(self._circles) else after

    def _round(self, obs: Tensor) -> Tensor:
        """Put cosines and sines back on their circles."""
        both = obs[..., self._circles]
        long = both.square().sum(-1, keepdim=True).clamp(min=1e-6).rsqrt()
        return obs.index_copy(-1, self._circles.flatten(), (both * long).flatten(-2))


def _mean(learner: Learner, state: State, x_TBF: Tensor) -> Tensor:
    """Give the mean of what a learner answers, at the least cost."""
    if isinstance(learner, Foreseeing):
        return learner.mean(state, x_TBF)
    said = learner.predict(state, x_TBF)
    assert isinstance(said, Numbers)  # noqa: S101 - the spec asks for numbers
    return said.mean_TBV[:, :, 0] if said.mean_TBV.shape[2] == 1 else said.moments()[0]
