import dataclasses

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.contract import History, ObservationContract, proprioception
from legged_skills.robots.errors import ContractError, SettingsError

SPEC = robots.get("anymal_c")
CONTRACT = proprioception(SPEC, history=2)


def _signals(batch: tuple[int, ...] = ()) -> dict[str, np.ndarray]:
    def filled(size: int, value: float) -> np.ndarray:
        return np.full((*batch, size), value, np.float32)

    return {
        "gravity": filled(3, -1.0),
        "angular_velocity": filled(3, 2.0),
        "joint_pos": filled(12, 0.0) + SPEC.default_joint_pos + 0.1,
        "joint_vel": filled(12, 3.0),
        "last_action": filled(12, 0.4),
    }


def test_frame_by_hand():
    frame = CONTRACT.frame(_signals())
    # gravity x 1, gyro x 0.3, (joints - default) x 1.5, joint velocities x 0.1, action x 0.75.
    wanted = np.concatenate([[-1] * 3, [0.6] * 3, [0.15] * 12, [0.3] * 12, [0.3] * 12])
    np.testing.assert_allclose(frame, wanted, rtol=1e-5)
    assert frame.dtype == np.float32
    assert frame.shape == (CONTRACT.frame_size,) == (42,)
    assert CONTRACT.size == 84


def test_batch_and_single_robot_agree():
    batch = CONTRACT.frame(_signals((5,)))
    np.testing.assert_array_equal(batch, np.tile(CONTRACT.frame(_signals()), (5, 1)))


def test_missing_or_wrong_signal_is_named():
    signals = _signals()
    del signals["joint_vel"]
    with pytest.raises(ContractError, match="signal 'joint_vel' is missing"):
        CONTRACT.frame(signals)
    with pytest.raises(ContractError, match="'gravity' has 4 values, expected 3"):
        CONTRACT.frame(_signals() | {"gravity": np.zeros(4)})


def test_no_frames_are_refused():
    with pytest.raises(SettingsError, match="history is 0, expected at least 1"):
        proprioception(SPEC, history=0)


def test_json_round_trip_is_exact():
    again = ObservationContract.from_json(CONTRACT.to_json())
    assert again == CONTRACT
    assert again.hash == CONTRACT.hash
    with pytest.raises(ContractError, match="damaged"):
        ObservationContract.from_json({"robot": "x"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"history": "8"}, "history is '8', expected a whole number."),
        ({"history": 0}, "history is 0, expected at least 1."),
        ({"kp": 80.0}, "kp is 80.0, expected a list of numbers."),
        ({"robot": []}, "robot is [], expected text."),
        ({"terms": [{"name": "gravity", "size": None}]}, "size is None, expected a whole number."),
        ({"terms": [5]}, "'int' object has no attribute 'items'."),
    ],
)
def test_damage_is_named(changes, message):
    with pytest.raises(ContractError) as caught:
        ObservationContract.from_json(CONTRACT.to_json() | changes)
    assert str(caught.value) == f"the observation contract is damaged: {message}"


@pytest.mark.parametrize(
    "change",
    [
        {"robot": "other"},
        {"history": 3},
        {"control_period_s": 0.024},
        {"action_scale": 0.25},
        {"kp": (81.0, *CONTRACT.kp[1:])},
        {"kp": tuple(round(kp) for kp in CONTRACT.kp)},
        {"default_joint_pos": (1e-9, *CONTRACT.default_joint_pos[1:])},
        {"joint_names": CONTRACT.joint_names[::-1]},
        {"terms": CONTRACT.terms[::-1]},
    ],
)
def test_any_change_changes_the_hash_and_is_named(change):
    other = dataclasses.replace(CONTRACT, **change)
    assert other.hash != CONTRACT.hash
    with pytest.raises(ContractError, match=f"walk.npz: .*{next(iter(change))} is"):
        CONTRACT.require_same(other, "walk.npz")


def test_hash_is_stable():
    # A golden value: a change here makes all trained policies unusable, so it must be meant.
    assert proprioception(SPEC).hash == "16c3db8474f1d6f2"


def test_perfect_sensors_see_the_same_without_noise():
    silent = CONTRACT.without_noise()
    np.testing.assert_array_equal(silent.noise, np.zeros(42))
    np.testing.assert_array_equal(silent.frame(_signals()), CONTRACT.frame(_signals()))
    # As the policy sees it: (0.05, 0.3 x 0.2, 1.5 x 0.01, 0.1 x 0.3) / sqrt(3), and no action's.
    wanted = np.repeat([0.05, 0.06, 0.015, 0.03, 0.0], [3, 3, 12, 12, 12]) / np.sqrt(3.0)
    np.testing.assert_allclose(CONTRACT.noise, wanted, rtol=1e-6)


def test_history_is_oldest_first_and_restarts_by_mask():
    history = History(CONTRACT, (2,))
    first, second = np.full((2, 42), 1.0), np.full((2, 42), 2.0)
    history.restart(first)
    np.testing.assert_array_equal(history.observation(), np.ones((2, 84)))
    history.push(second)
    np.testing.assert_array_equal(history.observation()[0], [1.0] * 42 + [2.0] * 42)
    history.restart(np.full((1, 42), 5.0), np.array([False, True]))
    np.testing.assert_array_equal(history.observation()[0], [1.0] * 42 + [2.0] * 42)
    np.testing.assert_array_equal(history.observation()[1], [5.0] * 84)
    copy = history.observation()
    copy[:] = 9.0
    assert history.frames.max() == 5.0
