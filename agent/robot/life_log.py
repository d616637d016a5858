"""What happened at each step, in a CSV file and for TensorBoard."""

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TextIO

from agent.robot.turn import Turn

HEAD: Final = (
    "step", "seconds", "robot", "reward", "return", "surprise", "change", "believed", "bodies",
    "truth", "fallen", "plan_ms", "learn_ms", "belief",
)  # fmt: skip


class CsvLog:
    """A line a robot and step. A resumed life goes on where its checkpoint stood.

    Args:
        path: the file; its folder is made if need be.
        dt: seconds of a step.
        since: steps of the life that a checkpoint covers; lines of later ones are cut off, and a
            file that was there is begun anew where it is 0.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, dt: float, since: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._returns: dict[int, float] = {}
        kept = self._kept(path, since) if since and path.is_file() else [",".join(HEAD)]
        part = path.with_name(f"{path.name}.part")
        part.write_text("\n".join(kept) + "\n", encoding="utf-8")
        os.replace(part, path)  # noqa: PTH105 - Path.replace says less of what happens
        self._file: TextIO = path.open("a", 1, encoding="utf-8", newline="")  # a line at a time
        self._lines = csv.writer(self._file, lineterminator="\n")
        self._dt = dt

    def _kept(self, path: Path, since: int) -> list[str]:
        """Give the lines up to a step, and take note of the returns there."""
        head, *lines = path.read_text(encoding="utf-8").splitlines()
        kept = [head]
        for line in lines:
            cells = line.split(",")
            if len(cells) >= len(HEAD) and int(cells[0]) <= since:
                kept.append(line)
                self._returns[int(cells[2])] = float(cells[4])
        return kept

    def __call__(self, turn: Turn) -> None:
        """Write one step."""
        for at, reward in enumerate(turn.reward_N.tolist()):
            self._returns[at] = self._returns.get(at, 0.0) + reward
            self._lines.writerow(
                (
                    turn.step,
                    f"{turn.step * self._dt:.4f}",
                    at,
                    f"{reward:.9g}",
                    repr(self._returns[at]),
                    f"{turn.surprise_N[at]:.9g}",
                    turn.change[at],
                    int(turn.body_N[at]),
                    turn.bodies[at],
                    turn.truth[at],
                    int(turn.fallen_N[at]),
                    f"{1000 * turn.spent.plan:.3f}",
                    f"{1000 * turn.spent.learn:.3f}",
                    spelled(turn.belief[at] if turn.belief else {}),
                )
            )

    def flush(self) -> None:
        """Hand over what is written."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def spelled(belief: Mapping[str, float]) -> str:
    """Give a belief as one cell: "gain of elbow=-0.98;body 0=0.01"."""
    return ";".join(f"{name}={value:.4g}" for name, value in belief.items())


class BoardLog:
    """Writes what TensorBoard shows.

    Args:
        folder: of the run.
        since: steps that a checkpoint covers: what stands there of later ones is hidden.
    """

    def __init__(self, folder: Path, since: int = 0) -> None:
        from tensorboardX import SummaryWriter  # noqa: PLC0415 - only when asked for

        options: dict[str, Any] = {"purge_step": since + 1} if since else {}
        self._writer = SummaryWriter(str(folder), **options)
        self._return = 0.0

    def __call__(self, turn: Turn) -> None:
        """Write one step."""
        self._return += float(turn.reward_N.mean())
        figures = {
            "reward": float(turn.reward_N.mean()),
            "return": self._return,
            "surprise": float(turn.surprise_N.mean()),
            "believed body": float(turn.body_N[0]),
            "bodies remembered": float(turn.bodies[0]),
            "planner milliseconds": 1000 * turn.spent.plan,
            "learner milliseconds": 1000 * turn.spent.learn,
        }
        belief: Sequence[tuple[str, float]] = tuple(turn.belief[0].items()) if turn.belief else ()
        figures |= {f"belief/{name}": value for name, value in belief}
        for name, value in figures.items():
            self._writer.add_scalar(name, value, turn.step, walltime=turn.wall)
        if turn.altered:
            self._writer.add_text("body", turn.truth[0], turn.step, walltime=turn.wall)

    def close(self) -> None:
        """Hand over and close."""
        self._writer.close()
