"""Checkpoints: whole or not there, checked when read."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from agent.service.checkpoint import CheckpointSettings
from agent.service.snapshot import CheckpointError, Flat
from agent.service.store import MANIFEST, STATE
from tests.checkpoints import files_no_larger_than, loaded, paths, save, state, store


class CrashError(BaseException):
    """Stands for the end of the process: nothing catches it, nothing tidies up."""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    save(folder, 1)
    save(folder, 2)
    return folder


def damaged_copy(two: Path, file: str, damage: Callable[[bytearray], bytes | bytearray]) -> float:
    """Damage a file of the newer of two checkpoints, and say which one is loaded."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "copy"
        shutil.copytree(two, folder)
        path = paths(folder)[-1] / file
        path.write_bytes(damage(bytearray(path.read_bytes())))
        with capture_logs() as logs:
            value = loaded(folder)
        assert value is not None
        assert (value == 1) == any(line["log_level"] == "error" for line in logs)
        return value


def test_what_was_saved_comes_back_in_kind_and_to_the_bit(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {
        "half": torch.randn(3, 4).to(torch.bfloat16),
        "flag": torch.tensor(data=True),
        "empty": torch.zeros(0, 5),
        "view": torch.arange(12.0).reshape(3, 4).T[1:],
        "grown": torch.ones(1).expand(4),
        "parameter": torch.nn.Parameter(torch.tensor([float("nan"), -0.0])),
        "ints": np.arange(5)[::2],
        "doubles": np.array([[np.nan, 1e300]]).T,
        "scalar": np.array(7.5),
    }
    meta = {"positions": {"events[0]": 2**60}, "none": None, "text": "ü", "list": [0.1, 1e-300]}
    store(tmp_path).save(arrays, meta)
    found = store(tmp_path).load()
    assert found is not None
    assert found[1] == meta
    assert found[0].keys() == arrays.keys()
    for name, before in arrays.items():
        after = found[0][name]
        assert isinstance(after, torch.Tensor) == isinstance(before, torch.Tensor)
        assert after.dtype == before.dtype
        assert after.shape == before.shape
        if isinstance(after, torch.Tensor):
            as_bytes = [
                t.detach().contiguous().flatten().view(torch.uint8) for t in (before, after)
            ]
            assert torch.equal(*as_bytes)
        else:
            assert after.tobytes() == before.tobytes()


def test_an_empty_state_and_an_empty_folder(tmp_path: Path) -> None:
    assert store(tmp_path / "none").load() is None
    store(tmp_path).save({}, {})
    assert store(tmp_path).load() == ({}, {})


def test_the_last_n_are_kept_and_the_newest_is_loaded(tmp_path: Path) -> None:
    saved = [save(tmp_path, value, keep=2) for value in range(5)]
    assert paths(tmp_path) == saved[-2:]
    assert sorted(path.name for path in tmp_path.iterdir()) == [path.name for path in saved[-2:]]
    assert loaded(tmp_path) == 4


@settings(max_examples=60, deadline=None)
@given(file=st.sampled_from([STATE, MANIFEST]), share=st.floats(0, 1, exclude_max=True))
def test_a_torn_file_gives_way_to_the_one_before(two: Path, file: str, share: float) -> None:
    assert damaged_copy(two, file, lambda raw: raw[: int(share * len(raw))]) == 1


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_in_the_tensors_is_seen(two: Path, share: float, bit: int) -> None:
    def flip(raw: bytearray) -> bytearray:
        raw[int(share * len(raw))] ^= 1 << bit
        return raw

    assert damaged_copy(two, STATE, flip) == 1


@settings(max_examples=100, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_in_the_manifest_is_seen_or_says_the_same(
    two: Path, share: float, bit: int
) -> None:
    same: list[bool] = []

    def flip(raw: bytearray) -> bytearray:
        before = json.loads(raw)
        raw[int(share * len(raw))] ^= 1 << bit
        try:
            same.append(json.loads(bytes(raw)) == before)
        except ValueError:
            same.append(False)
        return raw

    assert damaged_copy(two, MANIFEST, flip) == (2 if same == [True] or not same else 1)


@settings(max_examples=30, deadline=None)
@given(file=st.sampled_from([STATE, MANIFEST]), start=st.floats(0, 0.99), share=st.floats(0.01, 1))
def test_blocks_that_never_reached_the_disk_are_seen(
    two: Path, file: str, start: float, share: float
) -> None:
    def hole(raw: bytearray) -> bytearray:
        first = int(start * len(raw))
        many = max(8, int(share * (len(raw) - first)))
        changed = bytearray(raw)
        changed[first : first + many] = bytes(len(changed[first : first + many]))
        return changed if changed != raw else bytearray(len(raw))

    assert damaged_copy(two, file, hole) == 1


@pytest.mark.parametrize("file", [STATE, MANIFEST])
def test_a_missing_file_gives_way_to_the_one_before(tmp_path: Path, file: str) -> None:
    save(tmp_path, 1)
    (save(tmp_path, 2) / file).unlink()
    assert loaded(tmp_path) == 1


def test_where_none_is_whole_it_says_so_instead_of_starting_anew(tmp_path: Path) -> None:
    for value in (1, 2):
        (save(tmp_path, value) / STATE).write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"none of the 2 checkpoints .* move them away"):
        store(tmp_path).load()


def test_a_damaged_one_is_not_counted_among_the_kept(tmp_path: Path) -> None:
    for value in (1, 2):
        save(tmp_path, value)
    (save(tmp_path, 3) / STATE).write_bytes(b"")
    one = store(tmp_path, keep=2)
    assert one.load() is not None
    one.save(state(4), {"value": 4})
    paths(tmp_path)[-1].joinpath(MANIFEST).unlink()
    assert loaded(tmp_path) == 2


@pytest.mark.parametrize("step", range(20))
def test_a_crash_at_any_step_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Crash before the n-th system call that changes the folder, then go on as a new process."""
    for value in (1, 2):
        save(tmp_path, value, keep=2)
    calls = 0

    def crashing(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > step:
                raise CrashError
            return real(*args, **more)

        return call

    with monkeypatch.context() as patch:
        for name in ("fsync", "rename", "mkdir", "unlink", "rmdir"):
            patch.setattr(os, name, crashing(getattr(os, name)))
        try:
            save(tmp_path, 3, keep=2)
        except CrashError:
            assert calls == step + 1
    assert loaded(tmp_path) in {2, 3}
    save(tmp_path, 4, keep=2)
    assert loaded(tmp_path) == 4
    assert len(list(tmp_path.iterdir())) == 2


def test_a_killed_process_leaves_whole_checkpoints(tmp_path: Path) -> None:
    """Kill -9 a process that does nothing but write checkpoints, at random, three times."""
    code = (
        "import sys, pathlib; sys.path[:0] = ['.']\n"
        "from tests.checkpoints import loaded, save\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "value = loaded(folder) or 0\n"
        "while True:\n"
        "    value += 1\n"
        "    save(folder, value)\n"
        "    print(value, flush=True)\n"
    )
    rng, last = np.random.default_rng(5), 0.0
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", code, tmp_path],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
            text=True,
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(rng.uniform(0, 0.3))
            process.send_signal(signal.SIGKILL)
            lines = [line for line in process.stdout if line.endswith("\n")]
        now = loaded(tmp_path)
        assert now is not None
        assert now > last
        assert not lines or now >= float(lines[-1])
        last = now


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    save(tmp_path, 1)
    other: Flat = {"encoder.clip": 5.0, "seed": 3, "learner.rate": 0.1}
    with pytest.raises(CheckpointError) as caught:
        store(tmp_path, fingerprint=other).load()
    said = str(caught.value)
    assert "encoder.clip: 10.0 in the checkpoint, 5.0 now" in said
    assert "learner.rate: absent in the checkpoint, 0.1 now" in said
    assert 'source.kind: "world" in the checkpoint, absent now' in said
    assert "seed" not in said
    assert "set them back" in said


def test_a_later_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.service.snapshot.FORMAT", 3)
    save(tmp_path, 1)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="has format 3, this version reads 2"):
        store(tmp_path).load()


@pytest.mark.parametrize("size", [0, 100, 300])
def test_a_full_disk_is_said_and_leaves_the_ones_before(tmp_path: Path, size: int) -> None:
    save(tmp_path, 1)
    with files_no_larger_than(size), pytest.raises(CheckpointError, match="make room"):
        save(tmp_path, 2)
    assert len(list(tmp_path.iterdir())) == 1
    assert loaded(tmp_path) == 1
    save(tmp_path, 3)
    assert loaded(tmp_path) == 3


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="give another folder"):
        save(tmp_path / "file", 1)


def test_meta_that_is_not_json_is_refused(tmp_path: Path) -> None:
    for meta in ({"loss": float("nan")}, {"set": {1}}):
        with pytest.raises(CheckpointError, match="not JSON"):
            store(tmp_path).save({}, meta)


@pytest.mark.parametrize(
    ("name", "value"), [("every_records", 0), ("every_seconds", 0.0), ("keep", 0)]
)
def test_settings_that_cannot_work_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        CheckpointSettings(**{name: value})  # type: ignore[arg-type]  # wrong on purpose
