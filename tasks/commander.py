"""A policy that commands a walk: reuse one level higher.

The latent policy of a task with a ball would have to learn to walk again before it learns anything
of the ball. A commander leaves walking to a policy that has learned it, and says only which way to
go: three numbers instead of a latent. What it tries out changes slowly, as latents do.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from legged_skills import robots
from legged_skills.robots.errors import require_positive, require_share, require_widths
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
    join,
    mlp_layers,
)
from legged_skills.tasks.ball_tracker import AGE, CARRIED_SIZE, TRACKED_SIZE, BallTracker
from legged_skills.tasks.estimator import TOLD_SIZE, VELOCITY_SIZE
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.reuse import ReuseAgent
from legged_skills.tasks.walk import COMMAND_SCALE, COMMAND_SIZE, Paces, trained_paces

REST_AGE_S = 3.0
"""Whoever is told that the ball was seen so long ago, which no camera tells, stands [s]."""
MOST_BEFORE = 20.0
"""The command before is told as at most this, without unit. Rules never ask for more than 1.8, and
nothing more comes of more than 4; without an end, what a policy says could grow with what it said
before, as it did on fallen robots, until it is no number."""


@dataclass(frozen=True, kw_only=True)
class CommanderArchitecture:
    """Sizes of a commander's networks, and how it explores."""

    policy_hidden: tuple[int, ...] = (256, 256)
    """Widths of the policy's hidden layers."""
    critic_hidden: tuple[int, ...] = (256, 128)
    """Widths of the critic's hidden layers."""
    alpha: float = 0.95
    """Autocorrelation over one control step of the AR(1) prior over commands."""
    initial_std: float = 0.05
    """Standard deviation of what exploration adds in a control step, at the start of training."""
    min_std: float = 0.02
    """It gets no smaller than this."""
    persistence: float = 0.9
    """Autocorrelation of the exploration over one control step: a walk does not follow commands
    that tremble."""

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            SettingsError: one is out of its range.
        """
        require_widths(self, "policy_hidden", "critic_hidden")
        require_positive(self, "initial_std", "min_std")
        require_share(self, "alpha", "persistence")


@dataclass(frozen=True, eq=False, kw_only=True)
class FrozenWalk:
    """A walking policy, as a part of another. Equal and hashable by identity."""

    agent: ReuseAgent
    """What walks."""
    params: Params
    """Its weights."""
    paces: Paces
    """What it was trained for."""
    slowest: np.ndarray
    """(1, 3) the least it is commanded: forward, to the left [m/s], turning [rad/s]."""
    fastest: np.ndarray
    """(1, 3) the most [m/s, m/s, rad/s]."""

    @classmethod
    def of(cls, walk: TaskPolicy) -> "FrozenWalk":
        """Takes over a walking policy; one whose front and back are alike goes both ways."""
        paces = trained_paces(walk.config, walk.robot)
        slowest, fastest = paces.ranges.T[:, None, :].astype(np.float32)
        if robots.get(walk.robot).mirror_joints_front_back is not None:
            slowest[:, 0] = -fastest[:, 0]
        return cls(
            agent=walk.agent, params=walk.params, paces=paces, slowest=slowest, fastest=fastest
        )

    def task(self, command: Array) -> Array:
        """What the walk is told, (N, 3), for a command (N, 3) without unit, of any size."""
        share = jnp.tanh(command)
        velocity = jnp.where(share > 0.0, share * self.fastest, -share * self.slowest)
        return velocity * COMMAND_SCALE[None, :]

    def command(self, velocity: Array) -> Array:
        """The command (N, 3) without unit that asks for a velocity (N, 3) [m/s, m/s, rad/s]."""
        ends = jnp.where(velocity > 0.0, self.fastest, -self.slowest)
        ends = jnp.maximum(ends, 1e-6)  # of a way that the walk does not go
        return jnp.arctanh(jnp.clip(velocity / ends, -0.95, 0.95))


@dataclass(frozen=True)
class CommanderAgent(WithCritic):
    """Policy pi(u_t | proprioception, velocity, task, u_{t-1}) over commands, and a critic.

    Attributes:
        architecture: sizes.
        walk: does what is commanded; not trained.
        tracker: follows ball and target.
        task_size: length of the "task" observation.
        privileged_size: length of the "privileged" observation.
        equivariance: how networks are mirrored.
    """

    architecture: CommanderArchitecture
    walk: FrozenWalk
    tracker: BallTracker
    task_size: int
    privileged_size: int
    equivariance: Equivariance = UNMIRRORED

    @property
    def carried_size(self) -> int:
        """C: the command, how far it is off its mean, what tracker and walk carry."""
        return 2 * COMMAND_SIZE + CARRIED_SIZE + self.walk.agent.carried_size

    @cached_property
    def policy(self) -> Mlp:
        """All that is told and the command before -> the mean of the next command."""
        return Mlp(self.architecture.policy_hidden, COMMAND_SIZE, out_scale=0.01)

    def init(self, key: Array) -> Params:
        """New parameters; the key is consumed."""
        policy, critic = jax.random.split(key)
        told = self.walk.agent.decoder.proprioception_size
        size = told + TOLD_SIZE + self.task_size + TRACKED_SIZE + COMMAND_SIZE
        log_std = jnp.log(jnp.float32(self.architecture.initial_std))
        params = {
            "policy": self.policy.init(policy, jnp.zeros((1, size)))["params"],
            "critic": self.critic.init(critic, jnp.zeros((1, self.privileged_size)))["params"],
            "log_std": jnp.full((COMMAND_SIZE,), log_std),
        }
        return self.equivariance.begin(params)

    def mean(self, params: Params, obs: Observations, record: Mapping[str, Array]) -> Array:
        """(N, 3) mean of the next command.

        Args:
            params: the parameters.
            obs: observations.
            record: "u_tm1" (N, 3), the command before; "told_velocity" (N, 6), as the walk is told;
                "tracked" (N, 8), where ball and target are, and how they move.
        """
        before = record["u_tm1"]
        task = [obs["task"], self.tracker.scale * record["tracked"]]
        inputs = [obs["proprioception"], record["told_velocity"], *task, before]
        mean: Any = self.policy.apply(
            {"params": params["policy"]}, jnp.concatenate(inputs, axis=-1)
        )
        return mean

    @property
    def bounds(self) -> Mapping[str, tuple[float, float]]:
        """Of the exploration."""
        return {"log_std": (log_of(self.architecture.min_std), math.inf)}

    def log_std(self, params: Params) -> Array:
        """(3,) log standard deviation of the exploration."""
        return self.bounded(params)["log_std"]

    def act(
        self, params: Params, obs: Observations, z_tm1: Array, key: Array, deterministic: bool
    ) -> Decision:
        """Draws the next command, or takes its mean, and walks on."""
        walk = self.walk
        sizes = [COMMAND_SIZE, COMMAND_SIZE, CARRIED_SIZE]
        u_tm1, off_tm1, tracked, carried = jnp.split(z_tm1, np.cumsum(sizes), axis=-1)
        u_tm1 = jnp.clip(u_tm1, -MOST_BEFORE, MOST_BEFORE)
        start = walk.agent.latent_size
        velocity = carried[:, start : start + VELOCITY_SIZE]
        estimator = walk.agent.estimator
        now = estimator.estimate(walk.params["estimator"], obs)
        told = jnp.concatenate([now, estimator.remember(velocity, now)], axis=-1)
        tracked = self.tracker.advance(tracked, obs["task"], now, obs["proprioception"])
        known = {"u_tm1": u_tm1, "told_velocity": told, "tracked": tracked[:, :TRACKED_SIZE]}
        mean = self.mean(params, obs, known)
        u, off = mean, jnp.zeros_like(mean)
        record: dict[str, Array] = {}
        if not deterministic:
            log_std = self.log_std(params)[None, :]
            step = jnp.exp(log_std) * jax.random.normal(key, mean.shape)
            kept = self.architecture.persistence * off_tm1
            off = kept + step
            u = mean + off
            log_prob = prior.log_prob(u, mean + kept, log_std)
            record = known | {"off_tm1": off_tm1, "u": u, "log_prob": log_prob}
        rests = obs["task"][:, AGE : AGE + 1] >= REST_AGE_S
        task = jnp.where(rests, 0.0, walk.task(u))
        walked = walk.agent.act(walk.params, {**obs, "task": task}, carried, key, True)
        return Decision(
            walked.action, jnp.concatenate([u, off, tracked, walked.z], axis=-1), record
        )

    def evaluate(
        self, params: Params, obs: Observations, record: Mapping[str, Array]
    ) -> Evaluation:
        """Likelihood of the recorded commands, and their distance from the prior."""
        mean = self.mean(params, obs, record) + self.architecture.persistence * record["off_tm1"]
        log_std = jnp.broadcast_to(self.log_std(params), mean.shape)
        return Evaluation(
            log_prob=prior.log_prob(record["u"], mean, log_std),
            kl=prior.kl_to_prior(mean, log_std, record["u_tm1"], self.architecture.alpha),
            entropy=prior.entropy(log_std),
        )

    def beside(self, params: Params, obs: Observations) -> Array:
        """(B,) nothing is learned beside the policy: zero."""
        del params
        return jnp.zeros(len(obs["task"]))


def commander_equivariance(
    symmetry: Symmetry,
    architecture: CommanderArchitecture,
    proprioception: Representation,
    task: Representation,
    privileged: Representation,
) -> Equivariance:
    """How the networks of a ``CommanderAgent`` are mirrored, given how its observations are.

    Raises:
        SettingsError: a layer cannot be mirrored.
    """
    command = join([symmetry.planar, symmetry.turning])
    tracked = symmetry.planar.repeated(TRACKED_SIZE // 2)
    seen = join([proprioception, symmetry.polar.repeated(2), task, tracked, command])
    networks = {
        "policy": mlp_layers(symmetry, seen, architecture.policy_hidden, command),
        "critic": mlp_layers(symmetry, privileged, architecture.critic_hidden, symmetry.scalars()),
    }
    return Equivariance(networks, {})
