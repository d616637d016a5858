"""The encoder: the same rows whatever the cut, and a scale that nothing ruins."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agent.encode import Encoder, EncoderSettings, EncoderState, Rows
from streams.records import Value
from streams.schema import Kind
from tests.encoders import run, words

FIELDS: dict[str, Kind] = {
    "amount": "numeric",
    "shop": "categorical",
    "text": "tokens",
    "when": "time",
    "flag": "numeric",
}
HUGE = 1.7e308
numbers = st.none() | st.sampled_from([0.0, 1.0, HUGE, -HUGE, 5e-324]) | st.floats(-1e6, 1e6)
events = st.tuples(
    numbers,
    words,
    st.none() | st.lists(st.sampled_from(["a", "b", "c"]), max_size=4).map(tuple),
    st.none() | st.floats(-1e10, 1e10),
    numbers,
)


def bits(rows: Rows, state: EncoderState) -> list[bytes]:
    return [
        rows.tobytes(),
        *(f"{k}{v.dtype}{v.shape}".encode() + v.tobytes() for k, v in state.items()),
    ]


def scaled(column: Sequence[float | None]) -> NDArray[np.float32]:
    encoder = Encoder({"x": "numeric"}, EncoderSettings())
    return run(encoder, [(x,) for x in column])[0][:, 0]


def column(encoder: Encoder, rows: Rows, name: str) -> NDArray[np.float32]:
    return rows[:, encoder.columns.index(name)]


@settings(max_examples=60, deadline=None)
@given(
    some=st.lists(events, min_size=1, max_size=8),
    seed=st.integers(0, 2**32),
    length=st.integers(1, 150),
    cuts=st.lists(st.integers(0, 150), max_size=8),
)
def test_the_cut_does_not_change_a_bit_of_rows_or_state(
    some: list[tuple[Value, ...]], seed: int, length: int, cuts: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    drawn = rng.lognormal(0, 2, (length, 2)).tolist()
    values = [
        some[i % len(some)] if i % 5 == seed % 5 else (a, "w", ("x", "y"), 1e9 * b, b)
        for i, (a, b) in enumerate(drawn)
    ]
    cuts = [min(cut, length) for cut in cuts]
    whole = run(Encoder(FIELDS, EncoderSettings()), values)
    assert bits(*run(Encoder(FIELDS, EncoderSettings()), values, cuts)) == bits(*whole)


def test_one_event_at_a_time_gives_the_bits_of_one_long_call() -> None:
    rng = np.random.default_rng(1)
    data = rng.lognormal(3, 2, (1_000, 2)).tolist()
    values = [
        (a, f"w{i % 90}", ("u", f"v{i % 7}"), 1e9 + 1e5 * b, b) for i, (a, b) in enumerate(data)
    ]
    encoder = Encoder(FIELDS, EncoderSettings())
    assert bits(*run(encoder, values, range(1_000))) == bits(*run(encoder, values))


def test_a_small_memo_changes_nothing() -> None:
    values = [(1.0, f"w{i % 50}", (f"t{i}",), 0.0, None) for i in range(200)]
    small = Encoder(FIELDS, EncoderSettings(memo=1))
    assert bits(*run(small, values, range(0, 200, 3))) == bits(
        *run(Encoder(FIELDS, EncoderSettings()), values)
    )


def test_state_is_a_photograph() -> None:
    encoder = Encoder(FIELDS, EncoderSettings())
    values = [(float(i), "a", ("b",), float(i), 1.0) for i in range(100)]
    _, state = encoder.encode(encoder.begin(), values[:50])
    before = bits(np.zeros((0, 0), np.float32), state)
    first = bits(*encoder.encode(state, values[50:]))
    assert bits(np.zeros((0, 0), np.float32), state) == before
    assert bits(*encoder.encode(state, values[50:])) == first


def test_columns_name_every_place_of_a_row_and_no_events_give_no_rows() -> None:
    encoder = Encoder(FIELDS, EncoderSettings())
    assert len(set(encoder.columns)) == encoder.width == 2 + 2 + 8 + 1 + 256 + 6 + 1
    assert encoder.codes == 1
    rows, state = encoder.encode(encoder.begin(), [])
    assert rows.shape == (0, encoder.width)
    assert int(state["events"][0]) == 0


def test_a_schema_without_numbers_encodes() -> None:
    rows, _ = run(Encoder({"w": "categorical"}, EncoderSettings()), [("a",)] * 40)
    assert rows.shape == (40, 10)


def test_numbers_come_to_mean_zero_and_deviation_one() -> None:
    z = scaled(np.random.default_rng(2).normal(500, 20, 5_000).tolist())[100:]
    assert abs(z.mean()) < 0.1
    assert 0.9 < z.std() < 1.1


def test_small_noise_on_a_billion_is_scaled_without_cancellation() -> None:
    z = scaled((1e9 + np.random.default_rng(3).normal(0, 0.01, 5_000)).tolist())[100:]
    assert abs(z.mean()) < 0.1
    assert 0.9 < z.std() < 1.1


@pytest.mark.parametrize("at", [0, 1, 5, 31, 40, 3_000])
@pytest.mark.parametrize("wild", [1e30, -HUGE])
def test_one_wild_value_anywhere_does_not_ruin_the_scale(at: int, wild: float) -> None:
    column = np.random.default_rng(4).normal(10, 2, 4_000)
    column[at] = wild
    z = scaled(column.tolist())
    assert abs(z[at]) <= 10
    assert 0.5 < z[at + 33 :].std() < 1.5
    assert 0.8 < z[-500:].std() < 1.2


def test_a_wild_first_value_before_a_constant_leaves_the_constant_at_zero() -> None:
    z = scaled([1e30, *[7.0] * 500])
    assert np.all(z[40:] == 0)


def test_far_values_are_compressed_then_clipped() -> None:
    known = np.random.default_rng(5).normal(0, 1, 3_200).tolist()
    z = scaled([*known, 2.0, 20.0, -20.0, 1e9])[-4:]
    assert z[0] == pytest.approx(2, abs=0.2)
    assert z[1] == pytest.approx(3 + math.log1p(17), abs=0.2)
    assert z[2] == pytest.approx(-z[1], abs=0.2)
    assert z[3] == 10


def test_constant_columns_are_zero_and_the_largest_numbers_do_no_harm() -> None:
    assert not scaled([0.1] * 200).any()
    z = scaled([HUGE if i % 2 else -HUGE for i in range(200)])
    assert np.isfinite(z).all()
    assert np.all(np.sign(z[40:]) == np.sign([1 if i % 2 else -1 for i in range(40, 200)]))


def test_the_scale_follows_a_slow_drift() -> None:
    rng = np.random.default_rng(6)
    encoder = Encoder({"x": "numeric"}, EncoderSettings(horizon=1_000))
    column = rng.normal(0, 1, 20_000) + np.linspace(0, 40, 20_000)
    rows, _ = run(encoder, [(x,) for x in column.tolist()])
    assert abs(rows[-1_000:, 0].mean()) < 2.5


def test_a_flag_that_is_seldom_up_keeps_its_scale() -> None:
    flags = np.random.default_rng(7).random(60_000) < 0.002
    z = scaled(flags.astype(float).tolist())
    assert np.all(np.abs(z[~flags][-10_000:]) < 0.1)
    assert np.all(z[flags][-10:] > 3)


def test_a_column_that_begins_late_is_scaled_when_it_comes() -> None:
    late = np.random.default_rng(8).normal(3, 5, 2_000).tolist()
    z = scaled([None] * 1_000 + late)
    assert not z[:1_000].any()
    assert 0.85 < z[-1_000:].std() < 1.15


def test_a_constant_that_comes_alive_is_scaled() -> None:
    z = scaled([5.0] * 500 + np.random.default_rng(9).normal(100, 5, 2_000).tolist())
    assert 0.2 < z[-500:].std() < 1.3
    assert abs(z[-500:].mean()) < 0.5


def test_a_missing_value_is_zero_with_its_indicator_up() -> None:
    encoder = Encoder(FIELDS, EncoderSettings())
    full: tuple[Value, ...] = (3.0, "a", ("b",), 1.0, 2.0)
    rows, _ = run(encoder, [full, (None,) * 5])
    assert list(column(encoder, rows, "amount?")) == [0, 1]
    assert list(column(encoder, rows, "shop?")) == [0, 1]
    assert np.flatnonzero(rows[1]).tolist() == [
        encoder.columns.index(name) for name in ("amount?", "flag?", "shop?")
    ]


def wide_values(rows: int, gone: dict[tuple[int, int], None]) -> list[tuple[Value, ...]]:
    return [tuple(None if (r, f) in gone else float(r * f) for f in range(6)) for r in range(rows)]


def test_indicators_go_to_the_fields_that_ever_lack_a_value_and_are_then_shared() -> None:
    fields: dict[str, Kind] = {f"f{i}": "numeric" for i in range(6)}
    encoder = Encoder(fields, EncoderSettings(indicators=2))
    assert encoder.columns[6:] == ("?0", "?1", "?share")
    gone = dict.fromkeys([(3, 4), (3, 5), (7, 4), (9, 1), (9, 4), (11, 5)])
    rows, state = run(encoder, wide_values(14, gone))
    assert np.flatnonzero(rows[:, 6]).tolist() == [3, 7, 9]  # field 4, and 1, which came third
    assert np.flatnonzero(rows[:, 7]).tolist() == [3, 11]
    assert rows[:, 6:8].max() == 1
    assert rows[[3, 7], 8].tolist() == pytest.approx([2 / 6, 1 / 6])
    assert state["indicator"].tolist() == [-1, 0, -1, -1, 0, 1]


@settings(max_examples=40, deadline=None)
@given(
    gone=st.dictionaries(st.tuples(st.integers(0, 39), st.integers(0, 5)), st.none(), max_size=20),
    cuts=st.lists(st.integers(0, 40), max_size=6),
)
def test_the_cut_does_not_change_who_takes_an_indicator(
    gone: dict[tuple[int, int], None], cuts: list[int]
) -> None:
    fields: dict[str, Kind] = {f"f{i}": "numeric" for i in range(6)}
    encoder, values = Encoder(fields, EncoderSettings(indicators=3)), wide_values(40, gone)
    assert bits(*run(encoder, values, cuts)) == bits(*run(encoder, values))


def test_as_many_indicators_as_fields_give_each_its_own() -> None:
    fields: dict[str, Kind] = {f"f{i}": "numeric" for i in range(17)}
    names = Encoder(fields, EncoderSettings()).columns
    assert names[17:] == (*(f"?{i}" for i in range(16)), "?share")
    own = Encoder(fields, EncoderSettings(indicators=17)).columns
    assert own[17:] == tuple(f"f{i}?" for i in range(17))


def test_time_is_continuous_over_midnight_week_and_year() -> None:
    encoder = Encoder({"t": "time"}, EncoderSettings())
    midnight = 1_704_067_200.0  # Monday, 2024-01-01, 00:00 UTC
    rows, _ = run(encoder, [(midnight - 1,), (midnight + 1,), (midnight + 43_200,)])
    assert np.abs(rows[1] - rows[0]).max() < 1e-3
    assert column(encoder, rows, "t.cos.hour")[2] == pytest.approx(-1)
    assert column(encoder, rows, "t.cos.weekday")[1] == pytest.approx(1)
    assert column(encoder, rows, "t.cos.yearday")[1] > 0.999


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("block", 33),
        ("block", 0),
        ("horizon", 3),
        ("linear", 0.0),
        ("clip", 2.0),
        ("clip", math.inf),
        ("memo", 0),
        ("tokens_width", 0),
        ("indicators", 0),
        ("categorical_width", 0),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name}: {value}"):
        EncoderSettings(**{name: value})  # type: ignore[arg-type]  # wrong on purpose
