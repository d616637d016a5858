"""A step size of its own for every parameter, tuned online; steps bounded, and held back when calm.

Autostep (Mahmood, Sutton, Degris & Pilarski 2012, Tuning-free step-size adaptation) on top of the
normalised gradient of Adam (Kingma & Ba 2015), for the mean gradient g of a block of rows:

    m <- lerp(m, g),  v <- lerp(v, g g),  d = m / sqrt(v)          (moments, unbiased)
    s <- max(|g h|, lerp(s, |g h|, 1/20))                           (their eq. 4)
    log a <- lerp(log a + tune (-g h) / s, start, leak)             (eq. 5; IDBD in Sutton 1992)
    w <- w + e,   e = -a d gate bound,   h <- decay h + e           (h: how w follows log a)

A parameter whose gradient goes on pointing where it has been moved is given larger steps, one that
is thrown to and fro smaller ones. What differs from Autostep: d stands for the gradient, and the
trace h forgets at one pace instead of by each input's square, which a mean gradient does not tell;
and step sizes are drawn back to their (meta-learned) start, else they wander off on long streams.

`gate` protects what earlier rows needed: importance is the running squared gradient, as in online
EWC (Schwarz et al. 2018, eq. 9), and shrinks the step while the error is at its usual level;
surprise, an error above that level, opens it again. `bound` is in the spirit of ObGD (Elsayed,
Vasan & Mahmood 2024, eq. 5): to first order the step takes away at most 1 / kappa of the error.

Shapes: T tasks, P parameters.
"""

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor

from agent.nets.plasticity import Plasticity

LEAST, MOST = -12.0, -0.7  # of a log step size
SLOW = 0.05  # 1/tau of the normaliser s
USUAL, LATELY = 0.02, 0.3  # paces of the two levels of the error, per block
STARTLED = 1.5  # times its usual level: nothing is held back


def autostep_begin(name: str, weight_TP: Tensor, step_TP: Tensor) -> dict[str, Tensor]:
    """Give the leaves that `autostep` keeps for a weight, with the logs of the first step sizes."""
    moments = {f"{name}.{leaf}": torch.zeros_like(weight_TP) for leaf in ("m", "v", "trace", "s")}
    return {
        name: weight_TP,
        **moments,
        f"{name}.step": step_TP.clamp(LEAST, MOST),
        f"{name}.n": torch.zeros_like(weight_TP[:, :1]),
        f"{name}.level": torch.zeros_like(weight_TP[:, :2]),  # of the error: usual, lately
    }


def autostep(
    state: Mapping[str, Tensor],
    name: str,
    grad_TP: Tensor,
    error_T: Tensor,
    busy_T: Tensor,
    how: Plasticity,
    start_1P: Tensor,
) -> dict[str, Tensor]:
    """One step against a gradient; give the leaves that change.

    Tasks that are not `busy_T`, or whose gradient is not finite, stay as they are. `error_T` is
    the size of the error that the gradient is to take away, in the unit of the loss, `start_1P` the
    log of the first step sizes.
    """
    weight, m, v, step = (state[name + leaf] for leaf in ("", ".m", ".v", ".step"))
    square = grad_TP * grad_TP
    sound = square.amax(1) < torch.inf  # not where a number is missing, either
    busy_T1 = (busy_T & sound).unsqueeze(1)
    count = state[f"{name}.n"] + busy_T1
    pace = _paces(count, how)
    step, size = _tuned(grad_TP, state[f"{name}.trace"], step, state[f"{name}.s"], how.tune)
    step.lerp_(start_1P, how.leak)
    m, v = torch.lerp(m, grad_TP, pace[:, :1]), torch.lerp(v, square, pace[:, 1:2])
    error_T1 = error_T.unsqueeze(1)
    level = torch.lerp(state[f"{name}.level"], error_T1, pace[:, 2:])
    move = step.exp().mul_(m).div_(v.sqrt().add_(1e-8)).neg_()
    if how.guard > 0:
        _hold(move, v, level, how.guard)
    if how.bound > 0:
        fall = torch.linalg.vecdot(move, grad_TP).unsqueeze(1).clamp_(max=-1e-12)
        move.mul_((error_T1 / fall).mul_(-1 / how.bound).clamp_(max=1))
    after = {
        name: weight + move,
        f"{name}.m": m,
        f"{name}.v": v,
        f"{name}.trace": torch.add(move, state[f"{name}.trace"], alpha=how.trace),
        f"{name}.s": size,
        f"{name}.step": step,
        f"{name}.level": level,
    }
    if not bool(busy_T1.all()):
        after = {key: torch.where(busy_T1, leaf, state[key]) for key, leaf in after.items()}
    return {**after, f"{name}.n": count}


def _tuned(
    grad_TP: Tensor, trace_TP: Tensor, step_TP: Tensor, size_TP: Tensor, tune: float
) -> tuple[Tensor, Tensor]:
    """Log step sizes after this gradient, and the normaliser."""
    agree = (grad_TP * trace_TP).neg_()
    large = agree.abs()
    size = torch.lerp(size_TP, large, SLOW)
    torch.maximum(size, large, out=size)
    step = torch.addcdiv(step_TP, agree, torch.add(size, 1e-20, out=large), value=tune)
    return step.clamp_(LEAST, MOST), size


def _paces(count_T1: Tensor, how: Plasticity) -> Tensor:
    """Of the moments and of the levels, shape T4: averages of all at first, running ones later."""
    least = _least(1 - how.momentum, 1 - how.memory, count_T1.device)
    return torch.maximum(count_T1.clamp(min=1).reciprocal_(), least)


@cache
def _least(momentum: float, memory: float, device: torch.device) -> Tensor:
    with torch.inference_mode(mode=False):
        return torch.tensor([[momentum, memory, USUAL, LATELY]], device=device)


def _hold(move_TP: Tensor, importance_TP: Tensor, level_T2: Tensor, guard: float) -> None:
    """Hold back, in place, what is important, by as much as the error is at its usual level."""
    usual, lately = level_T2.split(1, 1)
    calm = (STARTLED - lately / usual.clamp(min=1e-12)).clamp_(0, 1)
    mean = importance_TP.mean(1, keepdim=True).add_(1e-30)
    held = (importance_TP + mean).reciprocal_().mul_(importance_TP).mul_(move_TP)
    move_TP.addcmul_(held, calm, value=-guard)


def keep_size(inner_TFH: Tensor) -> None:
    """Scale the weights before a normalised layer back to the size of their start, in place.

    The layer says the same. Without it they grow for ever, and steps move them less and less (Lyle
    et al. 2024, Normalization and effective learning rates in reinforcement learning).
    """
    start = (inner_TFH.shape[2] / 3) ** 0.5
    size = inner_TFH.flatten(1).norm(dim=1).clamp(min=1e-6)
    inner_TFH.mul_((start / size)[:, None, None])
