import numpy as np
import pytest

from legged_skills.sim2real.twin.interface import interface
from legged_skills.sim2real.twin.op3_manager import INFO, WARN, Op3Manager

FACE = interface("op3")
KNEE = FACE.spec.joint_names.index("l_knee")
PAN = FACE.spec.joint_names.index("head_pan")


@pytest.fixture
def manager() -> Op3Manager:
    """Just started, all joints at 0."""
    return Op3Manager(FACE, np.zeros(20))


def _run(
    manager: Op3Manager, seconds: float, volts: float = 12.0
) -> list[tuple[str, int, str, str]]:
    events = []
    for k in range(round(seconds / 0.008)):
        manager.cycle(0.008 * k, volts)
        events += list(manager.events)
        manager.events.clear()
    return events


def test_targets_count_only_where_no_module_is_in_charge(manager: Op3Manager):
    manager.set_joint_states(["l_knee", "head_pan"], [0.5, 0.2])
    assert manager.goal[KNEE] == 0.0
    assert manager.ignored == 2
    assert manager.set_joint_ctrl_modules(["l_knee"], ["none"])
    manager.set_joint_states(["l_knee", "head_pan", "no_such_joint"], [0.5, 0.2, 0.1])
    assert (manager.goal[KNEE], manager.goal[PAN]) == (0.5, 0.0)
    assert manager.ignored == 4
    assert manager.modules_of(["l_knee", "head_pan", "tail"]) == [
        ("l_knee", "none"),
        ("head_pan", "base_module"),
    ]


def test_the_last_target_is_held_for_good(manager: Op3Manager):
    manager.enable_ctrl_module("none")
    manager.set_joint_states(["l_knee"], [0.7])
    _run(manager, 30.0)
    assert manager.goal[KNEE] == 0.7


def test_targets_are_not_clamped_within_the_servos_turn(manager: Op3Manager):
    manager.enable_ctrl_module("none")
    # Far beyond what the knee can do.
    manager.set_joint_states(["l_knee"], [-3.0])
    assert manager.goal[KNEE] == -3.0
    assert manager.refused == 0


@pytest.mark.parametrize(
    ("names", "position"),
    [(["l_knee"], [float("nan")]), (["l_knee"], [3.2]), (["head_pan", "l_knee"], [0.1])],
)
def test_what_would_harm_the_manager_is_counted(
    manager: Op3Manager, names: list[str], position: list[float]
):
    manager.enable_ctrl_module("none")
    manager.set_joint_states(names, position)
    assert manager.refused == 1
    np.testing.assert_array_equal(manager.goal, np.zeros(20))


def test_whole_body_modules(manager: Op3Manager):
    manager.modules_changed = False
    assert not manager.enable_ctrl_module("no_such_module")
    assert not manager.modules_changed
    assert manager.enable_ctrl_module("none")
    assert manager.modules_changed
    assert set(manager.modules) == {"none"}
    # The head's module takes the head only.
    manager.enable_ctrl_module("head_control_module")
    taken = [name for name, module in manager.assignment().items() if module != "none"]
    assert taken == ["head_pan", "head_tilt"]
    assert list(manager.assignment()) == sorted(FACE.spec.joint_names)


def test_ini_pose_takes_four_seconds_and_stays_in_charge(manager: Op3Manager):
    manager.enable_ctrl_module("none")
    manager.ini_pose("something else")
    assert set(manager.modules) == {"none"}
    manager.ini_pose()
    _run(manager, 2.0)
    # Half way after half the time, l_knee to 142 degrees.
    assert manager.goal[KNEE] == pytest.approx(np.deg2rad(71.0), abs=1e-6)
    events = _run(manager, 1.9)
    assert ("status", INFO, "Base", "Finish Init Pose") not in events
    assert ("status", INFO, "Base", "Finish Init Pose") in _run(manager, 0.2)
    wanted = {"l_sho_pitch": -15, "r_sho_roll": -45, "l_el": -45, "r_hip_pitch": 70}
    wanted |= {"r_knee": -142, "l_ank_pitch": 70, "r_ank_pitch": -70, "head_tilt": -10}
    for name, degrees in wanted.items():
        goal = manager.goal[FACE.spec.joint_names.index(name)]
        assert goal == pytest.approx(np.deg2rad(degrees))
    assert manager.goal[PAN] == 0.0
    assert set(manager.modules) == {"base_module"}


def test_none_sends_the_stored_goal_on(manager: Op3Manager):
    manager.ini_pose()
    _run(manager, 4.1)
    manager.enable_ctrl_module("none")
    _run(manager, 0.1)
    assert manager.goal[KNEE] == pytest.approx(np.deg2rad(142))


def test_torque_and_gains_through_sync_write(manager: Op3Manager):
    manager.sync_write_item("torque_enable", ["l_knee", "head_pan"], [0, 0])
    assert not manager.torque[[KNEE, PAN]].any()
    assert manager.torque.sum() == 18
    manager.cycle(0.0, 12.0)
    manager.sync_write_item("position_p_gain", ["l_knee"], [400])
    assert manager.p_gain[KNEE] == 0.5
    manager.dxl_torque()
    assert manager.torque.all()
    assert manager.p_gain[KNEE] == 1.0
    manager.cycle(0.0, 12.0)
    # With torque on, the topic does nothing.
    manager.sync_write_item("position_p_gain", ["l_knee"], [400])
    manager.dxl_torque()
    assert manager.p_gain[KNEE] == 0.5


def test_power_off_takes_all_torque_and_on_gives_none_back(manager: Op3Manager):
    manager.sync_write_item("dynamixel_power", ["open-cr"], [0])
    assert not manager.torque.any()
    manager.cycle(0.0, 12.0)
    manager.sync_write_item("dynamixel_power", ["open-cr"], [1])
    assert not manager.torque.any()


def test_different_items_in_one_cycle_go_to_the_first_ones_address(manager: Op3Manager):
    manager.sync_write_item("torque_enable", ["l_knee"], [0])
    manager.sync_write_item("position_p_gain", ["l_knee"], [400])
    # 400 was written to torque_enable.
    assert (manager.p_gain[KNEE], manager.torque[KNEE], manager.merged) == (1.0, True, 1)
    manager.cycle(0.0, 12.0)
    manager.sync_write_item("position_p_gain", ["l_knee"], [400])
    assert (manager.p_gain[KNEE], manager.merged) == (0.5, 1)


def test_a_long_press_of_user_goes_to_ini_pose(manager: Op3Manager):
    manager.enable_ctrl_module("none")
    manager.press("mode")
    assert set(manager.modules) == {"none"}
    manager.sync_write_item("torque_enable", ["l_knee"], [0])
    manager.press("user_long")
    events = list(manager.events)
    assert ("button", INFO, "", "mode") in events
    assert ("status", INFO, "SENSOR", "Button : user_long") in events
    assert ("status", INFO, "Base", "Start Init Pose") in events
    assert set(manager.modules) == {"base_module"}
    assert manager.torque.all()


def test_voltage_is_told_when_it_changes_and_warned_of_below_11_v(manager: Op3Manager):
    assert _run(manager, 3.0, 12.04) == [("status", INFO, "SENSOR", "Present Volt : 12V")]
    events = _run(manager, 3.0, 10.5)
    assert events[-1][:3] == ("status", WARN, "SENSOR")
    assert events[-1][3].startswith("Present Volt : 10.5")
    # At most once a second: the first cycle is that of a clock that starts anew.
    assert 1 <= len(events) <= 3
