"""The ways of a moving target: straight, slalom, square, sudden jumps, and many between them.

A way is a row of six numbers. The target moves at a speed; its heading swings to both sides, which
makes a slalom, and turns by an angle at the end of each period, which makes a polygon; at these
times it may jump, too.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

WAY_SIZE = 6
"""Numbers of a way; see ``Way``."""
_JUMP_TURN_RAD = 2.4
"""Between two jumps: the golden angle, so that jumps go everywhere."""


class Way(NamedTuple):
    """The columns of (N, 6) ways, (N,) each."""

    speed_mps: np.ndarray
    """Speed [m/s]."""
    heading_rad: np.ndarray
    """Heading in the world at the start, but for the swing [rad]."""
    swing_rad: np.ndarray
    """How far the heading swings to both sides, once a period [rad]."""
    turn_rad: np.ndarray
    """By how much it turns at the end of each period [rad]."""
    period_s: np.ndarray
    """Length of a period [s]."""
    jump_m: np.ndarray
    """How far the target jumps along its heading at the end of each period [m]."""


PATHS = ("straight", "slalom", "square", "jumps")
"""The ways of the evaluation."""


def path(name: str, speed_mps: float, heading_rad: np.ndarray, side: np.ndarray) -> np.ndarray:
    """One of ``PATHS``, for n targets.

    Args:
        name: which.
        speed_mps: speed; jumps are as long as the way of half their period [m/s].
        heading_rad: (n,) where they go first [rad].
        side: (n,) 1 or -1: which way they turn first.

    Returns:
        (n, 6) ways.
    """
    shapes: Mapping[str, tuple[float, float, float, float]] = {
        # Swing and turn [rad], period [s], share of the way that is jumped.
        "straight": (0.0, 0.0, 1e6, 0.0),
        "slalom": (0.8, 0.0, 6.0, 0.0),
        "square": (0.0, 0.5 * np.pi, 4.0, 0.0),
        "jumps": (0.0, _JUMP_TURN_RAD, 4.0, 0.5),
    }
    swing, turn, period, jumped = shapes[name]
    n = len(heading_rad)
    ways = np.zeros((n, WAY_SIZE))
    ways[:, 0] = 0.0 if jumped else speed_mps
    ways[:, 1], ways[:, 2], ways[:, 3] = heading_rad, swing * side, turn * side
    ways[:, 4], ways[:, 5] = period, jumped * speed_mps * period
    return ways


def draw(rng: np.random.Generator, n: int, speed_mps: float) -> np.ndarray:
    """Random ways of all kinds, n of them, up to the given speed [m/s]; (n, 6).

    Speeds are as frequent as they are fast: what moves slowly asks for little.
    One in four each is straight, swings, turns and jumps; numbers are drawn on both sides of those
    of ``PATHS``.
    """
    kind = rng.integers(0, len(PATHS), n)
    side = rng.choice([-1.0, 1.0], n)
    speed = speed_mps * np.sqrt(rng.random(n))
    ways = np.zeros((n, WAY_SIZE))
    ways[:, 0] = np.where(kind == 3, 0.0, speed)
    ways[:, 1] = rng.uniform(-np.pi, np.pi, n)
    ways[:, 2] = side * np.where(kind == 1, rng.uniform(0.3, 1.2, n), 0.0)
    ways[:, 3] = side * np.where(kind >= 2, rng.uniform(0.5, 2.8, n), 0.0)
    ways[:, 4] = rng.uniform(2.0, 8.0, n)
    ways[:, 5] = np.where(kind == 3, 0.5 * speed * ways[:, 4], 0.0)
    return ways


def headings(ways: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """(N,) headings in the world of targets on (N, 6) ways, (N,) seconds after the start [rad]."""
    way = Way(*ways.T)
    swing = way.swing_rad * np.cos(2.0 * np.pi * time_s / way.period_s)
    return way.heading_rad + swing + way.turn_rad * _periods(way, time_s)


def velocities(ways: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """(N, 2) velocities in the world, without the jumps [m/s]; arguments as of ``headings``."""
    heading = headings(ways, time_s)
    return ways[:, :1] * np.stack([np.cos(heading), np.sin(heading)], axis=1)


def displacements(ways: np.ndarray, time_s: np.ndarray, step_s: float) -> np.ndarray:
    """(N, 2) how targets move in the step after ``time_s`` (N,), jumps included [m].

    The heading is that of the middle of the step.
    """
    way = Way(*ways.T)
    moved = step_s * velocities(ways, time_s + 0.5 * step_s)
    jumps = _periods(way, time_s + step_s) > _periods(way, time_s)
    if jumps.any():
        heading = headings(ways[jumps], time_s[jumps] + step_s)
        moved[jumps] += way.jump_m[jumps, None] * np.stack(
            [np.cos(heading), np.sin(heading)], axis=1
        )
    return moved


def _periods(way: Way, time_s: np.ndarray) -> np.ndarray:
    """(N,) periods that are over."""
    return np.floor(time_s / way.period_s + 1e-6)
