"""The gradient of an mlp's loss written out: it and its own gradient are those of autograd."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from agent.nets.body import BodySettings
from agent.nets.fast import FastMlp
from agent.nets.fast_gradient import mlp_gradient
from agent.nets.inner import cross_entropy, inner_gradient, squared_error

ALL = [[True] * 5, [True] * 5]
SOME = [[True, False, True, True, False], [False] * 5]
GOALS = {"number": (1, False), "numbers": (3, False), "classes": (4, True)}

goals = pytest.mark.parametrize("goal", GOALS)
activations = pytest.mark.parametrize("activation", ["relu", "tanh"])
masks = pytest.mark.parametrize("seen", [ALL, SOME], ids=["all", "some"])


class Case:
    """Two tasks of five rows under a net of two layers and a head, everything drawn at random."""

    def __init__(
        self, goal: str, activation: str, seen: list[list[bool]], dtype: torch.dtype = torch.float64
    ) -> None:
        outputs, self.classes = GOALS[goal]
        draw = torch.Generator().manual_seed(1)
        body = BodySettings(hidden=(6, 4), activation=activation)  # type: ignore[arg-type] # as given
        self.net = FastMlp(3, body)
        self.names = (*self.net.parts, "head", "bias")
        widths, self.leaves = (3, 6, 4, outputs), list[Tensor]()
        for rows, columns in pairwise(widths):
            for high in (rows, 1):
                leaf = torch.randn(2, high, columns, generator=draw, dtype=dtype)
                self.leaves.append(leaf.requires_grad_())
        self.x = torch.randn(2, 5, 3, generator=draw, dtype=dtype)
        self.y = torch.randn(2, 5, outputs, generator=draw, dtype=dtype)
        if self.classes:
            self.y = self.y.argmax(2)
        self.seen = torch.tensor(seen)
        self.known = torch.randn(2, outputs, generator=draw, dtype=dtype)
        self.along = [torch.randn(leaf.shape, generator=draw, dtype=dtype) for leaf in self.leaves]

    def written_out(
        self, x: Tensor, y: Tensor, known: Tensor, *leaves: Tensor
    ) -> tuple[Tensor, ...]:
        fast = dict(zip(self.names, leaves, strict=True))
        logits = known if self.classes else None
        out = mlp_gradient(fast, self.names, x, y, self.seen, logits, tanh=self.net.tanh)
        return tuple(out.values())

    def by_autograd(
        self, x: Tensor, y: Tensor, known: Tensor, *leaves: Tensor
    ) -> tuple[Tensor, ...]:
        def loss(fast: dict[str, Tensor], x: Tensor, y: Tensor, known: Tensor) -> Tensor:
            out = torch.baddbmm(fast["bias"], self.net(fast, x), fast["head"])
            if self.classes:
                return cross_entropy(out + known.unsqueeze(1), y, self.seen)
            return squared_error(out, y, self.seen)

        fast = dict(zip(self.names, leaves, strict=True))
        return tuple(inner_gradient(loss, fast, x, y, known).values())

    def inputs(self) -> list[Tensor]:
        """What a gradient can be taken by: rows, targets, known classes, weights."""
        free = [self.x, self.known] if self.classes else [self.x, self.y]
        return [leaf.requires_grad_() for leaf in free] + self.leaves


@masks
@activations
@goals
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_it_and_its_gradient_are_autograds(
    goal: str, activation: str, seen: list[list[bool]], dtype: torch.dtype
) -> None:
    case = Case(goal, activation, seen, dtype)
    near = 1e-10 if dtype == torch.float64 else 1e-4
    inputs, found = case.inputs(), []
    for way in (case.written_out, case.by_autograd):
        grads = way(case.x, case.y, case.known, *case.leaves)
        total = sum((a * b).sum() for a, b in zip(grads, case.along, strict=True))
        assert isinstance(total, Tensor)
        second = torch.autograd.grad(total, inputs, materialize_grads=True)
        found.append((*grads, *second))
    for ours, theirs in zip(*found, strict=True):
        assert ours.dtype == dtype
        assert torch.allclose(ours, theirs, rtol=near, atol=near)


@masks
@goals
def test_its_gradient_is_that_of_finite_differences(goal: str, seen: list[list[bool]]) -> None:
    case = Case(goal, "tanh", seen)
    case.inputs()
    assert gradcheck(case.written_out, (case.x, case.y, case.known, *case.leaves))


@activations
@goals
def test_what_stands_in_a_row_unseen_does_not_matter(goal: str, activation: str) -> None:
    case = Case(goal, activation, SOME)
    grads = case.written_out(case.x, case.y, case.known, *case.leaves)
    unseen = ~case.seen.view(2, 5, 1)
    if not case.classes:
        case.y = case.y.masked_fill(unseen, torch.inf)
    other = case.written_out(case.x.masked_fill(unseen, 1e6), case.y, case.known, *case.leaves)
    assert all(torch.equal(one, two) for one, two in zip(grads, other, strict=True))
    assert all(not one[1].any() for one in grads)  # a task with nothing seen


def test_a_third_derivative_is_refused() -> None:
    case = Case("number", "tanh", ALL)
    grads = case.written_out(case.x, case.y, case.known, *case.leaves)
    (second,) = torch.autograd.grad(grads[0].square().sum(), case.leaves[0], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        second.sum().backward()
