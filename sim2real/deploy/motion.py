"""How joint targets may change: ramps between two poses, and the last check before they leave."""

import numpy as np

_PEAK = 1.875
"""Greatest slope of the minimum-jerk curve, at its middle."""


def ramp_s(way_rad: float, speed_radps: float, min_s: float) -> float:
    """How long a ramp takes whose longest way, of any joint, is this [s]."""
    return max(min_s, _PEAK * way_rad / speed_radps)


class Ramp:
    """A minimum-jerk way from one pose to another, with a greatest joint speed.

    Attributes:
        target: (J,) where the way is now [rad].
        duration_s: how long it takes [s].
        done: whether it has ended.
    """

    def __init__(
        self,
        start: np.ndarray,
        goal: np.ndarray,
        speed_radps: float,
        min_s: float,
        period_s: float,
    ) -> None:
        """Stands at the start.

        Args:
            start: (J,) [rad].
            goal: (J,) [rad].
            speed_radps: no joint is faster [rad/s].
            min_s: it takes at least so long [s].
            period_s: of ``step`` [s].
        """
        self._start, self._way = start.copy(), goal - start
        self._goal = goal.copy()
        self.target = start.copy()
        self.duration_s = ramp_s(float(np.abs(self._way).max()), speed_radps, min_s)
        self._period_s = period_s
        self._elapsed_s = 0.0

    @property
    def done(self) -> bool:
        """Whether the goal is reached."""
        return self._elapsed_s >= self.duration_s

    def step(self) -> np.ndarray:
        """Goes on by a period, however late it is: a late step is no larger one.

        Returns:
            (J,) ``target`` [rad].
        """
        self._elapsed_s += self._period_s
        if self.done:
            self.target[:] = self._goal
        else:
            self.target[:] = self._start + smooth(self._elapsed_s / self.duration_s) * self._way
        return self.target


def smooth(share: float) -> float:
    """The minimum-jerk curve from 0 to 1; share of the time, 0 to 1."""
    x = min(max(share, 0.0), 1.0)
    return x * x * x * (10.0 + x * (6.0 * x - 15.0))


def limited(
    wanted: np.ndarray, before: np.ndarray, step_rad: float, lower: np.ndarray, upper: np.ndarray
) -> np.ndarray:
    """Targets that are in range and near those of before.

    Args:
        wanted: (J,) finite targets [rad].
        before: (J,) the targets of the step before, in range [rad].
        step_rad: how far they may change [rad].
        lower: (J,) lower ends of the usable ranges [rad].
        upper: (J,) upper ends [rad].

    Returns:
        (J,) [rad].
    """
    return np.clip(np.clip(wanted, before - step_rad, before + step_rad), lower, upper)
