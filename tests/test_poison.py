"""Too many records refused in a row: the guard stops before they are taken as read."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from agent.service.poison import Guard, Kept, PoisonedError, PoisonSettings
from streams.records import Event, Label, Record, Refused
from tests.broker import Broker
from tests.daemon import running
from tests.test_operation import good
from tests.test_operation_kafka import topics, write

GOOD, LABEL = Event("e", "k", 0.0, (1.0,)), Label("e", 0.0, 1.0)


def bad(at: int, reason: str = "wrong-type", part: str = "events[3]") -> Refused:
    return Refused(reason, 'field "amount": "x" is no number', f"{part}@{at}", b"{}")


def trips(guard: Guard, records: Sequence[Record]) -> bool:
    try:
        guard.seen(records)
    except PoisonedError:
        return True
    return False


def test_a_wrong_schema_stops_it_with_place_reason_example_and_remedy() -> None:
    guard = Guard(PoisonSettings())
    guard.seen([GOOD] * 500)
    guard.seen([bad(at) for at in range(450)])
    guard.seen([bad(at, "no-id") for at in range(50)])
    with pytest.raises(PoisonedError) as told:
        guard.seen([bad(4711, "no-id")])
    said = str(told.value)
    assert "the last 1000 events: 501 refused, mostly wrong-type (450)" in said
    assert "events[3]@4711: no-id" in said
    assert "a wrong topic, schema or format?" in said


def test_a_topic_that_is_wrong_from_its_first_record_stops_after_the_least() -> None:
    guard = Guard(PoisonSettings())
    guard.seen([bad(at) for at in range(99)])
    with pytest.raises(PoisonedError, match="the last 100 events: 100 refused"):
        guard.seen([bad(99)])


def test_a_dirty_stream_goes_on_for_ever() -> None:
    guard = Guard(PoisonSettings())
    for at in range(20_000):
        guard.seen([bad(at) if at % 5 < 2 else GOOD])  # two in five
    guard.seen([*[bad(at) for at in range(95)], *[GOOD] * 905])  # and a burst
    assert guard.share() < 0.5


def test_a_burst_that_has_passed_is_forgotten() -> None:
    guard = Guard(PoisonSettings(most=0.5, window=10, least=5))
    for _ in range(100):
        guard.seen([*[bad(0)] * 4, *[GOOD] * 10])
    assert guard.share() == 0.0


def test_labels_that_are_all_wrong_are_not_excused_by_good_events() -> None:
    guard = Guard(PoisonSettings(), labels="labels[")
    guard.seen([GOOD] * 5000)
    stream: list[list[Record]] = [
        [*[GOOD] * 9, bad(at, "no-label", "labels[0]")] for at in range(100)
    ]
    guard.seen([record for piece in stream[:99] for record in piece])
    with pytest.raises(PoisonedError, match="the last 100 labels: 100 refused"):
        guard.seen(stream[99])


def test_where_it_may_not_stop_it_says_so_once_a_spell_and_goes_on() -> None:
    guard = Guard(PoisonSettings(least=10, window=20, stop=False))
    with structlog.testing.capture_logs() as said:
        guard.seen([bad(at) for at in range(500)])
        assert len(said) == 1
        guard.seen([GOOD] * 20)
        guard.seen([bad(at) for at in range(15)])
    assert [line["event"] for line in said] == ["poisoned", "poisoned"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"most": 1.5}, "most is 1.5; give a share"),
        ({"most": float("nan")}, "most is nan; give a share"),
        ({"window": 0}, "window is 0; give 1 to"),
        ({"window": 50}, "least is 100; give 1 to 50"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        PoisonSettings(**wrong)  # type: ignore[arg-type]  # what a settings file may hold


def model(records: Sequence[Record], settings: PoisonSettings) -> int | None:
    """Say at which record it trips: by counting the whole window anew at each."""
    flags: dict[bool, list[bool]] = {True: [], False: []}
    for at, record in enumerate(records):
        refused = isinstance(record, Refused)
        late = isinstance(record, Label)
        if isinstance(record, Refused):
            late = record.where.startswith("labels[")
        seen = flags[late]
        seen.append(refused)
        last = seen[-settings.window :]
        share = Fraction(sum(last), len(last))
        if refused and sum(last) >= settings.least and share > settings.most:
            return at
    return None


@st.composite
def settings(draw: st.DrawFn) -> PoisonSettings:
    window = draw(st.integers(1, 12))
    share = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
    return PoisonSettings(draw(share), window, draw(st.integers(1, window)))


streams = st.lists(
    st.sampled_from([GOOD, LABEL, bad(1), bad(2, part="labels[0]")]), max_size=60
).map(tuple)


def pieces(records: Sequence[Record], cuts: Sequence[int]) -> Iterator[Sequence[Record]]:
    ends = [0, *sorted(cut for cut in cuts if cut < len(records)), len(records)]
    for first, last in pairwise(ends):
        yield records[first:last]


@given(streams, settings(), st.lists(st.integers(0, 60), max_size=5))
def test_it_stops_where_the_model_says_however_the_stream_is_cut_and_resumed(
    records: tuple[Record, ...], chosen: PoisonSettings, cuts: list[int]
) -> None:
    at = model(records, chosen)
    guard = Guard(chosen, labels="labels[")
    whole = records if at is None else records[:at]
    for piece in pieces(whole, cuts):
        kept: Kept = guard.keep()
        assert not trips(guard, piece)
        again = Guard(chosen, labels="labels[")
        again.restore(kept)
        assert not trips(again, piece)
        guard = again
    if at is not None:
        assert trips(guard, records[at : at + 1])


@pytest.mark.kafka
@pytest.mark.xdist_group("broker")
def test_a_daemon_stops_with_3_before_it_takes_a_wrong_topic_as_read(
    broker: Broker, tmp_path: Path
) -> None:
    names = topics(broker)
    broker.preload(names["events"], [good(at) for at in range(300)])
    wrong = [b'{"id": "w%d", "time": 1, "a": "no number"}' % at for at in range(1500)]
    broker.preload(names["events"], wrong)
    path = write(tmp_path, broker.bootstrap, names)
    with running(tmp_path, path) as daemon:
        assert daemon.process.wait(60) == 3
        last = daemon.lines()[-1]
        assert (last["event"], last["level"]) == ("stopped before more is refused", "error")
        assert "mostly wrong-type" in last["why"]
        assert f"{names['events']}[0]@" in last["why"]
    taken = broker.committed("adaptd", names["events"]) or 0
    assert taken <= 300 + 301
    letters = broker.read(names["refused"], 1500, 2)
    assert len(letters) == max(0, taken - 300)  # no dead letter of what is read again
    with running(tmp_path, path, "--set", "poison.stop=false") as daemon:
        daemon.until(lambda: broker.committed("adaptd", names["events"]) == 1800)
        assert daemon.stop(30) == 0
    assert len(broker.read(names["refused"], 3000, 3)) == 1500
    assert len(broker.read(names["predictions"], 600, 3)) == 300
