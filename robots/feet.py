"""Feet: where they are, how they are turned, and how far above the floor they are.

A foot without a sole is a ball: one point with a radius. A foot with a sole has several
points that meet the floor, and an orientation that matters.

Letters in the shape comments: T frames, F feet, S points a foot, H handles of all feet.
"""

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from legged_skills.robots import rotations
from legged_skills.robots.kinematics import BodyPoints, Kinematics, Poses, site_points
from legged_skills.robots.spec import RobotSpec

Array = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Feet:
    """The feet of a robot."""

    centres: BodyPoints
    """The sites of the feet, (F,)."""
    meeting: BodyPoints
    """The points that meet the floor, foot by foot, (F * S,)."""
    points_f: Array
    """The same points in the frames of the feet's sites [m], (F, S, 3)."""
    radius_m: float
    """How far below such a point the floor is when the foot stands on it [m]."""
    handles: BodyPoints
    """Points that, where they are, say where the foot is: the centre of a ball, three points of
    a sole, foot by foot, (H,)."""
    handles_f: Array
    """The handles in the frames of the feet's sites [m], (F, H / F, 3)."""

    @staticmethod
    def of(model: mujoco.MjModel, spec: RobotSpec) -> "Feet":
        """Looks up a robot's feet in its model."""
        centres = site_points(model, spec.foot_sites)
        sites = [model.site(name).id for name in spec.foot_sites]
        quats = model.site_quat[sites][:, None]
        points_f = spec.foot_points_f
        handles_f = _handles(points_f)

        def attached(offsets_f: Array) -> BodyPoints:
            offsets = centres.offsets_b[:, None] + rotations.rotate(quats, offsets_f)
            bodies = np.repeat(centres.body_ids, offsets_f.shape[1])
            return BodyPoints(bodies, offsets.reshape(-1, 3))

        return Feet(
            centres=centres,
            meeting=attached(points_f),
            points_f=points_f,
            radius_m=spec.foot_radius_m,
            handles=attached(handles_f),
            handles_f=handles_f,
        )

    @property
    def has_soles(self) -> bool:
        """Whether the orientation of the feet matters."""
        return self.points_f.shape[1] > 1

    @property
    def handles_per_foot(self) -> int:
        """H / F."""
        return self.handles_f.shape[1]

    def handle_targets(self, centres_w: Array, quats_wxyz: Array) -> Array:
        """Where the handles are when the feet are somewhere.

        Args:
            centres_w: the feet's sites [m], (T, F, 3).
            quats_wxyz: orientations of the sites, (T, F, 4).

        Returns:
            Positions [m], (T, H, 3).
        """
        turned = rotations.rotate(quats_wxyz[:, :, None], self.handles_f)
        return (centres_w[:, :, None] + turned).reshape(len(centres_w), -1, 3)

    def standing_height(self, quats_wxyz: Array) -> Array:
        """Height of each site over the floor when the foot, so turned, just touches it.

        Args:
            quats_wxyz: orientations of the sites, (T, F, 4).

        Returns:
            Heights [m], (T, F).
        """
        turned = rotations.rotate(quats_wxyz[:, :, None], self.points_f)
        return self.radius_m - turned[..., 2].min(axis=-1)

    def floor_distance(self, kinematics: Kinematics, poses: Poses) -> Array:
        """Height of the lowest point of each foot over a floor at 0 [m], (T, F)."""
        points = kinematics.points(poses, self.meeting)
        heights = points[..., 2].reshape(len(points), len(self.points_f), -1)
        return heights.min(axis=-1) - self.radius_m


def _handles(points_f: Array) -> Array:
    """A ball's centre, or three points spread as wide as the sole, (F, 1 or 3, 3)."""
    if points_f.shape[1] == 1:
        return points_f
    half = 0.5 * np.ptp(points_f, axis=1)
    pattern = np.array([[1.0, 0.0, 0.0], [-0.5, 1.0, 0.0], [-0.5, -1.0, 0.0]])
    return points_f.mean(axis=1)[:, None] + pattern * half[:, None]
