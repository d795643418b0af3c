"""The integrator on a commanded velocity, by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.tasks.evaluate_walk import shipped_policy
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.trim import LIMIT, WINDOW, VelocityTrim, velocity_trim

TRIM = VelocityTrim(
    steps=50.0, task_scale=(2.0, 4.0, 2.0), gyro=1, gyro_scale=0.5, memory_share=0.1
)


def _rows(*values: float) -> jnp.ndarray:
    return jnp.array([values], jnp.float32)


def _sensed(rate: float) -> jnp.ndarray:
    """A turning rate [rad/s], among other things."""
    return _rows(9.0, 0.5 * rate, -9.0)


def test_one_step_by_hand() -> None:
    # Commanded are 0.5 forward and -0.1 to the left, in the unit of "velocity", and 0.15 rad/s.
    task = _rows(1.0, -0.4, 0.3)
    before = _rows(0.01, 0.02, 0.03, 0.2)
    found = TRIM.advance(before, task, _rows(0.4, 0.1, 9.0), _sensed(0.5))
    # The mean of the turning rate goes a tenth of the way from 0.2 to 0.5.
    missing = np.array([0.1, -0.2, 0.15 - 0.23])
    wanted = [0.01, 0.02, 0.03] + (1.0 - (missing / WINDOW) ** 2) * missing / 50.0
    np.testing.assert_allclose(found[0], [*wanted, 0.23], rtol=1e-5)


def test_the_policy_is_told_the_command_and_the_trim() -> None:
    told = TRIM.told(_rows(1.0, -0.4, 0.3), _rows(0.01, 0.02, -0.05, 9.0))
    np.testing.assert_allclose(told[0], [1.02, -0.32, 0.2], rtol=1e-6)


def test_nothing_is_integrated_while_the_robot_is_far_from_its_command() -> None:
    before = _rows(0.01, 0.02, 0.03, 0.0)
    found = TRIM.advance(before, _rows(2.0, 0.0, 2.0), _rows(0.0, 0.0, 0.0), _sensed(0.0))
    np.testing.assert_array_equal(found[0], before[0])


def test_it_has_a_limit() -> None:
    trim = _rows(0.0, 0.0, 0.0, 0.0)
    for _ in range(1000):
        trim = TRIM.advance(trim, _rows(1.0, -1.0, -0.8), _rows(0.2, 0.05, 0.0), _sensed(-0.1))
    np.testing.assert_allclose(trim[0], [LIMIT, -LIMIT, -LIMIT, -0.1], rtol=1e-5)


def test_a_robot_that_shall_stand_has_none() -> None:
    before, velocity = _rows(0.3, 0.3, 0.3, 0.0), _rows(0.1, 0.1, 0.0)
    still = TRIM.advance(before, _rows(0.0, 0.0, 0.0), velocity, _sensed(0.1))
    np.testing.assert_allclose(still[0], [0.0, 0.0, 0.0, 0.01], rtol=1e-6)
    turning = TRIM.advance(before, _rows(0.0, 0.0, 0.5), velocity, _sensed(0.1))
    moved = np.asarray(turning[0, :2])
    assert (moved < 0.3).all() and (moved > 0.29).all()


@pytest.mark.parametrize("gain", [0.6, 1.4])
def test_a_robot_that_makes_something_else_of_its_commands_comes_to_obey(gain: float) -> None:
    """Velocity = gain times what it is told, with an offset, and a lag of ten steps."""
    wanted, scale = _rows(0.5, -0.3, 0.4), _rows(2.0, 4.0, 2.0)
    trim, velocity = _rows(0.0, 0.0, 0.0, 0.0), _rows(0.0, 0.0, 0.0)
    for _ in range(600):
        trim = TRIM.advance(trim, wanted * scale, velocity, _sensed(float(velocity[0, 2])))
        told = TRIM.told(wanted * scale, trim) / scale
        velocity = velocity + 0.1 * (gain * told + 0.02 - velocity)
    np.testing.assert_allclose(velocity, wanted, atol=2e-3)


def test_walking_has_one_and_dribbling_has_none() -> None:
    contract = TaskPolicy.load(shipped_policy("anymal_c")).contract
    found = velocity_trim("walk", contract, 125.0, 25.0)
    unit = 0.25 * robots.get("anymal_c").froude_speed_mps
    assert found is not None
    np.testing.assert_allclose(found.task_scale, [2.0 * unit, 4.0 * unit, 2.0], rtol=1e-6)
    assert found.memory_share == 0.04
    assert velocity_trim("walk", contract, 0.0, 25.0) is None
    assert velocity_trim("dribble", contract, 125.0, 25.0) is None


def test_it_finds_the_newest_turning_rate() -> None:
    contract = TaskPolicy.load(shipped_policy("anymal_c")).contract
    trim = velocity_trim("walk", contract, 125.0, 1.0)
    assert trim is not None
    frames = []
    for step in range(contract.history):
        signals = {term.name: np.zeros((1, term.size)) for term in contract.terms}
        signals["angular_velocity"] = np.array([[7.0, 8.0, 0.1 * step]])
        frames.append(contract.frame(signals))
    sensed = jnp.asarray(np.concatenate(frames, axis=1))
    found = trim.advance(_rows(0.0, 0.0, 0.0, 9.0), _rows(1.0, 0.0, 0.0), _rows(0, 0, 0), sensed)
    assert float(found[0, 3]) == pytest.approx(0.1 * (contract.history - 1), rel=1e-5)
