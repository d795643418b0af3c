import subprocess
import sys

import numpy as np
import pytest

from legged_skills.robots import rotations
from legged_skills.sim2real.attitude_filter import (
    STANDARD_GRAVITY,
    AttitudeFilter,
    AttitudeFilterConfig,
)


def test_follows_a_turn_from_the_gyroscope_alone():
    # Acceleration of twice gravity's size is not believed: only the gyroscope counts.
    attitude = AttitudeFilter(1)
    wild = np.array([[0.0, 0.0, 2.0 * STANDARD_GRAVITY]])
    for _ in range(1000):
        attitude.update(np.array([[0.5, 0.0, 0.0]]), wild, 0.001)
    # Rolled by 0.5 rad about x: down is (0, -sin, -cos) in the base frame.
    wanted = [[0.0, -np.sin(0.5), -np.cos(0.5)]]
    np.testing.assert_allclose(attitude.gravity_b, wanted, atol=5e-4)


@pytest.mark.parametrize("time_constant_s", [1.0, 0.5])
def test_leans_towards_the_accelerometer_with_its_time_constant(time_constant_s: float):
    attitude = AttitudeFilter(1, AttitudeFilterConfig(time_constant_s=time_constant_s))
    tilt = 0.1
    force = STANDARD_GRAVITY * np.array([[0.0, np.sin(tilt), np.cos(tilt)]])
    for _ in range(round(1000 * time_constant_s)):
        attitude.update(np.zeros((1, 3)), force, 0.001)
    seen = -attitude.gravity_b[0, 1]
    # After one time constant 1 - 1/e of the way, for a small angle.
    np.testing.assert_allclose(seen, (1.0 - np.exp(-1.0)) * tilt, rtol=0.01)


def test_no_time_constant_is_too_short():
    attitude = AttitudeFilter(1, AttitudeFilterConfig(time_constant_s=0.001))
    attitude.gravity_b[:] = [[0.02, 0.0, -1.0]]
    for _ in range(50):
        attitude.update(np.zeros((1, 3)), STANDARD_GRAVITY * np.array([[0.0, 0.0, 1.0]]), 0.008)
    np.testing.assert_allclose(attitude.gravity_b, [[0.0, 0.0, -1.0]], atol=1e-9)


def test_reset_takes_the_accelerometer_and_stays_of_unit_length():
    attitude = AttitudeFilter(2)
    attitude.reset(np.array([[0.0, 3.0, 4.0]]), np.array([1]))
    np.testing.assert_allclose(attitude.gravity_b, [[0, 0, -1], [0, -0.6, -0.8]], atol=1e-6)
    rng = np.random.default_rng(0)
    for _ in range(200):
        attitude.update(rng.normal(size=(2, 3)), 9.8 * rng.normal(size=(2, 3)), 0.008)
    np.testing.assert_allclose(np.linalg.norm(attitude.gravity_b, axis=1), 1.0, atol=1e-6)


def test_an_accelerometer_that_shows_nothing_says_nothing():
    attitude = AttitudeFilter(2)
    attitude.reset(np.array([[0.0, 3.0, 4.0], [0.0, 0.0, 0.0]]))
    wanted = [[0, -0.6, -0.8], [0, 0, -1]]
    np.testing.assert_allclose(attitude.gravity_b, wanted, atol=1e-6)
    attitude.update(np.zeros((2, 3)), np.zeros((2, 3)), 0.008)
    np.testing.assert_allclose(attitude.gravity_b, wanted, atol=1e-6)


def test_a_robot_needs_neither_mujoco_nor_jax_for_it():
    code = (
        "import sys, legged_skills.sim2real.attitude_filter\n"
        "assert not {'jax', 'mujoco'} & set(sys.modules), 'too much'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("axis", np.eye(3))
def test_follows_a_turn_about_any_axis_of_a_tilted_robot(axis: np.ndarray):
    attitude = AttitudeFilter(1)
    attitude.reset(np.array([[1.0, 2.0, 2.0]]))
    wild = np.array([[0.0, 0.0, 2.0 * STANDARD_GRAVITY]])
    for _ in range(1000):
        attitude.update(0.5 * axis[None], wild, 0.001)
    turn = rotations.from_axis_angle(axis, np.array(0.5))
    wanted = rotations.rotate_inverse(turn, -np.array([1.0, 2.0, 2.0]) / 3.0)
    np.testing.assert_allclose(attitude.gravity_b[0], wanted, atol=1e-3)
