import dataclasses
import itertools

import numpy as np
import pytest

from legged_skills.robots.errors import ContractError
from legged_skills.sim2real.deploy.config import config_of
from legged_skills.sim2real.deploy.controller import Controller
from legged_skills.sim2real.deploy.guards import Code
from legged_skills.sim2real.deploy.snapshot import NEVER
from legged_skills.sim2real.deploy.states import (
    GUARDED,
    OPERATOR_EVENTS,
    TRANSITIONS,
    Event,
    State,
    after,
)


def _codes(output):
    return {fault.code for fault in output.faults}


def _nan(sensors):
    sensors.joint_pos[0] = np.nan


def test_policy_of_another_robot_is_refused(bundles):
    with pytest.raises(ContractError, match="the policy's robot is op3, expected anymal_c"):
        Controller(bundles["op3"], config_of("anymal_c"))


def test_whole_way(bench):
    assert bench.bring(State.IDLE).publish is False
    bench.ask(Event.PREPARE)
    output = bench.until(State.READY)
    np.testing.assert_array_equal(output.joint_targets, bench.spec.default_joint_pos)
    assert bench.ticks(1.0).state is State.READY
    bench.ask(Event.ENABLE)
    assert bench.ticks(3.0).state is State.POLICY
    assert np.abs(bench.output.joint_targets - bench.spec.default_joint_pos).max() > 1e-3
    bench.ask(Event.STOP)
    bench.until(State.STOPPING)
    output = bench.until(State.IDLE)
    assert output.publish is False
    np.testing.assert_array_equal(bench.published[-1], bench.spec.default_joint_pos)
    count = len(bench.published)
    assert bench.ticks(1.0).state is State.IDLE
    assert len(bench.published) == count


def test_nothing_is_published_without_a_request(bench):
    assert bench.ticks(5.0).state is State.IDLE
    assert bench.published == []


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_requests_in_all_states(make_bench, state, event):
    bench = make_bench()
    bench.bring(state)
    if state is State.FAULT:
        bench.ticks(0.5)
    reply = bench.controller.request(event)
    allowed = event in OPERATOR_EVENTS and after(state, event) is not None
    # A reset needs a robot that has been well for half a second.
    assert reply.accepted == (allowed and (state is not State.FAULT or not bench.output.faults[1:]))
    expected = after(state, event) if reply.accepted else state
    assert bench.tick().state is expected
    assert bench.output.events == ((event,) if reply.accepted else ())
    if event not in OPERATOR_EVENTS:
        assert reply.sentence == f"{event.value} is not for operators."
    elif not allowed:
        assert "does nothing in the state" in reply.sentence


def test_ramp_begins_at_the_measured_pose_and_is_slow(bench):
    rng = np.random.default_rng(5)
    spec = bench.spec
    bench.joint_pos = rng.uniform(spec.joint_lower, spec.joint_upper)
    start = bench.joint_pos.copy()
    bench.tick()
    bench.ask(Event.PREPARE)
    bench.until(State.READY, 60.0)
    path = np.array([start, *bench.published])
    step = bench.config.ramp_speed_radps * bench.period_s
    steps = np.abs(np.diff(path, axis=0)).max(axis=1)
    # The first step of a minimum-jerk curve is tiny.
    assert steps[0] < 1e-3 and 0.9 * step < steps.max() <= step * (1.0 + 1e-6)
    np.testing.assert_allclose(path[-1], spec.default_joint_pos, atol=1e-12)
    way = np.abs(start - spec.default_joint_pos).max()
    seconds = 1.875 * way / bench.config.ramp_speed_radps
    assert len(bench.published) * bench.period_s == pytest.approx(seconds, abs=2 * bench.period_s)


def test_measured_pose_counts_and_not_the_last_target(bench):
    bench.bring(State.READY)
    bench.ask(Event.STOP)
    bench.until(State.IDLE)
    # Somebody bends a knee while nothing is published.
    bench.joint_pos[4] += 0.3
    moved = bench.joint_pos.copy()
    bench.tick()
    bench.ask(Event.PREPARE)
    np.testing.assert_allclose(bench.tick().joint_targets, moved, atol=2e-3)


def test_joints_beyond_their_range_are_first_told_its_end(bench):
    bench.joint_pos[2] = bench.spec.joint_upper[2] + 0.1
    bench.tick()
    bench.ask(Event.PREPARE)
    np.testing.assert_allclose(bench.tick().joint_targets[2], bench.spec.joint_upper[2], atol=2e-3)
    bench.joint_pos[2] = bench.spec.joint_upper[2] + 0.16
    assert Code.JOINT_RANGE in _codes(bench.tick())


def test_robot_that_does_not_follow_never_gets_ready(bench):
    bench.joint_pos = bench.spec.default_joint_pos.copy()
    bench.joint_pos[4] -= bench.config.following_error_rad + 0.05
    stuck = bench.joint_pos.copy()
    bench.bring(State.RAMP)
    while bench.output.state is State.RAMP:
        bench.joint_pos[:] = stuck
        bench.tick()
    assert bench.output.state is State.FAULT
    assert _codes(bench.output) == {Code.NOT_FOLLOWING}
    assert bench.spec.joint_names[4] in bench.output.faults[0].sentence


def test_blend_in_is_continuous(bench):
    bench.bring(State.READY)
    bench.ask(Event.ENABLE)
    begin = len(bench.published)
    bench.ticks(2.0)
    path = np.array([bench.spec.default_joint_pos, *bench.published[begin:]])
    steps = np.abs(np.diff(path, axis=0)).max(axis=1)
    off = np.abs(path - path[0]).max()
    assert off > 1e-2
    # smooth(one step of blend_in_s) of whatever the policy wants.
    assert steps[0] < 1e-3 * off
    assert steps.max() <= bench.config.target_speed_radps * bench.period_s + 1e-12


def test_time_to_blend_in_is_a_setting(make_bench):
    reached = []
    for blend_in_s in (0.5, 2.0):
        bench = make_bench(blend_in_s=blend_in_s)
        bench.bring(State.READY)
        bench.ask(Event.ENABLE)
        begin = len(bench.published)
        bench.ticks(0.6)
        reached.append(np.abs(bench.published[-1] - bench.published[begin - 1]).max())
    # All of the way after 0.5 s; smooth(0.3) of it otherwise, which is 0.16.
    assert reached[1] < 0.4 * reached[0]


def test_policy_runs_as_the_runtime_runs_it(bench, bundles):
    from legged_skills.sim2real.runtime import Runtime

    bench.bring(State.POLICY)
    bench.ticks(bench.config.blend_in_s + 0.1)
    # From here on, a second runtime that goes on from the same memory decides the same.
    twin = Runtime(bundles[bench.spec.name])
    twin.reset(np.array([], dtype=int))
    source = bench.controller.runtime
    for _ in range(5):
        bench.command.values[:] = bench.controller.bundle.header.command[0].high, 0.0, 0.0
        bench.command.time_s = bench.now_s
        saved = source._by_frame.copy(), source.last_action.copy(), source.z.copy()
        bench.tick()
        twin._by_frame[:], twin.last_action[:], twin.z[:] = saved
        twin._starting[:] = twin._any_starting = False
        for name, signal in source.signals.items():
            twin.signals[name][:] = signal
        twin.command[:] = source.command
        np.testing.assert_array_equal(twin.step()[0].astype(np.float64), bench.output.joint_targets)
        assert bench.output.commanded and not bench.output.limited
        assert source.command[0, 0] == np.float32(bench.command.values[0])


def test_policy_is_told_what_was_measured(bench):
    bench.bring(State.POLICY)
    bench.ticks(0.5)
    signals = bench.controller.runtime.signals
    np.testing.assert_allclose(signals["joint_pos"][0], bench.sensors.joint_pos, atol=1e-6)
    np.testing.assert_allclose(signals["gravity"][0], [0.0, 0.0, -1.0], atol=1e-2)
    gyro = bench.sensors.imu[0, 1:4]
    if bench.spec.name == "anymal_c":
        # +90 degrees about z: the IMU's x is the base's y.
        gyro = np.array([-gyro[1], gyro[0], gyro[2]])
    np.testing.assert_allclose(signals["angular_velocity"][0], gyro, atol=1e-6)


def test_last_action_is_what_was_sent_while_it_is_blended(bench):
    bench.bring(State.READY)
    bench.ask(Event.ENABLE)
    for _ in range(5):
        bench.tick()
        told = bench.controller.runtime.last_action[0]
        sent = (bench.output.joint_targets - bench.spec.default_joint_pos) / bench.spec.action_scale
        np.testing.assert_allclose(told, sent, atol=1e-6)


def test_command_is_clamped_and_times_out(bench):
    bench.bring(State.POLICY)
    high = [component.high for component in bench.controller.bundle.header.command]
    bench.command.values[:] = 99.0
    bench.command.time_s = bench.now_s
    seen = []
    for _ in range(round(1.0 / bench.period_s)):
        output = bench.tick()
        assert output.state is State.POLICY
        age = bench.now_s - bench.command.time_s
        if abs(age - 0.5) > 1e-6:
            seen.append((age < 0.5, output.commanded))
            told = bench.controller.runtime.command[0]
            expected = np.array(high) if age < 0.5 else np.zeros(3)
            np.testing.assert_allclose(told, expected, atol=1e-6)
    assert {fresh for fresh, _ in seen} == {True, False}
    assert all(fresh == commanded for fresh, commanded in seen)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_command_that_is_no_number_is_none(bench, value):
    bench.bring(State.POLICY)
    bench.command.values[:] = [0.3, value, 0.0]
    bench.command.time_s = bench.now_s + bench.period_s
    output = bench.tick()
    assert (output.state, output.commanded) == (State.POLICY, False)
    np.testing.assert_array_equal(bench.controller.runtime.command, np.zeros((1, 3)))


def test_stop_lets_the_policy_stand_first(bench, monkeypatch):
    bench.bring(State.POLICY)
    bench.ticks(2.0)
    bench.ask(Event.STOP)
    bench.command.values[:] = 0.2
    runtime = bench.controller.runtime
    commands, step = [], runtime.step

    def counted():
        commands.append(runtime.command.copy())
        return step()

    monkeypatch.setattr(runtime, "step", counted)
    settle = round(bench.config.settle_s / bench.period_s)
    for count in range(settle - 1):
        bench.command.time_s = bench.now_s + bench.period_s
        assert bench.tick().state is State.STOPPING
        assert len(commands) == count + 1
    bench.ticks(2 * bench.period_s)
    assert settle - 1 <= len(commands) <= settle + 1
    assert not np.concatenate(commands).any()
    begin = len(bench.published)
    bench.until(State.IDLE)
    steps = np.abs(np.diff(bench.published[begin - 1 :], axis=0))
    assert 0.0 < steps.max() <= bench.config.ramp_speed_radps * bench.period_s * (1 + 1e-6)


@pytest.mark.parametrize("reason", ["operator", "no target", "a target that is no number"])
@pytest.mark.parametrize("rest", [(0.1, -9.0, 7.5), None])
def test_policies_with_a_target_stand_first_if_they_can(
    bundles, robot, make_bench, monkeypatch, rest, reason
):
    bundle = bundles[robot]
    header = dataclasses.replace(bundle.header, command_name="ball_and_target", rest=rest)
    bench = make_bench(dataclasses.replace(bundle, header=header))
    assert bench.controller.needs_target
    bench.bring(State.READY)
    reply = bench.controller.request(Event.ENABLE)
    assert not reply.accepted and "there is no ball or no target" in reply.sentence
    bench.command.time_s = bench.now_s
    bench.tick()
    bench.ask(Event.ENABLE)
    assert bench.tick().state is State.POLICY
    runtime = bench.controller.runtime
    commands, step = [], runtime.step

    def counted():
        commands.append(runtime.command[0].copy())
        return step()

    monkeypatch.setattr(runtime, "step", counted)
    bench.command.values[:] = told = [0.2, 0.1, -0.1]
    bench.command.time_s = bench.now_s + bench.period_s
    output = bench.tick()
    assert (output.state, output.commanded) == (State.POLICY, True)
    np.testing.assert_allclose(commands, [told], atol=1e-6)
    if reason == "operator":
        bench.ask(Event.STOP)
    elif reason == "no target":
        bench.command.time_s = bench.now_s - bench.config.target_timeout_s
    else:
        # It stands while it waits for a number, which may come yet.
        bench.command.values[1] = np.nan
        output = bench.tick()
        assert (output.state, output.commanded) == (State.POLICY, False)
        expected = (0.0, 0.0, 0.0) if rest is None else rest
        np.testing.assert_allclose(commands[1], expected, atol=1e-6)
        bench.ask(Event.STOP)
    commands.clear()
    output = bench.tick()
    assert (output.state, output.commanded) == (State.STOPPING, False)
    bench.until(State.IDLE)
    if rest is None:
        assert commands == []
    else:
        settle = round(bench.config.settle_s / bench.period_s)
        assert settle - 1 <= len(commands) <= settle + 1
        np.testing.assert_allclose(commands, [rest] * len(commands), atol=1e-6)
    assert ("target" in bench.controller.notice) == (reason == "no target")


@pytest.mark.parametrize("waits_s", [None, 0.8])
def test_a_target_is_waited_for_longer_than_a_velocity(bundles, robot, make_bench, waits_s):
    header = dataclasses.replace(bundles[robot].header, command_name="ball_and_target")
    settings = {} if waits_s is None else {"target_timeout_s": waits_s}
    bench = make_bench(dataclasses.replace(bundles[robot], header=header), **settings)
    config = bench.config
    assert config.command_timeout_s < 1.0 and (config.target_timeout_s > 1.0) == (waits_s is None)
    bench.command.time_s = bench.now_s + 100.0
    bench.bring(State.POLICY)
    bench.command.values[:] = 0.1
    bench.command.time_s = bench.now_s - 1.0
    output = bench.tick()
    if waits_s is not None:
        assert (output.state, output.commanded) == (State.STOPPING, False)
        return
    assert (output.state, output.commanded) == (State.POLICY, True)
    np.testing.assert_allclose(bench.controller.runtime.command, 0.1, atol=1e-6)


def test_a_second_start_is_as_the_first(make_bench, monkeypatch):
    bench = make_bench(blend_in_s=1.0)
    bench.bring(State.POLICY)
    bench.ticks(2.0)
    bench.ask(Event.STOP)
    bench.until(State.IDLE)
    bench.joint_pos = bench.spec.default_joint_pos + 0.1
    bench.bring(State.READY)
    ready = bench.published[-1].copy()
    resets, runtime = [], bench.controller.runtime
    reset = runtime.reset
    monkeypatch.setattr(runtime, "reset", lambda: (resets.append(1), reset()))
    # The policy would like to be elsewhere at once.
    wanted = (bench.spec.default_joint_pos + 0.3).astype(np.float32)[None]
    monkeypatch.setattr(runtime, "step", lambda: wanted)
    bench.ask(Event.ENABLE)
    bench.tick()
    assert resets == [1]
    share = bench.period_s / 1.0
    assert 0.0 < np.abs(bench.published[-1] - ready).max() < 0.3 * share


def test_after_a_fault_that_silenced_it_is_not_silent(bench):
    bench.bring(State.POLICY)
    output = bench.tick(lambda sensors: setattr(sensors, "others", 1))
    assert output.state is State.FAULT and not output.publish
    bench.sensors.others = 0
    bench.ticks(1.0)
    bench.ask(Event.RESET)
    bench.until(State.IDLE)
    assert bench.bring(State.READY).publish


def test_second_stop_changes_nothing(make_bench):
    one, two = make_bench(), make_bench()
    for bench in (one, two):
        bench.bring(State.POLICY)
        bench.ticks(1.0)
        bench.ask(Event.STOP)
        bench.ticks(0.5)
    two.ask(Event.STOP)
    counts = []
    for bench in (one, two):
        before = len(bench.published)
        bench.until(State.IDLE)
        counts.append(len(bench.published) - before)
    assert counts[0] == counts[1]


@pytest.mark.parametrize("state", [State.RAMP, State.READY])
def test_stop_before_the_policy_stops_where_it_is(bench, state):
    bench.bring(state)
    bench.ask(Event.STOP)
    before = bench.published[-1]
    output = bench.tick()
    assert (output.state, output.publish) == (State.STOPPING, True)
    np.testing.assert_array_equal(bench.published[-1], before)
    output = bench.tick()
    assert (output.state, output.publish) == (State.IDLE, False)


FAULTS = {
    Code.NOT_FINITE: _nan,
    Code.JOINT_RANGE: lambda sensors: sensors.joint_pos.fill(3.2),
    Code.STALE_JOINTS: lambda sensors: sensors.joint_time_s.__isub__(0.2),
    Code.UNUSABLE_MESSAGE: lambda sensors: sensors.reject("too short."),
    Code.OTHER_PUBLISHER: lambda sensors: setattr(sensors, "others", 1),
    Code.OTHER_OWNER: lambda sensors: setattr(sensors, "owner", "walking."),
}


def _heal(sensors):
    sensors.others, sensors.owner = 0, ""


@pytest.mark.parametrize(("state", "code"), list(itertools.product(State, FAULTS)))
def test_faults_in_all_states(make_bench, state, code):
    bench = make_bench()
    bench.bring(state)
    published = len(bench.published)
    output = bench.tick(FAULTS[code])
    assert code in _codes(output) or state is State.FAULT
    if state is State.IDLE:
        # What is wrong with a robot that does not move refuses to start, and is forgotten.
        assert output.state is State.IDLE
        reply = bench.controller.request(Event.PREPARE)
        assert not reply.accepted and reply.sentence.startswith("prepare is refused: ")
        bench.tick(_heal)
        # OP3's angles went there and back at once.
        bench.tick()
        bench.ask(Event.PREPARE)
        return
    assert output.state is State.FAULT
    silent = code in (Code.OTHER_PUBLISHER, Code.OTHER_OWNER)
    assert output.publish is not silent
    if state in GUARDED and not silent:
        np.testing.assert_array_equal(bench.published[-1], bench.published[published - 1])
    # It is latched: healthy sensors change nothing, and no request but one.
    held = output.joint_targets.copy()
    for _ in range(10):
        output = bench.tick(_heal)
        assert output.state is State.FAULT and output.publish is not silent
        np.testing.assert_array_equal(output.joint_targets, held)
    for event in (Event.PREPARE, Event.ENABLE, Event.STOP):
        assert not bench.controller.request(event).accepted
    for _ in range(round(0.5 / bench.period_s)):
        bench.tick(_heal)
    bench.ask(Event.RESET)
    assert bench.tick(_heal).state is State.IDLE
    count = len(bench.published)
    for _ in range(50):
        assert bench.tick(_heal).state is State.IDLE
    assert len(bench.published) == count


def test_reset_waits_until_the_robot_is_well(bench):
    bench.bring(State.FAULT)
    bench.tick(_nan)
    reply = bench.controller.request(Event.RESET)
    assert not reply.accepted and "reset is refused: the angle of" in reply.sentence
    # One good step is not enough.
    bench.tick()
    reply = bench.controller.request(Event.RESET)
    assert not reply.accepted and "has been gone for 0.02 s, expected 0.5 s" in reply.sentence
    bench.ticks(0.5)
    bench.ask(Event.RESET)
    # It falls ill again before the request is met.
    assert bench.tick(_nan).state is State.FAULT
    bench.ticks(0.5)
    bench.ask(Event.RESET)
    assert bench.tick().state is State.IDLE


def test_reset_waits_after_a_fault_of_the_policy_too(bench):
    bench.bring(State.POLICY)
    bench.ticks(2.0)
    bench.controller.runtime.z[:] = np.nan
    assert bench.tick().state is State.FAULT
    bench.tick()
    reply = bench.controller.request(Event.RESET)
    assert not reply.accepted and "has been gone for" in reply.sentence


def test_joints_in_others_charge_do_not_keep_a_fault(bench):
    # To take them is what ``prepare`` does, from IDLE.
    bench.bring(State.POLICY)
    for _ in range(round(0.6 / bench.period_s)):
        output = bench.tick(FAULTS[Code.OTHER_OWNER])
    assert output.state is State.FAULT and not output.publish
    bench.ask(Event.RESET)
    output = bench.tick(FAULTS[Code.OTHER_OWNER])
    assert output.state is State.IDLE and not output.publish
    assert not bench.controller.request(Event.PREPARE).accepted


def test_further_faults_are_added_and_can_silence(bench):
    bench.bring(State.POLICY)
    assert bench.tick(_nan).publish
    output = bench.tick(FAULTS[Code.OTHER_PUBLISHER])
    assert [fault.code for fault in output.faults] == [Code.NOT_FINITE, Code.OTHER_PUBLISHER]
    assert not output.publish
    assert not bench.tick(_heal).publish


def test_damping_instead_of_holding(make_bench):
    bench = make_bench(fault_behaviour="damp")
    bench.bring(State.POLICY)
    assert not bench.output.damp
    output = bench.tick(_nan)
    assert (output.state, output.damp, output.publish) == (State.FAULT, True, False)
    output = bench.tick(FAULTS[Code.OTHER_OWNER])
    assert (output.damp, output.publish) == (False, False)
    idle = make_bench(fault_behaviour="damp")
    assert not idle.tick(_nan).damp


def test_tilt(bench):
    bench.bring(State.POLICY)
    half = np.radians(28.0)

    def tilted(sensors):
        for row in sensors.imu[: sensors.num_imu]:
            row[4:7] = 9.8 * np.array([0.0, np.sin(2 * half), np.cos(2 * half)])
            row[7:11] = [np.cos(half), np.sin(half), 0.0, 0.0]

    if bench.config.attitude == "filter":
        # Nobody tips over without a gyroscope that says so.
        assert bench.tick(tilted).state is State.POLICY

        def turning(sensors):
            sensors.imu[0, 1:4] = [20.0, 0.0, 0.0]

        for _ in range(3):
            bench.tick(turning)
    else:
        bench.tick(tilted)
    assert bench.output.state is State.FAULT
    assert _codes(bench.output) == {Code.TILT}


def test_policy_that_gives_nan_is_stopped_before_it_leaves(bench):
    bench.bring(State.POLICY)
    bench.ticks(2.0)
    before = bench.published[-1]
    bench.controller.runtime.z[:] = np.nan
    output = bench.tick()
    assert _codes(output) == {Code.POLICY_OUTPUT}
    np.testing.assert_array_equal(bench.published[-1], before)


def _wild(bench, monkeypatch, calm=lambda: False):
    """The policy asks for one end of the joints' ranges after the other, unless it is calm."""
    runtime, spec = bench.controller.runtime, bench.spec
    ends = itertools.cycle([spec.joint_lower, spec.joint_upper])

    def step():
        runtime.joint_targets[0] = bench.controller.joint_targets if calm() else next(ends)
        return runtime.joint_targets

    monkeypatch.setattr(runtime, "step", step)


def test_policy_that_asks_for_too_much_is_limited_and_then_stopped(bench, monkeypatch):
    bench.bring(State.POLICY)
    bench.ticks(1.5)
    runtime, spec = bench.controller.runtime, bench.spec
    _wild(bench, monkeypatch)
    begin = len(bench.published)
    for _ in range(bench.config.max_limited_steps):
        output = bench.tick()
        assert (output.state, output.limited) == (State.POLICY, True)
        sent = (output.joint_targets - spec.default_joint_pos) / spec.action_scale
        np.testing.assert_allclose(runtime.last_action[0], sent, atol=1e-5)
    assert _codes(bench.tick()) == {Code.TARGET_STEPS}
    steps = np.abs(np.diff(bench.published[begin - 1 :], axis=0))
    assert steps.max() <= bench.config.target_speed_radps * bench.period_s + 1e-12
    assert steps[-1].max() == 0.0


def test_limited_steps_count_while_they_follow_each_other(bench, monkeypatch):
    bench.bring(State.POLICY)
    bench.ticks(1.5)
    steps = itertools.count(1)
    _wild(bench, monkeypatch, lambda: next(steps) % 5 == 0)
    for _ in range(5 * bench.config.max_limited_steps):
        assert bench.tick().state is State.POLICY


def _tilted(sensors, spec):
    """Rolled by 30 degrees, whether that is told by the orientation or felt."""
    half = np.radians(15.0)
    sensors.imu[0, 4:7] = 9.80665 * np.array([0.0, np.sin(2.0 * half), np.cos(2.0 * half)])
    sensors.imu[0, 7:11] = [np.cos(half), np.sin(half), 0.0, 0.0]


def _beyond(sensors, spec):
    sensors.joint_pos[2] = spec.joint_upper[2] + 0.1


def _late_joints(sensors, spec):
    sensors.joint_time_s -= 0.05


def _late_imu(sensors, spec):
    sensors.imu[0, 0] -= 0.05


@pytest.mark.parametrize(
    ("name", "value", "code", "spoil"),
    [
        ("joint_margin_rad", 0.05, Code.JOINT_RANGE, _beyond),
        ("tilt_limit_deg", 20.0, Code.TILT, _tilted),
        ("joint_timeout_s", 0.03, Code.STALE_JOINTS, _late_joints),
        ("imu_timeout_s", 0.03, Code.STALE_IMU, _late_imu),
    ],
)
def test_what_is_fine_by_default_is_a_fault_by_a_stricter_setting(
    make_bench, name, value, code, spoil
):
    for settings in ({}, {name: value}):
        bench = make_bench(**settings)
        output = bench.tick(lambda sensors, bench=bench: spoil(sensors, bench.spec))
        assert (code in _codes(output)) == bool(settings)


def test_a_stricter_limit_of_lateness_is_obeyed(make_bench):
    for settings in ({}, {"max_late_s": 0.03}):
        bench = make_bench(**settings)
        bench.tick()
        bench.now_s += 0.05
        assert (Code.LATE_LOOP in _codes(bench.tick())) == bool(settings)


def test_a_stricter_limit_of_limited_steps_is_obeyed(make_bench, monkeypatch):
    bench = make_bench(max_limited_steps=3)
    bench.bring(State.POLICY)
    bench.ticks(1.5)
    _wild(bench, monkeypatch)
    for _ in range(3):
        assert bench.tick().state is State.POLICY
    assert _codes(bench.tick()) == {Code.TARGET_STEPS}


def test_a_shorter_life_of_commands_is_obeyed(make_bench):
    bench = make_bench(command_timeout_s=0.2)
    bench.bring(State.POLICY)
    bench.command.time_s = bench.now_s
    assert bench.tick().commanded
    output = bench.ticks(0.3)
    assert output.state is State.POLICY and not output.commanded


def test_speed_of_the_ramp_and_time_to_settle_are_obeyed(make_bench):
    default = make_bench()
    slow = make_bench(
        ramp_speed_radps=0.5 * default.config.ramp_speed_radps,
        settle_s=default.config.settle_s + 1.0,
    )
    ready_s, stopped_s = [], []
    for bench in (default, slow):
        bench.joint_pos[:] = bench.spec.default_joint_pos
        bench.joint_pos[0] += 0.4
        begin_s = bench.now_s
        bench.bring(State.READY)
        ready_s.append(bench.now_s - begin_s)
        bench.ask(Event.ENABLE)
        bench.ticks(1.0)
        bench.ask(Event.STOP)
        begin_s = bench.now_s
        bench.until(State.IDLE)
        stopped_s.append(bench.now_s - begin_s)
    assert ready_s[1] > ready_s[0] + 0.3
    assert stopped_s[1] > stopped_s[0] + 0.9


def test_program_that_fails_is_a_fault(bench, monkeypatch):
    bench.bring(State.POLICY)

    def broken():
        raise RuntimeError("no more\nmemory")

    monkeypatch.setattr(bench.controller.runtime, "step", broken)
    output = bench.tick()
    assert (output.state, output.publish) == (State.FAULT, True)
    assert output.faults[0].sentence == "the program failed (RuntimeError: no more memory)."
    assert output.faults[0].code is Code.INTERNAL


def test_late_steps_and_broken_clocks(bench):
    bench.bring(State.POLICY)
    bench.now_s += 0.15
    assert Code.LATE_LOOP in _codes(bench.tick())
    bench.ticks(0.5)
    bench.ask(Event.RESET)
    for _ in range(2):
        bench.tick()
    bench.now_s = float("nan")
    output = bench.tick()
    assert Code.CLOCK in _codes(output)
    assert np.isfinite(output.joint_targets).all()


def test_a_late_step_is_no_larger_one(make_bench):
    one, two = make_bench(), make_bench()
    for bench in (one, two):
        bench.bring(State.RAMP)
        bench.ticks(0.3)
    two.now_s += 0.9 * two.period_s
    np.testing.assert_array_equal(one.tick().joint_targets, two.tick().joint_targets)


def test_stop_has_the_last_word(bench):
    bench.bring(State.READY)
    for event in (Event.STOP, Event.ENABLE):
        bench.ask(event)
    before = bench.published[-1]
    bench.tick()
    assert bench.output.events == (Event.STOP,)
    assert bench.output.state is State.STOPPING
    assert bench.until(State.IDLE).publish is False
    # The policy has had no part in it.
    np.testing.assert_array_equal(bench.published[-1], before)


@pytest.mark.parametrize("state", State)
def test_release_ends_all_motion(make_bench, state):
    bench = make_bench()
    bench.bring(state)
    if state is State.IDLE:
        bench.ask(Event.PREPARE)
    if state is State.READY:
        bench.ask(Event.ENABLE)
    count = len(bench.published)
    bench.controller.release()
    rest = State.IDLE if state is State.IDLE else State.FAULT
    # Meanwhile somebody may move the robot: the last target is nothing to go back to.
    for _ in range(20):
        output = bench.tick()
        assert (output.state, output.publish, output.damp) == (rest, False, False)
        assert output.events == ()
    assert len(bench.published) == count
    if state in GUARDED:
        assert output.faults[0].sentence == f"the control loop ended in the state {state.value}."
    if rest is State.FAULT:
        bench.ticks(0.5)
        bench.ask(Event.RESET)
        assert bench.tick().state is State.IDLE
    bench.ask(Event.PREPARE)
    np.testing.assert_allclose(bench.tick().joint_targets, bench.joint_pos, atol=2e-3)


def test_what_fails_outside_is_a_fault(bench):
    bench.bring(State.POLICY)
    held = bench.output.joint_targets.copy()
    for _ in range(3):
        output = bench.controller.fail("the driver failed.")
    assert (output.state, output.publish) == (State.FAULT, True)
    assert [fault.sentence for fault in output.faults] == ["the driver failed."]
    # As long as no step has found the robot well, there is no reset.
    assert not bench.controller.request(Event.RESET).accepted
    output = bench.tick()
    assert output.state is State.FAULT and _codes(output) == {Code.INTERNAL}
    np.testing.assert_array_equal(output.joint_targets, held)
    bench.ticks(0.5)
    bench.ask(Event.RESET)
    assert bench.tick().state is State.IDLE


def test_what_was_accepted_and_not_done_is_told(bench):
    bench.bring(State.READY)
    bench.ask(Event.STOP)
    bench.until(State.IDLE)
    bench.ask(Event.PREPARE)
    assert bench.tick(_nan).state is State.IDLE
    assert bench.controller.notice.startswith("prepare was not done: the angle of")


def test_objections_can_be_ignored(bench):
    bench.tick(lambda sensors: setattr(sensors, "owner", "walking."))
    assert bench.controller.objection(Event.PREPARE) == "walking."
    assert bench.controller.objection(Event.PREPARE, (Code.OTHER_OWNER,)) == ""
    bench.tick(lambda sensors: setattr(sensors, "others", 1))
    assert "others publish" in bench.controller.objection(Event.PREPARE, (Code.OTHER_OWNER,))


def test_internal_events_lead_where_the_table_says():
    assert TRANSITIONS[State.RAMP, Event.RAMPED] is State.READY
    assert TRANSITIONS[State.STOPPING, Event.STOPPED] is State.IDLE


def test_command_of_before_the_start_is_none(bench):
    assert bench.command.time_s == NEVER
    bench.bring(State.POLICY)
    assert not bench.ticks(0.2).commanded


def test_after_a_fault_the_target_of_a_joint_without_power_waits_where_that_is(bench):
    """So that power that comes back does not throw it."""
    bench.bring(State.POLICY)
    bench.ticks(1.0)
    held = bench.tick(lambda sensors: _on_its_side(bench, sensors))
    assert held.state is State.FAULT and held.publish
    held = held.joint_targets.copy()
    low, high = bench.controller._lower, bench.controller._upper
    fallen = np.where(held[2] + 1.2 < high[2], held[2] + 1.2, held[2] - 1.2)

    angle = float(held[2])

    def off(sensors):
        nonlocal angle
        angle += float(np.clip(fallen - angle, -0.05, 0.05))
        sensors.joint_pos[:] = held
        sensors.joint_pos[2] = angle

    while abs(angle - held[2]) <= 1.0:
        bench.tick(off)
    steps = round(bench.config.following_s / bench.period_s)
    most = bench.config.ramp_speed_radps * bench.period_s * (1 + 1e-9)
    for _ in range(steps - 2):
        bench.tick(off)
    np.testing.assert_array_equal(bench.output.joint_targets, held)
    before = held.copy()
    for _ in range(steps + round(2.0 / most)):
        now = bench.tick(off).joint_targets
        assert np.abs(now - before).max() <= most
        before = now.copy()
    np.testing.assert_allclose(before[2], np.clip(fallen, low[2], high[2]))
    np.testing.assert_array_equal(np.delete(before, 2), np.delete(held, 2))
    assert bench.output.state is State.FAULT


@pytest.mark.parametrize("blinding", [_nan, lambda sensors: sensors.reject("it has no length.")])
def test_who_does_not_know_where_joints_are_holds_what_was_held(bench, blinding):
    bench.bring(State.POLICY)
    bench.ticks(1.0)
    held = bench.tick(blinding).joint_targets.copy()
    for _ in range(round(3.0 / bench.period_s)):
        bench.tick(lambda sensors: np.copyto(sensors.joint_pos, held + 1.1))
    assert bench.output.state is State.FAULT
    np.testing.assert_array_equal(bench.output.joint_targets, held)


def _on_its_side(bench, sensors):
    """The base lies on its side."""
    w, x, y, z = bench.config.imu_mounting_wxyz
    half = 0.5**0.5
    # Turned by 90 degrees about x, then mounted.
    sensors.imu[0, 7:11] = half * np.array([w - x, w + x, y - z, y + z])
    sensors.imu[0, 4:7] = [0.0, 9.8, 0.0]
    sensors.imu[0, 0] += 1.0
