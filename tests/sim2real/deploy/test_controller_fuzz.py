"""Whatever a policy, sensors, operators and clocks do, what leaves is safe."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from legged_skills.sim2real.deploy.states import OPERATOR_EVENTS, Event, State

VALUES = (np.nan, np.inf, -np.inf, 0.0, 1e30, 3.0, -0.7)
START = {State.RAMP: Event.PREPARE, State.POLICY: Event.ENABLE}


def _spoil(kind: str, value: float, index: int):
    """Spoils one thing that the sensors say."""

    def edit(sensors):
        if kind == "angle":
            sensors.joint_pos[index % len(sensors.joint_pos)] = value
        elif kind == "speed":
            sensors.joint_vel[index % len(sensors.joint_vel)] = value
        elif kind == "imu":
            sensors.imu[0, 1 + index % 10] = value
        elif kind == "times":
            sensors.joint_time_s[index % len(sensors.joint_pos)] -= abs(value)
        elif kind == "no imu":
            sensors.num_imu = 0
        elif kind == "other":
            sensors.others = 1
        elif kind == "owner":
            sensors.owner = "walking."
        elif kind == "rejected":
            sensors.reject("short.")

    return edit


KINDS = ("angle", "speed", "imu", "times", "no imu", "other", "owner", "rejected")
ACTION = st.one_of(
    st.tuples(st.just("go"), st.integers(1, 200)),
    st.tuples(st.just("ask"), st.sampled_from(OPERATOR_EVENTS)),
    st.tuples(
        st.just("spoil"),
        st.tuples(st.sampled_from(KINDS), st.sampled_from(VALUES), st.integers(0, 19)),
    ),
    st.tuples(st.just("command"), st.lists(st.floats(), min_size=3, max_size=3)),
    st.tuples(st.just("late"), st.floats(-0.1, 0.3)),
    st.tuples(st.just("push"), st.floats(-0.5, 0.5)),
)
POLICIES = {
    "own": None,
    "wild": lambda rng, shape: rng.uniform(-4.0, 4.0, shape),
    "broken": lambda rng, shape: rng.choice([np.nan, np.inf, 0.0, 1e38], shape),
    "far": lambda rng, shape: np.full(shape, 1e20),
}


class _Checked:
    """A bench whose every step is checked."""

    def __init__(self, bench, policy) -> None:
        self.bench = bench
        runtime, rng = bench.controller.runtime, np.random.default_rng(1)
        if policy is not None:

            def step():
                runtime.joint_targets[:] = policy(rng, runtime.joint_targets.shape)
                return runtime.joint_targets

            runtime.step = step
        self.before = bench.tick()
        self.targets = self.before.joint_targets.copy()

    def tick(self, edit=None) -> None:
        bench, state = self.bench, self.before.state
        with np.errstate(over="ignore", invalid="ignore"):
            output = bench.tick(edit)
        spec, targets = bench.spec, output.joint_targets
        assert np.isfinite(targets).all()
        assert (targets >= spec.joint_lower).all() and (targets <= spec.joint_upper).all()
        if output.publish and self.before.publish:
            fastest = max(bench.config.target_speed_radps, bench.config.ramp_speed_radps)
            assert np.abs(targets - self.targets).max() <= fastest * bench.period_s + 1e-9
        if state is State.FAULT:
            # A fault is left by a reset only, and nothing moves in it.
            assert output.state is State.FAULT or Event.RESET in output.events
            np.testing.assert_array_equal(targets, self.targets)
        if output.state in START and state is not output.state and state is not State.FAULT:
            assert START[output.state] in output.events, (state, output.state)
        if output.state in (State.IDLE,):
            assert not output.publish
        self.before, self.targets = output, targets.copy()


@pytest.mark.parametrize("kind", POLICIES)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(actions=st.lists(ACTION, max_size=25), begin=st.sampled_from([State.IDLE, State.POLICY]))
def test_nothing_unsafe_leaves(make_bench, kind, actions, begin):
    bench = make_bench(ramp_min_s=0.5)
    bench.bring(begin)
    checked = _Checked(bench, POLICIES[kind])
    for action, value in actions:
        if action == "go":
            for _ in range(value):
                checked.tick()
        elif action == "ask":
            bench.controller.request(value)
        elif action == "spoil":
            checked.tick(_spoil(*value))
            bench.sensors.others, bench.sensors.owner = 0, ""
        elif action == "command":
            bench.command.values[:], bench.command.time_s = value, bench.now_s
        elif action == "late":
            bench.now_s += value
        else:
            bench.joint_pos += value
    checked.tick()


def test_the_wild_policy_moves_the_robot(make_bench):
    # Else the test above would show nothing.
    bench = make_bench()
    bench.bring(State.POLICY)
    checked = _Checked(bench, POLICIES["wild"])
    before = checked.targets.copy()
    for _ in range(8):
        checked.tick()
    assert np.abs(checked.targets - before).max() > 1e-3
