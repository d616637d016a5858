"""The unit of a task's numbers: their mean and size, or 0 and 1 while few have been seen.

    m = (sum of y) / (1 + n),   s^2 = (1 + sum of (y - m)^2 + m^2) / (1 + n)
    mean = g m,   size = s^g,   g = n^2 / (n^2 + K^2),   K = 100

Ten shots move it by a hundredth, so a network that was meta-trained in plain numbers goes on as it
was; a stream's numbers of any size become plain ones. The moments are a running conjugate update,
so neither order nor cut matters; beyond `MOST` examples old ones fade.

Shapes: T tasks, B examples, O outputs.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

SLOW = 100.0  # K, examples at which the unit is halfway between plain and the task's
MOST = 10_000.0


def unit_begin(like: Tensor, tasks: int, outputs: int) -> dict[str, Tensor]:
    """Leaves of the plain unit, of the type of `like`."""
    zero = like.new_zeros(tasks, outputs)
    return {"unit.mean": zero, "unit.square": zero, "unit.mass": zero[:, :1]}


def unit_learn(state: Mapping[str, Tensor], y_TBO: Tensor, seen_TB: Tensor) -> dict[str, Tensor]:
    """Leaves after more numbers; those not seen change nothing, to the bit."""
    seen = seen_TB.unsqueeze(2)
    mean, mass = state["unit.mean"], state["unit.mass"]
    more = mass + seen.sum(1).to(mean.dtype)
    apart = torch.where(seen, y_TBO - mean.unsqueeze(1), 0.0)
    step = apart.sum(1) / (1 + more)
    about = torch.where(seen, apart - step.unsqueeze(1), 0.0)
    kept = more.clamp(max=MOST) / more.clamp(min=1.0)
    square = state["unit.square"] + about.square().sum(1) + (1 + mass) * step.square()
    return {
        "unit.mean": mean + step,
        "unit.square": torch.where(more > 0, kept, 1.0) * square,
        "unit.mass": more.clamp(max=MOST),
    }


def unit(state: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and size, each of shape T1O."""
    mass = state["unit.mass"]
    gate = mass**2 / (mass**2 + SLOW**2)
    variance = (1 + state["unit.square"]) / (1 + mass)
    return (gate * state["unit.mean"]).unsqueeze(1), (variance ** (gate / 2)).unsqueeze(1)
