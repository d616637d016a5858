"""Learners by gradient: their outer gradients are right, and each mechanism does its work."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from agent.learners.anil import Anil, AnilOptions, curvature
from agent.learners.base import Numbers, Spec, State
from agent.learners.gradient import Gradient, GradientOptions
from agent.learners.imaml import Imaml, ImamlOptions
from agent.learners.learned_rule import LearnedRule, LearnedRuleOptions
from agent.learners.maml import FirstOrderMaml, Maml
from agent.learners.meta_lstm import MetaLstm, MetaLstmOptions, signed_log
from agent.learners.metasgd import MetaSgd, MetaSgdOptions
from agent.learners.reptile import Reptile, ReptileOptions
from agent.nets import part
from agent.nets.body import BodySettings
from agent.nets.fast import FastMlp
from agent.nets.inner import inner_gradient

TANH = BodySettings(hidden=(5, 4), activation="tanh")
NUMBER, CLASSES = Spec(2, 0), Spec(2, 3)


def episode(spec: Spec, rows: int = 6, tasks: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(tasks, rows, spec.features, generator=draw, dtype=torch.float64)
    if spec.regression:
        return x, x.sum(2).sin()
    return x, torch.arange(rows).remainder(spec.classes).expand(tasks, -1)


def mean_of(learner: Gradient, state: State, x: Tensor) -> Tensor:
    said = learner.predict(state, x)
    assert isinstance(said, Numbers)
    return said.moments()[0]


def score(learner: Gradient, state: State, x: Tensor, y: Tensor) -> Tensor:
    """The learner's objective without its scale's part, whose gradient is stopped on purpose."""
    if learner.spec.regression:
        return (mean_of(learner, state, x) - y).square()
    return learner.objective(learner.predict(state, x), y)


def query_loss(learner: Gradient, spec: Spec, calls: int = 3) -> Tensor:
    x, y = episode(spec)
    state = learner.begin(2)
    for _ in range(calls):
        state = learner.learn(state, x, y)
    return score(learner, state, x.flip(1) + 0.3, y.flip(1)).mean()


def slopes(learner: Gradient, spec: Spec, leaf: Tensor, calls: int = 3) -> tuple[Tensor, Tensor]:
    """Gradient by a leaf: by backpropagation, and by central differences."""
    (grad,) = torch.autograd.grad(query_loss(learner, spec, calls), leaf)
    differences, step = torch.zeros_like(leaf), 1e-5
    flat = leaf.data.view(-1)
    for at in range(flat.numel()):
        kept = flat[at].item()
        values = []
        for way in (step, -step):
            flat[at] = kept + way
            values.append(query_loss(learner, spec, calls).item())
        flat[at] = kept
        differences.view(-1)[at] = (values[0] - values[1]) / (2 * step)
    return grad, differences


RULES: dict[str, Callable[[Spec], Gradient]] = {
    "maml": lambda spec: Maml(spec, GradientOptions(TANH, rate=0.3)),
    "metasgd": lambda spec: MetaSgd(spec, MetaSgdOptions(TANH, rate=0.3)),
    "anil": lambda spec: Anil(spec, AnilOptions(TANH, rate=0.3)),
    "learned-rule": lambda spec: LearnedRule(spec, LearnedRuleOptions(TANH, rate=0.3)),
}


@pytest.mark.parametrize("spec", [NUMBER, CLASSES], ids=["number", "classes"])
@pytest.mark.parametrize("name", RULES)
def test_the_outer_gradient_goes_through_the_inner_steps(name: str, spec: Spec) -> None:
    learner = RULES[name](spec).double()
    for part_name in ("w0", "head") if spec.regression else ("w0",):  # a shared column cancels
        grad, differences = slopes(learner, spec, learner.start[part_name])
        assert torch.allclose(grad, differences, atol=1e-7)
        assert grad.abs().max() > 1e-3


def test_the_outer_gradient_reaches_learned_step_sizes() -> None:
    learner = MetaSgd(NUMBER, MetaSgdOptions(TANH, rate=0.3)).double()
    grad, differences = slopes(learner, NUMBER, learner.raw_rate["w1"])
    assert torch.allclose(grad, differences, atol=1e-7)
    assert grad.abs().max() > 1e-4


def test_first_order_maml_ends_where_maml_does_with_another_gradient() -> None:
    second, first = (
        kind(NUMBER, GradientOptions(TANH, rate=0.3)).double() for kind in (Maml, FirstOrderMaml)
    )
    losses = [query_loss(learner, NUMBER) for learner in (second, first)]
    assert torch.equal(*losses)
    grads = [
        torch.autograd.grad(loss, learner.start["w1"])[0]
        for loss, learner in zip(losses, (second, first), strict=True)
    ]
    assert (grads[0] - grads[1]).norm() > 0.01 * grads[0].norm()


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("spec", [NUMBER, CLASSES, Spec(2, 0, outputs=2)], ids=str)
def test_the_gradient_written_out_is_autograds(spec: Spec, activation: str) -> None:
    body = BodySettings(hidden=(5, 4), activation=activation)  # type: ignore[arg-type] # as given
    learner = Maml(spec, GradientOptions(body)).double()
    x, y = episode(spec)
    if spec.outputs > 1:
        y = torch.stack((y, 2 * y), 2)
    seen = torch.tensor([[True, True, False, True, True, True], [True] * 6])
    fast = part("fast", learner.begin(2))
    known = torch.zeros(2, 3, dtype=torch.float64)
    assert isinstance(learner.net, FastMlp)
    ours = learner.written_out(learner.net, fast, x, y, seen, known)
    for name, grad in inner_gradient(learner.loss, fast, x, y, seen, known).items():
        assert torch.allclose(ours[name], grad, atol=1e-12)


def test_an_anil_head_never_gets_worse_however_many_steps_it_takes() -> None:
    """Features a hundred times too large would make plain steps explode."""
    learner = Anil(NUMBER, AnilOptions(TANH, rate=10.0, clip=1e9))
    learner.start["w1"].data *= 100
    x, y = (leaf.float() for leaf in episode(NUMBER))
    state, errors = learner.begin(2), []
    for _ in range(40):
        errors.append((mean_of(learner, state, x) - y).square().mean().item())
        state = learner.learn(state, x, y)
    assert all(later <= sooner + 1e-6 for sooner, later in pairwise(errors))
    assert errors[-1] < 0.7 * errors[0]


def test_curvature_bounds_every_eigenvalue() -> None:
    x, _ = episode(NUMBER)
    seen = torch.ones(2, 6, dtype=torch.bool)
    rows = torch.cat((x, torch.ones(2, 6, 1)), 2)
    whole = rows.mT @ rows / 6
    assert torch.allclose(curvature(x, seen), whole.norm(dim=(1, 2)))
    assert (torch.linalg.eigvalsh(whole).amax(1) <= curvature(x, seen) + 1e-12).all()


def test_step_sizes_stay_positive_and_bounded() -> None:
    learner = MetaSgd(NUMBER, MetaSgdOptions(TANH, rate=0.01, most=0.2))
    assert all(torch.allclose(rate, torch.tensor(0.01)) for rate in learner.rates().values())
    for raw, far in zip(learner.raw_rate.values(), [-50.0, 50.0] * 3, strict=True):
        raw.data.fill_(far)
    assert all(bool(((rate >= 0) & (rate <= 0.2)).all()) for rate in learner.rates().values())


def test_step_sizes_of_a_head_serve_any_number_of_classes() -> None:
    few, many = (MetaSgd(Spec(2, ways), MetaSgdOptions(TANH)) for ways in (3, 20))
    many.load_state_dict(few.state_dict())


def test_reptile_walks_to_the_mean_of_where_tasks_end() -> None:
    """Two tasks with lines of opposite slope about the same height: the start learns the height."""
    learner = Reptile(NUMBER, ReptileOptions(TANH, rate=0.1))
    x = episode(NUMBER)[0].float()
    y = 1.5 + x[..., 0] * torch.tensor([[0.5], [-0.5]])
    with torch.no_grad():
        for _ in range(60):
            state = learner.begin(2)
            for _ in range(3):
                state = learner.learn(state, x, y)
            ends = learner.average(state)
            assert torch.allclose(ends["w1"], state["fast.w1"].mean(0))
            for name, leaf in learner.start.items():
                leaf.lerp_(ends[name], 0.5)
    mean = mean_of(learner, learner.begin(2), x)
    assert abs(mean.mean().item() - 1.5) < 0.2


def test_a_class_head_is_averaged_over_its_classes() -> None:
    learner = Reptile(CLASSES, ReptileOptions(TANH, rate=0.1)).double()
    state = learner.learn(learner.begin(2), *episode(CLASSES))
    ends = learner.average(learner.learn(state, *episode(CLASSES)))  # the body moves from step two
    assert ends["head"].shape == learner.start["head"].shape
    assert torch.allclose(ends["head"], learner.start["head"])  # entropy's slopes add up to zero
    assert not torch.allclose(ends["w1"], learner.start["w1"])


@pytest.mark.parametrize("spec", [NUMBER, CLASSES], ids=["number", "classes"])
def test_implicit_gradient_is_that_of_a_dense_solve(spec: Spec) -> None:
    """Equation 6 of the paper, with the whole Hessian of each task."""
    options = ImamlOptions(TANH, rate=0.1, steps=20, strength=8.0, solve=80)
    learner = Imaml(spec, options).double()
    (x, y), (query, answer) = episode(spec), episode(spec, seed=1)
    state = learner.learn(learner.begin(2), x, y)
    loss = score(learner, state, query, answer).sum()
    ours = torch.autograd.grad(loss, list(learner.start.values()))

    ends = {name: leaf.detach() for name, leaf in part("fast", state).items()}
    seen, known = torch.ones(2, 6, dtype=torch.bool), torch.zeros(2, 3).double()
    total: dict[str, Tensor] = {
        name: torch.zeros_like(leaf) for name, leaf in learner.start.items()
    }
    for task in range(2):
        own = {name: leaf[task : task + 1] for name, leaf in ends.items()}
        flat = torch.cat([leaf.flatten() for leaf in own.values()])

        def parts(flat: Tensor, own: dict[str, Tensor] = own) -> dict[str, Tensor]:
            pieces = flat.split([leaf.numel() for leaf in own.values()])
            return {n: p.view_as(own[n]) for n, p in zip(own, pieces, strict=True)}

        def support(flat: Tensor, at: slice = slice(task, task + 1)) -> Tensor:
            return learner.loss(parts(flat), x[at], y[at], seen[at], known[at]).sum()

        def queried(flat: Tensor, at: slice = slice(task, task + 1)) -> Tensor:
            now = {k: v[at] for k, v in state.items() if not k.startswith("fast.")}
            now |= {f"fast.{k}": v for k, v in parts(flat).items()}
            return score(learner, now, query[at], answer[at]).sum()

        hessian = torch.autograd.functional.hessian(support, flat)
        right = torch.autograd.functional.jacobian(queried, flat)
        matrix = torch.eye(len(flat)).double() + hessian / 8.0
        for name, piece in parts(torch.linalg.solve(matrix, right)).items():
            whole = (
                piece[0]
                if spec.regression or name not in ("head", "bias")
                else piece[0].sum(1, keepdim=True)
            )
            total[name] += whole
    for name, grad in zip(learner.start, ours, strict=True):
        assert torch.allclose(grad, total[name], rtol=1e-6, atol=1e-8)


def test_strength_holds_an_implicit_learner_to_its_start() -> None:
    x, y = episode(NUMBER)
    moved = []
    for strength in (0.01, 1.0, 9.0):
        options = ImamlOptions(TANH, rate=0.1, steps=50, strength=strength)
        learner = Imaml(NUMBER, options).double()
        with torch.no_grad():
            state = learner.learn(learner.begin(2), x, y)
        moved.append((state["fast.w1"] - learner.start["w1"]).norm().item())
    assert moved[0] > 1.2 * moved[1] > 1.2**2 * moved[2]


def test_a_meta_lstm_begins_as_plain_descent() -> None:
    x, y = episode(NUMBER)
    rule = MetaLstm(NUMBER, MetaLstmOptions(TANH, rate=0.05, keep=1 - 1e-7)).double()
    plain = Maml(NUMBER, GradientOptions(TANH, rate=0.05)).double()
    ends = [learner.learn(learner.begin(2), x, y)["fast.w1"] for learner in (rule, plain)]
    assert torch.allclose(ends[0], ends[1], atol=1e-6)


def test_a_meta_lstm_remembers_what_it_saw() -> None:
    """Same weights, same examples now, another past: once its gates listen, it steps elsewhere."""
    learner = MetaLstm(NUMBER, MetaLstmOptions(TANH)).double()
    torch.nn.init.constant_(learner.gates.weight, 0.5)
    x, y = episode(NUMBER)
    past = learner.learn(learner.begin(2), x, y)
    forgetful = {**past, **{k: torch.zeros_like(v) for k, v in past.items() if k[:5] == "rule."}}
    ends = [learner.learn(state, x, y)["fast.w1"] for state in (past, forgetful)]
    assert not torch.allclose(ends[0], ends[1], atol=1e-5)


def test_numbers_of_any_size_are_read_near_one() -> None:
    size, sign = signed_log(torch.tensor([1e-9, -1.0, 1e6]))
    assert torch.allclose(size, torch.tensor([-1.0, 0.0, 1.3816]), atol=1e-3)
    assert sign.abs().max() <= 1


def test_protection_keeps_an_old_task_that_plain_descent_forgets() -> None:
    """Two tasks one after another on half-shared features; what the first leans on moves less."""
    x = torch.randn(1, 40, 4, generator=torch.Generator().manual_seed(3))
    old, new = x * torch.tensor([1.0, 1, 0.2, 0]), x * torch.tensor([0.2, 0, 1, 1])
    y_old, y_new = old[..., 0] - old[..., 1], new[..., 2] + new[..., 3]
    plain, protecting = (
        LearnedRule(
            Spec(4, 0), LearnedRuleOptions(rate=0.05, protect=protect, fade=1e-3, pull=1e-6)
        )
        for protect in (1e-3, 4.0)
    )

    @torch.no_grad()
    def taught(learner: LearnedRule, state: State, x: Tensor, y: Tensor) -> State:
        for _ in range(40):
            state = learner.learn(state, x, y)
        return state

    def error(state: State, x: Tensor, y: Tensor) -> float:
        return (mean_of(plain, state, x) - y).square().mean().item()

    known = taught(plain, plain.begin(1), old, y_old)
    free, kept = (taught(learner, known, new, y_new) for learner in (plain, protecting))
    assert error(kept, old, y_old) < 0.5 * error(free, old, y_old)
    assert error(kept, new, y_new) < 0.5 * error(known, new, y_new)
