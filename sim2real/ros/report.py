"""What the bridge says of itself once a second, on /diagnostics; needs rclpy."""

import math
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from legged_skills.sim2real.bundle import Bundle
from legged_skills.sim2real.deploy.attitude import Attitude
from legged_skills.sim2real.deploy.controller import Output
from legged_skills.sim2real.deploy.loop import Timing
from legged_skills.sim2real.deploy.snapshot import CommandSnapshot, SensorSnapshot
from legged_skills.sim2real.deploy.states import State
from legged_skills.sim2real.ros.drivers.base import Driver


class Report:
    """Counts over the time between two reports."""

    def __init__(
        self, node: Node, bundle: Bundle, driver: Driver, timing: Timing, attitude: Attitude
    ) -> None:
        """Begins to count.

        Args:
            node: gives the names their prefix.
            bundle: the policy.
            driver: counts messages.
            timing: counts steps.
            attitude: knows when the IMU was heard of last.
        """
        self._node, self._bundle, self._driver, self._timing = node, bundle, driver, timing
        self._attitude = attitude
        self._limited = self._limited_before = 0
        self._counts = self._now_counts()
        self._time_s = time.monotonic()
        self._rates: dict[str, float] = {}

    def count(self, output: Output) -> None:
        """Counts a control step, in the control loop's thread."""
        self._limited += output.limited

    def _now_counts(self) -> dict[str, int]:
        driver = self._driver
        return {
            "joint_states_hz": driver.joint_messages,
            "imu_hz": driver.imu_messages,
            "targets_hz": driver.published,
            "steps_hz": self._timing.steps,
        }

    def message(
        self,
        output: Output | None,
        sensors: SensorSnapshot,
        command: CommandSnapshot,
        extra: dict[str, str],
    ) -> DiagnosticArray:
        """The report.

        Args:
            output: of the last step; None if there was none.
            sensors: of the last step.
            command: of the last step.
            extra: further values about commands.
        """
        now = time.monotonic()
        counts, elapsed = self._now_counts(), max(now - self._time_s, 1e-3)
        self._rates = {name: (counts[name] - self._counts[name]) / elapsed for name in counts}
        self._counts, self._time_s = counts, now
        array = DiagnosticArray(
            status=[
                self._state(output),
                self._sensors(sensors, now),
                self._loop(),
                self._status("command", DiagnosticStatus.OK, "", _command(command, now) | extra),
                self._policy(),
            ]
        )
        array.header.stamp = self._node.get_clock().now().to_msg()
        return array

    def _status(
        self, name: str, level: bytes, text: str, values: dict[str, str]
    ) -> DiagnosticStatus:
        return DiagnosticStatus(
            name=f"{self._node.get_name()}: {name}",
            hardware_id=self._bundle.robot,
            level=level,
            message=text,
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )

    def _state(self, output: Output | None) -> DiagnosticStatus:
        if output is None:
            return self._status("state", DiagnosticStatus.STALE, "no step was done yet", {})
        level, text = DiagnosticStatus.OK, output.state.value
        if output.warnings:
            level, text = DiagnosticStatus.WARN, output.warnings[0].sentence
        if output.faults:
            text = output.faults[0].sentence
            level = DiagnosticStatus.WARN
            if output.state is State.FAULT:
                level = DiagnosticStatus.ERROR
        values = {"state": output.state.value, "publishing": str(output.publish).lower()}
        values |= {fault.code.value: fault.sentence for fault in output.faults + output.warnings}
        return self._status("state", level, text, values)

    def _sensors(self, sensors: SensorSnapshot, now_s: float) -> DiagnosticStatus:
        rates, driver = self._rates, self._driver
        silent = rates["joint_states_hz"] == 0.0 or rates["imu_hz"] == 0.0
        values = {name: f"{rates[name]:.1f}" for name in ("joint_states_hz", "imu_hz")}
        values |= {
            "joint_states_age_s": _number(now_s - float(sensors.joint_time_s.min())),
            "imu_age_s": _number(now_s - self._attitude.time_s),
            "battery_v": _number(sensors.battery_v),
            "other_publishers": str(sensors.others),
            "owner": sensors.owner,
            "unknown_joints": ", ".join(driver.joints.unknown),
            "last_rejection": sensors.rejection,
        }
        level = DiagnosticStatus.ERROR if silent else DiagnosticStatus.OK
        return self._status("sensors", level, "silent" if silent else "", values)

    def _loop(self) -> DiagnosticStatus:
        figures = self._timing.figures()
        values = {name: _number(float(value)) for name, value in figures.items()}
        values |= {name: f"{self._rates[name]:.1f}" for name in ("steps_hz", "targets_hz")}
        # The policy asked for more than the robot got in so many steps since the last report.
        limited = self._limited
        values["limited_steps"] = str(limited - self._limited_before)
        self._limited_before = limited
        return self._status("loop", DiagnosticStatus.OK, "", values)

    def _policy(self) -> DiagnosticStatus:
        bundle = self._bundle
        values = {
            "bundle": bundle.name,
            "sha256": bundle.sha256,
            "task": bundle.task,
            "contract": bundle.contract.hash,
            "version": bundle.header.version,
        }
        return self._status("policy", DiagnosticStatus.OK, f"{bundle.robot} {bundle.task}", values)


def _command(command: CommandSnapshot, now_s: float) -> dict[str, str]:
    return {
        "values": " ".join(f"{value:.3f}" for value in command.values),
        "age_s": _number(now_s - command.time_s),
    }


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "unknown"
