"""What an agent is to a trainer, and the imitation agent: encoder, decoder and critic.

The imitation agent is trained by PPO end to end, or by distillation of a tracker. An agent is a set
of pure functions over a parameter tree. ``act`` runs at every control step and returns a record of
what PPO needs to evaluate the same decision again.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from legged_skills.robots.errors import (
    require_at_least,
    require_not_negative,
    require_positive,
    require_share,
    require_widths,
)
from legged_skills.skill_module import prior
from legged_skills.skill_module.networks import Gaussian, Mlp
from legged_skills.skill_module.symmetry import (
    UNMIRRORED,
    Equivariance,
    Representation,
    Symmetry,
    join,
    mlp_layers,
)

Params = Any
Observations = Mapping[str, Array]


class Decision(NamedTuple):
    """What ``act`` returns, for N environments."""

    action: Array
    """(N, J) goes to the robot, without unit."""
    z: Array
    """(N, C) what is carried to the next step: the latent, and what else an agent keeps."""
    record: dict[str, Array]
    """(N, ...) what ``evaluate`` needs, besides the observations."""


class Evaluation(NamedTuple):
    """What ``evaluate`` returns, for B decisions."""

    log_prob: Array
    """(B,) log probability of the recorded decision under the present parameters [nat]."""
    kl: Array
    """(B,) divergence of the latent's distribution from the prior [nat]."""
    entropy: Array
    """(B,) entropy of the distribution that explores [nat]."""
    auxiliary: Array | float = 0.0
    """(B,) loss of what is learned beside the policy, if there is such."""


class Actor(Protocol):
    """What decides. Shapes: N environments, J joints, C values carried."""

    @property
    def carried_size(self) -> int:
        """C, length of what is carried from step to step; zero at the start of an episode."""
        ...

    def act(
        self, params: Params, obs: Observations, z_tm1: Array, key: Array, deterministic: bool
    ) -> Decision:
        """Decides for N environments; the key is consumed, and unused if deterministic."""
        ...


class Agent(Actor, Protocol):
    """The interface PPO trains through. Shapes: N environments, J joints, C values carried."""

    def init(self, key: Array) -> Params:
        """New parameters; the key is consumed."""
        ...

    def evaluate(
        self, params: Params, obs: Observations, record: Mapping[str, Array]
    ) -> Evaluation:
        """Evaluates recorded decisions under other parameters."""
        ...

    def value(self, params: Params, privileged: Array) -> Array:
        """(B,) the critic's estimate from privileged observations (B, D)."""
        ...

    def project(self, gradient: Params) -> Params:
        """The part of a gradient that keeps what holds of all parameters, such as symmetry."""
        ...

    def bounded(self, params: Params) -> Params:
        """The parameters, none of them beyond its bounds."""
        ...


def log_of(std: float) -> float:
    """The logarithm of a standard deviation, of which 0 means any."""
    return math.log(std) if std > 0.0 else -math.inf


class WithCritic:
    """What agents with a critic and mirrored networks have in common; a base of dataclasses."""

    architecture: Any
    """Sizes, with ``critic_hidden``."""
    equivariance: Equivariance
    """How networks are mirrored."""

    @cached_property
    def critic(self) -> Mlp:
        """Privileged -> value."""
        return Mlp(self.architecture.critic_hidden, 1, out_scale=0.1)

    def project(self, gradient: Params) -> Params:
        """The equivariant part of a gradient, if networks are mirrored."""
        return self.equivariance.project(gradient)

    @property
    def bounds(self) -> Mapping[str, tuple[float, float]]:
        """By name of a parameter, its least and its greatest value; none by default."""
        return {}

    def bounded(self, params: Params) -> Params:
        """The parameters, none of them beyond its bounds.

        One that a step takes beyond has to be brought back: where a function of it is cut off, its
        gradient is zero, and it would stay there for ever.
        """
        return params | {name: jnp.clip(params[name], *ends) for name, ends in self.bounds.items()}

    def value(self, params: Params, privileged: Array) -> Array:
        """(B,) the critic's estimate."""
        value: Any = self.critic.apply({"params": params["critic"]}, privileged)
        return value[..., 0]


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Sizes of a skill module's networks."""

    latent_size: int = 16
    """L, dimensions of the latent."""
    encoder_hidden: tuple[int, ...] = (256, 128)
    """Widths of the encoder's hidden layers."""
    decoder_hidden: tuple[int, ...] = (256, 256)
    """Widths of the decoder's hidden layers."""
    critic_hidden: tuple[int, ...] = (256, 128)
    """Widths of the critic's hidden layers."""
    alpha: float = 0.95
    """Autocorrelation of the AR(1) prior over one control step."""
    encoder_filter: float | None = None
    """Autocorrelation of the prior that the encoder was trained with; None for ``alpha``, unless
    that was changed afterwards."""
    initial_action_std: float = 0.5
    """Exploration noise on the action at the start of end-to-end training; distillation has
    ``DistilConfig.action_std``."""
    min_action_std: float = 0.45
    """It gets no smaller than this: among disturbances and delays what less noise tries out drowns,
    and the training stands still."""

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            SettingsError: one is out of its range.
        """
        require_at_least(self, latent_size=1)
        require_widths(self, "encoder_hidden", "decoder_hidden", "critic_hidden")
        require_share(self, "alpha")
        if self.encoder_filter is not None:
            require_share(self, "encoder_filter")
        require_positive(self, "initial_action_std")
        require_not_negative(self, "min_action_std")

    @property
    def filtered(self) -> float:
        """Share of the latent before in the encoder's mean: the alpha it was trained with."""
        return self.alpha if self.encoder_filter is None else self.encoder_filter


@dataclass(frozen=True)
class ImitationAgent(WithCritic):
    """Encoder q(z_t | privileged, z_{t-1}), decoder pi(a_t | proprioception, z_t), and a critic.

    The encoder's mean is alpha z_{t-1} plus what it adds: an encoder that adds nothing is the prior
    itself, at no divergence, and its latents are distributed as the prior's (Bohez et al. 2022).
    One that did not see z_{t-1} would pay for the noise in it at every step, and would shrink its
    latents to where the prior's samples never are.

    The latent is sampled as mean + std * noise; the noise is recorded, so that PPO's gradient
    runs through the action's likelihood into the encoder. Decoder: bounded work, so that it
    can run on the robot; it sees only what the robot can measure.

    Attributes:
        architecture: sizes.
        proprioception_size: length of the "proprioception" observation.
        privileged_size: length of the "privileged" observation.
        action_size: J.
        equivariance: how networks are mirrored.
    """

    architecture: Architecture
    proprioception_size: int
    privileged_size: int
    action_size: int
    equivariance: Equivariance = UNMIRRORED

    @property
    def latent_size(self) -> int:
        """L."""
        return self.architecture.latent_size

    @property
    def carried_size(self) -> int:
        """C, that of the latent."""
        return self.latent_size

    @cached_property
    def encoder(self) -> Gaussian:
        """Privileged and the latent before -> what is added to its mean, and log std."""
        return Gaussian(
            self.architecture.encoder_hidden,
            self.latent_size,
            initial_std=prior.prior_std(self.architecture.filtered),
        )

    @cached_property
    def decoder(self) -> Mlp:
        """Proprioception and latent -> mean action."""
        return Mlp(self.architecture.decoder_hidden, self.action_size, out_scale=0.1)

    def init(self, key: Array) -> Params:
        """New parameters; the key is consumed."""
        encoder, decoder, critic = jax.random.split(key, 3)
        privileged = jnp.zeros((1, self.privileged_size))
        seen = jnp.zeros((1, self.privileged_size + self.latent_size))
        both = jnp.zeros((1, self.proprioception_size + self.latent_size))
        log_std = jnp.log(jnp.float32(self.architecture.initial_action_std))
        params = {
            "encoder": self.encoder.init(encoder, seen)["params"],
            "decoder": self.decoder.init(decoder, both)["params"],
            "critic": self.critic.init(critic, privileged)["params"],
            "action_log_std": jnp.full((self.action_size,), log_std),
        }
        return self.equivariance.begin(params)

    def encode(
        self, params: Params, privileged: ArrayLike, z_tm1: ArrayLike
    ) -> tuple[Array, Array]:
        """Mean and log standard deviation of the latent after z_tm1 (..., L), (..., L) each."""
        seen = jnp.concatenate([privileged, z_tm1], axis=-1)
        added_and_log_std: Any = self.encoder.apply({"params": params["encoder"]}, seen)
        added, log_std = added_and_log_std
        return self.architecture.filtered * z_tm1 + added, log_std

    def decode(self, params: Params, proprioception: ArrayLike, z: ArrayLike) -> Array:
        """The mean action (..., J) for a latent (..., L)."""
        both = jnp.concatenate([proprioception, z], axis=-1)
        action: Any = self.decoder.apply({"params": params["decoder"]}, both)
        return action

    @property
    def bounds(self) -> Mapping[str, tuple[float, float]]:
        """Of the exploration."""
        return {"action_log_std": (log_of(self.architecture.min_action_std), math.inf)}

    def action_log_std(self, params: Params) -> Array:
        """(J,) log standard deviation of the exploration on the action."""
        return self.bounded(params)["action_log_std"]

    def act(
        self, params: Params, obs: Observations, z_tm1: Array, key: Array, deterministic: bool
    ) -> Decision:
        """Samples latent and action, or takes both means."""
        z_key, action_key = jax.random.split(key)
        mean, log_std = self.encode(params, obs["privileged"], z_tm1)
        if deterministic:
            return Decision(self.decode(params, obs["proprioception"], mean), mean, {})
        noise = jax.random.normal(z_key, mean.shape)
        z = mean + jnp.exp(log_std) * noise
        if "free" in obs:
            alpha = self.architecture.alpha
            z = jnp.where(obs["free"] > 0.0, alpha * z_tm1 + prior.prior_std(alpha) * noise, z)
        action_mean = self.decode(params, obs["proprioception"], z)
        action_log_std = self.action_log_std(params)[None, :]
        action = action_mean + jnp.exp(action_log_std) * jax.random.normal(
            action_key, action_mean.shape
        )
        record = {
            "z_noise": noise,
            "z_tm1": z_tm1,
            "action": action,
            "log_prob": prior.log_prob(action, action_mean, action_log_std),
        }
        return Decision(action, z, record)

    def evaluate(
        self, params: Params, obs: Observations, record: Mapping[str, Array]
    ) -> Evaluation:
        """Recomputes the latent from its recorded noise, and the likelihood of the action."""
        mean, log_std = self.encode(params, obs["privileged"], record["z_tm1"])
        z = mean + jnp.exp(log_std) * record["z_noise"]
        action_mean = self.decode(params, obs["proprioception"], z)
        action_log_std = jnp.broadcast_to(self.action_log_std(params), action_mean.shape)
        return Evaluation(
            log_prob=prior.log_prob(record["action"], action_mean, action_log_std),
            kl=prior.kl_to_prior(mean, log_std, record["z_tm1"], self.architecture.alpha),
            entropy=prior.entropy(action_log_std),
        )


def imitation_equivariance(
    symmetry: Symmetry,
    architecture: Architecture,
    proprioception: Representation,
    privileged: Representation,
) -> Equivariance:
    """How the networks of an ``ImitationAgent`` are mirrored.

    Args:
        symmetry: of the robot.
        architecture: sizes.
        proprioception: how that observation is mirrored.
        privileged: how that one is.

    Raises:
        SettingsError: a layer or the latent cannot be mirrored.
    """
    z, one = symmetry.copies(architecture.latent_size), symmetry.scalars()
    hidden = (architecture.encoder_hidden, architecture.decoder_hidden, architecture.critic_hidden)
    ends = (
        (join([privileged, z]), z.repeated(2)),
        (join([proprioception, z]), symmetry.joints),
        (privileged, one),
    )
    networks = {
        name: mlp_layers(symmetry, inputs, widths, out)
        for name, widths, (inputs, out) in zip(
            ("encoder", "decoder", "critic"), hidden, ends, strict=True
        )
    }
    return Equivariance(networks, {"action_log_std": symmetry.joints.unsigned()})
