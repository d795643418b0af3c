"""Walking as commanded: forward, sideways and turning velocity, changing at random."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
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
from legged_skills.robots.simulation import BatchSim
from legged_skills.sim2real.gap import Gap
from legged_skills.sim2real.sensed_robot import SensedRobots, clean_state_size
from legged_skills.skill_module.environment import Outcome, WithRobots
from legged_skills.skill_module.module_file import read_settings
from legged_skills.skill_module.symmetry import Representation, Symmetry, join
from legged_skills.tasks.estimator import told_velocity
from legged_skills.tasks.robots_own import given_or_own
from legged_skills.tasks.standing import fallen, standing_qpos
from legged_skills.tasks.validate_walk import heading_twist

COMMAND_SIZE = 3
RANGES = ("vx_range", "vy_range", "yaw_range")
"""Fields of ``Paces`` and of settings, in the order of a command."""
COMMAND_NAMES = ("vx_mps", "vy_mps", "yaw_radps")
"""What a command's numbers are called in figures."""
COMMAND_SCALE = np.array([2.0, 4.0, 2.0], np.float32)
"""Policies are told command * scale, so that usual commands are near 1 [s/m, s/m, s/rad]."""


@dataclass(frozen=True, kw_only=True)
class Paces:
    """Velocities of the task, which differ from robot to robot."""

    vx_range: tuple[float, float]
    """Commanded forward velocity [m/s]."""
    vy_range: tuple[float, float]
    """Commanded velocity to the left [m/s]."""
    yaw_range: tuple[float, float]
    """Commanded turning rate, positive to the left [rad/s]."""
    velocity_kernel_mps: float
    """Scale of the reward's kernel on the linear velocity [m/s]."""
    yaw_kernel_radps: float
    """Scale of its kernel on the turning rate [rad/s]."""

    @property
    def ranges(self) -> np.ndarray:
        """(3, 2) slowest and fastest: forward, to the left [m/s], turning [rad/s]."""
        return np.array([getattr(self, name) for name in RANGES])

    def command(self, shares: tuple[float, float, float]) -> tuple[float, float, float]:
        """A command that is as lively for a robot of any size.

        Args:
            shares: of the upper ends of the ranges if positive, of the lower ones if negative:
                forward, to the left, turning.

        Returns:
            vx, vy [m/s], yaw rate [rad/s], to two decimals.
        """
        vx, vy, yaw = (
            round(share * high if share >= 0.0 else -share * low, 2)
            for share, (low, high) in zip(shares, self.ranges.tolist(), strict=True)
        )
        return vx, vy, yaw


PACES: Mapping[str, Paces] = {
    "anymal_c": Paces(
        vx_range=(-0.6, 1.3),
        vy_range=(-0.35, 0.35),
        yaw_range=(-1.1, 1.1),
        velocity_kernel_mps=0.3,
        yaw_kernel_radps=0.4,
    ),
    "op3": Paces(
        vx_range=(-0.12, 0.42),
        vy_range=(-0.12, 0.12),
        yaw_range=(-0.8, 0.8),
        velocity_kernel_mps=0.1,
        yaw_kernel_radps=0.4,
    ),
}
"""The paces of each robot, by name."""


@dataclass(frozen=True, kw_only=True)
class WalkConfig:
    """Settings of the walking task. What is None is the robot's own (``PACES``).

    Velocities are in the heading frame: x forward, y left.
    """

    vx_range: tuple[float, float] | None = None
    """Commanded forward velocity [m/s]; None for -0.6 to 1.3 (anymal_c) or -0.12 to 0.42 (op3)."""
    vy_range: tuple[float, float] | None = None
    """Commanded velocity to the left [m/s]; None for -0.35 to 0.35 or -0.12 to 0.12."""
    yaw_range: tuple[float, float] | None = None
    """Commanded turning rate, positive to the left [rad/s]; None for -1.1 to 1.1 or -0.8 to 0.8."""
    velocity_kernel_mps: float | None = None
    """The reward for the linear velocity is exp(-error / this) [m/s]; None for 0.3 or 0.1."""
    yaw_kernel_radps: float | None = None
    """The reward for the turning rate is exp(-error / this) [rad/s]; None for 0.4."""
    average_s: float = 0.5
    """Time constant of the running mean of velocity minus command that is rewarded [s]: about a
    stride. A body sways with every step; a kernel on its velocity at one time would reward how
    little it sways, and would hardly tell how fast it goes."""
    stand_kernel_share: float = 0.3
    """While the command is to stand, the kernels are narrower by this factor, and are those of the
    velocity at the time: there is no stride to average over."""
    change_period_s: float = 4.0
    """Mean time between changes of a component of the command, and mean time of standing [s]."""
    zero_share: float = 0.2
    """Share of a component's changes after which it is zero, as when one goes straight ahead."""
    stand_share: float = 0.07
    """Share of changes after which the whole command is zero, until it changes as a whole."""
    velocity_weight: float = 2.0 / 3.0
    """Weight of the linear velocity in the reward."""
    yaw_weight: float = 1.0 / 3.0
    """Weight of the turning rate."""
    fall_cost: float = 100.0
    """What a fall takes from the reward, over the most that a control step can give. Without it a
    fall costs no more than what the next two seconds would have brought, and a policy takes the
    risk wherever its skills cannot do what is commanded."""
    max_tilt_rad: float = 1.0
    """Fallen when the base is tilted by more than this [rad]."""
    max_steps: int = 1000
    """Episodes are cut after this many control steps."""
    start_noise: float = 0.1
    """Standard deviation of joint angles [rad] around the standing pose at the start."""

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            SettingsError: the most is less than the least, or a number is out of its range.
        """
        for name in RANGES:
            ends = getattr(self, name)
            if ends is not None and not -float("inf") < ends[0] <= ends[1] < float("inf"):
                raise SettingsError(f"{name} is {list(ends)}, expected the least and the most.")
        kernels = ("velocity_kernel_mps", "yaw_kernel_radps")
        require_positive(self, *(name for name in kernels if getattr(self, name) is not None))
        require_positive(self, "average_s", "stand_kernel_share", "change_period_s")
        require_within(self, zero_share=(0.0, 1.0), stand_share=(0.0, 1.0))
        require_not_negative(self, "velocity_weight", "yaw_weight", "fall_cost", "start_noise")
        require_at_least(self, max_tilt_rad=0.0, max_steps=1)

    def paces(self, robot: str) -> Paces:
        """The paces for a robot.

        Raises:
            SettingsError: the robot has none of its own.
        """
        if robot not in PACES:
            raise SettingsError(f"{robot} has no paces, expected one of {', '.join(PACES)}.")
        return given_or_own(self, PACES[robot])


def trained_paces(
    config: Mapping[str, Any], robot: str, what: str | Path = "the walking policy"
) -> Paces:
    """The paces that a walk was trained for.

    Args:
        config: the task's settings in its file; where they say nothing, the robot's own hold.
        robot: its robot.
        what: the walk, for messages, e.g. its file.

    Raises:
        FileFormatError: a range or a kernel is none.
        SettingsError: the robot has no paces of its own.
    """
    names = [field.name for field in fields(Paces)]
    given = {name: config.get(name) for name in names}
    return read_settings(what, WalkConfig, given).paces(robot)


class Velocity(NamedTuple):
    """How robots move, in their heading frame; float32."""

    linear: np.ndarray
    """(N, 2) forward and to the left [m/s]."""
    yaw: np.ndarray
    """(N,) turning rate about the vertical [rad/s]."""


class WalkEnv(WithRobots):
    """N robots that shall move as commanded, with auto-reset.

    Observation groups: "proprioception" (what the robot measures), "task" (the command, scaled),
    "privileged" (a clean frame, base velocity, height, the command and the mean error, for the
    critic) and "velocity" (for the estimator).

    Attributes:
        robots: the robots.
        command: (N, 3) vx, vy [m/s] and turning rate [rad/s].
        error: (N, 3) running mean of the velocity minus the command.
        age: (N,) control steps since the start of the episode.
    """

    def __init__(
        self,
        sim: BatchSim,
        contract: ObservationContract,
        config: WalkConfig,
        seed: int = 0,
        noise_scale: float = 0.0,
        gap: Gap | None = None,
        level: float = 1.0,
    ) -> None:
        """Starts every robot standing, with a random command."""
        self.robots = SensedRobots(sim, contract, noise_scale, seed + 1, gap, level)
        self.config = config
        self.rng = np.random.default_rng(seed)
        n = sim.num_envs
        self.command = np.zeros((n, COMMAND_SIZE), np.float32)
        self.error = np.zeros((n, COMMAND_SIZE), np.float32)
        self.age = np.zeros(n, dtype=np.int64)
        self.paces = paces = config.paces(sim.spec.name)
        self._low, self._high = paces.ranges.T
        self._change = self.spec.control_period_s / config.change_period_s
        self.reset(np.arange(n))
        # Not all at once: episodes would end together, and the critic would learn the clock.
        self.age[:] = self.rng.integers(0, config.max_steps, n)

    @property
    def privileged_size(self) -> int:
        """Length of a privileged observation."""
        return clean_state_size(self.robots.contract) + 2 * COMMAND_SIZE

    def observe(self) -> dict[str, np.ndarray]:
        """Present observations by group, (N, size) float32; copies."""
        return {
            "proprioception": self.robots.proprioception(),
            "task": self.command * COMMAND_SCALE,
            "privileged": self._observe_privileged(slice(None)),
            "velocity": told_velocity(self.robots),
        }

    def mirrored(self, symmetry: Symmetry) -> tuple[Representation, Representation]:
        """How "task" and "privileged" observations are mirrored."""
        command = join([symmetry.planar, symmetry.turning])
        return command, join([symmetry.clean_state(self.robots.contract), command, command])

    def reset(self, ids: np.ndarray) -> None:
        """Robots stand somewhere near the default pose, heading anywhere, with new commands."""
        n = len(ids)
        qpos = standing_qpos(self.spec, n, self.config.start_noise, self.rng)
        self.robots.reset(ids, qpos, np.zeros(6 + self.spec.num_joints))
        self.age[ids], self.error[ids] = 0, 0.0
        self.command[ids] = self._draw_commands(n)

    def velocity(self) -> Velocity:
        """How the robots move now."""
        twist = heading_twist(self.robots)
        return Velocity(twist[:, :2], twist[:, 2])

    def fallen(self) -> np.ndarray:
        """(N,) True where the base is too low or too tilted."""
        return fallen(self.robots, self.config.max_tilt_rad)

    def step(self, action: np.ndarray) -> Outcome:
        """One control step of all environments; those that end are reset.

        Args:
            action: (N, J), without unit.
        """
        config = self.config
        diverged = self.robots.step(action)
        self.age += 1
        reward, terms = walk_reward(config, self.paces, *self._compare())
        terminated = self.fallen() | diverged
        reward[terminated] -= np.float32(config.fall_cost)
        truncated = (self.age >= config.max_steps) & ~terminated
        final = self._observe_privileged(truncated)
        self._change_commands()
        ended = np.flatnonzero(terminated | truncated)
        if ended.size:
            self.reset(ended)
        return Outcome(reward, terminated, truncated, final, terms)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Everything needed to go on exactly: arrays, and what JSON can hold."""
        arrays, rest = self.robots.state()
        arrays |= {"command": self.command, "error": self.error, "age": self.age}
        return arrays, rest | {"rng": self.rng.bit_generator.state}

    def restore(self, arrays: Mapping[str, np.ndarray], rest: Mapping[str, Any]) -> None:
        """Goes on from what ``state`` gave."""
        self.robots.restore(arrays, rest)
        self.command[:], self.error[:] = arrays["command"], arrays["error"]
        self.age[:] = arrays["age"]
        self.rng.bit_generator.state = rest["rng"]

    def _observe_privileged(self, rows: np.ndarray | slice) -> np.ndarray:
        told = (self.command[rows] * COMMAND_SCALE, self.error[rows] * COMMAND_SCALE)
        return np.concatenate([*self.robots.clean_state(rows), *told], axis=1)

    def _compare(self) -> tuple[np.ndarray, np.ndarray]:
        """The error that is rewarded (N, 3), and who shall stand (N,); to be called once a step."""
        velocity = self.velocity()
        now = np.concatenate([velocity.linear, velocity.yaw[:, None]], axis=1) - self.command
        share = min(1.0, self.spec.control_period_s / self.config.average_s)
        self.error += np.float32(share) * (now - self.error)
        stands = (self.command == 0.0).all(axis=1)
        return np.where(stands[:, None], now, self.error), stands

    def _draw_commands(self, count: int) -> np.ndarray:
        command = self._draw_components(count)
        command[self.rng.random(count) < self.config.stand_share] = 0.0
        return command

    def _draw_components(self, count: int) -> np.ndarray:
        command = self.rng.uniform(self._low, self._high, (count, COMMAND_SIZE))
        command[self.rng.random(command.shape) < self.config.zero_share] = 0.0
        return command

    def _change_commands(self) -> None:
        """Each component changes by itself (Bohez et al. 2022: a Bernoulli process)."""
        changes = self.rng.random((self.num_envs, COMMAND_SIZE)) < self._change
        # Who stands shall do so for as long: the first component's chance is that of all.
        stands = (self.command == 0.0).all(axis=1)
        changes[stands] = changes[stands, :1]
        if not changes.any():
            return
        self.command[changes] = self._draw_components(self.num_envs)[changes]
        stops = changes.any(axis=1) & (self.rng.random(self.num_envs) < self.config.stand_share)
        self.command[stops] = 0.0


def walk_reward(
    config: WalkConfig, paces: Paces, error: np.ndarray, stands: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """One kernel for the linear velocity, one for the turning rate, and nothing about gaits.

    Kernels of the error itself, not of its square: they pull from afar, and are sharp near zero.

    Args:
        config: weights.
        paces: scales of the kernels.
        error: (N, 3) velocity minus command: forward, left [m/s], turning [rad/s].
        stands: (N,) True for those that shall stand.

    Returns:
        (N,) float32 reward, at most 1, and its parts.
    """
    distance, yaw_error = np.linalg.norm(error[:, :2], axis=1), np.abs(error[:, 2])
    width = np.where(stands, config.stand_kernel_share, 1.0)
    terms = {
        "velocity": np.exp(-distance / (width * paces.velocity_kernel_mps)),
        "yaw": np.exp(-yaw_error / (width * paces.yaw_kernel_radps)),
    }
    reward = config.velocity_weight * terms["velocity"] + config.yaw_weight * terms["yaw"]
    terms["velocity_error_mps"] = distance
    terms["yaw_error_radps"] = yaw_error
    return reward.astype(np.float32), terms
