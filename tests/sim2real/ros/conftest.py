"""A bridge and a robot of a few lines, on two threads of this process, over real DDS."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.tasks.export import export_bytes

PATIENCE_S = 60.0
"""Only what never happens takes so long."""
SLOW = {
    # Machines that run tests are busy with other things.
    "joint_timeout_s": 1.0,
    "imu_timeout_s": 1.0,
    "max_late_s": 1.0,
    "max_overruns": 1000,
    "joint_speed_radps": 200.0,
    "command_timeout_s": 5.0,
    "following_s": 10.0,
    "ramp_min_s": 0.5,
    "blend_in_s": 0.1,
    "settle_s": 0.2,
}
GRAVITY = 9.80665


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Robots, bridges and deployments keep to real time."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.alone)


@pytest.fixture(scope="session")
def bundle_files(make_policy: Callable, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A bundle's file for each robot."""
    folder: Path = tmp_path_factory.mktemp("bundles")
    found = {}
    for robot in robots.names():
        path = folder / f"{robot}.onnx"
        path.write_bytes(export_bytes(make_policy(robot)))
        found[robot] = str(path)
    return found


@pytest.fixture(scope="session")
def ros() -> Iterator[None]:
    """ROS 2, for this process and computer alone."""
    pytest.importorskip("rclpy")
    import rclpy
    from rclpy.signals import SignalHandlerOptions
    from rclpy.utilities import try_shutdown

    before = dict(os.environ)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    yield
    try_shutdown()
    os.environ.clear()
    os.environ.update(before)


class Rig:
    """A bridge, the robot that it drives, and somebody who operates both.

    The robot's joints are where they are told to be. Everything but the control loop runs on one
    thread, so that what a test sees does not change under its hands while it looks under ``lock``.
    """

    def __init__(self, robot: str, overrides: dict[str, Any]) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import DurabilityPolicy, QoSProfile
        from std_msgs.msg import String

        from legged_skills.sim2real.ros.bridge import BridgeNode

        self.spec = robots.get(robot)
        self.bridge = BridgeNode(robot, **{**SLOW, **overrides})
        self.node = rclpy.create_node("tester")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.bridge)
        self.executor.add_node(self.node)
        self.joint_pos = self.spec.default_joint_pos + 0.02
        self.spoil: Callable[[Any, Any], None] = lambda joints, imu: None
        self.silent = False
        self.received: list[Any] = []
        self.states: list[str] = []
        self.notices: list[str] = []
        latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        hear: Any = self.node.create_subscription
        hear(String, "/policy_bridge/state", lambda m: self.states.append(m.data), latched)
        hear(String, "/policy_bridge/notice", lambda m: self.notices.append(m.data), latched)
        self._rng = np.random.default_rng(0)
        self._clients: dict[str, Any] = {}

    def robot(self, joints: str, imu: str) -> None:
        """Begins to publish joint states and IMU samples."""
        from sensor_msgs.msg import Imu, JointState

        self._joints = self.node.create_publisher(JointState, joints, 10)
        self._imu = self.node.create_publisher(Imu, imu, 10)
        self.node.create_timer(0.01, self._tell)

    def _tell(self) -> None:
        from sensor_msgs.msg import Imu, JointState

        if self.silent:
            return
        names = sorted(self.spec.joint_names)
        index = [self.spec.joint_names.index(name) for name in names]
        joints = JointState(name=names, position=self.joint_pos[index].tolist())
        joints.velocity = [0.0] * len(names)
        imu = Imu()
        # As ANYmal's IMU is mounted; of OP3 the orientation is not used.
        imu.orientation.w = imu.orientation.z = 0.5**0.5
        w, noise = imu.angular_velocity, self._rng.normal(0.0, 0.01, 3)
        w.x, w.y, w.z = noise.tolist()
        imu.linear_acceleration.z = GRAVITY
        self.spoil(joints, imu)
        self._joints.publish(joints)
        self._imu.publish(imu)

    def take(self, message: Any) -> None:
        """Joint targets by name have arrived."""
        self.received.append(message)
        for name, angle in zip(message.name, message.position, strict=True):
            self.joint_pos[self.spec.joint_names.index(name)] = angle

    def until(self, condition: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
        """Waits for something to be true, and returns it."""
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            self.executor.spin_once(timeout_sec=0.02)
        output = self.bridge.output
        raise AssertionError(f"it did not happen; {self.states}, {output and output.faults}")

    def spin(self, seconds: float) -> None:
        """Lets time pass."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)

    def call(self, name: str) -> tuple[bool, str]:
        """Asks the bridge by one of its services."""
        from std_srvs.srv import Trigger

        if name not in self._clients:
            self._clients[name] = self.node.create_client(Trigger, f"/policy_bridge/{name}")
        client = self._clients[name]
        self.until(client.service_is_ready)
        future = client.call_async(Trigger.Request())
        self.until(future.done)
        answer = future.result()
        return answer.success, answer.message

    def start(self) -> None:
        """Configures, activates, and waits until the sensors are heard."""
        from rclpy.lifecycle import TransitionCallbackReturn

        assert self.bridge.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert self.bridge.trigger_activate() == TransitionCallbackReturn.SUCCESS
        self.until(lambda: self.bridge.output is not None and not self.bridge.output.faults)

    def state(self, name: str) -> None:
        """Waits for a state."""
        self.until(lambda: self.states and self.states[-1] == name)

    def bring(self, name: str) -> None:
        """From idle to ready or policy, as an operator does."""
        accepted, sentence = self.call("prepare")
        assert accepted, sentence
        self.state("ready")
        if name == "policy":
            accepted, sentence = self.call("enable")
            assert accepted, sentence
            self.state("policy")

    def close(self) -> None:
        self.bridge.close()
        self.executor.shutdown()
        self.node.destroy_node()
        left = [thread.name for thread in threading.enumerate() if "control" in thread.name]
        assert left == []


@pytest.fixture
def make_rig(ros: None, bundle_files: dict[str, str]) -> Iterator[Callable[..., Rig]]:
    """Makes a rig of a robot with some parameters; in the end all that left must have been safe."""
    made: list[Rig] = []

    def make(robot: str, **overrides: Any) -> Rig:
        overrides.setdefault("bundle", bundle_files[robot])
        rig = Rig(robot, overrides)
        made.append(rig)
        return rig

    yield make
    for rig in made:
        rig.close()
        for message in rig.received:
            assert sorted(message.name) == sorted(rig.spec.joint_names)
            index = [rig.spec.joint_names.index(name) for name in message.name]
            targets = np.array(message.position)
            assert np.isfinite(targets).all()
            assert (targets >= rig.spec.joint_lower[index] - 1e-9).all()
            assert (targets <= rig.spec.joint_upper[index] + 1e-9).all()
