"""Meta-learning of where attention and network begin: evolution strategies over their starts.

A start is laid out flat: logs of bandwidths, recencies and step sizes, masses and first weights of
votes as they are, each in units of its kind's `SCALES`. A step draws, for each of some streams, a
direction e and goes through the stream twice, from start + e and start - e; the slope is their
difference in loss along e (antithetic evolution strategies: Salimans, Ho, Chen, Sidor & Sutskever
2017, Evolution strategies as a scalable alternative), and Adam follows its mean.

The loss is what a start is for: that of the network's two voices and of a fixed share over all of
the stack's, from the first row on, learning online as in use.

Shapes: N rows, V voices, P parameters of a start.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from agent.continual.mixing import Stream, lanes_of
from agent.continual.share import Share
from agent.learners.base import Classes, Learner
from agent.nets.starts import Starts

WORST = 10.0  # nats, or typical distances from the median, that one row can cost


SCALES = {
    "attention.bandwidths": 0.2,
    "attention.recencies": 0.4,
    "attention.masses": 0.1,
    "attention.rates": 0.4,
    "network.weights": 0.04,
}
"""How far each kind moves in one unit; what is not here is a step size, 0.4."""

PLAIN = ("attention.masses", "network.weights")  # not in logs


def flat(starts: Starts) -> Tensor:
    """Lay a start out in units of its scales, shape P."""
    parts = []
    for name, leaf in starts.named().items():
        value = leaf if name in PLAIN else leaf.clamp(min=1e-30).log()
        parts.append(value.flatten() / SCALES.get(name, 0.4))
    return torch.cat(parts)


def unflat(flat_P: Tensor, like: Starts) -> Starts:
    """Take a start up again; a recency that was none in `like` stays none."""
    named, at = {}, 0
    for name, old in like.named().items():
        value = flat_P[at : at + old.numel()].view_as(old) * SCALES.get(name, 0.4)
        at += old.numel()
        if name == "attention.masses":
            value = value.clamp(0, 1)
        elif name not in PLAIN:
            value = value.exp().clamp(max=1.0 if name == "attention.recencies" else 1e4)
            value = torch.where(old == 0, 0.0, value)
        named[name] = value
    return Starts.of(named)


def lost(learner: Learner, stream: Stream, block: int = 32) -> dict[str, float]:
    """Mean loss of each voice of a learner, and of a fixed share over them ("share").

    Log loss in nats; of numbers the absolute error, in the labels' mean distance from their median.
    """
    table = Share({"": learner}, spec=stream.spec)
    state = table.begin(1)
    each: list[Tensor] = []
    labels = torch.from_numpy(stream.y_N)
    unit = float((labels - labels.median()).abs().mean().clamp(min=1e-12))
    with torch.inference_mode():
        for x_TBF, y_TB, seen_TB, asked_B in lanes_of(stream, block):
            said, state = table.predict_then_learn(state, x_TBF, y_TB, seen_TB)
            if isinstance(said, Classes):
                logp = torch.cat([said.logp_TBVC, said.marginal().unsqueeze(2)], 2)[0]
                truth = y_TB[0, :, None, None].expand(-1, logp.shape[1], 1)
                loss = -logp.gather(2, truth).squeeze(2)
            else:
                mean = torch.cat([said.mean_TBV, said.moments()[0].unsqueeze(2)], 2)[0]
                loss = (mean - y_TB[0].unsqueeze(1)).abs() / unit
            each.append(loss.clamp(max=WORST)[asked_B])
    mean_V = torch.cat(each).double().mean(0).tolist()
    return dict(zip((*learner.voices, "share"), mean_V, strict=True))


def objective(losses: Mapping[str, float]) -> float:
    """Give what is brought down: the network's voices, and the share over all."""
    return (losses["linear"] + losses["hidden"] + losses["share"]) / 3


@dataclass(frozen=True, slots=True)
class StartsSettings:
    """How starts are meta-learned.

    Args:
        steps: of Adam, over which its step size falls.
        until: where to stop; 0: after all of them.
        streams: gone through, twice, in one step.
        rate: step size at its highest, in units of the scales; it falls to a tenth.
        reach: deviation of a direction, in units of the scales.
    """

    steps: int = 50
    until: int = 0
    streams: int = 12
    rate: float = 0.15
    reach: float = 1.0


Pairs = Sequence[tuple[int, Tensor, Tensor]]


def evolve(
    first_P: Tensor,
    differences: Callable[[Pairs], Sequence[float]],
    settings: StartsSettings,
    draw: torch.Generator,
    each: Callable[[int, Tensor], None],
) -> Tensor:
    """Walk down from a start; give where that led.

    Args:
        first_P: where to begin.
        differences: the loss from the first less that from the second of each (number of a stream,
            start, start).
        settings: how far and how long.
        draw: of directions.
        each: is told of every step, and where it has led.
    """
    at_P, m, v = first_P.clone(), torch.zeros_like(first_P), first_P.new_zeros(())
    for step in range(settings.until or settings.steps):
        e_SP = settings.reach * torch.randn(
            settings.streams, len(first_P), generator=draw, dtype=first_P.dtype
        )
        seeds = range(step * settings.streams, (step + 1) * settings.streams)
        found = differences(
            [(seed, at_P + e, at_P - e) for seed, e in zip(seeds, e_SP, strict=True)]
        )
        fall_S = torch.tensor(found, dtype=first_P.dtype)
        wide = 3 * fall_S.abs().median().clamp(min=1e-12)  # one odd stream is not to lead
        slope_P = (fall_S.clamp(-wide, wide).unsqueeze(1) * e_SP).mean(0) / (2 * settings.reach**2)
        m, v = torch.lerp(m, slope_P, 0.1), torch.lerp(v, slope_P.square().mean(), 0.05)
        unbias = math.sqrt(1 - 0.95 ** (step + 1)) / (1 - 0.9 ** (step + 1))
        pace = settings.rate * (1 - 0.9 * step / settings.steps)
        at_P = at_P - pace * unbias * m / (v.sqrt() + 1e-12)
        each(step, at_P)
    return at_P
