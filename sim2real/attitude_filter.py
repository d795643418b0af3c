"""Which way is down: gyroscope and accelerometer fused, for robots whose IMU does not say.

OP3's firmware takes its orientation from the accelerometer alone, which is wrong whenever the
robot accelerates. The same code runs in simulation and on the robot; it needs NumPy only.
"""

from dataclasses import dataclass

import numpy as np

from legged_skills.robots.errors import require_positive

STANDARD_GRAVITY = 9.80665
"""[m/s^2]"""


@dataclass(frozen=True, kw_only=True)
class AttitudeFilterConfig:
    """Settings of the filter."""

    time_constant_s: float = 1.0
    """How slowly the accelerometer corrects what the gyroscope says [s]."""
    tolerance: float = 0.3
    """Accelerations whose size is farther than this share from gravity's are not believed at all,
    nearer ones in proportion."""

    def __post_init__(self) -> None:
        """Checks what a file can say.

        Raises:
            SettingsError: a number is not more than 0.
        """
        require_positive(self, "time_constant_s", "tolerance")


class AttitudeFilter:
    """Direction of gravity in the base frame, of N robots.

    A complementary filter on the gravity vector alone (Mahony, Hamel and Pflimlin 2008, without
    heading and bias): the vector turns against the gyroscope, and leans towards the direction
    that the accelerometer takes for down, the less the more the robot accelerates.

    Attributes:
        gravity_b: (N, 3) unit vector, float32; (0, 0, -1) upright.
    """

    def __init__(self, num: int, config: AttitudeFilterConfig | None = None) -> None:
        """Starts upright."""
        self.config = config or AttitudeFilterConfig()
        self.gravity_b = np.zeros((num, 3), np.float32)
        self.gravity_b[:, 2] = -1.0

    def reset(self, acceleration_b: np.ndarray, ids: np.ndarray | slice = slice(None)) -> None:
        """Takes the accelerometer's word, as when the robot stands still.

        Args:
            acceleration_b: (n, 3) what the accelerometer shows [m/s^2]; upwards at rest. One that
                shows nothing, as in free fall, says nothing: the vector stays as it was.
            ids: which robots.
        """
        size = np.linalg.norm(acceleration_b, axis=1, keepdims=True)
        down = -acceleration_b / np.maximum(size, 1e-6)
        self.gravity_b[ids] = np.where(size > 1e-6, down, self.gravity_b[ids])

    def update(
        self, angular_velocity_b: np.ndarray, acceleration_b: np.ndarray, period_s: float
    ) -> np.ndarray:
        """Takes in one IMU sample.

        Args:
            angular_velocity_b: (N, 3) gyroscope [rad/s].
            acceleration_b: (N, 3) accelerometer [m/s^2].
            period_s: time since the sample before [s].

        Returns:
            (N, 3) ``gravity_b``, updated in place.
        """
        g, w = self.gravity_b, angular_velocity_b
        turned = np.empty_like(g)
        # A direction fixed in the world turns against the body: dg/dt = -w x g.
        turned[:, 0] = g[:, 0] - period_s * (w[:, 1] * g[:, 2] - w[:, 2] * g[:, 1])
        turned[:, 1] = g[:, 1] - period_s * (w[:, 2] * g[:, 0] - w[:, 0] * g[:, 2])
        turned[:, 2] = g[:, 2] - period_s * (w[:, 0] * g[:, 1] - w[:, 1] * g[:, 0])
        size = np.sqrt(np.square(acceleration_b).sum(axis=1, keepdims=True))
        doubt = np.abs(size / STANDARD_GRAVITY - 1.0) / self.config.tolerance
        # More than the accelerometer alone there is not, however short the time constant.
        weight = np.maximum(0.0, 1.0 - doubt) * min(1.0, period_s / self.config.time_constant_s)
        turned += weight * (-acceleration_b / np.maximum(size, 1e-6) - turned)
        turned /= np.sqrt(np.square(turned).sum(axis=1, keepdims=True))
        g[:] = turned
        return g
