"""A robot that goes where it is told, for tests of what tells it."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.files import package_file
from legged_skills.sim2real.bundle import Bundle
from legged_skills.sim2real.deploy.config import config_of
from legged_skills.sim2real.deploy.controller import Controller, Output
from legged_skills.sim2real.deploy.parameters import replaced
from legged_skills.sim2real.deploy.snapshot import CommandSnapshot, SensorSnapshot
from legged_skills.sim2real.deploy.states import Event, State
from legged_skills.tasks.export import export_bytes
from legged_skills.tasks.policy_file import TaskPolicy

GRAVITY = 9.80665


class Bench:
    """A controller, and a robot on whose joints nothing pulls; it hangs upright."""

    def __init__(self, bundle: Bundle, **settings: object) -> None:
        self.config = replaced(config_of(bundle.robot), settings)
        self.controller = Controller(bundle, self.config)
        self.spec = robots.get(bundle.robot)
        self.period_s = self.spec.control_period_s
        self.sensors = SensorSnapshot(self.spec.num_joints)
        self.command = CommandSnapshot(len(bundle.header.command))
        self.rng = np.random.default_rng(0)
        self.now_s = 100.0
        self.joint_pos = self.spec.default_joint_pos + 0.1
        self.published: list[np.ndarray] = []
        self.output: Output | None = None

    def sense(self) -> None:
        """What the robot says now, with a little noise."""
        sensors = self.sensors
        sensors.joint_pos[:] = self.joint_pos
        sensors.joint_vel[:] = 0.0 if self.spec.measures_joint_velocity else np.nan
        sensors.joint_time_s[:] = self.now_s
        sensors.num_imu = sensors.rejected = 0
        gyro, noise = self.rng.normal(0.0, 0.01, (2, 3))
        w, x, y, z = self.config.imu_mounting_wxyz
        orientation = np.array([w, x, y, z])
        sensors.add_imu(self.now_s, gyro, np.array([0.0, 0.0, GRAVITY]) + noise, orientation)

    def tick(self, edit: Callable[[SensorSnapshot], object] | None = None) -> Output:
        """One control step; ``edit`` spoils what the sensors say."""
        self.now_s += self.period_s
        self.sense()
        if edit is not None:
            edit(self.sensors)
        self.output = output = self.controller.tick(self.now_s, self.sensors, self.command)
        if output.publish:
            self.published.append(output.joint_targets.copy())
            self.joint_pos += 0.5 * (output.joint_targets - self.joint_pos)
        return output

    def ticks(self, seconds: float) -> Output:
        output = self.tick()
        for _ in range(round(seconds / self.period_s)):
            output = self.tick()
        return output

    def until(self, state: State, seconds: float = 30.0) -> Output:
        for _ in range(round(seconds / self.period_s)):
            output = self.tick()
            if output.state is state:
                return output
        raise AssertionError(f"{state} was not reached, but {self.output}")

    def ask(self, event: Event) -> None:
        reply = self.controller.request(event)
        assert reply.accepted, reply.sentence

    def bring(self, state: State) -> Output:
        """From IDLE to a state, as an operator does."""
        output = self.tick()
        if state is State.IDLE:
            return output
        self.ask(Event.PREPARE)
        if state is State.RAMP:
            return self.tick()
        output = self.until(State.READY)
        if state in (State.POLICY, State.STOPPING):
            self.ask(Event.ENABLE)
            output = self.tick()
        if state is State.STOPPING:
            self.ask(Event.STOP)
            output = self.tick()
        if state is State.FAULT:
            output = self.tick(lambda sensors: sensors.joint_pos.fill(np.nan))
        assert output.state is state, output
        return output


@pytest.fixture(scope="session")
def bundles(bundle: Bundle, make_policy: Callable) -> dict[str, Bundle]:
    """A bundle for each robot."""
    op3 = Bundle.from_bytes(export_bytes(make_policy("op3")), "op3.onnx")
    return {"anymal_c": bundle, "op3": op3}


@pytest.fixture(scope="session")
def walk_bundle() -> Bundle:
    """ANYmal's walk that comes with the package."""
    path = package_file("legged_skills.tasks", "weights/anymal_c/walk.npz", "walk of anymal_c")
    return Bundle.from_bytes(export_bytes(TaskPolicy.load(path)), "walk.onnx")


@pytest.fixture(params=["anymal_c", "op3"])
def robot(request: pytest.FixtureRequest) -> str:
    """Each robot."""
    return request.param


@pytest.fixture
def make_bench(bundles: dict[str, Bundle], robot: str) -> Iterator[Callable[..., Bench]]:
    """Makes a bench with some policy and settings; in the end none may have sent anything wrong."""
    made: list[Bench] = []

    def make(bundle: Bundle = bundles[robot], **settings: object) -> Bench:
        made.append(Bench(bundle, **settings))
        return made[-1]

    yield make
    for bench in made:
        for targets in bench.published:
            assert np.isfinite(targets).all()
            assert (targets >= bench.spec.joint_lower).all()
            assert (targets <= bench.spec.joint_upper).all()


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    """A bench with the robot's own settings."""
    return make_bench()
