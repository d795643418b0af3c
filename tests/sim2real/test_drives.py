import dataclasses

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.simulation import Motion
from legged_skills.sim2real import ranges
from legged_skills.sim2real.drives import Drives, setpoint_ramp, torque_speed_line
from legged_skills.sim2real.gap import GAPS

SPEC = robots.get("anymal_c")
GAP = GAPS["anymal_c"]


class Recorder:
    """A physics that moves nothing and remembers what the drives were told."""

    def __init__(self, name: str = "anymal_c", n: int = 2, step_s: float = 0.005) -> None:
        self.spec, self.num_envs, self.step_s = robots.get(name), n, step_s
        self.qpos = np.tile(self.spec.home_qpos, (n, 1))
        self.qvel = np.zeros((n, 6 + self.spec.num_joints))
        self.torque = np.zeros((n, self.spec.num_joints))
        self.targets: list[np.ndarray] = []
        self.low = self.high = np.zeros(0)

    def set_gains(self, kp: np.ndarray, kd: np.ndarray) -> None:
        self.kp, self.kd = kp.copy(), kd.copy()

    def push(self, force_w: np.ndarray) -> None:
        del force_w

    def run_steps(
        self,
        joint_targets: np.ndarray,
        torque_low: np.ndarray | None = None,
        torque_high: np.ndarray | None = None,
    ) -> Motion:
        self.targets += list(joint_targets.swapaxes(0, 1).copy())
        if torque_low is not None and torque_high is not None:
            self.low, self.high = torque_low, torque_high
        count = joint_targets.shape[1]
        repeated = [
            np.repeat(x[:, None], count, axis=1) for x in (self.qpos, self.qvel, self.torque)
        ]
        return Motion(*repeated)

    def end_step(self) -> np.ndarray:
        return np.zeros(self.num_envs, dtype=bool)

    def reset(self, mask=None, qpos=None, qvel=None) -> None:
        del mask, qpos, qvel


def _drives(physics: Recorder, **changes: float) -> Drives:
    gap = GAPS[physics.spec.name]
    drives = Drives(gap, physics, round(physics.spec.control_period_s / physics.step_s))
    factors = ranges.nominal(gap.ranges, physics.spec, 1, physics.num_envs)
    factors["command_delay_s"][:] = 0.0
    for name, value in changes.items():
        factors[name][:] = value
    drives.set_factors(factors)
    drives.reset(np.arange(physics.num_envs), physics.qpos[:, 7:])
    return drives


def _moves(physics: Recorder) -> np.ndarray:
    """How far joint 0's target of robot 0 was from the default pose, physics step by step."""
    return np.array([targets[0, 0] for targets in physics.targets])


def _run(drives: Drives, steps: list[float]) -> None:
    substeps = round(SPEC.control_period_s / drives.sim.step_s)
    for value in steps:
        drives.command(drives.sim.spec.default_joint_pos + np.full((2, 1), value))
        for k in range(substeps):
            drives.substeps(k, 1)


def test_first_order_hold_arrives_one_period_later():
    # Ticks of 2.5 ms, two in each of 4 physics steps: means of 1/8 and 2/8, 3/8 and 4/8, ...
    np.testing.assert_allclose(
        setpoint_ramp(GAP, 0.02, 4), [1.5 / 8, 3.5 / 8, 5.5 / 8, 7.5 / 8], rtol=1e-6
    )
    physics = Recorder()
    _run(_drives(physics), [0.8, 0.8])
    np.testing.assert_allclose(_moves(physics), [0.15, 0.35, 0.55, 0.75] + 4 * [0.8], atol=1e-6)


def test_a_slow_loop_moves_setpoints_at_its_ticks_only():
    timing = dataclasses.replace(GAP.timing, drive_period_s=0.01)
    slow = dataclasses.replace(GAP, timing=timing)
    np.testing.assert_allclose(setpoint_ramp(slow, 0.02, 8), 4 * [0.5] + 4 * [1.0])


def test_hold_is_at_once():
    np.testing.assert_array_equal(setpoint_ramp(GAPS["op3"], 0.024, 6), np.ones(6))


def test_delay_is_counted_in_physics_steps_and_for_each_robot():
    physics = Recorder()
    hold = dataclasses.replace(GAP, timing=dataclasses.replace(GAP.timing, setpoint="hold"))
    drives = Drives(hold, physics, 4)
    factors = ranges.nominal(GAP.ranges, SPEC, 1, 2)
    factors["command_delay_s"][:, 0] = [0.010, 0.025]
    drives.set_factors(factors)
    drives.reset(np.arange(2), physics.qpos[:, 7:])
    _run(drives, [0.1, 0.2])
    seen = np.array([targets[:, 0] for targets in physics.targets])
    np.testing.assert_allclose(seen[:, 0], [0, 0, 0.1, 0.1, 0.1, 0.1, 0.2, 0.2], atol=1e-6)
    np.testing.assert_allclose(seen[:, 1], [0, 0, 0, 0, 0, 0.1, 0.1, 0.1], atol=1e-6)


def test_an_encoder_offset_moves_the_joint_the_other_way():
    physics = Recorder()
    _run(_drives(physics, joint_offset_rad=0.05), [0.3, 0.3])
    np.testing.assert_allclose(_moves(physics)[-1], 0.25, atol=1e-6)


def test_within_the_play_there_is_no_torque():
    physics = Recorder()
    drives = _drives(physics, backlash_rad=0.01)
    _run(drives, [0.004, 0.004])
    np.testing.assert_allclose(_moves(physics)[-1], 0.0, atol=1e-6)  # where the joint is
    _run(drives, [0.1, 0.1])
    np.testing.assert_allclose(_moves(physics)[-1], 0.09, atol=1e-6)


def test_torque_falls_with_speed_in_the_direction_of_motion_only():
    limit = np.full((1, 5), 80.0)
    speed = np.array([[0.0, 0.5, 1.0, 1.2, -0.5]])
    low, high = torque_speed_line(limit, 1.5, speed)
    # 120 (1 - 0.5) = 60; nothing at the greatest speed and above.
    np.testing.assert_allclose(high, [[80.0, 60.0, 0.0, 0.0, 80.0]])
    np.testing.assert_allclose(low, [[-80.0, -80.0, -80.0, -80.0, -60.0]])


def test_strength_and_gains_are_factors():
    physics = Recorder()
    drives = _drives(physics, strength=0.5, position_gain=1.1, velocity_gain=0.9)
    physics.qvel[:, 6] = 3.75  # half of 7.5 rad/s
    _run(drives, [0.0])
    np.testing.assert_allclose(physics.high[0, :2], [30.0, 40.0])
    np.testing.assert_allclose(physics.kp, 88.0)
    np.testing.assert_allclose(physics.kd, 1.8)


def test_the_battery_sags_with_the_current():
    physics = Recorder("op3", step_s=0.004)
    drives = _drives(physics, battery=0.95, battery_resistance_ohm=0.1)
    physics.torque[:] = 1.0  # 20 drives, 0.56 A each: 11.2 A, 1.12 V of 12
    for _ in range(20):
        drives.command(np.tile(physics.spec.default_joint_pos, (2, 1)))
        for k in range(6):
            drives.substeps(k, 1)
    wanted = 0.95 - 0.1 * 11.2 / 12.0
    np.testing.assert_allclose(drives.voltage, wanted, atol=1e-6)
    np.testing.assert_allclose(physics.high[0], wanted * 4.1, rtol=1e-6)
    np.testing.assert_allclose(physics.kp[0], wanted * 21.1, rtol=1e-6)


@pytest.mark.parametrize("name", ["anymal_c", "op3"])
def test_goes_on_exactly(name: str):
    rng = np.random.default_rng(0)
    one = Recorder(name, step_s=robots.get(name).physics_step_s)
    drives = _drives(one, command_delay_s=0.01)
    targets = rng.normal(size=(3, 2, one.spec.num_joints))
    for target in targets:
        drives.command(target)
        drives.substeps(0, 1)
    saved = drives.state()
    drives.substeps(1, 1)
    other = Recorder(name, step_s=one.step_s)
    resumed = _drives(other, command_delay_s=0.01)
    resumed.restore(saved)
    resumed.substeps(1, 1)
    np.testing.assert_array_equal(one.targets[-1], other.targets[-1])


def test_identified_gains_and_delay_stand_for_the_robots_own(make_fit):
    timing = dataclasses.replace(GAP.timing, setpoint="hold")
    fit = make_fit(SPEC, kp=0.9 * SPEC.kp, damping=0.5 * SPEC.kd, command_delay_s=0.010)
    physics = Recorder()
    drives = Drives(dataclasses.replace(GAP, fit=fit, timing=timing), physics, 4)
    factors = ranges.nominal(GAP.ranges, SPEC, 1, 2)
    factors["command_delay_s"][:] = 0.025
    drives.set_factors(factors)
    drives.reset(np.arange(2), physics.qpos[:, 7:])
    _run(drives, [0.1, 0.1, 0.1])
    # 25 and 10 ms are seven steps of 5 ms.
    np.testing.assert_allclose(_moves(physics), [0.0] * 7 + [0.1] * 5, atol=1e-6)
    np.testing.assert_allclose(physics.kp, 0.9 * SPEC.kp[0])
    np.testing.assert_allclose(physics.kd, 0.5 * SPEC.kd[0])


def test_the_torque_speed_line_with_a_low_battery():
    physics = Recorder()
    drives = _drives(physics, battery=0.8)
    np.testing.assert_allclose(drives.voltage, 0.8)
    physics.qvel[:, 6] = 3.75
    _run(drives, [0.0])
    # The limit, the stall torque and the speed without load are 0.8 times as large.
    limit, stall, free = 80.0, 1.5, 7.5
    wanted = 0.8 * limit * stall * (1.0 - 3.75 / (0.8 * free))
    np.testing.assert_allclose(physics.high[0, :2], [wanted, 0.8 * limit])
    np.testing.assert_allclose(physics.low[0, :2], -0.8 * limit)
    np.testing.assert_allclose(physics.kp, 0.8 * SPEC.kp[0])
    np.testing.assert_allclose(physics.kd, SPEC.kd[0])


@pytest.mark.parametrize(("count", "share"), [(1, 0.4), (2, 0.8)])
def test_the_battery_sags_with_torque_of_either_sign(count: int, share: float):
    physics = Recorder("op3", step_s=0.004)
    drives = _drives(physics, battery=0.95, battery_resistance_ohm=0.1)
    physics.torque[:] = 1.0
    physics.torque[:, ::2] = -1.0
    drives.command(np.tile(physics.spec.default_joint_pos, (2, 1)))
    drives.substeps(0, count)
    # 20 Nm of 0.56 A/Nm are 11.2 A; 4 ms are 0.4 of its time constant of 10 ms.
    sag = 0.1 * 20 * 0.56 / 12.0
    np.testing.assert_allclose(drives.voltage, 0.95 - share * sag, atol=1e-6)


def test_half_of_the_voltage_is_left_at_least():
    physics = Recorder("op3", step_s=0.004)
    drives = _drives(physics, battery_resistance_ohm=10.0)
    physics.torque[:] = 1.0
    for _ in range(20):
        drives.command(np.tile(physics.spec.default_joint_pos, (2, 1)))
        for substep in range(6):
            drives.substeps(substep, 1)
    np.testing.assert_allclose(drives.voltage, 0.5, atol=1e-6)


def test_half_of_a_setpoint_may_be_interpolated():
    physics = Recorder()
    _run(_drives(physics, interpolation=0.5), [0.8])
    ramp = np.array([1.5, 3.5, 5.5, 7.5]) / 8.0
    np.testing.assert_allclose(_moves(physics), 0.8 - 0.5 * (1.0 - ramp) * 0.8, atol=1e-6)


def test_gears_play_on_both_sides():
    physics = Recorder()
    drives = _drives(physics, backlash_rad=0.01)
    _run(drives, [-0.004, -0.004])
    np.testing.assert_allclose(_moves(physics)[-1], 0.0, atol=1e-6)
    _run(drives, [-0.1, -0.1])
    np.testing.assert_allclose(_moves(physics)[-1], -0.09, atol=1e-6)


def test_episodes_begin_where_the_encoder_says_that_joints_are():
    physics = Recorder()
    _run(_drives(physics, joint_offset_rad=0.05, command_delay_s=0.01), [0.3])
    np.testing.assert_allclose(_moves(physics)[:2], 0.0, atol=1e-6)


def test_the_voltage_goes_on_from_where_it_was():
    physics = Recorder("op3", step_s=0.004)
    drives = _drives(physics, battery=0.95, battery_resistance_ohm=0.1)
    physics.torque[:] = 1.0
    drives.command(np.tile(physics.spec.default_joint_pos, (2, 1)))
    drives.substeps(0, 1)
    resumed = _drives(Recorder("op3", step_s=0.004), battery=0.95, battery_resistance_ohm=0.1)
    assert (drives.voltage < 0.93).all()
    resumed.restore(drives.state())
    np.testing.assert_array_equal(resumed.voltage, drives.voltage)


def test_targets_that_are_early_go_on_from_where_setpoints_are():
    physics = Recorder()
    drives = _drives(physics)
    home = SPEC.default_joint_pos + np.zeros((2, 1))
    drives.command(home + 0.8)
    drives.substeps(0, 1)
    # A quarter of the period is over: the setpoint is about 0.2, and goes on to 0.6.
    drives.command(home + 0.6, elapsed=0.25)
    for k in range(4):
        drives.substeps(k, 1)
    ramp = np.array([1.5, 3.5, 5.5, 7.5]) / 8.0
    np.testing.assert_allclose(_moves(physics)[1:], 0.2 + 0.4 * ramp, atol=1e-6)


def test_limits_are_set_at_the_start_of_a_period_for_all_of_it():
    physics = Recorder("op3", step_s=0.004)
    drives = _drives(physics, battery=0.9)
    drives.command(np.tile(physics.spec.default_joint_pos, (2, 1)))
    drives.substeps(0, 6)
    wanted = np.broadcast_to(0.9 * physics.spec.torque_limit, (2, physics.spec.num_joints))
    np.testing.assert_allclose(physics.high, wanted, rtol=1e-6)
    np.testing.assert_allclose(physics.low, -wanted, rtol=1e-6)
