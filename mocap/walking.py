"""Which clips walk, and what walking looks like: speeds, heights, and poses to compare with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from legged_skills.mocap.clip import RobotClip
from legged_skills.mocap.mirror import mirror
from legged_skills.robots import rotations
from legged_skills.robots.errors import ClipError
from legged_skills.robots.kinematics import ROOT_QPOS
from legged_skills.robots.spec import RobotSpec

AVERAGE_S = 1.0
"""Speeds are averaged over this time: a trunk sways with every step [s]."""
MIN_FROUDE = 0.1
"""A clip walks if its median speed is at least this, over the robot's ``froude_speed_mps``."""
HEIGHT_PERCENTILES = (5.0, 95.0)
"""Of the base's heights in clips: the range in which a walk should be."""
_CHUNK = 256
"""So many poses are compared at once, so that their distances stay in the processor's cache."""


def travel_speeds(pos_w: np.ndarray, period_s: float) -> np.ndarray:
    """Horizontal speeds along a way, as the distance covered in each ``AVERAGE_S``.

    Args:
        pos_w: (T, ..., 2 or more) positions, x and y first [m].
        period_s: time from row to row [s].

    Returns:
        (T - K, ...) [m/s], K the rows of ``AVERAGE_S``, or as many as there are.
    """
    ahead = min(max(1, round(AVERAGE_S / period_s)), len(pos_w) - 1)
    way = pos_w[ahead:, ..., :2] - pos_w[:-ahead, ..., :2]
    return np.linalg.norm(way, axis=-1) / (ahead * period_s)


def turning_rates(quat: np.ndarray, period_s: float) -> np.ndarray:
    """Turning rates, as the change of the heading in each ``AVERAGE_S``.

    Args:
        quat: (T, ..., 4) orientations, wxyz.
        period_s: time from row to row [s].

    Returns:
        (T - K, ...) [rad/s], positive to the left; K as in ``travel_speeds``.
    """
    ahead = min(max(1, round(AVERAGE_S / period_s)), len(quat) - 1)
    heading = np.unwrap(rotations.yaw(quat), axis=0)
    return (heading[ahead:] - heading[:-ahead]) / (ahead * period_s)


def walks(clip: RobotClip, spec: RobotSpec) -> bool:
    """Whether a clip is a walk: its median speed is at least ``MIN_FROUDE`` Froude speeds."""
    least = MIN_FROUDE * spec.froude_speed_mps
    return bool(np.median(travel_speeds(clip.qpos, 1.0 / clip.fps)) >= least)


@dataclass(frozen=True, kw_only=True)
class Walking:
    """What the walking clips of a robot look like; M poses."""

    names: tuple[str, ...]
    """Names of the clips."""
    joints: np.ndarray
    """(M, J) joint angles, mirror images included [rad]."""
    height_range_m: tuple[float, float]
    """``HEIGHT_PERCENTILES`` of the base's height [m]."""

    @classmethod
    def of(cls, spec: RobotSpec, clips: Sequence[RobotClip]) -> "Walking":
        """Takes the clips that walk, and their mirror images: left-right, and front-back if any.

        Raises:
            ClipError: no clip walks.
        """
        chosen = [clip for clip in clips if walks(clip, spec)]
        if not chosen:
            raise ClipError(f"none of the {len(clips)} clips of {spec.name} walks.")
        images = [*chosen, *(mirror(clip, spec) for clip in chosen)]
        if spec.mirror_joints_front_back is not None:
            images += [mirror(clip, spec, "front_back") for clip in images]
        heights = np.concatenate([clip.qpos[:, 2] for clip in chosen])
        low, high = np.percentile(heights, HEIGHT_PERCENTILES)
        return cls(
            names=tuple(clip.name for clip in chosen),
            joints=np.concatenate([clip.qpos[:, ROOT_QPOS:] for clip in images]),
            height_range_m=(float(low), float(high)),
        )


def nearest_rms(joints: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """How far each pose is from the nearest of many others.

    Args:
        joints: (N, J) joint angles [rad].
        poses: (M, J) those to compare with [rad].

    Returns:
        (N,) root mean square over joints of the difference to the pose for which it is least [rad].
    """
    centre = poses.mean(axis=0)
    others = (poses - centre).astype(np.float32)
    half_squares = 0.5 * np.square(others).sum(axis=1)
    nearest = np.empty(len(joints), dtype=np.int64)
    for start in range(0, len(joints), _CHUNK):
        chunk = (joints[start : start + _CHUNK] - centre).astype(np.float32)
        # |a - b|^2 = |a|^2 - 2 (a b - |b|^2 / 2), and the first term is the same for all b.
        nearest[start : start + _CHUNK] = (chunk @ others.T - half_squares).argmax(axis=1)
    return np.sqrt(np.square(joints - poses[nearest]).mean(axis=1))
