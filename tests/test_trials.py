"""Learning by trial, on a toy whose bodies are columns of a table: no physics.

Shapes: N robots, G gaits, B bodies, A motors, O observations.
"""

import torch
from torch import Tensor

from agent.control.gaits import Layout, Library, Rhythms, parameters
from agent.control.outlook import NONE, Outlook, OutlookSettings, Trials
from agent.control.pace import PaceSettings
from agent.control.search import TrialSettings
from agent.control.trials import TrialController
from agent.learners.base import State

MOTORS = 2
LAYOUT = Layout(angles=(1, 2), speeds=(3, 4), pitch=0, spin=5, forward=6, dt=0.05, effort=0.0)
GAITS, BODIES = 40, 12


def table(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw gaits, and what each earns on each body: body b is best under gaits near its own."""
    draw = torch.Generator().manual_seed(seed)
    gait_GP = torch.rand(GAITS, parameters(MOTORS), generator=draw)
    gait_GP[:, 3 * MOTORS : -1] = 0
    place_G, wish_B = torch.linspace(0, 1, GAITS), torch.linspace(0, 1, BODIES)
    far_GB = (place_G[:, None] - wish_B).abs()
    return gait_GP, 3 - 6 * far_GB


class Toy:
    """Robots whose speed is the table's entry of their gait and body; they can be laid down."""

    def __init__(self, robots: int, earns_GB: Tensor, noise: float = 0.05) -> None:
        self.earns_GB, self.noise, self.robots = earns_GB, noise, robots
        self.draw = torch.Generator().manual_seed(1)
        self.lies = torch.zeros(robots, dtype=torch.bool)

    def look(self, gait_N: Tensor, body: int) -> Tensor:
        """Give observations in which the speed is what the gait earns on this body."""
        obs_NO = torch.zeros(self.robots, 7)
        noise_N = self.noise * torch.randn(self.robots, generator=self.draw)
        obs_NO[:, 6] = self.earns_GB[gait_N, body] + noise_N
        obs_NO[:, 0] = torch.where(self.lies, torch.pi, 0.0)
        return obs_NO


def lived(
    controller: TrialController, toy: Toy, state: State, body: int, steps: int
) -> tuple[State, list[tuple[int, str]]]:
    """Let robots live with a body; give the state after, and the changes of robot 0."""
    told: list[tuple[int, str]] = []
    draw = torch.Generator().manual_seed(0)
    for step in range(steps):
        obs_NO = toy.look(state["gait"], body)
        state, action_NA = controller.act(state, obs_NO, draw)
        state, noticed = controller.learn(state, obs_NO, action_NA, obs_NO)
        if noticed.change[0]:
            told.append((step, noticed.change[0]))
    return state, told


def made(robots: int = 3, bodies: int = 8) -> tuple[TrialController, Toy, State]:
    """Make a controller that has settled on the intact body, body 0."""
    gait_GP, earns_GB = table()
    controller = TrialController(
        Library(gait_GP, earns_GB[:, ::3], Rhythms(LAYOUT)),
        LAYOUT,
        TrialSettings(bodies=bodies, trial=20, start=0, pace=PaceSettings(window=5)),
    )
    return controller, Toy(robots, earns_GB), controller.begin(robots)


def test_without_a_change_no_trial_begins() -> None:
    controller, toy, state = made()
    state, told = lived(controller, toy, state, 0, 400)
    assert not told
    assert not bool(state["trying"].any())
    assert state["gait"].tolist() == [0, 0, 0]


def test_after_a_change_a_good_gait_is_found_by_a_few_trials() -> None:
    controller, toy, state = made()
    state, _ = lived(controller, toy, state, 0, 50)
    state, told = lived(controller, toy, state, 7, 10 + 20 * 10 + 1)
    earned_N = toy.earns_GB[state["gait"], 7]
    assert bool((earned_N > 0.8 * toy.earns_GB[:, 7].max()).all())
    assert [kind for _, kind in told] == ["new"]
    assert not bool(state["trying"].any())


def test_a_body_that_returns_is_known_by_its_trials() -> None:
    controller, toy, state = made()
    state, _ = lived(controller, toy, state, 0, 50)
    state, first = lived(controller, toy, state, 7, 250)
    learned_N = state["gait"]
    state, back = lived(controller, toy, state, 0, 250)
    assert [kind for _, kind in back] == ["returned"]
    assert state["body"].tolist() == [0, 0, 0]
    state, again = lived(controller, toy, state, 7, 250)
    assert [kind for _, kind in again] == ["returned"]
    assert state["body"].tolist() == [1, 1, 1]
    assert bool((toy.earns_GB[state["gait"], 7] >= toy.earns_GB[learned_N, 7] - 0.2).all())
    assert again[0][0] <= first[0][0]


def test_the_memory_of_bodies_is_bounded() -> None:
    controller, toy, state = made(robots=1, bodies=3)
    for body in (0, 4, 8, 11, 2, 6):
        state, _ = lived(controller, toy, state, body, 220)
    assert int((state["used"] != NONE).sum()) <= 3


def test_a_fall_ends_a_trial_early() -> None:
    controller, toy, state = made(robots=1)
    state, _ = lived(controller, toy, state, 0, 50)
    state, _ = lived(controller, toy, state, 7, 11)
    assert bool(state["trying"].all())
    before = state["gait"].clone()
    toy.lies[:] = True
    state, _ = lived(controller, toy, state, 7, 1)
    assert not torch.equal(state["gait"], before)


def test_robots_of_a_batch_do_not_touch_one_another() -> None:
    controller, toy, state = made(robots=2)
    toy.noise = 0.0
    alone, single, lone = made(robots=1)
    single.noise = 0.0
    for body, steps in ((0, 30), (7, 180)):
        state, _ = lived(controller, toy, state, body, steps)
        lone, _ = lived(alone, single, lone, body, steps)
    for name, leaf in lone.items():
        torch.testing.assert_close(state[name][:1], leaf, msg=name)


def test_a_state_that_went_in_stays_valid() -> None:
    controller, toy, state = made(robots=1)
    state, _ = lived(controller, toy, state, 0, 30)
    kept = {name: leaf.clone() for name, leaf in state.items()}
    lived(controller, toy, state, 7, 80)
    assert all(torch.equal(kept[name], leaf) for name, leaf in state.items())


def test_a_trial_tells_of_gaits_that_fared_alike_on_other_bodies() -> None:
    gait_GP, earns_GB = table()
    library = Library(gait_GP, earns_GB, Rhythms(LAYOUT))
    trials = Trials(torch.tensor([[0]]), torch.tensor([[3.0]]), torch.tensor([[1]]))
    wise, _ = Outlook(library, OutlookSettings(own=0.1)).after(trials)
    plain, _ = Outlook(library, OutlookSettings(shared=0.0, own=0.1)).after(trials)
    off = [(mean[0] - earns_GB[:, 0].double()).abs().mean() for mean in (wise, plain)]
    assert off[0] < 0.5 * off[1]
