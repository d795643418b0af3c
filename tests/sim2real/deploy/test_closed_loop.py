"""Controller and twin, without ROS and without waiting: time is simulated."""

from collections.abc import Callable

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.sim2real.bundle import Bundle
from legged_skills.sim2real.deploy.config import config_of
from legged_skills.sim2real.deploy.controller import Controller, Output
from legged_skills.sim2real.deploy.joint_map import JointMap
from legged_skills.sim2real.deploy.snapshot import CommandSnapshot, SensorSnapshot
from legged_skills.sim2real.deploy.states import Event, State
from legged_skills.sim2real.twin.twin import Twin, TwinConfig


class Closed:
    """A twin, and a controller that hears what the twin says."""

    def __init__(self, bundle: Bundle, seed: int, gap: str) -> None:
        self.spec = spec = robots.get(bundle.robot)
        self.twin = Twin(TwinConfig(robot=spec.name, seed=seed, gap=gap))
        if self.twin.manager is not None:
            self.twin.manager.enable_ctrl_module("none")
        self.controller = Controller(bundle, config_of(spec.name))
        joints = spec.num_joints
        self.map = JointMap(
            spec.joint_names, [1.0] * joints, [0.0] * joints, spec.measures_joint_velocity
        )
        self.live, self.sensors = SensorSnapshot(joints), SensorSnapshot(joints)
        self.command = CommandSnapshot(3)
        self.now_s, self.cycles, self.states = 10.0, 0, []
        self.sent: list[np.ndarray] = []
        self.output: Output | None = None

    def run(
        self, seconds: float, velocity: tuple | None = None, until: State | None = None
    ) -> float:
        """Goes on; returns the time it took [s]."""
        cycle_s, start = self.twin.interface.cycle_s, self.now_s
        for _ in range(round(seconds / cycle_s)):
            self._hear()
            if self.cycles % round(self.spec.control_period_s / cycle_s) == 0:
                self._step(velocity)
                if until is not None and self.output and self.output.state is until:
                    break
        return self.now_s - start

    def _hear(self) -> None:
        sent = self.twin.cycle()
        self.now_s += self.twin.interface.cycle_s
        self.cycles += 1
        for joints in sent.joints:
            self.map.read(
                list(joints.names),
                joints.position.tolist(),
                joints.velocity.tolist(),
                self.now_s,
                self.live,
            )
        for imu in sent.imu:
            self.live.add_imu(
                self.now_s, imu.angular_velocity, imu.acceleration, imu.orientation_wxyz
            )

    def _step(self, velocity: tuple | None) -> None:
        self.live.take(self.sensors)
        if velocity is not None:
            self.command.values[:], self.command.time_s = velocity, self.now_s
        self.output = output = self.controller.tick(self.now_s, self.sensors, self.command)
        self.twin.told(output.state)
        if output.publish:
            assert np.isfinite(output.joint_targets).all()
            assert (output.joint_targets >= self.spec.joint_lower).all()
            assert (output.joint_targets <= self.spec.joint_upper).all()
            self.sent.append(output.joint_targets.copy())
            self.twin.command(self.spec.joint_names, output.joint_targets)
        if not self.states or self.states[-1] is not output.state:
            self.states.append(output.state)

    def ask(self, event: Event) -> None:
        reply = self.controller.request(event)
        assert reply.accepted, reply.sentence

    def walk(self, velocity: tuple, seconds: float) -> None:
        """From IDLE to walking."""
        self.run(0.5)
        self.ask(Event.PREPARE)
        self.run(10.0, until=State.READY)
        self.ask(Event.ENABLE)
        self.run(seconds, velocity)


@pytest.fixture
def make(walk_bundle: Bundle, bundles: dict[str, Bundle]) -> Callable[..., Closed]:
    def make(robot: str = "anymal_c", seed: int = 1, gap: str = "full") -> Closed:
        return Closed(walk_bundle if robot == "anymal_c" else bundles[robot], seed, gap)

    return make


def test_anymal_walks_as_commanded_and_comes_to_rest(make):
    closed = make()
    closed.walk((0.6, 0.0, 0.0), 3.0)
    speeds = []
    for _ in range(12):
        closed.run(0.25, (0.6, 0.0, 0.0))
        speeds.append(closed.twin.robot.truth().lin_vel_b[0])
    assert np.mean(speeds) == pytest.approx(0.6, abs=0.12)
    assert not closed.twin.robot.truth().fallen
    # Silence: after half a second it is commanded to stand.
    closed.run(2.5)
    assert closed.output is not None and not closed.output.commanded
    assert closed.output.state is State.POLICY
    assert np.abs(closed.twin.robot.truth().lin_vel_b[:2]).max() < 0.15
    closed.ask(Event.STOP)
    closed.run(10.0, until=State.IDLE)
    closed.run(1.0)
    assert not closed.twin.robot.truth().fallen
    assert closed.states == [
        State.IDLE,
        State.RAMP,
        State.READY,
        State.POLICY,
        State.STOPPING,
        State.IDLE,
    ]


@pytest.mark.parametrize(
    ("fault", "code", "within_s"),
    [
        ("drop joints", "stale_joints", 0.13),
        ("drop imu", "stale_imu", 0.13),
        ("nan joints", "not_finite", 0.03),
        ("nan imu", "not_finite", 0.03),
        ("wrong_length", "unusable_message", 0.03),
        ("unknown_joint joint=LF_KFE", "stale_joints", 0.13),
        ("freeze imu", "frozen_sensors", 0.35),
        ("freeze joints", "frozen_sensors", 0.35),
        # At 6 rad/s the limit of 55 degrees, from a few the other way, is passed after 0.2 s.
        # A robot that is thrown so may move a leg faster than it may before that.
        ("tilt deg=80", "tilt joint_speed", 0.30),
    ],
)
def test_faults_while_walking(make, fault, code, within_s):
    closed = make()
    closed.walk((0.5, 0.0, 0.0), 2.0)
    assert closed.output is not None and closed.output.state is State.POLICY
    closed.twin.inject(fault)
    took = closed.run(3.0, (0.5, 0.0, 0.0), until=State.FAULT)
    assert closed.output.state is State.FAULT
    assert closed.output.faults[0].code.value in code.split()
    assert took <= within_s + 1e-9
    # It holds, whatever comes, and does not go on by itself when all is well again.
    held = closed.sent[-1]
    closed.twin.inject("clear")
    closed.run(1.0, (0.5, 0.0, 0.0))
    assert closed.output.state is State.FAULT
    np.testing.assert_array_equal(closed.sent[-1], held)


@pytest.mark.parametrize("fault", ["drop p=0.2", "delay ms=50 for=0.05", "drop joints for=0.05"])
def test_what_a_walk_must_bear(make, fault):
    closed = make()
    closed.walk((0.5, 0.0, 0.0), 1.0)
    for _ in range(3):
        closed.twin.inject(fault)
        closed.run(1.0, (0.5, 0.0, 0.0))
    assert closed.output is not None and closed.output.state is State.POLICY
    assert not closed.twin.robot.truth().fallen


def test_op3_leaves_its_initial_pose_slowly(make):
    # Without the gap's pushes: on the way nothing balances, and a real one hangs.
    closed = make("op3", gap="none")
    closed.run(0.5)
    start = closed.sensors.joint_pos.copy()
    closed.ask(Event.PREPARE)
    closed.run(15.0, until=State.READY)
    assert closed.states == [State.IDLE, State.RAMP, State.READY]
    path = np.array(closed.sent)
    # The crouch is at the end of the knees' range, and a little beyond under load.
    np.testing.assert_allclose(path[0], start, atol=0.03)
    steps = np.abs(np.diff(path, axis=0))
    assert steps.max() <= 0.5 * 0.024 * (1 + 1e-6)
    np.testing.assert_allclose(path[-1], closed.spec.default_joint_pos, atol=1e-9)
    closed.run(1.0)
    assert not closed.twin.robot.truth().fallen
    assert closed.twin.refused == 0 and closed.twin.ignored == 0


def test_op3_whose_servos_are_off_never_gets_ready(make):
    closed = make("op3", gap="none")
    closed.run(0.5)
    closed.twin.inject("servo_off")
    closed.ask(Event.PREPARE)
    closed.run(15.0, until=State.FAULT)
    assert State.READY not in closed.states
    assert closed.output is not None
    # It does not follow, and may topple before that is sure.
    assert closed.output.faults[0].code.value in ("not_following", "tilt")


def test_low_battery_is_a_warning(make):
    closed = make("op3")
    closed.run(0.2)
    closed.live.battery_v = 10.4
    closed.run(0.1)
    assert closed.output is not None
    assert [warning.code.value for warning in closed.output.warnings] == ["low_battery"]
