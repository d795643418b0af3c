"""Mirror images of clips: what the feet do is the reflection, and twice is nothing."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.mocap.clip import RobotClip, finite_difference_qvel
from legged_skills.mocap.mirror import Plane, mirror
from legged_skills.robots import rotations
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.spec import RobotSpec

CASES = [("anymal_c", "left_right"), ("anymal_c", "front_back"), ("op3", "left_right")]
REFLECTION = {"left_right": np.array([1.0, -1.0, 1.0]), "front_back": np.array([-1.0, 1.0, 1.0])}


def _clip(spec: RobotSpec, frames: int = 60) -> RobotClip:
    """Wanders, turns and tilts; every joint moves in its own way, one foot after the other."""
    time = np.arange(frames) / 50.0
    phase = np.arange(spec.num_joints) * 0.7
    qpos = np.tile(spec.home_qpos, (frames, 1))
    qpos[:, :2] = np.stack([0.4 * time, 0.1 * np.sin(time)], axis=1)
    tilt = np.stack([0.1 * np.sin(3 * time), 0.08 * np.cos(2 * time), 0 * time], axis=1)
    qpos[:, 3:7] = rotations.multiply(rotations.from_yaw(0.6 * time), rotations.from_rotvec(tilt))
    swing = 0.05 * np.sin(2 * time[:, None] + phase)
    qpos[:, 7:] = np.clip(qpos[:, 7:] + swing, spec.joint_lower, spec.joint_upper)
    contact = np.arange(frames)[:, None] // 10 % spec.num_feet == np.arange(spec.num_feet)
    return RobotClip(
        robot=spec.name,
        fps=50.0,
        joint_names=spec.joint_names,
        qpos=qpos,
        qvel=finite_difference_qvel(qpos, 50.0),
        foot_contact=contact,
        retarget={"scale": 1.5},
        name="wander",
    )


def _feet_by_mujoco(spec: RobotSpec, qpos: np.ndarray) -> np.ndarray:
    """(T, F, 3)"""
    model = spec.model()
    data = mujoco.MjData(model)
    feet = np.empty((len(qpos), spec.num_feet, 3))
    for t, pose in enumerate(qpos):
        data.qpos[:] = pose
        mujoco.mj_kinematics(model, data)
        feet[t] = [data.site(name).xpos for name in spec.foot_sites]
    return feet


@pytest.mark.parametrize(("robot", "plane"), CASES)
def test_feet_are_the_reflection(robot: str, plane: Plane) -> None:
    spec = robots.get(robot)
    clip = _clip(spec)
    image = mirror(clip, spec, plane)
    order = {"left_right": spec.mirror_feet, "front_back": spec.mirror_feet_front_back}[plane]
    assert order is not None
    expected = _feet_by_mujoco(spec, clip.qpos)[:, order] * REFLECTION[plane]
    np.testing.assert_allclose(_feet_by_mujoco(spec, image.qpos), expected, atol=1e-5)
    np.testing.assert_array_equal(image.foot_contact, clip.foot_contact[:, order])
    # A foot changes places with the one on the other side, or at the other end.
    for here, there in zip(spec.foot_names, np.array(spec.foot_names)[order], strict=True):
        kept = slice(1, None) if plane == "left_right" else slice(1)
        assert here != there and here[kept] == there[kept]
    image.check_robot(spec)


@pytest.mark.parametrize(("robot", "plane"), CASES)
def test_velocities_belong_to_the_image(robot: str, plane: Plane) -> None:
    spec = robots.get(robot)
    image = mirror(_clip(spec), spec, plane)
    np.testing.assert_allclose(image.qvel, finite_difference_qvel(image.qpos, 50.0), atol=1e-9)


@pytest.mark.parametrize(("robot", "plane"), CASES)
def test_twice_is_the_same_motion(robot: str, plane: Plane) -> None:
    spec = robots.get(robot)
    clip = _clip(spec)
    twice = mirror(mirror(clip, spec, plane), spec, plane)
    np.testing.assert_allclose(twice.qpos, clip.qpos, atol=1e-12)
    np.testing.assert_allclose(twice.qvel, clip.qvel, atol=1e-12)
    np.testing.assert_array_equal(twice.foot_contact, clip.foot_contact)


def test_both_planes_are_half_a_turn() -> None:
    # What was ahead on the left is behind on the right: the same as turning the world about z.
    spec = robots.get("anymal_c")
    clip = _clip(spec)
    both = mirror(mirror(clip, spec), spec, "front_back")
    feet, turned = (_feet_by_mujoco(spec, c.qpos) for c in (clip, both))
    np.testing.assert_allclose(turned[:, [3, 2, 1, 0]], feet * [-1, -1, 1], atol=1e-5)
    other = mirror(mirror(clip, spec, "front_back"), spec)
    np.testing.assert_allclose(other.qpos, both.qpos, atol=1e-12)


def test_a_walk_ahead_becomes_a_walk_backwards() -> None:
    spec = robots.get("anymal_c")
    clip = _clip(spec)
    ahead = rotations.rotate_inverse(clip.qpos[:, 3:7], clip.qvel[:, :3])[:, 0]
    image = mirror(clip, spec, "front_back")
    back = rotations.rotate_inverse(image.qpos[:, 3:7], image.qvel[:, :3])[:, 0]
    assert np.all(ahead > 0.2)
    np.testing.assert_allclose(back, -ahead, atol=1e-12)
    # To the left stays to the left of the world, though the robot turns the other way.
    np.testing.assert_allclose(image.qpos[:, 1], clip.qpos[:, 1])
    np.testing.assert_allclose(image.qvel[:, 5], -clip.qvel[:, 5], atol=1e-12)


def test_images_are_noted_and_the_original_is_not_written_to() -> None:
    spec = robots.get("anymal_c")
    clip = _clip(spec)
    for array in (clip.qpos, clip.qvel, clip.foot_contact):
        array.flags.writeable = False
    image = mirror(clip, spec)
    assert image.retarget == {"scale": 1.5, "mirrored": True}
    assert mirror(image, spec).retarget == {"scale": 1.5, "mirrored": False}
    backwards = mirror(image, spec, "front_back")
    assert backwards.retarget == {"scale": 1.5, "mirrored": True, "mirrored_front_back": True}
    assert clip.retarget == {"scale": 1.5}
    assert (image.name, image.fps, image.robot) == ("wander", 50.0, "anymal_c")


def test_a_humanoid_has_no_back_for_a_front() -> None:
    spec = robots.get("op3")
    clip = _clip(spec)
    with pytest.raises(SettingsError, match=r"op3: its front is no mirror image of its back\."):
        mirror(clip, spec, "front_back")
    half = replace(
        robots.get("anymal_c"), mirror_joints_front_back=None, mirror_feet_front_back=None
    )
    with pytest.raises(SettingsError, match="anymal_c: its front"):
        mirror(_clip(half), half, "front_back")
