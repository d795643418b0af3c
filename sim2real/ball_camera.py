"""A camera that follows a ball and a target for N robots: late, noisy, and sometimes blind.

It sees all around, as several cameras or a moving head do, and says where things are along the
floor in the robot's heading frame (x forward, y to the left) at the time of the picture. What is
not seen stays where it was seen last in that frame, and its age is told.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.delay_line import DelayLine

MAX_RATE_MPS = 5.0
"""Velocities are told up to this along each axis [m/s]."""


@dataclass(frozen=True, kw_only=True)
class CameraConfig:
    """What the camera is like, beyond what the gap says."""

    period_s: float = 1.0 / 30.0
    """Time between two pictures [s]."""
    range_m: float = 6.0
    """A ball farther away is not found; a target is told no farther away than this [m]."""
    noise_m: float = 0.01
    """Standard deviation of each coordinate next to the robot [m]."""
    noise_share: float = 0.03
    """How much it grows with distance [m/m]."""
    smoothing_s: float = 0.15
    """Time over which the ball's velocity is averaged [s]."""
    max_age_s: float = 2.0
    """Ages are told up to this [s]."""

    def __post_init__(self) -> None:
        """Checks what divides.

        Raises:
            SettingsError: period, range or averaging time is not positive.
        """
        for name in ("period_s", "range_m", "smoothing_s"):
            if not getattr(self, name) > 0.0:
                raise SettingsError(f"{name} is {getattr(self, name)}, expected more than 0.")


class BallCamera:
    """What N cameras say.

    Attributes:
        ball: (N, 2) float32, where the ball was seen last [m].
        velocity: (N, 2) float32, how fast that changed, averaged [m/s]. The robot's own motion is
            in it.
        age: (N,) how old that is [s].
        target: (N, 2) float32, where the target was in the last picture [m].
        arrived: (N,) True where the last step brought a picture.
        found: (N,) True where the ball was on it.
    """

    def __init__(
        self, config: CameraConfig, num_envs: int, step_s: float, max_delay_s: float = 0.0
    ) -> None:
        """Cameras without noise, delay and loss; call ``reset`` before the first step.

        Args:
            config: settings.
            num_envs: N.
            step_s: control period, at which the camera is read [s].
            max_delay_s: the longest delay that ``set_factors`` will ask for [s].
        """
        self.config, self.step_s = config, step_s
        self.ball, self.velocity, self.target = (
            np.zeros((num_envs, 2), np.float32) for _ in range(3)
        )
        self.age = np.zeros(num_envs)
        self.arrived, self.found = (np.zeros(num_envs, dtype=bool) for _ in range(2))
        # Ball, target, and whether there was a picture.
        self._line = DelayLine(num_envs, 5, round(max_delay_s / step_s))
        self._row = np.zeros((num_envs, 5), np.float32)
        self._since = np.zeros(num_envs)
        self._delay = np.zeros(num_envs, dtype=np.int64)
        self._noise = np.zeros((num_envs, 1), np.float32)
        self._drop_rate = np.zeros(num_envs)

    def set_factors(
        self, ids: np.ndarray, delay_s: np.ndarray, noise: np.ndarray, drop_rate: np.ndarray
    ) -> None:
        """Gives some cameras other errors.

        Args:
            ids: (n,) which.
            delay_s: (n,) age of what is told first [s].
            noise: (n,) factor on the noise.
            drop_rate: (n,) share of the pictures in which nothing is found.
        """
        self._delay[ids] = np.minimum(np.rint(delay_s / self.step_s), self._line.max_delay)
        self._noise[ids, 0] = noise
        self._drop_rate[ids] = drop_rate

    def reset(
        self, ids: np.ndarray, ball: np.ndarray, target: np.ndarray, rng: np.random.Generator
    ) -> None:
        """Some robots see, of things at rest, a first picture.

        Args:
            ids: (n,) which robots.
            ball: (n, 2) in the heading frame [m].
            target: (n, 2) in the heading frame [m].
            rng: is advanced.
        """
        row = np.concatenate([ball, target, np.zeros((len(ids), 1))], axis=1).astype(np.float32)
        self._line.fill(ids, row)
        seen = self._noisy(row[:, :4], self._noise[ids], rng)
        self.ball[ids], self.target[ids] = seen[:, :2], self._near(seen[:, 2:])
        self.velocity[ids] = 0.0
        self.age[ids] = self._delay[ids] * self.step_s
        self._since[ids] = rng.uniform(0.0, self.config.period_s, len(ids))

    def step(self, ball: np.ndarray, target: np.ndarray, rng: np.random.Generator) -> None:
        """At the end of a control period: takes pictures that are due, and tells those of before.

        Args:
            ball: (N, 2) in the heading frame now [m].
            target: (N, 2) in the heading frame now [m].
            rng: is advanced.
        """
        n = len(self.age)
        self._since += self.step_s
        due = self._since >= self.config.period_s - 1e-9
        # A period shorter than the control period cannot be kept up with.
        self._since[due] = np.minimum(self._since[due] - self.config.period_s, self.step_s)
        self._row[:, :2], self._row[:, 2:4] = ball, target
        self._row[:, 4] = due & (rng.random(n) >= self._drop_rate)
        self._line.push(self._row)
        self.age += self.step_s
        told = self._line.read(self._delay)
        seen = self._noisy(told[:, :4], self._noise, rng)
        self.arrived = arrived = told[:, 4] > 0.0
        self.target[arrived] = self._near(seen[arrived, 2:])
        self.found = arrived & (np.square(told[:, :2]).sum(axis=1) <= self.config.range_m**2)
        found = np.flatnonzero(self.found)
        age = self._delay[found] * self.step_s
        elapsed = np.maximum(self.age[found] - age, self.step_s)[:, None]
        rate = (seen[found, :2] - self.ball[found]) / elapsed
        np.clip(rate, -MAX_RATE_MPS, MAX_RATE_MPS, out=rate)
        weight = elapsed / (elapsed + self.config.smoothing_s)
        self.velocity[found] += (weight * (rate - self.velocity[found])).astype(np.float32)
        self.ball[found], self.age[found] = seen[found, :2], age

    @property
    def delay_s(self) -> np.ndarray:
        """(N,) age of a picture that arrives [s]."""
        return self._delay * self.step_s

    @property
    def told_age(self) -> np.ndarray:
        """(N,) float32, age of the ball's position as it is told [s]."""
        return np.minimum(self.age, self.config.max_age_s).astype(np.float32)

    def _near(self, points: np.ndarray) -> np.ndarray:
        return within(points, self.config.range_m)

    def _noisy(
        self, points: np.ndarray, factor: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """(n, 4) two points with noise that grows with their distance; factor: (n, 1)."""
        distance = np.sqrt(np.square(points.reshape(-1, 2, 2)).sum(axis=2)).repeat(2, axis=1)
        noise = np.float32(self.config.noise_share) * distance
        noise += np.float32(self.config.noise_m)
        noise *= factor * rng.standard_normal(points.shape, dtype=np.float32)
        return points + noise

    def state(self) -> dict[str, np.ndarray]:
        """What must be kept to go on exactly, with the factors."""
        return {
            "camera_line": np.roll(self._line.values, -1 - self._line.head, axis=0),
            "camera_seen": np.concatenate([self.ball, self.velocity, self.target], axis=1),
            "camera_age": self.age.copy(),
            "camera_since": self._since.copy(),
        }

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Goes on from what ``state`` gave, after ``set_factors``."""
        self._line.values[:] = arrays["camera_line"]
        self._line.head = self._line.max_delay
        seen = arrays["camera_seen"]
        self.ball[:], self.velocity[:], self.target[:] = seen[:, :2], seen[:, 2:4], seen[:, 4:]
        self.age[:], self._since[:] = arrays["camera_age"], arrays["camera_since"]


def within(points: np.ndarray, range_m: float) -> np.ndarray:
    """(n, 2) float32 points, drawn in to a distance of ``range_m`` where they are farther."""
    distance = np.sqrt(np.square(points).sum(axis=1, keepdims=True))
    shrink = np.minimum(1.0, range_m / np.maximum(distance, 1e-6))
    return (points * shrink).astype(np.float32)


def in_heading_frame(quat: np.ndarray, vectors_w: np.ndarray) -> np.ndarray:
    """Horizontal vectors as seen from robots: x along the base's x axis, laid on the floor.

    Args:
        quat: (n, 4) orientations of the bases, wxyz.
        vectors_w: (n, K, 2) in the world.

    Returns:
        (n, K, 2).
    """
    w, x, y, z = quat.T
    forward = np.stack([1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z)], axis=1)
    forward /= np.linalg.norm(forward, axis=1, keepdims=True) + 1e-9
    cosine, sine = forward[:, :1], forward[:, 1:]
    along = cosine * vectors_w[..., 0] + sine * vectors_w[..., 1]
    left = cosine * vectors_w[..., 1] - sine * vectors_w[..., 0]
    return np.stack([along, left], axis=-1)
