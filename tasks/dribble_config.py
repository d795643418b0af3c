"""Settings of the dribbling task, and what differs from robot to robot."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from legged_skills.robots.errors import (
    SettingsError,
    require_at_least,
    require_not_negative,
    require_positive,
    require_within,
)
from legged_skills.tasks.robots_own import given_or_own

TASK_SIZE = 7
"""Ball x and y, their rates of change, age; target x and y."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Lengths and speeds of the task, which differ from robot to robot."""

    kernel_m: float
    """Scale of the reward's kernel (the numbers of Bohez et al. 2022: 1 for ANYmal, 0.5 for OP3)
    [m]."""
    target_speed_mps: float
    """Targets move up to this fast in training [m/s]."""
    start_m: tuple[float, float]
    """How far from the robot the ball lies at the start of an episode, nearest and farthest: clear
    of feet and body [m]."""
    range_m: float
    """How far the camera finds the ball [m]."""


SIZES: Mapping[str, Sizes] = {
    "anymal_c": Sizes(kernel_m=1.0, target_speed_mps=0.6, start_m=(0.75, 2.5), range_m=6.0),
    "op3": Sizes(kernel_m=0.5, target_speed_mps=0.25, start_m=(0.22, 1.0), range_m=3.0),
}
"""The sizes of each robot, by name."""


@dataclass(frozen=True, kw_only=True)
class DribbleConfig:
    """Settings of the dribbling task. What is None is the robot's own (``SIZES``)."""

    kernel_m: float | None = None
    """The reward is exp(-distance between ball and target / this) [m]."""
    target_speed_mps: float | None = None
    """Targets move up to this fast [m/s]."""
    start_m: tuple[float, float] | None = None
    """How far from the robot the ball lies at the start, nearest and farthest [m]."""
    range_m: float | None = None
    """How far the camera finds the ball [m]."""
    approach_weight: float = 0.0
    """Weight of a second kernel, of the same scale, on the distance between robot and ball."""
    ramp_share: float = 0.0
    """Share of a training over which targets become fast, and balls start farther away and on all
    sides; while targets are slow, a ball is best left alone."""
    lost_scales: float = 4.0
    """In training, an episode ends when the ball is farther from the target than this many scales
    of the kernel, where nothing tells any more which way is better."""
    max_tilt_rad: float = 1.0
    """Fallen when the base is tilted by more than this [rad]."""
    episode_s: float = 20.0
    """Episodes are cut after this time [s]."""
    start_noise: float = 0.1
    """Standard deviation of joint angles [rad] around the standing pose at the start."""

    def __post_init__(self) -> None:
        """Checks what a command line or a file can say.

        Raises:
            SettingsError: a length, speed or time is not positive, or a number is out of its range.
        """
        lengths = ("kernel_m", "target_speed_mps", "range_m", "lost_scales", "episode_s")
        require_positive(self, *(name for name in lengths if getattr(self, name) is not None))
        if self.start_m is not None and not 0.0 < self.start_m[0] <= self.start_m[1] < np.inf:
            raise SettingsError(f"start_m is {self.start_m}, expected a near and a far distance.")
        require_not_negative(self, "approach_weight", "start_noise")
        require_within(self, ramp_share=(0.0, 1.0))
        require_at_least(self, max_tilt_rad=0.0)

    def sizes(self, robot: str) -> Sizes:
        """The sizes for a robot.

        Raises:
            SettingsError: the robot has none of its own.
        """
        if robot not in SIZES:
            raise SettingsError(f"{robot} has no ball, expected one of {', '.join(SIZES)}.")
        return given_or_own(self, SIZES[robot])


def task_scale(sizes: Sizes) -> np.ndarray:
    """(7,) float32 [1/m, 1/m, s/m, s/m, 1/s, 1/m, 1/m].

    Policies are told ``DribbleEnv.told`` times this, so that usual values are near 1.
    """
    k = 1.0 / sizes.kernel_m
    return np.array([k, k, k, k, 1.0, k, k], np.float32)
