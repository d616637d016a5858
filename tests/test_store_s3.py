"""Checkpoints in S3, as a server on loopback speaks it, through the client that people install."""

import builtins
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agent.service.checkpoint import CheckpointStore, Saved
from agent.service.snapshot import CheckpointError
from agent.service.store_open import shards
from agent.service.store_survey import content, survey
from agent.service.writer import Writer
from tests.broker import free_port
from tests.checkpoints import loaded, save, state, store
from tests.daemon import running
from tests.s3 import BUCKET, client_of, keys, s3

URL = f"s3://{BUCKET}/fraud"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3() as address:
        yield address


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with client_of(server, monkeypatch) as client:
        yield client


def test_what_was_saved_in_s3_comes_back(bucket: Any) -> None:
    half, doubles = torch.randn(3, 4).to(torch.bfloat16), np.array([np.nan, 1e300])
    assert loaded(URL) is None
    saved = store(URL, shard="0007").save({"half": half, "doubles": doubles}, {"position": 2**60})
    assert saved.path == f"{URL}/shard-0007/{saved.name}"
    assert keys(bucket) == [
        f"fraud/shard-0007/{saved.name}/{file}" for file in ("manifest.json", "state.safetensors")
    ]
    found = store(URL, shard="0007").load()
    assert found is not None
    assert found[1] == {"position": 2**60}
    assert torch.equal(torch.as_tensor(found[0]["half"]), half)
    assert np.asarray(found[0]["doubles"]).tobytes() == doubles.tobytes()
    assert content(saved.path)[1]["meta"] == {"position": 2**60}


def test_prefixes_that_begin_alike_are_kept_apart(bucket: Any) -> None:
    save(f"{URL}-other", 1)
    save(URL, 2, shard="0003")
    assert loaded(URL) is None
    assert shards(URL) == ["0003"]
    assert [one.whole for one in survey(URL)] == [True]
    assert len(keys(bucket)) == 4


def test_old_ones_go_and_the_newest_is_loaded(bucket: Any) -> None:
    for value in range(5):
        save(URL, value, keep=2)
    assert loaded(URL) == 4
    assert len(keys(bucket)) == 4


def test_many_shards_are_written_by_one_thread(bucket: Any) -> None:
    done: list[Saved] = []
    with Writer() as writer:
        for value in range(12):
            one = store(URL, shard=f"{value:04d}")
            writer.submit(one, state(value), {"value": value}, done.append)
    assert len(done) == 12
    assert [loaded(URL, f"{value:04d}") for value in range(12)] == list(range(12))
    assert len(keys(bucket)) == 24


def test_a_large_state_and_small_ones_at_once(bucket: Any) -> None:
    """Two threads on one client: neither waits for ever, and each reads its own."""
    large = store(URL, shard="0001")
    saving = threading.Thread(
        target=lambda: large.save({"weights": torch.ones(4_000_000)}, {"value": 1})
    )
    saving.start()
    for value in range(3):
        save(URL, value)
    saving.join(60)
    assert loaded(URL) == 2
    found = large.load()
    assert found is not None
    assert float(torch.as_tensor(found[0]["weights"]).sum()) == 4_000_000
    assert len(keys(bucket)) == 8


@pytest.mark.usefixtures("bucket")
def test_a_bucket_that_is_not_there_is_said_and_not_made() -> None:
    one = store("s3://no-such-bucket/fraud")
    with pytest.raises(CheckpointError, match="bucket does not exist; see that it can be"):
        one.load()
    with pytest.raises(CheckpointError, match="bucket does not exist; see that it can be"):
        one.save({}, {})
    with pytest.raises(CheckpointError, match="bucket does not exist"):
        shards("s3://no-such-bucket/fraud")


@pytest.mark.usefixtures("bucket")
def test_without_credentials_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from s3fs import S3FileSystem  # noqa: PLC0415 - only where it is installed

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    S3FileSystem.clear_instance_cache()
    with pytest.raises(CheckpointError, match="Unable to locate credentials; see that"):
        store(URL).load()


@pytest.mark.usefixtures("bucket")
def test_an_endpoint_may_be_an_option_and_one_that_is_away_is_said_soon() -> None:
    options = {"endpoint_url": f"http://127.0.0.1:{free_port()}"}
    one = CheckpointStore(URL, 3, {}, lambda: 0.0, options=options)
    begun = time.monotonic()
    with pytest.raises(CheckpointError, match="Could not connect to the endpoint URL"):
        one.load()
    assert time.monotonic() - begun < 60  # by the client's own defaults: minutes


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] in {"gcsfs", "google"}:
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(CheckpointError, match=r"not installed; pip install 'adaptd\[gcs\]'"):
        store("gs://bucket/fraud")


@pytest.mark.slow
@pytest.mark.usefixtures("bucket")
def test_a_daemon_goes_on_from_s3_where_it_was_killed(tmp_path: Path) -> None:
    """Two daemons are started: that the settings reach the store, and the store outlives a kill."""
    words = [f"checkpoint.folder={URL}", "checkpoint.every_seconds=0.3"]
    arguments = [part for word in words for part in ("--set", word)]
    with running(tmp_path, *arguments) as daemon:
        daemon.until(lambda: len(store(URL).names()) >= 3)
        daemon.kill()
    with running(tmp_path, *arguments) as daemon:
        daemon.until(lambda: any(line["event"] == "restored" for line in daemon.lines()))
        assert daemon.stop() == 0
    assert all(one.whole for one in survey(URL))
