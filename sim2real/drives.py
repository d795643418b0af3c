"""The drives between a policy's joint targets and the torque on the joints, for N robots.

A setpoint arrives late, is held or interpolated, and is compared with what the encoder shows; the
gear has play, the torque is bounded by a torque-speed line, and the battery sags.
"""

from collections.abc import Mapping

import numpy as np

from legged_skills.robots.simulation import Motion, Physics
from legged_skills.sim2real.delay_line import DelayLine
from legged_skills.sim2real.gap import Gap
from legged_skills.sim2real.identified import split_damping
from legged_skills.sim2real.ranges import Factors

_SAG_TIME_S = 0.01
"""How fast the supply voltage follows the current: the capacitors of drives and supply [s]."""


class Drives:
    """Setpoints, limits and gains of N robots' drives. J is the number of joints.

    Attributes:
        voltage: (N, 1) supply voltage over the nominal one.
    """

    def __init__(self, gap: Gap, sim: Physics, substeps: int) -> None:
        """Starts with nominal drives; call ``set_factors`` and ``reset`` before the first step.

        Args:
            gap: the gap.
            sim: the physics they move.
            substeps: physics steps in one control period.
        """
        spec, n = sim.spec, sim.num_envs
        self.gap, self.sim = gap, sim
        fit = gap.fit
        self._kp = spec.kp if fit is None else fit.kp
        # The joint's share of the damping is in the model.
        self._kd = spec.kd if fit is None else split_damping(fit.damping, spec.kd)[0]
        self._ramp = setpoint_ramp(gap, spec.control_period_s, substeps)
        longest = gap.ranges.command_delay_s[1] + (fit.command_delay_s if fit else 0.0)
        self._line = DelayLine(n, spec.num_joints, round(longest / sim.step_s))
        self._from = np.zeros((n, spec.num_joints), np.float32)
        self._to = np.zeros((n, spec.num_joints), np.float32)
        self.voltage = np.ones((n, 1))
        self._delay = np.zeros(n, dtype=np.int64)
        self._interpolation = np.ones((n, 1), np.float32)
        self._battery, self._sag = np.ones((n, 1)), np.zeros((n, 1))
        self._offset, self._play, self._limit = (np.zeros((n, spec.num_joints)) for _ in range(3))
        self._gains = np.ones((n, spec.num_joints)), np.ones((n, spec.num_joints))
        # What no robot has so far costs nothing.
        self._supplied = self._has_play = False
        self._new_gains = True
        self._ones = np.ones((spec.num_joints, 1))

    def set_factors(
        self,
        factors: Factors,
        ids: np.ndarray | slice = slice(None),
        rows: np.ndarray | slice = slice(None),
    ) -> None:
        """Gives robots ``ids`` the ``rows`` of factors (``ranges``), by default all of them."""
        fit, config = self.gap.fit, self.gap.drives

        def own(name: str) -> np.ndarray:
            return factors[name][rows]

        delay = own("command_delay_s")[:, 0] + (fit.command_delay_s if fit else 0.0)
        self._delay[ids] = np.minimum(np.rint(delay / self.sim.step_s), self._line.max_delay)
        self._interpolation[ids] = own("interpolation")
        self._offset[ids] = own("joint_offset_rad")
        self._play[ids] = own("backlash_rad")
        self._limit[ids] = own("strength") * self.sim.spec.torque_limit
        self._battery[ids] = own("battery")
        self._sag[ids] = own("battery_resistance_ohm") * config.amps_per_nm / config.battery_v
        kp, kd = self._gains
        kp[ids] = self._kp * own("position_gain")
        kd[ids] = self._kd * own("velocity_gain")
        self._new_gains = True
        self._has_play |= bool(np.any(own("backlash_rad")))
        self._supplied |= bool(np.any(own("battery") != 1.0) or np.any(self._sag[ids]))

    def reset(self, ids: np.ndarray, joint_pos: np.ndarray) -> None:
        """A drive that is switched on holds the pose that its encoder shows.

        Args:
            ids: (n,) which robots.
            joint_pos: (n, J) true joint angles [rad].
        """
        held = joint_pos + self._offset[ids]
        self._line.fill(ids, held)
        self._from[ids] = self._to[ids] = held
        self.voltage[ids] = self._battery[ids]

    def command(self, joint_targets: np.ndarray, elapsed: float = 1.0) -> None:
        """Takes the policy's targets (N, J) [rad] at the start of a control period.

        Args:
            joint_targets: (N, J) [rad].
            elapsed: how much of the control period before is over, if these targets are early;
                setpoints then go on from where they are.
        """
        if elapsed < 1.0:
            self._from += np.float32(elapsed) * (self._to - self._from)
        else:
            self._from[:] = self._to
        self._to[:] = joint_targets
        if self._supplied or self._new_gains:
            # A drive with a voltage for output, as OP3's, is weaker in proportion.
            self.sim.set_gains(self._gains[0] * self.voltage, self._gains[1])
            self._new_gains = False

    def substeps(self, k: int, count: int) -> Motion:
        """Physics steps k to k + count - 1 of the control period.

        Setpoints move in each of them; limits, play and supply follow the state before the first.
        """
        sim = self.sim
        targets = np.stack([self._setpoint(k + i) for i in range(count)], axis=1)
        if self._has_play:
            error = targets - sim.qpos[:, None, 7:]
            np.minimum(error, self._play[:, None], out=error)
            targets -= np.maximum(error, -self._play[:, None], out=error)
        stall = self.gap.drives.stall_factor
        if stall is not None:
            speed = sim.qvel[:, 6:] / (sim.spec.velocity_limit * self.voltage)
            limits = torque_speed_line(self._limit * self.voltage, stall, speed)
        elif k == 0:
            limit = self._limit * self.voltage
            limits = -limit, limit
        else:
            limits = None, None
        motion = sim.run_steps(targets, *limits)
        if self._supplied:
            current = np.abs(motion.torque[:, -1]) @ self._ones
            wanted = np.maximum(self._battery - self._sag * current, 0.5)
            self.voltage += min(1.0, count * sim.step_s / _SAG_TIME_S) * (wanted - self.voltage)
        return motion

    def _setpoint(self, k: int) -> np.ndarray:
        """(N, J) what the encoders shall show after physics step k, seen from the joints [rad]."""
        if self._ramp[k] == 1.0:
            self._line.push(self._to)
        else:
            missing = self._interpolation * (1.0 - self._ramp[k])
            self._line.push(self._to - missing * (self._to - self._from))
        return self._line.read(self._delay) - self._offset

    def state(self) -> dict[str, np.ndarray]:
        """What must be kept to go on exactly."""
        return {
            "drives_line": np.roll(self._line.values, -1 - self._line.head, axis=0),
            "drives_from": self._from.copy(),
            "drives_to": self._to.copy(),
            "drives_voltage": self.voltage.copy(),
        }

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Goes on from what ``state`` gave, after ``set_factors``."""
        self._line.values[:] = arrays["drives_line"]
        self._line.head = self._line.max_delay
        self._from[:], self._to[:] = arrays["drives_from"], arrays["drives_to"]
        self.voltage[:] = arrays["drives_voltage"]


def setpoint_ramp(gap: Gap, control_period_s: float, substeps: int) -> np.ndarray:
    """(substeps,) how far the setpoint is from the target before (0) to the new one (1).

    With a first-order hold it moves at every tick of the drives' loop, and a physics step takes
    the mean of the ticks within it. A tick that is longer than physics steps lasts for these.
    """
    if gap.timing.setpoint == "hold":
        return np.ones(substeps, np.float32)
    ticks = max(1, round(control_period_s / gap.timing.drive_period_s))
    fine = np.ceil(np.arange(1, ticks * substeps + 1) / substeps) / ticks
    return fine.reshape(substeps, ticks).mean(axis=1).astype(np.float32)


def torque_speed_line(
    limit: np.ndarray, stall_factor: float, speed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the torque of a direct-current motor at a given speed.

    The torque in the direction of motion falls in a straight line from ``stall_factor * limit`` at
    rest to nothing at the greatest speed, and is never more than ``limit``; against the motion the
    whole ``limit`` is there.

    Args:
        limit: (N, J) greatest torque [Nm].
        stall_factor: torque at rest on the line, over the limit.
        speed: (N, J) joint speed over the greatest speed.

    Returns:
        Least and greatest torque, (N, J) each [Nm].
    """
    falling = stall_factor * (1.0 - speed)
    rising = stall_factor * (1.0 + speed)
    return -limit * np.clip(rising, 0.0, 1.0), limit * np.clip(falling, 0.0, 1.0)
