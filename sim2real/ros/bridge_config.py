"""Settings of the bridge and its drivers, for each robot; no rclpy here."""

from collections.abc import Mapping
from dataclasses import dataclass

from legged_skills import robots
from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.deploy.parameters import check, setting
from legged_skills.sim2real.deploy.realtime import BRIDGE_PRIORITY
from legged_skills.sim2real.ros.topics import CMD_VEL, HEADING_FRAME, JOY, Ros2Control


@dataclass(frozen=True, kw_only=True)
class BridgeConfig:
    """How the bridge talks to a robot and to those who command it. J is the number of joints."""

    bundle: str = setting("", what="Path of the policy bundle.")
    """Path of the policy bundle."""
    dry_run: bool = setting(False, what="Do everything but publish to the robot.")
    """Do everything but publish to the robot."""
    log: str = setting(
        "", what="Name of the log's files, without number and .npz; empty or none for no log."
    )
    """Name of the log's files, without number and .npz; empty or none for no log."""
    figures: str = setting("", what="JSON file for figures about timing at the end; none if empty.")
    """JSON file for figures about timing at the end; none if empty."""
    driver: str = setting(what="How the robot is talked to.", choices=("op3", "ros2_control"))
    """How the robot is talked to."""
    joint_states_topic: str = setting(
        Ros2Control.JOINT_STATES, what="Joint states of a robot under ros2_control."
    )
    """Joint states of a robot under ros2_control."""
    imu_topic: str = setting(Ros2Control.IMU, what="IMU of a robot under ros2_control.")
    """IMU of a robot under ros2_control."""
    battery_topic: str = setting(
        Ros2Control.BATTERY, what="Battery of a robot under ros2_control, sensor_msgs/BatteryState."
    )
    """Battery of a robot under ros2_control, sensor_msgs/BatteryState."""
    command_mode: str = setting(
        "joint_state",
        what="Targets under ros2_control: named JointState, or Float64MultiArray in an order.",
        choices=("joint_state", "forward_position"),
    )
    """Targets under ros2_control: named JointState, or Float64MultiArray in an order."""
    joint_command_topic: str = setting(
        Ros2Control.JOINT_COMMANDS, what="Where named targets go under ros2_control."
    )
    """Where named targets go under ros2_control."""
    forward_command_topic: str = setting(
        Ros2Control.FORWARD_COMMANDS, what="Where targets in an order go under ros2_control."
    )
    """Where targets in an order go under ros2_control."""
    forward_joints: tuple[str, ...] = setting(
        what="Joints of the forward_command_controller in its order, with the robot's names."
    )
    """Joints of the forward_command_controller in its order, with the robot's names."""
    joint_names: tuple[str, ...] = setting(
        what="The robot's names of the policy's joints, in the policy's order."
    )
    """The robot's names of the policy's joints, in the policy's order."""
    joint_signs: tuple[float, ...] = setting(
        what="1, or -1 where the robot's joint turns the other way.", low=-1.0, high=1.0
    )
    """1, or -1 where the robot's joint turns the other way."""
    joint_offsets_rad: tuple[float, ...] = setting(
        what="What the robot's joints say at the policy's zero.", unit="rad", low=-7.0, high=7.0
    )
    """What the robot's joints say at the policy's zero [rad]."""
    sensor_period_s: float = setting(
        what="Time between two joint states, for the loop to begin just after them; 0 if unknown.",
        unit="s",
        low=0.0,
        high=0.1,
    )
    """Time between two joint states, for the loop to begin just after them; 0 if unknown [s]."""
    realtime_priority: int = setting(
        BRIDGE_PRIORITY,
        what="Real-time priority of the bridge, where the machine allows one; 0 for none.",
        low=0,
        high=99,
    )
    """Real-time priority of the bridge, where the machine allows one; 0 for none."""
    check_ownership: bool = setting(
        True, what="Refuse to move a robot whose joints may be in somebody else's charge."
    )
    """Refuse to move a robot whose joints may be in somebody else's charge."""
    position_p_gain: int = setting(
        0,
        what="OP3: position gain written to the servos before moving; 0 leaves it.",
        low=0,
        high=16383,
    )
    """OP3: position gain written to the servos before moving; 0 leaves it."""
    stop_button: str = setting(
        "start",
        what="OP3: button that stops, pressed or held.",
        choices=("mode", "start", "user", "none"),
    )
    """OP3: button that stops, pressed or held."""
    cmd_vel_topic: str = setting(CMD_VEL, what="Velocity commands.")
    """Velocity commands."""
    cmd_vel_stamped: bool = setting(
        True, what="Velocity commands are TwistStamped, and not Twist; a wrong type is not heard."
    )
    """Velocity commands are TwistStamped, and not Twist; a wrong type is not heard."""
    joy_topic: str = setting(JOY, what="Joystick, sensor_msgs/Joy.")
    """Joystick, sensor_msgs/Joy."""
    joy_deadman_button: int = setting(
        4, what="Index of the joystick's button that must be held.", low=0, high=63
    )
    """Index of the joystick's button that must be held."""
    joy_forward_axis: int = setting(1, what="Index of the axis of vx.", low=0, high=63)
    """Index of the axis of vx."""
    joy_left_axis: int = setting(0, what="Index of the axis of vy.", low=0, high=63)
    """Index of the axis of vy."""
    joy_turn_axis: int = setting(3, what="Index of the axis of the yaw rate.", low=0, high=63)
    """Index of the axis of the yaw rate."""
    heading_frame: str = setting(
        HEADING_FRAME, what="Frame that positions of ball and target must be in."
    )
    """Frame that positions of ball and target must be in."""

    def __post_init__(self) -> None:
        """Checks every setting.

        Raises:
            SettingsError: a value is out of its range, or joint names differ.
        """
        check(self)
        if sorted(self.forward_joints) != sorted(self.joint_names):
            raise SettingsError(
                f"forward_joints is {list(self.forward_joints)}, expected all of "
                f"{', '.join(self.joint_names)}."
            )


def _config(robot: str, driver: str, sensor_period_s: float) -> BridgeConfig:
    spec = robots.get(robot)
    return BridgeConfig(
        driver=driver,
        forward_joints=spec.joint_names,
        joint_names=spec.joint_names,
        joint_signs=(1.0,) * spec.num_joints,
        joint_offsets_rad=(0.0,) * spec.num_joints,
        sensor_period_s=sensor_period_s,
    )


BRIDGES: Mapping[str, BridgeConfig] = {
    "anymal_c": _config("anymal_c", "ros2_control", 0.005),
    "op3": _config("op3", "op3", 0.008),
}
"""The settings of each robot, by name."""


def bridge_config_of(robot: str) -> BridgeConfig:
    """The bridge's settings for a robot.

    Raises:
        SettingsError: there are none for it.
    """
    if robot not in BRIDGES:
        raise SettingsError(
            f"there are no bridge settings of {robot!r}, expected one of {', '.join(BRIDGES)}."
        )
    return BRIDGES[robot]
