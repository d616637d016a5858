"""Weights out and back in: the same answers, or a clear word why not."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agent.learners.base import Classes, Numbers, Spec
from agent.learners.meta import Meta
from agent.learners.registry import every_learner, goal
from agent.training.weights import CARD, WEIGHTS, Card, WeightsError, card_of, load, save

ENTRIES = every_learner()
SPECS = {"classes": Spec(5, 3), "number": Spec(5, 0), "numbers": Spec(5, 0, 3)}
NAMES = [name for name, entry in ENTRIES.items() if entry.outer != "none"]


def saved(folder: Path, name: str = "maml", spec: Spec = SPECS["classes"]) -> Meta:
    """Write a learner whose weights are not those of its seed."""
    entry = ENTRIES[name]
    options = entry.options()
    learner = entry(spec, options)
    assert isinstance(learner, Meta)
    with torch.no_grad():
        for leaf in learner.parameters():
            leaf.mul_(1.01)
    save(folder, learner.eval(), Card.of(name, options, spec, tasks="mixtures", date="2026-11-23"))
    return learner


def answers(learner: Meta, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    said = learner.predict(learner.learn(learner.begin(1), x, y), x)
    return said.marginal() if isinstance(said, Classes) else said.moments()[0]


@pytest.mark.parametrize("name", NAMES)
def test_every_learner_that_is_trained_comes_back_with_the_same_answers(
    name: str, tmp_path: Path
) -> None:
    spec = SPECS[ENTRIES[name].goals[-1]]
    learner = saved(tmp_path, name, spec)
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(1, 6, 5, generator=draw)
    y = torch.randn(1, 6, 3, generator=draw) if spec.regression else torch.arange(6)[None] % 3
    if goal(spec) == "number":
        y = y[..., 0]
    again = load(tmp_path)
    assert not again.training
    assert type(again) is type(learner)
    assert torch.equal(answers(again, x, y), answers(learner, x, y))


def test_weights_trained_at_three_ways_serve_seven(tmp_path: Path) -> None:
    learner = saved(tmp_path)
    wide = load(tmp_path / WEIGHTS, classes=7)
    assert wide.spec == Spec(5, 7)
    weights = learner.state_dict()
    assert all(torch.equal(leaf, weights[name]) for name, leaf in wide.state_dict().items())


def test_a_card_says_what_the_weights_are_of_to_programs_and_to_people(tmp_path: Path) -> None:
    saved(tmp_path)
    card = card_of(tmp_path)
    assert (card.learner, card.tasks, card.date) == ("maml", "mixtures", "2026-11-23")
    assert card.options["body"]["hidden"] == [40, 40]
    text = (tmp_path / "card.md").read_text()
    assert text.startswith("# maml on mixtures\n")
    assert card.sha256 in text


def _edit(folder: Path, **changes: object) -> None:
    path = folder / CARD
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_options_that_are_not_the_default_come_back(tmp_path: Path) -> None:
    entry = ENTRIES["maml"]
    options = replace(entry.options(), rate=0.25)
    learner = entry(SPECS["number"], options)
    assert isinstance(learner, Meta)
    save(tmp_path, learner, Card.of("maml", options, SPECS["number"]))
    again = load(tmp_path)
    assert again.options == options
    x, y = torch.ones(1, 2, 5), torch.ones(1, 2)
    said = [one.predict(one.learn(one.begin(1), x, y), x) for one in (learner, again)]
    assert isinstance(said[0], Numbers)
    assert isinstance(said[1], Numbers)
    assert torch.equal(said[0].mean_TBV, said[1].mean_TBV)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 2}, "format 2, this version reads 1"),
        ({"learner": "mamml"}, "did you mean maml?"),
        ({"options": {"ratee": 1.0}}, "ratee: unknown key: did you mean rate?"),
        ({"spec": {"features": 6, "classes": 3, "outputs": 1}}, r"start.w0: \(5, 40\) in the file"),
        ({"sha256": "0"}, "not those that the card is of"),
        ({"surprise": 1}, "no card"),
    ],
)
def test_a_card_that_does_not_fit_is_refused_with_the_reason(
    changes: dict[str, object], said: str, tmp_path: Path
) -> None:
    saved(tmp_path)
    _edit(tmp_path, **changes)
    with pytest.raises(WeightsError, match=said):
        load(tmp_path)


def test_weights_that_are_missing_or_cut_short_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no card"):
        load(tmp_path)
    saved(tmp_path)
    (tmp_path / WEIGHTS).write_bytes((tmp_path / WEIGHTS).read_bytes()[:-4])
    with pytest.raises(WeightsError, match="cannot be read"):
        load(tmp_path)
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        load(tmp_path)
