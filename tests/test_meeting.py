"""Where streams meet: what a new one gains by beginning there, on generated streams."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from agent.continual.abreast import of_task
from agent.continual.default import AgentSettings, default_agent
from agent.continual.meeting import COMMON, ORDERED, meet
from agent.encode import EncoderSettings
from agent.learners.base import Classes, Learner, Spec, State
from agent.service.prequential import Prequential
from agent.service.sharing import begin_from, lent
from streams.labels import PendingSettings
from streams.records import Event
from streams.schema import Schema

STREAMS, FEATURES, LANES = 4, 10, 32
Rule = Callable[[Tensor], Tensor]


def family(draw: torch.Generator) -> Callable[[], Rule]:
    """Streams that share a direction over four of ten features, each with a turn of its own."""
    of_use = (torch.arange(FEATURES) < 4).float()
    common = 2 * torch.randn(FEATURES, generator=draw) * of_use

    def member() -> Rule:
        own = 0.5 * torch.randn(STREAMS, 1, FEATURES, generator=draw) * of_use
        return lambda x: (x * (common + own)).sum(2)

    return member


def strangers(draw: torch.Generator) -> Callable[[], Rule]:
    """Streams that have nothing in common."""

    def member() -> Rule:
        own = torch.randn(STREAMS, 1, FEATURES, generator=draw)
        return lambda x: (x * own).sum(2)

    return member


def lived(
    learner: Learner, state: State, rule: Rule, blocks: int, draw: torch.Generator
) -> tuple[float, State]:
    """Mean loss in nats, or mean error, over so many blocks of all streams; states after."""
    losses: list[Tensor] = []
    with torch.inference_mode():
        for _ in range(blocks):
            x = torch.zeros(STREAMS, LANES, FEATURES + 1)
            x[..., :FEATURES] = torch.randn(STREAMS, LANES, FEATURES, generator=draw)
            y = rule(x[..., :FEATURES]) + 0.3 * torch.randn(STREAMS, LANES, generator=draw)
            y = (y > 0.5).long() if learner.spec.classes else y
            said, state = learner.predict_then_learn(state, x, y)
            if isinstance(said, Classes):
                losses.append(-said.marginal().gather(2, y.unsqueeze(2)).squeeze(2))
            else:
                losses.append((said.moments()[0] - y).abs())
    return float(torch.cat(losses, 1).mean()), state


def gain(classes: int, kin: Callable[[torch.Generator], Callable[[], Rule]]) -> float:
    """Share of the first 500 labels' loss that a new stream is spared by beginning there."""
    draw = torch.Generator().manual_seed(1)
    learner = default_agent(Spec(FEATURES + 1, classes, dated=True), AgentSettings())
    member, fresh = kin(draw), learner.begin(STREAMS)
    _, taught = lived(learner, fresh, member(), 40, draw)
    states = [of_task(taught, task, STREAMS) for task in range(STREAMS)]
    start = meet(states, of_task(fresh, 0, STREAMS), ordered=True)
    there = {
        name: leaf.repeat_interleave(STREAMS, 0) if name in (*COMMON, *ORDERED) else fresh[name]
        for name, leaf in start.items()
    }
    new, came = member(), draw.get_state()
    shipped, _ = lived(learner, fresh, new, 16, draw)
    draw.set_state(came)
    met, _ = lived(learner, there, new, 16, draw)
    return 1 - met / shipped


@pytest.mark.parametrize(("classes", "least"), [(2, 0.12), (0, 0.05)], ids=["classes", "number"])
def test_a_new_stream_gains_by_beginning_where_its_kin_meet(classes: int, least: float) -> None:
    assert gain(classes, family) > least


@pytest.mark.parametrize("classes", [2, 0], ids=["classes", "number"])
def test_a_new_stream_loses_nothing_by_beginning_where_strangers_meet(classes: int) -> None:
    assert gain(classes, strangers) > -0.01


def states() -> tuple[State, list[State]]:
    learner = default_agent(Spec(4, 2, dated=True), AgentSettings(slots=16, bank=0, hidden=8))
    taught, draw = [], torch.Generator().manual_seed(0)
    for _ in range(2):
        x = torch.randn(1, LANES, 4, generator=draw)
        x[..., -1] = 0.0
        taught.append(learner.learn(learner.begin(1), x, (x[..., 0] > 0).long()))
    return learner.begin(1), taught


def test_only_parameters_meet_halfway_if_so_asked() -> None:
    start, (one, other) = states()
    met = meet([one, other], start, 0.5)
    moved = {name for name in start if not torch.equal(met[name], start[name])}
    assert moved == {name for name in COMMON if not torch.equal(one[name], start[name])}
    assert "mixer" in moved
    expected = (start["mixer"] + (one["mixer"] + other["mixer"]) / 2) / 2
    assert torch.allclose(met["mixer"], expected, atol=1e-6)
    assert not torch.equal(meet([one], start, ordered=True)[ORDERED[0]], start[ORDERED[0]])
    assert all(torch.equal(meet([one], start, 0.0)[name], start[name]) for name in start)
    with pytest.raises(ValueError, match="rate is 2"):
        meet([one], start, 2)


def test_what_is_not_finite_or_of_another_size_meets_nobody() -> None:
    start, (one, other) = states()
    broken = {**other, "mixer": torch.full_like(other["mixer"], torch.nan)}
    wide = {**other, "mixer": torch.zeros(1, 7)}
    assert torch.equal(meet([one, broken, wide], start)["mixer"], meet([one], start)["mixer"])


def test_a_shard_begins_from_what_others_lent_and_only_at_its_beginning() -> None:
    def made() -> Prequential:
        agent = AgentSettings(device="cpu", slots=16, bank=0, hidden=8)
        schema = Schema({"a": "numeric"}, classes=("no", "yes"))
        return Prequential.build(schema, agent, EncoderSettings(), PendingSettings())

    old, new, plain = made(), made(), made()
    records = [
        Event(str(at), "k", float(at), (float(at % 7),), "yes" if at % 7 > 3 else "no")
        for at in range(96)
    ]
    old.feed(records)
    begin_from(new, [], ordered=True)
    assert new.fingerprint() == plain.fingerprint()
    begin_from(new, [lent(old)], ordered=True)
    assert all(torch.equal(lent(new)[name], leaf) for name, leaf in lent(old).items())
    assert new.feed(records[:1]).predictions
    with pytest.raises(ValueError, match="it began long ago"):
        begin_from(new, [lent(old)])
