"""Policy networks: what an observation looks like to a network, an actor, and a bank of actors.

An angle that turns all the way round is the same pose every 2 pi, but not the same number: it goes
in as sine and cosine, so that a robot that has rolled over once still knows where up is.

Shapes: X any leading axes, N robots, O observations, S senses, C context, A actions, K actors.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from typing_extensions import override

FAR = 8.0  # standard deviations: a sense is clipped there


class Senses(nn.Module):
    """Standardises observations; those that are angles become sine and cosine.

    Args:
        observations: O.
        angles: columns of an observation that are angles which may turn round, in radians.
    """

    def __init__(self, observations: int, angles: Sequence[int] = ()) -> None:
        super().__init__()
        turns = torch.zeros(observations, dtype=torch.bool)
        turns[list(angles)] = True
        self.turns_O = nn.Buffer(turns)
        self.mean_O = nn.Buffer(torch.zeros(observations))
        self.std_O = nn.Buffer(torch.ones(observations))
        self.size = observations + len(angles)

    def look(self, obs_XO: Tensor) -> None:
        """Take mean and standard deviation from these observations."""
        flat = obs_XO.reshape(-1, obs_XO.shape[-1])
        self.mean_O.copy_(flat.mean(0))
        self.std_O.copy_(flat.std(0).clamp(min=1e-3))

    @override
    def forward(self, obs_XO: Tensor) -> Tensor:
        """Give the senses, (X, S)."""
        x_XO = ((obs_XO - self.mean_O) / self.std_O).clamp(-FAR, FAR)
        if self.size == obs_XO.shape[-1]:
            return x_XO
        angle = obs_XO[..., self.turns_O]
        return torch.cat([x_XO[..., ~self.turns_O], angle.sin(), angle.cos()], -1)


def layers(sizes: Sequence[int], act: type[nn.Module], last: float = 1.0) -> nn.Sequential:
    """Build linear layers with an activation between; the last one's weights begin `last` large.

    Build it under `agent.nets.body.seeded`.
    """
    stack: list[nn.Module] = []
    for into, out in pairwise(sizes):
        linear = nn.Linear(into, out)
        nn.init.orthogonal_(linear.weight, 2**0.5)
        nn.init.zeros_(linear.bias)
        stack += [linear, act()]
    final = stack[-2]
    assert isinstance(final, nn.Linear)  # noqa: S101 - narrows the type: built four lines above
    nn.init.orthogonal_(final.weight, last)
    return nn.Sequential(*stack[:-1])


class Actor(nn.Module):
    """Gives the mean of an action from an observation and a context; build it under `seeded`.

    Args:
        observations: O.
        actions: A.
        context: C; 0 for a policy that is told nothing of its body.
        angles: see `Senses`.
        hidden: widths of the layers between.
    """

    def __init__(
        self,
        observations: int,
        actions: int,
        context: int = 0,
        angles: Sequence[int] = (),
        hidden: Sequence[int] = (128, 128),
    ) -> None:
        super().__init__()
        self.context, self.actions = context, actions
        self.senses = Senses(observations, angles)
        self.net = layers((self.senses.size + context, *hidden, actions), nn.Tanh, 0.01)

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> "Actor":
        """Build the one that these tensors are the `state_dict` of."""
        turns = tensors["senses.turns_O"]
        angles = turns.nonzero().flatten().tolist()
        shapes = widths(tensors)
        context = shapes[0] - len(turns) - len(angles)
        actor = cls(len(turns), shapes[-1], context, angles, shapes[1:-1])
        actor.load_state_dict(dict(tensors))
        return actor.requires_grad_(requires_grad=False)

    @override
    def forward(self, obs_XO: Tensor, context_XC: Tensor | None = None) -> Tensor:
        """Give the mean action, (X, A); it may lie outside of [-1, 1]."""
        sense = self.senses(obs_XO)
        x = sense if context_XC is None else torch.cat([sense, context_XC], -1)
        action: Tensor = self.net(x)
        return action


def widths(tensors: Mapping[str, Tensor]) -> list[int]:
    """Give the widths of an actor's layers, what goes in first, from its `state_dict`."""
    places = sorted(int(name.split(".")[1]) for name in tensors if name.endswith("weight"))
    weights = [tensors[f"net.{place}.weight"] for place in places]
    return [weights[0].shape[1], *(one.shape[0] for one in weights)]


class Bank:
    """K actors of one shape, each robot under the one that it is assigned.

    Args:
        actors: of one shape; the senses are each one's own.
    """

    def __init__(self, actors: Sequence[Actor]) -> None:
        self.actors = tuple(actors)

    def __call__(self, obs_NO: Tensor, context_NC: Tensor, which_N: Tensor) -> Tensor:
        """Give the mean actions (N, A) of the actors numbered `which_N`."""
        out_NA = obs_NO.new_empty((len(obs_NO), self.actors[0].actions))
        for number in which_N.unique().tolist():
            mine = which_N == number
            out_NA[mine] = self.actors[number](obs_NO[mine], context_NC[mine])
        return out_NA
