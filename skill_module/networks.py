"""The networks of all agents: plain MLPs with ELU, and a Gaussian made of one."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

MIN_LOG_STD = -4.0
MAX_LOG_STD = 1.0


class Mlp(nn.Module):
    """Fully connected layers with ELU between them, none after the last.

    Attributes:
        hidden: widths of the hidden layers.
        out: number of outputs.
        out_scale: gain of the last layer's initial weights; small ones start near zero output.
    """

    hidden: Sequence[int]
    out: int
    out_scale: float = 1.0

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps (..., D) to (..., out)."""
        for width in self.hidden:
            x = nn.elu(nn.Dense(width, kernel_init=nn.initializers.orthogonal(2.0**0.5))(x))
        return nn.Dense(self.out, kernel_init=nn.initializers.orthogonal(self.out_scale))(x)


class Gaussian(nn.Module):
    """An MLP that gives mean and standard deviation of a diagonal Gaussian.

    Attributes:
        hidden: widths of the hidden layers.
        out: number of dimensions.
        initial_std: standard deviation at the start of training.
    """

    hidden: Sequence[int]
    out: int
    initial_std: float = 1.0

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Maps (..., D) to mean and log standard deviation, (..., out) each."""
        both = Mlp(self.hidden, 2 * self.out, out_scale=0.1)(x)
        mean, log_std = jnp.split(both, 2, axis=-1)
        log_std = jnp.clip(
            log_std + jnp.log(jnp.float32(self.initial_std)), MIN_LOG_STD, MAX_LOG_STD
        )
        return mean, log_std
