"""Dead letters: listed, shown, and put back once."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from agent.cli import app
from agent.cli.letters import moment
from agent.deadletters import BATCH, Requeue, Wanted, summed
from agent.edit import filtered
from streams.codec import Codec
from streams.jsonlines import JsonLinesSink
from streams.kafka.letters import Original
from streams.kafka.putback import Back
from streams.letters import NO_VALUE, Letter, Place, from_file, place_of
from streams.records import Refused
from streams.schema import Schema

SCHEMA = Schema({"x": "numeric"}, target="y", id="id", label_target="y")
GOOD = b'{"id": "a", "x": 1}'
BAD = b'{"id": "a", "x": "one"}'
MEND = "sed 's/\"one\"/1/'"


def typed(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def letter(number: int = 0, raw: bytes = GOOD, **more: object) -> Letter:
    fields: dict[str, object] = {
        "at": f"refused[0]@{number}", "time": 1e9 + number, "reason": "bad-value", "detail": "d",
        "where": f"events[1]@{number}", "raw": raw, "length": len(raw),
    }  # fmt: skip
    return Letter(**{**fields, **more})  # type: ignore[arg-type]  # the fields' types differ


class Bench:
    """A requeue whose topics are a dict and whose writes are a list of batches."""

    def __init__(self, **more: object) -> None:
        self.there: dict[Place, Original] = {}
        self.batches: list[Sequence[Back]] = []
        given: dict[str, object] = {
            "events": "events", "labels": "labels", "codec": Codec(SCHEMA), "most": 1000,
            "find": self.there.get, "put": self.batches.append,
        }  # fmt: skip
        self.requeue = Requeue(**{**given, **more})  # type: ignore[arg-type]  # as above

    def fates(self, *letters: Letter) -> dict[str, int]:
        return {str(fate): count for fate, count in self.requeue.run(letters).fates.items()}

    @property
    def put(self) -> list[Back]:
        return [one for batch in self.batches for one in batch]


def test_a_place_is_read_as_it_is_written() -> None:
    place = Place("my.events[2]", 3, 4711)
    assert place_of(str(place)) == place
    assert place_of("predictions, key k") is None


def test_a_letter_goes_back_to_its_partition_with_its_own_key_headers_and_time() -> None:
    bench = Bench()
    bench.there[Place("events", 1, 7)] = Original(b"card", GOOD, [("trace", b"t")], 5000)
    assert bench.fates(letter(7)) == {"put back": 1}
    assert bench.put == [
        Back("refused[0]@7", "events[1]@7", "events", 1, b"card", GOOD, [("trace", b"t")], 5000)
    ]


def test_without_its_original_a_letter_goes_back_with_the_time_it_has() -> None:
    bench = Bench()
    assert bench.fates(letter(7)) == {"put back": 1}
    assert (bench.put[0].key, bench.put[0].stamp) == (None, round((1e9 + 7) * 1000))


def test_where_records_name_their_time_the_stamp_is_left_to_the_broker() -> None:
    codec = Codec(Schema({"x": "numeric"}, target="y", id="id", time="t"))
    bench = Bench(codec=codec)
    assert bench.fates(letter(0, b'{"id": "a", "x": 1, "t": 3}')) == {"put back": 1}
    assert bench.put[0].stamp is None


def test_another_record_at_the_same_place_is_not_taken_for_the_original() -> None:
    bench = Bench()
    bench.there[Place("events", 1, 7)] = Original(b"other", b"{}", [], 5000)
    assert bench.fates(letter(7)) == {"put back": 1}
    assert bench.put[0].key is None


def test_what_cannot_go_back_is_counted_with_its_reason() -> None:
    bench = Bench()
    found = bench.fates(
        letter(0, put_back=True),
        letter(1, where="predictions, key k"),
        letter(2, where="elsewhere[0]@3"),
        letter(3, GOOD[:4], length=len(GOOD)),
        letter(4, b"k", detail=f"{NO_VALUE} (a tombstone)"),
        letter(5, BAD),
        letter(6, b'{"id": "%s", "x": 1}' % (b"i" * 1000)),
        letter(7),
    )
    assert found == {
        "put back before": 1, "no record of these topics": 2, "cut short": 1, "without a value": 1,
        "still refused": 1, "too large": 1, "put back": 1,
    }  # fmt: skip
    assert [back.letter for back in bench.put] == ["refused[0]@7"]


def test_a_letter_cut_short_is_made_whole_while_the_topic_still_has_it() -> None:
    bench = Bench()
    bench.there[Place("events", 1, 3)] = Original(b"k", GOOD, [], 1)
    assert bench.fates(letter(3, GOOD[:4], length=len(GOOD))) == {"put back": 1}
    assert bench.put[0].value == GOOD


def test_what_would_be_refused_again_goes_back_only_by_force() -> None:
    bench = Bench(anyway=True)
    assert bench.fates(letter(0, BAD)) == {"put back": 1}
    assert bench.put[0].value == BAD


def test_a_label_is_read_as_a_label() -> None:
    bench = Bench()
    truth = b'{"id": "a", "y": "yes"}'
    assert bench.fates(letter(0, truth, where="labels[1]@0")) == {"put back": 1}
    assert (bench.put[0].topic, bench.put[0].partition) == ("labels", 1)


def test_a_filter_command_mends_letters_and_is_told_of_them() -> None:
    bench = Bench(edit=filtered(MEND))
    assert bench.fates(letter(0, BAD)) == {"put back": 1}
    assert bench.put[0].value == b'{"id": "a", "x": 1}'
    told = filtered("sh -c 'echo $ADAPTD_REASON $ADAPTD_WHERE'")
    assert told(letter(3), b"") == b"bad-value events[1]@3"


@pytest.mark.parametrize("command", ["false", "true", "sh -c 'echo no >&2; exit 3'", "sleep 9"])
def test_a_filter_that_fails_or_says_nothing_or_hangs_leaves_the_letter(command: str) -> None:
    bench = Bench(edit=filtered(command, seconds=0.3))
    assert bench.fates(letter(0), letter(1, put_back=True)) == {
        "edit failed": 1,
        "put back before": 1,
    }
    assert bench.put == []


@pytest.mark.parametrize("command", ["", "sh -c 'open", "no-such-command-at-all"])
def test_a_command_that_cannot_be_run_is_wrong_use(command: str) -> None:
    with pytest.raises(ValueError, match="edit"):
        filtered(command)(letter(), b"")


def test_letters_go_back_in_transactions_of_a_bounded_size() -> None:
    bench = Bench()
    assert bench.fates(*map(letter, range(2 * BATCH + 1))) == {"put back": 2 * BATCH + 1}
    assert [len(batch) for batch in bench.batches] == [BATCH, BATCH, 1]


def test_a_limit_counts_what_goes_back_and_a_dry_run_writes_nothing() -> None:
    bench = Bench(put=None)
    outcome = bench.requeue.run([letter(0, put_back=True), *map(letter, range(1, 9))], limit=3)
    assert outcome.fates["put back"] == 3
    assert outcome.left == 0


def test_letters_are_summed_up_by_reason() -> None:
    letters = [letter(0), letter(1, put_back=True), letter(2, reason="oversize", length=99)]
    sums = summed(letters)
    assert [(name, one.letters, one.put_back, one.cut) for name, one in sums.items()] == [
        ("bad-value", 2, 1, 0),
        ("oversize", 1, 0, 1),
    ]
    assert (sums["bad-value"].first, sums["bad-value"].last) == (1e9, 1e9 + 1)
    assert [one.at for one in Wanted("bad-value", 1).of(letters)] == ["refused[0]@0"]


def refused_file(folder: Path) -> Path:
    path = folder / "refused.jsonl"
    sink = JsonLinesSink(folder / "said.jsonl", path)
    sink.refused([
        Refused("bad-value", "x: one", "events.csv:2", BAD),
        Refused("bad-encoding", "no UTF-8 \x1b[31m", "events.csv:3", b"\xff\x00"),
        Refused("bad-value", "x: two", "events.csv:4", BAD),
    ])  # fmt: skip
    sink.close()
    return path


def test_a_file_of_letters_is_listed_and_shown(tmp_path: Path) -> None:
    path = refused_file(tmp_path)
    listed = json.loads(typed("dlq", "list", path, "--format", "json").stdout)
    assert [(one["reason"], one["letters"]) for one in listed["reasons"]] == [
        ("bad-value", 2),
        ("bad-encoding", 1),
    ]
    lines = typed("dlq", "show", path, "--format", "json", "--reason", "bad-encoding").stdout
    assert json.loads(lines)["raw_hex"] == "ff00"
    text = typed("dlq", "list", path).stdout
    assert "3 dead letters" in text
    assert "events.csv:2" in text
    assert [one.raw for one in from_file(path)] == [BAD, b"\xff\x00", BAD]


def test_what_a_hostile_record_holds_does_not_reach_the_terminal(tmp_path: Path) -> None:
    shown = typed("dlq", "show", refused_file(tmp_path)).stdout
    assert "\x1b" not in shown
    assert "\\x1b[31m" in shown


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["list", "{}/none.jsonl"], "none.jsonl: No such file"),
        (["list", "{}/torn.jsonl"], "torn.jsonl:1: no dead letter"),
    ],
)
def test_a_file_that_cannot_be_read_fails_with_1(
    tmp_path: Path, words: list[str], place: str
) -> None:
    (tmp_path / "torn.jsonl").write_text('{"reason": "x"\n')
    result = typed("dlq", *(word.format(tmp_path) for word in words))
    assert result.exit_code == 1
    assert place in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["list", "{}/refused.jsonl", "--since", "2h"], "letters in a file bear no time"),
        (["list", "{}/refused.jsonl", "--since", "soon"], "write 30m, 2h"),
        (["requeue", "{}/refused.jsonl"], "give the daemon's settings file"),
        (["list", "{}/world.toml"], "dead letters are dropped"),
        (["requeue", "{}/files.toml"], "mend the records in the files"),
        (["requeue", "{}/two.toml"], "no transaction spans both"),
        (["requeue", "{}/kafka.toml", "--edit", "'"], "close the quotes"),
        (["list", "{}/gone.toml"], "no such file"),
    ],
)
def test_wrong_use_is_told_with_2(tmp_path: Path, words: list[str], place: str) -> None:
    refused_file(tmp_path)
    (tmp_path / "world.toml").write_text("[web]\nport = 0\n")
    (tmp_path / "files.toml").write_text('[sink]\nkind = "file"\n')
    kafka = '[stream.fields]\nx = "numeric"\n[source]\nkind = "kafka"\n[source.kafka]\n'
    (tmp_path / "kafka.toml").write_text(f'{kafka}connect_timeout = 0.5\n[sink]\nkind = "kafka"\n')
    two = f'{kafka}[sink]\nkind = "kafka"\n[sink.kafka]\nbootstrap = "b:1"\n[service]\n'
    two += 'delivery = "at-least-once"\n'
    (tmp_path / "two.toml").write_text(two)
    result = typed("dlq", *(word.format(tmp_path) for word in words))
    assert result.exit_code == 2, result.output
    assert place in result.stderr
    assert "Traceback" not in result.output


def test_since_is_a_span_or_a_moment() -> None:
    assert moment(None) is None
    assert moment("2026-11-23T03:00") == moment("2026-11-23T05:00+02:00")
    hour, day = moment("1h"), moment("1d")
    assert hour is not None
    assert day is not None
    assert hour - day == pytest.approx(23 * 3600, abs=1)
