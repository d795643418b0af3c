import dataclasses
from typing import Any

import numpy as np

from legged_skills import robots
from legged_skills.robots.contract import proprioception
from legged_skills.robots.simulation import BatchSim
from legged_skills.sim2real import ranges
from legged_skills.sim2real.attitude_filter import STANDARD_GRAVITY
from legged_skills.sim2real.gap import GAPS, Gap
from legged_skills.sim2real.sensors import Sensors, noise_of

DOWN = np.array([0.0, 0.0, -1.0], np.float32)


class Puppet(BatchSim):
    """A physics that is not stepped; its state is set by hand."""

    def __init__(self, name: str, n: int) -> None:
        super().__init__(robots.get(name), n, 1)


def _sensors(
    name: str, n: int, gap: Gap | None = None, accelerometer: bool = False, **changes: Any
) -> tuple[Sensors, Puppet]:
    """Sensors of robots at rest, without delay, but for the factors that change."""
    gap, puppet = gap or GAPS[name], Puppet(name, n)
    factors = ranges.nominal(gap.ranges, puppet.spec, 1, n)
    factors["sensor_delay_s"][:] = 0.0
    for key, value in changes.items():
        factors[key][:] = value
    contract, down = proprioception(puppet.spec), np.tile(DOWN, (n, 1))
    sensors = Sensors(gap, puppet, contract, down, accelerometer=accelerometer)
    sensors.set_factors(factors)
    sensors.reset(np.arange(n), np.random.default_rng(0))
    return sensors, puppet


def test_at_rest_and_upright():
    sensors, puppet = _sensors("anymal_c", 2)
    wanted = np.concatenate([DOWN, np.zeros(3), puppet.spec.default_joint_pos, np.zeros(12)])
    np.testing.assert_allclose(sensors.values, np.tile(wanted, (2, 1)), atol=1e-6)


def test_values_are_as_old_as_the_delay():
    rng = np.random.default_rng(0)
    sensors, puppet = _sensors("anymal_c", 2)
    sensors._delay_s = np.array([0.0, 0.015])
    for step in range(1, 9):
        puppet.qpos[:, 7] = step
        sensors.sample(puppet.qpos, puppet.qvel, rng)
    sensors.read(rng)
    np.testing.assert_allclose(sensors.values[:, 6], [8.0, 2.0])  # 15 ms are six steps


def test_mounting_bias_and_offset_by_hand():
    tilt = 0.03
    rng = np.random.default_rng(0)
    sensors, puppet = _sensors("anymal_c", 1, gyro_bias=0.01, joint_offset_rad=0.05)
    sensors._tilt[:] = [0.0, 0.0, tilt]
    puppet.qvel[:, 3:6] = [1.0, 0.0, 0.0]
    sensors.sample(puppet.qpos, puppet.qvel, rng)
    sensors.read(rng)
    # Turned by +tilt about z, the IMU sees the base's x axis at -tilt.
    np.testing.assert_allclose(sensors.values[0, 3:6], [1.01, 0.01 - tilt, 0.01], atol=1e-6)
    default = puppet.spec.default_joint_pos
    np.testing.assert_allclose(sensors.values[0, 6:18], default + 0.05, atol=1e-6)


def test_noise_is_the_contracts_times_the_factor():
    sensors, puppet = _sensors("anymal_c", 4000, sensor_noise=1.5)
    noise = sensors.values.std(axis=0)
    wanted = 1.5 * noise_of(proprioception(puppet.spec), 12)
    np.testing.assert_allclose(noise, wanted, rtol=0.1)
    # Uniform +-0.01 rad, see the contract.
    np.testing.assert_allclose(wanted[6], 1.5 * 0.01 / np.sqrt(3.0), rtol=1e-6)


def test_lost_samples_leave_the_last_value():
    rng = np.random.default_rng(0)
    sensors, puppet = _sensors("anymal_c", 2000, drop_rate=0.25)
    puppet.qpos[:, 7] = 1.0
    sensors.sample(puppet.qpos, puppet.qvel, rng)
    sensors.read(rng)
    np.testing.assert_allclose((sensors.values[:, 6] == 0.0).mean(), 0.25, atol=0.03)


def test_jitter_makes_values_older_now_and_then():
    rng = np.random.default_rng(0)
    sensors, puppet = _sensors("anymal_c", 2000, sensor_jitter_s=0.005)
    puppet.qpos[:, 7] = 1.0
    sensors.sample(puppet.qpos, puppet.qvel, rng)
    sensors.read(rng)
    # An age of U(0, 5 ms) is nearer to none than to a step of 2.5 ms in a quarter of the cases.
    np.testing.assert_allclose((sensors.values[:, 6] == 0.0).mean(), 0.75, atol=0.04)


def test_encoders_count():
    # Steps are those of the encoder, which is mounted off.
    sensors, _ = _sensors("op3", 3, sensor_noise=1.0, joint_offset_rad=0.0107)
    counts = sensors.values[:, 6:26] * 4096 / (2.0 * np.pi)
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-3)


def test_the_imu_smooths():
    rng = np.random.default_rng(0)
    sensors, puppet = _sensors("op3", 1)
    puppet.qvel[:, 3] = 1.0
    for _ in range(4):  # physics steps of 4 ms, an IMU sample in every second one
        sensors.sample(puppet.qpos, puppet.qvel, rng)
    sensors.read(rng)
    np.testing.assert_allclose(sensors.values[0, 3], 1.0 - 0.6**2, rtol=1e-5)


def test_op3_estimates_gravity_itself():
    rng = np.random.default_rng(0)
    sensors, puppet = _sensors("op3", 1)
    # Leaning forward by 0.1 rad without a word of the gyroscope: the accelerometer tells it slowly.
    puppet.qpos[:, 3:7] = [np.cos(0.05), 0.0, np.sin(0.05), 0.0]
    for _ in range(2 * 125):  # 1 s, one time constant
        sensors.sample(puppet.qpos, puppet.qvel, rng)
    sensors.read(rng)
    np.testing.assert_allclose(sensors.values[0, 0], 0.1 * (1.0 - np.exp(-1.0)), rtol=0.05)


def test_a_push_forward_looks_like_leaning_back_to_the_accelerometer():
    rng = np.random.default_rng(0)
    sensors, puppet = _sensors("op3", 1)
    puppet.qvel[:, 0] = 0.5 * STANDARD_GRAVITY * 0.008  # half a g over one IMU sample
    sensors.sample(puppet.qpos, puppet.qvel, rng)
    sensors.sample(puppet.qpos, puppet.qvel, rng)
    felt = sensors._felt[0]
    np.testing.assert_allclose(felt, STANDARD_GRAVITY * np.array([0.4 * 0.5, 0, 1]), rtol=1e-4)


def test_goes_on_exactly():
    one, puppet = _sensors("op3", 2, sensor_noise=1.0, drop_rate=0.3)
    other, _ = _sensors("op3", 2, sensor_noise=1.0, drop_rate=0.3)
    other.sim = puppet
    rng = np.random.default_rng(0)
    for step in range(7):
        puppet.qvel[:] = 0.1 * step
        one.sample(puppet.qpos, puppet.qvel, rng)
    other.restore(one.state())
    a, b = np.random.default_rng(1), np.random.default_rng(1)
    for step in range(7):
        puppet.qvel[:] = -0.1 * step
        one.sample(puppet.qpos, puppet.qvel, a)
        other.sample(puppet.qpos, puppet.qvel, b)
        one.read(a)
        other.read(b)
        np.testing.assert_array_equal(one.values, other.values)


def test_contracts_without_joint_velocity_have_no_noise_for_it():
    noise = noise_of(proprioception(robots.get("op3")), 20)
    assert noise[6] > 0.0 and not noise[26:].any()
    told = dataclasses.replace(robots.get("op3"), measures_joint_velocity=True)
    assert noise_of(proprioception(told), 20)[26] > 0.0


TILT = np.array([0.01, -0.02, 0.03])
RATE = np.array([0.5, -0.3, 0.2])
GYRO_BIAS, FELT_BIAS = np.array([0.01, 0.02, 0.03]), np.array([0.1, -0.2, 0.3])
UP = np.array([0.0, 0.0, STANDARD_GRAVITY])


def _seen(vector: np.ndarray) -> np.ndarray:
    """What an IMU that is mounted off by TILT sees, to first order."""
    return vector + np.cross(vector, TILT)


def test_mounting_errors_about_all_axes():
    rng = np.random.default_rng(0)
    sensors, puppet = _sensors("anymal_c", 1, imu_tilt_rad=TILT, gyro_bias=GYRO_BIAS)
    puppet.qvel[:, 3:6] = RATE
    sensors.sample(puppet.qpos, puppet.qvel, rng)
    sensors.read(rng)
    np.testing.assert_allclose(sensors.values[0, :3], _seen(DOWN), atol=1e-6)
    np.testing.assert_allclose(sensors.values[0, 3:6], _seen(RATE) + GYRO_BIAS, atol=1e-6)


def test_the_imu_of_op3_by_hand():
    rng = np.random.default_rng(0)
    errors: dict[str, Any] = {
        "imu_tilt_rad": TILT,
        "gyro_bias": GYRO_BIAS,
        "accelerometer_bias": FELT_BIAS,
    }
    sensors, puppet = _sensors("op3", 1, **errors)
    felt = _seen(UP) + FELT_BIAS
    puppet.qvel[:, :3], puppet.qvel[:, 3:6] = [1.0, 2.0, 3.0], RATE
    # The first frame of an episode has the errors too, and takes no speed for an acceleration.
    sensors.reset(np.array([0]), rng)
    np.testing.assert_allclose(sensors.values[0, 3:6], _seen(RATE) + GYRO_BIAS, atol=1e-6)
    np.testing.assert_allclose(sensors.values[0, :3], -felt / np.linalg.norm(felt), atol=1e-6)
    for _ in range(2):
        sensors.sample(puppet.qpos, puppet.qvel, rng)
    np.testing.assert_allclose(sensors._felt[0], felt, rtol=1e-4, atol=1e-4)
    # Its low-pass has forgotten what was before after a while.
    puppet.qvel[:, 3:6] = -2.0 * RATE
    for _ in range(120):
        sensors.sample(puppet.qpos, puppet.qvel, rng)
    sensors.read(rng)
    np.testing.assert_allclose(sensors.values[0, 3:6], _seen(-2.0 * RATE) + GYRO_BIAS, atol=1e-5)
    np.testing.assert_allclose(sensors._felt[0], felt, rtol=1e-4, atol=1e-4)


def test_the_accelerometer_of_op3_feels_a_slope():
    rng = np.random.default_rng(0)
    sensors, puppet = _sensors("op3", 1)
    sensors._down_w[:] = [np.sin(0.1), 0.0, -np.cos(0.1)]
    sensors.reset(np.array([0]), rng)
    for _ in range(2):
        sensors.sample(puppet.qpos, puppet.qvel, rng)
    wanted = STANDARD_GRAVITY * np.array([-np.sin(0.1), 0.0, np.cos(0.1)])
    np.testing.assert_allclose(sensors._felt[0], wanted, atol=1e-4)


def test_the_accelerometer_of_op3_has_an_end_and_noise():
    rng = np.random.default_rng(0)
    sensors, puppet = _sensors("op3", 1)
    puppet.qvel[:, 2] = 100.0
    for _ in range(2):
        sensors.sample(puppet.qpos, puppet.qvel, rng)
    # From 1 g towards 2 g, where it ends, with a weight of 0.4.
    np.testing.assert_allclose(sensors._felt[0, 2], 1.4 * STANDARD_GRAVITY, rtol=1e-5)
    sensors, puppet = _sensors("op3", 4000, sensor_noise=1.5)
    for _ in range(2):
        sensors.sample(puppet.qpos, puppet.qvel, rng)
    np.testing.assert_allclose(sensors._felt.std(axis=0), 0.4 * 0.3 * 1.5, rtol=0.05)


def test_jitter_is_on_top_of_the_longest_delay():
    rng = np.random.default_rng(0)
    sensors, puppet = _sensors("anymal_c", 2000, sensor_jitter_s=0.005)
    sensors._delay_s[:] = GAPS["anymal_c"].ranges.sensor_delay_s[1]
    for step in range(1, 21):
        puppet.qpos[:, 7] = step
        sensors.sample(puppet.qpos, puppet.qvel, rng)
    sensors.read(rng)
    # 25 ms are 10 steps, and up to 5 ms more are two.
    assert set(np.unique(sensors.values[:, 6])) == {8.0, 9.0, 10.0}


def test_the_accelerometer_tells_as_late_as_the_rest():
    rng = np.random.default_rng(0)
    delays_s = np.array([[0.0], [0.016]])
    sensors, puppet = _sensors("op3", 2, accelerometer=True, sensor_delay_s=delays_s)
    at_rest = [0.0, 0.0, STANDARD_GRAVITY]
    np.testing.assert_allclose(sensors.acceleration, [at_rest, at_rest], rtol=1e-5)
    # Half a g over one sample of the IMU, two physics steps of 4 ms; then a steady speed.
    puppet.qvel[:, 0] = 0.5 * STANDARD_GRAVITY * 0.008
    told = []
    for _ in range(3):
        for _ in range(2):
            sensors.sample(puppet.qpos, puppet.qvel, rng)
        sensors.read(rng)
        told.append(sensors.acceleration[:, 0] / STANDARD_GRAVITY)
    # Its low-pass takes in 0.4 of what is new; 16 ms are two samples.
    np.testing.assert_allclose(told, [[0.2, 0.0], [0.12, 0.0], [0.072, 0.2]], atol=1e-4)


def test_everything_in_a_saved_state_is_restored():
    rng = np.random.default_rng(0)
    one, puppet = _sensors("op3", 2, accelerometer=True)
    other, _ = _sensors("op3", 2, accelerometer=True)
    for step in range(7):
        puppet.qvel[:], puppet.qpos[:, 3:7] = 0.1 * step, [np.cos(0.1), np.sin(0.1), 0.0, 0.0]
        one.sample(puppet.qpos, puppet.qvel, rng)
        one.read(rng)
    wanted, before = one.state(), other.state()
    assert all((wanted[name] != before[name]).any() for name in wanted)
    other.restore(wanted)
    for name, array in other.state().items():
        np.testing.assert_array_equal(array, wanted[name], err_msg=name)


def test_an_imu_with_a_low_pass_has_its_mounting_error_from_the_start():
    own, rng = GAPS["anymal_c"], np.random.default_rng(0)
    gap = dataclasses.replace(own, sensors=dataclasses.replace(own.sensors, imu_smoothing=0.5))
    sensors, puppet = _sensors("anymal_c", 1, gap, imu_tilt_rad=TILT, gyro_bias=GYRO_BIAS)
    np.testing.assert_allclose(sensors.values[0, :3], _seen(DOWN), atol=1e-6)
    np.testing.assert_allclose(sensors.values[0, 3:6], GYRO_BIAS, atol=1e-6)
    # Gravity follows at once, the rate by half.
    puppet.qpos[0, 3:7] = [np.cos(0.1), 0.0, np.sin(0.1), 0.0]
    puppet.qvel[:, 3:6] = RATE
    sensors.sample(puppet.qpos, puppet.qvel, rng)
    sensors.read(rng)
    gravity = np.array([np.sin(0.2), 0.0, -np.cos(0.2)])
    np.testing.assert_allclose(sensors.values[0, :3], _seen(gravity), atol=1e-6)
    np.testing.assert_allclose(sensors.values[0, 3:6], 0.5 * _seen(RATE) + GYRO_BIAS, atol=1e-6)
