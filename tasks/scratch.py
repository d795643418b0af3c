"""A task policy without a skill module, to compare reuse with: it emits actions itself."""

from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from legged_skills.skill_module.agents import Architecture, Evaluation, Observations, Params
from legged_skills.skill_module.networks import Mlp
from legged_skills.skill_module.symmetry import (
    Equivariance,
    Representation,
    Symmetry,
    join,
    mlp_layers,
)
from legged_skills.skill_module.tracker import TrackerAgent, TrackerArchitecture
from legged_skills.tasks.reuse import VELOCITY_SIZE, PolicyArchitecture


@dataclass(frozen=True, kw_only=True)
class ScratchArchitecture(TrackerArchitecture):
    """Sizes of the networks of a task policy without a skill module."""

    policy_hidden: tuple[int, ...] = (512, 384)
    """Widths of the policy's hidden layers."""
    estimator_hidden: tuple[int, ...] = (128, 64)
    """Widths of the velocity estimator's hidden layers."""
    initial_action_std: float = 0.5
    """Exploration noise on the action at the start of training: as where decoders are learned by
    PPO, see ``Architecture``."""
    min_action_std: float = 0.45
    """It gets no smaller than this; see ``Architecture.min_action_std``."""

    @classmethod
    def like(cls, reuse: PolicyArchitecture, module: Architecture) -> "ScratchArchitecture":
        """As large as a policy and the decoder that it moves together.

        Their layers stand beside each other, so that there are as many units, and at least as many
        weights: the first layer takes in all that both do, and the second layers see each other.

        Args:
            reuse: sizes of the policy on the module; estimator and critic have the same here.
            module: sizes of the module. How it explored is left out: a module that was distilled
                knew already what to do.
        """
        pairs = zip_longest(reuse.policy_hidden, module.decoder_hidden, fillvalue=0)
        return cls(
            policy_hidden=tuple(policy + decoder for policy, decoder in pairs),
            critic_hidden=reuse.critic_hidden,
            estimator_hidden=reuse.estimator_hidden,
        )


@dataclass(frozen=True)
class ScratchAgent(TrackerAgent):
    """Policy pi(a_t | proprioception, velocity, task) over actions, and a critic.

    It acts and explores as a tracker does, but around the default pose, and it is told what a
    ``ReuseAgent`` is told: the velocity is that of an estimator, which is trained beside it.

    Attributes:
        architecture: sizes.
        proprioception_size: length of the "proprioception" observation.
        privileged_size: length of the "privileged" observation.
        action_size: J.
        equivariance: how networks are mirrored.
        task_size: length of the "task" observation.
    """

    architecture: ScratchArchitecture
    task_size: int = field(kw_only=True)

    @cached_property
    def estimator(self) -> Mlp:
        """Proprioception -> velocity of the base in the base frame, in the unit of "velocity"."""
        return Mlp(self.architecture.estimator_hidden, VELOCITY_SIZE, out_scale=0.01)

    def init(self, key: Array) -> Params:
        """New parameters; the key is consumed."""
        policy, critic, estimator = jax.random.split(key, 3)
        told = jnp.zeros((1, self.proprioception_size))
        seen = jnp.zeros((1, self.proprioception_size + VELOCITY_SIZE + self.task_size))
        log_std = jnp.log(jnp.float32(self.architecture.initial_action_std))
        params = {
            "policy": self.policy.init(policy, seen)["params"],
            "estimator": self.estimator.init(estimator, told)["params"],
            "critic": self.critic.init(critic, jnp.zeros((1, self.privileged_size)))["params"],
            "action_log_std": jnp.full((self.action_size,), log_std),
        }
        return self.equivariance.begin(params)

    def velocity(self, params: Params, obs: Observations) -> Array:
        """(N, 3) how fast the robots seem to move, in the unit of "velocity"."""
        found: Any = self.estimator.apply({"params": params["estimator"]}, obs["proprioception"])
        return found

    def mean(self, params: Params, obs: Observations) -> Array:
        """The mean action (N, J)."""
        velocity = jax.lax.stop_gradient(self.velocity(params, obs))
        inputs = jnp.concatenate([obs["proprioception"], velocity, obs["task"]], axis=-1)
        action: Any = self.policy.apply({"params": params["policy"]}, inputs)
        return action

    def evaluate(self, params: Params, obs: Observations, record: Any) -> Evaluation:
        """Likelihood of recorded actions, and the estimator's loss."""
        error = self.velocity(params, obs) - obs["velocity"]
        found = super().evaluate(params, obs, record)
        return found._replace(auxiliary=jnp.square(error).sum(axis=-1))


def scratch_equivariance(
    symmetry: Symmetry,
    architecture: ScratchArchitecture,
    proprioception: Representation,
    task: Representation,
    privileged: Representation,
) -> Equivariance:
    """How the networks of a ``ScratchAgent`` are mirrored, given how its observations are.

    Raises:
        SettingsError: a layer cannot be mirrored.
    """
    seen = join([proprioception, symmetry.polar, task])
    estimator = architecture.estimator_hidden
    networks = {
        "policy": mlp_layers(symmetry, seen, architecture.policy_hidden, symmetry.joints),
        "estimator": mlp_layers(symmetry, proprioception, estimator, symmetry.polar),
        "critic": mlp_layers(symmetry, privileged, architecture.critic_hidden, symmetry.scalars()),
    }
    return Equivariance(networks, {"action_log_std": symmetry.joints.unsigned()})
