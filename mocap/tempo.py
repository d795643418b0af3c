"""Slows a motion down where a joint would be too fast, and nowhere else."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from legged_skills.mocap import signals

Array = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What drives can do. J joints."""

    speed: Array
    """Greatest speeds [rad/s], (J,)."""
    acceleration: Array
    """Greatest accelerations [rad/s^2], (J,)."""


def slowdown(joints: Array, limits: Limits, fps: float, window_s: float, greatest: Array) -> Array:
    """How many times slower each frame has to be for all joints to keep their limits.

    The factor changes smoothly: it is the largest need within a window, averaged over the
    window, which is nowhere below the need itself. Accelerations fall with its square.

    Args:
        joints: joint angles [rad], (T, J).
        limits: of the drives.
        fps: frames a second [1/s].
        window_s: half the width of the window [s].
        greatest: no need of a frame counts for more than this, at least 1, (T,).

    Returns:
        Factors of at least 1, (T,).
    """
    speeds = np.abs(signals.velocity(joints, fps))
    # Between frames a joint is faster than the central difference.
    steps = np.abs(np.diff(joints, axis=0)) * fps
    speeds[1:] = np.maximum(speeds[1:], steps)
    speeds[:-1] = np.maximum(speeds[:-1], steps)
    need = np.max(speeds / limits.speed, axis=1)
    bends = np.abs(np.diff(joints, n=2, axis=0)) * fps**2
    need[1:-1] = np.maximum(need[1:-1], np.sqrt(np.max(bends / limits.acceleration, axis=1)))
    need = np.clip(need, 1.0, greatest)
    size = 2 * round(window_s * fps) + 1
    return uniform_filter1d(maximum_filter1d(need, size), size, mode="nearest")


def stretched_times(factors: Array) -> Array:
    """Where in the old motion the frames of the slowed motion are.

    Args:
        factors: from ``slowdown``, (T,).

    Returns:
        Frames of the old motion, with fractions, from 0 to at most T - 1, (N,), N >= T.
    """
    steps = 0.5 * (factors[1:] + factors[:-1])
    new_frame = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.arange(int(new_frame[-1] + 1e-9) + 1)
    return np.interp(wanted, new_frame, np.arange(len(factors)))
