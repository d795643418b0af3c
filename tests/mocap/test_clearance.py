"""Parts of the robot that would meet are moved apart; those that would not are left alone."""

import math

import numpy as np
import pytest

from legged_skills.mocap import signals
from legged_skills.mocap.clearance import (
    FootRoom,
    LimbClearance,
    foot_room,
    keep_apart,
    wider_stance,
)
from legged_skills.mocap.limbs import Limbs
from legged_skills.mocap.mapping import mapping_for
from legged_skills.robots.kinematics import Kinematics
from legged_skills.robots.self_collision import SelfCollision
from legged_skills.robots.spec import RobotSpec

FPS = 60.0
CUTOFF_HZ = 5.0
FRAMES = 240
# Feet 0.2 long and 0.1 wide, left and right of the trunk, that keep 0.02 between them.
ROOM = FootRoom(
    home_b=np.array([[0.0, 0.1], [0.0, -0.1]]), length_m=0.2, width_m=0.1, margin_m=0.02
)


def _smooth_step(frames: np.ndarray, start: int, stop: int) -> np.ndarray:
    part = np.clip((frames - start) / (stop - start), 0, 1)
    return part * part * (3 - 2 * part)


def _crossing() -> tuple[np.ndarray, np.ndarray]:
    """The right foot stands; the left one crosses over to its other side, ahead of it, and back."""
    frames = np.arange(FRAMES)
    paths = np.zeros((FRAMES, 2, 3))
    over = _smooth_step(frames, 60, 90) - _smooth_step(frames, 150, 180)
    paths[:, 0, 0] = 0.05 * over
    paths[:, 0, 1] = 0.1 - 0.15 * over
    paths[:, 0, 2] = 0.1 * np.sin(np.pi * np.clip((frames - 60) / 120, 0, 1)) ** 2
    paths[:, 1, 1] = -0.1
    contact = np.ones((FRAMES, 2), dtype=bool)
    contact[60:180, 0] = False
    return paths, contact


def _apart(paths: np.ndarray, contact: np.ndarray, yaw: float = 0.0) -> np.ndarray:
    still = np.full(len(paths), yaw)
    return keep_apart(paths, contact, still, np.full(contact.shape, yaw), ROOM, FPS, CUTOFF_HZ)


def _across(paths: np.ndarray) -> np.ndarray:
    """How much the left foot is left of where it has to be at least, beside or past the right."""
    along, aside = np.moveaxis(paths[:, 0, :2] - paths[:, 1, :2], -1, 0)
    need = 0.12 * np.sqrt(np.maximum(0.0, 1 - (along / 0.22) ** 2))
    return aside - need


def test_feet_that_do_not_meet_stay_where_they_are() -> None:
    paths, contact = _crossing()
    wide = paths + np.array([[0.0, 0.2, 0.0], [0.0, 0.0, 0.0]])
    wide.flags.writeable = False
    assert np.min(_across(wide)) > 0
    np.testing.assert_array_equal(_apart(wide, contact), wide)
    # One behind the other: farther than their length, they may be on one line.
    line = np.zeros((FRAMES, 2, 3))
    line[:, 0, 0] = 0.23
    np.testing.assert_array_equal(_apart(line, contact), line)


def test_a_stance_is_as_much_wider_as_feet_lack() -> None:
    # Beside each other, 0.01, 0.02, ... 0.11 nearer than 0.1 + 0.02; the trunk looks to the left.
    lacks = 0.01 * np.arange(1, 12)
    paths = np.zeros((11, 2, 3))
    paths[:, 0, 0] = -(0.12 - lacks)
    turned = np.full(11, 0.5 * np.pi)
    feet = np.repeat(turned[:, None], 2, axis=1)
    for share, lack in ((1.0, 0.11), (0.9, 0.10), (0.0, 0.01)):
        wider = wider_stance(paths, turned, feet, ROOM, share)
        half = 0.5 * lack
        np.testing.assert_allclose(wider, [[0.0, half], [0.0, -half]], atol=1e-12)
    # Feet that cross the way they point need their length.
    crosswise = wider_stance(paths, turned, feet + 0.5 * np.pi, ROOM, 0.0)
    np.testing.assert_allclose(crosswise, [[0.0, 0.055], [0.0, -0.055]], atol=1e-12)
    # Feet that are far enough from each other stay; of four, those that are not move.
    clear = wider_stance(2 * paths - [0.12, 0.0, 0.0], turned, feet, ROOM, 0.0)
    np.testing.assert_array_equal(clear, np.zeros((2, 2)))
    four = FootRoom(
        home_b=np.array([[0.5, 0.1], [0.5, -0.1], [-0.5, 0.1], [-0.5, -0.1]]),
        length_m=0.1,
        width_m=0.1,
        margin_m=0.0,
    )
    places = np.concatenate([four.home_b, np.zeros((4, 1))], axis=1)[None]
    places[:, 1, 1] = 0.04
    wider = wider_stance(places, np.zeros(1), np.zeros((1, 4)), four, 1.0)
    np.testing.assert_allclose(wider, [[0, 0.02], [0, -0.02], [0, 0], [0, 0]], atol=1e-12)


def test_a_foot_in_the_air_gives_way_to_one_that_stands() -> None:
    paths, contact = _crossing()
    assert np.min(_across(paths)) < -0.05
    before = paths.copy()
    out = _apart(paths, contact)
    np.testing.assert_array_equal(paths, before)
    # The right foot stands all the time.
    np.testing.assert_array_equal(out[:, 1], paths[:, 1])
    assert np.min(_across(out)) > -0.01
    # The left one stands still before and after, where it was, and its height is its own.
    np.testing.assert_allclose(out[contact[:, 0], 0], paths[contact[:, 0], 0], atol=2e-4)
    np.testing.assert_array_equal(out[..., 2], paths[..., 2])
    # It moves as little as it must, sideways, and without a jerk.
    moved = out[:, 0] - paths[:, 0]
    np.testing.assert_allclose(moved[:, 0], 0.0, atol=1e-9)
    assert np.max(moved[:, 1]) < -np.min(_across(paths)) + 0.02
    steps = np.abs(np.diff(out[:, 0], n=2, axis=0))
    assert np.max(steps) < 3 * np.max(np.abs(np.diff(paths[:, 0], n=2, axis=0)))


def test_feet_in_the_air_give_way_both() -> None:
    paths, _ = _crossing()
    flying = np.zeros((FRAMES, 2), dtype=bool)
    out = _apart(paths, flying)
    assert np.min(_across(out)) > -0.01
    moved = out - paths
    np.testing.assert_allclose(moved[:, 0, 1], -moved[:, 1, 1], atol=1e-9)


def test_a_contact_is_moved_as_a_whole() -> None:
    # The left foot comes down too near to the right one, which stands all the time.
    frames = np.arange(FRAMES)
    paths = np.zeros((FRAMES, 2, 3))
    paths[:, 0, 1] = 0.1 - 0.15 * _smooth_step(frames, 80, 120)
    paths[:, 1, 1] = -0.1
    contact = np.ones((FRAMES, 2), dtype=bool)
    contact[80:120, 0] = False
    out = _apart(paths, contact)
    assert np.min(_across(out)) > -0.01
    for foot in range(2):
        for start, stop in signals.runs(contact[:, foot]):
            np.testing.assert_allclose(np.ptp(out[start:stop, foot], axis=0), 0.0, atol=2e-3)
    # Where both stand, both gave way by the same: 0.07 in all, of the 0.12 that they need.
    left, right = out[180, 0, 1] - paths[180, 0, 1], out[180, 1, 1] - paths[180, 1, 1]
    assert (left, -right) == pytest.approx((0.035, 0.035), abs=0.005)


def test_what_is_beside_depends_on_where_the_trunk_faces() -> None:
    paths, contact = _crossing()
    angle = 1.1
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    turned = paths.copy()
    turned[..., :2] = paths[..., :2] @ turn.T + [3.0, -4.0]
    expected = _apart(paths, contact)
    out = _apart(turned, contact, angle)
    np.testing.assert_allclose(out[..., :2], expected[..., :2] @ turn.T + [3.0, -4.0], atol=1e-9)


def test_the_other_side_is_the_mirror_image() -> None:
    paths, contact = _crossing()
    flipped = paths[:, ::-1] * [1.0, -1.0, 1.0]
    out = _apart(flipped, contact[:, ::-1])
    np.testing.assert_allclose(out[:, ::-1] * [1, -1, 1], _apart(paths, contact), atol=1e-9)


def test_fore_and_hind_feet_give_way_along_the_trunk() -> None:
    room = FootRoom(
        home_b=np.array([[0.3, 0.2], [0.3, -0.2], [-0.3, 0.2], [-0.3, -0.2]]),
        length_m=0.1,
        width_m=0.1,
        margin_m=0.02,
    )
    paths = np.zeros((FRAMES, 4, 3))
    paths[:, :, :2] = room.home_b
    # The left hind foot swings up to the left fore foot.
    over = _smooth_step(np.arange(FRAMES), 60, 90) - _smooth_step(np.arange(FRAMES), 150, 180)
    paths[:, 2, 0] += 0.58 * over
    contact = np.ones((FRAMES, 4), dtype=bool)
    contact[60:180, 2] = False
    zero = np.zeros(FRAMES)
    out = keep_apart(paths, contact, zero, np.zeros((FRAMES, 4)), room, FPS, CUTOFF_HZ)
    assert np.min(out[:, 0, 0] - out[:, 2, 0]) > 0.12 - 0.01
    np.testing.assert_array_equal(out[:, [0, 1, 3]], paths[:, [0, 1, 3]])
    np.testing.assert_array_equal(out[..., 1:], paths[..., 1:])


def test_room_of_turned_feet_by_hand() -> None:
    zero, quarter = np.zeros(1), np.full(1, math.pi / 2)
    along, across = ROOM.axes(zero, zero)
    np.testing.assert_allclose([along, across], [[0.22], [0.12]])
    # Both turned by 90 degrees: length and width change places. One of them: half of each.
    along, across = ROOM.axes(quarter, -quarter)
    np.testing.assert_allclose([along, across], [[0.12], [0.22]])
    along, across = ROOM.axes(quarter, zero)
    np.testing.assert_allclose([along, across], [[0.17], [0.17]])


def test_room_of_the_robots(spec: RobotSpec, op3: RobotSpec) -> None:
    room = foot_room(op3.foot_points_f, np.zeros((2, 2)), op3.foot_radius_m, 0.005)
    # Two boxes: 127 mm long and 78 mm wide together.
    assert (room.length_m, room.width_m) == pytest.approx((0.127, 0.078), abs=1e-9)
    assert room.margin_m == 0.005
    ball = foot_room(spec.foot_points_f, np.zeros((4, 2)), spec.foot_radius_m, 0.01)
    assert (ball.length_m, ball.width_m) == pytest.approx((0.06, 0.06))


# --- arms ---

MARGIN_M = 0.003


@pytest.fixture(scope="module")
def clearance(human, op3: RobotSpec) -> LimbClearance:
    model = op3.model()
    limbs = Limbs.of(op3, mapping_for(human.motion, op3))
    return LimbClearance(
        kinematics=Kinematics(model),
        collision=SelfCollision.of(model, op3),
        joints=np.flatnonzero(limbs.joints),
        lower=op3.joint_lower,
        upper=op3.joint_upper,
        margin_m=MARGIN_M,
    )


def _least(clearance: LimbClearance, qpos: np.ndarray) -> np.ndarray:
    """Least distance of any pair in each frame [m], (T,)."""
    poses = clearance.kinematics.poses(qpos)
    return clearance.collision.distances(clearance.kinematics, poses).min(axis=1)


def _through_the_body(spec: RobotSpec, joints: dict[str, float]) -> np.ndarray:
    """A robot that stands, and whose arms go to some angles and back."""
    part = np.sin(np.pi * np.arange(120) / 119)[:, None] ** 2
    there = spec.home_qpos.copy()
    for name, angle in joints.items():
        there[7 + spec.joint_names.index(name)] = angle
    return spec.home_qpos + part * (there - spec.home_qpos)


@pytest.mark.parametrize(
    "joints",
    [
        # The left forearm bent into the belly; both; one into the other's way.
        {"l_sho_pitch": -0.3, "l_sho_roll": 1.3, "l_el": -1.6},
        {"l_sho_roll": 1.35, "l_el": -1.2, "r_sho_roll": -1.35, "r_el": 1.2},
        {"l_sho_pitch": -1.4, "l_el": -1.8, "r_sho_pitch": 1.4, "r_el": 1.8},
        # Hanging through the hip.
        {"l_sho_roll": 1.5, "l_el": -0.7},
    ],
)
def test_arms_come_out_of_the_body(
    clearance: LimbClearance, op3: RobotSpec, joints: dict[str, float]
) -> None:
    qpos = _through_the_body(op3, joints)
    assert np.min(_least(clearance, qpos)) < -0.005
    before = qpos.copy()
    out = clearance.clear(qpos, 13)
    np.testing.assert_array_equal(qpos, before)
    assert np.min(_least(clearance, out)) > 0.0
    # Only joints of arms turn, within their limits, and not all the time.
    others = np.setdiff1d(np.arange(27), 7 + clearance.joints)
    np.testing.assert_array_equal(out[:, others], qpos[:, others])
    assert np.all(out[:, 7:] >= op3.joint_lower) and np.all(out[:, 7:] <= op3.joint_upper)
    np.testing.assert_allclose(out[[0, -1]], qpos[[0, -1]], atol=1e-12)
    # Without a jump: no step is much longer than the motion's own and the correction's fading.
    turn = np.max(np.abs(out - qpos))
    steps = np.max(np.abs(np.diff(out, axis=0)))
    assert steps < np.max(np.abs(np.diff(qpos, axis=0))) + 3 * turn / 13


def test_arms_that_are_clear_are_left_alone(clearance: LimbClearance, op3: RobotSpec) -> None:
    qpos = _through_the_body(op3, {"l_sho_pitch": -1.0, "r_sho_pitch": 1.0})
    assert np.min(_least(clearance, qpos)) > MARGIN_M
    qpos.flags.writeable = False
    np.testing.assert_array_equal(clearance.clear(qpos, 13), qpos)


def test_legs_that_meet_are_none_of_the_arms_business(
    clearance: LimbClearance, op3: RobotSpec
) -> None:
    qpos = _through_the_body(op3, {"l_hip_roll": 0.4, "r_hip_roll": -0.4})
    assert np.min(_least(clearance, qpos)) < -0.01
    np.testing.assert_array_equal(clearance.clear(qpos, 13), qpos)


def test_other_frames_are_left_alone(clearance: LimbClearance, op3: RobotSpec) -> None:
    part = _through_the_body(op3, {"l_sho_pitch": -0.3, "l_sho_roll": 1.3, "l_el": -1.6})
    qpos = np.concatenate([np.tile(op3.home_qpos, (100, 1)), part])
    out = clearance.clear(qpos, 13)
    np.testing.assert_array_equal(out[:60], qpos[:60])
    # The same whatever is before.
    np.testing.assert_allclose(out[100:], clearance.clear(part, 13), atol=1e-6)


def test_a_robot_without_arms(spec: RobotSpec) -> None:
    model = spec.model()
    none = LimbClearance(
        kinematics=Kinematics(model),
        collision=SelfCollision.of(model, spec),
        joints=np.zeros(0, dtype=int),
        lower=spec.joint_lower,
        upper=spec.joint_upper,
        margin_m=0.01,
    )
    qpos = np.tile(spec.home_qpos, (5, 1))
    np.testing.assert_array_equal(none.clear(qpos, 7), qpos)


def test_fore_and_hind_feet_keep_their_length_apart() -> None:
    home = np.array([[0.3, 0.2], [0.3, -0.2], [-0.3, 0.2], [-0.3, -0.2]])
    room = FootRoom(home_b=home, length_m=0.2, width_m=0.1, margin_m=0.02)
    paths = np.zeros((120, 4, 3))
    paths[:, :, :2] = home
    # The left hind foot swings up to 0.15 m behind the fore one.
    paths[:, 2, 0] += 0.45
    contact = np.ones((120, 4), bool)
    contact[:, 2] = False
    still, turned = np.zeros(120), np.zeros((120, 4))
    out = keep_apart(paths, contact, still, turned, room, FPS, CUTOFF_HZ)
    np.testing.assert_allclose(out[:, 0, 0] - out[:, 2, 0], 0.22, atol=2e-3)
