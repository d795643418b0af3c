import jax
import jax.numpy as jnp
import numpy as np
import pytest

from legged_skills.robots.errors import SettingsError
from legged_skills.skill_module import prior
from legged_skills.skill_module.agents import Architecture, ImitationAgent
from legged_skills.skill_module.rollout import act
from legged_skills.skill_module.train import with_prior

SMALL = Architecture(
    latent_size=2,
    encoder_hidden=(4,),
    decoder_hidden=(4,),
    critic_hidden=(4,),
    initial_action_std=0.5,
    min_action_std=0.3,
)
AGENT = ImitationAgent(SMALL, proprioception_size=3, privileged_size=5, action_size=2)


@pytest.mark.parametrize(("learned", "used"), [(0.5, 0.5), (0.1, 0.3)])
def test_exploration_on_the_action_has_a_floor(learned: float, used: float):
    params = AGENT.init(jax.random.key(0)) | {"action_log_std": jnp.full(2, np.log(learned))}
    obs = {"proprioception": jnp.zeros((4000, 3)), "privileged": jnp.zeros((4000, 5))}
    z = jnp.zeros((4000, 2))
    done = AGENT.act(params, obs, z, jax.random.key(1), deterministic=False)
    mean = AGENT.decode(params, obs["proprioception"], done.z)
    np.testing.assert_allclose((done.action - mean).std(axis=0), used, rtol=0.05)
    again = AGENT.evaluate(params, obs, done.record)
    np.testing.assert_allclose(again.log_prob, done.record["log_prob"], rtol=1e-5)
    # Entropy of two independent Gaussians.
    np.testing.assert_allclose(
        again.entropy, 2 * np.log(used * np.sqrt(2 * np.pi * np.e)), rtol=1e-5
    )


def test_an_encoder_that_adds_nothing_is_the_prior():
    params = AGENT.init(jax.random.key(0))
    silent = jax.tree.map(jnp.zeros_like, params["encoder"])
    z_tm1 = jax.random.normal(jax.random.key(1), (5, 2))
    mean, log_std = AGENT.encode({"encoder": silent}, jnp.ones((5, 5)), z_tm1)
    np.testing.assert_allclose(mean, SMALL.alpha * z_tm1, rtol=1e-6)
    np.testing.assert_allclose(log_std, np.log(prior.prior_std(SMALL.alpha)), rtol=1e-6)
    kl = prior.kl_to_prior(mean, log_std, z_tm1, SMALL.alpha)
    np.testing.assert_allclose(kl, 0.0, atol=1e-6)


def test_another_prior_leaves_the_encoder_what_it_was():
    other = ImitationAgent(with_prior(SMALL, 0.5), 3, 5, 2)
    assert other.architecture.alpha == 0.5 and with_prior(SMALL, None) is SMALL
    # Given a prior once more, the encoder is still the one that was trained.
    assert with_prior(other.architecture, 0.7).encoder_filter == SMALL.alpha
    params = AGENT.init(jax.random.key(0))
    z_tm1, seen = jax.random.normal(jax.random.key(1), (5, 2)), jnp.ones((5, 5))
    for found, wanted in zip(
        other.encode(params, seen, z_tm1), AGENT.encode(params, seen, z_tm1), strict=True
    ):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("latent_size", 0, "at least 1"),
        ("decoder_hidden", (8, 0), "widths of at least 1"),
        ("alpha", 1.0, "at least 0 and less than 1"),
        ("encoder_filter", float("nan"), "at least 0 and less than 1"),
        ("initial_action_std", 0.0, "more than 0"),
        ("min_action_std", -0.1, "a finite number of at least 0"),
    ],
)
def test_networks_that_cannot_be_are_refused(name, value, expected):
    Architecture(alpha=0.0, encoder_hidden=(), min_action_std=0.0)
    with pytest.raises(SettingsError) as caught:
        Architecture(**{name: value})
    assert str(caught.value) == f"{name} is {value}, expected {expected}."


def test_robots_are_free_by_the_prior_that_the_encoder_is_held_to():
    # The encoder goes on with 0.95 of the latent before, the prior with 0.5 of it.
    agent = ImitationAgent(with_prior(SMALL, 0.5), 3, 5, 2)
    params, z_tm1 = agent.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (5, 2))
    obs = {"proprioception": jnp.ones((5, 3)), "privileged": jnp.ones((5, 5))}
    free = obs | {"free": jnp.array([[1.0], [0.0], [1.0], [0.0], [1.0]])}
    done = act(agent, params, free, z_tm1, jax.random.key(2))
    noise = done.record["z_noise"]
    mean, log_std = agent.encode(params, obs["privileged"], z_tm1)
    prior_z = 0.5 * z_tm1 + np.float32(np.sqrt(0.75)) * noise
    own_z = mean + jnp.exp(log_std) * noise
    np.testing.assert_allclose(done.z[::2], prior_z[::2], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(done.z[1::2], own_z[1::2], rtol=1e-5, atol=1e-6)
    judged = agent.evaluate(params, obs, done.record)
    wanted = prior.kl_to_prior(mean, log_std, z_tm1, 0.5)
    np.testing.assert_allclose(judged.kl, wanted, rtol=1e-5)
