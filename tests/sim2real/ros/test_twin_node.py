"""Twins in processes of their own, over real DDS on this computer."""

import importlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legged_skills.sim2real.ros.topics import (
    BALL,
    HEADING_FRAME,
    ROBOTIS_MESSAGES,
    TARGET,
    Op3,
    Op3StandIn,
    Ros2Control,
)
from legged_skills.sim2real.twin.interface import interface

pytest.importorskip("rclpy")

TWIN = "/twin"
PATIENCE_S = 60.0
"""Only what never happens takes so long."""
STAND_IN = importlib.util.find_spec(ROBOTIS_MESSAGES) is None


class Process:
    """A twin in a process, and a node that hears and commands it."""

    def __init__(self, domain: int, folder: Path, *arguments: str) -> None:
        import rclpy
        from rclpy.context import Context
        from rclpy.executors import SingleThreadedExecutor

        self.figures = folder / "figures.json"
        code = "import sys; from legged_skills.cli import main; main(sys.argv[1:])"
        command = [sys.executable, "-c", code, "twin", "--domain", str(domain), *arguments]
        self.process = subprocess.Popen([*command, "--json", str(self.figures)])
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node("tester", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.heard: dict[str, list[Any]] = defaultdict(list)
        self._publishers: dict[str, Any] = {}

    def close(self) -> None:
        import rclpy

        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_S)
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def until(self, condition: Callable[[], Any]) -> Any:
        """Waits for something to be true, and returns it."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            assert self.process.poll() is None, "the twin has ended"
            self.executor.spin_once(timeout_sec=0.05)
        raise AssertionError("it did not happen")

    def hear(self, kind: Any, topic: str, latched: bool = False) -> None:
        from rclpy.qos import DurabilityPolicy, QoSProfile

        qos = QoSProfile(depth=50)
        if latched:
            qos.durability = DurabilityPolicy.TRANSIENT_LOCAL
        if topic not in self.heard:
            self.heard[topic] = []
            self.node.create_subscription(kind, topic, self.heard[topic].append, qos)

    def next(self, topic: str, wanted: Callable[[Any], Any] = lambda _: True) -> Any:
        """Waits for a message from now on that is as wanted."""
        messages = self.heard[topic]
        messages.clear()

        def take() -> Any:
            while messages:
                message = messages.pop(0)
                if wanted(message):
                    return message
            return None

        return self.until(take)

    def latest(self, topic: str, wanted: Callable[[Any], Any]) -> Any:
        """Waits until the newest message of a latched topic is as wanted."""
        messages = self.heard[topic]
        self.until(lambda: messages and wanted(messages[-1]))
        return messages[-1]

    def send(self, topic: str, message: Any) -> None:
        if topic not in self._publishers:
            publisher = self.node.create_publisher(type(message), topic, 10)
            self._publishers[topic] = publisher
            self.until(lambda: publisher.get_subscription_count() > 0)
        self._publishers[topic].publish(message)

    def obey(self, topic: str, message: Any, told: str, wanted: Callable[[Any], Any]) -> Any:
        """Sends a message, again and again, until one that is told is as wanted.

        The first ones may get lost: one side knows of the other before that knows of it.
        """
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            self.send(topic, message)
            messages, again = self.heard[told], time.monotonic() + 1.0
            messages.clear()
            while time.monotonic() < again:
                self.executor.spin_once(timeout_sec=0.05)
                while messages:
                    told_message = messages.pop(0)
                    if wanted(told_message):
                        return told_message
        raise AssertionError("it was not obeyed")

    def call(self, kind: Any, service: str, request: Any = None) -> Any:
        client = self.node.create_client(kind, service)
        self.until(client.service_is_ready)
        future = client.call_async(request or kind.Request())
        self.until(future.done)
        self.node.destroy_client(client)
        return future.result()

    def inject(self, text: str) -> None:
        from std_msgs.msg import String

        self.send(f"{TWIN}/inject", String(data=text))


def _started(folder: Path, domain: int, *arguments: str) -> Iterator[Process]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        twin = Process(domain, folder, *arguments)
        try:
            yield twin
        finally:
            twin.close()


def _domain(offset: int) -> int:
    """One of its own for each run of the tests, and each twin."""
    return 1 + (os.getpid() + offset) % 100


@pytest.fixture(scope="module")
def op3_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("op3")
    yield from _started(folder, _domain(0), "--robot", "op3", "--gap", "none")


@pytest.fixture
def op3(op3_process: Process) -> Process:
    """Where it started, without faults, hearing the robot's topics."""
    from diagnostic_msgs.msg import DiagnosticArray
    from nav_msgs.msg import Odometry
    from sensor_msgs.msg import Imu, JointState
    from std_msgs.msg import Bool, String
    from std_srvs.srv import Trigger

    twin = op3_process
    for kind, topic in (
        (JointState, Op3.PRESENT_JOINT_STATES),
        (JointState, Op3.GOAL_JOINT_STATES),
        (Imu, Op3.IMU),
        (String, Op3.BUTTON),
        (String, Op3StandIn.STATUS),
        (String, Op3StandIn.PRESENT_JOINT_CTRL_MODULES),
        (Odometry, f"{TWIN}/truth"),
        (DiagnosticArray, f"{TWIN}/stats"),
    ):
        twin.hear(kind, topic)
    twin.hear(Bool, f"{TWIN}/fallen", latched=True)
    twin.hear(String, f"{TWIN}/faults", latched=True)
    inject, faults = String(data="push n=0 for=0.5"), f"{TWIN}/faults"
    twin.obey(f"{TWIN}/inject", inject, faults, lambda m: "push" in m.data)
    assert twin.call(Trigger, f"{TWIN}/clear").success
    assert twin.call(Trigger, f"{TWIN}/reset").success
    twin.latest(faults, lambda m: not m.data)
    return twin


def _positions(message: Any) -> dict[str, float]:
    return dict(zip(message.name, message.position, strict=True))


def _free(op3: Process) -> None:
    """No module is in charge any more."""
    from std_msgs.msg import String

    def freed() -> bool:
        op3.send(Op3.ENABLE_CTRL_MODULE, String(data="none"))
        return set(_modules(op3).values()) == {"none"}

    op3.until(freed)


def _modules(op3: Process) -> dict[str, str]:
    """Which module is in charge of each joint, by the robot's service or the stand-in."""
    if STAND_IN:
        from std_srvs.srv import Trigger

        return json.loads(op3.call(Trigger, Op3StandIn.GET_MODULES_SERVICE).message)
    kind = importlib.import_module(f"{ROBOTIS_MESSAGES}.srv").GetJointModule
    names = interface("op3").message_joints
    answer = op3.call(kind, Op3.GET_MODULES_SERVICE, kind.Request(joint_name=names))
    return dict(zip(answer.joint_name, answer.module_name, strict=True))


def test_op3_joint_states_are_the_robots(op3: Process):
    from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

    message = op3.next(Op3.PRESENT_JOINT_STATES)
    assert message.name == sorted(interface("op3").spec.joint_names)
    assert list(message.velocity) == list(message.effort) == [0.0] * 20
    assert _positions(message)["l_knee"] == pytest.approx(np.deg2rad(142), abs=0.1)
    goal = op3.next(Op3.GOAL_JOINT_STATES)
    assert _positions(goal)["r_knee"] == pytest.approx(np.deg2rad(-142), abs=1e-9)
    for topic in (Op3.PRESENT_JOINT_STATES, Op3.GOAL_JOINT_STATES, Op3.IMU):
        (publisher,) = op3.node.get_publishers_info_by_topic(topic)
        assert publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE
        assert publisher.qos_profile.durability == DurabilityPolicy.VOLATILE
    (subscriber,) = op3.node.get_subscriptions_info_by_topic(Op3.SET_JOINT_STATES)
    # A best-effort publisher would not connect.
    assert subscriber.qos_profile.reliability == ReliabilityPolicy.RELIABLE


def test_op3_imu_has_no_yaw_and_no_covariances(op3: Process):
    # At first it drops by a hair.
    message = op3.next(Op3.IMU, lambda m: m.linear_acceleration.z > 9.5)
    assert message.header.frame_id == "body_link"
    q = message.orientation
    assert 2.0 * (q.w * q.z + q.x * q.y) == pytest.approx(0.0, abs=1e-6)
    assert message.linear_acceleration.z == pytest.approx(9.8, abs=0.3)
    for covariance in (
        message.orientation_covariance,
        message.angular_velocity_covariance,
        message.linear_acceleration_covariance,
    ):
        np.testing.assert_array_equal(covariance, np.zeros(9))


def test_op3_obeys_targets_once_no_module_is_in_charge(op3: Process):
    from sensor_msgs.msg import JointState

    def look(angle: float) -> None:
        op3.send(Op3.SET_JOINT_STATES, JointState(name=["head_pan"], position=[angle]))

    assert set(_modules(op3).values()) == {"base_module"}
    look(0.4)
    for _ in range(30):
        assert _positions(op3.next(Op3.GOAL_JOINT_STATES))["head_pan"] == 0.0
    _free(op3)
    message = JointState(name=["head_pan"], position=[0.4])
    goal, topic = Op3.GOAL_JOINT_STATES, Op3.SET_JOINT_STATES
    op3.obey(topic, message, goal, lambda m: _positions(m)["head_pan"] == 0.4)
    op3.next(Op3.PRESENT_JOINT_STATES, lambda m: abs(_positions(m)["head_pan"] - 0.4) < 0.02)
    # Held without any further command.
    for _ in range(30):
        assert _positions(op3.next(Op3.GOAL_JOINT_STATES))["head_pan"] == 0.4


@pytest.mark.skipif(not STAND_IN, reason="the true services are there")
def test_op3_stand_in_of_modules_torque_and_texts(op3: Process):
    from std_msgs.msg import String

    names = ["head_pan", "head_tilt"]
    fields = {"joint_name": names, "module_name": ["none", "none"]}
    told = op3.obey(
        Op3StandIn.SET_JOINT_CTRL_MODULES,
        String(data=json.dumps(fields)),
        Op3StandIn.PRESENT_JOINT_CTRL_MODULES,
        lambda m: '"none"' in m.data,
    )
    told = json.loads(told.data)
    table = dict(zip(told["joint_name"], told["module_name"], strict=True))
    assert {name for name, module in table.items() if module == "none"} == set(names)
    assert table == _modules(op3)
    op3.inject("battery v=10")
    low = op3.next(Op3StandIn.STATUS, lambda m: '"type": 2' in m.data)
    assert json.loads(low.data)["module_name"] == "SENSOR"
    assert json.loads(low.data)["status_msg"].startswith("Present Volt : 1")
    op3.inject("button name=mode")
    assert op3.next(Op3.BUTTON).data == "mode"
    # What is not JSON stops nothing, nor what is not of the right kinds.
    op3.send(Op3StandIn.SYNC_WRITE_ITEM, String(data="torque off, please"))
    for joints, values in ((["l_knee"], ["800"]), (["l_knee"], None), ([1], [800]), (3, [800])):
        wrong = {"item_name": "position_p_gain", "joint_name": joints, "value": values}
        op3.send(Op3StandIn.SYNC_WRITE_ITEM, String(data=json.dumps(wrong)))
    op3.send(Op3StandIn.SET_JOINT_CTRL_MODULES, String(data=json.dumps(dict.fromkeys(fields))))
    off = {"item_name": "torque_enable", "joint_name": ["l_sho_roll"], "value": [0]}
    _free(op3)
    # The arm falls down, while its goal stays.
    op3.obey(
        Op3StandIn.SYNC_WRITE_ITEM,
        String(data=json.dumps(off)),
        Op3.PRESENT_JOINT_STATES,
        lambda m: _positions(m)["l_sho_roll"] > 1.0,
    )
    goal = _positions(op3.next(Op3.GOAL_JOINT_STATES))["l_sho_roll"]
    assert goal == pytest.approx(np.deg2rad(45))
    op3.obey(
        Op3.DXL_TORQUE,
        String(data="on"),
        Op3.PRESENT_JOINT_STATES,
        lambda m: _positions(m)["l_sho_roll"] < 0.9,
    )


@pytest.mark.skipif(STAND_IN, reason="robotis_controller_msgs is not installed")
def test_op3s_own_services_and_messages(op3: Process):
    msg = importlib.import_module(f"{ROBOTIS_MESSAGES}.msg")
    srv = importlib.import_module(f"{ROBOTIS_MESSAGES}.srv")
    op3.hear(msg.StatusMsg, Op3.STATUS)
    op3.hear(msg.JointCtrlModule, Op3.PRESENT_JOINT_CTRL_MODULES)
    kind = srv.SetModule
    call = kind.Request(module_name="none")
    assert op3.call(kind, Op3.SET_MODULE_SERVICE, call).result
    assert set(_modules(op3).values()) == {"none"}
    unknown = kind.Request(module_name="dance_module")
    assert not op3.call(kind, Op3.SET_MODULE_SERVICE, unknown).result
    kind = srv.SetJointModule
    head = kind.Request(joint_name=["head_pan"], module_name=["head_control_module"])
    # ROBOTIS's framework never fills this in.
    assert not op3.call(kind, Op3.SET_MODULES_SERVICE, head).result
    table = _modules(op3)
    assert {name for name, module in table.items() if module != "none"} == {"head_pan"}
    base = msg.JointCtrlModule(joint_name=["head_pan"], module_name=["base_module"])
    told = op3.obey(
        Op3.SET_JOINT_CTRL_MODULES,
        base,
        Op3.PRESENT_JOINT_CTRL_MODULES,
        lambda m: "base_module" in m.module_name,
    )
    assert list(told.joint_name) == sorted(interface("op3").spec.joint_names)
    op3.inject("battery v=10")
    low = op3.next(Op3.STATUS, lambda m: m.type == msg.StatusMsg.STATUS_WARN)
    assert low.module_name == "SENSOR"
    assert low.status_msg.startswith("Present Volt : 1")
    off = msg.SyncWriteItem(item_name="torque_enable", joint_name=["l_sho_roll"], value=[0])
    op3.obey(
        Op3.SYNC_WRITE_ITEM,
        off,
        Op3.PRESENT_JOINT_STATES,
        lambda m: _positions(m)["l_sho_roll"] > 1.0,
    )


def test_op3_goes_to_its_initial_pose(op3: Process):
    from sensor_msgs.msg import JointState
    from std_msgs.msg import String

    goal = Op3.GOAL_JOINT_STATES
    _free(op3)
    message = JointState(name=["head_tilt"], position=[0.3])
    op3.obey(Op3.SET_JOINT_STATES, message, goal, lambda m: _positions(m)["head_tilt"] == 0.3)
    # To -10 degrees, by and by.
    ini_pose = String(data="ini_pose")
    op3.obey(Op3.INI_POSE, ini_pose, goal, lambda m: 0.0 < _positions(m)["head_tilt"] < 0.2)
    wanted = np.deg2rad(-10.0)
    op3.next(goal, lambda m: abs(_positions(m)["head_tilt"] - wanted) < 1e-6)
    assert set(_modules(op3).values()) == {"base_module"}


def test_faults_come_over_the_topic_and_go_by_service(op3: Process):
    from std_srvs.srv import SetBool, Trigger

    joints, imu = Op3.PRESENT_JOINT_STATES, Op3.IMU
    op3.inject("nan joints joint=l_knee")
    bad = op3.next(joints, lambda m: not np.isfinite(m.position).all())
    assert [name for name, value in _positions(bad).items() if value != value] == ["l_knee"]
    op3.inject("clear nan")
    op3.next(joints, lambda m: np.isfinite(m.position).all())
    op3.inject("wrong_length n=3")
    assert len(op3.next(joints, lambda m: len(m.position) < 20).position) == 17
    op3.inject("clear")
    op3.inject("unknown_joint")
    assert op3.next(joints, lambda m: "no_such_joint" in m.name).name[-1] == "no_such_joint"
    op3.inject("freeze joints")
    faults = op3.latest(f"{TWIN}/faults", lambda m: "freeze" in m.data)
    assert faults.data.splitlines() == ["unknown_joint joint=", "freeze joints"]
    # What is not in the grammar is not injected, and ends nothing.
    op3.inject("explode")
    op3.inject("drop imu p=0.5")
    faults = op3.latest(f"{TWIN}/faults", lambda m: "drop" in m.data)
    assert len(faults.data.splitlines()) == 3
    assert op3.call(Trigger, f"{TWIN}/clear").success
    assert op3.latest(f"{TWIN}/faults", lambda m: not m.data).data == ""
    op3.inject("drop imu")
    op3.latest(f"{TWIN}/faults", lambda m: "drop" in m.data)

    def silent() -> bool:
        # Some may still be on their way.
        op3.heard[imu].clear()
        for _ in range(50):
            op3.next(joints)
        return not op3.heard[imu]

    op3.until(silent)
    assert op3.call(SetBool, f"{TWIN}/servo_off", SetBool.Request(data=True)).success
    op3.latest(f"{TWIN}/faults", lambda m: "servo_off joint=all" in m.data)
    assert op3.call(SetBool, f"{TWIN}/servo_off", SetBool.Request(data=False)).success
    op3.latest(f"{TWIN}/faults", lambda m: "servo_off" not in m.data)


def test_a_second_publisher_is_seen_and_goes(op3: Process):
    from sensor_msgs.msg import JointState

    topic = Op3.SET_JOINT_STATES
    op3.hear(JointState, topic)
    before = op3.node.count_publishers(topic)
    op3.inject("second_publisher")
    op3.until(lambda: op3.node.count_publishers(topic) == before + 1)

    def names() -> list[str]:
        return [info.node_name for info in op3.node.get_publishers_info_by_topic(topic)]

    # The name of a node is known later than its publisher.
    op3.until(lambda: "intruder" in names())
    assert len(op3.next(topic, lambda m: len(m.name) == 20).position) == 20
    op3.inject("clear second_publisher")
    op3.until(lambda: op3.node.count_publishers(topic) == before)


def test_the_truth_is_told_apart_and_a_fall_is_noticed(op3: Process):
    from std_srvs.srv import Trigger

    truth = op3.next(f"{TWIN}/truth")
    assert (truth.header.frame_id, truth.child_frame_id) == ("odom", "body_link")
    assert truth.pose.pose.position.z == pytest.approx(0.128, abs=0.01)
    op3.inject("tilt deg=80")
    assert op3.latest(f"{TWIN}/fallen", lambda m: m.data).data
    op3.next(f"{TWIN}/truth", lambda m: abs(m.pose.pose.orientation.x) > 0.4)
    assert op3.call(Trigger, f"{TWIN}/reset").success
    op3.next(f"{TWIN}/truth", lambda m: abs(m.pose.pose.orientation.x) < 0.05)
    (status,) = op3.next(f"{TWIN}/stats").status
    values = {pair.key: float(pair.value) for pair in status.values}
    assert values["falls"] >= 1.0
    assert values["real_time_factor"] > 0.0
    assert values["simulated_s"] > 0.0
    assert {"overruns", "cpu_share", "late_p99_ms", "refused_targets"} <= set(values)


def test_targets_that_would_harm_the_manager_are_counted(op3: Process):
    from sensor_msgs.msg import JointState

    def refused(message: Any) -> float:
        (status,) = message.status
        return float({pair.key: pair.value for pair in status.values}["refused_targets"])

    _free(op3)
    before = refused(op3.next(f"{TWIN}/stats"))
    # Fewer positions than names.
    bad = JointState(name=["head_pan", "head_tilt"], position=[0.1])
    op3.obey(Op3.SET_JOINT_STATES, bad, f"{TWIN}/stats", lambda m: refused(m) > before)
    assert _positions(op3.next(Op3.GOAL_JOINT_STATES))["head_pan"] == 0.0


@pytest.fixture(scope="module")
def anymal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    from geometry_msgs.msg import PointStamped
    from sensor_msgs.msg import BatteryState, Imu, JointState
    from std_msgs.msg import String

    arguments = ("--robot", "anymal_c", "--gap", "none", "--ball", "--fault", "battery v=40")
    for twin in _started(tmp_path_factory.mktemp("anymal"), _domain(50), *arguments):
        twin.hear(JointState, Ros2Control.JOINT_STATES)
        twin.hear(Imu, Ros2Control.IMU)
        twin.hear(BatteryState, Ros2Control.BATTERY)
        for topic in (BALL, TARGET, f"{TWIN}/ball_truth", f"{TWIN}/target_truth"):
            twin.hear(PointStamped, topic)
        twin.hear(String, f"{TWIN}/faults", latched=True)
        yield twin


def test_anymals_messages_are_those_of_ros2_control(anymal: Process):
    message = anymal.next(Ros2Control.JOINT_STATES)
    assert tuple(message.name) == interface("anymal_c").spec.joint_names
    assert len(message.velocity) == len(message.effort) == 12
    # It stands: the knees hold it up.
    assert _positions(message)["LF_KFE"] == pytest.approx(-0.8, abs=0.3)
    assert _positions(message)["LH_KFE"] == pytest.approx(0.8, abs=0.3)
    # At first it drops by a hair, and lands.
    imu = anymal.next(Ros2Control.IMU, lambda m: abs(m.linear_acceleration.z - 9.81) < 0.3)
    assert imu.header.frame_id == "imu_link"
    assert imu.orientation_covariance[0] == pytest.approx(1e-3)
    # The IMU is turned by +90 degrees about z: x, y, z, w.
    q = imu.orientation
    np.testing.assert_allclose([q.x, q.y, q.z, q.w], [0, 0, 0.5**0.5, 0.5**0.5], atol=0.03)
    assert imu.linear_acceleration.z == pytest.approx(9.8, abs=0.5)


def test_anymal_takes_commands_in_both_ways(anymal: Process):
    from sensor_msgs.msg import JointState
    from std_msgs.msg import Float64MultiArray

    default = interface("anymal_c").spec.default_joint_pos.tolist()
    lower = [angle * 1.2 for angle in default]

    states = Ros2Control.JOINT_STATES
    forward = Float64MultiArray(data=lower)
    low = anymal.obey(
        Ros2Control.FORWARD_COMMANDS, forward, states, lambda m: _positions(m)["LF_KFE"] < -0.96
    )
    assert _positions(low)["LH_KFE"] > 0.9
    # Any order of names.
    names = list(reversed(interface("anymal_c").spec.joint_names))
    command = JointState(name=names, position=[angle * 0.6 for angle in reversed(default)])
    anymal.obey(
        Ros2Control.JOINT_COMMANDS, command, states, lambda m: _positions(m)["LF_KFE"] > -0.75
    )


def test_anymals_battery_and_a_fault_to_begin_with(anymal: Process):
    message = anymal.next(Ros2Control.BATTERY)
    assert message.present
    assert message.voltage == pytest.approx(40.0, abs=0.1)


def test_ball_and_target_are_seen_from_the_robot(anymal: Process):
    from geometry_msgs.msg import PointStamped

    ball, target = anymal.next(BALL), anymal.next(TARGET)
    assert ball.header.frame_id == target.header.frame_id == HEADING_FRAME
    assert ball.point.x == pytest.approx(0.8, abs=0.15)
    assert ball.point.y == pytest.approx(0.0, abs=0.15)
    truth = anymal.next(f"{TWIN}/ball_truth")
    assert truth.header.frame_id == "odom"
    assert truth.point.z == pytest.approx(0.11, abs=0.005)
    wanted = PointStamped()
    wanted.header.frame_id, wanted.point.x, wanted.point.y = "odom", 2.0, 1.0
    seen = anymal.obey(f"{TWIN}/set_target", wanted, TARGET, lambda m: m.point.x > 1.5)
    assert seen.point.y == pytest.approx(1.0, abs=0.3)
    # In any other frame it is not taken.
    wanted.header.frame_id, wanted.point.x = "map", -5.0
    anymal.send(f"{TWIN}/set_target", wanted)
    for _ in range(5):
        assert anymal.next(TARGET).point.x > 1.0


def test_a_twin_that_is_told_to_stop_writes_its_figures(anymal: Process):
    # The last test of this twin.
    anymal.next(Ros2Control.JOINT_STATES)
    anymal.process.send_signal(signal.SIGTERM)
    assert anymal.process.wait(PATIENCE_S) == 0
    figures = json.loads(anymal.figures.read_text())
    assert figures["cycles"] > 10
    assert figures["simulated_s"] == pytest.approx(figures["cycles"] * 0.005)
    assert figures["real_time_factor"] > 0.0
