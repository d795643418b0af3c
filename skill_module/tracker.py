"""A tracker: a policy that follows references without a latent in between, to be distilled.

It sees all that the encoder and the decoder see together, and its actions start from the
reference's own joints. It learns in a fraction of the time that encoder and decoder take end to
end, and then says, in every state that these get into, what they should have done.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from legged_skills.robots.errors import require_positive, require_share
from legged_skills.skill_module import prior
from legged_skills.skill_module.agents import (
    Decision,
    Evaluation,
    Observations,
    Params,
    WithCritic,
)
from legged_skills.skill_module.networks import Mlp
from legged_skills.skill_module.symmetry import (
    UNMIRRORED,
    Equivariance,
    Representation,
    Symmetry,
    mlp_layers,
)


@dataclass(frozen=True, kw_only=True)
class TrackerArchitecture:
    """Sizes of a tracker's networks."""

    policy_hidden: tuple[int, ...] = (256, 256)
    """Widths of the policy's hidden layers."""
    critic_hidden: tuple[int, ...] = (256, 128)
    """Widths of the critic's hidden layers."""
    initial_action_std: float = 0.4
    """Exploration noise on the action at the start of training."""
    min_action_std: float = 0.3
    """It gets no smaller than this; see ``Architecture.min_action_std``."""
    persistence: float = 0.0
    """Autocorrelation of that noise over one control step; the deviations above are of what is new
    in a step. Drives low-pass what trembles: steps that catch a robot which was pushed are found
    by noise that lasts about as long as they do."""

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            SettingsError: one is out of its range.
        """
        require_positive(self, "initial_action_std", "min_action_std")
        require_share(self, "persistence")


@dataclass(frozen=True)
class TrackerAgent(WithCritic):
    """Policy pi(a_t | proprioception, privileged), critic V(privileged); no latent.

    The mean action is the one that asks for the reference's joints, plus what the policy adds.

    Attributes:
        architecture: sizes.
        proprioception_size: length of the "proprioception" observation.
        privileged_size: length of the "privileged" observation.
        action_size: J.
        equivariance: how networks are mirrored.
    """

    architecture: TrackerArchitecture
    proprioception_size: int
    privileged_size: int
    action_size: int
    equivariance: Equivariance = UNMIRRORED

    @property
    def off_size(self) -> int:
        """Length of how far the action was off its mean: J if that lasts, else 0."""
        return self.action_size if self.architecture.persistence else 0

    @property
    def carried_size(self) -> int:
        """C, that of how far the action was off its mean."""
        return self.off_size

    @property
    def seen_size(self) -> int:
        """Length of what the policy sees."""
        return self.proprioception_size + self.privileged_size

    def seen(self, obs: Observations) -> Array:
        """What the policy sees (..., seen_size)."""
        return jnp.concatenate([obs["proprioception"], obs["privileged"]], axis=-1)

    @cached_property
    def policy(self) -> Mlp:
        """What it sees -> what is added to the reference's action."""
        return Mlp(self.architecture.policy_hidden, self.action_size, out_scale=0.01)

    def init(self, key: Array) -> Params:
        """New parameters; the key is consumed."""
        policy, critic = jax.random.split(key)
        log_std = jnp.log(jnp.float32(self.architecture.initial_action_std))
        params = {
            "policy": self.policy.init(policy, jnp.zeros((1, self.seen_size)))["params"],
            "critic": self.critic.init(critic, jnp.zeros((1, self.privileged_size)))["params"],
            "action_log_std": jnp.full((self.action_size,), log_std),
        }
        return self.equivariance.begin(params)

    def mean(self, params: Params, obs: Observations) -> Array:
        """The mean action (..., J)."""
        added: Any = self.policy.apply({"params": params["policy"]}, self.seen(obs))
        return obs["reference_action"] + added

    def act(
        self, params: Params, obs: Observations, z_tm1: Array, key: Array, deterministic: bool
    ) -> Decision:
        """Draws an action, or takes its mean."""
        mean = self.mean(params, obs)
        if deterministic:
            return Decision(mean, z_tm1, {})
        log_std = self._log_std(params)[None, :]
        kept = self.architecture.persistence * z_tm1 if self.off_size else jnp.zeros_like(mean)
        action = mean + kept + jnp.exp(log_std) * jax.random.normal(key, mean.shape)
        record = {
            "action": action,
            "kept": kept,
            "log_prob": prior.log_prob(action, mean + kept, log_std),
        }
        off = action - mean if self.off_size else z_tm1
        return Decision(action, off, record)

    def evaluate(
        self, params: Params, obs: Observations, record: Mapping[str, Array]
    ) -> Evaluation:
        """Likelihood of recorded actions; there is no divergence, for want of a latent."""
        mean = self.mean(params, obs) + record["kept"]
        log_std = jnp.broadcast_to(self._log_std(params), mean.shape)
        return Evaluation(
            log_prob=prior.log_prob(record["action"], mean, log_std),
            kl=jnp.zeros(mean.shape[:-1]),
            entropy=prior.entropy(log_std),
        )

    def _log_std(self, params: Params) -> Array:
        return jnp.maximum(params["action_log_std"], jnp.log(self.architecture.min_action_std))


def tracker_equivariance(
    symmetry: Symmetry,
    architecture: TrackerArchitecture,
    seen: Representation,
    privileged: Representation,
) -> Equivariance:
    """How the networks of a ``TrackerAgent`` are mirrored, given how what policy and critic see is.

    Raises:
        SettingsError: a layer cannot be mirrored.
    """
    networks = {
        "policy": mlp_layers(symmetry, seen, architecture.policy_hidden, symmetry.joints),
        "critic": mlp_layers(symmetry, privileged, architecture.critic_hidden, symmetry.scalars()),
    }
    return Equivariance(networks, {"action_log_std": symmetry.joints.unsigned()})
