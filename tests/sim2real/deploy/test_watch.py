import numpy as np
import pytest

from legged_skills import robots
from legged_skills.sim2real.deploy.config import config_of
from legged_skills.sim2real.deploy.guards import Code, Fault
from legged_skills.sim2real.deploy.parameters import replaced
from legged_skills.sim2real.deploy.snapshot import SensorSnapshot
from legged_skills.sim2real.deploy.states import State
from legged_skills.sim2real.deploy.watch import Watch, merged


class Robot:
    """A robot that stands, and its guards."""

    def __init__(self, name: str, **settings: object) -> None:
        self.spec, self.config = robots.get(name), replaced(config_of(name), settings)
        self.watch = Watch(self.spec, self.config, (self.spec.joint_lower, self.spec.joint_upper))
        self.sensors = SensorSnapshot(self.spec.num_joints)
        self.sensors.joint_pos[:] = self.targets = self.spec.default_joint_pos.copy()
        self.sensors.joint_vel[:] = 0.0 if self.spec.measures_joint_velocity else np.nan
        self.now_s = 50.0
        self.gyro = np.zeros(3)
        self.frozen = False

    def step(self, state: State = State.READY, period: float = 1.0, hear: bool = True) -> list:
        self.now_s += period * self.spec.control_period_s
        self.sensors.num_imu = 0
        self.gyro[2] += 0.0 if self.frozen else 1e-6
        if hear:
            self.sensors.joint_time_s[:] = self.now_s
            orientation = np.array(self.config.imu_mounting_wxyz)
            self.sensors.add_imu(self.now_s, self.gyro, np.array([0, 0, 9.8]), orientation)
        faults, _ = self.watch.step(self.now_s, self.sensors, state, self.targets)
        return [fault.code for fault in faults]


@pytest.fixture(params=["anymal_c", "op3"])
def robot(request):
    return Robot(request.param)


def test_a_robot_that_stands_is_well(robot):
    assert [robot.step() for _ in range(50)] == [[]] * 50


def test_before_anything_is_heard(robot):
    assert robot.step(hear=False) == [Code.STALE_JOINTS, Code.STALE_IMU]


def test_silence_is_noticed_after_its_time(robot):
    robot.step()
    # 95 ms are in time and 105 ms are not.
    first = 0.095 / robot.spec.control_period_s
    assert robot.step(period=first, hear=False) == []
    more = 0.010 / robot.spec.control_period_s
    assert robot.step(period=more, hear=False) == [Code.STALE_JOINTS, Code.STALE_IMU]
    assert robot.step() == []


def test_one_joint_alone_is_silent(robot):
    robot.step()
    heard = robot.sensors.joint_time_s[2]
    for _ in range(8):
        robot.now_s += robot.spec.control_period_s
        robot.sensors.joint_time_s[:] = robot.now_s
        robot.sensors.joint_time_s[2] = heard
        faults, _ = robot.watch.step(robot.now_s, robot.sensors, State.READY, robot.targets)
    fault = next(f for f in faults if f.code is Code.STALE_JOINTS)
    assert fault.sentence.startswith(f"{robot.spec.joint_names[2]} was heard of ")


def test_late_steps(robot):
    robot.step()
    # Up to half a period late is in time.
    assert [robot.step(period=1.45) for _ in range(20)] == [[]] * 20
    assert robot.watch.missed == 0
    # Half as often as it should, with the jitter of a computer.
    assert [robot.step(period=p) for p in (2.05, 1.95, 2.0, 1.99, 2.01)] == [[]] * 5
    assert robot.step(period=1.97) == [Code.LATE_LOOP]
    assert (robot.watch.overruns, robot.watch.missed) == (6, 6)
    assert robot.step() == []
    assert (robot.watch.overruns, robot.watch.missed) == (0, 6)
    period = 1.0 + (robot.config.max_late_s + 1e-3) / robot.spec.control_period_s
    assert robot.step(period=period) == [Code.LATE_LOOP]
    assert robot.step(period=period - 2e-3 / robot.spec.control_period_s) == []


def test_how_many_steps_on_end_may_be_late_is_a_setting():
    robot = Robot("anymal_c", max_overruns=2)
    robot.step()
    assert [robot.step(period=2.0) for _ in range(3)] == [[], [], [Code.LATE_LOOP]]


def test_clock_that_goes_back(robot):
    robot.step()
    assert robot.step(period=-1.0) == [Code.CLOCK]
    assert robot.step(period=0.0) == [Code.CLOCK]
    assert Code.CLOCK not in robot.step(period=2.0)


def test_following_is_watched_until_the_policy_takes_over(robot):
    robot.sensors.joint_pos[3] += robot.config.following_error_rad + 0.01
    allowed = round(robot.config.following_s / robot.spec.control_period_s)
    for state in (State.IDLE, State.POLICY, State.STOPPING, State.FAULT):
        assert all(robot.step(state) == [] for _ in range(allowed + 5))
    codes = [robot.step(State.READY) for _ in range(allowed + 5)]
    assert codes[0] == codes[allowed - 1] == [] and codes[-1] == [Code.NOT_FOLLOWING]
    robot.sensors.joint_pos[:] = robot.targets
    robot.step(State.READY)
    assert robot.step(State.READY) == []
    robot.sensors.joint_pos[3] += 0.5 * robot.config.following_error_rad
    robot.step(State.READY)
    robot.sensors.joint_pos[3] += 0.5 * robot.config.following_error_rad + 0.01
    # The time counts anew.
    assert robot.step(State.READY) == []


@pytest.mark.parametrize("name", ["anymal_c", "op3"])
def test_times_to_follow_and_to_say_the_same_are_settings(name):
    for setting, state, code in (
        ("following_s", State.READY, Code.NOT_FOLLOWING),
        ("frozen_s", State.POLICY, Code.FROZEN_SENSORS),
    ):
        robot = Robot(name, **{setting: 0.1})
        robot.step(state)
        if state is State.READY:
            robot.sensors.joint_pos[3] += robot.config.following_error_rad + 0.01
        robot.frozen = True
        steps = round(0.1 / robot.spec.control_period_s)
        codes = [robot.step(state) for _ in range(steps + 3)]
        assert codes[steps - 2] == [] and codes[-1] == [code]


def test_frozen_imu(robot):
    allowed = round(robot.config.frozen_s / robot.spec.control_period_s)
    assert all(robot.step(State.READY) == [] for _ in range(3 * allowed))
    robot.gyro[0], robot.frozen = 0.1, True
    codes = [robot.step(State.POLICY) for _ in range(allowed + 3)]
    assert codes[allowed - 1] == [] and codes[-1] == [Code.FROZEN_SENSORS]
    robot.gyro[0] = 0.2
    assert robot.step(State.POLICY) == []


def test_orientation_that_stays_the_same_while_the_robot_turns_is_frozen(robot):
    # 0.2 rad at 0.5 rad/s take 0.4 s.
    robot.gyro[:] = [0.3, 0.4, 0.0]
    steps = round(0.4 / robot.spec.control_period_s)
    codes = [robot.step(State.POLICY) for _ in range(steps + 3)]
    assert codes[: steps - 2] == [[]] * (steps - 2)
    expected = [Code.FROZEN_SENSORS] if robot.config.attitude == "robot" else []
    assert codes[-1] == expected
    assert robot.step(State.READY) == []
    # One that goes on is well.
    robot.config = replaced(robot.config, {"imu_mounting_wxyz": (0.8, 0.0, 0.0, 0.6)})
    assert robot.step(State.POLICY) == []


def test_joints_that_say_the_same_are_frozen_if_targets_move(robot):
    def steps(share: float) -> list:
        codes = []
        for _ in range(2 * round(robot.config.frozen_s / robot.spec.control_period_s)):
            robot.targets[0] += share
            codes += robot.step(State.POLICY)
        return codes

    assert steps(1e-4) == []
    assert set(steps(1e-2)) == {Code.FROZEN_SENSORS}
    robot.sensors.joint_pos[1] += 1e-3
    assert robot.step(State.POLICY) == []


@pytest.mark.parametrize("state", [State.POLICY, State.STOPPING])
def test_drives_that_take_no_targets_are_noticed(robot, state):
    """As those of a controller that is switched off: the joints only tremble."""
    steps = 3 * round(robot.config.following_s / robot.spec.control_period_s)
    # The standard deviation of a sine is 0.71 of that.
    swing = 0.6 * robot.config.following_error_rad

    def run(moved_rad: float) -> list:
        codes = []
        for step in range(3 * steps):
            wave = np.sin(2.0 * np.pi * step / steps)
            robot.targets[3] = robot.spec.default_joint_pos[3] + swing * wave
            robot.sensors.joint_pos[5] = robot.spec.default_joint_pos[5] + moved_rad * wave
            codes.append(robot.step(state))
        return codes

    # 0.14 rad from one end to the other is a movement, 0.08 is none.
    assert run(0.07) == [[]] * 3 * steps
    codes = run(0.04)
    assert codes[steps // 2] == [] and [Code.NOT_FOLLOWING] in codes[-5:]
    assert robot.step(State.READY) == []
    # What happened before does not count when a policy begins anew.
    assert robot.step(state) == []


def test_nobody_is_asked_to_follow_much_by_a_policy_that_stands(robot):
    swing = 0.38 * robot.config.following_error_rad
    for step in range(200):
        robot.targets[3] = robot.spec.default_joint_pos[3] + swing * (-1) ** step
        robot.sensors.joint_pos[0] += 1e-6
        assert robot.step(State.POLICY) == []


def test_frozen_sensors_are_noticed_while_a_robot_is_stopped(robot):
    robot.step(State.STOPPING)
    robot.frozen = True
    allowed = round(robot.config.frozen_s / robot.spec.control_period_s)
    codes = [robot.step(State.STOPPING) for _ in range(allowed + 3)]
    assert codes[0] == [] and codes[-1] == [Code.FROZEN_SENSORS]


def test_numbers_that_were_none_count_though_others_came_after_them(robot):
    robot.step()
    robot.sensors.spoiled = "a joint state had an angle or speed of knee that is no number."
    assert robot.step() == [Code.NOT_FINITE]
    robot.sensors.spoiled = ""
    assert robot.step() == []


def test_angles_of_anymal_that_jump_are_noticed_though_its_speeds_are_measured():
    robot = Robot("anymal_c")
    robot.step()
    limit_rad = 2.0 * robot.config.joint_speed_radps * robot.spec.control_period_s
    robot.sensors.joint_pos[4] += 0.95 * limit_rad
    assert robot.step() == []
    robot.sensors.joint_pos[4] -= 1.05 * limit_rad
    assert robot.step() == [Code.JOINT_SPEED]
    assert robot.step() == []
    np.testing.assert_array_equal(robot.watch.joint_vel, 0.0)


def test_speed_of_op3_is_differentiated():
    robot = Robot("op3")
    robot.step()
    assert np.isnan(robot.watch.joint_vel).all()
    robot.sensors.joint_pos[4] += 0.06
    robot.step()
    expected = np.zeros(20)
    expected[4] = 0.06 / 0.024
    np.testing.assert_allclose(robot.watch.joint_vel, expected, atol=1e-9)
    # Twice as late and twice as far is as fast.
    robot.sensors.joint_pos[4] += 0.12
    robot.step(hear=False)
    np.testing.assert_allclose(robot.watch.joint_vel, expected, atol=1e-9)
    robot.step()
    np.testing.assert_allclose(robot.watch.joint_vel, expected, atol=1e-9)
    robot.sensors.joint_pos[4] += 0.5
    assert robot.step() == [Code.JOINT_SPEED]


def test_messages_that_arrive_together_are_not_infinitely_fast():
    robot = Robot("op3")
    robot.step()
    robot.step()
    robot.sensors.joint_pos[4] += 0.05
    assert robot.step(period=1e-3) == []
    np.testing.assert_allclose(robot.watch.joint_vel, np.zeros(20), atol=1e-9)


def test_measured_speed_of_anymal_must_be_there():
    robot = Robot("anymal_c")
    robot.sensors.joint_vel[5] = np.nan
    assert robot.step() == [Code.NOT_FINITE]
    robot.sensors.joint_vel[5] = -15.1
    assert robot.step() == [Code.JOINT_SPEED]


def test_warning_of_the_battery():
    robot = Robot("op3")
    robot.sensors.battery_v = 10.5
    robot.step()
    faults, warnings = robot.watch.step(
        robot.now_s + 0.024, robot.sensors, State.READY, robot.targets
    )
    assert (faults, [w.code for w in warnings]) == ([], [Code.LOW_BATTERY])


def test_latched_faults_keep_their_first_sentence():
    first = (Fault(Code.TILT, "a."),)
    assert merged(first, [Fault(Code.TILT, "b."), Fault(Code.CLOCK, "c.")]) == (
        Fault(Code.TILT, "a."),
        Fault(Code.CLOCK, "c."),
    )
