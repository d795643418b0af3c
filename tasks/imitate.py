"""Learning to say what somebody says who knows better, in the states that one gets into oneself.

A task policy that begins at nothing learns nothing of what it never meets by chance. Where a
teacher is at hand that can do some of the task, the policy first acts, and learns what the teacher
would have said (Ross et al. 2011, "DAgger"); then it is trained on the task.
"""

from collections.abc import Mapping
from functools import partial
from typing import Protocol

import jax
import jax.numpy as jnp
from jax import Array

from legged_skills.skill_module.agents import Agent, Observations, Params
from legged_skills.skill_module.distil import TeachingConfig
from legged_skills.skill_module.ppo import Batch, LearnerState, Schedule, descend


class Pupil(Agent, Protocol):
    """An agent that says a latent; hashable."""

    def mean(self, params: Params, obs: Observations, record: Mapping[str, Array]) -> Array:
        """(N, L) mean of the next latent."""
        ...

    def beside(self, params: Params, obs: Observations) -> Array:
        """(N,) loss of what is learned beside the policy."""
        ...


class Teacher(Protocol):
    """Says which latent should come next; hashable."""

    def latent(self, params: Params, obs: Observations, record: Mapping[str, Array]) -> Array:
        """(T, N, L), given its own parameters, and observations and records (T, N, ...)."""
        ...


@partial(jax.jit, static_argnames=("teacher", "agent", "config"))
def update(
    teacher: Teacher,
    teacher_params: Params,
    agent: Pupil,
    config: TeachingConfig,
    state: LearnerState,
    batch: Batch,
    schedule: Schedule,
    key: Array,
) -> tuple[LearnerState, dict[str, Array]]:
    """All epochs and minibatches of one iteration; see ``ppo.update``.

    The loss is the squared distance from the teacher's latent, and that of what is learned beside
    the policy.
    """
    label = teacher.latent(teacher_params, batch.obs, batch.record)
    data = {"obs": batch.obs, "record": batch.record, "label": label}
    data = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), data)

    def loss(params: Params, rows: Array) -> tuple[Array, dict[str, Array]]:
        part = jax.tree.map(lambda x: x[rows], data)
        error = jnp.square(agent.mean(params, part["obs"], part["record"]) - part["label"])
        beside = agent.beside(params, part["obs"]).mean()
        total = 0.5 * error.sum(axis=-1).mean() + 0.5 * beside
        return total, {"latent_error": jnp.sqrt(error.mean()), "auxiliary": beside}

    state, figures = descend(
        agent, config, state, loss, batch.reward.size, schedule.step_share, key
    )
    return state, {**figures, "kl_prior": jnp.float32(0.0)}
