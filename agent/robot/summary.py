"""What a life came to, a line a body: told when a run ends.

Shapes: L steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from agent.robot.diary import KINDS, Diary

SECOND: Final = 1.0
NAMES: Final = {code: kind for kind, code in KINDS.items() if kind}


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a life with one body; of the first robot where it is about one.

    Args:
        step: its first step.
        steps: how many.
        body: its name; empty where nobody tells.
        first: mean reward a step in its first second.
        later: in the rest of it; NaN where there is none.
        noticed: steps until the change was noticed; None where it was not, or there was none.
        kind: what it was taken for.
        alarms: changes noticed besides.
        falls: of all robots.
    """

    step: int
    steps: int
    body: str
    first: float
    later: float
    noticed: int | None
    kind: str
    alarms: int
    falls: int


def phases(diary: Diary, dt: float) -> Sequence[Phase]:
    """Cut a life at the true changes of its body."""
    step_L = diary.column("step").astype(int)
    reward_L, noticed_L = diary.column("reward"), diary.column("noticed")
    falls_L = diary.column("falls")
    begun = list(diary.truths())
    ends = [one.step for one in begun[1:]] + [int(step_L[-1]) + 1 if len(step_L) else 0]
    second = max(1, round(SECOND / dt))
    found = []
    for at, (change, end) in enumerate(zip(begun, ends, strict=True)):
        inside_L = (step_L >= change.step) & (step_L < end)
        reward, noticed = reward_L[inside_L], noticed_L[inside_L]
        when = np.flatnonzero(noticed)
        told = int(when[0]) + 1 if at and len(when) else None
        found.append(Phase(
            step=change.step - 1,
            steps=len(reward),
            body=change.what,
            first=float(reward[:second].mean()),
            later=float(reward[second:].mean()) if len(reward) > second else float("nan"),
            noticed=told,
            kind=NAMES[float(noticed[when[0]])] if told else "",
            alarms=len(when) - (told is not None),
            falls=int(falls_L[inside_L].sum()),
        ))  # fmt: skip
    return found


def tell(diary: Diary, dt: float, console: Console) -> None:
    """Print a line a body."""
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    shown.add_column("step", justify="right")
    shown.add_column("body")
    for name in ("steps", "first s", "later"):
        shown.add_column(name, justify="right")
    shown.add_column("noticed")
    shown.add_column("alarms besides", justify="right")
    shown.add_column("falls", justify="right")
    for one in phases(diary, dt):
        after = "" if one.noticed is None else f"after {one.noticed} steps: {one.kind}"
        shown.add_row(
            f"{one.step:,}", one.body or "-", f"{one.steps:,}", f"{one.first:.4g}",
            "-" if np.isnan(one.later) else f"{one.later:.4g}", after, str(one.alarms),
            str(one.falls),
        )  # fmt: skip
    console.print("reward a step, by body:")
    console.print(shown)
