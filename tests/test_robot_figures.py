"""What people see of robots: tally, metrics, terminal, page, logs, plot, summary."""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typing_extensions import override

from agent.robot import plot
from agent.robot.around import Around
from agent.robot.diary import Diary
from agent.robot.life_log import BoardLog, CsvLog
from agent.robot.measured import FAMILIES, SHARED, Metrics, posterior
from agent.robot.status import Ran, Status, routes
from agent.robot.summary import phases, tell
from agent.robot.tally import Tally
from agent.robot.terminal import RobotTable
from agent.robot.turn import Spent, Turn
from agent.service.health import Health
from agent.service.status import About
from agent.service.web import Web, WebSettings
from tests.browser import CHROMIUM, look
from tests.robots import DT, life, turn

ABOUT = About("1.2.3", "adaptd/PlanarArm-v0", "test/own")
RAN = Ran("1.2.3", "adaptd/PlanarArm-v0", "intact@0 invert:elbow@40", "test/own", 1, DT, 100, 0)


class Watched:
    """A tally, its metrics and its status, told of a life."""

    def __init__(self, turns: list[Turn], dropped: dict[str, int] | None = None) -> None:
        health = Health(lambda: 5.0, conditions=("restored",))
        health.mark("restored")
        self.tally = Tally(DT)
        self.metrics = Metrics(ABOUT, self.tally, health, lambda: 1.0, 1, dropped)
        self.status = Status(RAN, self.tally, health, lambda: 1_700_000_200.0)
        self.routes = routes(self.status, health, self.metrics.text)
        for one in turns:
            self.tally(one)
            self.metrics(one)

    def samples(self) -> dict[str, float]:
        text = self.metrics.text()[0].decode()
        return {
            name: float(value)
            for name, value in re.findall(r"^(\S+?(?:\{.*\})?) (\S+)$", text, re.MULTILINE)
        }


def test_the_tally_counts_a_life_and_says_what_came_of_the_change() -> None:
    figures = Watched(life()).tally.figures()
    assert figures is not None
    assert (figures.steps, figures.falls, figures.altered) == (100, 1, 1)
    assert figures.noticed == {"new": 1, "returned": 0}
    assert figures.total == 85 - 15
    assert figures.reward == 1
    assert [mark.kind for mark in figures.marks] == ["body", "new", "fall"]
    (change,) = figures.around
    assert (change.step, change.what, change.was) == (41, "invert:elbow", "intact")
    assert (change.noticed, change.kind) == (6, "new")
    assert change.mean(-10, 0) == 1
    assert change.mean(0, 10) == -1
    assert change.mean(15, 40) == 1
    assert change.mean(0, 41) is None


def test_a_change_that_nobody_tells_of_is_where_it_was_noticed() -> None:
    around = Around(DT)
    for at in range(1, 20):
        around(turn(at, truth=[""], change=["returned" if at == 9 else ""]), 0.0, 1.0)
    (change,) = around.curves()
    assert (change.step, change.what, change.noticed) == (9, "body 0", 1)


def test_half_of_the_robots_must_have_noticed() -> None:
    around = Around(DT)
    many = {"truth": ["b"] * 4, "body_N": np.zeros(4, int), "bodies": [1] * 4}
    around(turn(1, **many), 0.0, 0.0)
    for at, robot in ((2, 0), (3, 0), (4, 2)):
        kinds = ["new" if one == robot else "" for one in range(4)]
        around(turn(at, altered=at == 2, change=kinds, **many), 0.0, 0.0)
        found = around.curves()[0].noticed
        assert found == (3 if at == 4 else None)


def test_metrics_are_those_of_the_steps_and_every_family_has_a_sample() -> None:
    found = Watched(life(), {"stale": 3}).samples()
    assert found["adaptd_robot_steps_total"] == 100
    assert found["adaptd_robot_return"] == 70
    assert found['adaptd_robot_changes_total{kind="new"}'] == 1
    assert found["adaptd_robot_body_changes_total"] == 1
    assert found["adaptd_robot_falls_total"] == 1
    assert found['adaptd_robot_posterior_ratio{body="0"}'] == 0.9
    assert found['adaptd_robot_posterior_ratio{body="new"}'] == 0.1
    assert found['adaptd_robot_belief{of="gain of elbow"}'] == 1
    assert found['adaptd_robot_dropped_total{reason="stale"}'] == 3
    assert found['adaptd_robot_control_seconds_count{part="plan"}'] == 100
    assert found['adaptd_robot_control_seconds_sum{part="plan"}'] == pytest.approx(1.0)
    assert found['adaptd_build_info{goal="robot",version="1.2.3"}'] == 1
    bare = {re.sub(r"(_bucket|_sum|_count)?(\{.*)?$", "", name) for name in found}
    assert {one.name for one in FAMILIES} <= bare
    assert SHARED - bare <= {name for name in SHARED if "checkpoint" in name}


def test_before_the_first_step_counters_are_there_and_stand_at_0() -> None:
    found = Watched([]).samples()
    assert found["adaptd_robot_steps_total"] == 0
    assert found['adaptd_robot_changes_total{kind="returned"}'] == 0
    assert "adaptd_robot_reward" not in found


def test_of_many_bodies_the_likeliest_are_shown_and_the_rest_is_summed() -> None:
    belief = {f"body {at}": (20 - at) / 210 for at in range(20)} | {"new body": 0.0, "gain": 3.0}
    shown = posterior(belief)
    assert list(shown) == [*map(str, range(8)), "others", "new"]
    assert sum(shown.values()) == pytest.approx(1.0)


class Terminal(io.StringIO):
    @override
    def isatty(self) -> bool:
        return True


def test_the_terminal_shows_beliefs_beside_the_truth() -> None:
    console = Console(file=Terminal(), force_terminal=True, width=100)
    tally = Tally(DT)
    with RobotTable(tally, "a life", "http://127.0.0.1:1/", 100, console) as watch:
        for one in life():
            tally(one)
            watch(one)
    assert isinstance(console.file, Terminal)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue()).rsplit("a life", 1)[1]
    for words in ("100 of 100", "believed body", "body 1", "invert:elbow", "1 new, 0 returned",
                  "after 600 ms: new", "2 bodies remembered", "gain of elbow", "90 %",
                  "99 % within 10 ms, the clock is 100 ms"):  # fmt: skip
        assert words in shown


def test_without_a_terminal_nothing_is_drawn() -> None:
    console = Console(file=io.StringIO(), width=100)
    with RobotTable(Tally(DT), "a life", console=console) as watch:
        watch(turn(1))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == ""


def answered(watched: Watched, path: str) -> Any:
    return json.loads(watched.routes[path]().body)


def test_the_status_tells_of_return_and_surprise_around_each_change() -> None:
    watched = Watched(life())
    figures = answered(watched, "/status.json")["figures"]
    (change,) = figures["around"]
    assert (change["before"], change["first"]) == ("1", "-1")
    assert change["noticed"] == pytest.approx(0.6)
    around = answered(watched, "/around.json")
    columns = around["columns"]
    assert columns["seconds"][0] == -2.0
    assert len(columns["reward:41"]) == len(columns["surprise:41"]) == len(columns["seconds"])
    at = dict(zip(columns["seconds"], columns["reward:41"], strict=True))
    assert (at[-1.0], at[0.5], at[3.0]) == (1, -1, 1)


def test_the_history_has_the_life_and_its_marks() -> None:
    watched = Watched(life())
    for path in ("/history/run.json", "/history/recent.json"):
        found = answered(watched, path)
        assert found["columns"]["step"] == list(range(1, 101))
        assert found["columns"]["truth"] == [0] * 40 + [1] * 60
        assert [mark["kind"] for mark in found["changes"]] == ["body", "fall"]
        assert [mark["kind"] for mark in found["noticed"]] == ["new"]
        assert found["truths"] == ["intact", "invert:elbow"]


@pytest.fixture
def served() -> Iterator[str]:
    with Web(WebSettings(port=0), Watched(life()).routes) as web:
        yield web.url


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")
def test_a_browser_draws_the_page(served: str, tmp_path: Path) -> None:
    """Chromium takes seconds to start; nothing else runs the page's script."""
    seen = look(served, tmp_path)
    assert [line for line in seen.console if "rror" in line] == []
    assert int(seen.root("drawn") or 0) >= 1
    assert seen.text("name") == "adaptd/PlanarArm-v0"
    assert seen.value("step") == 100
    assert seen.value("reward") == 1
    assert seen.text("believed") == "body 1"
    assert seen.text("truth") == "invert:elbow"
    assert seen.text("kinds") == "1 new · 0 returned"
    assert seen.html.count("<canvas") == 6
    assert "<td>invert:elbow</td><td>1</td><td>-1</td>" in seen.html


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_csv_has_a_line_a_step_and_goes_on_where_the_snapshot_stood(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "life.csv"
    log = CsvLog(path, DT)
    for one in life()[:60]:
        log(one)
    log.close()
    log = CsvLog(path, DT, 50)
    for one in life()[50:]:
        log(one)
    log.close()
    found = rows(path)
    assert [int(row["step"]) for row in found] == list(range(1, 101))
    assert float(found[-1]["return"]) == 70
    assert found[45]["change"] == "new"
    assert found[45]["truth"] == "invert:elbow"
    assert found[45]["belief"] == "gain of elbow=1;body 0=0.9;new body=0.1"
    CsvLog(path, DT).close()
    assert rows(path) == []


def test_tensorboard_gets_the_figures(tmp_path: Path) -> None:
    log = BoardLog(tmp_path)
    for one in life()[:50]:
        log(one)
    log.close()
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for tag in (b"reward", b"surprise", b"belief/gain_of_elbow", b"planner_milliseconds"):
        assert tag in raw


def diary() -> Diary:
    found = Diary()
    for one in life():
        found(one)
    return found


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_same_life_gives_the_same_picture(suffix: str, tmp_path: Path) -> None:
    one, other = tmp_path / f"one.{suffix}", tmp_path / f"other.{suffix}"
    for path in (one, other):
        plot.draw(diary(), path, DT, "a life")
    assert one.stat().st_size > 10_000
    assert one.read_bytes() == other.read_bytes()


def test_a_life_without_a_step_gives_no_picture(tmp_path: Path) -> None:
    plot.draw(Diary(), tmp_path / "life.png", DT, "a life")
    assert list(tmp_path.iterdir()) == []


def test_the_summary_has_a_line_a_body() -> None:
    before, after = phases(diary(), DT)
    assert (before.body, before.steps, before.first, before.noticed) == ("intact", 40, 1.0, None)
    assert (after.body, after.step, after.steps, after.falls) == ("invert:elbow", 40, 60, 1)
    assert (after.noticed, after.kind, after.alarms) == (6, "new", 0)
    assert after.first == -1
    assert after.later == pytest.approx((45 - 5) / 50)


def test_an_alarm_without_a_change_is_told_apart() -> None:
    found = diary()
    found(turn(101, change=["returned"], truth=["invert:elbow"]))
    assert [phase.alarms for phase in phases(found, DT)] == [0, 1]
    console = Console(file=io.StringIO(), width=120)
    tell(found, DT, console)
    assert isinstance(console.file, io.StringIO)
    assert "after 6 steps: new" in console.file.getvalue()


def test_a_step_that_takes_too_long_is_red_on_the_terminal() -> None:
    console = Console(file=Terminal(), force_terminal=True, width=100)
    tally = Tally(DT)
    with RobotTable(tally, "a life", console=console) as watch:
        tally(turn(1, spent=Spent(0.09, 0.02, 0.0)))
        watch(turn(1))
    assert isinstance(console.file, Terminal)
    assert "\x1b[31m99 % within 90 ms" in console.file.getvalue()
