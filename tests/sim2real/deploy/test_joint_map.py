import numpy as np
import pytest

from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.deploy.joint_map import JointMap
from legged_skills.sim2real.deploy.snapshot import NEVER, SensorSnapshot

NAMES = ("hip", "knee", "ankle")


def _map(signs=(1.0, -1.0, 1.0), offsets=(0.0, 0.5, 0.0), velocity=True) -> JointMap:
    return JointMap(NAMES, signs, offsets, velocity)


def test_order_signs_and_zeros_of_the_robot():
    into = SensorSnapshot(3)
    assert _map().read(["knee", "ankle", "hip"], [0.7, 3.0, 1.0], [0.1, 0.2, 0.3], 5.0, into)
    np.testing.assert_allclose(into.joint_pos, [1.0, -0.2, 3.0])
    np.testing.assert_allclose(into.joint_vel, [0.3, -0.1, 0.2])
    np.testing.assert_array_equal(into.joint_time_s, [5.0, 5.0, 5.0])


def test_targets_are_the_way_back():
    joints, into = _map(), SensorSnapshot(3)
    targets = np.array([0.3, -0.9, 1.1])
    joints.read(list(NAMES), joints.to_robot(targets).tolist(), [], 1.0, into)
    np.testing.assert_allclose(into.joint_pos, targets)
    np.testing.assert_allclose(joints.to_robot(np.zeros(3)), [0.0, 0.5, 0.0])


def test_robots_without_velocities_say_nothing_by_zeros():
    into = SensorSnapshot(3)
    _map(velocity=False).read(list(NAMES), [0.0] * 3, [0.0] * 3, 1.0, into)
    assert np.isnan(into.joint_vel).all()
    into.joint_vel[:] = 1.0
    _map().read(list(NAMES), [0.0] * 3, [], 1.0, into)
    assert np.isnan(into.joint_vel).all()


def test_some_joints_and_strange_ones():
    joints, into = _map(), SensorSnapshot(3)
    assert joints.read(["arm", "hip"], [9.0, 1.0], [], 2.0, into)
    np.testing.assert_array_equal(into.joint_time_s, [2.0, NEVER, NEVER])
    assert into.joint_pos[0] == 1.0 and np.isnan(into.joint_pos[1:]).all()
    assert joints.unknown == ("arm",)
    assert joints.read(["arm"], [9.0], [], 3.0, into)
    np.testing.assert_array_equal(into.joint_time_s, [2.0, NEVER, NEVER])
    assert into.rejected == 0


def test_order_may_change_from_one_message_to_the_next():
    joints, into = _map((1.0,) * 3, (0.0,) * 3), SensorSnapshot(3)
    for names in (list(NAMES), ["ankle", "knee", "hip"], list(NAMES)):
        values = [float(NAMES.index(name)) for name in names]
        assert joints.read(names, values, values, 1.0, into)
        np.testing.assert_array_equal(into.joint_pos, [0.0, 1.0, 2.0])


@pytest.mark.parametrize(
    ("names", "position", "velocity", "words"),
    [
        (NAMES, [0.0] * 2, [], "3 names, 2 positions and 0 velocities"),
        (NAMES, [0.0] * 4, [], "3 names, 4 positions"),
        (NAMES, [0.0] * 3, [0.0] * 2, "3 positions and 2 velocities"),
        (("hip", "hip", "knee"), [0.0] * 3, [], "names a joint twice"),
        (NAMES, [], [], "3 names, 0 positions"),
    ],
)
def test_messages_that_are_not_usable_change_nothing(names, position, velocity, words):
    joints, into = _map(), SensorSnapshot(3)
    assert not joints.read(list(names), position, velocity, 1.0, into)
    assert into.rejected == 1 and words in into.rejection
    assert np.isnan(into.joint_pos).all() and (into.joint_time_s == NEVER).all()


def test_what_is_no_number_is_passed_on():
    # The guards say which joint it was.
    into = SensorSnapshot(3)
    assert _map().read(list(NAMES), [0.0, float("nan"), 0.0], [], 1.0, into)
    np.testing.assert_array_equal(np.isnan(into.joint_pos), [False, True, False])


def test_what_was_no_number_is_remembered_until_it_is_taken():
    joints, into, taken = _map(), SensorSnapshot(3), SensorSnapshot(3)
    assert joints.read(list(NAMES), [0.0, float("nan"), 0.0], [0.0] * 3, 1.0, into)
    assert joints.read(list(NAMES), [0.0] * 3, [0.0] * 3, 1.1, into)
    into.take(taken)
    assert "knee" in taken.spoiled and into.spoiled == ""
    assert joints.read(list(NAMES), [0.0] * 3, [0.0, 0.0, float("inf")], 1.2, into)
    assert "ankle" in into.spoiled
    into.take(taken)
    # Where a robot tells no speeds, it is no fault that there are none.
    assert _map(velocity=False).read(list(NAMES), [0.0] * 3, [float("nan")] * 3, 1.3, into)
    assert into.spoiled == ""


@pytest.mark.parametrize(
    ("names", "signs", "offsets", "message"),
    [
        (("a", "a"), (1.0, 1.0), (0.0, 0.0), "expected different names"),
        (("a", "b"), (1.0,), (0.0, 0.0), "joint_signs has 1 values, expected 2"),
        (("a", "b"), (1.0, 1.0), (0.0,), "joint_offsets_rad has 1 values, expected 2"),
        (("a", "b"), (1.0, 0.5), (0.0, 0.0), "expected 1 or -1 for each joint"),
    ],
)
def test_maps_that_are_none(names, signs, offsets, message):
    with pytest.raises(SettingsError, match=message):
        JointMap(names, signs, offsets, True)
