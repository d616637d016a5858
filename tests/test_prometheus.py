"""The rules and alerts that ship: good by promtool, each alert fires, each has its runbook."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.robot import measured as robots
from agent.service.measured.table import SECTIONS

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "deploy" / "prometheus"
TOOL = shutil.which("promtool") or ""
PROMTOOL = pytest.mark.skipif(not TOOL, reason="needs promtool: apt-get install prometheus")
METRIC = re.compile(r"\badaptd_\w+")
SUFFIXES = re.compile(r"_(bucket|sum|count)$")


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


def alerts() -> dict[str, Any]:
    return {
        rule["alert"]: rule for group in read("alerts.yml")["groups"] for rule in group["rules"]
    }


def promtool(*words: str) -> str:
    found = subprocess.run(
        [TOOL, *words], cwd=FOLDER, capture_output=True, text=True, check=False, timeout=120
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


@PROMTOOL
def test_the_configuration_and_its_rules_are_good() -> None:
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml")
    assert f"{len(alerts())} rules found" in promtool("check", "rules", "alerts.yml")


@PROMTOOL
def test_every_alert_fires_on_its_series_and_none_on_healthy_ones() -> None:
    assert "SUCCESS" in promtool("test", "rules", "tests.yml")


def test_every_alert_has_a_test_of_its_own() -> None:
    fired = re.findall(r'alertname="(\w+)"', (FOLDER / "tests.yml").read_text(encoding="utf-8"))
    assert sorted(set(fired)) == sorted(alerts())


def test_every_alert_says_what_and_how_bad_and_where_help_stands() -> None:
    sections = re.findall(r"^### (\w+)$", (FOLDER / "RUNBOOK.md").read_text(), re.MULTILINE)
    assert sections == list(alerts())
    for name, alert in alerts().items():
        assert alert["labels"]["severity"] in {"page", "warn"}
        assert set(alert["annotations"]) == {"summary", "description", "runbook"}
        assert alert["annotations"]["runbook"] == f"RUNBOOK.md#{name.lower()}"


def test_rules_ask_only_for_metrics_that_there_are() -> None:
    streams = {one.name for families in SECTIONS.values() for one in families}
    exposed = streams | {one.name for one in robots.FAMILIES}
    text = "".join((FOLDER / name).read_text() for name in ("rules.yml", "alerts.yml", "tests.yml"))
    plain = re.sub(r"\w+:adaptd_\w+:\w+|#.*", "", text)
    asked = {SUFFIXES.sub("", name) for name in METRIC.findall(plain)}
    assert asked - exposed == set()
    recorded = {rule["record"] for group in read("rules.yml")["groups"] for rule in group["rules"]}
    assert set(re.findall(r"\w+:adaptd_\w+:\w+", text)) == recorded


def test_links_of_the_runbook_lead_to_files() -> None:
    text = (FOLDER / "RUNBOOK.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)", text)
    assert links
    assert [one for one in links if not (FOLDER / one).exists()] == []
