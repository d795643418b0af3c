"""Getting up: key poses, one after another, and an agent that goes through them when it has fallen.

A robot that lies goes through a few poses that are the same left and right, as small humanoids do
(Stückler, Schwenk, Behnke 2006, "Getting Back on Two Feet"), and a policy adds to them what keeps
its balance. It knows from gravity that it lies, on which side, and whether it stands at the end;
else it begins again. Then its task goes on by itself.

S is the number of sides a robot lies on, K of key poses, T of control steps, J of joints.
"""

from dataclasses import dataclass, field

import jax.numpy as jnp
import numpy as np
from jax import Array

from legged_skills.robots.contract import ObservationContract
from legged_skills.robots.errors import require_not_negative, require_within
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.raw_frame import frame_scale, term_slices
from legged_skills.skill_module.agents import Actor, Decision, Observations, Params
from legged_skills.skill_module.tracker import TrackerAgent

SIDES = ("front", "back")
"""What a robot lies on: gravity points along its x axis, or against it."""
FRONT, BACK = range(len(SIDES))
_AHEAD_S = 0.15
"""The policy is told where the key poses lead to in this time: about what drives lag behind [s]."""
LONGEST_S = 60.0
"""Of a rest, and of the time from one key pose to the next: motions are tables of all steps [s]."""
STATE_SIZE = 3
"""What is carried besides: control steps since it began to get up (0: it does not), the side that
it lay on, control steps for which it has been down."""


@dataclass(frozen=True, kw_only=True)
class GetupConfig:
    """When a robot gets up, and when it has."""

    down_rad: float = 1.05
    """It is down when it is tilted by more than this [rad]."""
    down_s: float = 0.25
    """It begins to get up when it has been down for so long [s], and asks for the default pose
    until then; who is down after the last key pose begins anew at once."""
    up_rad: float = 0.45
    """At the end of the poses it stands if it is tilted by less than this [rad]."""
    rest_s: float = 0.5
    """How long it stays in the default pose before that is decided [s]."""

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            SettingsError: one is out of its range.
        """
        require_within(self, down_rad=(0.0, np.pi), up_rad=(0.0, np.pi))
        require_not_negative(self, "down_s")
        require_within(self, rest_s=(0.0, LONGEST_S))


@dataclass(frozen=True, eq=False, kw_only=True)
class KeyPoses:
    """The poses of each side. They end in the default pose."""

    poses: np.ndarray
    """(S, K, J) joint targets [rad]."""
    durations_s: np.ndarray
    """(S, K + 1) time to the first pose, from one to the next, and to the default pose [s]."""


@dataclass(frozen=True, eq=False, kw_only=True)
class GetupMotion:
    """Key poses as what the joints are told, step by step. Equal and hashable by identity."""

    targets: np.ndarray
    """(S, T, J) actions: joint targets off the default pose, over the action scale."""
    shares: np.ndarray
    """(S, T) share of the way from the target before to this one: below 1 on the way to the first
    key pose, which begins wherever the robot is."""
    steps: np.ndarray
    """(S,) after so many steps it should stand."""
    upright: np.ndarray
    """(S,) from so many steps on, those to the last key pose, who is down has failed."""
    told: np.ndarray
    """(S, T, 2 J + 2) what the policy is told of it: the action now and ``_AHEAD_S`` later, how
    much of the time is over, from 0 to 1, and on which side it lay, 1 or -1."""

    @classmethod
    def of(cls, spec: RobotSpec, keys: KeyPoses, rest_s: float) -> "GetupMotion":
        """The steps through key poses, linear in between; the last pose is kept for a while."""
        period = spec.control_period_s
        ends = np.cumsum(keys.durations_s, axis=1)
        steps = np.ceil((ends[:, -1] + rest_s) / period).astype(int)
        upright = np.ceil(ends[:, -2] / period).astype(int)
        time = (np.arange(steps.max()) + 1) * period
        default = np.broadcast_to(spec.default_joint_pos, (len(ends), 1, spec.num_joints))
        poses = np.concatenate([keys.poses, default], axis=1)
        targets = np.empty((len(ends), len(time), spec.num_joints))
        shares = np.ones(targets.shape[:2])
        for side, (until, way) in enumerate(zip(ends, poses, strict=True)):
            for joint in range(spec.num_joints):
                # Before the first key pose numpy's interpolation stays at it.
                targets[side, :, joint] = np.interp(time, until, way[:, joint])
            shares[side] = np.minimum(1.0, period / np.maximum(until[0] - time + period, period))
        actions = (targets - spec.default_joint_pos) / spec.action_scale
        later = np.minimum(np.arange(len(time)) + round(_AHEAD_S / period), len(time) - 1)
        over = np.minimum(1.0, (np.arange(len(time)) + 1) / steps[:, None])[..., None]
        side = np.broadcast_to(
            np.where(np.arange(len(ends)) == FRONT, 1.0, -1.0)[:, None, None], over.shape
        )
        told = np.concatenate([actions, actions[:, later], over, side], axis=2)
        return cls(
            targets=actions.astype(np.float32),
            shares=shares.astype(np.float32),
            steps=steps,
            upright=upright,
            told=told.astype(np.float32),
        )

    def rows(self, step: np.ndarray) -> np.ndarray:
        """Where steps (N,), counted from 0, are in these tables; the last pose is kept."""
        return np.minimum(step, self.targets.shape[1] - 1)

    def action(self, side: np.ndarray, step: np.ndarray, last_action: np.ndarray) -> np.ndarray:
        """The action (N, J) at steps (N,) of sides (N,), after the action (N, J) before."""
        row = self.rows(step)
        share = self.shares[side, row][:, None]
        return last_action + share * (self.targets[side, row] - last_action)

    @property
    def told_size(self) -> int:
        """Length of what the policy is told."""
        return self.told.shape[2]


def symmetric_poses(spec: RobotSpec, joints: tuple[str, ...], left: np.ndarray) -> np.ndarray:
    """Whole poses (..., J) from those of some joints of the left side (..., D) [rad].

    The right side is the mirror image, everything else as in the default pose.
    """
    left = np.asarray(left)
    poses = np.broadcast_to(spec.default_joint_pos, (*left.shape[:-1], spec.num_joints)).copy()
    indices = np.array([spec.joint_names.index(joint) for joint in joints])
    partners, signs = spec.mirror_joints
    poses[..., indices] = left
    poses[..., partners[indices]] = signs[indices] * left
    return poses


@dataclass(frozen=True)
class GetupAgent(TrackerAgent):
    """Policy pi(a_t | proprioception, key poses) and a critic.

    The mean action is the one that leads along the key poses, plus what the policy adds.

    Attributes:
        task_size: length of the "task" observation, ``GetupMotion.told``.
    """

    task_size: int = field(kw_only=True)

    @property
    def seen_size(self) -> int:
        """Length of what the policy sees."""
        return self.proprioception_size + self.task_size

    def seen(self, obs: Observations) -> Array:
        """What the policy sees (..., seen_size)."""
        return jnp.concatenate([obs["proprioception"], obs["task"]], axis=-1)


@dataclass(frozen=True, eq=False, kw_only=True)
class FrozenGetup:
    """How to get up, as a part of another policy. Equal and hashable by identity."""

    motion: GetupMotion
    """The key poses."""
    agent: GetupAgent | None
    """What adds to them; None for nothing."""
    params: Params
    """Its weights."""

    def action(
        self, step: Array, side: Array, proprioception: Array, last_action: Array, key: Array
    ) -> Array:
        """The action (N, J) at steps (N,) of the motion, counted from 0, of sides (N,)."""
        share = jnp.asarray(self.motion.shares)[side, step]
        target = jnp.asarray(self.motion.targets)[side, step]
        reference = last_action + share[:, None] * (target - last_action)
        if self.agent is None:
            return reference
        obs = {"proprioception": proprioception, "reference_action": reference}
        obs["task"] = jnp.asarray(self.motion.told)[side, step]
        return self.agent.act(self.params, obs, reference[:, :0], key, True).action


@dataclass(frozen=True)
class Standing:
    """An agent without a task: it stays in the default pose.

    Attributes:
        num_joints: J.
    """

    num_joints: int

    @property
    def carried_size(self) -> int:
        """C: nothing is carried."""
        return 0

    def act(
        self, params: Params, obs: Observations, z_tm1: Array, key: Array, deterministic: bool
    ) -> Decision:
        """Asks for the default pose."""
        del params, key, deterministic
        return Decision(jnp.zeros((len(obs["proprioception"]), self.num_joints)), z_tm1, {})


@dataclass(frozen=True, kw_only=True)
class RecoveringAgent:
    """An agent that does its task, and gets up when it has fallen.

    Carried are ``STATE_SIZE`` numbers, and what the task's agent carries, which begins anew after
    each fall. It is not trained: what explores is the task's agent.

    Attributes:
        agent: does the task.
        getup: how to get up.
        config: when.
        contract: what is observed.
    """

    agent: Actor
    getup: FrozenGetup
    config: GetupConfig
    contract: ObservationContract

    @property
    def carried_size(self) -> int:
        """C: the state of getting up, and what the task's agent carries."""
        return STATE_SIZE + self.agent.carried_size

    @property
    def down_steps(self) -> int:
        """It begins to get up after so many control steps down."""
        return max(1, round(self.config.down_s / self.contract.control_period_s))

    def act(
        self, params: Params, obs: Observations, z_tm1: Array, key: Array, deterministic: bool
    ) -> Decision:
        """Goes on getting up, or with its task."""
        state, carried = z_tm1[:, :STATE_SIZE], z_tm1[:, STATE_SIZE:]
        gravity, last_action = self._newest(obs["proprioception"])
        state = self._advance(state, gravity)
        busy = state[:, :1] > 0.0
        done = self.agent.act(params, obs, carried, key, deterministic)
        step = jnp.clip(state[:, 0].astype(int) - 1, 0, self.getup.motion.targets.shape[1] - 1)
        side = state[:, 1].astype(int)
        up = self.getup.action(step, side, obs["proprioception"], last_action, key)
        # A policy that has never seen the floor may do anything there, and tangle arms and legs.
        falls = state[:, 2:] > 0.0
        action = jnp.where(busy, up, jnp.where(falls, 0.0, done.action))
        carried = jnp.where(busy, 0.0, done.z)
        return done._replace(action=action, z=jnp.concatenate([state, carried], axis=1))

    def _newest(self, proprioception: Array) -> tuple[Array, Array]:
        """Gravity (N, 3), a unit vector in the base frame, and the action before (N, J)."""
        scale, slices = frame_scale(self.contract), term_slices(self.contract)
        frame = proprioception[:, -self.contract.frame_size :]
        gravity, action = slices["gravity"], slices["last_action"]
        return frame[:, gravity] / scale[None, gravity], frame[:, action] / scale[None, action]

    def _advance(self, state: Array, gravity: Array) -> Array:
        """The state (N, 3) of getting up after another control step."""
        step, side, down = state[:, 0], state[:, 1], state[:, 2]
        up = -gravity[:, 2]
        lies_on = jnp.where(gravity[:, 0] > 0.0, float(FRONT), float(BACK))
        down = jnp.where(up < np.cos(self.config.down_rad), down + 1.0, 0.0)
        motion, which = self.getup.motion, side.astype(int)
        busy = step > 0.0
        over = step >= jnp.asarray(motion.steps, jnp.float32)[which]
        stands = up > np.cos(self.config.up_rad)
        failed = (step >= jnp.asarray(motion.upright, jnp.float32)[which]) & (down > 0.0)
        falls = ~busy & (down >= self.down_steps)
        begins = falls | (busy & (failed | (over & ~stands)))
        goes_on = jnp.where(busy & ~over, step + 1.0, 0.0)
        return jnp.stack(
            [jnp.where(begins, 1.0, goes_on), jnp.where(begins, lies_on, side), down], axis=1
        )
