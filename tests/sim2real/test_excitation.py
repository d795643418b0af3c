import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.excitation import ExcitationLimits, clearance_m, excitation


@pytest.mark.parametrize("name", ["anymal_c", "op3"])
def test_excitation_is_safe_and_lively(name: str) -> None:
    spec, limits = robots.get(name), ExcitationLimits()
    commands = excitation(spec, 12.0, seed=3)
    period = spec.control_period_s
    assert commands.shape == (round(12.0 / period), spec.num_joints)
    np.testing.assert_allclose(commands[[0, -1]], np.tile(spec.default_joint_pos, (2, 1)))
    assert np.all((commands >= spec.joint_lower) & (commands <= spec.joint_upper))
    speed = np.abs(np.diff(commands, axis=0)).max(axis=0) / period
    assert np.all(speed < spec.velocity_limit)
    change = np.abs(np.diff(commands, 2, axis=0)).max(axis=0) / period**2
    assert np.all(change < spec.acceleration_limit)
    assert clearance_m(spec, commands) > 0.5 * limits.clearance * spec.leg_length_m
    assert np.all(np.ptp(commands, axis=0) > 0.1)


def test_the_seed_decides() -> None:
    spec = robots.get("anymal_c")
    one, same, other = (excitation(spec, 10.0, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.1


def test_wrong_durations_are_refused() -> None:
    with pytest.raises(SettingsError, match="excitation of 1 s"):
        excitation(robots.get("anymal_c"), 1.0)
