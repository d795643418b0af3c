"""Drivers: how a robot is heard and told what to do over ROS 2."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rclpy.node import Node

    from legged_skills.robots.spec import RobotSpec
    from legged_skills.sim2real.ros.bridge_config import BridgeConfig
    from legged_skills.sim2real.ros.drivers.base import Driver


def make(node: "Node", spec: "RobotSpec", config: "BridgeConfig") -> "Driver":
    """The driver that the settings name; a site's own driver is added here.

    Args:
        node: of the bridge.
        spec: the robot.
        config: settings.

    Raises:
        SettingsError: the settings' joints do not fit the robot.
    """
    if config.driver == "op3":
        from legged_skills.sim2real.ros.drivers.op3 import Op3Driver

        return Op3Driver(node, spec, config)
    from legged_skills.sim2real.ros.drivers.ros2_control import Ros2ControlDriver

    return Ros2ControlDriver(node, spec, config)
