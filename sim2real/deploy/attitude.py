"""From samples in the frame of an IMU to what a policy is told: gravity and angular velocity."""

import numpy as np

from legged_skills.robots.rotations import to_matrix
from legged_skills.sim2real.attitude_filter import (
    STANDARD_GRAVITY,
    AttitudeFilter,
    AttitudeFilterConfig,
)
from legged_skills.sim2real.deploy.config import DeployConfig
from legged_skills.sim2real.deploy.snapshot import (
    IMU_ACCELERATION,
    IMU_GYRO,
    IMU_ORIENTATION,
    IMU_TIME,
    NEVER,
)

_LONGEST_S = 0.1
"""The filter turns its gravity by no more than so much time at once [s]."""
_HANGING, _STRUCK = 0.5, 1.5
"""The filter does not begin with an acceleration that is less or more than so many times
gravity's: an accelerometer that says nothing would have the robot upright."""
_FORGOTTEN_S = 0.5
"""After a silence of so long the robot may lie anyhow: the filter begins anew [s]."""


class Attitude:
    """Direction of gravity and angular velocity of one robot's base.

    Attributes:
        gravity_b: (3,) unit vector in the base frame; NaN before the first sample.
        angular_velocity_b: (3,) [rad/s].
        time_s: receive time of the newest sample [s].
        usable: whether the samples of the last ``update`` were numbers, all of them.
        turned_rad: how much the gyroscope has turned, in all directions together, since the IMU's
            orientation was another; 0 where the orientation is not used [rad].
    """

    def __init__(self, config: DeployConfig) -> None:
        """Knows nothing before the first sample."""
        self._filter: AttitudeFilter | None = None
        if config.attitude == "filter":
            self._filter = AttitudeFilter(
                1,
                AttitudeFilterConfig(
                    time_constant_s=config.filter_time_constant_s,
                    tolerance=config.filter_tolerance,
                ),
            )
        self._to_base = to_matrix(np.asarray(config.imu_mounting_wxyz))
        self.gravity_b = np.full(3, np.nan)
        self.angular_velocity_b = np.full(3, np.nan)
        self.time_s = NEVER
        self.usable = True
        self._raw = np.full(6, np.nan)
        self._changed_s = NEVER
        self.turned_rad = 0.0
        self._orientation, self._orientation_s = np.full(4, np.nan), NEVER

    def update(self, samples: np.ndarray) -> None:
        """Takes in samples.

        Args:
            samples: (n, 11) rows of ``SensorSnapshot.imu``, oldest first; maybe none.
        """
        self.usable = True
        for row in samples:
            if not np.array_equal(row[1:7], self._raw, equal_nan=True):
                self._raw[:] = row[1:7]
                self._changed_s = row[IMU_TIME]
            self.angular_velocity_b[:] = self._turned(row[IMU_GYRO])
            if self._filter is None:
                self._compare_orientation(row)
                self._take_orientation(row[IMU_ORIENTATION])
            else:
                self._filter_sample(self._filter, row)
            self.time_s = float(row[IMU_TIME])
            self.usable = self.usable and self._finite()

    def unchanged_s(self, now_s: float) -> float:
        """For so long samples have arrived that are all exactly the same [s]."""
        return min(now_s, self.time_s) - self._changed_s if self.time_s > NEVER else 0.0

    def orientation_unchanged_s(self, now_s: float) -> float:
        """For so long orientations have arrived that are all the same; 0 if they are not used."""
        if self._orientation_s == NEVER:
            return 0.0
        return min(now_s, self.time_s) - self._orientation_s

    def _compare_orientation(self, row: np.ndarray) -> None:
        """An orientation that stays the same while the robot turns is nobody's estimate."""
        if not np.array_equal(row[IMU_ORIENTATION], self._orientation):
            self._orientation[:] = row[IMU_ORIENTATION]
            self._orientation_s, self.turned_rad = float(row[IMU_TIME]), 0.0
        elif np.isfinite(self.angular_velocity_b).all():
            rate = float(np.linalg.norm(self.angular_velocity_b))
            self.turned_rad += rate * min(max(row[IMU_TIME] - self.time_s, 0.0), _LONGEST_S)

    def _finite(self) -> bool:
        """Whether gravity and angular velocity are numbers."""
        values = (self.gravity_b, self.angular_velocity_b)
        return all(bool(np.isfinite(value).all()) for value in values)

    def _take_orientation(self, wxyz: np.ndarray) -> None:
        """Gravity from an orientation of the IMU in the world; NaN if it is no rotation."""
        length = float(np.sqrt(wxyz @ wxyz))
        if not 0.9 < length < 1.1:
            self.gravity_b[:] = np.nan
            return
        # The last row of the IMU's rotation matrix is the world's z axis in the IMU's frame.
        self.gravity_b[:] = -self._to_base @ to_matrix(wxyz / length)[2]

    def _filter_sample(self, filter_: AttitudeFilter, row: np.ndarray) -> None:
        acceleration = self._turned(row[IMU_ACCELERATION]).astype(np.float32)[None]
        silence_s = float(row[IMU_TIME]) - self.time_s
        if not np.isfinite(row[1:7]).all():
            self.gravity_b[:] = np.nan
        elif silence_s > _FORGOTTEN_S or not np.isfinite(self.gravity_b).all():
            if not _HANGING < float(np.linalg.norm(acceleration)) / STANDARD_GRAVITY < _STRUCK:
                # Nothing says where gravity is.
                self.gravity_b[:] = np.nan
                return
            filter_.reset(acceleration)
            self.gravity_b[:] = filter_.gravity_b[0]
        else:
            period = min(max(silence_s, 0.0), _LONGEST_S)
            rate = self.angular_velocity_b.astype(np.float32)[None]
            self.gravity_b[:] = filter_.update(rate, acceleration, period)[0]

    def _turned(self, vector: np.ndarray) -> np.ndarray:
        """(3,) from the IMU's frame to the base frame; all NaN if it is not finite."""
        return self._to_base @ vector if np.isfinite(vector).all() else np.full(3, np.nan)
