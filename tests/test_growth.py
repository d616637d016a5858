"""Blocks of a young stream: small, so that the first labels count at once."""

import numpy as np
import pytest
import torch

from agent.continual.default import AgentSettings
from agent.continual.growth import enough
from agent.encode import EncoderSettings
from agent.service.block import Block
from agent.service.prequential import Prequential
from streams.labels import PendingSettings
from streams.records import Event, Record
from streams.schema import Schema


def test_blocks_grow_with_what_is_known() -> None:
    found = [enough(learned, 32, 0.25) for learned in (0, 1, 7, 8, 40, 127, 128, 10_000)]
    assert found == [1, 1, 1, 2, 10, 31, 32, 32]


def test_without_growth_all_blocks_are_whole() -> None:
    assert enough(0, 32, 0.0) == 32


def test_a_block_is_full_of_labels_or_of_lanes() -> None:
    block = Block.empty(4, 3, enough=2)
    row = np.zeros(2, np.float32)
    block.teach(row, 1.0, 0)
    assert not block.full
    block.teach(row, 0.0, 0)
    assert block.full
    again = Block.empty(4, 3, enough=2)
    again.restore(block.snapshot())
    assert again.full
    wide = Block.empty(2, 3)
    wide.teach(row, 1.0, 0)
    assert not wide.full
    wide.teach(row, 1.0, 0)
    assert wide.full


def _agent(growth: float, classes: tuple[str, ...] = ("no", "yes")) -> Prequential:
    agent = AgentSettings(device="cpu", block=8, slots=32, bank=0, hidden=8, growth=growth)
    schema = Schema({"x": "numeric", "y": "numeric"}, classes=classes)
    return Prequential.build(schema, agent, EncoderSettings(), PendingSettings())


def _events(count: int) -> list[Record]:
    draw = np.random.default_rng(3)
    rows = draw.normal(size=(count, 2))
    return [
        Event(f"e{i}", "", float(i), (float(x), float(y)), "yes" if x > 0 else "no")
        for i, (x, y) in enumerate(rows)
    ]


def test_states_at_whole_blocks_are_the_same_with_growth_and_without() -> None:
    quick, patient = _agent(0.25), _agent(0.0)
    events = _events(64)
    for at in (8, 24, 40, 64):
        for one in (quick, patient):
            one.feed(events[one.records : at])
        for (name, mine), its in zip(
            _learner(quick).items(), _learner(patient).values(), strict=True
        ):
            assert torch.equal(mine, its), name


def _learner(one: Prequential) -> dict[str, torch.Tensor]:
    leaves = one.snapshot()[0].items()
    return {k: torch.as_tensor(v) for k, v in leaves if k.startswith("learner/")}


def test_a_young_stream_is_answered_by_its_first_labels() -> None:
    events = _events(8)
    quick, patient = (_agent(growth).feed(events).predictions for growth in (0.25, 0.0))
    same = [one == other for one, other in zip(quick, patient, strict=True)]
    assert same[0]
    assert not any(same[4:])  # until two classes are known, one is sure


@pytest.mark.parametrize("cut", [1, 3, 8, 11, 13, 30])
def test_a_restart_amid_a_provisional_block_changes_nothing(cut: int) -> None:
    events = _events(40)
    whole, first, second = (_agent(0.25) for _ in range(3))
    told = whole.feed(events).predictions
    early = first.feed(events[:cut]).predictions
    second.restore(*first.snapshot())
    assert early + second.feed(events[cut:]).predictions == told
    assert second.fingerprint() == whole.fingerprint()


def test_a_new_class_amid_a_provisional_block() -> None:
    events = _events(20)
    strange = Event("s", "", 9.0, (0.0, 0.0), "perhaps")
    one = _agent(0.25)
    told = one.feed([*events[:10], strange, *events[10:]])
    assert len(told.predictions) == 21
    assert one.classes == ("no", "yes", "perhaps")
