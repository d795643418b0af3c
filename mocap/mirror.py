"""Mirror images of a motion, as free extra data (Bohez et al. 2022)."""

import dataclasses
from typing import Literal

import numpy as np

from legged_skills.mocap.clip import RobotClip
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.spec import RobotSpec

Plane = Literal["left_right", "front_back"]

# Signs of a position or velocity under a reflection of the world. Those of a quaternion's vector
# and of an angular velocity, which are axial, are the opposite.
_SIGNS = {
    "left_right": np.array([1.0, -1.0, 1.0]),
    "front_back": np.array([-1.0, 1.0, 1.0]),
}


def mirror(clip: RobotClip, spec: RobotSpec, plane: Plane = "left_right") -> RobotClip:
    """Reflects a clip: left legs do what right legs did, or hind legs what fore legs did.

    The front-back image of a walk ahead is a walk backwards.

    Args:
        clip: a motion of the robot.
        spec: the robot; says which joints change places, and which change sign.
        plane: which ends change places.

    Returns:
        A new clip of the same name; its ``retarget`` says that it is mirrored.

    Raises:
        SettingsError: the robot has no front-back image.
    """
    pairs = {
        "left_right": (spec.mirror_joints, spec.mirror_feet),
        "front_back": (spec.mirror_joints_front_back, spec.mirror_feet_front_back),
    }
    joints, feet = pairs[plane]
    if joints is None or feet is None:
        raise SettingsError(f"{spec.name}: its front is no mirror image of its back.")
    order, sign = joints
    along = _SIGNS[plane]
    quat = np.concatenate([[1.0], -along])
    qpos = np.hstack(
        [clip.qpos[:, :3] * along, clip.qpos[:, 3:7] * quat, clip.qpos[:, 7:][:, order] * sign]
    )
    qvel = np.hstack(
        [clip.qvel[:, :3] * along, clip.qvel[:, 3:6] * -along, clip.qvel[:, 6:][:, order] * sign]
    )
    noted = "mirrored" if plane == "left_right" else "mirrored_front_back"
    return dataclasses.replace(
        clip,
        qpos=qpos,
        qvel=qvel,
        foot_contact=clip.foot_contact[:, feet],
        retarget={**clip.retarget, noted: not clip.retarget.get(noted, False)},
    )
