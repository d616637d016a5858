"""Robots elsewhere: what is acted upon, what is learned, and the way over a real broker."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from typing_extensions import override

from agent.control.controller import Noticed
from agent.learners.base import State
from agent.robot.controllers import RobotSpec
from agent.robot.far import Desk, Fresh
from streams.kafka.duplex import Arrived
from tests.broker import Broker
from tests.robots import EXAMPLES, Wanderer

ROOT = Path(__file__).parent.parent
SPEC = RobotSpec("Toy", 2, 2, 0.1)


class Pupil(Wanderer):
    """Keeps what it is taught."""

    def __init__(self) -> None:
        self.taught: list[tuple[list[float], list[float], list[float]]] = []
        self.resets = 0

    @override
    def learn(
        self, state: State, obs_NO: Tensor, action_NA: Tensor, next_NO: Tensor
    ) -> tuple[State, Noticed]:
        self.taught.append((obs_NO[0].tolist(), action_NA[0].tolist(), next_NO[0].tolist()))
        return super().learn(state, obs_NO, action_NA, next_NO)

    @override
    def reset(self, state: State, fresh_N: Tensor) -> State:
        self.resets += 1
        return super().reset(state, fresh_N)


def desk(robots: int = 1) -> tuple[Desk, Pupil]:
    pupil = Pupil()
    return Desk(pupil, SPEC, robots, stale=0.1), pupil


def word(step: int, at: float = 0.0, robot: str = "a", **more: Any) -> Arrived:
    body = {"robot": robot, "step": step, "observation": [float(step), 0.0], **more}
    return Arrived(robot.encode(), json.dumps(body).encode(), at, f"t[0]@{step}")


def steps(fresh: list[Fresh]) -> list[int]:
    return [one.word.step for one in fresh]


def dropped(one: Desk) -> dict[str, int]:
    return {reason: count for reason, count in one.dropped.items() if count}


def test_a_transition_is_learned_with_the_action_that_was_told() -> None:
    one, pupil = desk()
    _, fresh = one.take([word(0)], 0.0)
    (answer,) = one.act(fresh, [], 0.02)
    assert (answer.robot, answer.step, answer.age) == ("a", 0, 0.02)
    lessons, fresh = one.take([word(1, 0.1, reward=2.0)], 0.1)
    ((before, action, after),) = pupil.taught
    assert (before, after) == ([0, 0], [1, 0])
    assert action == pytest.approx(list(answer.action))
    assert lessons[0].reward == (2.0,)
    (answer,) = one.act(fresh, lessons, 0.1)
    assert answer.body == 1
    assert one.steps == 2


def test_the_robots_own_word_of_what_it_did_goes_before() -> None:
    one, pupil = desk()
    one.act(one.take([word(0)], 0.0)[1], [], 0.0)
    one.take([word(1, 0.1, action=[0.5, -0.5])], 0.1)
    assert pupil.taught[0][1] == [0.5, -0.5]


def test_no_observation_is_answered_twice() -> None:
    one, pupil = desk()
    assert steps(one.take([word(3)], 0.0)[1]) == [3]
    assert steps(one.take([word(3), word(2)], 0.0)[1]) == []
    assert dropped(one) == {"duplicate": 2}
    assert pupil.taught == []


def test_a_stale_observation_is_not_acted_upon_but_what_it_shows_is_learned() -> None:
    one, pupil = desk()
    one.act(one.take([word(0)], 0.0)[1], [], 0.0)
    _, fresh = one.take([word(1, at=0.1)], wall=0.21)
    assert fresh == []
    assert dropped(one) == {"stale": 1}
    assert len(pupil.taught) == 1


def test_of_several_that_wait_the_newest_is_acted_upon() -> None:
    one, pupil = desk()
    late = [word(0), word(1, action=[1, 0]), word(2, action=[0, 1])]
    assert steps(one.take(late, 0.0)[1]) == [2]
    assert dropped(one) == {"overtaken": 2}
    assert [taught[1] for taught in pupil.taught] == [[1, 0], [0, 1]]


def test_nothing_is_learned_over_a_gap_a_reset_or_an_action_that_nobody_knows() -> None:
    one, pupil = desk()
    one.act(one.take([word(0)], 0.0)[1], [], 0.0)
    one.take([word(2, action=[0, 0])], 0.0)
    one.take([word(3, reset=True, action=[0, 0])], 0.0)
    one.take([word(4)], 0.0)
    assert pupil.taught == []
    assert pupil.resets == 1


def test_a_robot_that_counts_anew_says_so() -> None:
    one, _ = desk()
    one.take([word(7, 1.0)], 1.0)
    assert steps(one.take([word(0, 1.0, reset=True)], 1.0)[1]) == []
    assert steps(one.take([word(0, 1.1, reset=True)], 1.1)[1]) == [0]
    assert steps(one.take([word(0, 1.1, reset=True)], 1.1)[1]) == []
    assert dropped(one) == {"duplicate": 2}


@pytest.mark.parametrize(
    "value",
    [b"", b"{", b'{"step": 0}', b'{"step": 0, "observation": [1]}',
     b'{"step": 0, "observation": [1, NaN]}', b'{"step": 0, "observation": [1, 1e999]}',
     b'{"step": 0, "observation": [1, 2], "action": [1]}', b'{"step": "0", "observation": [1, 2]}'],
)  # fmt: skip
def test_what_is_no_observation_is_dropped_and_counted(value: bytes) -> None:
    one, _ = desk()
    assert one.take([Arrived(None, value, 0.0, "t[0]@0")], 0.0) == ([], [])
    assert dropped(one) == {"broken": 1}


def test_several_robots_have_minds_of_their_own() -> None:
    one, pupil = desk(2)
    both = [word(0, robot="a"), word(0, robot="b"), word(0, robot="c")]
    _, fresh = one.take(both, 0.0)
    assert [answer.robot for answer in one.act(fresh, [], 0.0)] == ["a", "b"]
    assert dropped(one) == {"too many": 1}
    one.take([word(1, robot="b")], 0.0)
    assert one._mind["age"].tolist() == [0, 1]
    assert len(pupil.taught) == 1


def test_what_was_learned_and_how_far_robots_counted_outlives_a_restart() -> None:
    one, _ = desk()
    for step in range(3):
        one.act(one.take([word(step)], 0.0)[1], [], 0.0)
    arrays, meta = one.photograph()
    other, pupil = desk()
    assert other.restore(arrays, json.loads(json.dumps(meta)))
    assert torch.equal(other._mind["mean"], one._mind["mean"])
    assert steps(other.take([word(2)], 0.0)[1]) == []
    assert steps(other.take([word(3, action=[0, 0])], 0.0)[1]) == [3]
    assert pupil.taught == []


@contextmanager
def serving(
    folder: Path, broker: Broker, seen: str, done: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `adaptd robot serve` on the example; wait until it answers."""
    log = folder / f"serve-{time.monotonic_ns()}.log"
    put = {"bootstrap": broker.bootstrap, "events": seen, "predictions": done}
    flags = [word for name, value in put.items() for word in ("--set", f"far.kafka.{name}={value}")]
    command = [sys.executable, "-m", "agent", "robot", "serve", str(EXAMPLES / "far.toml")]
    command += [*flags, "--port", "0", "--checkpoints", str(folder / "ck")]
    command += ["--set", "far.stale_steps=40"]  # a busy machine is slow, which is no matter here
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=ROOT)
    try:
        until = time.monotonic() + 60
        while b'"answering"' not in log.read_bytes():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait(10)


def answers(broker: Broker, done: str, count: int) -> list[int]:
    return [json.loads(one.value)["step"] for one in broker.read(done, count, 2.0)]


@pytest.mark.slow
@pytest.mark.kafka
def test_a_robot_over_a_broker_is_answered_once_a_step_over_a_restart(
    broker: Broker, tmp_path: Path
) -> None:
    """Two processes that load torch: nothing less shows the way of an action and back."""
    seen, done = broker.topic("observations"), broker.topic("actions")
    broker.preload(seen, [b'{"step": 0, "observation": [1, 2, 3]}'])  # nobody reads yet
    example = str(EXAMPLES / "far_robot.py")
    lives: list[list[int]] = []
    for _ in range(2):
        with serving(tmp_path, broker, seen, done) as process:
            command = [sys.executable, example, broker.bootstrap, seen, done, "15"]
            told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
            assert " of 15 actions in time" in told.stdout
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        before = sum(map(len, lives))
        lives.append(answers(broker, done, before + 16)[before:])
    for life in lives:
        assert life == sorted(set(life)), "twice, or out of order"
        assert set(life) <= set(range(15))
        assert len(life) >= 5  # on a busy machine some are overtaken
