"""A recording beside simulations of it: residuals, and how they change with each unknown.

Letters in the shape comments: T rows of the recording, J joints, P unknowns (4 J and the delay),
S simulations side by side.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from legged_skills.robots.errors import SettingsError
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.held_robot import DriveParameters, HeldRobot, held_mean
from legged_skills.sim2real.joint_log import JointLog

Array = NDArray[np.floating]

LEAST_VARIANCE = 1e-12
"""Residuals are never taken for smaller than a micro-radian [rad^2]."""
_LOWEST = np.array([0.1, 0.02, 0.0, 0.02])
_HIGHEST = np.array([10.0, 20.0, 100.0, 20.0])
"""Bounds of the unknowns: scale, and ratios of damping, friction and armature, over nominal."""
_PROBE = np.array([0.03, 0.02, 0.02, 0.02])
"""Steps of the finite differences."""
_PROBE_DELAY_S = 0.0005
_LEAST_TRAVEL_RAD = 0.03
"""A joint that stays within this for 96 % of the time hardly moves."""


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How the fit is made."""

    step_s: float = 0.002
    """Physics step [s]. At 4 ms gains of the lightest joints of OP3 are off by some percent."""
    settle_s: float = 1.0
    """Start of the recording that is simulated and not compared: the start's speed and where
    in its friction a joint rests are unknown [s]."""
    coarse_s: float = 15.0
    """The first steps use so much of the recording [s]."""
    most_delay_s: float = 0.1
    """Longest command delay [s]."""
    most_steps: int = 12
    """Most Gauss-Newton steps on the recording's start, and on all of it; there as many again each
    time that unknowns are put at nominal, as the recording does not tell them."""
    tolerance: float = 2e-3
    """A step is the last if each unknown changes by at most a tenth of its standard error, or this
    share of its nominal value (the delay: this share of 0.01 s)."""
    told: float = 0.1
    """A value is fitted if its standard error is below this share of it or of nominal."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            SettingsError: a value is out of range.
        """
        ranges = {
            "step_s": (0.0002, 0.004),
            "settle_s": (0.0, 4.0),
            "coarse_s": (5.0, 600.0),
            "most_delay_s": (0.001, 0.5),
            "most_steps": (1, 100),
            "tolerance": (1e-6, 0.1),
            "told": (0.001, 1.0),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise SettingsError(
                    f"fit setting {name} is {value:g}, expected {low:g} to {high:g}."
                )


@dataclass
class Unknowns:
    """Where the fit is: ratios to nominal (J, 4), the delay, and which ratios are free."""

    ratios: Array
    delay_s: float
    free: NDArray[np.bool_]

    @property
    def at_end(self) -> NDArray[np.bool_]:
        """(J, 4) which free ratios are as far as they may be; no friction is no such end."""
        low = (self.ratios <= _LOWEST) & (_LOWEST > 0.0)
        return self.free & (low | (self.ratios >= _HIGHEST))

    def moved(self, step: Array, most_delay_s: float) -> "Unknowns":
        """After a step (P,), within bounds."""
        ratios = np.clip(self.ratios + step[:-1].reshape(self.ratios.shape), _LOWEST, _HIGHEST)
        delay_s = float(np.clip(self.delay_s + step[-1], 0.0, most_delay_s))
        return Unknowns(np.where(self.free, ratios, self.ratios), delay_s, self.free)


class Problem:
    """A recording, or its start, beside simulations of it.

    Attributes:
        nominal: (J, 4) kp, damping, friction and armature that ratios refer to.
        compared_s: (T,) times of the rows that are compared, from the start of the recording [s].
        measured: (T, J) positions at these times [rad].
        recorded: (J,) which joints are in the recording.
        moves: (J,) which of them move.
    """

    def __init__(
        self, log: JointLog, spec: RobotSpec, settings: FitSettings, seconds: float = np.inf
    ) -> None:
        command, position, recorded = log.arranged(spec)
        times_s = log.time_s - log.time_s[0]
        used = times_s <= seconds
        self.spec, self.settings, self.recorded = spec, settings, recorded
        self.nominal = DriveParameters.nominal(spec).table()
        self._base_wxyz, self._loads = log.base_wxyz, log.loads
        self._times_s, self._command = times_s[used], command[used]
        self.compared = used & (times_s >= settings.settle_s)
        self.compared_s = times_s[self.compared]
        self.measured = position[self.compared]
        self._start = np.median(position[times_s <= 0.02], axis=0)
        steps = int(np.ceil(self._times_s[-1] / settings.step_s)) + 1
        self._grid_s = np.arange(steps) * settings.step_s
        self.moves = recorded & (
            np.subtract(*np.percentile(self.measured, [98.0, 2.0], axis=0)) > _LEAST_TRAVEL_RAD
        )
        self._robots: dict[int, HeldRobot] = {}

    def table(self, ratios: Array) -> Array:
        """(..., J, 4) kp, damping, friction and armature of unknowns (..., J, 4)."""
        table = self.nominal * ratios
        table[..., 1:] *= ratios[..., :1]
        return table

    def _robot(self, count: int) -> HeldRobot:
        if count not in self._robots:
            step_s = self.settings.step_s
            self._robots[count] = HeldRobot(self.spec, count, step_s, self._base_wxyz, self._loads)
        return self._robots[count]

    def simulate(self, ratios: Array, delays_s: Array) -> Array:
        """(S, T, J) positions at the compared rows, of unknowns (S, J, 4) and (S,)."""
        robot, step_s = self._robot(len(ratios)), self.settings.step_s
        robot.set_drives(self.table(ratios))
        different, which = np.unique(delays_s, return_inverse=True)
        starts_s = self._grid_s - 0.5 * step_s
        commands = np.stack(
            [
                held_mean(self._times_s, self._command, starts_s - delay_s, step_s)
                for delay_s in different
            ]
        )
        return robot.simulate(self._start, commands, which, self.compared_s)

    def residuals(self, ratios: Array, delays_s: Array) -> Array:
        """(S, T, J) measured minus simulated [rad]; nothing for joints without a recording."""
        return (self.measured - self.simulate(ratios, delays_s)) * self.recorded

    def linearised(self, at: Unknowns) -> tuple[Array, Array, Array]:
        """The residual and normal equations at a point, each joint weighted by its residual.

        Limbs do not feel each other, so one simulation probes a joint in each limb.

        Returns:
            Residual (T, J) [rad], J^T W J (P, P), J^T W r (P,).
        """
        limb = self._robot(1).limbs
        probed = np.flatnonzero(at.free.any(axis=1))
        slot = {int(j): int(np.sum(limb[probed[probed < j]] == limb[j])) for j in probed}
        slots = max(slot.values(), default=-1) + 1
        probes = np.repeat(at.ratios[None], 4 * slots + 2, axis=0)
        size = _PROBE * np.maximum(at.ratios, [0.1, 0.1, 1.0, 0.1])
        for joint, column in ((j, c) for j in slot for c in range(4)):
            probes[1 + 4 * slot[joint] + column, joint, column] += size[joint, column]
        delays_s = np.full(len(probes), at.delay_s)
        delays_s[-1] += _PROBE_DELAY_S
        q = self.simulate(probes, delays_s)
        residual = (self.measured - q[0]) * self.recorded
        weight = self.recorded / np.maximum(np.mean(residual**2, axis=0), LEAST_VARIANCE)
        unknowns = at.ratios.size + 1
        normal, gradient = np.zeros((unknowns, unknowns)), np.zeros(unknowns)
        by_delay = (q[-1] - q[0]) / _PROBE_DELAY_S
        for number in np.unique(limb):
            joints = np.flatnonzero(limb == number)
            columns = [by_delay[:, joints]]
            places = [unknowns - 1]
            for joint, column in ((j, c) for j in slot if limb[j] == number for c in range(4)):
                change = q[1 + 4 * slot[joint] + column][:, joints] - q[0][:, joints]
                columns.append(change / size[joint, column])
                places.append(4 * joint + column)
            rows = np.stack(columns) * np.sqrt(weight[joints])
            rows = rows.reshape(len(columns), -1)
            errors = (residual[:, joints] * np.sqrt(weight[joints])).ravel()
            normal[np.ix_(places, places)] += rows @ rows.T
            gradient[places] += rows @ errors
        return residual, normal, gradient
