"""Delayed labels come when they are due, whatever the polls, and the same again after a seek."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.delay import Delayed
from streams.memory import End, Item, MemorySource
from streams.records import Event, Label, Record, Refused
from streams.source import SourceError


def event(name: int, time: float, label: str | None = "up") -> Event:
    return Event(str(name), "", time, (), label)


def stream(times: Sequence[float]) -> list[Event]:
    return [event(i, time) for i, time in enumerate(times)]


def told(source: Delayed, most: int = 3) -> list[Record]:
    records: list[Record] = []
    while not source.ended():
        records += source.poll(most, 0.0)
    return records


def marks(records: Sequence[Record]) -> str:
    return " ".join(
        f"{'+' if isinstance(one, Label) else ''}{one.id}"
        for one in records
        if not isinstance(one, Refused)
    )


def test_a_label_comes_after_so_many_later_events() -> None:
    records = told(Delayed(MemorySource([*stream([0, 1, 2, 3]), End()]), events=2))
    assert marks(records) == "0 1 2 +0 3 +1 +2 +3"
    assert Label("0", 2.0, "up") in records
    assert all(one.label is None for one in records if isinstance(one, Event))


def test_without_delay_a_label_comes_right_after_its_event() -> None:
    assert marks(told(Delayed(MemorySource([*stream([0, 1]), End()]), events=0))) == "0 +0 1 +1"


def test_a_label_comes_so_many_seconds_after_its_event_behind_events_of_that_time() -> None:
    records = told(Delayed(MemorySource([*stream([0, 5, 10, 11, 30]), End()]), seconds=10))
    assert marks(records) == "0 1 2 +0 3 +1 +2 +3 4 +4"
    assert Label("0", 10.0, "up") in records


def test_events_without_a_label_and_other_records_pass() -> None:
    refused = Refused("undecodable", "", "w", b"")
    script: list[Item] = [event(0, 0.0, None), refused, Label("x", 1.0, "down"), End()]
    assert told(Delayed(MemorySource(script), events=0)) == script[:-1]


def test_an_open_stream_keeps_its_labels_until_they_are_due() -> None:
    inner = MemorySource(stream([0, 1]))
    source = Delayed(inner, events=5)
    assert marks([*source.poll(9, 0.0), *source.poll(9, 0.0)]) == "0 1"
    inner.extend([End()])
    assert marks(source.poll(9, 0.0)) == "+0 +1"
    assert source.ended()


DELAYS = st.one_of(
    st.builds(lambda n: {"events": n}, st.integers(0, 8)),
    st.builds(lambda n: {"seconds": n}, st.integers(0, 8)),
)


@given(st.lists(st.integers(0, 9)), DELAYS, st.integers(1, 7), st.data())
def test_polls_and_seeks_change_nothing(
    times: list[float], delay: dict[str, int], most: int, data: st.DataObject
) -> None:
    script: list[Item] = [*stream(times), End()]
    whole = told(Delayed(MemorySource(script), **delay), most=1000)
    source = Delayed(MemorySource(script), **delay)
    assert told(source, most) == whole
    at = data.draw(st.integers(0, len(whole)))
    source.seek({"delayed": at})
    assert source.position() == {"delayed": at}
    assert told(source, most) == whole[at:]
    assert sorted(one.id for one in whole if isinstance(one, Label)) == sorted(
        str(i) for i in range(len(times))
    )


def test_a_seek_beyond_the_stream_is_an_error_with_its_remedy() -> None:
    source = Delayed(MemorySource([*stream([0]), End()]), events=1)
    with pytest.raises(SourceError, match="8 records before the checkpoint"):
        source.seek({"delayed": 10})


@pytest.mark.parametrize(
    "delay", [{}, {"events": 1, "seconds": 1}, {"events": -1}, {"seconds": -0.5}]
)
def test_a_delay_is_one_number_of_zero_or_more(delay: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"give one of the two|take 0 or more"):
        Delayed(MemorySource([]), **delay)
