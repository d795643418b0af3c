"""The imitation environment: N robots, each following a stretch of a reference motion."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from legged_skills.robots.contract import ObservationContract
from legged_skills.robots.errors import (
    SettingsError,
    require_at_least,
    require_not_negative,
    require_positive,
    require_within,
)
from legged_skills.robots.rotations import (
    conjugate,
    from_yaw,
    multiply,
    rotate,
    rotate_inverse,
    yaw,
)
from legged_skills.robots.simulation import BatchSim
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.gap import Gap
from legged_skills.sim2real.sensed_robot import SensedRobots, clean_state_size
from legged_skills.skill_module.deviation import lowest_height
from legged_skills.skill_module.environment import Outcome, WithRobots
from legged_skills.skill_module.matching import FreeConfig, MotionMatcher
from legged_skills.skill_module.reference import Reference
from legged_skills.skill_module.symmetry import Representation, Symmetry, join

MIN_RUNWAY = 25
"""Episodes start at least this many control steps before the end of a clip."""


@dataclass(frozen=True, kw_only=True)
class ImitationConfig:
    """Settings of the imitation environment.

    Rewards are per control step, at most the sum of their weights, which is 1 by default. Lengths
    are over the robot's leg length, so that robots of all sizes are judged alike.
    """

    future_steps: tuple[int, ...] = (1, 2, 4, 8, 16)
    """Control steps ahead at which the encoder sees the reference."""
    reference_lead: int = 2
    """The joints so many control steps ahead are what a tracker's action starts from: about as
    late as commands and drives are."""
    max_steps: int = 300
    """Episodes are cut after this many control steps."""
    joint_weight: float = 0.3
    """Weight of the joint angles."""
    joint_scale: float = 2.0
    """Their kernel exp(-scale * error^2) [1/rad^2]."""
    joint_vel_weight: float = 0.05
    """Weight of the joint velocities."""
    joint_vel_scale: float = 0.01
    """Their kernel [s^2/rad^2]."""
    feet_weight: float = 0.2
    """Weight of the foot positions in the base frame."""
    feet_scale: float = 6.0
    """Their kernel, per squared leg length."""
    root_weight: float = 0.25
    """Weight of the base's pose in the world."""
    root_pos_scale: float = 3.0
    """Its kernel's part for the position, per squared leg length."""
    root_height_scale: float = 60.0
    """And for the height alone: without it robots that carry much walk with bent knees."""
    root_rot_scale: float = 5.0
    """Its kernel's part for the orientation [1/rad^2]."""
    root_vel_weight: float = 0.2
    """Weight of the base's linear velocity in the base frame."""
    root_vel_scale: float = 11.0
    """Its kernel, per squared Froude speed (``RobotSpec.froude_speed_mps``)."""
    mean_vel_weight: float = 0.0
    """Weight of the base's mean horizontal velocity: who goes slowly, step by step, is told so."""
    mean_vel_scale: float = 15.0
    """Its kernel exp(-scale * error), per Froude speed."""
    mean_vel_s: float = 0.6
    """Time constant of that mean [s]."""
    action_rate_weight: float = 0.002
    """Cost of the squared change of the action from step to step."""
    max_root_error: float = 0.9
    """Lost when the base is farther than this from the reference, in leg lengths."""
    max_tilt_error_rad: float = 1.0
    """Lost when roll and pitch together are farther than this from the reference's [rad]."""
    start_noise: float = 0.02
    """Standard deviation of the joint angles around the reference at the start [rad]."""
    start_offset: float = 0.18
    """Standard deviation of the base beside the reference at the start, so that the way back is
    learned too, in leg lengths."""
    hard_share: float = 0.5
    """Share of episodes that start where tracking was lost before, not anywhere."""
    bin_steps: int = 25
    """Length of the stretches over which losses are counted for that [control steps]."""

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            SettingsError: one is out of its range.
        """
        # Earlier rows of the reference may be those of another clip.
        if not self.future_steps or not all(steps >= 0 for steps in self.future_steps):
            raise SettingsError(
                f"future_steps is {self.future_steps}, expected control steps, each at least 0."
            )
        require_at_least(self, reference_lead=0, max_steps=1, bin_steps=1)
        rewards = [f.name for f in fields(self) if f.name.endswith(("_weight", "_scale"))]
        require_not_negative(self, *rewards, "start_noise", "start_offset")
        require_positive(self, "mean_vel_s")
        require_at_least(self, max_root_error=0.0, max_tilt_error_rad=0.0)
        require_within(self, hard_share=(0.0, 1.0))


class TrackingError(NamedTuple):
    """How far robots are from their reference; (N,) each, but for vectors."""

    joint_squared: np.ndarray
    """Sum over joints [rad^2]."""
    joint_mean: np.ndarray
    """Mean absolute error over joints [rad]."""
    root_pos: np.ndarray
    """Distance of the base [m]."""
    root_height: np.ndarray
    """Height of the base over the reference's [m]."""
    root_vel: np.ndarray
    """(N, 3) difference of the velocities of the base, each in its own base frame [m/s]."""
    root_rot: np.ndarray
    """Angle between the orientations of the base [rad]."""
    tilt: np.ndarray
    """Angle between the directions of gravity in the base frames: roll and pitch only [rad]."""


class ImitationEnv(WithRobots):
    """N robots that follow reference motions, with auto-reset.

    Observation groups: "proprioception" (what the robot measures, for the decoder),
    "privileged" (a clean frame, base velocity and height, and the coming reference in the robot's
    own frame, for encoder and critic), "reference_action" (the action that asks for the
    reference's joints, where a tracker begins) and "free" (1 where the robot is free).
    """

    def __init__(
        self,
        sim: BatchSim,
        contract: ObservationContract,
        reference: Reference,
        config: ImitationConfig,
        seed: int = 0,
        noise_scale: float = 0.0,
        gap: Gap | None = None,
        level: float = 1.0,
        free: FreeConfig | None = None,
    ) -> None:
        """Starts every environment on a random row of the reference.

        Args:
            sim: the physics.
            contract: what the decoder is told.
            reference: what is followed.
            config: settings.
            seed: of everything random.
            noise_scale: see ``SensedRobots``.
            gap: what is between policy and physics; None for nothing.
            level: width of the gap's ranges in force, over their full width.
            free: when robots are let go; None for never.
        """
        self.robots = SensedRobots(sim, contract, noise_scale, seed + 1, gap, level)
        self.reference = reference
        self.config = config
        self.rng = np.random.default_rng(seed)
        n = sim.num_envs
        self.row = np.zeros(n, dtype=np.int64)
        self.free = np.zeros(n, dtype=bool)
        # Where episodes began, and whether the row was moved since.
        self._start = np.zeros(n, dtype=np.int64)
        self._strayed = np.zeros(n, dtype=bool)
        # Where the world of a robot's reference lies in the robot's: shifted along the floor [m]
        # and turned about the vertical.
        self._shift = np.zeros((n, 3), np.float32)
        self._turn = from_yaw(np.zeros(n, np.float32))
        self.age = np.zeros(n, dtype=np.int64)
        # Running mean of how far the horizontal velocity is off the reference's [m/s].
        self._vel_off = np.zeros((n, 2), np.float32)
        self._future = np.array(config.future_steps)
        # The last rows leave nothing to track: episodes start at least this far from the end.
        runway = min(MIN_RUNWAY, int(reference.lengths.min()) - 1)
        rows = np.arange(reference.num_rows)
        self._start_rows = rows[reference.last - rows >= runway]
        self._bin_of_start = self._start_rows // config.bin_steps
        self._free = free
        self._matcher = None if free is None else MotionMatcher(sim.spec, reference, runway)
        self.loss_rate = np.full(reference.num_rows // config.bin_steps + 1, 0.5)
        self.reset(np.arange(n))

    @property
    def privileged_size(self) -> int:
        """Length of a privileged observation."""
        return privileged_size(self.spec, self.robots.contract, self.config)

    def observe(self) -> dict[str, np.ndarray]:
        """Present observations by group, (N, size) float32; copies."""
        return {
            "proprioception": self.robots.proprioception(),
            "privileged": self._privileged.copy(),
            "reference_action": self._reference_action(),
            "free": self.free[:, None].astype(np.float32),
        }

    def reset(self, ids: np.ndarray, rows: np.ndarray | None = None) -> None:
        """Puts environments on the reference.

        Args:
            ids: (n,) which environments.
            rows: (n,) rows of the reference; None draws them, and adds noise to base and joints.
        """
        rows_ = self._draw_rows(len(ids)) if rows is None else np.asarray(rows)
        qpos = self.reference.qpos[rows_].astype(np.float64)
        if rows is None:
            qpos[:, 7:] += self.config.start_noise * self.rng.standard_normal(qpos[:, 7:].shape)
            offset = self.config.start_offset * self.spec.leg_length_m
            qpos[:, :2] += offset * self.rng.standard_normal((len(ids), 2))
        self.row[ids] = rows_
        self.age[ids] = 0
        self._vel_off[ids] = 0.0
        self.free[ids] = False
        if rows is None and self._free is not None:
            self.free[ids] = self.rng.random(len(ids)) < self._free.share
        self._start[ids], self._strayed[ids] = rows_, self.free[ids]
        self._shift[ids] = 0.0
        self._turn[ids] = (1.0, 0.0, 0.0, 0.0)
        self.robots.reset(ids, qpos, self.reference.qvel[rows_])
        if len(ids) == self.num_envs:
            self._privileged = self._observe_privileged(slice(None))
        else:
            self._privileged[ids] = self._observe_privileged(ids)

    def advance(self, action: np.ndarray) -> np.ndarray:
        """One control step without reward and resets.

        At a clip's last row a robot's reference stays there, but for free robots, which go on with
        another.

        Args:
            action: (N, J), without unit.

        Returns:
            (N,) True where the physics diverged.
        """
        diverged = self.robots.step(action)
        self.row = np.minimum(self.row + 1, self.reference.last[self.row])
        self.age += 1
        if self._free is not None:
            self._let_go(self._free)
        self._privileged = self._observe_privileged(slice(None))
        return diverged

    def _let_go(self, config: FreeConfig) -> None:
        """Lets some robots go, catches others, and moves the references of free and caught ones.

        Where the clip of a free robot is over, the nearest row of all goes on.
        """
        period = self.spec.control_period_s
        chance = self.rng.random(self.num_envs)
        caught = self.free & (chance < period / config.mean_s)
        odds = config.share / (1.0 - config.share)
        let_go = ~self.free & (chance < odds * period / config.mean_s)
        again = self.free & (self.rng.random(self.num_envs) < period / config.match_period_s)
        moved = np.flatnonzero(caught | again)
        self.free ^= caught | let_go
        self._strayed |= self.free
        matcher = self._matcher
        if matcher is None or not self._strayed.any():
            return
        reach = round(config.reach_s / period)
        self.row[moved] = matcher.nearest_around(self.robots, moved, self.row[moved], reach)
        over = np.flatnonzero((self.free | caught) & (self.row >= self.reference.last[self.row]))
        self.row[over] = matcher.nearest(self.robots, over)
        self._anchor(np.union1d(moved, over))

    def _anchor(self, ids: np.ndarray) -> None:
        """Lays the references' worlds so that robots stand where their rows do, heading alike."""
        robots, ref = self.robots, self.reference.qpos[self.row[ids]]
        turn = from_yaw(yaw(robots.quat[ids]) - yaw(ref[:, 3:7]))
        shift = robots.pos_w[ids] - rotate(turn, ref[:, :3])
        shift[:, 2] = 0.0
        self._shift[ids], self._turn[ids] = shift, turn

    def _place(self, rows: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
        """Positions (n, 3) and orientations (n, 4) of the base in the references' worlds."""
        turn = self._turn[rows]
        pos = rotate_inverse(turn, self.robots.pos_w[rows] - self._shift[rows])
        return pos, multiply(conjugate(turn), self.robots.quat[rows])

    def step(self, action: np.ndarray) -> Outcome:
        """One control step of all environments; those that end are reset.

        Args:
            action: (N, J), without unit.
        """
        config = self.config
        action_before = self.robots.last_action.copy()
        diverged = self.advance(action)
        error = self.tracking_error()
        self._average_velocity(error)
        reward, terms = self._reward(error, action_before)
        terminated = self.lost(error) | diverged
        truncated = (self.row >= self.reference.last[self.row]) | (self.age >= config.max_steps)
        truncated &= ~terminated
        final = self._privileged[truncated]
        self._count_losses(terminated, truncated)
        ended = np.flatnonzero(terminated | truncated)
        if ended.size:
            self.reset(ended)
        return Outcome(reward, terminated, truncated, final, terms)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Everything needed to go on exactly: arrays, and what JSON can hold."""
        arrays, rest = self.robots.state()
        arrays |= {"row": self.row, "age": self.age, "loss_rate": self.loss_rate}
        arrays |= {"free": self.free, "shift": self._shift, "turn": self._turn}
        arrays |= {"start": self._start, "strayed": self._strayed, "vel_off": self._vel_off}
        return arrays, rest | {"rng": self.rng.bit_generator.state}

    def restore(self, arrays: Mapping[str, np.ndarray], rest: Mapping[str, Any]) -> None:
        """Goes on from what ``state`` gave."""
        self.robots.restore(arrays, rest)
        self.row[:], self.age[:] = arrays["row"], arrays["age"]
        self.loss_rate[:] = arrays["loss_rate"]
        self.free[:], self._shift[:] = arrays["free"], arrays["shift"]
        self._turn[:] = arrays["turn"]
        self._start[:], self._strayed[:] = arrays["start"], arrays["strayed"]
        self._vel_off[:] = arrays["vel_off"]
        self.rng.bit_generator.state = rest["rng"]
        self._privileged = self._observe_privileged(slice(None))

    def lost(self, error: TrackingError) -> np.ndarray:
        """(N,) True where the robot is off its reference, or has fallen."""
        farthest = self.config.max_root_error * self.spec.leg_length_m
        lowest = lowest_height(self.spec, self.reference.qpos[self.row, 2])
        return (
            (~self.free & (error.root_pos > farthest))
            | (error.tilt > self.config.max_tilt_error_rad)
            | (self.robots.pos_w[:, 2] < lowest)
        )

    def tracking_error(self) -> TrackingError:
        """How far the robots are from their present reference rows."""
        robots, ref_qpos = self.robots, self.reference.qpos[self.row]
        pos, quat = self._place(slice(None))
        joint = robots.joint_pos - ref_qpos[:, 7:]
        relative = multiply(conjugate(quat), ref_qpos[:, 3:7])
        half_sine = np.sqrt(np.square(relative[:, 1:]).sum(axis=1))
        up_cosine = -(robots.up_b * self.reference.gravity_b[self.row]).sum(axis=1)
        return TrackingError(
            joint_squared=np.square(joint).sum(axis=1),
            joint_mean=np.abs(joint).mean(axis=1),
            root_pos=np.sqrt(np.square(pos - ref_qpos[:, :3]).sum(axis=1)),
            root_height=pos[:, 2] - ref_qpos[:, 2],
            root_vel=robots.lin_vel_b - self.reference.lin_vel_b[self.row],
            root_rot=2.0 * np.arcsin(np.minimum(half_sine, 1.0)),
            tilt=np.arccos(np.clip(up_cosine, -1.0, 1.0)),
        )

    def _average_velocity(self, error: TrackingError) -> None:
        """Moves the running mean of the velocity's error on by a control step."""
        fading = min(1.0, self.spec.control_period_s / self.config.mean_vel_s)
        self._vel_off += fading * (error.root_vel[:, :2] - self._vel_off)

    def _reward(
        self, error: TrackingError, action_before: np.ndarray
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        config, robots, ref = self.config, self.robots, self.reference
        leg, speed = self.spec.leg_length_m, self.spec.froude_speed_mps
        joint_vel = robots.joint_vel - ref.qvel[self.row, 6:]
        feet = robots.feet_b() - ref.feet_b[self.row]
        mean_vel = np.sqrt(np.square(self._vel_off / speed).sum(axis=1))
        action_rate = np.square(robots.last_action - action_before).sum(axis=1)
        terms = {
            "joints": np.exp(-config.joint_scale * error.joint_squared),
            "joint_vel": np.exp(-config.joint_vel_scale * np.square(joint_vel).sum(axis=1)),
            "feet": np.exp(-config.feet_scale * np.square(feet / leg).sum(axis=1)),
            "root": np.exp(
                -config.root_pos_scale * np.square(error.root_pos / leg)
                - config.root_height_scale * np.square(error.root_height / leg)
                - config.root_rot_scale * np.square(error.root_rot)
            ),
            "root_vel": np.exp(
                -config.root_vel_scale * np.square(error.root_vel / speed).sum(axis=1)
            ),
            "mean_vel": np.exp(-config.mean_vel_scale * mean_vel),
        }
        reward = (
            config.joint_weight * terms["joints"]
            + config.joint_vel_weight * terms["joint_vel"]
            + config.feet_weight * terms["feet"]
            + config.root_weight * terms["root"]
            + config.root_vel_weight * terms["root_vel"]
            + config.mean_vel_weight * terms["mean_vel"]
            - config.action_rate_weight * action_rate
        )
        terms["action_rate"] = action_rate
        terms["joint_error_rad"] = error.joint_mean
        terms["root_error_m"] = error.root_pos
        return reward.astype(np.float32), terms

    def _reference_action(self) -> np.ndarray:
        ahead = np.minimum(self.row + self.config.reference_lead, self.reference.last[self.row])
        spec, joints = self.spec, self.reference.qpos[ahead, 7:]
        return ((joints - spec.default_joint_pos) / spec.action_scale).astype(np.float32)

    def _observe_privileged(self, rows: np.ndarray | slice) -> np.ndarray:
        robots, ref = self.robots, self.reference
        present = self.row[rows]
        ahead = np.minimum(present[:, None] + self._future, ref.last[present][:, None])
        future = ref.qpos[ahead]  # (n, K, 7 + J)
        pos, quat = self._place(rows)
        quat = quat[:, None, :]
        offset = rotate_inverse(quat, future[..., :3] - pos[:, None, :])
        relative = multiply(conjugate(quat), future[..., 3:7])
        # Twice the vector part is the rotation vector, for small angles; no trigonometry needed.
        turn = 2.0 * relative[..., 1:] * np.sign(relative[..., :1])
        joints = future[..., 7:] - robots.joint_pos[rows][:, None, :]
        n = len(present)
        return np.concatenate(
            [
                *robots.clean_state(rows),
                (np.float32(3.0) * offset).reshape(n, -1),
                (np.float32(2.0) * turn).reshape(n, -1),
                (np.float32(2.0) * joints).reshape(n, -1),
            ],
            axis=1,
        )

    def _draw_rows(self, count: int) -> np.ndarray:
        """Start rows: some anywhere, some more often where tracking gets lost."""
        hard = self.rng.random(count) < self.config.hard_share
        rows = self.rng.choice(self._start_rows, count)
        if hard.any():
            weight = self.loss_rate[self._bin_of_start]
            cumulative = np.cumsum(weight)
            drawn = np.searchsorted(cumulative, self.rng.random(int(hard.sum())) * cumulative[-1])
            rows[hard] = self._start_rows[np.minimum(drawn, len(self._start_rows) - 1)]
        return rows

    def _count_losses(self, terminated: np.ndarray, truncated: np.ndarray) -> None:
        """Updates the loss rate of the bin in which an episode began, and of where it was lost.

        Robots that were free in between tell nothing of that.
        """
        followed = ~self._strayed
        ended, lost = (terminated | truncated) & followed, terminated & followed
        if not ended.any():
            return
        rate = self.loss_rate
        bins = self._start[ended] // self.config.bin_steps
        np.add.at(rate, bins, 0.05 * (lost[ended] - rate[bins]))
        bins = self.row[lost] // self.config.bin_steps
        np.add.at(rate, bins, 0.05 * (1.0 - rate[bins]))
        np.clip(rate, 0.02, 1.0, out=rate)


def privileged_size(spec: RobotSpec, contract: ObservationContract, config: ImitationConfig) -> int:
    """Length of a privileged observation: frame, velocity, height, and the coming reference."""
    return clean_state_size(contract) + len(config.future_steps) * (6 + spec.num_joints)


def privileged_representation(
    symmetry: Symmetry, contract: ObservationContract, config: ImitationConfig
) -> Representation:
    """How a privileged observation is mirrored: its parts as in ``privileged_size``."""
    ahead = len(config.future_steps)
    return join(
        [
            symmetry.clean_state(contract),
            symmetry.polar.repeated(ahead),
            symmetry.axial.repeated(ahead),
            symmetry.joints.repeated(ahead),
        ]
    )
