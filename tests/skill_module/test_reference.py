import dataclasses

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.mocap.clip import RobotClip
from legged_skills.robots.errors import ClipError, SettingsError
from legged_skills.robots.simulation import BatchSim
from legged_skills.skill_module.reference import build_reference

SPEC = robots.get("anymal_c")


def test_clips_are_joined_with_their_ends(wiggling_clip):
    reference = build_reference(SPEC, [wiggling_clip, wiggling_clip])
    assert reference.num_rows == 200
    np.testing.assert_array_equal(reference.starts, [0, 100])
    np.testing.assert_array_equal(reference.last[[0, 99, 100, 199]], [99, 99, 199, 199])
    assert reference.names == ("wiggle", "wiggle")
    np.testing.assert_allclose(reference.qpos[100:], wiggling_clip.qpos, atol=1e-6)


def test_any_frame_rate_comes_to_the_control_period(wiggling_clip):
    slow = wiggling_clip.resample(25.0)
    reference = build_reference(SPEC, [slow])
    assert 98 <= reference.num_rows <= 100
    error = np.abs(reference.qpos[:98, 7:] - wiggling_clip.qpos[:98, 7:])
    assert error.max() < 0.01


def test_mirrored_clips_swap_the_legs(wiggling_clip):
    reference = build_reference(SPEC, [wiggling_clip], mirrored=True)
    assert reference.num_rows == 200
    left, right = reference.qpos[:100, 7:10], reference.qpos[100:, 10:13]
    np.testing.assert_allclose(left[:, 1:], right[:, 1:], atol=1e-6)
    np.testing.assert_allclose(left[:, 0], -right[:, 0], atol=1e-6)
    feet = reference.feet_b.reshape(2, 100, 4, 3)
    np.testing.assert_allclose(feet[0, :, 0], feet[1, :, 1] * [1, -1, 1], atol=1e-5)


def test_front_back_images_follow_each_clip_and_its_left_right_image(wiggling_clip):
    reference = build_reference(SPEC, [wiggling_clip], mirrored=True, front_back=True)
    assert reference.num_rows == 400
    np.testing.assert_array_equal(reference.starts, [0, 100, 200, 300])
    assert reference.names == ("wiggle",) * 4
    # As it is, across the left-right plane, across the other, and across both.
    feet = reference.feet_b.reshape(4, 100, 4, 3)
    for part, order, sign in (
        (1, [1, 0, 3, 2], [1, -1, 1]),
        (2, [2, 3, 0, 1], [-1, 1, 1]),
        (3, [3, 2, 1, 0], [-1, -1, 1]),
    ):
        np.testing.assert_allclose(feet[part], feet[0][:, order] * sign, atol=1e-5)
    # It drifts ahead at 0.2 m/s; its front-back images drift backwards.
    ahead = reference.lin_vel_b.reshape(4, 100, 3)[..., 0].mean(axis=1)
    np.testing.assert_allclose(ahead, [0.2, 0.2, -0.2, -0.2], atol=1e-5)


def test_front_back_images_without_left_right_ones(wiggling_clip):
    reference = build_reference(SPEC, [wiggling_clip, wiggling_clip], front_back=True)
    assert reference.num_rows == 400
    ahead = reference.lin_vel_b.reshape(4, 100, 3)[..., 0].mean(axis=1)
    np.testing.assert_allclose(ahead, [0.2, -0.2, 0.2, -0.2], atol=1e-5)


def test_front_back_images_of_a_humanoid_are_refused():
    op3 = robots.get("op3")
    clip = RobotClip(
        robot="op3",
        fps=50.0,
        joint_names=op3.joint_names,
        qpos=np.tile(op3.home_qpos, (60, 1)),
        qvel=np.zeros((60, 26)),
        foot_contact=np.ones((60, 2), dtype=bool),
    )
    assert build_reference(op3, [clip], mirrored=True).num_rows == 2 * 50  # 59 / 50 s at 24 ms
    with pytest.raises(SettingsError, match="op3: its front is no mirror image of its back"):
        build_reference(op3, [clip], front_back=True)


def test_feet_are_what_the_simulation_senses(wiggling_clip):
    # The sensors of a simulation in the reference's state, one physics step earlier.
    reference = build_reference(SPEC, [wiggling_clip])
    sim = BatchSim(SPEC, 1)
    qpos = wiggling_clip.qpos[30].copy()
    qpos[7:] -= SPEC.physics_step_s * wiggling_clip.qvel[30, 6:]
    sim.reset(qpos=qpos)
    np.testing.assert_allclose(reference.feet_b[30], sim.sensor(*SPEC.foot_sites)[0], atol=1e-5)
    np.testing.assert_allclose(reference.lin_vel_b[30, 0], 0.2, atol=1e-5)
    np.testing.assert_allclose(reference.gravity_b[30], [0, 0, -1], atol=1e-6)


def test_unusable_clips_are_refused(wiggling_clip):
    with pytest.raises(ClipError, match="there are no clips to track"):
        build_reference(SPEC, [])
    short = dataclasses.replace(
        wiggling_clip,
        qpos=wiggling_clip.qpos[:5],
        qvel=wiggling_clip.qvel[:5],
        foot_contact=wiggling_clip.foot_contact[:5],
    )
    with pytest.raises(ClipError, match="wiggle: 5 control steps long, expected at least 10"):
        build_reference(SPEC, [short])
    with pytest.raises(ClipError, match="is a clip of 'spot', expected 'anymal_c'"):
        build_reference(SPEC, [dataclasses.replace(wiggling_clip, robot="spot")])
