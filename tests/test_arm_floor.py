"""What an arm with dead motors can reach at all."""

import numpy as np
import pytest

from benchmarks.robots.arm_floor import LINK, drift, least
from envs.body import Body


def test_the_least_distance_is_that_of_the_circle_on_which_a_live_joint_moves_the_tip() -> None:
    straight = np.zeros(3)
    reached = least(straight, np.array([-LINK, 0.0]), [1])  # forearm and hand folded back
    assert reached == pytest.approx(0.0, abs=1e-6)
    missed = least(straight, np.array([LINK, 0.0]), [1])  # the circle's middle
    assert missed == pytest.approx(200 * LINK)
    assert least(straight, np.array([LINK, 0.0]), [1, 2]) < 1.0


def test_a_shoulder_without_a_motor_comes_back_whatever_the_others_do() -> None:
    turned_NJ = drift(Body.parse("dead:shoulder"), robots=16)
    assert turned_NJ[:, 0].max() < 2.0
    assert turned_NJ[:, 2].max() > 30.0
