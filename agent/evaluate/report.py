"""The results as a page or a picture: a table, and each figure's curve over windows of labels."""

import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agent.evaluate.plan import Result
from agent.evaluate.table import TITLES, cells, remarks

COLOURS = ("#0b5fa5", "#d1495b", "#66a182", "#8d6a9f", "#edae49", "#5b5b5b", "#00798c", "#a0522d")
OURS_WIDTH, WIDTH = 2.2, 1.2
FORMATS = (".html", ".png")
ERRORS = ("mae", "rmse")
SPREAD = 20  # the largest value over the median from which on a scale is logarithmic

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2733; margin: 2rem auto; max-width: 68rem;
  padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
.wide { overflow-x: auto } svg { width: 100%; height: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid #d9e0e7 }
th:first-child, td:first-child { text-align: left }
li { color: #4a5866 }
"""


def report(path: Path, title: str, said: Sequence[str], results: Sequence[Result]) -> None:
    """Write the report, as its name's end says: .html or .png.

    Raises:
        OSError: it cannot be written.
    """
    if path.suffix == ".png":
        curves(title, results).savefig(path, format="png", dpi=144)
    else:
        path.write_text(page(title, said, results, curves(None, results)), encoding="utf-8")


def curves(title: str | None, results: Sequence[Result]) -> Figure:
    """Draw a panel a figure, a line a model."""
    drawn = [one for one in results if one.curves]
    panels = list(drawn[0].curves) if drawn else []
    figure = Figure(figsize=(11, 3.4 * max(1, len(panels))), layout="constrained")
    if title is not None:
        figure.suptitle(title, fontsize=12)
    for place, name in enumerate(panels):
        axes = figure.add_subplot(len(panels), 1, place + 1)
        for at, one in enumerate(drawn):
            _line(axes, one, name, COLOURS[at % len(COLOURS)], first=at == 0)
        if name in ERRORS and _wide(drawn, name):
            axes.set_yscale("log")
        axes.set_ylabel(TITLES[name])
        axes.set_xlabel("labels")
        axes.grid(visible=True, alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    if drawn:
        lines = figure.axes[0].get_lines()
        figure.legend(handles=lines, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def _wide(drawn: Sequence[Result], name: str) -> bool:
    """Whether one curve's worst would flatten all others."""
    values = sorted(value for one in drawn for value in one.curves[name] if value)
    return bool(values) and values[-1] > SPREAD * values[len(values) // 2]


def _line(axes: Axes, one: Result, name: str, colour: str, *, first: bool) -> None:
    values = [float("nan") if value is None else value for value in one.curves[name]]
    width, order = (OURS_WIDTH, 3) if first else (WIDTH, 2)
    axes.plot(one.ends, values, color=colour, linewidth=width, label=one.name, zorder=order)


def page(title: str, said: Sequence[str], results: Sequence[Result], figure: Figure) -> str:
    """Give a page that needs nothing but itself."""
    titles, rows = cells(results)
    head = "".join(f"<th>{escape(one)}</th>" for one in titles)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    window = next((one.ends[0] for one in results if one.ends), 0)
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(title)}</title><style>{STYLE}</style>
<h1>{escape(title)}</h1>
<p>Progressive validation: each event was predicted before its label was known, then learned.</p>
<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>
{_list(remarks(results))}
<h2>Over windows of {window:,} labels</h2>
{_svg(figure)}
<h2>How the file was read</h2>
{_list(said)}
</html>
"""


def _list(lines: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _svg(figure: Figure) -> str:
    """Give the figure as SVG to stand in a page: without the XML head, its letters as outlines."""
    held = io.StringIO()
    with rc_context({"svg.hashsalt": "adaptd", "svg.fonttype": "path"}):
        figure.savefig(held, format="svg", metadata={"Date": None, "Creator": None})
    text = held.getvalue()
    return text[text.index("<svg") :]
