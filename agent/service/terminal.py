"""The live table on a terminal: a watcher, and nothing at all where there is no terminal."""

from collections.abc import Mapping

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from agent.service.figures import Figures
from agent.service.live import LivePanel, bar, grid, number, span
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


class LiveTable(LivePanel):
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
        super().__init__(title, url, console, interval)
        self._tally = tally

    def __call__(self, step: Step) -> None:
        """Draw anew, if it is time to."""
        self.draw_by(step.now)

    @override
    def shown(self) -> RenderableType | None:
        """Give the table."""
        figures = self._tally.figures()
        return None if figures is None else table(figures, self._tally.metrics)


def table(figures: Figures, metrics: tuple[str, ...]) -> RenderableType:
    """Lay the figures out: counts, scores by window and run, experts."""
    return Group(_counts(figures), Text(), _scores(figures, metrics), Text(), _experts(figures))


def _counts(figures: Figures) -> Table:
    others = {name: count for name, count in figures.labels.items() if name != "joined" and count}
    rows = grid("left", "right", "left")
    rows.add_row("events", f"{figures.events:,}", f"{number(figures.rate)}/s")
    rows.add_row("labels", f"{figures.labels.get('joined', 0):,}", _spelled(others))
    lag = figures.step.lag
    behind = "records behind unknown" if lag is None else f"{lag:,} records behind"
    rows.add_row("pending", f"{figures.step.pending:,}", behind)
    refused = sum(figures.refused.values())
    rows.add_row("refused", f"{refused:,}", _spelled(figures.refused), style="red" * bool(refused))
    middle, most, _ = figures.delay
    rows.add_row("label delay", span(middle), f"90 % within {span(most)}")
    return rows


def _scores(figures: Figures, metrics: tuple[str, ...]) -> Table:
    rows = grid("left", "right", "right")
    rows.add_row("", f"last {figures.window.labels:,}", "run", style="dim")
    for name in ("loss", *metrics):
        window, run = _of(figures.window, name), _of(figures.run, name)
        rows.add_row(NAMES.get(name, name), Text(number(window), "bold cyan"), number(run))
    rows.add_row("drifts", f"{figures.drifts:,}", _last_drift(figures))
    return rows


def _experts(figures: Figures) -> Table:
    rows = grid("left", "left", "right")
    for name, weight in figures.voices.items():
        rows.add_row(name, bar(weight), f"{100 * weight:.0f} %")
    return rows


def _of(card: Card, name: str) -> float:
    return float(getattr(card, name))


def _last_drift(figures: Figures) -> str:
    if not figures.marks:
        return ""
    return f"last {span(figures.step.wall - figures.marks[-1].wall)} ago"


def _spelled(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
