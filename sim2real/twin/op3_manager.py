"""OP3's manager as its topics show it: who commands which joint, torque, gains, ini_pose, texts.

After ROBOTIS-Framework's robotis_controller and ROBOTIS-OP3's modules, in our own words. What is
simpler here: every motion module but the head's takes all joints; of the modules only base_module
moves anything; buttons are pressed by ``press``.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

from legged_skills.sim2real.twin.interface import TwinInterface

NONE = "none"
BASE = "base_module"
HEAD = "head_control_module"
MODULES = (
    "action_module",
    BASE,
    HEAD,
    "walking_module",
    "direct_control_module",
    "online_walking_module",
    "tuning_module",
)
"""Motion modules of the robot's manager; and ``NONE``, where joints take targets of a topic."""
BUTTONS = ("mode", "start", "user", "mode_long", "start_long", "user_long")
INFO, WARN, ERROR = 1, 2, 3
"""Kinds of status texts, as ROBOTIS numbers them."""
_HEAD_JOINTS = ("head_pan", "head_tilt")
_INI_POSE_S = 4.0
_P_GAIN = 800
"""Position gain of the servos at the start, in ROBOTIS's units."""
_LOW_V = 11.0
_VOLTAGE_STEP_V = 0.1
_VOLTAGE_PERIOD_S = 1.0
_VOLTAGE_SMOOTHING = 0.4
_FURTHEST_RAD = math.pi
"""Servos count from -pi to pi; farther goals they do not take."""

Event = tuple[str, int, str, str]
"""Topic "button" or "status", kind of status, module, text."""


class Op3Manager:
    """The manager's state, moved on by one cycle of its bus at a time. J is the number of joints.

    Attributes:
        goal: (J,) what the servos were told last, in the robot's order [rad].
        modules: (J,) name of the module in charge of each joint.
        torque: (J,) True where the servo has torque.
        p_gain: (J,) position gains, over those at the start.
        modules_changed: True if a module changed since the last cycle.
        events: texts that wait to be sent.
        ignored: targets that were not taken: of other modules' joints, or of unknown ones.
        refused: messages that would harm the robot's manager or its servos: not finite, fewer
            positions than names, or out of the servo's range.
        merged: writes that went to the address of another item in the same cycle.
    """

    def __init__(self, interface: TwinInterface, joint_pos: np.ndarray) -> None:
        """As after the manager's start: base_module in charge, torque on, pose (J,) held [rad]."""
        spec = interface.spec
        self.interface, self._names = interface, spec.joint_names
        self._index = {name: j for j, name in enumerate(spec.joint_names)}
        self.goal = np.array(joint_pos, dtype=np.float64)
        self.modules = [BASE] * spec.num_joints
        self.torque = np.ones(spec.num_joints, dtype=bool)
        self.p_gain = np.ones(spec.num_joints)
        self.modules_changed = True
        self.events: deque[Event] = deque(maxlen=100)
        self.ignored = self.refused = self.merged = 0
        self._ini_pose = interface.start_poses["ini_pose"]
        self._from, self._moving_s = self.goal.copy(), None
        self._item: str | None = None
        self._volts = self._told_v = 0.0
        self._told_s = -np.inf

    def set_joint_states(self, names: Sequence[str], position: Sequence[float]) -> None:
        """The topic: named targets [rad]; at once, not clamped, held for good."""
        if len(position) < len(names):
            self.refused += 1
            return
        for name, angle in zip(names, position, strict=False):
            joint = self._index.get(name)
            if joint is None or self.modules[joint] != NONE:
                self.ignored += 1
            elif not math.isfinite(angle) or abs(angle) > _FURTHEST_RAD:
                self.refused += 1
            else:
                self.goal[joint] = angle

    def enable_ctrl_module(self, module: str) -> bool:
        """The topic and the service: all joints of a module; False if there is none of the name.

        The goals stay: what was stored is sent on, wherever the robot is now.
        """
        if module == NONE:
            return self.set_joint_ctrl_modules(self._names, [NONE] * len(self._names))
        if module not in MODULES:
            return False
        names = _HEAD_JOINTS if module == HEAD else self._names
        return self.set_joint_ctrl_modules(names, [module] * len(names))

    def set_joint_ctrl_modules(self, names: Sequence[str], modules: Sequence[str]) -> bool:
        """The topic and the service: a module for each joint; unknown ones change nothing."""
        if len(names) != len(modules):
            return False
        for name, module in zip(names, modules, strict=True):
            joint = self._index.get(name)
            known = module == NONE or module in MODULES
            if joint is not None and known and self.modules[joint] != module:
                self.modules[joint] = module
                self.modules_changed = True
        return True

    def modules_of(self, names: Sequence[str]) -> list[tuple[str, str]]:
        """The service: joints and their modules; unknown joints are left out."""
        return [(name, self.modules[self._index[name]]) for name in names if name in self._index]

    def ini_pose(self, text: str = "ini_pose") -> None:
        """The topic: base_module takes all joints and moves them to its crouch in 4 s."""
        if text != "ini_pose" or self._moving_s is not None:
            return
        self.enable_ctrl_module(BASE)
        self._from[:] = self.goal
        self._moving_s = 0.0
        self._say(INFO, "Base", "Start Init Pose")

    def dxl_torque(self) -> None:
        """The topic, whatever it says: where torque is off, all servos are set up anew."""
        if not self.torque.all():
            self.torque[:] = True
            self.p_gain[:] = 1.0

    def sync_write_item(self, item: str, names: Sequence[str], values: Sequence[int]) -> None:
        """The topic: an item of the servos' control table, for some of them.

        Within one cycle, a second item of another kind is written to the first one's address.
        """
        if self._item is not None and item != self._item:
            item = self._item
            self.merged += 1
        self._item = item
        for name, value in zip(names, values, strict=False):
            if item == "dynamixel_power":
                self.torque[:] &= bool(value)
                continue
            joint = self._index.get(name)
            if joint is None:
                self.ignored += 1
            elif item == "torque_enable":
                self.torque[joint] = bool(value)
            elif item == "position_p_gain":
                self.p_gain[joint] = value / _P_GAIN

    def press(self, button: str) -> None:
        """Somebody presses a button: one of ``BUTTONS``.

        A long press of "user" frees all joints, sets the servos up anew and goes to ini_pose.
        """
        self.events.append(("button", INFO, "", button))
        self._say(INFO, "SENSOR", f"Button : {button}")
        if button == "user_long":
            self.enable_ctrl_module(NONE)
            self.dxl_torque()
            self.ini_pose()

    def cycle(self, time_s: float, volts: float) -> np.ndarray:
        """Moves on by a cycle; returns ``goal``.

        Args:
            time_s: simulated time [s].
            volts: what the battery shows [V].
        """
        self._item = None
        if self._moving_s is not None:
            self._moving_s += self.interface.cycle_s
            share = min(1.0, self._moving_s / _INI_POSE_S)
            smooth = share**3 * (10.0 - 15.0 * share + 6.0 * share**2)
            mine = np.array([module == BASE for module in self.modules])
            way = self._from + smooth * (self._ini_pose - self._from)
            self.goal[mine] = way[mine]
            if share >= 1.0:
                self._moving_s = None
                self._say(INFO, "Base", "Finish Init Pose")
        self._watch(time_s, volts)
        return self.goal

    def _watch(self, time_s: float, volts: float) -> None:
        """Says the voltage when it has changed, at most once a second."""
        volts = round(volts, 1)
        if self._volts == 0.0:
            self._volts = volts
        self._volts += _VOLTAGE_SMOOTHING * (volts - self._volts)
        if abs(self._told_v - self._volts) < _VOLTAGE_STEP_V:
            return
        if time_s - self._told_s >= _VOLTAGE_PERIOD_S:
            self._told_s, self._told_v = time_s, self._volts
            kind = WARN if self._volts < _LOW_V else INFO
            self._say(kind, "SENSOR", f"Present Volt : {self._volts:g}V")

    def _say(self, kind: int, module: str, text: str) -> None:
        self.events.append(("status", kind, module, text))

    def assignment(self) -> Mapping[str, str]:
        """Module by joint, in the order of joint states."""
        return dict(self.modules_of(self.interface.message_joints))
