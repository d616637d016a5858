"""Blend: its fixed shares, answers that see nothing of the future, and what outlives a voice."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from typing_extensions import override

from agent.continual.blend import Blend, BlendSettings, Start
from agent.continual.default import AgentSettings, default_agent
from agent.continual.mixer import Mixer
from agent.continual.mixing import (
    MixingSettings,
    Stream,
    Witnessed,
    lanes,
    loss,
    replay,
    train,
    witness,
)
from agent.continual.share import fixed_share
from agent.learners.base import Classes, Exact, Numbers, Said, Spec, State
from agent.pretrain import PretrainSettings, pretrain
from tests.draws import drawn


class Script(Exact):
    """Says what the row's columns hold: each voice's logits, or its number."""

    def __init__(self, spec: Spec, count: int) -> None:
        self.spec, self.voices = spec, tuple(f"voice {at}" for at in range(count))

    def begin(self, tasks: int) -> State:
        """Nothing is kept."""
        return {"nothing": torch.zeros(tasks, 1)}

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Read the row."""
        del state
        even = -torch.tensor(float(len(self.voices))).log()
        if self.spec.regression:
            return Numbers(torch.full_like(x_TBF, float(even)), x_TBF, torch.ones_like(x_TBF))
        logp = x_TBF.unflatten(2, (len(self.voices), self.spec.classes)).log_softmax(3)
        return Classes(torch.full_like(logp[..., 0], float(even)), logp)

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        return self.predict(state, x_TBF), state

    def widen(self, state: State, classes: int) -> State:
        """Never asked for."""
        raise NotImplementedError


def scripted(voices: int = 3, classes: int = 3, settings: BlendSettings | None = None) -> Blend:
    spec = Spec(voices * max(classes, 1), classes)
    return Blend(spec, {"script": Script(spec, voices)}, settings)


def told(
    blend: Blend, x: Tensor, y: Tensor, block: int = 32, seen: Tensor | None = None
) -> tuple[Tensor, Tensor, State]:
    """What is said: log-probabilities or means of the whole, and of each answer; state after."""
    state, whole, each = blend.begin(1), [], []
    for start in range(0, len(x), block):
        cut = slice(start, start + block)
        mask = None if seen is None else seen[None, cut]
        said, state = blend.predict_then_learn(state, x[None, cut], y[None, cut], mask)
        if isinstance(said, Classes):
            whole.append(said.marginal()[0])
            each.append(said.logp_TBVC[0])
        else:
            whole.append(said.moments()[0][0])
            each.append(said.mean_TBV[0])
    return torch.cat(whole), torch.cat(each), state


def test_permuting_classes_permutes_the_answers_of_a_whole_run() -> None:
    x, y = drawn(160, 9), torch.arange(160) * 7 // 3 % 3
    order = torch.tensor([2, 0, 1])
    turned = x.unflatten(1, (3, 3))[..., order].flatten(1)
    blend = scripted()
    said, _, _ = told(blend, x, y)
    other, _, _ = told(blend, turned, order.argsort()[y])
    assert torch.allclose(other, said[:, order], atol=1e-4)


def test_fixed_share_agrees_with_a_loop() -> None:
    gained, seen = 2 * drawn(2, 40, 3), drawn(2, 40, seed=1) > -0.5
    weight = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], dtype=torch.float64)
    trail, after = fixed_share(weight, gained, seen, 0.05, 0.1)
    for task in range(2):
        stood = weight[task].tolist()
        for row in range(40):
            assert trail[task, row].tolist() == pytest.approx(stood, abs=1e-12)
            if not seen[task, row]:
                continue
            one = gained[task, row].double()
            won = [
                max(float((g - one.max()).exp()), 0.1) * w for g, w in zip(one, stood, strict=True)
            ]
            stood = [0.95 * w / sum(won) + 0.05 / 3 for w in won]
        assert after[task].tolist() == pytest.approx(stood, abs=1e-12)


def changing(rows: int, every: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rows of four voices, another of which is right now and then; labels; losses, the best's."""
    draw = torch.Generator().manual_seed(4)
    y = torch.randint(2, (rows,), generator=draw)
    best = torch.arange(rows) // every * 3 % 4
    wild = torch.randint(2, (rows, 4), generator=draw)
    said = torch.where(best[:, None] == torch.arange(4), y[:, None], wild)
    logit = torch.nn.functional.one_hot(said, 2) * 1.8
    index = y[:, None, None].expand(-1, 4, 1)
    each = -logit.log_softmax(2).gather(2, index).squeeze(2)
    return logit.flatten(1), y, each, each.gather(1, best[:, None]).squeeze(1)


@pytest.mark.parametrize("rate", [0.0, 0.002], ids=["standing still", "learning"])
def test_the_loss_is_within_the_regret_of_two_fixed_shares(rate: float) -> None:
    rows, every = 2400, 400
    x, y, each, best = changing(rows, every)
    settings = BlendSettings(rate=rate)
    said, _, _ = told(scripted(4, 2, settings), x, y)
    first = 32  # until both classes are known
    mine = -said.gather(1, y[:, None]).squeeze(1)[first:].sum()
    calm, switches = rows - rows // every, rows // every - 1
    slow, fast = settings.trust, settings.switch
    regret = np.log(4) + switches * np.log(4 / fast) - calm * np.log1p(-fast)
    regret += np.log(2) - rows * np.log1p(-slow)
    assert float(mine) <= float(best[first:].sum()) + regret
    assert float(mine) < 0.8 * float(each[first:].sum(0).min())


@pytest.mark.parametrize("classes", [3, 0], ids=["classes", "number"])
def test_a_row_is_answered_by_nothing_that_comes_after_it(classes: int) -> None:
    blend = scripted(3, classes)
    x, other = drawn(32, blend.spec.features), drawn(32, blend.spec.features, seed=1)
    y = (torch.arange(32) % 3) if classes else drawn(32, seed=2)
    other[:20] = x[:20]
    late = y.clone()
    late[19:] = y[19:].flip(0)
    whole = [told(blend, one, truth)[1] for one, truth in ((x, y), (other, late))]
    assert torch.allclose(whole[0][:20], whole[1][:20], atol=1e-5)
    assert not torch.allclose(whole[0][20:], whole[1][20:], atol=1e-2)


@pytest.mark.parametrize("classes", [3, 0], ids=["classes", "number"])
def test_foresee_says_what_learning_says_and_cuts_make_no_difference(classes: int) -> None:
    blend = scripted(3, classes, BlendSettings(rate=0.0))
    x = drawn(96, blend.spec.features)
    y = (torch.arange(96) % 3) if classes else 5 * drawn(96, seed=2)
    seen = torch.arange(96) % 5 != 0
    state = blend.begin(1)
    for start in (0, 32):
        cut = slice(start, start + 32)
        one = (x[None, cut], y[None, cut], seen[None, cut])
        foreseen = blend.foresee(state, *one)
        said, state = blend.predict_then_learn(state, *one)
        for name in ("logp_TBVC",) if classes else ("mean_TBV", "scale_TBV"):
            assert torch.equal(getattr(foreseen, name), getattr(said, name))
    if classes:  # the unit of numbers stands still inside a block, by design
        said_by_cut = [told(blend, x, y, block, seen)[0] for block in (32, 8, 1)]
        for other in said_by_cut[1:]:
            assert torch.allclose(other, said_by_cut[0], atol=1e-4)


@pytest.mark.parametrize("classes", [3, 0], ids=["classes", "number"])
@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_voice_that_breaks_is_outlived(classes: int, broken: float) -> None:
    blend = scripted(3, classes)
    x, y = drawn(640, blend.spec.features), torch.arange(640) * 5 // 3 % 3
    if classes:
        x[:, 3:6] = 4 * torch.nn.functional.one_hot(y, 3).float()
    else:
        y = drawn(640, seed=2)
        x[:, 1] = y
    x[100:, : max(classes, 1)] = broken
    said, each, state = told(blend, x, y)
    assert bool(each.isfinite().all())
    assert all(bool(leaf.isfinite().all()) for leaf in state.values())
    if classes:
        assert float((said.argmax(1) == y)[320:].float().mean()) > 0.97
    else:
        assert float((said - y)[320:].abs().mean()) < 0.1
    assert max(blend.standing(state), key=blend.standing(state).__getitem__) == "voice 1"


def test_lanes_put_late_labels_after_the_row_with_which_they_come() -> None:
    # 0 and 3 are told at once; 1 comes after 3, 2 with it but later asked; 4 never.
    plan = lanes(np.array([0, 3, 3, 3, -1]))
    assert plan.row_L.tolist() == [0, 1, 2, 3, 1, 2, 4]
    assert plan.asked_L.tolist() == [True, True, True, True, False, False, True]
    assert plan.seen_L.tolist() == [True, False, False, True, True, True, False]
    assert plan.late_L.tolist() == [0, 0, 0, 0, 1, 2, 0]


def heard_of(classes: int, rows: int = 320) -> Witnessed:
    """A stream whose second voice is right and whose others guess."""
    spec = Spec(3 * max(classes, 1), classes)
    x, y = drawn(rows, spec.features), torch.arange(rows) * 5 // 3 % max(classes, 3)
    if classes:
        x[:, classes : 2 * classes] = 3 * torch.nn.functional.one_hot(y, classes).float()
    else:
        y = drawn(rows, seed=2)
        x[:, 1] = y + 0.1 * drawn(rows, seed=3)
    stream = Stream(spec, x.numpy(), y.double().numpy(), np.arange(rows))
    return witness(lambda _: scripted(3, classes, BlendSettings(rate=0.0)), stream)


@pytest.mark.parametrize("classes", [3, 0], ids=["classes", "number"])
def test_meta_training_lowers_the_loss_and_so_does_going_on_learning(classes: int) -> None:
    some, voices = heard_of(classes), scripted(3, classes).table
    mixer = Mixer(voices, voices, words=classes > 0)
    start = mixer.draw(torch.Generator().manual_seed(0))
    how = MixingSettings(iterations=60, rate=0.01, streams=2, rows=64)
    tell: list[float] = []
    weights = train(
        voices, [some], how, torch.Generator().manual_seed(0), lambda _, at: tell.append(at)
    )
    rows = torch.arange(len(some.y_N))
    before, after = (float(loss(mixer, one, some, rows)) for one in (start, weights))
    assert after < 0.6 * before
    assert np.mean(tell[-10:]) < 0.6 * np.mean(tell[:5])
    still, moving = (float(replay(mixer, start, some, rate).mean()) for rate in (0.0, 0.01))
    assert moving < 0.9 * still


def test_pretraining_writes_weights_and_a_card_of_which_a_start_can_be_made(tmp_path: Path) -> None:
    small = PretrainSettings(
        streams=2,
        held=1,
        rows=96,
        processes=1,
        mixing=MixingSettings(iterations=3, streams=1, rows=32),
    )
    lines: list[str] = []
    card = pretrain(small, tmp_path, lines.append)
    written = json.loads((tmp_path / "mixer-classes.json").read_text(encoding="utf-8"))
    assert written["sha256"] == card["sha256"]
    assert all(np.isfinite(one) for one in written["judged"].values())
    assert lines[-1] == "1 of 1 held-out streams"
    weights = load_file(tmp_path / "mixer-classes.safetensors")["mixer"]
    start, spec = Start(tuple(written["voices"]), weights), Spec(4, 2, codes=1, dated=True)
    agent = default_agent(spec, AgentSettings(), start=start)
    assert agent.table == start.voices
    assert torch.equal(agent.begin(1)["mixer"], weights)
    assert isinstance(agent.predict(agent.begin(1), torch.zeros(1, 3, 4)), Classes)
