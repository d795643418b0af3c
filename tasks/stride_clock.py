"""A clock for strides: what tells a policy which foot's turn it is.

Short steps are hard to go on with: a biped that hardly lifts its feet cannot tell from its own
state which step comes next, least of all from standing, which is its own mirror image. A policy
that follows clips is told their phase; on its own it is told that of a clock, which runs with a
fixed period while it is asked to go anywhere, and starts anew from standing.

The phase is given as its cosine and sine. That of a clip is half a stride off in its mirror image,
which turns the sign of both.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from legged_skills.robots.spec import RobotSpec
from legged_skills.skill_module.reference import Reference

CLOCK_SIZE = 2
"""Cosine and sine of the phase; zeros if there is none."""
LEAST_SIZE = 1e-6
"""Cosine and sine are thought no smaller than this together, to divide by it."""
_WINDOW_STRIDES = 2.5
"""The phase is told from so many strides around."""
_LEAST_SHARE = 0.5
"""A stretch has a phase if the stride explains at least this share of how its feet go up and down.
"""


@dataclass(frozen=True)
class StrideClock:
    """Goes round once a stride.

    Attributes:
        angle_rad: how far in a control step [rad].
    """

    angle_rad: float

    @property
    def start(self) -> np.ndarray:
        """(1, 2) where it begins: the first foot is about to be lifted."""
        return np.array([[0.0, -1.0]], np.float32)

    @property
    def turn(self) -> np.ndarray:
        """(2, 2) what a row of cosine and sine is multiplied by in a control step."""
        cosine, sine = np.cos(self.angle_rad), np.sin(self.angle_rad)
        return np.array([[cosine, sine], [-sine, cosine]], np.float32)

    def advance(self, clock: ArrayLike, task: ArrayLike) -> Array:
        """Cosine and sine after one more control step; zeros while the whole command is zero.

        Args:
            clock: (N, 2) until now; zeros before it begins.
            task: (N, 3) the command, as the policy is told it.
        """
        size = jnp.linalg.norm(jnp.asarray(clock), axis=-1, keepdims=True)
        # Rounding would add up over hours.
        unit = clock / jnp.maximum(size, LEAST_SIZE)
        goes = jnp.any(jnp.asarray(task) != 0.0, axis=-1, keepdims=True)
        return jnp.where(goes, jnp.where(size > 0.0, unit, self.start) @ self.turn, 0.0)


def stride_clock(task: str, period_s: float, clock_s: float) -> StrideClock | None:
    """The clock of a task's policy, or None: only walking has strides of its own.

    Args:
        task: name of the task.
        period_s: control period [s].
        clock_s: its period [s]; 0 for none.
    """
    if task == "dribble" or clock_s == 0.0:
        return None
    return StrideClock(2.0 * np.pi * period_s / clock_s)


def stride_phases(spec: RobotSpec, reference: Reference, stride_s: float) -> np.ndarray:
    """The phase of each row of a reference of a biped.

    It is that of the height of the first foot over the second one: complex demodulation at the
    clock's frequency, so that strides may be somewhat shorter or longer than the clock's.

    Args:
        spec: the robot.
        reference: its motions, M rows.
        stride_s: period of the clock [s].

    Returns:
        (M, 2) float32 cosine and sine; zeros where nothing steps about as quickly.
    """
    feet = reference.feet_b.reshape(reference.num_rows, spec.num_feet, 3)
    down = reference.gravity_b
    heights = -(feet * down[:, None, :]).sum(axis=-1)
    lift = heights[:, 0] - heights[:, 1]
    half = round(0.5 * _WINDOW_STRIDES * stride_s / spec.control_period_s)
    window = np.hanning(2 * half + 3)[1:-1]

    def around(values: np.ndarray) -> np.ndarray:
        """Weighted sums over the rows around each."""
        return np.convolve(values, window)[half : half + len(values)]

    out = np.zeros((reference.num_rows, CLOCK_SIZE), np.float32)
    for start, length in zip(reference.starts, reference.lengths, strict=True):
        rows = slice(start, start + length)
        signal = lift[rows] - lift[rows].mean()
        turn = np.exp(2j * np.pi * spec.control_period_s / stride_s * np.arange(length))
        weight = around(np.ones(length))
        slow, power = 2.0 * around(signal * turn.conj()) / weight, around(signal**2) / weight
        size = np.abs(slow)
        phase = slow * turn / np.maximum(size, 1e-12)
        steps = 0.5 * size**2 >= _LEAST_SHARE * np.maximum(power, 1e-12)
        out[rows] = np.where(steps, [phase.real, phase.imag], 0.0).T
    return out
