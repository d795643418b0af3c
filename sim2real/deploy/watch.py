"""Runs all guards once each control step, with what they must remember of the steps before."""

from collections.abc import Sequence

import numpy as np

from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.deploy import guards
from legged_skills.sim2real.deploy.attitude import Attitude
from legged_skills.sim2real.deploy.config import DeployConfig
from legged_skills.sim2real.deploy.guards import Code, Fault, Faults
from legged_skills.sim2real.deploy.snapshot import NEVER, SensorSnapshot
from legged_skills.sim2real.deploy.states import State

_MOVED_RAD = 0.1
"""Joints that say the same while their targets change by this are frozen [rad]."""
_STUCK_RAD, _STUCK_TIMES, _SWUNG = 0.1, 3, 0.4
"""Drives that take no targets: for so many times following_s no joint moves by more than so much
[rad], though some target swings: its standard deviation is more than this share of what a joint may
be off. Who stands on stiff legs and is pushed has a share of at most 0.24 (ANYmal C, full gap; OP3
0.20), who is not heard one of 0.54 to 1.2."""
_ROWS = 20
"""So many samples of that time are kept: with more than 500 numbers NumPy lets other threads go
first, and the step would be late."""
_APPARENT = 2.0
"""Where speeds are measured, angles may seem so many times as fast as a joint may be: messages come
at uneven times."""
_TURNED_RAD = 0.2
"""So is an orientation that stays the same while the gyroscope turns by this [rad]."""

_POLICY_ACTS = (State.POLICY, State.STOPPING)
"""The states in which a policy may move the robot: a stop begins with the policy standing."""


class Watch:
    """The guards of one robot.

    Attributes:
        attitude: gravity and angular velocity.
        joint_vel: (J,) measured, or differentiated from positions where the robot does not measure
            it [rad/s]; NaN before there are two.
        overruns: so many steps on end were late by more than half a period.
        missed: so many steps since the start were.
    """

    def __init__(self, spec: RobotSpec, config: DeployConfig, limits: Sequence[np.ndarray]) -> None:
        """Nothing has been seen yet.

        Args:
            spec: the robot.
            config: limits of the guards.
            limits: the two ends of the joints' usable ranges, (J,) each [rad].
        """
        joints = spec.num_joints
        self.attitude = Attitude(config)
        self.joint_vel = np.full(joints, np.nan)
        self.overruns = self.missed = 0
        self._spec, self._config = spec, config
        # Angles as they change from message to message, also where the robot measures speeds.
        self._pos_rate = np.full(joints, np.nan)
        # What was said and asked lately, with a policy's targets in force: every so many steps.
        seconds = _STUCK_TIMES * config.following_s
        self._every = max(1, round(seconds / (_ROWS * spec.control_period_s)))
        self._followed, self._asked = np.zeros((_ROWS, joints)), np.zeros((_ROWS, joints))
        self._policy_steps = 0
        self._lower, self._upper = limits
        self._before_s = NEVER
        self._off_since_s: float | None = None
        # Differentiation: where and when the joints were.
        self._pos, self._pos_s = np.full(joints, np.nan), np.full(joints, NEVER)
        # Frozen joints: what they said last, since when, and what was asked of them since.
        self._said, self._said_s = np.full(joints, np.nan), NEVER
        self._asked_low, self._asked_high = np.full(joints, np.inf), np.full(joints, -np.inf)

    def step(
        self, now_s: float, sensors: SensorSnapshot, state: State, targets: np.ndarray | None
    ) -> tuple[Faults, Faults]:
        """Looks at everything.

        Args:
            now_s: time [s].
            sensors: what was heard.
            state: the state until now.
            targets: (J,) the joint targets in force [rad]; None if there are none.

        Returns:
            Faults, and warnings.
        """
        self.attitude.update(sensors.imu[: sensors.num_imu])
        self._differentiate(sensors)
        measured = self._spec.measures_joint_velocity
        self.joint_vel[:] = sensors.joint_vel if measured else self._pos_rate
        faults = self._check_time(now_s)
        faults += self._check_messages(now_s, sensors)
        faults += self._check_joints(now_s, sensors, state, targets)
        faults += self._check_frozen(now_s, sensors, state, targets)
        faults += guards.tilt(self.attitude.gravity_b, self._config.tilt_limit_deg)
        return faults, guards.low_battery(sensors.battery_v, self._config.low_battery_v)

    def _check_time(self, now_s: float) -> Faults:
        config, before_s = self._config, self._before_s
        faults = guards.clock(now_s, before_s)
        if faults:
            return faults
        self._before_s = now_s
        period_s = self._spec.control_period_s
        late_s = 0.0 if before_s == NEVER else now_s - before_s - period_s
        # A loop that always needs more than its period leaves out every other deadline, and is late
        # by a period more or less.
        late = late_s > 0.5 * period_s
        self.overruns = self.overruns + 1 if late else 0
        self.missed += late
        return guards.late_loop(late_s, self.overruns, config.max_late_s, config.max_overruns)

    def _check_messages(self, now_s: float, sensors: SensorSnapshot) -> Faults:
        names, config = self._spec.joint_names, self._config
        faults = guards.other_publisher(sensors.others)
        faults += guards.other_owner(sensors.owner)
        faults += guards.unusable_message(sensors.rejected, sensors.rejection)
        faults += guards.stale_joints(names, sensors.joint_time_s, now_s, config.joint_timeout_s)
        faults += guards.stale_imu(self.attitude.time_s, now_s, config.imu_timeout_s)
        faults += guards.imu_not_finite(self.attitude.usable)
        heard = sensors.joint_time_s > NEVER
        if heard.all():
            faults += guards.not_finite(names, "angle", sensors.joint_pos)
            if self._spec.measures_joint_velocity:
                faults += guards.not_finite(names, "speed", sensors.joint_vel)
        if sensors.spoiled and not faults:
            faults.append(Fault(Code.NOT_FINITE, sensors.spoiled))
        return faults

    def _check_joints(
        self, now_s: float, sensors: SensorSnapshot, state: State, targets: np.ndarray | None
    ) -> Faults:
        names, config = self._spec.joint_names, self._config
        faults = guards.joint_range(
            names, sensors.joint_pos, self._lower, self._upper, config.joint_margin_rad
        )
        faults += guards.joint_speed(names, self.joint_vel, config.joint_speed_radps)
        if self._spec.measures_joint_velocity and not faults:
            faults += guards.joint_speed(
                names, self._pos_rate, _APPARENT * config.joint_speed_radps
            )
        faults += self._check_stuck(sensors, state, targets)
        # A policy's targets are meant to be off: that is what makes torque.
        if targets is None or state not in (State.RAMP, State.READY):
            self._off_since_s = None
            return faults
        errors = sensors.joint_pos - targets
        if not (np.abs(errors) > config.following_error_rad).any():
            self._off_since_s = None
            return faults
        if self._off_since_s is None:
            self._off_since_s = now_s
        return faults + guards.not_following(
            names,
            errors,
            now_s - self._off_since_s,
            config.following_error_rad,
            config.following_s,
        )

    def _check_stuck(
        self, sensors: SensorSnapshot, state: State, targets: np.ndarray | None
    ) -> Faults:
        """A controller that is off, or in other hands, moves no joint, whatever is asked."""
        if state not in _POLICY_ACTS or targets is None:
            self._policy_steps = 0
            return []
        rows, left = divmod(self._policy_steps, self._every)
        self._policy_steps += 1
        if left:
            return []
        self._followed[rows % _ROWS], self._asked[rows % _ROWS] = sensors.joint_pos, targets
        if rows + 1 < _ROWS:
            return []
        return guards.nothing_follows(
            float(self._asked.std(axis=0).max()),
            float(np.ptp(self._followed, axis=0).max()),
            _SWUNG * self._config.following_error_rad,
            _STUCK_RAD,
        )

    def _check_frozen(
        self, now_s: float, sensors: SensorSnapshot, state: State, targets: np.ndarray | None
    ) -> Faults:
        """A robot at rest may well say the same: looked at while a policy moves it, or stops."""
        newest_s = float(sensors.joint_time_s.max())
        if (
            state not in _POLICY_ACTS
            or targets is None
            or not np.array_equal(sensors.joint_pos, self._said)
        ):
            self._said[:], self._said_s = sensors.joint_pos, newest_s
            self._asked_low[:], self._asked_high[:] = np.inf, -np.inf
        if state not in _POLICY_ACTS or targets is None:
            return []
        np.minimum(self._asked_low, targets, out=self._asked_low)
        np.maximum(self._asked_high, targets, out=self._asked_high)
        limit_s = self._config.frozen_s
        faults = guards.frozen("the IMU's values", self.attitude.unchanged_s(now_s), limit_s)
        if self.attitude.turned_rad > _TURNED_RAD:
            unchanged_s = self.attitude.orientation_unchanged_s(now_s)
            faults += guards.frozen("the IMU's orientations", unchanged_s, limit_s)
        if (self._asked_high - self._asked_low).max() > _MOVED_RAD:
            faults += guards.frozen("the joints' angles", newest_s - self._said_s, limit_s)
        return faults

    def _differentiate(self, sensors: SensorSnapshot) -> None:
        with np.errstate(invalid="ignore"):  # never less never
            elapsed = sensors.joint_time_s - self._pos_s
        # Messages that arrive together would seem infinitely fast.
        due = elapsed >= 0.5 * self._spec.control_period_s
        if not due.any():
            return
        known = due & np.isfinite(elapsed)
        self._pos_rate[known] = (sensors.joint_pos - self._pos)[known] / elapsed[known]
        self._pos[due], self._pos_s[due] = sensors.joint_pos[due], sensors.joint_time_s[due]


def merged(latched: Sequence[Fault], found: Sequence[Fault]) -> tuple[Fault, ...]:
    """The faults that are latched, and those of other kinds that were found."""
    codes = {fault.code for fault in latched}
    return (*latched, *(fault for fault in found if fault.code not in codes))
