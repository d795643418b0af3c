"""A dog made from a robot's own motion, so that the right answer of retargeting is known."""

from dataclasses import dataclass

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.mocap.dog_keypoints import MARKER_NAMES
from legged_skills.mocap.solve import PoseProblem, solve_poses
from legged_skills.mocap.source import SourceMotion
from legged_skills.robots import rotations
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
        skeleton="dog_keypoints",
        source={"file": "synthetic.txt", "format": "dog key points", "licence": "none"},
    )
    return SyntheticDog(motion, qpos, feet_w, contact, SCALE, offsets)
