"""Distilling a tracker into encoder and decoder, with the latent's divergence from the prior.

The student acts, and the tracker says what it should have done in the states that it got into
(Ross et al. 2011, "DAgger"; PULSE, Luo et al. 2024, distils a tracker into a latent so). What is
minimised is the negative evidence lower bound of the tracker's actions (Merel et al. 2019):
their squared error, and the divergence of the encoder from the AR(1) prior. Its gradient
runs through the latents of a whole stretch of time, so that the encoder is credited for what an
earlier latent spares it later.

Axes: T control steps, N environments, B = a minibatch of N.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from legged_skills.robots.errors import (
    require_at_least,
    require_not_negative,
    require_positive,
    require_within,
)
from legged_skills.skill_module import prior
from legged_skills.skill_module.agents import ImitationAgent, Params
from legged_skills.skill_module.ppo import Batch, LearnerState, Schedule, descend
from legged_skills.skill_module.tracker import TrackerAgent


@dataclass(frozen=True, kw_only=True)
class TeachingConfig:
    """Settings of any learning from a teacher."""

    steps: int = 24
    """T, control steps of every environment between two updates."""
    epochs: int = 2
    """Passes over the collected data in one update."""
    minibatches: int = 4
    """Parts that the collected data is cut into in each pass."""
    learning_rate: float = 1e-3
    """Adam's step size."""
    max_grad_norm: float = 1.0
    """Gradients longer than this are scaled down."""
    averaging: float = 0.98
    """Share of the running mean of the parameters that an iteration keeps; 0 for no mean."""

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            SettingsError: one of them is out of its range.
        """
        require_at_least(self, steps=1, epochs=1, minibatches=1)
        require_not_negative(self, "learning_rate")
        require_positive(self, "max_grad_norm")
        require_within(self, averaging=(0.0, 1.0))


@dataclass(frozen=True, kw_only=True)
class DistilConfig(TeachingConfig):
    """Settings of the distillation; its minibatches are parts of the environments."""

    kl_weight: float = 1e-1
    """Weight of the latent's divergence from the prior, per nat."""
    action_std: float = 0.2
    """Noise on the student's actions, so that it gets about."""
    encoder_only: bool = False
    """Leave the decoder of the module to begin with as it is: what was trained on it, and the prior
    alone, go on as before."""

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            SettingsError: one of them is out of its range.
        """
        super().__post_init__()
        require_not_negative(self, "kl_weight", "action_std")


def latents(agent: ImitationAgent, params: Params, data: dict[str, Any]) -> tuple[Array, Array]:
    """Latents of a stretch of time, drawn again with the recorded noise.

    Args:
        agent: the student.
        params: its parameters.
        data: (T, B, ...): "privileged", "z_noise", "z_tm1", and "first": True where an
            episode begins.

    Returns:
        (T, B, L) latents and (T, B) divergences of their distributions from the prior [nat].
    """

    def step(z: Array, at: dict[str, Array]) -> tuple[Array, tuple[Array, Array]]:
        z_tm1 = jnp.where(at["first"][:, None], at["z_tm1"], z)
        mean, log_std = agent.encode(params, at["privileged"], z_tm1)
        kl = prior.kl_to_prior(mean, log_std, z_tm1, agent.architecture.alpha)
        z = mean + jnp.exp(log_std) * at["z_noise"]
        return z, (z, kl)

    _, found = jax.lax.scan(step, data["z_tm1"][0], data)
    return found


def loss(
    agent: ImitationAgent,
    params: Params,
    data: dict[str, Any],
    kl_weight: float | Array,
    encoder_only: bool = False,
) -> tuple[Array, dict[str, Array]]:
    """The negative evidence lower bound of the tracker's actions, up to constants.

    Args:
        agent: the student.
        params: its parameters.
        data: (T, B, ...): what ``latents`` needs, "proprioception", and the tracker's "label".
        kl_weight: () weight of the divergence, per nat.
        encoder_only: see ``DistilConfig``.

    Returns:
        The loss, and figures to log: all scalars.
    """
    if encoder_only:
        params = {**params, "decoder": jax.lax.stop_gradient(params["decoder"])}
    names = ("privileged", "z_noise", "z_tm1", "first")
    z, kl = latents(agent, params, {name: data[name] for name in names})
    error = agent.decode(params, data["proprioception"], z) - data["label"]
    squared = jnp.square(error).sum(axis=-1).mean()
    total = 0.5 * squared + kl_weight * kl.mean()
    return total, {"action_error": jnp.sqrt(jnp.square(error).mean()), "kl_prior": kl.mean()}


@partial(jax.jit, static_argnames=("tracker", "agent", "config"))
def update(
    tracker: TrackerAgent,
    tracker_params: Params,
    agent: ImitationAgent,
    config: DistilConfig,
    state: LearnerState,
    batch: Batch,
    schedule: Schedule,
    key: Array,
) -> tuple[LearnerState, dict[str, Array]]:
    """All epochs and minibatches of one iteration; see ``ppo.update``."""
    # Where the latent before is not the encoder's own: after a reset, and after a free step.
    ended = batch.terminated | batch.truncated | (batch.obs["free"][..., 0] > 0.0)
    data = {
        "privileged": batch.obs["privileged"],
        "proprioception": batch.obs["proprioception"],
        "z_noise": batch.record["z_noise"],
        "z_tm1": batch.record["z_tm1"],
        "first": jnp.concatenate([jnp.zeros_like(ended[:1]), ended[:-1]]),
        "label": tracker.mean(tracker_params, batch.obs),
    }
    return descend(
        agent,
        config,
        state,
        lambda params, rows: loss(
            agent,
            params,
            jax.tree.map(lambda x: x[:, rows], data),
            schedule.kl_weight,
            config.encoder_only,
        ),
        batch.reward.shape[1],
        schedule.step_share,
        key,
    )
