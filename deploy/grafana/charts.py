"""What a dashboard is made of, in the few forms that ours need; the SDK turns them into JSON.

`AT` selects the daemons that the variables at the top name; it stands in every query.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as plain
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

AT = 'job=~"$job", instance=~"$instance"'
SOURCE = model.DataSourceRef("prometheus", "${datasource}")
GREEN, YELLOW, RED, BLUE, GREY = "green", "yellow", "red", "blue", "#8e8e8e"

Form: TypeAlias = Literal["line", "stack", "share", "bars", "stat", "table"]
Panel: TypeAlias = timeseries.Panel | stat.Panel | table.Panel


Limits: TypeAlias = tuple[tuple[float | None, str], ...]
"""Colours from a value on; the lowest first, from None."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query, and how its series are called; of a table, its column with its unit and colours."""

    expr: str
    legend: str = "{{instance}}"
    unit: str = ""
    limits: Limits = ()


@dataclass(frozen=True, slots=True)
class Chart:
    """One panel.

    Args:
        title: in a few words.
        text: what it shows and what to think of it; behind the "i" in its corner.
        queries: what is drawn.
        unit: Grafana's name of the unit.
        form: a line a series, areas on one another ("stack"; "share": to 1), bars, one big number,
            or a table with a line an instance.
        limits: colours, and lines in a chart.
        width: of 24 columns.
        height: in rows of 30 pixels.
        least, most: of the axis.
        words: what stands for a value.
        decimals: shown; None lets Grafana choose.
    """

    title: str
    text: str
    queries: tuple[Query, ...]
    unit: str = "short"
    form: Form = "line"
    limits: Limits = ()
    width: int = 8
    height: int = 8
    least: float | None = 0
    most: float | None = None
    words: tuple[tuple[str, str, str], ...] = ()
    decimals: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A heading and the charts under it."""

    title: str
    charts: tuple[Chart, ...]


def one(expr: str, legend: str = "{{instance}}") -> tuple[Query, ...]:
    """Give a single query."""
    return (Query(expr, legend),)


def panel(chart: Chart, number: int) -> Panel:
    """Build a chart's panel."""
    made = _form(chart)
    made = made.id(number).title(chart.title).description(chart.text).datasource(SOURCE)
    made = made.unit(chart.unit).span(chart.width).height(chart.height)
    if chart.decimals is not None:
        made = made.decimals(chart.decimals)
    if chart.form != "table":
        made = made.min(chart.least) if chart.least is not None else made
        made = made.max(chart.most) if chart.most is not None else made
    if chart.limits:
        made = made.thresholds(_thresholds(chart.limits))
    if chart.words:
        words = {
            value: model.ValueMappingResult(text, colour) for value, text, colour in chart.words
        }
        made = made.mappings([model.ValueMap(words)])
    instant = chart.form in {"stat", "table"}
    for at, query in enumerate(chart.queries):
        made = made.with_target(_target(query, chr(ord("A") + at), chart.form, instant=instant))
    return made


def _form(chart: Chart) -> Panel:
    if chart.form == "stat":
        return _stat()
    if chart.form == "table":
        return _table(chart)
    return _series(chart)


def _stat() -> stat.Panel:
    return (
        stat.Panel()
        .color_mode(plain.BigValueColorMode.BACKGROUND)
        .graph_mode(plain.BigValueGraphMode.NONE)
        .text_mode(plain.BigValueTextMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def _series(chart: Chart) -> timeseries.Panel:
    made = (
        timeseries.Panel()
        .line_width(1.5)
        .fill_opacity({"line": 4, "bars": 70}.get(chart.form, 35))
        .show_points(plain.VisibilityMode.NEVER)
        .tooltip(common.VizTooltipOptions().mode(plain.TooltipDisplayMode.MULTI))
        .legend(_legend())
    )
    if chart.form == "bars":
        made = made.draw_style(plain.GraphDrawStyle.BARS)
    if chart.form in {"stack", "share"}:
        whole = plain.StackingMode.PERCENT if chart.form == "share" else plain.StackingMode.NORMAL
        made = made.stacking(common.StackingConfig().mode(whole))
    if chart.limits:
        dashed = common.GraphThresholdsStyleConfig().mode(plain.GraphThresholdsStyleMode.DASHED)
        made = made.thresholds_style(dashed)
    return made


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(plain.LegendDisplayMode.TABLE)
        .placement(plain.LegendPlacement.BOTTOM)
        .show_legend(True)  # noqa: FBT003 - the SDK's signature
        .calcs(["lastNotNull", "max"])
    )


def _table(chart: Chart) -> table.Panel:
    """A line an instance, a column a query."""
    names = {f"Value #{chr(ord('A') + at)}": one.legend for at, one in enumerate(chart.queries)}
    tidy = {"excludeByName": {"Time": True, "job": True}, "renameByName": names}
    made = (
        table.Panel()
        .with_transformation(model.DataTransformerConfig("merge", options={}))
        .with_transformation(model.DataTransformerConfig("organize", options=tidy))
        .filterable(True)  # noqa: FBT003 - the SDK's signature
        .cell_height(plain.TableCellHeight.SM)
    )
    for query in chart.queries:
        made = made.override_by_name(query.legend, _column(query))
    return made


def _column(query: Query) -> list[model.DynamicConfigValue]:
    found = [model.DynamicConfigValue("unit", query.unit)] if query.unit else []
    if query.limits:
        steps = [{"value": value, "color": colour} for value, colour in query.limits]
        found += [
            model.DynamicConfigValue("custom.cellOptions", {"type": "color-background"}),
            model.DynamicConfigValue("thresholds", {"mode": "absolute", "steps": steps}),
        ]
    return found


def _target(query: Query, name: str, form: Form, *, instant: bool) -> prometheus.Dataquery:
    asked = prometheus.Dataquery().expr(query.expr).ref_id(name).legend_format(query.legend)
    asked = asked.instant() if instant else asked.range()
    return asked.format(PromQueryFormat.TABLE) if form == "table" else asked


def _thresholds(limits: Limits) -> dashboard.ThresholdsConfig:
    steps = [model.Threshold(value, colour) for value, colour in limits]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)
