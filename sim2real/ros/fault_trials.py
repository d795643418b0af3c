"""Faults of all kinds, many times each, while a twin walks: does the bridge do what it should?

Twin and bridge are processes of their own; nothing in them is changed. Needs rclpy.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from nav_msgs.msg import Odometry
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import try_shutdown
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger

from legged_skills import robots
from legged_skills.robots.errors import DeploymentError, SettingsError
from legged_skills.robots.rotations import from_yaw, rotate, rotate_inverse, yaw
from legged_skills.sim2real.bundle import Bundle
from legged_skills.sim2real.deploy.config import config_of
from legged_skills.sim2real.deploy.guards import SILENCING, Code, within_s
from legged_skills.sim2real.deploy.states import Event, State
from legged_skills.sim2real.ros.bridge_config import bridge_config_of
from legged_skills.sim2real.ros.deploy import BRIDGE_MODULE
from legged_skills.sim2real.ros.operator import Operator
from legged_skills.sim2real.ros.processes import Child, StopSignals
from legged_skills.sim2real.ros.topics import TWIN_NODE, Op3
from legged_skills.sim2real.ros.topics import Twin as Names

START_S = 60.0
_WALK_S = 1.0
"""It has walked for so long when a fault comes [s]."""
_WATCH_S = 0.6
"""Afterwards it is looked at for so long [s]."""
_PATIENCE_S = 30.0
"""Fast DDS forgets a killed process after 20 s."""
_STANDS_MPS = 0.1
"""What is slower in the mean stands [m/s]."""
_TRIES = 3
_QUICK = {"ramp_speed_radps": "2.0", "ramp_min_s": "0.5"}
"""Settings of the bridge that save time, and change nothing about faults."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One kind of fault, and what must come of it."""

    name: str
    """What it is called."""
    inject: tuple[str, ...] = ()
    """Faults of the twin, see ``twin/faults.py``."""
    codes: tuple[Code, ...] = ()
    """One of these must be the fault; none if the robot must walk on."""
    kill: str = ""
    """The process that is killed."""
    silence: bool = False
    """The velocity command falls silent."""
    watch_s: float = _WATCH_S
    """How long it is looked at afterwards [s]."""


TRIALS = (
    Trial(name="stale joints", inject=("drop joints",), codes=(Code.STALE_JOINTS,)),
    Trial(name="stale IMU", inject=("drop imu",), codes=(Code.STALE_IMU,)),
    Trial(name="NaN of a joint", inject=("nan joints",), codes=(Code.NOT_FINITE,)),
    Trial(name="NaN of the IMU", inject=("nan imu",), codes=(Code.NOT_FINITE,)),
    Trial(name="wrong length", inject=("wrong_length",), codes=(Code.UNUSABLE_MESSAGE,)),
    Trial(name="unknown joint", inject=("unknown_joint",), codes=(Code.STALE_JOINTS,)),
    Trial(name="duplicated publisher", inject=("second_publisher",), codes=(Code.OTHER_PUBLISHER,)),
    Trial(name="tilt", inject=("tilt deg=70",), codes=(Code.TILT,)),
    Trial(name="20 % loss", inject=("drop p=0.2", "drop commands p=0.2"), watch_s=3.0),
    Trial(
        name="50 ms of delay",
        inject=("delay ms=50 for=0.05", "delay commands ms=50 for=0.05"),
        watch_s=1.0,
    ),
    Trial(name="command silence", silence=True, watch_s=3.0),
    Trial(name="kill -9 of the twin", kill="twin", codes=(Code.STALE_JOINTS, Code.STALE_IMU)),
    Trial(name="kill -9 of the bridge", kill="bridge"),
)
"""All that can be tried."""


@dataclass
class Tally:
    """What came of the trials of one kind."""

    within_s: float | None
    """The documented time [s]; None where no fault is due."""
    times: int = 0
    """So many were made."""
    passed: int = 0
    """So many went as documented."""
    took_s: list[float] = field(default_factory=list)
    """From the cause to what the operator heard, or from the kill to the last target [s]."""
    wrong: list[str] = field(default_factory=list)
    """What was not as documented, a sentence each."""

    def figures(self) -> dict[str, Any]:
        """For a file."""
        took = np.array(self.took_s)
        return {
            "times": self.times,
            "passed": self.passed,
            "within_s": self.within_s,
            "median_s": float(np.median(took)) if took.size else None,
            "longest_s": float(took.max()) if took.size else None,
            "wrong": self.wrong,
        }


class Wire:
    """Hears what goes to the robot's drives, and whether the robot could bear it.

    Attributes:
        heard: targets so far.
        bad: those that were not finite, out of range or not of all joints.
        last_s: when the last one came, on the steady clock [s].
        sent_s: when it was sent, by its stamp [s].
        values: (J,) of the last one [rad], in the order of its message.
    """

    def __init__(self, robot: str) -> None:
        """Knows the ranges of a robot."""
        spec = robots.get(robot)
        names = bridge_config_of(robot).joint_names
        self._low = dict(zip(names, spec.joint_lower - 1e-6, strict=True))
        self._high = dict(zip(names, spec.joint_upper + 1e-6, strict=True))
        self.heard = self.bad = 0
        self.last_s, self.sent_s, self.values = -np.inf, -np.inf, np.zeros(0)

    def hear(self, message: JointState) -> None:
        """Takes in one; those of the twin's second publisher have no stamp."""
        stamp = message.header.stamp
        if not (stamp.sec or stamp.nanosec):
            return
        self.sent_s = stamp.sec + 1e-9 * stamp.nanosec
        self.heard, self.last_s = self.heard + 1, time.monotonic()
        self.values = values = np.array(message.position)
        names = list(message.name)
        safe = sorted(names) == sorted(self._low) and len(values) == len(names)
        if safe:
            low = np.array([self._low[name] for name in names])
            high = np.array([self._high[name] for name in names])
            safe = bool(((values >= low) & (values <= high)).all())
        self.bad += not safe


class _WrongError(Exception):
    """Something was not as documented."""


class _SpoiledError(Exception):
    """The trial could not begin: the robot did not walk."""


class _Rig:
    """A twin, a bridge, and who operates both."""

    def __init__(
        self,
        bundle: Bundle,
        bundle_file: Path,
        out: Path,
        gap: str,
        command: tuple[float, float, float],
        settings: dict[str, str],
    ) -> None:
        self.robot, self.file, self.out, self.gap = bundle.robot, bundle_file, out, gap
        self.command, self._settings = command, _QUICK | settings
        self.operator = operator = Operator("fault_trials")
        self.children: dict[str, Child] = {}
        self._started = 0
        self.wire = Wire(self.robot)
        config = bridge_config_of(self.robot)
        topic = Op3.SET_JOINT_STATES if config.driver == "op3" else config.joint_command_topic
        node = operator.node
        node.create_subscription(JointState, topic, self.wire.hear, 50)
        node.create_subscription(Odometry, self._of_twin(Names.TRUTH), self._hear_truth, 10)
        self._inject = node.create_publisher(String, self._of_twin(Names.INJECT), 10)
        self._clients = {
            name: node.create_client(Trigger, self._of_twin(name))
            for name in (Names.CLEAR, Names.RESET)
        }
        self.restarts = 0
        self.truths, self.tilted_s = 0, np.inf
        self.velocity: list[np.ndarray] = []

    @staticmethod
    def _of_twin(name: str) -> str:
        return name.replace("~", f"/{TWIN_NODE}", 1)

    def _hear_truth(self, message: Odometry) -> None:
        self.truths += 1
        q, v = message.pose.pose.orientation, message.twist.twist.linear
        quat = np.array([q.w, q.x, q.y, q.z])
        velocity_w = rotate(quat, np.array([v.x, v.y, v.z]))
        self.velocity.append(rotate_inverse(from_yaw(yaw(quat)), velocity_w)[:2])
        upright = float(rotate(quat, np.array([0.0, 0.0, 1.0]))[2])
        if upright > np.cos(np.deg2rad(config_of(self.robot).tilt_limit_deg)):
            self.tilted_s = np.inf
        elif self.tilted_s == np.inf:
            self.tilted_s = time.monotonic()

    def start(self, name: str) -> None:
        """Starts twin or bridge, and waits until it is heard."""
        if name == "twin":
            words = ["-m", "legged_skills", "twin", "--robot", self.robot, "--gap", self.gap]
        else:
            parameters = {"robot": self.robot, "bundle": str(self.file), **self._settings}
            words = ["-m", BRIDGE_MODULE, "--autostart", "--ros-args"]
            words += [w for item in parameters.items() for w in ("-p", "{}:={}".format(*item))]
        self._started += 1
        output = self.out / f"{name}.{self._started:03d}.txt"
        self.children[name] = Child(name, [sys.executable, *words], output)
        truths, changes = self.truths, len(self.operator.history)
        heard = {
            "twin": lambda: self.truths > truths,
            "bridge": lambda: len(self.operator.history) > changes,
        }[name]
        child = self.children[name]
        self.operator.until(lambda: heard() or child.code is not None, START_S)
        if child.code is not None:
            raise DeploymentError(f"the {name} has ended: {child.last_words()}.")
        if not heard():
            raise DeploymentError(f"the {name} was not heard within {START_S:g} s; see {output}.")

    def kill(self, name: str) -> float:
        """Kills a process that was started here, and says when."""
        child = self.children.pop(name)
        now = time.monotonic()
        os.kill(child.pid, signal.SIGKILL)
        child.end(5.0)
        return now

    def inject(self, lines: Sequence[str]) -> float:
        """Begins faults of the twin; when."""
        now = time.monotonic()
        for line in lines:
            self._inject.publish(String(data=line))
        return now

    def call(self, name: str) -> None:
        """Calls a service of the twin."""
        client = self._clients[name]
        if not self.operator.until(client.service_is_ready, _PATIENCE_S):
            raise DeploymentError(f"the twin does not offer {name}.")
        future = client.call_async(Trigger.Request())
        if not self.operator.until(future.done, 10.0):
            raise DeploymentError(f"the twin did not answer to {name}.")

    def insist(self, event: Event, state: State, patience_s: float = _PATIENCE_S) -> None:
        """Asks until a state is reached: endpoints of a killed process live on for a while."""
        operator, deadline = self.operator, time.monotonic() + patience_s
        while operator.state is not state:
            reply = operator.ask(event)
            if reply.accepted:
                operator.until(lambda: operator.state in (state, State.FAULT), 15.0)
            if operator.state is State.FAULT and state is not State.IDLE:
                operator.until(lambda: bool(operator.notice), 0.3)
                raise _SpoiledError(f"no {event.value}: {operator.notice}")
            if time.monotonic() > deadline:
                raise _SpoiledError(f"no {event.value}: {reply.sentence}")
            operator.until(lambda: operator.state is state, 0.1)

    def walk(self) -> None:
        """From wherever it is to walking."""
        operator = self.operator
        operator.command = self.command
        if operator.state is State.POLICY:
            return
        if operator.state is not State.IDLE:
            self.call(Names.CLEAR)
            self.call(Names.RESET)
            operator.until(lambda: False, 0.2)
            operator.ask(Event.STOP)
            try:
                self.insist(Event.RESET, State.IDLE, 5.0)
            except _SpoiledError:
                # It holds a pose in which the twin cannot stand, as nobody holds a robot.
                self.restarts += 1
                self.children.pop("bridge").end(20.0)
                self.start("bridge")
                self.call(Names.RESET)
        self.rests()
        self.call(Names.RESET)
        operator.until(lambda: False, 0.2)
        self.insist(Event.PREPARE, State.READY)
        self.insist(Event.ENABLE, State.POLICY)
        operator.until(lambda: operator.state is not State.POLICY, 0.5)

    def rests(self) -> None:
        """Nothing is sent in IDLE, though commands come."""
        # By stamps: what was sent before may be heard only now.
        begun = time.time()
        self.operator.until(lambda: False, 0.3)
        if self.wire.sent_s > begun:
            raise _WrongError("targets were published in the state idle")

    def steady(self, seconds: float) -> None:
        """It must walk for a while."""
        operator = self.operator
        if operator.until(lambda: operator.state is not State.POLICY, seconds):
            operator.until(lambda: bool(operator.notice), 0.3)
            raise _SpoiledError(f"did not walk: {operator.notice}")

    def close(self) -> None:
        """Ends all."""
        self.operator.command = None
        if "bridge" in self.children and self.operator.state is not State.IDLE:
            self.operator.ask(Event.STOP, 2.0)
        for name in ("bridge", "twin"):
            if name in self.children:
                self.children[name].end(20.0)
        self.operator.close()


def _fault(rig: _Rig, trial: Trial, since_s: float) -> float:
    """Waits for the fault, and looks what is done then; how long it took [s]."""
    operator = rig.operator
    if not operator.until(lambda: operator.state is State.FAULT, 3.0):
        raise _WrongError("no fault within 3 s")
    now = time.monotonic()
    if trial.codes == (Code.TILT,):
        # From when it was tilted, which may be heard of later than the fault.
        since_s = rig.tilted_s
    took_s = max(0.0, now - since_s)
    operator.until(lambda: bool(operator.notice), 0.5)
    # One target may have been on its way.
    operator.until(lambda: False, 0.06)
    held, heard = rig.wire.values, rig.wire.heard
    same = True

    def look() -> bool:
        nonlocal same
        same &= np.array_equal(rig.wire.values, held)
        return operator.state is not State.FAULT

    for event in (Event.PREPARE, Event.ENABLE):
        if operator.ask(event).accepted:
            raise _WrongError(f"{event.value} was accepted in a fault")
    if operator.until(look, trial.watch_s):
        raise _WrongError(f"left the fault by itself for {operator.state}")
    if rig.wire.heard > heard and trial.codes[0] in SILENCING:
        raise _WrongError("targets were published beside another publisher's")
    if not same:
        raise _WrongError("targets moved on after the fault")
    return took_s


def _right_reason(rig: _Rig, trial: Trial) -> None:
    expected = {
        Code.STALE_JOINTS: "was heard of",
        Code.STALE_IMU: "the IMU was heard of",
        Code.NOT_FINITE: "nan|no numbers",
        Code.UNUSABLE_MESSAGE: "positions",
        Code.OTHER_PUBLISHER: "others publish",
        Code.TILT: "tilted",
    }
    notice = rig.operator.notice
    words = [word for code in trial.codes for word in expected[code].split("|")]
    if not any(word in notice for word in words):
        raise _WrongError(f"another fault: {notice}")


def _goes_on(rig: _Rig, trial: Trial) -> None:
    """It must walk on, or stand if nobody commands any more."""
    operator = rig.operator
    changes = len(operator.history)
    if trial.silence:
        operator.command = None
        operator.until(lambda: len(operator.history) > changes, trial.watch_s - 1.0)
        rig.velocity.clear()
        operator.until(lambda: len(operator.history) > changes, 1.0)
        speed = float(np.linalg.norm(np.mean(rig.velocity, axis=0))) if rig.velocity else np.nan
        operator.command = rig.command
        if not speed < _STANDS_MPS:
            raise _WrongError(f"walked at {speed:.2f} m/s without a command")
    else:
        operator.until(lambda: len(operator.history) > changes, trial.watch_s)
    if len(operator.history) > changes:
        operator.until(lambda: bool(operator.notice), 0.3)
        raise _WrongError(f"did not walk on: {operator.notice}")
    rig.inject(["clear"])


def _bridge_dies(rig: _Rig) -> float:
    """Nothing more is sent, and nothing moves by itself when it is started again."""
    since_s = rig.kill("bridge")
    rig.operator.until(lambda: False, 1.0)
    took_s = max(0.0, rig.wire.last_s - since_s)
    heard = rig.wire.heard
    rig.start("bridge")
    rig.operator.until(lambda: False, 1.0)
    if rig.operator.state is not State.IDLE:
        raise _WrongError(f"started in the state {rig.operator.state}")
    if rig.wire.heard > heard:
        raise _WrongError("targets were published after a start")
    return took_s


def _try(rig: _Rig, trial: Trial, tally: Tally) -> None:
    """One trial; it begins anew if the robot did not walk when it should begin."""
    for attempt in range(_TRIES):
        try:
            rig.walk()
            rig.steady(_WALK_S)
            break
        except _SpoiledError as error:
            if attempt == _TRIES - 1:
                raise _WrongError(str(error)) from error
    bad = rig.wire.bad
    if trial.kill == "bridge":
        took_s = _bridge_dies(rig)
    elif trial.codes:
        since_s = rig.kill(trial.kill) if trial.kill else rig.inject(trial.inject)
        took_s = _fault(rig, trial, since_s)
        _right_reason(rig, trial)
        if trial.kill:
            rig.start("twin")
            rig.operator.until(lambda: False, 0.5)
            if rig.operator.state is not State.FAULT:
                raise _WrongError(f"left the fault by itself for {rig.operator.state}")
    else:
        rig.inject(trial.inject)
        _goes_on(rig, trial)
        took_s = None
    if took_s is not None:
        tally.took_s.append(took_s)
        if tally.within_s is not None and took_s > tally.within_s:
            raise _WrongError(f"took {took_s:.3f} s")
    if rig.wire.bad > bad:
        raise _WrongError("a target was not finite or out of range")


def fault_trials(
    bundle: Bundle,
    bundle_file: Path,
    out: Path,
    times: int = 20,
    gap: str = "none",
    only: Sequence[str] = (),
    settings: dict[str, str] | None = None,
    say: Callable[[str], object] = print,
) -> dict[str, Any]:
    """Injects each fault while a twin walks, and compares what happens with what is documented.

    ROS_DOMAIN_ID and the discovery range must have been settled. Between two faults all is put
    back: the twin to its start, the bridge by reset, prepare and enable.

    Args:
        bundle: a policy that walks.
        bundle_file: its file.
        out: folder for what the processes print.
        times: so many times each.
        gap: of the twin.
        only: names of trials; all if empty.
        settings: parameters of the bridge, as texts; those of ``_QUICK`` come before.
        say: is told how it goes on.

    Returns:
        "trials" with a ``Tally`` of each, "targets" heard on the robot's topic, "bad_targets"
        among them that were not finite, out of range or incomplete, "bridges_restarted" since they
        could not be reset, and "passed".

    Raises:
        SettingsError: there is no such trial, or nothing to do.
        DeploymentError: a process did not start.
    """
    unknown = set(only) - {trial.name for trial in TRIALS}
    if unknown:
        names = ", ".join(trial.name for trial in TRIALS)
        raise SettingsError(f"there is no trial {min(unknown)!r}, expected some of {names}.")
    if times < 1:
        raise SettingsError(f"times is {times}, expected at least 1.")
    out.mkdir(parents=True, exist_ok=True)
    spec = robots.get(bundle.robot)
    forward = bundle.header.command[0].high
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    tallies: dict[str, Tally] = {}
    try:
        command = (0.4 * forward, 0.0, 0.0)
        rig = _Rig(bundle, bundle_file, out, gap, command, settings or {})
        try:
            with StopSignals() as stop:
                rig.start("twin")
                rig.start("bridge")
                for trial in TRIALS:
                    if only and trial.name not in only:
                        continue
                    config, period_s = config_of(bundle.robot), spec.control_period_s
                    limits = [within_s(code, config, period_s) for code in trial.codes]
                    limits += [0.1] if trial.kill == "bridge" else []
                    tally = tallies[trial.name] = Tally(max(limits, default=None))
                    for _ in range(times):
                        if stop.asked:
                            raise DeploymentError("interrupted.")
                        tally.times += 1
                        try:
                            _try(rig, trial, tally)
                            tally.passed += 1
                        except _WrongError as error:
                            tally.wrong.append(f"{error}.")
                            _mend(rig)
                    say(_line(trial.name, tally))
            found = {name: tally.figures() for name, tally in tallies.items()}
            return {
                "robot": bundle.robot,
                "gap": gap,
                "trials": found,
                "targets": rig.wire.heard,
                "bad_targets": rig.wire.bad,
                "bridges_restarted": rig.restarts,
                "passed": all(t.passed == t.times for t in tallies.values()) and not rig.wire.bad,
            }
        finally:
            rig.close()
    finally:
        try_shutdown()


def _mend(rig: _Rig) -> None:
    """After something went wrong: both processes are there, and nothing is spoiled."""
    for name in ("twin", "bridge"):
        child = rig.children.get(name)
        if child is None or child.code is not None:
            rig.children.pop(name, None)
            rig.start(name)
    rig.inject(["clear"])


def _line(name: str, tally: Tally) -> str:
    """One line about the trials of one kind."""
    found = tally.figures()
    text = f"{name:22s} {tally.passed:3d} of {tally.times}"
    if found["longest_s"] is not None:
        text += f", median {found['median_s']:.3f} s, longest {found['longest_s']:.3f} s"
        text += f" (at most {tally.within_s:g} s)" if tally.within_s is not None else ""
    return "; ".join([text, *sorted(set(tally.wrong))[:3]])
