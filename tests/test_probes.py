"""Probes of memory: what today's agent loses on the tasks that it once learned."""

import json
import math
from collections.abc import Mapping

import numpy as np
import pytest

from agent.continual.default import AgentSettings
from agent.encode import EncoderSettings
from agent.service.health import Health
from agent.service.metrics import Metrics
from agent.service.prequential import Prequential
from agent.service.probes import Probes, ProbeSettings, Rows, Truths
from agent.service.report import Memory, Probed, Step
from agent.service.status import About, Status
from agent.service.tally import Tally
from streams.labels import PendingSettings
from streams.records import Event, Record
from streams.schema import Schema

SMALL = ProbeSettings(every=32, rows=4, tasks=3, segment=64)


class Agent:
    """Knows the last `reach` labels; the loss of a row is how far behind them it lies."""

    def __init__(self, reach: float = 0.0) -> None:
        self.now, self.reach = 0.0, reach
        self.asked: list[list[float]] = []
        self.current: int | None = None

    def loss(self, x_RF: Rows, y_R: Truths) -> float:
        self.asked.append(y_R.tolist())
        np.testing.assert_array_equal(x_RF[:, 0], y_R.astype(np.float32))
        return float(np.maximum(self.now - self.reach - y_R, 0).mean())

    def task(self) -> int | None:
        return self.current

    def plasticity(self) -> Mapping[str, float]:
        return {"effective_rank": self.now}


def teach(probes: Probes, agent: Agent, labels: range, block: int = 8) -> None:
    """Each label is its own number, and so is its row."""
    for at in range(labels.start, labels.stop, block):
        y = np.arange(at, at + block, dtype=np.float64)
        agent.now = y[-1]
        probes.learned(y[:, None].astype(np.float32), y, np.ones(block, np.bool_))


def test_what_is_forgotten_is_the_rise_of_the_loss_since_a_task_was_left() -> None:
    agent = Agent()
    probes = Probes(SMALL, 1, agent)
    teach(probes, agent, range(64))
    assert probes.memory().tasks == ()
    teach(probes, agent, range(64, 128))
    (first,) = probes.memory().tasks
    rows = np.array([0, 16, 32, 48])
    assert first.left == 63 - rows.mean()  # at the last look before it was left
    assert first.loss == 127 - rows.mean()
    assert probes.memory().forgetting == 127 - 63
    assert probes.memory().plasticity == {"effective_rank": 127}


def test_rows_are_spread_evenly_over_a_task_however_long() -> None:
    agent = Agent()
    agent.current = 7
    probes = Probes(ProbeSettings(every=10**6, rows=8, tasks=3, segment=8), 1, agent)
    teach(probes, agent, range(1000))
    kept = probes._probes[7]
    spacing = np.diff(kept.y_R[: kept.kept])
    assert set(spacing.tolist()) == {float(kept.stride)}
    assert 4 <= kept.kept <= 8
    assert kept.y_R[kept.kept - 1] >= 1000 - 2 * kept.stride


def test_the_task_current_longest_ago_is_dropped_and_a_returned_one_is_kept() -> None:
    agent = Agent()
    probes = Probes(SMALL, 1, agent)
    for turn, task in enumerate([0, 1, 2, 0, 3]):
        agent.current = task
        teach(probes, agent, range(32 * turn, 32 * turn + 32))
    assert set(probes._probes) == {0, 2, 3}
    assert [one.task for one in probes.memory().tasks] == [0, 2]


def test_a_task_that_flashes_by_leaves_no_figure() -> None:
    agent = Agent()
    probes = Probes(ProbeSettings(every=1, rows=16, tasks=4, segment=16), 1, agent)
    for turn, task in enumerate([0, 0, 1, 0, 0, 1]):
        agent.current = task
        teach(probes, agent, range(8 * turn, 8 * turn + 8))
    assert [one.task for one in probes.memory().tasks] == [0]
    assert math.isfinite(probes.memory().forgetting)


def test_a_look_asks_the_current_task_and_one_old_one_so_its_cost_is_bounded() -> None:
    agent = Agent()
    probes = Probes(SMALL, 1, agent)
    teach(probes, agent, range(192))
    agent.asked.clear()
    teach(probes, agent, range(192, 192 + 32))
    assert len(agent.asked) == 2
    assert all(len(rows) <= SMALL.rows for rows in agent.asked)


@pytest.mark.parametrize("cut", [0, 40, 104, 200])
def test_a_restored_one_goes_on_as_if_nothing_had_been(cut: int) -> None:
    whole_agent, agent = Agent(), Agent()
    whole, one = Probes(SMALL, 1, whole_agent), Probes(SMALL, 1, agent)
    teach(whole, whole_agent, range(320))
    teach(one, agent, range(cut))
    kept = one.snapshot()
    other = Probes(SMALL, 1, agent)
    other.restore(kept)
    teach(one, agent, range(cut, 320))
    teach(other, agent, range(cut, 320))
    assert other.memory() == one.memory() == whole.memory()


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="segment is 8; give 64"):
        ProbeSettings(segment=8)
    with pytest.raises(ValueError, match="every is -1"):
        ProbeSettings(every=-1)


def _stream(labels: int) -> list[Record]:
    """The class is the sign of `a`; halfway it turns round."""
    draw = np.random.default_rng(0)
    a = draw.normal(size=labels)
    turned = np.arange(labels) >= labels // 2
    return [
        Event(str(i), "k", float(i), (value,), "up" if (value > 0) ^ late else "down")
        for i, (value, late) in enumerate(zip(a.tolist(), turned.tolist(), strict=True))
    ]


def _learner(probes: ProbeSettings | None, *, tasks: bool = False) -> Prequential:
    return Prequential.build(
        Schema(fields={"a": "numeric"}),
        AgentSettings(slots=64, tasks=tasks),
        EncoderSettings(),
        PendingSettings(),
        probes=probes,
    )


def test_an_agent_whose_world_turned_round_has_forgotten_and_probing_teaches_nothing() -> None:
    settings = ProbeSettings(every=128, rows=32, tasks=4, segment=640)
    probed, plain = _learner(settings), _learner(None)
    stream = _stream(1_280)
    first = [one.feed(stream[:640]).predictions for one in (probed, plain)]
    assert probed.memory().tasks == ()
    said = [one.feed(stream[640:]).predictions for one in (probed, plain)]
    assert (first[0], said[0]) == (first[1], said[1])
    memory = probed.memory()
    assert [one.task for one in memory.tasks] == [0]
    assert memory.tasks[0].left < 0.7
    assert memory.forgetting > 0.5
    assert plain.memory() == Memory()


def test_a_mixture_at_the_table_says_whose_rows_they_are_and_the_network_how_able_it_is() -> None:
    settings = ProbeSettings(every=64, rows=8, tasks=4, segment=128)
    learner = _learner(settings, tasks=True)
    learner.feed(_stream(640))
    report = learner.tasks()
    assert report is not None
    assert report.current in learner._probes._probes
    assert learner._probes._probes[report.current].met >= 128  # no segment's number
    assert {"effective_step", "dormant_units", "effective_rank"} <= set(learner.memory().plasticity)


def test_probes_are_part_of_the_checkpoint() -> None:
    settings = ProbeSettings(every=64, rows=8, tasks=4, segment=128)
    stream = _stream(512)
    whole, first = _learner(settings), _learner(settings)
    whole.feed(stream)
    first.feed(stream[:300])
    second = _learner(settings)
    second.restore(*first.snapshot())
    second.feed(stream[300:])
    assert second.fingerprint() == whole.fingerprint()
    assert second.memory().tasks == whole.memory().tasks != ()


def test_what_is_known_is_served_and_exported() -> None:
    tasks = (Probed(0, 64, 0.25, 0.5), Probed(3, 64, 0.5, 0.75))
    tally, health = Tally("classes"), Health(lambda: 0.0)
    about = About("1", "a test")
    tally(Step(now=1.0, wall=1.0, memory=Memory(tasks, {"dormant_units": 0.125})))
    text = Metrics(about, tally, health, lambda: 1.0).text()[0].decode()
    assert "\nadaptd_probe_loss_nats 0.625\n" in text
    assert "\nadaptd_forgetting_nats 0.25\n" in text
    assert "\nadaptd_probed_tasks 2.0\n" in text
    assert "\nadaptd_dormant_units_ratio 0.125\n" in text
    told = json.loads(Status(about, tally, health, lambda: 1.0).now())["figures"]["memory"]
    assert told["tasks"][1] == {"task": 3, "rows": 64, "left": 0.5, "loss": 0.75}
    names, rows = tally.history("run")
    assert dict(zip(names, rows[0].tolist(), strict=True))["memory_left"] == 0.375
