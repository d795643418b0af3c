"""Proximal policy optimisation (Schulman et al. 2017), one jitted update per iteration.

Axes: T control steps, N environments, B = a minibatch of T * N.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax
from jax import Array

from legged_skills.robots.errors import (
    require_at_least,
    require_not_negative,
    require_positive,
    require_share,
    require_within,
)
from legged_skills.skill_module.agents import Agent, Params


@dataclass(frozen=True, kw_only=True)
class PpoConfig:
    """Settings of PPO."""

    steps: int = 24
    """T, control steps of every environment between two updates."""
    epochs: int = 4
    """Passes over the collected data in one update."""
    minibatches: int = 4
    """Parts the data is cut into in each pass."""
    gamma: float = 0.97
    """Discount over one control step."""
    lambda_: float = 0.95
    """Decay of generalised advantage estimation."""
    clip: float = 0.2
    """Range of the likelihood ratio within which the policy gains."""
    learning_rate: float = 1e-3
    """Adam's step size at the start; it follows ``target_kl``."""
    max_learning_rate: float = 2e-3
    """Upper end of the step size."""
    min_learning_rate: float = 1e-5
    """Lower end of the step size."""
    target_kl: float = 0.01
    """Wanted divergence between the policies before and after an update [nat]."""
    kl_weight: float = 1e-3
    """Weight of the latent's divergence from the prior, per nat."""
    entropy_weight: float = 0.0
    """Weight of the entropy of the exploration, per nat."""
    value_weight: float = 0.5
    """Weight of the critic's squared error."""
    auxiliary_weight: float = 0.5
    """Weight of the loss of what is learned beside the policy."""
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
        require_not_negative(self, "learning_rate", "max_learning_rate", "min_learning_rate")
        require_not_negative(self, "kl_weight", "entropy_weight", "value_weight")
        require_not_negative(self, "auxiliary_weight")
        require_positive(self, "clip", "target_kl", "max_grad_norm")
        # Rewards are weighted by 1 - gamma.
        require_share(self, "gamma")
        require_within(self, lambda_=(0.0, 1.0), averaging=(0.0, 1.0))


class LearnerConfig(Protocol):
    """What settings of any training say about the learner."""

    @property
    def epochs(self) -> int:
        """Passes over the collected data in one update."""
        ...

    @property
    def minibatches(self) -> int:
        """Parts the data is cut into in each pass."""
        ...

    @property
    def learning_rate(self) -> float:
        """Adam's step size at the start."""
        ...

    @property
    def max_grad_norm(self) -> float:
        """Gradients longer than this are scaled down."""
        ...

    @property
    def averaging(self) -> float:
        """Share of the running mean of the parameters that an iteration keeps."""
        ...


class LearnerState(NamedTuple):
    """All that an update changes."""

    params: Params
    """Parameters of the agent."""
    opt_state: Any
    """Adam's moments."""
    learning_rate: Array
    """() present step size."""
    average: Params
    """Running mean of ``params`` over the last updates, which is better than any one of them: the
    noise of the gradients averages out. This is what a finished training gives."""


class Schedule(NamedTuple):
    """What changes over a training, at one iteration."""

    kl_weight: float | Array
    """() weight of the latent's divergence from the prior, per nat."""
    step_share: float | Array = 1.0
    """() factor on the optimiser's step size."""
    policy_share: float | Array = 1.0
    """() factor on what moves the policy; 0 while only the critic and the estimator learn."""


class Batch(NamedTuple):
    """What was collected: T steps of N environments."""

    obs: dict[str, Array]
    """(T, N, ...) by group."""
    record: dict[str, Array]
    """(T, N, ...) what the agent recorded of its decisions, "log_prob" among it."""
    reward: Array
    """(T, N) as the environment gave it."""
    terminated: Array
    """(T, N) bool: the episode ended here and nothing comes after."""
    truncated: Array
    """(T, N) bool: the episode was cut here, though it could have gone on."""
    value: Array
    """(T, N) the critic's estimates of the states the decisions were taken in."""
    next_value: Array
    """(T, N) its estimates of the states they led to, before any reset."""


def advantages(
    reward: Array,
    value: Array,
    next_value: Array,
    terminated: Array,
    truncated: Array,
    gamma: float,
    lambda_: float,
) -> Array:
    """Generalised advantage estimation (Schulman et al. 2016, equation 16).

    A terminated step bootstraps with zero. A truncated one bootstraps with the value of the
    state it was cut in. Neither lets the estimate run into the next episode.

    Args:
        reward: (T, N).
        value: (T, N) of the state before the step.
        next_value: (T, N) of the state after the step, before any reset.
        terminated: (T, N) bool.
        truncated: (T, N) bool.
        gamma: discount.
        lambda_: decay.

    Returns:
        (T, N).
    """
    goes_on = 1.0 - terminated.astype(reward.dtype)
    same_episode = goes_on * (1.0 - truncated.astype(reward.dtype))
    delta = reward + gamma * goes_on * next_value - value

    def back(carry: Array, step: tuple[Array, Array]) -> tuple[Array, Array]:
        delta_t, same_t = step
        advantage_t = delta_t + gamma * lambda_ * same_t * carry
        return advantage_t, advantage_t

    _, result = jax.lax.scan(back, jnp.zeros_like(delta[0]), (delta, same_episode), reverse=True)
    return result


def optimizer(config: LearnerConfig) -> optax.GradientTransformation:
    """Adam with clipped gradients; the step size is applied by the update."""
    return optax.chain(optax.clip_by_global_norm(config.max_grad_norm), optax.scale_by_adam())


def init(agent: Agent, config: LearnerConfig, key: Array) -> LearnerState:
    """A new learner; the key is consumed."""
    return begin(agent.init(key), config)


def begin(params: Params, config: LearnerConfig) -> LearnerState:
    """A learner that has done nothing yet, with given parameters."""
    rate = jnp.asarray(config.learning_rate, jnp.float32)
    return LearnerState(params, optimizer(config).init(params), rate, params)


def restarted(state: LearnerState, config: LearnerConfig) -> LearnerState:
    """The same parameters, with an optimiser that has seen nothing yet."""
    return state._replace(opt_state=optimizer(config).init(state.params))


def averaged(state: LearnerState, config: LearnerConfig, iteration: int) -> LearnerState:
    """Takes the present parameters into their running mean.

    Args:
        state: the learner after an update.
        config: settings.
        iteration: number of that update, from 1; the mean forgets the first ones sooner.
    """
    kept = min(config.averaging, iteration / (iteration + 9.0))
    mean = jax.tree.map(lambda m, p: kept * m + (1.0 - kept) * p, state.average, state.params)
    return state._replace(average=mean)


def loss(
    agent: Agent,
    config: PpoConfig,
    params: Params,
    data: dict[str, Any],
    kl_weight: float | Array,
    policy_share: float | Array = 1.0,
) -> tuple[Array, dict[str, Array]]:
    """Clipped surrogate, squared value error and divergence from the prior, for one minibatch.

    Args:
        agent: what is trained.
        config: settings.
        params: its parameters.
        data: (B, ...) "obs", "record", "advantage" (normalised) and "target" of the critic.
        kl_weight: () present weight of the divergence from the prior, per nat.
        policy_share: () factor on what moves the policy.

    Returns:
        The loss, and figures to log: all scalars.
    """
    now = agent.evaluate(params, data["obs"], data["record"])
    log_ratio = now.log_prob - data["record"]["log_prob"]
    ratio = jnp.exp(log_ratio)
    clipped = jnp.clip(ratio, 1.0 - config.clip, 1.0 + config.clip)
    surrogate = jnp.minimum(ratio * data["advantage"], clipped * data["advantage"]).mean()
    value = agent.value(params, data["obs"]["privileged"])
    value_error = jnp.square(value - data["target"]).mean()
    kl = now.kl.mean()
    entropy = now.entropy.mean()
    auxiliary = jnp.mean(jnp.asarray(now.auxiliary))
    total = (
        policy_share * (kl_weight * kl - surrogate - config.entropy_weight * entropy)
        + config.value_weight * value_error
        + config.auxiliary_weight * auxiliary
    )
    figures = {
        "surrogate": surrogate,
        "value_error": value_error,
        "kl_prior": kl,
        "entropy": entropy,
        "auxiliary": auxiliary,
        # An unbiased, always positive estimate of KL(old || new).
        "kl_update": (ratio - 1.0 - log_ratio).mean(),
        "clipped_share": (jnp.abs(ratio - 1.0) > config.clip).astype(jnp.float32).mean(),
    }
    return total, figures


def descend(
    agent: Agent,
    config: LearnerConfig,
    state: LearnerState,
    loss_of: Callable[[Params, Array], tuple[Array, dict[str, Array]]],
    samples: int,
    step_share: float | Array,
    key: Array,
    adapted: Callable[[Array, dict[str, Array]], Array] = lambda rate, figures: rate,
) -> tuple[LearnerState, dict[str, Array]]:
    """Goes down the gradient of a loss, in epochs of minibatches, whatever is trained.

    Args:
        agent: what is trained.
        config: settings.
        state: the learner before.
        loss_of: (parameters, indices of a minibatch's samples) -> loss, and figures to log.
        samples: number of samples.
        step_share: () factor on the step size.
        key: random key for the shuffling; it is consumed.
        adapted: (step size, figures of a minibatch) -> step size of the next.

    Returns:
        The learner after, and figures averaged over the minibatches, with "learning_rate".
    """
    size = samples // config.minibatches
    adam = optimizer(config)

    def minibatch(carry: LearnerState, rows: Array) -> tuple[LearnerState, dict[str, Array]]:
        gradient, figures = jax.grad(lambda params: loss_of(params, rows), has_aux=True)(
            carry.params
        )
        steps, opt_state = adam.update(agent.project(gradient), carry.opt_state)
        rate = step_share * carry.learning_rate
        params = agent.bounded(jax.tree.map(lambda p, s: p - rate * s, carry.params, steps))
        after = adapted(carry.learning_rate, figures)
        return carry._replace(params=params, opt_state=opt_state, learning_rate=after), figures

    def epoch(carry: LearnerState, epoch_key: Array) -> tuple[LearnerState, dict[str, Array]]:
        order = jax.random.permutation(epoch_key, samples)[: size * config.minibatches]
        return jax.lax.scan(minibatch, carry, order.reshape(config.minibatches, size))

    state, figures = jax.lax.scan(epoch, state, jax.random.split(key, config.epochs))
    return state, {**jax.tree.map(jnp.mean, figures), "learning_rate": state.learning_rate}


@partial(jax.jit, static_argnames=("agent", "config"))
def update(
    agent: Agent,
    config: PpoConfig,
    state: LearnerState,
    batch: Batch,
    schedule: Schedule,
    key: Array,
) -> tuple[LearnerState, dict[str, Array]]:
    """All epochs and minibatches of one iteration.

    Rewards are scaled by 1 - gamma, so that values have the size of a reward per step.

    Args:
        agent: what is trained.
        config: settings.
        state: the learner before.
        batch: what was collected.
        schedule: what changes over a training, now.
        key: random key for the shuffling; it is consumed.

    Returns:
        The learner after, and figures averaged over the minibatches.
    """
    advantage = advantages(
        batch.reward * (1.0 - config.gamma),
        batch.value,
        batch.next_value,
        batch.terminated,
        batch.truncated,
        config.gamma,
        config.lambda_,
    )
    data = {
        "obs": batch.obs,
        "record": batch.record,
        "advantage": (advantage - advantage.mean()) / (advantage.std() + 1e-8),
        "target": advantage + batch.value,
    }
    data = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), data)

    def adapted(rate: Array, figures: dict[str, Array]) -> Array:
        # The step size follows the wanted divergence, as in rsl_rl and before it in TRPO's spirit.
        factor = jnp.where(
            figures["kl_update"] > 2.0 * config.target_kl,
            1.0 / 1.5,
            jnp.where(figures["kl_update"] < 0.5 * config.target_kl, 1.5, 1.0),
        )
        # Steps that shall shrink must not be enlarged because they are small.
        shrinks = jnp.asarray(schedule.step_share) < 1.0
        factor = jnp.where(shrinks, jnp.minimum(factor, 1.0), factor)
        after = jnp.clip(rate * factor, config.min_learning_rate, config.max_learning_rate)
        # A policy that does not move says nothing of how large its steps should be.
        return jnp.where(jnp.asarray(schedule.policy_share) > 0.0, after, rate)

    state, figures = descend(
        agent,
        config,
        state,
        lambda params, rows: loss(
            agent,
            config,
            params,
            jax.tree.map(lambda x: x[rows], data),
            schedule.kl_weight,
            schedule.policy_share,
        ),
        batch.reward.size,
        schedule.step_share,
        key,
        adapted,
    )
    explained = 1.0 - jnp.var(data["target"] - batch.value.reshape(-1)) / (
        jnp.var(data["target"]) + 1e-8
    )
    return state, {**figures, "explained_variance": explained}
