"""Boosted trees: splits are the best ones, the memory keeps what is rare, the sum learns."""

import pytest
import torch
from torch import Tensor

from agent.learners.base import Classes, Numbers, Said, Spec, State
from agent.learners.boosted import Boosted, BoostedOptions
from agent.nets import hot
from agent.nets.oblivious import added, gain, gathered, grow, leaves_of, sketched
from tests.draws import drawn

SMALL = BoostedOptions(trees=8, rows=96, every=16, sample=64, questions=40, columns=4)


def run(learner: Boosted, x: Tensor, y: Tensor, block: int = 32) -> tuple[list[Said], State]:
    state, said = learner.begin(1), []
    for start in range(0, len(x), block):
        cut = slice(start, start + block)
        one, state = learner.predict_then_learn(state, x[None, cut], y[None, cut])
        said.append(one)
    return said, state


def log_loss(said: list[Said], y: Tensor) -> Tensor:
    logp = torch.cat([one.logp_TBVC[0, :, 0] for one in said if isinstance(one, Classes)])
    return -logp.gather(1, y.unsqueeze(1)).squeeze(1)


def tail(rows: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two in a hundred belong to class 1: those far out in two columns at once."""
    x = drawn(rows, 6, seed=seed)
    return x, ((x[:, 1] > 1.0) & (x[:, 4] > 1.1)).long()


def test_a_leafs_number_is_its_answers_read_as_bits() -> None:
    x, threshold = drawn(2, 5, 3), drawn(2, 4, 3, seed=1)
    column = torch.randint(3, (2, 4, 3), generator=torch.Generator().manual_seed(2))
    found = leaves_of(x, column, threshold)
    for task, row, tree in torch.cartesian_prod(*map(torch.arange, found.shape)).tolist():
        bits = (x[task, row, column[task, tree]] > threshold[task, tree]).tolist()
        leaf = sum(2**level for level, bit in enumerate(bits) if bit)
        assert int(found[task, row, tree]) == (task * 4 + tree) * 8 + leaf


def test_what_is_added_is_every_trees_leaf() -> None:
    leaf, index = drawn(1, 16, 3), torch.tensor([[[1, 9], [7, 15]]])
    assert torch.allclose(added(leaf, index)[0, 1], leaf[0, 7] + leaf[0, 15])


def test_every_row_is_gathered_by_the_leaves_it_lies_in() -> None:
    row, index = drawn(2, 2, 3), torch.tensor([[[1, 9], [1, 15]], [[16, 30], [19, 31]]])
    sums = gathered(row, index, 16)
    assert torch.allclose(sums[0, 1], row[0].sum(0))
    assert torch.allclose(sums[0, 9], row[0, 0])
    assert torch.allclose(sums[1, 15], row[1, 1])
    assert float(sums[1, 1].abs().sum()) == 0


def test_the_gain_is_that_of_splitting_every_leaf_by_hand() -> None:
    slope, curve, node = drawn(30, 2), drawn(30, 2, seed=1).abs(), torch.arange(30) % 4
    above = drawn(30, 7, seed=2) > 0
    spread = hot(node, 4).unsqueeze(2) * torch.cat([slope, curve], 1).unsqueeze(1)
    told = gain(spread, above.float(), 1.5)
    for one in range(7):
        total = 0.0
        for leaf in range(4):
            for side in (above[:, one], ~above[:, one]):
                here = side & (node == leaf)
                total += float((slope[here].sum(0) ** 2 / (curve[here].sum(0) + 1.5)).sum())
        assert float(told[one]) == pytest.approx(total, rel=1e-4)


def test_a_tree_asks_for_what_decides() -> None:
    x = drawn(400, 3)
    y = (x[:, 2] > 0.3) & (x[:, 0] > -0.2)
    slope = 0.5 - y.float().unsqueeze(1)
    tree = grow(x, x[:40], slope, torch.full_like(slope, 0.25), 2, 1.0)
    assert sorted(tree.column_D.tolist()) == [0, 2]
    asked = dict(zip(tree.column_D.tolist(), tree.threshold_D.tolist(), strict=True))
    assert asked[2] == pytest.approx(0.3, abs=0.15)
    assert asked[0] == pytest.approx(-0.2, abs=0.15)
    leaf = leaves_of(x[None], tree.column_D[None, None], tree.threshold_D[None, None])
    assert torch.equal(leaf[0, :, 0], tree.leaf_N)


def test_of_many_classes_splits_are_chosen_by_a_few_sketches() -> None:
    draw, slope = torch.Generator().manual_seed(0), drawn(50, 9)
    few, curve = sketched(slope, slope.abs(), 3, draw)
    assert few.shape == curve.shape == (50, 3)
    many = torch.stack([sketched(slope, slope, 3, draw)[0].square().sum() for _ in range(400)])
    assert float(many.mean()) == pytest.approx(float(slope.square().sum()), rel=0.1)


def test_a_rare_class_behind_two_thresholds_is_found() -> None:
    x, y = tail(6000)
    said, _ = run(Boosted(Spec(6, 2)), x, y)
    loss = log_loss(said, y)[3000:]
    rate = float(y.float().mean())
    guess = -(rate * torch.tensor(rate).log() + (1 - rate) * torch.tensor(1 - rate).log())
    assert float(loss.mean()) < 0.4 * float(guess)


def test_old_rows_of_a_rare_class_stay_in_memory_and_others_do_not() -> None:
    learner = Boosted(Spec(1, 2), SMALL)
    number = torch.arange(640.0)
    y = (number % 40 == 0).long()
    _, state = run(learner, number.unsqueeze(1), y)
    held = set(state["x"][0, : 64 + int(state["old"][0].clamp(max=32)), 0].tolist())
    latest = set(range(576, 640))
    assert held == latest | {float(one) for one in range(0, 576, 40)}


@pytest.mark.parametrize("block", [7, 200])
def test_the_memory_ends_with_the_latest_rows_whatever_the_block(block: int) -> None:
    _, state = run(Boosted(Spec(1, 0), SMALL), torch.arange(600.0)[:, None], drawn(600), block)
    assert sorted(state["x"][0, :, 0].tolist()) == list(range(504, 600))
    assert int(state["count"][0]) == 600


def test_a_curve_of_two_columns_is_learned_and_its_error_told() -> None:
    x = drawn(4000, 3)
    y = 300 + 20 * (x[:, 0] > 0.5).float() + 10 * (x[:, 2] < 0).float() + drawn(4000, seed=1)
    said, _ = run(Boosted(Spec(3, 0)), x, y)
    late = [one for one in said[-30:] if isinstance(one, Numbers)]
    miss = torch.cat([one.mean_TBV[0, :, 0] for one in late]) - y[-len(late) * 32 :]
    assert float(miss.square().mean().sqrt()) < 0.35 * float(y.std())
    scale = torch.cat([one.scale_TBV[0, :, 0] for one in late])
    assert 0.5 < float(scale.mean() / miss.square().mean().sqrt()) < 2


def test_trees_follow_a_change() -> None:
    x = drawn(4000, 3)
    y = (x[:, 0] > 0).long()
    y[2000:] = (x[2000:, 1] > 0).long()
    said, _ = run(Boosted(Spec(3, 2), BoostedOptions(rows=512)), x, y)
    loss = log_loss(said, y)
    assert float(loss[1500:2000].mean()) < 0.25
    assert float(loss[2000:2050].mean()) > 0.7
    assert float(loss[3500:].mean()) < 0.35


def test_between_two_trees_leaves_learn() -> None:
    x, y = drawn(40, 2), torch.ones(40, dtype=torch.int64)
    learner = Boosted(Spec(2, 2), BoostedOptions(every=65_536))
    state = {**learner.begin(1), "all": torch.full((1, 2), 1e4)}
    before = log_loss([learner.predict(state, x[None])], y).mean()
    after = learner.learn(state, x[None], y[None])
    assert int(after["grown"][0]) == 0
    assert float(log_loss([learner.predict(after, x[None])], y).mean()) < float(before) - 0.05


def test_without_quantities_the_shares_of_the_classes_are_said() -> None:
    y = torch.tensor([0, 1, 1, 1] * 40)
    said, _ = run(Boosted(Spec(0, 2)), torch.zeros(160, 0), y)
    last = said[-1]
    assert isinstance(last, Classes)
    assert float(last.marginal()[0, -1, 1].exp()) == pytest.approx(0.75, abs=0.03)


def test_a_class_that_was_long_away_is_not_ruled_out() -> None:
    x, y = drawn(30_000, 1), torch.zeros(30_000, dtype=torch.int64)
    y[:50] = 1
    learner = Boosted(Spec(1, 2), SMALL)
    _, state = run(learner, x, y, block=1000)
    said = learner.predict(state, x[None, :9])
    assert isinstance(said, Classes)
    assert -14 < float(said.logp_TBVC[..., 1].min()) < -6


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="depth is 9"):
        BoostedOptions(depth=9)
    with pytest.raises(ValueError, match="shrink must be"):
        BoostedOptions(shrink=0)
