"""The bridge with ANYmal's driver, over real DDS."""

import json
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.errors import SettingsError

pytest.importorskip("rclpy")

JOINTS, IMU = "/joint_states", "/imu_sensor_broadcaster/imu"
COMMANDS = "/robot_joint_command"
FORWARD = "/forward_position_controller/commands"


@pytest.fixture
def make(make_rig: Callable) -> Callable:
    """A rig of an ANYmal that listens to named targets."""

    def make(listen: bool = True, **overrides: Any) -> Any:
        from sensor_msgs.msg import JointState

        rig = make_rig("anymal_c", **overrides)
        rig.robot(JOINTS, IMU)
        if listen:
            rig.node.create_subscription(JointState, COMMANDS, rig.take, 10)
        return rig

    return make


def test_whole_way(make, tmp_path):
    from rclpy.lifecycle import TransitionCallbackReturn

    log = tmp_path / "of" / "today" / "run"
    rig = make(log=str(log), figures=str(tmp_path / "figures.json"))
    rig.start()
    rig.state("idle")
    # Being active moves nothing.
    rig.spin(0.5)
    assert rig.received == []
    assert rig.call("enable") == (
        False,
        "enable does nothing in the state idle, only in ready.",
    )
    rig.bring("policy")
    rig.spin(0.5)
    # What still moves is not let go of.
    assert rig.bridge.trigger_deactivate() == TransitionCallbackReturn.FAILURE
    assert rig.bridge.active
    assert rig.call("stop")[0]
    rig.state("idle")
    rig.spin(0.2)
    count = len(rig.received)
    assert count > 20
    rig.spin(0.3)
    assert len(rig.received) == count
    assert rig.states == ["idle", "ramp", "ready", "policy", "stopping", "idle"]
    assert rig.bridge.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    assert not rig.bridge.active
    assert rig.bridge.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures.keys() == {
        "period_error_p99_ms",
        "missed_deadlines",
        "sensor_to_command_p99_ms",
        "steps",
    }
    assert figures["steps"] > 50

    from legged_skills.sim2real.bundle import Bundle
    from legged_skills.sim2real.deploy.recorded_run import read_run, replay

    run = read_run(log)
    bundle = Bundle.load(rig.bridge.config.bundle)
    for row, output in replay(run, bundle):
        np.testing.assert_array_equal(output.joint_targets, run.arrays["joint_targets"][row])
    assert run.arrays["publish"].sum() > 20


@pytest.mark.parametrize(
    ("bundle", "words"),
    [
        ("", "the parameter bundle is empty"),
        ("/nowhere/walk.onnx", "there is no such file"),
        ("op3", "the policy's robot is op3, expected anymal_c"),
    ],
)
def test_wrong_bundles_are_refused(make, bundle_files, bundle, words, capfd):
    from rclpy.lifecycle import TransitionCallbackReturn

    rig = make(bundle=bundle_files.get(bundle, bundle))
    assert rig.bridge.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert words in capfd.readouterr().err
    with pytest.raises(Exception, match=r"[Tt]ransition"):
        rig.bridge.trigger_activate()
    assert rig.call("prepare") == (False, "prepare is refused: the bridge is not active.")


def test_transitions_that_cannot_be_are_refused_and_the_bridge_goes_on(make):
    from lifecycle_msgs.msg import State, Transition
    from lifecycle_msgs.srv import ChangeState, GetState

    rig = make()

    def ask(kind: Any, name: str, request: Any) -> Any:
        client = rig.node.create_client(kind, f"/policy_bridge/{name}")
        rig.until(client.service_is_ready)
        future = client.call_async(request)
        rig.until(future.done)
        return future.result()

    def change(number: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=number))
        return ask(ChangeState, "change_state", request).success

    assert not change(Transition.TRANSITION_ACTIVATE)
    assert change(Transition.TRANSITION_CONFIGURE)
    for wanted in (True, False):
        assert change(Transition.TRANSITION_ACTIVATE) is wanted
    found = ask(GetState, "get_state", GetState.Request())
    assert found.current_state.id == State.PRIMARY_STATE_ACTIVE and rig.bridge.active


def test_a_bridge_that_is_shut_down_says_that_it_drives_no_more(make):
    rig = make()
    rig.start()
    rig.bring("policy")
    rig.bridge.trigger_shutdown()
    rig.state("fault")
    rig.until(lambda: rig.notices[-1] == "the control loop ended in the state policy.")


def test_topics_that_cannot_be_are_refused_with_a_sentence(make, capfd):
    from rclpy.lifecycle import TransitionCallbackReturn

    rig = make(joint_states_topic="/joint states")
    assert rig.bridge.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert "not configured: InvalidTopicNameException: " in capfd.readouterr().err


def test_too_few_joint_names_are_refused(make, capfd):
    names = {"joint_names": ["a", "b"], "forward_joints": ["b", "a"]}
    rig = make(**names, joint_signs=[1.0, 1.0], joint_offsets_rad=[0.0, 0.0])
    rig.bridge.trigger_configure()
    assert "joint_names has 2 names, expected those of the 12 joints" in capfd.readouterr().err


def _nan(joints, imu):
    joints.position[3] = float("nan")


def _short(joints, imu):
    joints.position = joints.position[:-1]


def _imu_nan(joints, imu):
    imu.angular_velocity.x = float("nan")


def _other_name(joints, imu):
    joints.name = [*joints.name[:-1], "no_such_joint"]


def _upside_down(joints, imu):
    imu.orientation.w, imu.orientation.x = 0.0, 1.0
    imu.orientation.z = 0.0


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (_nan, "not_finite"),
        (_short, "unusable_message"),
        (_imu_nan, "not_finite"),
        (_other_name, "stale_joints"),
        (_upside_down, "tilt"),
    ],
)
def test_faults_on_the_wire(make, spoil, code):
    rig = make()
    rig.start()
    rig.bring("policy")
    rig.spoil = spoil
    rig.state("fault")
    assert rig.bridge.output.faults[0].code.value == code
    rig.until(lambda: rig.notices[-1] == rig.bridge.output.faults[0].sentence)
    assert not rig.call("prepare")[0]
    # Latched, and held: the same targets over and over.
    rig.spoil = lambda joints, imu: None
    rig.spin(0.3)
    assert rig.states[-1] == "fault"
    held = rig.received[-1].position
    rig.spin(0.3)
    assert rig.received[-1].position == held
    rig.until(lambda: rig.call("reset")[0])
    rig.state("idle")
    count = len(rig.received)
    rig.spin(0.3)
    assert len(rig.received) <= count + 1


def _faulty(make, state: str) -> Any:
    """A bridge that was brought to a state, and in a fault since a joint says NaN."""
    rig = make()
    rig.start()
    rig.bring(state)
    rig.spoil = _nan
    rig.state("fault")
    return rig


def test_activation_sends_nothing_not_even_what_a_fault_held(make):
    from rclpy.lifecycle import TransitionCallbackReturn

    rig = _faulty(make, "ready")
    rig.spoil = lambda joints, imu: None
    assert rig.bridge.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    rig.spin(0.3)
    count = len(rig.received)
    rig.states.clear()
    assert rig.bridge.trigger_activate() == TransitionCallbackReturn.SUCCESS
    rig.state("fault")
    rig.spin(0.5)
    assert len(rig.received) == count and not rig.bridge.output.publish
    rig.until(lambda: rig.call("reset")[0])
    rig.state("idle")
    assert len(rig.received) == count


def test_what_was_asked_for_does_not_outlive_the_activation(make):
    from rclpy.lifecycle import TransitionCallbackReturn

    from legged_skills.sim2real.deploy.states import Event

    rig = make()
    rig.start()
    rig.bridge.request(Event.PREPARE)
    if rig.bridge.trigger_deactivate() == TransitionCallbackReturn.FAILURE:
        pytest.skip("the loop was faster than the test")
    rig.spin(0.2)
    count = len(rig.received)
    assert rig.bridge.trigger_activate() == TransitionCallbackReturn.SUCCESS
    rig.spin(0.5)
    assert rig.bridge.output.state.value in ("idle", "fault")
    assert len(rig.received) == count


def test_driver_that_fails_is_a_fault_and_the_loop_goes_on(make, monkeypatch):
    rig = make()
    rig.start()
    rig.bring("policy")

    def broken(values):
        raise RuntimeError("no wire")

    monkeypatch.setattr(rig.bridge._parts.driver, "send", broken)
    rig.state("fault")
    sentence = "the program failed (RuntimeError('no wire'))."
    rig.until(lambda: rig.notices[-1] == sentence)
    assert rig.bridge.active
    assert rig.call("reset") == (False, f"reset is refused: {sentence}")
    monkeypatch.undo()
    rig.until(lambda: rig.call("reset")[0])
    rig.state("idle")


def test_loop_that_dies_is_told(make, monkeypatch):
    from rclpy.lifecycle import TransitionCallbackReturn

    rig = make()
    rig.start()
    rig.bring("policy")

    def dead(parts, now_s):
        raise SystemExit

    monkeypatch.setattr(rig.bridge, "_step", dead)
    rig.state("fault")
    assert rig.bridge.output.faults[0].sentence == "the control loop has ended (SystemExit())."
    assert rig.call("enable") == (False, "enable is refused: the bridge is not active.")
    monkeypatch.undo()
    # It can begin again, but not where it was.
    assert rig.bridge.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    count = len(rig.received)
    assert rig.bridge.trigger_activate() == TransitionCallbackReturn.SUCCESS
    rig.until(lambda: rig.bridge.output)
    rig.spin(0.3)
    assert rig.bridge.output.state.value == "fault" and len(rig.received) == count


class _Hang:
    """Something that does not return before ``gate`` is opened, once it was told to hang."""

    def __init__(self, does: Callable[..., Any]) -> None:
        self._does, self.hangs = does, False
        self.begun, self.gate = threading.Event(), threading.Event()

    def __call__(self, *args: Any) -> Any:
        if self.hangs:
            self.begun.set()
            self.gate.wait(120.0)
        return self._does(*args)


@pytest.fixture
def hang(monkeypatch) -> Any:
    """Makes a method of an object hang; in the end it does not any more."""
    made: list[_Hang] = []

    def make(owner: object, name: str) -> _Hang:
        made.append(_Hang(getattr(owner, name)))
        monkeypatch.setattr(owner, name, made[-1])
        made[-1].hangs = True
        assert made[-1].begun.wait(60.0)
        return made[-1]

    monkeypatch.setattr("legged_skills.sim2real.deploy.loop.STOP_WITHIN_S", 0.3)
    yield make
    for one in made:
        one.gate.set()


def test_loop_that_hangs_is_not_deactivated(make, hang, capfd):
    from rclpy.lifecycle import TransitionCallbackReturn

    rig = make()
    rig.start()
    rig.state("idle")
    # As long as nothing moves, that a step is late is told by nobody else.
    hung = hang(rig.bridge._parts.driver, "take")
    assert rig.bridge.trigger_deactivate() == TransitionCallbackReturn.FAILURE
    said = capfd.readouterr().err
    assert "the control loop hangs, and does not end: nothing is sent." in said
    assert "not deactivated: the control loop hangs." in said
    assert rig.bridge._parts.loop.running and not rig.bridge.active
    assert rig.call("prepare") == (False, "prepare is refused: the bridge is not active.")
    rig.state("fault")
    rig.until(lambda: "the control loop has hung for " in rig.notices[-1])
    hung.hangs = False
    hung.gate.set()
    rig.until(lambda: not rig.bridge._parts.loop.running)
    assert rig.bridge.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    assert rig.bridge.trigger_activate() == TransitionCallbackReturn.SUCCESS
    # Once it is not late any more.
    rig.until(lambda: rig.bridge.output is not None and not rig.bridge.output.faults)
    rig.bring("ready")
    rig.until(lambda: len(rig.received) > 10)


def test_step_that_hangs_while_it_sends_sends_nothing_when_it_comes_late(make, hang):
    from rclpy.lifecycle import TransitionCallbackReturn

    # After a fault the last target is sent over and over.
    rig = _faulty(make, "ready")
    hung = hang(rig.bridge._parts.driver.joints, "to_robot")
    rig.spin(0.3)
    count, published = len(rig.received), rig.bridge._parts.driver.published
    assert rig.bridge.trigger_deactivate() == TransitionCallbackReturn.FAILURE
    hung.hangs = False
    hung.gate.set()
    rig.until(lambda: not rig.bridge._parts.loop.running)
    rig.spin(0.3)
    assert len(rig.received) == count and rig.bridge._parts.driver.published == published


@pytest.mark.parametrize("where", ["take", "publish"])
def test_all_is_ended_though_a_step_hangs(make, hang, tmp_path, where):
    from legged_skills.sim2real.deploy.recorded_run import read_run

    rig = make(log=str(tmp_path / "run"), figures=str(tmp_path / "figures.json"))
    rig.start()
    rig.bring("policy")
    parts = rig.bridge._parts
    hung = hang(parts.driver, where)
    rig.bridge.trigger_shutdown()
    rig.spin(0.3)
    count, states = len(rig.received), list(rig.states)
    assert len(read_run(tmp_path / "run")) > 10
    assert json.loads((tmp_path / "figures.json").read_text())["steps"] > 10
    assert rig.bridge.output is None
    hung.gate.set()
    rig.until(lambda: not parts.loop.running)
    rig.spin(0.3)
    # The step that has come late has neither moved nor told anything.
    assert len(rig.received) == count and rig.states == states
    assert rig.bridge.output is None


def test_step_that_hangs_is_told_though_the_driver_fails_too(make, hang, monkeypatch, capfd):
    def refresh() -> None:
        raise ValueError("no such servo")

    rig = make()
    rig.start()
    rig.bring("policy")
    parts = rig.bridge._parts
    # While it decides, when nobody else may.
    hang(parts.controller, "tick")
    monkeypatch.setattr(parts.driver, "refresh", refresh)
    rig.state("fault")
    rig.until(lambda: "the control loop has hung for " in rig.notices[-1])
    assert "the driver failed (ValueError('no such servo'))." in capfd.readouterr().err
    count = len(rig.received)
    rig.spin(0.3)
    assert len(rig.received) == count


def test_what_a_step_that_hung_wanted_is_not_sent_when_it_comes_back(make, hang, capfd):
    rig = make()
    rig.start()
    rig.bring("policy")
    parts = rig.bridge._parts
    hung = hang(parts.controller.runtime, "step")
    rig.state("fault")
    rig.until(lambda: "the control loop has hung for " in rig.notices[-1])
    rig.spin(0.3)
    count, states = len(rig.received), len(rig.states)
    held = parts.controller.joint_targets.copy()
    # It comes back with something else in mind.
    hung._does = lambda: np.tile(parts.controller.spec.default_joint_pos + 0.4, (1, 1))
    hung.hangs = False
    hung.gate.set()
    rig.until(lambda: len(rig.received) > count + 5)
    sent = rig.received[-1]
    names = list(rig.spec.joint_names)
    angles = [sent.position[sent.name.index(name)] for name in names]
    np.testing.assert_allclose(angles, held)
    for message in rig.received[count:]:
        np.testing.assert_array_equal(message.position, sent.position)
    assert rig.states[states:] == [] and rig.bridge.output.state.value == "fault"
    assert capfd.readouterr().err.count("the control loop has hung for ") == 1


def test_a_latched_fault_outlives_being_configured_anew(make):
    from rclpy.lifecycle import TransitionCallbackReturn

    rig = _faulty(make, "policy")
    rig.spoil = lambda joints, imu: None
    notice = rig.until(lambda: rig.notices[-1])
    assert rig.bridge.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    # What was still held arrives.
    rig.spin(0.3)
    count = len(rig.received)
    for change in ("cleanup", "configure", "activate"):
        assert getattr(rig.bridge, f"trigger_{change}")() == TransitionCallbackReturn.SUCCESS
    rig.until(lambda: rig.bridge.output is not None)
    rig.spin(0.5)
    assert rig.states[-1] == "fault" and rig.notices[-1] == notice
    assert not rig.call("prepare")[0] and len(rig.received) == count
    rig.until(lambda: rig.call("reset")[0])
    rig.state("idle")
    for change in ("deactivate", "cleanup", "configure", "activate"):
        assert getattr(rig.bridge, f"trigger_{change}")() == TransitionCallbackReturn.SUCCESS
    rig.until(lambda: rig.bridge.output is not None and not rig.bridge.output.faults)
    assert rig.states[-1] == "idle"
    rig.bring("ready")


def test_why_there_is_a_fault_is_logged_once(make, capfd):
    rig = _faulty(make, "ready")
    rig.until(lambda: rig.notices[-1])
    rig.spin(0.5)
    assert capfd.readouterr().err.count(f"fault: {rig.notices[-1]}") == 1


def test_muted_driver_sends_nothing(make):
    rig = make()
    rig.start()
    driver = rig.bridge._parts.driver
    driver.mute()
    driver.publish(rig.spec.default_joint_pos)
    rig.spin(0.3)
    assert rig.received == [] and driver.published == 0
    driver.mute(False)
    driver.publish(rig.spec.default_joint_pos)
    rig.until(lambda: len(rig.received) == 1)
    assert driver.published == 1


def test_driver_that_cannot_let_go_says_so_at_the_start(make, capfd):
    rig = make(fault_behaviour="damp")
    rig.start()
    words = "the drives cannot be told to let go: after a fault nothing is sent."
    assert words not in capfd.readouterr().err
    rig.bring("ready")
    assert words in capfd.readouterr().err


def test_callback_that_fails_is_a_fault(make, monkeypatch):
    rig = make()
    rig.start()
    rig.bring("ready")

    def broken(*args):
        raise IndexError("no such joint")

    monkeypatch.setattr(rig.bridge._parts.driver.joints, "read", broken)
    rig.state("fault")
    sentence = "a message on /joint_states could not be taken in (IndexError('no such joint'))."
    rig.until(lambda: rig.notices[-1] == sentence)


def test_targets_out_of_range_do_not_leave(make):
    rig = make()
    rig.start()
    driver, spec = rig.bridge._parts.driver, rig.spec
    for value in (np.nan, np.inf, spec.joint_upper[4] + 1e-3, spec.joint_lower[4] - 1e-3):
        targets = spec.default_joint_pos.copy()
        targets[4] = value
        with pytest.raises(SettingsError, match=f"joint target of {spec.joint_names[4]} is no"):
            driver.publish(targets)
    rig.spin(0.3)
    assert rig.received == [] and driver.published == 0


def test_second_publisher_is_found_on_a_remapped_topic(ros):
    import time

    import rclpy
    from sensor_msgs.msg import JointState

    from legged_skills.sim2real.ros.bridge_config import bridge_config_of
    from legged_skills.sim2real.ros.drivers import make as make_driver

    for robot, topic in (("anymal_c", COMMANDS), ("op3", "/robotis/set_joint_states")):
        node = rclpy.create_node("remapped", cli_args=["--ros-args", "-r", f"{topic}:=/elsewhere"])
        driver = make_driver(node, robots.get(robot), bridge_config_of(robot))
        try:
            assert driver.command_topic == "/elsewhere"
            driver.refresh()
            assert driver._live.others == 0
            other = rclpy.create_node("other")
            other.create_publisher(JointState, "/elsewhere", 1)
            end = time.monotonic() + 30.0
            while driver._live.others != 1 and time.monotonic() < end:
                time.sleep(0.05)
                driver.refresh()
            assert driver._live.others == 1
            other.destroy_node()
        finally:
            driver.close()
            node.destroy_node()


def test_silence_is_a_fault(make):
    rig = make()
    rig.start()
    rig.bring("ready")
    rig.silent = True
    rig.state("fault")
    codes = {fault.code.value for fault in rig.bridge.output.faults}
    assert codes <= {"stale_joints", "stale_imu"} and codes


def test_second_publisher_silences_the_bridge(make):
    from sensor_msgs.msg import JointState

    rig = make()
    rig.start()
    rig.bring("policy")
    other = rig.node.create_publisher(JointState, COMMANDS, 1)
    rig.state("fault")
    assert rig.bridge.output.faults[0].code.value == "other_publisher"
    rig.spin(0.2)
    count = len(rig.received)
    rig.spin(0.5)
    assert len(rig.received) == count
    assert "others publish joint targets" in rig.call("reset")[1]
    rig.node.destroy_publisher(other)
    rig.until(lambda: rig.call("reset")[0])
    rig.state("idle")


def test_nothing_starts_while_there_is_another_bridge(make):
    from std_msgs.msg import String

    rig = make()
    rig.start()
    other = rig.node.create_publisher(String, "/policy_bridge/state", 1)
    rig.until(lambda: rig.bridge.count_publishers("/policy_bridge/state") == 2)
    # It is asked by the same request, and may be the one that moves a robot.
    accepted, sentence = rig.call("prepare")
    assert not accepted and "another policy_bridge is there" in sentence
    rig.node.destroy_publisher(other)
    rig.until(lambda: rig.bridge.count_publishers("/policy_bridge/state") == 1)
    rig.bring("ready")


def test_without_a_listener_nothing_starts(make):
    rig = make(listen=False)
    from rclpy.lifecycle import TransitionCallbackReturn

    assert rig.bridge.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert rig.bridge.trigger_activate() == TransitionCallbackReturn.SUCCESS
    rig.until(
        lambda: (
            rig.bridge.output
            and [fault.code.value for fault in rig.bridge.output.faults] == ["other_owner"]
        )
    )
    accepted, sentence = rig.call("prepare")
    assert not accepted and f"nobody listens on {COMMANDS}" in sentence


def test_dry_run_publishes_nothing(make):
    rig = make(dry_run=True)
    rig.start()
    assert rig.node.count_publishers(COMMANDS) == 0
    rig.bring("policy")
    rig.spin(0.5)
    assert rig.received == []
    assert rig.bridge.output.state.value == "policy"


def test_forward_commands_are_in_the_controllers_order(make):
    from std_msgs.msg import Float64MultiArray

    names = robots.get("anymal_c").joint_names
    # Not its own inverse, as the reverse is.
    order = names[3:] + names[:3]
    index = [names.index(name) for name in order]
    rig = make(command_mode="forward_position", forward_joints=order)
    heard = []

    def take(message):
        heard.append(list(message.data))
        rig.joint_pos[index] = message.data

    rig.node.create_subscription(Float64MultiArray, FORWARD, take, 10)
    rig.start()
    rig.bring("ready")
    rig.until(lambda: heard and np.allclose(heard[-1], rig.spec.default_joint_pos[index]))
    assert rig.received == []


@pytest.mark.parametrize("robot", ["anymal_c", "op3"])
def test_drivers_turn_signs_and_offsets_of_joints(ros, monkeypatch, robot):
    import rclpy
    from sensor_msgs.msg import JointState

    from legged_skills.sim2real.deploy.parameters import replaced
    from legged_skills.sim2real.deploy.snapshot import SensorSnapshot
    from legged_skills.sim2real.ros.bridge_config import bridge_config_of
    from legged_skills.sim2real.ros.drivers import make as make_driver

    spec, config = robots.get(robot), bridge_config_of(robot)
    count = spec.num_joints
    config = replaced(config, {"joint_signs": [-1.0] * count, "joint_offsets_rad": [0.3] * count})
    node = rclpy.create_node("mirrored")
    driver: Any = make_driver(node, spec, config)
    try:
        sent, pose = [], spec.default_joint_pos
        monkeypatch.setattr(driver, "send", sent.append)
        driver.publish(pose)
        np.testing.assert_allclose(sent[0], 0.3 - pose)
        message = JointState(name=list(config.joint_names), position=(0.3 - pose).tolist())
        driver.hear_joints(message)
        into = SensorSnapshot(count)
        driver.take(into)
        np.testing.assert_allclose(into.joint_pos, pose)
        if robot == "op3":
            driver._hear_goal(message)
            np.testing.assert_allclose(driver._goal.joint_pos, pose)
    finally:
        driver.close()
        node.destroy_node()


def test_an_imu_that_says_it_knows_no_orientation_is_not_taken_for_upright(make):
    rig = make()

    def unknown(joints, imu):
        imu.orientation.w, imu.orientation.z = 1.0, 0.0
        imu.orientation_covariance[0] = -1.0

    rig.spoil = unknown
    rig.bridge.trigger_configure()
    rig.bridge.trigger_activate()
    rig.until(lambda: rig.bridge.output is not None and rig.bridge._parts.driver.imu_messages > 3)
    rig.spin(0.3)
    accepted, sentence = rig.call("prepare")
    assert not accepted and "no rotation" in sentence


@pytest.mark.parametrize("what", ["angular_velocity", "linear_acceleration"])
@pytest.mark.parametrize("attitude", ["filter", "robot"])
def test_an_imu_without_a_part_is_not_taken_for_one_that_says_zero(make, what, attitude):
    rig = make(attitude=attitude)

    def without(joints, imu):
        getattr(imu, f"{what}_covariance")[0] = -1.0

    rig.spoil = without
    rig.bridge.trigger_configure()
    rig.bridge.trigger_activate()
    rig.until(lambda: rig.bridge.output is not None and rig.bridge._parts.driver.imu_messages > 3)
    rig.spin(0.3)
    accepted, sentence = rig.call("prepare")
    # Who is told where up is needs no accelerometer.
    if what == "linear_acceleration" and attitude == "robot":
        assert accepted
    else:
        assert not accepted and "no numbers" in sentence


@pytest.mark.parametrize("stamped", [True, False])
def test_velocity_commands(make, stamped):
    from geometry_msgs.msg import Twist, TwistStamped

    rig = make(cmd_vel_stamped=stamped)
    kind: Any = TwistStamped if stamped else Twist
    publisher = rig.node.create_publisher(kind, "/cmd_vel", 1)
    rig.start()
    rig.bring("policy")
    message = kind()
    twist = message.twist if stamped else message
    twist.linear.x, twist.linear.y, twist.angular.z = 0.3, -0.1, 0.2
    command = rig.bridge._parts.controller.runtime.command

    def commanded():
        publisher.publish(message)
        # The output is that of a step, which comes after the command has been taken over.
        return np.allclose(command[0], [0.3, -0.1, 0.2]) and rig.bridge.output.commanded

    rig.until(commanded)
    assert rig.bridge.output.commanded


def test_joystick(make):
    from sensor_msgs.msg import Joy

    rig = make()
    publisher = rig.node.create_publisher(Joy, "/joy", 1)
    rig.start()
    rig.bring("policy")
    header = rig.bridge._parts.bundle.header
    command = rig.bridge._parts.controller.runtime.command
    message = Joy(axes=[0.0, 1.0, 0.0, 0.5], buttons=[0, 0, 0, 0, 1])

    def commanded(expected):
        publisher.publish(message)
        return np.allclose(command[0], expected, atol=1e-6)

    rig.until(lambda: commanded([header.command[0].high, 0.0, 0.5 * header.command[2].high]))
    message.buttons = [0, 0, 0, 0, 0]
    rig.until(lambda: commanded([0.0, 0.0, 0.0]))


def test_a_stick_that_fell_silent_with_its_button_held_is_forgotten_when_a_policy_is_started(make):
    from geometry_msgs.msg import Twist
    from sensor_msgs.msg import Joy

    rig = make(cmd_vel_stamped=False)
    stick = rig.node.create_publisher(Joy, "/joy", 1)
    other = rig.node.create_publisher(Twist, "/cmd_vel", 1)
    rig.start()
    rig.bring("ready")
    velocity = rig.bridge._parts.listeners._intake
    message = Joy(axes=[0.0, 1.0, 0.0, 0.5], buttons=[0, 0, 0, 0, 1])
    rig.until(lambda: stick.publish(message) or velocity._held)
    assert rig.call("enable")[0]
    rig.state("policy")
    command, told = rig.bridge._parts.controller.runtime.command, Twist()
    told.linear.x = 0.2
    rig.until(lambda: other.publish(told) or np.allclose(command[0], [0.2, 0.0, 0.0], atol=1e-6))


@pytest.mark.parametrize("dry_run", [False, True])
def test_diagnostics(make, dry_run):
    from diagnostic_msgs.msg import DiagnosticArray

    rig = make(dry_run=dry_run)
    heard = []
    rig.node.create_subscription(DiagnosticArray, "/diagnostics", heard.append, 10)
    rig.start()
    rig.bring("ready")
    rig.until(lambda: heard and heard[-1].status[0].message == "ready")
    values = {
        status.name.removeprefix("policy_bridge: "): {v.key: v.value for v in status.values}
        for status in heard[-1].status
    }
    assert values.keys() == {"state", "sensors", "loop", "command", "policy"}
    assert values["policy"]["sha256"] == rig.bridge._parts.bundle.sha256
    assert values["state"]["publishing"] == ("false" if dry_run else "true")
    assert float(values["sensors"]["joint_states_hz"]) > 1.0
    assert 0.0 <= float(values["sensors"]["imu_age_s"]) < 1.0
    assert values["loop"]["limited_steps"] == "0"
    assert values["command"]["topic"] == "/cmd_vel (TwistStamped)"
    assert all(status.hardware_id == "anymal_c" for status in heard[-1].status)
    rig.spoil = _nan
    rig.until(lambda: heard[-1].status[0].level == b"\x02")
    assert "is nan" in heard[-1].status[0].message


def test_limited_steps_and_a_silent_imu_are_reported(make):
    from types import SimpleNamespace

    rig = make()
    rig.start()
    parts = rig.bridge._parts
    report = parts.report

    def values() -> dict[str, str]:
        message = report.message(rig.bridge.output, parts.sensors, parts.command, {})
        return {v.key: v.value for status in message.status for v in status.values}

    for limited in (True, False, True, True):
        report.count(SimpleNamespace(limited=limited))
    # Of the steps since the report before.
    assert values()["limited_steps"] == "3"
    assert values()["limited_steps"] == "0"
    rig.silent = True
    rig.spin(0.6)
    age_s = float(values()["imu_age_s"])
    assert 0.4 < age_s < 30.0
    parts.controller.watch.attitude.time_s = -np.inf
    assert values()["imu_age_s"] == "unknown"


@pytest.mark.parametrize("name", ["", "none"])
def test_without_a_name_there_is_no_log(make, monkeypatch, tmp_path, name):
    monkeypatch.chdir(tmp_path)
    rig = make(log=name)
    rig.start()
    assert rig.bridge._parts.log is None
    rig.bridge.trigger_shutdown()
    assert list(tmp_path.iterdir()) == []


def test_parameters_describe_themselves(make):
    from legged_skills.sim2real.deploy.parameters import parameters

    bridge = make().bridge
    names = [p.name for p in (*parameters(bridge.config), *parameters(bridge.deploy))]
    assert len(names) > 40
    for name in names:
        descriptor = bridge.describe_parameter(name)
        assert descriptor.description.endswith(".") and descriptor.read_only, name
    tilt = bridge.describe_parameter("tilt_limit_deg")
    assert tilt.description.endswith("vertical [degrees].")
    ends = tilt.floating_point_range[0]
    assert (ends.from_value, ends.to_value) == (5.0, 180.0)
    assert bridge.describe_parameter("driver").additional_constraints == (
        "One of: op3, ros2_control."
    )
    result = bridge.set_parameters([_parameter("tilt_limit_deg", 90.0)])[0]
    assert not result.successful


def _parameter(name: str, value: Any) -> Any:
    from rclpy.parameter import Parameter

    return Parameter(name, value=value)


def test_parameters_out_of_range_are_refused(make_rig):
    with pytest.raises(SettingsError, match="tilt_limit_deg is 300"):
        make_rig("anymal_c", tilt_limit_deg=300.0)


def test_what_is_forced_holds_whatever_the_process_was_told(ros):
    from legged_skills.sim2real.ros.bridge import BridgeNode

    node = BridgeNode("op3", [_parameter("dry_run", True)], dry_run=False)
    try:
        assert node.config.dry_run and node.get_parameter("dry_run").value is True
    finally:
        node.destroy_node()


def test_parameters_of_a_file_are_checked(ros):
    import rclpy
    from rclpy.context import Context

    from legged_skills.sim2real.deploy.config import config_of
    from legged_skills.sim2real.ros.node_parameters import declare

    for value, words in (("300.0", "tilt_limit_deg"), ("steep", "tilt_limit_deg"), ("60.0", "")):
        context = Context()
        rclpy.init(context=context, args=["--ros-args", "-p", f"tilt_limit_deg:={value}"])
        node = rclpy.create_node("settings", context=context)
        try:
            if words:
                with pytest.raises(SettingsError, match=f"the parameter {words} cannot be used"):
                    declare(node, config_of("anymal_c"), ["robot"])
            else:
                assert declare(node, config_of("anymal_c"), ["robot"]).tilt_limit_deg == 60.0
        finally:
            node.destroy_node()
            rclpy.shutdown(context=context)
