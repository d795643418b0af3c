"""Robots that lie on the floor: where getting up begins."""

import numpy as np

from legged_skills.robots import rotations
from legged_skills.robots.contract import proprioception
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.reality import simulate
from legged_skills.sim2real.sensed_robot import SensedRobots
from legged_skills.tasks.getup import BACK, FRONT

_DROP_HEIGHT_M = 0.22
"""Of the base over the floor: lower than that links would be in the floor in some poses."""
_PITCH_RAD = 0.5
"""The base's axis is level within this [rad]."""
_POSE_SHARE = 0.8
"""Poses are at most this share of the way from the default pose to anywhere in the ranges."""
SETTLE_S = 1.5
"""Until then dropped robots have come to rest [s]."""


def falling_qpos(spec: RobotSpec, n: int, rng: np.random.Generator) -> np.ndarray:
    """(n, 7 + J) robots over the floor, level, turned anyhow, in poses of any kind.

    Args:
        spec: the robot.
        n: how many.
        rng: is advanced.
    """
    qpos = np.tile(spec.home_qpos, (n, 1))
    qpos[:, 2] = _DROP_HEIGHT_M
    heading, roll = rng.uniform(-np.pi, np.pi, (2, n))
    pitch = np.pi / 2.0 + rng.uniform(-_PITCH_RAD, _PITCH_RAD, n)
    tipped = rotations.from_axis_angle(np.tile([0.0, 1.0, 0.0], (n, 1)), pitch)
    turned = rotations.multiply(rotations.from_yaw(heading), tipped)
    qpos[:, 3:7] = rotations.multiply(turned, rotations.from_yaw(roll))
    anywhere = rng.uniform(spec.joint_lower, spec.joint_upper, (n, spec.num_joints))
    share = _POSE_SHARE * rng.uniform(0.0, 1.0, (n, 1))
    qpos[:, 7:] += share * (anywhere - qpos[:, 7:])
    return qpos


def drop(robots: SensedRobots, rng: np.random.Generator) -> np.ndarray:
    """All robots fall to the floor in some pose, keep it, and come to rest.

    Args:
        robots: the robots.
        rng: is advanced.

    Returns:
        (N,) True where the physics diverged; such a robot does not lie.
    """
    spec, n = robots.spec, robots.num_envs
    qpos = falling_qpos(spec, n, rng)
    robots.reset(np.arange(n), qpos, np.zeros(6 + spec.num_joints))
    diverged = np.zeros(n, bool)
    for _ in range(round(SETTLE_S / spec.control_period_s)):
        diverged |= robots.step_targets(qpos[:, 7:])
    return diverged


def lying_states(
    spec: RobotSpec, n: int, rng: np.random.Generator, num_threads: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """States of robots that lie at rest, in simulation without a gap.

    Args:
        spec: the robot.
        n: how many.
        rng: is advanced.
        num_threads: of the physics; 0 takes all cores.

    Returns:
        qpos (n, 7 + J), qvel (n, 6 + J) and what they lie on (n,), ``FRONT`` or ``BACK``; fewer
        than n where the physics of some diverged.
    """
    robots = SensedRobots(simulate(spec, n, num_threads, touches_itself=True), proprioception(spec))
    lie = ~drop(robots, rng)
    return robots.sim.qpos[lie], robots.sim.qvel[lie], sides(robots)[lie]


def sides(robots: SensedRobots) -> np.ndarray:
    """(N,) what robots lie on: ``FRONT`` or ``BACK``."""
    return np.where(robots.up_b[:, 0] < 0.0, FRONT, BACK)


def standing(robots: SensedRobots, height_share: float, tilt_rad: float) -> np.ndarray:
    """(N,) True for those that stand: high enough, and not tilted by more than an angle.

    Args:
        robots: the robots.
        height_share: least height of the base, over that in the default pose.
        tilt_rad: the angle [rad].
    """
    high = robots.pos_w[:, 2] >= height_share * robots.spec.standing_height_m
    return high & (robots.up_b[:, 2] >= np.cos(tilt_rad))
