"""The card world: replayable bit for bit, with attacks that return and labels that come late."""

import gc
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.records import Event, Label, Record
from streams.source import SourceError
from streams.worlds.fraud import FIELDS, Attack, FraudSettings, FraudWorld
from streams.worlds.fraud.book import EPOCH

SMALL = FraudSettings(customers=60, terminals=20, days=50, seed=3, fraud_share=0.05)
DAY = 86_400.0


def run(world: FraudWorld, most: int = 1_000) -> list[Record]:
    records: list[Record] = []
    while not world.ended():
        records += world.poll(most, 0.0)
    return records


def events(records: Sequence[Record]) -> list[Event]:
    return [record for record in records if isinstance(record, Event)]


def labels(records: Sequence[Record]) -> list[Label]:
    return [record for record in records if isinstance(record, Label)]


@pytest.fixture(scope="module")
def whole() -> list[Record]:
    return run(FraudWorld(SMALL))


@pytest.fixture(scope="module")
def large() -> list[Record]:
    return run(FraudWorld(FraudSettings(customers=600, terminals=150, days=140, seed=5)))


def test_the_same_seed_gives_the_same_records_and_another_gives_others(
    whole: list[Record],
) -> None:
    assert run(FraudWorld(SMALL)) == whole
    assert run(FraudWorld(replace(SMALL, seed=4))) != whole


@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(1, 700), min_size=1, max_size=5))
def test_the_size_of_polls_does_not_matter(whole: list[Record], sizes: list[int]) -> None:
    world = FraudWorld(SMALL)
    records: list[Record] = []
    while not world.ended():
        for size in sizes:
            given_now = world.poll(size, 0.0)
            assert len(given_now) <= size
            records += given_now
    assert records == whole


@settings(max_examples=25, deadline=None)
@given(at=st.integers(0, 20_000), wander=st.integers(0, 79))
def test_replay_is_exact_from_any_position(whole: list[Record], at: int, wander: int) -> None:
    at %= len(whole) + 1
    world = FraudWorld(SMALL)
    seen = 0
    while seen < at:
        seen += len(world.poll(at - seen, 0.0))
    position = dict(world.position())
    other = FraudWorld(SMALL)
    other.seek({"day": wander, "record": 0})
    other.poll(3, 0.0)
    other.seek(position)
    assert other.position() == position
    assert run(other) == whole[at:]


def test_a_position_of_another_world_is_refused() -> None:
    world = FraudWorld(SMALL)
    with pytest.raises(SourceError, match=r"day 3 has .* records"):
        world.seek({"day": 3, "record": 10**6})
    with pytest.raises(SourceError, match="day 5000 is not in this world"):
        world.seek({"day": 5_000, "record": 0})


def test_records_stand_in_event_time_and_fit_the_schema(whole: list[Record]) -> None:
    timed = [record for record in whole if isinstance(record, Event | Label)]
    assert len(timed) == len(whole)
    assert all(a.time <= b.time for a, b in pairwise(timed))
    assert FraudWorld.schema().fields == FIELDS
    for event in events(whole):
        assert len(event.values) == len(FIELDS)
        for value, kind in zip(event.values, FIELDS.values(), strict=True):
            assert value is None or isinstance(value, str if kind == "categorical" else float)
    assert len({event.id for event in events(whole)}) == len(events(whole))


def test_labels_come_late_once_and_some_never(large: list[Record]) -> None:
    when = {event.id: event.time for event in events(large)}
    late = labels(large)
    delays = np.array([label.time - when[label.id] for label in late]) / DAY
    assert len({label.id for label in late}) == len(late)
    assert 2.7 < np.median(delays) < 3.3
    assert delays.min() > 0
    assert delays.max() <= 30
    assert 0.01 < 1 - len(late) / len(when) < 0.03


def test_labels_without_delay_follow_their_event_at_once() -> None:
    records = run(FraudWorld(replace(SMALL, days=3, label_delay_days=0.0, unlabelled=0.0)))
    seen: set[str] = set()
    for record in records:
        if isinstance(record, Event):
            seen.add(record.id)
        assert not isinstance(record, Label) or record.id in seen
    assert len(labels(records)) == len(events(records)) == len(seen)


def test_about_one_event_in_a_hundred_is_fraud(large: list[Record]) -> None:
    fraud = np.mean([label.truth == "fraud" for label in labels(large)])
    assert 0.006 < fraud < 0.016


def test_attacks_appear_fade_and_return_where_the_judge_says(large: list[Record]) -> None:
    world = FraudWorld(FraudSettings(customers=600, terminals=150, days=140, seed=5))
    active = ["big_amounts" in world.tasks_at(EPOCH + day * DAY) for day in range(140)]
    assert sum(not a and b for a, b in pairwise(active)) == 2
    frauds = {label.id for label in labels(large) if label.truth == "fraud"}
    labelled = {label.id for label in labels(large)}
    big = [e for e in events(large) if float(str(e.values[1])) > 225 and e.id in labelled]
    during = [e.id in frauds for e in big if active[int((e.time - EPOCH) // DAY)]]
    between = [e.id in frauds for e in big if not world.tasks_at(e.time)]
    assert all(during)
    assert not any(between)
    days_of_fraud = {int(id_.split("-")[0]) for id_ in frauds}
    assert all(world.tasks_at(EPOCH + day * DAY) for day in days_of_fraud)


@pytest.mark.parametrize(
    "task", ["big_amounts", "compromised_terminals", "leaked_cards", "card_testing"]
)
def test_each_attack_alone_makes_its_kind_of_fraud(task: str) -> None:
    only = Attack(task, first=5, lasting=15, every=20)  # type: ignore[arg-type]  # by name
    records = run(FraudWorld(replace(SMALL, customers=300, days=20, schedule=(only,))))
    frauds = {label.id for label in labels(records) if label.truth == "fraud"}
    guilty = [e for e in events(records) if e.id in frauds]
    share = len(guilty) / sum(e.time >= EPOCH + 5 * DAY for e in events(records))
    assert 0.02 < share < 0.12
    assert min(e.time for e in guilty) >= EPOCH + 5 * DAY
    amounts = np.array([e.values[1] for e in guilty], float)
    if task == "card_testing":
        assert amounts.max() <= 3
        assert all(1 <= (e.time - EPOCH) % DAY / 3_600 < 5 for e in guilty)
    if task == "leaked_cards":
        assert np.median(amounts) > 100
        assert {e.values[11] for e in guilty} == {"online"}
    if task == "compromised_terminals":
        risk = [e.values[10] for e in guilty if e.time > EPOCH + 14 * DAY]
        assert np.mean(np.array(risk, float)) > 0.3


def test_trailing_features_are_what_a_plain_loop_counts(whole: list[Record]) -> None:
    past: dict[str, list[tuple[float, float]]] = {}
    for event in events(whole)[:4_000]:
        amount = float(str(event.values[1]))
        before = past.setdefault(event.key, [])
        week = [(t, a) for t, a in before if event.time - t < 7 * DAY]
        day = [a for t, a in week if event.time - t < DAY]
        assert event.values[4:6] == (len(day), len(week))
        assert event.values[6] == (pytest.approx(np.mean(day)) if day else None)
        assert event.values[7] == (pytest.approx(np.mean([a for _, a in week])) if week else None)
        assert event.values[3] == (
            pytest.approx(event.time - week[-1][0], abs=1e-5) if week else None
        )
        before.append((event.time, amount))


def test_the_terminals_record_knows_no_label_before_its_time() -> None:
    on_time = events(run(FraudWorld(replace(SMALL, days=30))))
    late = events(run(FraudWorld(replace(SMALL, days=30, label_delay_days=29.0))))
    known = [e.values[10] is not None for e in on_time if e.time > EPOCH + 10 * DAY]
    assert np.mean(known) > 0.95
    assert all(e.values[10] is None for e in late if e.time < EPOCH + 3 * DAY)


def test_some_values_are_missing(large: list[Record]) -> None:
    for place in (2, 12):
        missing = np.mean([event.values[place] is None for event in events(large)])
        assert 0.01 < missing < 0.03


def test_memory_is_bounded_in_a_world_without_end() -> None:
    world = FraudWorld(replace(SMALL, customers=30, days=None))

    def until(day: int) -> int:
        while world.position()["day"] < day:
            world.poll(10_000, 0.0)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        early = until(60)
        # 440 days of records would be tens of megabytes; other threads may own a few kilobytes.
        assert until(500) < early + 2_000_000
    finally:
        tracemalloc.stop()


def test_at_a_speed_records_come_when_they_are_due() -> None:
    now, naps = [0.0], list[float]()

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        now[0] += seconds

    world = FraudWorld(replace(SMALL, speed=3_600.0), clock=lambda: now[0], sleep=sleep)
    records: list[Record] = list(world.poll(10_000, 0.0))
    assert len(records) == 1
    first = events(records)[0].time
    while now[0] < 24:
        records += world.poll(10_000, 0.5)
        assert events(records)[-1].time <= first + 3_600 * now[0] + 1e-3
    assert max(naps) <= 0.5
    whole = events(run(FraudWorld(SMALL)))
    assert len(events(records)) == sum(e.time <= first + 24 * 3_600 for e in whole)


def test_a_seek_at_a_speed_starts_the_clock_anew() -> None:
    now = [0.0]
    world = FraudWorld(replace(SMALL, speed=1.0), clock=lambda: now[0], sleep=lambda _: None)
    world.seek({"day": 20, "record": 7})
    assert len(world.poll(100, 0.0)) == 1
    now[0] += DAY
    assert len(world.poll(100, 0.0)) > 50


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("customers", 0),
        ("terminals", 0),
        ("days", 0),
        ("seed", -1),
        ("speed", 0.0),
        ("label_delay_days", -1.0),
        ("unlabelled", 1.5),
        ("fraud_share", 0.9),
        ("give_up_days", 0),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name}: {value}"):
        FraudSettings(**{name: value})  # type: ignore[arg-type]  # wrong on purpose


def test_an_attack_without_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="lasting: 9"):
        Attack("big_amounts", first=0, lasting=9, every=8)
    with pytest.raises(ValueError, match="task: 'theft' is unknown"):
        Attack("theft", first=0, lasting=9, every=9)  # type: ignore[arg-type]  # wrong on purpose
