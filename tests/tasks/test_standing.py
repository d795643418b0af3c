"""How episodes begin and end: standing, and on the floor."""

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots import rotations
from legged_skills.robots.contract import proprioception
from legged_skills.robots.simulation import BatchSim
from legged_skills.sim2real.sensed_robot import SensedRobots
from legged_skills.tasks.standing import fallen, near_home, standing_qpos


@pytest.mark.parametrize("robot", ["anymal_c", "op3"])
def test_robots_stand_at_the_origin_and_head_anywhere(robot: str) -> None:
    spec = robots.get(robot)
    qpos = standing_qpos(spec, 2000, 0.0, np.random.default_rng(0))
    np.testing.assert_array_equal(qpos[:, [0, 1, 2]], np.tile(spec.home_qpos[:3], (2000, 1)))
    np.testing.assert_array_equal(qpos[:, 7:], np.tile(spec.home_qpos[7:], (2000, 1)))
    np.testing.assert_array_equal(qpos[:, 4:6], 0.0)
    heading = rotations.yaw(qpos[:, 3:7])
    np.testing.assert_allclose(qpos[:, 3:7], rotations.from_yaw(heading) * _sign(qpos), atol=1e-9)
    counts, _ = np.histogram(heading, 8, (-np.pi, np.pi))
    assert counts.sum() == 2000 and counts.min() > 200


def _sign(qpos: np.ndarray) -> np.ndarray:
    """(N, 1) which of the two quaternions of a turn about the vertical it is."""
    heading = rotations.from_yaw(rotations.yaw(qpos[:, 3:7]))
    return np.sign((heading * qpos[:, 3:7]).sum(axis=1, keepdims=True))


def test_joints_are_off_to_both_sides_but_within_their_ranges() -> None:
    spec = robots.get("op3")
    off = near_home(spec, 4000, 0.05, np.random.default_rng(0))[:, 7:] - spec.home_qpos[7:]
    room = np.minimum(spec.joint_upper - spec.home_qpos[7:], spec.home_qpos[7:] - spec.joint_lower)
    free = room > 0.25
    assert free.sum() > 10
    np.testing.assert_allclose(off[:, free].mean(axis=0), 0.0, atol=0.005)
    np.testing.assert_allclose(off[:, free].std(axis=0), 0.05, rtol=0.05)
    wild = near_home(spec, 100, 9.0, np.random.default_rng(0))[:, 7:]
    np.testing.assert_array_equal(wild.max(axis=0), spec.joint_upper)
    np.testing.assert_array_equal(wild.min(axis=0), spec.joint_lower)


@pytest.mark.parametrize("robot", ["anymal_c", "op3"])
def test_who_is_low_or_tilted_has_fallen(robot: str) -> None:
    spec = robots.get(robot)
    sensed = SensedRobots(BatchSim(spec, 4, 1), proprioception(spec))
    qpos = np.tile(spec.home_qpos, (4, 1))
    qpos[:2, 2] = spec.fallen_height_m + np.array([-1e-4, 1e-4])
    qpos[2:, 2] = 2.0
    qpos[2:, 3:7] = rotations.from_axis_angle(
        np.tile([0.6, 0.8, 0.0], (2, 1)), np.array([0.81, 0.79])
    )
    sensed.reset(np.arange(4), qpos, np.zeros(6 + spec.num_joints))
    assert fallen(sensed, 0.8).tolist() == [True, False, True, False]
