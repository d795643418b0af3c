"""Signals over time: smoothing, interpolation, runs of a condition.

Time is the first axis (T) everywhere.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

Array = NDArray[np.floating]
Run = tuple[int, int]
"""Frames from the first (included) to the second (excluded)."""

HELD = 1e5
"""Weight of a frame that ``smooth`` leaves where it is, against 1 for others."""

# Third differences: the smoothest curve near the data in the sense of least jerk.
_DIFFERENCE = np.array([-1.0, 3.0, -3.0, 1.0])


def smooth(
    values: Array, cutoff_hz: float, fps: float, weights: NDArray[np.floating] | None = None
) -> Array:
    """Smooths by penalised least squares (Whittaker 1923), without a phase shift.

    The result x minimises sum_t w_t (x_t - values_t)^2 + s sum_t (third difference of x)^2.
    With all weights 1 it is a low-pass filter whose gain is one half at ``cutoff_hz``. A
    large weight pins the curve to a value without a kink.

    Args:
        values: signals, (T, ...).
        cutoff_hz: frequency at which the gain is one half for weight 1 [Hz].
        fps: frames a second [1/s].
        weights: (T,), positive; None for 1.

    Returns:
        Smoothed signals, (T, ...).
    """
    frames = len(values)
    if frames < len(_DIFFERENCE) + 1 or cutoff_hz >= fps / 2:
        return np.array(values, dtype=np.float64)
    w = np.ones(frames) if weights is None else np.asarray(weights, dtype=np.float64)
    order = len(_DIFFERENCE) - 1
    stiffness = (2 * math.sin(math.pi * cutoff_hz / fps)) ** (-2 * order)
    # Upper bands of diag(w) + stiffness D^T D, as solveh_banded wants them.
    bands = np.zeros((order + 1, frames))
    bands[order] = w
    for lag in range(order + 1):
        for i in range(order + 1 - lag):
            # Row r of D has its coefficients at r ... r + order.
            product = stiffness * _DIFFERENCE[i] * _DIFFERENCE[i + lag]
            bands[order - lag, i + lag : frames - order + i + lag] += product
    flat = np.asarray(values, dtype=np.float64).reshape(frames, -1)
    trend: Array = np.zeros_like(flat)
    if weights is None:
        # A parabola stays what it is. Without it the rest is small, and so are its rounding errors,
        # which many frames in a period magnify: a turn was off by 4 degrees at 1000 frames/s.
        powers = np.vander(np.linspace(-1.0, 1.0, frames), order)
        trend = powers @ np.linalg.lstsq(powers, flat, rcond=None)[0]
    rest = w[:, None] * (flat - trend)
    out = trend + solveh_banded(bands, rest, check_finite=False, overwrite_ab=True)
    return out.reshape(np.shape(values))


def sample(values: Array, at: Array) -> Array:
    """Evaluates a signal between its frames by cubic (Catmull-Rom) interpolation.

    Args:
        values: signals, (T, ...), T >= 2.
        at: where to evaluate, in frames within [0, T - 1], (N,).

    Returns:
        Signals, (N, ...).
    """
    last = len(values) - 1
    low = np.clip(np.floor(at).astype(int), 0, last - 1)
    u = (at - low).reshape(-1, *([1] * (values.ndim - 1)))
    p0, p1 = values[low], values[low + 1]
    # Slopes at both ends; at the ends of the signal a neighbour is extrapolated in a line.
    before = np.where((low > 0).reshape(u.shape), values[np.maximum(low - 1, 0)], 2 * p0 - p1)
    after = np.where(
        (low < last - 1).reshape(u.shape), values[np.minimum(low + 2, last)], 2 * p1 - p0
    )
    m0, m1 = 0.5 * (p1 - before), 0.5 * (after - p0)
    u2 = u * u
    u3 = u2 * u
    return (
        (2 * u3 - 3 * u2 + 1) * p0
        + (u3 - 2 * u2 + u) * m0
        + (3 * u2 - 2 * u3) * p1
        + (u3 - u2) * m1
    )


def velocity(values: Array, fps: float) -> Array:
    """Central differences, one-sided at the ends.

    Args:
        values: signals, (T, ...), T >= 2.
        fps: frames a second [1/s].

    Returns:
        Change per second, (T, ...).
    """
    return np.gradient(values, axis=0) * fps


def runs(condition: NDArray[np.bool_]) -> list[Run]:
    """The longest stretches of frames where a condition holds.

    Args:
        condition: (T,).

    Returns:
        (start, stop) of each stretch, in order.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], condition, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def widen(condition: NDArray[np.bool_], frames: int) -> NDArray[np.bool_]:
    """Also holds ``frames`` before and after each frame at which ``condition`` holds.

    Args:
        condition: (T,).
        frames: how far it spreads, >= 0.

    Returns:
        (T,).
    """
    out = condition.copy()
    for shift in range(1, min(frames, len(condition) - 1) + 1):
        out[shift:] |= condition[:-shift]
        out[:-shift] |= condition[shift:]
    return out
