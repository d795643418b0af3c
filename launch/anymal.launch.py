"""Starts the bridge of an ANYmal C.

    ros2 launch legged_skills anymal.launch.py bundle:=walk.onnx

The hardware interface, with its joint_state_broadcaster, imu_sensor_broadcaster and controller,
must run already. Nothing moves before the services prepare and enable of /policy_bridge are called.
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
                    "robot": "anymal_c",
                    "bundle": LaunchConfiguration("bundle"),
                }.items(),
            ),
        ]
    )
