"""Starts a digital twin and its bridge, and a terminal to drive it if you like.

    ros2 launch legged_skills sim.launch.py bundle:=walk.onnx robot:=op3 teleop:=true
    ros2 launch legged_skills sim.launch.py bundle:=dribble.onnx ball:=true path:=slalom

All is heard on this computer alone, and in a domain of its own: who wants to hear it from another
terminal sets ROS_DOMAIN_ID to that. Nothing moves before the services prepare and enable of
/policy_bridge are called.
"""

import os
from pathlib import Path

from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    SetEnvironmentVariable,
    UnsetEnvironmentVariable,
)
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PythonExpression
from launch_ros.substitutions import ExecutableInPackage

from launch import LaunchDescription

BRIDGE = str(Path(__file__).resolve().parent / "bridge.launch.py")


def generate_launch_description() -> LaunchDescription:
    """What ros2 launch asks for."""
    value = LaunchConfiguration
    program = ExecutableInPackage("legged-skills", "legged_skills")
    ball = PythonExpression(["'--ball' if '", value("ball"), "' == 'true' else '--no-ball'"])
    prefix = value("launch-prefix", default="")
    parent = PythonExpression(["'' if '''", prefix, f"''' else '{os.getpid()}'"])
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
                "ball",
                default_value="false",
                choices=["true", "false"],
                description="With ball and target, without which no dribbling is enabled.",
            ),
            DeclareLaunchArgument(
                "path",
                default_value="stay",
                choices=["stay", "straight", "slalom", "square", "jumps"],
                description="How the ball's target moves.",
            ),
            DeclareLaunchArgument(
                "autostart",
                default_value="false",
                choices=["true", "false"],
                description="Configure and activate the bridge at once; that moves nothing.",
            ),
            DeclareLaunchArgument(
                "domain",
                default_value="77",
                description="ROS_DOMAIN_ID of all this; not that of a real robot.",
            ),
            DeclareLaunchArgument(
                "teleop",
                default_value="false",
                choices=["true", "false"],
                description="Open a terminal in which the keyboard drives the robot.",
            ),
            DeclareLaunchArgument(
                "terminal",
                default_value="xterm -e",
                description="What opens a terminal and runs the command that follows in it.",
            ),
            SetEnvironmentVariable("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST"),
            # These would be heard besides.
            UnsetEnvironmentVariable("ROS_STATIC_PEERS"),
            SetEnvironmentVariable("ROS_DOMAIN_ID", value("domain")),
            ExecuteProcess(
                cmd=[
                    program,
                    "twin",
                    "--robot",
                    value("robot"),
                    "--gap",
                    value("gap"),
                    "--seed",
                    value("seed"),
                    ball,
                    "--path",
                    value("path"),
                ],
                output="screen",
                # If launch itself is killed, the twin ends. A prefix would be its parent.
                additional_env={"LEGGED_SKILLS_PARENT": parent},
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(BRIDGE),
                launch_arguments={
                    "robot": value("robot"),
                    "bundle": value("bundle"),
                    "autostart": value("autostart"),
                }.items(),
            ),
            ExecuteProcess(
                cmd=[program, "teleop"],
                prefix=value("terminal"),
                output="screen",
                condition=IfCondition(value("teleop")),
            ),
        ]
    )
