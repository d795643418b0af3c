"""Trunk, contacts and unusable frames of a source."""

import math
from dataclasses import replace

import numpy as np
import pytest

from legged_skills.mocap import signals
from legged_skills.mocap.mapping import mapping_for
from legged_skills.mocap.posture import (
    Posture,
    PostureSettings,
    _flight,
    _foot_yaw,
    _tidy,
    _turn_range,
    analyse,
)
from legged_skills.mocap.source import SourceMotion
from legged_skills.robots import rotations
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
    # Paws have no heels: nothing tells how they are pitched, or how long the legs are.
    np.testing.assert_array_equal(posture.foot_pitch, 0)
    assert posture.straight_leg_m is None


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
    # The frames on both sides of each step: there, and back.
    jumps = np.flatnonzero(posture.problems["jump in the data"])
    np.testing.assert_array_equal(jumps, [149, 150, 151])
    # One step that stays is between two frames. The trunk stays where it is, a paw moves.
    posture = _analyse(_move(dog.motion, PAWS[:1], slice(150, None), [0, 1.0, 0]), spec)
    jumps = np.flatnonzero(posture.problems["jump in the data"])
    np.testing.assert_array_equal(jumps, [149, 150])


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


def test_a_source_without_a_frame_that_can_be_used_is_refused(dog, spec: RobotSpec) -> None:
    # Upright in two frames only, and between them a paw jumps.
    motion = _move(dog.motion, REAR, slice(2, None), [0, 0, -0.25])
    with pytest.raises(
        ClipError,
        match=r"none of its 300 frames can be used \(sitting in 298, .*jump in the data in 2\)\.",
    ):
        _analyse(_move(motion, PAWS[:1], slice(1, None), [0, 1.0, 0]), spec)


@pytest.mark.parametrize(("factor", "legs"), [(1e-3, "0.000366"), (100.0, "36.6")])
def test_legs_that_no_animal_has_tell_a_wrong_unit(
    dog, spec: RobotSpec, factor: float, legs: str
) -> None:
    motion = replace(dog.motion, positions_w=factor * dog.motion.positions_w)
    said = f"the legs would be {legs} m long, expected 0.05 to 3 m; the unit is wrong, give"
    with pytest.raises(ClipError, match=said):
        _analyse(motion, spec)


# --- people: feet with heels ---


def test_hands_that_jump_are_found(human, op3: RobotSpec) -> None:
    # As from the pose with stretched arms that some files begin with.
    posture = _analyse(_move(human.motion, ("left_wrist",), slice(0, 1), [0, 0.8, 0.6]), op3)
    assert np.flatnonzero(posture.problems["jump in the data"]).tolist() == [0, 1]
    # With few frames a second it is no faster than one can move, but farther than what follows.
    seldom = replace(human.motion, positions_w=human.motion.positions_w[::4], fps=30.0)
    posture = _analyse(_move(seldom, ("left_wrist",), slice(0, 1), [0, 0.4, 0.3]), op3)
    assert np.flatnonzero(posture.problems["jump in the data"]).tolist() == [0, 1]
    assert not _analyse(seldom, op3).problems["jump in the data"].any()


def _foot(motion: SourceMotion, side: str, frames: slice, pitch: float, yaw: float) -> SourceMotion:
    """One foot's ankle moved so that the foot, about its toe, is pitched and turned."""
    positions = motion.positions_w.copy()
    toe, ankle = motion.index(f"{side}_toe"), motion.index(f"{side}_ankle")
    turn = rotations.multiply(
        rotations.from_yaw(np.array(yaw)),
        rotations.from_axis_angle(np.array([0.0, -1.0, 0.0]), np.array(pitch)),
    )
    heel = positions[frames, ankle] - positions[frames, toe]
    positions[frames, ankle] = positions[frames, toe] + rotations.rotate(turn, heel)
    return replace(motion, positions_w=positions)


def _contact(posture: Posture, foot: int) -> tuple[int, int]:
    """The first contact of a foot that has a beginning and an end."""
    return next((a, b) for a, b in signals.runs(posture.contact[:, foot]) if a > 0)


def test_size_and_contacts_of_the_synthetic_human(human, op3: RobotSpec) -> None:
    posture = _analyse(human.motion, op3)
    # From the hips' pitch axes to the soles, 0.2331 m in the default pose, by the scale.
    assert posture.leg_length_m == pytest.approx(op3.leg_length_m / human.scale, rel=2e-3)
    # Thigh, shank, and ankle over the sole: the links' lengths of the robot's model.
    straight = (0.11015 + 0.11 + 0.0305) / human.scale
    assert posture.straight_leg_m == pytest.approx(straight, rel=5e-3)
    np.testing.assert_allclose(posture.rest_height, 0.05, atol=1e-3)
    assert np.mean(posture.contact == human.contact) > 0.88
    assert np.all(posture.upright)
    np.testing.assert_allclose(posture.foot_yaw, 0.0, atol=0.01)
    # A foot's heel is up by 0.3 rad in the middle of its swing, and down while the robot's stands.
    assert posture.foot_pitch.min() == pytest.approx(-0.3, abs=0.03)
    # The ankle's axes move a little over a flat sole when the leg sways.
    np.testing.assert_allclose(posture.foot_pitch[human.contact], 0.0, atol=0.02)
    assert np.all(posture.foot_pitch[posture.contact] > -PostureSettings().heel_rise_rad)


def test_the_height_of_the_toes_does_not_change_the_legs(human, op3: RobotSpec) -> None:
    # As a tip of the foot at the floor, or as its ball over it.
    low = _move(human.motion, ("left_toe", "right_toe"), slice(None), [0.0, 0.0, -0.04])
    for motion, rest in ((human.motion, 0.05), (low, 0.01)):
        posture = _analyse(motion, op3)
        np.testing.assert_allclose(posture.rest_height, rest, atol=1e-3)
    # The ankle is then 4 cm higher over the resting toes.
    before, after = _analyse(human.motion, op3), _analyse(low, op3)
    assert after.straight_leg_m is not None and before.straight_leg_m is not None
    assert after.straight_leg_m - before.straight_leg_m == pytest.approx(0.04, abs=2e-3)


def test_a_heel_that_rises_ends_a_contact(human, op3: RobotSpec) -> None:
    before = _analyse(human.motion, op3)
    start, stop = _contact(before, 0)
    frames = slice(start + 20, stop - 20)
    most = PostureSettings().heel_rise_rad
    for pitch, stays in ((0.06 - most, True), (-0.06 - most, False), (0.3, True)):
        after = _analyse(_foot(human.motion, "left", frames, pitch, 0.0), op3)
        np.testing.assert_allclose(after.foot_pitch[frames, 0], pitch, atol=0.03)
        assert np.all(after.contact[frames, 0] == stays)
        np.testing.assert_array_equal(after.contact[:, 1], before.contact[:, 1])


def test_feet_are_measured_from_how_they_stand(human, op3: RobotSpec) -> None:
    # Whoever stands with toes out, and whose ankles are far above the toes, walks all the same:
    # heading and pitch count from what is usual while standing.
    motion = _foot(human.motion, "left", slice(None), 0.2, 0.5)
    motion = _foot(motion, "right", slice(None), -0.1, -0.5)
    posture, before = _analyse(motion, op3), _analyse(human.motion, op3)
    np.testing.assert_allclose(posture.foot_yaw, before.foot_yaw, atol=2e-3)
    np.testing.assert_allclose(posture.foot_pitch, before.foot_pitch, atol=2e-2)


def test_a_foot_that_turns_out_for_one_step(human, op3: RobotSpec) -> None:
    # A little outwards, a lot, and a lot inwards: no more than the robot's legs allow.
    before = _analyse(human.motion, op3)
    settings = PostureSettings()
    inward, outward = math.degrees(settings.toe_in_max_rad), math.degrees(settings.toe_out_max_rad)
    for yaw, expected in ((0.7 * outward, 0.7 * outward), (35, outward), (-30, -inward)):
        for side, foot, sign in (("left", 0, 1.0), ("right", 1, -1.0)):
            start, stop = _contact(before, foot)
            angle = sign * math.radians(yaw)
            motion = _foot(human.motion, side, slice(start - 10, stop + 10), 0.0, angle)
            posture = _analyse(motion, op3)
            held = posture.foot_yaw[start + 5 : stop - 5, foot]
            np.testing.assert_allclose(held, sign * math.radians(expected), atol=0.01)
            np.testing.assert_array_equal(
                posture.foot_yaw[:, 1 - foot], before.foot_yaw[:, 1 - foot]
            )


def test_without_toes_feet_point_where_the_trunk_does(human, op3: RobotSpec) -> None:
    names = tuple("x" + n if "toe" in n else n for n in human.motion.marker_names)
    posture = _analyse(replace(human.motion, marker_names=names), op3)
    np.testing.assert_array_equal(posture.foot_pitch, 0.0)
    np.testing.assert_allclose(posture.foot_yaw, 0.0, atol=1e-4)
    ankles = [human.motion.index(f"{side}_ankle") for side in ("left", "right")]
    np.testing.assert_array_equal(posture.feet_w, human.motion.positions_w[:, ankles])
    # The floor is below the ankles, by a typical person's share of thigh and shank.
    bones = (0.11015 + 0.11) / human.scale
    assert posture.straight_leg_m == pytest.approx(1.079 * bones, rel=0.01)
    assert posture.floor_m == pytest.approx(posture.rest_height.mean() - 0.079 * bones, abs=0.002)


def _yaws(heading: np.ndarray, contact: np.ndarray, room: float) -> np.ndarray:
    """One foot under a trunk that keeps its heading of 0."""
    lower, upper = np.full((len(heading), 1), -room), np.full((len(heading), 1), room)
    return _foot_yaw(heading[:, None], contact[:, None], lower, upper)[:, 0]


def test_a_standing_foot_has_the_mean_heading_of_its_contact() -> None:
    frames = np.arange(60)
    contact = (frames < 20) | (frames >= 40)
    heading = 0.01 * frames
    yaw = _yaws(heading, contact, 10.0)
    np.testing.assert_allclose(yaw[:20], 0.01 * 9.5)
    np.testing.assert_allclose(yaw[40:], 0.01 * 49.5)
    # It passes from one to the other without turning back, from rest to rest.
    steps = np.diff(yaw)
    assert np.all(steps >= -1e-12)
    assert steps[19] < 0.2 * steps.max() and steps[39] < 0.2 * steps.max()


def test_a_foot_keeps_within_its_range() -> None:
    frames = np.arange(60)
    contact = (frames < 20) | (frames >= 40)
    yaw = _yaws(np.where(frames < 30, -1.0, 1.0), contact, 0.3)
    np.testing.assert_allclose(yaw[:20], -0.3)
    np.testing.assert_allclose(yaw[40:], 0.3)
    assert np.all(np.abs(yaw) <= 0.3)
    # Without a contact, too.
    yaw = _yaws(np.linspace(-1, 1, 60), np.zeros(60, dtype=bool), 0.3)
    np.testing.assert_allclose(yaw, np.clip(np.linspace(-1, 1, 60), -0.3, 0.3))


def test_a_foot_pivots_only_as_far_as_a_turning_trunk_makes_it() -> None:
    # The trunk turns by 1 rad over a foot that stands all the time, which may stay behind, or be
    # ahead, by 0.2: the foot turns by 0.6, from 0.2 to 0.8.
    turn = np.linspace(0.0, 1.0, 101)[:, None]
    stands = np.ones((101, 1), dtype=bool)
    yaw = _foot_yaw(np.zeros((101, 1)), stands, turn - 0.2, turn + 0.2)[:, 0]
    assert np.all(np.diff(yaw) >= -1e-12)
    assert np.all(np.abs(yaw - turn[:, 0]) <= 0.2 + 1e-12)
    np.testing.assert_allclose(yaw[[0, 50, 100]], [0.2, 0.5, 0.8])
    # Half of that turn is within reach of one heading: it does not pivot at all.
    yaw = _foot_yaw(np.zeros((101, 1)), stands, 0.4 * turn - 0.2, 0.4 * turn + 0.2)[:, 0]
    np.testing.assert_allclose(yaw, 0.2)


def test_ranges_of_headings(dog, spec: RobotSpec, human, op3: RobotSpec) -> None:
    settings = PostureSettings()
    yaw = np.array([0.0, 1.0])
    lower, upper = _turn_range(mapping_for(human.motion, op3), yaw, settings)
    # Left turns outwards to the left, which counts up, and inwards to the right.
    inward, outward = settings.toe_in_max_rad, settings.toe_out_max_rad
    np.testing.assert_allclose(lower[0], [-inward, -outward])
    np.testing.assert_allclose(upper[0], [outward, inward])
    np.testing.assert_allclose(lower[1] - lower[0], 1.0)
    lower, upper = _turn_range(mapping_for(dog.motion, spec), yaw, settings)
    np.testing.assert_allclose(upper - yaw[:, None], settings.pivot_rad)
    np.testing.assert_allclose(lower - yaw[:, None], -settings.pivot_rad)


def test_a_human_on_the_spot_who_turns(human, op3: RobotSpec) -> None:
    # The whole source turns by 90 degrees while it walks: the feet of each contact keep one
    # heading or are not said to stand.
    angle = np.clip((np.arange(420) - 120) / 180, 0, 1) * math.pi / 2
    turned = rotations.rotate(rotations.from_yaw(angle)[:, None], human.motion.positions_w)
    posture = _analyse(replace(human.motion, positions_w=turned), op3)
    rate = np.abs(np.gradient(posture.foot_yaw, axis=0)) * human.motion.fps
    settings = PostureSettings()
    assert np.max(rate[posture.contact]) <= settings.pivot_speed_radps
    assert posture.foot_yaw[-1, 0] == pytest.approx(math.pi / 2, abs=0.05)
    off = posture.foot_yaw - posture.yaw[:, None]
    # The heading that feet keep near is the trunk's after a filter.
    assert np.max(np.abs(off)) < settings.toe_out_max_rad + 0.1


def test_a_foot_that_turns_on_the_floor_does_not_stand(human, op3: RobotSpec) -> None:
    # Stands still, but for a trunk that turns by 1.5 rad within a second, over feet that stay.
    positions = np.repeat(human.motion.positions_w[:1], 300, axis=0)
    trunk = [human.motion.index(name) for name in FRONT + REAR]
    angle = 1.5 * np.clip((np.arange(300) - 120) / 60, 0, 1)
    middle = positions[:, trunk].mean(axis=1, keepdims=True)
    quats = rotations.from_yaw(angle)[:, None]
    positions[:, trunk] = middle + rotations.rotate(quats, positions[:, trunk] - middle)
    posture = _analyse(replace(human.motion, positions_w=positions), op3)
    # The robot's legs do not reach so far around: its feet pivot.
    np.testing.assert_allclose(np.ptp(posture.foot_yaw, axis=0), 1.5 - 0.35, atol=0.4)
    assert np.all(posture.contact[:90]) and np.all(posture.contact[210:])
    # It turns first ahead of the trunk, then after it, and stands between, and else.
    rate = np.abs(np.gradient(posture.foot_yaw, axis=0)) * human.motion.fps
    turns = rate > PostureSettings().pivot_speed_radps
    assert np.all(turns.sum(axis=0) > 20)
    np.testing.assert_array_equal(posture.contact, ~turns)


def test_short_gaps_in_a_contact_are_closed_unless_the_foot_goes_on() -> None:
    contact = np.ones((60, 1), bool)
    contact[30:33] = False
    feet = np.zeros((60, 1, 3))
    assert _tidy(contact, feet, 0.05, 60.0, PostureSettings()).all()
    feet[33:] = [0.2, 0.0, 0.0]
    np.testing.assert_array_equal(_tidy(contact, feet, 0.05, 60.0, PostureSettings()), contact)


def test_only_long_flights_of_all_feet_are_noted() -> None:
    low = np.ones((100, 2), bool)
    low[20:30], low[50:70], low[80:, 0] = False, False, False
    found = np.flatnonzero(_flight(low, 60.0, PostureSettings()))
    np.testing.assert_array_equal(found, np.arange(50, 70))


def test_feet_of_who_goes_fast_stand_at_a_higher_speed(dog, spec: RobotSpec) -> None:
    mapping = mapping_for(dog.motion, spec)
    shares = []
    for share in (0.5, 0.0):
        settings = PostureSettings(contact_speed=1e-3, contact_speed_share=share)
        shares.append(analyse(dog.motion, mapping, settings).contact.mean())
    assert shares[0] > shares[1] + 0.05
