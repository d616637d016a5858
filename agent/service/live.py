"""A panel on a terminal that is drawn again and again, and what tables in it are made of."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))
BAR = 24


class LivePanel(ABC):
    """Draws what `shown` gives while a loop runs: a context, and nothing without a terminal.

    Args:
        title: what runs.
        url: where the page is; empty for none.
        console: where to draw; standard error by default, so that answers may go to standard out.
        interval: seconds between two drawings at the least.
    """

    def __init__(self, title: str, url: str, console: Console | None, interval: float) -> None:
        self._title, self._url = title, url
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
            self._draw(self._live)
            self._live.stop()

    @abstractmethod
    def shown(self) -> RenderableType | None:
        """Give what stands in the panel; None where there is nothing to show yet."""

    def draw_by(self, now: float) -> None:
        """Draw anew, if it is time to."""
        if self._live is not None and now >= self._due:
            self._due = now + self._interval
            self._draw(self._live)

    def _draw(self, live: Live) -> None:
        shown = self.shown()
        if shown is not None:
            panel = Panel(shown, title=self._title, subtitle=self._url or None, title_align="left")
            live.update(panel, refresh=True)


def grid(*columns: str) -> Table:
    """Give a table without lines, of columns that are "left" or "right"."""
    table = Table.grid(padding=(0, 3))
    for justify in columns:
        table.add_column(justify=justify, no_wrap=True)  # type: ignore[arg-type]  # rich's own words
    return table


def bar(share: float) -> Text:
    """Draw a share of 1 as a bar."""
    filled = min(BAR, max(0, round(BAR * share)))
    return Text("━" * filled, "cyan") + Text("━" * (BAR - filled), "bright_black")


def number(value: float, digits: int = 4) -> str:
    """Say a number in so many digits; large ones as whole ones."""
    if value != value:  # noqa: PLR0124 - not a number
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"  # noqa: PLR2004 - four digits


def span(seconds: float) -> str:
    """Say a time span with its unit: "1.5 h"."""
    if seconds != seconds:  # noqa: PLR0124 - not a number
        return "-"
    size, name = next((unit for unit in UNITS if abs(seconds) >= unit[0]), (0.001, "ms"))
    return f"{seconds / size:.3g} {name}"
