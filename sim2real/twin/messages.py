"""A robot's messages without ROS: what the twin makes, faults spoil, and a node sends."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class JointMessage:
    """Joint states, or joint targets. L is the number of names.

    The arrays have as many values as there are names, unless a fault took some.
    """

    names: tuple[str, ...]
    """(L,) joints."""
    position: np.ndarray
    """(L,) [rad]."""
    velocity: np.ndarray
    """(L,) [rad/s]; empty for targets."""
    effort: np.ndarray
    """(L,) [Nm]; empty for targets."""


@dataclass(frozen=True, kw_only=True)
class ImuMessage:
    """One sample of an IMU, in the IMU's own frame."""

    orientation_wxyz: np.ndarray
    """(4,) turns vectors of the IMU's frame into the world's."""
    angular_velocity: np.ndarray
    """(3,) [rad/s]."""
    acceleration: np.ndarray
    """(3,) [m/s^2]; upwards at rest."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The robot as it is, in the floor's frame."""

    time_s: float
    """Simulated time since the start [s]."""
    pos_w: np.ndarray
    """(3,) base position [m]."""
    quat_wxyz: np.ndarray
    """(4,) base orientation."""
    lin_vel_b: np.ndarray
    """(3,) base velocity in the base frame [m/s]."""
    ang_vel_b: np.ndarray
    """(3,) base angular velocity in the base frame [rad/s]."""
    fallen: bool
    """Whether the base is too tilted, or too low after it has once stood."""
