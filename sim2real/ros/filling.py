"""How numbers get into ROS messages, of drivers and of twins; needs rclpy."""

import array
from typing import TYPE_CHECKING

import numpy as np
from sensor_msgs.msg import Imu, JointState

if TYPE_CHECKING:
    from legged_skills.sim2real.twin.messages import ImuMessage, JointMessage


def doubles(values: np.ndarray) -> array.array:
    """Numbers as messages take them without looking at each."""
    return array.array("d", values.tobytes())


def fill_joints(message: JointState, joints: "JointMessage") -> JointState:
    """Writes joint states into a message."""
    message.name = list(joints.names)
    message.position = doubles(joints.position)
    message.velocity = doubles(joints.velocity)
    message.effort = doubles(joints.effort)
    return message


def fill_imu(message: Imu, imu: "ImuMessage") -> Imu:
    """Writes an IMU sample into a message; quaternions are xyzw there."""
    q, w, a = message.orientation, message.angular_velocity, message.linear_acceleration
    q.w, q.x, q.y, q.z = imu.orientation_wxyz.tolist()
    w.x, w.y, w.z = imu.angular_velocity.tolist()
    a.x, a.y, a.z = imu.acceleration.tolist()
    return message
