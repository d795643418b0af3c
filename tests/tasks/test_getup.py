"""Getting up: key poses step by step, and who does what when."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots import rotations
from legged_skills.robots.contract import proprioception
from legged_skills.robots.errors import ContractError, FileFormatError, SettingsError
from legged_skills.robots.files import read_archive, write_archive
from legged_skills.robots.intervals import wilson
from legged_skills.robots.simulation import BatchSim
from legged_skills.sim2real.raw_frame import frame_scale, term_slices
from legged_skills.sim2real.sensed_robot import SensedRobots
from legged_skills.skill_module.symmetry import Symmetry, join
from legged_skills.skill_module.tracker import TrackerArchitecture, tracker_equivariance
from legged_skills.tasks import evaluate_getup, lying
from legged_skills.tasks.evaluate_getup import (
    GetupEpisodes,
    GetupEvaluationConfig,
    get_up,
    stood_after,
    summarize,
)
from legged_skills.tasks.getup import (
    BACK,
    FRONT,
    STATE_SIZE,
    FrozenGetup,
    GetupAgent,
    GetupConfig,
    GetupMotion,
    KeyPoses,
    RecoveringAgent,
    Standing,
    symmetric_poses,
)
from legged_skills.tasks.getup_env import GetupEnv, GetupTaskConfig
from legged_skills.tasks.getup_file import KIND, GetupPolicy

SPEC = robots.get("op3")
PERIOD = SPEC.control_period_s
CONTRACT = proprioception(SPEC, 8)
SMALL = TrackerArchitecture(policy_hidden=(8,), critic_hidden=(8,))


def make_keys() -> KeyPoses:
    """One pose of each side: knees bent, after 10 steps; 5 steps later the default pose."""
    poses = symmetric_poses(SPEC, ("l_knee",), np.array([[[1.2]], [[2.0]]]))
    return KeyPoses(poses=poses, durations_s=np.tile([10 * PERIOD, 5 * PERIOD], (2, 1)))


def make_motion(rest_s: float = 0.0) -> GetupMotion:
    return GetupMotion.of(SPEC, make_keys(), rest_s)


@pytest.fixture(scope="module")
def policy() -> GetupPolicy:
    motion, size = make_motion(GetupConfig().rest_s), CONTRACT.size
    agent = GetupAgent(SMALL, size, 1, SPEC.num_joints, task_size=motion.told_size)
    params = jax.tree.map(np.asarray, agent.init(jax.random.key(0)))
    return GetupPolicy(
        contract=CONTRACT,
        keys=make_keys(),
        getup=GetupConfig(),
        architecture=SMALL,
        params={name: params[name] for name in ("policy", "action_log_std")},
        config={},
        summary={"steps": 1, "seconds": 1.0},
    )


def test_poses_are_the_same_left_and_right() -> None:
    pose = symmetric_poses(SPEC, ("l_knee", "l_sho_pitch"), np.array([1.5, -2.0]))
    angle = dict(zip(SPEC.joint_names, pose, strict=True))
    assert (angle["l_knee"], angle["l_sho_pitch"]) == (1.5, -2.0)
    order, sign = SPEC.mirror_joints
    np.testing.assert_array_equal(pose, sign * pose[order])
    others = [name not in ("l_knee", "r_knee", "l_sho_pitch", "r_sho_pitch") for name in angle]
    np.testing.assert_array_equal(pose[others], SPEC.default_joint_pos[others])


def test_motion_step_by_step() -> None:
    motion, knee = make_motion(2 * PERIOD), SPEC.joint_names.index("l_knee")
    default = SPEC.default_joint_pos[knee]
    np.testing.assert_array_equal(motion.steps, [17, 17])
    np.testing.assert_array_equal(motion.upright, [10, 10])
    # The way to the first pose begins wherever the knee is, here at 0.2 rad, and is straight.
    last, way = (0.2 - default) / SPEC.action_scale, []
    for step in range(17):
        last += motion.shares[FRONT, step] * (motion.targets[FRONT, step, knee] - last)
        way.append(default + SPEC.action_scale * last)
    wanted = [*np.linspace(0.3, 1.2, 10), *np.linspace(1.2, default, 6)[1:], default, default]
    np.testing.assert_allclose(way, wanted, atol=1e-5)
    told = motion.told[BACK, 8]
    np.testing.assert_allclose(told[: SPEC.num_joints], motion.targets[BACK, 8])
    # 0.15 s are 6 steps.
    np.testing.assert_allclose(told[SPEC.num_joints : -2], motion.targets[BACK, 14])
    np.testing.assert_allclose(told[-2:], [9 / 17, -1.0], atol=1e-6)


class _Says:
    """An agent that says 7, and carries how often it has."""

    carried_size = 1

    def act(self, params, obs, z_tm1, key, deterministic):
        from legged_skills.skill_module.agents import Decision

        return Decision(jnp.full((len(z_tm1), SPEC.num_joints), 7.0), z_tm1 + 1.0, {})


def _observed(gravity: list[float]) -> dict[str, jax.Array]:
    """Proprioception (1, P) of a robot that feels gravity (3,) and was told to do nothing."""
    frame = np.zeros(CONTRACT.frame_size, np.float32)
    where = term_slices(CONTRACT)["gravity"]
    frame[where] = np.array(gravity) * frame_scale(CONTRACT)[where]
    return {"proprioception": jnp.asarray(np.tile(frame, CONTRACT.history)[None, :])}


def test_a_robot_that_fell_gets_up_and_goes_on() -> None:
    config = GetupConfig(down_s=3 * PERIOD, rest_s=0.0)
    motion = make_motion()
    getup = FrozenGetup(motion=motion, agent=None, params={})
    agent = RecoveringAgent(agent=_Says(), getup=getup, config=config, contract=CONTRACT)
    assert agent.carried_size == STATE_SIZE + 1
    up, front, back = [0.0, 0.0, -1.0], [0.9, 0.0, 0.3], [-0.9, 0.0, 0.3]
    z, said, steps = jnp.zeros((1, 4)), [], []
    # Tilted for two steps is not fallen. Who lies after the last pose, at 10 steps, begins anew,
    # from what it lies on.
    felt = [up, back, back, up, *[front] * 12, back, *[up] * 25]
    for gravity in felt:
        decision = agent.act({}, _observed(gravity), z, jax.random.key(0), True)
        z = decision.z
        said.append(np.asarray(decision.action[0]))
        steps.append((float(z[0, 0]), float(z[0, 1])))
    its_task = [(said == 7.0).all() for said in said]
    assert its_task == [True, False, False, True] + [False] * 27 + [True] * 11
    # As it falls it asks for the default pose.
    np.testing.assert_array_equal([said[i] for i in (1, 2, 4, 5)], 0.0)
    assert steps[6] == (1.0, FRONT) and steps[15] == (10.0, FRONT)
    assert steps[16] == (1.0, BACK) and steps[30] == (15.0, BACK)
    assert steps[31] == (0.0, BACK)
    # The task began anew.
    assert float(z[0, 3]) == 11.0
    # Who leans by 37 degrees at the end does not stand, but is not down before it either.
    leaning = _observed([0.6, 0.0, -0.8])
    for before, after in ((12.0, 13.0), (15.0, 1.0)):
        told = jnp.array([[before, BACK, 0.0, 0.0]])
        z = agent.act({}, leaning, told, jax.random.key(0), True).z
        assert (float(z[0, 0]), float(z[0, 1])) == (after, BACK if before == 12.0 else FRONT)
    # It was told to do nothing, so that a tenth of the way is done at first.
    np.testing.assert_allclose(said[6], 0.1 * motion.targets[FRONT, 0], atol=1e-6)


def test_a_mirrored_robot_gets_up_in_mirror_image() -> None:
    symmetry, motion, rng = Symmetry(SPEC), make_motion(), np.random.default_rng(0)
    env = GetupEnv(BatchSim(SPEC, 2, 1), CONTRACT, motion, GetupTaskConfig(pool=4))
    task, privileged = env.mirrored(symmetry)
    assert (task.size, privileged.size) == (motion.told_size, env.privileged_size)
    seen = symmetry.proprioception(CONTRACT)
    equivariance = tracker_equivariance(symmetry, SMALL, join([seen, task]), privileged)
    agent = GetupAgent(
        SMALL, seen.size, privileged.size, SPEC.num_joints, equivariance, task_size=task.size
    )
    params = agent.init(jax.random.key(0))
    params["policy"] = jax.tree.map(lambda x: 30.0 * x, params["policy"])
    kinds = {"proprioception": seen, "task": task, "reference_action": symmetry.joints}
    x = {name: rng.standard_normal((3, kind.size)) for name, kind in kinds.items()}
    straight = np.asarray(agent.mean(params, {name: jnp.asarray(v) for name, v in x.items()}))
    image = {name: jnp.asarray(kinds[name].apply(1, values)) for name, values in x.items()}
    wanted = symmetry.joints.apply(1, straight)
    np.testing.assert_allclose(agent.mean(params, image), wanted, atol=1e-4)


def test_robots_lie_on_either_side_and_go_through_the_poses() -> None:
    env = GetupEnv(BatchSim(SPEC, 32, 1), CONTRACT, make_motion(), GetupTaskConfig(pool=32))
    assert 8 < (env.side == FRONT).sum() < 24
    gravity_x = -env.robots.up_b[:, 0]
    assert ((gravity_x > 0.0) == (env.side == FRONT)).all()
    assert (env.robots.pos_w[:, 2] < 0.2).all()
    # Episodes last for the poses and a second more: 15 + 42 steps; the first are cut somewhere.
    assert env.left.min() >= 1 and env.left.max() <= 57 and len(set(env.left)) > 10
    env.left[:] = 57
    env.left[0] = 1
    before, reference = env.left.copy(), env.reference_action()
    outcome = env.step(reference)
    assert outcome.truncated[0] and not outcome.truncated[1:].any()
    assert not outcome.terminated.any()
    np.testing.assert_array_equal(env.left[1:], before[1:] - 1)
    assert env.left[0] == 57 and env.step_in[0] == 0 and (env.step_in[1:] == 1).all()
    assert outcome.final_privileged.shape == (1, env.privileged_size)
    # Lying gives nearly nothing: (height 0.3 x half upright)^2, and half of it.
    assert (outcome.reward < 0.15).all() and (outcome.terms["added"] == 0.0).all()


def test_standing_is_rewarded_by_hand() -> None:
    config = GetupTaskConfig(pool=4, stand_weight=0.4, effort_weight=0.5)
    env = GetupEnv(BatchSim(SPEC, 1, 1), CONTRACT, make_motion(), config)
    env.robots.reset(np.array([0]), SPEC.home_qpos, np.zeros(6 + SPEC.num_joints))
    env.step_in[:], env.left[:] = 14, 9
    added = np.zeros(SPEC.num_joints)
    added[0] = 0.1  # the head turns a little
    outcome = env.step(env.reference_action() + added)
    assert outcome.terms["stands"][0] == 1.0
    risen = outcome.terms["risen"][0]
    assert risen == pytest.approx(1.0, abs=0.02)
    wanted = 0.6 * risen + 0.4 - 0.5 * 0.01 / SPEC.num_joints
    assert outcome.reward[0] == pytest.approx(wanted, abs=1e-6)


def test_nothing_is_rewarded_where_the_physics_diverges() -> None:
    config = GetupTaskConfig(pool=4, stand_weight=0.4)
    env = GetupEnv(BatchSim(SPEC, 2, 1), CONTRACT, make_motion(), config)
    env.robots.reset(np.arange(2), SPEC.home_qpos, np.zeros(6 + SPEC.num_joints))
    env.step_in[:], env.left[:] = 14, 9
    env.robots.sim.qvel[0] = np.nan
    outcome = env.step(env.reference_action() + 0.1)
    np.testing.assert_array_equal(outcome.terminated, [True, False])
    # Physics has put it back on its feet, as the other one is.
    assert outcome.reward[0] == 0.0 and outcome.reward[1] > 0.9
    np.testing.assert_array_equal(outcome.terms["stands"], [0.0, 1.0])
    assert outcome.terms["risen"][0] == 0.0
    assert env.step_in[0] == 0 and env.robots.pos_w[0, 2] < 0.2


def test_environment_goes_on_exactly() -> None:
    def make() -> GetupEnv:
        return GetupEnv(BatchSim(SPEC, 3, 1), CONTRACT, make_motion(), GetupTaskConfig(pool=8))

    rng = np.random.default_rng(0)
    actions = rng.standard_normal((12, 3, SPEC.num_joints)).astype(np.float32)
    one, other = make(), make()
    for action in actions[:6]:
        one.step(action)
    other.restore(*one.state())
    for action in actions[6:]:
        a, b = one.step(action), other.step(action)
        np.testing.assert_array_equal(a.reward, b.reward)
        np.testing.assert_array_equal(one.observe()["privileged"], other.observe()["privileged"])


def test_standing_long_enough_is_counted_by_hand() -> None:
    stands = np.array([[0, 1, 1, 0, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 1, 1]], bool).T
    np.testing.assert_array_equal(stood_after(stands, 3), [4, 0, 7])
    # For no time at all everybody stands at once.
    np.testing.assert_array_equal(stood_after(stands, 0), [0, 0, 0])
    config = GetupEvaluationConfig(limit_s=4.5, stand_s=3.0)
    run = GetupEpisodes(
        side=np.array([FRONT, FRONT, BACK]), stands=stands, qpos=np.zeros((7, 1, 27))
    )
    figures = summarize(run, config, period_s=1.0)
    # The first one stands after 5 s, too late.
    assert figures["success_rate"] == pytest.approx(1 / 3)
    assert figures["time_s"] == 1.0 and figures["episodes"] == 3
    front, back = figures["sides"]
    assert (front["name"], front["success_rate"], front["episodes"]) == ("front", 0.5, 2)
    assert (back["name"], back["success_rate"], back["episodes"]) == ("back", 0.0, 1)
    assert np.isnan(back["time_s"])


def test_dropped_robots_lie_still() -> None:
    qpos, qvel, side = lying.lying_states(SPEC, 64, np.random.default_rng(0), 1)
    assert set(side) == {FRONT, BACK}
    assert (qpos[:, 2] < 0.2).all() and (qpos[:, 2] > 0.02).all()
    assert np.median(np.linalg.norm(qvel[:, :6], axis=1)) < 0.02
    assert (qpos[:, 7:] >= SPEC.joint_lower - 0.2).all()


def test_who_diverged_is_not_among_those_that_lie(diverge: Callable[[int], None]) -> None:
    whole = lying.lying_states(SPEC, 4, np.random.default_rng(0), 1)
    diverge(20)
    fewer = lying.lying_states(SPEC, 4, np.random.default_rng(0), 1)
    for found, wanted in zip(fewer, whole, strict=True):
        np.testing.assert_array_equal(found, wanted[1:])


@pytest.mark.parametrize("at_step", [20, 70])
def test_who_diverged_did_not_get_up(
    policy: GetupPolicy,
    monkeypatch: pytest.MonkeyPatch,
    diverge: Callable[[int], None],
    anew: Callable[[ModuleType], Callable[[int], list[int]]],
    at_step: int,
) -> None:
    # Robots are dropped for 62 control steps of 24 ms. Who diverges stands, and stays standing.
    config = GetupEvaluationConfig(episodes=2, limit_s=1.0, stand_s=0.2, tilt_rad=1.0)
    monkeypatch.setattr(lying, "standing", lambda robots, *_: robots.up_b[:, 2] > 0.9)
    diverge(at_step)
    begins = anew(evaluate_getup)
    run = get_up(SPEC, policy, config, 1, keep=2)
    # Who stands carries nothing either.
    assert begins(0)[:2] == ([0, 9] if at_step == 70 else [0, 1]) and begins(1) == [0]
    assert run.qpos[-1, 0, 2] > 0.2 > run.qpos[-1, 1, 2]
    assert not run.stands.any()
    assert summarize(run, config, PERIOD)["success_rate"] == 0.0


def test_a_file_holds_all(policy: GetupPolicy, tmp_path: Path) -> None:
    policy.save(tmp_path / "getup.npz")
    read = GetupPolicy.load(tmp_path / "getup.npz", "op3")
    assert read.getup == policy.getup and read.contract == policy.contract
    np.testing.assert_array_equal(read.keys.poses, policy.keys.poses)
    z, key = jnp.zeros((1, STATE_SIZE)), jax.random.key(0)
    obs = _observed([0.9, 0.0, 0.3])
    for _ in range(14):
        one = policy.agent.act(policy.params, obs, z, key, True)
        other = read.agent.act(read.params, obs, z, key, True)
        np.testing.assert_array_equal(one.action, other.action)
        z = one.z
    assert float(z[0, 0]) == 5.0 and np.abs(one.action).max() > 0.1


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("poses", np.zeros((2, 1, 3)), "key poses have the shapes"),
        ("poses", np.full((2, 1, 20), 9.0), "out of the usable ranges of op3"),
        ("poses", np.full((2, 1, 20), np.nan), "out of the usable ranges of op3"),
        ("durations_s", np.zeros((2, 2)), "is not positive"),
        ("durations_s", np.full((2, 2), np.inf), "over 60 s"),
        ("durations_s", None, "lacks 'durations_s'"),
        ("durations_s", np.ones((2, 2), complex), "durations_s are of type complex128"),
        ("poses", np.zeros((2, 0, 20)), r"shapes \(2, 0, 20\) and .*, K at least 1"),
        ("poses", np.full((2, 1, 20), "x"), "poses are of type <U1, expected floating-point"),
    ],
)
def test_bad_files_are_refused(policy: GetupPolicy, tmp_path: Path, name, values, told) -> None:
    path = tmp_path / "getup.npz"
    policy.save(path)
    arrays, header = read_archive(path, KIND)
    arrays[name] = values
    write_archive(path, KIND, {k: v for k, v in arrays.items() if v is not None}, header)
    with pytest.raises(FileFormatError, match=told):
        GetupPolicy.load(path)


def test_poses_without_any_are_refused(policy: GetupPolicy, tmp_path: Path) -> None:
    keys = KeyPoses(poses=np.zeros((2, 0, 20)), durations_s=np.ones((2, 1)))
    dataclasses.replace(policy, keys=keys).save(tmp_path / "getup.npz")
    with pytest.raises(FileFormatError, match="K at least 1"):
        GetupPolicy.load(tmp_path / "getup.npz")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("rest_s", float("nan"), "GetupConfig: rest_s is nan, expected 0 to 60"),
        ("rest_s", "0.5", "GetupConfig: rest_s is '0.5', expected a number"),
        ("up_rad", -1.0, r"GetupConfig: up_rad is -1\.0, expected 0 to 3\.14159"),
        ("down_s", float("inf"), "GetupConfig: down_s is inf, expected a finite number"),
    ],
)
def test_bad_settings_are_refused(policy: GetupPolicy, tmp_path: Path, name, value, message):
    policy.save(tmp_path / "getup.npz")
    arrays, header = read_archive(tmp_path / "getup.npz", KIND)
    header["getup"][name] = value
    write_archive(tmp_path / "getup.npz", KIND, arrays, header)
    with pytest.raises(FileFormatError, match=rf"getup\.npz: {message}"):
        GetupPolicy.load(tmp_path / "getup.npz")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("stand_s", -1.0, "a finite number of at least 0"),
        ("stand_weight", 1.5, "0 to 1"),
        ("effort_weight", float("nan"), "a finite number of at least 0"),
        ("pool", 0, "at least 1"),
    ],
)
def test_tasks_that_cannot_be_are_refused(name: str, value: Any, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        GetupTaskConfig(**{name: value})
    assert str(caught.value) == f"{name} is {value}, expected {expected}."


def test_files_of_the_robot_as_it_was_are_refused(policy: GetupPolicy, tmp_path: Path) -> None:
    contract = dataclasses.replace(CONTRACT, action_scale=0.25)
    dataclasses.replace(policy, contract=contract).save(tmp_path / "getup.npz")
    with pytest.raises(ContractError, match=r"getup\.npz: the action scale is 0\.25 rad, expected"):
        GetupPolicy.load(tmp_path / "getup.npz", "op3")


def test_files_of_other_robots_are_refused(policy: GetupPolicy, tmp_path: Path) -> None:
    policy.save(tmp_path / "getup.npz")
    with pytest.raises(ContractError, match="robot is op3, expected anymal_c"):
        GetupPolicy.load(tmp_path / "getup.npz", "anymal_c")


def test_an_untrained_policy_stands_up_at_nothing_but_stays_standing(policy: GetupPolicy) -> None:
    obs = _observed([0.0, 0.0, -1.0])
    z = jnp.zeros((1, STATE_SIZE))
    done = policy.agent.act(policy.params, obs, z, jax.random.key(0), True)
    np.testing.assert_array_equal(done.action, np.zeros((1, SPEC.num_joints)))
    assert isinstance(policy.agent.agent, Standing)
    # Agents of one policy are equal, so that they are compiled once.
    assert policy.agent.getup is policy.agent.getup
    other = dataclasses.replace(policy, getup=GetupConfig(down_rad=0.5))
    assert other.agent.config.down_rad == 0.5


def test_figures_of_many_that_got_up_by_hand() -> None:
    # They stand from the 1st, 2nd and 6th second on; two never do.
    stands = np.arange(9)[:, None] >= np.array([0, 1, 5, 9, 9])
    run = GetupEpisodes(side=np.array([0, 0, 0, 0, 1]), stands=stands, qpos=np.zeros((9, 1, 27)))
    figures = summarize(run, GetupEvaluationConfig(limit_s=6.0, stand_s=3.0), period_s=1.0)
    assert figures["success_rate"] == pytest.approx(3 / 5) and figures["time_s"] == 2.0
    assert figures["success_rate_ci95"] == list(wilson(3, 5))
    front, back = figures["sides"]
    assert front["success_rate_ci95"] == list(wilson(3, 4)) and front["time_s"] == 2.0
    assert back["success_rate_ci95"] == list(wilson(0, 1)) and np.isnan(back["time_s"])


def test_robots_fall_level_turned_anyhow_and_in_poses_of_any_kind() -> None:
    qpos = lying.falling_qpos(SPEC, 4000, np.random.default_rng(0))
    np.testing.assert_array_equal(qpos[:, :3], np.tile([0.0, 0.0, 0.22], (4000, 1)))
    x_w, z_w = (rotations.rotate(qpos[:, 3:7], np.tile(axis, (4000, 1))) for axis in np.eye(3)[::2])
    tilt = np.arcsin(z_w[:, 2])
    assert (tilt.min(), tilt.max()) == pytest.approx((-0.5, 0.5), abs=0.01)
    # As often on the front as on the back, with the head anywhere.
    assert (x_w[:, 2] < 0.0).mean() == pytest.approx(0.5, abs=0.03)
    counts, _ = np.histogram(np.arctan2(z_w[:, 1], z_w[:, 0]), 8, (-np.pi, np.pi))
    assert counts.sum() == 4000 and counts.min() > 400
    off = qpos[:, 7:] - SPEC.home_qpos[7:]
    room = np.where(off > 0.0, SPEC.joint_upper, SPEC.joint_lower) - SPEC.home_qpos[7:]
    share = off / np.where(room == 0.0, 1.0, room)
    assert 0.7 < share.max() <= 0.8 and share.min() >= 0.0


def test_who_stands_is_high_and_upright() -> None:
    sensed = SensedRobots(BatchSim(SPEC, 4, 1), CONTRACT)
    qpos = np.tile(SPEC.home_qpos, (4, 1))
    qpos[:, 2] = SPEC.standing_height_m * np.array([0.851, 0.849, 1.0, 1.0])
    tilts = np.array([0.0, 0.0, 0.39, 0.41])
    qpos[:, 3:7] = rotations.from_axis_angle(np.tile([0.6, -0.8, 0.0], (4, 1)), tilts)
    sensed.reset(np.arange(4), qpos, np.zeros(6 + SPEC.num_joints))
    assert lying.standing(sensed, 0.85, 0.4).tolist() == [True, False, True, False]


def test_rising_is_rewarded_by_height_and_uprightness() -> None:
    env = GetupEnv(BatchSim(SPEC, 2, 1), CONTRACT, make_motion(), GetupTaskConfig(pool=4))
    qpos = np.tile(SPEC.home_qpos, (2, 1))
    # In the air: one is higher than it can stand, and rolled by 60 degrees.
    qpos[:, 2] = SPEC.standing_height_m * np.array([3.0, 0.8])
    qpos[0, 3:7] = [np.cos(np.pi / 6), np.sin(np.pi / 6), 0.0, 0.0]
    env.robots.reset(np.arange(2), qpos, np.zeros(6 + SPEC.num_joints))
    env.left[:] = 9
    outcome = env.step(np.zeros((2, SPEC.num_joints)))
    high = env.robots.pos_w[1, 2] / SPEC.standing_height_m
    upright = 0.5 * (env.robots.up_b[:, 2] + 1.0)
    assert upright[0] == pytest.approx(0.75, abs=0.05)
    wanted = [upright[0] ** 2, (high * upright[1]) ** 2]
    np.testing.assert_allclose(outcome.terms["risen"], wanted, rtol=1e-5)


def test_each_side_has_its_own_poses_and_time() -> None:
    keys = make_keys()
    longer = keys.durations_s * np.array([[1.0], [2.0]])
    motion = GetupMotion.of(SPEC, KeyPoses(poses=keys.poses, durations_s=longer), 0.0)
    env = GetupEnv(BatchSim(SPEC, 16, 1), CONTRACT, motion, GetupTaskConfig(pool=16))
    env.reset(np.arange(16))
    assert set(env.side) == {FRONT, BACK}
    np.testing.assert_array_equal(env.left, np.where(env.side == FRONT, 15, 30) + 42)
    env.step_in[:] = np.arange(16)
    told = env.observe()
    for robot, (side, step) in enumerate(zip(env.side, env.step_in, strict=True)):
        np.testing.assert_array_equal(told["task"][robot], motion.told[side, step])
        height = env.robots.pos_w[robot, 2] - SPEC.standing_height_m
        wanted = [height, *motion.told[side, step]]
        np.testing.assert_allclose(
            told["privileged"][robot, -1 - motion.told_size :], wanted, atol=1e-6
        )
