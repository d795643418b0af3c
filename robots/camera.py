"""Where a picture is taken from: cameras, and the way from points in space to pixels."""

import math
from dataclasses import dataclass, replace

import numpy as np

from legged_skills.robots.errors import SettingsError

_NEAREST_M = 1e-3
"""Points closer to the camera's plane than this count as behind it [m]."""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A perspective camera that looks at a point, in the angles of MuJoCo's free camera."""

    lookat: tuple[float, float, float] = (0.0, 0.0, 0.4)
    """The point in the picture's middle, world frame [m]."""
    distance: float = 2.2
    """From the lookat point to the eye [m]."""
    azimuth: float = 130.0
    """Heading of the view from above, counter-clockwise; at 0 the camera looks along +x [deg]."""
    elevation: float = -18.0
    """Pitch of the view; negative looks down [deg]."""
    fovy: float = 45.0
    """Vertical field of view [deg]."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            SettingsError: a value is not finite or out of range.
        """
        values = (*self.lookat, self.distance, self.azimuth, self.elevation, self.fovy)
        if len(self.lookat) != 3 or not all(math.isfinite(value) for value in values):
            raise SettingsError(f"camera: expected a 3-D lookat and finite numbers, got {self}.")
        if self.distance <= 0.0:
            raise SettingsError(f"camera: distance is {self.distance} m, expected more than 0.")
        if not 1.0 <= self.fovy <= 170.0:
            raise SettingsError(f"camera: fovy is {self.fovy} deg, expected 1 to 170.")

    def axes_w(self) -> np.ndarray:
        """(3, 3) the rows forward, right and up in the world frame; orthonormal."""
        azimuth, elevation = math.radians(self.azimuth), math.radians(self.elevation)
        flat = np.array([math.cos(azimuth), math.sin(azimuth), 0.0])
        forward = math.cos(elevation) * flat + [0.0, 0.0, math.sin(elevation)]
        right = np.array([math.sin(azimuth), -math.cos(azimuth), 0.0])
        return np.stack([forward, right, np.cross(right, forward)])

    def eye_w(self) -> np.ndarray:
        """(3,) where the camera is, world frame [m]."""
        return np.asarray(self.lookat) - self.distance * self.axes_w()[0]

    def looking_at(self, point_w: np.ndarray) -> "Camera":
        """The same camera moved, without turning, so that it looks at ``point_w`` (3,) [m]."""
        x, y, z = (float(value) for value in point_w)
        return replace(self, lookat=(x, y, z))


def project(points_w: np.ndarray, camera: Camera, width: int, height: int) -> np.ndarray:
    """Where points appear in the picture.

    Args:
        points_w: (..., 3) points in the world frame [m].
        camera: the camera.
        width: picture width [pixels].
        height: picture height [pixels].

    Returns:
        (..., 2) column and row [pixels], from the top left corner of the picture; the pixel
        in row i and column j covers [j, j + 1) x [i, i + 1). NaN for points behind the camera.
        Points outside of the picture keep their coordinates.

    Raises:
        ValueError: points have not three coordinates.
    """
    points_w = np.asarray(points_w, dtype=np.float64)
    if points_w.shape[-1:] != (3,):
        raise ValueError(f"points_w has shape {points_w.shape}, expected (..., 3)")
    depth, x, y = np.moveaxis((points_w - camera.eye_w()) @ camera.axes_w().T, -1, 0)
    depth = np.where(depth > _NEAREST_M, depth, np.nan)
    pixels_per_slope = height / (2.0 * math.tan(math.radians(camera.fovy) / 2.0))
    column = 0.5 * width + pixels_per_slope * x / depth
    row = 0.5 * height - pixels_per_slope * y / depth
    return np.stack([column, row], axis=-1)


class TrackingCamera:
    """A camera that follows a robot smoothly, without turning.

    The lookat point is drawn to the robot by a critically damped spring that also matches the
    robot's velocity: it does not lag behind a steady walk, and the steps do not shake it.
    """

    def __init__(
        self,
        camera: Camera | None = None,
        *,
        time_constant_s: float = 0.3,
        height: float | None = None,
    ) -> None:
        """Sets up the view; the first ``follow`` puts the camera in place.

        Args:
            camera: distance, angles and field of view; its lookat counts only until the robot's
                position is known.
            time_constant_s: how slowly it follows [s].
            height: if given, the lookat point keeps this height [m] instead of following the
                robot's.

        Raises:
            SettingsError: the time constant is not positive.
        """
        if not time_constant_s > 0.0:
            raise SettingsError(
                f"tracking camera: time_constant_s is {time_constant_s}, expected more than 0."
            )
        self._camera = camera or Camera()
        self._rate = 1.0 / time_constant_s
        self._height = height
        self._target_w: np.ndarray | None = None
        self._lookat_w = np.array(self._camera.lookat)
        self._velocity_w = np.zeros(3)

    def follow(self, position_w: np.ndarray, dt_s: float) -> Camera:
        """The view of the next frame.

        Args:
            position_w: (3,) the robot's position [m]; NaN leaves the camera where it is.
            dt_s: time since the last frame [s].

        Returns:
            The camera for this frame.
        """
        target_w = np.array(position_w, dtype=np.float64)
        if self._height is not None:
            target_w[2] = self._height
        if not np.isfinite(target_w).all():
            return self._camera.looking_at(self._lookat_w)
        if self._target_w is None:
            self._target_w = self._lookat_w = target_w
            return self._camera.looking_at(target_w)
        # The spring's motion is solved exactly in the frame that moves with the robot, which is
        # stable for any frame rate.
        robot_velocity_w = (target_w - self._target_w) / dt_s
        offset = self._lookat_w - self._target_w
        offset_velocity = self._velocity_w - robot_velocity_w
        slope = offset_velocity + self._rate * offset
        decay = math.exp(-self._rate * dt_s)
        self._lookat_w = target_w + (offset + slope * dt_s) * decay
        self._velocity_w = robot_velocity_w + (offset_velocity - self._rate * slope * dt_s) * decay
        self._target_w = target_w
        return self._camera.looking_at(self._lookat_w)
