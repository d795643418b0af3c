"""Slowing down where a joint would be too fast, or too abrupt."""

import numpy as np
import pytest

from legged_skills.mocap import tempo

FPS = 50.0
LIMITS = tempo.Limits(speed=np.array([5.0, 10.0]), acceleration=np.array([1000.0, 1000.0]))


def _joints(speeds: np.ndarray) -> np.ndarray:
    """Two joints: the first with given speeds, the second at rest."""
    angle = np.concatenate([[0.0], np.cumsum(speeds[:-1]) / FPS])
    return np.stack([angle, np.zeros(len(angle))], axis=1)


def _slowdown(speeds: np.ndarray, greatest: float) -> np.ndarray:
    most = np.full(len(speeds), greatest)
    return tempo.slowdown(_joints(speeds), LIMITS, FPS, 0.2, most)


def test_slow_motions_keep_their_time() -> None:
    factors = _slowdown(np.full(100, 4.9), 3.0)
    np.testing.assert_allclose(factors, 1.0)
    np.testing.assert_allclose(tempo.stretched_times(factors), np.arange(100))


def test_a_motion_that_is_twice_too_fast_takes_twice_as_long() -> None:
    factors = _slowdown(np.full(101, 10.0), 3.0)
    np.testing.assert_allclose(factors, 2.0)
    times = tempo.stretched_times(factors)
    # 100 steps become 200.
    assert len(times) == 201
    np.testing.assert_allclose(times, np.arange(201) / 2)
    slowed = np.interp(times, np.arange(101), _joints(np.full(101, 10.0))[:, 0])
    np.testing.assert_allclose(np.diff(slowed) * FPS, 5.0)


def test_the_factor_is_bounded() -> None:
    np.testing.assert_allclose(_slowdown(np.full(50, 100.0), 1.5), 1.5)


def test_a_burst_is_slowed_smoothly_and_enough() -> None:
    speeds = np.full(200, 1.0)
    speeds[100:105] = 7.5
    factors = _slowdown(speeds, 3.0)
    # 7.5 / 5 at the burst, 1 far away, and no jumps between: the window has 21 frames, so a
    # factor changes by at most 0.5 / 21 a frame.
    np.testing.assert_allclose(factors[100:105], 1.5)
    np.testing.assert_allclose(factors[:70], 1.0)
    assert np.max(np.abs(np.diff(factors))) == pytest.approx(0.5 / 21, rel=1e-6)
    times = tempo.stretched_times(factors)
    slowed = np.interp(times, np.arange(200), _joints(speeds)[:, 0])
    assert np.max(np.diff(slowed)) * FPS <= 5.0 + 1e-9
    assert times[0] == 0 and times[-1] <= 199


def _swinging(amplitude: float, hertz: float, frames: int = 500) -> np.ndarray:
    time = np.arange(frames) / FPS
    return np.stack([amplitude * np.sin(2 * np.pi * hertz * time), np.zeros(frames)], axis=1)


def test_accelerations_fall_with_the_square_of_the_factor() -> None:
    # 0.1 rad at 2 Hz: 1.3 rad/s and 15.8 rad/s^2, four times a limit of 3.95: half the speed.
    joints = _swinging(0.1, 2.0)
    greatest = np.max(np.abs(np.diff(joints, n=2, axis=0))) * FPS**2
    assert greatest == pytest.approx(0.1 * (4 * np.pi) ** 2, rel=0.01)
    limits = tempo.Limits(
        speed=np.array([100.0, 100.0]), acceleration=np.array([greatest / 4, 100.0])
    )
    factors = tempo.slowdown(joints, limits, FPS, 0.3, np.full(500, 3.0))
    # Twice a period is within each window, so that it counts everywhere.
    np.testing.assert_allclose(factors, 2.0, rtol=1e-6)
    at = tempo.stretched_times(factors)
    slowed = _swinging(0.1, 2.0 / 2.0, len(at))
    np.testing.assert_allclose(slowed[:, 0], 0.1 * np.sin(4 * np.pi * at / FPS), atol=1e-9)
    assert np.max(np.abs(np.diff(slowed, n=2, axis=0))) * FPS**2 <= greatest / 4 * 1.01


def test_the_stricter_of_speed_and_acceleration_counts() -> None:
    joints = _swinging(0.1, 2.0)
    speed = np.max(np.abs(np.diff(joints, axis=0))) * FPS
    bend = np.max(np.abs(np.diff(joints, n=2, axis=0))) * FPS**2
    for speed_share, bend_share, expected in ((1.5, 2.0, 1.5), (1.2, 4.0, 2.0), (0.9, 0.9, 1.0)):
        limits = tempo.Limits(
            speed=np.array([speed / speed_share, 1e9]),
            acceleration=np.array([bend / bend_share, 1e9]),
        )
        factors = tempo.slowdown(joints, limits, FPS, 0.3, np.full(500, 9.0))
        assert factors.max() == pytest.approx(expected, rel=1e-6)


def test_each_joint_has_its_own_limits() -> None:
    joints = _swinging(0.1, 2.0)
    bend = np.max(np.abs(np.diff(joints, n=2, axis=0))) * FPS**2
    limits = tempo.Limits(speed=np.full(2, 1e9), acceleration=np.array([1e9, bend / 4]))
    np.testing.assert_allclose(tempo.slowdown(joints, limits, FPS, 0.3, np.full(500, 9.0)), 1.0)
    np.testing.assert_allclose(
        tempo.slowdown(joints[:, ::-1], limits, FPS, 0.3, np.full(500, 9.0)), 2.0, rtol=1e-6
    )


def test_a_jerk_counts_only_around_itself() -> None:
    # A joint that starts to move at once, at 1 rad/s: 50 rad/s^2 in one frame.
    joints = np.zeros((200, 2))
    joints[100:, 0] = (np.arange(100) + 1) / FPS
    limits = tempo.Limits(speed=np.full(2, 5.0), acceleration=np.full(2, 50.0 / 2.25))
    factors = tempo.slowdown(joints, limits, FPS, 0.2, np.full(200, 9.0))
    assert factors[99] == pytest.approx(1.5)
    np.testing.assert_allclose(factors[:75], 1.0)
    np.testing.assert_allclose(factors[125:], 1.0)


def test_motions_of_few_frames() -> None:
    limits = tempo.Limits(speed=np.full(2, 5.0), acceleration=np.full(2, 100.0))
    for frames in (2, 3, 4):
        factors = tempo.slowdown(np.zeros((frames, 2)), limits, FPS, 0.2, np.full(frames, 3.0))
        np.testing.assert_allclose(factors, 1.0)
        np.testing.assert_allclose(tempo.stretched_times(factors), np.arange(frames))
