import jax
import jax.numpy as jnp
import numpy as np
import pytest

from legged_skills.skill_module import prior


def test_prior_is_stationary():
    # Many steps from zero: mean 0, variance 1, correlation alpha from step to step.
    z = jnp.zeros((4000, 2))
    for key in jax.random.split(jax.random.key(0), 120):
        before, z = z, prior.sample_prior(key, z, 0.95)
    assert float(jnp.abs(z.mean(axis=0)).max()) < 0.06
    np.testing.assert_allclose(z.std(axis=0), 1.0, atol=0.05)
    correlation = np.corrcoef(np.asarray(before[:, 0]), np.asarray(z[:, 0]))[0, 1]
    assert correlation == pytest.approx(0.95, abs=0.01)


def test_kl_of_the_prior_with_itself_is_zero():
    z = jnp.array([[0.3, -2.0]])
    log_std = jnp.full((1, 2), jnp.log(prior.prior_std(0.95)))
    np.testing.assert_allclose(prior.kl_to_prior(0.95 * z, log_std, z, 0.95), 0.0, atol=1e-6)


def test_kl_by_hand():
    # alpha 0.6: variance 0.64. N(1, 0.64 e^2) against N(0.6 * 0.5, 0.64):
    # 0.5 (e^2 + 0.7^2 / 0.64 - 1 - 2).
    mean, z = jnp.array([[1.0]]), jnp.array([[0.5]])
    log_std = jnp.array([[np.log(0.8) + 1.0]], dtype=jnp.float32)
    wanted = 0.5 * (np.e**2 + 0.49 / 0.64 - 3.0)
    np.testing.assert_allclose(prior.kl_to_prior(mean, log_std, z, 0.6), [wanted], rtol=1e-5)
    parts = prior.kl_per_dimension(mean, log_std, z, 0.6)
    assert parts.shape == mean.shape
    np.testing.assert_allclose(parts.sum(axis=-1), [wanted], rtol=1e-5)


def test_kl_agrees_with_sampling():
    mean, log_std, z = jnp.array([[0.4, -0.2]]), jnp.array([[-0.5, -1.5]]), jnp.array([[1.0, 0.0]])
    noise = jax.random.normal(jax.random.key(1), (200_000, 2))
    x = mean + jnp.exp(log_std) * noise
    other = jnp.full((1, 2), jnp.log(prior.prior_std(0.95)))
    sampled = (prior.log_prob(x, mean, log_std) - prior.log_prob(x, 0.95 * z, other)).mean()
    np.testing.assert_allclose(prior.kl_to_prior(mean, log_std, z, 0.95)[0], sampled, rtol=0.02)


def test_log_prob_and_entropy_by_hand():
    # Standard normal at 0 and at 1: -0.919 and -1.419; two dimensions add.
    x, zero = jnp.array([[0.0, 1.0]]), jnp.zeros((1, 2))
    np.testing.assert_allclose(prior.log_prob(x, zero, zero), [-0.918939 - 1.418939], rtol=1e-5)
    np.testing.assert_allclose(prior.entropy(zero), [2 * 1.418939], rtol=1e-5)
