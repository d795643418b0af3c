"""Which way to walk so that a ball comes to its target: a teacher for dribbling, by rules.

The robot gets behind the ball, seen from the target, beside the line through both, so that the
ball is in the lane of one foot; walks on, and kicks it as it walks; and follows. It knows what a
dribbling policy knows, and no more. What it is good for is to begin with (``learn_chase``): it
gives no thought to how a foot meets the ball, nor to how balls roll.

Vectors are planar, in the heading frame (x forward, y left).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from legged_skills.tasks.walk import Paces

_GAIN = 1.5
"""Velocity over distance on the way to a place, turning rate over angle [1/s]."""
_FRONT_BACK = np.array([-1.0, 1.0, -1.0, 1.0, 1.0, -1.0, 1.0], np.float32)
"""Signs of what the camera says under a reflection that makes front of back."""


@dataclass(frozen=True, kw_only=True)
class Chase:
    """Lengths and speeds of the rules."""

    lane_m: float
    """Distance of a foot's lane from the middle of the robot [m]."""
    lane_width_m: float
    """The ball is in the lane within this to both sides [m]; farther away by a quarter of the
    distance more."""
    reach_m: float
    """Front feet reach this far ahead [m]."""
    passed_m: float
    """The ball is no more to be met if it is less than this ahead [m]."""
    angle_rad: float
    """Kicks may go this far beside the target [rad]."""
    lead_s: float
    """The ball is taken to be where it will be after this time [s]."""
    slow_kick_mps: float
    """Speed of the robot when it meets a ball that is at its target [m/s]."""
    kick_rate: float
    """What comes on top for each metre between ball and target [1/s]."""
    fast_kick_mps: float
    """It is no faster than this [m/s]."""
    pace_mps: float
    """Fastest speed when there is no ball near [m/s]."""
    wait_m: float
    """A ball that is this near to its target is left alone [m]."""
    behind_m: float
    """How far behind the ball the robot lines up [m]."""
    aside_m: float
    """How far beside the ball it passes on the way there [m]."""
    far_m: float
    """Beyond this the robot turns to the ball, nearer the way that it shall kick it [m]."""
    both_ends: bool
    """Whether hind legs kick what is behind, as front legs do what is ahead."""


CHASES: Mapping[str, Chase] = {
    "anymal_c": Chase(
        lane_m=0.29,
        lane_width_m=0.09,
        reach_m=0.51,
        passed_m=0.28,
        angle_rad=0.39,
        lead_s=0.28,
        slow_kick_mps=0.3,
        kick_rate=0.3,
        fast_kick_mps=1.08,
        pace_mps=1.1,
        wait_m=0.43,
        behind_m=0.9,
        aside_m=0.7,
        far_m=1.5,
        both_ends=True,
    ),
    "op3": Chase(
        lane_m=0.045,
        lane_width_m=0.03,
        reach_m=0.1,
        passed_m=0.08,
        angle_rad=0.4,
        lead_s=0.15,
        slow_kick_mps=0.15,
        kick_rate=0.3,
        fast_kick_mps=0.35,
        pace_mps=0.4,
        wait_m=0.12,
        behind_m=0.3,
        aside_m=0.25,
        far_m=0.5,
        both_ends=False,
    ),
}
"""The rules of each robot, by name."""


def chase_command(told: np.ndarray, chase: Chase, paces: Paces) -> np.ndarray:
    """Which velocity brings the ball to its target.

    Args:
        told: (N, 7) what the camera says (``DribbleEnv.told``).
        chase: the rules.
        paces: the velocities that the walk was trained for; backwards as forwards with
            ``both_ends``.

    Returns:
        (N, 3) float32, forward, to the left [m/s], turning [rad/s].
    """
    slowest = paces.vx_range[0]
    if not chase.both_ends:
        return _ahead(told, chase, paces, slowest)
    behind = told[:, :1] < 0.0
    seen = np.where(behind, told * _FRONT_BACK, told)
    command = _ahead(seen, chase, paces, -paces.vx_range[1])
    return np.where(behind, command * np.array([-1.0, 1.0, -1.0], np.float32), command)


def _ahead(told: np.ndarray, chase: Chase, paces: Paces, slowest_mps: float) -> np.ndarray:
    """``chase_command`` of robots that kick forwards."""
    ball = told[:, :2] + chase.lead_s * told[:, 2:4]
    distance, towards = _split(told[:, 5:7] - ball)
    away, to_ball = _split(ball)
    left = np.stack([-towards[:, 1], towards[:, 0]], axis=1)
    ahead, beside = _dot(ball, towards), -_dot(ball, left)
    side = np.where(beside >= 0.0, 1.0, -1.0)
    off_lane = chase.lane_m * side - beside
    angle = np.arctan2(towards[:, 1:], towards[:, :1])
    farther = np.maximum(ahead - chase.reach_m, 0.0)
    lined_up = (
        (np.abs(off_lane) < chase.lane_width_m + 0.25 * farther)
        & (np.abs(angle) < chase.angle_rad + 0.5 * farther)
        & (ahead > chase.passed_m)
    )
    kick = np.minimum(chase.slow_kick_mps + chase.kick_rate * distance, chase.fast_kick_mps)
    run_up = np.clip(kick + ahead - 1.8 * chase.reach_m, kick, chase.pace_mps)
    kicking = run_up * towards + _GAIN * off_lane * left

    blocked = (ahead < chase.passed_m) & (np.abs(beside) < chase.aside_m - 0.5 * chase.lane_width_m)
    aside = np.where(blocked, chase.aside_m, chase.lane_m)
    back = np.where(blocked, chase.behind_m / 3.0, chase.behind_m)
    length, way = _split(ball - back * towards + side * aside * left)
    going = np.minimum(_GAIN * length, chase.pace_mps) * way

    # A ball at its target has no direction to be kicked in: the robot stays near it.
    waits = distance < chase.wait_m
    staying = np.minimum(away - 1.5 * chase.reach_m, chase.pace_mps) * to_ball
    velocity = np.where(waits, staying, np.where(lined_up, kicking, going))
    high = np.array([paces.vx_range[1], paces.vy_range[1]])
    low = np.array([slowest_mps, paces.vy_range[0]])
    over = np.maximum(velocity / high, velocity / low).max(axis=1, keepdims=True)
    velocity = velocity / np.maximum(over, 1.0)
    turn = np.where(waits | (away > chase.far_m), np.arctan2(ball[:, 1:], ball[:, :1]), angle)
    rate = np.clip(_GAIN * turn, *paces.yaw_range)
    return np.concatenate([velocity, rate], axis=1).astype(np.float32)


def _split(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths (N, 1) and directions (N, 2) of vectors (N, 2); the zero vector has none."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return length, vectors / np.maximum(length, 1e-6)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Dot products (N, 1) of vectors (N, 2)."""
    return (a * b).sum(axis=1, keepdims=True)
