"""What a robot cannot do is cut out, with a reason."""

from dataclasses import replace

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.mocap.fit import Fit
from legged_skills.mocap.limb_fit import LimbFit
from legged_skills.mocap.posture import Posture
from legged_skills.mocap.retarget import Retargeted
from legged_skills.mocap.segment import Cut, SegmentSettings, explain, usable_parts
from legged_skills.mocap.stretch import Stretch
from legged_skills.robots import rotations
from legged_skills.robots.spec import RobotSpec

FPS = 50.0
FRAMES = 400
SETTINGS = SegmentSettings()
OP3 = robots.get("op3")


def _standing(spec: RobotSpec) -> Stretch:
    """A robot that stands where the source does, at twice the source's 100 frames/s."""
    feet = np.tile(np.array([0.1, 0.2, spec.foot_radius_m]), (FRAMES, spec.num_feet, 1))
    return Stretch(
        source_frame=2.0 * np.arange(FRAMES),
        qpos=np.tile(spec.home_qpos, (FRAMES, 1)),
        contact=np.ones((FRAMES, spec.num_feet), dtype=bool),
        feet_w=feet,
        floor_distance=np.zeros((FRAMES, spec.num_feet)),
        fitted_feet_w=feet.copy(),
        limb_errors=np.zeros((FRAMES, 2)),
        apart=np.full(FRAMES, 0.02),
        slowdown=np.ones(FRAMES),
    )


def _result(*stretches: Stretch) -> Retargeted:
    frames = 2 * FRAMES
    posture = Posture(
        centre_w=np.zeros((frames, 3)),
        yaw=np.zeros(frames),
        foot_yaw=np.zeros((frames, 2)),
        foot_pitch=np.zeros((frames, 2)),
        feet_w=np.zeros((frames, 2, 3)),
        contact=np.ones((frames, 2), dtype=bool),
        rest_height=np.zeros(2),
        leg_length_m=1.0,
        floor_m=0.0,
        straight_leg_m=None,
        problems={"sitting": np.zeros(frames, dtype=bool)},
    )
    fit = Fit(
        scale=1.0,
        time_scale=1.0,
        body_offsets_b=np.zeros((0, 3)),
        foot_offsets_h=np.zeros((2, 3)),
        limbs=LimbFit(offsets_b=np.zeros((0, 3)), rest=OP3.default_joint_pos),
    )
    return Retargeted(fit=fit, posture=posture, stretches=list(stretches), fps=FPS)


def _slip(s: Stretch, at: slice) -> None:
    s.feet_w[at, 0, 0] += 0.2 * np.arange(at.stop - at.start) / FPS
    s.fitted_feet_w[:] = s.feet_w


def _float(s: Stretch, at: slice) -> None:
    s.floor_distance[at, 1] = 0.011


def _sink(s: Stretch, at: slice) -> None:
    s.floor_distance[at, 1] = -0.006


def _stray(s: Stretch, at: slice) -> None:
    s.fitted_feet_w[at, 0, 0] += 0.26 * OP3.leg_length_m


def _lag(s: Stretch, at: slice) -> None:
    s.fitted_feet_w[:, :, 1] += 0.11 * OP3.leg_length_m


def _reach(s: Stretch, at: slice) -> None:
    s.limb_errors[:] = 0.11 * OP3.leg_length_m


def _meet(s: Stretch, at: slice) -> None:
    s.apart[at] = -0.006


def _tilt(s: Stretch, at: slice) -> None:
    s.qpos[at, 3:7] = rotations.from_axis_angle(np.array([1.0, 0, 0]), np.array(0.65))


def _hurry(s: Stretch, at: slice) -> None:
    # 5 rad/s there and back, of 4.8.
    s.qpos[at, 9] += 5.0 * np.minimum(np.arange(60), np.arange(60)[::-1]) / FPS


def _jerk(s: Stretch, at: slice) -> None:
    # 0.04 rad and back within three frames: 0.08 * 50^2 = 200 rad/s^2, at 2 rad/s.
    s.qpos[at.start + 30, 9] += 0.04


def _fly(s: Stretch, at: slice) -> None:
    s.contact[:] = False


@pytest.mark.parametrize(
    ("spoil", "reason", "all_of_it"),
    [
        (_slip, "standing foot cannot stay", False),
        (_float, "standing foot cannot stay", False),
        (_sink, "foot in the floor", False),
        (_stray, "foot out of reach", False),
        (_meet, "parts of the robot meet", False),
        (_tilt, "tilted", False),
        (_hurry, "joint too fast", False),
        (_jerk, "joint too abrupt", False),
        (_lag, "far from the source", True),
        (_reach, "far from the source", True),
        (_fly, "feet hardly ever stand", True),
    ],
)
def test_each_reason(spoil, reason: str, all_of_it: bool) -> None:
    stretch = _standing(OP3)
    at = slice(160, 220)
    spoil(stretch, at)
    parts, reasons = usable_parts(_result(stretch), OP3, SETTINGS)
    # The frames, in the source's, that are bad for that reason, or next to them for speeds.
    bad = np.flatnonzero(reasons[reason])
    others = {name for name, mask in reasons.items() if np.any(mask) and name != reason}
    if all_of_it:
        assert parts == [] and len(bad) == FRAMES and not others
        return
    assert bad.min() >= 2 * 159 and bad.max() <= 2 * 220
    # What turns back at once is abrupt too.
    assert others <= {"joint too abrupt"}
    before, after = parts
    assert before.source_frame[0] == 0 and after.source_frame[-1] == 2 * (FRAMES - 1)
    # One frame more on each side.
    assert before.source_frame[-1] < bad.min() - 2 < bad.max() + 2 < after.source_frame[0]
    for part in parts:
        assert len(part.qpos) == len(part.contact) == len(part.apart) == len(part.source_frame)


def test_a_good_stretch_is_kept_whole() -> None:
    stretch = _standing(OP3)
    parts, reasons = usable_parts(_result(stretch), OP3, SETTINGS)
    assert len(parts) == 1 and len(parts[0].qpos) == FRAMES
    assert not any(np.any(mask) for mask in reasons.values())
    assert usable_parts(_result(), OP3, SETTINGS) == ([], {})


def test_short_parts_are_dropped() -> None:
    # Bad from frame 51 - 1 on: 50 frames of 1 / 50 s are less than a second, 51 are one.
    for first, kept in ((51, 0), (52, 1)):
        stretch = _standing(OP3)
        stretch.floor_distance[first:, 0] = -0.1
        parts, _ = usable_parts(_result(stretch), OP3, SETTINGS)
        assert len(parts) == kept
    assert parts[0].source_frame[-1] - parts[0].source_frame[0] == 100


def test_a_robot_without_arms_has_no_hands_to_be_far_away() -> None:
    stretch = replace(_standing(OP3), limb_errors=np.zeros((FRAMES, 0)))
    parts, _ = usable_parts(_result(stretch), OP3, SETTINGS)
    assert len(parts) == 1


def test_cuts_are_explained() -> None:
    result = _result(_standing(OP3))
    posture = result.posture
    posture.problems["sitting"][300:500] = True
    reasons = {"tilted": np.zeros(2 * FRAMES, dtype=bool)}
    reasons["tilted"][480:490] = True
    first, second = (result.stretches[0].part(a, b) for a, b in ((10, 140), (260, 399)))
    cuts = explain(posture, reasons, [first, second], 100.0)
    assert cuts == [
        # Frames 0 to 20 have no reason: they are too few between the beginning and a clip.
        Cut(start_s=0.0, stop_s=0.2, reason="too short"),
        # The most frequent reason comes first.
        Cut(start_s=2.78, stop_s=5.2, reason="sitting, tilted"),
    ]
    assert cuts[1].duration_s == pytest.approx(2.42)
    # Without clips, all of it.
    (everything,) = explain(posture, reasons, [], 100.0)
    assert (everything.start_s, everything.stop_s) == (0.0, 7.99)


def test_a_source_too_short_for_anything_is_cut_all_the_same() -> None:
    result = _result()
    few = replace(result.posture, yaw=np.zeros(3), problems={"sitting": np.zeros(3, dtype=bool)})
    assert explain(few, {}, [], 100.0) == [Cut(start_s=0.0, stop_s=0.02, reason="too short")]


@pytest.mark.parametrize(("frames", "kept"), [(90, True), (92, False)])
def test_how_long_no_foot_may_stand(frames: int, kept: bool) -> None:
    stretch = _standing(OP3)
    stretch.contact[160 : 160 + frames] = False
    _, reasons = usable_parts(_result(stretch), OP3, SETTINGS)
    assert reasons["feet hardly ever stand"].any() != kept


@pytest.mark.parametrize(
    ("heights_m", "cut"),
    [
        ([0.02] * 20, True),
        ([0.02] * 10, False),  # 0.2 s
        ([0.009] * 40, False),  # not clearly off the floor
        ([0.006] * 8 + [0.02] * 8 + [0.006] * 8, True),  # more than half as high counts around it
        ([0.004] * 8 + [0.02] * 8 + [0.004] * 8, False),
    ],
)
def test_who_is_in_the_air_for_long_is_cut_out(heights_m: list[float], cut: bool) -> None:
    stretch, end = _standing(OP3), 160 + len(heights_m)
    stretch.contact[160:end] = False
    stretch.floor_distance[160:end] = np.array(heights_m)[:, None]
    _, reasons = usable_parts(_result(stretch), OP3, SETTINGS)
    # At the source's frames, which are twice as many.
    found = np.flatnonzero(reasons["in the air too long"]) / 2.0
    np.testing.assert_array_equal(found, np.arange(160, end) if cut else [])
    # One foot on the floor is enough.
    stretch.floor_distance[160:end, 0] = 0.0
    _, reasons = usable_parts(_result(stretch), OP3, SETTINGS)
    assert not reasons["in the air too long"].any()
