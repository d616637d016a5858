"""A mixture finds tasks: those that are new, those that return, and none where nothing changed.

Several streams run side by side on the task axis, as many seeds.
"""

import numpy as np
import pytest
import torch
from torch import Tensor

from agent.continual.changes import changes, tasks_of
from agent.continual.mixture import Mixture, MixtureSettings
from agent.continual.tasks import YOUNG, Book
from agent.learners.base import Classes, Said, Spec, State
from agent.learners.ridge import Ridge
from agent.nets import part, prefixed

FEATURES = 8
LONG = 1280  # rows of a concept, where several take turns


def run(
    learner: Mixture, x_TBF: Tensor, y_TB: Tensor, block: int = 32, state: State | None = None
) -> tuple[Tensor, State]:
    """Test then train; give whether each answer was right (or its error), and the last state."""
    state, marks = state or learner.begin(len(x_TBF)), []
    with torch.inference_mode():
        for at in range(0, y_TB.shape[1], block):
            y = y_TB[:, at : at + block]
            said, state = learner.predict_then_learn(state, x_TBF[:, at : at + block], y)
            marks.append(mark(said, y))
    return torch.cat(marks, 1), state


def mark(said: Said, y_TB: Tensor) -> Tensor:
    """1 where a class was right; the size of a number's error."""
    if isinstance(said, Classes):
        return (said.marginal().argmax(2) == y_TB).float()
    return (said.moments()[0] - y_TB).abs()


def turns(
    order: tuple[int, ...], tasks: int, rows: int = LONG, apart: float = 0.0, classes: int = 2
) -> tuple[Tensor, Tensor]:
    """Linear concepts that take turns, 5 % of labels drawn at random, of two classes wrong; x, y.

    Args:
        order: which concept each stretch has.
        tasks: streams side by side.
        rows: of a stretch.
        apart: how far the inputs of concepts lie from one another.
        classes: how many.
    """
    draw = torch.Generator().manual_seed(0)
    outputs = classes if classes > 2 else 1
    rule = torch.randn(max(order) + 1, tasks, FEATURES, outputs, generator=draw)
    middle = apart * torch.randn(max(order) + 1, tasks, 1, FEATURES, generator=draw)
    xs, ys = [], []
    for concept in order:
        x = torch.randn(tasks, rows, FEATURES, generator=draw)
        score = x @ rule[concept]
        wrong = torch.rand(tasks, rows, generator=draw) < 0.05
        if classes > 2:
            other = torch.randint(classes, (tasks, rows), generator=draw)
            y = torch.where(wrong, other, score.argmax(2))
        else:
            y = ((score.squeeze(2) > 0) ^ wrong).long()
        xs.append(x + middle[concept])
        ys.append(y)
    return torch.cat(xs, 1), torch.cat(ys, 1)


def steady(tasks: int, rows: int, classes: int = 3, noise: float = 0.1) -> tuple[Tensor, Tensor]:
    """One linear concept of several classes, for ever."""
    draw = torch.Generator().manual_seed(1)
    rule = torch.randn(tasks, FEATURES, classes, generator=draw)
    x = torch.randn(tasks, rows, FEATURES, generator=draw)
    wrong = torch.rand(tasks, rows, generator=draw) < noise
    any_class = torch.randint(0, classes, (tasks, rows), generator=draw)
    return x, torch.where(wrong, any_class, (x @ rule).argmax(2))


def found(state: State, task: int) -> list[str]:
    """The kinds of the changes that one stream's mixture noticed."""
    return [change.kind for change in changes(state, task=task)]


@pytest.mark.parametrize(
    ("classes", "apart", "within"), [(2, 0.0, 0.035), (2, 2.0, 0.03), (4, 0.0, 0.05)]
)
def test_an_old_task_is_taken_up_where_it_was_left(
    classes: int, apart: float, within: float
) -> None:
    """Of 24 returns; their mean has a standard error of some 0.01."""
    streams, order = 8, (0, 1, 0, 1, 0)
    x, y = turns(order, streams, apart=apart, classes=classes)
    marks, state = run(Mixture(Ridge(Spec(FEATURES, classes))), x, y)
    left, back = [], []
    for turn in (2, 3, 4):
        end = (turn - 1) * LONG
        left.append(marks[:, end - 256 : end].mean())
        back.append(marks[:, turn * LONG : turn * LONG + 50].mean())
    assert torch.stack(back).mean() > torch.stack(left).mean() - within
    assert sum(found(state, task)[0] == "new" for task in range(streams)) == streams
    assert sum(found(state, task).count("returned") >= 3 for task in range(streams)) >= streams - 1


def test_without_stored_tasks_an_old_task_is_learned_anew() -> None:
    x, y = turns((0, 1, 0, 1, 0), 4)
    none = Mixture(Ridge(Spec(FEATURES, 2)), MixtureSettings(tasks=1))
    some = Mixture(Ridge(Spec(FEATURES, 2)))
    back = slice(4 * LONG, 4 * LONG + 50)
    poor, _ = run(none, x, y)
    good, _ = run(some, x, y)
    assert good[:, back].mean() > poor[:, back].mean() + 0.1


@pytest.mark.parametrize(("classes", "noise"), [(2, 0.3), (3, 0.1), (5, 0.05)])
def test_no_change_is_found_where_there_is_none(classes: int, noise: float) -> None:
    streams = 4
    learner = Mixture(Ridge(Spec(FEATURES, classes)))
    _, state = run(learner, *steady(streams, 5_120, classes, noise))
    assert sum(len(found(state, task)) for task in range(streams)) < 2  # in 20,480 labels


def test_a_long_run_of_one_label_is_no_new_task() -> None:
    streams, rows = 4, 4_800
    x, y = steady(streams, rows)
    for start in range(0, rows, 600):
        here = slice(start, start + 600)
        order = y[:, here].argsort(stable=True)
        x[:, here] = x[:, here].gather(1, order.unsqueeze(2).expand(-1, -1, FEATURES))
        y[:, here] = y[:, here].gather(1, order)
    _, state = run(Mixture(Ridge(Spec(FEATURES, 3))), x, y)
    assert all(found(state, task) == [] for task in range(streams))


def test_numbers_have_tasks_too() -> None:
    x, y = turns((0, 1, 0), 4)
    draw = torch.Generator().manual_seed(2)
    rule = torch.randn(2, 4, FEATURES, 1, generator=draw)
    each = (x @ rule[0]).squeeze(2), (x @ rule[1]).squeeze(2)
    second = torch.arange(y.shape[1]) // LONG == 1
    target = torch.where(second, each[1], each[0]) + 0.1 * torch.randn(x.shape[:2], generator=draw)
    errors, state = run(Mixture(Ridge(Spec(FEATURES, 0))), x, target)
    assert all(found(state, task)[-1] == "returned" for task in range(4))
    left = errors[:, LONG - 256 : LONG].mean()
    assert errors[:, 2 * LONG + 32 : 2 * LONG + 82].mean() < 2 * left


def test_inputs_tell_before_a_label_does() -> None:
    x, y = turns((0, 1) * 3, 6, rows=640, apart=2.0)
    first = {}
    for by_inputs in (True, False):
        learner = Mixture(Ridge(Spec(FEATURES, 2)), MixtureSettings(by_inputs=by_inputs))
        _, state = run(learner, x[:, :-640], y[:, :-640])
        said = learner.predict(state, x[:, -640:-576])
        first[by_inputs] = mark(said, y[:, -640:-576]).mean()
    assert first[True] > first[False] + 0.1


@pytest.mark.parametrize("by", ["adwin", "page-hinkley", "kswin", "never"])
def test_detectors_stand_in_for_the_posterior(by: str) -> None:
    settings = MixtureSettings(by=by)  # type: ignore[arg-type]  # a parameter is a plain string
    x, y = turns((0, 1), 1)
    y[:, LONG:] = torch.where(torch.rand(1, LONG) < 2, 1 - y[:, LONG:], 0)
    _, state = run(Mixture(Ridge(Spec(FEATURES, 2)), settings), x, y)
    late = changes(state, since=LONG)
    assert bool(late) is (by != "never")


def test_memory_is_bounded_and_the_least_useful_task_goes() -> None:
    learner = Mixture(Ridge(Spec(FEATURES, 2)), MixtureSettings(tasks=3))
    x, y = turns((0, 1, 2, 3, 4, 5), 1, rows=960)
    _, early = run(learner, x[:, :960], y[:, :960])
    _, state = run(learner, x[:, 960:], y[:, 960:], state=early)
    report = tasks_of(state)
    assert report is not None
    assert report.tasks == 3
    assert report.changes["new"] > 3
    assert {name: leaf.shape for name, leaf in state.items()} == {
        name: leaf.shape for name, leaf in early.items()
    }


def test_a_new_task_begun_too_early_is_begun_better_and_is_no_second_one() -> None:
    places, spans = 5, (64.0, 256.0)
    (book,), _ = Book.opened(prefixed("mixture", Book.first(1, 3, 2)))
    told = []
    for label in (1000, 1000 + YOUNG, 1001 + 2 * YOUNG):
        book.number[2], book.born[:] = label, (label - 40, -1)
        book.weight[:] = [0.01, 0.01, 0.0, 0.98, 0.0]
        source = book.settle(spans, 3)
        assert source is not None
        assert source[book.current] == 3
        assert source[3:places] == [places + 2] * 2
        np.testing.assert_allclose(book.weight.sum(1), 1)
        told.append((book.current, book.number[4], book.ids.tolist()))
    first = (1, 1, [0, 1, -1])
    assert told == [first, first, (2, 2, [0, 1, 2])]


def test_changes_raise_the_hazard_and_are_reported() -> None:
    learner = Mixture(Ridge(Spec(FEATURES, 2)))
    x, y = turns((0, 1, 0, 1, 0), 1)
    _, before = run(learner, x[:, :LONG], y[:, :LONG])
    _, state = run(learner, x[:, LONG:], y[:, LONG:], state=before)
    calm, lively = tasks_of(before), tasks_of(prefixed("voices.tasks", state))
    assert calm is not None
    assert lively is not None
    assert lively.hazard > 1.5 * calm.hazard
    assert lively.current == 0
    assert lively.probability > 0.9
    assert sum(lively.changes.values()) == len(changes(prefixed("voices.tasks", state)))
    assert changes(state, since=x.shape[1]) == []
    assert tasks_of({"weight": torch.zeros(1, 1)}) is None


def test_an_answer_is_the_mixture_of_what_the_hypotheses_say() -> None:
    learner = Mixture(Ridge(Spec(FEATURES, 2)), MixtureSettings(by_inputs=False))
    x, y = turns((0, 1, 0), 1)
    _, state = run(learner, x[:, :-LONG], y[:, :-LONG])
    ask = x[:, -4:]
    said = learner.predict(state, ask)
    each = Ridge(Spec(FEATURES, 2)).predict(part("live.inner", state), ask.expand(8, -1, -1))
    assert isinstance(said, Classes)
    assert isinstance(each, Classes)
    probability = said.marginal()[0].exp()
    torch.testing.assert_close(probability.sum(1), torch.ones(4), atol=1e-5, rtol=0)
    lowest, highest = each.marginal().exp().aminmax(dim=0)
    assert bool((probability >= lowest - 1e-5).all() and (probability <= highest + 1e-5).all())


@pytest.mark.parametrize(
    "wrong", [{"tasks": 0}, {"spans": ()}, {"changes": 0.0}, {"sure": 1.0}, {"floor": 0.0}]
)
def test_wrong_settings_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="give"):
        MixtureSettings(**wrong)  # type: ignore[arg-type]  # wrong on purpose
