"""The JSON behind the robots' page, and the routes of their port."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import msgspec
import numpy as np

from agent.robot.around import Curve
from agent.robot.measured import posterior
from agent.robot.tally import Figures, Span, Tally
from agent.robot.terminal import recovered
from agent.service.health import Health
from agent.service.status import standing, stored
from agent.service.web import Reply, Route, page_routes, plain_routes

SMOOTH: Final = 0.25  # seconds of the running mean of the curves around a change


@dataclass(frozen=True, slots=True)
class Ran:
    """What does not change while robots run: for people, and for /status.json.

    Args:
        version: of the package.
        env: the environment.
        life: its schedule of bodies; empty where nobody knows it.
        controller: what drives.
        robots: how many.
        dt: seconds of a step.
        steps: of the life; 0 where it has no end.
        seed: of everything that is drawn.
    """

    version: str
    env: str
    life: str
    controller: str
    robots: int
    dt: float
    steps: int
    seed: int


class Status:
    """Puts tally and health together for whoever asks; `wall` is a clock, Unix seconds."""

    def __init__(self, ran: Ran, tally: Tally, health: Health, wall: Callable[[], float]) -> None:
        self._ran, self._tally, self._health, self._wall = ran, tally, health, wall

    def now(self) -> bytes:
        """Give /status.json."""
        figures = self._tally.figures()
        return msgspec.json.encode(
            {
                "about": asdict(self._ran),
                **standing(self._health, self._wall()),
                "figures": None if figures is None else self._figures(figures),
            }
        )

    def history(self, span: Span) -> bytes:
        """Give /history/*.json: columns of numbers, the oldest first; null where there is none."""
        names, rows = self._tally.history(span)
        figures = self._tally.figures()
        columns = {name: _short(rows[:, at].tolist()) for at, name in enumerate(names)}
        marks = [] if figures is None else [asdict(mark) for mark in figures.marks]
        body = {
            "columns": columns,
            "changes": [mark for mark in marks if mark["kind"] in {"body", "fall"}],
            "noticed": [mark for mark in marks if mark["kind"] in {"new", "returned"}],
            "truths": self._tally.truths(),
        }
        return msgspec.json.encode(body)

    def around(self) -> bytes:
        """Give /around.json: return and surprise by seconds since each change of the body."""
        figures = self._tally.figures()
        curves = () if figures is None else figures.around
        dt = self._tally.dt
        first = min((one.start for one in curves), default=0)
        end = max((one.start + len(one.reward) for one in curves), default=0)
        columns: dict[str, list[float | None]] = {
            "seconds": [round(at * dt, 4) for at in range(first, end)]
        }
        for one in curves:
            for name, values in (("reward", one.reward), ("surprise", one.surprise)):
                columns[f"{name}:{one.step}"] = _placed(values, one.start - first, end - first, dt)
        told = [_told(one, dt) for one in curves]
        return msgspec.json.encode({"columns": columns, "curves": told, "here": [{"seconds": 0}]})

    def _figures(self, figures: Figures) -> Mapping[str, Any]:
        turn = figures.turn
        belief = turn.belief[0] if turn.belief else {}
        return {
            "step": turn.step,
            "seconds": turn.step * self._tally.dt,
            "total": figures.total,
            "reward": figures.reward,
            "surprise": figures.surprise,
            "plan": figures.plan,
            "learn": figures.learn,
            "rate": figures.rate,
            "believed": int(turn.body_N[0]),
            "bodies": turn.bodies[0],
            "truth": turn.truth[0] if turn.truth else "",
            "posterior": posterior(belief),
            "belief": {
                name: value
                for name, value in belief.items()
                if not name.startswith("body ") and name != "new body"
            },
            "noticed": figures.noticed,
            "altered": figures.altered,
            "falls": figures.falls,
            "around": [_told(one, self._tally.dt) for one in figures.around],
            "checkpoint_failures": turn.checkpoint_failures,
            "checkpoint": stored(turn.checkpoint, self._wall()),
        }


def _told(one: Curve, dt: float) -> Mapping[str, Any]:
    before, first, later = recovered(one, dt)
    return {
        "step": one.step,
        "what": one.what,
        "was": one.was,
        "before": before,
        "first": first,
        "later": later,
        "noticed": None if one.noticed is None else one.noticed * dt,
        "kind": one.kind,
    }


def _placed(values: tuple[float, ...], at: int, size: int, dt: float) -> list[float | None]:
    """Smooth a curve and put it among `size` points, from `at` on."""
    window = max(1, round(SMOOTH / dt))
    kernel = np.ones(min(window, len(values))) / min(window, len(values))
    padded = np.concatenate([np.full(len(kernel) - 1, values[0]), values])
    smooth = _short(np.convolve(padded, kernel, "valid").tolist())
    return [None] * at + smooth + [None] * (size - at - len(smooth))


def _short(values: list[float]) -> list[float | None]:
    return [None if value != value else float(f"{value:.10g}") for value in values]  # noqa: PLR0124 - not a number


def routes(
    status: Status, health: Health, metrics: Callable[[], tuple[bytes, str]]
) -> dict[str, Route]:
    """Give every path that the robots' port answers, with what answers it."""
    return {
        **plain_routes(status, health, metrics),
        **page_routes("agent.robot", "adaptd robot", "robot.js", "robot.css"),
        "/around.json": lambda: Reply(status.around()),
    }
