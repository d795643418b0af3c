"""Task policies that get up: as a bundle they do what they do in JAX."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.contract import proprioception
from legged_skills.robots.errors import ContractError, SettingsError
from legged_skills.sim2real.raw_frame import term_slices
from legged_skills.skill_module.rollout import act
from legged_skills.skill_module.tracker import TrackerArchitecture
from legged_skills.tasks.deploy_commands import Deploy
from legged_skills.tasks.evaluate_walk import shipped_policy
from legged_skills.tasks.export import export_bytes, export_policy, policy_bundle
from legged_skills.tasks.getup import (
    STATE_SIZE,
    GetupAgent,
    GetupConfig,
    GetupMotion,
    KeyPoses,
    symmetric_poses,
)
from legged_skills.tasks.getup_file import GetupPolicy
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.recovering import RecoveringPolicy
from legged_skills.tasks.walk import COMMAND_SCALE

SPEC = robots.get("op3")


@pytest.fixture(scope="module")
def getup() -> GetupPolicy:
    sizes, contract = TrackerArchitecture(policy_hidden=(16,)), proprioception(SPEC, 8)
    poses = symmetric_poses(SPEC, ("l_knee", "l_el"), np.array([[[1.2, 0.5]], [[2.0, -1.0]]]))
    keys = KeyPoses(poses=poses, durations_s=np.array([[0.3, 0.2], [0.2, 0.1]]))
    motion = GetupMotion.of(SPEC, keys, 0.1)
    agent = GetupAgent(sizes, contract.size, 1, SPEC.num_joints, task_size=motion.told_size)
    params = jax.tree.map(lambda x: 20.0 * np.asarray(x), agent.init(jax.random.key(0)))
    return GetupPolicy(
        contract=contract,
        keys=keys,
        getup=GetupConfig(rest_s=0.1),
        architecture=sizes,
        params={name: params[name] for name in ("policy", "action_log_std")},
        config={},
        summary={"steps": 1},
    )


@pytest.fixture(scope="module")
def policy(getup: GetupPolicy) -> RecoveringPolicy:
    walk = TaskPolicy.load(shipped_policy("op3"), "op3", "walk")
    return RecoveringPolicy(policy=walk, getup=getup)


def test_bundle_does_what_the_agent_does(policy: RecoveringPolicy) -> None:
    bundle, contract, rng = policy_bundle(policy), policy.contract, np.random.default_rng(1)
    count, agent = 4000, policy.agent
    raw = rng.normal(0.0, 0.5, (count, contract.history, contract.frame_size)).astype(np.float32)
    # Gravity anywhere, and every kind of state: at rest, on the way, at its end, down for a while.
    gravity = rng.standard_normal((count, 3))
    gravity /= np.linalg.norm(gravity, axis=1, keepdims=True)
    raw[:, -1, term_slices(contract)["gravity"]] = gravity
    z_tm1 = rng.standard_normal((count, agent.carried_size), dtype=np.float32)
    z_tm1[:, 0] = rng.integers(0, 30, count) * rng.integers(0, 2, count)
    z_tm1[:, 1] = rng.integers(0, 2, count)
    z_tm1[:, 2] = rng.integers(0, 20, count)
    command = rng.uniform(-0.3, 0.3, (count, 3)).astype(np.float32)
    signals = {name: raw[..., where] for name, where in term_slices(contract).items()}
    obs = {
        "proprioception": contract.frame(signals).reshape(count, -1),
        "task": command * COMMAND_SCALE,
    }
    done = act(agent, policy.params, obs, z_tm1, jax.random.key(0), deterministic=True)
    targets, z = bundle.infer(raw, command, z_tm1)
    np.testing.assert_array_equal(z[:, :STATE_SIZE], np.asarray(done.z)[:, :STATE_SIZE])
    wanted = SPEC.joint_targets(np.asarray(done.action))
    assert np.abs(targets - wanted).max() <= 1e-5
    assert np.abs(z - np.asarray(done.z)).max() <= 1e-4
    # All that can happen happens: it begins, from rest and anew; goes on; ends; walks.
    before, after = z_tm1[:, 0], z[:, 0]
    for happens in (
        (before == 0) & (after == 1),
        (before > 1) & (after == 1),
        (before > 0) & (after == before + 1),
        (before > 0) & (after == 0),
        (before == 0) & (after == 0),
    ):
        assert happens.sum() > 20
    assert (z[after > 0, STATE_SIZE:] == 0.0).all()


def test_bundle_names_what_it_holds(policy: RecoveringPolicy) -> None:
    header = policy_bundle(policy).header
    assert header.task == "walk" and header.latent_size == policy.agent.carried_size
    assert header.training["getup"] == {"steps": 1}
    assert export_bytes(policy) == export_bytes(policy)


def test_only_what_gets_up_is_deployed_without_a_fault_for_tilt(
    policy: RecoveringPolicy, tmp_path: Path
) -> None:
    plain, both = tmp_path / "plain.onnx", tmp_path / "both.onnx"
    export_policy(policy.policy, plain)
    export_policy(policy, both)
    with pytest.raises(SettingsError, match=r"plain\.onnx: its policy does not get up"):
        Deploy(robot="op3", recover=True, bundle=plain)._bundle()
    for recover, bundle in ((False, plain), (True, both)):
        found, data = Deploy(robot="op3", recover=recover, bundle=bundle)._bundle()
        assert data == bundle.read_bytes() and found.header.task == "walk"


def test_both_must_be_told_the_same(policy: RecoveringPolicy, getup: GetupPolicy) -> None:
    other = dataclasses.replace(getup.contract, history=3)
    with pytest.raises(ContractError, match=r"the policy that gets up: .*history is 3"):
        RecoveringPolicy(policy=policy.policy, getup=dataclasses.replace(getup, contract=other))
