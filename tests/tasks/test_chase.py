"""The rules of chasing a ball, where it is clear what they should say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from legged_skills.tasks.chase import CHASES, chase_command
from legged_skills.tasks.walk import PACES

ROBOTS = sorted(CHASES)


def _command(
    robot: str,
    ball: tuple[float, float],
    target: tuple[float, float],
    ball_vel: tuple[float, float] = (0.0, 0.0),
    target_vel: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """(3,) for one robot; ball and target lie still if nothing else is said."""
    known = jnp.array([[*ball, *ball_vel, *target, *target_vel]])
    return np.asarray(chase_command(known, CHASES[robot], PACES[robot])[0])


def _nearest(robot: str) -> float:
    """A ball that is farther ahead than this is still to be met [m]."""
    return max(CHASES[robot].reach_m, CHASES[robot].passed_m)


@pytest.mark.parametrize("robot", ROBOTS)
@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_a_ball_in_a_foots_lane_is_walked_into(robot: str, side: float) -> None:
    chase = CHASES[robot]
    lane, ahead = side * chase.lane_m, 1.2 * _nearest(robot)
    for far in (ahead + 0.1, 50.0):
        command = _command(robot, (ahead, lane), (far, lane))
        kick = min(chase.slow_kick_mps + chase.kick_rate * (far - ahead), chase.fast_kick_mps)
        pace = min(kick + chase.run_up_rate * (ahead - chase.reach_m), chase.pace_mps)
        np.testing.assert_allclose(command, [pace, 0.0, 0.0], atol=1e-5)


@pytest.mark.parametrize("robot", ROBOTS)
def test_a_ball_between_the_lanes_is_passed_on_the_nearer_side(robot: str) -> None:
    chase = CHASES[robot]
    ahead = 1.05 * _nearest(robot)
    left = _command(robot, (ahead, 0.1 * chase.lane_m), (5.0 * ahead, 0.1 * chase.lane_m))
    right = _command(robot, (ahead, -0.1 * chase.lane_m), (5.0 * ahead, -0.1 * chase.lane_m))
    # With the ball a little to the left, it shall come into the left foot's lane.
    assert left[1] < 0.0 < right[1]
    np.testing.assert_allclose(left[:2] * [1.0, -1.0], right[:2], atol=1e-6)
    # It walks on no faster than leaves time for that.
    needs_s = (0.9 * chase.lane_m - chase.lane_width_m) / chase.sideways_mps
    assert 0.0 <= left[0] <= (ahead - chase.reach_m) / needs_s + 1e-6


@pytest.mark.parametrize("robot", ROBOTS)
def test_a_target_that_moves_away_is_led(robot: str) -> None:
    """A still ball at its target is pushed the way that the target goes."""
    chase = CHASES[robot]
    ahead = 1.05 * _nearest(robot)
    ball = (ahead, chase.lane_m)
    command = _command(robot, ball, ball, target_vel=(0.1, 0.0))
    meets_s = (np.hypot(*ball) - chase.reach_m) / chase.meet_mps
    kick = chase.slow_kick_mps + chase.kick_rate * 0.1 * (meets_s + chase.lead_s)
    kick = min(kick, chase.fast_kick_mps) + chase.run_up_rate * (ahead - chase.reach_m)
    np.testing.assert_allclose(command, [kick, 0.0, 0.0], atol=1e-5)


@pytest.mark.parametrize("robot", ROBOTS)
def test_a_rolling_ball_is_met_where_it_will_be(robot: str) -> None:
    """Ball and target, far away, go to the left: so does the robot turn, more than to where they
    are."""
    chase = CHASES[robot]
    away = 3.0 * chase.far_m
    still = _command(robot, (away, 0.0), (2.0 * away, 0.0))
    goes = (0.0, 1.0)
    rolling = _command(robot, (away, 0.0), (2.0 * away, 0.0), ball_vel=goes, target_vel=goes)
    assert rolling[2] > still[2] + 0.01


@pytest.mark.parametrize("robot", ROBOTS)
def test_a_ball_that_hides_the_target_behind_the_robot_is_gone_around(robot: str) -> None:
    """The target is behind the robot: it goes past the ball, to the side, not through it."""
    chase = CHASES[robot]
    command = _command(robot, (chase.reach_m, 0.05 * chase.lane_m), (-3.0 * chase.reach_m, 0.0))
    assert abs(command[1]) > 0.5 * PACES[robot].vy_range[1]


@pytest.mark.parametrize("robot", ROBOTS)
def test_mirror_images_left_to_right(robot: str) -> None:
    _check_mirrored(robot, 1.0, -1.0)


def test_hind_legs_do_what_front_legs_do() -> None:
    _check_mirrored("anymal_c", -1.0, 1.0)


@pytest.mark.parametrize("robot", ROBOTS)
def test_commands_are_what_the_walk_was_trained_for(robot: str) -> None:
    known = _drawn(2, 2000, 3.0)
    known = known.at[:10].set(0.0)  # ball, target and robot in one place, at rest
    chase, paces = CHASES[robot], PACES[robot]
    command = np.asarray(chase_command(known, chase, paces))
    assert command.dtype == np.float32 and np.isfinite(command).all()
    slowest = -paces.vx_range[1] if chase.both_ends else paces.vx_range[0]
    low = [slowest, paces.vy_range[0], paces.yaw_range[0]]
    high = [paces.vx_range[1], paces.vy_range[1], paces.yaw_range[1]]
    assert (command >= np.array(low, np.float32) - 1e-5).all() and (
        command <= np.array(high, np.float32) + 1e-5
    ).all()


def _check_mirrored(robot: str, x: float, y: float) -> None:
    """A robot in a mirrored world, whose x and y have these signs, does the mirror image."""
    known, chase, paces = _drawn(0, 500, 2.0), CHASES[robot], PACES[robot]
    image = chase_command(known * jnp.array([4 * [x, y]]), chase, paces)
    wanted = chase_command(known, chase, paces) * jnp.array([[x, y, x * y]])
    np.testing.assert_allclose(image, wanted, atol=1e-5)


def _drawn(seed: int, n: int, size: float) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(0.0, size, (n, 8)), jnp.float32)
