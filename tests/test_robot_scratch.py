"""A robot that nobody trained anything for: it learns its dynamics, and knows bodies again."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor

from agent.control.mppi import MppiSettings
from agent.learners.base import State
from agent.robot.alarm import Alarm, AlarmSettings
from agent.robot.bodies import Suspects, Verdict, room_for
from agent.robot.features import Features, fitted, fresh, taught
from agent.robot.scratch import Scratch, ScratchSettings
from tests.robots import EXAMPLES

SETTINGS = ScratchSettings(
    babble=60,
    hidden=20,
    last=12,
    mppi=MppiSettings(candidates=48, anew=0.0, horizon=4, noise=(0.6, 0.2), temperature=0.1),
    alarm=AlarmSettings(settle=20),
)


def home(obs_NCO: Tensor, action_NCA: Tensor, left: int) -> Tensor:
    del action_NCA, left
    return -obs_NCO.square().sum(-1)


def moved(obs_NO: Tensor, action_NA: Tensor, gain: float) -> Tensor:
    """A cart in two directions that leaks; `gain` is that of its second motor."""
    push_NO = torch.stack([action_NA[:, 0], gain * action_NA[:, 1]], 1)
    return 0.95 * obs_NO + 0.3 * push_NO + 0.05 * torch.sin(obs_NO)


def lived(
    steps: int, gains: dict[int, float], seed: int = 0
) -> tuple[list[str], list[float], State]:
    """Live so long; give what was noticed, how far from home it was, and the state."""
    robot = Scratch(SETTINGS, 2, 2, home)
    draw = torch.Generator().manual_seed(seed)
    state, obs_NO = robot.begin(1), torch.tensor([[2.0, -2.0]])
    told, far, gain = [], [], 1.0
    for step in range(steps):
        gain = gains.get(step, gain)
        state, action_NA = robot.act(state, obs_NO, draw)
        noise_NO = 0.003 * torch.randn(1, 2, generator=draw)
        next_NO = moved(obs_NO, action_NA, gain) + noise_NO
        state, noticed = robot.learn(state, obs_NO, action_NA, next_NO)
        if noticed.change[0]:
            told.append(f"{noticed.change[0]} {int(noticed.body_N[0])} @{step}")
        obs_NO = next_NO
        far.append(float(obs_NO.norm()))
        if step % 25 == 0:
            obs_NO = obs_NO + torch.tensor([[1.0, 1.0]])
    return told, far, state


def test_it_learns_from_nothing_and_goes_home() -> None:
    told, far, state = lived(140, {})
    assert told == []
    assert sum(far[100:]) / 40 < 0.4 * sum(far[20:60]) / 40
    assert int(state["number"].max()) == 0


def test_a_motor_that_turns_round_is_noticed_guessed_and_known_again() -> None:
    told, far, state = lived(420, {180: -1.0, 300: 1.0}, seed=3)
    kinds = [(one.split("@")[0].strip(), int(one.split("@")[1])) for one in told]
    assert [kind for kind, _ in kinds] == ["new 1", "returned 0"]
    assert 180 <= kinds[0][1] < 200
    assert 300 <= kinds[1][1] < 320
    assert state["gain"][0, 1].tolist() == [1.0, -1.0]
    assert sum(far[210:300]) / 90 < 1.5 * sum(far[90:180]) / 90


def heard(surprises: list[float]) -> list[int]:
    """The steps of alarms."""
    alarm = Alarm(AlarmSettings(settle=30))
    state, found = alarm.begin(1), []
    for at, surprise in enumerate(surprises):
        state, raised_N = alarm.hear(state, torch.tensor([surprise]))
        if raised_N[0]:
            found.append(at)
    return found


def noise(steps: int, seed: int) -> list[float]:
    draw = torch.Generator().manual_seed(seed)
    found: list[float] = torch.randn(steps, generator=draw).mul(0.5).exp().tolist()
    return found


def test_an_alarm_wants_several_steps_and_is_raised_once() -> None:
    calm = noise(400, 0)
    assert heard([*calm[:200], 50.0, *calm[200:]]) == []
    (at,) = heard([*calm[:200], *(50 * one for one in calm[200:])])
    assert 202 <= at <= 206


def test_there_is_no_alarm_without_a_change() -> None:
    assert [heard(noise(3000, seed)) for seed in range(5)] == [[]] * 5


def test_weights_row_by_row_are_those_of_all_rows_at_once() -> None:
    draw = torch.Generator().manual_seed(1)
    phi_NRD = torch.randn(2, 30, 5, generator=draw)
    change_NRO = torch.randn(2, 30, 3, generator=draw)
    weight_NDO, unsure_NDD = fresh(2, 5, 3, prior=10.0)
    for row in range(30):
        weight_NDO, unsure_NDD = taught(
            weight_NDO, unsure_NDD, phi_NRD[:, row], change_NRO[:, row], 1.0
        )
    once_NDO, once_NDD = fitted(phi_NRD, change_NRO, 10.0)
    torch.testing.assert_close(weight_NDO, once_NDO)
    torch.testing.assert_close(unsure_NDD, once_NDD)


def test_features_hold_the_row_itself() -> None:
    features = Features.draw(3, 7, 0)
    x_XF = torch.tensor([[0.1, -0.2, 0.3]])
    assert features(x_XF).shape == (1, features.width) == (1, 11)
    assert torch.equal(features(x_XF)[0, :4], torch.tensor([1.0, 0.1, -0.2, 0.3]))


def judged(truth: list[float], remembered: list[list[float]]) -> Verdict:
    """Judge 8 steps of motors whose sum is seen, of a body with these true gains."""
    action_KA = torch.randn(8, 2, generator=torch.Generator().manual_seed(2)).double()
    weight_DO = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).double()
    change_KO = (torch.tensor(truth).double() * action_KA) @ weight_DO
    gain_MA = torch.tensor(remembered)
    return Suspects(
        lambda gain_A: gain_A * action_KA, change_KO, torch.full((2,), 0.05),
        weight_DO.repeat(len(remembered), 1, 1), gain_MA, range(len(remembered)), 0,
    ).judge(4.0)  # fmt: skip


@pytest.mark.parametrize("truth", [[1, -1], [0, 1], [0.5, 1], [-1, 0]])
def test_other_motors_are_guessed_two_at_a_time(truth: list[float]) -> None:
    verdict = judged(truth, [[1.0, 1.0]])
    assert verdict.explained
    assert not verdict.known
    assert verdict.gain_A.tolist() == truth


def test_a_body_that_is_remembered_goes_before_a_guess() -> None:
    verdict = judged([1, -1], [[1.0, 1.0], [1.0, -1.0]])
    assert (verdict.known, verdict.slot) == (True, 1)


def test_what_no_motor_explains_is_said_to_be_unexplained() -> None:
    verdict = judged([7, -9], [[1.0, 1.0]])
    assert not verdict.explained


def test_a_new_body_takes_an_empty_slot_else_the_least_recently_used_one() -> None:
    used_M = torch.tensor([50, 90, 70])
    assert room_for(torch.tensor([0, 1, -1]), used_M, 0) == 2
    assert room_for(torch.tensor([0, 1, 2]), used_M, 0) == 2
    assert room_for(torch.tensor([0, 1, 2]), used_M, 2) == 0
    assert room_for(torch.tensor([0]), used_M[:1], 0) == 0


@pytest.mark.slow
def test_the_ten_lines_of_the_example_run() -> None:
    """A process of its own, in the example's folder, as the page says."""
    command = [sys.executable, "-m", "agent", "robot", "run", "--env", "my_robot:MyPendulum-v0"]
    command += ["--steps", "230", "--port", "0", "--set", "options.mppi.horizon=5"]
    done = subprocess.run(
        command, cwd=EXAMPLES, capture_output=True, text=True, check=True, timeout=120
    )
    assert "230" in done.stdout
