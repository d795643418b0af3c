import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.held_robot import DriveParameters, HeldRobot, held_mean

SPEC = robots.get("op3")
PAN = SPEC.joint_names.index("head_pan")


def test_mean_of_a_held_signal_by_hand() -> None:
    times_s, values = np.array([0.0, 1.0, 3.0]), np.array([[2.0], [4.0], [-1.0]])
    mean = held_mean(times_s, values, np.array([-1.0, 0.25, 0.5, 2.5, 5.0]), 1.0)
    # 0.25: 0.75 s of 2 and 0.25 s of 4. 2.5: half a second each of 4 and -1.
    np.testing.assert_allclose(mean[:, 0], [2.0, 2.5, 3.0, 1.5, -1.0])


def test_nominal_drives_are_those_of_the_models() -> None:
    nominal = DriveParameters.nominal(SPEC)
    np.testing.assert_allclose(nominal.table(), np.tile([21.1, 1.084, 0.03, 0.045], (20, 1)))
    nominal = DriveParameters.nominal(robots.get("anymal_c"))
    np.testing.assert_allclose(nominal.table(), np.tile([80.0, 2.0, 0.1, 0.06], (12, 1)))


def test_limbs_are_head_arms_and_legs() -> None:
    limbs = HeldRobot(SPEC, 1, 0.004).limbs
    assert limbs.tolist() == [0] * 2 + [1] * 3 + [2] * 3 + [3] * 6 + [4] * 6


@pytest.mark.parametrize("step_s", [0.001, 0.002, 0.004])
def test_a_step_of_the_command_is_answered_as_theory_says(step_s: float) -> None:
    # The level head's pan carries no weight: armature q'' + damping q' + kp (q - u) = 0.
    robot = HeldRobot(SPEC, 1, step_s)
    table = DriveParameters.nominal(SPEC).table()
    table[:, 2] = 0.0
    table[PAN] = [20.0, 1.0, 0.0, 0.05]
    robot.set_drives(table[None])
    start, change_s = SPEC.default_joint_pos, 0.1003
    target = start.copy()
    target[PAN] += 0.1
    grid_s = np.arange(round(0.5 / step_s)) * step_s
    commands = held_mean(
        np.array([0.0, change_s]), np.stack([start, target]), grid_s - 0.5 * step_s, step_s
    )
    times_s = np.linspace(0.1, 0.5, 41)
    q = robot.simulate(start, commands[None], np.zeros(1, int), times_s)[0, :, PAN]
    model = 0.05 + 7e-5  # and the head's own inertia
    decay, omega = 0.5 / model, np.sqrt(20.0 / model - (0.5 / model) ** 2)
    t = np.maximum(times_s - change_s, 0.0)
    answer = np.exp(-decay * t) * (np.cos(omega * t) + decay / omega * np.sin(omega * t))
    np.testing.assert_allclose(q, start[PAN] + 0.1 * (1.0 - answer), atol=40.0 * step_s**2)


def test_friction_holds_what_is_weaker_than_it() -> None:
    robot = HeldRobot(SPEC, 2, 0.002)
    tables = np.tile(DriveParameters.nominal(SPEC).table(), (2, 1, 1))
    tables[:, PAN] = [20.0, 4.0, 0.1, 0.05]  # too damped to swing
    robot.set_drives(tables)
    courses = np.tile(SPEC.default_joint_pos, (2, 1500, 1))
    courses[0, :, PAN] += 0.004  # 0.08 Nm
    courses[1, :, PAN] += 0.05  # 1 Nm, which ends where 0.1 Nm are left
    q = robot.simulate(SPEC.default_joint_pos, courses, np.arange(2), np.array([1.5]))[:, 0, PAN]
    # MuJoCo's friction creeps a little under load.
    assert 0.0 <= q[0] < 1e-3
    assert q[1] == pytest.approx(0.045, abs=1e-3)


def test_bad_parameters_are_refused() -> None:
    with pytest.raises(SettingsError, match="drive parameter friction"):
        DriveParameters.of_table(np.array([[1.0, 1.0, -1.0, 1.0]]), 0.0)
    with pytest.raises(SettingsError, match="command_delay_s is -1"):
        DriveParameters.of_table(np.ones((2, 4)), -1.0)
