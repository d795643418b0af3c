"""Reuse of a skill module: a policy that moves a frozen decoder by its latent."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
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
from legged_skills.skill_module.agents import (
    Decision,
    Evaluation,
    Observations,
    Params,
    WithCritic,
    log_of,
)
from legged_skills.skill_module.digests import weights_digest
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.networks import Mlp
from legged_skills.skill_module.symmetry import (
    UNMIRRORED,
    Equivariance,
    Representation,
    Symmetry,
    join,
    mlp_layers,
)
from legged_skills.tasks.estimator import TOLD_SIZE, VELOCITY_SIZE, VelocityEstimator
from legged_skills.tasks.stride_clock import CLOCK_SIZE, StrideClock
from legged_skills.tasks.trim import TRIM_SIZE, VelocityTrim


@dataclass(frozen=True, kw_only=True)
class PolicyArchitecture:
    """Sizes of a task policy's networks."""

    policy_hidden: tuple[int, ...] = (256, 128)
    """Widths of the policy's hidden layers."""
    critic_hidden: tuple[int, ...] = (256, 128)
    """Widths of the critic's hidden layers."""
    estimator_hidden: tuple[int, ...] = (256, 128)
    """Widths of the velocity estimator's hidden layers."""
    memory_steps: float = 25.0
    """Time constant of the running mean of what it says [control steps]: about a stride."""
    trim_steps: float = 0.0
    """Time constant of the integrator on a commanded velocity [control steps], see ``trim``; 0 for
    none, as policies have that were trained before there was one."""
    clock_s: float = 0.0
    """Period of a clock that tells a biped which foot's turn it is [s], see ``stride_clock``; 0 for
    none."""
    initial_filter: float = 0.95
    """Weight of the latent before in the mean of the next, at the start of training; learned, so
    that a policy to start from has its own. With the prior's own weight and spread it begins by
    doing what the prior does, which is to wander about (Bohez et al. 2022 begin there too); with
    less it begins by standing, and learns that."""
    initial_std: float = 0.31
    """Standard deviation of the latent's step at the start of training."""
    min_std: float = 0.3
    """It gets no smaller than this; see ``Architecture.min_action_std``."""
    alpha: float | None = None
    """Autocorrelation over one control step of the AR(1) prior that the policy is kept near; by
    default the module's own. One that forgets quickly moves robots more by itself, and makes
    policies try out more: 0.88 has steps of 0.47, 0.95 (Bohez et al. 2022) of 0.31."""
    correction_std: float = 0.0
    """How much the policy may correct the decoder's actions, without unit: the standard deviation
    of the prior over what it adds to them; 0 for a policy that speaks through the latent only."""
    correction_hidden: tuple[int, ...] = (256, 128)
    """Widths of the hidden layers of the network that does."""
    correction_noise: float = 0.2
    """Standard deviation of what it tries out."""

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            SettingsError: one is out of its range.
        """
        require_widths(self, "policy_hidden", "critic_hidden", "estimator_hidden")
        require_widths(self, "correction_hidden")
        require_at_least(self, memory_steps=1.0, trim_steps=0.0)
        # A filter of 0 or 1 would be an infinite weight.
        require_positive(self, "initial_std", "initial_filter")
        require_share(self, "initial_filter")
        require_not_negative(self, "clock_s", "min_std", "correction_std")
        if self.alpha is not None:
            require_share(self, "alpha")
        if self.correction_std > 0.0:
            require_positive(self, "correction_noise")


@dataclass(frozen=True, eq=False, kw_only=True)
class FrozenDecoder:
    """The decoder of a skill module, as a function. Equal and hashable by identity."""

    hidden: tuple[int, ...]
    """Widths of the hidden layers."""
    latent_size: int
    """L."""
    proprioception_size: int
    """Length of the observation it takes."""
    action_size: int
    """J."""
    alpha: float
    """Autocorrelation of the module's prior over one control step."""
    params: dict[str, Any]
    """Weights."""

    def __post_init__(self) -> None:
        """Checks what a file can say.

        Raises:
            SettingsError: a number is out of its range.
        """
        require_at_least(self, latent_size=1, proprioception_size=1, action_size=1)
        require_widths(self, "hidden")
        require_share(self, "alpha")

    @classmethod
    def of(cls, module: SkillModule) -> "FrozenDecoder":
        """Takes the decoder out of a module; the weights are copied."""
        agent = module.agent
        return cls(
            hidden=module.architecture.decoder_hidden,
            latent_size=agent.latent_size,
            proprioception_size=agent.proprioception_size,
            action_size=agent.action_size,
            alpha=module.architecture.alpha,
            params=jax.tree.map(np.array, module.params["decoder"]),
        )

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that stand for the weights."""
        return weights_digest(self.params)

    def is_of(self, module: SkillModule) -> bool:
        """Whether its weights are those of a module's decoder."""
        return self.digest == FrozenDecoder.of(module).digest

    def template(self) -> Any:
        """Shapes of the weights that these sizes need."""
        size = self.proprioception_size + self.latent_size
        both = jax.ShapeDtypeStruct((1, size), jnp.float32)
        init = Mlp(self.hidden, self.action_size).init
        return jax.eval_shape(init, jax.random.key(0), both)["params"]

    def __call__(self, proprioception: ArrayLike, z: ArrayLike) -> Array:
        """The action (..., J) for a latent (..., L)."""
        both = jnp.concatenate([proprioception, z], axis=-1)
        action: Any = Mlp(self.hidden, self.action_size).apply({"params": self.params}, both)
        return action


@dataclass(frozen=True)
class ReuseAgent(WithCritic):
    """Policy pi(z_t | proprioception, velocity, task, z_{t-1}) over the latent, and a critic.

    The policy is told how fast the robot seems to move, now and on the mean of the last strides:
    see ``estimator``. No gradient of its own reaches the estimator. Carried from step to step are
    the latent and, behind it, that mean and, if there are any, the trim and the clock.

    The policy's mean is a z_{t-1} + f(observation), with a learned filter constant a, and f near
    zero at the start. It explores with about the spread that the encoder's latents have in
    imitation, which is what the decoder is used to.

    A decoder does what the clips' tracker did. What that could not do, as to keep its balance when
    it is pushed, the policy can add to its actions, if the architecture says so; what it adds costs
    its divergence from adding nothing, as latents cost theirs (PULSE, Luo et al. 2024, corrects
    latents, not actions).

    Attributes:
        architecture: sizes.
        decoder: turns latents into actions; not trained.
        task_size: length of the "task" observation.
        privileged_size: length of the "privileged" observation.
        equivariance: how networks are mirrored.
        trim: what is added to a commanded velocity; None for nothing.
        clock: which foot's turn it is; None for no clock.
    """

    architecture: PolicyArchitecture
    decoder: FrozenDecoder
    task_size: int
    privileged_size: int
    equivariance: Equivariance = UNMIRRORED
    trim: VelocityTrim | None = None
    clock: StrideClock | None = None

    @property
    def latent_size(self) -> int:
        """L."""
        return self.decoder.latent_size

    @property
    def carried_size(self) -> int:
        """C, that of the latent, of the mean velocity, of the trim, and of the clock."""
        return self.latent_size + sum(self._memory.values())

    @property
    def _memory(self) -> dict[str, int]:
        """Sizes of what is carried behind the latent, by name."""
        sizes = {"mean_velocity": VELOCITY_SIZE}
        if self.trim is not None:
            sizes["trim"] = TRIM_SIZE
        if self.clock is not None:
            sizes["clock"] = CLOCK_SIZE
        return sizes

    @cached_property
    def estimator(self) -> VelocityEstimator:
        """Says how fast the robot moves."""
        sizes = self.architecture
        return VelocityEstimator(sizes.estimator_hidden, sizes.memory_steps)

    @cached_property
    def policy(self) -> Mlp:
        """All that is told and the latent before -> what is added to the filtered latent."""
        return Mlp(self.architecture.policy_hidden, self.latent_size, out_scale=0.01)

    @property
    def corrects(self) -> bool:
        """Whether it adds to the decoder's actions."""
        return self.architecture.correction_std > 0.0

    @cached_property
    def correction(self) -> Mlp:
        """All that is told and the latent -> what is added to the decoder's action."""
        hidden = self.architecture.correction_hidden
        return Mlp(hidden, self.decoder.action_size, out_scale=0.01)

    @property
    def trained(self) -> tuple[str, ...]:
        """Names of the parameters that a trained policy needs: all but the critic's."""
        names = ("policy", "estimator", "filter_logit", "log_std")
        return (*names, "correction") if self.corrects else names

    def init(self, key: Array) -> Params:
        """New parameters; the key is consumed."""
        policy, critic, estimator = jax.random.split(key, 3)
        correction = jax.random.fold_in(policy, 1)
        told = self.decoder.proprioception_size
        size = told + TOLD_SIZE + self.task_size + self.latent_size
        size += 0 if self.clock is None else CLOCK_SIZE
        share = jnp.float32(self.architecture.initial_filter)
        log_std = jnp.log(jnp.float32(self.architecture.initial_std))
        params = {
            "policy": self.policy.init(policy, jnp.zeros((1, size)))["params"],
            "estimator": self.estimator.init(estimator, told),
            "critic": self.critic.init(critic, jnp.zeros((1, self.privileged_size)))["params"],
            "filter_logit": jnp.log(share / (1.0 - share)),
            "log_std": jnp.full((self.latent_size,), log_std),
        }
        if self.corrects:
            params["correction"] = self.correction.init(correction, jnp.zeros((1, size)))["params"]
        return self.equivariance.begin(params)

    def mean(self, params: Params, obs: Observations, carried: Mapping[str, Array]) -> Array:
        """(N, L) mean of the next latent.

        Args:
            params: the parameters.
            obs: observations.
            carried: "z_tm1" (N, L), the latent before; "mean_velocity" (N, 3), "trim" (N, 4) and
                "clock" (N, 2), if there are such, brought up to date.
        """
        z_tm1 = carried["z_tm1"]
        inputs = jnp.concatenate([self.told(params, obs, carried), z_tm1], axis=-1)
        added: Any = self.policy.apply({"params": params["policy"]}, inputs)
        return jax.nn.sigmoid(params["filter_logit"]) * z_tm1 + added

    def told(self, params: Params, obs: Observations, carried: Mapping[str, Array]) -> Array:
        """(N, D) all that the policy is told but the latent; arguments as in ``mean``."""
        task = obs["task"]
        if self.trim is not None:
            task = self.trim.told(task, carried["trim"])
        velocity = self.estimator.told(params["estimator"], obs, carried["mean_velocity"])
        clock = [] if self.clock is None else [carried["clock"]]
        return jnp.concatenate([obs["proprioception"], velocity, task, *clock], axis=-1)

    def corrected_by(
        self, params: Params, obs: Observations, carried: Mapping[str, Array], z: Array
    ) -> Array:
        """(N, J) mean of what is added to the action of a latent z (N, L); else as ``mean``."""
        inputs = jnp.concatenate([self.told(params, obs, carried), z], axis=-1)
        added: Any = self.correction.apply({"params": params["correction"]}, inputs)
        return added

    def remember(self, params: Params, obs: Observations, carried: Array) -> dict[str, Array]:
        """What was carried (N, C), by name, with all but the latent brought up to date."""
        ends = np.cumsum([self.latent_size, *self._memory.values()])[:-1]
        z_tm1, *memory = jnp.split(carried, ends, axis=-1)
        before = dict(zip(self._memory, memory, strict=True))
        now = self.estimator.estimate(params["estimator"], obs)
        velocity = self.estimator.remember(before["mean_velocity"], now)
        out = {"z_tm1": z_tm1, "mean_velocity": velocity}
        if self.trim is not None:
            out["trim"] = self.trim.advance(
                before["trim"], obs["task"], velocity, obs["proprioception"]
            )
        if self.clock is not None:
            told = obs.get("clock")  # that of a clip, where one is followed
            out["clock"] = (
                self.clock.advance(before["clock"], obs["task"]) if told is None else told
            )
        return out

    @property
    def bounds(self) -> Mapping[str, tuple[float, float]]:
        """Of the exploration."""
        return {"log_std": (log_of(self.architecture.min_std), math.inf)}

    def log_std(self, params: Params) -> Array:
        """(L,) log standard deviation of the exploration in the latent."""
        return self.bounded(params)["log_std"]

    def act(
        self, params: Params, obs: Observations, z_tm1: Array, key: Array, deterministic: bool
    ) -> Decision:
        """Draws the next latent, or takes its mean, and decodes it."""
        known = self.remember(params, obs, z_tm1)
        memory = [known[name] for name in self._memory]
        z = self.mean(params, obs, known)
        record: dict[str, Array] = {}
        if not deterministic:
            log_std = self.log_std(params)[None, :]
            mean, z = z, z + jnp.exp(log_std) * jax.random.normal(key, z.shape)
            record = known | {"z": z, "log_prob": prior.log_prob(z, mean, log_std)}
        action = self.decoder(obs["proprioception"], z)
        if self.corrects:
            added = self.corrected_by(params, obs, known, z)
            if not deterministic:
                noise = self.architecture.correction_noise
                draw = jax.random.normal(jax.random.fold_in(key, 1), added.shape)
                mean, added = added, added + noise * draw
                record["correction"] = added
                record["log_prob"] += prior.log_prob(added, mean, jnp.log(jnp.float32(noise)))
            action = action + added
        return Decision(action, jnp.concatenate([z, *memory], axis=-1), record)

    def evaluate(
        self, params: Params, obs: Observations, record: Mapping[str, Array]
    ) -> Evaluation:
        """Likelihood of the recorded decisions, and their distance from the prior."""
        mean = self.mean(params, obs, record)
        log_std = jnp.broadcast_to(self.log_std(params), mean.shape)
        log_prob = prior.log_prob(record["z"], mean, log_std)
        own = self.architecture.alpha
        alpha = self.decoder.alpha if own is None else own
        kl = prior.kl_to_prior(mean, log_std, record["z_tm1"], alpha)
        if self.corrects:
            added = self.corrected_by(params, obs, record, record["z"])
            noise = jnp.log(jnp.float32(self.architecture.correction_noise))
            log_prob += prior.log_prob(record["correction"], added, noise)
            # That of two Gaussians of one width: what is tried out costs nothing.
            kl += 0.5 * jnp.square(added / self.architecture.correction_std).sum(axis=-1)
        return Evaluation(
            log_prob=log_prob,
            kl=kl,
            entropy=prior.entropy(log_std),
            auxiliary=self.beside(params, obs),
        )

    def beside(self, params: Params, obs: Observations) -> Array:
        """(B,) loss of the estimator."""
        return self.estimator.loss(params["estimator"], obs)


def reuse_equivariance(
    symmetry: Symmetry,
    architecture: PolicyArchitecture,
    latent_size: int,
    proprioception: Representation,
    task: Representation,
    privileged: Representation,
) -> Equivariance:
    """How the networks of a ``ReuseAgent`` are mirrored, given how its observations are.

    Raises:
        SettingsError: a layer or the latent cannot be mirrored.
    """
    z = symmetry.copies(latent_size)
    clock = [symmetry.turning.repeated(CLOCK_SIZE)] if architecture.clock_s else []
    seen = join([proprioception, symmetry.polar.repeated(2), task, *clock, z])
    estimator = VelocityEstimator(architecture.estimator_hidden, architecture.memory_steps)
    networks = {
        "estimator": estimator.layers(symmetry, proprioception),
        "policy": mlp_layers(symmetry, seen, architecture.policy_hidden, z),
        "critic": mlp_layers(symmetry, privileged, architecture.critic_hidden, symmetry.scalars()),
    }
    if architecture.correction_std > 0.0:
        hidden = architecture.correction_hidden
        networks["correction"] = mlp_layers(symmetry, seen, hidden, symmetry.joints)
    return Equivariance(networks, {"log_std": z})


def to_numpy(params: Params) -> Params:
    """Parameters as NumPy arrays, for a file."""
    return jax.tree.map(np.asarray, params)
