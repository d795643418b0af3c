"""Where a source's trunk is, where it faces, and whether the source stands.

Letters in the shape comments: T frames.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap.mapping import Mapping
from legged_skills.mocap.source import SourceMotion
from legged_skills.robots.errors import ClipError

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class TrunkSettings:
    """When a source stands on its feet. Heights are in standing heights."""

    max_pitch_rad: float = math.radians(28)
    """A dog's trunk that pitches more than this is not upright [rad]."""
    low_trunk: float = 0.78
    """An end of a dog's trunk lower than this share of its standing height is not upright."""
    high_trunk: float = 1.22
    """An end of the trunk, or a human's hips, higher than this share of the standing height is
    not upright."""
    max_lean_rad: float = math.radians(45)
    """A human's trunk that leans more than this is not upright [rad]."""
    low_hips: float = 0.65
    """A human's hips lower than this share of their standing height are not upright."""


@dataclass(frozen=True, kw_only=True)
class Trunk:
    """The trunk of a source, frame by frame."""

    centre_w: Array
    """Middle between front and rear (a dog's), or of the hips (a human's) [m], (T, 3)."""
    ends_w: Array
    """Front and rear, or upper and lower end [m], (T, 2, 3)."""
    yaw: Array
    """Heading, unwrapped [rad], (T,)."""
    height_m: float
    """Typical height of the centre over the lowest foot while standing [m]."""
    problems: dict[str, Mask]
    """For each way of not standing the frames, (T,)."""


def find_trunk(
    motion: SourceMotion, mapping: Mapping, feet_w: Array, settings: TrunkSettings
) -> Trunk:
    """Finds the trunk of a source.

    Args:
        motion: the source.
        mapping: names its trunk.
        feet_w: its foot markers [m], (T, F, 3).
        settings: thresholds.

    Returns:
        The trunk in every frame.

    Raises:
        ClipError: the trunk is nowhere above the feet, or the source stands in no frame.
    """
    front = motion.positions_w[:, [motion.index(n) for n in mapping.front]].mean(axis=1)
    rear = motion.positions_w[:, [motion.index(n) for n in mapping.rear]].mean(axis=1)
    along = front - rear
    flat = np.hypot(along[:, 0], along[:, 1])
    lowest = feet_w[..., 2].min(axis=1)
    floor = float(np.percentile(lowest, 5))
    if mapping.animal == "human":
        centre = rear
        ahead = _ahead(motion, mapping)
        tilt = np.arctan2(flat, along[:, 2])
        level = tilt < settings.max_lean_rad
        height = _standing_height(centre[:, 2] - lowest, level)
        problems = _human_problems(rear[:, 2] - floor, tilt, height, settings)
    else:
        centre = 0.5 * (front + rear)
        ahead = along
        tilt = np.arctan2(along[:, 2], flat)
        level = np.abs(tilt) < settings.max_pitch_rad
        height = _standing_height(centre[:, 2] - lowest, level)
        problems = _dog_problems(front[:, 2] - floor, rear[:, 2] - floor, tilt, height, settings)
    name = motion.source.get("file", "motion")
    if height <= 0:
        raise ClipError(
            f"{name}: the trunk is nowhere above the feet; check the unit and the up axis."
        )
    if np.all(np.any(np.stack(list(problems.values())), axis=0)):
        raise ClipError(f"{name}: stands upright on its feet in no frame.")
    return Trunk(
        centre_w=centre,
        ends_w=np.stack([front, rear], axis=1),
        yaw=np.unwrap(np.arctan2(ahead[:, 1], ahead[:, 0])),
        height_m=height,
        problems=problems,
    )


def _ahead(motion: SourceMotion, mapping: Mapping) -> Array:
    """Where a human's chest and hips face, along the floor: right angles to their left, (T, 3)."""
    left, right = (
        motion.positions_w[
            :, [motion.index(n) for n in (*mapping.front, *mapping.rear) if n.startswith(side)]
        ].mean(axis=1)
        for side in ("left", "right")
    )
    across = left - right
    return np.stack([across[:, 1], -across[:, 0], np.zeros(len(across))], axis=1)


def _standing_height(height: Array, level: Mask) -> float:
    """Typical height of the trunk's centre over the lowest foot while standing [m].

    Sitting and lying lower it: the median of what is near the most that level frames reach
    is standing.
    """
    heights = height[level] if np.any(level) else height
    top = float(np.percentile(heights, 90))
    return float(np.median(heights[heights > 0.8 * top])) if top > 0 else top


def _human_problems(
    hips: Array, lean: Array, height: float, settings: TrunkSettings
) -> dict[str, Mask]:
    """Frames in which a human does not stand, by name."""
    low = hips < settings.low_hips * height
    leans = lean > settings.max_lean_rad
    return {
        "lying": low & leans,
        "sitting or kneeling": low & ~leans,
        "bending": leans & ~low,
        "jumping": (hips > settings.high_trunk * height) & ~leans,
    }


def _dog_problems(
    front: Array, rear: Array, pitch: Array, height: float, settings: TrunkSettings
) -> dict[str, Mask]:
    """Frames in which a dog's trunk is not as in standing, by name."""
    low_front = front < settings.low_trunk * height
    low_rear = rear < settings.low_trunk * height
    high = np.maximum(front, rear) > settings.high_trunk * height
    steep = np.abs(pitch) > settings.max_pitch_rad
    up = pitch > 0
    return {
        "lying": low_front & low_rear,
        "sitting": low_rear & ~low_front,
        "bowing": (low_front & ~low_rear) | (steep & ~up & ~low_rear),
        "rearing": (high | steep) & up & ~low_rear,
        "jumping": high & ~up,
    }
