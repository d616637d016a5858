"""The live table of robots on a terminal: nothing at all where there is no terminal."""

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from agent.robot.around import Curve
from agent.robot.measured import posterior
from agent.robot.tally import Figures, Tally
from agent.robot.turn import Turn
from agent.service.live import LivePanel, bar, grid, number, span

DIGITS = 3
SHOWN = 6  # changes, and figures of the belief


class RobotTable(LivePanel):
    """Shows the tally while the loop runs.

    Args:
        tally: told before this watcher is.
        title: what runs.
        url: where the page is; empty for none.
        steps: of the whole life; 0 where it has no end.
        console: where to draw; standard error by default.
        interval: seconds between two drawings at the least.
    """

    def __init__(
        self,
        tally: Tally,
        title: str,
        url: str = "",
        steps: int = 0,
        console: Console | None = None,
        interval: float = 0.5,
    ) -> None:
        super().__init__(title, url, console, interval)
        self._tally, self._steps = tally, steps

    def __call__(self, turn: Turn) -> None:
        """Draw anew, if it is time to."""
        self.draw_by(turn.now)

    @override
    def shown(self) -> RenderableType | None:
        """Give the table."""
        figures = self._tally.figures()
        return None if figures is None else table(figures, self._tally.dt, self._steps)


def table(figures: Figures, dt: float, steps: int = 0) -> RenderableType:
    """Lay the figures out: the step, what is believed, the clock, the latest changes."""
    parts: list[RenderableType] = [_standing(figures, dt, steps)]
    beliefs = _beliefs(figures)
    if beliefs.row_count:
        parts += [Text(), beliefs]
    if figures.around:
        parts += [Text(), _changes(figures, dt)]
    return Group(*parts)


def _standing(figures: Figures, dt: float, steps: int) -> Table:
    turn = figures.turn
    rows = grid("left", "right", "left")
    of = f" of {steps:,}" if steps else ""
    pace = figures.rate * dt
    rows.add_row("step", f"{turn.step:,}{of}", f"{span(turn.step * dt)}, {pace:.3g} x real time")
    reward = Text(_number(figures.reward), "bold cyan")
    rows.add_row("reward a step", reward, f"return {_number(figures.total)}")
    rows.add_row("surprise", Text(_number(figures.surprise), "bold cyan"), "")
    known = turn.bodies[0]
    believed = f"body {turn.body_N[0]}" if turn.body_N[0] >= 0 else "-"
    noun = "body" if known == 1 else "bodies"
    rows.add_row("believed body", Text(believed, "bold"), f"{known} {noun} remembered")
    if turn.truth and turn.truth[0]:
        rows.add_row("true body", Text(turn.truth[0], "bold"), f"changed {figures.altered} times")
    noticed = ", ".join(f"{count} {kind}" for kind, count in figures.noticed.items())
    rows.add_row("changes noticed", f"{sum(figures.noticed.values()):,}", noticed)
    if figures.falls:
        rows.add_row("falls", f"{figures.falls:,}", "", style="red")
    for name, (middle, most) in (("planner", figures.plan), ("learner", figures.learn)):
        late = figures.plan[1] + figures.learn[1] > dt
        word = Text(f"99 % within {span(most)}, the clock is {span(dt)}", "red" if late else "")
        rows.add_row(name, span(middle), word)
    return rows


def _beliefs(figures: Figures) -> Table:
    """Bars for probabilities of bodies; plain figures for the rest."""
    belief = figures.turn.belief[0] if figures.turn.belief else {}
    rows = grid("left", "left", "right")
    for name, share in posterior(belief).items():
        rows.add_row(
            f"body {name}" if name.isdecimal() else name, bar(share), f"{100 * share:.0f} %"
        )
    plain = [
        (name, value)
        for name, value in belief.items()
        if not name.startswith("body ") and name != "new body"
    ]
    for name, value in plain[:SHOWN]:
        rows.add_row(name, "", _number(value))
    return rows


def _changes(figures: Figures, dt: float) -> Table:
    rows = grid("right", "left", "right", "right", "right", "left")
    rows.add_row("step", "body", "before", "first s", "later", "noticed", style="dim")
    for one in figures.around[-SHOWN:]:
        rows.add_row(f"{one.step:,}", one.what, *recovered(one, dt), noticed(one, dt))
    return rows


def recovered(one: Curve, dt: float) -> tuple[str, str, str]:
    """Give the reward a step before a change, in the second after it, and from there on."""
    second = max(1, round(1 / dt))
    later = len(one.reward) + one.start
    means = (
        one.mean(one.start, 0) if one.start else None,
        one.mean(0, min(second, later)) if later else None,
        one.mean(second, later) if later > second else None,
    )
    first, after, then = ("-" if mean is None else _number(mean) for mean in means)
    return first, after, then


def noticed(one: Curve, dt: float) -> str:
    """Say when a change was noticed, and what it was taken for."""
    if one.noticed is None:
        return "not yet"
    return f"after {span(one.noticed * dt)}: {one.kind}"


def _number(value: float) -> str:
    return number(value, DIGITS)
