"""Meta-learned starts of attention and network: what they do, how they are found, what ships."""

import hashlib
import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from agent.cli import app
from agent.continual.default import AgentSettings, default_agent, stack_of
from agent.continual.evolving import StartsSettings, evolve, flat, lost, objective, unflat
from agent.continual.mixing import Stream
from agent.continual.shipped import shipped_starts
from agent.learners.attention import Attention
from agent.learners.base import Classes, Spec
from agent.learners.network import OnlineNetwork
from agent.learners.recency import Recency
from agent.nets import Layout
from agent.nets.plasticity import Plasticity
from agent.nets.starts import AttentionStart, NetworkStart, Starts
from agent.pretrain_starts import PrestartSettings, judged, prestart, stream_of

GOALS = {"classes": Spec(4, 3, codes=1, dated=True), "numbers": Spec(4, 0, codes=1, dated=True)}


def some(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def taught(attention: Attention) -> dict[str, torch.Tensor]:
    """Weights of an attention, by name, less their start, after 64 random rows."""
    x, y = torch.randn(1, 64, 3, generator=some(0)), torch.randint(2, (1, 64), generator=some(1))
    layout = Layout((("s", (3,)), ("h", (2,)), ("tau", (2,)), ("mu", (2,))))
    state = attention.begin(1)
    start = layout.split(state["fast"])
    for at in range(0, 64, 16):
        state = dict(attention.learn(state, x[:, at : at + 16], y[:, at : at + 16]))
    return {name: leaf - start[name] for name, leaf in layout.split(state["fast"]).items()}


@pytest.mark.parametrize("still", range(4))
def test_each_kind_of_attentions_weights_has_a_step_size_of_its_own(still: int) -> None:
    start = AttentionStart((0.5, 0.8), (0.01, 0.1), (0.3, 0.5))
    plain = taught(Attention(Spec(3, 2), slots=16, bank=16, start=start))
    rates = tuple(0.0 if at == still else 1.0 for at in range(4))
    moved = taught(Attention(Spec(3, 2), slots=16, bank=16, start=replace(start, rates=rates)))
    for at, name in enumerate(plain):
        assert bool(plain[name].abs().max() > 0)
        assert bool(moved[name].abs().max() > 0) == (at != still)


def test_one_rate_for_all_kinds_is_that_multiple_of_the_rate() -> None:
    start = AttentionStart((0.5, 0.8), (0.01, 0.1), (0.3, 0.5), (0.5, 0.5, 0.5, 0.5))
    halved = taught(Attention(Spec(3, 2), slots=16, start=start, rate=0.02))
    plain = replace(start, rates=(1.0, 1.0, 1.0, 1.0))
    for name, leaf in taught(Attention(Spec(3, 2), slots=16, start=plain, rate=0.01)).items():
        torch.testing.assert_close(halved[name], leaf)


def test_first_steps_of_a_network_are_those_of_their_kind_and_biases_have_their_own() -> None:
    how = Plasticity(start=NetworkStart(2, 3, 4, 5, bias=0.5))
    network = OnlineNetwork(Spec(3, 2), votes=2, hidden=4, rate=0.01, how=how)
    layout = Layout((("A", (4, 2)), ("W", (4, 4)), ("Z", (5, 2)), ("u", (2, 2))))
    steps = {k: v[0].exp() * 100 for k, v in layout.split(network.begin(1)["fast.step"]).items()}
    for name, size in (("A", 2.0), ("W", 3.0), ("Z", 4.0)):
        torch.testing.assert_close(steps[name][:-1], torch.full_like(steps[name][:-1], size))
        torch.testing.assert_close(steps[name][-1], torch.full_like(steps[name][-1], size / 2))
    torch.testing.assert_close(steps["u"], torch.full((2, 2), 5.0))


def test_a_fresh_network_says_what_the_first_weights_of_its_votes_say() -> None:
    first = NetworkStart(weights=(1.0, 0.0, 0.25, 0.75))
    network = OnlineNetwork(Spec(3, 2), votes=2, hidden=4, how=Plasticity(start=first))
    state = {**network.begin(1), "known": torch.zeros(1, 2)}
    vote = torch.log_softmax(torch.randn(1, 5, 2, 2, generator=some(0)), 3)
    said = network.said(state, network.forward(state, torch.zeros(1, 5, 3), vote))
    assert isinstance(said, Classes)
    torch.testing.assert_close(said.logp_TBVC[:, :, 0], vote[:, :, 0])
    mixed = torch.log_softmax(0.25 * vote[:, :, 0] + 0.75 * vote[:, :, 1], 2)
    torch.testing.assert_close(said.logp_TBVC[:, :, 1], mixed)


def test_first_weights_for_another_number_of_votes_are_left_aside() -> None:
    assert torch.equal(NetworkStart(weights=(0.1,) * 6).first_votes(2), torch.full((1, 2, 2), 0.5))
    assert NetworkStart(weights=(0.1,) * 6).first_votes(0).shape == (1, 2, 0)


def test_starts_come_back_from_their_names_and_from_flat() -> None:
    there = Starts(
        AttentionStart((0.3, 0.7), (0.0, 0.02), (0.2, 0.9), (1.0, 2.0, 0.5, 0.1)),
        NetworkStart(3.0, 0.5, 7.0, 0.2, 0.4),
    ).voting(3)
    assert Starts.of(there.named()) == there
    again = unflat(flat(there), there)
    for name, leaf in again.named().items():
        torch.testing.assert_close(leaf, there.named()[name])
    assert again.attention.recencies[0] == 0.0


def test_no_direction_leads_to_a_start_that_is_refused() -> None:
    plain = Starts().voting(2)
    for size in (-100.0, 100.0):
        far = unflat(flat(plain) + size, plain)
        assert set(far.attention.masses) == {float(size > 0)}
        assert max(far.attention.recencies) <= 1.0


def test_evolution_finds_the_bottom_of_a_noisy_bowl() -> None:
    bottom, noise = torch.linspace(-2, 2, 10, dtype=torch.float64), some(3)

    def loss(at: torch.Tensor) -> float:
        return float((at - bottom).square().sum())

    steps: list[int] = []
    found = evolve(
        torch.zeros(10, dtype=torch.float64),
        lambda pairs: [
            loss(one) - loss(other) + float(torch.randn((), generator=noise))
            for _, one, other in pairs
        ],
        StartsSettings(steps=120, streams=8, rate=0.3),
        some(0),
        lambda step, _: steps.append(step),
    )
    assert steps == list(range(120))
    assert loss(found) < 0.05 * loss(torch.zeros(10))


@pytest.mark.parametrize("goal", GOALS)
def test_the_loss_of_a_voice_is_that_of_what_it_says_row_by_row(goal: str) -> None:
    classes, rows = GOALS[goal].classes, 96
    draw = np.random.default_rng(0)
    y = draw.integers(3, size=rows).astype(np.float64) if classes else draw.normal(size=rows)
    x = draw.normal(size=(rows, 2)).astype(np.float32)
    stream = Stream(Spec(2, classes), x, y, np.arange(rows))
    recency = Recency(Spec(2, classes))
    labels = torch.from_numpy(y).unsqueeze(0)
    state, each = recency.begin(1), []
    for row in range(rows):
        one = labels[:, row : row + 1]
        one = one.long() if classes else one.float()
        x_TBF = torch.from_numpy(x[row]).view(1, 1, 2)
        said, state = recency.predict_then_learn(state, x_TBF, one)
        if isinstance(said, Classes):
            each.append(-said.logp_TBVC[0, 0, :, int(one)])
        else:
            each.append((said.mean_TBV[0, 0] - one[0]).abs())
    unit = 1.0 if classes else float(np.abs(y - np.sort(y)[(rows - 1) // 2]).mean())
    mean = torch.stack(each).clamp(max=10 * unit).mean(0) / unit
    found = lost(recency, stream)
    assert list(found) == [*recency.voices, "share"]
    np.testing.assert_allclose([found[name] for name in recency.voices], mean, rtol=1e-4)
    assert found["share"] < max(found[name] for name in recency.voices)


@pytest.mark.parametrize("goal", ["classes", "numbers"])
def test_training_starts_writes_them_and_a_card(goal: str, tmp_path: Path) -> None:
    small = PrestartSettings(
        goal="numbers" if goal == "numbers" else "classes",
        held=2,
        rows=96,
        processes=1,
        starts=StartsSettings(steps=2, streams=1),
    )
    lines: list[str] = []
    card = prestart(small, tmp_path, lines.append)
    written = json.loads((tmp_path / f"start-{goal}.json").read_text(encoding="utf-8"))
    assert written["sha256"] == card["sha256"]
    assert written["judged"]["objective"].keys() == {
        "plain",
        "found",
        "difference",
        "standard error",
    }
    starts = Starts.of(load_file(tmp_path / f"start-{goal}.safetensors"))
    assert starts.attention.bandwidths == tuple(written["start"]["attention"]["bandwidths"])
    assert starts.attention.bandwidths != AttentionStart().bandwidths
    assert len(lines) == 2
    assert lines[-1].endswith("from the plain start")


def test_the_difference_is_paired_and_its_error_that_of_a_mean() -> None:
    one = {"linear": 1.0, "hidden": 2.0, "share": 3.0}
    less = [0.1, 0.3, 0.2]
    found = judged([(one, {name: value - by for name, value in one.items()}) for by in less])
    for name in (*one, "objective"):
        assert found[name]["difference"] == pytest.approx(-0.2)
        assert found[name]["standard error"] == pytest.approx(0.1 / 3**0.5, rel=1e-3)
    assert objective(one) == found["objective"]["plain"] == 2.0


@pytest.mark.parametrize("goal", GOALS)
def test_the_agent_begins_where_the_shipped_start_says(goal: str) -> None:
    spec, settings = GOALS[goal], AgentSettings()
    starts = shipped_starts(spec)
    fast = default_agent(spec, settings).begin(1)
    named = fast["stack.attention.fast"][0, 2:7].exp().tolist()  # after the scales of 2 quantities
    assert named == pytest.approx(starts.attention.bandwidths)
    assert stack_of(spec, settings, Starts()).voices[0] == "attention 0.2 0"


@pytest.mark.parametrize("goal", GOALS)
def test_the_shipped_start_is_the_one_of_its_card_and_better_by_two_standard_errors(
    goal: str,
) -> None:
    folder = files("agent.continual") / "weights"
    raw = (folder / f"start-{goal}.safetensors").read_bytes()
    card = json.loads((folder / f"start-{goal}.json").read_text(encoding="utf-8"))
    assert card["sha256"] == hashlib.sha256(raw).hexdigest()
    assert "no real one" in card["trained on"]
    whole = card["judged"]["objective"]
    assert whole["difference"] < -2 * whole["standard error"]


def test_held_out_streams_are_not_those_trained_on() -> None:
    settings = PrestartSettings(rows=64)
    trained, held = (stream_of(settings, 1, held=held) for held in (False, True))
    assert trained.x_NF.shape != held.x_NF.shape or not np.array_equal(trained.x_NF, held.x_NF)


def test_the_command_trains_starts_and_refuses_a_part_that_is_none(tmp_path: Path) -> None:
    words = ["pretrain", "--streams", "1", "--held", "1", "--rows", "64", "--processes", "1"]
    done = CliRunner().invoke(app, [*words, "--part", "starts", "--out", str(tmp_path)])
    assert done.exit_code == 0
    assert "objective" in done.output
    assert {one.name for one in tmp_path.iterdir()} == {
        "start-classes.json",
        "start-classes.safetensors",
    }
    assert CliRunner().invoke(app, ["pretrain", "--part", "voices"]).exit_code == 2
