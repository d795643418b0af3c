"""A dog and a human made from robots' own motions: the right answer of retargeting is known."""

from dataclasses import dataclass

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.mocap.formats.dog_keypoints import MARKER_NAMES
from legged_skills.mocap.skeletons import HUMAN_ROLES
from legged_skills.mocap.solve import PoseProblem, solve_poses
from legged_skills.mocap.source import SourceMotion
from legged_skills.robots import rotations
from legged_skills.robots.feet import Feet
from legged_skills.robots.kinematics import BodyPoints, Kinematics, site_points
from legged_skills.robots.spec import RobotSpec

PAWS = ("left_fore_paw", "right_fore_paw", "left_hind_paw", "right_hind_paw")
SCALE = 1.5
FPS = 60.0
PAW_REST_M = 0.02
STRIDE_S = 0.8
DUTY = 0.6
SPEED = 0.4
# What the robot's feet have more than the scaled dog's, in the frame of the heading [m]. The last
# column is the foot's radius over the floor less the scaled height of a resting paw.
FOOT_OFFSETS = np.array(
    [[0.05, 0.2, 0.0], [0.05, -0.2, 0.0], [-0.04, 0.22, 0.0], [-0.04, -0.22, 0.0]]
)
# Where the dog's trunk markers are on the robot's base [m].
TRUNK = {
    "left_shoulder": (0.3, 0.08, 0.0),
    "right_shoulder": (0.3, -0.08, 0.0),
    "left_hip": (-0.3, 0.08, 0.0),
    "right_hip": (-0.3, -0.08, 0.0),
    "pelvis": (-0.3, 0.0, 0.1),
    "neck": (0.4, 0.0, 0.1),
}


@dataclass(frozen=True)
class SyntheticDog:
    """A source motion and the robot's motion it was made from."""

    motion: SourceMotion
    qpos: np.ndarray
    """The robot's poses at the source's frames, (T, 7 + J)."""
    feet_w: np.ndarray
    """The robot's feet at the source's frames [m], (T, F, 3)."""
    contact: np.ndarray
    """Which feet stand at the source's frames, (T, F)."""
    scale: float
    foot_offsets: np.ndarray


@pytest.fixture(scope="session")
def spec() -> RobotSpec:
    return robots.get("anymal_c")


def _gait(time: np.ndarray, home: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Feet of a walk: diagonal pairs, standing for 60 % of a stride, and contacts."""
    feet = np.empty((len(time), 4, 3))
    contact = np.empty((len(time), 4), dtype=bool)
    for foot, phase in enumerate((0.0, 0.5, 0.5, 0.0)):
        strides, part = np.divmod(time / STRIDE_S + phase, 1.0)
        swing = np.clip((part - DUTY) / (1 - DUTY), 0, 1)
        ahead = swing - np.sin(2 * np.pi * swing) / (2 * np.pi)
        # The middle of a contact is under the hip.
        step = strides + ahead - phase + DUTY / 2
        feet[:, foot, 0] = home[foot, 0] + SPEED * STRIDE_S * step
        feet[:, foot, 1] = home[foot, 1]
        feet[:, foot, 2] = radius + 0.06 * np.sin(np.pi * swing) ** 2
        contact[:, foot] = part < DUTY
    return feet, contact


@pytest.fixture(scope="session")
def dog(spec: RobotSpec) -> SyntheticDog:
    """Six seconds of walking straight ahead."""
    model = spec.model()
    kinematics = Kinematics(model)
    points = site_points(model, spec.foot_sites)
    home_poses = kinematics.poses(spec.home_qpos[None])
    home = kinematics.points(home_poses, points)[0]
    home[:, 0] = [home_poses.body_pos_w[model.body(f"{n}_THIGH").id, 0, 0] for n in spec.foot_names]
    # The robot's time at the dog's frames: Froude scaling by sqrt(1.5).
    time = np.arange(300) / FPS * np.sqrt(SCALE)
    wanted, contact = _gait(time, home, spec.foot_radius_m)
    start = np.tile(spec.home_qpos, (len(time), 1))
    start[:, 0] = SPEED * time
    sway = np.stack([0.03 * np.sin(2 * np.pi * time / STRIDE_S), 0 * time, 0 * time], axis=1)
    start[:, 3:7] = rotations.from_rotvec(sway)
    # The base is carried by four points with a great weight, so that it stays where it is.
    corners = np.array([[0.3, 0.2, 0], [0.3, -0.2, 0], [-0.3, 0.2, 0], [-0.3, -0.2, 0.0]])
    targets = start[:, None, :3] + rotations.rotate(start[:, None, 3:7], corners)
    base = np.full(4, kinematics.root_body)
    problem = PoseProblem(
        kinematics=kinematics,
        points=BodyPoints(
            np.concatenate([base, points.body_ids]), np.concatenate([corners, points.offsets_b])
        ),
        weights=np.array([100.0] * 4 + [1.0] * 4),
        rest=spec.default_joint_pos,
        pull=1e-9,
        lower=spec.joint_lower,
        upper=spec.joint_upper,
    )
    qpos = solve_poses(problem, start, np.concatenate([targets, wanted], axis=1))
    feet_w = kinematics.points(kinematics.poses(qpos), points)
    np.testing.assert_allclose(feet_w, wanted, atol=1e-4)
    offsets = FOOT_OFFSETS.copy()
    offsets[:, 2] = spec.foot_radius_m - SCALE * PAW_REST_M
    positions = np.zeros((len(time), len(MARKER_NAMES), 3))
    for paw, name in enumerate(PAWS):
        positions[:, MARKER_NAMES.index(name)] = (feet_w[:, paw] - offsets[paw]) / SCALE
    for name, offset in TRUNK.items():
        place = qpos[:, :3] + rotations.rotate(qpos[:, 3:7], np.array(offset))
        # The robot's floor is the dog's at the height of a resting paw's marker.
        positions[:, MARKER_NAMES.index(name)] = place / SCALE + [0, 0, PAW_REST_M]
    motion = SourceMotion(
        marker_names=MARKER_NAMES,
        positions_w=positions,
        fps=FPS,
        skeleton="dog",
        source={"file": "synthetic.txt", "format": "dog key points", "licence": "none"},
    )
    return SyntheticDog(motion, qpos, feet_w, contact, SCALE, offsets)


HUMAN_SCALE = 0.28
TOE_REST_M = 0.05
WALK_STRIDE_S = 1.4
WALK_SPEED = 0.12
HEEL_RISE_RAD = 0.3
# Where the toe is in the frame of the robot's foot [m].
TOE_F = (0.04, 0.0, 0.0)
HUMAN_NAMES = (*HUMAN_ROLES, "left_toe", "right_toe")
# Where the human's joints are on the robot: a body and a place in its frame [m]; the hips and
# shoulders stay where they are on the trunk.
HUMAN_ON_OP3 = {
    "hip": ("body_link", (0.0, 0.054, -0.0285)),
    "knee": ("{}_knee_link", (0.0, 0.0, 0.0)),
    "ankle": ("{}_ank_pitch_link", (0.0, 0.0, 0.0)),
    "shoulder": ("body_link", (-0.001, 0.0885, 0.111)),
    "elbow": ("{}_el_link", (-0.019, 0.0, 0.0)),
    "wrist": ("{}_el_link", (-0.019, 0.13, 0.002)),
}


@dataclass(frozen=True)
class SyntheticHuman:
    """A source motion and the robot's motion it was made from."""

    motion: SourceMotion
    qpos: np.ndarray
    """The robot's poses at the source's frames, (T, 7 + J)."""
    contact: np.ndarray
    """Which feet stand at the source's frames, (T, F)."""
    scale: float


@pytest.fixture(scope="session")
def op3() -> RobotSpec:
    return robots.get("op3")


def _steps(
    time: np.ndarray, home: np.ndarray, speed: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Feet of a walk on two legs, their pitch (heels rise in the air), and contacts."""
    feet = np.empty((len(time), 2, 3))
    pitch = np.zeros((len(time), 2))
    contact = np.empty((len(time), 2), dtype=bool)
    for foot, phase in enumerate((0.0, 0.5)):
        strides, part = np.divmod(time / WALK_STRIDE_S + phase, 1.0)
        swing = np.clip((part - DUTY) / (1 - DUTY), 0, 1)
        ahead = swing - np.sin(2 * np.pi * swing) / (2 * np.pi)
        step = strides + ahead - phase + DUTY / 2
        feet[:, foot, 0] = home[foot, 0] + speed * WALK_STRIDE_S * step
        feet[:, foot, 1] = home[foot, 1]
        feet[:, foot, 2] = 0.03 * np.sin(np.pi * swing) ** 2
        pitch[:, foot] = -HEEL_RISE_RAD * np.sin(np.pi * swing) ** 2
        contact[:, foot] = part < DUTY
    return feet, pitch, contact


def _walking_op3(spec: RobotSpec, time: np.ndarray, speed: float) -> tuple[np.ndarray, np.ndarray]:
    """Poses of a walk straight ahead, the trunk swaying and the arms swinging, and contacts."""
    model = spec.model()
    kinematics, feet = Kinematics(model), Feet.of(model, spec)
    home_poses = kinematics.poses(spec.home_qpos[None])
    home = kinematics.points(home_poses, feet.centres)[0]
    hips = [model.body(f"{side}_hip_pitch_link").id for side in ("l", "r")]
    home[:, 0] = home_poses.body_pos_w[hips, 0, 0]
    wanted, pitch, contact = _steps(time, home, speed)
    start = np.tile(spec.home_qpos, (len(time), 1))
    start[:, 0] = speed * time
    phase = 2 * np.pi * time / WALK_STRIDE_S
    # Over the foot that stands.
    start[:, 1] = 0.01 * np.sin(phase)
    # Both arms hang; the left one swings ahead with the right leg, and less than the right one.
    for name, sign, swing in (("l_sho_pitch", 1.0, 0.2), ("r_sho_pitch", -1.0, 0.3)):
        start[:, 7 + spec.joint_names.index(name)] = sign * 0.2 + swing * np.cos(phase)
    corners = np.array([[0.1, 0.1, 0], [0.1, -0.1, 0], [-0.1, 0.1, 0], [-0.1, -0.1, 0.0]])
    base = np.full(4, kinematics.root_body)
    problem = PoseProblem(
        kinematics=kinematics,
        points=BodyPoints(
            np.concatenate([base, feet.handles.body_ids]),
            np.concatenate([corners, feet.handles.offsets_b]),
        ),
        weights=np.array([100.0] * 4 + [1.0] * 6),
        rest=spec.default_joint_pos,
        pull=np.zeros(spec.num_joints),
        lower=spec.joint_lower,
        upper=spec.joint_upper,
    )
    soles = rotations.from_axis_angle(np.array([0.0, -1.0, 0.0]), pitch)
    handles = feet.handle_targets(wanted, soles)
    targets = np.concatenate([start[:, None, :3] + corners, handles], axis=1)
    qpos = solve_poses(problem, start, targets)
    reached = kinematics.points(kinematics.poses(qpos), problem.points)
    np.testing.assert_allclose(reached, targets, atol=1e-4)
    return qpos, contact


@pytest.fixture(scope="session")
def human(op3: RobotSpec) -> SyntheticHuman:
    """Seven seconds of walking straight ahead; for the robot, less than four."""
    return _human_of(op3, WALK_SPEED)


@pytest.fixture(scope="session")
def treading_human(op3: RobotSpec) -> SyntheticHuman:
    """The same on the spot."""
    return _human_of(op3, 0.0)


def _human_of(op3: RobotSpec, speed: float) -> SyntheticHuman:
    """The human that a walk of the robot at some speed [m/s] is made into."""
    time = np.arange(420) / FPS * np.sqrt(HUMAN_SCALE)
    qpos, contact = _walking_op3(op3, time, speed)
    model = op3.model()
    kinematics = Kinematics(model)
    poses = kinematics.poses(qpos)
    positions = np.empty((len(time), len(HUMAN_NAMES), 3))
    for i, name in enumerate(HUMAN_NAMES):
        side, part = name.split("_")
        if part == "toe":
            site = site_points(model, (f"{side[0]}_foot",))
            point = BodyPoints(site.body_ids, site.offsets_b + TOE_F)
        else:
            body, place = HUMAN_ON_OP3[part]
            place = np.array(place) * [1.0, 1.0 if side == "left" else -1.0, 1.0]
            point = BodyPoints(np.array([model.body(body.format(side[0])).id]), place[None])
        # The robot's floor is the human's at the height of a resting toe's marker.
        positions[:, i] = kinematics.points(poses, point)[:, 0] / HUMAN_SCALE + [0, 0, TOE_REST_M]
    motion = SourceMotion(
        marker_names=HUMAN_NAMES,
        positions_w=positions,
        fps=FPS,
        skeleton="human",
        source={"file": "synthetic.bvh", "format": "BVH", "licence": "none"},
    )
    return SyntheticHuman(motion, qpos, contact, HUMAN_SCALE)
