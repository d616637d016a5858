"""Late labels are joined once, whatever the order, in bounded memory, and resume exactly."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streams.labels import Joined, Pending, PendingSettings
from streams.records import Label


def row(number: float, width: int = 3) -> NDArray[np.float32]:
    return np.full(width, number, np.float32)


def pending(**bounds: float) -> Pending:
    return Pending(3, 2, PendingSettings(**bounds))  # type: ignore[arg-type]  # whole numbers


def add(store: Pending, name: str, time: float = 0.0) -> Label | bool:
    return store.add(name, time, row(time), row(-time, 2))


def counts(store: Pending) -> dict[str, int]:
    return {name: count for name, count in store.counts.items() if count}


def test_a_label_is_joined_with_what_was_known_of_its_event() -> None:
    store = pending()
    assert add(store, "a", 7.0) is True
    joined = store.take(Label("a", 9.0, "up"))
    assert isinstance(joined, Joined)
    assert (joined.row.tolist(), joined.said.tolist(), joined.event_time) == ([7] * 3, [-7] * 2, 7)
    assert len(store) == 0


def test_what_was_given_stays_as_it_was_given() -> None:
    store, mine = pending(), row(1)
    store.add("a", 0.0, mine, row(0, 2))
    mine[:] = 9
    joined = store.take(Label("a", 0.0, "up"))
    add(store, "b", 5.0)
    assert isinstance(joined, Joined)
    assert joined.row.tolist() == [1, 1, 1]


def test_a_label_that_comes_twice_is_a_duplicate() -> None:
    store = pending()
    add(store, "a")
    store.take(Label("a", 1.0, "up"))
    assert store.take(Label("a", 2.0, "down")) == "duplicate"
    assert counts(store) == {"joined": 1, "duplicate": 1}


def test_an_event_that_comes_twice_is_kept_once() -> None:
    store = pending()
    add(store, "a", 1.0)
    assert add(store, "a", 2.0) is False
    joined = store.take(Label("a", 3.0, "up"))
    assert isinstance(joined, Joined)
    assert joined.event_time == 1.0
    assert add(store, "a", 4.0) is False
    assert store.take(Label("a", 5.0, "up")) == "duplicate"
    assert counts(store) == {"joined": 1, "duplicate": 1, "duplicate_event": 2}


def test_a_label_before_its_event_waits_and_is_handed_back_by_add() -> None:
    store, label = pending(), Label("a", 1.0, "up")
    assert store.take(label) == "waiting"
    assert store.take(Label("a", 2.0, "down")) == "duplicate"
    assert add(store, "a") == label
    assert store.waiting == len(store) == 0
    assert store.take(label) == "duplicate"
    assert counts(store) == {"joined": 1, "duplicate": 2}


def test_a_label_whose_event_never_comes_is_an_orphan_after_its_wait() -> None:
    store = pending(ttl=10)
    store.take(Label("a", 1.0, "up"))
    store.expire(11.0)
    assert store.waiting == 1
    store.expire(11.5)
    assert (store.waiting, counts(store)) == (0, {"orphan": 1})


def test_the_waiting_room_is_bounded() -> None:
    store = pending(waiting=2)
    for time, name in enumerate("abc"):
        store.take(Label(name, time, "up"))
    assert (store.waiting, counts(store)) == (2, {"orphan": 1})
    assert add(store, "a") is True
    assert add(store, "b") == Label("b", 1, "up")
    assert pending(waiting=0).take(Label("a", 0.0, "up")) == "orphan"


def test_an_event_is_dropped_by_age_and_its_label_comes_too_late() -> None:
    store = pending(ttl=10)
    add(store, "future", 1e12)  # must not hide the others
    add(store, "a", 5.0)
    add(store, "b", 1.0)
    assert store.expire(12.0) == 1
    assert store.take(Label("b", 12.0, "up")) == "expired"
    assert isinstance(store.take(Label("a", 12.0, "up")), Joined)
    assert counts(store) == {"joined": 1, "expired": 1, "dropped_event": 1}


def test_an_event_is_dropped_by_number_oldest_first() -> None:
    store = pending(most=2)
    for name, time in (("a", 3.0), ("b", 1.0), ("c", 2.0)):
        add(store, name, time)
    assert len(store) == 2
    assert store.take(Label("b", 4.0, "up")) == "expired"


def test_an_event_that_was_dropped_may_come_again() -> None:
    store = pending(ttl=1)
    add(store, "a", 0.0)
    store.expire(9.0)
    assert add(store, "a", 9.0) is True
    assert isinstance(store.take(Label("a", 9.0, "up")), Joined)


def test_an_event_with_its_label_riding_is_settled_once() -> None:
    store = pending()
    assert store.settle("a")
    assert not store.settle("a")
    assert store.take(Label("a", 0.0, "up")) == "duplicate"
    add(store, "b")
    assert not store.settle("b")
    assert isinstance(store.take(Label("b", 0.0, "up")), Joined)
    store.take(Label("c", 0.0, "up"))
    assert store.settle("c")
    assert store.waiting == 0


def test_as_many_ids_as_asked_for_are_remembered() -> None:
    store = pending(remember=2)
    for name in "abc":
        store.settle(name)
    assert [store.take(Label(name, 0.0, "up")) for name in "abc"] == [
        "waiting",
        "duplicate",
        "duplicate",
    ]


def through_json(store: Pending) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    arrays, rest = store.snapshot()
    return arrays, json.loads(json.dumps(rest))


def test_a_snapshot_is_a_photograph() -> None:
    store = pending()
    add(store, "a", 1.0)
    store.take(Label("w", 5.0, 2.5))
    photo = store.snapshot()
    store.take(Label("a", 2.0, "up"))
    add(store, "b", 9.0)
    for _ in range(2):
        store.restore(*photo)
        assert counts(store) == {}
        joined = store.take(Label("a", 2.0, "up"))
        assert isinstance(joined, Joined)
        assert joined.row.tolist() == [1, 1, 1]
        assert add(store, "w") == Label("w", 5.0, 2.5)
        assert add(store, "b", 3.0) is True


def test_a_snapshot_fits_smaller_bounds_by_dropping_the_oldest() -> None:
    store = pending()
    for time, name in enumerate("abc"):
        add(store, name, float(time))
        store.take(Label(name.upper(), time, "up"))
        store.settle(name * 2)
    small = pending(most=1, waiting=1, remember=2)
    small.restore(*through_json(store))
    assert (len(small), small.waiting) == (1, 1)
    assert isinstance(small.take(Label("c", 9.0, "up")), Joined)


def test_a_snapshot_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="start anew"):
        Pending(4, 2, PendingSettings()).restore(*pending().snapshot())


@pytest.mark.parametrize("bounds", [{"ttl": 0}, {"most": 0}, {"remember": -1}, {"waiting": -1}])
def test_bounds_that_bound_nothing_are_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(bounds))):
        pending(**bounds)


def test_the_store_stays_small_under_a_long_stream() -> None:
    store = pending(ttl=50, most=64, remember=32, waiting=8)
    for i in range(5_000):
        add(store, f"e{i}", float(i))
        if i % 3:
            store.take(Label(f"e{i - i % 40}", float(i), "up"))
        store.take(Label(f"never{i}", float(i), "up"))
        store.expire(float(i))
    assert len(store) <= 51
    assert (store.waiting, len(store._done), len(store._pool._rows_NF)) == (8, 32, 64)
    assert len(store._events._heap) < 200
