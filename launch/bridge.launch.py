"""Starts the bridge of a robot; anymal.launch.py and op3.launch.py are this for one robot.

    ros2 launch legged_skills bridge.launch.py robot:=op3 bundle:=walk.onnx

Nothing moves before the services prepare and enable of /policy_bridge are called.
"""

import os
import time
from pathlib import Path

from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PythonExpression
from launch_ros.actions import LifecycleNode
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchDescription

PARAMS = str(Path(__file__).resolve().parent / "params")


def _records() -> str:
    """Where ROS keeps what belongs to a user, in a folder of this launch but for the robot."""
    home = Path(os.environ.get("ROS_HOME") or Path.home() / ".ros")
    return str(home / "legged_skills" / time.strftime("%Y%m%d-%H%M%S"))


def generate_launch_description() -> LaunchDescription:
    """What ros2 launch asks for."""
    value = LaunchConfiguration

    def flag(word: str, argument: str) -> PythonExpression:
        return PythonExpression([f"'{word}' if '", value(argument), "'.lower() == 'true' else ''"])

    autostart = flag("--autostart", "autostart")
    # Whatever the file of parameters says.
    dry_run = flag("--dry-run", "dry_run")
    prefix = value("launch-prefix", default="")
    parent = PythonExpression(["'' if '''", prefix, f"''' else '{os.getpid()}'"])
    return LaunchDescription(
        [
            DeclareLaunchArgument("robot", choices=["anymal_c", "op3"], description="Which robot."),
            DeclareLaunchArgument("bundle", description="Path of the policy bundle (.onnx)."),
            DeclareLaunchArgument(
                "params_file",
                default_value=[PARAMS, "/", value("robot"), ".yaml"],
                description="Parameters of the bridge.",
            ),
            DeclareLaunchArgument(
                "autostart",
                default_value="false",
                choices=["true", "false"],
                description="Configure and activate the bridge at once; that moves nothing.",
            ),
            DeclareLaunchArgument(
                "dry_run",
                default_value="false",
                choices=["true", "false"],
                description="Do everything but publish to the robot.",
            ),
            DeclareLaunchArgument(
                "log",
                default_value=[_records(), "-", value("robot"), "/log"],
                description="Name of the log's files, without number and .npz; none for no log.",
            ),
            DeclareLaunchArgument(
                "log_level",
                default_value="info",
                choices=["debug", "info", "warn", "error", "fatal"],
                description="Least severity of what is printed.",
            ),
            LifecycleNode(
                package="legged_skills",
                executable="policy_bridge",
                name="policy_bridge",
                # Twin, keyboard and robot have their names in no other.
                namespace="",
                output="screen",
                # Time for the robot to come to rest after Ctrl-C, before it is killed.
                sigterm_timeout="90",
                sigkill_timeout="10",
                # If launch itself is killed, the robot is stopped. A prefix would be its parent.
                additional_env={"LEGGED_SKILLS_PARENT": parent},
                arguments=[autostart, dry_run, "--ros-args", "--log-level", value("log_level")],
                parameters=[
                    value("params_file"),
                    {
                        "robot": value("robot"),
                        # With their types: a path may look like a number, and none is a text too.
                        "bundle": ParameterValue(value("bundle"), value_type=str),
                        "dry_run": ParameterValue(value("dry_run"), value_type=bool),
                        "log": ParameterValue(value("log"), value_type=str),
                    },
                ],
            ),
        ]
    )
