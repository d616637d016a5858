"""Make deploy/grafana/dashboards/*.json.

.venv/bin/python deploy/grafana/make_dashboards.py
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))  # so that `deploy` is found from a fresh clone

from deploy.grafana import learning, operations, overview, robots  # noqa: E402 - as above
from deploy.grafana.charts import AT, SOURCE, Row, panel  # noqa: E402 - as above

FOLDER = ROOT / "deploy" / "grafana" / "dashboards"
TAG = "adaptd"
ALL = model.VariableOption(selected=True, text="All", value="$__all")
PAGES: Mapping[str, tuple[str, str, tuple[Row, ...]]] = {
    "overview": (
        "adaptd: overview",
        "Is anything wrong, where, and since when. What to do stands in RUNBOOK.md.",
        overview.ROWS,
    ),
    "learning": (
        "adaptd: learning and tasks",
        "Is the model worth having, what does it stand on, what has it forgotten.",
        learning.ROWS,
    ),
    "operations": (
        "adaptd: operations",
        "Load, source, durability, refused records and processes.",
        operations.ROWS,
    ),
    "robots": (
        "adaptd: robots",
        "What robots earn, what they believe of their bodies, and whether they act in time.",
        robots.ROWS,
    ),
}


def build(name: str) -> model.Dashboard:
    """Build one of `PAGES`."""
    title, text, rows = PAGES[name]
    made = (
        dashboard.Dashboard(title)
        .uid(f"adaptd-{name}")
        .description(text)
        .tags([TAG])
        .editable()
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(_link())
    )
    for variable in _variables():
        made = made.with_variable(variable)
    for annotation in _annotations():
        made = made.annotation(annotation)
    number = 0
    for row in rows:
        number += 1
        made = made.with_row(dashboard.Row(row.title).id(number))
        for chart in row.charts:
            number += 1
            made = made.with_panel(panel(chart, number))
    return made.build()


def _link() -> dashboard.DashboardLink:
    """To the other pages, with the variables and the time as they stand."""
    return (
        dashboard.DashboardLink("adaptd")
        .type(model.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .include_vars(include_vars=True)
        .keep_time(keep_time=True)
    )


def _variables() -> tuple[dashboard.DatasourceVariable, *tuple[dashboard.QueryVariable, ...]]:
    source = dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
    return (
        source,
        _values("job", "label_values(adaptd_build_info, job)"),
        _values("instance", 'label_values(adaptd_build_info{job=~"$job"}, instance)'),
    )


def _values(name: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(name.capitalize())
        .datasource(SOURCE)
        .query(query)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.NATURAL_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".*")
        .current(ALL)
    )


def _annotations() -> tuple[dashboard.AnnotationQuery, ...]:
    """Marks over all charts: alerts that fire, changes that were noticed, starts."""
    marks = (
        ("Alerts", f'ALERTS{{alertname=~"Adaptd.+", alertstate="firing", {AT}}}', "red"),
        ("Drifts", f"increase(adaptd_drifts_total{{{AT}}}[1m]) > 0", "orange"),
        ("Starts", f"changes(process_start_time_seconds{{{AT}}}[1m]) > 0", "blue"),
    )
    return tuple(
        dashboard.AnnotationQuery()
        .name(name)
        .datasource(SOURCE)
        .expr(expr)
        .enable(enable=True)
        .icon_color(colour)
        for name, expr, colour in marks
    )


def text(name: str) -> str:
    """Give a dashboard's file."""
    return json.dumps(build(name), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def main() -> None:
    """Write every file."""
    for name in PAGES:
        (FOLDER / f"{name}.json").write_text(text(name), encoding="utf-8")


if __name__ == "__main__":
    main()
