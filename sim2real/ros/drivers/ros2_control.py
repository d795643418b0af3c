"""A robot under ros2_control, such as ANYmal with a site's hardware interface; needs rclpy.

A controller that is not active listens as well, since it subscribes when it is configured, so that
this driver cannot see who is in charge: see to it that the controller is active before ``prepare``,
and stays so. State comes from a joint_state_broadcaster and an imu_sensor_broadcaster. Targets go
out as named JointState, or as the Float64MultiArray of a forward_command_controller, which has
neither names nor a time-out: there the order is a setting. Gains are those of the hardware
interface.
"""

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import BatteryState, Imu, JointState
from std_msgs.msg import Float64MultiArray

from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.ros.bridge_config import BridgeConfig
from legged_skills.sim2real.ros.drivers.base import (
    COMMAND_QOS,
    SENSOR_QOS,
    Driver,
    NamedTargets,
)
from legged_skills.sim2real.ros.filling import doubles


class Ros2ControlDriver(Driver):
    """Hears broadcasters and commands a controller."""

    def __init__(self, node: Node, spec: RobotSpec, config: BridgeConfig) -> None:
        """Subscribes; as ``Driver``."""
        super().__init__(node, spec, config)
        self.subscribe(JointState, config.joint_states_topic, self.hear_joints, SENSOR_QOS)
        self.subscribe(Imu, config.imu_topic, self.hear_imu, SENSOR_QOS)
        self.subscribe(BatteryState, config.battery_topic, self._hear_battery, SENSOR_QOS)
        self._order = np.array([config.joint_names.index(n) for n in config.forward_joints])
        self._named = self._forward = None
        named = config.command_mode == "joint_state"
        self.command_topic = config.joint_command_topic if named else config.forward_command_topic
        if config.dry_run:
            return
        if named:
            self._named = NamedTargets(self, self.command_topic, config.joint_names)
            self._publisher = self._named.publisher
        else:
            self._forward = self.publisher(Float64MultiArray, self.command_topic, COMMAND_QOS)
            self._message = Float64MultiArray()
            self._publisher = self._forward
        self.command_topic = self._publisher.topic_name
        self._note_listeners()

    def _hear_battery(self, message: BatteryState) -> None:
        self.set_battery(float(message.voltage))

    def send(self, values: np.ndarray) -> None:
        """Sends the robot's angles (J,) [rad]."""
        if self._named is not None:
            self._named.send(values)
        elif self._forward is not None:
            self._message.data = doubles(values[self._order])
            self._forward.publish(self._message)

    def refresh(self) -> None:
        """Who else publishes, and whether anybody listens who can hear us."""
        super().refresh()
        if not self.config.dry_run:
            self._note_listeners()

    def _note_listeners(self) -> None:
        self.set_owner(
            ""
            if self._publisher.get_subscription_count()
            else f"nobody listens on {self.command_topic}; is the controller active?"
        )
