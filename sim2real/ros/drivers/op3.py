"""ROBOTIS OP3 over the topics of its framework; needs rclpy.

The framework holds the last target for ever, with full torque, neither clamps nor interpolates,
and may die of a message that is too short: what is sent is checked before. Its IMU's orientation
is not used. Joints take targets while no module of the robot moves them; entering that state sends
the stored goal and not the measured angles, so that it is refused where the two differ. Servos
without torque, as they are after letting go, would go to their stored goals at once if they had
it back: they are told to be where they are first.
"""

import re
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.task import Future
from sensor_msgs.msg import Imu, JointState
from std_msgs.msg import String

from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.deploy.joint_map import JointMap
from legged_skills.sim2real.deploy.snapshot import NEVER, SensorSnapshot
from legged_skills.sim2real.ros.bridge_config import BridgeConfig
from legged_skills.sim2real.ros.drivers.base import SENSOR_QOS, Driver, NamedTargets
from legged_skills.sim2real.ros.drivers.op3_modules import Modules, Op3Modules
from legged_skills.sim2real.ros.topics import Op3

FREE = "none"
"""The module of joints that take targets of a topic."""
_ASK_EVERY_S = 0.5
_ANSWER_S = 2.0
_FREE_WITHIN_S = 2.0
_APART_S = 0.05
"""Items of the servos that share a cycle of the bus, 8 ms, get each other's address."""
_TORQUE_OFF, _TORQUE_ON = ("torque_enable", 0), ("torque_enable", 1)
_TIMES = 3
"""Torque is switched so often, since one message may be lost."""
_WRITTEN_WITHIN_S = 2.0
"""Items that have not been written so long after they were wanted never are [s]."""
_FRESH_S = 1.0
"""Angles and goals older than this say nothing."""
_GOAL_ERROR_RAD = 0.3
"""A stored goal that is farther from the measured angle would be a jump."""
_VOLTS = re.compile(r"Present Volt\s*:\s*([0-9]+(?:\.[0-9]+)?)\s*V")
_HELD = "_long"
"""A button that is held for 2 s says its name with this, and only this."""
_TAKES_OVER = "user" + _HELD
"""The robot's own manager does this button by taking all joints."""


class Op3Driver(Driver):
    """Hears the manager, frees the joints, and streams targets to them."""

    command_topic = Op3.SET_JOINT_STATES

    def __init__(self, node: Node, spec: RobotSpec, config: BridgeConfig) -> None:
        """Subscribes; as ``Driver``."""
        super().__init__(node, spec, config)
        self.subscribe(JointState, Op3.PRESENT_JOINT_STATES, self.hear_joints, SENSOR_QOS)
        self.subscribe(JointState, Op3.GOAL_JOINT_STATES, self._hear_goal, SENSOR_QOS)
        self.subscribe(Imu, Op3.IMU, self.hear_imu, SENSOR_QOS)
        self.subscribe(String, Op3.BUTTON, self._hear_button, QoSProfile(depth=10))
        self._modules = Op3Modules(self, config.joint_names, self._hear_modules, self._hear_status)
        self._module_of: Modules = {}
        self._asked_s = self._answered_s = NEVER
        # Apart from the measured ones: a map remembers the order of one topic.
        self._goal_map = JointMap(
            config.joint_names, config.joint_signs, config.joint_offsets_rad, False
        )
        self._goal, self._measured = (SensorSnapshot(spec.num_joints) for _ in range(2))
        self._waiting: Future | None = None
        self._over: Callable[[], bool] = lambda: True
        self._wait_until_s = NEVER
        # Filled by the control loop's thread too.
        self._items: deque[tuple[str, int]] = deque()
        self._called_off = ""
        self._writing, self._written_s = threading.Lock(), NEVER
        self._enable = self.publisher(String, Op3.ENABLE_CTRL_MODULE, QoSProfile(depth=10))
        self._targets = None
        if not config.dry_run:
            self._targets = NamedTargets(self, self.command_topic, config.joint_names)
            self.command_topic = self._targets.publisher.topic_name
        self.set_owner(self._judge(time.monotonic()))

    def close(self) -> None:
        """Ends everything, once the servos have been told to let go, if they must."""
        self.call_off()
        while self._items:
            self._write_next()
            time.sleep(_APART_S)
        self._go_on()
        self._modules.close()
        super().close()

    def send(self, values: np.ndarray) -> None:
        """Sends the robot's angles (J,) [rad]."""
        if self._targets is not None:
            self._targets.send(values)

    def refresh(self) -> None:
        """Asks who moves the joints, sends a waiting item, and ends the waiting for either."""
        super().refresh()
        now = time.monotonic()
        if now - self._asked_s >= _ASK_EVERY_S and self._modules.there:
            self._asked_s = now
            self._modules.ask()
        self._write_next()
        self._note_owner(now)

    async def acquire(self) -> str:
        """Takes the joints from the robot's modules, and sees to it that the servos have torque."""
        if self.config.dry_run:
            return ""
        with self._writing:
            self._called_off = ""
        reason = await self._free()
        return self._called_off or reason or await self._switch_on()

    def call_off(self) -> None:
        """Gives up what ``acquire`` has not done yet; torque that is on stays on."""
        with self._writing:
            self._called_off = "it was called off meanwhile."
            self._items = deque(item for item in self._items if item == _TORQUE_OFF)

    async def _switch_on(self) -> str:
        """Gives the servos torque where they are; why it cannot be, or empty."""
        reason = self._stay()
        if reason:
            return reason
        if not self._modules.listened:
            self.node.get_logger().warning(
                "nobody takes items of the servos: they may be without torque."
            )
        await self._wait(lambda: not self._items, _WRITTEN_WITHIN_S)
        with self._writing:
            left = "the servos could not be told to have torque." if self._items else ""
            return self._called_off or left

    def _stay(self) -> str:
        """Makes goals of the measured angles, with torque to follow; why it cannot be, or empty."""
        self._copy_measured()
        measured = self._measured
        fresh = time.monotonic() - measured.joint_time_s <= _FRESH_S
        if not (fresh & np.isfinite(measured.joint_pos)).all():
            return "the joints' angles are not known."
        if self._targets is None or not self._targets.publisher.get_subscription_count():
            return f"nobody listens on {self.command_topic}."
        here = np.clip(measured.joint_pos, self.spec.joint_lower, self.spec.joint_upper)
        with self._writing:
            if self._called_off:
                return self._called_off
            self.publish(here)
            # The goals have some cycles of the bus for themselves, as an item has.
            self._written_s = time.monotonic()
            self._items.clear()
            self._items.extend([_TORQUE_ON] * _TIMES)
            if self.config.position_p_gain > 0:
                self._items.append(("position_p_gain", self.config.position_p_gain))
        return ""

    async def _free(self) -> str:
        now = time.monotonic()
        if not self._judge(now):
            return ""
        if not self.config.check_ownership:
            # A module takes no goals from us: torque alone might move the joints at once.
            return self._jump()
        if not self._module_of or now - self._answered_s > _ANSWER_S:
            return self._judge(now)
        jump = self._jump()
        if jump:
            return jump
        self.node.get_logger().info("freeing the joints of the robot's modules.")
        self._enable.publish(String(data=FREE))
        self._asked_s = NEVER
        await self._wait(lambda: not self._judge(time.monotonic()), _FREE_WITHIN_S)
        return self._judge(time.monotonic())

    async def _wait(self, over: Callable[[], bool], within_s: float) -> None:
        """Waits until something is over, for so long at most [s]; for one thing at a time."""
        self._over, self._wait_until_s = over, time.monotonic() + within_s
        self._waiting = Future(executor=self.node.executor)
        await self._waiting

    def _look(self, now_s: float) -> None:
        """Ends the waiting, if it is over."""
        over = self._called_off or self._over() or now_s > self._wait_until_s
        if self._waiting is not None and over:
            self._go_on()

    def _go_on(self) -> None:
        """Ends the waiting, if somebody waits."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.set_result(None)

    def damp(self) -> bool:
        """Switches the servos' torque off, as soon as the bus can tell it from another item."""
        if self.config.dry_run:
            return False
        with self._writing:
            self._called_off = "the drives were told to let go meanwhile."
            self._items.clear()
            self._items.extend([_TORQUE_OFF] * _TIMES)
        self._write_next()
        return self._modules.listened

    def damp_possible(self) -> bool:
        """Whether somebody takes the servos' items: of a real robot only with its own messages."""
        if self.config.dry_run:
            return False
        return self._modules.true_messages or self._modules.listened

    def _write_next(self) -> None:
        """Writes an item that waits, unless another was written a moment ago."""
        with self._writing:
            now = time.monotonic()
            if not self._items or now - self._written_s < _APART_S:
                return
            item, value = self._items.popleft()
            self._modules.write_item(item, [value] * self.spec.num_joints)
            self._written_s = now

    def _jump(self) -> str:
        """Why freeing the joints would move them at once; empty if it would not."""
        self._copy_measured()
        heard_s = np.minimum(self._goal.joint_time_s, self._measured.joint_time_s)
        if not (time.monotonic() - heard_s <= _FRESH_S).all():
            return "the joints' angles or stored goals are not known."
        off = np.abs(self._goal.joint_pos - self._measured.joint_pos)
        worst = int(np.argmax(np.nan_to_num(off, nan=np.inf)))
        if off[worst] <= _GOAL_ERROR_RAD:
            return ""
        return (
            f"freeing the joints would move {self.config.joint_names[worst]} by "
            f"{off[worst]:.2f} rad at once, at most {_GOAL_ERROR_RAD:g}; let the robot take its "
            "initial pose first."
        )

    def _copy_measured(self) -> None:
        with self._lock:
            self._measured.joint_pos[:] = self._live.joint_pos
            self._measured.joint_time_s[:] = self._live.joint_time_s

    def _hear_goal(self, message: Any) -> None:
        self._goal_map.read(
            message.name, message.position, message.velocity, time.monotonic(), self._goal
        )

    def _hear_modules(self, modules: Modules) -> None:
        self._module_of.update(modules)
        self._answered_s = time.monotonic()
        self._note_owner(self._answered_s)

    def _note_owner(self, now_s: float) -> None:
        sentence = self._judge(now_s)
        self.set_owner("" if self.config.dry_run else sentence)
        self._look(now_s)

    def _judge(self, now_s: float) -> str:
        """Who else is in charge of a joint, or why nobody knows; empty if nobody is."""
        if not self._module_of or now_s - self._answered_s > _ANSWER_S:
            return f"the modules of the joints are not known; {self._modules.service} is silent."
        for name in self.config.joint_names:
            module = self._module_of.get(name, "unknown")
            if module != FREE:
                return f"{name} is moved by {module}, expected {FREE}."
        return ""

    def _hear_button(self, message: String) -> None:
        name = message.data
        if name == _TAKES_OVER:
            self._module_of = dict.fromkeys(self.config.joint_names, "the robot's manager")
            self._note_owner(time.monotonic())
        if name.removesuffix(_HELD) == self.config.stop_button:
            self.on_button(name)

    def _hear_status(self, text: str) -> None:
        found = _VOLTS.search(text)
        if found:
            self.set_battery(float(found.group(1)))
