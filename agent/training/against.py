"""A meta-trained learner against fine-tuning and a start from scratch, and what that says.

All learn the same supports of the same held-out tasks and answer the same queries, so differences
are taken task by task, and their intervals are of these differences.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agent.training.assess import SURE, Score

SHOTS = (0, 1, 5, 10)
STEPS = (0, 1, 5, 10)


@dataclass(frozen=True, slots=True)
class Cell:
    """One place of the table.

    Args:
        ours: the learner's score.
        rivals: the baselines' scores, by name.
        rival: the best baseline's name.
        gain: how much better ours is than that one, over the tasks.
        half_width: of the 95 % interval of that gain.
    """

    ours: Score
    rivals: Mapping[str, Score]
    rival: str
    gain: float
    half_width: float

    @property
    def verdict(self) -> str:
        """Say whether ours is better, worse, or neither beyond the interval."""
        if abs(self.gain) <= self.half_width:
            return "even"
        return "better" if self.gain > 0 else "worse"

    def row(self, name: str) -> dict[str, Any]:
        """Give the cell as a line of a table."""
        return {
            "shots": self.ours.shots,
            "steps": self.ours.steps,
            name: self.ours.said,
            **{rival: score.said for rival, score in self.rivals.items()},
            "gain": f"{self.gain:+.3g} ± {self.half_width:.2g}",
            "verdict": self.verdict,
        }


def cells(ours: Sequence[Score], rivals: Mapping[str, Sequence[Score]]) -> list[Cell]:
    """Put scores of the same tasks side by side.

    With no shots there is nothing to step on, and with no steps shots make no difference: of such
    places one is kept.
    """
    table = []
    for place, score in enumerate(ours):
        if (score.shots == 0) != (score.steps == 0):
            continue
        there = {name: scores[place] for name, scores in rivals.items()}
        table.append(_cell(score, there))
    return table


def _cell(ours: Score, rivals: Mapping[str, Score]) -> Cell:
    sign = -1 if ours.metric == "mse" else 1
    rival = max(rivals, key=lambda name: sign * rivals[name].mean)
    difference = sign * (ours.each - rivals[rival].each)
    half = SURE * float(difference.std(ddof=1)) / float(np.sqrt(len(difference)))
    return Cell(ours, rivals, rival, float(difference.mean()), half)


def verdict(table: Sequence[Cell], name: str) -> str:
    """Say in words whether meta-learning added value."""
    metric = table[0].ours.metric
    learned = [cell for cell in table if cell.ours.shots]
    better = [cell for cell in learned if cell.verdict == "better"]
    worse = [cell for cell in learned if cell.verdict == "worse"]
    counts = (
        f"of {len(learned)} places with shots and steps, {name} is better than the best baseline"
        f" beyond the 95 % interval at {len(better)}, worse at {len(worse)}"
    )
    if not better:
        return f"Meta-learning added no value here: {counts}."
    most = max(better, key=lambda cell: cell.gain)
    said = "Meta-learning added value" if len(better) > len(worse) else "Mixed"
    by = (
        f"most at {most.ours.shots} shots and {most.ours.steps} steps: {metric}"
        f" {most.ours.mean:.3g} against {most.rivals[most.rival].mean:.3g} of {most.rival}"
        f" (by {most.gain:.3g} ± {most.half_width:.2g})"
    )
    where = [f"{cell.ours.shots} shots, {cell.ours.steps} steps" for cell in worse]
    tail = f" Worse at {'; '.join(where)}." if where else ""
    return f"{said}: {counts}, {by}.{tail}"
