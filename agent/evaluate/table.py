"""The results as a table, for a terminal and for a page."""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from agent.evaluate.measures import FIGURES
from agent.evaluate.plan import Result

NARROW, NAME = 100, 20  # columns
SPARED = ("events", "events/s (whole)")
TITLES = {
    "accuracy": "accuracy",
    "kappa": "kappa",
    "log_loss": "log loss",
    "average_precision": "average precision",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R²",
}


def cells(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Give the titles and, a model a row, the cells; figures that no model has are left out."""
    shown = [name for name in FIGURES if any(one.figures.get(name) is not None for one in results)]
    titles = ["model", "events", *(TITLES[name] for name in shown)]
    titles += ["events/s (model)", "events/s (whole)", "peak memory"]
    return titles, [_row(one, shown) for one in results]


def _row(one: Result, shown: Sequence[str]) -> list[str]:
    if one.error is not None:
        return [one.name, "failed", *[""] * (len(shown) + 3)]
    model, whole = one.rates()
    figures = [_figure(one.figures.get(name)) for name in shown]
    memory = f"{one.peak_rss_bytes / 2**20:,.0f} MiB"
    return [one.name, f"{one.events:,}", *figures, _rate(model), _rate(whole), memory]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}" if abs(value) < 100 else f"{value:,.1f}"  # noqa: PLR2004 (four digits are enough to compare by)


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def table(results: Sequence[Result], width: int) -> Table:
    """Give a table for a terminal so many columns wide; a narrow one gets what matters most."""
    titles, rows = cells(results)
    shown = [at for at, one in enumerate(titles) if width >= NARROW or one not in SPARED]
    made = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    made.add_column(titles[0], overflow="fold", min_width=NAME)
    for at in shown[1:]:
        made.add_column(titles[at].replace(" ", "\n"), justify="right", no_wrap=True)
    for row in rows:
        made.add_row(*(row[at] for at in shown))
    return made


def remarks(results: Sequence[Result]) -> list[str]:
    """Say in lines what went wrong: models that failed, records refused, labels that never came."""
    said = [f"{one.name} failed: {one.error}" for one in results if one.error is not None]
    whole = next((one for one in results if one.error is None), None)
    if whole is None:
        return said
    if whole.refused:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in whole.refused.items())
        said.append(f"{sum(whole.refused.values()):,} records refused ({reasons})")
        said.append(f"the first: {whole.first}")
    if whole.labels < whole.events:
        said.append(f"{whole.events - whole.labels:,} events have no label; they score nothing")
    return said
