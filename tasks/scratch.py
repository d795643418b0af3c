"""A task policy without a skill module, to compare reuse with: it emits actions itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from legged_skills.robots.errors import require_at_least, require_widths
from legged_skills.skill_module.agents import (
    Architecture,
    Decision,
    Evaluation,
    Observations,
    Params,
)
from legged_skills.skill_module.symmetry import (
    Equivariance,
    Representation,
    Symmetry,
    join,
    mlp_layers,
)
from legged_skills.skill_module.tracker import TrackerAgent, TrackerArchitecture
from legged_skills.tasks.estimator import TOLD_SIZE, VELOCITY_SIZE, VelocityEstimator
from legged_skills.tasks.reuse import PolicyArchitecture
from legged_skills.tasks.trim import TRIM_SIZE, VelocityTrim


@dataclass(frozen=True, kw_only=True)
class ScratchArchitecture(TrackerArchitecture):
    """Sizes of the networks of a task policy without a skill module."""

    policy_hidden: tuple[int, ...] = (512, 384)
    """Widths of the policy's hidden layers."""
    estimator_hidden: tuple[int, ...] = (128, 64)
    """Widths of the velocity estimator's hidden layers."""
    memory_steps: float = 25.0
    """Time constant of the running mean of what it says [control steps]."""
    trim_steps: float = 0.0
    """Time constant of the integrator on a commanded velocity [control steps]; 0 for none."""
    initial_action_std: float = 0.5
    """Exploration noise on the action at the start of training: as where decoders are learned by
    PPO, see ``Architecture``."""
    min_action_std: float = 0.45
    """It gets no smaller than this; see ``Architecture.min_action_std``."""

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            SettingsError: one is out of its range.
        """
        super().__post_init__()
        require_widths(self, "estimator_hidden")
        require_at_least(self, memory_steps=1.0, trim_steps=0.0)

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
            memory_steps=reuse.memory_steps,
            trim_steps=reuse.trim_steps,
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
        trim: what is added to a commanded velocity; None for nothing.
    """

    architecture: ScratchArchitecture
    task_size: int = field(kw_only=True)
    trim: VelocityTrim | None = field(default=None, kw_only=True)

    @property
    def carried_size(self) -> int:
        """C, that of the mean velocity, of the trim and of how far the action was off its mean."""
        return VELOCITY_SIZE + self.remembered_trim + self.off_size

    @property
    def remembered_trim(self) -> int:
        """Length of what is remembered of the trim."""
        return 0 if self.trim is None else TRIM_SIZE

    @cached_property
    def estimator(self) -> VelocityEstimator:
        """Says how fast the robot moves."""
        sizes = self.architecture
        return VelocityEstimator(sizes.estimator_hidden, sizes.memory_steps)

    def init(self, key: Array) -> Params:
        """New parameters; the key is consumed."""
        policy, critic, estimator = jax.random.split(key, 3)
        seen = jnp.zeros((1, self.proprioception_size + TOLD_SIZE + self.task_size))
        log_std = jnp.log(jnp.float32(self.architecture.initial_action_std))
        params = {
            "policy": self.policy.init(policy, seen)["params"],
            "estimator": self.estimator.init(estimator, self.proprioception_size),
            "critic": self.critic.init(critic, jnp.zeros((1, self.privileged_size)))["params"],
            "action_log_std": jnp.full((self.action_size,), log_std),
        }
        return self.equivariance.begin(params)

    def mean(self, params: Params, obs: Observations) -> Array:
        """The mean action (N, J); the mean velocity and the trim are among the observations."""
        told = self.estimator.told(params["estimator"], obs, obs["mean_velocity"])
        task = obs["task"] if self.trim is None else self.trim.told(obs["task"], obs["trim"])
        inputs = jnp.concatenate([obs["proprioception"], told, task], axis=-1)
        action: Any = self.policy.apply({"params": params["policy"]}, inputs)
        return action

    def act(
        self, params: Params, obs: Observations, z_tm1: Array, key: Array, deterministic: bool
    ) -> Decision:
        """Draws an action, or takes its mean; for what is carried see ``carried_size``."""
        now = self.estimator.estimate(params["estimator"], obs)
        ends = [VELOCITY_SIZE, VELOCITY_SIZE + self.remembered_trim]
        velocity, trim, off = jnp.split(z_tm1, ends, axis=-1)
        memory = {"mean_velocity": self.estimator.remember(velocity, now)}
        if self.trim is not None:
            memory["trim"] = self.trim.advance(
                trim, obs["task"], memory["mean_velocity"], obs["proprioception"]
            )
        done = super().act(params, {**obs, **memory}, off, key, deterministic)
        carried = jnp.concatenate([*memory.values(), done.z], axis=-1)
        return done._replace(z=carried, record={**done.record, **memory})

    def evaluate(
        self, params: Params, obs: Observations, record: Mapping[str, Array]
    ) -> Evaluation:
        """Likelihood of recorded actions, and the estimator's loss."""
        names = ("mean_velocity",) if self.trim is None else ("mean_velocity", "trim")
        told = {**obs, **{name: record[name] for name in names}}
        found = super().evaluate(params, told, record)
        return found._replace(auxiliary=self.estimator.loss(params["estimator"], obs))


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
    seen = join([proprioception, symmetry.polar.repeated(2), task])
    estimator = VelocityEstimator(architecture.estimator_hidden, architecture.memory_steps)
    networks = {
        "policy": mlp_layers(symmetry, seen, architecture.policy_hidden, symmetry.joints),
        "estimator": estimator.layers(symmetry, proprioception),
        "critic": mlp_layers(symmetry, privileged, architecture.critic_hidden, symmetry.scalars()),
    }
    return Equivariance(networks, {"action_log_std": symmetry.joints.unsigned()})
