"""`adaptd replay`: what a checkpoint would have answered."""

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from agent.cli import app
from agent.inspection import newest
from agent.replay import Frozen, Replayed, replay
from agent.revive import revived
from agent.service.prequential import Prequential
from agent.settings import Settings
from streams.codec import Codec, encode_prediction
from streams.files import FileSettings, FileSource
from streams.records import Prediction, Record
from tests.lives import agent_after, events, keep, line, settings_file, settings_in

FIRST, AFTER = 200, 420


def typed(*words: object) -> Result:
    return CliRunner().invoke(app, ["replay", *map(str, words)])


class Scene:
    """A checkpoint after 200 events, the next 220 in a file, and those without their labels."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = settings_file(folder)
        self.settings = settings_in(self.path)
        self.agent = agent_after(self.settings, events(self.settings, 0, FIRST))
        self.checkpoint = keep(self.settings, self.agent)
        self.events, self.bare = folder / "events.jsonl", folder / "bare.jsonl"
        self.labels = folder / "labels.jsonl"
        whole = [line(at) for at in range(FIRST, AFTER)]
        self.events.write_bytes(b"\n".join([*whole, b"{broken"]))
        self.bare.write_bytes(b"\n".join(line(at, label=False) for at in range(FIRST, AFTER)))
        truths = [msgspec.json.decode(one) for one in whole]
        self.labels.write_bytes(
            b"\n".join(
                msgspec.json.encode({"id": one["id"], "t": one["t"] + 5, "y": one["y"]})
                for one in truths
            )
        )

    def said(self, name: str = "said.jsonl") -> list[str]:
        return (self.folder / name).read_text().splitlines()

    def run(self, *words: object) -> dict[str, object]:
        out = self.folder / "said.jsonl"
        given = ("--checkpoint", self.folder / "c", "--out", out, "--format", "json")
        result = typed(*given, *words)
        assert result.exit_code == 0, result.output
        return dict(json.loads(result.stdout))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("scene"))


def test_learning_it_answers_as_the_daemon_would_have_and_the_checkpoint_stays(
    scene: Scene,
) -> None:
    before = {file: file.read_bytes() for file in scene.checkpoint.iterdir()}
    told = scene.run("--events", scene.events)
    going_on = Prequential.build(
        scene.settings.schema, scene.settings.agent, scene.settings.encoder, scene.settings.labels
    )
    _, arrays, body = newest(str(scene.checkpoint), None, "all")
    going_on.restore(arrays, body["meta"]["learner"])
    wanted = going_on.feed(events(scene.settings, FIRST, AFTER)).predictions
    assert scene.said() == [encode_prediction(one).decode() for one in wanted]
    assert (told["events"], told["refused"]) == (AFTER - FIRST, {"undecodable": 1})
    figures = told["figures"]
    assert isinstance(figures, dict)
    assert figures["labels"] == AFTER - FIRST
    assert figures["accuracy"] > 0.6
    assert figures["mae"] is None
    assert {file: file.read_bytes() for file in scene.checkpoint.iterdir()} == before


def test_the_settings_file_gives_the_same_as_the_manifest(scene: Scene) -> None:
    scene.run("--events", scene.events)
    alone = scene.said()
    scene.run("--events", scene.events, "--settings", scene.path)
    assert scene.said() == alone


def test_frozen_the_order_of_events_and_their_labels_move_nothing(scene: Scene) -> None:
    told = scene.run("--events", scene.events, "--no-learn")
    riding = scene.said()
    late = scene.run("--events", scene.bare, "--labels", scene.labels, "--no-learn")
    assert scene.said() == riding
    assert told["figures"] == late["figures"]
    bare = scene.run("--events", scene.bare, "--no-learn")
    assert scene.said() == riding
    assert dict(bare["figures"])["labels"] == 0  # type: ignore[call-overload]  # it is a table
    backwards = scene.folder / "backwards.jsonl"
    backwards.write_text("\n".join(reversed(scene.bare.read_text().splitlines())))
    scene.run("--events", backwards, "--no-learn")
    assert sorted(scene.said()) == sorted(riding)


def frozen(settings: Settings, records: Sequence[Record]) -> Frozen:
    arrays, rest = agent_after(settings, records).snapshot()
    agent = Frozen.build(
        settings.schema, settings.agent, settings.encoder, settings.labels, probes=settings.probes
    )
    assert isinstance(agent, Frozen)
    agent.restore(arrays, rest)
    return agent


def test_frozen_the_state_is_the_same_bit_for_bit(scene: Scene) -> None:
    agent = frozen(scene.settings, events(scene.settings, 0, 100))
    before = agent.fingerprint()
    agent.feed(events(scene.settings, 100, 200))
    assert agent.fingerprint() == before


def test_frozen_probabilities_sum_to_one_also_of_few_classes(scene: Scene) -> None:
    agent = frozen(scene.settings, events(scene.settings, 0, 1))
    for one in agent.feed(events(scene.settings, 1, 9)).predictions:
        assert sum(one.probabilities.values()) == pytest.approx(1.0, abs=1e-5)  # type: ignore[union-attr]  # classes


def test_frozen_a_class_never_met_is_a_miss(scene: Scene) -> None:
    agent = frozen(scene.settings, events(scene.settings, 0, 64))
    codec = Codec(scene.settings.schema)
    strange = codec.event(line(70).replace(b'"yes"', b'"new"').replace(b'"no"', b'"new"'), "w", 0)
    scores = agent.feed([strange]).scores
    assert scores.truth[0] != scores.guess[0]
    assert scores.loss[0] > 5
    assert agent.classes == frozen(scene.settings, events(scene.settings, 0, 64)).classes


def test_frozen_numbers_are_answered_and_scored(tmp_path: Path) -> None:
    settings = settings_in(settings_file(tmp_path, stream='goal = "number"'))
    codec = Codec(settings.schema)
    rows = [line(at).replace(b'"yes"', b"3.5").replace(b'"no"', b"-1") for at in range(200)]
    agent = frozen(settings, [codec.event(row, f"w{at}", 0) for at, row in enumerate(rows)])
    path = tmp_path / "numbers.jsonl"
    path.write_bytes(b"\n".join(rows))
    said: list[Prediction] = []
    came = run(agent, path, settings, said)
    assert (came.events, came.card.labels) == (200, 200)
    assert came.card.mae < 2.3  # half the span is what a constant gets
    assert all(type(one).__name__ == "NumberPrediction" for one in said)


def run(
    agent: Prequential, path: Path, settings: Settings, said: list[Prediction], most: int = 10**6
) -> Replayed:
    source = FileSource(FileSettings(str(path)), Codec(settings.schema), float, lambda _: None)
    with closing(source):
        return replay(agent, source, settings.schema.goal, said.extend, most)


def test_events_that_it_had_met_are_answered_and_counted(scene: Scene) -> None:
    path = scene.folder / "again.jsonl"
    path.write_bytes(b"\n".join(line(at) for at in range(FIRST - 20, FIRST + 10)))
    told = scene.run("--events", path)
    assert (told["events"], told["known"]) == (30, 20)
    assert dict(told["figures"])["labels"] == 10  # type: ignore[call-overload]  # it is a table
    result = typed("--checkpoint", scene.checkpoint, "--events", path)
    assert "20 of them, which it had met" in result.stdout


def test_a_limit_counts_events(scene: Scene) -> None:
    told = scene.run("--events", scene.events, "--limit", 33)
    assert told["events"] == len(scene.said()) == 33


def test_a_person_is_told_in_lines(scene: Scene) -> None:
    result = typed("--checkpoint", scene.checkpoint, "--events", scene.events, "--device", "cpu")
    assert result.exit_code == 0, result.output
    for word in (scene.checkpoint.name, "after 200 records", "220 answered", "accuracy", "kappa"):
        assert word in result.stdout
    assert "mae" not in result.stdout


@pytest.mark.parametrize(
    ("words", "code", "place"),
    [
        (["--checkpoint", "{}/none", "--events", "{}/events.jsonl"], 1, "no whole checkpoint"),
        (["--checkpoint", "{}/c", "--events", "{}/none.jsonl"], 1, "none.jsonl"),
        (["--checkpoint", "{}/c", "--events", "{}/events.jsonl", "--shard", "x"], 1, "no shard"),
        (
            ["--checkpoint", "{}/c", "--events", "{}/events.jsonl", "--settings", "{}/other.toml"],
            1,
            "agent.block: 32 in the checkpoint, 16 here",
        ),
        (
            ["--checkpoint", "{}/c", "--events", "{}/events.jsonl", "--settings", "{}/no.toml"],
            2,
            "no.toml",
        ),
        (["--checkpoint", "{}/c", "--events", "{}/events.jsonl", "--out", "{}"], 2, "--out"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(
    scene: Scene, words: list[str], code: int, place: str
) -> None:
    other = scene.path.read_text().replace("[agent]", "[agent]\nblock = 16")
    (scene.folder / "other.toml").write_text(other)
    result = typed(*(word.format(scene.folder) for word in words))
    assert result.exit_code == code, result.output
    assert place in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_agent_that_is_revived_to_stay_frozen_is_of_that_kind(scene: Scene) -> None:
    _, arrays, body = newest(str(scene.checkpoint), None, "all")
    assert isinstance(revived(body, arrays, kind=Frozen)[0], Frozen)
