"""The JSON behind the page: figures for a person, and the histories that the charts draw."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from agent.service.figures import Figures
from agent.service.health import Health
from agent.service.report import Checkpoint, Memory
from agent.service.tally import Span, Tally

DIGITS = 5


@dataclass(frozen=True, slots=True)
class About:
    """What does not change while the daemon runs.

    Args:
        version: of the daemon.
        source: where events come from, in a few words and without secrets.
        sink: where answers go, likewise.
        name: what a person calls this daemon.
    """

    version: str
    source: str
    sink: str = ""
    name: str = "adaptd"


def standing(health: Health, wall: float) -> Mapping[str, Any]:
    """Give how a process stands, at a time in Unix seconds: what heads every /status.json."""
    ready = health.ready()
    return {
        "phase": health.phase,
        "ready": ready.ok,
        "alive": health.alive().ok,
        "reasons": ready.reasons,
        "uptime": health.uptime(),
        "wall": wall,
    }


def stored(checkpoint: Checkpoint | None, wall: float) -> Mapping[str, Any] | None:
    """Give the last checkpoint and its age; None before the first."""
    if checkpoint is None:
        return None
    return {**asdict(checkpoint), "age": max(0.0, wall - checkpoint.wall)}


class Status:
    """Puts tally and health together for whoever asks; `wall` is a clock, Unix seconds."""

    def __init__(
        self, about: About, tally: Tally, health: Health, wall: Callable[[], float]
    ) -> None:
        self._about = about
        self._tally = tally
        self._health = health
        self._wall = wall

    def now(self) -> bytes:
        """Give /status.json."""
        figures = self._tally.figures()
        return msgspec.json.encode(
            {
                "about": asdict(self._about),
                "goal": self._tally.goal,
                "metrics": self._tally.metrics,
                "window": self._tally.settings.window,
                "rare_window": self._tally.settings.rare_window,
                **standing(self._health, self._wall()),
                "figures": None if figures is None else self._figures(figures),
            }
        )

    def history(self, span: Span) -> bytes:
        """Give /history.json: columns of numbers, the oldest first; null where there is none."""
        names, rows = self._tally.history(span)
        rounded = _rounded(rows)
        rounded[:, :3] = np.round(rows[:, :3], 3)  # wall time, events, labels: whole
        columns = {name: rounded[:, i].tolist() for i, name in enumerate(names)}
        figures = self._tally.figures()
        marks = [] if figures is None else [asdict(mark) for mark in figures.marks]
        changes = [] if figures is None else [asdict(mark) for mark in figures.changes]
        return msgspec.json.encode({"columns": columns, "marks": marks, "changes": changes})

    def _figures(self, figures: Figures) -> Mapping[str, Any]:
        step = figures.step
        return {
            "events": figures.events,
            "predictions": figures.predictions,
            "labels": figures.labels,
            "refused": figures.refused,
            "seconds": figures.seconds,
            "rate": figures.rate,
            "run": asdict(figures.run),
            "window": asdict(figures.window),
            "delay": figures.delay,
            "voices": figures.voices,
            "drifts": figures.drifts,
            "marks_last": asdict(figures.marks[-1]) if figures.marks else None,
            "rare": figures.rare,
            "rare_share": figures.rare_share,
            "classes": len(step.classes),
            "pending": step.pending,
            "lag": step.lag,
            "event_time": step.event_time,
            "memory": _memory(step.memory),
            "tasks": None if step.tasks is None else asdict(step.tasks),
            "began": figures.began,
            "checkpoint_failures": step.checkpoint_failures,
            "checkpoint": stored(step.checkpoint, self._wall()),
        }


def _memory(memory: Memory) -> Mapping[str, Any]:
    return {
        "loss": memory.loss,
        "forgetting": memory.forgetting,
        "tasks": [asdict(one) for one in memory.tasks],
        "plasticity": memory.plasticity,
    }


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keep a few significant digits: an eighth of the bytes, and nothing that a chart shows."""
    with np.errstate(divide="ignore", invalid="ignore"):
        power = np.where(values == 0, 0.0, np.floor(np.log10(np.abs(values))))
    scale = 10.0 ** (DIGITS - 1 - power)
    return np.round(values * scale) / scale
