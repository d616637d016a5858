"""At three in the morning: the real process stopped, refused, starved of disk, left by its clients.

Each test starts `adaptd run` itself; what a broker does to it is in test_operation_kafka.
"""

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import structlog

from agent.daemon import run_daemon
from agent.service.checkpoint import CheckpointStore
from agent.service.prequential import Fed, Prequential
from agent.settings import Settings, load
from agent.toml import Text
from streams.records import Event, Record
from streams.worlds.fraud import FraudSettings, FraudWorld
from tests.broker import free_port
from tests.daemon import ROOT, Daemon, running

SMALL = ("agent.device=cpu", "agent.slots=64", "agent.hidden=8")


def put(*settings: str) -> list[str]:
    return [word for one in (*SMALL, *settings) for word in ("--set", one)]


def to_files(folder: Path, *more: str) -> list[str]:
    """Answers to files, checkpoints often, all in `folder`."""
    return put(
        "sink.kind=file",
        f"sink.file.predictions={folder / 'said.jsonl'}",
        f"sink.file.refused={folder / 'refused.jsonl'}",
        f"checkpoint.folder={folder / 'checkpoints'}",
        *more,
    )


def answers(folder: Path) -> list[str]:
    return [json.loads(line)["id"] for line in (folder / "said.jsonl").read_text().splitlines()]


def world_ids(count: int) -> list[str]:
    """The first events of the card world, in order."""
    world = FraudWorld(FraudSettings(), lambda: 0.0, lambda _: None)
    ids: list[str] = []
    while len(ids) < count:
        ids += [one.id for one in world.poll(1000, 0.0) if isinstance(one, Event)]
    return ids[:count]


def newest(folder: Path) -> Path:
    return max((folder / "checkpoints").glob("checkpoint-*"))


def said(daemon: Daemon, event: str) -> dict[str, object]:
    """The one line of the log with that event."""
    (line,) = [line for line in daemon.lines() if line.get("event") == event]
    return line


def test_a_stop_and_a_start_go_on_where_it_stood_also_from_the_checkpoint_before(
    tmp_path: Path,
) -> None:
    words = to_files(tmp_path, "checkpoint.every_records=2000")
    records = 0
    for number in (signal.SIGTERM, signal.SIGINT):
        with running(tmp_path, *words) as daemon:
            daemon.until(lambda: daemon.answered() >= 3000)
            assert daemon.get("readyz")[0] == 200
            asked = time.monotonic()
            daemon.process.send_signal(number)
            assert daemon.process.wait(20) == 0
            assert time.monotonic() - asked < 40
            records = int(str(said(daemon, "left")["records"]))
    ids = answers(tmp_path)
    assert ids == world_ids(len(ids))
    whole = (tmp_path / "said.jsonl").read_bytes()
    state = newest(tmp_path) / "state.safetensors"
    body = bytearray(state.read_bytes())
    body[len(body) // 2] ^= 1
    state.write_bytes(body)
    with running(tmp_path, *words) as daemon:
        daemon.until(lambda: daemon.answered() >= 5000)
        assert said(daemon, "checkpoint damaged, trying the one before")["level"] == "error"
        assert int(str(said(daemon, "restored")["records"])) < records
        assert daemon.stop() == 0
    again = (tmp_path / "said.jsonl").read_bytes()
    assert again.startswith(whole)
    assert len(again) > len(whole)


def start(folder: Path, name: str, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "agent", "run", "--set", "web.port=0", *words]
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(command, stderr=log, stdout=log, cwd=ROOT)


@pytest.mark.slow
def test_what_cannot_start_says_why_in_one_line_and_leaves_with_2_or_1_where_it_may_pass(
    tmp_path: Path,
) -> None:
    """Seven processes, all at once: one holds the folder and the port of the others."""
    held, torn = tmp_path / "held", tmp_path / "torn" / "checkpoint-000000000001"
    torn.mkdir(parents=True)
    stream = ('stream.fields={a="numeric"}', "stream.target=y")
    silent = f"source.kafka.bootstrap=127.0.0.1:{free_port()}"
    with running(tmp_path, *put(f"checkpoint.folder={held}")) as daemon:
        daemon.until(lambda: daemon.answered() > 0)
        port = daemon.url.rsplit(":", 1)[1].strip("/")
        own = f"checkpoint.folder={tmp_path / 'own'}-"
        shutil.copytree(held, tmp_path / "other")
        cases = {
            f"in use by process {daemon.process.pid};": put(f"checkpoint.folder={held}"),
            f"127.0.0.1:{port} is taken": put(f"{own}1", f"web.port={port}"),
            "none of the 1 checkpoints": put(f"checkpoint.folder={torn.parent}"),
            "0 in the checkpoint, 5 now": put(
                f"checkpoint.folder={tmp_path / 'other'}", "agent.seed=5"
            ),
            "No such file": put(
                f"{own}2", *stream, "source.kind=file", "source.file.path=/nowhere.csv"
            ),
            "check that the broker runs": put(
                f"{own}3", *stream, "source.kind=kafka", silent, "source.kafka.connect_timeout=1"
            ),
        }
        started = [start(tmp_path, str(at), *case) for at, case in enumerate(cases.values())]
        codes = [process.wait(60) for process in started]
    assert codes == [*[2] * (len(cases) - 1), 1]  # a broker that is away may come back
    for at, why in enumerate(cases):
        log = (tmp_path / f"{at}.log").read_text()
        (line,) = [line for line in log.splitlines() if "cannot start" in line]
        assert why in line
        assert "Traceback" not in log


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    """The broker accepts and never answers, so that the first signal has to wait."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        bootstrap = f"source.kafka.bootstrap=127.0.0.1:{silent.getsockname()[1]}"
        stream = ('stream.fields={a="numeric"}', "stream.target=y", "source.kind=kafka", bootstrap)
        with running(tmp_path, *put(*stream, f"checkpoint.folder={tmp_path / 'c'}")) as daemon:
            silent.accept()[0].close()
            daemon.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            assert daemon.process.poll() is None
            assert daemon.get("readyz")[0] == 503
            daemon.process.send_signal(signal.SIGTERM)
            assert daemon.process.wait(1) == 128 + signal.SIGTERM


def room(process: subprocess.Popen[bytes], most: int) -> None:
    """Bound the size of every file that the process writes, as a full disk would."""
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


def failures(daemon: Daemon) -> int:
    lines = daemon.get("metrics")[1].decode().splitlines()
    name = "adaptd_checkpoint_failures_total "
    return int(float(next(line for line in lines if line.startswith(name)).split()[1]))


def test_a_full_disk_is_told_outlived_and_no_clean_end(tmp_path: Path) -> None:
    words = put(f"checkpoint.folder={tmp_path / 'checkpoints'}", "checkpoint.every_seconds=0.5")
    with running(tmp_path, *words) as daemon:
        daemon.until(lambda: daemon.get("readyz")[0] == 200 and failures(daemon) == 0)
        room(daemon.process, 40_000)
        daemon.until(lambda: failures(daemon) >= 2, 30)
        daemon.until(lambda: daemon.get("readyz")[0] == 503, 30)
        assert b"records in no checkpoint for" in daemon.get("readyz")[1]
        assert daemon.get("healthz")[0] == 200
        figures, before = daemon.figures(), daemon.answered()
        assert figures["checkpoint_failures"] >= 2
        assert figures["checkpoint"]["age"] > 1.5
        daemon.until(lambda: daemon.answered() > before + 1000)
        room(daemon.process, resource.RLIM_INFINITY)
        daemon.until(lambda: daemon.get("readyz")[0] == 200, 30)
        assert daemon.figures()["checkpoint"]["age"] < 1.5
        room(daemon.process, 40_000)
        assert daemon.stop(20) == 1
    last = daemon.lines()[-1]
    assert (last["event"], last["level"]) == ("stopped", "error")
    assert "cannot write a checkpoint" in last["why"]
    assert "File too large" in last["why"]


BAD = {
    "undecodable": b'{"id": "u"',
    "wrong-type": b'{"id": "w", "time": 1, "a": "x", "y": "up"}',
    "not-finite": b'{"id": "n", "time": 1, "a": 1e999, "y": "up"}',
    "oversize": b'{"id": "o", "time": 1, "a": 1, "y": "' + b"u" * 3000 + b'"}',
    "no-id": b'{"time": 1, "a": 1, "y": "up"}',
    "bad-time": b'{"id": "t", "time": "soon", "a": 1, "y": "up"}',
}


def good(at: int) -> bytes:
    return b'{"id": "e%d", "time": %d, "a": %d, "y": "%s"}' % (at, at, at % 7, b"du"[at % 2 :][:1])


def test_bad_lines_become_dead_letters_the_stream_ends_and_nothing_is_left_open(
    tmp_path: Path,
) -> None:
    """One process: bad records, 200 checkpoints, 200 requests, the end, and the page after it."""
    lines = [good(at) for at in range(8_000)]  # some checkpoints are skipped on a slow disk
    lines[100:100] = [*BAD.values(), b'{"id": "nan", "time": 1, "a": NaN, "y": "up"}']
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    words = to_files(
        tmp_path,
        'stream.fields={a="numeric"}', "stream.target=y", "stream.id=id", "stream.time=time",
        "stream.max_bytes=2000", "source.kind=file", f"source.file.path={tmp_path / 'in.jsonl'}",
        "checkpoint.every_records=10", "service.max_batch=10",
    )  # fmt: skip
    with running(tmp_path, *words) as daemon:
        daemon.until(lambda: daemon.answered() >= 100)
        process = psutil.Process(daemon.process.pid)
        before = process.num_fds()
        for at in range(200):
            daemon.get(("metrics", "status.json", "", "readyz")[at % 4])
        daemon.until(lambda: json.loads(daemon.get("status.json")[1])["phase"] == "ended")
        assert int(newest(tmp_path).name.split("-")[1]) >= 200
        assert process.num_fds() <= before + 1  # the request that counted may still be open
        assert process.num_threads() < 20
        assert daemon.get("healthz")[0] == 200
        assert b"ended" in daemon.get("readyz")[1]
        assert daemon.figures()["refused"].keys() >= {"undecodable", "oversize"}
        assert daemon.stop(10) == 0
    assert answers(tmp_path) == [f"e{at}" for at in range(8_000)]
    letters = [json.loads(one) for one in (tmp_path / "refused.jsonl").read_text().splitlines()]
    assert [letter["reason"] for letter in letters] == [*BAD, "not-finite"]
    assert len({letter["detail"] for letter in letters}) == len(letters)


def test_once_leaves_at_the_end_and_events_bounds_a_run(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("a,y\n1,up\n2,down\n1\n1,2,3\n")
    stream = ('stream.fields={a="numeric"}', "stream.target=y", "source.kind=file")
    path = f"source.file.path={tmp_path / 'in.csv'}"
    once = start(tmp_path, "once", "--once", *to_files(tmp_path, *stream, path))
    few = start(tmp_path, "few", "--events", "50", *to_files(tmp_path / "few"))
    assert (once.wait(60), few.wait(60)) == (0, 0)
    assert len(answers(tmp_path)) == 2
    letters = [json.loads(one) for one in (tmp_path / "refused.jsonl").read_text().splitlines()]
    assert [letter["reason"] for letter in letters] == ["wrong-columns"] * 2
    ids = answers(tmp_path / "few")
    assert ids == world_ids(len(ids))
    assert len(ids) >= 50


def test_a_fault_of_its_own_is_logged_once_with_its_trace_and_spoils_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    feed = Prequential.feed

    def faulty(self: Prequential, records: list[Record]) -> Fed:
        if self.records > 500:
            raise ZeroDivisionError("a bug")
        return feed(self, records)

    monkeypatch.setattr(Prequential, "feed", faulty)
    flags = {
        "web.port": "0",
        "checkpoint.folder": str(tmp_path),
        "checkpoint.every_records": "100",
        "service.max_batch": "100",
    }
    settings: Settings = load(None, {}, {path: Text(it, "--set") for path, it in flags.items()})
    try:
        assert run_daemon(settings) == 1
    finally:
        structlog.reset_defaults()
    log = capfd.readouterr().err
    assert log.count("ZeroDivisionError: a bug") == 1
    assert '"level": "error"' in log
    fingerprint = json.loads((max(tmp_path.glob("check*")) / "manifest.json").read_text())
    store = CheckpointStore(tmp_path, 3, fingerprint["body"]["settings"], lambda: 0.0)
    found = store.load()
    assert found is not None
    assert found[1]["learner"]
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
