"""Drives a robot with the keyboard and shows what the bridge says, live; needs rclpy."""

import contextlib
import shutil
import sys
import time
from collections.abc import Callable

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import try_shutdown

from legged_skills.sim2real.deploy.states import Event
from legged_skills.sim2real.ros.keyboard import EVENTS, HELP, QUIT, Keys, Velocity
from legged_skills.sim2real.ros.operator import Operator
from legged_skills.sim2real.ros.processes import StopSignals
from legged_skills.sim2real.ros.topics import BRIDGE_NODE, DIAGNOSTICS

_SHOW_S = 0.1
_AT_LEAST_S = 1.0
_PATIENCE_S = 10.0
"""OP3 takes seconds to be prepared: its joints are freed and given torque [s]."""
_SHOWN = (
    "joint_states_age_s",
    "imu_age_s",
    "joint_states_hz",
    "imu_hz",
    "battery_v",
    "age_s",
)


class Display:
    """One line about everything, written over itself; what the bridge says stands above it."""

    def __init__(self, operator: Operator) -> None:
        """Begins to listen to diagnostics.

        Args:
            operator: knows the state.
        """
        self._operator = operator
        self._values: dict[str, str] = {}
        self._heard_s = -float("inf")
        self._notice = ""
        operator.node.create_subscription(DiagnosticArray, DIAGNOSTICS, self._hear, 10)

    def _hear(self, message: DiagnosticArray) -> None:
        ours = [s for s in message.status if s.name.startswith(f"{BRIDGE_NODE}: ")]
        if not ours:
            return
        self._heard_s = time.monotonic()
        self._values = {v.key: v.value for status in ours for v in status.values}

    def line(self, velocity: Velocity) -> str:
        """State, command and ages."""
        operator = self._operator
        state = operator.state.value if operator.state is not None else "no bridge is heard"
        vx, vy, turning = velocity.values
        age = time.monotonic() - self._heard_s
        parts = [f"[{state}]", f"vx {vx:+.2f} vy {vy:+.2f} turn {turning:+.2f}"]
        if age < 60.0:
            parts += [f"{name} {self._values[name]}" for name in _SHOWN if name in self._values]
            parts.append(f"told {age:.1f} s ago")
        return "  ".join(parts)

    def show(self, velocity: Velocity) -> None:
        """Writes the line, and what the bridge has noticed since."""
        before, self._notice = self._notice, self._operator.notice
        if self._notice and self._notice != before:
            say(self._notice)
        width = shutil.get_terminal_size().columns - 1
        sys.stdout.write("\r\x1b[K" + self.line(velocity)[:width])
        sys.stdout.flush()


def say(sentence: str) -> None:
    """Writes a sentence in place of the line, which comes below it."""
    print(f"\r\x1b[K{sentence}", flush=True)


def teleop(most: tuple[float, float, float]) -> None:
    """Reads keys until one of them ends it; a robot that moves is stopped first.

    Args:
        most: greatest vx, vy [m/s] and yaw rate [rad/s].

    Raises:
        SettingsError: standard input is no terminal, or a speed is not positive.
    """
    velocity = Velocity(most)
    with Keys() as keys, StopSignals() as stop:
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        try:
            operator = Operator("teleop")
            display = Display(operator)

            def more() -> bool:
                return stop.asked or keys.waiting

            try:
                # A terminal that is gone, when its window is closed, is no reason not to stop.
                with contextlib.suppress(OSError):
                    print(HELP)
                    while not stop.asked and not _take(keys.read(), velocity, operator, more):
                        operator.command = velocity.values
                        operator.until(lambda: False, _SHOW_S)
                        display.show(velocity)
                operator.command = None
                # At rest, too: something that was asked for may be on its way.
                if operator.state is not None:
                    answer = operator.ask(Event.STOP).sentence
                    with contextlib.suppress(OSError):
                        say(answer)
            finally:
                operator.close()
        finally:
            try_shutdown()


def _take(pressed: str, velocity: Velocity, operator: Operator, more: Callable[[], bool]) -> bool:
    """Does what keys ask for; whether to quit."""
    for key in pressed:
        if key in QUIT:
            return True
        velocity.press(key)
        if key in EVENTS:
            _ask(EVENTS[key], operator, more)
    return False


def _ask(event: Event, operator: Operator, more: Callable[[], bool]) -> None:
    """Asks, and says the answer; a late one is not waited for if there is more to do."""
    at_least = time.monotonic() + _AT_LEAST_S
    reply = operator.ask(event, _PATIENCE_S, lambda: time.monotonic() > at_least and more())
    say(reply.sentence)
