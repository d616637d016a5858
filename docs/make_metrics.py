"""Make docs/metrics.md from the daemon's own table of metrics.

.venv/bin/python docs/make_metrics.py
"""

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # so that `agent` is found from a fresh clone

from agent.robot import measured as robots  # noqa: E402 - as above
from agent.service.measured.family import Family  # noqa: E402 - as above
from agent.service.measured.table import SECTIONS  # noqa: E402 - as above

HEAD = """\
# Metrics

Made by `docs/make_metrics.py` from the daemon's own table; do not edit by hand.

The daemon serves them at `/metrics` on its one port (`[web]`), in the text format of Prometheus.
Units are base units and part of the name; counters end in `_total` and start at 0 with the process,
unless told otherwise. No label carries an id or a key: the number of series is bounded by the
settings, not by the traffic. What is not known, such as an accuracy before the first label, has no
sample yet.

`over` is "window" for the last `status.window` labels or "run" for all since the process started.
Every figure of merit is prequential: a label scores what was said before it was known.

Scrape configuration, recording rules, alerts and their runbook are in
[deploy/prometheus](../deploy/prometheus/RUNBOOK.md), dashboards in
[deploy/grafana](../deploy/grafana/README.md).
"""
ROBOTS = (
    "Of `adaptd robot run` and `adaptd robot serve`, on a port of their own; beside them stand"
    " {shared}, with goal `robot`."
)
COLUMNS = "| metric | type | unit | labels | meaning |\n|---|---|---|---|---|"
TAIL = """\
## The process

From prometheus_client: `process_cpu_seconds_total`, `process_resident_memory_bytes`,
`process_virtual_memory_bytes`, `process_start_time_seconds`, `process_open_fds`,
`process_max_fds` and `python_info`.
"""


def page() -> str:
    """Give the whole page."""
    return "\n".join([HEAD, *_sections(), TAIL])


def _sections() -> Iterator[str]:
    for title, families in SECTIONS.items():
        yield f"## {title}\n\n{COLUMNS}"
        yield from map(_row, families)
        yield ""
    shared = ", ".join(f"`{name}`" for name in sorted(robots.SHARED))
    told = textwrap.fill(ROBOTS.format(shared=shared), 100, break_on_hyphens=False)
    yield f"## Robots\n\n{told}\n\n{COLUMNS}"
    yield from map(_row, robots.FAMILIES)
    yield ""


def _row(one: Family[Any]) -> str:
    label = f"`{one.label}`" if one.label else ""
    if one.kind == "info":
        label = "`version`, `goal`"
    return f"| `{one.name}` | {one.kind} | {one.unit} | {label} | {one.text} |"


if __name__ == "__main__":
    (ROOT / "docs" / "metrics.md").write_text(page(), encoding="utf-8")
