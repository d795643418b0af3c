"""Collecting experience: T control steps of N environments, ready for one PPO update."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from legged_skills.robots.files import begun_with
from legged_skills.skill_module.agents import Actor, Agent, Decision, Params
from legged_skills.skill_module.environment import Environment
from legged_skills.skill_module.ppo import Batch

_PADDING = 256
"""Final observations are evaluated in multiples of this many, to keep compilations few."""


class Collected(NamedTuple):
    """What ``collect`` returns."""

    batch: Batch
    """For the update."""
    z: np.ndarray
    """(N, C) what is carried into the next collection; zero where an episode ended."""
    figures: dict[str, float]
    """Means over the collection, to log."""


@partial(jax.jit, static_argnames=("agent", "deterministic"))
def act(
    agent: Actor,
    params: Params,
    obs: Mapping[str, Array],
    z_tm1: Array,
    key: Array,
    deterministic: bool = False,
) -> Decision:
    """The agent's decision, jitted. The key is consumed."""
    return agent.act(params, obs, z_tm1, key, deterministic)


def carried(decision: Decision, ended: np.ndarray) -> np.ndarray:
    """What is carried into the next step, (N, C).

    Args:
        decision: of this step.
        ended: (N,) True where the episode ended, or the physics diverged, in this step: what was
            carried begins anew there, from zero.
    """
    z = np.array(decision.z)
    z[ended] = 0.0
    return z


@partial(jax.jit, static_argnames=("agent",))
def _value(agent: Agent, params: Params, privileged: Array) -> Array:
    return agent.value(params, privileged)


def collect(
    agent: Agent, params: Params, env: Environment, steps: int, z: np.ndarray, key: Array
) -> Collected:
    """Runs the agent in the environment.

    Args:
        agent: decides.
        params: its parameters.
        env: N environments.
        steps: T.
        z: (N, C) what is carried from the step before.
        key: random key; it is consumed.
    """
    n = env.num_envs
    buffers: dict[str, np.ndarray] = {}
    finals: list[np.ndarray] = []
    totals: dict[str, float] = {}
    z = np.array(z)

    def store(group: str, t: int, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            value = np.asarray(value)
            slot = f"{group}/{name}"
            if slot not in buffers:
                buffers[slot] = np.empty((steps, *value.shape), value.dtype)
            buffers[slot][t] = value

    for t in range(steps):
        obs = env.observe()
        decision = act(agent, params, obs, z, jax.random.fold_in(key, t))
        outcome = env.step(np.asarray(decision.action))
        done = outcome.terminated | outcome.truncated
        z = carried(decision, done)
        store("obs", t, obs)
        store("record", t, decision.record)
        ends = {"terminated": outcome.terminated, "truncated": outcome.truncated}
        store("step", t, {"reward": outcome.reward, **ends})
        finals.append(outcome.final_privileged)
        for name, term in outcome.terms.items():
            totals[name] = totals.get(name, 0.0) + float(term.mean())

    privileged = np.concatenate(
        [buffers["obs/privileged"], env.observe()["privileged"][None]], axis=0
    )
    values = np.asarray(_value(agent, params, privileged.reshape((steps + 1) * n, -1)))
    values = values.reshape(steps + 1, n)
    next_value = values[1:].copy()
    truncated = buffers["step/truncated"]
    next_value[truncated] = _final_values(agent, params, np.concatenate(finals))
    batch = Batch(
        obs=jax.tree.map(jnp.asarray, begun_with("obs/", buffers)),
        record=jax.tree.map(jnp.asarray, begun_with("record/", buffers)),
        reward=jnp.asarray(buffers["step/reward"]),
        terminated=jnp.asarray(buffers["step/terminated"]),
        truncated=jnp.asarray(truncated),
        value=jnp.asarray(values[:-1]),
        next_value=jnp.asarray(next_value),
    )
    figures = {name: total / steps for name, total in totals.items()}
    figures["reward"] = float(buffers["step/reward"].mean())
    figures["lost_per_1000_steps"] = 1000.0 * float(buffers["step/terminated"].mean())
    return Collected(batch, z, figures)


def _final_values(agent: Agent, params: Params, finals: np.ndarray) -> np.ndarray:
    """Values of the states in which episodes were cut, in the order of collection."""
    count = len(finals)
    if count == 0:
        return np.zeros(0, np.float32)
    padded = np.zeros((-(-count // _PADDING) * _PADDING, finals.shape[1]), np.float32)
    padded[:count] = finals
    return np.asarray(_value(agent, params, padded))[:count]
