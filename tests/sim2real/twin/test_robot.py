import dataclasses

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.contract import proprioception
from legged_skills.robots.rotations import rotate, rotate_inverse
from legged_skills.sim2real.attitude_filter import AttitudeFilter
from legged_skills.sim2real.gap import GAPS, Gap
from legged_skills.sim2real.reality import simulate
from legged_skills.sim2real.sensed_robot import SensedRobots
from legged_skills.sim2real.twin.interface import interface
from legged_skills.sim2real.twin.robot import TwinRobot, clean_gap


def _sure(name: str, **ranges: float) -> Gap:
    """The robot's gap without anything random, but with its timing, drives and delays given."""
    gap, clean = GAPS[name], clean_gap(GAPS[name])
    values = {factor: (value, value) for factor, value in ranges.items()}
    return dataclasses.replace(
        clean,
        timing=gap.timing,
        drives=gap.drives,
        ranges=dataclasses.replace(clean.ranges, **values),
    )


def _sensed(twin: TwinRobot, gap: Gap) -> SensedRobots:
    """The training's robot, where the twin is."""
    sim = simulate(twin.spec, 1, 1, gap)
    sensed = SensedRobots(sim, proprioception(twin.spec), gap=gap)
    sensed.reset(np.array([0]), twin.sim.qpos.copy(), np.zeros(6 + sensed.spec.num_joints))
    return sensed


def _targets(name: str, steps: int) -> np.ndarray:
    spec = robots.get(name)
    wave = 0.1 * np.sin(0.4 * np.arange(steps)[:, None] + np.arange(spec.num_joints))
    return spec.default_joint_pos + wave


@pytest.mark.parametrize(("name", "cycles"), [("op3", 3), ("anymal_c", 4)])
def test_it_moves_exactly_as_in_training(name: str, cycles: int):
    # In the twin half a cycle of waiting is real.
    twin_gap = _sure(name, command_delay_s=0.016 + 0.5 * interface(name).cycle_s)
    twin = TwinRobot(interface(name), twin_gap)
    twin.start(twin.spec.default_joint_pos)
    sensed = _sensed(twin, _sure(name, command_delay_s=0.016))
    for targets in _targets(name, 15):
        twin.hold(targets)
        for _ in range(cycles):
            twin.cycle()
        sensed.step_targets(targets[None].astype(np.float32))
    moved = np.abs(sensed.batch.qpos[0, 7:] - twin.spec.default_joint_pos).max()
    assert moved > 0.05
    np.testing.assert_allclose(twin.sim.qpos, sensed.batch.qpos, atol=1e-5)


def test_op3s_raw_samples_give_the_gravity_that_training_tells():
    gap = _sure("op3")
    twin = TwinRobot(interface("op3"), gap)
    twin.start(twin.spec.default_joint_pos)
    sensed = _sensed(twin, gap)
    ours = AttitudeFilter(1, gap.sensors.filter)
    ours.reset(twin.imu().acceleration[None].astype(np.float32))
    for targets in _targets("op3", 20):
        twin.hold(targets)
        for _ in range(3):
            twin.cycle()
            imu = twin.imu()
            rate, felt = (
                v[None].astype(np.float32) for v in (imu.angular_velocity, imu.acceleration)
            )
            ours.update(rate, felt, 0.008)
        sensed.step_targets(targets[None].astype(np.float32))
    assert np.abs(sensed.signals["gravity"][0, :2]).max() > 0.02
    np.testing.assert_allclose(ours.gravity_b, sensed.signals["gravity"], atol=1e-5)
    np.testing.assert_allclose(
        twin.imu().angular_velocity, sensed.signals["angular_velocity"][0], atol=1e-5
    )


@pytest.mark.parametrize("name", ["op3", "anymal_c"])
def test_sensors_are_late_by_their_delay(name: str):
    cycle_s = interface(name).cycle_s
    late, now = (
        TwinRobot(interface(name), _sure(name, sensor_delay_s=steps * cycle_s)) for steps in (3, 0)
    )
    seen = []
    for k in range(12):
        for twin in (late, now):
            twin.hold(twin.spec.default_joint_pos + 0.02 * k)
            twin.cycle()
        seen.append(now.joint_pos.copy())
        if k >= 3:
            np.testing.assert_allclose(late.joint_pos, seen[k - 3], atol=1e-6)
    assert np.abs(seen[-1] - seen[-4]).max() > 1e-3


def test_a_seed_is_one_robot():
    first, again, other = (TwinRobot(interface("op3"), GAPS["op3"], seed) for seed in (3, 3, 4))
    for twin in (first, again, other):
        for _ in range(10):
            twin.cycle()
    np.testing.assert_array_equal(first.joint_pos, again.joint_pos)
    np.testing.assert_array_equal(first.imu().acceleration, again.imu().acceleration)
    assert np.abs(first.joint_pos - other.joint_pos).max() > 1e-3


def test_op3_orientation_is_the_tilt_of_its_accelerometer_alone():
    twin = TwinRobot(interface("op3"), clean_gap(GAPS["op3"]))
    twin.start(twin.spec.default_joint_pos)
    turned = np.array([np.cos(0.6), 0.0, 0.0, np.sin(0.6)])
    twin.sim.qpos[0, 3:7] = turned
    twin.hold(twin.spec.default_joint_pos)
    for _ in range(100):
        twin.cycle()
    imu = twin.imu()
    # Heading 1.2 rad, told as 0; at rest up is where the acceleration points.
    up_b = rotate_inverse(imu.orientation_wxyz, np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(up_b, imu.acceleration / np.linalg.norm(imu.acceleration), atol=1e-3)
    forward = rotate(imu.orientation_wxyz, np.array([1.0, 0.0, 0.0]))
    assert abs(forward[1]) < 1e-6
    np.testing.assert_allclose(np.linalg.norm(imu.acceleration), 9.8067, atol=0.02)
    # A push changes the acceleration, and with it the orientation, while the robot hardly turns.
    twin.extra_force_w = np.array([0.0, 12.0, 0.0])
    twin.cycle()
    twin.cycle()
    rolled = rotate_inverse(twin.imu().orientation_wxyz, np.array([0.0, 0.0, 1.0]))
    assert np.abs(rolled - up_b).max() > 0.05


def test_op3_accelerometer_stops_at_two_g():
    twin = TwinRobot(interface("op3"), clean_gap(GAPS["op3"]))
    # It is lifted with 32 m/s^2.
    twin.extra_force_w = np.array([0.0, 0.0, 100.0])
    for _ in range(20):
        twin.cycle()
    assert twin.sim.qvel[0, 2] > 2.0
    np.testing.assert_allclose(twin.imu().acceleration[2], 2.0 * 9.80665, atol=1e-3)


def test_anymals_imu_is_mounted_a_quarter_turn_to_the_left():
    twin = TwinRobot(interface("anymal_c"), clean_gap(GAPS["anymal_c"]))
    twin.sim.qvel[0, 3:6] = [0.3, 0.0, 0.0]
    twin.hold(twin.spec.default_joint_pos)
    twin.cycle()
    imu, truth = twin.imu(), twin.truth()
    # The IMU's x axis is the base's y axis, so that the base's x axis is the IMU's -y axis.
    wanted = [truth.ang_vel_b[1], -truth.ang_vel_b[0], truth.ang_vel_b[2]]
    assert abs(truth.ang_vel_b[0]) > 0.05
    np.testing.assert_allclose(imu.angular_velocity, wanted, atol=1e-5)
    # Back through the mounting it is the base's orientation.
    x_imu = rotate(imu.orientation_wxyz, np.array([1.0, 0.0, 0.0]))
    np.testing.assert_allclose(x_imu, rotate(truth.quat_wxyz, np.array([0.0, 1.0, 0.0])), atol=1e-5)


def test_drives_without_strength_let_the_robot_down():
    twin = TwinRobot(interface("anymal_c"), clean_gap(GAPS["anymal_c"]))
    before = twin.truth().pos_w[2]
    twin.set_drives(np.zeros(12), np.ones(12))
    for _ in range(60):
        twin.cycle()
    np.testing.assert_array_equal(twin.effort, np.zeros(12))
    assert before == pytest.approx(0.5488, abs=0.001)
    assert twin.truth().pos_w[2] < 0.4


def test_fallen_is_tilted_or_low_after_having_stood():
    twin = TwinRobot(interface("op3"), clean_gap(GAPS["op3"]))
    # Its crouch is lower than a robot that walks may ever be.
    assert twin.truth().pos_w[2] < twin.spec.fallen_height_m
    assert not twin.truth().fallen
    twin.start(twin.spec.default_joint_pos)
    assert not twin.truth().fallen
    twin.sim.qpos[0, 2] = 0.15
    assert twin.truth().fallen
    twin.start(twin.spec.default_joint_pos)
    twin.tip_over(1.1)
    # 1.1 rad at 6 rad/s take 0.18 s; the gyroscope feels it.
    rates = []
    for _ in range(25):
        twin.cycle()
        rates.append(float(twin.imu().angular_velocity[0]))
    assert max(rates) > 4.0
    assert twin.truth().fallen
    twin.start(twin.spec.default_joint_pos)
    assert not twin.truth().fallen


@pytest.mark.parametrize("name", ["op3", "anymal_c"])
def test_start_poses_stand_on_the_floor(name: str):
    face = interface(name)
    twin = TwinRobot(face, clean_gap(GAPS[name]))
    for pose in face.start_poses.values():
        twin.start(pose)
        before = twin.truth().pos_w[2]
        for _ in range(50):
            twin.cycle()
        assert not twin.truth().fallen
        # It sags; one that was under the floor would be thrown up.
        assert -0.06 < twin.truth().pos_w[2] - before < 0.01
