"""ROBOTIS OP3 over the topics of its framework; needs rclpy.

The framework holds the last target for ever, with full torque, neither clamps nor interpolates,
and may die of a message that is too short: what is sent is checked before. Its IMU's orientation
is not used. Joints take targets while no module of the robot moves them; entering that state sends
the stored goal and not the measured angles, so that it is refused where the two differ.
"""

import re
import threading
import time
from collections import deque
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
_TORQUE_OFF = "torque_enable", 0
_TIMES_OFF = 3
"""Torque is switched off so often, since one message may be lost."""
_FRESH_S = 1.0
"""Angles and goals older than this say nothing."""
_GOAL_ERROR_RAD = 0.3
"""A stored goal that is farther from the measured angle would be a jump."""
_VOLTS = re.compile(r"Present Volt\s*:\s*([0-9]+(?:\.[0-9]+)?)\s*V")
_TAKES_OVER = "user_long"
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
        self._freeing: Future | None = None
        self._free_until_s = NEVER
        # Filled by the control loop's thread too.
        self._items: deque[tuple[str, int]] = deque()
        self._writing, self._written_s = threading.Lock(), NEVER
        self._enable = self.publisher(String, Op3.ENABLE_CTRL_MODULE, QoSProfile(depth=10))
        self._targets = None
        if not config.dry_run:
            self._targets = NamedTargets(self, self.command_topic, config.joint_names)
            self.command_topic = self._targets.publisher.topic_name
        self.set_owner(self._judge(time.monotonic()))

    def close(self) -> None:
        """Ends everything, once the servos have been told what they must be."""
        while self._items:
            self._write_next()
            time.sleep(_APART_S)
        self._be_free()
        self._modules.close()
        super().close()

    def send(self, values: np.ndarray) -> None:
        """Sends the robot's angles (J,) [rad]."""
        if self._targets is not None:
            self._targets.send(values)

    def refresh(self) -> None:
        """Asks who moves the joints, sends a waiting item, and ends the waiting for free joints."""
        super().refresh()
        now = time.monotonic()
        if now - self._asked_s >= _ASK_EVERY_S and self._modules.there:
            self._asked_s = now
            self._modules.ask()
        self._note_owner(now)
        self._write_next()

    async def acquire(self) -> str:
        """Takes the joints from the robot's modules, and reads back that it is so."""
        if self.config.dry_run:
            return ""
        reason = await self._free() if self.config.check_ownership else ""
        with self._writing:
            self._items.clear()
            if not reason and self.config.position_p_gain > 0:
                self._items.append(("position_p_gain", self.config.position_p_gain))
        return reason

    async def _free(self) -> str:
        now = time.monotonic()
        if not self._judge(now):
            return ""
        if not self._module_of or now - self._answered_s > _ANSWER_S:
            return self._judge(now)
        jump = self._jump()
        if jump:
            return jump
        self.node.get_logger().info("freeing the joints of the robot's modules.")
        self._enable.publish(String(data=FREE))
        self._asked_s = NEVER
        self._free_until_s = now + _FREE_WITHIN_S
        self._freeing = Future(executor=self.node.executor)
        await self._freeing
        return self._judge(time.monotonic())

    def damp(self) -> bool:
        """Switches the servos' torque off, as soon as the bus can tell it from another item."""
        if self.config.dry_run:
            return False
        with self._writing:
            self._items.clear()
            self._items.extend([_TORQUE_OFF] * _TIMES_OFF)
        self._write_next()
        return self._modules.listened

    def damp_possible(self) -> bool:
        """It is."""
        return not self.config.dry_run

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
        if not sentence or now_s > self._free_until_s:
            self._be_free()

    def _be_free(self) -> None:
        """Ends the waiting for free joints, if somebody waits."""
        freeing, self._freeing = self._freeing, None
        if freeing is not None:
            freeing.set_result(None)

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
        elif name == self.config.stop_button:
            self.on_button(name)

    def _hear_status(self, text: str) -> None:
        found = _VOLTS.search(text)
        if found:
            self.set_battery(float(found.group(1)))
