import io
import pickle
import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from typing_extensions import override

from agent.from_river import RiverNameError, river_model
from agent.frozen import freeze, thaw
from agent.learners.base import Classes, Learner, Numbers, Spec, State
from agent.learners.registry import LEARNERS
from agent.learners.river import River, RiverSettings

CLASSIFIERS = [
    "naive_bayes.GaussianNB",
    "tree.HoeffdingTreeClassifier(grace_period=20)",
    "forest.ARFClassifier(n_models=2)",
    "forest.AMFClassifier(n_estimators=2)",
    "neighbors.KNNClassifier",
    "linear_model.LogisticRegression",
    "preprocessing.StandardScaler | linear_model.SoftmaxRegression",
    "ensemble.ADWINBoostingClassifier(model=tree.HoeffdingTreeClassifier(), n_models=2)",
]
REGRESSORS = [
    "linear_model.LinearRegression",
    "tree.HoeffdingTreeRegressor(grace_period=20)",
    "forest.ARFRegressor(n_models=2)",
    "neighbors.KNNRegressor",
]


def drawn(count: int, seed: int = 0, tasks: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, a class that depends on them, and a number that does so with noise of 0.5."""
    draw = torch.Generator().manual_seed(seed)
    x_TBF = torch.randn(tasks, count, 3, generator=draw)
    noise_TB = 0.5 * torch.randn(tasks, count, generator=draw)
    return x_TBF, (x_TBF[..., 0] > 0).long(), 2 * x_TBF[..., 1] + 5 + noise_TB


def learner(name: str, *, rebase: int = 16, classes: int = 2) -> River:
    return River(Spec(3, classes), RiverSettings(name, seed=7, rebase=rebase))


def said(of: Learner, state: State, x_TBF: Tensor) -> Tensor:
    told = of.predict(state, x_TBF)
    if isinstance(told, Classes):
        return told.marginal()
    return torch.stack(told.moments())


def equal(left: State, right: State) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_an_untaught_classifier_says_every_class_alike(name: str) -> None:
    of = learner(name)
    p_C = said(of, of.begin(1), drawn(3)[0]).exp()
    assert torch.allclose(p_C, torch.full_like(p_C, 0.5))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_same_state_gives_the_same_answer_however_it_was_come_to(name: str) -> None:
    x_TBF, y_TB, _ = drawn(50)
    whole, cut, cold = learner(name), learner(name), learner(name)
    at_once = whole.learn(whole.begin(1), x_TBF, y_TB)
    state = cut.begin(1)
    for i in range(50):
        cut.predict(state, x_TBF[:, i : i + 1])
        state = cut.learn(state, x_TBF[:, i : i + 1], y_TB[:, i : i + 1])
    assert equal(at_once, state)
    assert torch.equal(said(whole, at_once, x_TBF), said(cut, state, x_TBF))
    assert torch.equal(said(whole, at_once, x_TBF), said(cold, at_once, x_TBF))


@pytest.mark.parametrize("name", [*CLASSIFIERS, *REGRESSORS])
def test_an_old_state_stays_valid_after_learning_on_from_it(name: str) -> None:
    x_TBF, y_TB, number_TB = drawn(60)
    of = learner(name, classes=0 if name in REGRESSORS else 2)
    y_TB = number_TB if name in REGRESSORS else y_TB
    old = of.learn(of.begin(1), x_TBF[:, :20], y_TB[:, :20])
    photograph = {key: value.clone() for key, value in old.items()}
    before = said(of, old, x_TBF)
    first = of.learn(old, x_TBF[:, 20:], y_TB[:, 20:])
    again = of.learn(old, x_TBF[:, 20:], y_TB[:, 20:])
    assert equal(old, photograph)
    assert torch.equal(said(of, old, x_TBF), before)
    assert equal(first, again)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_learns(name: str) -> None:
    x_TBF, y_TB, _ = drawn(300)
    of = learner(name)
    told, _ = of.predict_then_learn(of.begin(1), x_TBF, y_TB)
    assert isinstance(told, Classes)
    right = told.marginal().argmax(2)[:, 100:] == y_TB[:, 100:]
    assert right.float().mean() > 0.75


@pytest.mark.parametrize("name", REGRESSORS)
def test_a_regressor_learns_and_knows_how_far_off_it_is(name: str) -> None:
    x_TBF, _, number_TB = drawn(400)
    of = learner(name, classes=0)
    told, state = of.predict_then_learn(of.begin(1), x_TBF, number_TB)
    assert isinstance(told, Numbers)
    mean, _ = told.moments()
    error = (mean - number_TB)[:, 200:].square().mean().sqrt()
    assert error < number_TB.std()
    _, scale = of.predict(state, x_TBF[:, :1]).moments()  # type: ignore[union-attr]  # as above
    assert 0.5 * error < scale.item() < 2 * error


@pytest.mark.parametrize("name", [CLASSIFIERS[1], REGRESSORS[0]])
def test_test_then_train_is_predicting_and_learning_row_by_row(name: str) -> None:
    x_TBF, y_TB, number_TB = drawn(40)
    of = learner(name, classes=0 if name in REGRESSORS else 2)
    y_TB = number_TB if name in REGRESSORS else y_TB
    seen_TB = torch.arange(40).remainder(3).ne(0).unsqueeze(0)
    told, after = of.predict_then_learn(of.begin(1), x_TBF, y_TB, seen_TB)
    whole = told.marginal() if isinstance(told, Classes) else torch.stack(told.moments())
    state = of.begin(1)
    for i in range(40):
        at = slice(i, i + 1)
        row = said(of, state, x_TBF[:, at])
        assert torch.equal(row, whole[:, at] if whole.shape[0] == 1 else whole[:, :, at])
        state = of.learn(state, x_TBF[:, at], y_TB[:, at], seen_TB[:, at])
    assert equal(state, after)


@given(cuts=st.sets(st.integers(1, 39)), rebase=st.integers(1, 50))
@settings(deadline=None, max_examples=15)
def test_neither_the_cut_nor_a_restart_changes_what_is_learned(cuts: set[int], rebase: int) -> None:
    x_TBF, y_TB, _ = drawn(40)
    name = "tree.HoeffdingTreeClassifier(grace_period=5)"
    whole = learner(name, rebase=rebase)
    expected = whole.learn(whole.begin(1), x_TBF, y_TB)
    state = whole.begin(1)
    edges = [0, *sorted(cuts), 40]
    for start, stop in pairwise(edges):
        restarted = learner(name, rebase=rebase)
        restarted.predict(state, x_TBF)
        state = restarted.learn(state, x_TBF[:, start:stop], y_TB[:, start:stop])
    assert equal(state, expected)


def test_foreseeing_leaves_the_live_model_of_its_state_at_hand() -> None:
    x_TBF, y_TB, _ = drawn(20)
    of = learner(CLASSIFIERS[0])
    state = of.learn(of.begin(1), x_TBF, y_TB)
    (before,) = of._memo.live.values()
    seen = of.foresee(state, x_TBF, y_TB)
    assert list(of._memo.live.values()) == [before]
    said_then, _ = of.predict_then_learn(state, x_TBF, y_TB)
    assert isinstance(seen, Classes)
    assert isinstance(said_then, Classes)
    assert torch.equal(seen.marginal(), said_then.marginal())


def test_tasks_are_taught_apart() -> None:
    x_TBF, y_TB, _ = drawn(30, tasks=3)
    of = learner(CLASSIFIERS[0])
    together = said(of, of.learn(of.begin(3), x_TBF, y_TB), x_TBF)
    for t in range(3):
        alone = of.learn(of.begin(1), x_TBF[t : t + 1], y_TB[t : t + 1])
        assert torch.equal(said(of, alone, x_TBF[t : t + 1])[0], together[t])


def test_a_class_never_seen_keeps_a_small_share_and_is_found_when_it_comes() -> None:
    x_TBF, y_TB, _ = drawn(50)
    of = learner(CLASSIFIERS[0])
    narrow = of.learn(of.begin(1), x_TBF, y_TB)
    wide = of.widen(narrow, 4)
    p_TBC = said(of, wide, x_TBF).exp()
    assert p_TBC.shape == (1, 50, 4)
    assert (p_TBC[..., 2:] > 0).all()
    assert (p_TBC[..., 2:] < 0.01).all()
    assert torch.allclose(p_TBC[..., :2], said(of, narrow, x_TBF).exp(), atol=2e-3)
    shifted = x_TBF + 20
    taught = of.learn(wide, shifted, torch.full_like(y_TB, 3))
    assert (said(of, taught, shifted).argmax(2) == 3).all()


@pytest.mark.parametrize("name", [*CLASSIFIERS, *REGRESSORS])
@pytest.mark.parametrize("value", [0.0, 1.0, 1e30, -1e30, float("nan"), float("inf")])
def test_constant_huge_and_missing_inputs_are_survived(name: str, value: float) -> None:
    x_TBF, y_TB, number_TB = drawn(24)
    of = learner(name, classes=0 if name in REGRESSORS else 2)
    y_TB = number_TB if name in REGRESSORS else y_TB
    x_TBF[:, ::2, 1] = value
    state = of.learn(of.begin(1), x_TBF, y_TB)
    assert torch.isfinite(said(of, state, x_TBF)).all()


@pytest.mark.parametrize("name", ["naive_bayes.GaussianNB", "linear_model.LogisticRegression"])
def test_the_state_of_a_model_of_fixed_size_does_not_grow(name: str) -> None:
    of = learner(name)
    x_TBF, y_TB, _ = drawn(64)
    early = of.learn(of.begin(1), x_TBF, y_TB)
    late = early
    for _ in range(10):
        late = of.learn(late, x_TBF, y_TB)
    assert {k: v.shape for k, v in early.items()} == {k: v.shape for k, v in late.items()}
    assert len(of._memo.live) <= of._memo.most


@pytest.mark.parametrize("name", [n for n in LEARNERS if n.startswith("river:")])
@pytest.mark.parametrize("classes", [0, 3])
def test_registered_ones_answer_before_and_after_learning(name: str, classes: int) -> None:
    of = LEARNERS[name](Spec(3, classes))
    x_TBF, y_TB, number_TB = drawn(10)
    state = of.begin(1)
    before = said(of, state, x_TBF)
    after = said(of, of.learn(state, x_TBF, number_TB if classes == 0 else y_TB), x_TBF)
    assert torch.isfinite(before).all()
    assert not torch.equal(before, after)


@pytest.mark.parametrize("name", [*CLASSIFIERS, *REGRESSORS])
def test_a_model_comes_back_from_its_bytes(name: str) -> None:
    model = river_model(name, seed=3)
    rng = random.Random(1)  # noqa: S311 (data, no secret)
    for _ in range(60):
        row = {"a": rng.gauss(0, 1), "b": rng.random()}
        model.learn_one(row, row["a"] > 0 if name in CLASSIFIERS else row["a"])
    back = thaw(freeze(model))
    assert back.predict_one({"a": 0.3, "b": 0.1}) == model.predict_one({"a": 0.3, "b": 0.1})


class _Evil:
    def __init__(self, call: Callable[..., Any], *words: object) -> None:
        self.call, self.words = call, words

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return self.call, self.words


@pytest.mark.parametrize(
    "evil",
    [
        _Evil(eval, "1 + 1"),
        _Evil(io.open, "/etc/hostname"),
        _Evil(getattr, [], "__class__"),
        _Evil(np.load, "x.npy"),
        _Evil(__import__, "os"),
        _Evil(pickle.loads, b""),
    ],
)
def test_bytes_that_name_anything_but_a_model_are_refused(evil: _Evil) -> None:
    with pytest.raises(pickle.UnpicklingError, match="no part of a River model"):
        thaw(freeze(evil))


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("forest.ARFClasifier", "did you mean ARFClassifier"),
        ("forst.ARFClassifier", "did you mean forest"),
        ("forest.ARFClassifier(n_modls=3)", "n_models"),
        ("ensemble.BaggingClassifier", "missing 1 required positional argument"),
        ("ARFClassifier", "write module.Class"),
        ("forest.ARFClassifier(", "cannot be read"),
        ("os.system('true')", "no module 'os'"),
        ("__import__('os')", "no module"),
        ("", "cannot be read"),
    ],
)
def test_a_wrong_name_is_told_with_what_was_meant(name: str, word: str) -> None:
    with pytest.raises(RiverNameError, match=word.replace("(", r"\(")):
        river_model(name, seed=1)


@pytest.mark.parametrize(
    ("name", "classes", "word"),
    [
        ("linear_model.LinearRegression", 2, "no Classifier"),
        ("naive_bayes.GaussianNB", 0, "no Regressor"),
        ("multiclass.OneVsOneClassifier(linear_model.LogisticRegression())", 2, "no probabilities"),
    ],
)
def test_a_model_of_the_wrong_goal_is_refused(name: str, classes: int, word: str) -> None:
    with pytest.raises(RiverNameError, match=word):
        learner(name, classes=classes)


def test_a_rebase_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="rebase is 0"):
        RiverSettings(rebase=0)
