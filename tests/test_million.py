"""The long life's arithmetic: its course, its tenths, and the agent that is begun afresh."""

import numpy as np
import pytest

from agent.continual.default import AgentSettings
from benchmarks import million
from benchmarks.million import FEATURES, Life, Sample

ROWS = 200_000


def test_concepts_last_some_thousand_events_and_old_ones_return() -> None:
    concept_N = million.course(ROWS, np.random.default_rng(3)).concept_N
    met = [int(concept_N[at]) for at in range(2_000, ROWS, million.MEAN)]
    assert len(met) // 3 < len(set(met)) < len(met)
    assert set(range(max(met) + 1)) == set(concept_N.tolist())


def test_a_gradual_change_mixes_rows_of_both() -> None:
    way = million.course(ROWS, np.random.default_rng(3))
    changes = np.flatnonzero(np.diff(way.concept_N))
    gaps = np.diff(changes)
    assert (gaps < 10).any()
    assert (gaps > million.MEAN // 2).any()


def test_the_stream_is_a_function_of_its_seed() -> None:
    (x_NF, y_N, _), (again_NF, again_N, _) = (million.stream(3_000, seed=4) for _ in range(2))
    assert x_NF.shape == (3_000, FEATURES)
    assert np.array_equal(x_NF, again_NF)
    assert np.array_equal(y_N, again_N)
    assert not np.array_equal(x_NF, million.stream(3_000, seed=5)[0])


def _life(rows: int) -> Life:
    samples = [
        Sample(at, at / 100, at / 200, 2**20 * at, None, {"dormant_units": at / rows})
        for at in range(rows // 10, rows + 1, rows // 10)
    ]
    right = np.arange(rows) >= rows // 2
    return Life(samples, right, np.arange(rows, dtype=np.float64))


def test_tenths_are_means_over_their_own_events() -> None:
    told = million.tenths(_life(1_000))
    assert [row["accuracy"] for row in told] == [0.0] * 5 + [100.0] * 5
    assert told[3]["log loss"] == pytest.approx(349.5)
    assert [row["events/s"] for row in told] == [100] * 10
    assert [row["events/CPU s"] for row in told] == [200] * 10
    assert [row["RSS MiB"] for row in told] == list(range(100, 1_001, 100))
    assert told[9]["dormant units"] == 1.0
    assert told[9]["loss on old tasks"] is None


def test_the_fresh_agent_is_set_beside_the_same_events() -> None:
    fresh = Life([], np.zeros(100, np.bool_), np.ones(100))
    every, walked = million.beside(_life(1_000), fresh)
    assert every["log loss, old"] == pytest.approx(949.5)
    assert walked["log loss, old"] == pytest.approx(974.5)
    assert (every["accuracy, old"], every["accuracy, fresh"]) == (100.0, 0.0)
    assert (every["events"], walked["events"]) == (100, 50)


def test_a_short_life_is_told_whole() -> None:
    x_NF, y_N, _ = million.stream(2_100)
    life = million.lived(x_NF, y_N, AgentSettings(device="cpu"), samples=2)
    assert len(life.right_N) == len(life.loss_N) == 2_100
    assert life.right_N[-500:].mean() > life.right_N[:100].mean()
    assert [one.events for one in life.samples] == [2_048, 2_100]
    assert life.samples[-1].plasticity.keys() >= set(million.PLASTICITY)
