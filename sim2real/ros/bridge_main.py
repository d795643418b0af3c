"""The bridge as a process: starts the node, and stops the robot before it ends; needs rclpy."""

import sys
import time
from collections.abc import Sequence
from typing import Any

import rclpy
from rclpy._rclpy_pybind11 import RCLInvalidROSArgsError
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import ok, remove_ros_args, try_shutdown

from legged_skills.robots.errors import LeggedSkillsError
from legged_skills.sim2real.deploy.realtime import take_priority
from legged_skills.sim2real.deploy.states import Event
from legged_skills.sim2real.ros.bridge import BridgeNode
from legged_skills.sim2real.ros.environment import require_domain
from legged_skills.sim2real.ros.processes import StopSignals, orphaned

_SWITCH_S = 0.0005
"""Threads of Python change places after so long, so that no callback delays a control step [s]."""
USAGE = (
    "usage: policy_bridge [--autostart] [--dry-run] "
    "[--ros-args -p robot:=op3 -p bundle:=walk.onnx ...]"
)


def run(node: BridgeNode, autostart: bool) -> int:
    """Spins until a signal, a failure or its parent's end; then stops the robot, and ends at rest.

    A second request (``StopSignals``) ends at once; drives hold the last target then.

    Args:
        node: the bridge.
        autostart: configure and activate at once, which moves nothing.

    Returns:
        0, 1 if the program failed, or 2 if ``autostart`` could not be done.
    """
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    failures: list[Exception] = []

    def spin() -> None:
        try:
            executor.spin_once(timeout_sec=0.1)
        except ExternalShutdownException:
            raise
        except Exception as error:
            if not failures:
                node.get_logger().fatal(f"the program failed, the robot is stopped ({error!r}).")
            failures.append(error)
            # One that fails each time must not take the control loop's time.
            time.sleep(0.01)

    try:
        with StopSignals() as stop:
            if autostart:
                for trigger in (node.trigger_configure, node.trigger_activate):
                    if trigger() != TransitionCallbackReturn.SUCCESS:
                        return 2
            while not stop.asked and not failures and not orphaned() and ok():
                spin()
            if not node.at_rest:
                node.request(Event.STOP)
            until = time.monotonic() + node.deploy.rest_within_s
            while not node.at_rest and not stop.hurry and time.monotonic() < until:
                spin()
            return 1 if failures else 0
    except ExternalShutdownException:
        return 0
    finally:
        executor.shutdown()


def start(
    robot: str,
    autostart: bool,
    ros_arguments: list[str],
    forced: Sequence[Parameter] = (),
    **overrides: Any,
) -> int:
    """Runs a bridge in this process.

    Args:
        robot: default of the parameter "robot".
        autostart: configure and activate at once, which moves nothing.
        ros_arguments: as after a ROS 2 command, ``--ros-args ...``.
        forced: parameters that hold whatever ``ros_arguments`` say.
        overrides: defaults of other parameters.

    Returns:
        The process's exit code.

    Raises:
        LeggedSkillsError: a parameter, or the environment, cannot be used.
    """
    sys.setswitchinterval(_SWITCH_S)
    require_domain()
    rclpy.init(args=ros_arguments, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = BridgeNode(robot, forced, **overrides)
        try:
            refused = take_priority(node.config.realtime_priority)
            if refused:
                node.get_logger().warning(
                    f"no real-time priority ({refused}): steps may be late on a busy machine."
                )
            return run(node, autostart)
        finally:
            # Who asks again must not cut short what is written then.
            with StopSignals():
                node.close()
    finally:
        try_shutdown()


def main() -> int:
    """The command ``policy_bridge``, which launch files start."""
    try:
        # Launch files may leave an argument empty.
        arguments = [argument for argument in remove_ros_args(sys.argv)[1:] if argument]
        if set(arguments) - {"--autostart", "--dry-run"}:
            print(USAGE, file=sys.stderr)
            return 2
        # A parameter may be undone by another file; this may not.
        forced = [Parameter("dry_run", value=True)] if "--dry-run" in arguments else []
        return start("anymal_c", "--autostart" in arguments, sys.argv[1:], forced)
    except (LeggedSkillsError, RCLInvalidROSArgsError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
