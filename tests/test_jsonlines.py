"""The sink of JSON lines is durable and can be cut back to a checkpoint."""

import json
import resource
from pathlib import Path

import pytest

from streams.codec import decode_refused, encode_prediction
from streams.jsonlines import JsonLinesSink
from streams.records import ClassPrediction, Refused
from streams.source import SourceError

SAID = [ClassPrediction(str(i), "k", float(i), "up", {"up": 1.0}) for i in range(4)]
LETTER = Refused("undecodable", "why", "w:1", b"\xff\n")


def ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "new" / "said.jsonl", tmp_path / "new" / "letters.jsonl"


def test_answers_and_dead_letters_are_one_line_each(paths: tuple[Path, Path]) -> None:
    sink = JsonLinesSink(*paths)
    sink.predictions(SAID)
    sink.refused([LETTER])
    sink.flush()
    assert ids(paths[0]) == ["0", "1", "2", "3"]
    assert decode_refused(paths[1].read_bytes().strip()) == LETTER
    sink.close()
    sink.close()


def test_it_is_cut_back_to_a_position_by_this_run_or_the_next(paths: tuple[Path, Path]) -> None:
    sink = JsonLinesSink(*paths)
    sink.predictions(SAID[:2])
    there = json.loads(json.dumps(sink.position()))
    sink.predictions(SAID[2:])
    sink.refused([LETTER])
    sink.seek(there)
    sink.predictions(SAID[3:])
    sink.close()
    assert ids(paths[0]) == ["0", "1", "3"]
    again = JsonLinesSink(*paths)
    again.seek(there)
    again.predictions(SAID[2:])
    again.flush()
    assert ids(paths[0]) == ["0", "1", "2", "3"]
    assert paths[1].read_bytes() == b""
    again.close()


def test_what_a_position_does_not_name_stays(paths: tuple[Path, Path]) -> None:
    sink = JsonLinesSink(*paths)
    sink.predictions(SAID)
    sink.seek({})
    sink.close()
    assert len(ids(paths[0])) == 4


def test_a_line_that_a_crash_cut_short_spoils_no_other(paths: tuple[Path, Path]) -> None:
    JsonLinesSink(*paths).close()
    paths[0].write_bytes(b'{"id":"0"}\n{"id":')
    sink = JsonLinesSink(*paths)
    sink.predictions(SAID[1:2])
    sink.close()
    lines = paths[0].read_bytes().splitlines()
    assert lines[:2] == [b'{"id":"0"}', b'{"id":']
    assert json.loads(lines[2])["id"] == "1"


def test_a_file_shorter_than_the_checkpoint_is_an_error(paths: tuple[Path, Path]) -> None:
    sink = JsonLinesSink(*paths)
    with pytest.raises(SourceError, match="0 bytes, the checkpoint says 5"):
        sink.seek({"predictions": 5})
    sink.close()


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="check that it may be written"):
        JsonLinesSink(tmp_path / "file" / "a", tmp_path / "b")
    with pytest.raises(ValueError, match="take two files"):
        JsonLinesSink(tmp_path / "a", tmp_path / "a")


def test_a_full_disk_is_an_error_at_the_flush(tmp_path: Path) -> None:
    sink = JsonLinesSink(Path("/dev/full"), tmp_path / "b")
    sink.predictions(SAID)
    with pytest.raises(SourceError, match="room"):
        sink.flush()
    sink.close()


def test_what_a_full_disk_does_not_take_is_written_once_there_is_room(tmp_path: Path) -> None:
    first, most = len(encode_prediction(SAID[0])) + 1, resource.getrlimit(resource.RLIMIT_FSIZE)
    sink = JsonLinesSink(tmp_path / "a", tmp_path / "b")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (first + 5, most[1]))
        sink.predictions(SAID)
        for _ in range(2):
            with pytest.raises(SourceError, match="room"):
                sink.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    told = sink.position()["predictions"]
    sink.flush()
    sink.close()
    assert ids(tmp_path / "a") == [one.id for one in SAID]
    assert (tmp_path / "a").stat().st_size == told


def test_a_file_has_one_writer_at_a_time(tmp_path: Path) -> None:
    first = JsonLinesSink(tmp_path / "a", tmp_path / "b")
    with pytest.raises(SourceError, match=r"/b: another process writes to it"):
        JsonLinesSink(tmp_path / "c", tmp_path / "b")
    first.close()
    JsonLinesSink(tmp_path / "c", tmp_path / "b").close()
