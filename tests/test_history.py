"""Thinned histories and the ring of labels, against what a plain list would hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.service.history import History, Ring


@given(rows=st.integers(0, 200), stride=st.integers(1, 3))
def test_a_thinned_point_is_the_mean_of_its_rows_and_the_last_of_its_counts(
    rows: int, stride: int
) -> None:
    history = History(2, 8, last=[0], stride=stride)
    values = np.random.default_rng(rows).random(rows)
    for index, value in enumerate(values):
        history.add(np.array([float(index), value]))
    starts = range(0, rows, history.stride)
    points = history.rows()
    assert len(points) == len(starts) <= 9
    for point, start in zip(points, starts, strict=True):
        part = values[start : start + history.stride]
        assert point[0] == start + len(part) - 1
        assert point[1] == pytest.approx(part.mean())


def test_what_is_not_known_leaves_no_trace_in_a_thinned_point() -> None:
    history = History(2, 2, last=[0], stride=2)
    for index, value in enumerate([np.nan, 3.0, np.nan, np.nan, 1.0, 2.0]):
        history.add(np.array([float(index), value]))
    np.testing.assert_equal(history.rows(), [[3.0, 3.0], [5.0, 1.5]])


@given(sizes=st.lists(st.integers(0, 17), max_size=30), capacity=st.integers(1, 10))
def test_a_ring_gives_the_last_columns_in_order(sizes: list[int], capacity: int) -> None:
    ring, added = Ring(1, capacity), 0
    for size in sizes:
        ring.add(np.arange(added, added + size, dtype=float)[None])
        added += size
        kept = ring.last(capacity + 5)[0].tolist()
        assert kept == [float(i) for i in range(max(0, added - capacity), added)]
