"""ANYbotics ANYmal C: a 45 kg quadruped with 12 joints.

Sources of the numbers below: "menagerie" is the model anybotics_anymal_c of MuJoCo Menagerie,
"URDF" is ANYbotics's anymal_c_simple_description, "legged_gym" is the ANYmal C configuration of
leggedrobotics/legged_gym.
"""

from importlib.resources import files

import numpy as np

from legged_skills.robots.spec import RobotSpec

LEGS = ("LF", "RF", "LH", "RH")
"""Left fore, right fore, left hind, right hind: the order in URDF and menagerie."""


def _mjcf() -> str:
    return files(__name__).joinpath("anymal_c.xml").read_text()


def _per_leg(fore: tuple[float, float, float], hind: tuple[float, float, float]) -> np.ndarray:
    return np.array([*fore, *fore, *hind, *hind])


SPEC = RobotSpec(
    name="anymal_c",
    mjcf=_mjcf,
    base_body="base",
    joint_names=tuple(f"{leg}_{joint}" for leg in LEGS for joint in ("HAA", "HFE", "KFE")),
    # legged_gym's stance: the knees point at each other.
    default_joint_pos=_per_leg(fore=(0.0, 0.4, -0.8), hind=(0.0, -0.4, 0.8)),
    # HAA: URDF, mirrored on the right. URDF and menagerie give HFE and KFE +-9.42, which keeps a
    # robot safe from nothing. Ours: HFE 1.5 and KFE 2.6 as in a lying ANYmal (tbai's "sit" pose),
    # and the knee never nearer to straight than 5 degrees, so that it cannot flip over.
    joint_lower=np.array(
        [-0.72, -1.5, -2.6, -0.49, -1.5, -2.6, -0.72, -1.5, 0.087, -0.49, -1.5, 0.087]
    ),
    joint_upper=np.array([0.49, 1.5, -0.087, 0.72, 1.5, -0.087, 0.49, 1.5, 2.6, 0.72, 1.5, 2.6]),
    # legged_gym: 80 Nm/rad and 2 Nm s/rad.
    kp=np.full(12, 80.0),
    kd=np.full(12, 2.0),
    # URDF.
    torque_limit=np.full(12, 80.0),
    velocity_limit=np.full(12, 7.5),
    # legged_gym, and most published ANYmal policies.
    action_scale=0.5,
    control_period_s=0.02,
    physics_step_s=0.005,
    foot_names=LEGS,
    foot_sites=tuple(f"{leg}_FOOT" for leg in LEGS),
    foot_radius_m=0.03,
    # Forward kinematics of the default pose; the tests compute both again.
    standing_height_m=0.5488,
    leg_length_m=0.5488,
    # A little more than the trunk's half height plus a folded leg.
    fallen_height_m=0.25,
    # The feet have the higher priority, so that their 0.8 of menagerie acts on any floor.
    floor_friction=0.8,
    # Left and right legs change places; a HAA turns about the x axis, so it changes its sign.
    mirror_joints=(
        np.array([3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8]),
        np.tile([-1.0, 1.0, 1.0], 4),
    ),
    mirror_feet=np.array([1, 0, 3, 2]),
)
