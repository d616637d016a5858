"""Watchers: a progress bar with the curve of validation, a file of history, TensorBoard."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from tensorboardX import SummaryWriter
from typing_extensions import override

from agent.training.keep import durable
from agent.training.watch import Row, Silent

HISTORY = "history.jsonl"
BARS = "▁▂▃▄▅▆▇█"
WIDTH = 24


def sparkline(values: Sequence[float], width: int = WIDTH) -> str:
    """Draw a curve in a line of text: the lowest value is the lowest bar.

    >>> sparkline([3.0, 2.0, 1.0, 1.0])
    '█▅▁▁'
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    parts = min(width, len(finite))
    shown = [finite[(part + 1) * len(finite) // parts - 1] for part in range(parts)]
    low, high = min(shown), max(shown)
    scale = (len(BARS) - 1) / ((high - low) or 1.0)
    return "".join(BARS[round((value - low) * scale)] for value in shown)


class Bar(Silent):
    """A progress bar; a context, since it holds the terminal."""

    def __init__(self, console: Console, title: str) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[said]}"),
            console=console,
        )
        self._task = self._progress.add_task(title, total=None, said="")
        self._rows: list[Row] = []

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    @override
    def began(self, iteration: int, iterations: int, rows: Sequence[Row]) -> None:
        self._rows = list(rows)
        self._progress.update(self._task, completed=iteration, total=iterations)

    @override
    def stepped(self, iteration: int) -> None:
        self._progress.update(self._task, completed=iteration)

    @override
    def noted(self, row: Row) -> None:
        self._rows.append(row)
        curve = sparkline([one.validation for one in self._rows])
        skipped = f", {row.skipped} skipped" if row.skipped else ""
        said = f"validation {row.validation:.4g}, best {row.best:.4g}{skipped} {curve}"
        self._progress.update(self._task, said=said)


class History(Silent):
    """Writes a line of JSON for each validation."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / HISTORY

    @override
    def began(self, iteration: int, iterations: int, rows: Sequence[Row]) -> None:
        """Lines after the checkpoint that a run is taken up from are written again."""
        durable(self._path, "".join(map(_line, rows)).encode())

    @override
    def noted(self, row: Row) -> None:
        with self._path.open("a") as file:
            file.write(_line(row))


def _line(row: Row) -> str:
    """Give a row as JSON, which has no NaN."""
    plain = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in asdict(row).items()
    }
    return json.dumps(plain) + "\n"


class Board(Silent):
    """Writes what TensorBoard shows: `tensorboard --logdir FOLDER`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: SummaryWriter | None = None

    @override
    def began(self, iteration: int, iterations: int, rows: Sequence[Row]) -> None:
        self._writer = SummaryWriter(str(self._folder), purge_step=iteration or None)

    @override
    def noted(self, row: Row) -> None:
        if self._writer is None:
            return
        figures = {"loss/train": row.train, "loss/validation": row.validation}
        figures |= {"loss/best": row.best, "steps/skipped": float(row.skipped)}
        for name, value in figures.items():
            if math.isfinite(value):
                self._writer.add_scalar(name, value, row.iteration, row.seconds)

    @override
    def ended(self, why: str) -> None:
        if self._writer is not None:
            self._writer.close()
