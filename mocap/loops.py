"""Motions that are one period of a cycle, such as a walk cycle, made as long as needed."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap.source import SourceMotion
from legged_skills.robots import rotations

Array = NDArray[np.floating]

WRAP = "wrap"
"""What ``SourceMotion.source["loop"]`` is of a period whose last frame is the next one's first."""
_LEAST_S = 4.0


def unrolled(motion: SourceMotion, least_s: float = _LEAST_S) -> SourceMotion:
    """Repeats a period until the motion is long enough.

    Each repetition goes on from where the one before ended: moved along the floor and turned
    about the vertical. What the period's ends still differ by is spread over the period.

    Args:
        motion: a motion; other than a period it is returned as it is.
        least_s: shortest length of the result [s].

    Returns:
        The motion; ``source["note"]`` says how often it was repeated.
    """
    times = math.ceil(least_s / motion.duration_s)
    if motion.source.get("loop") != WRAP or times < 2:
        return motion
    first, last = motion.positions_w[0], motion.positions_w[-1]
    yaw, shift = _planar_motion(first, last)
    turn = rotations.from_yaw(np.array(yaw))
    gap = first - rotations.rotate_inverse(turn, last - shift)
    share = np.linspace(0.0, 1.0, motion.num_frames)[:, None, None]
    period = motion.positions_w + share * rotations.rotate(turn, gap)
    positions, orientations = [period], [motion.rotations_wxyz]
    for _ in range(times - 1):
        positions.append(rotations.rotate(turn, positions[-1]) + shift)
        before = orientations[-1]
        orientations.append(None if before is None else rotations.multiply(turn, before))
    # The last frame of each period is the first of the next.
    joined = np.concatenate([positions[0], *(part[1:] for part in positions[1:])])
    known = [part for part in orientations if part is not None]
    note = f"a cycle, repeated {times} times"
    notes = [text for text in (motion.source.get("note"), note) if text]
    return replace(
        motion,
        positions_w=joined,
        rotations_wxyz=np.concatenate([known[0], *(p[1:] for p in known[1:])]) if known else None,
        source={**motion.source, "loop": "repeated", "note": "; ".join(notes)},
    )


def _planar_motion(first: Array, last: Array) -> tuple[float, Array]:
    """Turn about the vertical [rad] and shift along the floor (3,) [m] from ``first`` to ``last``.

    The least-squares fit of all points, (M, 3) both (Horn 1987, in the plane).
    """
    middle_first, middle_last = first.mean(axis=0), last.mean(axis=0)
    a, b = (first - middle_first)[:, :2], (last - middle_last)[:, :2]
    yaw = math.atan2(float(np.sum(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])), float(np.sum(a * b)))
    shift = middle_last - rotations.rotate(rotations.from_yaw(np.array(yaw)), middle_first)
    return yaw, shift * [1.0, 1.0, 0.0]
