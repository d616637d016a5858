"""What policies are drilled on: robots of many bodies, whose motors change while they run.

A motor that is weak, dead or inverted does what the intact one does under a scaled command; so
gains multiply commands here, and bodies are compiled only for what is not a gain (lengths, masses
and the like). The drill charges for the command as it was given, like the robot itself.

Where a fall ends the robot's episode it begins anew at once, on the same body: each body is drilled
for as long as another, however often it falls.

A policy that will act through a self-model is told the sizes of the gains, a while late and a
little wrong, and its signs are right; but now and then some motors turn the other way for a
moment, as they do in life until that is noticed. So it learns to live through it.

Shapes: N robots, X any leading axes, O observations, C context, P what only the critic sees,
A actions, M models.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agent.control.gains import sizes
from agent.control.sight import Bare, Sight
from envs.body import Body
from envs.fleet import Fleet
from envs.robots import ROBOTS
from envs.tasks_run import Run, RunAnt

Floats = NDArray[np.float64]
MORPHS = 8  # numbers by which the critic knows a model
FLIPPED = 3  # motors that turn the other way for a moment, at most


class Seen(NamedTuple):
    """What actor and critic are shown; the critic all of it."""

    obs: Tensor
    context: Tensor
    privileged: Tensor


class Stepped(NamedTuple):
    """What a step has brought."""

    seen: Seen  # now
    reward_N: Tensor
    ended_N: Tensor  # whose episode is over, by a fall or by the clock
    fallen_N: Tensor  # whose by a fall: nothing more was to be had
    last: Seen  # as `seen`, before those that ended began again


@dataclass(frozen=True, slots=True)
class DrillSettings:
    """What happens in a drill.

    Args:
        robots: N.
        episode: steps of an episode.
        change: chance, a step, that a robot's gains change.
        late: steps that the context comes late after a change, least and most.
        blur: standard deviation of what is wrong with the context.
        moment: chance, a step, that some motors turn the other way for a moment.
        moments: steps that such a moment lasts, least and most.
        told: whether the policy is told the sizes of gains, and signs are set right for it.
    """

    robots: int = 128
    episode: int = 400
    change: float = 1 / 250
    late: tuple[int, int] = (2, 8)
    blur: float = 0.05
    moment: float = 1 / 120
    moments: tuple[int, int] = (2, 8)
    told: bool = True

    def __post_init__(self) -> None:
        for name in ("robots", "episode"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give 1 or more")
        for name in ("change", "moment"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give a chance, 0 to 1")
        for name in ("late", "moments"):
            least, most = getattr(self, name)
            if not 0 <= least <= most:
                raise ValueError(f"{name} is {(least, most)}; give least and most, from 0 on")


class Drill:
    """Robots in training.

    Args:
        robot: name of the robot.
        bodies: that are drawn from, each as likely as another.
        settings: what happens.
        seed: of all that is drawn.
        angles: columns of an observation that are angles; see `agent.control.policy.Senses`.
        least_A: smallest sizes of gains that the policy is told; see `agent.control.gains.sizes`.
        sight: what of an observation the policy is shown.
    """

    def __init__(
        self,
        robot: str,
        bodies: Sequence[Body],
        settings: DrillSettings,
        seed: int,
        angles: tuple[int, ...] = (),
        least_A: Tensor | None = None,
        sight: Sight | None = None,
    ) -> None:
        self._draw, self._settings, self.angles = np.random.default_rng(seed), settings, angles
        self._sight = sight or Bare()
        kind, self._least_A, self._cost = ROBOTS[robot], least_A, cost(robot)
        self._gains_MA = np.array([gains(body, kind.actuators) for body in bodies])
        self._models = [replace(body, gear={}) for body in bodies]
        self._morph_MP = described(
            [kind.model(Body.parse("intact")), *map(kind.model, self._models)]
        )
        self.robots, self.actions = settings.robots, len(kind.actuators)
        self.context = self.actions if settings.told else 0
        self.privileged = self.actions + MORPHS
        self._mine_N = self._draw.integers(len(bodies), size=self.robots)
        self._fleet = Fleet(robot, [self._models[one] for one in self._mine_N], seed=seed)
        self._gain_NA, self._known_NA = self._gains_MA[self._mine_N], self._gains_MA[self._mine_N]
        self._flip_NA = np.ones_like(self._gain_NA)
        self._flip_N, self._late_N = (np.zeros(self.robots, np.int64) for _ in range(2))
        self._age_N = self._draw.integers(settings.episode, size=self.robots)
        self._obs_NO = self._fleet.reset()
        self.observations = self._shown().shape[1]

    def begin(self) -> Seen:
        """Give what is seen now."""
        return self._seen()

    def step(self, action_NA: Tensor) -> Stepped:
        """Go one step under actions in [-1, 1]."""
        command_NA = action_NA.double().numpy()
        done_NA = command_NA * self._executed()
        self._obs_NO, reward_N, fallen_N = self._fleet.step(done_NA.astype(np.float32))
        fallen_N = fallen_N & self._fleet.robot.falls
        effort_N = np.square(done_NA).sum(1) - np.square(command_NA).sum(1)
        reward = torch.from_numpy(np.float32(reward_N + self._cost * effort_N))
        self._age_N += 1
        self._happen()
        seen = last = self._seen()
        old_N = self._age_N >= self._settings.episode
        if old_N.any():
            self._again(np.flatnonzero(old_N))
        if (anew_N := fallen_N & ~old_N).any():
            self._flip_N[anew_N] = 0
            self._obs_NO = self._fleet.reset(np.flatnonzero(anew_N))
        ended_N = old_N | fallen_N
        if ended_N.any():
            seen = self._seen()
        return Stepped(seen, reward, torch.from_numpy(ended_N), torch.from_numpy(fallen_N), last)

    def _executed(self) -> Floats:
        gain_NA = np.abs(self._gain_NA) if self._settings.told else self._gain_NA
        executed: Floats = gain_NA * self._flip_NA
        return executed

    def _happen(self) -> None:
        """Let gains change, contexts follow, moments begin and end."""
        settings, draw, most = self._settings, self._draw, min(FLIPPED, self.actions) + 1
        self._flip_N -= 1
        self._flip_NA[self._flip_N <= 0] = 1.0
        for one in np.flatnonzero(draw.random(self.robots) < settings.moment):
            few = draw.choice(self.actions, draw.integers(1, most), replace=False)
            self._flip_NA[one, few] = -1.0
            self._flip_N[one] = draw.integers(settings.moments[0], settings.moments[1] + 1)
        self._late_N -= 1
        told_N = self._late_N <= 0
        self._known_NA[told_N] = self._gain_NA[told_N]
        for one in np.flatnonzero(draw.random(self.robots) < settings.change):
            self._gain_NA[one] = self._gains_MA[draw.integers(len(self._gains_MA))]
            self._late_N[one] = draw.integers(settings.late[0], settings.late[1] + 1)

    def _again(self, ids: NDArray[np.int64]) -> None:
        self._mine_N[ids] = self._draw.integers(len(self._models), size=len(ids))
        self._fleet.embody(ids, [self._models[one] for one in self._mine_N[ids]])
        self._gain_NA[ids] = self._known_NA[ids] = self._gains_MA[self._mine_N[ids]]
        self._flip_N[ids] = self._late_N[ids] = self._age_N[ids] = 0
        self._flip_NA[ids] = 1.0
        self._obs_NO = self._fleet.reset(ids)

    def _seen(self) -> Seen:
        blur_NA = self._settings.blur * self._draw.standard_normal(self._known_NA.shape)
        known_NA = torch.from_numpy(self._known_NA + blur_NA).float()
        context_NC = sizes(known_NA, self._least_A)[:, : self.context]
        inside = np.concatenate([self._executed(), self._morph_MP[self._mine_N]], 1)
        return Seen(self._shown(), context_NC, torch.from_numpy(inside).float())

    def _shown(self) -> Tensor:
        obs_NO = torch.from_numpy(self._obs_NO.astype(np.float32))
        return self._sight(obs_NO, torch.from_numpy(self._age_N))


def gains(body: Body, actuators: Sequence[str]) -> list[float]:
    """Give a body's gains in the order of the actuators."""
    return [body.factor("gear", name) for name in actuators]


def cost(robot: str) -> float:
    """Give what a robot's squared command costs.

    Raises:
        ValueError: it is none that runs.
    """
    task = ROBOTS[robot].task
    if not isinstance(task, Run | RunAnt):
        raise ValueError(f"{robot} does not run; drills are for those that do")  # noqa: TRY004 (a name)
    return task.cost


def described(models: Sequence[Any]) -> Floats:
    """Describe models by a few numbers, (M - 1, P): how they differ from the first.

    Masses, inertias, offsets, sizes, frictions, dampings and ranges, each over its spread, and of
    those the principal directions, each of about unit size.
    """
    fields = (
        "body_mass", "body_inertia", "body_pos", "geom_size", "geom_friction", "dof_damping",
        "jnt_range", "jnt_stiffness",
    )  # fmt: skip
    rows = [np.concatenate([np.ravel(getattr(one, name)) for name in fields]) for one in models]
    apart = np.stack(rows[1:]) - rows[0]
    spread = apart.std(0)
    moved = ~np.isclose(spread, 0.0)
    apart = apart[:, moved] / spread[moved]
    out = np.zeros((len(apart), MORPHS))
    if apart.shape[1]:
        _, size, axes = np.linalg.svd(apart, full_matrices=False)
        kept = min(MORPHS, len(size))
        scale = np.maximum(size[:kept], 1e-9) / len(apart) ** 0.5
        out[:, :kept] = apart @ axes[:kept].T / scale
    return out
