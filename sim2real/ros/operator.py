"""Who operates a bridge over ROS 2: asks, commands, and hears what comes of it; needs rclpy."""

import time
from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import TwistStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String
from std_srvs.srv import Trigger

from legged_skills.sim2real.deploy.controller import Reply
from legged_skills.sim2real.deploy.states import Event, State
from legged_skills.sim2real.ros.topics import BRIDGE_NODE, BRIDGE_NOTICE, BRIDGE_STATE, CMD_VEL

_COMMAND_S = 0.05
_PATIENCE_S = 10.0


class Operator:
    """A node that operates the bridge; rclpy must have been started.

    Attributes:
        node: the node.
        history: ``{"time_s", "state", "notice"}`` of each change of state, since this was made.
        command: vx, vy [m/s] and yaw rate [rad/s] that are published 20 times a second, or None.
    """

    def __init__(self, name: str) -> None:
        """Begins to listen.

        Args:
            name: of the node.
        """
        self._start_s = time.monotonic()
        self.node = Node(name)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self.history: list[dict[str, Any]] = []
        self.command: tuple[float, float, float] | None = None
        latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.node.create_subscription(String, BRIDGE_STATE, self._hear_state, latched)
        self.node.create_subscription(String, BRIDGE_NOTICE, self._hear_notice, latched)
        self._publisher = self.node.create_publisher(TwistStamped, CMD_VEL, 1)
        self.node.create_timer(_COMMAND_S, self._publish)
        self._clients = {
            event: self.node.create_client(Trigger, f"/{BRIDGE_NODE}/{event.value}")
            for event in (Event.PREPARE, Event.ENABLE, Event.STOP, Event.RESET)
        }

    @property
    def state(self) -> State | None:
        """The bridge's state; None before it has said it."""
        return State(self.history[-1]["state"]) if self.history else None

    @property
    def notice(self) -> str:
        """Why the state is what it is, if nobody asked for it."""
        return self.history[-1]["notice"] if self.history else ""

    def _hear_state(self, message: String) -> None:
        elapsed = round(time.monotonic() - self._start_s, 3)
        self.history.append({"time_s": elapsed, "state": message.data, "notice": ""})

    def _hear_notice(self, message: String) -> None:
        if self.history:
            self.history[-1]["notice"] = message.data

    def _publish(self) -> None:
        if self.command is None:
            return
        message = TwistStamped()
        message.header.stamp = self.node.get_clock().now().to_msg()
        twist = message.twist
        twist.linear.x, twist.linear.y, twist.angular.z = map(float, self.command)
        self._publisher.publish(message)

    def spin(self, seconds: float = 0.02) -> None:
        """Hears and publishes for a while [s]."""
        self._executor.spin_once(timeout_sec=seconds)

    def until(self, condition: Callable[[], bool], patience_s: float) -> bool:
        """Hears and publishes until something is true, for so long at most; whether it is."""
        deadline = time.monotonic() + patience_s
        while not condition():
            if time.monotonic() > deadline:
                return False
            self.spin()
        return True

    def ask(
        self,
        event: Event,
        patience_s: float = _PATIENCE_S,
        hurry: Callable[[], bool] = lambda: False,
    ) -> Reply:
        """Asks the bridge for something, and waits for the answer.

        Args:
            event: what for.
            patience_s: for so long at most [s].
            hurry: whether not to wait any longer.
        """
        client = self._clients[event]
        self.until(lambda: client.service_is_ready() or hurry(), patience_s)
        if not client.service_is_ready():
            return Reply(False, f"{event.value} is not offered: is the bridge running?")
        future, begin_s = client.call_async(Trigger.Request()), time.monotonic()
        self.until(lambda: future.done() or hurry(), patience_s)
        if not future.done():
            waited_s = time.monotonic() - begin_s
            return Reply(False, f"{event.value} was not answered within {waited_s:.1f} s.")
        answer: Any = future.result()
        return Reply(answer.success, answer.message)

    def close(self) -> None:
        """Takes the node away."""
        self._executor.shutdown()
        self.node.destroy_node()
