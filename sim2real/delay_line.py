"""Values of the last few physics steps, read back with a delay of each environment's own."""

import numpy as np


class DelayLine:
    """The last K values of N environments, S numbers each; float32.

    Attributes:
        values: (K, N, S) ring buffer.
        head: index of the newest row.
    """

    def __init__(self, num_envs: int, size: int, max_delay: int) -> None:
        """Starts with zeros; call ``fill`` before the first use.

        Args:
            num_envs: N.
            size: S.
            max_delay: greatest delay that can be read [steps].
        """
        self.values = np.zeros((max_delay + 1, num_envs, size), np.float32)
        self.head = 0
        self._rows = np.arange(num_envs)

    @property
    def max_delay(self) -> int:
        """Greatest delay that can be read [steps]."""
        return len(self.values) - 1

    def fill(self, ids: np.ndarray | slice, value: np.ndarray) -> None:
        """Makes it look as if the value (n, S) had been there always."""
        self.values[:, ids] = value

    def push(self, value: np.ndarray) -> None:
        """Appends the value (N, S) of the present step; the oldest one is dropped."""
        self.head = (self.head + 1) % len(self.values)
        self.values[self.head] = value

    def read(self, delay: np.ndarray) -> np.ndarray:
        """(N, S) the values of ``delay`` (N,) steps ago; 0 is what was pushed last."""
        steps, n, size = self.values.shape
        # One index into one long list is three times as fast as a pair of indices.
        return self.values.reshape(-1, size).take((self.head - delay) % steps * n + self._rows, 0)
