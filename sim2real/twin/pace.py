"""A loop in real time: absolute deadlines on a steady clock, and figures of how well they are kept.

The time is an argument, so that nothing here waits.
"""

import numpy as np

_MOST_BEHIND_S = 0.5
"""A loop that is farther behind gives up the time it has lost [s]."""
_KEPT = 4096
"""So many of the last cycles are in the percentiles."""


class Pace:
    """Deadlines of a loop.

    Attributes:
        cycles: how many have begun.
        overruns: cycles that were not over when the next one should have begun.
        given_up_s: time by which the deadlines were moved, because the loop was too late [s].
        deadline_s: when the next cycle begins [s].
    """

    def __init__(self, period_s: float, now_s: float) -> None:
        """The first deadline is one period from now.

        Args:
            period_s: time from one cycle to the next [s].
            now_s: time on a steady clock [s].
        """
        self.period_s = period_s
        self.cycles = self.overruns = 0
        self.given_up_s = 0.0
        self._start_s = now_s
        self.deadline_s = now_s + period_s
        self._late_s, self._busy_s = np.zeros(_KEPT), np.zeros(_KEPT)
        self._began_s = now_s

    def begin(self, now_s: float) -> None:
        """A cycle begins, at or after its deadline."""
        behind = now_s - self.deadline_s
        self._late_s[self.cycles % _KEPT] = behind
        if behind > _MOST_BEHIND_S:
            self.given_up_s += behind
            self.deadline_s = now_s
        self._began_s = now_s

    def end(self, now_s: float) -> None:
        """A cycle has ended."""
        self._busy_s[self.cycles % _KEPT] = now_s - self._began_s
        self.cycles += 1
        self.deadline_s += self.period_s
        self.overruns += now_s > self.deadline_s

    def figures(self, now_s: float) -> dict[str, float]:
        """How well time is kept: of all cycles, and percentiles of the last ones."""
        kept = min(self.cycles, _KEPT)
        late, busy = 1e3 * self._late_s[:kept], 1e3 * self._busy_s[:kept]
        elapsed = max(now_s - self._start_s, 1e-9)
        figures = {
            "elapsed_s": elapsed,
            "real_time_factor": self.cycles * self.period_s / elapsed,
            "cycles": float(self.cycles),
            "overruns": float(self.overruns),
            "given_up_s": self.given_up_s,
        }
        if kept:
            figures |= {
                "late_p50_ms": float(np.median(late)),
                "late_p99_ms": float(np.percentile(late, 99.0)),
                "late_max_ms": float(late.max()),
                "busy_p50_ms": float(np.median(busy)),
                "busy_p99_ms": float(np.percentile(busy, 99.0)),
            }
        return figures
