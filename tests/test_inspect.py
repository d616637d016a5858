"""`adaptd inspect`: what is in checkpoints, and whether they are whole."""

import json
from pathlib import Path

import fsspec
import pytest
from typer.testing import CliRunner, Result

from agent.cli import app
from agent.inspection import Agent, inspected, newest
from agent.parts import fingerprint
from agent.revive import revived, settings_of
from agent.service.prequential import Prequential
from agent.service.snapshot import CheckpointError
from agent.settings import Settings
from tests.lives import CREATED, agent_after, events, keep, settings_file, settings_in


def typed(*words: object) -> Result:
    return CliRunner().invoke(app, ["inspect", *map(str, words)])


class Life:
    """A store of two shards: the whole stream's with two checkpoints, and shard 7's with one."""

    def __init__(self, folder: Path, agent: str = "") -> None:
        self.path = settings_file(folder, agent)
        self.settings = settings_in(self.path)
        self.store = Path(self.settings.checkpoint.folder)
        self.agent = agent_after(self.settings, events(self.settings, 0, 100))
        self.first = keep(self.settings, self.agent)
        self.agent.feed(events(self.settings, 100, 150))
        self.second = keep(self.settings, self.agent)
        self.seventh = keep(self.settings, self.agent, "0007")


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    return Life(tmp_path_factory.mktemp("life"))


def flip(path: Path, at: int) -> None:
    """Flip a bit of a file."""
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= 1
    path.write_bytes(bytes(content))


def test_every_shard_is_told_with_what_its_newest_checkpoint_holds(life: Life) -> None:
    found = {one.name: one for one in inspected(str(life.store))}
    assert {name: len(one.checkpoints) for name, one in found.items()} == {"all": 2, "0007": 1}
    contents = found["all"].contents
    assert contents is not None
    assert (contents.records, contents.learned) == (150, 150)
    assert contents.position == {"events[0]": 150}
    assert set(contents.classes) == {"yes", "no"}
    assert contents.labels["joined"] == 150
    sizes = [one.bytes for one in contents.biggest]
    assert sizes == sorted(sizes, reverse=True)
    assert contents.agent == Agent.of(life.agent)
    assert isinstance(contents.agent, Agent)
    assert sum(contents.agent.voices.values()) == pytest.approx(1.0)


def test_a_checkpoint_alone_is_told_as_one(life: Life) -> None:
    (found,) = inspected(str(life.first))
    assert [one.path for one in found.checkpoints] == [str(life.first)]
    assert found.contents is not None
    assert found.contents.records == 100
    (seventh,) = inspected(f"{life.seventh}/")
    assert seventh.name == "0007"


def test_text_names_what_a_person_looks_for(life: Life) -> None:
    result = typed(life.path)  # the settings name the store
    assert result.exit_code == 0, result.output
    wanted = ["shard all", "shard 0007", "records     150", "events[0] 150", "no, yes"]
    wanted += ["experts", "tasks", life.second.name, "3 checkpoints, 3 whole, 0 damaged"]
    for word in wanted:
        assert word in result.stdout


def test_json_is_strict_and_has_the_age(life: Life) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    result = typed(life.store, "--format", "json", "--shard", "0007")
    (shard,) = json.loads(result.stdout, parse_constant=refuse)
    assert shard["shard"] == "0007"
    assert shard["checkpoints"][0]["created"] == CREATED
    assert shard["age"] > 0
    assert shard["contents"]["agent"]["fingerprint"] == life.agent.fingerprint()
    assert shard["contents"]["settings"]["stream.fields.b.c"] == "categorical"


@pytest.mark.parametrize(
    ("file", "at"), [("state.safetensors", -30), ("manifest.json", 9), ("manifest.json", 1500)]
)
def test_a_flipped_bit_is_told_and_the_one_before_is_opened(
    tmp_path: Path, file: str, at: int
) -> None:
    life = Life(tmp_path)
    flip(life.second / file, at)
    result = typed(life.store)
    assert result.exit_code == 1
    assert f"{life.second.name}  DAMAGED" in result.stdout
    assert "records     100" in result.stdout
    assert "3 checkpoints, 2 whole, 1 damaged" in result.stdout
    path, _, body = newest(str(life.store), None, "all")
    assert path == str(life.first)
    assert body["meta"]["learner"]["records"] == 100
    with pytest.raises(CheckpointError, match="is damaged"):
        newest(str(life.second), None, "all")


def test_a_missing_file_is_damage_and_nothing_whole_is_told_without_contents(
    tmp_path: Path,
) -> None:
    life = Life(tmp_path)
    (life.seventh / "state.safetensors").unlink()
    found = json.loads(typed(life.store, "--format", "json").stdout)
    assert [(one["shard"], one["damaged"]) for one in found] == [("all", 0), ("0007", 1)]
    assert found[1]["contents"] is None
    with pytest.raises(CheckpointError, match="no whole checkpoint"):
        newest(str(life.store), None, "0007")


@pytest.mark.parametrize(
    "words",
    [
        ["{}/none"],
        ["{}"],
        ["{}/c", "--shard", "0042"],
        ["{}/c/checkpoint-000000000099"],
        ["nosuch://bucket/x"],
    ],
)
def test_what_is_not_there_fails_with_1_and_a_line(life: Life, words: list[str]) -> None:
    result = typed(*(word.format(life.path.parent) for word in words))
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert "Traceback" not in result.output


def test_settings_that_are_not_there_are_wrong_use(tmp_path: Path) -> None:
    result = typed(tmp_path / "none.toml")
    assert result.exit_code == 2
    assert "no such file" in result.stderr


def test_a_store_of_objects_is_read_alike(life: Life) -> None:
    memory = fsspec.filesystem("memory")
    for file in life.seventh.iterdir():
        memory.pipe_file(f"/inspect/shard-0007/{life.seventh.name}/{file.name}", file.read_bytes())
    (found,) = inspected("memory://inspect")
    assert found.name == "0007"
    assert found.contents is not None
    assert found.contents.agent == Agent.of(life.agent)


@pytest.mark.parametrize(
    "agent",
    [
        "tasks = true",
        'experts = ["naive_bayes.GaussianNB"]\nblock = 16\nseed = 3',
        'learners = ["prototypical"]',
    ],
)
def test_an_agent_is_revived_from_its_checkpoint_alone(tmp_path: Path, agent: str) -> None:
    life = Life(tmp_path, agent)
    _, arrays, body = newest(str(life.store), None, "all")
    alone, settings = revived(body, arrays)
    assert alone.fingerprint() == life.agent.fingerprint()
    assert settings.agent.experts == life.settings.agent.experts
    more = events(life.settings, 150, 220)
    assert alone.feed(more).predictions == life.agent.feed(more).predictions


def test_settings_come_back_from_a_manifest_whole(tmp_path: Path) -> None:
    stream = 'goal = "classes"\nclasses = ["no", "yes"]\nmax_bytes = 500'
    settings = settings_in(settings_file(tmp_path, stream=stream))
    agent = agent_after(settings, [])
    keep(settings, agent)
    back = settings_of(newest(settings.checkpoint.folder, None, "all")[2]["settings"])
    assert back.stream == settings.stream
    assert (back.agent.slots, back.agent.hidden) == (64, 8)


def test_other_settings_are_refused_by_name(life: Life, tmp_path: Path) -> None:
    _, arrays, body = newest(str(life.store), None, "all")
    other = settings_in(settings_file(tmp_path, "seed = 4"))
    with pytest.raises(CheckpointError, match=r"agent\.seed: 0 in the checkpoint, 4 here"):
        revived(body, arrays, other)
    body["settings"]["agent.gone"] = 1
    with pytest.raises(CheckpointError, match=r"agent\.gone"):
        settings_of(body["settings"])


def test_the_card_world_is_revived_without_a_schema() -> None:
    settings = Settings()
    back = settings_of(json.loads(json.dumps(fingerprint(settings))))
    assert back.schema == settings.schema


def test_a_state_of_another_version_is_told_and_does_not_hide_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = Life(tmp_path)

    def refuse(*_: object) -> None:
        raise KeyError("learner/new")

    monkeypatch.setattr(Prequential, "restore", refuse)
    result = typed(life.store)
    assert result.exit_code == 0
    assert "cannot be told: the state does not fit this version" in result.stdout
    assert "records     150" in result.stdout
