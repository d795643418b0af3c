"""What is added to a commanded velocity until the robot seems to go as fast as it is told.

Each robot makes something else of the same command: its joint offsets, weak drives, payload and
floor see to that. A policy that is told how fast it seems to go still leaves a part of the
difference, as every proportional controller does. This is the integrator around it: it has no
weights, the policy learns with it, and it is part of the exported network.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array

from legged_skills import robots
from legged_skills.tasks.estimator import velocity_unit_mps
from legged_skills.tasks.walk import COMMAND_SCALE

TRIM_SIZE = 2
"""Forward and to the left; the turning rate is measured by the gyroscope."""
LIMIT = 0.35
"""A trim is no larger than this in either direction, in the unit of "velocity"."""
WINDOW = 0.7
"""A component that is farther off than this is on its way, after the command has changed, and is
not integrated: the integral would have to be undone afterwards. What is nearer counts by
1 - (missing / window)^2. In the unit of "velocity"."""


@dataclass(frozen=True)
class VelocityTrim:
    """Integrates what is missing of a commanded velocity.

    Attributes:
        steps: time constant, in control steps.
        task_scale: what "task" says of a velocity of 1, in the unit of "velocity", forward and to
            the left.
    """

    steps: float
    task_scale: tuple[float, float]

    @property
    def _scale(self) -> Array:
        return jnp.array([self.task_scale], jnp.float32)

    def advance(self, trim: Array, task: Array, mean_velocity: Array) -> Array:
        """The trim after one more control step; none while the whole command is zero.

        To stand still is no matter of speed: the estimate's own error would be walked off.

        Args:
            trim: (N, 2) until now.
            task: (N, C) the command, as the policy is told it.
            mean_velocity: (N, 3) the running mean of the estimated velocity.
        """
        missing = task[:, :TRIM_SIZE] / self._scale - mean_velocity[:, :TRIM_SIZE]
        weight = jnp.maximum(1.0 - jnp.square(missing / WINDOW), 0.0)
        moved = jnp.clip(trim + weight * missing / self.steps, -LIMIT, LIMIT)
        return jnp.where(jnp.any(task != 0.0, axis=-1, keepdims=True), moved, 0.0)

    def told(self, task: Array, trim: Array) -> Array:
        """(N, C) what the policy is told instead of the command."""
        added = trim * self._scale
        return jnp.concatenate([task[:, :TRIM_SIZE] + added, task[:, TRIM_SIZE:]], axis=-1)


def velocity_trim(task: str, robot: str, steps: float) -> VelocityTrim | None:
    """The trim of a task's policy, or None: only walking has a commanded velocity.

    Args:
        task: name of the task.
        robot: name of the robot.
        steps: time constant, in control steps; 0 for no trim.
    """
    if task != "walk" or steps == 0.0:
        return None
    scale = COMMAND_SCALE[:TRIM_SIZE] * np.float32(velocity_unit_mps(robots.get(robot)))
    return VelocityTrim(steps, (float(scale[0]), float(scale[1])))
