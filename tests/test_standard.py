"""A learner of numbers near one serves a stream of numbers in any unit."""

import pytest
import torch

from agent.continual.standard import Standard
from agent.learners.base import Learner, Numbers, Spec, State
from agent.learners.checks import CHECKS, Check
from agent.learners.gradient import GradientOptions
from agent.learners.maml import Maml

BOTH = (Spec(5, 0), Spec(5, 0, outputs=3))


def make(spec: Spec) -> Learner:
    return Standard(Maml(spec, GradientOptions(rate=0.05)).requires_grad_(requires_grad=False))


@pytest.mark.parametrize("spec", BOTH, ids=("number", "numbers"))
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_every_promise(check: Check, spec: Spec) -> None:
    check(make, spec)


def run(unit: float, shift: float) -> tuple[torch.Tensor, State]:
    learner, draw = make(Spec(2, 0)), torch.Generator().manual_seed(0)
    state, means = learner.begin(1), []
    for _ in range(200):
        x = torch.randn(1, 16, 2, generator=draw)
        y = (x[..., 0] - 2 * x[..., 1]) * unit + shift
        said, state = learner.predict_then_learn(state, x, y)
        assert isinstance(said, Numbers)
        means.append(((said.moments()[0] - y) / unit).square().mean())
    return torch.stack(means), state


def test_the_unit_does_not_matter() -> None:
    """The same stream in millimetres above sea level and in standard units is learned alike."""
    plain, _ = run(1.0, 0.0)
    other, state = run(1000.0, 50_000.0)
    assert plain[-50:].mean() < 0.1
    assert torch.allclose(plain[2:], other[2:], rtol=0.05, atol=0.01)
    count, mean, square = state["unit"][0, :, 0]
    assert mean.item() == pytest.approx(50_000, rel=0.01)
    assert (square / count).sqrt().item() == pytest.approx(1000 * 5**0.5, rel=0.05)


def test_classes_have_no_unit() -> None:
    with pytest.raises(ValueError, match="no unit"):
        Standard(Maml(Spec(2, 3), GradientOptions()))
