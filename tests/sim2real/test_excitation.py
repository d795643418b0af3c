import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.excitation import ExcitationLimits, clearance_m, excitation
from legged_skills.sim2real.held_robot import DriveParameters, HeldRobot, held_mean
from legged_skills.sim2real.loads import Load


def _played(robot: HeldRobot, commands: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T, J) what its nominal drives are told in 10 s, and where its joints are [rad]."""
    spec, step_s = robot.spec, robot.step_s
    robot.set_drives(DriveParameters.nominal(spec).table()[None])
    times_s = np.arange(len(commands)) * spec.control_period_s
    grid_s = np.arange(round(10.0 / step_s)) * step_s
    course = held_mean(times_s, commands, grid_s - 0.5 * step_s, step_s)
    return course, robot.simulate(commands[0], course[None], np.zeros(1, int), grid_s)[0]


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


@pytest.mark.parametrize("base_wxyz", [(1.0, 0.0, 0.0, 0.0), (0.5**0.5, 0.5**0.5, 0.0, 0.0)])
def test_joints_that_are_excited_stay_within_their_limits(
    base_wxyz: tuple[float, float, float, float],
) -> None:
    spec, limits, step_s = robots.get("anymal_c"), ExcitationLimits(), 0.00125
    commands = excitation(spec, 10.0, 1, base_wxyz=base_wxyz)
    _, q = _played(HeldRobot(spec, 1, step_s, base_wxyz), commands)
    assert ((q >= spec.joint_lower) & (q <= spec.joint_upper)).all()
    speed = np.abs(np.diff(q, axis=0)).max(axis=0) / step_s
    assert (speed < 1.02 * limits.velocity_share * spec.velocity_limit).all()


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a nominal robot makes of commands is taken for safe."""
    none = np.zeros(12, bool)
    monkeypatch.setattr(
        "legged_skills.sim2real.excitation._Check.violations", lambda *_: (none,) * 2
    )


@pytest.mark.usefixtures("unchecked")
def test_joints_swing_about_the_middles_of_their_ranges_once_they_are_there() -> None:
    spec = robots.get("anymal_c")
    commands = excitation(spec, 10.0, seed=3)
    middle = 0.5 * (spec.joint_lower + spec.joint_upper)
    # At 1 s half of the way, at 2 s all of it; and back at the end, 9.98 s.
    for row in (50, 499 - 50):
        half = 0.5 * (spec.default_joint_pos + middle)
        np.testing.assert_allclose(commands[row], half, atol=1e-12)
    for row in (100, 499 - 100):
        np.testing.assert_allclose(commands[row], middle, atol=1e-12)
    assert (np.abs(commands[200:300] - middle).max(axis=0) > 0.1).all()


@pytest.mark.usefixtures("unchecked")
def test_fast_turns_are_no_more_than_the_share_of_the_acceleration() -> None:
    spec, share = robots.get("anymal_c"), 0.01
    with_them, without = (
        excitation(spec, 10.0, 3, ExcitationLimits(acceleration_share=one)) for one in (share, 0.0)
    )
    fast = (with_them - without)[200:300]  # at full size from 4 s to 6 s
    for _ in range(2):
        fast = np.gradient(fast, spec.control_period_s, axis=0)
    most = np.abs(fast[2:-2]).max(axis=0) / (share * spec.acceleration_limit)
    assert (most < 1.0 + 1e-9).all() and most.max() > 0.5


def test_the_seed_decides() -> None:
    spec = robots.get("anymal_c")
    one, same, other = (excitation(spec, 10.0, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.1


def test_loads_count_towards_the_torque_limit() -> None:
    spec, limits = robots.get("op3"), ExcitationLimits()
    loads = tuple(
        Load(link=f"{side}_el_link", mass_kg=0.6, centre_m=(0.0, y, 0.0))
        for side, y in (("l", 0.12), ("r", -0.12))
    )
    robot = HeldRobot(spec, 1, 0.002, loads=loads)

    def most_share(commands: np.ndarray) -> float:
        """The greatest torque in the loaded robot [shares of the limit]."""
        course, q = _played(robot, commands)
        kp = DriveParameters.nominal(spec).kp
        return float((np.abs(kp * (course - q)) / spec.torque_limit).max())

    # Half as long a step as that of the check.
    assert most_share(excitation(spec, 10.0, 1, loads=loads)) < 1.05 * limits.torque_share
    assert most_share(excitation(spec, 10.0, 1)) > 1.2 * limits.torque_share


def test_loads_on_unknown_links_are_refused() -> None:
    tail = Load(link="tail", mass_kg=1.0, centre_m=(0.0, 0.0, 0.0))
    with pytest.raises(SettingsError, match="load on 'tail'"):
        excitation(robots.get("op3"), 10.0, loads=(tail,))


def test_wrong_durations_are_refused() -> None:
    with pytest.raises(SettingsError, match="excitation of 1 s"):
        excitation(robots.get("anymal_c"), 1.0)
