"""Task policies without a skill module: agent, training and file."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.contract import proprioception
from legged_skills.robots.errors import ContractError, FileFormatError, SettingsError
from legged_skills.robots.simulation import BatchSim
from legged_skills.skill_module.agents import Architecture
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.ppo import PpoConfig
from legged_skills.skill_module.symmetry import Symmetry
from legged_skills.skill_module.training import RunConfig
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.reuse import PolicyArchitecture
from legged_skills.tasks.scratch import ScratchAgent, ScratchArchitecture
from legged_skills.tasks.scratch_file import ScratchPolicy
from legged_skills.tasks.train_scratch import make_agent, train_scratch
from legged_skills.tasks.train_walk import WalkTrainingConfig, make_env, settings
from legged_skills.tasks.trim import VelocityTrim
from legged_skills.tasks.walk import WalkConfig, WalkEnv

SPEC = robots.get("anymal_c")
CONTRACT = proprioception(SPEC)
SMALL = ScratchArchitecture(policy_hidden=(16,), critic_hidden=(8,), estimator_hidden=(8,))
AGENT = ScratchAgent(SMALL, CONTRACT.size, 49, SPEC.num_joints, task_size=3)


def observations(count: int) -> dict[str, jax.Array]:
    rng = np.random.default_rng(0)
    sizes = {"proprioception": CONTRACT.size, "task": 3, "privileged": 49, "velocity": 3}
    sizes["mean_velocity"] = 3
    return {
        name: jnp.asarray(rng.standard_normal((count, size)), jnp.float32)
        for name, size in sizes.items()
    }


def test_network_is_as_large_as_policy_and_decoder_beside_each_other() -> None:
    both = ScratchArchitecture.like(PolicyArchitecture(), Architecture())
    assert both.policy_hidden == (512, 384)
    assert both.critic_hidden == (256, 128) and both.estimator_hidden == (256, 128)
    deeper = ScratchArchitecture.like(
        PolicyArchitecture(policy_hidden=(16,)), Architecture(decoder_hidden=(8, 4))
    )
    assert deeper.policy_hidden == (24, 4)
    assert both.min_action_std == Architecture().min_action_std == 0.45
    assert both.initial_action_std == Architecture().initial_action_std == 0.5


def test_estimator_learns_the_velocity_and_nothing_of_the_task() -> None:
    params, obs = AGENT.init(jax.random.key(1)), observations(20)
    decision = AGENT.act(params, obs, jnp.zeros((20, 3)), jax.random.key(3), False)
    assert decision.action.shape == (20, 12)
    velocity = AGENT.estimator.estimate(params["estimator"], obs)
    # All that is carried is the mean velocity: 1 / 25 of the way from zero.
    np.testing.assert_allclose(decision.z, velocity / 25.0, rtol=1e-5)

    def gradient(part: str) -> Any:
        def total(p: Any) -> jax.Array:
            return jnp.sum(getattr(AGENT.evaluate(p, obs, decision.record), part))

        return jax.grad(total)(params)

    for leaf in jax.tree.leaves(gradient("log_prob")["estimator"]):
        np.testing.assert_array_equal(leaf, 0.0)
    for leaf in jax.tree.leaves(gradient("auxiliary")["policy"]):
        np.testing.assert_array_equal(leaf, 0.0)
    found = AGENT.evaluate(params, obs, decision.record)
    error = velocity - obs["velocity"]
    np.testing.assert_allclose(found.auxiliary, np.square(error).sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(found.log_prob, decision.record["log_prob"], rtol=1e-5)
    np.testing.assert_array_equal(found.kl, 0.0)


def test_it_has_the_trim_that_policies_on_a_module_have() -> None:
    trim = VelocityTrim(10.0, (1.0, 2.0, 1.5), gyro=1, gyro_scale=0.5, memory_share=0.2)
    agent = dataclasses.replace(AGENT, trim=trim)
    params, obs = agent.init(jax.random.key(1)), observations(20)
    carried = jnp.full((20, 7), 0.1)
    decision = agent.act(params, obs, carried, jax.random.key(3), False)
    wanted = trim.advance(carried[:, 3:], obs["task"], decision.z[:, :3], obs["proprioception"])
    np.testing.assert_array_equal(decision.z[:, 3:], wanted)
    told = {**obs, "task": trim.told(obs["task"], wanted), "mean_velocity": decision.z[:, :3]}
    mean = AGENT.mean(params, told)
    np.testing.assert_array_equal(agent.mean(params, {**obs, **decision.record}), mean)
    found = agent.evaluate(params, obs, decision.record)
    np.testing.assert_allclose(found.log_prob, decision.record["log_prob"], rtol=1e-5)
    like = ScratchArchitecture.like(PolicyArchitecture(trim_steps=125.0), Architecture())
    assert like.trim_steps == 125.0


def test_its_noise_may_last_as_a_trackers_does() -> None:
    trim = VelocityTrim(10.0, (1.0, 2.0, 1.5), gyro=1, gyro_scale=0.5, memory_share=0.2)
    lasting = dataclasses.replace(SMALL, persistence=0.9, initial_action_std=0.5)
    agent = dataclasses.replace(AGENT, architecture=lasting, trim=trim)
    params, obs = agent.init(jax.random.key(1)), observations(20)
    assert agent.carried_size == 3 + 4 + 12
    carried = jnp.full((20, 19), 0.1)
    first = agent.act(params, obs, carried, jax.random.key(3), False)
    again = agent.act(params, obs, carried.at[:, 7:].add(1.0), jax.random.key(3), False)
    np.testing.assert_allclose(again.action - first.action, 0.9, rtol=1e-4)
    np.testing.assert_allclose(again.z[:, 7:] - first.z[:, 7:], 0.9, rtol=1e-4)
    np.testing.assert_array_equal(again.z[:, :7], first.z[:, :7])
    found = agent.evaluate(params, obs, first.record)
    np.testing.assert_allclose(found.log_prob, first.record["log_prob"], rtol=1e-4)


def test_untrained_robots_stand_and_explore_around_that() -> None:
    params, obs, z = AGENT.init(jax.random.key(1)), observations(4000), jnp.zeros((4000, 3))
    mean = AGENT.act(params, obs, z, jax.random.key(2), deterministic=True).action
    assert np.abs(mean).max() < 0.2  # of the action's scale
    for learned, used in ((0.6, 0.6), (0.1, 0.45)):
        params["action_log_std"] = jnp.full(12, jnp.log(jnp.float32(learned)))
        action = AGENT.act(params, obs, z, jax.random.key(2), deterministic=False).action
        np.testing.assert_allclose((action - mean).std(axis=0), used, rtol=0.05)


def test_mirrored_observations_give_mirrored_actions() -> None:
    env = WalkEnv(BatchSim(SPEC, 1, 1), CONTRACT, WalkConfig())
    # Front and back are alike too: layers are in four blocks.
    agent, symmetry = make_agent("walk", env, 3, SMALL), Symmetry(SPEC)
    params, obs = agent.init(jax.random.key(1)), observations(5)
    # Louder, or all actions would be near zero anyway.
    params["policy"] = jax.tree.map(lambda x: 5.0 * x, params["policy"])
    command, _ = env.mirrored(symmetry)
    assert symmetry.order == 4
    for element in range(symmetry.order):
        image = {
            "proprioception": symmetry.proprioception(CONTRACT).apply(
                element, np.asarray(obs["proprioception"])
            ),
            "task": command.apply(element, np.asarray(obs["task"])),
            "mean_velocity": symmetry.polar.apply(element, np.asarray(obs["mean_velocity"])),
        }
        image = {name: jnp.asarray(x, jnp.float32) for name, x in image.items()}
        wanted = symmetry.joints.apply(element, np.asarray(agent.mean(params, obs)))
        np.testing.assert_allclose(agent.mean(params, image), wanted, atol=1e-4)


@pytest.fixture(scope="module")
def trained(still_module: SkillModule, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scratch")
    config = WalkTrainingConfig(
        run=RunConfig(total_steps=2 * 6 * 8, num_envs=8, num_threads=1),
        ppo=PpoConfig(steps=6, epochs=1, minibatches=2),
        architecture=PolicyArchitecture(policy_hidden=(8,), critic_hidden=(8,)),
        gap="none",
    )
    env = make_env(SPEC, still_module, config)
    with jax.numpy_dtype_promotion("standard"):
        result = train_scratch("walk", env, 3, settings(env), still_module, config, out)
    assert result.finished and result.steps == 96 and result.figures["kl_prior"] == 0.0
    return out / "walk.npz"


def test_training_writes_the_policy(trained: Path, still_module: SkillModule) -> None:
    policy = ScratchPolicy.load(trained, "anymal_c", "walk")
    # The still decoder has one layer of 8, as the policy has.
    assert policy.architecture.policy_hidden == (16,)
    assert policy.contract == still_module.contract and policy.summary["steps"] == 96
    assert policy.config["vx_range"] == [-0.6, 1.3] and policy.config["change_period_s"] == 4.0
    decision = policy.agent.act(
        policy.params, observations(2), jnp.zeros((2, 3)), jax.random.key(0), True
    )
    assert np.isfinite(decision.action).all()


def test_unfit_files_are_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="is for walk of anymal_c, expected walk of op3"):
        ScratchPolicy.load(trained, "op3", "walk")
    with pytest.raises(FileFormatError, match="expected a task policy, found a scratch policy"):
        TaskPolicy.load(trained)
    policy = ScratchPolicy.load(trained, "anymal_c", "walk")
    other = policy.params | {"action_log_std": np.zeros(7)}
    dataclasses.replace(policy, params=other).save(tmp_path / "other.npz")
    with pytest.raises(FileFormatError, match=r"weights 'action_log_std': .*expected"):
        ScratchPolicy.load(tmp_path / "other.npz", "anymal_c", "walk")
    contract = dataclasses.replace(policy.contract, kd=(1.0, *policy.contract.kd[1:]))
    dataclasses.replace(policy, contract=contract).save(tmp_path / "other.npz")
    with pytest.raises(ContractError, match=r"other\.npz: the kd of LF_HAA is 1\.0 Nm s/rad"):
        ScratchPolicy.load(tmp_path / "other.npz", "anymal_c", "walk")


def test_networks_that_cannot_be_are_refused() -> None:
    wrong: dict[str, Any]
    for wrong, told in (
        ({"memory_steps": 0.0}, r"memory_steps is 0\.0, expected at least 1\.0"),
        ({"trim_steps": -1.0}, r"trim_steps is -1\.0, expected at least 0\.0"),
        ({"estimator_hidden": (0,)}, r"estimator_hidden is \(0,\), expected widths"),
        ({"policy_hidden": (8, -1)}, r"policy_hidden is \(8, -1\), expected widths"),
        ({"persistence": 1.0}, r"persistence is 1\.0, expected"),
    ):
        with pytest.raises(SettingsError, match=told):
            ScratchArchitecture(**wrong)
