import dataclasses
from pathlib import Path

import numpy as np
import pytest

from legged_skills.robots.errors import SettingsError
from legged_skills.robots.rotations import from_yaw
from legged_skills.sim2real.deploy.states import State
from legged_skills.sim2real.twin.twin import Twin, TwinConfig


def _clean(robot: str, **more: object) -> Twin:
    return Twin(dataclasses.replace(TwinConfig(robot=robot, gap="none"), **more))


def _cycles(twin: Twin, count: int):
    for _ in range(count - 1):
        twin.cycle()
    return twin.cycle()


def test_op3s_joint_states_are_alphabetical_without_velocities():
    twin = _clean("op3")
    sent = _cycles(twin, 40)
    (message,) = sent.joints
    assert message.names == tuple(sorted(twin.interface.spec.joint_names))
    assert message.names[:4] == ("head_pan", "head_tilt", "l_ank_pitch", "l_ank_roll")
    # It sits in its start pose: knee 142 degrees.
    position = dict(zip(message.names, message.position, strict=True))
    assert position["l_knee"] == pytest.approx(np.deg2rad(142), abs=0.06)
    assert position["r_knee"] == pytest.approx(np.deg2rad(-142), abs=0.06)
    np.testing.assert_array_equal(message.velocity, np.zeros(20))
    np.testing.assert_array_equal(message.effort, np.zeros(20))
    goal = dict(zip(twin.goal_states().names, twin.goal_states().position, strict=True))
    assert goal["l_knee"] == pytest.approx(np.deg2rad(142))


def test_anymals_joint_states_have_velocities_and_efforts():
    twin = _clean("anymal_c")
    twin.command(["LF_KFE"], [-1.2])
    (message,) = _cycles(twin, 4).joints
    assert message.names == twin.interface.spec.joint_names
    assert message.velocity[2] < -0.5
    np.testing.assert_allclose(message.velocity, twin.robot.sim.qvel[0, 6:], atol=1e-6)
    np.testing.assert_allclose(message.effort, twin.robot.sim.torque[0], atol=1e-6)
    assert message.effort[2] < -5.0


def test_op3_moves_only_once_no_module_is_in_charge():
    twin = _clean("op3")
    assert twin.manager is not None
    twin.command(["head_pan"], [0.5])
    _cycles(twin, 50)
    assert abs(twin.robot.joint_pos[0]) < 0.01
    assert twin.ignored == 1
    twin.manager.enable_ctrl_module("none")
    twin.command(["head_pan"], [0.5])
    _cycles(twin, 150)
    assert twin.robot.joint_pos[0] == pytest.approx(0.5, abs=0.02)
    # And it is held without any further command.
    _cycles(twin, 150)
    assert twin.robot.joint_pos[0] == pytest.approx(0.5, abs=0.02)
    assert twin.goal_states().position[0] == 0.5


def test_anymal_takes_names_or_a_configured_order():
    twin = _clean("anymal_c")
    default = twin.interface.spec.default_joint_pos
    twin.command_forward(default + 0.1)
    twin.cycle()
    np.testing.assert_allclose(twin.goal_states().position, default + 0.1)
    twin.command(["RH_KFE", "wheel"], [1.0, 2.0])
    twin.cycle()
    wanted = default + 0.1
    wanted[11] = 1.0
    np.testing.assert_allclose(twin.goal_states().position, wanted)
    assert (twin.refused, twin.ignored) == (0, 1)
    for bad in (default[:11], np.full(12, np.nan)):
        twin.command_forward(bad)
        twin.cycle()
        np.testing.assert_allclose(twin.goal_states().position, wanted)
    assert twin.refused == 2


def test_a_late_command_is_late_by_its_cycles():
    twin = _clean("anymal_c")
    twin.inject("delay commands ms=20")
    twin.command(["LF_KFE"], [-1.2])
    for _ in range(4):
        twin.cycle()
        assert twin.goal_states().position[2] != -1.2
    twin.cycle()
    assert twin.goal_states().position[2] == -1.2


def test_servo_off_takes_the_torque_of_one_joint():
    twin = _clean("anymal_c")
    twin.inject("servo_off joint=LF_KFE for=0.1")
    (message,) = _cycles(twin, 10).joints
    assert message.effort[2] == 0.0
    assert np.abs(message.effort[[5, 8, 11]]).min() > 1.0
    (message,) = _cycles(twin, 20).joints
    assert abs(message.effort[2]) > 1.0


def test_torque_off_by_op3s_own_topic_lets_it_down_and_on_again():
    twin = _clean("op3", start="default", wait=False)
    manager = twin.manager
    assert manager is not None
    _cycles(twin, 20)
    manager.sync_write_item("torque_enable", twin.interface.spec.joint_names, [0] * 20)
    _cycles(twin, 100)
    assert twin.robot.torque_squared == 0.0
    assert twin.robot.truth().pos_w[2] < 0.2
    manager.dxl_torque()
    _cycles(twin, 5)
    assert twin.robot.torque_squared > 0.0


def test_gains_through_op3s_own_topic():
    def sag(gain: int) -> float:
        twin = _clean("op3", start="default")
        assert twin.manager is not None
        names = twin.interface.spec.joint_names
        twin.manager.sync_write_item("position_p_gain", names, [gain] * 20)
        _cycles(twin, 150)
        error = twin.robot.joint_pos - twin.interface.spec.default_joint_pos
        return float(np.abs(error).max())

    assert sag(400) > 1.5 * sag(800)


@pytest.mark.parametrize("heading_rad", [0.0, 2.0])
def test_a_push_from_the_right_moves_it_left(heading_rad: float):
    twin = _clean("anymal_c")
    _cycles(twin, 100)
    twin.robot.sim.qpos[0, 3:7] = from_yaw(np.array(heading_rad))
    twin.inject("push n=200 deg=90")
    _cycles(twin, 20)
    assert twin.robot.truth().lin_vel_b[1] > 0.05
    twin.cycle()
    np.testing.assert_array_equal(twin.robot.extra_force_w, np.zeros(3))


def test_a_low_battery_is_told_and_makes_op3_weaker():
    twin = _clean("op3", start="default")
    assert twin.manager is not None
    _cycles(twin, 150)
    before, sagged = twin.robot.volts, twin.robot.joint_pos.copy()
    twin.manager.events.clear()
    twin.inject("battery v=10")
    _cycles(twin, 150)
    assert (before, twin.robot.volts) == (12.0, pytest.approx(10.0, abs=0.01))
    default = twin.interface.spec.default_joint_pos
    knee = twin.interface.spec.joint_names.index("l_knee")
    assert abs(twin.robot.joint_pos[knee] - default[knee]) > abs(sagged[knee] - default[knee])
    texts = [text for _, kind, _, text in twin.manager.events if kind == 2]
    assert texts
    assert texts[-1].startswith("Present Volt : 10")
    twin.inject("clear battery")
    _cycles(twin, 20)
    assert twin.robot.volts == pytest.approx(12.0, abs=0.01)


def test_tilt_makes_it_fall_and_reset_puts_it_back():
    twin = _clean("op3", start="default")
    twin.inject("tilt deg=70")
    _cycles(twin, 50)
    assert twin.robot.truth().fallen
    twin.reset()
    assert not twin.robot.truth().fallen
    np.testing.assert_allclose(
        twin.robot.joint_pos, twin.interface.spec.default_joint_pos, atol=1e-6
    )
    _cycles(twin, 50)
    assert not twin.robot.truth().fallen


def test_another_module_takes_over_when_that_is_injected():
    twin = _clean("op3")
    assert twin.manager is not None
    twin.manager.enable_ctrl_module("none")
    twin.inject("module name=walking_module")
    assert set(twin.manager.modules) == {"walking_module"}
    twin.inject("button name=mode")
    assert ("button", 1, "", "mode") in twin.manager.events


@pytest.mark.parametrize(
    ("robot", "text", "message"),
    [
        ("anymal_c", "module", "anymal_c has no module"),
        ("anymal_c", "button", "anymal_c has no button"),
        ("op3", "module name=dance", "there is no module 'dance'"),
        ("op3", "button name=red", "there is no button 'red'"),
    ],
)
def test_faults_that_a_robot_cannot_have(robot: str, text: str, message: str):
    with pytest.raises(SettingsError, match=message):
        _clean(robot).inject(text)


def test_faults_of_sensors_reach_the_messages():
    twin = _clean("op3")
    twin.inject("nan joints joint=l_knee")
    twin.inject("drop imu")
    sent = twin.cycle()
    assert sent.imu == []
    bad = [n for n, p in zip(sent.joints[0].names, sent.joints[0].position, strict=True) if p != p]
    assert bad == ["l_knee"]


def test_gap_and_pose_are_checked():
    with pytest.raises(SettingsError, match="start is 'floating', expected one of ini_pose"):
        Twin(TwinConfig(robot="op3", start="floating"))
    with pytest.raises(SettingsError, match="there is no twin of spot"):
        Twin(TwinConfig(robot="spot"))
    with pytest.raises(SettingsError, match="expected none, full or a file"):
        Twin(TwinConfig(robot="op3", gap="half"))
    with pytest.raises(SettingsError, match="seed is -1, expected at least 0"):
        TwinConfig(robot="op3", seed=-1)


def test_a_gap_from_a_file(tmp_path: Path):
    file = tmp_path / "gap.yaml"
    file.write_text("ranges: {payload_kg: [0.3, 0.3]}")
    twin = Twin(TwinConfig(robot="op3", gap=str(file)))
    assert twin.robot.factors["payload_kg"][0, 0] == 0.3


@pytest.mark.parametrize("wait", [True, False])
def test_the_gaps_pushes_wait_for_a_policy(wait: bool):
    twin = Twin(TwinConfig(robot="anymal_c", gap="full", seed=3, wait=wait))
    pushed: list[float] = []
    push = twin.robot.sim.push

    def spy(force_w: np.ndarray) -> None:
        pushed.append(float(np.abs(force_w).max()))
        push(force_w)

    twin.robot.sim.push = spy
    # The hoist's pull is none of them; it is over within a second.
    twin.robot.hang(False)
    _cycles(twin, 201)
    for state in (State.FAULT, State.POLICY, State.FAULT):
        pushed.clear()
        twin.told(state)
        # The first comes within 3 s.
        _cycles(twin, 640)
        assert len(pushed) == 640
        assert (max(pushed) > 0.0) is (state is State.POLICY or not wait)


def test_a_hoist_carries_most_of_the_weight_until_a_policy_acts():
    # A robot of this seed stands on a floor so slippery that its legs slide apart.
    lowest = {}
    for wait in (True, False):
        twin = Twin(TwinConfig(robot="anymal_c", gap="full", seed=0, wait=wait))
        assert twin.robot.factors["floor_friction"][0, 0] < 0.45
        _cycles(twin, 400)
        lowest[wait] = twin.robot.truth().pos_w[2]
    assert lowest[False] < 0.35
    assert lowest[True] > 0.47


def test_a_hoist_lets_go_within_a_second_and_not_at_once():
    twin = Twin(TwinConfig(robot="anymal_c", gap="none"))
    pulls: list[float] = []
    push = twin.robot.sim.push

    def spy(force_w: np.ndarray) -> None:
        pulls.append(float(force_w[0, 2]))
        push(force_w)

    twin.robot.sim.push = spy
    weight_n = 9.81 * float(twin.interface.spec.model(visible=False).body_mass.sum())
    _cycles(twin, 200)
    assert 0.2 * weight_n < pulls[-1] < 0.7 * weight_n
    twin.told(State.POLICY)
    _cycles(twin, 100)
    assert pulls[-1] > 0.1 * weight_n
    _cycles(twin, 101)
    assert pulls[-1] == 0.0
    # In a fault nobody helps; afterwards it takes over again.
    twin.told(State.FAULT)
    _cycles(twin, 200)
    assert pulls[-1] == 0.0
    twin.told(State.IDLE)
    _cycles(twin, 200)
    assert pulls[-1] > 0.2 * weight_n


@pytest.mark.parametrize(("robot", "low", "high"), [("op3", 6, 18), ("anymal_c", 24, 72)])
def test_a_battery_that_no_drive_is_simulated_with_is_refused(robot, low, high):
    twin = Twin(TwinConfig(robot=robot, gap="none"))
    for volts in (0.9 * low, 1.1 * high):
        with pytest.raises(SettingsError, match=f"expected {low} to {high} V, as {robot} has"):
            twin.inject(f"battery v={volts:g}")
        assert twin.faults.active == []
    twin.inject(f"battery v={low}")
    assert [fault.name for fault in twin.faults.active] == ["battery"]
    # What is refused ends nothing that is in force.
    with pytest.raises(SettingsError):
        twin.inject(f"battery v={2 * high}")
    assert [fault.number("v") for fault in twin.faults.active] == [low]


@pytest.mark.parametrize("text", ["button name=none", "module name=start"])
def test_what_op3_has_not_is_refused(text):
    twin = Twin(TwinConfig(robot="op3", gap="none"))
    with pytest.raises(SettingsError, match="there is no"):
        twin.inject(text)
