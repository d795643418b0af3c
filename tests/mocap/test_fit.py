"""Scale and offsets of a dog that was made from the robot's own motion come back."""

import math
from dataclasses import replace

import numpy as np
import pytest

from legged_skills.mocap.fit import Fit, FitSettings, fit_clip, foot_targets
from legged_skills.mocap.limbs import Limbs, limb_vectors
from legged_skills.mocap.mapping import mapping_for
from legged_skills.mocap.posture import PostureSettings, analyse
from legged_skills.mocap.robot_points import RobotPoints
from legged_skills.mocap.source import SourceMotion
from legged_skills.robots.spec import RobotSpec


def _fit(motion: SourceMotion, spec: RobotSpec, speed: float | None = None) -> Fit:
    mapping = mapping_for(motion, spec)
    posture = analyse(motion, mapping, PostureSettings())
    robot = RobotPoints.of(spec, mapping)
    limbs = Limbs.of(spec, mapping)
    vectors = limb_vectors(motion, mapping, limbs.lengths_m, 3.0)
    return fit_clip(
        motion, mapping, posture, spec, robot, limbs, vectors, FitSettings(), speed=speed
    )


def test_known_scale_and_offsets_are_recovered(dog, spec: RobotSpec) -> None:
    fit = _fit(dog.motion, spec)
    # Dog of 1 / 1.5: within 1 %; the pull to the default pose shrinks it a little.
    assert fit.scale == pytest.approx(dog.scale, rel=0.01)
    assert fit.time_scale == pytest.approx(math.sqrt(fit.scale))
    np.testing.assert_allclose(fit.foot_offsets_h, dog.foot_offsets, atol=0.012)
    mapping = mapping_for(dog.motion, spec)
    expected = {
        "left_shoulder": (0.3, 0.08, 0.0),
        "right_shoulder": (0.3, -0.08, 0.0),
        "left_hip": (-0.3, 0.08, 0.0),
        "right_hip": (-0.3, -0.08, 0.0),
        "pelvis": (-0.3, 0.0, 0.1),
        "neck": (0.4, 0.0, 0.1),
    }
    for marker, offset in zip(mapping.body_markers, fit.body_offsets_b, strict=True):
        np.testing.assert_allclose(offset, expected[marker.marker], atol=0.01)


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_the_fit_scales_with_the_source(dog, spec: RobotSpec, factor: float) -> None:
    # The same motion of an animal of another size, in time that Froude scaling makes equal.
    other = replace(
        dog.motion,
        positions_w=dog.motion.positions_w * factor,
        fps=dog.motion.fps / math.sqrt(factor),
    )
    fit, expected = _fit(other, spec), _fit(dog.motion, spec)
    assert fit.scale * factor == pytest.approx(expected.scale, rel=1e-3)
    np.testing.assert_allclose(fit.foot_offsets_h, expected.foot_offsets_h, atol=1e-3)


def test_where_the_source_walks_does_not_matter(dog, spec: RobotSpec) -> None:
    moved = replace(dog.motion, positions_w=dog.motion.positions_w + np.array([50.0, -20.0, 1.0]))
    fit, expected = _fit(moved, spec), _fit(dog.motion, spec)
    assert fit.scale == pytest.approx(expected.scale, rel=1e-6)
    # The floor is found wherever it is: the offset takes its height away.
    lifted = expected.foot_offsets_h - [0, 0, expected.scale * 1.0]
    np.testing.assert_allclose(fit.foot_offsets_h, lifted, atol=1e-5)


def test_speed_overrides_froude(dog, spec: RobotSpec) -> None:
    assert _fit(dog.motion, spec, speed=2.0).time_scale == pytest.approx(0.5)


def test_foot_targets_by_hand() -> None:
    # Scale 2, offset 0.1 ahead; at heading 90 degrees "ahead" is y.
    feet = np.array([[[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0]]])
    yaw = np.array([[0.0], [math.pi / 2]])
    out = foot_targets(feet, yaw, 2.0, np.array([[0.1, 0.0, -1.0]]))
    np.testing.assert_allclose(out, [[[2.1, 4.0, 5.0]], [[2.0, 4.1, 5.0]]], atol=1e-12)


# --- people ---


def test_scale_of_a_human_is_recovered(human, op3: RobotSpec) -> None:
    fit = _fit(human.motion, op3)
    # The ratio of straight legs, within 1 %: the robot's knees never straighten altogether.
    assert fit.scale == pytest.approx(human.scale, rel=0.01)
    assert fit.time_scale == pytest.approx(math.sqrt(fit.scale))
    # Soles are centred behind the toes by what the toes were put ahead of them, 4 cm, and stand as
    # wide as they do. The mean standing foot is under its hip, which here it is.
    np.testing.assert_allclose(fit.foot_offsets_h[:, :2], [[-0.04, 0.0]] * 2, atol=0.008)
    np.testing.assert_allclose(fit.foot_offsets_h[:, 2], -fit.scale * 0.05, atol=1e-3)
    mapping = mapping_for(human.motion, op3)
    expected = {
        "left_hip": (0.0, 0.054, -0.0285),
        "right_hip": (0.0, -0.054, -0.0285),
        "left_shoulder": (-0.001, 0.0885, 0.111),
        "right_shoulder": (-0.001, -0.0885, 0.111),
    }
    for marker, offset in zip(mapping.body_markers, fit.body_offsets_b, strict=True):
        np.testing.assert_allclose(offset, expected[marker.marker], atol=0.01)
    # The arms rest about where they are held.
    rest = dict(zip(op3.joint_names, fit.limbs.rest, strict=True))
    assert rest["l_sho_pitch"] == pytest.approx(0.2, abs=0.15)
    assert rest["r_sho_pitch"] == pytest.approx(-0.2, abs=0.15)
    assert np.max(np.linalg.norm(fit.limbs.offsets_b, axis=-1)) < 0.01


def test_the_fit_scales_with_a_human(human, op3: RobotSpec) -> None:
    other = replace(
        human.motion,
        positions_w=human.motion.positions_w * 0.6,
        fps=human.motion.fps / math.sqrt(0.6),
    )
    fit, expected = _fit(other, op3), _fit(human.motion, op3)
    assert fit.scale * 0.6 == pytest.approx(expected.scale, rel=1e-3)
    np.testing.assert_allclose(fit.foot_offsets_h, expected.foot_offsets_h, atol=1e-3)
    np.testing.assert_allclose(fit.limbs.rest, expected.limbs.rest, atol=0.01)


def test_a_human_with_bent_knees_is_not_taken_for_a_smaller_one(human, op3: RobotSpec) -> None:
    # Hips nearer to the floor, and knees ahead: legs are as long as their bones.
    positions = human.motion.positions_w.copy()
    names = human.motion.marker_names
    above = [i for i, n in enumerate(names) if n.split("_")[1] not in ("toe", "ankle", "knee")]
    positions[:, above, 2] -= 0.06
    for side in ("left", "right"):
        hip, knee, ankle = (names.index(f"{side}_{p}") for p in ("hip", "knee", "ankle"))
        # The knee in the plane of hip, ankle and ahead, at the lengths of the bones.
        thigh, shank = 0.11015 / human.scale, 0.11 / human.scale
        along = positions[:, ankle] - positions[:, hip]
        length = np.linalg.norm(along, axis=-1)
        part = (thigh**2 - shank**2 + length**2) / (2 * length)
        unit = along / length[:, None]
        ahead = np.array([1.0, 0.0, 0.0]) - unit * unit[:, :1]
        ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
        height = np.sqrt(np.maximum(thigh**2 - part**2, 0.0))
        positions[:, knee] = positions[:, hip] + unit * part[:, None] + ahead * height[:, None]
    crouching = replace(human.motion, positions_w=positions)
    assert _fit(crouching, op3).scale == pytest.approx(human.scale, rel=0.02)


def test_a_trunk_too_high_for_the_robots_legs_comes_down(human, op3: RobotSpec) -> None:
    # Steps three times as long: hips at the same height are out of reach of the feet.
    names = human.motion.marker_names
    hips = human.motion.positions_w[:, [names.index(f"{s}_hip") for s in ("left", "right")]]
    middle = hips.mean(axis=1)[:, None, 0]
    positions = human.motion.positions_w.copy()
    for part, share in (("knee", 1.0), ("ankle", 2.0), ("toe", 2.0)):
        columns = [names.index(f"{side}_{part}") for side in ("left", "right")]
        positions[:, columns, 0] += share * (positions[:, columns, 0] - middle)
    motion = replace(human.motion, positions_w=positions)
    fit, before = _fit(motion, op3), _fit(human.motion, op3)
    raised = fit.body_offsets_b[:, 2] - before.body_offsets_b[:, 2]
    # The same markers, higher on the robot, are a trunk that is lower.
    assert np.all(raised > 0.01)
