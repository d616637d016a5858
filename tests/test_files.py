"""Files give the same records in the same order, from any position, and name what is wrong."""

import gzip
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.codec import Codec
from streams.files import FileSettings, FileSource, file_format
from streams.records import Event, Label, Record, Refused
from streams.schema import Schema
from streams.source import Position, SourceError

PLAIN = Schema(fields={"x": "numeric", "word": "categorical"}, target="y")
TIMED = Schema(fields={"x": "numeric"}, target="y", id="id", time="t")


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


Opened = Callable[..., FileSource]


@pytest.fixture
def opened(tmp_path: Path, request: pytest.FixtureRequest) -> Opened:
    def make(
        text: str | bytes,
        schema: Schema = PLAIN,
        name: str = "e.csv",
        labels: str | None = None,
        clock: Clock | None = None,
        **options: object,
    ) -> FileSource:
        clock = clock or Clock()
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        if labels is not None:
            options["labels"] = str(tmp_path / f"labels.{name}")
            (tmp_path / f"labels.{name}").write_text(labels)
        settings = FileSettings(str(path), **options)  # type: ignore[arg-type]  # by keyword
        source = FileSource(settings, Codec(schema), clock, clock.sleep)
        request.addfinalizer(source.close)
        return source

    return make


def rest(source: FileSource, most: int = 3) -> list[Record]:
    records: list[Record] = []
    while not source.ended():
        records += source.poll(most, 9.0)
    return records


def values(records: Sequence[Record]) -> list[object]:
    return [one.values if isinstance(one, Event) else one for one in records]


def test_rows_become_events_named_by_their_line(opened: Opened) -> None:
    source = opened("word,x,y\na,1,up\n\nb,,\n")
    assert rest(source) == [
        Event("e.csv:2", "", 0.0, (1.0, "a"), "up"),
        Event("e.csv:4", "", 1.0, (None, "b"), None),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_line_ends_byte_order_marks_and_gzip_change_nothing(
    opened: Opened, end: str, mark: str, pack: Callable[[bytes], bytes]
) -> None:
    text = (end or "\n").join([f"{mark}x,word,y", "1,é,up", "2,b,down"]) + end
    assert values(rest(opened(pack(text.encode())))) == [(1.0, "é"), (2.0, "b")]


def test_quoted_cells_hold_delimiters_quotes_and_line_ends(opened: Opened) -> None:
    source = opened('x,word,y\n1,"a,""b""\r\n\nc",up\n"2",5" pipe,down\n')
    assert values(rest(source)) == [(1.0, 'a,"b"\r\n\nc'), (2.0, '5" pipe')]


def test_after_a_quoted_line_end_lines_are_still_counted_rightly(opened: Opened) -> None:
    found = rest(opened('x,word,y\n1,"a\nb",up\noops,b,up\n'))[1]
    assert isinstance(found, Refused)
    assert found.where == "e.csv:4"


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_delimiter_is_guessed_from_the_header(opened: Opened, delimiter: str) -> None:
    text = "x,word,y\n1,a,up\n".replace(",", delimiter)
    assert values(rest(opened(text))) == [(1.0, "a")]
    assert values(rest(opened(text, delimiter=delimiter))) == [(1.0, "a")]


BAD_LINES = [
    (b"1,a", "wrong-columns"),
    (b"1,a,up,more", "wrong-columns"),
    (b"1,\xff,up", "bad-encoding"),
    (b'1,"\xff",up', "bad-encoding"),
    (b"one,a,up", "wrong-type"),
    (b"inf,a,up", "not-finite"),
    (b'1,"a" b,up', "undecodable"),
    (b'1,"never closed,up', "undecodable"),
    (b"1," + b"a" * 70_000 + b",up", "oversize"),
    (b'1,"' + b"a" * 70_000 + b'",up', "oversize"),
    (b"1,a,u\rp", None),
]


@pytest.mark.parametrize(("line", "reason"), BAD_LINES, ids=lambda value: str(value)[:24])
def test_a_bad_line_is_refused_and_the_next_is_read(
    opened: Opened, line: bytes, reason: str | None
) -> None:
    found = rest(opened(b"x,word,y\n0,a,up\n" + line + b"\n2,b,down\n"))
    assert values([found[0], found[-1]]) == [(0.0, "a"), (2.0, "b")]
    assert len(found) == 3
    if isinstance(found[1], Refused):
        assert (found[1].reason, found[1].where) == (reason, "e.csv:3")
        assert line.startswith(found[1].raw[:65_000])
    else:
        assert reason is None


def test_memory_is_bounded_by_the_longest_record(opened: Opened) -> None:
    found = rest(opened(b"x,word,y\n" + b"a" * 10_000_000 + b"\n1,a,up\n"))
    assert isinstance(found[0], Refused)
    assert len(found[0].raw) < 70_000
    assert values(found[1:]) == [(1.0, "a")]


def test_json_lines_become_events(opened: Opened) -> None:
    text = '{"x":1,"word":"a","y":"up"}\n\n  \nnot json\r\n{"x":2}'
    found = rest(opened(text, name="e.jsonl"))
    assert values([found[0], found[2]]) == [(1.0, "a"), (2.0, None)]
    assert isinstance(found[1], Refused)
    assert (found[1].where, found[1].raw) == ("e.jsonl:4", b"not json")


def test_an_overlong_json_line_is_refused(opened: Opened) -> None:
    found = rest(opened('{"x":"' + "a" * 200_000 + '"}\n{"x":2}\n', name="e.jsonl"))
    assert isinstance(found[0], Refused)
    assert found[0].reason == "oversize"
    assert values(found[1:]) == [(2.0, None)]


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("a.csv", "{", "csv"),
        ("a.tsv.gz", "{", "csv"),
        ("a.ndjson", "x", "jsonl"),
        ("a.jsonl.gz", "x", "jsonl"),
        ("a.txt", '{"a":1}', "jsonl"),
        ("a", "x,y", "csv"),
        ("a", "", "csv"),
    ],
)
def test_a_format_is_known_by_name_or_else_by_the_first_byte(
    tmp_path: Path, name: str, text: str, kind: str
) -> None:
    (tmp_path / name).write_text(text)
    assert file_format(tmp_path / name) == kind


EVENTS = "id,t,x,y\na,1,1,\nb,2,2,\nc,2,3,\noops\nd,9,4,\n"
LABELS = "id,t,y\na,2,up\nb,5,down\n?\nc,5,up\nz,20,up\n"


def test_labels_of_their_own_file_are_merged_by_time_events_first(opened: Opened) -> None:
    found = rest(opened(EVENTS, TIMED, labels=LABELS))
    assert [one.where if isinstance(one, Refused) else one.id for one in found] == [
        *("a", "b", "c", "e.csv:5"),
        *("a", "b", "labels.e.csv:4", "c", "d", "z"),
    ]
    assert found[4] == Label("a", 2.0, "up")


def test_labels_without_a_time_are_refused_where_the_schema_names_one(opened: Opened) -> None:
    source = opened(
        '{"id":"a","t":1}\n', TIMED, "e.jsonl", labels='{"id":"a","y":"up"}\n{"id":"a","t":3,"y":1}'
    )
    reasons = [getattr(one, "reason", None) for one in rest(source)]
    assert reasons == ["bad-time", None, None]


CELLS = st.sampled_from(["1,a,up", '2,"b\nc",down', "", '3,"d', "4,e", "x,f,up", "5,g,"])


@given(st.lists(CELLS, max_size=8), st.integers(1, 5), st.data())
def test_from_any_position_the_same_records_follow(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], most: int, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("files") / "e.csv"
    path.write_text("\n".join(["x,word,y", *lines]))
    with closing(
        FileSource(FileSettings(str(path)), Codec(PLAIN), Clock(), Clock().sleep)
    ) as source:
        whole = rest(source, 100)
        at = data.draw(st.integers(0, len(whole)))
        source.seek({"events": at})
        assert source.position() == {"events": at}
        assert rest(source, most) == whole[at:]
        assert source.position() == {"events": len(whole)}


@pytest.mark.parametrize("speed", [None, 1e9])
def test_a_merge_goes_on_exactly_from_any_position(opened: Opened, speed: float | None) -> None:
    source = opened(EVENTS, TIMED, labels=LABELS, speed=speed)
    seen: list[tuple[Position, Record]] = []
    while not source.ended():
        position = source.position()
        seen += [(position, one) for one in source.poll(1, 9.0)]
    for at, (position, _) in enumerate(seen):
        source.seek(position)
        assert rest(source) == [one for _, one in seen[at:]]
    assert len(seen) == 10


def test_a_seek_beyond_the_file_says_that_it_is_another_file(opened: Opened) -> None:
    source = opened("x,word,y\n1,a,up\n")
    with pytest.raises(SourceError, match=r"e\.csv: fewer than 2 records"):
        source.seek({"events": 2})


def test_a_replay_keeps_to_event_time_times_its_speed(opened: Opened) -> None:
    clock = Clock()
    source = opened("id,t,x,y\na,10,1,\nb,12,2,\nc,40,3,\n", TIMED, clock=clock, speed=2.0)
    assert [len(source.poll(9, 0.5)) for _ in range(3)] == [1, 0, 1]
    assert clock.now == 101.0
    assert [one.id for one in source.poll(9, 60.0) if isinstance(one, Event)] == ["c"]
    assert clock.now == 115.0
    source.seek({"events": 1})
    assert len(source.poll(9, 0.0)) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is empty"),
        ("x,wrod,y\n", "no column 'word'; did you mean 'wrod'"),
        (b"\xff\xfex,word\n", "its header cannot be read"),
        ('x,"word,y\n', "its header cannot be read"),
    ],
)
def test_a_header_that_does_not_fit_is_an_error_with_its_remedy(
    opened: Opened, text: str | bytes, words: str
) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        opened(text)
    assert "e.csv" in str(caught.value)


def test_a_damaged_gzip_gives_what_it_holds_and_then_an_error(opened: Opened) -> None:
    lines = "".join(f"{i * 7919 % 10007},w{i * 31337 % 997},up\n" for i in range(90_000))
    packed = gzip.compress(f"x,word,y\n{lines}".encode())
    source = opened(packed[: len(packed) // 2], name="e.csv.gz")
    count = 0
    while records := source.poll(1000, 0.0) if count < 30_000 else []:
        count += len(records)
    for _ in range(2):
        with pytest.raises(SourceError, match=r"e\.csv\.gz.*check that it is there, whole"):
            rest(source)
        assert not source.ended()


def test_a_file_that_is_not_there_is_an_error_with_its_remedy(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(SourceError, match="check that it is there"):
            FileSource(FileSettings(str(path)), Codec(PLAIN), Clock(), Clock().sleep)


@pytest.mark.parametrize(
    "bad",
    [
        {"path": ""},
        {"path": "a", "format": "xml"},
        {"path": "a", "speed": 0},
        {"path": "a", "speed": float("nan")},
        {"path": "a", "delimiter": ",,"},
        {"path": "a", "delimiter": '"'},
    ],
)
def test_settings_that_make_no_sense_are_refused(bad: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=list(bad)[-1]):
        FileSettings(**bad)  # type: ignore[arg-type]  # that is the point
