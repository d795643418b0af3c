"""Which clips walk, and how near other poses are to them."""

from dataclasses import replace

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.mocap.clip import RobotClip, finite_difference_qvel
from legged_skills.mocap.library import load_clips, shipped_clips
from legged_skills.mocap.walking import (
    Walking,
    nearest_rms,
    travel_speeds,
    turning_rates,
    walks,
)
from legged_skills.robots.errors import ClipError
from legged_skills.robots.rotations import from_yaw

SPEC = robots.get("anymal_c")


def _clip(speed_mps: float, height_m: float = 0.5) -> RobotClip:
    """Two seconds at a speed, with a joint that is off the default pose on one side."""
    qpos = np.tile(SPEC.home_qpos, (101, 1))
    qpos[:, 0] = speed_mps * 0.02 * np.arange(101)
    qpos[:, 2], qpos[:, 7] = height_m, 0.3
    return RobotClip(
        robot=SPEC.name,
        fps=50.0,
        joint_names=SPEC.joint_names,
        qpos=qpos,
        qvel=finite_difference_qvel(qpos, 50.0),
        foot_contact=np.ones((101, 4), dtype=bool),
    )


def test_speeds_leave_sway_out() -> None:
    time = 0.02 * np.arange(151)
    # 0.5 m/s ahead, and a sway of 0.1 m to the sides, once a second.
    pos = np.stack([0.5 * time, 0.1 * np.sin(2.0 * np.pi * time), time], axis=1)
    np.testing.assert_allclose(travel_speeds(pos, 0.02), np.full(101, 0.5))
    # Several robots at once; and less than a second of them.
    both = np.stack([pos, 2.0 * pos], axis=1)
    np.testing.assert_allclose(travel_speeds(both, 0.02)[0], [0.5, 1.0])
    assert travel_speeds(pos[:11], 0.02).shape == (1,)


def test_turning_goes_on_past_half_a_turn() -> None:
    angle = 2.0 * 0.02 * np.arange(151)  # 6 rad in all
    np.testing.assert_allclose(turning_rates(from_yaw(angle), 0.02), np.full(101, 2.0))


def test_clips_walk_from_a_tenth_of_froude() -> None:
    # 0.1 sqrt(9.81 m/s^2 * 0.5488 m) = 0.232 m/s.
    assert not walks(_clip(0.22), SPEC)
    assert walks(_clip(0.24), SPEC)
    assert walks(replace(_clip(0.24), name="other"), SPEC)


def test_mirror_images_are_among_the_poses() -> None:
    clips = [_clip(0.5, 0.4), _clip(0.5, 0.6), _clip(0.0, 0.1)]
    walking = Walking.of(SPEC, clips)
    assert len(walking.names) == 2
    # Each of the two clips, left-right, and both of these front-back.
    assert walking.joints.shape == (2 * 4 * 101, 12)
    # The joint is off by 0.3 rad in each of the four legs, in one image each.
    off = np.abs(walking.joints - SPEC.default_joint_pos) > 0.2
    assert off.sum(axis=0).tolist() == [202, 0, 0] * 4
    assert walking.height_range_m == pytest.approx((0.4, 0.6))
    with pytest.raises(ClipError, match="none of the 1 clips of anymal_c walks"):
        Walking.of(SPEC, [_clip(0.0)])


def test_nearest_pose_by_hand_and_by_force() -> None:
    poses = np.array([[0.0, 0.0], [1.0, 1.0]])
    joints = np.array([[0.1, 0.1], [0.8, 1.4], [1.0, 1.0]])
    wanted = [0.1, np.sqrt((0.04 + 0.16) / 2.0), 0.0]
    np.testing.assert_allclose(nearest_rms(joints, poses), wanted, atol=1e-12)
    rng = np.random.default_rng(0)
    joints, poses = rng.normal(size=(600, 20)), 2.0 + rng.normal(size=(500, 20))
    every = np.sqrt(np.square(joints[:, None] - poses).mean(axis=2)).min(axis=1)
    np.testing.assert_allclose(nearest_rms(joints, poses), every, rtol=1e-6)


@pytest.mark.parametrize("robot", ["anymal_c", "op3"])
def test_shipped_walks(robot: str) -> None:
    spec = robots.get(robot)
    walking = Walking.of(spec, load_clips(shipped_clips(robot)))
    names = " ".join(walking.names)
    assert "walk" in names
    assert not any(word in names for word in ("kick", "turn00", "pirouette", "stealthy"))
    low, high = walking.height_range_m
    assert 0.8 * spec.standing_height_m < low < high < 1.02 * spec.standing_height_m


def test_short_motions_have_the_speed_of_all_of_it() -> None:
    pos = np.stack([0.5 * 0.02 * np.arange(11), np.zeros(11)], axis=1)
    np.testing.assert_allclose(travel_speeds(pos, 0.02), [0.5])
