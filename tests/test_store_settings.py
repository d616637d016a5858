"""Where checkpoints go, as a person sets it; and who may hold that place."""

from pathlib import Path

import pytest

from agent.faults import SettingsError
from agent.service.checkpoint import CheckpointSettings
from agent.service.lock import locked
from agent.service.snapshot import CheckpointError
from agent.settings import load
from agent.toml import Text
from tests.checkpoints import loaded, save, store


def given(**words: str) -> CheckpointSettings:
    """Read them as the command line does."""
    flags = {f"checkpoint.{name}": Text(word, "--set") for name, word in words.items()}
    return load(None, {}, flags).checkpoint


@pytest.mark.parametrize(
    "folder", ["run/checkpoints", "2024", "true", "s3://bucket/fraud", "memory://x", "gs://bucket"]
)
def test_a_folder_or_a_url_is_taken_as_it_is_written(folder: str) -> None:
    assert given(folder=folder).folder == folder


def test_options_may_hold_tables() -> None:
    words = '{ endpoint_url = "http://minio:9000", client_kwargs = { region_name = "eu" } }'
    assert given(folder="s3://bucket/fraud", options=words).options == {
        "endpoint_url": "http://minio:9000",
        "client_kwargs": {"region_name": "eu"},
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"folder": ""}, "folder is empty"),
        ({"folder": "s4://bucket/fraud"}, "no store is called s4"),
        ({"folder": "s3:/bucket/fraud"}, "a URL has two slashes"),
        ({"folder": "s3://"}, "name the bucket, as s3://bucket/prefix"),
        ({"folder": "simplecache::s3://bucket"}, "give the last of them alone"),
        ({"options": "{ anon = true }"}, "options are given, but folder is 'checkpoints'"),
        ({"folder": "s3://b/f", "options": "{ secret = 'hidden' }"}, "options.secret: may be"),
        ({"folder": "s3://b/f", "options": "{ c = { aws_secret_access_key = 'hidden' } }"}, "may"),
        ({"folder": "az://b/f", "options": "{ account_key = 'hidden' }"}, "account_key: may be"),
        ({"folder": "sftp://me:hidden@host/f"}, "folder holds a password"),
        ({"folder": "s3://b/f", "options": "{ list = [1] }"}, "must be"),
    ],
)
def test_what_cannot_be_a_place_is_refused_and_no_secret_told(
    words: dict[str, str], said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        given(**words)
    assert said in str(caught.value)
    assert "checkpoint." in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_file_url_and_the_home_folder_are_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    save("~/mine", 1)
    assert loaded(f"file://{tmp_path}/mine") == 1
    assert loaded(tmp_path / "mine") == 1


def test_options_that_the_client_does_not_know_are_said() -> None:
    pytest.importorskip("s3fs")
    with pytest.raises(CheckpointError, match="nonsense"):
        store("s3://bucket/fraud", options={"nonsense": 1}).load()


def test_a_folder_is_held_by_one_alone_or_shared(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(CheckpointError, match="in use by process"):
        held(tmp_path, shared=False)
    with locked(tmp_path, shared=True):
        held(tmp_path, shared=True)
        with pytest.raises(CheckpointError, match="in use by process"):
            held(tmp_path, shared=False)
    with locked(tmp_path), pytest.raises(CheckpointError, match="in use by process"):
        held(tmp_path, shared=True)
    held(tmp_path, shared=False)


def held(folder: Path, *, shared: bool) -> None:
    with locked(folder, shared=shared):
        assert (folder / "lock").read_text().strip().isdigit()


def test_a_store_of_objects_is_not_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with locked("s3://bucket/fraud"), locked("s3://bucket/fraud"):
        assert not list(tmp_path.iterdir())
