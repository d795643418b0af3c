"""A deployment from the first process to the last: brings a robot up, lets it act; needs rclpy."""

import json
import select
import sys
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import try_shutdown

from legged_skills.robots.errors import DeploymentError, SettingsError
from legged_skills.sim2real.bundle import Bundle
from legged_skills.sim2real.deploy.config import ANY_TILT_DEG, LONGEST_REST_S
from legged_skills.sim2real.deploy.states import Event, State
from legged_skills.sim2real.ros.observer import Observer
from legged_skills.sim2real.ros.operator import Operator
from legged_skills.sim2real.ros.processes import Child, StopSignals
from legged_skills.sim2real.ros.topics import BRIDGE_NODE

BRIDGE_MODULE = "legged_skills.sim2real.ros.bridge_main"
SETTLE_S = {"walk": 2.0, "dribble": 5.0}
"""So long after enabling what is measured begins to count [s]."""
_START_S = 60.0
_OTHERS_S = 1.5
"""Nodes that are there are known after so long [s]."""
_FORGOTTEN_S = 25.0
"""Nodes that were killed are forgotten after so long: Fast DDS has a lease of 20 s [s]."""
_MOMENT_S = 1.0
"""So long after Enter a request that is refused is made again without a question [s]."""
_REASON_S = 1.0
"""The reason of a fault comes so long after the state at most [s]."""
_RAMP_S = 90.0
_TIMING = ("period_error_p99_ms", "missed_deadlines", "sensor_to_command_p99_ms", "steps")


@dataclass(frozen=True, kw_only=True)
class DeployRun:
    """What shall be done."""

    bundle: Bundle
    """The policy, as it lies in ``bundle_file``."""
    bundle_file: Path
    """Its file."""
    out: Path
    """Folder for log, figures and what the processes print."""
    twin: tuple[str, ...] | None = None
    """Arguments of ``legged-skills twin``; None for a real robot."""
    seconds: float = 20.0
    """The policy acts for so long [s]."""
    command: tuple[float, ...] | None = None
    """What a policy that walks is told: vx, vy [m/s] and yaw rate [rad/s]; None if it does not."""
    params: Path | None = None
    """A ROS parameter file for the bridge, as in launch/params; None for its defaults."""
    near_m: float = 1.0
    """A ball within this distance is at its target [m]."""
    dry_run: bool = False
    """Everything but publishing joint targets; velocities are commanded on /cmd_vel."""
    attended: bool = False
    """Wait for somebody to press Enter before the robot moves."""
    recover: bool = False
    """The policy gets up by itself: no tilt is a fault."""

    def __post_init__(self) -> None:
        """Checks what can be checked before anything is started.

        Raises:
            SettingsError: the time or the command is out of range.
        """
        if not self.seconds > 0.0 or not np.isfinite(self.seconds):
            raise SettingsError(f"duration is {self.seconds:g} s, expected more than 0.")
        if self.attended and not sys.stdin.isatty():
            raise SettingsError(
                "standard input is no terminal, expected one: a robot moves only if somebody who "
                "watches it presses Enter."
            )
        components = self.bundle.header.command
        if self.command is None:
            return
        if len(self.command) != len(components):
            raise SettingsError(
                f"the command has {len(self.command)} numbers, expected {len(components)}."
            )
        for value, component in zip(self.command, components, strict=True):
            if not component.low <= value <= component.high:
                raise SettingsError(
                    f"{component.name} is {value:g} {component.unit}, "
                    f"expected {component.low:g} to {component.high:g}."
                )


def handover(command: tuple[float, ...] | None) -> str:
    """What happens when a policy is enabled, to be read before it is.

    Args:
        command: vx, vy [m/s] and yaw rate [rad/s]; None for a policy that goes for a ball.
    """
    if command is None:
        return "the policy takes over, and follows ball and target"
    vx, vy, turning = command
    return (
        f"the policy takes over, commanded {vx:g} m/s forward, {vy:g} m/s left, {turning:g} rad/s"
    )


class _StopError(Exception):
    """Somebody asked to stop before the policy acted."""


class _Deployment:
    """One run."""

    def __init__(self, run: DeployRun, stop: StopSignals, say: Callable[[str], object]) -> None:
        self.run, self.stop, self.say = run, stop, say
        self.children: list[Child] = []
        self.operator = Operator("deploy")
        self.observer = Observer(self.operator.node)
        self.acted_s = self.share = 0.0

    def _child(self, name: str, command: list[str]) -> None:
        self.children.append(Child(name, command, self.run.out / f"{name}.txt"))

    def start(self) -> None:
        """Starts the processes, and waits until they are heard."""
        run, robot = self.run, self.run.bundle.robot
        if run.twin is not None:
            figures = str(run.out / "twin.json")
            twin = ["-m", "legged_skills", "twin", *run.twin, "--json", figures]
            self._require_alone()
            self._child("twin", [sys.executable, *twin])
            self._wait(lambda: self.observer.heard > 0, _START_S, "the twin was not heard")
        else:
            self._require_no_bridge()
        parameters = {
            "robot": robot,
            "bundle": str(run.bundle_file),
            "log": str(run.out / "log"),
            "figures": str(run.out / "timing.json"),
            "dry_run": str(run.dry_run).lower(),
        }
        if run.recover:
            parameters["tilt_limit_deg"] = f"{ANY_TILT_DEG:.1f}"
        # By the node's name: what a file says for that wins over what is said for all nodes.
        given = [f"{BRIDGE_NODE}:{name}:={value}" for name, value in parameters.items()]
        words = [word for item in given for word in ("-p", item)]
        if run.params is not None:
            words = ["--params-file", str(run.params), *words]
        flags = ["--autostart", *(["--dry-run"] if run.dry_run else [])]
        bridge = ["-m", BRIDGE_MODULE, *flags, "--ros-args", *words]
        self._child("bridge", [sys.executable, *bridge])
        self._wait(lambda: self.operator.state is not None, _START_S, "the bridge was not heard")

    def _require_alone(self) -> None:
        """Raises if there is a bridge already, or a twin."""
        self._require_no_bridge()
        # Discovered by now. A twin speaks often; one that was killed does not any more.
        if self.observer.heard > 0:
            raise DeploymentError(
                "there is a twin already, whose robot would be taken for the new one: end it first."
            )

    def _require_no_bridge(self) -> None:
        """Raises if a bridge is there already: what is asked of one, all of them do."""
        operator = self.operator

        def named() -> bool:
            return BRIDGE_NODE in operator.node.get_node_names()

        def heard() -> bool:
            return operator.state is not None

        if not operator.until(lambda: heard() or named() or self._trouble(), _OTHERS_S):
            return
        if not heard():
            # A name alone may be what is left of one that was killed.
            self.say(f"waiting for a {BRIDGE_NODE} that says nothing to be forgotten.")
            operator.until(lambda: heard() or not named() or self._trouble(), _FORGOTTEN_S)
        if heard() or named():
            raise DeploymentError(
                f"there is a {BRIDGE_NODE} already, which would do all that is asked of a new one: "
                "end it first."
            )

    def _wait(self, condition: Callable[[], bool], patience_s: float, otherwise: str) -> None:
        """Waits for something that a deployment cannot do without."""
        done = self.operator.until(lambda: condition() or self._trouble(), patience_s)
        if not done:
            raise DeploymentError(f"{otherwise} within {patience_s:g} s; see {self.run.out}.")

    def _trouble(self) -> bool:
        """Raises if it is no use to wait any more; False otherwise."""
        self._require_alive()
        if self.stop.asked:
            raise _StopError
        return False

    def _dead(self) -> bool:
        return any(child.code is not None for child in self.children)

    def _require_alive(self) -> None:
        for child in self.children:
            if child.code is not None:
                raise DeploymentError(f"the {child.name} has ended: {child.last_words()}.")

    def _ask(self, event: Event, leaving: State, patience_s: float, what: str) -> None:
        """Asks until a state is left: sensors and pictures may need a moment.

        Who attends is asked again after a moment, with the reason: nothing moves long after Enter
        was pressed. What a guard finds in the very next step drops a request that was accepted.
        """
        operator, begin_s = self.operator, time.monotonic()
        while True:
            self._trouble()
            reply = operator.ask(event)
            if reply.accepted and operator.until(lambda: operator.state is not leaving, 1.0):
                return
            dropped = f"{event.value} was accepted, and dropped since a guard found a fault."
            reason = dropped if reply.accepted else reply.sentence
            waited_s = time.monotonic() - begin_s
            if self.run.attended and waited_s > _MOMENT_S:
                self.say(reason)
                self.confirm(what)
                begin_s = time.monotonic()
            elif waited_s > patience_s:
                raise DeploymentError(reason)
            operator.until(lambda: False, 0.3)

    def _reach(self, state: State, patience_s: float) -> None:
        def there() -> bool:
            if self.operator.state is State.FAULT:
                # The reason comes just after the state.
                self.operator.until(lambda: bool(self.operator.notice), _REASON_S)
                raise DeploymentError(f"not {state.value}: {self.operator.notice}")
            return self.operator.state is state

        self._wait(there, patience_s, f"the state {state.value} was not reached")

    def confirm(self, what: str) -> None:
        """Waits for Enter, if somebody attends."""
        if not self.run.attended:
            return
        # An Enter from before the question is no answer to it.
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
        self.say(f"next, {what}: Enter goes on, Ctrl-C stops.")
        while not select.select([sys.stdin], [], [], 0.0)[0]:
            self._trouble()
            self.operator.spin()
        line = sys.stdin.readline()
        self._trouble()
        if not line:
            # Ctrl-D, or a terminal that is gone.
            raise _StopError

    def bring(self) -> None:
        """From idle to the policy, as an operator does."""
        what = "the robot moves to its default pose"
        self.confirm(what)
        self._ask(Event.PREPARE, State.IDLE, 20.0, what)
        self._reach(State.READY, _RAMP_S)
        what = handover(self.run.command)
        self.confirm(what)
        if self.run.command is not None:
            vx, vy, turning = self.run.command
            self.operator.command = (vx, vy, turning)
        self._ask(Event.ENABLE, State.READY, 10.0, what)
        self._reach(State.POLICY, 5.0)

    def act(self) -> None:
        """Lets the policy act, and counts."""
        run, operator = self.run, self.operator
        begin = time.monotonic()
        settle_s = min(SETTLE_S.get(run.bundle.task, 2.0), 0.5 * run.seconds)
        counted_s = None
        while (elapsed := time.monotonic() - begin) < run.seconds:
            operator.spin()
            if self._ended() or operator.state is not State.POLICY:
                break
            if self.observer.falls and not run.recover and counted_s is None:
                counted_s = elapsed
            self.observer.counting = elapsed > settle_s and counted_s is None
        self.observer.counting = False
        self.acted_s = min(time.monotonic() - begin, run.seconds)
        counted_s = self.acted_s if counted_s is None else counted_s
        self.share = max(0.0, counted_s - settle_s) / (run.seconds - settle_s)

    def _ended(self) -> bool:
        if self.stop.asked:
            return True
        self._trouble()
        return False

    def rest(self) -> None:
        """Stops softly, and waits for it; a fault is left as it is.

        Raises:
            DeploymentError: a process ended meanwhile.
        """
        operator = self.operator
        operator.command = None
        if operator.state in (State.RAMP, State.READY, State.POLICY, State.STOPPING):
            operator.ask(Event.STOP, hurry=self._dead)
            still = (State.IDLE, State.FAULT)
            operator.until(
                lambda: operator.state in still or self.stop.hurry or self._dead(), LONGEST_REST_S
            )
            if not self.stop.hurry:
                self._require_alive()
        if operator.state is State.FAULT:
            # The reason comes just after the state.
            operator.until(
                lambda: bool(operator.notice) or self.stop.hurry or self._dead(), _REASON_S
            )

    def close(self) -> None:
        """Ends all processes: the bridge first, which stops the robot before it ends."""
        for child in reversed(self.children):
            patience_s = LONGEST_REST_S if child.name == "bridge" else 10.0
            child.end(patience_s, lambda: self.stop.hurry)
        self.operator.close()

    def figures(self) -> dict[str, Any]:
        run, observer = self.run, self.observer
        timing = _read(run.out / "timing.json")
        found: dict[str, Any] = {
            "robot": run.bundle.robot,
            "task": run.bundle.task,
            "bundle_sha256": run.bundle.sha256,
            "seconds": self.acted_s,
            "interrupted": self.stop.asked,
            "falls": observer.falls if run.twin is not None else None,
            **{name: timing.get(name, float("nan")) for name in _TIMING},
            "state_history": self.operator.history,
        }
        if run.twin is not None and run.command is not None:
            found |= observer.walk_figures(np.array(run.command))
        elif run.twin is not None:
            found |= observer.dribble_figures(run.near_m, self.share)
        if run.twin is not None:
            twin = _read(run.out / "twin.json")
            found["twin_real_time_factor"] = twin.get("real_time_factor", float("nan"))
        return found


def _read(path: Path) -> dict[str, Any]:
    """Figures that a process wrote when it ended; none if it could not."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}


def deploy(run: DeployRun, say: Callable[[str], object] = print) -> dict[str, Any]:
    """Starts a bridge, and a twin if there shall be one; lets the policy act; ends both.

    ROS_DOMAIN_ID and the discovery range must have been settled. Ctrl-C stops the robot softly, a
    second one ends at once.

    Args:
        run: what shall be done.
        say: is told what somebody who attends is asked.

    Returns:
        "falls", "velocity_error_mps" and "yaw_error_radps" or "time_near_target", as the twin sees
        them; "period_error_p99_ms", "missed_deadlines", "sensor_to_command_p99_ms" of the bridge;
        "state_history" with the times of all changes; "seconds" that the policy acted;
        "interrupted".

    Raises:
        DeploymentError: a process did not start or has ended, or the robot did not get ready.
    """
    run.out.mkdir(parents=True, exist_ok=True)
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        with StopSignals() as stop:
            deployment = _Deployment(run, stop, say)
            try:
                deployment.start()
                deployment.bring()
                deployment.act()
                deployment.rest()
            except _StopError:
                deployment.rest()
            finally:
                deployment.close()
            return deployment.figures()
    finally:
        try_shutdown()
