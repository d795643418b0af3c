"""When a robot that follows a clip is lost."""

import numpy as np
from numpy.typing import ArrayLike

from legged_skills.robots.kinematics import ROOT_QPOS, Kinematics
from legged_skills.robots.rotations import rotate_inverse
from legged_skills.robots.spec import RobotSpec

MAX_DEVIATION = 0.3
"""Lost when the deviation is larger [m and rad]."""
STRICT_DEVIATION = 0.15
"""Strictly, it is already lost when the deviation is larger than this [m and rad]: where the sum of
positions and angles, without halves, is more than 0.3."""
MAX_TILT_ERROR_RAD = 1.0
"""Fallen when roll and pitch together are farther than this from the reference's [rad]."""
FALLEN_MARGIN = 0.1
"""A crouch of the reference is no fall: fallen is at least this much lower [leg lengths]."""


def deviation(kinematics: Kinematics, qpos: np.ndarray, reference_qpos: np.ndarray) -> np.ndarray:
    """How far robots are from their references: 0.5 * positions + 0.5 * angles.

    The termination error of dm_control's tracking tasks (``reference_pose/tracking.py``; CoMic,
    Hasenclever et al. 2020): positions is the mean over all bodies and the three axes of |error of
    the body's origin in the world| [m], angles the mean over all joints of |error| [rad]. Bohez et
    al. 2022 end episodes at 0.3 of it too, but perhaps without the halves (``STRICT_DEVIATION``).

    Args:
        kinematics: of the robot.
        qpos: (T, 7 + J) what robots did.
        reference_qpos: (T, 7 + J) what they should have done.

    Returns:
        (T,) deviation [m and rad].
    """
    # The first body is the world.
    bodies, wanted = (kinematics.poses(q).body_pos_w[1:] for q in (qpos, reference_qpos))
    joints = np.abs(qpos[:, ROOT_QPOS:] - reference_qpos[:, ROOT_QPOS:])
    return 0.5 * np.abs(bodies - wanted).mean(axis=(0, 2)) + 0.5 * joints.mean(axis=1)


def lowest_height(spec: RobotSpec, reference_height_m: np.ndarray) -> np.ndarray:
    """The height under which a base has fallen that should be at a given height.

    Args:
        spec: the robot.
        reference_height_m: heights of the reference's base [m], of any shape.

    Returns:
        Heights [m]: the robot's ``fallen_height_m``, or where the reference itself is about as low,
        ``FALLEN_MARGIN`` leg lengths below the reference.
    """
    margin_m = FALLEN_MARGIN * spec.leg_length_m
    return np.minimum(spec.fallen_height_m, reference_height_m - margin_m)


def lost(
    spec: RobotSpec,
    kinematics: Kinematics,
    qpos: np.ndarray,
    reference_qpos: np.ndarray,
    max_deviation: ArrayLike = MAX_DEVIATION,
) -> np.ndarray:
    """Where robots are lost: off their references, too low, or tilted.

    Args:
        spec: the robot.
        kinematics: of its model.
        qpos: (T, 7 + J) what robots did.
        reference_qpos: (T, 7 + J) what they should have done.
        max_deviation: what is still tracked, a number or (...,) of them [m and rad].

    Returns:
        (..., T) True where the ``deviation`` is more than that, the base lower than
        ``lowest_height``, or its tilt more than ``MAX_TILT_ERROR_RAD`` off.
    """
    up, wanted_up = (_up_b(q) for q in (qpos, reference_qpos))
    return (
        (deviation(kinematics, qpos, reference_qpos) > np.asarray(max_deviation)[..., None])
        | (qpos[:, 2] < lowest_height(spec, reference_qpos[:, 2]))
        | ((up * wanted_up).sum(axis=1) < np.cos(MAX_TILT_ERROR_RAD))
    )


def _up_b(qpos: np.ndarray) -> np.ndarray:
    """(T, 3) the world's z axis in the frames of the bases."""
    return rotate_inverse(qpos[:, 3:ROOT_QPOS], np.tile([0.0, 0.0, 1.0], (len(qpos), 1)))
