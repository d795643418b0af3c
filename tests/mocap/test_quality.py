"""Metrics by hand, and gates."""

from dataclasses import replace

import numpy as np
import pytest

from legged_skills.mocap.clip import RobotClip, finite_difference_qvel
from legged_skills.mocap.quality import (
    FootMotion,
    Gates,
    Quality,
    check_clip,
    failed_gates,
    measure_motion,
)
from legged_skills.robots import rotations
from legged_skills.robots.errors import ClipError, UnknownRobotError
from legged_skills.robots.spec import RobotSpec

FPS = 50.0


def _standing(spec: RobotSpec, frames: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    qpos = np.tile(spec.home_qpos, (frames, 1))
    feet = np.tile(np.array([[0.4, 0.3, 0.03]]), (frames, 4, 1))
    return qpos, feet, np.ones((frames, 4), dtype=bool)


def _feet(spec: RobotSpec, centres_w: np.ndarray, contact: np.ndarray) -> FootMotion:
    """Balls that stand on the floor while their centres are a radius over it."""
    return FootMotion(
        centres_w=centres_w,
        floor_distance=centres_w[..., 2] - spec.foot_radius_m,
        contact=contact,
    )


def test_a_standing_robot_is_perfect(spec: RobotSpec) -> None:
    qpos, feet, contact = _standing(spec)
    apart = np.full(20, 0.1)
    quality = measure_motion(qpos, _feet(spec, feet, contact), apart, spec, FPS, 0.0, 0.0)
    assert quality == Quality(
        duration_s=19 / 50,
        marker_error_m=0.0,
        marker_error_max_m=0.0,
        penetration_m=0.0,
        slide_mps=0.0,
        slide_p95_mps=0.0,
        limit_violations=0,
        joint_speed_share=0.0,
        root_jump_m=0.0,
        speed_mps=0.0,
        speed_max_mps=0.0,
        yaw_rate_max_radps=0.0,
        contact_share=1.0,
        overlap_m=0.0,
        acceleration_share=0.0,
    )
    assert failed_gates(quality, Gates()) == ()


def test_figures_by_hand(spec: RobotSpec) -> None:
    qpos, feet, contact = _standing(spec)
    time = np.arange(20) / FPS
    # Two feet slide at 0.1 m/s, of which one is in the air, so that a third of the standing
    # feet's time slides: 0.1 / 3.
    feet[:, 0, 0] += 0.1 * time
    feet[:, 1, 1] -= 0.1 * time
    contact[:, 1] = False
    # 4 mm of the sphere below the floor.
    feet[5, 2, 2] = 0.026
    # The root goes at 0.5 m/s and jumps by 1 cm for one frame: 1 cm off its neighbours' middle.
    qpos[:, 0] = 0.5 * time
    qpos[10, 2] += 0.01
    # One joint moves by 0.3 rad between two frames: 15 rad/s, twice the limit of 7.5.
    qpos[15:, 8] += 0.3
    # Two frames beyond the HAA's upper limit of 0.49.
    qpos[[3, 4], 7] = 0.50
    # In one frame two parts are 7 mm deep in each other.
    apart = np.full(20, 0.1)
    apart[7] = -0.007
    quality = measure_motion(qpos, _feet(spec, feet, contact), apart, spec, FPS, 0.03, 0.05)
    assert quality.slide_mps == pytest.approx(0.1 / 3)
    assert quality.slide_p95_mps == pytest.approx(0.1)
    assert quality.penetration_m == pytest.approx(0.004)
    assert quality.root_jump_m == pytest.approx(0.01)
    assert quality.speed_mps == pytest.approx(0.5)
    # 0.5 rad between two frames is faster than 0.3: the step to the HAA's limit and back.
    assert quality.joint_speed_share == pytest.approx(0.5 * FPS / 7.5)
    assert quality.limit_violations == 2
    assert quality.contact_share == pytest.approx(0.75)
    assert quality.overlap_m == pytest.approx(0.007)
    # The HAA's speed changes by 0.5 rad * 50 / s within 1 / 50 s, of 214 rad/s^2; the other joint's
    # by 0.3 rad * 50 / s, of 233.
    assert quality.acceleration_share == pytest.approx(0.5 * FPS**2 / 214)
    assert failed_gates(quality, Gates()) == (
        "marker_error_m 0.03 > 0.02",
        "slide_mps 0.0333 > 0.02",
        "slide_p95_mps 0.1 > 0.06",
        "limit_violations 2 > 0",
        "joint_speed_share 3.33 > 1",
        "acceleration_share 5.84 > 1",
        "overlap_m 0.007 > 0.005",
    )
    assert failed_gates(quality, Gates(marker_error_m=0.04))[0].startswith("slide_mps")


def _clip(spec: RobotSpec, **changes: object) -> RobotClip:
    qpos, _, contact = _standing(spec)
    qpos[:, 0] = 0.5 * np.arange(20) / FPS
    fields: dict = {
        "robot": spec.name,
        "fps": FPS,
        "joint_names": spec.joint_names,
        "qpos": qpos,
        "qvel": finite_difference_qvel(qpos, FPS),
        "foot_contact": contact,
        "name": "sledge",
    }
    return RobotClip(**{**fields, **changes})


def test_check_of_a_clip(spec: RobotSpec) -> None:
    # Feet that are said to stand, on a robot that is pushed along at 0.5 m/s.
    check = check_clip(_clip(spec))
    assert check.name == "sledge"
    assert not check.passed
    assert check.failures[0] == "slide_mps 0.5 > 0.02"
    assert np.isnan(check.marker_error_m)
    figures = check.to_json()
    assert figures["marker_error_m"] is None
    assert figures["passed"] is False
    assert {"penetration_m", "slide_mps", "limit_violations"} <= set(figures)
    flying = check_clip(_clip(spec, foot_contact=np.zeros((20, 4), dtype=bool)))
    assert flying.passed and flying.slide_mps == 0.0
    known = check_clip(_clip(spec, quality={"marker_error_m": 0.5}))
    assert known.failures[0] == "marker_error_m 0.5 > 0.02"


def test_clips_of_other_robots(spec: RobotSpec) -> None:
    with pytest.raises(UnknownRobotError, match="'hexapod'"):
        check_clip(_clip(spec, robot="hexapod"))
    with pytest.raises(ClipError, match="joint_names"):
        check_clip(_clip(spec, joint_names=tuple(reversed(spec.joint_names))))


def test_limits_are_counted_not_refused(spec: RobotSpec) -> None:
    clip = _clip(spec)
    qpos = clip.qpos.copy()
    qpos[:, 7] = 0.6
    beyond = replace(clip, qpos=qpos, qvel=finite_difference_qvel(qpos, FPS))
    assert check_clip(beyond).limit_violations == 20


def test_turning_either_way_has_a_rate(spec: RobotSpec) -> None:
    qpos, feet, contact = _standing(spec)
    qpos[:, 3:7] = rotations.from_yaw(-1.2 * np.arange(20) / FPS)
    quality = measure_motion(qpos, _feet(spec, feet, contact), np.full(20, 0.1), spec, FPS)
    assert quality.yaw_rate_max_radps == pytest.approx(1.2)
