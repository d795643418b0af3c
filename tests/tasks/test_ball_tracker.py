"""What is known of ball and target after a while, for motions of which all is known."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest

from legged_skills import robots
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
    carried = jnp.zeros((1, tracking.CARRIED_SIZE))
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
        carried = tracker.advance(carried, task, jnp.asarray(velocity), jnp.asarray(sense))
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
