"""Meta-training of a learner of dynamics: teach it a window of one body, ask it what comes next.

    minimise  sum over bodies of L(predict(learn(begin(), window), what follows), what came)

the episodic objective of all meta-learners here, on windows of transitions (as in Nagabandi et al.
2019, equation 3). Two more things widen what the bodies span:

- *rewired* motors: the same motion is that of a body whose motor is c times as strong, or turns the
  other way, under an action 1/c as large; exact where torque is proportional to the action;
- *mixed* windows, which begin on another body: what a context holds just after a change.

Shapes: N runs, T steps, S tasks of a step of training, M window, Q queries, F and B as `dynamics`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agent.control.dynamics import Dynamics
from agent.learners.meta import Meta
from agent.robot.experience import Experience


@dataclass(frozen=True, slots=True)
class MetaSettings:
    """How it is trained.

    Args:
        updates: steps of training.
        tasks: S, windows in each.
        window: the longest window; 0 for one network that is trained on all bodies alike.
        shortest: the shortest one.
        queries: Q, steps after the window that are asked.
        rate: largest step size of Adam; it rises for `warm` updates, then falls in a straight line.
        warm: updates.
        clip: largest norm of the gradient.
        stronger: c is between 1 and exp of this.
        inverted: chance that a motor turns the other way.
        rewired: share of the windows with rewired motors.
        mixed: share of the windows that begin on another body.
    """

    updates: int = 6000
    tasks: int = 64
    window: int = 16
    shortest: int = 4
    queries: int = 8
    rate: float = 3e-3
    warm: int = 50
    clip: float = 1.0
    stronger: float = 0.7
    inverted: float = 0.15
    rewired: float = 0.5
    mixed: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.shortest <= self.window or min(self.tasks, self.queries) < 1:
            raise ValueError("give 0 <= shortest <= window, and 1 or more tasks and queries")
        if self.updates < 1 or self.rate <= 0 or self.clip <= 0 or self.stronger < 0:
            raise ValueError("updates, rate and clip must be above 0, stronger 0 or more")
        for name in ("inverted", "rewired", "mixed"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give 0 to 1")


@dataclass(frozen=True, slots=True)
class Windows:
    """Rows and targets of all runs; draws windows of them.

    Args:
        x_NTF: rows.
        y_NTB: targets.
        actions: how many of the last columns of a row are the action.
    """

    x_NTF: Tensor
    y_NTB: Tensor
    actions: int

    @classmethod
    def of(cls, experience: Experience, dynamics: Dynamics) -> "Windows":
        """Turn experience into rows."""
        x = dynamics.rows(experience.obs_NTO, experience.action_NTA)
        return cls(
            x, dynamics.targets(experience.obs_NTO, experience.next_NTO), dynamics.view.actions
        )

    def draw(
        self, settings: MetaSettings, window: int, draw: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Rows and targets of S windows and the queries after them, (S, M + Q) and F or B."""
        tasks, length = settings.tasks, window + settings.queries
        runs, steps = self.x_NTF.shape[:2]
        run_S = torch.randint(runs, (tasks,), generator=draw)
        first_S = torch.randint(steps - length + 1, (tasks,), generator=draw)
        at = first_S.unsqueeze(1) + torch.arange(length)
        run_SM = run_S.unsqueeze(1).expand(-1, length)
        if settings.mixed:
            other_S = torch.randint(runs, (tasks,), generator=draw)
            some_S = torch.rand(tasks, generator=draw) < settings.mixed
            until_S = torch.where(some_S, torch.randint(window, (tasks,), generator=draw), 0)
            early = torch.arange(length) < until_S.unsqueeze(1)
            run_SM = torch.where(early, other_S.unsqueeze(1), run_SM)
        x, y = self.x_NTF[run_SM, at], self.y_NTB[run_SM, at]
        return self._rewired(x, settings, draw), y

    def _rewired(self, x_SMF: Tensor, settings: MetaSettings, draw: torch.Generator) -> Tensor:
        """The same motions of bodies with other motors."""
        shape = (len(x_SMF), 1, self.actions)
        stronger = (torch.rand(shape, generator=draw) * settings.stronger).exp()
        other = torch.rand(shape, generator=draw) < settings.inverted
        factor = torch.where(other, -stronger, stronger)
        some = torch.rand(len(x_SMF), 1, 1, generator=draw) < settings.rewired
        action = x_SMF[..., -self.actions :] / torch.where(some, factor, 1.0)
        return torch.cat([x_SMF[..., : -self.actions], action], -1)


def meta_train(
    learner: Meta,
    windows: Windows,
    settings: MetaSettings,
    draw: torch.Generator,
    say: Callable[[str], None] = lambda line: None,  # noqa: ARG005 - says nothing
) -> float:
    """Train a learner in place; give the mean loss of the last updates, a hundredth or ten."""
    adam = torch.optim.Adam(learner.parameters(), lr=settings.rate)
    late: list[float] = []
    for update in range(settings.updates):
        left = 1 - update / settings.updates
        for group in adam.param_groups:
            group["lr"] = settings.rate * max(left * min(1, (update + 1) / settings.warm), 0.01)
        loss = _loss(learner, windows, settings, draw)
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learner.parameters(), settings.clip)
        adam.step()
        late = [*late, loss.item()][-max(settings.updates // 100, 10) :]
        if (update + 1) % max(settings.updates // 10, 1) == 0:
            say(f"update {update + 1} of {settings.updates}: loss {sum(late) / len(late):.4f}")
    return sum(late) / len(late)


def _loss(learner: Meta, windows: Windows, settings: MetaSettings, draw: torch.Generator) -> Tensor:
    """The loss of one update."""
    spread = settings.window - settings.shortest + 1
    window = settings.shortest + int(torch.randint(spread, (), generator=draw))
    x, y = windows.draw(settings, window, draw)
    state = learner.begin(len(x))
    if window:
        state = learner.learn(state, x[:, :window], y[:, :window])
    said = learner.predict(state, x[:, window:])
    return learner.objective(said, y[:, window:]).mean()
