"""The reuse agent, its training, its file and its evaluation, with an untrained skill module."""

import dataclasses
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.contract import proprioception
from legged_skills.robots.errors import ContractError, FileFormatError, SettingsError
from legged_skills.robots.files import read_archive, write_archive
from legged_skills.robots.simulation import BatchSim
from legged_skills.skill_module.agents import Architecture, ImitationAgent
from legged_skills.skill_module.imitation import ImitationConfig, privileged_size
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.ppo import PpoConfig
from legged_skills.skill_module.symmetry import Symmetry
from legged_skills.skill_module.training import RunConfig
from legged_skills.tasks.evaluate_walk import WalkEpisodes, summarize, walk_on_commands
from legged_skills.tasks.policy_file import KIND, TaskPolicy
from legged_skills.tasks.reuse import FrozenDecoder, PolicyArchitecture, ReuseAgent
from legged_skills.tasks.stride_clock import StrideClock
from legged_skills.tasks.train_policy import make_agent
from legged_skills.tasks.train_walk import WalkTrainingConfig, train_walk
from legged_skills.tasks.trim import VelocityTrim
from legged_skills.tasks.walk import WalkConfig, WalkEnv

SPEC = robots.get("anymal_c")
SMALL = PolicyArchitecture(policy_hidden=(16,), critic_hidden=(16,), estimator_hidden=(8,))
BIG = ("policy", "estimator", "correction")


@pytest.fixture(scope="module")
def module() -> SkillModule:
    contract, imitation = proprioception(SPEC), ImitationConfig()
    sizes = Architecture(
        latent_size=4, encoder_hidden=(8,), decoder_hidden=(16,), critic_hidden=(8,)
    )
    agent = ImitationAgent(sizes, contract.size, privileged_size(SPEC, contract, imitation), 12)
    return SkillModule(
        contract=contract,
        architecture=sizes,
        imitation=imitation,
        clips=("a",),
        params=jax.tree.map(np.asarray, agent.init(jax.random.key(0))),
        summary={"steps": 0, "seed": 0},
    )


def _observations(count: int) -> dict[str, jax.Array]:
    rng = np.random.default_rng(0)
    told = proprioception(SPEC).size
    sizes = {"proprioception": told, "task": 3, "privileged": 52, "velocity": 3}
    return {
        name: jnp.asarray(rng.standard_normal((count, size)), jnp.float32)
        for name, size in sizes.items()
    }


def test_untrained_policy_can_be_nearly_the_prior(module):
    like_prior = dataclasses.replace(SMALL, initial_filter=0.95, initial_std=(1 - 0.95**2) ** 0.5)
    agent = ReuseAgent(like_prior, FrozenDecoder.of(module), 3, 52)
    params = agent.init(jax.random.key(1))
    z = jax.random.normal(jax.random.key(2), (50, 4))
    carried = jnp.concatenate([z, jnp.zeros((50, 3))], axis=1)
    obs = _observations(50)
    decision = agent.act(params, obs, carried, jax.random.key(3), False)
    evaluation = agent.evaluate(params, obs, decision.record)
    assert float(evaluation.kl.mean()) < 0.2  # [nat]
    np.testing.assert_allclose(evaluation.log_prob, decision.record["log_prob"], atol=1e-4)
    mean = agent.act(params, obs, carried, jax.random.key(3), True).z
    np.testing.assert_allclose(mean[:, :4], 0.95 * z, atol=0.15)


def test_the_mean_velocity_is_carried_behind_the_latent(module):
    slow = dataclasses.replace(SMALL, memory_steps=5.0)
    agent = ReuseAgent(slow, FrozenDecoder.of(module), 3, 52)
    params, obs = agent.init(jax.random.key(1)), _observations(2)
    assert agent.carried_size == 7
    velocity = np.asarray(agent.estimator.estimate(params["estimator"], obs))
    carried, mean = jnp.zeros((2, 7)), np.zeros((2, 3))
    for step in range(3):
        key, deterministic = jax.random.key(step), step == 1
        decision = agent.act(params, obs, carried, key, deterministic)
        carried, mean = decision.z, mean + (velocity - mean) / 5.0
        np.testing.assert_allclose(carried[:, 4:], mean, rtol=1e-5)
        if not deterministic:
            np.testing.assert_allclose(decision.record["mean_velocity"], mean, rtol=1e-5)
            np.testing.assert_array_equal(decision.record["z"], carried[:, :4])
    # The policy acts on it.
    z = carried[:, :4]
    known = {"z_tm1": z, "mean_velocity": jnp.asarray(mean)}
    other = agent.mean(params, obs, known | {"mean_velocity": jnp.asarray(mean + 1.0)})
    assert np.abs(other - agent.mean(params, obs, known)).max() > 1e-4


def test_the_trim_is_carried_behind_the_mean_velocity(module):
    trim = VelocityTrim(10.0, (1.0, 2.0, 1.5), gyro=1, gyro_scale=0.5, memory_share=0.2)
    agent = ReuseAgent(SMALL, FrozenDecoder.of(module), 3, 52, trim=trim)
    params, obs = agent.init(jax.random.key(1)), _observations(2)
    assert agent.carried_size == 4 + 3 + 4
    carried = jnp.concatenate([jnp.zeros((2, 7)), jnp.full((2, 4), 0.1)], axis=1)
    decision = agent.act(params, obs, carried, jax.random.key(3), False)
    wanted = trim.advance(carried[:, 7:], obs["task"], decision.z[:, 4:7], obs["proprioception"])
    np.testing.assert_array_equal(decision.z[:, 7:], wanted)
    np.testing.assert_array_equal(decision.record["trim"], wanted)
    # What the policy is told is the command and the trim.
    without = dataclasses.replace(agent, trim=None)
    told = {**obs, "task": trim.told(obs["task"], wanted)}
    mean = agent.mean(params, obs, decision.record)
    np.testing.assert_array_equal(mean, without.mean(params, told, decision.record))
    assert np.abs(mean - without.mean(params, obs, decision.record)).max() > 1e-4
    evaluation = agent.evaluate(params, obs, decision.record)
    np.testing.assert_allclose(evaluation.log_prob, decision.record["log_prob"], atol=1e-4)


def test_the_clock_is_carried_last_unless_a_clip_tells_it(module):
    trim = VelocityTrim(10.0, (1.0, 2.0, 1.5), gyro=1, gyro_scale=0.5, memory_share=0.2)
    clock, sizes = StrideClock(0.1), dataclasses.replace(SMALL, clock_s=0.75, correction_std=0.5)
    agent = ReuseAgent(sizes, FrozenDecoder.of(module), 3, 52, trim=trim, clock=clock)
    params, obs = agent.init(jax.random.key(1)), _observations(2)
    assert agent.carried_size == 4 + 3 + 4 + 2
    carried = jnp.concatenate([jnp.zeros((2, 11)), jnp.array([[1.0, 0.0], [0.0, 0.0]])], axis=1)
    decision = agent.act(params, obs, carried, jax.random.key(3), False)
    wanted = np.array([[np.cos(0.1), np.sin(0.1)], [np.sin(0.1), -np.cos(0.1)]])
    np.testing.assert_allclose(decision.z[:, 11:], wanted, atol=1e-6)
    np.testing.assert_array_equal(decision.record["clock"], decision.z[:, 11:])
    evaluation = agent.evaluate(params, obs, decision.record)
    np.testing.assert_allclose(evaluation.log_prob, decision.record["log_prob"], atol=1e-4)
    told = agent.act(params, obs | {"clock": -jnp.ones((2, 2))}, carried, jax.random.key(3), False)
    np.testing.assert_array_equal(told.z[:, 11:], -1.0)
    # The policy acts on it.
    other = agent.mean(params, obs, decision.record | {"clock": -decision.record["clock"]})
    assert np.abs(other - agent.mean(params, obs, decision.record)).max() > 1e-4


def test_estimator_learns_the_velocity_and_nothing_of_the_task(module):
    agent = ReuseAgent(SMALL, FrozenDecoder.of(module), 3, 52)
    params, obs, carried = agent.init(jax.random.key(1)), _observations(20), jnp.ones((20, 7))
    decision = agent.act(params, obs, carried, jax.random.key(3), False)

    def gradient(part: str) -> Any:
        def total(p: Any) -> jax.Array:
            return jnp.sum(getattr(agent.evaluate(p, obs, decision.record), part))

        return jax.grad(total)(params)

    for leaf in jax.tree.leaves(gradient("log_prob")["estimator"]):
        np.testing.assert_array_equal(leaf, 0.0)
    for leaf in jax.tree.leaves(gradient("auxiliary")["policy"]):
        np.testing.assert_array_equal(leaf, 0.0)
    error = agent.estimator.estimate(params["estimator"], obs) - obs["velocity"]
    auxiliary = agent.evaluate(params, obs, decision.record).auxiliary
    np.testing.assert_allclose(auxiliary, np.square(error).sum(axis=1), rtol=1e-5)
    # The policy acts on what the estimator says.
    louder = jax.tree.map(lambda x: 100.0 * x, params["estimator"])
    z, mean = carried[:, :4], carried[:, 4:]
    other = agent.mean({**params, "estimator": louder}, obs, {"z_tm1": z, "mean_velocity": mean})
    assert np.abs(other - agent.mean(params, obs, {"z_tm1": z, "mean_velocity": mean})).max() > 1e-6


@pytest.mark.parametrize(("given", "used"), [(None, 0.95), (0.6, 0.6)])
def test_divergence_is_from_the_prior_that_is_named(module, given: float | None, used: float):
    assert module.architecture.alpha == 0.95
    sizes = dataclasses.replace(SMALL, alpha=given, min_std=0.0)
    agent = ReuseAgent(sizes, FrozenDecoder.of(module), 3, 52)
    params, obs = agent.init(jax.random.key(1)), _observations(5)
    params["log_std"] = jnp.full(4, np.log(0.2))
    done = agent.act(params, obs, jnp.ones((5, 7)), jax.random.key(3), False)
    off = np.asarray(agent.mean(params, obs, done.record)) - used
    # Of Gaussians as wide as 0.2 and (1 - alpha^2)^0.5, by dimension.
    wide = 1.0 - used**2
    kl = 0.5 * ((0.2**2 + off**2) / wide - 1.0 - np.log(0.2**2 / wide)).sum(axis=1)
    np.testing.assert_allclose(agent.evaluate(params, obs, done.record).kl, kl, rtol=1e-4)


def test_told_velocity_is_near_one_in_a_walk():
    env = WalkEnv(BatchSim(SPEC, 1, 1), proprioception(SPEC), WalkConfig(start_noise=0.0))
    qvel = np.zeros(18)
    qvel[0] = 0.58
    env.robots.reset(np.array([0]), SPEC.home_qpos, qvel)
    # A quarter of sqrt(9.81 m/s^2 * 0.5488 m) is 0.58 m/s.
    np.testing.assert_allclose(env.observe()["velocity"], [[1.0, 0.0, 0.0]], atol=1e-3)


def test_action_is_what_the_skill_module_decodes(module):
    agent = ReuseAgent(SMALL, FrozenDecoder.of(module), 3, 52)
    obs = _observations(5)
    decision = agent.act(
        agent.init(jax.random.key(1)), obs, jnp.ones((5, 7)), jax.random.key(0), True
    )
    wanted = module.agent.decode(module.params, obs["proprioception"], decision.z[:, :4])
    np.testing.assert_allclose(decision.action, wanted, atol=1e-6)


CORRECTS = dataclasses.replace(
    SMALL, correction_std=0.5, correction_hidden=(16,), correction_noise=0.1
)


def test_corrections_are_added_to_the_action_and_cost_their_divergence(module):
    decoder = FrozenDecoder.of(module)
    plain, agent = ReuseAgent(SMALL, decoder, 3, 52), ReuseAgent(CORRECTS, decoder, 3, 52)
    assert set(agent.trained) == set(plain.trained) | {"correction"}
    params, obs, carried = agent.init(jax.random.key(1)), _observations(4000), jnp.zeros((4000, 7))
    params["correction"] = jax.tree.map(lambda x: 30.0 * x, params["correction"])
    assert "correction" not in plain.init(jax.random.key(1))
    for deterministic in (True, False):
        done = agent.act(params, obs, carried, jax.random.key(2), deterministic)
        alone = plain.act(params, obs, carried, jax.random.key(2), deterministic)
        np.testing.assert_array_equal(done.z, alone.z)
        known = {"mean_velocity": done.z[:, 4:], "z_tm1": carried[:, :4]}
        mean = agent.corrected_by(params, obs, known, done.z[:, :4])
        assert float(jnp.abs(mean).mean()) > 0.1
        off = done.action - alone.action - mean
        spread = 0.0 if deterministic else CORRECTS.correction_noise
        np.testing.assert_allclose(off.std(axis=0), spread, rtol=0.05, atol=1e-6)
    found = agent.evaluate(params, obs, done.record)
    np.testing.assert_allclose(found.log_prob, done.record["log_prob"], rtol=1e-4)
    # KL(N(m, s^2) || N(0, s^2)) = m^2 / 2 s^2, in each joint.
    wanted = plain.evaluate(params, obs, done.record).kl + jnp.square(mean / 0.5).sum(axis=1) / 2
    np.testing.assert_allclose(found.kl, wanted, rtol=1e-4)
    # What it tried out is as likely as a Gaussian says.
    more = done.record | {"correction": done.record["correction"] + 0.1}
    lower = agent.evaluate(params, obs, more).log_prob - found.log_prob
    tried = (done.record["correction"] - mean) / 0.1
    np.testing.assert_allclose(lower, -(tried + 0.5).sum(axis=1), atol=1e-2)


@pytest.mark.parametrize("sizes", [SMALL, CORRECTS])
def test_a_policy_does_the_mirror_image_of_mirror_images(module, sizes):
    """All of the agent but the decoder's weights, which a training of skills makes symmetric."""
    env = WalkEnv(BatchSim(SPEC, 1, 1), proprioception(SPEC), WalkConfig())
    agent = make_agent("walk", env, 3, FrozenDecoder.of(module), sizes)
    symmetry = Symmetry(SPEC)
    task, privileged = env.mirrored(symmetry)
    params, obs = agent.init(jax.random.key(1)), _observations(5)
    latent = symmetry.copies(agent.latent_size)
    kinds = {
        "proprioception": symmetry.proprioception(env.robots.contract),
        "task": task,
        "privileged": privileged,
        "velocity": symmetry.polar,
    }
    # Larger weights, so that what is added to the latent before, and the velocity, can be seen.
    big = [name for name in BIG if name in params]
    params = {**params, **{n: jax.tree.map(lambda x: 5.0 * x, params[n]) for n in big}}
    z = np.random.default_rng(2).standard_normal((5, agent.latent_size)).astype(np.float32)
    z, before = jnp.asarray(z), obs["velocity"]
    mean = agent.mean(params, obs, {"z_tm1": z, "mean_velocity": before})
    velocity = agent.estimator.estimate(params["estimator"], obs)
    assert np.abs(mean - 0.95 * z).max() > 0.1 and np.abs(velocity).max() > 0.1
    for g in range(symmetry.order):
        image = {
            name: jnp.asarray(kind.apply(g, np.asarray(obs[name])), jnp.float32)
            for name, kind in kinds.items()
        }
        z_image = jnp.asarray(latent.apply(g, np.asarray(z)), jnp.float32)
        found = agent.mean(params, image, {"z_tm1": z_image, "mean_velocity": image["velocity"]})
        np.testing.assert_allclose(found, latent.apply(g, np.asarray(mean)), atol=1e-4)
        found = agent.estimator.estimate(params["estimator"], image)
        np.testing.assert_allclose(found, symmetry.polar.apply(g, np.asarray(velocity)), atol=1e-4)
        found = agent.value(params, image["privileged"])
        np.testing.assert_allclose(found, agent.value(params, obs["privileged"]), atol=1e-4)
        if agent.corrects:
            known = {"mean_velocity": image["velocity"]}
            found = agent.corrected_by(params, image, known, z_image)
            mean_of = np.asarray(agent.corrected_by(params, obs, {"mean_velocity": before}, z))
            assert np.abs(mean_of).max() > 0.01
            np.testing.assert_allclose(found, symmetry.joints.apply(g, mean_of), atol=1e-4)


TRAINING = WalkTrainingConfig(
    run=RunConfig(total_steps=2 * 6 * 8, num_envs=8, num_threads=1),
    ppo=PpoConfig(steps=6, epochs=1, minibatches=2),
    architecture=SMALL,
)


@pytest.fixture(scope="module")
def trained(module, tmp_path_factory):
    out = tmp_path_factory.mktemp("walk")
    return train_walk(SPEC, module, TRAINING, out), out / "walk.npz"


@pytest.mark.standard_dtypes
def test_training_leaves_the_decoder_alone_and_writes_the_policy(trained, module):
    result, path = trained
    assert result.finished and result.steps == 96
    policy = TaskPolicy.load(path, robot="anymal_c", task="walk")
    for found, wanted in zip(
        jax.tree.leaves(policy.decoder.params),
        jax.tree.leaves(module.params["decoder"]),
        strict=True,
    ):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(policy.params["log_std"], result.learner.average["log_std"])
    assert policy.summary["skills"] == module.summary


@pytest.mark.standard_dtypes
def test_a_policy_can_begin_to_correct(trained, module, tmp_path):
    _, path = trained
    begun = TaskPolicy.load(path)
    config = dataclasses.replace(TRAINING, architecture=CORRECTS)
    result = train_walk(SPEC, module, config, tmp_path, begun)
    assert result.finished
    policy = TaskPolicy.load(tmp_path / "walk.npz")
    assert policy.agent.corrects and policy.params["correction"].keys() == {"Dense_0", "Dense_1"}
    # The other way round there would be something to forget.
    with pytest.raises(ContractError, match=r"has correction_std 0\.5, expected 0\.0"):
        train_walk(SPEC, module, TRAINING, tmp_path / "back", policy)


@pytest.mark.standard_dtypes
def test_the_policys_trim_may_be_quicker_than_that_of_its_training(module, tmp_path):
    sizes = dataclasses.replace(SMALL, trim_steps=125.0)
    config = dataclasses.replace(TRAINING, architecture=sizes, policy_trim_steps=60.0)
    result = train_walk(SPEC, module, config, tmp_path)
    policy = TaskPolicy.load(tmp_path / "walk.npz")
    assert policy.agent.trim is not None and policy.agent.trim.steps == 60.0
    checkpoint = json.loads((tmp_path / "config.json").read_text())
    assert checkpoint["architecture"]["trim_steps"] == 125.0
    np.testing.assert_array_equal(policy.params["log_std"], result.learner.average["log_std"])


@pytest.mark.standard_dtypes
def test_a_run_is_not_gone_on_with_on_another_decoder(trained, module):
    _, path = trained
    decoder = jax.tree.map(lambda x: x + np.float32(1e-6), module.params["decoder"])
    other = dataclasses.replace(module, params={**module.params, "decoder": decoder})
    assert other.summary == module.summary
    with pytest.raises(ContractError, match="checkpoint's decoder is"):
        train_walk(SPEC, other, TRAINING, path.parent)


@pytest.mark.standard_dtypes
def test_unfit_policies_are_refused(trained, tmp_path):
    _, path = trained
    with pytest.raises(ContractError, match="the policy's robot is anymal_c, expected op3"):
        TaskPolicy.load(path, robot="op3")
    with pytest.raises(ContractError, match="the policy's task is walk, expected dribble"):
        TaskPolicy.load(path, task="dribble")
    with np.load(path) as archive:
        arrays: dict[str, Any] = {name: archive[name] for name in archive.files}
    header = json.loads(str(arrays["header"]))
    header["contract"]["history"] = 2
    edited = tmp_path / "edited.npz"
    changed: dict[str, Any] = arrays | {"header": np.array(json.dumps(header))}
    np.savez(edited, **changed)
    with pytest.raises(ContractError, match="the contract was edited"):
        TaskPolicy.load(edited)
    arrays["trained/log_std"] = np.zeros(7)
    np.savez(edited, **arrays)
    with pytest.raises(FileFormatError, match=r"weights 'log_std': .*expected"):
        TaskPolicy.load(edited)


@pytest.mark.standard_dtypes
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.update(decoder=[]), r"FrozenDecoder is \[\], expected its fields"),
        (lambda h: h["decoder"].update(hidden=5), "FrozenDecoder: hidden is 5, expected a list"),
        (lambda h: h["decoder"].update(alpha=1.0), r"FrozenDecoder: alpha is 1\.0, expected"),
        (lambda h: h["decoder"].update(depth=5), "FrozenDecoder has no field 'depth' here"),
        (lambda h: h.update(task_size="3"), "task_size is '3', expected a whole number"),
        (lambda h: h.update(config=[]), r"config is \[\], expected fields with their values"),
        (lambda h: h["config"].update(vx_range=5), "WalkConfig: vx_range is 5, expected 2 numbers"),
        (lambda h: h.pop("summary"), "the task policy lacks 'summary'"),
        (
            lambda h: h["architecture"].update(memory_steps=0.0),
            r"PolicyArchitecture: memory_steps is 0\.0, expected at least 1\.0",
        ),
    ],
)
def test_damage_is_named(trained, tmp_path, change, message):
    arrays, header = read_archive(trained[1], KIND)
    change(header)
    write_archive(tmp_path / "w.npz", KIND, arrays, header)
    with pytest.raises(FileFormatError, match=rf"w\.npz: {message}"):
        TaskPolicy.load(tmp_path / "w.npz")


@pytest.mark.standard_dtypes
def test_policies_of_the_robot_as_it_was_are_refused(trained, tmp_path):
    policy = TaskPolicy.load(trained[1])
    contract = dataclasses.replace(policy.contract, control_period_s=0.025)
    dataclasses.replace(policy, contract=contract).save(tmp_path / "w.npz")
    message = r"w\.npz: the control period is 0\.025 s, expected 0\.02 s\.$"
    with pytest.raises(ContractError, match=message):
        TaskPolicy.load(tmp_path / "w.npz", "anymal_c", "walk")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("policy_hidden", (0,), "widths of at least 1"),
        ("memory_steps", 0.0, "at least 1.0"),
        ("trim_steps", -1.0, "at least 0.0"),
        ("clock_s", float("nan"), "a finite number of at least 0"),
        ("initial_filter", 1.0, "at least 0 and less than 1"),
        ("alpha", 1.0, "at least 0 and less than 1"),
        ("initial_filter", 0.0, "more than 0"),
        ("initial_std", 0.0, "more than 0"),
        ("min_std", float("nan"), "a finite number of at least 0"),
        ("correction_std", -0.1, "a finite number of at least 0"),
    ],
)
def test_networks_that_cannot_be_are_refused(name, value, expected):
    PolicyArchitecture(trim_steps=0.0, clock_s=0.0, min_std=0.0, correction_noise=0.0)
    with pytest.raises(SettingsError) as caught:
        PolicyArchitecture(**{name: value})
    assert str(caught.value) == f"{name} is {value}, expected {expected}."
    with pytest.raises(SettingsError, match=r"correction_noise is 0\.0, expected more than 0"):
        PolicyArchitecture(correction_std=0.3, correction_noise=0.0)


@pytest.mark.standard_dtypes
def test_episodes_are_deterministic_and_follow_the_course(trained):
    _, path = trained
    policy = TaskPolicy.load(path)
    commands = np.zeros((2, 2, 3))
    commands[1, 1] = [0.5, 0.0, 0.0]
    runs = [
        walk_on_commands(SPEC, policy, commands, command_s=0.4, average_s=0.2, keep=2)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(runs[0].qpos, runs[1].qpos)
    assert runs[0].velocity.shape == (40, 2, 3) and runs[0].achieved.shape == (2, 2, 3)
    # The average over the last 0.2 s of the first command: steps 10 to 19.
    wanted = runs[0].velocity[10:20, 0].mean(axis=0)
    np.testing.assert_allclose(runs[0].achieved[0, 0], wanted, rtol=1e-5)
    with pytest.raises(SettingsError, match=r"average_s is 0\.5, expected 0 to 0\.4"):
        walk_on_commands(SPEC, policy, commands, command_s=0.4, average_s=0.5)


def test_summary_by_hand():
    commands = np.array([[[1.0, 0.0, 0.0], [0.0, 0.0, 0.5]], [[0.3, 0.4, 0.0], [0.0, 0.0, 0.0]]])
    achieved = commands.copy()
    achieved[0, 0] += [-0.3, 0.4, 0.1]  # 0.5 m/s and 0.1 rad/s off
    achieved[1, 1] = np.nan  # fell
    run = WalkEpisodes(
        commands=commands,
        achieved=achieved,
        fallen_at=np.array([100, 60]),
        velocity=np.zeros((100, 2, 3)),
        qpos=np.zeros((100, 1, 19)),
    )
    figures = summarize(run)
    assert figures["velocity_error_mps"] == pytest.approx(0.5 / 3)
    assert figures["yaw_error_radps"] == pytest.approx(0.1 / 3)
    assert figures["fall_rate"] == 0.5
    assert figures["episodes"] == 2
    assert len(figures["commands"]) == 3
    first = figures["commands"][0]
    assert first["vx_mps"] == 1.0 and first["achieved_vx_mps"] == pytest.approx(0.7)
    assert dataclasses.is_dataclass(run)


@pytest.mark.parametrize(("learned", "used"), [(0.5, 0.5), (0.1, 0.3)])
def test_exploration_in_the_latent_has_a_floor(module, learned: float, used: float):
    agent = ReuseAgent(dataclasses.replace(SMALL, min_std=0.3), FrozenDecoder.of(module), 3, 52)
    params = agent.init(jax.random.key(1)) | {"log_std": jnp.full(4, np.log(learned))}
    obs, z = _observations(4000), jnp.zeros((4000, 4))
    carried = jnp.zeros((4000, 7))
    done = agent.act(params, obs, carried, jax.random.key(2), deterministic=False)
    mean = agent.mean(params, obs, {"z_tm1": z, "mean_velocity": done.z[:, 4:]})
    spread = (done.z[:, :4] - mean).std(axis=0)
    np.testing.assert_allclose(spread, used, rtol=0.05)
    again = agent.evaluate(params, obs, done.record)
    np.testing.assert_allclose(again.log_prob, done.record["log_prob"], rtol=1e-5)
