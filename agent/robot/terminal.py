"""The live table of robots on a terminal: nothing at all where there is no terminal."""

from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agent.robot.around import Curve
from agent.robot.measured import posterior
from agent.robot.tally import Figures, Tally
from agent.robot.turn import Turn
from agent.service.terminal import span

BAR = 24
SHOWN = 6  # changes, and figures of the belief


class RobotTable:
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
        self._tally, self._title, self._url, self._steps = tally, title, url, steps
        self._interval, self._due = interval, 0.0
        console = console or Console(stderr=True)
        live = Live(console=console, auto_refresh=False, redirect_stdout=False)
        self._live = live if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._draw()
            self._live.stop()

    def __call__(self, turn: Turn) -> None:
        """Draw anew, if it is time to."""
        if self._live is not None and turn.now >= self._due:
            self._due = turn.now + self._interval
            self._draw()

    def _draw(self) -> None:
        figures = self._tally.figures()
        if figures is not None and self._live is not None:
            shown = table(figures, self._tally.dt, self._steps)
            panel = Panel(shown, title=self._title, subtitle=self._url or None, title_align="left")
            self._live.update(panel, refresh=True)


def table(figures: Figures, dt: float, steps: int = 0) -> RenderableType:
    """Lay the figures out: the step, what is believed, the clock, the latest changes."""
    parts: list[RenderableType] = [_standing(figures, dt, steps)]
    beliefs = _beliefs(figures)
    if beliefs.row_count:
        parts += [Text(), beliefs]
    if figures.around:
        parts += [Text(), _changes(figures, dt)]
    return Group(*parts)


def _grid(*columns: str) -> Table:
    grid = Table.grid(padding=(0, 3))
    for justify in columns:
        grid.add_column(justify=justify, no_wrap=True)  # type: ignore[arg-type]  # rich's own words
    return grid


def _standing(figures: Figures, dt: float, steps: int) -> Table:
    turn = figures.turn
    grid = _grid("left", "right", "left")
    of = f" of {steps:,}" if steps else ""
    pace = figures.rate * dt
    grid.add_row("step", f"{turn.step:,}{of}", f"{span(turn.step * dt)}, {pace:.3g} x real time")
    reward = Text(_number(figures.reward), "bold cyan")
    grid.add_row("reward a step", reward, f"return {_number(figures.total)}")
    grid.add_row("surprise", Text(_number(figures.surprise), "bold cyan"), "")
    known = turn.bodies[0]
    believed = f"body {turn.body_N[0]}" if turn.body_N[0] >= 0 else "-"
    noun = "body" if known == 1 else "bodies"
    grid.add_row("believed body", Text(believed, "bold"), f"{known} {noun} remembered")
    if turn.truth and turn.truth[0]:
        grid.add_row("true body", Text(turn.truth[0], "bold"), f"changed {figures.altered} times")
    noticed = ", ".join(f"{count} {kind}" for kind, count in figures.noticed.items())
    grid.add_row("changes noticed", f"{sum(figures.noticed.values()):,}", noticed)
    if figures.falls:
        grid.add_row("falls", f"{figures.falls:,}", "", style="red")
    for name, (middle, most) in (("planner", figures.plan), ("learner", figures.learn)):
        late = figures.plan[1] + figures.learn[1] > dt
        word = Text(f"99 % within {span(most)}, the clock is {span(dt)}", "red" if late else "")
        grid.add_row(name, span(middle), word)
    return grid


def _beliefs(figures: Figures) -> Table:
    """Bars for probabilities of bodies; plain figures for the rest."""
    belief = figures.turn.belief[0] if figures.turn.belief else {}
    grid = _grid("left", "left", "right")
    for name, share in posterior(belief).items():
        filled = min(BAR, max(0, round(BAR * share)))
        bar = Text("━" * filled, "cyan") + Text("━" * (BAR - filled), "bright_black")
        grid.add_row(f"body {name}" if name.isdecimal() else name, bar, f"{100 * share:.0f} %")
    plain = [
        (name, value)
        for name, value in belief.items()
        if not name.startswith("body ") and name != "new body"
    ]
    for name, value in plain[:SHOWN]:
        grid.add_row(name, "", _number(value))
    return grid


def _changes(figures: Figures, dt: float) -> Table:
    grid = _grid("right", "left", "right", "right", "right", "left")
    grid.add_row("step", "body", "before", "first s", "later", "noticed", style="dim")
    for one in figures.around[-SHOWN:]:
        grid.add_row(f"{one.step:,}", one.what, *recovered(one, dt), noticed(one, dt))
    return grid


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
    if value != value:  # noqa: PLR0124 - not a number
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"  # noqa: PLR2004 - four digits
