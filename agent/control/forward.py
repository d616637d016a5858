"""A model of one body: the change of an observation that an action brings, and how sure that is.

    p(o' - o | o, u) = Normal(r m(o, u), r s(o, u))      r: how much each number moves in a step

Trained by the likelihood weighted by the square root of the variance (Seitzer et al. 2022, On the
pitfalls of heteroscedastic uncertainty estimation): as sharp where contacts make it unsure as
where it is sure.

Shapes: X any leading axes, B transitions, O observations, A actions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.control.policy import Senses, layers

LEAST, MOST = -5.0, 1.5  # log of the scale, in units of r
CHANGE = 12.0  # units of r: no change is taken for a larger one


class Forward(nn.Module):
    """Build it under `agent.nets.body.seeded`.

    Args:
        observations: O.
        actions: A.
        angles: see `Senses`.
        hidden: widths of the layers between.
    """

    def __init__(
        self,
        observations: int,
        actions: int,
        angles: Sequence[int] = (),
        hidden: Sequence[int] = (192, 192),
    ) -> None:
        super().__init__()
        self.actions = actions
        self.senses = Senses(observations, angles)
        self.net = layers((self.senses.size + actions, *hidden, 2 * observations), nn.SiLU, 0.1)
        self.rise_O = nn.Buffer(torch.ones(observations))

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> "Forward":
        """Build the one that these tensors are the `state_dict` of."""
        turns = tensors["senses.turns_O"]
        names = sorted(
            (name for name in tensors if name.endswith("weight")),
            key=lambda name: int(name.split(".")[1]),
        )
        angles = turns.nonzero().flatten().tolist()
        actions = tensors[names[0]].shape[1] - len(turns) - len(angles)
        hidden = [tensors[name].shape[0] for name in names[:-1]]
        model = cls(len(turns), actions, angles, hidden)
        model.load_state_dict(dict(tensors))
        return model.requires_grad_(requires_grad=False)

    @override
    def forward(self, obs_XO: Tensor, action_XA: Tensor) -> tuple[Tensor, Tensor]:
        """Give mean and standard deviation of the change of the observation, each (X, O)."""
        mean_XO, log_XO = self.standard(obs_XO, action_XA)
        return mean_XO * self.rise_O, log_XO.exp() * self.rise_O

    def standard(self, obs_XO: Tensor, action_XA: Tensor) -> tuple[Tensor, Tensor]:
        """Give mean and log of the scale of the change, in units of r."""
        said = self.net(torch.cat([self.senses(obs_XO), action_XA], -1))
        mean_XO, log_XO = said.chunk(2, -1)
        return mean_XO, LEAST + (MOST - LEAST) * (0.5 * log_XO).sigmoid()


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How a model of a body is fitted.

    Args:
        steps: of descent.
        batch: transitions a step.
        rate: of Adam at the start; it falls to nothing along a cosine.
    """

    steps: int = 12000
    batch: int = 512
    rate: float = 2e-3

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; give more than 0")


def fit(
    model: Forward,
    moves: tuple[Tensor, Tensor, Tensor],
    settings: FitSettings,
    draw: torch.Generator,
) -> float:
    """Fit a model in place to transitions: observations (B, O), actions (B, A), changes (B, O).

    Gives the mean squared error of the last tenth of the steps, in units of the changes' variance.
    """
    obs_BO, action_BA, change_BO = moves
    model.senses.look(obs_BO)
    model.rise_O.copy_(change_BO.std(0).clamp(min=1e-6))
    target_BO = (change_BO / model.rise_O).clamp(-CHANGE, CHANGE)
    adam = torch.optim.Adam(model.parameters(), settings.rate)
    fade = torch.optim.lr_scheduler.CosineAnnealingLR(adam, settings.steps)
    late: list[float] = []
    for step in range(settings.steps):
        rows = torch.randint(len(obs_BO), (settings.batch,), generator=draw)
        mean_BO, log_BO = model.standard(obs_BO[rows], action_BA[rows])
        wrong_BO = (target_BO[rows] - mean_BO).square()
        lost_BO = 0.5 * wrong_BO * (-2 * log_BO).exp() + log_BO
        adam.zero_grad()
        (lost_BO * log_BO.detach().exp()).mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        adam.step()
        fade.step()
        if step >= 0.9 * settings.steps:
            late.append(float(wrong_BO.detach().mean()))
    model.requires_grad_(requires_grad=False)
    return sum(late) / max(len(late), 1)
