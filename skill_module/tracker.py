"""A tracker: a policy that follows references without a latent in between, to be distilled.

It sees all that the encoder and the decoder see together, and its actions start from the
reference's own joints. It learns in a fraction of the time that encoder and decoder take end to
end, and then says, in every state that these get into, what they should have done.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from legged_skills.robots.errors import (
    SettingsError,
    require_positive,
    require_share,
    require_widths,
    require_within,
)
from legged_skills.skill_module import prior
from legged_skills.skill_module.agents import (
    Decision,
    Evaluation,
    Observations,
    Params,
    WithCritic,
    log_of,
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
    max_action_std: float | None = None
    """And no larger than this; None for no limit. Where falls count for much, noise grows by
    itself, at the cost of precision."""
    persistence: float = 0.0
    """Autocorrelation of that noise over one control step. Drives low-pass what trembles: steps
    that catch a robot which was pushed are found by noise that lasts about as long as they do."""
    lasting_share: float = 1.0
    """Share of the robots whose noise lasts so; that of the others is new in every step. It is as
    wide for all."""

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            SettingsError: one is out of its range.
        """
        require_widths(self, "policy_hidden", "critic_hidden")
        require_positive(self, "initial_action_std", "min_action_std")
        if self.max_action_std is not None and self.max_action_std < self.min_action_std:
            raise SettingsError(
                f"max_action_std is {self.max_action_std}, expected at least the "
                f"{self.min_action_std} of min_action_std."
            )
        require_share(self, "persistence")
        require_within(self, lasting_share=(0.0, 1.0))


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
        rho = self._persistence(len(mean))
        log_std = self._log_std(params, rho)
        kept = rho * z_tm1 if self.off_size else jnp.zeros_like(mean)
        action = mean + kept + jnp.exp(log_std) * jax.random.normal(key, mean.shape)
        record = {
            "action": action,
            "kept": kept,
            "persistence": rho,
            "log_prob": prior.log_prob(action, mean + kept, log_std),
        }
        off = action - mean if self.off_size else z_tm1
        return Decision(action, off, record)

    def evaluate(
        self, params: Params, obs: Observations, record: Mapping[str, Array]
    ) -> Evaluation:
        """Likelihood of recorded actions; there is no divergence, for want of a latent."""
        mean = self.mean(params, obs) + record["kept"]
        log_std = self._log_std(params, record["persistence"])
        return Evaluation(
            log_prob=prior.log_prob(record["action"], mean, log_std),
            kl=jnp.zeros(mean.shape[:-1]),
            entropy=prior.entropy(log_std),
        )

    def _persistence(self, count: int) -> Array:
        """(N, 1) autocorrelation of each robot's noise: the first ones' lasts."""
        sizes = self.architecture
        lasts = jnp.arange(count) < round(sizes.lasting_share * count)
        return jnp.where(lasts, jnp.float32(sizes.persistence), 0.0)[:, None]

    @property
    def bounds(self) -> Mapping[str, tuple[float, float]]:
        """Of the exploration."""
        sizes = self.architecture
        most = math.inf if sizes.max_action_std is None else math.log(sizes.max_action_std)
        return {"action_log_std": (log_of(sizes.min_action_std), most)}

    def _log_std(self, params: Params, rho: Array) -> Array:
        """(N, J) of what is new in a step: so that all robots' noise is as wide in the long run."""
        log_std = self.bounded(params)["action_log_std"][None, :]
        return log_std + 0.5 * jnp.log1p(-jnp.square(rho))


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
