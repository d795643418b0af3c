import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.ball import BALLS
from legged_skills.robots.contract import proprioception
from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.ball_gap import BALL_GAPS
from legged_skills.sim2real.gap import GAPS
from legged_skills.sim2real.ranges import BallRanges
from legged_skills.sim2real.reality import simulate
from legged_skills.skill_module import checkpoint
from legged_skills.skill_module.symmetry import Symmetry
from legged_skills.tasks.dribble import DribbleEnv, dribble_reward, in_heading_frame
from legged_skills.tasks.dribble_config import SIZES, DribbleConfig, task_scale
from legged_skills.tasks.target_paths import WAY_SIZE, path

SPEC = robots.get("anymal_c")
CONTRACT = proprioception(SPEC, 2)


def _env(n: int = 4, seed: int = 0, full: bool = False, progress: float = 1.0, **config):
    gap = BALL_GAPS["anymal_c"] if full else None
    sim = simulate(SPEC, n, 1, gap, BALLS["anymal_c"])
    return DribbleEnv(sim, CONTRACT, DribbleConfig(**config), seed, gap=gap, progress=progress)


def _place(env: DribbleEnv, ball, target=None, yaw: float = 0.0, way: str = "straight") -> None:
    """Puts all robots at the origin, with a ball, and a target that goes along +x."""
    n = env.num_envs
    qpos = np.tile(SPEC.home_qpos, (n, 1))
    qpos[:, 3], qpos[:, 6] = np.cos(yaw / 2), np.sin(yaw / 2)
    ways = path(way, 0.5, np.zeros(n), np.ones(n))
    balls = np.broadcast_to(ball, (n, 2))
    env.place(np.arange(n), qpos, balls, balls if target is None else target, ways)


def test_reward_by_hand():
    distance, to_ball = np.array([0.0, 0.5, 2.0]), np.array([1.0, 0.0, 0.5])
    sizes = SIZES["op3"]
    assert sizes.kernel_m == 0.5 and SIZES["anymal_c"].kernel_m == 1.0
    reward, terms = dribble_reward(DribbleConfig(), sizes, distance, to_ball)
    np.testing.assert_allclose(reward, np.exp([0.0, -1.0, -4.0]), rtol=1e-6)
    np.testing.assert_array_equal(terms["ball_distance_m"], distance)
    helped, _ = dribble_reward(DribbleConfig(approach_weight=0.2), sizes, distance, to_ball)
    np.testing.assert_allclose(helped - reward, 0.2 * np.exp([-2.0, 0.0, -1.0]), rtol=1e-5)


def test_heading_frame_by_hand():
    # Heading along +y and rolled by 0.2 rad, which changes nothing.
    half, roll = np.pi / 4, 0.1
    quat = np.array([[np.cos(half) * np.cos(roll), 0.0, 0.0, np.sin(half) * np.cos(roll)]])
    quat[0, 1], quat[0, 2] = np.cos(half) * np.sin(roll), np.sin(half) * np.sin(roll)
    seen = in_heading_frame(quat, np.array([[[0.0, 2.0], [1.0, 0.0]]]))
    np.testing.assert_allclose(seen, [[[2.0, 0.0], [0.0, -1.0]]], atol=1e-8)


def test_observations_are_seen_from_the_robot():
    env = _env(2)
    _place(env, [0.0, 1.5], target=np.array([[0.0, 2.0], [-1.0, 0.0]]), yaw=np.pi / 2)
    env.robots.batch.objects_qvel[:, :2] = [0.3, 0.0]
    env._look(slice(None))
    told = [[1.5, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0], [1.5, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]]
    # Without a gap the camera has no errors but its range and rate, and noise is a factor of it.
    np.testing.assert_allclose(env.told(), told, atol=1e-5)
    obs = env.observe()
    np.testing.assert_allclose(obs["task"], told * task_scale(env.sizes), atol=1e-5)
    assert obs["privileged"].shape == (2, env.privileged_size)
    # Ball, its velocity, target, its velocity.
    truth = [[1.5, 0.0, 0.0, -0.3, 2.0, 0.0, 0.0, -0.5], [1.5, 0.0, 0.0, -0.3, 0.0, 1.0, 0.0, -0.5]]
    np.testing.assert_allclose(obs["privileged"][:, -8:], truth, atol=1e-5)


def _mirror_images(env: DribbleEnv, symmetry: Symmetry) -> None:
    """Puts robot g, its ball and its target where the image of robot 0 under element g is."""
    joints = SPEC.default_joint_pos + 0.1 * np.arange(12.0)
    quat = np.array([0.98, 0.1, 0.05, 0.15])
    quat /= np.linalg.norm(quat)
    qpos, ball, target, rolls = np.zeros((4, 19)), *np.zeros((3, 4, 2))
    ways = np.zeros((4, WAY_SIZE))
    for g in range(4):
        qpos[g, :3] = symmetry.polar.apply(g, np.array([0.1, -0.2, 0.6]))
        qpos[g, 3], qpos[g, 4:7] = quat[0], symmetry.axial.apply(g, quat[1:])
        qpos[g, 7:] = symmetry.joints.apply(g, joints)
        ball[g] = symmetry.planar.apply(g, np.array([1.2, 0.7]))
        target[g] = symmetry.planar.apply(g, np.array([0.5, -1.3]))
        rolls[g] = symmetry.planar.apply(g, np.array([0.4, 0.3]))
        along = symmetry.planar.apply(g, np.array([0.8, 0.6]))
        ways[g] = path("straight", 0.5, np.arctan2(along[1:], along[:1]), np.ones(1))[0]
    env.place(np.arange(4), qpos, ball, target, ways)
    env.robots.batch.objects_qvel[:, :2] = rolls
    env._look(slice(None))


def test_observations_are_mirrored_as_robot_ball_and_target_are():
    symmetry, env = Symmetry(SPEC), _env(4)
    _mirror_images(env, symmetry)
    # What an earlier picture said of the ball's velocity is mirrored, too.
    env.camera.velocity[:] = env._truth[:, 1]
    env.camera.age[:] = 0.3
    seen, (task, privileged) = env.observe(), env.mirrored(symmetry)
    kinds = {
        "task": task,
        "privileged": privileged,
        "proprioception": symmetry.proprioception(CONTRACT),
        "velocity": symmetry.polar,
    }
    for name, kind in kinds.items():
        assert kind.size == seen[name].shape[1]
        for g in range(4):
            image = kind.apply(g, seen[name][0])
            np.testing.assert_allclose(seen[name][g], image, atol=1e-4, err_msg=f"{name} {g}")
    assert np.abs(seen["task"][0]).min() > 1e-3 and np.abs(seen["privileged"][0, -8:]).min() > 1e-3


def test_policies_of_small_robots_are_told_shorter_lengths():
    np.testing.assert_array_equal(task_scale(SIZES["op3"]), [2, 2, 2, 2, 1, 2, 2])


def test_a_step_moves_target_and_ball():
    env = _env(2)
    _place(env, [1.5, 0.0])
    for step in range(1, 4):
        outcome = env.step(np.zeros((2, 12)))
        np.testing.assert_allclose(env.target, [[1.5 + 0.01 * step, 0.0]] * 2, atol=1e-9)
        np.testing.assert_allclose(outcome.reward, np.exp(-0.01 * step), rtol=1e-3)
    env.robots.batch.objects_qvel[:, 0] = 1.0
    env.step(np.zeros((2, 12)))
    assert (env.ball_w[:, 0] > 1.51).all()
    assert (env.distance < 0.03).all()


def test_falling_ends_an_episode_and_a_lost_ball_only_if_it_shall():
    env = _env(3, episode_s=0.1, lost_scales=100.0)
    _place(env, np.array([[1.5, 0.0], [1.5, 0.0], [50.0, 0.0]]), target=np.zeros((3, 2)))
    env.age[:] = [0, 4, 0]
    env.robots.sim.qpos[0, 3:7] = [np.cos(0.6), np.sin(0.6), 0, 0]  # rolled by 1.2 rad
    outcome = env.step(np.zeros((3, 12)))
    np.testing.assert_array_equal(outcome.terminated, [True, False, False])
    np.testing.assert_array_equal(outcome.truncated, [False, True, False])
    assert outcome.final_privileged.shape == (1, env.privileged_size)
    np.testing.assert_array_equal(env.age, [0, 0, 1])
    assert outcome.reward[2] < 1e-6
    # It is told where such a ball was last, and the critic that it is far.
    assert env.camera.age[2] >= 0.02
    np.testing.assert_allclose(env.observe()["privileged"][2, -8], 6.0, rtol=1e-5)
    # The scale is 1 m; by default a ball is lost at 4 of them.
    _place(env, np.array([[3.9, 0.0], [4.1, 0.0], [50.0, 0.0]]), target=np.zeros((3, 2)))
    env.config = DribbleConfig()
    outcome = env.step(np.zeros((3, 12)))
    np.testing.assert_array_equal(outcome.terminated, [False, True, True])


def test_episodes_grow_harder():
    early, late = (_env(400, progress=progress, ramp_share=0.3) for progress in (0.0, 1.0))
    for env, farthest, speed in ((early, 0.75, 0.12), (late, 2.5, 0.6)):
        ball = env._truth[:, 0]
        distance = np.linalg.norm(ball, axis=1)
        assert distance.min() >= 0.75 - 1e-5 and distance.max() <= farthest + 1e-5
        assert 0.9 * speed < env.ways[:, 0].max() <= speed
    assert np.abs(np.arctan2(early._truth[:, 0, 1], early._truth[:, 0, 0])).max() < 0.501
    assert (late._truth[:, 0, 0] < 0.0).mean() == pytest.approx(0.5, abs=0.1)
    assert early.distance.max() < 1e-5 and 0.4 < late.distance.max() <= 0.5
    early.set_progress(0.15)  # half of the ramp
    early.reset(np.arange(400))
    assert 1.5 < np.linalg.norm(early._truth[:, 0], axis=1).max() <= 0.5 * (0.75 + 2.5)


def test_cameras_and_balls_follow_the_gap():
    env = _env(3, full=True)
    reality = env.robots.reality
    assert reality is not None
    delay = reality.factor("camera_delay_s")[:, 0]
    np.testing.assert_array_equal(env.camera._delay, np.rint(delay / 0.02))
    radius = 0.11 * reality.factor("ball_radius")[:, 0]
    height = env.robots.batch.objects_qpos[:, 2] - reality.floor_top_m(np.arange(3))
    np.testing.assert_allclose(height, radius)
    assert len(set(radius)) == 3


@pytest.mark.parametrize("full", [False, True])
def test_exact_restore_from_a_checkpoint(full: bool, tmp_path):
    one, other = _env(3, 1, full), _env(3, 1, full)
    for env in (one, other):
        env.max_steps = 8  # some episodes end on the way
    one.set_progress(0.2)
    actions = 0.3 * np.random.default_rng(0).standard_normal((20, 3, 12))
    for action in actions[:10]:
        one.step(action)
    other.step(actions[-1])
    arrays, rest = one.state()
    path = tmp_path / "checkpoint.npz"
    saved = checkpoint.Checkpoint(tree={}, environment=arrays, header={"environment": rest})
    checkpoint.save(path, saved)
    found = checkpoint.load(path, {}, {})
    other.restore(found.environment, found.header["environment"])
    for action in actions[10:]:
        np.testing.assert_array_equal(one.step(action).reward, other.step(action).reward)
    for name, observed in one.observe().items():
        np.testing.assert_array_equal(observed, other.observe()[name])


def test_unusable_settings():
    with pytest.raises(SettingsError, match="kernel_m is 0"):
        DribbleConfig(kernel_m=0.0)
    with pytest.raises(SettingsError, match="start_m is"):
        DribbleConfig(start_m=(2.0, 1.0))
    with pytest.raises(SettingsError, match="approach_weight is nan, expected a finite number"):
        DribbleConfig(approach_weight=float("nan"))
    with pytest.raises(SettingsError, match=r"ramp_share is 2\.0, expected 0 to 1"):
        DribbleConfig(ramp_share=2.0)
    with pytest.raises(
        SettingsError, match=r"^episode_s is 0\.001, expected at least the 0\.02 s of"
    ):
        _env(1, episode_s=0.001)
    with pytest.raises(SettingsError, match="spot has no ball, expected one of anymal_c, op3"):
        DribbleConfig().sizes("spot")
    sizes = DribbleConfig(kernel_m=0.7).sizes("op3")
    assert (sizes.kernel_m, sizes.range_m) == (0.7, 3.0)
    gap = GAPS["anymal_c"]
    sim = simulate(SPEC, 1, 1, gap, BALLS["anymal_c"])
    with pytest.raises(SettingsError, match="the gap has no ball"):
        DribbleEnv(sim, CONTRACT, DribbleConfig(), gap=gap)


def test_placed_robots_forget_what_was_before():
    env = _env(2)
    _place(env, [1.5, 0.0], way="square")
    env.robots.batch.objects_qvel[:] = 1.0
    for _ in range(3):
        env.advance(np.zeros((2, 12)))
    env.robots.batch.objects_qvel[:] = 1.0
    env.place(
        np.array([1]), SPEC.home_qpos[None], np.array([[1.0, 0.5]]), np.array([[2.0, 0.0]]), ENDS
    )
    np.testing.assert_array_equal(env.robots.batch.objects_qvel[1], 0.0)
    assert (env.robots.batch.objects_qvel[0] == 1.0).all()
    np.testing.assert_allclose(env.told()[1], [1.0, 0.5, 0.0, 0.0, 0.0, 2.0, 0.0], atol=1e-6)
    np.testing.assert_array_equal(env.age, [3, 0])
    env.advance(np.zeros((2, 12)))
    # Its target has begun at its start, and does not turn yet.
    np.testing.assert_allclose(env.target[1], [2.0 + 0.02 * 0.5, 0.0], atol=1e-9)


ENDS = np.array([[0.5, 0.0, 0.0, 1.5, 0.07, 0.0]])
"""A way that turns after 3.5 control steps."""


def test_targets_turn_when_their_time_has_come():
    env = _env(1)
    env.place(np.array([0]), SPEC.home_qpos[None], np.ones((1, 2)), np.zeros((1, 2)), ENDS)
    for _ in range(4):
        env.advance(np.zeros((1, 12)))
    # The critic is told where it goes, and it has turned for one of four steps.
    way = 0.01 * (3.0 * np.array([1.0, 0.0]) + [np.cos(1.5), np.sin(1.5)])
    np.testing.assert_allclose(env.target[0], way, atol=1e-9)
    goes = env.observe()["privileged"][0, -2:]
    np.testing.assert_allclose(goes, [0.5 * np.cos(1.5), 0.5 * np.sin(1.5)], atol=0.01)
    np.testing.assert_allclose(env.told()[0, 5:], way - env.robots.batch.qpos[0, :2], atol=0.02)


def test_cameras_and_balls_follow_the_gap_where_episodes_begin_anew():
    env = _env(4, full=True)
    reality = env.robots.reality
    assert reality is not None
    for ids in (np.arange(4), np.array([2]), np.array([3, 1])):
        env.reset(ids)
        radius = 0.11 * reality.factor("ball_radius")[:, 0] + reality.floor_top_m(np.arange(4))
        np.testing.assert_allclose(env.robots.batch.objects_qpos[:, 2], radius)
        noise, drop_rate = reality.factor("camera_noise"), reality.factor("camera_drop_rate")
        np.testing.assert_allclose(env.camera._noise, noise, rtol=1e-6)
        np.testing.assert_array_equal(env.camera._drop_rate, drop_rate[:, 0])


def test_the_critic_is_told_of_far_things_within_the_cameras_range():
    env = _env(1)
    _place(env, [6.0, 8.0], target=np.array([[-30.0, 40.0]]))
    wanted = [0.6 * 6.0, 0.8 * 6.0, 0.0, 0.0, -0.6 * 6.0, 0.8 * 6.0, 0.5, 0.0]
    np.testing.assert_allclose(env.observe()["privileged"][0, -8:], wanted, atol=1e-5)


def test_robots_that_are_near_their_ball_can_be_rewarded():
    env = _env(2, approach_weight=0.5, start_noise=0.0)
    _place(env, np.array([[0.8, 0.0], [0.0, 1.6]]), target=np.array([[0.0, 3.0], [0.0, -1.4]]))
    outcome = env.step(np.zeros((2, 12)))
    np.testing.assert_allclose(outcome.terms["approach"], np.exp([-0.8, -1.6]), rtol=0.02)
    wanted = np.exp(-env.distance) + 0.5 * outcome.terms["approach"]
    np.testing.assert_allclose(outcome.reward, wanted, rtol=1e-5)


def test_first_episodes_end_at_different_times():
    env = _env(100)
    assert env.max_steps == 1000 and env.age.max() < 1000
    assert env.age.mean() == pytest.approx(500, abs=120) and env.age.std() > 200


def test_who_diverged_is_terminated(diverge: Callable[[int], None]):
    env = _env(2)
    _place(env, [1.5, 0.0])
    diverge(1)
    assert not env.step(np.zeros((2, 12))).terminated.any()
    outcome = env.step(np.zeros((2, 12)))
    np.testing.assert_array_equal(outcome.terminated, [True, False])
    assert not outcome.truncated.any()
    np.testing.assert_array_equal(env.age, [0, 2])


def test_restored_cameras_and_starts_are_as_they_were():
    one, other = (_env(4, 1, full=True, ramp_share=0.5) for _ in range(2))
    one.set_progress(0.1)
    one.reset(np.arange(4))
    before = other.camera._noise.copy()
    arrays, rest = one.state()
    other.restore({name: array.copy() for name, array in arrays.items()}, rest)
    assert (other.camera._noise != before).all()
    for name in ("_delay", "_noise", "_drop_rate"):
        np.testing.assert_array_equal(getattr(other.camera, name), getattr(one.camera, name))
    for env in (one, other):
        env.reset(np.arange(4))
    np.testing.assert_array_equal(one.ball_w, other.ball_w)
    np.testing.assert_array_equal(one.ways, other.ways)


@pytest.mark.parametrize(("level", "longest"), [(0.5, 1.0), (1.6, 1.6)])
def test_cameras_can_be_as_late_as_in_training_and_in_the_full_gap(level: float, longest: float):
    gap = dataclasses.replace(BALL_GAPS["anymal_c"], training_level=level)
    assert isinstance(gap.ranges, BallRanges)
    sim = simulate(SPEC, 1, 1, gap, BALLS["anymal_c"])
    line = DribbleEnv(sim, CONTRACT, DribbleConfig(), gap=gap).camera._line
    assert line.max_delay == round(longest * gap.ranges.camera_delay_s[1] / SPEC.control_period_s)


def test_without_a_ramp_it_is_as_hard_from_the_start():
    env = _env(200, progress=0.0)
    assert env.config.ramp_share == 0.0
    ball = env._truth[:, 0]
    assert 2.4 < np.linalg.norm(ball, axis=1).max() <= 2.5 + 1e-5
    assert (ball[:, 0] < 0.0).mean() == pytest.approx(0.5, abs=0.1)
    assert env.ways[:, 0].max() > 0.9 * 0.6


def test_cameras_have_the_factors_of_the_wider_gap_at_once():
    env = _env(4, full=True)
    before = env.camera._noise.copy()
    env.set_progress(0.05)
    reality = env.robots.reality
    assert reality is not None and (env.camera._noise != before).any()
    np.testing.assert_allclose(env.camera._noise, reality.factor("camera_noise"), rtol=1e-6)
