import threading
import time

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.errors import DeploymentError
from legged_skills.sim2real.deploy import loop as module
from legged_skills.sim2real.deploy.config import config_of
from legged_skills.sim2real.deploy.guards import Code
from legged_skills.sim2real.deploy.loop import ControlLoop, Timing, creep, due
from legged_skills.sim2real.deploy.watch import Watch


class Clock:
    """A clock that goes on when somebody sleeps or works."""

    def __init__(self) -> None:
        self.now_s, self.oversleep_s = 5.0, 0.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds + self.oversleep_s


def _run(steps, work, cycle_s=0.0, age=None):
    """Times of steps that take ``work(step)`` seconds each; steps are 20 ms apart."""
    clock, times = Clock(), []

    def step(now: float) -> float | None:
        times.append(now)
        clock.now_s += work(len(times))
        if len(times) == steps:
            loop._stop.set()
        return None if age is None else age(now)

    loop = ControlLoop(0.02, step, cycle_s, clock, clock.sleep)
    loop.run()
    return np.array(times), loop.timing


def test_deadlines_do_not_drift_with_the_work():
    times, timing = _run(50, lambda step: 0.001 * (step % 15))
    np.testing.assert_allclose(times, 5.02 + 0.02 * np.arange(50), atol=1e-9)
    assert (timing.steps, timing.missed) == (49, 0)
    assert timing.figures()["period_error_p99_ms"] == pytest.approx(0.0, abs=1e-6)


def test_missed_deadlines_are_counted_and_not_made_up_for():
    times, timing = _run(10, lambda step: 0.050 if step == 4 else 0.001)
    # The 4th step begins at 5.08 and ends at 5.13: 5.10 and 5.12 are lost, 5.14 is next.
    np.testing.assert_allclose(times[3:6], [5.08, 5.14, 5.16], atol=1e-9)
    assert timing.missed == 2
    assert timing.figures()["period_error_p99_ms"] == pytest.approx(40.0, rel=0.1)


def test_loop_creeps_to_the_moment_after_sensor_values():
    # Values come at 3 ms, 11 ms, 19 ms, ... of each 8 ms; the period is not a multiple of theirs.
    ages = []

    def age(now: float) -> float:
        ages.append((now - 0.003) % 0.008)
        return ages[-1]

    clock_steps = 600
    clock, times = Clock(), []

    def step(now: float) -> float:
        times.append(now)
        if len(times) == clock_steps:
            loop._stop.set()
        return age(now)

    loop = ControlLoop(0.024, step, 0.008, clock, clock.sleep)
    loop.run()
    np.testing.assert_allclose(ages[-50:], 0.0005, atol=1e-4)
    errors = np.abs(np.diff(times) - 0.024)
    assert errors.max() <= 0.0001 + 1e-9
    assert loop.timing.missed == 0


@pytest.mark.parametrize(
    ("age_s", "cycle_s", "expected"),
    [
        (0.0005, 0.008, 0.0),
        (0.0015, 0.008, -5e-5),
        (0.0, 0.008, 2.5e-5),
        (0.004, 0.008, -1e-4),
        (0.005, 0.008, 1e-4),
        (0.0075, 0.008, 5e-5),
        (-0.0005, 0.008, 5e-5),
        (-0.0035, 0.008, 1e-4),
        (-0.009, 0.008, 0.0),
        (0.002, 0.0, 0.0),
        (float("nan"), 0.008, 0.0),
        (0.5, 0.008, 0.0),
    ],
)
def test_creep_by_hand(age_s, cycle_s, expected):
    assert creep(age_s, cycle_s) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("late_s", "waited_s"),
    [
        # The deadline is 1 ms after values should come: they are there, or waited for.
        (0.0005, 0.0),
        (0.0012, 0.0002),
        (0.0025, 0.0016),
        # Not for longer than 2 ms.
        (0.0035, 0.0020),
    ],
)
def test_values_that_are_due_are_waited_for(late_s: float, waited_s: float) -> None:
    clock, times, ages = Clock(), [], []
    cycle_s, start = 0.008, clock.now_s
    # In the third step they are late.
    late = start + 3 * 0.024 - 0.001

    def age(now: float) -> float:
        newest = late + cycle_s * np.floor((now - late + 1e-9) / cycle_s)
        if abs(newest - late) < 1e-6 and now < late + late_s - 1e-9:
            newest -= cycle_s
        return now - newest

    def step(now: float) -> None:
        times.append(now)
        ages.append(age(now))
        if len(times) == 4:
            loop._stop.set()

    loop = ControlLoop(0.024, step, cycle_s, clock, clock.sleep, age)
    loop.run()
    deadlines = start + 0.024 * np.arange(1, 5)
    np.testing.assert_allclose(times - deadlines, [0.0, 0.0, waited_s, 0.0], atol=1e-6)
    assert (max(ages) > cycle_s) == (late_s > 0.003)


@pytest.mark.parametrize("before_s", [0.0005, 0.0015, 0.0019, 0.0021])
def test_a_deadline_just_before_values_come_is_left(before_s: float) -> None:
    """Also where each look for values takes longer than deadlines should be after them."""
    clock, ages, waits = Clock(), [], []
    clock.oversleep_s = 0.0007
    cycle_s, first = 0.008, clock.now_s + 0.024 + before_s

    def age(now: float) -> float:
        return (now - first + 1e-9) % cycle_s

    def look(now: float) -> float:
        waits.append(now)
        return age(now)

    def step(now: float) -> float:
        ages.append(age(now))
        if len(ages) == 300:
            loop._stop.set()
        if len(ages) == 200:
            waits.clear()
        return ages[-1]

    loop = ControlLoop(0.024, step, cycle_s, clock, clock.sleep, look)
    loop.run()
    # Deadlines are 0.5 ms after values, and sleeps 0.7 ms too long; nobody waits any more.
    np.testing.assert_allclose(ages[200:], 0.0012, atol=5e-5)
    assert len(waits) == 100


@pytest.mark.parametrize(
    ("age_s", "cycle_s", "expected"),
    [
        (0.0059, 0.008, False),
        (0.0061, 0.008, True),
        (0.0014, 0.0025, False),
        (0.0016, 0.0025, True),
        (0.0109, 0.008, True),
        # Whoever is silent is not waited for.
        (0.0111, 0.008, False),
        (np.inf, 0.008, False),
        (0.001, 0.0, False),
    ],
)
def test_what_is_due(age_s: float, cycle_s: float, expected: bool) -> None:
    assert due(age_s, cycle_s) is expected


def test_no_step_is_done_after_the_stop_was_asked_for():
    clock, times = Clock(), []

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if len(times) == 3:
            loop._stop.set()

    loop = ControlLoop(0.024, times.append, 0.0, clock, sleep)
    loop.run()
    assert len(times) == 3


@pytest.mark.parametrize("cost", [1.1, 1.5, 1.9])
def test_a_loop_that_needs_more_than_its_period_is_found_late(cost: float) -> None:
    """It leaves out every other deadline, so that it is late by a period, give or take."""
    clock, spec = Clock(), robots.get("op3")
    config = config_of("op3")
    watch = Watch(spec, config, (spec.joint_lower, spec.joint_upper))
    rng, found = np.random.default_rng(0), []

    def step(now: float) -> None:
        found.extend(fault.code for fault in watch._check_time(now))
        clock.sleep(spec.control_period_s * (cost + 0.004 * rng.standard_normal()))
        if found or clock.now_s - start > 5.0:
            loop._stop.set()

    start = clock.now_s
    loop = ControlLoop(spec.control_period_s, step, 0.0, clock, clock.sleep)
    loop.run()
    assert found == [Code.LATE_LOOP]
    assert clock.now_s - start < config.max_late_s + 1.0


def test_thread_starts_and_stops_and_reports_what_it_died_of():
    calls = []

    def step(now: float) -> None:
        calls.append(now)
        if len(calls) == 3:
            raise RuntimeError("no")

    loop = ControlLoop(0.001, step)
    assert not loop.running
    loop.start()
    thread = loop._thread
    assert thread is not None
    thread.join(30.0)
    assert not loop.running
    assert isinstance(loop.error, RuntimeError) and len(calls) == 3
    assert loop.trouble(1.0) == "the control loop has ended (RuntimeError('no'))."
    loop.stop()
    assert loop.trouble(1.0) == ""
    other = ControlLoop(0.001, lambda now: None)
    other.start()
    assert other.running
    other.stop()
    assert not other.running


def test_step_that_hangs_is_noticed():
    begun, gate = threading.Event(), threading.Event()

    def step(now: float) -> None:
        begun.set()
        gate.wait(30.0)

    loop = ControlLoop(0.001, step)
    assert loop.trouble(0.0) == ""
    loop.start()
    assert begun.wait(30.0)
    time.sleep(0.05)
    assert "the control loop has hung for 0." in loop.trouble(0.01)
    assert loop.trouble(1000.0) == ""
    gate.set()
    loop.stop()
    assert loop.trouble(0.0) == ""


def test_step_that_never_ends_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(module, "STOP_WITHIN_S", 0.2)
    begun, gate = threading.Event(), threading.Event()
    steps = []

    def step(now: float) -> None:
        steps.append(now)
        begun.set()
        gate.wait(60.0)

    loop = ControlLoop(0.001, step)
    loop.start()
    assert begun.wait(30.0)
    begin = time.monotonic()
    assert not loop.stop()
    assert 0.2 <= time.monotonic() - begin < 30.0
    # It is known that it still runs, and that it must not.
    assert loop.running and loop.ending
    assert "the control loop has hung for " in loop.trouble(0.01)
    with pytest.raises(DeploymentError, match="the control loop is still running"):
        loop.start()
    gate.set()
    thread = loop._thread
    assert thread is not None
    thread.join(30.0)
    assert not loop.running and loop.trouble(0.0) == ""
    assert loop.stop() and len(steps) == 1
    loop.start()
    assert not loop.ending
    assert loop.stop() and not loop.running


def test_figures_of_nothing_and_of_much():
    timing = Timing()
    assert np.isnan(timing.figures()["sensor_to_command_p99_ms"])
    for number in range(Timing.CAPACITY + 10):
        timing.latency(0.001 if number >= 10 else 9.0)
    assert timing.figures()["sensor_to_command_p99_ms"] == pytest.approx(1.0)
