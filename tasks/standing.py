"""How the episodes of a task begin, standing, and how they end, on the floor."""

import numpy as np

from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.sensed_robot import SensedRobots


def standing_qpos(
    spec: RobotSpec, n: int, noise_rad: float, rng: np.random.Generator
) -> np.ndarray:
    """(n, 7 + J) robots at the origin, near the default pose, heading anywhere.

    Args:
        spec: the robot.
        n: how many.
        noise_rad: standard deviation of joint angles around the default pose [rad].
        rng: is advanced.
    """
    yaw = rng.uniform(-np.pi, np.pi, n)
    qpos = near_home(spec, n, noise_rad, rng)
    qpos[:, 3], qpos[:, 6] = np.cos(yaw / 2.0), np.sin(yaw / 2.0)
    return qpos


def near_home(spec: RobotSpec, n: int, noise_rad: float, rng: np.random.Generator) -> np.ndarray:
    """(n, 7 + J) robots at home, joints somewhat off; arguments as of ``standing_qpos``."""
    qpos = np.tile(spec.home_qpos, (n, 1))
    qpos[:, 7:] += noise_rad * rng.standard_normal((n, spec.num_joints))
    np.clip(qpos[:, 7:], spec.joint_lower, spec.joint_upper, out=qpos[:, 7:])
    return qpos


def fallen(robots: SensedRobots, max_tilt_rad: float) -> np.ndarray:
    """(N,) True where the base is too low, or tilted by more than an angle [rad]."""
    low = robots.pos_w[:, 2] < robots.spec.fallen_height_m
    return low | (robots.up_b[:, 2] < np.cos(max_tilt_rad))
