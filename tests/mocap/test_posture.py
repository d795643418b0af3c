"""Trunk, contacts and unusable frames of a source."""

from dataclasses import replace

import numpy as np
import pytest

from legged_skills.mocap.mapping import mapping_for
from legged_skills.mocap.posture import Posture, PostureSettings, analyse
from legged_skills.mocap.source import SourceMotion
from legged_skills.robots.errors import ClipError
from legged_skills.robots.spec import RobotSpec


def _analyse(motion: SourceMotion, spec: RobotSpec) -> Posture:
    return analyse(motion, mapping_for(motion, spec), PostureSettings())


def _move(
    motion: SourceMotion, names: tuple[str, ...], frames: slice, by: list[float]
) -> SourceMotion:
    positions = motion.positions_w.copy()
    columns = [motion.index(name) for name in names]
    positions[frames, columns] += by
    return replace(motion, positions_w=positions)


FRONT = ("left_shoulder", "right_shoulder")
REAR = ("left_hip", "right_hip")
PAWS = ("left_fore_paw", "right_fore_paw", "left_hind_paw", "right_hind_paw")


def test_size_and_contacts_of_the_synthetic_dog(dog, spec: RobotSpec) -> None:
    posture = _analyse(dog.motion, spec)
    # The robot's base at standing height over the floor, divided by the scale.
    assert posture.leg_length_m == pytest.approx(spec.standing_height_m / dog.scale, rel=1e-3)
    np.testing.assert_allclose(posture.rest_height, 0.02, atol=1e-3)
    # Feet are called standing while they are low and slow: never in mid-air, nearly always in
    # a contact, whose edges are a matter of two frames.
    assert np.mean(posture.contact == dog.contact) > 0.93
    lifted = dog.feet_w[..., 2] > spec.foot_radius_m + 0.03
    assert not np.any(posture.contact & lifted)
    assert np.all(posture.upright)
    np.testing.assert_allclose(posture.yaw, 0, atol=1e-6)
    np.testing.assert_allclose(posture.pitch, 0, atol=1e-6)


def test_turning_the_source_turns_the_heading_only(dog, spec: RobotSpec) -> None:
    turned = replace(
        dog.motion,
        positions_w=dog.motion.positions_w @ np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]),
    )
    before, after = _analyse(dog.motion, spec), _analyse(turned, spec)
    # Row vectors: x becomes y, a quarter turn to the left.
    np.testing.assert_allclose(after.yaw - before.yaw, np.pi / 2, atol=1e-9)
    np.testing.assert_array_equal(after.contact, before.contact)


@pytest.mark.parametrize(
    ("names", "by", "reason"),
    [
        (REAR, [0, 0, -0.2], "sitting"),
        (FRONT + REAR, [0, 0, -0.2], "lying"),
        (FRONT, [0, 0, -0.2], "bowing"),
        (FRONT, [0, 0, 0.25], "rearing"),
        (FRONT + REAR + PAWS, [0, 0, 0.15], "off the floor"),
    ],
)
def test_unusable_frames_have_a_reason(
    dog, spec: RobotSpec, names: tuple[str, ...], by: list[float], reason: str
) -> None:
    posture = _analyse(_move(dog.motion, names, slice(100, 160), by), spec)
    assert np.all(posture.problems[reason][102:158])
    assert np.all(posture.upright[:98]) and np.all(posture.upright[162:])


def test_a_jump_in_the_data_is_found(dog, spec: RobotSpec) -> None:
    posture = _analyse(_move(dog.motion, FRONT + REAR, slice(150, 151), [2.0, 0, 0]), spec)
    # Central differences see a spike at the frames on both sides of it.
    np.testing.assert_array_equal(np.flatnonzero(posture.problems["jump in the data"]), [149, 151])


def test_the_heading_of_a_standing_foot_is_held(dog, spec: RobotSpec) -> None:
    posture = _analyse(dog.motion, spec)
    angle = np.linspace(0, 2, dog.motion.num_frames)
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y, z = np.moveaxis(dog.motion.positions_w, -1, 0)
    trunk = [dog.motion.index(n) for n in FRONT + REAR]
    positions = dog.motion.positions_w.copy()
    # The trunk turns about its own middle; the feet stay as they are.
    middle_x = posture.centre_w[:, :1]
    turned = np.stack(
        [middle_x + cos * (x - middle_x) - sin * y, sin * (x - middle_x) + cos * y, z], -1
    )
    positions[:, trunk] = turned[:, trunk]
    posture = _analyse(replace(dog.motion, positions_w=positions), spec)
    np.testing.assert_allclose(posture.yaw, angle, atol=1e-6)
    for foot in range(4):
        steps = np.diff(posture.foot_yaw[:, foot])
        both = posture.contact[1:, foot] & posture.contact[:-1, foot]
        np.testing.assert_allclose(steps[both], 0, atol=1e-12)
        # In the middle of the clip it follows the heading, within the turn of a contact.
        middle = slice(60, 240)
        assert np.max(np.abs(posture.foot_yaw[middle, foot] - angle[middle])) < 0.25


def test_a_source_that_never_stands_is_refused(dog, spec: RobotSpec) -> None:
    with pytest.raises(ClipError, match=r"synthetic.txt: stands upright on its feet in no frame"):
        _analyse(_move(dog.motion, REAR, slice(None), [0, 0, -0.25]), spec)
    with pytest.raises(ClipError, match=r"the trunk is nowhere above the feet; check the unit"):
        _analyse(_move(dog.motion, FRONT + REAR, slice(None), [0, 0, -2.0]), spec)
