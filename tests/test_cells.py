"""Cells: words, curves and conjunctions are learned by their cells; what is old fades."""

import pytest
import torch
from torch import Tensor

from agent.learners.base import Classes, Learner, Numbers, Said, Spec, State
from agent.learners.cells import Cells, CellsOptions
from agent.nets.evidence import FAINT, lift, refreshed
from agent.nets.tiles import Tiles, fold
from tests.draws import drawn

LINEAR, EVIDENCE = 0, 1


def run(learner: Learner, x: Tensor, y: Tensor, block: int = 32) -> tuple[list[Said], State]:
    state, said = learner.begin(1), []
    for start in range(0, len(x), block):
        cut = slice(start, start + block)
        one, state = learner.predict_then_learn(state, x[None, cut], y[None, cut])
        said.append(one)
    return said, state


def right(said: list[Said], y: Tensor, voice: int) -> Tensor:
    """Which rows a voice put its highest probability on, as floats."""
    logp = torch.cat([one.logp_TBVC[0] for one in said if isinstance(one, Classes)])
    return (logp[:, voice].argmax(1) == y).float()


def means(said: list[Said], voice: int) -> Tensor:
    return torch.cat([one.mean_TBV[0, :, voice] for one in said if isinstance(one, Numbers)])


def test_a_words_code_is_learned_at_once_by_the_evidence_voice() -> None:
    label = torch.arange(16) * 7 % 3
    learner = Cells(Spec(3, 3, codes=1))
    order = torch.cat(
        [torch.randperm(16, generator=torch.Generator().manual_seed(i)) for i in (1, 2)]
    )
    quantities = drawn(32, 2)
    x = torch.cat([quantities, order[:, None] + 1.0], 1)
    _, state = run(learner, x, label[order])
    asked = torch.cat([drawn(16, 2, seed=5), torch.arange(16)[:, None] + 1.0], 1)
    said = learner.predict(state, asked.unsqueeze(0))
    assert float(right([said], label, EVIDENCE).mean()) >= 0.9


def test_a_piecewise_curve_is_learned_by_the_linear_voice() -> None:
    x = drawn(6000, 1)
    y = (2 * x[:, 0]).sin() + (x[:, 0] > 0.7).float()
    said, _ = run(Cells(Spec(1, 0)), x, y)
    late = (means(said, LINEAR) - y)[-1500:].square().mean().sqrt()
    assert float(late) < 0.3 * float(y.std())


def test_an_exclusive_or_of_two_words_is_learned_by_conjunctions() -> None:
    draw = torch.Generator().manual_seed(0)
    word = torch.randint(2, (4000, 2), generator=draw)
    y = word[:, 0] ^ word[:, 1]
    said, _ = run(Cells(Spec(3, 2, codes=2)), torch.cat([drawn(4000, 1), word + 1.0], 1), y)
    for voice in (LINEAR, EVIDENCE):
        assert float(right(said, y, voice)[-1000:].mean()) > 0.95


def after_a_change(keep: tuple[float, ...]) -> float:
    """Accuracy of the evidence voice soon after every word's label is exchanged."""
    draw = torch.Generator().manual_seed(0)
    word = torch.randint(12, (4000,), generator=draw)
    y = word % 2
    y[3000:] = 1 - y[3000:]
    x = torch.cat([drawn(4000, 1), word[:, None] + 1.0], 1)
    said, _ = run(Cells(Spec(2, 2, codes=1), CellsOptions(keep=keep, trust=1e-6)), x, y)
    return float(right(said, y, EVIDENCE)[3300:].mean())


def test_what_fades_follows_a_change_and_what_lasts_does_not() -> None:
    assert after_a_change((0.99,)) > 0.9
    assert after_a_change((0.99999,)) < 0.5


def test_fold_keeps_sums_of_counts_and_means_of_weights() -> None:
    array = drawn(2, 64, 5)
    folded = fold(array, 16, 2)
    assert folded.shape == (2, 16, 5)
    for region in range(2):
        old, new = array.chunk(2, 1)[region], folded.chunk(2, 1)[region]
        assert torch.allclose(new[..., 2:], old[..., 2:].unflatten(1, (4, 8)).sum(1), atol=1e-6)
        assert torch.allclose(new[..., :2], old[..., :2].unflatten(1, (4, 8)).mean(1), atol=1e-6)
    assert fold(array, 64, 2) is array


def test_a_row_finds_its_cells_again_where_fold_has_put_them() -> None:
    tiles = Tiles(4, 2, 4, 24, 0)
    x = torch.cat([drawn(1, 50, 4), torch.arange(100.0).view(1, 50, 2)], 2)
    wide, shares = tiles.find(x, 1024)
    narrow, same = tiles.find(x, 256)
    array = torch.zeros(1, 1024, 1)
    for row in range(50):
        array.zero_()[0, wide[0, row], 0] = 1.0
        held = fold(array, 256, 0)[0, :, 0].nonzero().flatten().tolist()
        assert held == sorted(set(narrow[0, row].tolist()))
    assert torch.equal(shares, same)
    assert torch.allclose(
        shares[..., : tiles.singles] + shares[..., tiles.singles : 8], torch.ones(())
    )


def test_widening_so_far_that_the_array_is_folded_keeps_what_was_counted() -> None:
    learner = Cells(Spec(3, 3, codes=1))
    x = torch.cat([drawn(320, 2), torch.randint(1, 9, (320, 1), generator=torch.Generator())], 1)
    y = x[:, 2].long() % 3
    _, state = run(learner, x, y)
    wide = learner.widen(state, 48)
    assert wide["cell"].shape[1] < state["cell"].shape[1]
    counts = [one["cell"][..., 2 * one["known"].shape[1] :].sum() for one in (state, wide)]
    assert float(counts[0]) == pytest.approx(float(counts[1]), rel=1e-4)
    assert float(right([learner.predict(wide, x[None])], y, EVIDENCE).mean()) > 0.95


@pytest.mark.parametrize("classes", [3, 0], ids=["classes", "number"])
def test_writing_the_fading_into_the_counts_changes_no_answer(classes: int) -> None:
    learner = Cells(Spec(3, classes, codes=1))
    x = torch.cat([drawn(640, 2), torch.randint(1, 9, (640, 1), generator=torch.Generator())], 1)
    y = x[:, 2].long() % 3
    _, state = run(learner, x, y if classes else y.float())
    faint = {**state, "fade": state["fade"] * torch.tensor([[0.9, FAINT / 2]]).double()}
    cell, fade = refreshed(faint["cell"], faint["fade"], learner.spec.width)
    assert bool((fade == 1).all())
    before = learner.predict(faint, x[None, :32])
    after = learner.predict({**faint, "cell": cell, "fade": fade}, x[None, :32])
    if isinstance(before, Classes) and isinstance(after, Classes):
        assert torch.allclose(before.logp_TBVC, after.logp_TBVC, atol=1e-4)
    if isinstance(before, Numbers) and isinstance(after, Numbers):
        assert torch.allclose(before.mean_TBV, after.mean_TBV, atol=1e-4)


def test_counts_are_those_of_a_loop_over_many_refreshes() -> None:
    learner = Cells(Spec(2, 2, codes=1), CellsOptions(keep=(0.9,)))
    word = torch.randint(3, (640,), generator=torch.Generator().manual_seed(2))
    x = torch.cat([drawn(640, 1), word[:, None] + 1.0], 1)
    y = (word == 1).long()
    _, state = run(learner, x, y)
    cell = learner.tiles.find(x[None], state["cell"].shape[1])[0]
    cell = cell[0, :, -1 - learner.tiles.fine]  # the word's table
    for one in range(3):
        count = 0.0
        for start in range(0, 640, 32):  # what a block teaches is faded by the blocks after it
            here = (word[start : start + 32] == one).sum()
            count = count * 0.9**32 + float(here)
        at = cell[word == one][0]
        held = state["cell"][0, at, 4:] * state["fade"][0].float()
        assert float(held.sum()) == pytest.approx(count, rel=1e-3)
        assert int(held.argmax()) == int(one == 1)


def test_a_number_that_is_a_word_in_disguise_is_learned_by_its_fine_table() -> None:
    draw = torch.Generator().manual_seed(0)
    value = torch.randint(120, (3000,), generator=draw)
    y = value.remainder(2)
    x = (value[:, None] - 59.5) / 34.6  # z-scores

    def late(fine: int) -> float:
        said, _ = run(Cells(Spec(1, 2), CellsOptions(fine=fine)), x, y)
        return float(right(said, y, EVIDENCE)[-1000:].mean())

    assert late(32) > 0.8
    assert late(0) < 0.7


def test_a_rows_fine_cells_are_the_last_and_part_it_from_rows_nearby() -> None:
    tiles = Tiles(3, 1, 3, 8, 0, fine=2)
    assert tiles.fine == 2
    assert tiles.cells == 2 * 3 + 8 + 1 + 2
    x = torch.zeros(1, 2, 4)
    x[0, 1, :3] = 0.05
    cell, share = tiles.find(x, 4096)
    assert cell.shape == share.shape == (1, 2, tiles.cells)
    assert bool((cell[0, 0, -2:] != cell[0, 1, -2:]).all())
    assert float((cell[0, 0, 6:-2] == cell[0, 1, 6:-2]).float().mean()) > 0.8
    assert bool((share[..., 2 * 3 :] == 1).all())


def test_lift_is_the_shrunken_ratio_of_what_came_to_what_was_expected() -> None:
    share = torch.tensor([0.9, 0.09, 0.01])
    count = torch.tensor([7.0, 2.0, 1.0])
    found = lift(count.view(1, 1, 1, 3, 1), share.log().view(1, 1, 3), 2.0, 0.5).flatten()
    for one in range(3):
        held = 2.0 * share[one] + 0.5
        ratio = (count[one] + held) / (10 * share[one] + held)
        assert float(found[one]) == pytest.approx(float(ratio.log()), abs=1e-6)


def test_with_no_shyness_lift_is_that_of_a_posterior_between_cell_and_shares() -> None:
    share = torch.tensor([0.7, 0.3])
    count = torch.tensor([3.0, 9.0])
    found = lift(count.view(1, 1, 1, 2, 1), share.log().view(1, 1, 2), 4.0, 0.0).flatten()
    posterior = (count + 4.0 * share) / 16.0
    assert torch.allclose(found, (posterior / share).log(), atol=1e-6)


def test_one_label_of_a_rare_class_makes_little_of_a_cell_if_it_is_shy() -> None:
    share = torch.tensor([0.999, 0.001]).log().view(1, 1, 2)
    count = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2, 1)
    bold, shy = (lift(count, share, 2.0, shyness).flatten() for shyness in (0.0, 1.0))
    assert float(bold[1] - bold[0]) > 5.0
    assert 0.5 < float(shy[1] - shy[0]) < 2.0


def test_fine_cells_are_read_by_the_evidence_voice_alone() -> None:
    learner = Cells(Spec(2, 2))
    x = drawn(64, 2)
    _, state = run(learner, x, (x[:, 0] > 0).long())
    cell, share = learner.tiles.find(x[None, :1], state["cell"].shape[1])
    coarse = share[..., : -learner.tiles.fine]
    weight = state["cell"][0, cell[0, 0, : -learner.tiles.fine], :2]
    said = learner.predict(state, x[None, :1])
    assert isinstance(said, Classes)
    logit = (coarse[0, 0].unsqueeze(1) * weight).sum(0)
    assert torch.allclose(said.logp_TBVC[0, 0, LINEAR], logit.log_softmax(0), atol=1e-5)
