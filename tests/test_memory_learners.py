"""Learners whose memory is written in one pass: each mechanism, and that they learn to learn.

Shapes: T tasks, B rows, N rows of memory, C classes.
"""

import pytest
import torch
from torch import Tensor

from agent.learners.base import Classes, Spec
from agent.learners.fast_weights import FastWeights, FastWeightsOptions
from agent.learners.hebbian import Hebbian, HebbianOptions
from agent.learners.mann import Mann, MannOptions
from tests.tiny_tasks import FAMILIES, error, make, meta_train, score


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["mann", "fast-weights", "hebbian"])
def test_meta_training_teaches_it_to_learn(name: str, family: str) -> None:
    """A second or so of training each: nothing shorter shows that it learned to learn."""
    tasks, spec = FAMILIES[family]
    learner = make(name, spec)
    before, untrained = error(learner, tasks), score(learner, tasks)
    meta_train(learner, tasks, 60)
    assert error(learner, tasks) < min(0.2, before / 1.5)
    assert score(learner, tasks) > untrained + 0.1


def random_rows(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_memory_is_written_where_it_is_used_least() -> None:
    learner = Mann(Spec(6, 6), MannOptions(memory=4))
    learner.gate.data.fill_(-200.0)  # writes go to the least used row alone
    learner.sharp.data.fill_(6.0)
    x, y = random_rows(0, 1, 6, 6), torch.arange(6).unsqueeze(0)
    state = learner.begin(1)
    for at in range(4):
        state = learner.learn(state, x[:, at : at + 1], y[:, at : at + 1])
        assert state["label"][0].sum(1).tolist() == [1.0] * (at + 1) + [0.0] * (3 - at)
    used = int(state["usage"].argmin())
    after = learner.learn(state, x[:, 4:5], y[:, 4:5])
    others = [row for row in range(4) if row != used]
    assert torch.equal(after["memory"][0, others], state["memory"][0, others])
    assert after["label"][0, used].tolist() == [0, 0, 0, 0, 1, 0]


def test_an_open_gate_writes_where_it_read_before() -> None:
    learner = Mann(Spec(3, 2), MannOptions(memory=4))
    learner.gate.data.fill_(50.0)
    state = dict(learner.begin(1))
    state["read"] = torch.tensor([[0.0, 0.0, 1.0, 0.0]])
    after = learner.learn(state, random_rows(1, 1, 1, 3), torch.tensor([[1]]))
    assert after["label"][0].tolist() == [[0, 0], [0, 0], [0, 1], [0, 0]]


def test_the_memory_answers_with_the_label_of_the_nearest_key() -> None:
    learner = Mann(Spec(4, 5), MannOptions())
    learner.sharp.data.fill_(7.0)
    learner.gate.data.fill_(-200.0)
    x, y = random_rows(2, 1, 5, 4), torch.tensor([[3, 1, 4, 0, 2]])
    said = learner.predict(learner.learn(learner.begin(1), x, y), x)
    assert isinstance(said, Classes)
    assert said.marginal().argmax(2).tolist() == y.tolist()


def plain_fast_weights(spec: Spec) -> FastWeights:
    """One memory that forgets nothing and writes with its whole strength."""
    learner = FastWeights(spec, FastWeightsOptions(memories=1))
    torch.nn.init.zeros_(learner.strength.weight)
    torch.nn.init.constant_(learner.strength.bias, 50.0)
    torch.nn.init.constant_(learner.decay, 50.0)
    return learner


def test_the_delta_rule_overwrites_an_association() -> None:
    learner = plain_fast_weights(Spec(3, 2))
    x = random_rows(3, 1, 1, 3)
    key = learner.keys(learner.body(x))[:, 0]
    state, held = learner.begin(1), []
    for label in (0, 1):
        state = learner.learn(state, x, torch.tensor([[label]]))
        held.append((key.unsqueeze(2) @ state["fast"]).flatten())
    assert torch.allclose(held[0], torch.tensor([1.0, 0.0]), atol=1e-5)
    assert torch.allclose(held[1], torch.tensor([0.0, 1.0]), atol=1e-5)


def test_fast_weights_are_the_sum_of_their_writes() -> None:
    learner = FastWeights(Spec(3, 0), FastWeightsOptions(memories=1, key=5))
    x, y = random_rows(4, 1, 6, 3), random_rows(5, 1, 6)
    state = learner.learn(learner.begin(1), x, y)
    e = learner.body(x)
    even = torch.nn.functional.layer_norm(e, (e.shape[2],))
    key, strength = learner.keys(e)[0, :, 0], learner.strength(even).sigmoid()[0, :, 0]
    fast = torch.zeros(6)
    for k, b, v in zip(key, strength, y[0], strict=True):
        kept = learner.decay.sigmoid()[0] * fast
        fast = kept + b * (v - k @ kept) * k
    assert torch.allclose(state["fast"].flatten(), fast, atol=1e-5)


def test_decay_makes_the_trace_an_average_that_fades() -> None:
    learner = Hebbian(Spec(3, 2), HebbianOptions(rule="decay", rate=0.2))
    x, y = random_rows(6, 1, 7, 3), torch.tensor([[0, 1, 1, 0, 1, 0, 0]])
    state = learner.learn(learner.begin(1), x, y)
    pre = learner.inputs(learner.body(x))[0]
    post = torch.nn.functional.one_hot(y[0], 2).float()
    weight = 0.2 * 0.8 ** torch.arange(6.0, -1.0, -1.0)
    assert torch.allclose(state["trace"][0], (weight.unsqueeze(1) * pre).mT @ post, atol=1e-6)


def test_ojas_rule_turns_the_trace_to_the_pattern_and_lets_other_classes_be() -> None:
    learner = Hebbian(Spec(3, 2), HebbianOptions(rule="oja", rate=0.3))
    x = random_rows(7, 1, 1, 3)
    pattern = learner.inputs(learner.body(x))[0, 0]
    state = learner.learn(learner.begin(1), random_rows(8, 1, 1, 3), torch.tensor([[1]]))
    after = learner.learn(state, x.expand(1, 40, 3), torch.zeros(1, 40, dtype=torch.int64))
    assert torch.allclose(after["trace"][0, :, 0], pattern, atol=1e-4)
    assert torch.equal(after["trace"][0, :, 1], state["trace"][0, :, 1])


def test_a_plastic_layer_recalls_the_pattern_it_was_shown() -> None:
    learner = Hebbian(Spec(8, 4), HebbianOptions())
    x, y = random_rows(9, 1, 4, 8), torch.tensor([[2, 0, 3, 1]])
    state = learner.learn(learner.begin(1), x, y)
    said = learner.predict(state, x + 0.1 * random_rows(10, 1, 4, 8))
    assert isinstance(said, Classes)
    assert said.marginal().argmax(2).tolist() == y.tolist()


def test_without_plasticity_nothing_is_learned_but_which_classes_there_are() -> None:
    learner = make("hebbian", Spec(3, 2))
    torch.nn.init.zeros_(learner.get_parameter("plastic"))
    x, y = random_rows(11, 1, 6, 3), torch.tensor([[0, 1, 0, 0, 1, 1]])
    said = learner.predict(learner.learn(learner.begin(1), x, y), x)
    assert isinstance(said, Classes)
    assert torch.allclose(said.marginal().exp(), torch.tensor(0.5))
