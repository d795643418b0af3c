"""A human made from OP3's own walk comes back as that walk."""

import math
from dataclasses import replace

import mujoco
import numpy as np
import pytest

from legged_skills.mocap import signals
from legged_skills.mocap.clip import RobotClip
from legged_skills.mocap.mapping import mapping_for
from legged_skills.mocap.mirror import mirror
from legged_skills.mocap.pipeline import RetargetedFile, retarget_motion
from legged_skills.mocap.retarget import retarget
from legged_skills.mocap.source import SourceMotion
from legged_skills.mocap.stretch import RetargetSettings
from legged_skills.robots import rotations
from legged_skills.robots.spec import RobotSpec


@pytest.fixture(scope="module")
def walk(human, op3: RobotSpec) -> RetargetedFile:
    return retarget_motion(human.motion, op3)


@pytest.fixture(scope="module")
def clip(walk: RetargetedFile) -> RobotClip:
    assert len(walk.clips) == 1, walk.cuts
    return walk.clips[0]


def _frames_by_mujoco(spec: RobotSpec, qpos: np.ndarray) -> list[mujoco.MjData]:
    model = spec.model()
    out = []
    for pose in qpos:
        data = mujoco.MjData(model)
        data.qpos[:] = pose
        mujoco.mj_kinematics(model, data)
        out.append(data)
    return out


@pytest.fixture(scope="module")
def posed(clip: RobotClip, op3: RobotSpec) -> list[mujoco.MjData]:
    return _frames_by_mujoco(op3, clip.qpos)


def _corners(spec: RobotSpec, posed: list[mujoco.MjData]) -> np.ndarray:
    """Corners of the soles in the world, (T, F, S, 3)."""
    return np.array(
        [
            [
                data.site(name).xpos + points @ data.site(name).xmat.reshape(3, 3).T
                for name, points in zip(spec.foot_sites, spec.foot_points_f, strict=True)
            ]
            for data in posed
        ]
    )


def test_all_of_it_is_kept_at_its_scale(walk: RetargetedFile, human) -> None:
    assert walk.scale == pytest.approx(human.scale, rel=0.03)
    assert walk.time_scale == pytest.approx(math.sqrt(walk.scale))
    assert walk.kept_share >= 0.9


def test_soles_are_flat_and_still_while_they_stand(
    clip: RobotClip, op3: RobotSpec, posed: list[mujoco.MjData]
) -> None:
    corners = _corners(op3, posed)
    standing = corners[clip.foot_contact]
    assert np.max(np.abs(standing[..., 2])) < 1e-3
    assert corners[..., 2].min() > -1e-3
    speed = np.linalg.norm(np.gradient(corners, axis=0), axis=-1) * clip.fps
    assert np.max(speed[clip.foot_contact]) < 0.01
    # In the air they clear the floor, by more than the 3 cm of the source's own way at most.
    swing = corners[..., 2].min(axis=2)
    assert swing.max(axis=0).min() > 0.015 and swing.max() < 0.06
    # And they stand about as long as the source's do.
    assert 0.5 < clip.foot_contact.mean() < 0.8
    np.testing.assert_allclose(clip.foot_contact.mean(axis=0), clip.foot_contact.mean(), atol=0.1)


def test_joints_keep_limits_speeds_and_accelerations(clip: RobotClip, op3: RobotSpec) -> None:
    joints = clip.qpos[:, 7:]
    assert np.all(joints >= op3.joint_lower) and np.all(joints <= op3.joint_upper)
    assert np.all(np.abs(np.diff(joints, axis=0)) * clip.fps <= op3.velocity_limit)
    assert np.all(np.abs(np.diff(joints, n=2, axis=0)) * clip.fps**2 <= op3.acceleration_limit)
    assert clip.quality["joint_speed_share"] <= 1
    assert clip.quality["acceleration_share"] <= 1


def test_parts_stay_out_of_each_other(
    clip: RobotClip, op3: RobotSpec, posed: list[mujoco.MjData]
) -> None:
    model = op3.model()
    ends = np.zeros(6)
    for data in posed[::10]:
        for one, other in op3.self_collision:
            gap = mujoco.mj_geomDistance(
                model, data, model.geom(one).id, model.geom(other).id, 1.0, ends
            )
            assert gap > 0, (one, other)
    assert clip.quality["overlap_m"] == 0.0


def test_knees_bend_ahead(posed: list[mujoco.MjData]) -> None:
    for data in posed:
        ahead = data.body("body_link").xmat.reshape(3, 3)[:, 0]
        for side in ("l", "r"):
            hip, knee, ankle = (
                data.body(f"{side}_{part}_link").xpos for part in ("hip_pitch", "knee", "ank_pitch")
            )
            # The knee is ahead of the straight line from hip to ankle.
            assert (knee - 0.5 * (hip + ankle)) @ ahead > 0.005


def test_left_is_left(clip: RobotClip, human, op3: RobotSpec, posed: list[mujoco.MjData]) -> None:
    at = np.round(clip.retarget["source_frame"]).astype(int)
    feet = np.array([[data.site(name).xpos for name in op3.foot_sites] for data in posed])
    hands = np.array([[data.site(f"{side}_hand").xpos for side in "lr"] for data in posed])
    across = rotations.rotate(clip.qpos[:, 3:7], np.array([0.0, 1.0, 0.0]))
    for pair in (feet, hands):
        assert np.all(np.sum((pair[:, 0] - pair[:, 1]) * across, axis=-1) > 0.05)
    # Each foot stands when the source's does: much more often than when the other's does.
    agree = np.mean(clip.foot_contact == human.contact[at])
    assert agree > 0.85 > 0.6 > np.mean(clip.foot_contact == human.contact[at][:, ::-1])
    # The right arm swings by half as much again as the left one.
    ahead = rotations.rotate(clip.qpos[:, 3:7], np.array([1.0, 0.0, 0.0]))
    swing = np.sum((hands - clip.qpos[:, None, :3]) * ahead[:, None], axis=-1)
    assert np.ptp(swing[:, 1]) > 1.2 * np.ptp(swing[:, 0])


def test_the_walk_comes_back(clip: RobotClip, human, op3: RobotSpec) -> None:
    at = np.array(clip.retarget["source_frame"])
    truth = signals.sample(human.qpos, at)
    ahead = clip.qpos[:, 0] - (truth[:, 0] - truth[0, 0])
    # Half a metre of way; the scale is known within 1 %.
    assert np.ptp(truth[:, 0]) > 0.4
    assert np.max(np.abs(ahead)) < 0.01
    np.testing.assert_allclose(clip.qpos[:, 2], truth[:, 2], atol=0.01)
    upright = rotations.rotate(clip.qpos[:, 3:7], np.array([0.0, 0.0, 1.0]))[:, 2]
    assert np.min(upright) > math.cos(0.12)
    error = np.abs(clip.qpos[:, 7:] - truth[:, 7:])
    assert np.mean(error) < 0.04
    assert np.max(error[:, 2:8]) < 0.12  # arms
    assert clip.quality["marker_error_m"] < 0.004


def _same_motion(one: RobotClip, other: RobotClip, atol: float) -> None:
    """Whether two clips are the same but for a few frames at the ends and small differences."""
    frames = min(one.num_frames, other.num_frames)
    assert abs(one.num_frames - other.num_frames) <= 4
    np.testing.assert_allclose(one.qpos[:frames, 7:], other.qpos[:frames, 7:], atol=atol)
    np.testing.assert_allclose(one.qpos[:frames, :3], other.qpos[:frames, :3], atol=0.01)
    assert np.mean(one.foot_contact[:frames] == other.foot_contact[:frames]) > 0.97


def _one(motion: SourceMotion, spec: RobotSpec) -> RobotClip:
    (out,) = retarget_motion(motion, spec).clips
    return out


def test_where_the_source_walks_does_not_matter(clip: RobotClip, human, op3: RobotSpec) -> None:
    turned = rotations.rotate(rotations.from_yaw(np.array(2.0)), human.motion.positions_w)
    moved = replace(human.motion, positions_w=turned + np.array([20.0, -7.0, 0.4]))
    _same_motion(_one(moved, op3), clip, 0.03)


def test_how_tall_the_source_is_does_not_matter(clip: RobotClip, human, op3: RobotSpec) -> None:
    # In time that Froude scaling makes equal; only filters, which are in seconds, differ.
    child = replace(
        human.motion,
        positions_w=human.motion.positions_w * 0.7,
        fps=human.motion.fps / math.sqrt(0.7),
    )
    result = retarget_motion(child, op3)
    (other,) = result.clips
    assert result.scale * 0.7 == pytest.approx(clip.retarget["scale"], rel=2e-3)
    ends, expected = (c.qpos[-1, :3] - c.qpos[0, :3] for c in (other, clip))
    np.testing.assert_allclose(ends, expected, atol=0.005)
    for end in (np.min, np.max):
        own, its = (end(c.qpos[:, 7:], axis=0) for c in (other, clip))
        np.testing.assert_allclose(own, its, atol=0.1)


def test_the_mirrored_source_gives_the_mirrored_clip(
    clip: RobotClip, human, op3: RobotSpec
) -> None:
    other = {"left": "right", "right": "left"}
    names = human.motion.marker_names
    swapped = [names.index("_".join([other[n.split("_")[0]], n.split("_")[1]])) for n in names]
    positions = human.motion.positions_w[:, swapped] * [1.0, -1.0, 1.0]
    flipped = _one(replace(human.motion, positions_w=positions), op3)
    _same_motion(mirror(flipped, op3), clip, 0.05)


def test_a_frame_rate_of_the_source_does_not_matter(clip: RobotClip, human, op3: RobotSpec) -> None:
    # Twice the frames: the same motion, but for contacts that begin or end half a frame earlier.
    at = np.arange(2 * human.motion.num_frames - 1) / 2
    fine = replace(
        human.motion,
        positions_w=signals.sample(human.motion.positions_w, at),
        fps=2 * human.motion.fps,
    )
    other = _one(fine, op3)
    frames = min(clip.num_frames, other.num_frames)
    assert abs(clip.num_frames - other.num_frames) < 0.05 * clip.num_frames
    error = np.abs(other.qpos[:frames, 7:] - clip.qpos[:frames, 7:])
    assert np.mean(error) < 0.02
    assert np.mean(other.foot_contact[:frames] == clip.foot_contact[:frames]) > 0.93


def test_a_human_without_toes(human, op3: RobotSpec) -> None:
    names = tuple(f"no {n}" if "toe" in n else n for n in human.motion.marker_names)
    result = retarget_motion(replace(human.motion, marker_names=names), op3)
    assert result.kept_share >= 0.9
    # The ankles' height is a typical person's, which this one's is not quite.
    with_toes = retarget_motion(human.motion, op3)
    assert result.scale == pytest.approx(with_toes.scale, rel=0.06)
    heights = [np.median(r.clips[0].qpos[:, 2]) for r in (result, with_toes)]
    assert heights[0] == pytest.approx(heights[1], abs=0.01)
    for one in result.clips:
        corners = _corners(op3, _frames_by_mujoco(op3, one.qpos))
        assert np.max(np.abs(corners[one.foot_contact][..., 2])) < 1e-3
        assert corners[..., 2].min() > -1e-3


def test_a_human_who_turns(human, op3: RobotSpec) -> None:
    # A quarter turn in three seconds: feet do not turn where they stand, but step around.
    angle = np.clip((np.arange(420) - 120) / 180, 0, 1) * math.pi / 2
    turned = rotations.rotate(rotations.from_yaw(angle)[:, None], human.motion.positions_w)
    result = retarget_motion(replace(human.motion, positions_w=turned), op3)
    for one in result.clips:
        corners = _corners(op3, _frames_by_mujoco(op3, one.qpos))
        assert np.max(np.abs(corners[one.foot_contact][..., 2])) < 2e-3
        assert one.quality["overlap_m"] < 0.005
    assert sum(one.num_frames for one in result.clips) > 100


def _overlap(spec: RobotSpec, qpos: np.ndarray) -> float:
    """Greatest depth of parts that must not meet, by MuJoCo [m]."""
    model = spec.model()
    ends = np.zeros(6)
    pairs = [[model.geom(name).id for name in pair] for pair in spec.self_collision]
    return -min(
        mujoco.mj_geomDistance(model, data, one, other, 1.0, ends)
        for data in _frames_by_mujoco(spec, qpos[::4])
        for one, other in pairs
    )


def test_a_foot_that_steps_onto_the_other_is_put_beside_it(treading_human, op3: RobotSpec) -> None:
    # One step of the left foot ends 5 cm, of the robot's, farther to the right, where feet of 8 cm
    # width that stand 9.5 cm apart would be one in the other.
    motion = treading_human.motion
    frames = np.arange(420)
    part = np.clip((frames - 111) / 40, 0, 1) - np.clip((frames - 263) / 40, 0, 1)
    inwards = 0.05 / treading_human.scale * part * part * (3 - 2 * part)
    positions = motion.positions_w.copy()
    for name, share in (("left_knee", 0.55), ("left_ankle", 1.0), ("left_toe", 1.0)):
        positions[:, motion.index(name), 1] -= share * inwards
    result = retarget_motion(replace(motion, positions_w=positions), op3)
    assert result.kept_share > 0.9
    for one in result.clips:
        assert _overlap(op3, one.qpos) < 0.002


def test_arms_that_go_through_the_body_go_around_it(human, op3: RobotSpec) -> None:
    # Hands go down in front of the belly, where the robot's, with longer forearms, would be in it.
    positions = human.motion.positions_w.copy()
    part = np.sin(np.pi * np.arange(420) / 419)[:, None] ** 2
    for side, sign in (("left", 1.0), ("right", -1.0)):
        elbow, wrist = (human.motion.index(f"{side}_{name}") for name in ("elbow", "wrist"))
        down = positions[:, human.motion.index(f"{side}_shoulder")] + np.array([0.0, 0.0, -0.3])
        inwards = down + np.array([0.0, -0.1 * sign, -0.25])
        for joint, there in ((elbow, down), (wrist, inwards)):
            positions[:, joint] += part * (there - positions[:, joint])
    result = retarget_motion(replace(human.motion, positions_w=positions), op3)
    assert result.kept_share > 0.9
    for one in result.clips:
        assert _overlap(op3, one.qpos) < 0.002
        hands = np.array(
            [
                [data.site(f"{side}_hand").xpos for side in "lr"]
                for data in _frames_by_mujoco(op3, one.qpos)
            ]
        )
        # They did come nearer to each other, as far as the body lets them.
        apart = np.linalg.norm(hands[:, 0] - hands[:, 1], axis=-1)
        assert apart.min() < 0.9 * apart[0]


def test_fast_people_are_slowed_down(human, op3: RobotSpec) -> None:
    # Three times as fast as the walk that OP3 did.
    result = retarget_motion(replace(human.motion, fps=3 * human.motion.fps), op3)
    for one in result.clips:
        joints = one.qpos[:, 7:]
        assert np.all(np.abs(np.diff(joints, axis=0)) * one.fps <= op3.velocity_limit)
        assert np.all(np.abs(np.diff(joints, n=2, axis=0)) * one.fps**2 <= op3.acceleration_limit)
        assert one.retarget["slowdown_max"] > 1.5


def test_the_source_is_not_written_to(human, op3: RobotSpec) -> None:
    positions = human.motion.positions_w.copy()
    positions.flags.writeable = False
    retarget_motion(replace(human.motion, positions_w=positions), op3)
    np.testing.assert_array_equal(positions, human.motion.positions_w)


def test_the_slowest_that_is_allowed_is_of_the_sources_time(human, op3: RobotSpec) -> None:
    fast = replace(human.motion, fps=3 * human.motion.fps)
    settings = RetargetSettings(slowest=1.0)
    result = retarget(fast, mapping_for(fast, op3), op3, settings)
    most = max(stretch.slowdown.max() for stretch in result.stretches)
    # The robot's own time is shorter (Froude): so much slower it may be.
    assert most == pytest.approx(1.0 / result.fit.time_scale, rel=0.02)
