"""Scale and offsets of a dog that was made from the robot's own motion come back."""

import math
from dataclasses import replace

import numpy as np
import pytest

from legged_skills.mocap.fit import Fit, FitSettings, RobotPoints, fit_clip, foot_targets
from legged_skills.mocap.mapping import mapping_for
from legged_skills.mocap.posture import PostureSettings, analyse
from legged_skills.mocap.source import SourceMotion
from legged_skills.robots.spec import RobotSpec


def _fit(motion: SourceMotion, spec: RobotSpec, speed: float | None = None) -> Fit:
    mapping = mapping_for(motion, spec)
    posture = analyse(motion, mapping, PostureSettings())
    robot = RobotPoints.of(spec, mapping)
    return fit_clip(motion, mapping, posture, spec, robot, FitSettings(), speed)


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
