"""Where ball and target are, and how they move, from what a noisy and late camera says of them.

A filter with constant gains, in the robot's heading frame: what was known is moved on by what ball
(it slows as it rolls), target and the robot itself do in a control step; what the camera says,
compared with where the filter thinks things were at the time of the picture, corrects it. It has no
weights, and is part of the exported network.
"""

from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array

from legged_skills import robots
from legged_skills.robots.ball import BALLS
from legged_skills.robots.contract import ObservationContract
from legged_skills.sim2real.raw_frame import newest_turning_rate
from legged_skills.tasks.dribble_config import Sizes, task_scale
from legged_skills.tasks.estimator import velocity_unit_mps

AGE = 4
"""Where in "task" it stands how long ago the ball was seen [s]."""
TRACKED_SIZE = 8
"""Length of what is known: ball [m], its velocity over the floor [m/s], target [m] and its velocity
[m/s], x and y each."""
CARRIED_SIZE = TRACKED_SIZE + 1
"""Length of what is carried from step to step: what is known, and 1 after the first step."""
BALL_GAIN = 0.3
"""Share of the difference that corrects the ball's position in a control step."""
BALL_RATE = 0.8
"""How much of it corrects the ball's velocity in a control step [1/s]."""
LEAST_MPS = 1e-3
"""A ball's speed is not thought less than this, to divide by it [m/s]."""
TARGET_GAIN = 0.15
"""The same for the target's position."""
TARGET_RATE = 0.12
"""And for its velocity [1/s]."""
JUMP_M = 0.6
"""A target that is seen farther than this from where it should be has jumped [m]."""
OLDEST_S = 0.3
"""Pictures are compared with where things were at most this long ago [s]."""
OLDEST_TARGET_S = 0.1
"""The same for the target, whose age is told with that of the ball [s]."""
FRESH_S = 0.12
"""Sightings of the ball up to this age count in full [s]."""
STALE_S = 0.32
"""Older ones count less, those of this age and beyond not at all [s]."""


@dataclass(frozen=True)
class BallTracker:
    """Follows ball and target.

    Attributes:
        period_s: control period [s].
        scale: what "task" says of a distance of 1 m.
        velocity_unit_mps: unit of the estimated velocity [m/s].
        gyro: where the newest turning rate about the vertical axis is in "proprioception".
        gyro_scale: what stands there for 1 rad/s.
        slowing_mps2: how fast a rolling ball slows [m/s^2].
    """

    period_s: float
    scale: float
    velocity_unit_mps: float
    gyro: int
    gyro_scale: float
    slowing_mps2: float

    def advance(self, carried: Array, task: Array, velocity: Array, proprioception: Array) -> Array:
        """What is carried after one more control step.

        Args:
            carried: (N, 9) until now; zeros at the start of an episode.
            task: (N, 7) what the camera says (``DribbleEnv.told``), scaled.
            velocity: (N, 3) how fast the robot seems to move, in the unit of "velocity".
            proprioception: (N, P) what the robot measures.
        """
        own = self.velocity_unit_mps * velocity[:, :2]
        turning = proprioception[:, self.gyro : self.gyro + 1] / self.gyro_scale
        ball_seen, target_seen = task[:, :2] / self.scale, task[:, 5:7] / self.scale
        age = task[:, AGE : AGE + 1]
        still = jnp.zeros_like(ball_seen)
        first = jnp.concatenate([ball_seen, still, target_seen, still], axis=-1)
        known = first + carried[:, TRACKED_SIZE:] * (carried[:, :TRACKED_SIZE] - first)

        def passing(point: Array, point_vel: Array) -> Array:
            """How fast a point moves past the robot."""
            return point_vel - own - turning * _left_of(point)

        def moved(point: Array, point_vel: Array) -> tuple[Array, Array]:
            """A point and its velocity a control step later, in the frame that moves on."""
            return (
                point + self.period_s * passing(point, point_vel),
                point_vel - self.period_s * turning * _left_of(point_vel),
            )

        def then(point: Array, point_vel: Array, before_s: Array) -> Array:
            """Where a point was some time ago, in the frame of that time."""
            return point - before_s * passing(point, point_vel)

        ball, ball_vel = moved(known[:, :2], known[:, 2:4])
        speed = jnp.sqrt(jnp.square(ball_vel).sum(axis=-1, keepdims=True))
        lost = self.slowing_mps2 * self.period_s / jnp.maximum(speed, LEAST_MPS)
        ball_vel = ball_vel * jnp.maximum(1.0 - lost, 0.0)
        counts = jnp.clip((STALE_S - age) / (STALE_S - FRESH_S), 0.0, 1.0)
        off = counts * (ball_seen - then(ball, ball_vel, jnp.minimum(age, OLDEST_S)))
        ball, ball_vel = ball + BALL_GAIN * off, ball_vel + BALL_RATE * off

        target, target_vel = moved(known[:, 4:6], known[:, 6:8])
        off = target_seen - then(target, target_vel, jnp.minimum(age, OLDEST_TARGET_S))
        jumps = jnp.square(off).sum(axis=-1, keepdims=True) > JUMP_M**2
        target = jnp.where(jumps, target_seen, target + TARGET_GAIN * off)
        target_vel = jnp.where(jumps, target_vel, target_vel + TARGET_RATE * off)
        begun = jnp.ones_like(age)
        return jnp.concatenate([ball, ball_vel, target, target_vel, begun], axis=-1)


def ball_tracker(contract: ObservationContract, sizes: Sizes) -> BallTracker:
    """The tracker for a robot's dribbling.

    Args:
        contract: what a policy is told of the robot.
        sizes: of the task.
    """
    gyro, gyro_scale = newest_turning_rate(contract)
    return BallTracker(
        period_s=contract.control_period_s,
        scale=float(task_scale(sizes)[0]),
        velocity_unit_mps=velocity_unit_mps(robots.get(contract.robot)),
        gyro=gyro,
        gyro_scale=gyro_scale,
        slowing_mps2=BALLS[contract.robot].rolling_deceleration,
    )


def _left_of(vectors: Array) -> Array:
    """Vectors (N, 2) turned by a quarter turn to the left."""
    return jnp.stack([-vectors[:, 1], vectors[:, 0]], axis=-1)
