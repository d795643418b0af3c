from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.contract import proprioception
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.simulation import BatchSim
from legged_skills.sim2real.gap import GAPS
from legged_skills.skill_module.symmetry import Symmetry
from legged_skills.skill_module.training import RunConfig
from legged_skills.tasks.evaluate_walk import WalkEvaluationConfig
from legged_skills.tasks.train_walk import WalkTrainingConfig, make_env
from legged_skills.tasks.walk import PACES, WalkConfig, WalkEnv, walk_reward

SPEC = robots.get("anymal_c")
CONTRACT = proprioception(SPEC)


def _env(n: int = 4, seed: int = 0, **config) -> WalkEnv:
    return WalkEnv(BatchSim(SPEC, n, 1), CONTRACT, WalkConfig(**config), seed=seed)


def test_velocity_is_in_the_heading_frame():
    env = _env(1)
    # Heading 90 degrees left and pitched by 0.3 rad, moving along the world's +y and up.
    half, pitch = np.pi / 4, 0.15
    yaw = np.array([np.cos(half), 0, 0, np.sin(half)])
    nod = np.array([np.cos(pitch), 0, np.sin(pitch), 0])
    from legged_skills.robots.rotations import multiply, rotate_inverse

    quat = multiply(yaw, nod)
    qpos, qvel = SPEC.home_qpos, np.zeros(18)
    qpos[3:7] = quat
    qvel[:3] = [-0.2, 0.5, 0.3]  # world: 0.5 forward, 0.2 left, 0.3 up
    qvel[3:6] = rotate_inverse(quat, np.array([0.0, 0.0, 0.7]))
    env.robots.reset(np.array([0]), qpos, qvel)
    velocity = env.velocity()
    np.testing.assert_allclose(velocity.linear[0], [0.5, 0.2], atol=1e-5)
    np.testing.assert_allclose(velocity.yaw[0], 0.7, atol=1e-5)


def test_reward_by_hand():
    error = np.array([[0.0, 0.0, 0.0], [0.3, -0.4, 0.2], [0.03, 0.04, -0.1]], np.float32)
    stands = np.array([False, False, True])
    config = WalkConfig(velocity_kernel_mps=0.2, yaw_kernel_radps=0.5, stand_kernel_share=0.5)
    reward, terms = walk_reward(config, config.paces("anymal_c"), error, stands)
    # Second robot: error 0.5 -> exp(-2.5); yaw error 0.2 -> exp(-0.4). The third stands, with
    # kernels half as wide: 0.05 -> exp(-0.5), 0.1 -> exp(-0.4).
    wanted = [
        1.0,
        2 / 3 * np.exp(-2.5) + 1 / 3 * np.exp(-0.4),
        2 / 3 * np.exp(-0.5) + 1 / 3 * np.exp(-0.4),
    ]
    np.testing.assert_allclose(reward, wanted, rtol=1e-5)
    np.testing.assert_allclose(terms["velocity_error_mps"], [0.0, 0.5, 0.05], atol=1e-6)


def test_what_is_rewarded_is_the_mean_of_the_error_but_for_those_that_stand():
    env = _env(2, average_s=0.1, start_noise=0.0)
    env.command[:] = [[0.5, 0.0, 0.2], [0.0, 0.0, 0.0]]
    qpos, qvel = SPEC.home_qpos, np.zeros(18)
    qvel[0] = 0.3
    env.robots.reset(np.arange(2), qpos, qvel)
    # A step has a fifth of the time constant: the mean goes a fifth of the way.
    for wanted in (0.2, 0.36):
        error, stands = env._compare()
        np.testing.assert_array_equal(stands, [False, True])
        np.testing.assert_allclose(error[0], wanted * np.array([-0.2, 0.0, -0.2]), atol=1e-6)
        np.testing.assert_allclose(error[1], [0.3, 0.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(env.error[1], [0.36 * 0.3, 0.0, 0.0], atol=1e-6)
    env.reset(np.array([0]))
    np.testing.assert_array_equal(env.error[0], 0.0)


def test_who_stands_does_so_for_as_long_as_commands_last():
    env = _env(4000, change_period_s=0.2, stand_share=0.0, zero_share=0.0)
    env.command[:2000] = 0.0
    env._change_commands()
    moved = (env.command[:2000] != 0.0).sum(axis=1)
    # All components at once, with probability 0.02 / 0.2.
    assert set(moved) == {0, 3}
    assert (moved == 3).mean() == pytest.approx(0.1, abs=0.02)


def test_some_components_are_zero():
    env = _env(4000, stand_share=0.0, zero_share=0.25)
    np.testing.assert_allclose((env.command == 0.0).mean(axis=0), 0.25, atol=0.03)


def test_commands_stay_in_range_and_change_at_the_stated_rate():
    env = _env(200, change_period_s=0.2, stand_share=0.0, zero_share=0.0)
    changed = np.zeros(3)
    for _ in range(50):
        before = env.command.copy()
        env._change_commands()
        changed += (env.command != before).mean(axis=0)
    # Each component changes with probability 0.02 / 0.2 a step.
    np.testing.assert_allclose(changed / 50, 0.1, atol=0.015)
    own = PACES["anymal_c"]
    assert own.vx_range[0] <= env.command[:, 0].min() < own.vx_range[0] + 0.05
    assert own.vx_range[1] - 0.05 < env.command[:, 0].max() <= own.vx_range[1]
    assert np.abs(env.command[:, 1]).max() <= own.vy_range[1]


def test_paces_are_the_robots_own_where_nothing_is_given():
    given = WalkConfig(vx_range=(0.0, 0.1)).paces("op3")
    assert given.vx_range == (0.0, 0.1) and given.vy_range == PACES["op3"].vy_range
    with pytest.raises(SettingsError, match="spot has no paces, expected one of anymal_c, op3"):
        WalkConfig().paces("spot")


def test_commands_by_shares_of_the_paces():
    paces = PACES["op3"]
    assert paces.command((0.5, -0.5, 1.0)) == (0.21, -0.06, 0.8)
    assert paces.command((-1.0, 1.0, -0.5)) == (-0.12, 0.12, -0.4)
    assert paces.command((0.0, 0.0, 0.0)) == (0.0, 0.0, 0.0)


def test_tests_command_what_suits_the_robot():
    given = WalkEvaluationConfig(vx_range=(0.0, 0.1))
    paces = PACES["op3"]
    wanted = {"vx_range": (0.0, 0.1), "vy_range": paces.vy_range, "yaw_range": paces.yaw_range}
    assert given.ranges("op3") == wanted
    assert WalkEvaluationConfig().ranges("anymal_c")["vx_range"] == (-0.6, 1.3)


def test_observations_are_mirrored_as_the_motion_is():
    """A mirrored robot with a mirrored command has the mirrored observations."""
    symmetry, env = Symmetry(SPEC), _env(4)
    joints = SPEC.default_joint_pos + 0.1 * np.arange(12.0)
    base = np.array([0.0, 0.0, 0.6, 0.98, 0.1, 0.05, 0.15])
    base[3:] /= np.linalg.norm(base[3:])
    world, turn = np.array([0.5, 0.2, -0.1]), np.array([0.3, -0.2, 0.7])
    # Element 1 reflects y, element 2 reflects x; in the world as in the robot.
    qpos, qvel = np.zeros((4, 19)), np.zeros((4, 18))
    for g in range(4):
        qpos[g, :3] = symmetry.polar.apply(g, base[:3])
        qpos[g, 3], qpos[g, 4:7] = base[3], symmetry.axial.apply(g, base[4:])
        qpos[g, 7:] = symmetry.joints.apply(g, joints)
        qvel[g, :3] = symmetry.polar.apply(g, world)
        qvel[g, 3:6] = symmetry.axial.apply(g, turn)
        qvel[g, 6:] = symmetry.joints.apply(g, joints)
        env.command[g] = [*symmetry.planar.apply(g, world[:2]), symmetry.turning.sign[g, 0]]
        env.error[g] = 0.5 * env.command[g]
    env.robots.reset(np.arange(4), qpos, qvel)
    seen, (task, privileged) = env.observe(), env.mirrored(symmetry)
    told = symmetry.proprioception(env.robots.contract)
    kinds = {
        "task": task,
        "privileged": privileged,
        "proprioception": told,
        "velocity": symmetry.polar,
    }
    for name, kind in kinds.items():
        for g in range(4):
            image = kind.apply(g, seen[name][0])
            np.testing.assert_allclose(seen[name][g], image, atol=1e-4, err_msg=f"{name} {g}")


def test_some_commands_are_to_stand():
    env = _env(2000, stand_share=0.25, zero_share=0.0)
    still = (env.command == 0.0).all(axis=1).mean()
    assert still == pytest.approx(0.25, abs=0.04)


def test_falling_terminates_and_time_truncates():
    env = _env(3, max_steps=5)
    env.age[:] = [0, 4, 0]
    env.robots.sim.qpos[2, 3:7] = [np.cos(0.6), np.sin(0.6), 0, 0]  # rolled by 1.2 rad
    outcome = env.step(np.zeros((3, 12)))
    np.testing.assert_array_equal(outcome.terminated, [False, False, True])
    np.testing.assert_array_equal(outcome.truncated, [False, True, False])
    assert outcome.final_privileged.shape == (1, env.privileged_size)
    assert (outcome.reward[:2] > 0.0).all() and -100.0 <= outcome.reward[2] < -99.0
    np.testing.assert_array_equal(env.age, [1, 0, 0])


def test_observations_hold_the_command():
    env = _env(2)
    obs = env.observe()
    np.testing.assert_array_equal(obs["task"], env.command * [2, 4, 2])
    np.testing.assert_array_equal(obs["privileged"][:, -6:-3], obs["task"])
    obs["task"][:] = 9.0
    assert np.abs(env.command).max() < 2.0


def test_exact_restore():
    one, other = _env(3, seed=1), _env(3, seed=2)
    actions = 0.3 * np.random.default_rng(0).standard_normal((20, 3, 12))
    for action in actions[:10]:
        one.step(action)
    arrays, rest = one.state()
    other.restore({name: array.copy() for name, array in arrays.items()}, rest)
    for action in actions[10:]:
        np.testing.assert_array_equal(one.step(action).reward, other.step(action).reward)
    np.testing.assert_array_equal(one.command, other.command)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("velocity_kernel_mps", 0.0, "more than 0"),
        ("yaw_kernel_radps", -0.4, "more than 0"),
        ("average_s", 0.0, "more than 0"),
        ("stand_kernel_share", 0.0, "more than 0"),
        ("change_period_s", 0.0, "more than 0"),
        ("zero_share", 1.5, "0 to 1"),
        ("stand_share", float("nan"), "0 to 1"),
        ("velocity_weight", float("nan"), "a finite number of at least 0"),
        ("fall_cost", -1.0, "a finite number of at least 0"),
        ("max_tilt_rad", float("nan"), "at least 0.0"),
        ("max_steps", 0, "at least 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(name: str, value: Any, expected: str) -> None:
    WalkConfig(yaw_weight=0.0, fall_cost=0.0, zero_share=1.0, change_period_s=1e9)
    with pytest.raises(SettingsError) as caught:
        WalkConfig(**{name: value})
    assert str(caught.value) == f"{name} is {value}, expected {expected}."


def test_trainings_are_under_a_wider_gap():
    own = GAPS["anymal_c"]
    config = WalkTrainingConfig(
        run=RunConfig(total_steps=1, num_envs=2, num_threads=1), gap_factor=1.5, gap_ramp_share=0.5
    )
    module: Any = SimpleNamespace(contract=CONTRACT)
    env = make_env(SPEC, module, config)
    assert env.robots.reality is not None and env.robots.reality.level == 0.0
    env.set_progress(0.25)
    assert env.robots.reality.level == pytest.approx(0.75 * own.training_level)
    env.set_progress(0.5)
    assert env.robots.reality.level == pytest.approx(1.5 * own.training_level)
    usual = WalkTrainingConfig().training_gap("anymal_c")
    assert usual is not None and usual.training_level == pytest.approx(1.2 * own.training_level)
    assert usual.ramp_share == own.ramp_share
    assert WalkTrainingConfig(gap="none").training_gap("anymal_c") is None


def test_what_the_critic_is_told_of_the_motion():
    env = _env(2)
    qpos, qvel = np.tile(SPEC.home_qpos, (2, 1)), np.zeros((2, 18))
    qpos[:, 2] = SPEC.standing_height_m + np.array([0.03, -0.02])
    qvel[:, :3] = [[0.3, -0.1, 0.2], [0.0, 0.0, 0.0]]
    env.robots.reset(np.arange(2), qpos, qvel)
    env.error[:] = [[0.1, -0.2, 0.3], [0.4, 0.5, -0.6]]
    told = env.observe()["privileged"]
    np.testing.assert_allclose(told[:, -10:-7], qvel[:, :3], atol=1e-6)
    np.testing.assert_allclose(told[:, -7], [0.03, -0.02], atol=1e-6)
    np.testing.assert_allclose(told[:, -3:], env.error * [2.0, 4.0, 2.0], atol=1e-6)


def test_steps_are_judged_by_the_command_that_was_in_force():
    # It changes in every step, and there is nothing to average over.
    env = _env(3, max_steps=1, change_period_s=0.02, average_s=0.01, start_noise=0.0)
    env.command[:] = before = np.array([[0.9, 0.0, 0.4], [0.0, -0.3, -0.5], [0.2, 0.1, 0.0]])
    outcome = env.step(np.zeros((3, 12)))
    assert (env.command != before.astype(np.float32)).any()
    assert outcome.truncated.all()
    scale = np.array([2.0, 4.0, 2.0])
    final = outcome.final_privileged
    np.testing.assert_allclose(final[:, -6:-3], before * scale, rtol=1e-6)
    # Robots that hardly move miss all of it; the critic is told how they missed.
    missed = final[:, -3:] / scale
    np.testing.assert_allclose(missed, -before, atol=0.1)
    wanted = np.linalg.norm(missed[:, :2], axis=1)
    np.testing.assert_allclose(outcome.terms["velocity_error_mps"], wanted, rtol=1e-5)
    np.testing.assert_allclose(outcome.terms["yaw_error_radps"], np.abs(missed[:, 2]), atol=1e-6)


def test_only_commands_that_change_may_become_to_stand():
    env = _env(200, change_period_s=0.1, stand_share=1.0)
    env.command[:] = [0.5, 0.1, 0.2]
    env._change_commands()
    stands = (env.command == 0.0).all(axis=1)
    # One of three components changes with probability 1 - 0.8^3.
    assert stands.mean() == pytest.approx(1.0 - 0.8**3, abs=0.12)
    np.testing.assert_allclose(env.command[~stands], [[0.5, 0.1, 0.2]] * (~stands).sum())


def test_who_falls_in_its_last_step_or_diverges_is_terminated(diverge: Callable[[int], None]):
    env = _env(3, max_steps=5)
    env.age[:] = [0, 4, 0]
    env.robots.sim.qpos[1, 3:7] = [np.cos(0.6), np.sin(0.6), 0, 0]  # rolled by 1.2 rad
    diverge(0)
    outcome = env.step(np.zeros((3, 12)))
    np.testing.assert_array_equal(outcome.terminated, [True, True, False])
    assert not outcome.truncated.any() and len(outcome.final_privileged) == 0
    assert (outcome.reward[:2] < -99.0).all() and outcome.reward[2] > 0.0


def test_first_episodes_end_at_different_times():
    age = _env(200, max_steps=1000).age
    assert age.min() >= 0 and age.max() < 1000
    assert age.mean() == pytest.approx(500, abs=80) and age.std() > 200
