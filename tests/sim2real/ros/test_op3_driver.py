"""The bridge with OP3's driver, over real DDS, with a manager of a few lines."""

import importlib.util
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from legged_skills.sim2real.deploy.states import Event
from legged_skills.sim2real.ros.topics import Op3, Op3StandIn
from legged_skills.sim2real.twin.twin import Twin, TwinConfig

pytest.importorskip("rclpy")
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("robotis_controller_msgs") is not None,
    reason="robotis_controller_msgs is installed: this is about the stand-in",
)


class Manager:
    """What the robot's manager says and takes, over the stand-in on standard types."""

    def __init__(self, rig: Any) -> None:
        from rclpy.qos import QoSProfile
        from sensor_msgs.msg import JointState
        from std_msgs.msg import String
        from std_srvs.srv import Trigger

        self.rig = rig
        self.modules = dict.fromkeys(rig.spec.joint_names, "base_module")
        self.goal = rig.joint_pos.copy()
        self.frees = True
        self.items: list[dict[str, Any]] = []
        self.heard: list[str] = []
        node, qos = rig.node, QoSProfile(depth=10)
        self._goal = node.create_publisher(JointState, Op3.GOAL_JOINT_STATES, qos)
        self.status = node.create_publisher(String, Op3StandIn.STATUS, qos)
        self.changes = node.create_publisher(String, Op3StandIn.PRESENT_JOINT_CTRL_MODULES, qos)
        self.button = node.create_publisher(String, Op3.BUTTON, qos)
        node.create_service(Trigger, Op3StandIn.GET_MODULES_SERVICE, self._tell)
        node.create_subscription(String, Op3.ENABLE_CTRL_MODULE, self._enable, qos)
        self.takes_items = node.create_subscription(
            String, Op3StandIn.SYNC_WRITE_ITEM, self._item, qos
        )
        node.create_subscription(JointState, Op3.SET_JOINT_STATES, self._targets, qos)
        node.create_timer(0.02, self._tell_goal)
        rig.robot(Op3.PRESENT_JOINT_STATES, Op3.IMU)

    def _tell(self, _: Any, response: Any) -> Any:
        response.success, response.message = True, json.dumps(self.modules)
        return response

    def _enable(self, message: Any) -> None:
        if self.frees:
            self.modules = dict.fromkeys(self.modules, message.data)

    def _item(self, message: Any) -> None:
        self.items.append(json.loads(message.data))
        self.heard.append(f"{self.items[-1]['item_name']} {self.items[-1]['value'][0]}")

    def _targets(self, message: Any) -> None:
        self.heard.append("targets")
        if set(self.modules.values()) == {"none"}:
            self.rig.take(message)

    def _tell_goal(self) -> None:
        from sensor_msgs.msg import JointState

        names = list(self.rig.spec.joint_names)
        self._goal.publish(JointState(name=names, position=self.goal.tolist()))

    def say(self, publisher: Any, text: str) -> None:
        from std_msgs.msg import String

        publisher.publish(String(data=text))


@pytest.fixture
def make(make_rig: Callable) -> Callable[..., tuple[Any, Manager]]:
    """A rig of an OP3, active, and its manager."""

    def make(**overrides: Any) -> tuple[Any, Manager]:
        from rclpy.lifecycle import TransitionCallbackReturn

        rig = make_rig("op3", **overrides)
        manager = Manager(rig)
        assert rig.bridge.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert rig.bridge.trigger_activate() == TransitionCallbackReturn.SUCCESS

        def known() -> bool:
            output = rig.bridge.output
            faults = [] if output is None else [fault.sentence for fault in output.faults]
            return output is not None and (
                not faults or ("is moved by base_module" in faults[0] and len(faults) == 1)
            )

        rig.until(known)
        return rig, manager

    return make


def test_joints_are_freed_before_they_are_moved(make):
    rig, manager = make()
    assert set(manager.modules.values()) == {"base_module"}
    start = rig.joint_pos.copy()
    rig.bring("policy")
    assert set(manager.modules.values()) == {"none"}
    first = rig.received[0]
    order = [rig.spec.joint_names.index(name) for name in first.name]
    np.testing.assert_array_equal(first.position, start[order])
    # Servos without torque have it where they are, and before anything moves.
    assert manager.heard[:5] == ["targets", *["torque_enable 1"] * 3, "targets"]
    assert sorted(manager.items[0]["joint_name"]) == sorted(rig.spec.joint_names)
    assert manager.items[0]["value"] == [1] * 20 and len(manager.items) == 3
    assert rig.call("stop")[0]
    rig.state("idle")


def test_goals_come_some_cycles_before_torque(make, monkeypatch):
    rig, _ = make(position_p_gain=640)
    driver, sent = rig.bridge._parts.driver, []
    send = driver.send

    def note_targets(values: np.ndarray) -> None:
        sent.append((time.monotonic(), "targets"))
        send(values)

    def note_item(item: str, values: list[int]) -> None:
        sent.append((time.monotonic(), f"{item} {values[0]}"))

    monkeypatch.setattr(driver, "send", note_targets)
    monkeypatch.setattr(driver._modules, "write_item", note_item)
    # However soon somebody looks for what waits.
    assert driver._stay() == ""
    driver._write_next()
    assert [what for _, what in sent] == ["targets"]
    driver.call_off()
    sent.clear()
    rig.bring("ready")
    expected = ["targets", *["torque_enable 1"] * 3, "position_p_gain 640", "targets"]
    assert [what for _, what in sent[:6]] == expected
    # Of the bus's cycles, which have 8 ms.
    assert np.diff([when for when, _ in sent[:5]]).min() >= 0.05


def test_joints_beyond_their_range_are_told_its_end(make):
    rig, manager = make()
    rig.joint_pos[4] = rig.spec.joint_upper[4] + 0.1
    manager.goal = rig.joint_pos.copy()
    rig.spin(0.3)
    accepted, sentence = rig.call("prepare")
    assert accepted, sentence
    first = rig.received[0]
    assert first.position[first.name.index(rig.spec.joint_names[4])] == rig.spec.joint_upper[4]


def test_without_fresh_angles_there_is_no_torque(make, monkeypatch):
    from legged_skills.sim2real.ros.drivers import op3

    rig, manager = make()
    manager.modules = dict.fromkeys(manager.modules, "none")
    rig.until(lambda: not rig.bridge.output.faults)
    monkeypatch.setattr(op3, "_FRESH_S", -1.0)
    sentence = "prepare is refused: the joints' angles are not known."
    assert rig.call("prepare") == (False, sentence)
    rig.spin(0.5)
    assert manager.heard == []


def _ask(rig: Any, name: str) -> Any:
    """Asks the bridge, and does not wait for the answer."""
    from std_srvs.srv import Trigger

    client = rig.node.create_client(Trigger, f"/policy_bridge/{name}")
    rig.until(client.service_is_ready)
    return client.call_async(Trigger.Request())


def test_letting_go_wins_over_a_start(make):
    rig, manager = make()
    driver, future = rig.bridge._parts.driver, _ask(rig, "prepare")
    rig.until(lambda: "torque_enable 1" in manager.heard)
    assert driver.damp()
    rig.until(future.done)
    sentence = "prepare is refused: the drives were told to let go meanwhile."
    assert future.result().message == sentence
    rig.until(lambda: manager.heard[-3:] == ["torque_enable 0"] * 3)
    rig.spin(0.4)
    assert manager.heard[-3:] == ["torque_enable 0"] * 3 and rig.states[-1] == "idle"
    # What was sent is known, and not taken for another's.
    assert manager.heard.count("targets") == driver.published == 1
    assert rig.bridge._parts.sensors.others == 0


def test_stop_while_torque_is_switched_on_calls_off_the_rest(make):
    rig, manager = make()
    future = _ask(rig, "prepare")
    rig.until(lambda: "torque_enable 1" in manager.heard)
    rig.bridge.request(Event.STOP)
    rig.until(future.done)
    assert future.result().message == "prepare is refused: it was called off meanwhile."
    rig.spin(0.4)
    assert manager.heard in (["targets", "torque_enable 1"], ["targets", *["torque_enable 1"] * 2])
    assert rig.states[-1] == "idle"


@pytest.mark.parametrize("listens", [True, False])
def test_who_cannot_be_told_to_let_go_is_warned_of_at_the_start(make, capfd, listens):
    rig, manager = make(fault_behaviour="damp")
    if not listens:
        rig.node.destroy_subscription(manager.takes_items)
        rig.until(lambda: not rig.bridge._parts.driver._modules.listened)
    warnings = ("the drives cannot be told to let go", "nobody takes items of the servos")
    said = capfd.readouterr().err
    assert not any(words in said for words in warnings)
    rig.bring("ready")
    said = capfd.readouterr().err
    assert [words in said for words in warnings] == [not listens] * 2


def test_module_that_is_not_given_up_refuses_the_start(make):
    rig, manager = make()
    manager.frees = False
    accepted, sentence = rig.call("prepare")
    assert not accepted
    assert sentence == "prepare is refused: head_pan is moved by base_module, expected none."
    assert rig.received == [] and rig.states[-1] == "idle"


@pytest.mark.parametrize("check_ownership", [True, False])
def test_goal_far_from_the_joints_refuses_to_free_them(make, check_ownership):
    rig, manager = make(check_ownership=check_ownership)
    manager.goal[5] += 0.5
    rig.spin(0.5)
    accepted, sentence = rig.call("prepare")
    assert not accepted
    assert "freeing the joints would move r_sho_pitch by 0.50 rad at once" in sentence
    assert set(manager.modules.values()) == {"base_module"}
    # Nor is torque given, which would move them as far.
    assert "torque_enable 1" not in manager.heard


def test_module_that_takes_over_is_a_fault_and_silences(make):
    rig, manager = make()
    rig.bring("policy")
    manager.modules["l_knee"] = "walking_module"
    fields = {"joint_name": ["l_knee"], "module_name": ["walking_module"]}
    manager.say(manager.changes, json.dumps(fields))
    rig.state("fault")
    fault = rig.bridge.output.faults[0]
    assert fault.code.value == "other_owner"
    assert fault.sentence == "l_knee is moved by walking_module, expected none."
    assert not rig.bridge.output.publish
    published = rig.bridge._parts.driver.published
    rig.spin(0.5)
    assert rig.bridge._parts.driver.published == published


def test_module_that_takes_over_quietly_is_found_by_asking(make):
    rig, manager = make()
    rig.bring("ready")
    manager.modules["head_tilt"] = "head_control_module"
    rig.state("fault")
    assert "head_tilt is moved by head_control_module" in rig.bridge.output.faults[0].sentence


def test_robots_own_use_of_a_long_press_is_a_take_over(make):
    rig, manager = make()
    rig.bring("ready")
    # This manager goes on saying that all is free, which an answer may say before anybody looks.
    for _ in range(5):
        manager.say(manager.button, "user_long")
        rig.spin(0.1)
    rig.state("fault")
    assert rig.bridge.output.faults[0].code.value == "other_owner"


@pytest.mark.parametrize("name", ["start", "start_long"])
def test_button_stops(make, name):
    rig, manager = make()
    rig.bring("policy")
    for other in ("mode", "mode_long", "user"):
        manager.say(manager.button, other)
    rig.spin(0.3)
    assert rig.states[-1] == "policy"
    manager.say(manager.button, name)
    rig.state("idle")
    assert "stopping" in rig.states and "fault" not in rig.states


def test_a_long_press_that_takes_over_may_stop_too(make):
    rig, manager = make(stop_button="user")
    stopped: list[str] = []
    rig.bridge._parts.driver.on_button = stopped.append
    rig.bring("ready")
    manager.say(manager.button, "user_long")
    rig.until(lambda: stopped == ["user_long"])
    assert rig.bridge._parts.driver._live.owner == "head_pan is moved by the robot's manager, " + (
        "expected none."
    )


def test_battery_is_read_from_its_text(make):
    rig, manager = make()
    manager.say(manager.status, json.dumps({"status_msg": "Present Volt : 10.7V"}))
    rig.until(lambda: rig.bridge.output.warnings)
    (warning,) = rig.bridge.output.warnings
    assert warning.sentence == "the battery is at 10.7 V, expected at least 11 V."
    for text in ('{"status_msg": "Start Init Pose"}', "{", "[]", '{"other": 1}'):
        manager.say(manager.status, text)
    rig.spin(0.3)
    assert rig.bridge._parts.sensors.battery_v == 10.7


def test_others_targets_are_not_let_in(make):
    from sensor_msgs.msg import JointState

    rig, manager = make()
    other = rig.node.create_publisher(JointState, Op3.SET_JOINT_STATES, 1)
    rig.until(lambda: any("others" in f.sentence for f in rig.bridge.output.faults))
    accepted, sentence = rig.call("prepare")
    assert not accepted and "others publish joint targets" in sentence
    assert set(manager.modules.values()) == {"base_module"}
    rig.node.destroy_publisher(other)


def _start_that_waits(rig: Any, manager: Manager) -> Any:
    """Asks to prepare while the robot's modules do not give the joints up."""
    manager.frees = False
    future = _ask(rig, "prepare")
    rig.until(lambda: rig.bridge._parts.driver._waiting is not None)
    return future


def test_stop_calls_off_a_start_that_waits(make):
    rig, manager = make()
    future = _start_that_waits(rig, manager)
    assert rig.call("stop")[0]
    manager.modules = dict.fromkeys(manager.modules, "none")
    rig.until(future.done)
    assert not future.result().success
    assert future.result().message == "prepare is refused: it was called off meanwhile."
    rig.spin(0.3)
    assert rig.received == [] and rig.states[-1] == "idle"


def test_items_of_the_servos_are_apart(make, monkeypatch):
    rig, _ = make(position_p_gain=640)
    driver, written = rig.bridge._parts.driver, []
    monkeypatch.setattr(
        driver._modules, "write_item", lambda *item: written.append((time.monotonic(), item[0]))
    )
    driver._items.append(("position_p_gain", 640))
    driver._write_next()
    # What waits is dropped; torque is switched off soon, but not in the same cycle of the bus.
    driver._items.append(("position_p_gain", 640))
    assert driver.damp()
    assert len(written) == 1
    rig.until(lambda: len(written) == 4)
    rig.spin(0.3)
    assert [name for _, name in written] == ["position_p_gain", *["torque_enable"] * 3]
    assert np.diff([when for when, _ in written]).min() >= 0.05


def test_damping_switches_torque_off(make):
    rig, manager = make(fault_behaviour="damp")
    rig.bring("policy")
    manager.items.clear()
    rig.silent = True
    rig.state("fault")
    rig.until(lambda: len(manager.items) == 3)
    rig.spin(0.4)
    assert len(manager.items) == 3
    for item in manager.items:
        assert item["item_name"] == "torque_enable" and item["value"] == [0] * 20
        assert sorted(item["joint_name"]) == sorted(rig.spec.joint_names)
    count = len(rig.received)
    rig.spin(0.3)
    assert len(rig.received) == count


def test_torque_is_off_before_the_driver_is_closed(make):
    rig, manager = make(fault_behaviour="damp")
    rig.bring("policy")
    manager.heard.clear()
    rig.bridge.trigger_shutdown()
    rig.until(lambda: manager.heard.count("torque_enable 0") == 3)


def test_joints_that_shall_hold_are_held_when_the_driver_is_closed(make):
    rig, manager = make()
    rig.bring("policy")
    manager.heard.clear()
    rig.bridge.trigger_shutdown()
    rig.spin(0.5)
    assert "torque_enable 0" not in manager.heard


def test_a_step_that_hangs_lets_the_joints_go_if_that_is_wished(make, monkeypatch):
    rig, manager = make(fault_behaviour="damp")
    rig.bring("policy")
    manager.heard.clear()
    gate, controller = threading.Event(), rig.bridge._parts.controller
    tick = controller.tick

    def hang(*args: Any) -> Any:
        gate.wait(60.0)
        return tick(*args)

    monkeypatch.setattr(controller, "tick", hang)
    try:
        rig.state("fault")
        rig.until(lambda: manager.heard.count("torque_enable 0") == 3)
    finally:
        gate.set()


def test_cleanup_ends_a_start_that_waits(make):
    rig, manager = make()
    future = _start_that_waits(rig, manager)
    rig.bridge.trigger_deactivate()
    rig.bridge.trigger_cleanup()
    rig.until(future.done)
    assert not future.result().success


def test_gains_are_written_if_that_is_wished(make):
    rig, manager = make(position_p_gain=640)
    rig.bring("ready")
    assert [item["item_name"] for item in manager.items[:3]] == ["torque_enable"] * 3
    (gain,) = manager.items[3:]
    assert gain["item_name"] == "position_p_gain" and gain["value"] == [640] * 20


def test_dry_run_leaves_the_modules_alone(make):
    rig, manager = make(dry_run=True)
    rig.bring("policy")
    assert set(manager.modules.values()) == {"base_module"}
    assert rig.received == [] and manager.items == []
    assert rig.node.count_publishers(Op3.SET_JOINT_STATES) == 0


def test_without_an_answer_nothing_starts(make_rig):
    rig = make_rig("op3")
    rig.robot(Op3.PRESENT_JOINT_STATES, Op3.IMU)
    rig.bridge.trigger_configure()
    rig.bridge.trigger_activate()
    rig.until(
        lambda: (
            rig.bridge.output
            and [fault.code.value for fault in rig.bridge.output.faults] == ["other_owner"]
        )
    )
    accepted, sentence = rig.call("prepare")
    assert not accepted and "the modules of the joints are not known" in sentence
    assert Op3StandIn.GET_MODULES_SERVICE in sentence


class Wire:
    """A twin on the rig's thread; notes its goals at each item, and what it said it measured."""

    def __init__(self, rig: Any) -> None:
        from sensor_msgs.msg import JointState

        from legged_skills.sim2real.ros.twin_node import TwinNode

        self.node = TwinNode(Twin(TwinConfig(robot="op3", gap="none")))
        self.twin = self.node.twin
        assert self.twin.manager is not None
        self.manager = self.twin.manager
        self.items: list[tuple[int, np.ndarray]] = []
        self.measured: list[np.ndarray] = []
        write = self.manager.sync_write_item

        def note(item: str, names: Any, values: Any) -> None:
            assert item == "torque_enable"
            self.items.append((values[0], self.manager.goal.copy()))
            write(item, names, values)

        self.manager.sync_write_item = note  # pyright: ignore[reportAttributeAccessIssue]
        names = rig.spec.joint_names

        def hear(message: Any) -> None:
            said = dict(zip(message.name, message.position, strict=True))
            self.measured.append(np.array([said[name] for name in names]))

        rig.node.create_subscription(JointState, Op3.PRESENT_JOINT_STATES, hear, 10)
        # At half of its pace, which leaves the machine time for the bridge.
        self._timer = rig.node.create_timer(2.0 * self.twin.interface.cycle_s, self.node.cycle)

    def close(self) -> None:
        self._timer.cancel()
        self.node.close()


def test_twin_that_was_let_go_has_torque_again_where_it_is(make_rig):
    from rclpy.lifecycle import TransitionCallbackReturn

    # Limp, it may lie as it likes.
    rig = make_rig("op3", fault_behaviour="damp", tilt_limit_deg=180.0)
    wire, held = Wire(rig), rig.spec.default_joint_pos

    def ready() -> bool:
        # On a busy machine the loop may be late once, which is a fault too.
        if rig.states[-1] in ("idle", "fault"):
            rig.call("prepare" if rig.states[-1] == "idle" else "reset")
        return rig.states[-1] == "ready"

    try:
        assert rig.bridge.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert rig.bridge.trigger_activate() == TransitionCallbackReturn.SUCCESS
        rig.state("idle")
        rig.until(ready)
        wire.items.clear()
        wire.twin.inject("nan imu")
        rig.state("fault")
        rig.until(lambda: len(wire.items) == 3 and not wire.manager.torque.any())
        # Its joints give way, while their goals stay.
        rig.until(lambda: np.abs(wire.measured[-1] - held).max() > 0.2)
        np.testing.assert_allclose(wire.manager.goal, held, atol=0.01)
        wire.twin.inject("clear")
        rig.until(lambda: rig.call("reset")[0])
        wire.items.clear()
        wire.measured.clear()
        rig.spin(0.2)
        rig.until(lambda: rig.call("prepare")[0])
        assert len(wire.items) >= 3 and {value for value, _ in wire.items} == {1}
        goal = wire.items[0][1]
        limits = rig.spec.joint_lower, rig.spec.joint_upper
        # One of the poses that were measured, give or take a message.
        off = [np.abs(goal - np.clip(pose, *limits)).max() for pose in wire.measured]
        assert min(off) < 0.01 and np.abs(goal - held).max() > 0.2
        assert wire.manager.torque.all()
        rig.until(ready)
        assert np.abs(wire.measured[-1] - held).max() < 0.4
    finally:
        wire.close()
