"""Pushes: horizontal forces on the trunk, now and then, for N robots."""

from collections.abc import Mapping

import numpy as np

from legged_skills.sim2real.gap import PushConfig


class Pushes:
    """Draws pushes of N robots.

    They begin with a control period. Their impulses are exact: a push that ends within a period is
    weaker in it.

    Attributes:
        force_n: (N, 1) how hard each robot is pushed [N].
    """

    def __init__(self, config: PushConfig, num_envs: int, period_s: float) -> None:
        """Starts without force; ``reset`` draws the time of the first push.

        Args:
            config: length and interval.
            num_envs: N.
            period_s: control period [s].
        """
        self.config, self.period_s = config, period_s
        self.force_n = np.zeros((num_envs, 1))
        self._until = np.zeros(num_envs)
        self._left = np.zeros(num_envs)
        self._direction = np.zeros((num_envs, 3))

    def reset(self, ids: np.ndarray, rng: np.random.Generator) -> None:
        """No push goes on into a new episode."""
        self._left[ids] = 0.0
        self._until[ids] = rng.uniform(0.0, self.config.interval_s[1], len(ids))

    def step(self, rng: np.random.Generator) -> np.ndarray:
        """Forces of the coming control period, (N, 3) in the world frame [N]."""
        self._until -= self.period_s
        due = np.flatnonzero(self._until <= 0.0)
        if due.size:
            angle = rng.uniform(-np.pi, np.pi, due.size)
            self._direction[due, 0], self._direction[due, 1] = np.cos(angle), np.sin(angle)
            self._left[due] = rng.uniform(*self.config.duration_s, due.size)
            self._until[due] = rng.uniform(*self.config.interval_s, due.size)
        share = np.minimum(self._left, self.period_s) / self.period_s
        self._left = np.maximum(self._left - self.period_s, 0.0)
        return self._direction * (self.force_n * share[:, None])

    def state(self) -> dict[str, np.ndarray]:
        """What must be kept to go on exactly."""
        return {
            "push_until": self._until.copy(),
            "push_left": self._left.copy(),
            "push_direction": self._direction.copy(),
        }

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Goes on from what ``state`` gave."""
        self._until[:] = arrays["push_until"]
        self._left[:] = arrays["push_left"]
        self._direction[:] = arrays["push_direction"]
