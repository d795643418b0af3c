"""The bridge as a process of its own."""

import os
import signal
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("rclpy")

MODULE = "legged_skills.sim2real.ros.bridge_main"
PATIENCE_S = 60.0


def _environment() -> dict[str, str]:
    domain = str(1 + (os.getpid() + 37) % 100)
    return os.environ | {
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_DOMAIN_ID": domain,
        "PYTHONUNBUFFERED": "1",
    }


def _start(*arguments: str) -> Any:
    return subprocess.Popen(
        [sys.executable, "-m", MODULE, *arguments],
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _said(process: Any, words: str) -> str:
    """Reads until a line has some words."""
    text, end = "", time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        line = process.stdout.readline()
        text += line
        if words in line:
            return text
        if not line:
            break
    raise AssertionError(text)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it(bundle_files, number):
    arguments = ("--autostart", "--ros-args", "-p", f"bundle:={bundle_files['anymal_c']}")
    # Leaving the block closes the pipe.
    with _start(*arguments) as process:
        try:
            _said(process, "targets on /robot_joint_command")
            process.send_signal(number)
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--autostart"], "the parameter bundle is empty"),
        (["--fast"], "usage: policy_bridge"),
        (["--ros-args", "-p", "robot:=spot"], "no settings to deploy 'spot'"),
        (["--ros-args", "-p", "robot:=3"], "robot"),
        (["--ros-args", "-p", "robot"], "robot"),
        (["--ros-args", "--params-file", "/nowhere.yaml"], "/nowhere.yaml"),
        (["--ros-args", "-p", "tilt_limit_deg:=500.0"], "tilt_limit_deg cannot be used"),
        (["--ros-args", "-p", "fault_behaviour:=dance"], "fault_behaviour is 'dance'"),
        (["--ros-args", "-p", "joint_names:=[]"], "the parameter joint_names is empty"),
        (
            ["--ros-args", "-p", "tilt_limit:=20.0"],
            "there is no parameter tilt_limit; did you mean tilt_limit_deg?",
        ),
    ],
)
def test_what_cannot_be_started_ends_with_a_sentence(arguments, words):
    process = _start(*arguments)
    text, _ = process.communicate(timeout=PATIENCE_S)
    assert words in text and process.returncode == 2
    assert "Traceback" not in text


def test_who_asks_again_does_not_cut_short_what_is_written(monkeypatch):
    from legged_skills.sim2real.ros import bridge_main

    did: list[str] = []

    class Node:
        config = types.SimpleNamespace(realtime_priority=0)

        def __init__(self, robot: str, forced: tuple[Any, ...]) -> None:
            did.append(robot)

        def close(self) -> None:
            for number in (signal.SIGINT, signal.SIGTERM):
                os.kill(os.getpid(), number)
            did.append("closed")

    monkeypatch.setattr(bridge_main, "BridgeNode", Node)
    monkeypatch.setattr(bridge_main, "run", lambda node, autostart: 0)
    monkeypatch.setattr(bridge_main.rclpy, "init", lambda **_: None)
    monkeypatch.setattr(bridge_main, "try_shutdown", lambda: did.append("ended"))
    assert bridge_main.start("op3", False, []) == 0
    assert did == ["op3", "closed", "ended"]


def test_robot_side_needs_neither_jax_nor_mujoco(bundle_files: dict[str, str]):
    program = f"""
import sys
import rclpy
from legged_skills.sim2real.ros.bridge_main import main
from legged_skills.sim2real.ros.bridge import BridgeNode
from legged_skills.sim2real.ros.drivers import op3, op3_modules, ros2_control
rclpy.init()
for robot, bundle in {bundle_files!r}.items():
    node = BridgeNode(robot, bundle=bundle)
    node.trigger_configure()
    assert node._parts is not None
    node.close()
rclpy.shutdown()
heavy = {{"jax", "mujoco", "scipy", "matplotlib", "onnx", "flax", "tyro", "rich", "mediapy"}}
print(sorted(heavy & {{name.partition(".")[0] for name in sys.modules}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def _walking(make_rig: Callable, **overrides: Any) -> Any:
    from sensor_msgs.msg import JointState

    rig = make_rig("anymal_c", **overrides)
    rig.robot("/joint_states", "/imu_sensor_broadcaster/imu")
    rig.node.create_subscription(JointState, "/robot_joint_command", rig.take, 10)
    rig.start()
    rig.bring("policy")
    # From here on the process's own loop spins; the robot's node goes on beside it.
    rig.executor.remove_node(rig.bridge)
    return rig


def _run_beside(rig: Any, each: Callable[[], object]) -> int:
    """Runs the process's loop while the robot goes on, and something is done meanwhile."""
    from legged_skills.sim2real.ros.bridge_main import run

    stop = threading.Event()

    def robot() -> None:
        while not stop.is_set():
            rig.executor.spin_once(timeout_sec=0.02)
            each()

    thread = threading.Thread(target=robot)
    thread.start()
    try:
        return run(rig.bridge, autostart=False)
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_signal_while_moving_stops_the_robot_first(make_rig: Callable, number: int):
    rig = _walking(make_rig)
    before = signal.signal(number, signal.SIG_IGN)
    timer = rig.node.create_timer(0.3, lambda: os.kill(os.getpid(), number))
    # If the signal is not heard, another one ends the test.
    late = rig.node.create_timer(20.0, lambda: os.kill(os.getpid(), signal.SIGINT))

    def once() -> None:
        if rig.bridge.output.state.value != "policy":
            timer.cancel()
            late.cancel()

    begin = time.monotonic()
    assert _run_beside(rig, once) == 0
    signal.signal(number, before)
    assert rig.bridge.output.state.value == "idle" and time.monotonic() - begin < 18.0
    rig.spin(0.2)
    assert rig.states[-3:] == ["policy", "stopping", "idle"]


def test_a_failure_while_moving_stops_the_robot_first(make_rig: Callable):
    rig = _walking(make_rig)

    def fail() -> None:
        raise RuntimeError("a callback failed")

    rig.bridge.create_timer(0.2, fail)
    assert _run_beside(rig, lambda: None) == 1
    assert rig.bridge.output.state.value == "idle"
    rig.spin(0.2)
    assert rig.states[-3:] == ["policy", "stopping", "idle"]


def test_a_second_signal_ends_it_at_once(make_rig: Callable):
    rig = _walking(make_rig, settle_s=10.0)
    sent: list[float] = []

    def twice() -> None:
        if len(sent) < 2:
            sent.append(time.monotonic())
            # What one request is told as counts once.
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)

    rig.node.create_timer(1.0, twice)
    assert _run_beside(rig, lambda: None) == 0
    assert len(sent) == 2 and time.monotonic() - sent[-1] < 5.0
    assert rig.bridge.output.state.value == "stopping"
