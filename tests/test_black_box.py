"""Networks that read labelled examples and answer: each mechanism, and that they learn to learn.

Shapes: T tasks, B rows, S slots, E embedding, H hidden units.
"""

import pytest
import torch
from torch import Tensor

from agent.learners.base import Classes, Numbers, Spec
from agent.learners.recurrent import Recurrent, RecurrentOptions
from agent.learners.transformer import Transformer, TransformerOptions
from agent.nets.body import seeded
from agent.nets.cells import Gated, LongShort
from agent.nets.slots import own
from agent.nets.temporal import Dense
from tests.tiny_tasks import FAMILIES, error, make, meta_train, score

TRAINING = {
    "lstm": (150, 0.01),
    "gru": (150, 0.01),
    "transformer": (60, 0.005),
    "snail": (60, 0.005),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", TRAINING)
def test_meta_training_teaches_it_to_learn(name: str, family: str) -> None:
    """A second or two of training each: nothing shorter shows that it learned to learn."""
    tasks, spec = FAMILIES[family]
    learner = make(name, spec)
    before, untrained = error(learner, tasks), score(learner, tasks)
    meta_train(learner, tasks, *TRAINING[name])
    after, trained = error(learner, tasks), score(learner, tasks)
    assert after < 0.1
    assert after < before / 2
    assert trained > untrained + 0.15


def random_rows(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_cells_are_those_of_the_books() -> None:
    with seeded(0):
        long, gated = LongShort(3, 4), Gated(3, 4)
        lstm, gru = torch.nn.LSTMCell(3, 4), torch.nn.GRUCell(3, 4, bias=True)
    with torch.no_grad():
        for ours, theirs, order in ((long, lstm, (0, 1, 3, 2)), (gated, gru, (0, 1, 2))):
            for mine, other in (("reads", "ih"), ("recurs", "hh")):
                chunks = getattr(ours, mine).weight.chunk(ours.gates)
                getattr(theirs, f"weight_{other}").copy_(torch.cat([chunks[at] for at in order]))
            theirs.bias_hh.zero_()
            biases = ours.reads.bias.chunk(ours.gates)
            theirs.bias_ih.copy_(torch.cat([biases[at] for at in order]))
        x, h, c = random_rows(1, 5, 3), random_rows(2, 5, 4), random_rows(3, 5, 4)
        stepped = long.step(long.reads(x), {"hidden": h, "cell": c})
        expected = lstm(x, (h, c))
        assert torch.allclose(stepped["hidden"], expected[0], atol=1e-6)
        assert torch.allclose(stepped["cell"], expected[1], atol=1e-6)
        assert torch.allclose(gated.step(gated.reads(x), {"hidden": h})["hidden"], gru(x, h))


def test_an_example_is_read_by_one_weight_as_ones_own_and_by_another_as_anothers() -> None:
    with seeded(0):
        cell = LongShort(6, 4)
    e, y = random_rows(1, 2, 5, 3), torch.randint(2, (2, 5))
    drive = cell.drive_of(e, own(y, 3))
    mine, others = cell.reads.weight[:, :3], cell.reads.weight[:, 3:]
    for slot in range(3):
        chosen = torch.where((y == slot).unsqueeze(2), e @ mine.mT, e @ others.mT)
        assert torch.allclose(drive[:, :, slot], chosen + cell.reads.bias, atol=1e-6)


def test_a_class_that_comes_late_stands_where_it_would_had_there_been_room_from_the_start() -> None:
    few, many = Recurrent(Spec(3, 2), RecurrentOptions()), Recurrent(Spec(3, 4), RecurrentOptions())
    x, y = random_rows(4, 2, 8, 3), torch.randint(2, (2, 8))
    with torch.no_grad():
        wide = few.widen(few.learn(few.begin(2), x, y), 4)
        roomy = many.learn(many.begin(2), x, y)
    assert all(torch.allclose(wide[leaf], roomy[leaf]) for leaf in roomy)


@pytest.mark.parametrize("spec", [Spec(3, 3), Spec(3, 0)], ids=["classes", "number"])
def test_the_cache_gives_what_one_pass_over_everything_gives(spec: Spec) -> None:
    learner = Transformer(spec, TransformerOptions(slots=16))
    x = random_rows(5, 2, 12, 3)
    y = random_rows(6, 2, 12) if spec.regression else torch.randint(3, (2, 12))
    with torch.no_grad():
        whole = learner.learn(learner.begin(2), x, y)
        pieces = learner.begin(2)
        for piece in (slice(0, 5), slice(5, 6), slice(6, 12)):
            pieces = learner.learn(pieces, x[:, piece], y[:, piece])
        once, cached = learner.predict(whole, x), learner.predict(pieces, x)
    assert torch.allclose(whole["cache"], pieces["cache"], atol=1e-5)
    if isinstance(once, Classes) and isinstance(cached, Classes):
        assert torch.allclose(once.logp_TBVC, cached.logp_TBVC, atol=1e-5)
    if isinstance(once, Numbers) and isinstance(cached, Numbers):
        assert torch.allclose(once.mean_TBV, cached.mean_TBV, atol=1e-4)


def test_no_label_of_its_own_or_later_moves_an_answer_of_the_transformer() -> None:
    learner = Transformer(Spec(3, 0), TransformerOptions())
    x, y = random_rows(7, 1, 6, 3), random_rows(8, 1, 6).requires_grad_()
    said, _ = learner.predict_then_learn(learner.begin(1), x, y)
    assert isinstance(said, Numbers)
    moves = torch.stack(
        [
            torch.autograd.grad(said.mean_TBV[0, at, 0], y, retain_graph=True)[0][0]
            for at in range(1, 6)
        ]
    )
    before = torch.ones(5, 6).tril()
    assert bool((moves[before == 0] == 0).all())
    assert bool((moves[before == 1] != 0).all())


def test_equal_labels_draw_examples_of_the_transformer_together() -> None:
    learner = Transformer(Spec(2, 2), TransformerOptions())
    x = random_rows(9, 1, 6, 2)
    said = []
    for labels in ([0, 0, 0, 1, 1, 1], [0, 1, 0, 1, 0, 1]):
        state = learner.learn(learner.begin(1), x, torch.tensor([labels]))
        said.append(state["cache"])
    width = learner.options.width
    first, second = (cache[..., : 2 * width] for cache in said)
    assert torch.equal(first, second)  # the first layer's keys are of rows alone
    assert not torch.allclose(said[0], said[1])  # those above know who is like whom


@pytest.mark.parametrize("dilation", [1, 4])
def test_a_temporal_block_is_a_causal_convolution_with_gates(dilation: int) -> None:
    with seeded(0):
        block = Dense(3, 5, dilation)
    line, query = random_rows(10, 2, 9, 3), random_rows(11, 2, 1, 3)
    filled = torch.ones(2, 9, dtype=torch.bool)
    taps = torch.stack([block.then.weight, block.here.weight], 2)
    whole = torch.nn.functional.pad(torch.cat([line, query], 1).mT, (dilation, 0))
    out = torch.nn.functional.conv1d(whole, taps, block.here.bias, dilation=dilation).mT
    value, gate = out.chunk(2, 2)
    after, answer = block(line, query, filled)
    expected = value.tanh() * gate.sigmoid()
    assert torch.allclose(torch.cat([after, answer], 1)[..., 3:], expected, atol=1e-5)


def test_snail_reads_order_and_no_further_back_than_its_window() -> None:
    learner = make("snail", Spec(2, 0), slots=4)
    torch.nn.init.normal_(
        learner.get_parameter("say.weight"), generator=torch.Generator().manual_seed(0)
    )
    x, y = random_rows(12, 1, 8, 2), random_rows(13, 1, 8)
    late, zero = slice(4, None), learner.begin(1)
    state = learner.learn(zero, x, y)
    ring = learner.learn(learner.learn(zero, x * 2, y), x[:, late], y[:, late])
    assert torch.allclose(state["e"], ring["e"], atol=1e-6)
    turned = learner.learn(learner.learn(zero, x[:, :4], y[:, :4]), x[:, late].flip(1), y[:, late])
    one, two = learner.predict(state, x), learner.predict(turned, x)
    assert isinstance(one, Numbers)
    assert isinstance(two, Numbers)
    assert not torch.allclose(one.mean_TBV, two.mean_TBV)
