"""Arms: directions of the source at the robot's lengths."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from legged_skills.mocap import signals
from legged_skills.mocap.limbs import Limbs, limb_vectors
from legged_skills.mocap.mapping import Mapping, mapping_for
from legged_skills.mocap.source import SourceMotion
from legged_skills.robots import rotations
from legged_skills.robots.kinematics import Kinematics
from legged_skills.robots.spec import RobotSpec


@pytest.fixture
def mapping(human, op3: RobotSpec) -> Mapping:
    return mapping_for(human.motion, op3)


def _arms(motion: SourceMotion, upper: np.ndarray, fore: np.ndarray) -> SourceMotion:
    """The source with the left arm's links along some vectors, (3,) or (T, 3)."""
    positions = motion.positions_w.copy()
    shoulder, elbow, wrist = (
        motion.index(f"left_{part}") for part in ("shoulder", "elbow", "wrist")
    )
    positions[:, elbow] = positions[:, shoulder] + upper
    positions[:, wrist] = positions[:, elbow] + fore
    return replace(motion, positions_w=positions)


def test_the_robots_side_of_arms(op3: RobotSpec, mapping: Mapping) -> None:
    limbs = Limbs.of(op3, mapping)
    model = op3.model()
    data = mujoco.MjData(model)
    data.qpos[:] = op3.home_qpos
    mujoco.mj_kinematics(model, data)
    # From the axis of the shoulder to that of the elbow, by the model's own places, and from
    # there to the site in the hand.
    for i, (side, sign) in enumerate((("l", 1.0), ("r", -1.0))):
        elbow, hand = data.body(f"{side}_el_link"), data.site(f"{side}_hand")
        turn = elbow.xmat.reshape(3, 3)
        bend = elbow.xpos + turn @ [-0.019, 0.0, 0.0]
        assert np.linalg.norm(hand.xpos - bend) == pytest.approx(limbs.lengths_m[i, 1], abs=1e-6)
        shoulder = op3.home_qpos[:3] + np.array([-0.001, 0.0885 * sign, 0.111])
        assert np.linalg.norm(bend - shoulder) == pytest.approx(limbs.lengths_m[i, 0], abs=1e-6)
        np.testing.assert_allclose(limbs.anchors_b[i], shoulder - op3.home_qpos[:3])
        moved = [n for n, own in zip(op3.joint_names, limbs.joints_of[i], strict=True) if own]
        assert moved == [f"{side}_sho_pitch", f"{side}_sho_roll", f"{side}_el"]
    np.testing.assert_allclose(limbs.lengths_m[0], limbs.lengths_m[1])
    # Elbows first, then hands.
    np.testing.assert_allclose(limbs.weights, [0.02, 0.02, 0.05, 0.05])
    np.testing.assert_array_equal(limbs.joints, limbs.joints_of[0] | limbs.joints_of[1])


def test_arms_reach_about_their_lengths_in_any_pose(op3: RobotSpec, mapping: Mapping) -> None:
    # OP3's shoulder rolls about an axis 1 cm below that of its pitch, which the two links of a
    # source do not have: an elbow is up to 2 cm nearer than in the default pose.
    limbs = Limbs.of(op3, mapping)
    kinematics = Kinematics(op3.model())
    rng = np.random.default_rng(0)
    qpos = np.tile(op3.home_qpos, (200, 1))
    qpos[:, 7:] = rng.uniform(op3.joint_lower, op3.joint_upper, (200, 20))
    points = kinematics.points(kinematics.poses(qpos), limbs.points).reshape(200, 2, 2, 3)
    upper = np.linalg.norm(points[:, 0] - qpos[:, None, :3] - limbs.anchors_b, axis=-1)
    fore = np.linalg.norm(points[:, 1] - points[:, 0], axis=-1)
    short = limbs.lengths_m[:, 0] - upper
    assert short.min() > -0.002 and short.max() < 0.021
    np.testing.assert_allclose(fore, limbs.lengths_m[:, 1] * np.ones((200, 1)), atol=1e-9)


def test_a_quadruped_has_no_arms(dog, spec: RobotSpec) -> None:
    mapping = mapping_for(dog.motion, spec)
    limbs = Limbs.of(spec, mapping)
    assert limbs.lengths_m.shape == (0, 2) and not np.any(limbs.joints)
    vectors = limb_vectors(dog.motion, mapping, limbs.lengths_m, 3.0)
    assert vectors.shape == (dog.motion.num_frames, 0, 2, 3)
    targets = limbs.targets(dog.qpos[:, :7], vectors, np.zeros((0, 3)))
    assert targets.shape == (dog.motion.num_frames, 0, 3)


def test_vectors_have_the_sources_directions_and_the_robots_lengths(
    human, mapping: Mapping
) -> None:
    lengths = np.array([[0.1, 0.2], [0.3, 0.4]])
    motion = _arms(human.motion, np.array([0.0, 3.0, 4.0]), np.array([-2.0, 0.0, 0.0]))
    vectors = limb_vectors(motion, mapping, lengths, 3.0)
    np.testing.assert_allclose(vectors[:, 0, 0], np.tile([0.0, 0.06, 0.08], (420, 1)), atol=1e-9)
    np.testing.assert_allclose(vectors[:, 0, 1], np.tile([-0.2, 0.0, 0.0], (420, 1)), atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), lengths * np.ones((420, 1, 1)))
    # The right arm is untouched by the left one.
    before = limb_vectors(human.motion, mapping, lengths, 3.0)
    np.testing.assert_array_equal(vectors[:, 1], before[:, 1])


def test_an_arm_without_length_has_no_direction(human, mapping: Mapping) -> None:
    # A wrist that a tracker puts on the elbow: no NaN, and no direction made up.
    motion = _arms(human.motion, np.array([0.0, 0.0, -0.3]), np.zeros(3))
    vectors = limb_vectors(motion, mapping, np.full((2, 2), 0.1), 3.0)
    assert np.all(np.isfinite(vectors))
    np.testing.assert_allclose(vectors[:, 0, 1], 0.0, atol=1e-6)


def test_directions_are_smoothed(human, mapping: Mapping) -> None:
    # Of a wave of 0.5 Hz in one direction nearly all stays, of one of 15 Hz next to nothing.
    time = np.arange(420) / human.motion.fps
    lengths = np.full((2, 2), 1.0)
    for hertz, least, most in ((0.5, 0.97, 1.01), (15.0, 0.0, 0.02)):
        wave = np.stack([0.2 * np.sin(2 * np.pi * hertz * time), 0 * time, -1 + 0 * time], axis=1)
        motion = _arms(human.motion, wave, np.array([0.0, 0.0, -1.0]))
        found = limb_vectors(motion, mapping, lengths, 3.0)[60:360, 0, 0, 0]
        assert least < np.ptp(found) / (0.4 / np.hypot(1, 0.2)) < most


def test_targets_by_hand(op3: RobotSpec, mapping: Mapping) -> None:
    limbs = Limbs.of(op3, mapping)
    root = np.zeros((1, 7))
    root[0, :3] = [1.0, 2.0, 3.0]
    root[0, 3:] = rotations.from_yaw(np.array(np.pi / 2))
    vectors = np.zeros((1, 2, 2, 3))
    vectors[0, :, 0] = [0.0, 0.0, -0.1]
    vectors[0, :, 1] = [0.2, 0.0, 0.0]
    offsets = np.array([[0.01, 0.0, 0.0], [0.0, 0.02, 0.0]])
    targets = limbs.targets(root, vectors, offsets)
    # A quarter turn brings the anchors' (x, y) to (-y, x); vectors are in the world already;
    # offsets, which turn too, are of hands alone.
    left, right = np.array([0.9115, 1.999, 3.111]), np.array([1.0885, 1.999, 3.111])
    down, out = np.array([0.0, 0.0, -0.1]), np.array([0.2, 0.0, -0.1])
    np.testing.assert_allclose(targets[0, :2], [left + down, right + down], atol=1e-12)
    np.testing.assert_allclose(
        targets[0, 2:], [left + out + [0, 0.01, 0], right + out - [0.02, 0, 0]], atol=1e-12
    )


def test_arms_of_the_robot_itself_have_its_targets(human, op3: RobotSpec, mapping: Mapping) -> None:
    # The human's arms are the robot's own, scaled: their targets are where the robot's hands are.
    limbs = Limbs.of(op3, mapping)
    vectors = limb_vectors(human.motion, mapping, limbs.lengths_m, 25.0)
    targets = limbs.targets(human.qpos[:, :7], vectors, np.zeros((2, 3)))
    kinematics = Kinematics(op3.model())
    hands = kinematics.points(kinematics.poses(human.qpos), limbs.points)
    assert np.max(np.linalg.norm(targets - hands, axis=-1)) < 2e-3
    speeds = np.linalg.norm(signals.velocity(targets, human.motion.fps), axis=-1)
    assert np.max(speeds) < 0.5
