"""The picture of a life: return and surprise over time, changes marked, and what was believed.

Shapes: L steps.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from agent.robot.diary import KINDS, Change, Diary

if TYPE_CHECKING:  # it is loaded when a picture is drawn
    from matplotlib.axes import Axes

SMOOTH: Final = 0.5  # seconds of the running mean
INK, FAINT, BLUE, RED = "#17212b", "#8b98a5", "#1c6fb5", "#b8475a"
TINTS: Final = (
    "#dbe8f4",
    "#fbe7c9",
    "#d5efe8",
    "#f6dade",
    "#e4ddf5",
    "#e6eed3",
    "#efdccf",
    "#d9e6ec",
)
WIDE: Final = 0.06  # share of the width that a body's name needs


def draw(diary: Diary, path: Path, dt: float, title: str) -> None:
    """Draw a life into a file, whose suffix says the format.

    Args:
        diary: the life; one with no step gives no file.
        path: the file; its folder is made if need be.
        dt: seconds of a step.
        title: what ran.

    Raises:
        OSError: it cannot be written.
        ValueError: its suffix is no format of pictures.
    """
    if not len(diary):
        return
    from matplotlib import rc_context  # noqa: PLC0415 - only when a picture is asked for
    from matplotlib.figure import Figure  # noqa: PLC0415 - only when a picture is asked for

    path.parent.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(11, 6), layout="constrained")
    upper, lower, truth, belief = figure.subplots(
        4, 1, sharex=True, height_ratios=[4, 4, 0.45, 0.45]
    )
    seconds_L = diary.column("step") * dt
    window = max(1, round(SMOOTH / dt))
    _line(upper, seconds_L, diary.column("reward"), window, BLUE, "reward a step")
    _line(lower, seconds_L, diary.column("surprise"), window, RED, "surprise")
    _marks(upper, lower, diary, dt)
    names = _tints(diary)
    _band(truth, diary.truths(), seconds_L, dt, names, "body")
    _band(belief, diary.beliefs(), seconds_L, dt, names, "believed")
    upper.set_title(title, loc="left", fontsize=10, color=INK)
    belief.set_xlabel("seconds of the robot's time")
    with rc_context({"svg.hashsalt": "adaptd"}):
        figure.savefig(path, dpi=130, metadata=_unstamped(path))


def _unstamped(path: Path) -> dict[str, Any]:
    """Leave the date out, so that the same life gives the same bytes."""
    suffix = path.suffix.lower()
    return {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix, {})


def _line(
    axes: "Axes",
    seconds_L: NDArray[np.float64],
    value_L: NDArray[np.float64],
    window: int,
    colour: str,
    name: str,
) -> None:
    axes.plot(seconds_L, value_L, color=colour, alpha=0.22, linewidth=0.6)
    axes.plot(seconds_L, running(value_L, window), color=colour, linewidth=1.5)
    low, high = np.percentile(value_L, (0.2, 99.8))
    room = 0.08 * (high - low) or 1.0
    axes.set_ylim(low - room, high + room)
    axes.set_ylabel(name)
    axes.grid(axis="y", color="#e9edf1")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def running(value_L: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Give the mean of the last `window` values at each step; of fewer at the beginning.

    >>> running(np.array([0.0, 2.0, 4.0]), 2).tolist()
    [0.0, 1.0, 3.0]
    """
    total_L = np.cumsum(np.concatenate([[0.0], value_L]))
    end_L = np.arange(1, len(value_L) + 1)
    first_L = np.maximum(end_L - window, 0)
    mean_L: NDArray[np.float64] = (total_L[end_L] - total_L[first_L]) / (end_L - first_L)
    return mean_L


def _marks(upper: "Axes", lower: "Axes", diary: Diary, dt: float) -> None:
    """Dash the true changes; flag those that were noticed."""
    for change in diary.truths()[1:]:
        for axes in (upper, lower):
            axes.axvline((change.step - 1) * dt, color=INK, linestyle="--", linewidth=0.9)
    noticed_L, step_L = diary.column("noticed"), diary.column("step")
    top = lower.get_ylim()[1]
    for kind, marker in (("new", "v"), ("returned", "^")):
        at_L = step_L[noticed_L == KINDS[kind]] * dt
        if len(at_L):
            lower.scatter(
                at_L, np.full(len(at_L), top), marker=marker, color=INK, s=26, clip_on=False,
                label=f"noticed: {kind}", zorder=3,
            )  # fmt: skip
            lower.legend(loc="upper right", fontsize=8, frameon=False)
    fall_L = step_L[diary.column("falls") > 0] * dt
    if len(fall_L):
        upper.scatter(
            fall_L, np.full(len(fall_L), upper.get_ylim()[0]), marker="x", color=RED, s=18,
            clip_on=False, label="fall",
        )  # fmt: skip
        upper.legend(loc="lower right", fontsize=8, frameon=False)


def _tints(diary: Diary) -> dict[str, str]:
    """Give each name a colour, bodies and beliefs apart, in the order in which they came."""
    found: dict[str, str] = {"": "#f3f5f7"}
    for changes in (diary.truths(), diary.beliefs()):
        names = list(dict.fromkeys(change.what for change in changes if change.what))
        found |= {name: TINTS[at % len(TINTS)] for at, name in enumerate(names)}
    return found


def _band(
    axes: "Axes",
    changes: Sequence[Change],
    seconds_L: NDArray[np.float64],
    dt: float,
    tints: dict[str, str],
    name: str,
) -> None:
    """Draw a strip of names over time."""
    axes.set_ylabel(name, rotation=0, ha="right", va="center")
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    first, last = seconds_L[0] - dt, seconds_L[-1]
    axes.set_xlim(first, last)
    for begin, end, what in _spans(changes, dt, last):
        axes.axvspan(begin, end, color=tints[what], linewidth=0)
        if what and end - begin > WIDE * (last - first) * len(what) / 8:
            axes.text((begin + end) / 2, 0.5, what, ha="center", va="center", fontsize=8, color=INK,
                      transform=axes.get_xaxis_transform(), clip_on=True)  # fmt: skip


def _spans(changes: Sequence[Change], dt: float, last: float) -> Iterator[tuple[float, float, str]]:
    ends = [(one.step - 1) * dt for one in changes[1:]] + [last]
    for change, end in zip(changes, ends, strict=True):
        yield (change.step - 1) * dt, end, change.what
