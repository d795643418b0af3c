"""Starts a digital twin and its bridge.

    ros2 launch legged_skills sim.launch.py bundle:=walk.onnx robot:=op3

Both are heard on this computer alone. Nothing moves before the services prepare and enable of
/policy_bridge are called.
"""

from pathlib import Path

from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    SetEnvironmentVariable,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PythonExpression
from launch_ros.substitutions import ExecutableInPackage

from launch import LaunchDescription

FOLDER = Path(__file__).resolve().parent


def generate_launch_description() -> LaunchDescription:
    """What ros2 launch asks for."""
    value = LaunchConfiguration
    bridge = PythonExpression(
        [
            f"r'{FOLDER}/' + ('op3' if '",
            value("robot"),
            "' == 'op3' else 'anymal') + '.launch.py'",
        ]
    )
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "robot",
                default_value="anymal_c",
                choices=["anymal_c", "op3"],
                description="Which robot.",
            ),
            DeclareLaunchArgument("bundle", description="Path of the policy bundle (.onnx)."),
            DeclareLaunchArgument(
                "gap",
                default_value="full",
                description="Between simulation and robot: none, full, or a file of settings.",
            ),
            DeclareLaunchArgument(
                "seed", default_value="0", description="Of the robot that is drawn from the gap."
            ),
            DeclareLaunchArgument(
                "autostart",
                default_value="false",
                choices=["true", "false"],
                description="Configure and activate the bridge at once; that moves nothing.",
            ),
            SetEnvironmentVariable("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST"),
            ExecuteProcess(
                cmd=[
                    ExecutableInPackage("legged-skills", "legged_skills"),
                    "twin",
                    "--robot",
                    value("robot"),
                    "--gap",
                    value("gap"),
                    "--seed",
                    value("seed"),
                ],
                output="screen",
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(bridge),
                launch_arguments={
                    "bundle": value("bundle"),
                    "autostart": value("autostart"),
                }.items(),
            ),
        ]
    )
