import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from legged_skills.robots.errors import SettingsError
from legged_skills.skill_module import prior
from legged_skills.skill_module.tracker import TrackerAgent, TrackerArchitecture


def _agent(persistence: float, lasting_share: float = 1.0) -> TrackerAgent:
    return TrackerAgent(
        architecture=TrackerArchitecture(
            policy_hidden=(8,),
            critic_hidden=(4,),
            initial_action_std=0.2,
            min_action_std=0.15,
            persistence=persistence,
            lasting_share=lasting_share,
        ),
        proprioception_size=3,
        privileged_size=5,
        action_size=2,
    )


def _obs(count: int, seed: int = 0) -> dict[str, jax.Array]:
    rng = np.random.default_rng(seed)
    sizes = {"proprioception": 3, "privileged": 5, "reference_action": 2}
    return {k: jnp.asarray(rng.normal(size=(count, s)), jnp.float32) for k, s in sizes.items()}


def test_exploration_that_lasts_by_hand():
    agent, key = _agent(0.9), jax.random.key(1)
    params, obs = agent.init(jax.random.key(0)), _obs(4)
    off_tm1 = jnp.asarray(np.random.default_rng(2).normal(size=(4, 2)), jnp.float32)
    decision = agent.act(params, obs, off_tm1, key, deterministic=False)
    mean = agent.mean(params, obs)
    # An AR(1) process of standard deviation 0.2.
    new = 0.2 * np.sqrt(1.0 - 0.9**2)
    off = 0.9 * off_tm1 + new * jax.random.normal(key, (4, 2))
    np.testing.assert_allclose(decision.action, mean + off, atol=1e-6)
    np.testing.assert_allclose(decision.z, off, atol=1e-6)
    log_std = jnp.full((1, 2), np.log(new))
    wanted = prior.log_prob(decision.action, mean + 0.9 * off_tm1, log_std)
    np.testing.assert_allclose(decision.record["log_prob"], wanted, rtol=1e-5)
    judged = agent.evaluate(params, obs, decision.record)
    np.testing.assert_allclose(judged.log_prob, wanted, rtol=1e-5)


@pytest.mark.parametrize("persistence", [0.0, 0.9])
def test_exploration_is_as_wide_as_its_settings_say(persistence):
    agent = _agent(persistence)
    params, obs = agent.init(jax.random.key(0)), _obs(500)
    mean, z, off = agent.mean(params, obs), jnp.zeros((500, agent.carried_size)), []
    for t in range(60):
        decision = agent.act(params, obs, z, jax.random.key(t), deterministic=False)
        z = decision.z
        off.append(np.asarray(decision.action - mean))
    late, before = np.ravel(off[-1]), np.ravel(off[-2])
    assert np.std(late) == pytest.approx(0.2, rel=0.08)
    assert np.corrcoef(late, before)[0, 1] == pytest.approx(persistence, abs=0.08)


def test_the_noise_of_some_robots_lasts():
    agent, key = _agent(0.9, lasting_share=0.25), jax.random.key(1)
    params, obs = agent.init(jax.random.key(0)), _obs(4)
    decision = agent.act(params, obs, jnp.ones((4, 2)), key, deterministic=False)
    noise = jax.random.normal(key, (4, 2))
    np.testing.assert_allclose(decision.z[0], 0.9 + 0.2 * np.sqrt(0.19) * noise[0], atol=1e-6)
    np.testing.assert_allclose(decision.z[1:], 0.2 * noise[1:], atol=1e-6)
    judged = agent.evaluate(params, obs, decision.record)
    np.testing.assert_allclose(judged.log_prob, decision.record["log_prob"], rtol=1e-5)


@pytest.mark.parametrize(("log_std", "wanted"), [(-9.0, 0.15), (np.log(0.25), 0.25), (9.0, 0.3)])
def test_exploration_stays_within_its_limits(log_std, wanted):
    agent = dataclasses.replace(
        _agent(0.0),
        architecture=dataclasses.replace(_agent(0.0).architecture, max_action_std=0.3),
    )
    params = agent.init(jax.random.key(0)) | {"action_log_std": jnp.full((2,), log_std)}
    obs, key = _obs(4), jax.random.key(1)
    off = agent.act(params, obs, jnp.zeros((4, 0)), key, deterministic=False).action - agent.mean(
        params, obs
    )
    np.testing.assert_allclose(off, wanted * jax.random.normal(key, (4, 2)), rtol=1e-4, atol=1e-6)


def test_nothing_is_carried_where_nothing_lasts():
    agent = _agent(0.0)
    params, obs = agent.init(jax.random.key(0)), _obs(4)
    decision = agent.act(params, obs, jnp.zeros((4, 0)), jax.random.key(1), deterministic=False)
    assert agent.carried_size == 0
    assert decision.z.shape == (4, 0)


def test_without_exploration_the_mean_is_done_whatever_was_before():
    agent = _agent(0.9)
    params, obs = agent.init(jax.random.key(0)), _obs(4)
    decision = agent.act(params, obs, jnp.ones((4, 2)), jax.random.key(1), deterministic=True)
    np.testing.assert_array_equal(decision.action, agent.mean(params, obs))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"persistence": 1.0}, r"persistence is 1\.0, expected at least 0 and less than 1"),
        ({"persistence": -0.1}, "persistence is -0.1"),
        ({"min_action_std": 0.0}, "min_action_std is 0.0, expected more than 0"),
        (
            {"min_action_std": 0.3, "max_action_std": 0.2},
            "max_action_std is 0.2, expected at least the 0.3 of min_action_std",
        ),
        ({"lasting_share": 1.1}, "lasting_share is 1.1, expected"),
    ],
)
def test_numbers_out_of_range_are_refused(setting, message):
    with pytest.raises(SettingsError, match=message):
        TrackerArchitecture(**setting)
