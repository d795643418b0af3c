"""The walking task as a test: which commands are given, and how well they were carried out.

Needs nothing of training: it sees what a simulated robot really does, and nothing of the policy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from legged_skills.robots.errors import SettingsError
from legged_skills.robots.intervals import wilson
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.bundle_header import CommandComponent


class Truth(Protocol):
    """What N simulated robots really do, whatever their sensors say."""

    @property
    def pos_w(self) -> np.ndarray:
        """(N, 3) base position in the world [m]."""
        ...

    @property
    def up_b(self) -> np.ndarray:
        """(N, 3) normal of the floor in the base frame, unit length."""
        ...

    @property
    def lin_vel_b(self) -> np.ndarray:
        """(N, 3) velocity of the base in the base frame [m/s]."""
        ...

    @property
    def ang_vel_b(self) -> np.ndarray:
        """(N, 3) angular velocity in the base frame [rad/s]."""
        ...

    @property
    def torque_squared(self) -> np.ndarray:
        """(N,) sum over joints of torque^2, mean over the control step [N^2 m^2]."""
        ...


@dataclass(frozen=True, kw_only=True)
class WalkTrialConfig:
    """What a walking policy is tested on; times as in ``evaluate walk``."""

    episode_s: float = 20.0
    """Length of an episode [s]."""
    command_s: float = 4.0
    """Time each command is given [s]."""
    average_s: float = 2.0
    """The velocity is averaged over the last of that time [s]."""
    max_tilt_rad: float = 1.0
    """Fallen when the base is tilted by more than this from the floor's normal [rad]."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            SettingsError: a time is not positive, or longer than that in which it lies.
        """
        if not 0.0 < self.average_s <= self.command_s <= self.episode_s < np.inf:
            raise SettingsError(
                f"average_s, command_s and episode_s are {self.average_s:g}, {self.command_s:g} "
                f"and {self.episode_s:g}, expected times above 0, in this order."
            )


def draw_commands(
    components: Sequence[CommandComponent], config: WalkTrialConfig, episodes: int, seed: int
) -> np.ndarray:
    """Commands of some episodes, uniform over what the policy was trained for.

    Returns:
        (E, K, C): K commands one after another of C components, in their units.
    """
    count = round(config.episode_s / config.command_s)
    low, high = ([getattr(c, end) for c in components] for end in ("low", "high"))
    rng = np.random.default_rng(seed)
    return rng.uniform(low, high, (episodes, count, len(components)))


def heading_twist(truth: Truth) -> np.ndarray:
    """(N, 3) velocity forward and to the left [m/s], along the floor, and turning rate [rad/s]."""
    up = truth.up_b
    # The base's x axis, laid on the floor: no need for the heading itself.
    forward = np.array([1.0, 0.0, 0.0], up.dtype) - up[:, :1] * up
    forward /= np.linalg.norm(forward, axis=1, keepdims=True) + 1e-6
    left = np.cross(up, forward)
    return np.stack(
        [
            (forward * truth.lin_vel_b).sum(axis=1),
            (left * truth.lin_vel_b).sum(axis=1),
            (up * truth.ang_vel_b).sum(axis=1),
        ],
        axis=1,
    )


class WalkTrial:
    """One test of N robots. Fallen robots may be put back; what they do after that is not counted.

    K is the number of commands in an episode.

    Attributes:
        steps: control steps of an episode.
        fallen_at: (N,) control step of the first fall; ``steps`` if there was none yet.
    """

    def __init__(self, spec: RobotSpec, config: WalkTrialConfig, commands: np.ndarray) -> None:
        """Prepares the test.

        Args:
            spec: the robot.
            config: times, and what a fall is.
            commands: (N, K, 3) vx, vy [m/s], yaw rate [rad/s], one after another.
        """
        n, count, _ = commands.shape
        self._spec = spec
        self._commands = commands
        self._hold = round(config.command_s / spec.control_period_s)
        self._window = max(1, round(config.average_s / spec.control_period_s))
        self._min_up = np.cos(config.max_tilt_rad)
        self.steps = self._hold * count
        self.fallen_at = np.full(n, self.steps)
        self._sums = np.zeros((n, count, 3))
        self._torque_squared = np.zeros(n)
        self._upright_steps = np.zeros(n)

    @property
    def over(self) -> bool:
        """Whether everyone has fallen."""
        return bool((self.fallen_at < self.steps).all())

    def command(self, step: int) -> np.ndarray:
        """(N, 3) the commands in force at a control step."""
        return self._commands[:, step // self._hold]

    def observe(self, step: int, truth: Truth, diverged: np.ndarray) -> np.ndarray:
        """Takes down what came of a control step.

        Args:
            step: number of the control step.
            truth: the robots after it.
            diverged: (N,) True where the physics failed, which counts as a fall.

        Returns:
            (N,) True where a robot lies on the floor, for the first time or again.
        """
        down = diverged | (truth.pos_w[:, 2] < self._spec.fallen_height_m)
        down |= ~(truth.up_b[:, 2] >= self._min_up)
        upright = self.fallen_at == self.steps
        self.fallen_at[down & upright] = step
        upright &= ~down
        self._torque_squared[upright] += truth.torque_squared[upright]
        self._upright_steps += upright
        index, age = divmod(step, self._hold)
        if age >= self._hold - self._window:
            self._sums[upright, index] += heading_twist(truth)[upright]
        return down

    def figures(self, rows: slice) -> dict[str, Any]:
        """What came of some of the robots.

        Returns:
            "episodes", "fall_rate", "falls_ci95" (low and high end); "velocity_error_mps" and
            "yaw_error_radps", means over the commands carried out of the error of the averaged
            velocity, NaN if there was none; "error_with_falls_mps", the former over all commands,
            where those that a fall cut off count as if the robot had stood still; and
            "torque_squared", mean while upright [N^2 m^2].
        """
        commands, fallen_at = self._commands[rows], self.fallen_at[rows]
        ends = (np.arange(commands.shape[1]) + 1) * self._hold
        done = ends <= fallen_at[:, None]
        error = self._sums[rows] / self._window - commands
        error[~done] = -commands[~done]
        velocity_error = np.linalg.norm(error[..., :2], axis=-1)
        yaw_error = np.abs(error[..., 2])
        fell = fallen_at < self.steps
        upright_steps = self._upright_steps[rows].sum()
        return {
            "episodes": len(fell),
            "fall_rate": float(fell.mean()),
            "falls_ci95": list(wilson(int(fell.sum()), len(fell))),
            "velocity_error_mps": _mean(velocity_error[done]),
            "yaw_error_radps": _mean(yaw_error[done]),
            "error_with_falls_mps": _mean(velocity_error),
            "torque_squared": float(self._torque_squared[rows].sum() / upright_steps)
            if upright_steps
            else float("nan"),
        }


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")
