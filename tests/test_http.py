"""Probes, figures and the page over a real socket."""

import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from typing import Any

import pytest

from agent.service.health import Health
from agent.service.metrics import Metrics
from agent.service.report import Step
from agent.service.status import About, Status
from agent.service.tally import Tally
from agent.service.web import PortError, Reply, Web, WebSettings, routes
from tests.steps import START, synthetic_run


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Daemon:
    """All that the pump would tell, and the server that answers for it."""

    clock: Clock
    health: Health
    tally: Tally
    metrics: Metrics
    web: Web

    def told(self, steps: list[Step]) -> None:
        for step in steps:
            self.tally(step)
            self.metrics(step)


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    clock = Clock()
    health, tally = Health(clock, stale=10.0), Tally("classes")
    about = About("0.1.0", "events.csv", "answers.jsonl")
    metrics = Metrics(about, tally, health, lambda: START)
    status = Status(about, tally, health, lambda: START)
    with Web(WebSettings(port=0), routes(status, health, metrics.text)) as web:
        yield Daemon(clock, health, tally, metrics, web)


def get(web: Web, path: str, method: str = "GET") -> tuple[int, bytes, Message]:
    request = urllib.request.Request(web.url + path.removeprefix("/"), method=method)  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - loopback
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


def get_json(web: Web, path: str) -> tuple[int, Any]:
    code, body, headers = get(web, path)
    assert headers["Content-Type"] == "application/json"
    return code, json.loads(body)


def test_a_loop_that_comes_round_is_healthy_and_one_that_does_not_is_not(daemon: Daemon) -> None:
    daemon.clock.now += 9
    assert get_json(daemon.web, "/healthz")[0] == 200
    daemon.clock.now += 2
    code, body = get_json(daemon.web, "/healthz")
    assert code == 503
    assert body["reasons"] == ["no progress for 11.0 s, the limit is 10 s"]
    daemon.health.progress(daemon.clock.now)
    code, body = get_json(daemon.web, "/healthz")
    assert (code, body["progress_age_seconds"]) == (200, 0.0)


def test_it_is_ready_once_all_conditions_hold_and_everything_is_in_touch(daemon: Daemon) -> None:
    ages = {"source": 0.5, "sink": 99.0}
    daemon.health.touch("source", lambda: ages["source"], limit=5.0)
    daemon.health.touch("sink", lambda: ages["sink"], limit=5.0)
    code, body = get_json(daemon.web, "/readyz")
    assert code == 503
    assert body["reasons"] == [
        "not yet assigned",
        "not yet restored",
        "sink not heard from for 99.0 s, the limit is 5 s",
    ]
    daemon.health.mark("assigned")
    daemon.health.mark("restored")
    ages["sink"] = 1.0
    assert get_json(daemon.web, "/readyz") == (
        200,
        {"ok": True, "reasons": [], "progress_age_seconds": 0.0},
    )
    daemon.health.mark("assigned", holds=False)
    assert get_json(daemon.web, "/readyz")[1]["reasons"] == ["not yet assigned"]


def test_while_draining_it_is_alive_but_not_ready(daemon: Daemon) -> None:
    daemon.health.mark("assigned")
    daemon.health.mark("restored")
    daemon.health.drain()
    assert get_json(daemon.web, "/healthz")[0] == 200
    code, body = get_json(daemon.web, "/readyz")
    assert (code, body["reasons"]) == (503, ["draining"])


def test_an_ended_run_is_not_stuck(daemon: Daemon) -> None:
    daemon.health.mark("assigned")
    daemon.health.mark("restored")
    daemon.health.end()
    daemon.clock.now += 1_000
    assert get_json(daemon.web, "/healthz")[0] == 200
    assert get_json(daemon.web, "/readyz")[1]["reasons"] == ["ended"]


def test_a_touch_that_fails_makes_it_not_ready_and_breaks_nothing(daemon: Daemon) -> None:
    def broken() -> float:
        raise ConnectionError

    daemon.health.touch("source", broken, limit=5.0)
    code, body = get_json(daemon.web, "/readyz")
    assert code == 503
    assert "source: ConnectionError" in body["reasons"]


def test_a_condition_that_nobody_declared_is_an_error(daemon: Daemon) -> None:
    with pytest.raises(ValueError, match="no condition 'ready'"):
        daemon.health.mark("ready")


def test_metrics_and_status_tell_the_same_figures(daemon: Daemon) -> None:
    daemon.told(list(synthetic_run(steps=30)))
    code, body, headers = get(daemon.web, "/metrics")
    assert code == 200
    assert headers["Content-Type"].startswith("text/plain; version=")
    events = get_json(daemon.web, "/status.json")[1]["figures"]["events"]
    assert f"adaptd_events_total {float(events)}" in body.decode()


def test_the_history_comes_in_columns_of_one_length(daemon: Daemon) -> None:
    assert get_json(daemon.web, "/history/run.json")[1]["columns"]["wall"] == []
    daemon.told(list(synthetic_run(steps=50)))
    for span in ("run", "recent"):
        columns = get_json(daemon.web, f"/history/{span}.json")[1]["columns"]
        assert {"wall", "labels", "loss", "loss_run", "rate", "voice:attention"} <= set(columns)
        assert len({len(column) for column in columns.values()}) == 1
    last = get_json(daemon.web, "/history/recent.json")[1]["columns"]["voice:network"][-1]
    assert last == pytest.approx(daemon.tally.history("recent")[1][-1, -4], rel=1e-4)


def test_the_page_and_all_it_asks_for_are_here_under_a_strict_policy(daemon: Daemon) -> None:
    code, body, headers = get(daemon.web, "/")
    assert code == 200
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "unsafe" not in headers["Content-Security-Policy"]
    for name in ("page.js", "charts.js", "page.css", "icon.svg", "uPlot.iife.min.js"):
        assert name.encode() in body
        assert get(daemon.web, name)[0] == 200
    assert b"http://" not in body
    assert b"https://" not in body


def test_what_is_not_there_is_404_and_says_what_is(daemon: Daemon) -> None:
    code, body = get_json(daemon.web, "/../pyproject.toml")
    assert code == 404
    assert "/healthz" in body["pages"]


def test_head_answers_without_a_body_and_a_post_is_refused(daemon: Daemon) -> None:
    code, body, headers = get(daemon.web, "/healthz", "HEAD")
    assert (code, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0
    assert get(daemon.web, "/healthz", "POST")[0] == 501


def test_a_fault_in_an_answer_is_a_500_and_the_next_asker_is_served() -> None:
    def broken() -> Reply:
        raise KeyError("loss")

    with Web(WebSettings(port=0), {"/": broken, "/fine": lambda: Reply(b"{}")}) as web:
        assert get_json(web, "/") == (500, {"error": "KeyError: 'loss'"})
        assert get(web, "/fine")[0] == 200


def test_a_taken_port_is_said_with_its_remedy(daemon: Daemon) -> None:
    with pytest.raises(PortError, match=f"127.0.0.1:{daemon.web.port} is taken: choose another"):
        Web(WebSettings(port=daemon.web.port), {})


def test_an_address_that_is_not_ours_is_said_with_its_remedy() -> None:
    with pytest.raises(PortError, match=r"cannot listen on 192\.0\.2\.1:0.*127\.0\.0\.1"):
        Web(WebSettings(host="192.0.2.1", port=0), {})


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_port_that_cannot_be_is_refused_by_name(port: int) -> None:
    with pytest.raises(ValueError, match=f"^port is {port}"):
        WebSettings(port=port)


def test_closing_twice_frees_the_port_and_leaves_no_thread() -> None:
    web = Web(WebSettings(port=0), {})
    web.close()
    web.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "web"]
    with socket.create_server(("127.0.0.1", web.port)):
        pass


def test_many_askers_at_once_while_the_loop_goes_on_all_get_whole_answers(daemon: Daemon) -> None:
    answers: list[int] = []

    def ask() -> None:
        for path in ("/status.json", "/history/run.json", "/metrics"):
            code, body, headers = get(daemon.web, path)
            assert len(body) == int(headers["Content-Length"])
            answers.append(code)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    daemon.told(list(synthetic_run(steps=200, batch=20)))
    for thread in threads:
        thread.join()
    assert answers == [200] * 24


def test_a_client_that_dawdles_over_many_connections_keeps_no_probe_out(daemon: Daemon) -> None:
    where = (str(daemon.web.host), daemon.web.port)
    before = threading.active_count()
    dawdlers = [socket.create_connection(where, 5) for _ in range(200)]
    try:
        for one in dawdlers:
            with suppress(OSError):  # it was shown out
                one.sendall(b"GET /hist")
        assert get(daemon.web, "/healthz")[0] == 200
        assert threading.active_count() - before <= 70
    finally:
        for one in dawdlers:
            one.close()
