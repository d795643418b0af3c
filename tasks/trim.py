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
from legged_skills.robots.contract import ObservationContract
from legged_skills.sim2real.raw_frame import newest_turning_rate
from legged_skills.tasks.estimator import velocity_unit_mps
from legged_skills.tasks.walk import COMMAND_SCALE, COMMAND_SIZE

TRIM_SIZE = COMMAND_SIZE + 1
"""Length of what is carried from step to step: forward, to the left, turning, and behind them the
running mean of the turning rate [rad/s]."""
LIMIT = 0.35
"""A component is no larger than this: in the unit of "velocity", and in rad/s."""
WINDOW = 0.7
"""A component that is farther off than this is on its way, after the command has changed, and is
not integrated: the integral would have to be undone afterwards. What is nearer counts by
1 - (missing / window)^2. In the unit of "velocity", and in rad/s."""


@dataclass(frozen=True)
class VelocityTrim:
    """Integrates what is missing of a commanded velocity.

    How fast the robot moves along the floor is what the estimator says, on the mean; how fast it
    turns, what its gyroscope says about the vertical axis of the base, on the same mean.

    Attributes:
        steps: time constant, in control steps.
        task_scale: what "task" says of a velocity of 1, in the unit of "velocity", forward and to
            the left, and of a turning rate of 1 rad/s.
        gyro: where the newest of that axis is in "proprioception".
        gyro_scale: what stands there for 1 rad/s.
        memory_share: weight of the present turning rate in its running mean.
    """

    steps: float
    task_scale: tuple[float, float, float]
    gyro: int
    gyro_scale: float
    memory_share: float

    @property
    def _scale(self) -> Array:
        return jnp.array([self.task_scale], jnp.float32)

    def advance(
        self, trim: Array, task: Array, mean_velocity: Array, proprioception: Array
    ) -> Array:
        """What is carried after one more control step; no trim while the whole command is zero.

        To stand still is no matter of speed: the estimate's own error would be walked off.

        Args:
            trim: (N, 4) until now.
            task: (N, 3) the command, as the policy is told it.
            mean_velocity: (N, 3) the running mean of the estimated velocity.
            proprioception: (N, P) what the robot measures.
        """
        before, rate = trim[:, :COMMAND_SIZE], trim[:, COMMAND_SIZE:]
        now = proprioception[:, self.gyro : self.gyro + 1] / self.gyro_scale
        rate = rate + self.memory_share * (now - rate)
        going = jnp.concatenate([mean_velocity[:, :2], rate], axis=-1)
        missing = task / self._scale - going
        weight = jnp.maximum(1.0 - jnp.square(missing / WINDOW), 0.0)
        moved = jnp.clip(before + weight * missing / self.steps, -LIMIT, LIMIT)
        goes = jnp.any(task != 0.0, axis=-1, keepdims=True)
        return jnp.concatenate([jnp.where(goes, moved, 0.0), rate], axis=-1)

    def told(self, task: Array, trim: Array) -> Array:
        """(N, 3) what the policy is told instead of the command."""
        return task + trim[..., :COMMAND_SIZE] * self._scale


def velocity_trim(
    task: str, contract: ObservationContract, steps: float, memory_steps: float
) -> VelocityTrim | None:
    """The trim of a task's policy, or None: only walking has a commanded velocity.

    Args:
        task: name of the task.
        contract: what the policy is told of the robot.
        steps: time constant, in control steps; 0 for no trim.
        memory_steps: that of the running means, in control steps.
    """
    if task != "walk" or steps == 0.0:
        return None
    unit = velocity_unit_mps(robots.get(contract.robot))
    scale = COMMAND_SCALE * np.array([unit, unit, 1.0], np.float32)
    vx, vy, turning = (float(value) for value in scale)
    gyro, gyro_scale = newest_turning_rate(contract)
    return VelocityTrim(
        steps,
        (vx, vy, turning),
        gyro=gyro,
        gyro_scale=gyro_scale,
        memory_share=1.0 / memory_steps,
    )
