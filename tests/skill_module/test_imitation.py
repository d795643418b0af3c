import dataclasses

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.contract import proprioception
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.rotations import from_yaw
from legged_skills.robots.simulation import BatchSim
from legged_skills.skill_module.imitation import ImitationConfig, ImitationEnv, privileged_size
from legged_skills.skill_module.reference import build_reference

SPEC = robots.get("anymal_c")
CONTRACT = proprioception(SPEC)


@pytest.fixture
def env(wiggling_clip) -> ImitationEnv:
    reference = build_reference(SPEC, [wiggling_clip, wiggling_clip])
    return ImitationEnv(BatchSim(SPEC, 4, 1), CONTRACT, reference, ImitationConfig(), seed=3)


def _hold(env: ImitationEnv) -> np.ndarray:
    """The action that asks for the reference's present joint angles."""
    return (env.reference.qpos[env.row, 7:] - SPEC.default_joint_pos) / SPEC.action_scale


def test_starts_on_the_reference(env):
    env.reset(np.arange(4), np.array([0, 10, 50, 120]))
    error = env.tracking_error()
    for value in error:
        np.testing.assert_allclose(value, 0.0, atol=2e-3)
    # Rows drawn at random leave something to track, and have the stated noise.
    env.reset(np.arange(4))
    assert (env.reference.last[env.row] - env.row >= 25).all()
    assert 0.0 < env.tracking_error().joint_mean.mean() < 0.05
    assert 0.0 < env.tracking_error().root_pos.mean() < 0.3


def test_errors_by_hand(env):
    env.reset(np.arange(4), np.array([0, 0, 0, 0]))
    robots_ = env.robots
    robots_.pos_w[1] += [0.3, 0.0, 0.4]
    robots_.joint_pos[2, :3] += [0.1, -0.2, 0.3]
    # A quarter turn to the left: the whole rotation counts, but not as tilt.
    robots_.quat[3] = [np.sqrt(0.5), 0, 0, np.sqrt(0.5)]
    error = env.tracking_error()
    np.testing.assert_allclose(error.root_pos, [0, 0.5, 0, 0], atol=1e-5)
    np.testing.assert_allclose(error.joint_squared[2], 0.14, rtol=1e-4)
    np.testing.assert_allclose(error.joint_mean[2], 0.05, rtol=1e-4)
    np.testing.assert_allclose(error.root_rot, [0, 0, 0, np.pi / 2], atol=1e-3)
    np.testing.assert_allclose(error.tilt, 0.0, atol=2e-3)


def test_lost_when_off_tilted_or_down(env):
    env.reset(np.arange(4), np.array([0, 0, 0, 0]))
    env.robots.pos_w[0, 1] += 0.51
    env.robots.up_b[1] = [-np.sin(1.01), 0, np.cos(1.01)]
    env.robots.pos_w[2, 2] = 0.24
    np.testing.assert_array_equal(env.lost(env.tracking_error()), [True, True, True, False])


def test_perfect_tracking_gives_nearly_the_full_reward(env):
    env.reset(np.arange(4), np.array([20, 20, 20, 20]))
    robots_ = env.robots
    env.row[:] = 21
    robots_.pos_w[:] = env.reference.qpos[21, :3]
    robots_.quat[:] = env.reference.qpos[21, 3:7]
    robots_.joint_pos[:] = env.reference.qpos[21, 7:]
    robots_.joint_vel[:] = env.reference.qvel[21, 6:]
    robots_.lin_vel_b[:] = env.reference.lin_vel_b[21]
    reward, terms = env._reward(env.tracking_error(), robots_.last_action)
    # The feet are sensors of the simulation, which stands at row 20: they are a little off.
    assert terms["feet"].min() > 0.95
    np.testing.assert_allclose(reward, 0.8 + 0.2 * terms["feet"], atol=1e-5)
    # A change of one action by 2 costs 0.002 * 4.
    before = robots_.last_action.copy()
    before[0, 0] += 2.0
    changed, _ = env._reward(env.tracking_error(), before)
    assert reward[0] - changed[0] == pytest.approx(0.008, abs=1e-5)


def test_the_mean_velocity_is_rewarded(env):
    env.config = dataclasses.replace(env.config, mean_vel_weight=0.4, mean_vel_s=0.6)
    env.reset(np.arange(4), np.array([0, 10, 50, 120]))
    robots_, period = env.robots, SPEC.control_period_s
    speed = SPEC.froude_speed_mps
    robots_.lin_vel_b[:, :2] = env.reference.lin_vel_b[env.row, :2] + [0.3, -0.4]
    for steps in (1, 2, 3):
        env._average_velocity(env.tracking_error())
        _, terms = env._reward(env.tracking_error(), robots_.last_action)
        # Half a metre per second off since the beginning.
        mean = 0.5 * (1.0 - (1.0 - period / 0.6) ** steps)
        np.testing.assert_allclose(terms["mean_vel"], np.exp(-15.0 * mean / speed), rtol=1e-4)
    with_it, _ = env._reward(env.tracking_error(), robots_.last_action)
    env._vel_off[:] = 1e3
    without, terms = env._reward(env.tracking_error(), robots_.last_action)
    assert terms["mean_vel"].max() < 1e-6
    wanted = 0.4 * np.exp(-15.0 * 0.5 * (1.0 - (1.0 - period / 0.6) ** 3) / speed)
    np.testing.assert_allclose(with_it - without, wanted, rtol=1e-3)
    env.reset(np.arange(4))
    assert not env._vel_off.any()


def test_end_of_clip_is_truncation_and_falling_is_termination(env):
    env.reset(np.arange(4), np.array([97, 10, 197, 10]))
    env.step(_hold(env))
    row = env.reference.last[env.row]
    assert env.row[0] == 98 and row[0] == 99
    env.robots.sim.qpos[1, 2] = 0.1  # under the floor: fallen
    outcome = env.step(_hold(env))
    np.testing.assert_array_equal(outcome.terminated, [False, True, False, False])
    np.testing.assert_array_equal(outcome.truncated, [True, False, True, False])
    assert outcome.final_privileged.shape == (2, env.privileged_size)
    # Those that ended have started again; the one that goes on is two steps old.
    np.testing.assert_array_equal(env.age, [0, 0, 0, 2])


def test_time_limit_is_truncation(wiggling_clip):
    reference = build_reference(SPEC, [wiggling_clip])
    config = ImitationConfig(max_steps=3)
    env = ImitationEnv(BatchSim(SPEC, 2, 1), CONTRACT, reference, config)
    env.reset(np.arange(2), np.array([0, 0]))
    ends = [env.step(_hold(env)).truncated.any() for _ in range(3)]
    assert ends == [False, False, True]


def test_privileged_observation_by_hand(env):
    env.reset(np.arange(4), np.array([0, 0, 98, 0]))
    obs = env.observe()["privileged"]
    assert obs.shape == (4, privileged_size(SPEC, CONTRACT, ImitationConfig()))
    frame = CONTRACT.frame_size
    np.testing.assert_allclose(obs[0, frame], 0.2, atol=1e-3)  # forward velocity [m/s]
    np.testing.assert_allclose(obs[0, frame + 3], 0.52 - SPEC.standing_height_m, atol=1e-5)
    # Offsets of the reference 1, 2, 4, 8, 16 steps ahead at 0.2 m/s, times 3.
    offsets = obs[0, frame + 4 : frame + 19].reshape(5, 3)
    np.testing.assert_allclose(offsets[:, 0], 0.012 * np.array([1, 2, 4, 8, 16]), atol=1e-4)
    # Near the end the last row stands for all that would come after.
    offsets = obs[2, frame + 4 : frame + 19].reshape(5, 3)
    np.testing.assert_allclose(offsets[:, 0], 0.012, atol=1e-4)


def test_observations_and_actions_are_copies(env):
    obs = env.observe()
    obs["privileged"][:] = 99.0
    assert np.abs(env.observe()["privileged"]).max() < 50.0
    action = _hold(env)
    before = action.copy()
    env.step(action)
    np.testing.assert_array_equal(action, before)


def test_episodes_start_where_tracking_is_lost(env):
    env.loss_rate[:] = 0.02
    env.loss_rate[1] = 1.0  # rows 25 to 49
    env.config = dataclasses.replace(env.config, hard_share=1.0)
    rows = env._draw_rows(4000)
    in_bin = ((rows >= 25) & (rows < 50)).mean()
    # 25 rows of weight 1 against 127 rows of weight 0.02.
    assert in_bin == pytest.approx(25 / (25 + 127 * 0.02), abs=0.03)


def test_same_seed_same_result_and_exact_restore(wiggling_clip):
    def make(seed: int) -> ImitationEnv:
        reference = build_reference(SPEC, [wiggling_clip])
        return ImitationEnv(
            BatchSim(SPEC, 3, 1), CONTRACT, reference, ImitationConfig(), seed, noise_scale=1.0
        )

    one, other = make(5), make(6)
    actions = np.random.default_rng(0).standard_normal((20, 3, 12))
    for action in actions[:10]:
        one.step(action)
    arrays, rest = one.state()
    other.restore({name: array.copy() for name, array in arrays.items()}, rest)
    for action in actions[10:]:
        first, second = one.step(action), other.step(action)
        np.testing.assert_array_equal(first.reward, second.reward)
    for name, value in one.observe().items():
        np.testing.assert_array_equal(value, other.observe()[name])


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("future_steps", (), "control steps, each at least 0"),
        ("future_steps", (1, -2), "control steps, each at least 0"),
        ("reference_lead", -1, "at least 0"),
        ("max_steps", 0, "at least 1"),
        ("bin_steps", 0, "at least 1"),
        ("joint_weight", -0.1, "a finite number of at least 0"),
        ("root_pos_scale", float("nan"), "a finite number of at least 0"),
        ("mean_vel_s", 0.0, "more than 0"),
        ("max_root_error", float("nan"), "at least 0.0"),
        ("hard_share", 1.1, "0 to 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(name, value, expected):
    ImitationConfig(future_steps=(0,), feet_weight=0.0, feet_scale=0.0, max_root_error=np.inf)
    with pytest.raises(SettingsError) as caught:
        ImitationConfig(**{name: value})
    assert str(caught.value) == f"{name} is {value}, expected {expected}."


def test_rewards_by_hand(env, monkeypatch: pytest.MonkeyPatch):
    env.reset(np.arange(4), np.full(4, 20))
    robots_, reference = env.robots, env.reference
    leg, speed = SPEC.leg_length_m, SPEC.froude_speed_mps
    # All are where their references are, but for one thing each.
    robots_.pos_w[:], robots_.quat[:] = reference.qpos[20, :3], reference.qpos[20, 3:7]
    robots_.joint_pos[:], robots_.joint_vel[:] = reference.qpos[20, 7:], reference.qvel[20, 6:]
    robots_.lin_vel_b[:] = reference.lin_vel_b[20]
    feet = np.tile(reference.feet_b[20], (4, 1))
    robots_.pos_w[0] += [0.03, 0.0, 0.04]
    robots_.joint_vel[1, :2] += [3.0, -4.0]
    robots_.lin_vel_b[2] += [0.3, -0.1, 0.2]
    feet[3, 4] += 0.05
    monkeypatch.setattr(robots_, "feet_b", lambda: feet)
    _, terms = env._reward(env.tracking_error(), robots_.last_action)
    root = np.exp(-3.0 * 0.05**2 / leg**2 - 60.0 * 0.04**2 / leg**2)
    wanted = {
        "root": [root, 1.0, 1.0, 1.0],
        "joint_vel": [1.0, np.exp(-0.01 * 25.0), 1.0, 1.0],
        "root_vel": [1.0, 1.0, np.exp(-11.0 * 0.14 / speed**2), 1.0],
        "feet": [1.0, 1.0, 1.0, np.exp(-6.0 * 0.05**2 / leg**2)],
    }
    for name, values in wanted.items():
        np.testing.assert_allclose(terms[name], values, rtol=1e-3, err_msg=name)


def test_both_quaternions_of_a_turn_look_alike(env):
    env.reset(np.arange(4), np.full(4, 20))
    env.robots.quat[:] = [np.cos(0.25), 0.0, 0.0, np.sin(0.25)]
    seen = env._observe_privileged(slice(None))
    env.robots.quat[:] = -env.robots.quat
    np.testing.assert_allclose(env._observe_privileged(slice(None)), seen, atol=1e-5)


def test_a_fall_at_the_end_of_a_clip_is_a_fall(env):
    env.reset(np.arange(4), np.full(4, 98))
    env.robots.sim.qpos[0, 2] = 0.1
    outcome = env.step(env.observe()["reference_action"])
    assert outcome.terminated.tolist() == [True, False, False, False]
    assert outcome.truncated.tolist() == [False, True, True, True]
    assert len(outcome.final_privileged) == 3


def test_the_reference_action_is_two_steps_ahead_and_ends_with_its_clip(env, wiggling_clip):
    env.reset(np.arange(4), np.array([0, 40, 97, 98]))
    joints = wiggling_clip.qpos[[2, 42, 99, 99], 7:]
    wanted = (joints - SPEC.default_joint_pos) / SPEC.action_scale
    np.testing.assert_allclose(env.observe()["reference_action"], wanted, atol=1e-6)


def test_joints_and_orientation_are_rewarded_by_their_squared_errors(env):
    env.reset(np.arange(4), np.full(4, 20))
    robots_, reference = env.robots, env.reference
    robots_.pos_w[:], robots_.joint_pos[:] = reference.qpos[20, :3], reference.qpos[20, 7:]
    robots_.joint_pos[1, :3] += [0.1, -0.2, 0.3]
    robots_.quat[:] = from_yaw(np.array([0.0, 0.0, 0.3, -0.3], np.float32))
    _, terms = env._reward(env.tracking_error(), robots_.last_action)
    np.testing.assert_allclose(terms["joints"], [1.0, np.exp(-2.0 * 0.14), 1.0, 1.0], rtol=1e-4)
    turned = np.exp(-5.0 * 0.3**2)
    np.testing.assert_allclose(terms["root"], [1.0, 1.0, turned, turned], rtol=1e-3)


def test_each_term_of_the_reward_has_its_own_weight(env):
    weights = {
        "joint_weight": 0.11,
        "joint_vel_weight": 0.13,
        "feet_weight": 0.17,
        "root_weight": 0.19,
        "root_vel_weight": 0.23,
        "mean_vel_weight": 0.29,
        "action_rate_weight": 0.31,
    }
    env.config = dataclasses.replace(env.config, **weights)
    env.reset(np.arange(4), np.full(4, 20))
    robots_ = env.robots
    robots_.joint_pos += 0.1
    robots_.joint_vel += 1.0
    robots_.lin_vel_b += 0.1
    robots_.pos_w += 0.02
    env._vel_off[:] = 0.1
    reward, terms = env._reward(env.tracking_error(), robots_.last_action + 0.1)
    # All are different, so that none can stand for another.
    names = ["joints", "joint_vel", "feet", "root", "root_vel", "mean_vel", "action_rate"]
    found = np.array([terms[name][0] for name in names])
    assert np.diff(np.sort(found)).min() > 1e-3
    signed = np.array(list(weights.values())) * [1, 1, 1, 1, 1, 1, -1]
    np.testing.assert_allclose(reward, signed @ found, rtol=1e-5)


def test_a_step_is_judged_by_the_state_that_it_leads_to(env):
    env.config = dataclasses.replace(env.config, mean_vel_weight=0.2)
    env.reset(np.arange(4), np.array([0, 10, 120, 150]))
    before = env.robots.last_action.copy()
    outcome = env.step(_hold(env) + 0.2)
    assert not (outcome.terminated | outcome.truncated).any()
    error = env.tracking_error()
    share = SPEC.control_period_s / env.config.mean_vel_s
    np.testing.assert_allclose(env._vel_off, share * error.root_vel[:, :2], rtol=1e-5)
    change = np.square(env.robots.last_action - before).sum(axis=1)
    assert change.min() > 0.1
    np.testing.assert_allclose(outcome.terms["action_rate"], change, rtol=1e-5)
    np.testing.assert_array_equal(outcome.terms["root_error_m"], error.root_pos)
    reward, _ = env._reward(error, before)
    np.testing.assert_array_equal(outcome.reward, reward)


def test_final_observations_are_those_before_the_new_episodes(env):
    env.reset(np.arange(4), np.array([98, 10, 198, 10]))
    outcome = env.step(_hold(env))
    assert outcome.truncated.tolist() == [True, False, True, False]
    frame = CONTRACT.frame_size
    ahead = outcome.final_privileged[:, frame + 4 : frame + 19].reshape(2, 5, 3)
    # At the end of a clip nothing comes after; where episodes begin the reference goes ahead.
    np.testing.assert_array_equal(ahead, np.repeat(ahead[:, :1], 5, axis=1))
    ahead = env.observe()["privileged"][[0, 2], frame + 4 : frame + 19].reshape(2, 5, 3)
    np.testing.assert_allclose(ahead[:, 4, 0] - ahead[:, 0, 0], 0.012 * 15, atol=1e-3)


def test_robots_that_are_reset_see_their_new_place(env):
    env.reset(np.arange(4), np.array([0, 10, 50, 60]))
    before = env.observe()["privileged"]
    env.reset(np.array([1, 3]), np.array([70, 30]))
    seen = env.observe()["privileged"]
    np.testing.assert_array_equal(seen, env._observe_privileged(slice(None)))
    np.testing.assert_array_equal(seen[[0, 2]], before[[0, 2]])
    assert (np.abs(seen - before)[[1, 3]].max(axis=1) > 0.01).all()


def test_the_coming_turns_and_joints_by_hand(env):
    env.reset(np.arange(4), np.full(4, 20))
    env.robots.quat[:] = from_yaw(np.array([0.0, 0.1, -0.2, 0.0], np.float32))
    env.robots.joint_pos[3, 2] += 0.25
    seen, frame = env._observe_privileged(slice(None)), CONTRACT.frame_size
    # Where the robot is turned to the left the reference is to the right of it, times 2.
    turns = seen[:, frame + 19 : frame + 34].reshape(4, 5, 3)
    np.testing.assert_allclose(turns[..., :2], 0.0, atol=1e-5)
    wanted = np.repeat([[0.0], [-0.2], [0.4], [0.0]], 5, axis=1)
    np.testing.assert_allclose(turns[..., 2], wanted, atol=2e-3)
    joints = seen[:, frame + 34 :].reshape(4, 5, 12)
    future = env.reference.qpos[20 + np.array([1, 2, 4, 8, 16]), 7:]
    wanted = 2.0 * np.tile(future - env.reference.qpos[20, 7:], (4, 1, 1))
    wanted[3, :, 2] -= 0.5
    np.testing.assert_allclose(joints, wanted, atol=1e-5)


def test_episodes_begin_beside_the_reference_as_far_as_the_settings_say(env):
    places, joints = [], []
    for _ in range(150):
        env.reset(np.arange(4))
        reference = env.reference.qpos[env.row]
        places.append(env.robots.pos_w - reference[:, :3])
        joints.append(env.robots.joint_pos - reference[:, 7:])
    spread = np.std(np.concatenate(places), axis=0)
    # 600 draws: a standard error of 3 %.
    wanted = env.config.start_offset * SPEC.leg_length_m
    np.testing.assert_allclose(spread[:2], wanted, rtol=0.1)
    np.testing.assert_allclose(spread[2], 0.0, atol=1e-6)
    np.testing.assert_allclose(np.std(joints), env.config.start_noise, rtol=0.05)


def test_everything_in_a_saved_state_is_restored(env, wiggling_clip):
    reference = build_reference(SPEC, [wiggling_clip, wiggling_clip])
    other = ImitationEnv(BatchSim(SPEC, 4, 1), CONTRACT, reference, ImitationConfig(), seed=4)
    for _ in range(3):
        env.step(_hold(env))
    env.free[:2] = env._strayed[1:] = True
    env._shift += [0.1, -0.2, 0.0]
    env._turn[:] = from_yaw(np.full(4, 0.3, np.float32))
    env.loss_rate[2] = 0.9
    wanted, rest = env.state()
    wanted = {name: array.copy() for name, array in wanted.items()}
    assert np.abs(wanted["vel_off"]).min() > 0.0 and (wanted["start"] != wanted["row"]).all()
    other.restore(wanted, rest)
    found, found_rest = other.state()
    assert found.keys() == wanted.keys() and found_rest == rest
    for name, array in found.items():
        np.testing.assert_array_equal(array, wanted[name], err_msg=name)
