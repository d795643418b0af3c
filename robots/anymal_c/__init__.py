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


def _neighbours() -> tuple[tuple[str, str], ...]:
    """Pairs of parts of legs side by side, and of legs one behind the other.

    The thighs of two legs never meet. Of the knees only those of a fore and a hind leg do, which
    point at each other.
    """
    parts = (
        ("FOOT", "FOOT"),
        ("FOOT", "SHANK"),
        ("SHANK", "FOOT"),
        ("SHANK", "SHANK"),
        ("FOOT", "THIGH"),
        ("THIGH", "FOOT"),
        ("SHANK", "THIGH"),
        ("THIGH", "SHANK"),
    )
    pairs = []
    for one, other in (("LF", "RF"), ("LH", "RH"), ("LF", "LH"), ("RF", "RH")):
        pairs += [(f"{one}_{a}", f"{other}_{b}") for a, b in parts]
        if one[0] == other[0]:
            pairs.append((f"{one}_KNEE", f"{other}_KNEE"))
    return tuple(pairs)


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
    # The torque limit over the drive's and the leg's inertia about the joint in the default pose,
    # with the base held; the tests compute it again.
    acceleration_limit=np.tile([214.0, 233.0, 1050.0], 4),
    # legged_gym, and most published ANYmal policies.
    action_scale=0.5,
    measures_joint_velocity=True,
    control_period_s=0.02,
    # The period of the drives' own loop. With 5 ms contacts would be twice as soft (anymal_c.xml).
    physics_step_s=0.0025,
    foot_names=LEGS,
    foot_sites=tuple(f"{leg}_FOOT" for leg in LEGS),
    foot_radius_m=0.03,
    foot_points_f=np.zeros((4, 1, 3)),
    # Forward kinematics of the default pose; the tests compute both again.
    standing_height_m=0.5488,
    leg_length_m=0.5488,
    # With the knees on the floor the base is at most 0.34 m high; in no clip it is below 0.42 m.
    fallen_height_m=0.35,
    # The feet have the higher priority, so that their 0.8 of menagerie acts on any floor.
    floor_friction=0.8,
    # Left and right legs change places; a HAA turns about the x axis, so it changes its sign.
    mirror_joints=(
        np.array([3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8]),
        np.tile([-1.0, 1.0, 1.0], 4),
    ),
    mirror_feet=np.array([1, 0, 3, 2]),
    # Fore and hind legs change places; a HAA keeps its sign and the others change theirs.
    mirror_joints_front_back=(
        np.array([6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5]),
        np.tile([1.0, -1.0, -1.0], 4),
    ),
    mirror_feet_front_back=np.array([2, 3, 0, 1]),
    self_collision=_neighbours(),
)
