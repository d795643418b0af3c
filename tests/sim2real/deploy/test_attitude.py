import numpy as np
import pytest

from legged_skills.robots import rotations
from legged_skills.sim2real.attitude_filter import AttitudeFilter
from legged_skills.sim2real.deploy.attitude import Attitude
from legged_skills.sim2real.deploy.config import config_of
from legged_skills.sim2real.deploy.parameters import replaced
from legged_skills.sim2real.deploy.snapshot import NEVER, SensorSnapshot

YAW_90 = np.array([0.5**0.5, 0.0, 0.0, 0.5**0.5])


def _samples(*rows: tuple) -> np.ndarray:
    snapshot = SensorSnapshot(1)
    for time_s, *vectors in rows:
        snapshot.add_imu(time_s, *(np.asarray(vector) for vector in vectors))
    return snapshot.imu[: snapshot.num_imu]


def test_orientation_and_mounting_of_anymal():
    # The base is rolled by 0.3 rad; the IMU is turned by +90 degrees about the base's z.
    roll = rotations.from_rotvec(np.array([0.3, 0.0, 0.0]))
    orientation = rotations.multiply(roll, YAW_90)
    # A base that rolls at 2 rad/s, as the IMU sees it: base x is the IMU's -y.
    attitude = Attitude(config_of("anymal_c"))
    assert attitude.time_s == NEVER and not np.isfinite(attitude.gravity_b).any()
    attitude.update(_samples((7.0, [0.0, -2.0, 0.0], [0.0, 0.0, 9.8], orientation)))
    np.testing.assert_allclose(attitude.angular_velocity_b, [2.0, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(attitude.gravity_b, [0.0, -np.sin(0.3), -np.cos(0.3)], atol=1e-12)
    assert attitude.time_s == 7.0 and attitude.usable


def test_length_of_the_orientation_does_not_matter_much():
    attitude = Attitude(replaced(config_of("anymal_c"), {"imu_mounting_wxyz": [1, 0, 0, 0]}))
    attitude.update(_samples((1.0, [0, 0, 0], [0, 0, 9.8], [1.05, 0.0, 0.0, 0.0])))
    np.testing.assert_allclose(attitude.gravity_b, [0.0, 0.0, -1.0])
    for bad in ([0.0, 0.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0], [np.nan, 0.0, 0.0, 1.0]):
        attitude.update(_samples((2.0, [0, 0, 0], [0, 0, 9.8], bad)))
        assert not attitude.usable, bad


def test_op3s_own_orientation_is_not_believed():
    attitude = Attitude(config_of("op3"))
    upside_down = [0.0, 1.0, 0.0, 0.0]
    attitude.update(_samples((1.0, [0, 0, 0], [0.0, 0.0, 9.8], upside_down)))
    np.testing.assert_allclose(attitude.gravity_b, [0.0, 0.0, -1.0], atol=1e-6)
    assert attitude.usable


def test_the_filter_does_not_begin_with_an_accelerometer_that_says_nothing():
    attitude = Attitude(config_of("op3"))
    for time_s, felt in ((1.0, [0.0, 0.0, 0.0]), (1.01, [0.0, 0.0, 4.8]), (1.02, [15.0, 0.0, 0.0])):
        attitude.update(_samples((time_s, [0, 0, 0], felt)))
        assert not attitude.usable and np.isnan(attitude.gravity_b).all()
    attitude.update(_samples((1.03, [0, 0, 0], [0.0, 9.8, 0.0])))
    np.testing.assert_allclose(attitude.gravity_b, [0.0, -1.0, 0.0], atol=1e-6)
    # Later it may be anything for a moment.
    attitude.update(_samples((1.04, [0, 0, 0], [0.0, 0.0, 0.0])))
    assert attitude.usable


def test_filter_is_that_of_training():
    rng, filter_ = np.random.default_rng(4), AttitudeFilter(1)
    attitude = Attitude(config_of("op3"))
    rows = []
    for step in range(12):
        gyro = rng.normal(0.0, 1.0, 3).astype(np.float32)
        felt = np.array([0.0, 0.0, 9.8], np.float32) + rng.normal(0, 1, 3).astype(np.float32)
        rows.append((8e-3 * step, gyro, felt))
        if step == 0:
            filter_.reset(felt[None])
        else:
            filter_.update(gyro[None], felt[None], 8e-3)
    # The same samples, in packets as they come between control steps.
    for start in range(0, 12, 3):
        attitude.update(_samples(*rows[start : start + 3]))
    np.testing.assert_allclose(attitude.gravity_b, filter_.gravity_b[0], atol=1e-6)
    assert np.abs(attitude.gravity_b[:2]).max() > 0.03


def test_the_filter_is_told_what_a_mounted_imu_feels_in_the_base_frame():
    half = 0.5**0.5
    mounted = replaced(config_of("op3"), {"imu_mounting_wxyz": [half, 0.0, 0.0, half]})
    attitude = Attitude(mounted)
    # Its x axis is the base's y axis, and the base is rolled.
    felt = 9.80665 * np.array([np.sin(0.3), 0.0, np.cos(0.3)])
    attitude.update(_samples((1.0, [0, 0, 0], felt), (1.01, [0, 0, 0], felt)))
    np.testing.assert_allclose(attitude.gravity_b, [0.0, -np.sin(0.3), -np.cos(0.3)], atol=1e-6)


def test_the_filters_time_constant_is_a_setting():
    attitude = Attitude(replaced(config_of("op3"), {"filter_time_constant_s": 0.1}))
    felt = 9.80665 * np.array([0.1, 0.0, 0.995])
    attitude.update(_samples((1.0, [0, 0, 0], [0.0, 0.0, 9.80665]), (1.01, [0, 0, 0], felt)))
    # A tenth of the way in a tenth of the time.
    assert attitude.gravity_b[0] == pytest.approx(-0.01, rel=0.05)


def test_the_filters_tolerance_is_a_setting():
    # What is felt is 1.2 times gravity's size, from 0.1 rad beside it.
    felt = 1.2 * 9.80665 * np.array([np.sin(0.1), 0.0, np.cos(0.1)])
    leans = []
    for tolerance in (0.1, 0.3, 0.4):
        settings = {"filter_tolerance": tolerance, "filter_time_constant_s": 1.0}
        attitude = Attitude(replaced(config_of("op3"), settings))
        attitude.update(_samples((1.0, [0, 0, 0], [0.0, 0.0, 9.80665]), (1.01, [0, 0, 0], felt)))
        leans.append(-attitude.gravity_b[0])
    # Not believed at all; by 1 - 0.2 / 0.3; by half; each for a hundredth of the time constant.
    assert leans == pytest.approx([0.0, 1e-3 / 3.0, 5e-4], rel=0.01, abs=1e-9)


def test_turning_follows_the_gyroscope_over_a_lost_sample():
    attitude = Attitude(config_of("op3"))
    attitude.update(_samples((0.0, [0, 0, 0], [0.0, 0.0, 9.80665])))
    # Nose up at 1 rad/s for 50 ms in one go, felt as free fall, which the filter ignores.
    attitude.update(_samples((0.05, [0.0, -1.0, 0.0], [0.0, 0.0, 0.0])))
    np.testing.assert_allclose(attitude.gravity_b, [-0.05, 0.0, -1.0], atol=2e-3)


def test_the_gyroscope_is_believed_over_a_tenth_of_a_second_at_most():
    attitude = Attitude(config_of("op3"))
    attitude.update(_samples((0.0, [0, 0, 0], [0.0, 0.0, 9.80665])))
    attitude.update(_samples((0.5, [0.0, -1.0, 0.0], [0.0, 0.0, 0.0])))
    np.testing.assert_allclose(attitude.gravity_b, [-np.sin(0.1), 0.0, -np.cos(0.1)], atol=2e-3)


@pytest.mark.parametrize("robot", ["anymal_c", "op3"])
@pytest.mark.parametrize("spoiled", [0, 1])
def test_one_sample_that_is_no_number_among_good_ones_is_noticed(robot, spoiled):
    good = ([0.0, 0.0, 0.0], [0.0, 0.0, 9.8], [1.0, 0.0, 0.0, 0.0])
    rows = [(1.0 + 0.01 * i, *good) for i in range(3)]
    bad = ([np.nan, 0.0, 0.0], [0.0, 0.0, np.inf])[spoiled]
    rows[1] = (1.01, bad, good[1], good[2]) if spoiled == 0 else (1.01, good[0], bad, good[2])
    attitude = Attitude(config_of(robot))
    attitude.update(_samples(*rows))
    # ANYmal's accelerometer is not used.
    assert attitude.usable == (robot == "anymal_c" and spoiled == 1)
    attitude.update(_samples((1.05, *good)))
    assert attitude.usable
    np.testing.assert_allclose(attitude.gravity_b, [0.0, 0.0, -1.0], atol=1e-6)


def test_after_a_long_silence_the_filter_begins_anew():
    """A robot may have been laid down meanwhile."""
    upright, lying = ([0, 0, 0], [0.0, 0.0, 9.8]), ([0, 0, 0], [9.8, 0.0, 0.0])
    for silence_s, wanted in ((0.45, [0.0, 0.0, -1.0]), (0.55, [-1.0, 0.0, 0.0])):
        attitude = Attitude(config_of("op3"))
        attitude.update(_samples((1.0, *upright), (1.01, *upright), (1.01 + silence_s, *lying)))
        # One sample turns a filter that goes on by a few degrees at most.
        np.testing.assert_allclose(attitude.gravity_b, wanted, atol=0.15)


def test_time_without_any_change():
    attitude = Attitude(config_of("anymal_c"))
    assert attitude.unchanged_s(5.0) == 0.0
    still = ([0.1, 0.0, 0.0], [0.0, 0.0, 9.8], [1.0, 0.0, 0.0, 0.0])
    attitude.update(_samples((1.0, *still), (1.2, *still), (1.5, *still)))
    assert attitude.unchanged_s(9.0) == pytest.approx(0.5)
    attitude.update(_samples((1.6, [0.1, 1e-9, 0.0], *still[1:])))
    assert attitude.unchanged_s(9.0) == 0.0
    attitude.update(np.empty((0, 11)))
    assert attitude.unchanged_s(9.0) == 0.0
    # ANYmal's accelerometer is not used, and may say nothing.
    silent = ([0.1, 0.0, 0.0], [np.nan] * 3, still[2])
    attitude.update(_samples((2.0, *silent), (2.5, *silent)))
    assert attitude.unchanged_s(9.0) == pytest.approx(0.5)
