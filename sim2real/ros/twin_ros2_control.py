"""The topics of a robot under ros2_control, ANYmal's in the twin; needs rclpy."""

from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import BatteryState, Imu, JointState
from std_msgs.msg import Float64MultiArray

from legged_skills.sim2real.ros.filling import fill_imu, fill_joints
from legged_skills.sim2real.ros.topics import Ros2Control
from legged_skills.sim2real.twin.twin import Sent, Twin


class Ros2ControlFace:
    """What such a robot's twin publishes and subscribes to.

    Joint states as of a joint_state_broadcaster, an IMU as of an imu_sensor_broadcaster; joint
    targets with names, or as of a forward_command_controller in its configured order.

    Attributes:
        command_topic: where named joint targets are taken.
    """

    command_topic = Ros2Control.JOINT_COMMANDS

    def __init__(self, node: Node, twin: Twin, heard: Callable[[], None]) -> None:
        """Offers the topics.

        Args:
            node: the twin's node.
            twin: the robot.
            heard: called with every message.
        """
        self._twin, self._heard = twin, heard
        # The controllers' system default is reliable.
        self._joints = node.create_publisher(JointState, Ros2Control.JOINT_STATES, 10)
        self._imu = node.create_publisher(Imu, Ros2Control.IMU, 10)
        self._battery = node.create_publisher(BatteryState, Ros2Control.BATTERY, 10)
        self._joints_message, self._imu_message = JointState(), Imu()
        self._imu_message.header.frame_id = Ros2Control.IMU_FRAME
        sure = twin.interface.orientation_covariance
        self._imu_message.orientation_covariance = np.diag([sure] * 3).ravel()
        self._battery_message = BatteryState(
            present=True,
            power_supply_status=BatteryState.POWER_SUPPLY_STATUS_DISCHARGING,
            current=float("nan"),
            percentage=float("nan"),
        )
        node.create_subscription(
            Float64MultiArray, Ros2Control.FORWARD_COMMANDS, self._command_forward, 10
        )
        node.create_subscription(JointState, Ros2Control.JOINT_COMMANDS, self._command, 10)

    def _command_forward(self, message: Any) -> None:
        self._heard()
        self._twin.command_forward(message.data)

    def _command(self, message: Any) -> None:
        self._heard()
        self._twin.command(message.name, message.position)

    def publish(self, sent: Sent, now: Time) -> None:
        """Sends what arrives in a cycle."""
        stamp = now.to_msg()
        for joints in sent.joints:
            self._joints_message.header.stamp = stamp
            self._joints.publish(fill_joints(self._joints_message, joints))
        for imu in sent.imu:
            self._imu_message.header.stamp = stamp
            self._imu.publish(fill_imu(self._imu_message, imu))

    def slow(self, now: Time) -> None:
        """Sends the battery's voltage, once a second."""
        self._battery_message.header.stamp = now.to_msg()
        self._battery_message.voltage = float(self._twin.robot.volts)
        self._battery.publish(self._battery_message)
