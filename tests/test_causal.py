"""What holds of every learner that hears examples in their order, and the pieces they share.

Shapes: T tasks, B rows, F features, C classes.
"""

import pytest
import torch
from torch import Tensor

from agent.learners.base import Classes, Numbers, Said, Spec, joined
from agent.nets.running import moments
from agent.nets.window import front, rows, run_of, slid, visible
from tests.tiny_tasks import make

EXACT = {
    "matching": {"slots": 6},
    "lstm": {},
    "gru": {},
    "transformer": {"slots": 6},
    "mann": {"memory": 5},
    "fast-weights": {},
    "hebbian": {},
}
OTHERS = ("matching-fce", "snail", "relation", "prototypical", "prototypical-cosine")
CLASSES_ONLY = ("relation", "prototypical", "prototypical-cosine")
SPECS = (Spec(4, 3), Spec(4, 0), Spec(4, 0, outputs=2))
EVERY = [
    (name, spec)
    for name in (*EXACT, *OTHERS)
    for spec in SPECS
    if not (spec.regression and name in CLASSES_ONLY)
]


def draw(spec: Spec, seed: int, tasks: int = 2, count: int = 10) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, labels, and a mask with some rows unseen, not the same ones in each task."""
    one = torch.Generator().manual_seed(seed)
    x = torch.randn(tasks, count, spec.features, generator=one)
    y = 3 + 2 * torch.randn(tasks, count, spec.outputs, generator=one)
    y = y if spec.outputs > 1 else y.squeeze(2)
    if not spec.regression:
        y = torch.randint(spec.classes, (tasks, count), generator=one)
    return x, y, torch.rand(tasks, count, generator=one) > 0.3


def numbers(said: Said) -> Tensor:
    """All that was said, in one tensor."""
    if isinstance(said, Classes):
        return said.marginal()
    assert isinstance(said, Numbers)
    return torch.stack([said.mean_TBV, said.scale_TBV])


@pytest.mark.parametrize("spec", SPECS, ids=["classes", "number", "numbers"])
@pytest.mark.parametrize("name", EXACT)
def test_a_block_is_answered_as_if_its_rows_had_come_one_by_one(name: str, spec: Spec) -> None:
    learner = make(name, spec, **EXACT[name])
    for parameter in learner.parameters():  # so that what starts at zero counts too
        parameter.data += 0.1 * torch.randn(
            parameter.shape, generator=torch.Generator().manual_seed(3)
        )
    with torch.no_grad():
        state = learner.learn(learner.begin(2), *draw(spec, 0, count=4))
        x, y, seen = draw(spec, 1)
        said, after = learner.predict_then_learn(state, x, y, seen)
        one_by_one = []
        for at in range(x.shape[1]):
            one = slice(at, at + 1)
            one_by_one.append(learner.predict(state, x[:, one]))
            state = learner.learn(state, x[:, one], y[:, one], seen[:, one])
    assert torch.allclose(numbers(said), numbers(joined(one_by_one)), atol=1e-4)
    assert all(torch.allclose(after[leaf], state[leaf], atol=1e-4) for leaf in state)


@pytest.mark.parametrize("name", [*EXACT, *OTHERS])
def test_no_class_is_special(name: str) -> None:
    spec = SPECS[0]
    learner = make(name, spec)
    x, y, _ = draw(spec, 2)
    order = torch.tensor([2, 0, 1])
    with torch.no_grad():
        plain = numbers(learner.predict(learner.learn(learner.begin(2), x, y), x))
        moved = numbers(learner.predict(learner.learn(learner.begin(2), x, order[y]), x))
    assert torch.allclose(plain, moved[..., order], atol=1e-4)


@pytest.mark.parametrize("name", [*EXACT, *OTHERS])
def test_weights_of_three_ways_serve_twenty(name: str) -> None:
    few, many = make(name, Spec(4, 3)), make(name, Spec(4, 20))
    many.load_state_dict(few.state_dict())
    x, y, _ = draw(few.spec, 3)
    with torch.no_grad():
        one = numbers(few.predict(few.learn(few.begin(2), x, y), x))
        two = numbers(many.predict(many.learn(many.begin(2), x, y), x))
    assert torch.allclose(one.exp(), two[..., :3].exp(), atol=1e-3)


@pytest.mark.parametrize(("name", "spec"), EVERY)
def test_double_precision_goes_in_and_comes_out(name: str, spec: Spec) -> None:
    learner = make(name, spec).double()
    x, y, seen = draw(spec, 4)
    y = y.double() if spec.regression else y
    with torch.no_grad():
        state = learner.learn(learner.begin(2), x.double(), y, seen)
        said, _ = learner.predict_then_learn(state, x.double(), y, seen)
    assert numbers(said).dtype == torch.float64


@pytest.mark.parametrize(("name", "spec"), EVERY)
def test_what_an_unseen_row_holds_leaks_nowhere(name: str, spec: Spec) -> None:
    learner = make(name, spec)
    x, y, seen = draw(spec, 5)
    clean = learner.learn(learner.begin(2), x, y, seen)
    spoilt = torch.where(seen.unsqueeze(2), x, torch.nan)
    other = learner.learn(learner.begin(2), spoilt, y, seen)
    assert all(torch.equal(clean[leaf], other[leaf]) for leaf in clean)


def test_the_front_of_a_run_holds_its_seen_rows_in_order() -> None:
    seen = torch.tensor([[False, True, True, False, True], [True, False, False, False, False]])
    leaf = torch.arange(10.0).view(2, 5)
    run = run_of(seen)
    assert front(leaf, run).tolist() == [[1, 2, 4, 0, 0], [5, 0, 0, 0, 0]]
    assert run.before_TB.tolist() == [[0, 0, 1, 2, 2], [0, 1, 1, 1, 1]]
    window = torch.tensor([[-3.0, -2.0, -1.0], [-6.0, -5.0, -4.0]])
    assert slid(window, front(leaf, run), run).tolist() == [[1, 2, 4], [-5, -4, 5]]
    assert rows(leaf, torch.tensor([[4], [0]])).tolist() == [[4], [5]]


def test_a_row_sees_the_latest_slots_examples_before_it() -> None:
    held = torch.tensor([[2]])  # of 3 slots; on the line: an empty one, two examples, then two told
    at = torch.tensor([[0, 1, 2]])
    seen = visible(held, slots=3, width=3, at_TB=at, told=2)
    assert seen.int().tolist() == [[[0, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1]]]


def test_running_moments_are_those_of_the_numbers_and_of_one_more() -> None:
    y = torch.randn(1, 20, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    zero = torch.zeros(1, 1, dtype=torch.float64)
    told = torch.ones(1, 20, dtype=torch.bool)
    middle, variance = moments(zero, zero + 1, zero, 1e3 + y, told)
    whole = 1e3 + y[0, :, 0]
    mean = whole.sum() / 21
    assert torch.allclose(middle[0, -1, 0], mean)
    assert torch.allclose(variance[0, -1, 0], (1 + (whole**2).sum()) / 21 - mean**2)
    assert middle.shape == (1, 21, 1)
