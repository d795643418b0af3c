"""Slowing down where a joint would be too fast."""

import numpy as np
import pytest

from legged_skills.mocap import tempo

FPS = 50.0
LIMITS = np.array([5.0, 10.0])


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
