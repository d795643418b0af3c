"""The AR(1) prior over latents, and the Gaussian formulas that go with it.

The prior says that a latent changes slowly: p(z_t | z_{t-1}) = N(alpha z_{t-1}, (1 - alpha^2) I),
whose stationary distribution is N(0, I) (Merel et al. 2019, "Neural probabilistic motor
primitives", section 3.3; Bohez et al. 2022 use alpha = 0.95).
"""

import jax
import jax.numpy as jnp
from jax import Array

_LOG_2PI = 1.8378770664093453


def prior_std(alpha: float) -> float:
    """Standard deviation of one step of the prior, sqrt(1 - alpha^2)."""
    return (1.0 - alpha**2) ** 0.5


def sample_prior(key: Array, z_tm1: Array, alpha: float) -> Array:
    """Draws z_t from the prior.

    Args:
        key: random key; it is consumed.
        z_tm1: (..., L) the latent before.
        alpha: autocorrelation, in [0, 1).

    Returns:
        (..., L) the next latent.
    """
    noise = jax.random.normal(key, z_tm1.shape)
    return alpha * z_tm1 + prior_std(alpha) * noise


def kl_to_prior(mean: Array, log_std: Array, z_tm1: Array, alpha: float) -> Array:
    """KL divergence from N(mean, std^2) to the prior, in closed form.

    Args:
        mean: (..., L).
        log_std: (..., L).
        z_tm1: (..., L) the latent before.
        alpha: autocorrelation of the prior.

    Returns:
        (...,) divergence, summed over the latent's dimensions [nat].
    """
    return jnp.sum(kl_per_dimension(mean, log_std, z_tm1, alpha), axis=-1)


def kl_per_dimension(mean: Array, log_std: Array, z_tm1: Array, alpha: float) -> Array:
    """(..., L) the parts of ``kl_to_prior`` that each dimension of the latent adds [nat]."""
    variance = 1.0 - alpha**2
    ratio = jnp.exp(2.0 * log_std) / variance
    offset = jnp.square(mean - alpha * z_tm1) / variance
    return 0.5 * (ratio + offset - 1.0 - jnp.log(ratio))


def log_prob(x: Array, mean: Array, log_std: Array) -> Array:
    """Log density of a diagonal Gaussian.

    Args:
        x: (..., D).
        mean: (..., D).
        log_std: broadcasts against x.

    Returns:
        (...,) log density, summed over dimensions [nat].
    """
    scaled = (x - mean) * jnp.exp(-log_std)
    return -jnp.sum(0.5 * jnp.square(scaled) + log_std + 0.5 * _LOG_2PI, axis=-1)


def entropy(log_std: Array) -> Array:
    """Differential entropy of a diagonal Gaussian with log_std (..., D), (...,) [nat]."""
    return jnp.sum(log_std + 0.5 * (1.0 + _LOG_2PI), axis=-1)
