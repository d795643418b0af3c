"""Orientations as the robots' IMUs tell them."""

import math

import numpy as np

_ROLL_SHARE = 0.01
"""Share of the squared forward acceleration that keeps roll steady when the nose points up or
down (NXP's application note AN3461, equation 38, as OP3's firmware has it)."""


def from_roll_pitch_yaw(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """(4,) wxyz: first roll about x, then pitch about y, then yaw about z, axes fixed [rad]."""
    cr, sr = math.cos(0.5 * roll), math.sin(0.5 * roll)
    cp, sp = math.cos(0.5 * pitch), math.sin(0.5 * pitch)
    cy, sy = math.cos(0.5 * yaw), math.sin(0.5 * yaw)
    return np.array(
        [
            cr * cp * cy + sr * sp * sy,
            sr * cp * cy - cr * sp * sy,
            cr * sp * cy + sr * cp * sy,
            cr * cp * sy - sr * sp * cy,
        ]
    )


def from_gravity(gravity_b: np.ndarray, yaw: float) -> np.ndarray:
    """(4,) wxyz of a base that sees gravity (3,) in a direction, with the yaw given [rad]."""
    x, y, z = (-gravity_b).tolist()
    return from_roll_pitch_yaw(math.atan2(y, z), math.atan2(-x, math.hypot(y, z)), yaw)


def tilt_only(acceleration: np.ndarray) -> np.ndarray:
    """(4,) wxyz as OP3's firmware takes it from the accelerometer (3,) alone; yaw is 0."""
    x, y, z = acceleration.tolist()
    upright = math.copysign(math.sqrt(z * z + _ROLL_SHARE * x * x), z)
    return from_roll_pitch_yaw(math.atan2(y, upright), math.atan2(-x, math.hypot(y, z)), 0.0)
