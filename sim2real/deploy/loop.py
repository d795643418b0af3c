"""A control loop on absolute deadlines, in a thread of its own.

The period is the policy's to the microsecond on average, however long a step takes. Within it the
loop creeps to the moment just after sensor values arrive, so that a policy is told fresh ones. If
they are late it waits a little: otherwise the policy would be told values that are a cycle old.
"""

import gc
import threading
import time
from collections.abc import Callable

import numpy as np

from legged_skills.robots.errors import DeploymentError

STOP_WITHIN_S = 2.0
"""A step that takes longer when the loop is to end hangs [s]."""
_AIM_S = 0.0005
"""Steps shall begin so long after sensor values have arrived [s]."""
_EARLY_S, _EARLY_SHARE = 0.002, 0.4
"""They may be due so much earlier than they should come [s], or by this share of their cycle, if
that is less: a step that begins just before they come would be told values that are a cycle old."""
_LATE_S = 0.003
"""Values that are later than this are not waited for [s]."""
_CREEP = 0.05
_MOST_CREEP_S = 0.0001
"""The loop creeps by no more than this in a step [s]."""
_PATIENCE_S = 0.002
"""Sensor values that are due are waited for by at most this [s]."""
_POLL_S = 0.0002
"""Time between two looks whether they have come [s]."""


class Timing:
    """How well a loop keeps its time; of the last steps only.

    Attributes:
        steps: so many steps so far.
        missed: so many deadlines so far that were missed by more than a period.
    """

    CAPACITY = 100_000

    def __init__(self) -> None:
        """Nothing has happened yet."""
        self.steps = self.missed = 0
        self._period_error_s = np.zeros(self.CAPACITY)
        self._latency_s = np.zeros(self.CAPACITY)
        self._latencies = 0

    def period(self, error_s: float) -> None:
        """A step began so much late or early after the one before [s]."""
        self._period_error_s[self.steps % self.CAPACITY] = abs(error_s)
        self.steps += 1

    def latency(self, seconds: float) -> None:
        """Targets left so long after the newest sensor values had come [s]."""
        self._latency_s[self._latencies % self.CAPACITY] = seconds
        self._latencies += 1

    def figures(self) -> dict[str, float | int]:
        """99th percentiles [ms], NaN of nothing, and counts."""

        def p99(values: np.ndarray, count: int) -> float:
            known = values[: min(count, self.CAPACITY)]
            return float(1e3 * np.percentile(known, 99)) if len(known) else float("nan")

        return {
            "period_error_p99_ms": p99(self._period_error_s, self.steps),
            "missed_deadlines": self.missed,
            "sensor_to_command_p99_ms": p99(self._latency_s, self._latencies),
            "steps": self.steps,
        }


def creep(age_s: float, cycle_s: float) -> float:
    """By how much the next deadline is moved to meet sensor values that come every ``cycle_s``.

    Args:
        age_s: of the newest sensor values at the deadline [s]; negative if they came later, and the
            step has waited for them.
        cycle_s: time between two of them [s]; 0 if nobody knows.

    Returns:
        [s]; earlier if negative.
    """
    if cycle_s <= 0.0 or not -cycle_s <= age_s <= 2.0 * cycle_s:
        return 0.0
    off = (age_s - _AIM_S + 0.5 * cycle_s) % cycle_s - 0.5 * cycle_s
    return float(np.clip(-_CREEP * off, -_MOST_CREEP_S, _MOST_CREEP_S))


def due(age_s: float, cycle_s: float) -> bool:
    """Whether the next sensor values should come at any moment.

    Args:
        age_s: of the newest ones [s].
        cycle_s: time between two of them [s]; 0 if nobody knows.
    """
    early_s = min(_EARLY_S, _EARLY_SHARE * cycle_s)
    return cycle_s > 0.0 and -early_s <= age_s - cycle_s <= _LATE_S


class ControlLoop:
    """Calls a function once each period.

    Attributes:
        timing: how well that goes.
        error: what the function has raised, which has ended the loop; None if nothing.
    """

    def __init__(
        self,
        period_s: float,
        step: Callable[[float], float | None],
        cycle_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        age: Callable[[float], float] | None = None,
    ) -> None:
        """Does not start yet.

        Args:
            period_s: the period [s].
            step: gets the time [s]; returns the age of the newest sensor values then [s], or
                None if there are none. What it raises ends the loop.
            cycle_s: time between two sensor values [s]; 0 to stick to the first deadline.
            clock: the steady clock [s].
            sleep: waits [s].
            age: gets the time [s]; returns the age of the newest sensor values [s]. With it, those
                that are due are waited for.
        """
        self.timing = Timing()
        self.error: BaseException | None = None
        self._begun_s = float("nan")
        self._period_s, self._step, self._cycle_s = period_s, step, cycle_s
        self._clock, self._sleep, self._age = clock, sleep, age
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether the thread is alive."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def ending(self) -> bool:
        """Whether it was asked to end: a step that is still being done is the last one."""
        return self._stop.is_set()

    def trouble(self, limit_s: float) -> str:
        """Why no steps are being done, or one does not end; empty if all is well.

        Args:
            limit_s: how long a step may take, or be late [s].
        """
        if self._thread is None:
            return ""
        if not self._thread.is_alive():
            return "" if self.ending else f"the control loop has ended ({self.error!r})."
        silent_s = self._clock() - self._begun_s
        if silent_s <= limit_s:
            return ""
        return f"the control loop has hung for {silent_s:.1f} s."

    def start(self) -> None:
        """Begins, with the first step after a period.

        Raises:
            DeploymentError: the thread of before is still alive.
        """
        if self.running:
            raise DeploymentError("the control loop is still running.")
        self._stop.clear()
        self.error, self._begun_s = None, self._clock()
        self._thread = threading.Thread(target=self._guarded, name="control loop", daemon=True)
        self._thread.start()

    def stop(self) -> bool:
        """Ends after the present step; whether it has, within ``STOP_WITHIN_S``."""
        self._stop.set()
        if self._thread is None:
            return True
        self._thread.join(STOP_WITHIN_S)
        if self._thread.is_alive():
            return False
        self._thread = None
        return True

    def _await_sensors(self, now: float) -> float:
        """Waits for sensor values that are due; the time afterwards [s]."""
        end = now + _PATIENCE_S
        while self._age is not None and now < end and due(self._age(now), self._cycle_s):
            self._sleep(_POLL_S)
            now = self._clock()
        return now

    def _guarded(self) -> None:
        try:
            self.run()
        except BaseException as error:
            self.error = error

    def run(self) -> None:
        """Steps until ``stop``, on the calling thread."""
        # What is alive now will be for long: the collector need not look at it in every pass.
        gc.collect()
        gc.freeze()
        deadline = self._clock() + self._period_s
        before: float | None = None
        while not self._stop.is_set():
            wait = deadline - self._clock()
            if wait > 0.0:
                self._sleep(wait)
                if self._stop.is_set():
                    return
            now = self._await_sensors(self._clock())
            if before is not None:
                self.timing.period(now - before - self._period_s)
            before = self._begun_s = now
            age = self._step(now)
            if age is not None:
                # Not the age that the step has met: whoever waits meets fresh values wherever the
                # deadline is, and would never leave a deadline just before they come.
                deadline += creep(age - (now - deadline), self._cycle_s)
            deadline += self._period_s
            behind = self._clock() - deadline
            if behind > 0.0:
                # Deadlines in the past are not made up for.
                lost = int(behind // self._period_s) + 1
                self.timing.missed += lost
                deadline += lost * self._period_s
