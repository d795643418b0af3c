"""The rules of chasing a ball, where it is clear what they should say."""

import dataclasses

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
def test_who_has_two_ends_goes_backwards_rather_than_to_turn_around(robot: str) -> None:
    chase, (right, left) = CHASES[robot], PACES[robot].yaw_range
    x = 1.5 * _nearest(robot)

    def rate(angle: float) -> float:
        """What it turns if it shall kick a ball ahead in a direction [rad/s]."""
        target = (x + np.cos(angle), np.sin(angle))
        return float(_command(robot, (x, 0.0), target)[2])

    for sign in (-1.0, 1.0):
        most = left if sign > 0.0 else right
        assert rate(sign * 2.1) == pytest.approx(most)
        # With the tail first, 3.0 rad to one side are 0.14 rad to the other.
        wanted = -sign * chase.turn_rate * (np.pi - 3.0) if chase.both_ends else most
        assert rate(sign * 3.0) == pytest.approx(wanted, abs=1e-5)


def test_a_ball_that_soon_is_behind_is_met_by_the_hind_legs() -> None:
    # It shall go 1.8 rad to the left: front legs turn there, hind legs the other way round.
    ball, target = (0.1, 0.0), (0.1 + np.cos(1.8), np.sin(1.8))
    right, left = PACES["anymal_c"].yaw_range
    for ball_vel, wanted in ((0.0, left), (-0.2, left), (-0.3, right)):
        command = _command("anymal_c", ball, target, ball_vel=(ball_vel, 0.0))
        # In 0.4 s it rolls 0.08 m, or 0.12 m.
        assert command[2] == pytest.approx(wanted)


def _asked(robot: str, velocity: np.ndarray, turn: float) -> np.ndarray:
    """(3,) a velocity and a turn as commands that the walk was trained for."""
    paces = PACES[robot]
    slowest = -paces.vx_range[1] if CHASES[robot].both_ends else paces.vx_range[0]
    most = [paces.vx_range[1] if velocity[0] > 0.0 else slowest, paces.vy_range[1]]
    velocity = velocity / max(1.0, *np.abs(velocity / most))
    return np.array([*velocity, np.clip(CHASES[robot].turn_rate * turn, *paces.yaw_range)])


def _goes_to(robot: str, place: np.ndarray) -> np.ndarray:
    """(2,) velocity on the way to a place [m/s]."""
    length = np.linalg.norm(place)
    return min(1.5 * length, CHASES[robot].pace_mps) * place / length


@pytest.mark.parametrize("robot", ROBOTS)
def test_a_walk_that_goes_ahead_only_is_asked_for_nothing_else(robot: str) -> None:
    paces = dataclasses.replace(PACES[robot], vx_range=(0.0, 0.4), vy_range=(0.0, 0.0))
    known = np.zeros((2, 8), np.float32)
    known[:, :2], known[:, 4:6] = [[1.0, 0.3], [0.1, -1.0]], [3.0, 0.0]
    asked = np.asarray(chase_command(jnp.asarray(known), CHASES[robot], paces))
    assert np.isfinite(asked).all() and (asked[:, 1] == 0.0).all()
    assert asked[0, 0] > 0.1


@pytest.mark.parametrize("robot", ROBOTS)
def test_a_ball_far_away_is_lined_up_with(robot: str) -> None:
    """It foresees 2.5 s, no more, and turns to where it goes."""
    chase, goes = CHASES[robot], 0.5
    away = 20.0 * chase.far_m
    command = _command(robot, (away, 0.0), (2.0 * away, 0.0), target_vel=(0.0, goes))
    towards = np.array([away, goes * (2.5 + chase.lead_s)])
    towards /= np.linalg.norm(towards)
    left = np.array([-towards[1], towards[0]])
    # Seen that way the ball is far to the right of both lanes.
    place = np.array([away, 0.0]) - chase.behind_m * towards + chase.lane_m * left
    wanted = _asked(robot, _goes_to(robot, place), np.arctan2(place[1], place[0]))
    np.testing.assert_allclose(command, wanted, atol=1e-5)


def test_who_has_one_end_goes_backwards_to_a_ball_behind() -> None:
    # The ball is 2 m behind, and shall go on that way: the place is 0.11 m before it, 0.05 m beside
    # it. The robot turns its back there, not its front.
    command = _command("op3", (-2.0, 0.2), (-5.0, 0.2))
    place = np.array([-2.0 + 0.11, 0.2 - 0.05])
    wanted = _asked("op3", _goes_to("op3", place), -np.arctan2(0.15, 1.89))
    np.testing.assert_allclose(command, wanted, atol=1e-5)


@pytest.mark.parametrize("robot", ROBOTS)
def test_it_kicks_no_sooner_than_it_has_turned(robot: str) -> None:
    """A near ball in the lane shall go 0.5 rad to the left, of which 0.3 are left to the kick."""
    chase, to_go = CHASES[robot], 0.05
    towards, left = np.array([np.cos(0.5), np.sin(0.5)]), np.array([-np.sin(0.5), np.cos(0.5)])
    ball = (chase.reach_m + to_go) * towards + chase.lane_m * left
    command = _command(robot, tuple(ball), tuple(ball + towards))
    pace = to_go / (0.2 / chase.turning_radps)
    np.testing.assert_allclose(command, _asked(robot, pace * towards, 0.5), atol=1e-5)


@pytest.mark.parametrize("robot", ROBOTS)
def test_it_steps_aside_no_faster_than_it_may(robot: str) -> None:
    chase, ahead = CHASES[robot], 1.05 * _nearest(robot)
    command = _command(robot, (ahead, 0.0), (ahead + 1.0, 0.0))
    # The ball is in the middle, so that it goes by a whole lane to the right.
    pace = (ahead - chase.reach_m) / ((chase.lane_m - chase.lane_width_m) / chase.sideways_mps)
    sideways = min(chase.sideways_rate * chase.lane_m, chase.sideways_mps)
    wanted = _asked(robot, np.array([pace, -sideways]), 0.0)
    np.testing.assert_allclose(np.abs(command), np.abs(wanted), atol=1e-5)


@pytest.mark.parametrize("robot", ROBOTS)
def test_a_ball_that_stops_is_met_where_it_lies(robot: str) -> None:
    chase = CHASES[robot]
    away, speed = 8.0 * chase.far_m, 0.2
    rolling = _command(robot, (away, 0.0), (2.0 * away, 0.0), ball_vel=(0.0, speed))
    stops = speed**2 / (2.0 * chase.slowing_mps2)
    still = _command(robot, (away, stops), (2.0 * away, 0.0))
    np.testing.assert_allclose(rolling, still, atol=1e-4)
    assert abs(rolling[2] - _command(robot, (away, 0.0), (2.0 * away, 0.0))[2]) > 1e-3


@pytest.mark.parametrize("robot", ROBOTS)
def test_the_way_back_behind_the_ball_is_around_it(robot: str) -> None:
    chase = CHASES[robot]
    x = 0.75 * chase.passed_m
    # In the way: aside, to where it is ahead by a quarter more than what is passed.
    y = 0.2 * chase.lane_m
    command = _command(robot, (x, y), (x + 3.0, y))
    place = np.array([x - 1.25 * chase.passed_m, y - 1.1 * chase.aside_m])
    np.testing.assert_allclose(command, _asked(robot, _goes_to(robot, place), 0.0), atol=1e-5)


def test_who_is_beside_the_ball_goes_straight_back_behind_it() -> None:
    chase = CHASES["anymal_c"]
    command = _command("anymal_c", (0.3, 0.5), (3.3, 0.5))
    place = np.array([0.3 - chase.behind_m, 0.5 - chase.lane_m])
    wanted = _asked("anymal_c", _goes_to("anymal_c", place), 0.0)
    np.testing.assert_allclose(command, wanted, atol=1e-5)


@pytest.mark.parametrize("robot", ROBOTS)
def test_a_far_ball_nearly_in_the_lane_is_walked_into(robot: str) -> None:
    """It is not lined up with any more: the robot walks on, and gets into the lane meanwhile."""
    chase = CHASES[robot]
    away, off = 8.0 * chase.far_m, 0.5 * chase.lane_m
    command = _command(robot, (away, chase.lane_m + off), (2.0 * away, chase.lane_m + off))
    sideways = min(chase.sideways_rate * off, chase.sideways_mps)
    velocity = np.array([chase.pace_mps, sideways])
    wanted = _asked(robot, velocity, np.arctan2(sideways, chase.pace_mps))
    np.testing.assert_allclose(command, wanted, atol=1e-5)


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
