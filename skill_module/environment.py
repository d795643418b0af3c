"""What every environment is to the trainer, whatever its task."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.sensed_robot import SensedRobots


class Outcome(NamedTuple):
    """What a control step brought, for N environments."""

    reward: np.ndarray
    """(N,) float32."""
    terminated: np.ndarray
    """(N,) bool: lost, fallen or diverged."""
    truncated: np.ndarray
    """(N,) bool: cut at the end of the clip or of the time."""
    final_privileged: np.ndarray
    """(n, D) privileged observations of the n truncated environments, before their reset."""
    terms: dict[str, np.ndarray]
    """(N,) each: the parts of the reward before weighting, and errors to report."""


class WithRobots:
    """What environments of robots have in common; a base."""

    robots: SensedRobots
    """The robots."""

    @property
    def spec(self) -> RobotSpec:
        """The robot."""
        return self.robots.spec

    @property
    def num_envs(self) -> int:
        """N."""
        return self.robots.num_envs

    def set_progress(self, progress: float) -> None:
        """Widens the gap's ranges as the training goes on."""
        self.robots.set_progress(progress)


class Environment(Protocol):
    """N environments with auto-reset, as the trainer sees them."""

    @property
    def num_envs(self) -> int:
        """N."""
        ...

    def observe(self) -> dict[str, np.ndarray]:
        """Present observations by group, "privileged" among them; copies."""
        ...

    def step(self, action: np.ndarray) -> Outcome:
        """One control step; environments that end are reset."""
        ...

    def set_progress(self, progress: float) -> None:
        """Tells how much of the training is over, from 0 to 1, for what grows harder with it."""
        ...

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Everything needed to go on exactly: arrays, and what JSON can hold."""
        ...

    def restore(self, arrays: Mapping[str, np.ndarray], rest: Mapping[str, Any]) -> None:
        """Goes on from what ``state`` gave."""
        ...
