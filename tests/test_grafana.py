"""The dashboards that ship: made by their script, sound, and every panel has data."""

import json
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from agent.robot import measured as robots
from agent.service.measured.table import SECTIONS
from deploy.grafana.make_dashboards import FOLDER, PAGES, text
from tests.daemon import Daemon, running
from tests.prometheus import PROMETHEUS, Prometheus, scraping

HOME = FOLDER.parent
CARDS = """
[source.world]
customers = 400
label_delay_days = 0.02
[agent]
tasks = true
[checkpoint]
folder = "{folder}/cards"
every_seconds = 2.0
"""
NUMBERS = """
[stream]
goal = "number"
target = "y"
fields = {{ a = "numeric", b = "numeric" }}
[source]
kind = "file"
[source.file]
path = "{folder}/numbers.csv"
[probes]
every = 200
rows = 50
segment = 1000
[checkpoint]
folder = "{folder}/numbers"
"""
LIFE = "intact@0 {fault}@60 intact@120 {fault}@180 intact@240"
ARM = ("--life", LIFE.format(fault="invert:elbow"), "--steps", "100000", "--real-time")
CHEETAH = (
    "--env", "adaptd/ChangingHalfCheetah-v0", "--life", LIFE.format(fault="invert:bthigh"),
    "--steps", "100000", "--real-time",
)  # fmt: skip


def dashboard(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def panels(name: str) -> list[dict[str, Any]]:
    return [one for one in dashboard(name)["panels"] if one["type"] != "row"]


def filled(expr: str) -> str:
    """The expression with its variables as Grafana would put them in."""
    for name, value in (("$__rate_interval", "15s"), ("$job", "adaptd"), ("$instance", ".*")):
        expr = expr.replace(name, value)
    assert "$" not in expr, expr
    return expr


def queries() -> dict[str, str]:
    """Every panel's expressions, by page, title and letter."""
    return {
        f"{name}: {one['title']} {target['refId']}": filled(target["expr"])
        for name in PAGES
        for one in panels(name)
        for target in one["targets"]
    }


@pytest.mark.parametrize("name", PAGES)
def test_a_dashboard_is_what_its_script_makes(name: str) -> None:
    """Else: .venv/bin/python deploy/grafana/make_dashboards.py."""
    assert (FOLDER / f"{name}.json").read_text(encoding="utf-8") == text(name)


def test_there_is_a_file_for_each_page_and_no_other() -> None:
    assert sorted(path.stem for path in FOLDER.iterdir()) == sorted(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_a_dashboard_keeps_to_grafanas_schema(name: str) -> None:
    """The SDK's own models read it and lose nothing of it."""
    register_default_plugins()
    given = dashboard(name)
    again = json.loads(json.dumps(Dashboard.from_json(given), cls=JSONEncoder))
    assert again == given


@pytest.mark.parametrize("name", PAGES)
def test_panels_tile_the_page_and_say_what_they_show(name: str) -> None:
    every = dashboard(name)["panels"]
    assert len({one["id"] for one in every}) == len(every)
    cells: set[tuple[int, int]] = set()
    for one in every:
        at = one["gridPos"]
        mine = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not mine & cells, f"{one['title']} overlaps"
        assert at["x"] + at["w"] <= 24
        cells |= mine
    assert len(cells) == 24 * (max(y for _, y in cells) + 1), "the page has a hole"
    for one in panels(name):
        assert len(one["description"]) > 20 or one["description"].endswith(".")
        assert one["fieldConfig"]["defaults"]["unit"]
        assert one["targets"]


def test_every_metric_is_on_a_page() -> None:
    """Or in a rule that is; what no page shows is not watched."""
    rules = (HOME.parent / "prometheus" / "rules.yml").read_text(encoding="utf-8")
    shown = rules + "".join((FOLDER / f"{name}.json").read_text() for name in PAGES)
    names = [one.name for families in SECTIONS.values() for one in families]
    names += [one.name for one in robots.FAMILIES]
    unseen = [name for name in names if not re.search(rf"\b{name}(_bucket|_sum|_count)?\b", shown)]
    assert unseen == ["adaptd_event_timestamp_seconds", "adaptd_classes"]


def test_the_page_of_robots_asks_for_their_metrics_with_their_labels() -> None:
    known = {one.name: one.label for one in robots.FAMILIES}
    for panel in panels("robots"):
        for target in panel["targets"]:
            for name, labels in re.findall(r"(adaptd_\w+?)(?:_bucket)?\{([^}]*)\}", target["expr"]):
                asked = set(re.findall(r"(\w+)=", labels)) - {"job", "instance"}
                asked |= set(re.findall(r"sum by \((?!le)(\w+)\)", target["expr"]))
                assert asked <= {known[name]}


def test_provisioning_names_the_folder_and_the_source() -> None:
    def read(path: str) -> Any:
        return yaml.safe_load((HOME / "provisioning" / path).read_text(encoding="utf-8"))

    source = read("datasources/prometheus.yml")["datasources"][0]
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    assert source["jsonData"]["timeInterval"] == "15s"
    provider = read("dashboards/adaptd.yml")["providers"][0]
    assert provider["type"] == "file"
    assert provider["options"]["path"] in (HOME / "README.md").read_text(encoding="utf-8")


def numbers(path: Path, rows: int = 6_000) -> None:
    """A stream of numbers: a sum that turns halfway."""
    draw = random.Random(3)  # noqa: S311 - a stream, no secret
    lines = ["a,b,y"]
    for at in range(rows):
        a, b = draw.gauss(0, 1), draw.gauss(0, 1)
        turn = 1 if at < rows / 2 else -1
        lines.append(f"{a:.4f},{b:.4f},{turn * a + b + draw.gauss(0, 0.1):.4f}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Watched:
    """Daemons, and a Prometheus that scrapes them."""

    daemons: tuple[Daemon, ...]
    prometheus: Prometheus

    def alive(self) -> None:
        for one in self.daemons:
            assert one.process.poll() is None, one.log.read_text(encoding="utf-8")[-3000:]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Daemons on classes with tasks and on numbers, two robots, and a Prometheus on all."""
    folder = tmp_path_factory.mktemp("watched")
    numbers(folder / "numbers.csv")
    for name, settings in (("cards", CARDS), ("numbers", NUMBERS)):
        (folder / f"{name}.toml").write_text(settings.format(folder=folder), encoding="utf-8")
    with (
        running(folder, str(folder / "cards.toml")) as cards,
        running(folder, str(folder / "numbers.toml")) as other,
        running(folder, *ARM, command="robot run") as arm,
        running(folder, *CHEETAH, command="robot run") as cheetah,
        scraping(
            folder, [urlsplit(one.url).netloc for one in (cards, other, arm, cheetah)]
        ) as asked,
    ):
        until = time.monotonic() + 60
        while len(asked.values("adaptd_build_info")) < 4 and time.monotonic() < until:
            time.sleep(0.2)
        yield Watched((cards, other, arm, cheetah), asked)


@pytest.mark.slow
@pytest.mark.xdist_group("grafana")
@pytest.mark.skipif(not PROMETHEUS, reason="needs prometheus: apt-get install prometheus")
def test_every_panel_has_data(watched: Watched) -> None:
    """Daemons and robots run for some seconds: a panel without data is seen at 3 a.m. else."""
    missing, values = queries(), watched.prometheus.values
    until = time.monotonic() + 90
    while missing and time.monotonic() < until:
        time.sleep(1)
        watched.alive()
        missing = {name: expr for name, expr in missing.items() if not values(expr)}
    assert missing == {}


@pytest.mark.slow
@pytest.mark.xdist_group("grafana")
@pytest.mark.skipif(not PROMETHEUS, reason="needs prometheus: apt-get install prometheus")
def test_variables_marks_and_rules_are_answered_and_no_alert_fires(watched: Watched) -> None:
    """It shares the daemons of the test above."""
    asked = watched.prometheus
    assert asked.get("query", query='ALERTS{alertstate="firing"}')["result"] == []
    for name in PAGES:
        for mark in dashboard(name)["annotations"]["list"]:
            asked.values(filled(mark["expr"]))
        for one in dashboard(name)["templating"]["list"]:
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", one["query"])
            if found:
                match = {"match[]": filled(found[1])}
                assert asked.get(f"label/{found[2]}/values", **match)
    assert [rule for rule in asked.rules() if rule["health"] == "err"] == []
    assert len(asked.rules()) > 30
