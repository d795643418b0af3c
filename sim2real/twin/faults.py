"""Faults that a twin can be given: what spoils messages, and what happens to the robot.

A fault is a line of text, ``NAME [STREAM] [KEY=VALUE ...]``, e.g. ``delay imu ms=50 for=2``. STREAM
is ``joints``, ``imu``, ``sensors`` (both, and the default) or, where the table says so,
``commands``. ``for`` is how long it lasts [s]; without it, until ``clear``. ``clear`` alone ends
all, ``clear NAME`` those of one name.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.twin.messages import ImuMessage, JointMessage

SENSORS = ("joints", "imu")
COMMANDS = "commands"
UNKNOWN_JOINT = "no_such_joint"
"""What a joint is called that the robot has not."""
_FOREVER = np.inf
_SAME_TIME_S = 1e-6
_Message = TypeVar("_Message", JointMessage, ImuMessage)
Value = float | str


@dataclass(frozen=True, kw_only=True)
class FaultKind:
    """One kind of fault."""

    effect: str
    """What it does, in a sentence."""
    streams: tuple[str, ...] = ()
    """The messages that it can spoil; none if it happens to the robot."""
    keys: Mapping[str, Value]
    """Its keys with their defaults; a number's unit is in the key."""
    once: bool = False
    """Whether it is over as soon as it has happened."""


def _keys(**keys: Value) -> Mapping[str, Value]:
    return keys


KINDS: Mapping[str, FaultKind] = {
    "drop": FaultKind(
        effect="Each message gets lost with probability p; p=1 is silence.",
        streams=(*SENSORS, COMMANDS),
        keys=_keys(p=1.0),
    ),
    "delay": FaultKind(
        effect="Messages come later, rounded to cycles; none gets lost.",
        streams=(*SENSORS, COMMANDS),
        keys=_keys(ms=50.0),
    ),
    "freeze": FaultKind(
        effect="Messages go on with the values of the first one of the fault.",
        streams=SENSORS,
        keys=_keys(),
    ),
    "nan": FaultKind(
        effect="The first value is not a number: angular velocity x, or the joint's position.",
        streams=SENSORS,
        keys=_keys(joint=""),
    ),
    "wrong_length": FaultKind(
        effect="Joint states have fewer positions than names.", streams=("joints",), keys=_keys(n=1)
    ),
    "unknown_joint": FaultKind(
        effect=f"A joint is called {UNKNOWN_JOINT}, the last one unless it is named.",
        streams=("joints",),
        keys=_keys(joint=""),
    ),
    "servo_off": FaultKind(effect="A servo, or all, has no torque.", keys=_keys(joint="all")),
    "push": FaultKind(
        effect="A horizontal force on the trunk, towards deg from where the robot heads, to the "
        "left: from the front at 180; 0.1 s unless told.",
        keys=_keys(n=50.0, deg=90.0),
    ),
    "battery": FaultKind(
        effect="The battery has this voltage without load, 0.5 to 1.5 times the nominal one; the "
        "default is low for OP3.",
        keys=_keys(v=10.5),
    ),
    "tilt": FaultKind(
        effect="The base is rolled by this angle, at 6 rad/s.", keys=_keys(deg=70.0), once=True
    ),
    "module": FaultKind(
        effect="Another module takes all its joints (OP3).",
        keys=_keys(name="action_module"),
        once=True,
    ),
    "button": FaultKind(
        effect="Somebody presses a button (OP3).", keys=_keys(name="start"), once=True
    ),
    "second_publisher": FaultKind(
        effect="Another node publishes joint targets: what is held anyway.", keys=_keys()
    ),
}
"""All kinds by name."""
_PUSH_S = 0.1


def fault_table() -> str:
    """All kinds of faults as a table in Markdown, for the documentation."""
    lines = ["| fault | of | keys and defaults | what happens |", "|---|---|---|---|"]
    for name, kind in KINDS.items():
        streams = ", ".join(kind.streams) or "the robot"
        keys = " ".join(f"`{key}={value}`" for key, value in kind.keys.items()) or "-"
        lines.append(f"| `{name}` | {streams} | {keys} | {kind.effect} |")
    return "\n".join(lines)


@dataclass(frozen=True)
class Fault:
    """A fault in force."""

    name: str
    """Its kind."""
    streams: tuple[str, ...]
    """The messages it spoils."""
    keys: Mapping[str, Value]
    """Its values."""
    until_s: float
    """When it ends, in simulated time [s]."""

    def __str__(self) -> str:
        """As it would be injected, without its duration."""
        usual = self.streams == _usual_streams(KINDS[self.name])
        words = [self.name, *(() if usual else self.streams)]
        words += [
            f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}"
            for key, value in self.keys.items()
        ]
        return " ".join(words)

    def number(self, key: str) -> float:
        """A value that is a number."""
        return float(self.keys[key])


def parse(text: str, now_s: float, joint_names: tuple[str, ...]) -> Fault:
    """Reads a line of the grammar.

    Args:
        text: the line.
        now_s: simulated time at which it begins [s].
        joint_names: the robot's.

    Raises:
        SettingsError: it is not in the grammar, or names what there is not.
    """
    name, *words = text.split() or [""]
    if name not in KINDS:
        raise SettingsError(f"there is no fault {name!r}, expected one of {', '.join(KINDS)}.")
    kind = KINDS[name]
    streams = _streams(name, kind, [word for word in words if "=" not in word])
    keys, seconds = dict(kind.keys), _PUSH_S if name == "push" else _FOREVER
    for key, value in (word.split("=", 1) for word in words if "=" in word):
        if key == "for":
            seconds = _number(name, key, value)
        elif key not in kind.keys:
            known = ", ".join([*kind.keys, "for"])
            raise SettingsError(f"{name} has no {key!r}, expected {known}.")
        elif isinstance(kind.keys[key], str):
            keys[key] = value
        else:
            keys[key] = _number(name, key, value)
    joint = keys.get("joint", "")
    if joint not in ("", *joint_names) and not (name == "servo_off" and joint == "all"):
        raise SettingsError(f"{name}: there is no joint {joint!r}.")
    if not 0.0 <= float(keys.get("p", 0.0)) <= 1.0:
        raise SettingsError(f"{name}: p is {keys['p']}, expected 0 to 1.")
    for key in ("ms", "n", "v"):
        if float(keys.get(key, 0.0)) < 0.0:
            raise SettingsError(f"{name}: {key} is {keys[key]}, expected at least 0.")
    missing = float(keys["n"]) if name == "wrong_length" else 1.0
    if missing < 1.0 or missing != round(missing):
        raise SettingsError(f"{name}: n is {missing:g}, expected a whole number of at least 1.")
    if seconds <= 0.0:
        raise SettingsError(f"{name}: for is {seconds:g}, expected more than 0.")
    return Fault(name, streams, keys, now_s + seconds)


def _usual_streams(kind: FaultKind) -> tuple[str, ...]:
    """What it spoils if nothing is named."""
    return tuple(stream for stream in kind.streams if stream != COMMANDS)


def _streams(name: str, kind: FaultKind, words: list[str]) -> tuple[str, ...]:
    if not words:
        return _usual_streams(kind)
    if words == ["sensors"] and set(SENSORS) <= set(kind.streams):
        return SENSORS
    if len(words) > 1 or words[0] not in kind.streams:
        known = ", ".join(kind.streams) or "none"
        raise SettingsError(f"{name}: streams are {' '.join(words)!r}, expected one of: {known}.")
    return (words[0],)


def _number(name: str, key: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise SettingsError(f"{name}: {key} is {value!r}, expected a number.")
    return number


class Faults:
    """The faults in force, and what they do to messages.

    Attributes:
        active: the faults.
        now_s: simulated time, as of the last ``advance`` [s].
        lost: messages that ``drop`` took.
    """

    def __init__(self, cycle_s: float, joint_names: tuple[str, ...], seed: int = 0) -> None:
        """No fault.

        Args:
            cycle_s: time between two messages [s].
            joint_names: the robot's.
            seed: of what gets lost.
        """
        self.active: list[Fault] = []
        self.now_s = self._next_s = 0.0
        self.lost = 0
        self._cycle_s, self._joint_names = cycle_s, joint_names
        self._rng = np.random.default_rng([seed, 8])
        # Messages on their way by stream, with the time at which they arrive.
        self._late: dict[str, deque[tuple[float, Any]]] = {
            stream: deque() for stream in (*SENSORS, COMMANDS)
        }
        self._frozen: dict[str, Any] = {}

    def inject(
        self, text: str, check: Callable[[Fault], object] = lambda fault: None
    ) -> Fault | None:
        """Begins a fault with the next cycle, or ends some.

        Args:
            text: a line of the grammar.
            check: raises for a fault that must not begin.

        Returns:
            The fault; None for ``clear``.

        Raises:
            SettingsError: see ``parse``; or what ``check`` raises.
        """
        words = text.split()
        if words[:1] == ["clear"]:
            if len(words) > 2 or (len(words) == 2 and words[1] not in KINDS):
                raise SettingsError(
                    f"clear {' '.join(words[1:])}: expected a fault's name or none."
                )
            self.active = [f for f in self.active if len(words) == 2 and f.name != words[1]]
            return None
        fault = parse(text, self._next_s, self._joint_names)
        check(fault)
        if not KINDS[fault.name].once:
            self.active.append(fault)
        return fault

    def advance(self, now_s: float) -> bool:
        """Ends what is over at a time [s]; returns whether anything ended."""
        self.now_s, self._next_s = now_s, now_s + self._cycle_s
        count = len(self.active)
        self.active = [fault for fault in self.active if fault.until_s > now_s + _SAME_TIME_S]
        for stream in list(self._frozen):
            if not self._of("freeze", stream):
                del self._frozen[stream]
        return len(self.active) != count

    def named(self, name: str) -> list[Fault]:
        """The faults of a kind."""
        return [fault for fault in self.active if fault.name == name]

    def joints(self, message: JointMessage) -> list[JointMessage]:
        """The joint states that arrive in this cycle, the oldest first."""
        return self._through("joints", message, self._spoil_joints)

    def imu(self, message: ImuMessage) -> list[ImuMessage]:
        """The IMU samples that arrive in this cycle, the oldest first."""
        return self._through("imu", message, self._spoil_imu)

    def command(self, message: JointMessage) -> None:
        """Takes a command in; ``commands`` gives it out when it arrives."""
        if not self._lost(COMMANDS):
            self._late[COMMANDS].append((self._arrival(COMMANDS), message))

    def commands(self) -> list[JointMessage]:
        """The commands that have arrived, the oldest first."""
        return self._arrived(COMMANDS)

    def _through(
        self, stream: str, message: _Message, spoil: Callable[[_Message], _Message]
    ) -> list[_Message]:
        if not self._lost(stream):
            self._late[stream].append((self._arrival(stream), spoil(message)))
        return self._arrived(stream)

    def _of(self, name: str, stream: str) -> list[Fault]:
        return [f for f in self.active if f.name == name and stream in f.streams]

    def _lost(self, stream: str) -> bool:
        lost = any(self._rng.random() < fault.number("p") for fault in self._of("drop", stream))
        self.lost += lost
        return lost

    def _arrival(self, stream: str) -> float:
        delay_s = sum(1e-3 * fault.number("ms") for fault in self._of("delay", stream))
        return self.now_s + round(delay_s / self._cycle_s) * self._cycle_s

    def _arrived(self, stream: str) -> list[Any]:
        """What is due; a message never overtakes one that was sent before it."""
        late, arrived = self._late[stream], []
        while late and late[0][0] <= self.now_s + _SAME_TIME_S:
            arrived.append(late.popleft()[1])
        return arrived

    def _spoil_joints(self, message: JointMessage) -> JointMessage:
        if self._of("freeze", "joints"):
            message = self._frozen.setdefault("joints", message)
        for fault in self._of("nan", "joints"):
            position = message.position.copy()
            position[_place(message.names, fault, 0)] = np.nan
            message = replace(message, position=position)
        for fault in self._of("unknown_joint", "joints"):
            names = list(message.names)
            names[_place(message.names, fault, -1)] = UNKNOWN_JOINT
            message = replace(message, names=tuple(names))
        for fault in self._of("wrong_length", "joints"):
            left = max(0, len(message.position) - round(fault.number("n")))
            message = replace(message, position=message.position[:left])
        return message

    def _spoil_imu(self, message: ImuMessage) -> ImuMessage:
        if self._of("freeze", "imu"):
            message = self._frozen.setdefault("imu", message)
        if self._of("nan", "imu"):
            rate = message.angular_velocity.copy()
            rate[0] = np.nan
            message = replace(message, angular_velocity=rate)
        return message


def _place(names: tuple[str, ...], fault: Fault, otherwise: int) -> int:
    joint = fault.keys["joint"]
    return names.index(str(joint)) if joint else otherwise
