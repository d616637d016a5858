"""`adaptd doctor`: could a daemon run with these settings, here and now."""

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from typer.testing import CliRunner, Result
from typing_extensions import override

from agent.cli import app
from agent.doctor import here, keep
from agent.doctor.brokers import Brokers
from agent.doctor.finding import Finding, good, run
from agent.service.clocks import Clocks
from agent.service.lock import locked
from agent.service.web import WebSettings
from agent.settings import Settings
from streams.formats import FormatSettings
from streams.kafka import examine
from streams.kafka.examine import Topic
from streams.kafka.settings import KafkaSettings
from streams.source import SourceError
from tests.broker import free_port
from tests.lives import agent_after, settings_file, settings_in
from tests.lives import keep as kept
from tests.registry import registry


def typed(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def findings(*words: object) -> tuple[int, dict[str, list[tuple[str, str]]]]:
    """Run the command; give its code, and verdicts with what was said by check."""
    result = typed("doctor", *words, "--format", "json")
    found: dict[str, list[tuple[str, str]]] = {}
    for one in json.loads(result.stdout):
        said = f"{one['said']}; {one['remedy']}"
        found.setdefault(one["check"], []).append((one["verdict"], said))
    return result.exit_code, found


def verdicts(found: dict[str, list[tuple[str, str]]], check: str) -> list[str]:
    return [verdict for verdict, _ in found[check]]


NAMES = ("events", "labels", "predictions", "refused", "journal")


class Looked:
    """A cluster as brokers with an authorizer tell it, without one: what they allow is said."""

    def __init__(self, allowed: dict[str, frozenset[str]], delivery: str = "exactly-once") -> None:
        kafka = KafkaSettings(labels="labels")
        base = Settings()
        self.settings = replace(
            base,
            stream=base.schema,
            source=replace(base.source, kind="kafka", kafka=kafka),
            sink=replace(base.sink, kind="kafka"),
            service=replace(base.service, delivery=delivery),  # type: ignore[arg-type]  # a word
        )
        self.topics = {
            name: Topic(2, allowed=allowed.get(name, frozenset({"READ", "WRITE"})))
            for name in NAMES
        }

    def brokers(self, monkeypatch: pytest.MonkeyPatch, seconds: float = 0.1) -> Brokers:
        cluster = examine.Cluster(seconds, 3, self.topics)
        monkeypatch.setattr("agent.doctor.brokers.look", lambda *_: cluster)
        monkeypatch.setattr("agent.doctor.brokers.transactions", lambda *_: None)
        brokers = Brokers(self.settings)
        list(brokers.reached())
        return brokers


def test_a_topic_that_may_not_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = Looked({"journal": frozenset({"READ"})})
    (found,) = looked.brokers(monkeypatch).writing()
    assert found.verdict == "fail"
    assert "'journal' may not be written" in found.said
    assert "--operation Write --topic journal" in found.remedy
    at_least = Looked({"journal": frozenset({"READ"})}, "at-least-once")
    (found,) = at_least.brokers(monkeypatch).writing()  # which writes no journal
    assert found == good("writing", "predictions, refused may be written")


def test_a_transaction_that_is_not_allowed_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise SourceError("kafka b: no; let this user write")

    brokers = Looked({}).brokers(monkeypatch)
    monkeypatch.setattr("agent.doctor.brokers.transactions", refuse)
    assert list(brokers.writing()) == [
        Finding("writing", "fail", "kafka b: no", "let this user write")
    ]


def test_topics_and_groups_that_may_not_be_read_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise SourceError("kafka b: TopicAuthorizationFailed; let this user read")

    brokers = Looked({}).brokers(monkeypatch)
    monkeypatch.setattr("agent.doctor.brokers.newest", refuse)
    monkeypatch.setattr("agent.doctor.brokers.group", refuse)
    found = [*brokers.reading(), *brokers.group()]
    assert [one.verdict for one in found] == ["fail"] * 3
    assert {one.remedy for one in found} == {"let this user read"}


def test_a_slow_cluster_and_an_offline_partition_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = Looked({})
    looked.topics["labels"] = Topic(2, leaderless=1)
    brokers = looked.brokers(monkeypatch, seconds=4.0)
    assert [one.verdict for one in brokers.reached()] == ["warn"]
    offline = [one for one in brokers.topics() if one.verdict == "fail"]
    assert ["1 without leader" in one.said for one in offline] == [True]


def test_a_registry_that_does_not_answer_fails() -> None:
    with registry() as fake:
        fake.subjects["/subjects"] = []
        how = FormatSettings("avro", registry=fake.url)
        settings = Looked({}).settings
        settings = replace(settings, source=replace(settings.source, format=how))
        assert [one.verdict for one in Brokers(settings).format()] == ["ok"]
        fake.broken = (500, b"oh")
        assert [one.verdict for one in Brokers(settings).format()] == ["fail"]
    (found,) = Brokers(settings).format()
    assert found.verdict == "fail"
    assert fake.url in found.said
    by_file = replace(settings.source, format=FormatSettings("avro", schema=Path("none.avsc")))
    (found,) = Brokers(replace(settings, source=by_file)).format()
    assert found.verdict == "fail"
    assert "none.avsc" in found.said


def test_settings_with_faults_are_told_each_with_2(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text("[web]\nprot = 1\n[service]\nmax_batch = 0\n")
    code, found = findings(path)
    assert code == 2
    assert list(found) == ["settings"]
    assert len(found["settings"]) == 2
    assert findings(tmp_path / "none.toml")[0] == 2


def test_a_store_of_another_agent_fails_and_one_that_fits_does_not(tmp_path: Path) -> None:
    path = settings_file(tmp_path)
    (tmp_path / "events.jsonl").write_text("{}\n")
    settings = settings_in(path)
    kept(settings, agent_after(settings, []), "0003")
    source = ("--set", f"source.file.path={tmp_path / 'events.jsonl'}", "--set", "web.port=0")
    code, found = findings(path, *source)
    assert (code, verdicts(found, "checkpoints")) == (0, ["ok"]), found
    code, found = findings(path, *source, "--set", "agent.seed=9")
    assert (code, verdicts(found, "checkpoints")) == (1, ["fail"])
    assert (
        "shard 0003 was made with other settings: agent.seed 0, now 9"
        in (found["checkpoints"][0][1])
    )
    (manifest,) = (tmp_path / "c" / "shard-0003").rglob("manifest.json")
    manifest.write_text("{")
    code, found = findings(path, *source)
    assert (code, verdicts(found, "checkpoints")) == (0, ["warn"])


def test_the_store_is_left_as_it_was_and_a_daemon_in_it_is_named(tmp_path: Path) -> None:
    settings = replace(Settings().checkpoint, folder=str(tmp_path / "c"))
    with locked(tmp_path / "c"):
        found = {one.check: one for one in keep.store(settings) if one.verdict == "warn"}
        assert [*found] == ["store"]
        assert "in use by process" in found["store"].said
    assert [one.verdict for one in keep.store(settings)] == ["ok", "ok"]
    assert [one.name for one in (tmp_path / "c").iterdir()] == ["lock"]


def test_a_store_that_cannot_be_written_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file" / "c", tmp_path / "file"):
        settings = replace(Settings().checkpoint, folder=str(folder))
        assert next(iter(keep.store(settings))).verdict == "fail"


def test_a_store_of_objects_is_tried_too() -> None:
    import fsspec  # noqa: PLC0415 - for this test alone

    settings = replace(Settings().checkpoint, folder="memory://doctor/c")
    assert [one.verdict for one in keep.store(settings)] == ["ok"]
    assert fsspec.filesystem("memory").find("/doctor") == []


def test_little_room_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 1 << 20

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    settings = replace(Settings().checkpoint, folder=str(tmp_path))
    assert [(one.check, one.verdict) for one in keep.store(settings)][1] == ("room", "warn")


def test_clocks_that_stand_or_jump_or_lie_in_the_past_are_told() -> None:
    ticks = iter(range(10**6))

    def moving(wall: float, step: float = 0.0) -> Clocks:
        walls = iter((wall, wall + 0.01 + step))
        return Clocks(lambda: next(ticks) / 100, lambda: next(walls), lambda _: None)

    now = 1.8e9
    assert [one.verdict for one in here.clock(moving(now), {"t": now + 5})] == ["ok"]
    assert [one.verdict for one in here.clock(moving(0.0), {})] == ["fail"]
    assert [one.verdict for one in here.clock(moving(now, -3600.0), {})] == ["warn"]
    ahead = list(here.clock(moving(now), {"events": now + 7200}))
    assert [one.verdict for one in ahead] == ["ok", "warn"]
    assert "7,200 s ahead" in ahead[1].said
    stands = Clocks(lambda: 1.0, lambda: now, lambda _: None)
    assert "fail" in [one.verdict for one in here.clock(stands, {})]


def test_more_threads_than_cores_are_a_warning() -> None:
    base = Settings()
    many = replace(base, service=replace(base.service, threads=1000))
    assert [one.verdict for one in here.device(many)] == ["ok", "warn"]
    assert [one.verdict for one in here.device(base)] == ["ok"]


def test_weights_that_are_not_there_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Any:
        raise FileNotFoundError("mixer.safetensors")

    monkeypatch.setattr(here, "hatch", refuse)
    (found,) = here.agent(Settings())
    assert found.verdict == "fail"
    assert "mixer.safetensors" in found.said


class _Adaptd(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()
        self.wfile.write(b'{"ok": false, "progress_age_seconds": 1.0}')

    @override
    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def adaptd() -> Iterator[int]:
    """Give the port of what answers as a daemon does."""
    server = HTTPServer(("127.0.0.1", 0), _Adaptd)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_port_that_is_taken_fails_unless_an_adaptd_has_it(adaptd: int) -> None:
    assert [one.verdict for one in here.port(WebSettings(port=adaptd))] == ["warn"]
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0.1)
        Thread(target=_hang_up, args=(other,)).start()
        found = list(here.port(WebSettings(port=other.getsockname()[1])))
    assert [one.verdict for one in found] == ["fail"]
    assert [one.verdict for one in here.port(WebSettings(port=free_port()))] == ["ok"]
    assert [one.verdict for one in here.port(WebSettings(host="192.0.2.1"))] == ["fail"]


def _hang_up(server: socket.socket) -> None:
    connection, _ = server.accept()
    connection.close()


def test_a_check_that_hangs_or_breaks_does_not_stop_the_others() -> None:
    never = Event()

    def hang() -> Iterator[Finding]:
        yield good("slow", "so far")
        never.wait(5)

    def broken() -> Iterator[Finding]:
        raise ZeroDivisionError("oh")
        yield

    checks = [("slow", hang), ("broken", broken), ("last", lambda: [good("last", "fine")])]
    start = time.monotonic()
    found = [(one.check, one.verdict) for one in run(checks, 0.2)]
    assert time.monotonic() - start < 2
    assert found[-3:] == [("slow", "fail"), ("broken", "fail"), ("last", "ok")]
    never.set()
