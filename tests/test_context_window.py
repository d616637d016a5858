"""A context of the last examples: what it keeps, what it fits, how sure it is."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from agent.learners.base import Spec, State
from agent.learners.context_window import ContextWindow, ContextWindowOptions
from agent.nets.body import BodySettings

SPEC = Spec(3, 0, 2)
BODY = BodySettings(hidden=(24, 24), activation="gelu")


def learner(
    memory: int = 8, recent: int = 2, telling: float = 0.3, patience: float = 25.0
) -> ContextWindow:
    """An untrained one."""
    options = ContextWindowOptions(
        memory=memory, recent=recent, telling=telling, patience=patience, body=BODY
    )
    made = ContextWindow(SPEC, options)
    return made.eval().requires_grad_(requires_grad=False)


def rows(count: int, size: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A task whose targets are of a size."""
    x = torch.randn(1, count, 3, generator=torch.Generator().manual_seed(seed))
    return x, size * torch.stack([x[..., 0] - x[..., 1], x[..., 2]], 2)


def sizes(state: State) -> list[float]:
    """Mean square of the targets that are kept, the oldest first."""
    found: list[float] = state["y"][0].square().mean(1).tolist()
    return found


def test_a_robot_at_rest_does_not_forget_its_body() -> None:
    one = learner()
    moving = one.learn(one.begin(1), *rows(8, 1.0))
    resting = one.learn(moving, *rows(12, 0.01, seed=1))
    assert min(sizes(resting)[:6]) > 0.01  # what it was when it moved
    assert max(sizes(resting)[6:]) < 0.01  # the last ones, whatever they are
    plain = learner(telling=0.0)
    assert (
        max(sizes(plain.learn(plain.learn(plain.begin(1), *rows(8, 1.0)), *rows(12, 0.01)))) < 0.01
    )


def test_a_robot_that_rests_for_long_enough_believes_in_rest() -> None:
    one = learner(patience=1.0)
    state = one.learn(one.begin(1), *rows(8, 1.0))
    state = one.learn(state, *rows(200, 0.02, seed=1))
    assert max(sizes(state)) < 0.01


def test_larger_examples_push_out_the_oldest() -> None:
    one = learner()
    small, (x, y) = one.learn(one.begin(1), *rows(8, 0.1)), rows(16, 2.0, seed=1)
    state = one.learn(small, x, y)
    assert not bool(torch.isin(state["x"], small["x"]).any())


def test_the_cut_of_the_examples_does_not_matter() -> None:
    one, (x, y) = learner(), rows(30, 1.0)
    whole = one.learn(one.begin(1), x, y)
    state = one.begin(1)
    for at in range(0, 30, 5):
        state = one.learn(state, x[:, at : at + 5], y[:, at : at + 5])
    assert torch.equal(whole["x"], state["x"])
    assert torch.allclose(whole["last"], state["last"], atol=1e-5)


def test_the_last_layer_fits_what_the_network_was_never_trained_on() -> None:
    one, (x, y) = learner(memory=24, recent=8), rows(24, 1.0)
    state = one.learn(one.begin(1), x, y)
    before, after = (one.predict(at, x).moments()[0] for at in (one.begin(1), state))
    assert (after - y).square().mean() < 0.2 * (before - y).square().mean()
    ask, truth = rows(64, 1.0, seed=4)
    told = one.predict(state, ask).moments()[0]
    assert (told - truth).square().mean() < 0.6 * truth.square().mean()


def test_the_mean_alone_is_that_of_the_whole_answer() -> None:
    learner, draw = ContextWindow(Spec(3, 0, 2), ContextWindowOptions()), torch.Generator()
    x, y = torch.randn(2, 9, 3, generator=draw), torch.randn(2, 9, 2, generator=draw)
    state = learner.learn(learner.begin(2), x, y)
    assert torch.equal(learner.mean(state, x), learner.predict(state, x).mean_TBV[:, :, 0])


def test_doubt_shrinks_where_examples_were_seen() -> None:
    one, (x, y) = learner(memory=24, recent=8), rows(24, 1.0)
    fresh, taught = (
        one.predict(at, x).moments()[1].mean()
        for at in (one.begin(1), one.learn(one.begin(1), x, y))
    )
    assert taught < fresh


@pytest.mark.parametrize(
    "make",
    [
        lambda: ContextWindowOptions(memory=0),
        lambda: ContextWindowOptions(recent=0),
        lambda: ContextWindowOptions(recent=99),
        lambda: ContextWindowOptions(telling=-1.0),
        lambda: ContextWindowOptions(encoder=()),
    ],
)
def test_options_that_make_no_sense_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"give|must"):
        make()
