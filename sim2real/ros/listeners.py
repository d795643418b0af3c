"""Hears what a policy is asked to do: velocities, joystick, ball, target; needs rclpy."""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from geometry_msgs.msg import PointStamped, Twist, TwistStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from sensor_msgs.msg import Joy

from legged_skills.robots.errors import ContractError
from legged_skills.sim2real.bundle import Bundle
from legged_skills.sim2real.deploy.intake import BallIntake, VelocityIntake, intake_for
from legged_skills.sim2real.deploy.snapshot import CommandSnapshot
from legged_skills.sim2real.ros.bridge_config import BridgeConfig
from legged_skills.sim2real.ros.topics import BALL, TARGET

_ASKED = QoSProfile(depth=1)
_SEEN = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Cameras publish as sensors do; who publishes reliably is heard, too."""


class Listeners:
    """What a policy is asked, by whoever asks.

    Callbacks run in the executor's thread, ``read`` in the control loop's.

    Attributes:
        wrong_frames: positions so far that were in another frame than the heading frame.
        failed: messages so far that made the program fail.
    """

    def __init__(self, node: Node, bundle: Bundle, config: BridgeConfig) -> None:
        """Subscribes to what the policy's command is made of.

        Args:
            node: of the bridge.
            bundle: the policy.
            config: settings.

        Raises:
            ContractError: nobody can give the policy its command.
        """
        self._node, self._config = node, config
        self._lock = threading.Lock()
        self.wrong_frames = self.failed = 0
        self._made: list[Callable[[], object]] = []
        intake = intake_for(bundle.header, bundle.contract.control_period_s)
        if intake is None:
            raise ContractError(
                f"{bundle.name}: there is no topic for the command "
                f"{bundle.header.command_name!r} of the policy."
            )
        self._intake: VelocityIntake | BallIntake = intake
        if isinstance(intake, VelocityIntake):
            kind = TwistStamped if config.cmd_vel_stamped else Twist
            self._subscribe(kind, config.cmd_vel_topic, self._velocity)
            self._subscribe(Joy, config.joy_topic, self._joystick)
        else:
            self._subscribe(PointStamped, BALL, lambda m: self._point(m, intake.ball), _SEEN)
            self._subscribe(PointStamped, TARGET, lambda m: self._point(m, intake.target), _SEEN)

    def _subscribe(
        self, kind: Any, topic: str, callback: Callable[[Any], None], qos: QoSProfile = _ASKED
    ) -> None:
        def careful(message: Any) -> None:
            # Without a command the robot stands; the bridge must not end by a strange one.
            try:
                callback(message)
            except Exception as error:
                self.failed += 1
                self._node.get_logger().error(
                    f"a message on {topic} could not be taken in ({error!r}).",
                    throttle_duration_sec=1.0,
                )

        made = self._node.create_subscription(kind, topic, careful, qos)
        self._made.append(lambda: self._node.destroy_subscription(made))

    def close(self) -> None:
        """Ends all subscriptions."""
        while self._made:
            self._made.pop()()

    def read(self, now_s: float, into: CommandSnapshot) -> None:
        """Writes the command in force into a snapshot."""
        with self._lock:
            self._intake.read(now_s, into)

    def forget_joystick(self) -> None:
        """A joystick that fell silent with its button held is in use no more."""
        with self._lock:
            if isinstance(self._intake, VelocityIntake):
                self._intake.forget()

    def values(self) -> dict[str, str]:
        """For diagnostics."""
        config = self._config
        kind = "TwistStamped" if config.cmd_vel_stamped else "Twist"
        counts = {"wrong_frames": self.wrong_frames, "failed": self.failed}
        found = {"rejected": str(self._intake.rejected)}
        found |= {name: str(count) for name, count in counts.items()}
        if isinstance(self._intake, VelocityIntake):
            found["topic"] = f"{config.cmd_vel_topic} ({kind})"
        return found

    def _velocity(self, message: Any) -> None:
        twist = message.twist if self._config.cmd_vel_stamped else message
        values = np.array([twist.linear.x, twist.linear.y, twist.angular.z])
        with self._lock:
            self._intake.velocity(values, time.monotonic())  # pyright: ignore[reportAttributeAccessIssue]

    def _joystick(self, message: Joy) -> None:
        config, axes, buttons = self._config, message.axes, message.buttons
        wanted = (config.joy_forward_axis, config.joy_left_axis, config.joy_turn_axis)
        held = config.joy_deadman_button < len(buttons) and bool(buttons[config.joy_deadman_button])
        # A joystick without such an axis does not move along it.
        values = np.array([axes[axis] if axis < len(axes) else 0.0 for axis in wanted])
        with self._lock:
            self._intake.joystick(values, held, time.monotonic())  # pyright: ignore[reportAttributeAccessIssue]

    def _point(self, message: PointStamped, take: Callable[..., None]) -> None:
        if message.header.frame_id != self._config.heading_frame:
            self.wrong_frames += 1
            return
        age = self._node.get_clock().now() - Time.from_msg(message.header.stamp)
        position = np.array([message.point.x, message.point.y])
        with self._lock:
            take(position, 1e-9 * age.nanoseconds, time.monotonic())
