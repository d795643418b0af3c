"""The rules of chasing a ball, where it is clear what they should say."""

import numpy as np
import pytest

from legged_skills.tasks.chase import CHASES, chase_command
from legged_skills.tasks.walk import PACES

ROBOTS = sorted(CHASES)


def _command(robot: str, ball: tuple[float, float], target: tuple[float, float]) -> np.ndarray:
    """(3,) for a ball that lies still, seen now."""
    told = np.array([[*ball, 0.0, 0.0, 0.0, *target]], np.float32)
    return chase_command(told, CHASES[robot], PACES[robot])[0]


@pytest.mark.parametrize("robot", ROBOTS)
def test_a_ball_in_a_foots_lane_is_walked_into(robot: str) -> None:
    chase = CHASES[robot]
    far = 4.0 * chase.behind_m
    for side in (-1.0, 1.0):
        lane = side * chase.lane_m
        command = _command(robot, (1.2 * chase.reach_m, lane), (far, lane))
        distance = far - 1.2 * chase.reach_m
        kick = min(chase.slow_kick_mps + chase.kick_rate * distance, chase.fast_kick_mps)
        np.testing.assert_allclose(command, [kick, 0.0, 0.0], atol=1e-6)


@pytest.mark.parametrize("robot", ROBOTS)
def test_a_ball_between_the_lanes_is_passed_on_the_nearer_side(robot: str) -> None:
    chase = CHASES[robot]
    ahead = 1.05 * chase.reach_m
    left = _command(robot, (ahead, 0.1 * chase.lane_m), (5.0 * ahead, 0.1 * chase.lane_m))
    right = _command(robot, (ahead, -0.1 * chase.lane_m), (5.0 * ahead, -0.1 * chase.lane_m))
    # With the ball a little to the left, it shall come into the left foot's lane.
    assert left[1] < 0.0 < right[1]
    np.testing.assert_allclose(left[:2] * [1.0, -1.0], right[:2], atol=1e-6)


@pytest.mark.parametrize("robot", ROBOTS)
def test_a_ball_at_its_target_is_left_alone(robot: str) -> None:
    chase = CHASES[robot]
    away = 1.5 * chase.reach_m
    command = _command(robot, (away, 0.0), (away, 0.5 * chase.wait_m))
    np.testing.assert_allclose(command, 0.0, atol=1e-6)
    # It is followed, and looked at.
    command = _command(robot, (0.0, 2.0 * away), (0.5 * chase.wait_m, 2.0 * away))
    np.testing.assert_allclose(command[0], 0.0, atol=1e-6)
    assert command[1] > 0.0 and command[2] > 0.0


@pytest.mark.parametrize("robot", ROBOTS)
def test_a_ball_that_hides_the_target_behind_the_robot_is_gone_around(robot: str) -> None:
    """The target is behind the robot: it goes past the ball, to the side, not through it."""
    chase = CHASES[robot]
    command = _command(robot, (chase.reach_m, 0.05 * chase.lane_m), (-3.0 * chase.reach_m, 0.0))
    assert abs(command[1]) > 0.5 * PACES[robot].vy_range[1]


@pytest.mark.parametrize("robot", ROBOTS)
def test_mirror_images_left_to_right(robot: str) -> None:
    rng = np.random.default_rng(0)
    told = rng.normal(0.0, 2.0, (500, 7)).astype(np.float32)
    chase, paces = CHASES[robot], PACES[robot]
    image = told * np.array([1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0], np.float32)
    wanted = chase_command(told, chase, paces) * np.array([1.0, -1.0, -1.0], np.float32)
    np.testing.assert_allclose(chase_command(image, chase, paces), wanted, atol=1e-5)


def test_hind_legs_do_what_front_legs_do() -> None:
    rng = np.random.default_rng(1)
    told = rng.normal(0.0, 2.0, (500, 7)).astype(np.float32)
    chase, paces = CHASES["anymal_c"], PACES["anymal_c"]
    image = told * np.array([-1.0, 1.0, -1.0, 1.0, 1.0, -1.0, 1.0], np.float32)
    wanted = chase_command(told, chase, paces) * np.array([-1.0, 1.0, -1.0], np.float32)
    np.testing.assert_allclose(chase_command(image, chase, paces), wanted, atol=1e-5)


@pytest.mark.parametrize("robot", ROBOTS)
def test_commands_are_what_the_walk_was_trained_for(robot: str) -> None:
    rng = np.random.default_rng(2)
    told = rng.normal(0.0, 3.0, (2000, 7)).astype(np.float32)
    told[:10] = 0.0  # ball, target and robot in one place
    chase, paces = CHASES[robot], PACES[robot]
    command = chase_command(told, chase, paces)
    assert command.dtype == np.float32 and np.isfinite(command).all()
    slowest = -paces.vx_range[1] if chase.both_ends else paces.vx_range[0]
    low = [slowest, paces.vy_range[0], paces.yaw_range[0]]
    high = [paces.vx_range[1], paces.vy_range[1], paces.yaw_range[1]]
    assert (command >= np.array(low, np.float32) - 1e-5).all() and (
        command <= np.array(high, np.float32) + 1e-5
    ).all()
