"""The default agent in River's words and in CapyMOA's."""

import copy
import importlib.util
import sys
import types
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from river import checks, compose, evaluate, feature_extraction, metrics, preprocessing
from river.datasets import synth

from agent.continual.default import AgentSettings
from agent.estimators import AdaptdClassifier, AdaptdRegressor
from agent.estimators.columns import Columns, Features, Layout
from agent.estimators.online import Online
from agent.learners.base import Classes

SMALL = AgentSettings(slots=64)
ESTIMATORS: tuple[Any, ...] = (AdaptdClassifier, AdaptdRegressor)


@pytest.fixture
def _sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for scikit-learn, from which River's checks load data for other kinds of model."""
    if importlib.util.find_spec("sklearn") is None:
        stand_in = types.ModuleType("sklearn")
        stand_in.datasets = None  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "sklearn", stand_in)


@pytest.mark.slow
@pytest.mark.usefixtures("_sets")
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_river_finds_nothing_wrong(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of River's checks, on the first rows of its own data; many calls, one answer each."""
    every = checks._yield_datasets
    monkeypatch.setattr(
        checks,
        "_yield_datasets",
        lambda model, scale=1: (list(islice(one, 64 * min(scale, 3))) for one in every(model)),
    )
    for params in kind._unit_test_params():
        model = kind(**params)
        run: set[str] = set()
        for check in checks.yield_checks(model):
            check(model.clone())
            run.add(check.__name__)
        assert len(run) > 20
        assert not model._unit_test_skips()


def _stream(rows: int, classes: int = 2, seed: int = 0) -> list[tuple[dict[Any, Any], str]]:
    """Words and numbers that tell the class, some of them missing."""
    draw = np.random.default_rng(seed)
    made = []
    for _ in range(rows):
        label = int(draw.integers(classes))
        x: dict[Any, Any] = {"a": label + draw.normal(0, 0.2), "b": draw.normal()}
        if draw.random() < 0.7:
            x["word"] = f"w{label}"
        made.append((x, f"class {label}"))
    return made


def _online(first: Features) -> Online:
    return Online(SMALL, Layout.of(first), numbers=False)


def test_one_by_one_says_what_the_agent_says_of_a_block_test_then_train() -> None:
    """Each answer of the open block is that of `predict_then_learn` over the whole block."""
    data = _stream(96)
    online = _online(data[0][0])
    online.learn([x for x, _ in data[:64]], [y for _, y in data[:64]])
    lanes = copy.deepcopy(online)
    said = []
    for x, y in data[64:]:
        said.append(online.probabilities([x])[0])
        online.learn([x], [y])
    rows = np.pad(copy.deepcopy(lanes.columns).learn([x for x, _ in data[64:]]), ((0, 0), (0, 1)))
    truths = torch.tensor([[lanes.classes.index(y) for _, y in data[64:]]])
    whole, _ = lanes._learner.predict_then_learn(
        lanes._state, torch.from_numpy(rows).unsqueeze(0), truths
    )
    assert isinstance(whole, Classes)
    expected = torch.softmax(whole.marginal()[0, :, :2], 1).numpy()
    np.testing.assert_allclose(np.stack(said), expected, atol=1e-5)


def test_many_at_a_time_is_one_by_one() -> None:
    """Features emerge inside the batch, and the batch is no multiple of the block."""
    data = [({"a": 1.0}, "class 0"), *_stream(76, 3), *[({"z": float(i)}, "new") for i in range(9)]]
    xs, ys = [x for x, _ in data], [y for _, y in data]
    one, many = _online(xs[0]), _online(xs[0])
    many.learn(xs, ys)
    for x, y in data:
        one.learn([x], [y])
    asked = [*xs, *[x for x, _ in _stream(300, 3, seed=5)]]
    together = many.probabilities(asked)
    alone = np.concatenate([one.probabilities([x]) for x in asked[:90]])
    np.testing.assert_allclose(together[:90], alone, atol=1e-5)
    assert together.shape == (len(asked), 4)


def test_asking_changes_nothing() -> None:
    data = _stream(40)
    online = _online(data[0][0])
    online.learn([x for x, _ in data], [y for _, y in data])
    known = [data[0][0]]
    before = online.probabilities(known)
    online.probabilities([{"a": 1e9, "never met": 3.0, "nor this": "x"}] * 100)
    np.testing.assert_array_equal(online.probabilities(known), before)


def test_a_copy_goes_on_as_the_original() -> None:
    data = _stream(120)
    online = _online(data[0][0])
    online.learn([x for x, _ in data[:50]], [y for _, y in data[:50]])
    twin = copy.deepcopy(online)
    kept = twin.probabilities([data[0][0]])
    online.learn([x for x, _ in data[50:]], [y for _, y in data[50:]])
    np.testing.assert_array_equal(twin.probabilities([data[0][0]]), kept)
    twin.learn([x for x, _ in data[50:]], [y for _, y in data[50:]])
    asked = [x for x, _ in data[:5]]
    np.testing.assert_array_equal(twin.probabilities(asked), online.probabilities(asked))


def test_classes_are_found_as_they_come_whatever_they_are() -> None:
    model = AdaptdClassifier(agent=SMALL)
    assert model.predict_one({"a": 1.0}) is None
    labels = [True, "two", 3, (4, 4), 5.5]
    for row, at in enumerate(np.random.default_rng(0).integers(0, 5, 300).tolist()):
        model.learn_one({"a": float(at), "b": row % 3}, labels[at])
    said = model.predict_proba_one({"a": 3.0, "b": 1})
    assert set(said) == {True, "two", 3, (4, 4), 5.5}
    assert sum(said.values()) == pytest.approx(1)
    assert max(said, key=lambda one: said[one]) == (4, 4)


def test_places_are_kept_and_do_not_hang_on_the_order_of_a_dict() -> None:
    one, two = (Columns(Layout(4, 1, 2)) for _ in range(2))
    rows = [{"b": 2.0, "a": 1.0}, {"c": 5.0, "a": 3.0, "b": 1.0}, {"a": 2.0}] * 9
    turned = [dict(reversed(row.items())) for row in rows]
    np.testing.assert_array_equal(one.learn(rows), two.learn(turned))
    assert list(one._numbers) == ["a", "b", "c"]


def test_what_is_missing_is_said_so_and_only_of_features_once_met() -> None:
    columns = Columns(Layout(3, 1, 0))
    columns.learn([{"a": float(i), "b": float(i % 5), "w": "x"} for i in range(64)])
    gaps = slice(3, 6)
    whole = columns.learn([{"a": 1.0, "b": 1.0, "w": "x"}])[0]
    lacking = columns.learn([{"a": None, "b": float("nan")}])[0]
    assert whole[gaps].tolist() == [0, 0, 0]
    assert lacking[gaps].tolist() == [1, 1, 0]
    assert (whole[-2], lacking[-2]) == (0, 1)
    assert whole[-1] > 0  # the word's code
    assert lacking[-1] == 0


def test_features_without_a_place_share_the_last_columns() -> None:
    columns = Columns(Layout(2, 0, 4))
    first = {f"f{i:02}": float(i) for i in range(12)}
    draw = np.random.default_rng(0)
    for _ in range(64):
        columns.learn([dict(zip(first, draw.normal(size=12), strict=True))])
    row = columns.look([first])[0]
    other = columns.look([first | {"f11": 400.0}])[0]
    assert row.shape == (2 + 2 + 4,)
    np.testing.assert_array_equal(row[:4], other[:4])
    assert (row[4:] != other[4:]).sum() == 1
    late = columns.look([first | {"colour": "red"}])[0]
    assert (row != late).sum() == 1
    assert len(columns._numbers) == 2


def test_odd_values_are_taken_as_what_they_are() -> None:
    columns = Columns(Layout(12, 2, 0))
    noon = datetime(2024, 5, 6, 12, tzinfo=UTC)
    x = {"t": noon, "n": np.float32(2), "i": 10**400, "tags": ["a", "b"], 7: True, "o": object}
    for _ in range(40):
        assert np.isfinite(columns.learn([x])).all()
    assert len(columns._numbers) == 6 + 3
    assert list(columns._words) == ["o", "tags"]


def test_a_wide_first_dict_gets_no_more_places_than_there_are() -> None:
    layout = Layout.of({i: float(i) for i in range(5_000)} | {f"w{i}": "x" for i in range(500)})
    assert (layout.numbers, layout.words) == (128, 32)
    assert Layout.of({"a": 1.0}, numbers=3).numbers == 3
    with pytest.raises(ValueError, match="features is -1"):
        AdaptdClassifier(features=-1)


def test_it_stands_in_a_pipeline_and_is_evaluated() -> None:
    model = preprocessing.StandardScaler() | AdaptdClassifier(agent=SMALL)
    accuracy: Any = metrics.Accuracy
    right = evaluate.progressive_val_score(synth.SEA(seed=1).take(500), model, accuracy())
    assert right.get() > 0.85  # the larger class is 64 % of these
    text: Any = compose.Pipeline(
        feature_extraction.BagOfWords(lowercase=False), AdaptdClassifier(agent=SMALL)
    )
    for _ in range(20):
        text.learn_one("good morning sir", y=True)
        text.learn_one("bad night", y=False)
    assert text.predict_one("good day") is True


def test_a_number_is_learned_in_its_unit() -> None:
    model = AdaptdRegressor(agent=SMALL)
    friedman = list(synth.Friedman(seed=1).take(400))
    mae: Any = metrics.MAE
    error = evaluate.progressive_val_score(((x, 1000 + 100 * y) for x, y in friedman), model, mae())
    plain = float(np.mean(np.abs([100 * (y - 14.4) for _, y in friedman])))
    assert error.get() < 0.9 * plain


def _frames() -> Any:
    return pytest.importorskip("pandas", reason="pandas is not installed")


def test_frames_are_learned_and_answered_row_by_row() -> None:
    pandas = _frames()
    data = _stream(100)
    frame = pandas.DataFrame([x for x, _ in data])
    labels = pandas.Series([y for _, y in data])
    model, one = AdaptdClassifier(agent=SMALL), AdaptdClassifier(agent=SMALL)
    assert model.predict_many(frame).empty
    model.learn_many(frame, labels)
    for x, y in data:
        one.learn_one(x, y)
    assert model.predict_many(frame[:9]).tolist() == [one.predict_one(x) for x, _ in data[:9]]


@pytest.fixture
def capymoa() -> Any:
    """CapyMOA's evaluation."""
    pytest.importorskip("capymoa", reason="CapyMOA is not installed")
    from capymoa.evaluation import prequential_evaluation  # noqa: PLC0415 - starts a Java machine

    return prequential_evaluation


def test_capymoa_evaluates_it(capymoa: Callable[..., Any]) -> None:
    from capymoa.stream.generator import RandomTreeGenerator  # noqa: PLC0415 - as above

    from agent.estimators.capymoa import AdaptdClassifier as ForCapy  # noqa: PLC0415 - as above

    stream = RandomTreeGenerator()  # words and numbers
    model = ForCapy(stream.get_schema(), agent=SMALL)
    assert str(model) == "AdaptdClassifier"
    instance = next(stream)
    assert model.predict_proba(instance).tolist() == [0.5, 0.5]
    found = capymoa(stream, model, max_instances=1_000, batch_size=50)
    assert found.cumulative.accuracy() > 62  # the larger class is 58 % of these
    assert model.predict(instance) in {0, 1}
    assert sum(model.predict_proba(instance)) == pytest.approx(1)


def test_capymoa_evaluates_it_on_numbers(capymoa: Callable[..., Any]) -> None:
    from capymoa.stream import NumpyStream  # noqa: PLC0415 - as above

    from agent.estimators.capymoa import AdaptdRegressor as ForCapy  # noqa: PLC0415 - as above

    x = np.random.default_rng(0).normal(size=(400, 3))
    stream = NumpyStream(x, 50 + 10 * x[:, 0], target_type="numeric")
    found = capymoa(stream, ForCapy(stream.get_schema(), agent=SMALL))
    assert found.cumulative.mae() < 6  # always saying the mean errs by 8


def test_without_capymoa_it_says_what_to_install() -> None:
    if importlib.util.find_spec("capymoa") is not None:
        pytest.skip("CapyMOA is installed")
    from agent.estimators.capymoa import AdaptdClassifier as ForCapy  # noqa: PLC0415 - as above

    with pytest.raises(ImportError, match=r"adaptd\[capymoa\]"):
        ForCapy(schema=None)
