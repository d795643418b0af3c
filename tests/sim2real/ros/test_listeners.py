"""Ball and target over real DDS."""

import dataclasses
import types
from typing import Any

import numpy as np
import pytest

from legged_skills.robots.errors import ContractError
from legged_skills.sim2real.bundle_header import CommandComponent
from legged_skills.sim2real.deploy.intake import BALL_COMPONENTS
from legged_skills.sim2real.deploy.snapshot import CommandSnapshot
from legged_skills.sim2real.ros.bridge_config import bridge_config_of
from legged_skills.sim2real.ros.topics import BALL, HEADING_FRAME, TARGET

pytest.importorskip("rclpy")


def _bundle(bundle: Any, names: tuple[str, ...]) -> Any:
    """A bundle with another command; no more than a listener looks at."""
    components = tuple(CommandComponent(name=n, unit="m", low=-6.0, high=6.0) for n in names)
    header = dataclasses.replace(bundle.header, command=components, command_name="ball_and_target")
    return types.SimpleNamespace(header=header, contract=bundle.contract, name="dribble.onnx")


class Seen:
    """Somebody who sees a ball, and a listener."""

    def __init__(self, bundle: Any) -> None:
        import rclpy
        from geometry_msgs.msg import PointStamped
        from rclpy.executors import SingleThreadedExecutor

        from legged_skills.sim2real.ros.listeners import Listeners

        self.node = rclpy.create_node("camera")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.listeners = Listeners(
            self.node, _bundle(bundle, BALL_COMPONENTS), bridge_config_of("anymal_c")
        )
        self.publishers = {
            topic: self.node.create_publisher(PointStamped, topic, 10) for topic in (BALL, TARGET)
        }
        self.command = CommandSnapshot(7)

    def say(self, topic: str, x: float, y: float, age_s: float, frame: str) -> None:
        from geometry_msgs.msg import PointStamped
        from rclpy.duration import Duration

        message = PointStamped()
        taken = self.node.get_clock().now() - Duration(nanoseconds=round(1e9 * age_s))
        message.header.stamp, message.header.frame_id = taken.to_msg(), frame
        message.point.x, message.point.y = x, y
        self.publishers[topic].publish(message)

    def until(self, condition: Any, again: Any) -> None:
        import time

        end = time.monotonic() + 30.0
        while time.monotonic() < end:
            again()
            self.executor.spin_once(timeout_sec=0.05)
            self.listeners.read(time.monotonic(), self.command)
            if condition():
                return
        raise AssertionError(f"it did not happen: {self.listeners.values()}")

    def close(self) -> None:
        self.listeners.close()
        self.executor.shutdown()
        self.node.destroy_node()


@pytest.fixture
def seen(ros, bundle):
    made = Seen(bundle)
    yield made
    made.close()


def test_ball_and_target_are_told(seen):
    def say():
        seen.say(BALL, 1.5, -0.5, 0.05, HEADING_FRAME)
        seen.say(TARGET, 3.0, 1.0, 0.0, HEADING_FRAME)

    seen.until(lambda: np.isfinite(seen.command.time_s), say)
    np.testing.assert_allclose(seen.command.values[:2], [1.5, -0.5])
    np.testing.assert_allclose(seen.command.values[5:], [3.0, 1.0])
    assert 0.05 <= seen.command.values[4] < 2.0
    assert seen.listeners.values() == {"rejected": "0", "wrong_frames": "0", "failed": "0"}


def test_positions_in_other_frames_are_not_believed(seen):
    seen.until(
        lambda: seen.listeners.wrong_frames >= 2,
        lambda: seen.say(BALL, 1.5, -0.5, 0.0, "odom"),
    )
    assert not np.isfinite(seen.command.time_s) and not seen.command.values[:2].any()


def test_old_pictures_are_not_believed(seen):
    seen.until(
        lambda: seen.listeners.values()["rejected"] != "0",
        lambda: seen.say(BALL, 1.5, -0.5, 5.0, HEADING_FRAME),
    )
    assert not seen.command.values[:2].any()


def test_command_that_nobody_gives_is_refused(ros, bundle):
    import rclpy

    from legged_skills.sim2real.ros.listeners import Listeners

    node = rclpy.create_node("camera")
    try:
        with pytest.raises(ContractError, match="there is no topic for the command"):
            Listeners(node, _bundle(bundle, ("height",)), bridge_config_of("anymal_c"))
    finally:
        node.destroy_node()
