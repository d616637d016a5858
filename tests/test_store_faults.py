"""Disks and stores that fail: what was whole stays whole, and it goes on when they are back."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

import fsspec
import pytest
import torch
from structlog.testing import capture_logs

from agent.service import store_folder
from agent.service.checkpoint import CheckpointStore
from agent.service.snapshot import CheckpointError
from agent.service.store import MANIFEST, STATE
from agent.service.store_open import open_place
from tests.checkpoints import loaded, paths, save, state, store
from tests.places import Hook, fill, hook, hook_client, in_memory, objects, remount, small_disk


class CrashError(BaseException):
    """Stands for the end of the process: nothing catches it, nothing tidies up."""


def put(one: CheckpointStore, value: float) -> str:
    return one.save(state(value), {"value": value}).name


def client(url: str) -> Any:
    return fsspec.url_to_fs(url)[0]


def raising(error: BaseException, verbs: set[str], times: int = 10**9) -> Hook:
    """Give a hook that raises at those verbs, so many times."""
    left = times

    def told(verb: str, _: str) -> None:
        nonlocal left
        if verb in verbs and left:
            left -= 1
            raise error

    return told


def test_on_a_full_disk_the_ones_before_stay_and_room_is_all_it_takes(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "64k") as disk:
        save(disk, 1)
        fill(filler := disk / "filler")
        with pytest.raises(CheckpointError, match=r"No space left on device.*make room"):
            save(disk, 2)
        assert loaded(disk) == 1
        assert not list(disk.glob(".unfinished*"))
        filler.unlink()
        save(disk, 3)
        assert loaded(disk) == 3


def test_a_disk_that_fills_while_the_tensors_are_written_is_given_back(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "256k") as disk:
        save(disk, 1)
        free = os.statvfs(disk).f_bavail
        big = {"weights": torch.zeros(300_000, dtype=torch.uint8)}
        with pytest.raises(CheckpointError, match="No space left on device"):
            store(disk).save(big, {"value": 2})
        assert os.statvfs(disk).f_bavail == free
        assert loaded(disk) == 1


def test_a_disk_gone_read_only_is_said_and_can_come_back(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "256k") as disk:
        one = store(disk, keep=2)
        for value in (1, 2):
            put(one, value)
        remount(disk, "ro")
        with pytest.raises(
            CheckpointError, match=r"Read-only file system.*ones before it are whole"
        ):
            put(one, 3)
        assert loaded(disk) == 2
        remount(disk, "rw")
        put(one, 4)
        assert loaded(disk) == 4
        assert len(paths(disk)) == 2


def test_a_store_that_fails_for_a_while_comes_back() -> None:
    with in_memory() as url:
        one = store(url, keep=2)
        put(one, 1)
        hook_client(one, raising(ConnectionError("reset by peer"), {"pipe_file"}, times=3))
        for value in (2, 3, 4):
            with pytest.raises(CheckpointError, match="reset by peer; see that it can be reached"):
                put(one, value)
            assert loaded(url) == 1
        put(one, 5)
        assert loaded(url) == 5
        assert open_place(url).listing().unfinished == ()


def test_a_client_with_errors_of_its_own_kind_is_understood() -> None:
    class NoTokenError(Exception):
        pass

    with in_memory() as url:
        one = hook_client(store(url), raising(NoTokenError("expired"), {"pipe_file"}))
        with pytest.raises(CheckpointError, match=r"NoTokenError: expired; see that it .* reached"):
            put(one, 1)


def test_a_store_out_of_reach_is_no_damage_at_the_start() -> None:
    """Else an older checkpoint would be taken, or the person told to bring back a copy."""
    with in_memory() as url:
        put(store(url), 1)
        for verb in ("listing", "read"):
            one = hook(store(url), raising(TimeoutError("no answer"), {verb}))
            with pytest.raises(CheckpointError, match="cannot be read: no answer"):
                one.load()
        assert loaded(url) == 1


def test_old_ones_that_cannot_be_removed_stay_and_the_new_one_counts() -> None:
    with in_memory() as url:
        one = store(url, keep=1)
        put(one, 1)
        hook(one, raising(PermissionError("no"), {"remove"}, times=1))
        with capture_logs() as logs:
            put(one, 2)
        assert [line["event"] for line in logs] == ["old checkpoints stay"]
        assert loaded(url) == 2
        put(one, 3)
        assert len(one.names()) == 1


@pytest.mark.parametrize("step", range(8))
def test_a_crash_at_any_step_in_a_store_of_objects(step: int) -> None:
    """Crash before the n-th change, then go on as a new process."""
    with in_memory() as url:
        before = store(url, keep=2)
        for value in (1, 2):
            put(before, value)
        calls = 0

        def told(_verb: str, _path: str) -> None:
            nonlocal calls
            calls += 1
            if calls > step:
                raise CrashError

        one = hook_client(store(url, keep=2), told)
        try:
            put(one, 3)
        except CrashError:
            assert loaded(url) == (2 if step < 2 else 3)
        else:
            assert step >= 4  # tensors, manifest, and the two objects of an old one
        after = store(url, keep=2)
        put(after, 4)
        assert loaded(url) == 4
        assert len(objects(url)) == 4


def test_no_bit_of_either_file_can_flip_unseen() -> None:
    """One bit of every byte: the one before is loaded, or the manifest still says the same."""
    with in_memory() as url:
        put(store(url), 1)
        name = put(store(url), 2)
        system = client(url)
        for file in (STATE, MANIFEST):
            path = f"{url}/{name}/{file}"
            raw = system.cat_file(path)
            for at in range(len(raw)):
                wrong = bytearray(raw)
                wrong[at] ^= 1 << at % 8
                system.pipe_file(path, bytes(wrong))
                with capture_logs():
                    found = loaded(url)
                assert found == (2 if file == MANIFEST and same(raw, bytes(wrong)) else 1), at
            system.pipe_file(path, raw)
        assert loaded(url) == 2


def same(one: bytes, other: bytes) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


@pytest.mark.parametrize("file", [STATE, MANIFEST])
def test_an_object_that_is_missing_gives_way_to_the_one_before(file: str) -> None:
    with in_memory() as url:
        put(store(url), 1)
        name = put(store(url), 2)
        system = client(url)
        system.rm_file(f"{url}/{name}/{file}")
        assert loaded(url) == 1


def test_tensors_taken_away_while_they_are_written_are_no_checkpoint() -> None:
    """What a writer believes to be durable is there."""
    with in_memory() as url:
        one = store(url)

        def told(verb: str, path: str) -> None:
            if verb == "pipe_file" and path.endswith(MANIFEST):
                system.rm_file(path.replace(MANIFEST, STATE))

        system = client(url)
        hook_client(one, told)
        with pytest.raises(CheckpointError, match="cannot write"):
            put(one, 1)
        assert loaded(url) is None


def test_what_another_is_writing_is_not_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two writers in one folder: the slow one finishes, whatever the quick one sweeps."""
    begun, go = threading.Event(), threading.Event()
    real = store_folder._force

    def slow(file: BinaryIO, content: bytes) -> None:
        if threading.current_thread().name == "slow":
            begun.set()
            assert go.wait(10)
        real(file, content)

    monkeypatch.setattr(store_folder, "_force", slow)
    thread = threading.Thread(target=lambda: save(tmp_path, 1), name="slow")
    thread.start()
    assert begun.wait(10)
    quick = store(tmp_path)
    for value in (2, 3, 4, 5):
        put(quick, value)
    assert len(list(tmp_path.glob(".unfinished*"))) == 1
    go.set()
    thread.join(10)
    assert not list(tmp_path.glob(".unfinished*"))
    assert len(paths(tmp_path)) == 4  # the quick one's three, and what the slow one wrote


def test_what_a_killed_process_was_writing_is_swept(tmp_path: Path) -> None:
    code = (
        "import sys, time; sys.path[:0] = ['.']\n"
        "from agent.service import store_folder\n"
        "from tests.checkpoints import save\n"
        "def stuck(file, content):\n"
        "    print('writing', flush=True)\n"
        "    time.sleep(60)\n"
        "store_folder._force = stuck\n"
        "save(sys.argv[1], 9)\n"
    )
    save(tmp_path, 1)
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        save(tmp_path, 2)
        assert len(list(tmp_path.glob(".unfinished*"))) == 1
        process.send_signal(signal.SIGKILL)
    save(tmp_path, 3)
    assert not list(tmp_path.glob(".unfinished*"))
    assert loaded(tmp_path) == 3


def test_the_clock_may_jump_as_it_likes(tmp_path: Path) -> None:
    """Order and durations come from no wall clock."""
    times = iter([2e9, 1.0, 1.7e9, 0.0, 1.6e9, 5e9])
    one = CheckpointStore(tmp_path, 3, {}, lambda: next(times))
    for value in range(6):
        saved = one.save(state(value), {"value": value})
        assert 0 <= saved.seconds < 60
        found = CheckpointStore(tmp_path, 3, {}, lambda: 0.0).load()
        assert found is not None
        assert found[1] == {"value": value}
    assert len(one.names()) == 3
