"""Starts the bridge of an OP3.

    ros2 launch legged_skills op3.launch.py bundle:=walk.onnx

ROBOTIS's op3_manager must run already, as the same user, and op3_demo must not; the robot hangs or
sits in its initial pose. Nothing moves before the services prepare and enable of /policy_bridge are
called.
"""

from pathlib import Path

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription

BRIDGE = str(Path(__file__).resolve().parent / "bridge.launch.py")


def generate_launch_description() -> LaunchDescription:
    """What ros2 launch asks for; all other arguments are those of bridge.launch.py."""
    return LaunchDescription(
        [
            DeclareLaunchArgument("bundle", description="Path of the policy bundle (.onnx)."),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(BRIDGE),
                launch_arguments={
                    "robot": "op3",
                    "bundle": LaunchConfiguration("bundle"),
                }.items(),
            ),
        ]
    )
