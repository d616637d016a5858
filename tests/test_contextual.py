"""Contexts, set codes and generated weights: what moves in `learn`, and what of it."""

import pytest
import torch
from torch import Tensor, nn

from agent.learners.base import Classes, Numbers, Spec
from agent.learners.cavia import Cavia, CaviaOptions
from agent.learners.cnaps import Cnaps, CnapsOptions
from agent.learners.cnp import ClassCnp, CnpOptions, NumberCnp
from agent.learners.hypernetwork import Hypernetwork, HypernetworkOptions
from agent.learners.meta import Meta
from agent.learners.neural_process import NeuralProcess, NeuralProcessOptions
from agent.learners.registry import every_learner
from agent.nets.body import BodySettings, make_body
from agent.nets.film import FilmBody
from agent.nets.sets import MOST, running_mean
from agent.nets.unit import MOST as MOST_NUMBERS
from agent.nets.unit import unit, unit_begin, unit_learn

SMALL = BodySettings(hidden=(8, 6), activation="tanh")
ROOMS = ("cavia", "cnp", "cnaps", "hypernetwork", "versa", "bayes-classifier", "bayesian-maml")


def lines(tasks: int, count: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Lines y = a x + b, each task its own."""
    x = 2 * torch.rand(tasks, count, 1, generator=draw) - 1
    slope, height = torch.randn(2, tasks, 1, generator=draw)
    return x, slope * x[..., 0] + height


def clusters(tasks: int, count: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Three classes about points of the task's own, on two of four axes."""
    centres = 2 * torch.randn(tasks, 3, 2, generator=draw)
    y = torch.arange(3).repeat(tasks, count // 3)
    x = torch.randn(tasks, y.shape[1], 4, generator=draw)
    near = centres.gather(1, y.unsqueeze(2).expand(-1, -1, 2))
    return torch.cat([near + 0.5 * x[..., :2], 2 * x[..., 2:]], 2), y


def trained(learner: Meta, iterations: int, rate: float = 0.01) -> Meta:
    """Meta-train on the first half of each task's rows, score on the second."""
    draw = torch.Generator().manual_seed(0)
    make = lines if learner.spec.regression else clusters
    optimiser = torch.optim.Adam(learner.parameters(), rate)
    for _ in range(iterations):
        x, y = make(16, 12, draw)
        state = learner.learn(learner.begin(16), x[:, :6], y[:, :6])
        loss = learner.objective(learner.predict(state, x[:, 6:]), y[:, 6:]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return learner


def error(learner: Meta, shots: int) -> float:
    """Squared error on new lines after so many rows."""
    x, y = lines(200, 20, torch.Generator().manual_seed(9))
    with torch.no_grad():
        state = learner.learn(learner.begin(200), x[:, :shots], y[:, :shots])
        said = learner.predict(state, x[:, 10:])
    assert isinstance(said, Numbers)
    return ((said.moments()[0] - y[:, 10:]) ** 2).mean().item()


@pytest.mark.parametrize("by", ["concatenate", "film"])
def test_cavias_outer_gradient_goes_through_its_inner_step(by: str) -> None:
    """Against finite differences, to second order."""
    options = CaviaOptions(body=SMALL, context=3, by=by, rate=0.3, steps=2)  # type: ignore[arg-type]
    learner = Cavia(Spec(1, 0), options).double()
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(2, 5, 1, generator=draw).double()
    y = torch.randn(2, 5, generator=draw).double()

    def loss() -> Tensor:
        state = learner.learn(learner.begin(2), x, y)
        said = learner.predict(state, x + 0.5)
        assert isinstance(said, Numbers)
        return (said.mean_TBV**2).sum()

    weight = learner.film.weight
    (slope,) = torch.autograd.grad(loss(), weight)
    for at in ((0, 0), (4, 1), (7, 2)):
        with torch.no_grad():
            weight[at] += 1e-5
            above = loss()
            weight[at] -= 2e-5
            below = loss()
            weight[at] += 1e-5
        assert torch.allclose(slope[at], (above - below) / 2e-5, rtol=1e-4, atol=1e-7)
    assert slope.abs().max() > 1e-3


@pytest.mark.parametrize("spec", [Spec(4, 0), Spec(4, 3)], ids=["number", "classes"])
def test_cavia_moves_its_contexts_alone(spec: Spec) -> None:
    learner = Cavia(spec, CaviaOptions(body=SMALL))
    kept = {name: leaf.clone() for name, leaf in learner.named_parameters()}
    x, y = clusters(2, 6, torch.Generator().manual_seed(0))
    before = learner.begin(2)
    after = learner.learn(before, x, y.float() if spec.regression else y)
    assert all(torch.equal(leaf, kept[name]) for name, leaf in learner.named_parameters())
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    contexts = {"context.task"} if spec.regression else {"context.task", "context.classes"}
    assert changed - {"count", "known"} == contexts
    small = sum(after[name].numel() for name in contexts)
    assert small <= 2 * 5 * (1 + spec.classes)


def test_a_concatenated_context_is_a_shift_of_the_first_layer() -> None:
    learner = Cavia(Spec(1, 0), CaviaOptions(body=SMALL, context=2))
    x, context = torch.randn(1, 4, 1), torch.tensor([[0.3, -0.7]])
    first, second = (each for each in learner.body.modules() if isinstance(each, nn.Linear))
    with torch.no_grad():
        joint = torch.cat([first.weight, learner.film.weight], 1)
        row = torch.cat([x, context.unsqueeze(1).expand(-1, 4, -1)], 2)
        hidden = torch.tanh(row @ joint.mT + first.bias)
        expected = learner.head(torch.tanh(second(hidden)))
        got = learner.outputs({"task": context}, x)
    assert torch.allclose(got, expected, atol=1e-6)


def test_cavia_learns_lines_with_a_context() -> None:
    learner = trained(Cavia(Spec(1, 0), CaviaOptions(body=SMALL, rate=0.5)), 150)
    assert error(learner, 6) < 0.5 * error(learner, 0)


@pytest.mark.parametrize("spec", [Spec(4, 0), Spec(4, 3)], ids=["number", "classes"])
def test_a_cnps_code_does_not_mind_order_or_blocks(spec: Spec) -> None:
    kind = NumberCnp if spec.regression else ClassCnp
    learner = kind(spec, CnpOptions(body=SMALL)).double()
    x, y = clusters(1, 12, torch.Generator().manual_seed(0))
    x, y = x.double(), y.double() if spec.regression else y
    whole = learner.learn(learner.begin(1), x, y)
    state = learner.begin(1)
    for piece in torch.randperm(12, generator=torch.Generator().manual_seed(1)).split(5):
        state = learner.learn(state, x[:, piece], y[:, piece])
    assert all(torch.allclose(whole[name], state[name], atol=1e-12) for name in whole)


@pytest.mark.parametrize(
    "learner",
    [
        NumberCnp(Spec(1, 0), CnpOptions(encoder=(24,), code=16, decoder=(24,))),
        NeuralProcess(Spec(1, 0), NeuralProcessOptions(encoder=(24,), code=16, decoder=(24,))),
        Hypernetwork(Spec(1, 0), HypernetworkOptions(target=SMALL, encoder=(24,), hidden=(24,))),
    ],
    ids=["cnp", "neural-process", "hypernetwork"],
)
def test_a_set_code_tells_lines_apart_after_training(learner: Meta) -> None:
    trained(learner, 300)
    assert error(learner, 6) < 0.5
    assert error(learner, 6) < 0.7 * error(learner, 1)


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_a_modulation_of_zeros_is_the_plain_body(kind: str) -> None:
    settings = BodySettings(kind=kind, width=4, norm="group")  # type: ignore[arg-type]
    film = FilmBody(64, settings)
    x = torch.randn(2, 3, 64)
    none = torch.zeros(2, film.modulation)
    assert torch.equal(film(x, none), film.body(x))
    assert not torch.allclose(film(x, none + 0.3), film.body(x))
    one = torch.cat([none[:1], none[:1] + 0.3])  # modulates the second task alone
    assert torch.allclose(film(x, one)[0], film.body(x)[0], atol=1e-6)
    assert film.body.size == make_body(64, settings).size


def test_an_empty_support_modulates_nothing_and_a_trained_one_does() -> None:
    learner = trained(Cnaps(Spec(4, 3), CnapsOptions(body=SMALL)), 30)
    assert isinstance(learner, Cnaps)
    fresh = Cnaps(Spec(4, 3), CnapsOptions(body=SMALL))
    x, y = clusters(2, 9, torch.Generator().manual_seed(3))
    state = fresh.learn(fresh.begin(2), x, y)
    for code in (fresh.begin(2)["code"], state["code"]):
        assert torch.equal(fresh.embed(code, x), fresh.body.body(x.clamp(-10, 10)))
    after = learner.learn(learner.begin(2), x, y)
    film = learner.modulate(after["code"].squeeze(2))
    assert (film[0] - film[1]).abs().max() > 1e-3


def test_a_hypernetworks_weights_differ_by_task() -> None:
    learner = Hypernetwork(Spec(4, 3), HypernetworkOptions())
    x, y = clusters(2, 9, torch.Generator().manual_seed(3))
    none = learner.weights(learner.begin(2))
    some = learner.weights(learner.learn(learner.begin(2), x, y))
    for name, leaf in none.items():
        assert torch.equal(leaf[0], leaf[1])
        assert not torch.allclose(some[name][0], some[name][1], atol=1e-5)


@pytest.mark.parametrize("name", ROOMS)
def test_classes_are_treated_alike(name: str) -> None:
    """Renaming the classes of the support renames them in the answer."""
    entry = every_learner()[name]
    learner = entry(Spec(4, 3))
    x, y = clusters(1, 12, torch.Generator().manual_seed(2))
    swap = torch.tensor([2, 0, 1])
    with torch.no_grad():
        said = learner.predict(learner.learn(learner.begin(1), x, y), x)
        other = learner.predict(learner.learn(learner.begin(1), x, swap[y]), x)
    assert isinstance(said, Classes)
    assert isinstance(other, Classes)
    alike = 0.03 if name == "versa" else 1e-4  # its draws are a class's own
    moved = other.marginal().exp()[..., swap]
    assert (moved - said.marginal().exp()).abs().max() < alike


def test_a_unit_is_that_of_all_numbers_once_there_are_many() -> None:
    y = 50 + 20 * torch.randn(1, 90, 2, generator=torch.Generator().manual_seed(0)).double()
    seen = torch.arange(90).remainder(4).gt(0).unsqueeze(0)
    y[0, 0] = torch.nan  # not seen
    state = unit_begin(y, 1, 2)
    for piece in torch.randperm(90, generator=torch.Generator().manual_seed(1)).split(37):
        state = unit_learn(state, y[:, piece], seen[:, piece])
    told = y[0, seen[0]]
    count = len(told)
    mean = told.sum(0) / (1 + count)
    variance = (1 + ((told - mean) ** 2).sum(0) + mean**2) / (1 + count)
    gate = count**2 / (count**2 + 100**2)
    middle, size = unit(state)
    assert torch.allclose(middle[0, 0], gate * mean)
    assert torch.allclose(size[0, 0], variance.sqrt() ** gate)
    few = unit(unit_learn(unit_begin(y, 1, 2), y[:, 1:11] / 20, seen[:, 1:11]))
    assert few[0].abs().max() < 0.05
    assert (few[1] - 1).abs().max() < 0.05


def test_a_unit_goes_with_a_stream() -> None:
    y, state = torch.full((1, 100, 1), 7.0), unit_begin(torch.zeros(1), 1, 1)
    seen = torch.ones(1, 100, dtype=torch.bool)
    for _ in range(150):
        state = unit_learn(state, y, seen)
    for _ in range(600):
        state = unit_learn(state, -y, seen)
    assert state["unit.mass"].item() == MOST_NUMBERS
    assert unit(state)[0].item() == pytest.approx(-7, abs=0.2)


def test_a_running_mean_is_the_mean_and_never_stands_still() -> None:
    rows = torch.randn(1, 9, 2, generator=torch.Generator().manual_seed(0)).double()
    label = torch.ones(1, 9, 1).double()
    label[0, 4] = 0
    rows[0, 4] = torch.nan  # of no class: changes nothing
    mean, mass = torch.zeros(1, 2, 1).double(), torch.zeros(1, 1).double()
    for piece in torch.arange(9).split(4):
        mean, mass = running_mean(mean, mass, rows[:, piece], label[:, piece])
    kept = rows[0, [0, 1, 2, 3, 5, 6, 7, 8]]
    assert torch.allclose(mean[0, :, 0], kept.mean(0))
    assert mass.item() == 8
    late, mass = running_mean(mean, torch.full((1, 1), MOST), kept[None, :1], label[:, :1])
    assert mass.item() == MOST
    assert not torch.equal(late, mean)
