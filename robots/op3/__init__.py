"""ROBOTIS OP3: a 3.1 kg humanoid, half a metre tall, with 20 joints.

Sources of the numbers below: "menagerie" is the model robotis_op3 of MuJoCo Menagerie; "sheet" is
ROBOTIS's data of the servo XM430-W350 at 12 V. Ranges of joints, in degrees: "table" is the limits
in ROBOTIS's kinematics (ROBOTIS-OP3, op3_kinematics_dynamics.cpp); "motions" is what the motions
that ROBOTIS ships with the robot go through (op3_action_module, motion_4095.bin; 2048 is 0, a unit
is 360 / 4096 degrees); "shapes" is where links next to each other pass without touching (meshes of
ROBOTIS-OP3-Common, op3_description, with servos as boxes of 28.5 x 46.5 x 34 mm).
"""

from collections.abc import Mapping
from importlib.resources import files

import numpy as np

from legged_skills.robots.spec import RobotSpec

_ARM = ("sho_pitch", "sho_roll", "el")
_LEG = ("hip_yaw", "hip_roll", "hip_pitch", "knee", "ank_pitch", "ank_roll")
# Straight legs and arms stretched out sideways at zero. Signs of the left side: see op3.xml; those
# of the right side are the opposite, in all of these joints.
_HEAD_RANGE = ((-1.48, 1.48), (-1.3, 0.52))
"""Pan and tilt [rad]: 85 degrees to each side, 75 down, 30 up (op3_head_control_module)."""
_LEFT_RANGE = {
    # Forward and up to backward and up. Table +-90, motions -154 to 137.
    "sho_pitch": (-2.6, 2.3),
    # Up to hanging down. Table -54 to 90, motions -104 to 86, shapes -100 to 120.
    "sho_roll": (-1.7, 1.5),
    # Hand towards the body to away from it. Table +-90, motions -147 to 5, shapes +-140.
    "el": (-2.4, 1.5),
    # Toes out to toes in. Table +-81, motions +-13. Less inwards, where the toes meet.
    "hip_yaw": (-1.4, 0.6),
    # Out to in. Table +-54, motions -26 to 0, shapes +-100. Less inwards, where the legs meet if
    # the other one does not give way: twice the lean that puts the robot on one foot.
    "hip_roll": (-0.94, 0.5),
    # Forward to backward. Table +-72, motions -112 to 28, shapes up to 29: there the thigh meets
    # the servo of hip_roll.
    "hip_pitch": (-1.9, 0.48),
    # Table -18 to 126, motions 0 to 142, where ROBOTIS's start pose is too; shapes +-142. Never
    # nearer to straight than 3 degrees, so that it cannot flip over.
    "knee": (0.05, 2.48),
    # Toes down to toes up. Table +-81, motions -28 to 104, shapes from -29: there the shank meets
    # the servo of ank_roll.
    "ank_pitch": (-0.48, 1.5),
    # Sole turned in to sole turned out. Table +-81, motions -69 to 13, shapes +-80, where the sole
    # meets the shank.
    "ank_roll": (-1.0, 1.0),
}
"""Usable ranges of the left side [rad]: within the wider of table and motions, and within shapes.
The URDF gives +-162 degrees for each joint, which keeps a robot safe from nothing."""
_LEFT_DEFAULT = {
    "sho_pitch": 0.0,
    "sho_roll": 1.1,
    "el": -0.4,
    "hip_yaw": 0.0,
    "hip_roll": 0.0,
    "hip_pitch": -0.36,
    "knee": 0.8,
    "ank_pitch": 0.44,
    "ank_roll": 0.0,
}
"""The left side of the default pose [rad]: arms hang free of the body, soles are flat, and the
centre of mass is 1 mm behind their middle, so that the robot can step from it at once."""
_LEFT_ACCELERATION = {
    "sho_pitch": 87.7,
    "sho_roll": 87.8,
    "el": 90.6,
    "hip_yaw": 89.7,
    "hip_roll": 71.8,
    "hip_pitch": 71.4,
    "knee": 84.0,
    "ank_pitch": 90.4,
    "ank_roll": 90.9,
}
_CLEAR_OF_FOREARM = ("torso", "head", "{}_hip", "{}_thigh", "{}_shank")
_LEG_PAIRS = (
    ("thigh", "thigh"),
    ("thigh", "shank"),
    ("shank", "shank"),
    ("shank", "ankle"),
    ("shank", "foot_inner"),
    ("ankle", "ankle"),
    ("ankle", "foot_inner"),
    ("ankle", "foot_outer"),
    ("foot_inner", "foot_inner"),
    ("foot_inner", "foot_outer"),
)


def _mjcf() -> str:
    return files(__name__).joinpath("op3.xml").read_text()


def _joints(
    head: tuple[float, float], left: Mapping[str, float], right: Mapping[str, float]
) -> np.ndarray:
    """(20,) in the order of the joints: the head's two, and both sides' by the joint's name."""
    sides = (left, right)
    arms = [side[joint] for side in sides for joint in _ARM]
    legs = [side[joint] for side in sides for joint in _LEG]
    return np.array([*head, *arms, *legs])


def _limits(end: int) -> np.ndarray:
    """(20,) lower (end 0) or upper (end 1) limits [rad]; the right side's are the left's turned."""
    left = {joint: limits[end] for joint, limits in _LEFT_RANGE.items()}
    right = {joint: -limits[1 - end] for joint, limits in _LEFT_RANGE.items()}
    return _joints((_HEAD_RANGE[0][end], _HEAD_RANGE[1][end]), left, right)


def _self_collision() -> tuple[tuple[str, str], ...]:
    """Pairs of links that can meet within the usable ranges."""
    pairs = [
        (f"{side}_forearm", other.format(side))
        for side in ("l", "r")
        for other in _CLEAR_OF_FOREARM
    ]
    pairs += [
        ("l_forearm", "r_forearm"),
        ("l_forearm", "r_upper_arm"),
        ("l_upper_arm", "r_forearm"),
    ]
    for one, other in _LEG_PAIRS:
        pairs.append((f"l_{one}", f"r_{other}"))
        if one != other:
            pairs.append((f"l_{other}", f"r_{one}"))
    return tuple((f"self_{one}", f"self_{other}") for one, other in pairs)


def _sole(side: float) -> np.ndarray:
    """(8, 3) the corners of the undersides of a foot's two boxes; side 1 is left, -1 right [m]."""
    long = [(x, y + 0.0005 * side, 0.0) for x in (0.0635, -0.0635) for y in (0.028, -0.028)]
    wide = [(x, y, 0.0) for x in (0.057, -0.057) for y in (0.039, -0.039)]
    return np.array(long + wide)


SPEC = RobotSpec(
    name="op3",
    mjcf=_mjcf,
    base_body="body_link",
    joint_names=(
        "head_pan",
        "head_tilt",
        *(f"{side}_{joint}" for side in ("l", "r") for joint in _ARM),
        *(f"{side}_{joint}" for side in ("l", "r") for joint in _LEG),
    ),
    default_joint_pos=_joints(
        (0.0, 0.0), _LEFT_DEFAULT, {joint: -angle for joint, angle in _LEFT_DEFAULT.items()}
    ),
    joint_lower=_limits(0),
    joint_upper=_limits(1),
    # Menagerie, from system identification. ROBOTIS starts the servos without a derivative gain
    # (dxl_init_OP3.yaml for ROS 2): what damps, 1.084 Nm s/rad, is motor and gear. That is in the
    # model, and no part of the command.
    kp=np.full(20, 21.1),
    kd=np.zeros(20),
    # Sheet: stall torque. With menagerie's 5 Nm the model's drive, damping included, would be
    # stronger than the sheet's straight line to its speed without load, at all speeds to 3.9 rad/s.
    torque_limit=np.full(20, 4.1),
    # Sheet: 46 rpm without load. Torque limit and damping together end at 3.8 rad/s.
    velocity_limit=np.full(20, 4.8),
    # The torque limit over the inertia about the joint in the default pose with the base held, most
    # of it the drive's own (armature 0.045 kg m^2). The tests compute it again.
    acceleration_limit=_joints((91.0, 90.7), _LEFT_ACCELERATION, _LEFT_ACCELERATION),
    # MuJoCo Playground's OP3.
    action_scale=0.3,
    # Three cycles of the robot's bus, which runs at 8 ms.
    # The bus is read for positions only (ROBOTIS-OP3, OP3.robot).
    measures_joint_velocity=False,
    control_period_s=0.024,
    physics_step_s=0.004,
    # Feet and their sites have the same names. A site is in the middle of the sole's underside,
    # with x to the toes.
    foot_names=("l_foot", "r_foot"),
    foot_sites=("l_foot", "r_foot"),
    foot_radius_m=0.0,
    foot_points_f=np.stack([_sole(1.0), _sole(-1.0)]),
    # Forward kinematics of the default pose; the tests compute both again.
    standing_height_m=0.2616,
    leg_length_m=0.2331,
    # A little more than on its knees, with upright thighs (0.16 m).
    fallen_height_m=0.17,
    # Menagerie's feet. They have the higher priority, so that their 1.0 acts on any floor.
    floor_friction=1.0,
    # Left and right change places, and all angles their sign, for the reason given in op3.xml; of
    # the head's two, tilting is the same in a mirror.
    mirror_joints=(
        np.array([0, 1, 5, 6, 7, 2, 3, 4, 14, 15, 16, 17, 18, 19, 8, 9, 10, 11, 12, 13]),
        np.array([-1.0, 1.0] + [-1.0] * 18),
    ),
    mirror_feet=np.array([1, 0]),
    # Knees bend one way only.
    mirror_joints_front_back=None,
    mirror_feet_front_back=None,
    self_collision=_self_collision(),
)
