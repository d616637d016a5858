"""Settings read again while the daemon runs."""

import dataclasses
import signal
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from agent.faults import Fault, SettingsError
from agent.parts import LEARNING
from agent.reload import LIVE, Reload, compare
from agent.settings import Settings, flat, load
from agent.toml import Text
from tests.daemon import Daemon, running

GOOD = "[web]\nport = 0\n[service]\nmax_batch = 100\n"


class Scene:
    """A settings file that changes under a daemon that was started with it."""

    def __init__(self, folder: Path, flags: dict[str, Text] | None = None) -> None:
        self.path = folder / "settings.toml"
        self.write(GOOD)
        self.flags = flags or {}
        self.reload = Reload(self.load, self.load())

    def load(self) -> Settings:
        return load(self.path, {"ADAPTD__SERVICE__POLL_WAIT": "0.5"}, self.flags)

    def write(self, text: str) -> None:
        self.path.write_text(text)

    def taken(self, text: str) -> tuple[Settings | None, list[tuple[str, str]]]:
        """Change the file, ask, and give what is to be gone on with, and what was logged."""
        self.write(text)
        self.reload.ask()
        with capture_logs() as logs:
            found = self.reload.take()
        told = [(line["log_level"], str(line.get("setting", line.get("fault")))) for line in logs]
        return found, told


@pytest.fixture(autouse=True)
def _every_level_is_logged() -> None:
    """Undo what a daemon run by another test in this process has configured."""
    structlog.reset_defaults()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_nothing_is_read_unless_someone_asks(scene: Scene) -> None:
    scene.write("broken [")
    with capture_logs() as logs:
        assert scene.reload.take() is None
    assert logs == []


def test_what_may_change_live_is_taken_up_once(scene: Scene) -> None:
    text = GOOD.replace("100", "7") + "[checkpoint]\nevery_records = 9\n"
    found, told = scene.taken(text)
    assert found is not None
    assert (found.service.max_batch, found.checkpoint.every_records) == (7, 9)
    assert found.service.poll_wait == 0.5  # the environment still goes over the file
    assert told == [("info", "checkpoint.every_records"), ("info", "service.max_batch")]
    assert scene.reload.take() is None
    assert scene.taken(text)[0] is None


def test_what_needs_a_restart_is_named_each_time_and_stays_as_it_was(scene: Scene) -> None:
    text = GOOD + "[agent]\nseed = 5\n"
    assert scene.taken(text) == (None, [("warning", "agent.seed")])
    assert scene.taken(text) == (None, [("warning", "agent.seed")])
    found, told = scene.taken(text.replace("100", "50"))
    assert found is not None
    assert (found.agent.seed, found.service.max_batch) == (0, 50)
    assert told == [("warning", "agent.seed"), ("info", "service.max_batch")]


def test_of_a_faulty_file_every_fault_is_logged_and_the_old_settings_stay(scene: Scene) -> None:
    found, told = scene.taken("[service]\nmax_batch = 0\nlog_levl = 'debug'\n[web]\nport = -1\n")
    assert found is None
    assert {level for level, _ in told} == {"error"}
    named = sorted(fault.partition(":")[0] for _, fault in told)
    assert named == ["service.log_levl", "service.max_batch", "web.port"]
    after, _ = scene.taken(GOOD.replace("100", "60"))
    assert after is not None
    assert after.service.max_batch == 60


def test_a_file_that_is_gone_or_broken_or_contradicts_itself_changes_nothing(scene: Scene) -> None:
    for text in ("broken [", '[source]\nkind = "file"\n', "[sink]\nkind = 'kafka'\n"):
        found, told = scene.taken(text)
        assert found is None
        assert [level for level, _ in told] == ["error"], text
    scene.path.unlink()
    scene.reload.ask()
    assert scene.reload.take() is None


def test_flags_go_on_over_the_file(tmp_path: Path) -> None:
    scene = Scene(tmp_path, {"service.max_batch": Text("33", "--set")})
    assert scene.taken(GOOD.replace("100", "7"))[0] is None


def test_a_signal_only_asks(scene: Scene) -> None:
    before = signal.signal(signal.SIGHUP, scene.reload.ask)
    try:
        scene.write(GOOD.replace("100", "8"))
        signal.raise_signal(signal.SIGHUP)
        found = scene.reload.take()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert found is not None
    assert found.service.max_batch == 8


def test_what_may_change_live_exists_and_decides_nothing_that_is_learned() -> None:
    there = flat(Settings())
    assert set(LIVE) <= set(there)
    assert not {path.partition(".")[0] for path in LIVE} & set(LEARNING)


def test_every_live_setting_is_carried_over_and_no_other() -> None:
    old = Settings()
    service = dataclasses.replace(
        old.service, commit_seconds=2.0, log_level="debug", max_batch=5, poll_wait=1.0, threads=3
    )
    checkpoint = dataclasses.replace(
        old.checkpoint, every_records=5, every_seconds=6.0, keep=7, folder="elsewhere"
    )
    found = compare(old, dataclasses.replace(old, service=service, checkpoint=checkpoint))
    assert {change.path for change in found.live} == set(LIVE)
    assert {change.path for change in found.restart} == {
        "service.threads",
        "checkpoint.folder",
        "checkpoint.keep",
    }
    now, new = flat(found.settings), flat(old)
    assert {path for path in now if now[path] != new[path]} == set(LIVE)


def test_a_reader_that_fails_in_another_way_is_told_too() -> None:
    def refuse() -> Settings:
        raise OSError("the disk is gone")

    reload = Reload(refuse, Settings())
    reload.ask()
    with structlog.testing.capture_logs() as logs:
        assert reload.take() is None
    assert logs[0]["fault"] == "the disk is gone"


def test_each_fault_is_a_line_of_its_own() -> None:
    def refuse() -> Settings:
        raise SettingsError([Fault("a", "", "b"), Fault("c", "", "d")])

    reload = Reload(refuse, Settings())
    reload.ask()
    with capture_logs() as logs:
        reload.take()
    assert [line["fault"] for line in logs] == ["a: b", "c: d"]


def told(daemon: Daemon, event: str) -> list[object]:
    """What lines of the log of that event name."""
    found = [line for line in daemon.lines() if line.get("event") == event]
    return [line.get("setting", line.get("fault")) for line in found]


def test_a_running_daemon_takes_up_what_it_can_and_outlives_faults(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    text = (
        f'[checkpoint]\nfolder = "{tmp_path / "c"}"\nevery_seconds = 600.0\n'
        "[source.world]\nspeed = 2e5\n[agent]\nslots = 64\nhidden = 8\n[service]\n"
    )
    path.write_text(text)
    with running(tmp_path, str(path)) as daemon:
        daemon.until(lambda: daemon.answered() > 100)
        path.write_text(f"{text}max_batch = 0\n")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.until(lambda: bool(told(daemon, "settings not taken up, the old ones stay")))
        path.write_text(f"{text}max_batch = 7\nthreads = 2\n".replace("600.0", "0.2"))
        daemon.process.send_signal(signal.SIGHUP)
        daemon.until(lambda: len(told(daemon, "setting taken up")) == 2)
        assert told(daemon, "setting taken up") == ["checkpoint.every_seconds", "service.max_batch"]
        assert told(daemon, "needs a restart") == ["service.threads"]
        daemon.until(lambda: len(list((tmp_path / "c").glob("checkpoint-*"))) > 1)
        before = daemon.answered()
        daemon.until(lambda: daemon.answered() > before)
        assert daemon.get("healthz")[0] == 200
        assert daemon.stop() == 0
