"""The left-right mirror image of a motion, as free extra data."""

import dataclasses

import numpy as np

from legged_skills.mocap.clip import RobotClip
from legged_skills.robots.spec import RobotSpec

# Reflection in the x-z plane, for root position or velocity, for a quaternion wxyz, and for an
# angular velocity (an axial vector).
_POS = np.array([1.0, -1.0, 1.0])
_QUAT = np.array([1.0, -1.0, 1.0, -1.0])
_ANG_VEL = np.array([-1.0, 1.0, -1.0])


def mirror(clip: RobotClip, spec: RobotSpec) -> RobotClip:
    """Reflects a clip in the x-z plane of the world: left legs do what right legs did.

    Args:
        clip: a motion of the robot.
        spec: the robot; says which joints change places, and which change sign.

    Returns:
        A new clip of the same name; its ``retarget`` says that it is mirrored.
    """
    order, sign = spec.mirror_joints
    feet = spec.mirror_feet
    qpos = np.hstack(
        [clip.qpos[:, :3] * _POS, clip.qpos[:, 3:7] * _QUAT, clip.qpos[:, 7:][:, order] * sign]
    )
    qvel = np.hstack(
        [clip.qvel[:, :3] * _POS, clip.qvel[:, 3:6] * _ANG_VEL, clip.qvel[:, 6:][:, order] * sign]
    )
    return dataclasses.replace(
        clip,
        qpos=qpos,
        qvel=qvel,
        foot_contact=clip.foot_contact[:, feet],
        retarget={**clip.retarget, "mirrored": not clip.retarget.get("mirrored", False)},
    )
