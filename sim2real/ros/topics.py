"""Names of topics, services and frames that bridge and twin share; no rclpy here.

Names with ``~/`` are private to the node that offers them: ``/<node>/<name>`` for all others.
"""

from typing import Final

TWIN_NODE: Final = "twin"
"""The twin's node."""
BRIDGE_NODE: Final = "policy_bridge"
"""The bridge's node."""
BRIDGE_STATE: Final = f"/{BRIDGE_NODE}/state"
"""std_msgs/String, transient local: the state of the bridge."""
BRIDGE_NOTICE: Final = f"/{BRIDGE_NODE}/notice"
"""std_msgs/String, transient local: why the state changed without being asked, one sentence."""

# What an operator or another node asks for.
CMD_VEL: Final = "/cmd_vel"
"""geometry_msgs Twist or TwistStamped."""
JOY: Final = "/joy"
"""sensor_msgs/Joy."""
BALL: Final = "/ball"
"""geometry_msgs/PointStamped in ``HEADING_FRAME``: where the ball is on a picture of that stamp."""
TARGET: Final = "/ball_target"
"""geometry_msgs/PointStamped in ``HEADING_FRAME``: where the ball shall be."""
HEADING_FRAME: Final = "base_footprint"
"""Under the base, x forward along the floor, y to the left, z up (REP 120)."""
DIAGNOSTICS: Final = "/diagnostics"
ROBOTIS_MESSAGES: Final = "robotis_controller_msgs"
"""ROBOTIS's own package of messages and services, which is no part of ROS 2."""


class Op3:
    """ROBOTIS's framework; reliable, volatile. Types: docs of the twin and of the driver."""

    PRESENT_JOINT_STATES: Final = "/robotis/present_joint_states"
    GOAL_JOINT_STATES: Final = "/robotis/goal_joint_states"
    PRESENT_JOINT_CTRL_MODULES: Final = "/robotis/present_joint_ctrl_modules"
    IMU: Final = "/robotis/open_cr/imu"
    BUTTON: Final = "/robotis/open_cr/button"
    STATUS: Final = "/robotis/status"
    SET_JOINT_STATES: Final = "/robotis/set_joint_states"
    ENABLE_CTRL_MODULE: Final = "/robotis/enable_ctrl_module"
    SET_JOINT_CTRL_MODULES: Final = "/robotis/set_joint_ctrl_modules"
    SYNC_WRITE_ITEM: Final = "/robotis/sync_write_item"
    INI_POSE: Final = "/robotis/base/ini_pose"
    DXL_TORQUE: Final = "/robotis/dxl_torque"
    GET_MODULES_SERVICE: Final = "/robotis/get_present_joint_ctrl_modules"
    SET_MODULES_SERVICE: Final = "/robotis/set_present_joint_ctrl_modules"
    SET_MODULE_SERVICE: Final = "/robotis/set_present_ctrl_modules"
    IMU_FRAME: Final = "body_link"


class Op3StandIn:
    """Offered by the twin where ``robotis_controller_msgs`` is missing: the same on standard types.

    Messages are std_msgs/String with the fields of ROBOTIS's message as JSON; the service is a
    std_srvs/Trigger whose answer's message is JSON, ``{joint: module}``. To set the module of the
    whole body, ``Op3.ENABLE_CTRL_MODULE`` is a standard message anyway.
    """

    PRESENT_JOINT_CTRL_MODULES: Final = "/robotis/stand_in/present_joint_ctrl_modules"
    STATUS: Final = "/robotis/stand_in/status"
    SET_JOINT_CTRL_MODULES: Final = "/robotis/stand_in/set_joint_ctrl_modules"
    SYNC_WRITE_ITEM: Final = "/robotis/stand_in/sync_write_item"
    GET_MODULES_SERVICE: Final = "/robotis/stand_in/get_present_joint_ctrl_modules"


class Ros2Control:
    """Defaults of ros2_control's controllers and broadcasters; ANYmal's in the twin."""

    JOINT_STATES: Final = "/joint_states"
    IMU: Final = "/imu_sensor_broadcaster/imu"
    FORWARD_COMMANDS: Final = "/forward_position_controller/commands"
    """std_msgs/Float64MultiArray in the controller's configured order of joints."""
    JOINT_COMMANDS: Final = "/robot_joint_command"
    """sensor_msgs/JointState, named position targets."""
    BATTERY: Final = "/battery_state"
    """sensor_msgs/BatteryState; no part of ros2_control."""
    IMU_FRAME: Final = "imu_link"


class Twin:
    """Private names of the twin's node."""

    INJECT: Final = "~/inject"
    """std_msgs/String: one fault, in the grammar of ``twin/faults.py``."""
    FAULTS: Final = "~/faults"
    """std_msgs/String, transient local: the faults in force, one a line."""
    CLEAR: Final = "~/clear"
    """std_srvs/Trigger: ends all faults."""
    RESET: Final = "~/reset"
    """std_srvs/Trigger: puts the robot back to where it started."""
    SERVO_OFF: Final = "~/servo_off"
    """std_srvs/SetBool: all drives without torque, or with torque again."""
    TRUTH: Final = "~/truth"
    """nav_msgs/Odometry: base in the floor's frame, without errors."""
    FALLEN: Final = "~/fallen"
    """std_msgs/Bool, transient local: whether the base is too low or too tilted."""
    BALL_TRUTH: Final = "~/ball_truth"
    """geometry_msgs/PointStamped: the ball in the floor's frame, without errors."""
    TARGET_TRUTH: Final = "~/target_truth"
    """geometry_msgs/PointStamped: the ball's target in the floor's frame."""
    SET_TARGET: Final = "~/set_target"
    """geometry_msgs/PointStamped in ``FLOOR_FRAME``: moves the target there."""
    STATS: Final = "~/stats"
    """diagnostic_msgs/DiagnosticArray, 1 Hz: real-time factor, overruns, counts."""
    FLOOR_FRAME: Final = "odom"
