"""What the gait in use earns, window by window, and when that is no longer what it was.

A window is poor where it is below the mean by so many deviations and by a share of the mean, and
weak where it is below by one deviation and that share. Poor windows in a row, or falls, or twice
as many weak windows, are a change.

Shapes: N robots.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from agent.faults import at_least
from agent.learners.base import State

SKIPPED = 2  # windows after a gait begins that tell nothing yet
KNOWN = 2  # windows that a mean and a spread need
MEMORY = 5  # windows that the spread is of, about
STILL = 0.05  # reward a step: no window is thought to be steadier


@dataclass(frozen=True, slots=True)
class PaceSettings:
    """When what a gait earns is a change.

    Args:
        window: steps of control.
        alarm: standard deviations below the mean from which on a window is poor.
        drop: share of the mean that a poor or weak window is below it, at the least.
        plunge: a share of the mean that makes a window poor, however windows vary.
        patience: poor windows, or falls, in a row that are a change.
        memory: windows that the mean is of, about.
    """

    window: int = 20
    alarm: float = 2.5
    drop: float = 0.2
    plunge: float = 0.6
    patience: int = 2
    memory: int = 10

    def __post_init__(self) -> None:
        at_least(1, self, "window", "patience", "memory")
        for name in ("drop", "plunge"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give a share above 0, to 1")


def begun(robots: int) -> dict[str, Tensor]:
    """Give the leaves of robots whose gait has just begun."""
    whole, number = torch.zeros(robots, dtype=torch.int64), torch.zeros(robots)
    counts = {"step": whole, "low": whole, "paced": whole - SKIPPED}
    return {**counts, **dict.fromkeys(("total", "pace", "spread", "surprise"), number)}


def anew(state: State, fresh_N: Tensor) -> State:
    """Forget what the gait of some earned: they begin one."""
    fresh = begun(len(fresh_N))
    del fresh["surprise"]
    leaves = {name: torch.where(fresh_N, leaf, state[name]) for name, leaf in fresh.items()}
    return {**state, **leaves}


def watched(
    state: State, steady_N: Tensor, fell_N: Tensor, of: PaceSettings
) -> tuple[State, Tensor]:
    """Judge windows that are full, of robots that are steady; say where there was a change."""
    full_N, fall_N = steady_N & (state["step"] >= of.window), steady_N & fell_N
    off_N = state["pace"] - state["total"] / of.window
    spread_N = state["spread"].sqrt().clamp(min=STILL)
    known_N = full_N & (state["paced"] >= KNOWN)
    far_N = torch.minimum(of.alarm * spread_N, of.plunge * state["pace"].abs())
    least_N = (of.drop * state["pace"]).clamp(min=2 * STILL)
    poor_N = (known_N & (off_N > torch.maximum(far_N, least_N))) | fall_N
    weak_N = known_N & (off_N > torch.maximum(spread_N, least_N))
    good_N = full_N & ~weak_N & ~fall_N
    low_N = state["low"] + torch.where(poor_N, 2, weak_N.long())
    low_N = torch.where(good_N, 0, low_N)
    alarm_N = steady_N & (low_N >= 2 * of.patience)
    surprise_N = torch.where(known_N, off_N / spread_N, state["surprise"])
    ends_N = (full_N | fall_N) & ~alarm_N
    return {
        **state,
        **_averaged(state, off_N, good_N, of),
        "low": low_N,
        "surprise": torch.where(fall_N, of.alarm, surprise_N),
        "step": torch.where(ends_N, 0, state["step"]),
        "total": torch.where(ends_N, 0.0, state["total"]),
    }, alarm_N


def _averaged(state: State, off_N: Tensor, good_N: Tensor, of: PaceSettings) -> dict[str, Tensor]:
    """Move mean and spread by windows that are as they should be."""
    count_N = state["paced"] + 1
    counts_N = good_N & (count_N > 0)
    slow_N = torch.where(counts_N, 1 / count_N.clamp(1, of.memory), 0.0)
    fast_N = torch.where(counts_N, 1 / count_N.clamp(1, MEMORY), 0.0)
    return {
        "pace": state["pace"] - slow_N * off_N,
        "spread": state["spread"] + fast_N * ((1 - fast_N) * off_N**2 - state["spread"]),
        "paced": state["paced"] + good_N.long(),
    }
