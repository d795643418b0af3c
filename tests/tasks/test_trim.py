"""The integrator on a commanded velocity, by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.tasks.trim import LIMIT, WINDOW, VelocityTrim, velocity_trim

TRIM = VelocityTrim(steps=50.0, task_scale=(2.0, 4.0))


def _rows(*values: float) -> jnp.ndarray:
    return jnp.array([values], jnp.float32)


def test_one_step_by_hand() -> None:
    # Commanded are 0.5 forward and -0.1 to the left, in the unit of "velocity".
    task = _rows(1.0, -0.4, 0.3)
    found = TRIM.advance(_rows(0.01, 0.02), task, _rows(0.4, 0.1, 9.0))
    missing = np.array([0.1, -0.2])
    wanted = [0.01, 0.02] + (1.0 - (missing / WINDOW) ** 2) * missing / 50.0
    np.testing.assert_allclose(found[0], wanted, rtol=1e-5)


def test_the_policy_is_told_the_command_and_the_trim() -> None:
    told = TRIM.told(_rows(1.0, -0.4, 0.3), _rows(0.01, 0.02))
    np.testing.assert_allclose(told[0], [1.02, -0.32, 0.3], rtol=1e-6)


def test_nothing_is_integrated_while_the_robot_is_far_from_its_command() -> None:
    found = TRIM.advance(_rows(0.01, 0.02), _rows(2.0, 0.0, 0.0), _rows(0.0, 0.0, 0.0))
    np.testing.assert_array_equal(found[0], np.array([0.01, 0.02], np.float32))


def test_it_has_a_limit() -> None:
    trim = _rows(0.0, 0.0)
    for _ in range(1000):
        trim = TRIM.advance(trim, _rows(1.0, -1.0, 0.0), _rows(0.2, 0.05, 0.0))
    np.testing.assert_allclose(trim[0], [LIMIT, -LIMIT], rtol=1e-6)


def test_a_robot_that_shall_stand_has_none() -> None:
    still = TRIM.advance(_rows(0.3, 0.3), _rows(0.0, 0.0, 0.0), _rows(0.1, 0.1, 0.0))
    np.testing.assert_array_equal(still[0], 0.0)
    turning = TRIM.advance(_rows(0.3, 0.3), _rows(0.0, 0.0, 0.5), _rows(0.1, 0.1, 0.0))
    assert (np.asarray(turning[0]) < 0.3).all() and (np.asarray(turning[0]) > 0.29).all()


@pytest.mark.parametrize("gain", [0.6, 1.4])
def test_a_robot_that_makes_something_else_of_its_commands_comes_to_obey(gain: float) -> None:
    """Velocity = gain times what it is told, with an offset, and a lag of ten steps."""
    wanted = _rows(0.5, -0.3)
    task = jnp.concatenate([wanted * _rows(2.0, 4.0), _rows(0.0)], axis=1)
    trim, velocity = _rows(0.0, 0.0), _rows(0.0, 0.0)
    for _ in range(600):
        trim = TRIM.advance(trim, task, jnp.concatenate([velocity, _rows(0.0)], axis=1))
        told = TRIM.told(task, trim)[:, :2] / _rows(2.0, 4.0)
        velocity = velocity + 0.1 * (gain * told + 0.02 - velocity)
    np.testing.assert_allclose(velocity, wanted, atol=2e-3)


def test_walking_has_one_and_dribbling_has_none() -> None:
    found = velocity_trim("walk", "anymal_c", 125.0)
    unit = 0.25 * robots.get("anymal_c").froude_speed_mps
    assert found is not None
    np.testing.assert_allclose(found.task_scale, [2.0 * unit, 4.0 * unit], rtol=1e-6)
    assert velocity_trim("walk", "anymal_c", 0.0) is None
    assert velocity_trim("dribble", "anymal_c", 125.0) is None
