"""The live table on a terminal: a watcher, and nothing at all where there is no terminal."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agent.service.figures import Figures
from agent.service.report import Step
from agent.service.scorecard import Card
from agent.service.tally import Tally

NAMES = {
    "accuracy": "accuracy",
    "kappa": "kappa",
    "average_precision": "average precision",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R²",
}
UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))
BAR = 24


class LiveTable:
    """Shows the tally while the loop runs; `with LiveTable(...) as watch: ... watch(step)`.

    Args:
        tally: told before this watcher is.
        title: what runs.
        url: where the page is.
        console: where to draw; standard error by default, so that answers may go to standard out.
        interval: seconds between two drawings at the least.
    """

    def __init__(
        self,
        tally: Tally,
        title: str,
        url: str,
        console: Console | None = None,
        interval: float = 0.5,
    ) -> None:
        self._tally = tally
        self._title = title
        self._url = url
        self._interval = interval
        self._due = 0.0
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

    def __call__(self, step: Step) -> None:
        """Draw anew, if it is time to."""
        if self._live is not None and step.now >= self._due:
            self._due = step.now + self._interval
            self._draw()

    def _draw(self) -> None:
        figures = self._tally.figures()
        if figures is not None and self._live is not None:
            shown = table(figures, self._tally.metrics)
            panel = Panel(shown, title=self._title, subtitle=self._url, title_align="left")
            self._live.update(panel, refresh=True)


def table(figures: Figures, metrics: tuple[str, ...]) -> RenderableType:
    """Lay the figures out: counts, scores by window and run, experts."""
    return Group(_counts(figures), Text(), _scores(figures, metrics), Text(), _experts(figures))


def _grid(*columns: str) -> Table:
    grid = Table.grid(padding=(0, 3))
    for justify in columns:
        grid.add_column(justify=justify, no_wrap=True)  # type: ignore[arg-type]  # rich's own words
    return grid


def _counts(figures: Figures) -> Table:
    others = {name: count for name, count in figures.labels.items() if name != "joined" and count}
    grid = _grid("left", "right", "left")
    grid.add_row("events", f"{figures.events:,}", f"{_number(figures.rate)}/s")
    grid.add_row("labels", f"{figures.labels.get('joined', 0):,}", _spelled(others))
    lag = figures.step.lag
    behind = "records behind unknown" if lag is None else f"{lag:,} records behind"
    grid.add_row("pending", f"{figures.step.pending:,}", behind)
    refused = sum(figures.refused.values())
    grid.add_row("refused", f"{refused:,}", _spelled(figures.refused), style="red" * bool(refused))
    middle, most, _ = figures.delay
    grid.add_row("label delay", span(middle), f"90 % within {span(most)}")
    return grid


def _scores(figures: Figures, metrics: tuple[str, ...]) -> Table:
    grid = _grid("left", "right", "right")
    grid.add_row("", f"last {figures.window.labels:,}", "run", style="dim")
    for name in ("loss", *metrics):
        window, run = _of(figures.window, name), _of(figures.run, name)
        grid.add_row(NAMES.get(name, name), Text(_number(window), "bold cyan"), _number(run))
    grid.add_row("drifts", f"{figures.drifts:,}", _last_drift(figures))
    return grid


def _experts(figures: Figures) -> Table:
    grid = _grid("left", "left", "right")
    for name, weight in figures.voices.items():
        filled = round(BAR * weight)
        bar = Text("━" * filled, "cyan") + Text("━" * (BAR - filled), "bright_black")
        grid.add_row(name, bar, f"{100 * weight:.0f} %")
    return grid


def _of(card: Card, name: str) -> float:
    return float(getattr(card, name))


def _last_drift(figures: Figures) -> str:
    if not figures.marks:
        return ""
    return f"last {span(figures.step.wall - figures.marks[-1].wall)} ago"


def _spelled(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())


def _number(value: float) -> str:
    if value != value:  # noqa: PLR0124 - not a number
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"  # noqa: PLR2004 - four digits


def span(seconds: float) -> str:
    """Say a time span with its unit: "1.5 h"."""
    if seconds != seconds:  # noqa: PLR0124 - not a number
        return "-"
    size, name = next((unit for unit in UNITS if abs(seconds) >= unit[0]), (0.001, "ms"))
    return f"{seconds / size:.3g} {name}"
