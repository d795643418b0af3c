"""What all drivers do: hear sensors, send joint targets, know who else does; needs rclpy.

A driver of another robot, such as one for ANYmal's own drives, which have no public interface, is
a class with the methods of ``Driver``, made in ``drivers.make``.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Imu, JointState

from legged_skills.robots.errors import SettingsError
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.deploy.joint_map import JointMap
from legged_skills.sim2real.deploy.snapshot import SensorSnapshot
from legged_skills.sim2real.ros.bridge_config import BridgeConfig
from legged_skills.sim2real.ros.filling import doubles

SENSOR_QOS = QoSProfile(depth=20, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Hears reliable publishers and others; holds what comes late in a burst."""
COMMAND_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
"""Only the newest targets matter; a subscriber that wants them surely gets them."""

_ROUNDING = 1e-9
_NONE = np.full(3, np.nan)
_SENT_WITHIN_S = 0.5
"""Sending targets that takes longer hangs [s]."""


class Driver:
    """A robot over ROS 2. J is its number of joints.

    Callbacks run in the executor's thread, ``take`` in the control loop's, ``publish`` in either.

    Attributes:
        joint_messages: usable joint states so far.
        imu_messages: IMU samples so far.
        published: joint targets so far.
        on_button: called with the name of a robot's button that was pressed.
    """

    command_topic: str
    """Where joint targets go, as the graph of nodes knows it: after remapping."""

    def __init__(self, node: Node, spec: RobotSpec, config: BridgeConfig) -> None:
        """Knows nothing yet; subclasses subscribe.

        Args:
            node: of the bridge.
            spec: the robot.
            config: settings.

        Raises:
            SettingsError: the settings' joints do not fit the robot.
        """
        if len(config.joint_names) != spec.num_joints:
            raise SettingsError(
                f"joint_names has {len(config.joint_names)} names, expected those of the "
                f"{spec.num_joints} joints of {spec.name}."
            )
        self.node, self.spec, self.config = node, spec, config
        self.joints = JointMap(
            config.joint_names,
            config.joint_signs,
            config.joint_offsets_rad,
            spec.measures_joint_velocity,
        )
        self.joint_messages = self.imu_messages = self.published = 0
        self.on_button: Callable[[str], None] = lambda name: None
        self._lock, self._sending = threading.Lock(), threading.Lock()
        self._mute = False
        self._live = SensorSnapshot(spec.num_joints)
        self._made: list[Callable[[], object]] = []

    def subscribe(self, kind: Any, topic: str, callback: Callable[[Any], None], qos: Any) -> None:
        """Subscribes until ``close``; a callback that fails is a fault, and ends nothing else."""

        def careful(message: Any) -> None:
            try:
                callback(message)
            except Exception as error:
                with self._lock:
                    self._live.reject(f"a message on {topic} could not be taken in ({error!r}).")

        made = self.node.create_subscription(kind, topic, careful, qos)
        self._made.append(lambda: self.node.destroy_subscription(made))

    def publisher(self, kind: Any, topic: str, qos: Any) -> Any:
        """A publisher until ``close``."""
        made = self.node.create_publisher(kind, topic, qos)
        self._made.append(lambda: self.node.destroy_publisher(made))
        return made

    def close(self) -> None:
        """Ends all subscriptions and publishers."""
        while self._made:
            self._made.pop()()

    def hear_joints(self, message: Any) -> None:
        """Takes in a JointState."""
        now = time.monotonic()
        with self._lock:
            usable = self.joints.read(
                message.name, message.position, message.velocity, now, self._live
            )
        self.joint_messages += usable

    def hear_imu(self, message: Imu) -> None:
        """Takes in an IMU sample; quaternions are xyzw there."""
        now = time.monotonic()
        q, w, a = message.orientation, message.angular_velocity, message.linear_acceleration
        # REP 145: what there is none of has a first covariance of -1.
        there = message.orientation_covariance[0] != -1.0
        turns = message.angular_velocity_covariance[0] != -1.0
        accelerates = message.linear_acceleration_covariance[0] != -1.0
        with self._lock:
            self._live.add_imu(
                now,
                np.array([w.x, w.y, w.z]) if turns else _NONE,
                np.array([a.x, a.y, a.z]) if accelerates else _NONE,
                np.array([q.w, q.x, q.y, q.z]) if there else None,
            )
        self.imu_messages += 1

    def age_s(self, now_s: float) -> float:
        """Time since joints were heard of last [s]; infinite if never."""
        with self._lock:
            return now_s - float(self._live.joint_time_s.max())

    def set_battery(self, volts: float) -> None:
        """Takes in the battery's voltage [V]."""
        with self._lock:
            self._live.battery_v = volts

    def set_owner(self, sentence: str) -> None:
        """Notes who else is in charge of joints; empty for nobody."""
        with self._lock:
            self._live.owner = sentence if self.config.check_ownership else ""

    def take(self, into: SensorSnapshot) -> None:
        """Copies what has been heard."""
        with self._lock:
            self._live.take(into)

    def refresh(self) -> None:
        """Called ten times a second: who else publishes joint targets."""
        if self.config.dry_run:
            return
        # Remapped, if it is: counting does not do that by itself.
        others = self.node.count_publishers(self.command_topic) - 1
        with self._lock:
            self._live.others = max(0, others)

    def mute(self, mute: bool = True) -> None:
        """From now on ``publish`` sends nothing, or something again.

        So that a control step that comes late cannot move a robot that is given up.
        """
        self._mute = mute
        # What is being sent just now is over then, unless that itself hangs.
        if self._sending.acquire(timeout=_SENT_WITHIN_S):
            self._sending.release()

    def publish(self, joint_targets: np.ndarray) -> None:
        """Sends joint targets (J,) [rad], unless it is muted.

        Raises:
            SettingsError: one of them is no number, or out of its range; nothing is sent.
        """
        lower, upper = self.spec.joint_lower, self.spec.joint_upper
        safe = (joint_targets >= lower - _ROUNDING) & (joint_targets <= upper + _ROUNDING)
        if not safe.all():
            name = self.spec.joint_names[int(np.argmin(safe))]
            raise SettingsError(f"the joint target of {name} is no number or out of its range.")
        values = self.joints.to_robot(joint_targets)
        with self._sending:
            if self._mute:
                return
            self.send(values)
            self.published += 1

    def send(self, values: np.ndarray) -> None:
        """Sends the robot's angles (J,) [rad]."""
        raise NotImplementedError

    async def acquire(self) -> str:
        """Takes charge of the joints, if that must be done.

        Returns:
            One sentence that says why it cannot be; empty if all is well.
        """
        return ""

    def call_off(self) -> None:
        """Gives up what ``acquire`` has not done yet, if it is being done."""

    def damp(self) -> bool:
        """Lets the drives go, if that can be done; whether somebody has been told to.

        Called from the control loop's thread or from the executor's.
        """
        return False

    def damp_possible(self) -> bool:
        """Whether ``damp`` does something."""
        return False


class NamedTargets:
    """Publishes joint targets with names.

    Attributes:
        publisher: what it publishes them with.
    """

    def __init__(self, driver: Driver, topic: str, names: Sequence[str]) -> None:
        """Makes the publisher.

        Args:
            driver: whose publisher it is.
            topic: where to.
            names: (J,) the robot's names.
        """
        self._node = driver.node
        self.publisher = driver.publisher(JointState, topic, COMMAND_QOS)
        self._message = JointState(name=list(names))

    def send(self, values: np.ndarray) -> None:
        """Sends the robot's angles (J,) [rad]."""
        self._message.header.stamp = self._node.get_clock().now().to_msg()
        self._message.position = doubles(values)
        self.publisher.publish(self._message)
