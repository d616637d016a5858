import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.evaluate.measures import Ledger
from tests.streamfiles import scores


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.integers(-1, 2),
            st.floats(0, 9, allow_subnormal=False),
            st.sampled_from([0, 0.5]),
        ),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 7),
)
@settings(deadline=None)
def test_figures_of_classes_are_those_of_a_plain_count(
    rows: list[tuple[int, int, float, float]], cut: int
) -> None:
    ledger = Ledger("classes")
    for at in range(0, len(rows), cut):
        ledger.add(scores([(t, g, loss, 0.0, s) for t, g, loss, s in rows[at : at + cut]]))
    found, total = ledger.figures(), len(rows)
    agreed = sum(t == g for t, g, _, _ in rows) / total
    chance = sum(
        sum(t == c for t, *_ in rows) * sum(g == c for _, g, *_ in rows) for c in range(3)
    ) / (total * total)
    assert found["accuracy"] == pytest.approx(agreed)
    assert found["log_loss"] == pytest.approx(sum(loss for _, _, loss, _ in rows) / total)
    if chance < 1:
        assert found["kappa"] == pytest.approx((agreed - chance) / (1 - chance))
    else:
        assert found["kappa"] is None
    assert found["mae"] is None


@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.5, 0.9])), min_size=2, max_size=30
    )
)
@settings(deadline=None)
def test_average_precision_is_that_of_the_rarer_of_two_classes(
    rows: list[tuple[bool, float]],
) -> None:
    ledger = Ledger("classes")
    ledger.add(scores([(truth, truth, 0.1, 0.0, score) for truth, score in rows]))
    found = ledger.figures()["average_precision"]
    ones = sum(truth for truth, _ in rows)
    if ones in {0, len(rows)}:
        assert found is None
        return
    rare = 2 * ones <= len(rows)
    ranked = [(truth == rare, score if rare else -score) for truth, score in rows]
    expected, before = 0.0, 0
    for line in sorted({score for _, score in ranked}, reverse=True):
        shown = [positive for positive, score in ranked if score >= line]
        expected += sum(shown) / len(shown) * (sum(shown) - before)
        before = sum(shown)
    assert found == pytest.approx(expected / before)


@given(
    st.lists(
        st.tuples(
            st.floats(-99, 99, allow_subnormal=False), st.floats(-99, 99, allow_subnormal=False)
        ),
        min_size=1,
        max_size=30,
    )
)
@settings(deadline=None)
def test_figures_of_numbers_are_those_of_a_plain_sum(rows: list[tuple[float, float]]) -> None:
    ledger = Ledger("number")
    ledger.add(scores([(truth, guess, math.nan, 0.0, 0.0) for truth, guess in rows]))
    found = ledger.figures()
    errors = [truth - guess for truth, guess in rows]
    mean = math.fsum(truth for truth, _ in rows) / len(rows)
    spread = math.fsum((truth - mean) ** 2 for truth, _ in rows)
    square = math.fsum(error * error for error in errors)
    assert found["mae"] == pytest.approx(math.fsum(map(abs, errors)) / len(rows))
    assert found["rmse"] == pytest.approx(math.sqrt(square / len(rows)))
    if spread > 1e-6:
        assert found["r2"] == pytest.approx(1 - square / spread, rel=1e-6, abs=1e-6)
    assert found["accuracy"] is None


def test_a_curve_divides_the_labels_evenly_and_joins_to_the_whole() -> None:
    ledger = Ledger("classes")
    right = [i % 3 > 0 for i in range(1000)]
    ledger.add(scores([(1, hit, 0.0, 0.0, 0.0) for hit in right]))
    ends, curves = ledger.curves()
    assert ends == list(range(100, 1001, 100))
    assert np.mean(np.array(curves["accuracy"])) == pytest.approx(sum(right) / 1000)


def test_nothing_scored_has_no_figures() -> None:
    assert set(Ledger("classes").figures().values()) == {None}
    assert Ledger("number").curves()[1] == {"mae": [None], "rmse": [None]}
