"""What is known of ball and target after a while, for motions of which all is known."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.ball import BALLS
from legged_skills.robots.contract import proprioception
from legged_skills.tasks import ball_tracker as tracking
from legged_skills.tasks.ball_tracker import BallTracker, ball_tracker
from legged_skills.tasks.dribble_config import SIZES, task_scale

Motion = Callable[[float], tuple[np.ndarray, np.ndarray]]
"""Time [s] -> position [m] and velocity [m/s] in the world."""


@pytest.fixture(params=["anymal_c", "op3"])
def tracker(request: pytest.FixtureRequest) -> BallTracker:
    return ball_tracker(proprioception(robots.get(request.param), history=3), SIZES[request.param])


def _follow(
    tracker: BallTracker,
    ball: Motion,
    target: Motion,
    steps: int,
    own: tuple[float, float] = (0.0, 0.0),
    turning: float = 0.0,
    delay: int = 0,
    hidden_from: int = 10**6,
) -> tuple[np.ndarray, np.ndarray]:
    """Follows things past a robot that goes and turns steadily, from the world's origin.

    Args:
        tracker: follows.
        ball: its motion.
        target: its motion.
        steps: of it.
        own: the robot's velocity, in its own frame [m/s].
        turning: its turning rate [rad/s].
        delay: control steps between picture and what is told.
        hidden_from: from this step on no picture comes.

    Returns:
        What is known in the end, and what is true: (8,) each.
    """
    dt = tracker.period_s
    sense = np.zeros((1, tracker.gyro + 1), np.float32)
    sense[0, tracker.gyro] = turning * tracker.gyro_scale
    velocity = np.array([[*own, 0.0]], np.float32) / np.float32(tracker.velocity_unit_mps)
    carried, advance = jnp.zeros((1, tracking.CARRIED_SIZE)), jax.jit(tracker.advance)
    position, pictures, told = np.zeros(2), [], np.zeros(7)
    for step in range(steps + 1):
        heading = turning * dt * step
        into = _rotation(heading).T
        truth = [
            part
            for motion in (ball, target)
            for part in (into @ (motion(dt * step)[0] - position), into @ motion(dt * step)[1])
        ]
        pictures.append(np.r_[truth[0], 0.0, 0.0, dt * delay, truth[2]])
        if step < hidden_from:
            told = pictures[max(step - delay, 0)].copy()
        else:
            told[4] += dt
        task = jnp.asarray((told * _scale(tracker)).astype(np.float32)[None])
        carried = advance(carried, task, jnp.asarray(velocity), jnp.asarray(sense))
        position = position + dt * _rotation(heading + 0.5 * turning * dt) @ np.array(own)
    assert float(carried[0, -1]) == 1.0
    return np.asarray(carried[0, :8]), np.concatenate(truth)


def _scale(tracker: BallTracker) -> np.ndarray:
    return next(s for s in map(task_scale, SIZES.values()) if s[0] == np.float32(tracker.scale))


def _rotation(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _steadily(place: tuple[float, float], velocity: tuple[float, float]) -> Motion:
    start, goes = np.array(place), np.array(velocity)
    return lambda time: (start + time * goes, goes)


def test_at_first_things_are_where_they_are_seen(tracker: BallTracker) -> None:
    known, truth = _follow(tracker, _steadily((1.0, 0.5), (0, 0)), _steadily((2, -1), (0, 0)), 0)
    np.testing.assert_allclose(known, truth, atol=1e-6)
    np.testing.assert_allclose(known, [1.0, 0.5, 0, 0, 2, -1, 0, 0], atol=1e-6)


def test_one_step_by_hand(tracker: BallTracker) -> None:
    """A ball that seems to start to the left, seen 0.1 m off, while the robot goes ahead."""
    carried = jnp.array([[1.0, 0.0, 0.5, 0.0, 2.0, 0.0, 0.0, 0.0, 1.0]])
    task = jnp.array([[1.0, 0.1, 9.0, 9.0, 0.0, 2.0, 0.0]]) * _scale(tracker)[None]
    velocity = jnp.array([[0.5, 0.0, 0.0]]) / tracker.velocity_unit_mps
    known = tracker.advance(carried, task, velocity, jnp.zeros((1, tracker.gyro + 1)))[0]
    # The ball keeps pace, and slows; the still target comes nearer, and is seen where it was.
    slowed = 0.5 - 0.6 * 0.05 * 9.81 * tracker.period_s
    np.testing.assert_allclose(known[:4], [1.0, 0.3 * 0.1, slowed, 0.8 * 0.1], atol=1e-6)
    nearer = 0.5 * tracker.period_s
    wanted = [2.0 - 0.85 * nearer, 0.0, 0.12 * nearer, 0.0]
    np.testing.assert_allclose(known[4:8], wanted, atol=1e-6)


@pytest.mark.parametrize("delay", [0, 4])
@pytest.mark.parametrize(("own", "turning"), [((0, 0), 0.0), ((0.8, -0.2), 0.0), ((0.5, 0.1), 0.7)])
def test_steady_motions_are_known_in_the_end(
    tracker: BallTracker, own: tuple[float, float], turning: float, delay: int
) -> None:
    ball, target = _steadily((1.0, 0.3), (0.0, 0.0)), _steadily((1.5, 0.0), (0.08, 0.1))
    known, truth = _follow(tracker, ball, target, 1000, own, turning, delay)
    # Only with turns anything is left: all are made to first order.
    tolerance = 1e-3 if turning == 0.0 else 0.03
    np.testing.assert_allclose(known, truth, atol=tolerance)


@pytest.mark.parametrize("hidden_from", [10**6, 130])
@pytest.mark.parametrize("steps", [125, 155, 400])
def test_a_ball_slows_and_stops(tracker: BallTracker, steps: int, hidden_from: int) -> None:
    """It is known as it rolls, out of sight for half a second, and when it has stopped."""
    slowing, still = tracker.slowing_mps2, _steadily((1.5, 0.0), (0.0, 0.0))
    first = np.array([0.9, -0.45])
    stops = float(np.linalg.norm(first)) / slowing

    def ball(time: float) -> tuple[np.ndarray, np.ndarray]:
        rolled = min(time, stops)
        way = first * (rolled - 0.5 * rolled**2 / stops)
        return np.array([1.0, 0.3]) + way, first * (1.0 - rolled / stops)

    known, truth = _follow(tracker, ball, still, steps, hidden_from=hidden_from)
    np.testing.assert_allclose(known[:2], truth[:2], atol=0.02)
    np.testing.assert_allclose(known[2:4], truth[2:4], atol=0.025)
    if steps == 400:
        np.testing.assert_allclose(truth[2:4], 0.0, atol=1e-12)


def test_a_target_that_jumps_is_followed_at_once(tracker: BallTracker) -> None:
    def jumps(time: float) -> tuple[np.ndarray, np.ndarray]:
        return np.array([1.0, 0.0 if time < 1.0 else 2.0]), np.zeros(2)

    known, truth = _follow(tracker, _steadily((1.0, 0.0), (0, 0)), jumps, 100)
    assert truth[5] == 2.0
    np.testing.assert_allclose(known, truth, atol=1e-5)


def _next(
    tracker: BallTracker,
    known: list[float],
    seen: list[float],
    age: float = 0.0,
    own: float = 0.0,
    turning: float = 0.0,
) -> np.ndarray:
    """(8,) what is known a step later, if ball and target (4,) are seen at some age [s]."""
    task = np.array([[*seen[:2], 9.0, 9.0, age, *seen[2:]]]) * _scale(tracker)
    sense = np.zeros((1, tracker.gyro + 1), np.float32)
    sense[0, tracker.gyro] = turning * tracker.gyro_scale
    found = tracker.advance(
        jnp.array([[*known, 1.0]]),
        jnp.asarray(task.astype(np.float32)),
        jnp.array([[own, 0.0, 0.0]]) / tracker.velocity_unit_mps,
        jnp.asarray(sense),
    )
    return np.asarray(found[0, :8])


def test_old_pictures_of_the_ball_count_less(tracker: BallTracker) -> None:
    known = [1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0]
    for age, counts in (
        (0.0, 1.0),
        (0.12, 1.0),
        (0.17, 0.75),
        (0.22, 0.5),
        (0.32, 0.0),
        (2.0, 0.0),
    ):
        found = _next(tracker, known, [1.1, -0.2, 2.0, 0.0], age)
        off = counts * np.array([0.1, -0.2])
        np.testing.assert_allclose(
            found[:4], [1.0, 0.0, 0.0, 0.0] + np.r_[0.3 * off, 0.8 * off], atol=1e-6
        )
        np.testing.assert_allclose(found[4:], known[4:], atol=1e-6)


def test_targets_were_seen_a_tenth_of_a_second_ago_at_most(tracker: BallTracker) -> None:
    known = [1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0]
    for age, ago in ((0.0, 0.0), (0.06, 0.06), (0.1, 0.1), (0.5, 0.1)):
        found = _next(tracker, known, [1.0, 0.0, 2.1, 0.0], age, own=0.5)
        nearer = 2.0 - 0.5 * tracker.period_s
        off = 2.1 - (nearer + 0.5 * ago)
        wanted = [nearer + 0.15 * off, 0.0, 0.12 * off, 0.0]
        np.testing.assert_allclose(found[4:], wanted, atol=1e-6)


def test_what_is_known_turns_the_other_way_than_the_robot(tracker: BallTracker) -> None:
    dt, turn = tracker.period_s, 0.5 * tracker.period_s
    # The ball is not seen; then the target is seen where it must be.
    predicted = np.array([2.0 + dt * 0.2 - turn * 1.0, -1.0 + dt * 0.4 - turn * 2.0])
    known = [1.0, 0.5, 0.6, 0.8, 2.0, -1.0, 0.2, 0.4]
    found = _next(tracker, known, [9.0, 9.0, *predicted], 2.0, turning=0.5)
    ball = [1.0 + dt * 0.6 + turn * 0.5, 0.5 + dt * 0.8 - turn * 1.0]
    goes = np.array([0.6 + turn * 0.8, 0.8 - turn * 0.6])
    goes *= 1.0 - tracker.slowing_mps2 * dt / np.linalg.norm(goes)
    np.testing.assert_allclose(found[:4], [*ball, *goes], atol=1e-6)
    found = _next(tracker, known, [9.0, 9.0, *predicted], turning=0.5)
    wanted = [*predicted, 0.2 + turn * 0.4, 0.4 - turn * 0.2]
    np.testing.assert_allclose(found[4:], wanted, atol=1e-6)


def test_a_slow_ball_stops_and_does_not_roll_back(tracker: BallTracker) -> None:
    slow = 0.5 * tracker.slowing_mps2 * tracker.period_s
    known = [1.0, 0.0, slow, -slow, 2.0, 0.0, 0.0, 0.0]
    found = _next(tracker, known, [9.0, 9.0, 2.0, 0.0], 2.0)
    np.testing.assert_array_equal(found[2:4], 0.0)


def test_only_far_targets_have_jumped_and_they_go_on_as_before(tracker: BallTracker) -> None:
    known = [1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.1]
    for off in (0.59, 0.61):
        there = 0.1 * tracker.period_s
        found = _next(tracker, known, [1.0, 0.0, 2.0 - 0.6 * off, there + 0.8 * off])
        way = off * np.array([-0.6, 0.8])
        share, rate = (1.0, 0.0) if off > 0.6 else (0.15, 0.12)
        wanted = [*([2.0, there] + share * way), *([0.0, 0.1] + rate * way)]
        np.testing.assert_allclose(found[4:], wanted, atol=1e-6)


@pytest.mark.parametrize("robot", ["anymal_c", "op3"])
def test_balls_slow_as_those_of_the_robot(robot: str) -> None:
    found = ball_tracker(proprioception(robots.get(robot), history=3), SIZES[robot])
    assert found.slowing_mps2 == BALLS[robot].rolling_deceleration
    assert found.period_s == robots.get(robot).control_period_s
    assert found.velocity_unit_mps == pytest.approx(0.25 * robots.get(robot).froude_speed_mps)
