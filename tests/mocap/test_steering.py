"""Steered clips: steps go the other way, standing feet stay, and all else is as it was."""

from dataclasses import replace

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.mocap import steering
from legged_skills.mocap.clip import RobotClip, finite_difference_qvel
from legged_skills.mocap.library import shipped_clips
from legged_skills.mocap.steering import STEERS, Steer, _smaller, steer, steered
from legged_skills.robots import rotations
from legged_skills.robots.feet import Feet
from legged_skills.robots.kinematics import Kinematics, site_points
from legged_skills.robots.self_collision import SelfCollision
from legged_skills.robots.spec import RobotSpec


def _walk(robot: str) -> tuple[RobotSpec, RobotClip]:
    """A walking clip of the package."""
    name = {"anymal_c": "dog_walk00_00", "op3": "humanoid3d_walk_00"}[robot]
    return robots.get(robot), _shipped(robot, name)


def _shipped(robot: str, name: str) -> RobotClip:
    return next(RobotClip.load(path) for path in shipped_clips(robot) if path.stem == name)


def _feet(spec: RobotSpec, qpos: np.ndarray) -> np.ndarray:
    """(T, F, 3) in the world [m]."""
    model = spec.model()
    kinematics = Kinematics(model)
    return kinematics.points(kinematics.poses(qpos), site_points(model, spec.foot_sites))


def _slip_mps(feet_w: np.ndarray, contact: np.ndarray, fps: float) -> np.ndarray:
    """Speeds of standing feet along the floor [m/s]."""
    speed = np.linalg.norm(np.diff(feet_w[..., :2], axis=0), axis=-1) * fps
    return speed[contact[1:] & contact[:-1]]


@pytest.mark.parametrize("robot", ["anymal_c", "op3"])
def test_the_same_way_is_the_same_motion(robot: str) -> None:
    spec, clip = _walk(robot)
    same = steer(clip, spec, Steer(1.0 + 0j))
    np.testing.assert_allclose(same.qpos, clip.qpos, atol=1e-4)
    as_it_was = {"size": 1.0, "lift": 1.0, "pace": 1.0, "feet_missed": 0.0}
    assert same.retarget["steered"] == {"forward": 1.0, "left": 0.0, **as_it_was}


@pytest.mark.parametrize(("robot", "way"), [("anymal_c", 0.5j), ("op3", 0.2j), ("op3", -0.4 + 0j)])
def test_the_way_is_turned_and_scaled(robot: str, way: complex) -> None:
    spec, clip = _walk(robot)
    other = steer(clip, spec, Steer(way))
    before, after = (c.qpos[-1, :2] - c.qpos[0, :2] for c in (clip, other))
    wanted = way * complex(*before)
    # The sway of first and last frame stays as it is.
    np.testing.assert_allclose(after, [wanted.real, wanted.imag], atol=0.02)
    # Height, orientation, contacts, and joints that are not of the legs stay.
    np.testing.assert_array_equal(other.qpos[:, 2:7], clip.qpos[:, 2:7])
    np.testing.assert_array_equal(other.foot_contact, clip.foot_contact)
    arms = [i for i, joint in enumerate(spec.joint_names) if joint[2:] in ("sho_pitch", "el")]
    assert len(arms) == (4 if robot == "op3" else 0)
    np.testing.assert_array_equal(other.qpos[:, 7:][:, arms], clip.qpos[:, 7:][:, arms])


@pytest.mark.parametrize("robot", ["anymal_c", "op3"])
def test_standing_feet_stand_and_others_are_as_high(robot: str) -> None:
    spec, clip = _walk(robot)
    before = _feet(spec, clip.qpos)
    for how in STEERS[robot]:
        other = steer(clip, spec, how)
        after = _feet(spec, other.qpos)
        slip = _slip_mps(after, clip.foot_contact, clip.fps)
        assert slip.mean() < _slip_mps(before, clip.foot_contact, clip.fps).mean() + 0.003
        if how.lift == 1.0:
            np.testing.assert_allclose(after[..., 2], before[..., 2], atol=0.01)


def test_steps_can_be_smaller_and_quicker() -> None:
    spec, clip = _walk("op3")
    how = Steer(0.5 + 0j, size=0.25, lift=0.5, pace=2.0)
    other = steer(clip, spec, how)
    assert other.name == "humanoid3d_walk_00_steered_+0.50_+0.00_pace_2"
    assert other.fps == 2.0 * clip.fps and other.num_frames == clip.num_frames
    # Half as far in half the time.
    before, after = (c.qpos[-1, :2] - c.qpos[0, :2] for c in (clip, other))
    np.testing.assert_allclose(after, 0.5 * before, atol=0.02)
    assert np.abs(other.qvel[:, :2].mean(axis=0)) == pytest.approx(
        np.abs(clip.qvel[:, :2].mean(axis=0)), abs=0.02
    )
    # What goes to and fro does so by a quarter: height, arms, and gravity along the base's axes.
    arm = 7 + spec.joint_names.index("l_sho_pitch")
    down = np.array([0.0, 0.0, -1.0])
    was, now = (
        np.column_stack([c.qpos[:, [2, arm]], rotations.rotate_inverse(c.qpos[:, 3:7], down)])
        for c in (clip, other)
    )
    np.testing.assert_allclose(now.mean(axis=0), was.mean(axis=0), atol=2e-3)
    np.testing.assert_allclose(now - now.mean(axis=0), 0.25 * (was - was.mean(axis=0)), atol=4e-3)
    # Feet are lifted by half, tilt by a quarter, and stand on the floor and still.
    model = spec.model()
    kinematics, feet = Kinematics(model), Feet.of(model, spec)
    floor = [feet.floor_distance(kinematics, kinematics.poses(c.qpos)) for c in (clip, other)]
    assert np.abs(floor[1][clip.foot_contact]).max() < 1e-3
    tops = [np.percentile(distance, 95) for distance in floor]
    assert 0.4 < tops[1] / tops[0] < 0.8  # flatter soles reach less far down
    slip = _slip_mps(_feet(spec, other.qpos), clip.foot_contact, other.fps)
    assert np.percentile(slip, 95) < 0.02
    steps = np.abs(other.qvel[:, 6:]).max() / np.abs(clip.qvel[:, 6:]).max()
    assert steps < 1.2


def test_standing_feet_stand_in_a_turn() -> None:
    """Where the robot turns, feet take the turn while they are in the air."""
    spec = robots.get("anymal_c")
    clip = _shipped("anymal_c", "dog_walk09_01")
    other = steer(clip, spec, Steer(0.5j))
    rate = np.gradient(np.unwrap(rotations.yaw(clip.qpos[:, 3:7]))) * clip.fps
    assert np.abs(rate).max() > 1.0
    slip = _slip_mps(_feet(spec, other.qpos), clip.foot_contact, clip.fps)
    assert np.percentile(slip, 95) < 0.01


def test_soles_keep_their_orientation() -> None:
    spec, clip = _walk("op3")
    other = steer(clip, spec, Steer(-0.4 + 0j))
    model = spec.model()
    kinematics = Kinematics(model)
    bodies = [model.site_bodyid[model.site(name).id] for name in spec.foot_sites]
    before, after = (kinematics.poses(c.qpos).body_quat_w[bodies] for c in (clip, other))
    angle = 2.0 * np.arccos(np.clip(np.abs((before * after).sum(axis=-1)), 0.0, 1.0))
    assert angle.max() < 0.02


@pytest.mark.parametrize(
    ("name", "way", "before_m"),
    [("humanoid3d_long_walk1_00", 0.3j, 0.042), ("humanoid3d_long_walk2_00", 0j, 0.022)],
)
def test_legs_and_arms_stay_out_of_each_other(
    name: str, way: complex, before_m: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, clip = robots.get("op3"), _shipped("op3", name)
    model = spec.model()
    kinematics, collision = Kinematics(model), SelfCollision.of(model, spec)

    def nearest(other: RobotClip) -> float:
        return float(collision.nearest(kinematics, kinematics.poses(other.qpos)).min())

    how = Steer(way, 0.5, 0.7, 2.0)
    other = steer(clip, spec, how)
    assert nearest(other) > -0.002
    # Without that, parts would be in each other.
    monkeypatch.setattr(steering, "wider_stance", lambda *args: np.zeros((2, 2)))
    monkeypatch.setattr(steering, "keep_apart", lambda paths, *args: paths)
    monkeypatch.setattr(steering, "_with_clear_arms", lambda *args: args[4])
    before = steer(clip, spec, how)
    assert nearest(before) == pytest.approx(-before_m, abs=1e-3)
    # Joints are hardly faster for it, and feet stand as still.
    fastest, fastest_before = (np.abs(c.qvel[:, 6:]).max() for c in (other, before))
    assert fastest < 1.2 * fastest_before
    slips = [_slip_mps(_feet(spec, c.qpos), clip.foot_contact, c.fps) for c in (other, before)]
    assert np.percentile(slips[0], 95) < np.percentile(slips[1], 95) + 0.02


def test_velocities_belong_to_positions() -> None:
    spec, clip = _walk("anymal_c")
    other = steer(clip, spec, Steer(0.5j))
    np.testing.assert_array_equal(other.qvel, finite_difference_qvel(other.qpos, clip.fps))
    assert other.name == "dog_walk00_00_steered_+0.00_+0.50"


def test_only_walks_are_steered() -> None:
    spec, clip = _walk("anymal_c")
    frames = clip.num_frames
    standing = replace(
        clip,
        qpos=np.repeat(clip.qpos[:1], frames, axis=0),
        qvel=np.zeros_like(clip.qvel),
        name="standing",
    )
    found = steered([clip, standing], spec)
    assert [other.name for other in found] == ["dog_walk00_00_steered_+0.00_+0.50"]


def test_variants_that_legs_cannot_do_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, clip = _walk("anymal_c")
    assert steer(clip, spec, Steer(2.5j)).retarget["steered"]["feet_missed"] > 0.1
    monkeypatch.setitem(STEERS, "anymal_c", (Steer(2.5j), Steer(0.25j)))
    assert [other.name for other in steered([clip], spec)] == ["dog_walk00_00_steered_+0.00_+0.25"]


def test_to_and_fro_is_smaller_about_the_means_and_turns_are_kept() -> None:
    qpos = np.zeros((4, 27))
    # A turn by 0.3 rad a frame, and about it a swing of 0.1; a roll of 0.2 about a mean of 0.1.
    turns, swing = 0.3 * np.arange(4), 0.1 * np.array([1.0, -1.0, 1.0, -1.0])
    roll = rotations.from_axis_angle(np.array([1.0, 0.0, 0.0]), 0.1 + 2.0 * swing)
    qpos[:, 3:7] = rotations.multiply(rotations.from_yaw(turns + swing), roll)
    qpos[:, 2], qpos[:, 8] = 0.3 + swing, 0.5 - swing
    before = qpos.copy()
    found = _smaller(qpos, turns + swing, turns, 0.25)
    np.testing.assert_array_equal(qpos, before)
    np.testing.assert_allclose(found[:, 2], 0.3 + 0.25 * swing, atol=1e-12)
    np.testing.assert_allclose(found[:, 8], 0.5 - 0.25 * swing, atol=1e-12)
    less = rotations.from_axis_angle(np.array([1.0, 0.0, 0.0]), 0.1 + 0.5 * swing)
    wanted = rotations.multiply(rotations.from_yaw(turns + 0.25 * swing), less)
    angle = (found[:, 3:7] * wanted).sum(axis=1)
    np.testing.assert_allclose(np.abs(angle), 1.0, atol=1e-12)


def test_sway_along_the_floor_has_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, clip = _walk("op3")
    monkeypatch.setattr(steering, "_with_legs", lambda *args: args[3])
    monkeypatch.setattr(steering, "_with_clear_arms", lambda *args: args[4])
    none, quarter, whole = (
        steer(clip, spec, Steer(1.0 + 0j, size)).qpos[:, :2] for size in (0.0, 0.25, 1.0)
    )
    np.testing.assert_allclose(whole, clip.qpos[:, :2], atol=1e-12)
    np.testing.assert_allclose(quarter, 0.75 * none + 0.25 * whole, atol=1e-12)
    assert np.abs(whole - none).max() > 1e-3
