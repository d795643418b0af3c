"""How far parts of a robot are from each other, frame by frame.

Parts are capsules and spheres of the model, so that distances have a closed form.

Letters in the shape comments: T frames, N pairs.
"""

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from legged_skills.robots import rotations
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.kinematics import BodyPoints, Kinematics, Poses
from legged_skills.robots.spec import RobotSpec

Array = NDArray[np.floating]

_CAPSULE = int(mujoco.mjtGeom.mjGEOM_CAPSULE)
_SPHERE = int(mujoco.mjtGeom.mjGEOM_SPHERE)


@dataclass(frozen=True, kw_only=True)
class SelfCollision:
    """The pairs of a robot's parts that must stay apart."""

    pairs: tuple[tuple[str, str], ...]
    """Names of the geoms, (N,)."""
    ends: BodyPoints
    """Ends of the capsules' axes: first geom's start, its end, second's start, its end; pair by
    pair, (4 N,)."""
    radii_m: Array
    """Sum of the two radii of each pair [m], (N,)."""

    @staticmethod
    def of(model: mujoco.MjModel, spec: RobotSpec) -> "SelfCollision":
        """Looks up the pairs of ``RobotSpec.self_collision`` in the model.

        Raises:
            SettingsError: a geom is missing, or neither a capsule nor a sphere.
        """
        bodies, offsets, radii = [], [], []
        for pair in spec.self_collision:
            radius = 0.0
            for name in pair:
                geom = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, name)
                kind = int(model.geom_type[geom]) if geom >= 0 else -1
                if kind not in (_CAPSULE, _SPHERE):
                    raise SettingsError(
                        f"{spec.name}: self_collision names {name!r}, which is no capsule or "
                        "sphere of the model."
                    )
                size = model.geom_size[geom]
                half = size[1] if kind == _CAPSULE else 0.0
                axis = rotations.rotate(model.geom_quat[geom], np.array([0.0, 0.0, half]))
                offsets += [model.geom_pos[geom] - axis, model.geom_pos[geom] + axis]
                bodies += [model.geom_bodyid[geom]] * 2
                radius += size[0]
            radii.append(radius)
        return SelfCollision(
            pairs=spec.self_collision,
            ends=BodyPoints(np.array(bodies, dtype=int), np.array(offsets).reshape(-1, 3)),
            radii_m=np.array(radii),
        )

    def distances(self, kinematics: Kinematics, poses: Poses) -> Array:
        """Distances between the surfaces of each pair, negative where they overlap [m], (T, N)."""
        ends = kinematics.points(poses, self.ends)
        ends = ends.reshape(len(ends), -1, 4, 3)
        between = segment_distance(
            ends[..., 0, :], ends[..., 1, :], ends[..., 2, :], ends[..., 3, :]
        )
        return between - self.radii_m

    def nearest(self, kinematics: Kinematics, poses: Poses) -> Array:
        """The least of ``distances`` [m], (T,); infinite without pairs."""
        return self.distances(kinematics, poses).min(axis=1, initial=np.inf)


def segment_distance(p0: Array, p1: Array, q0: Array, q1: Array) -> Array:
    """Shortest distance between line segments (Ericson 2005, "Real-Time Collision Detection").

    Args:
        p0: start of the first segment [m], (..., 3).
        p1: its end [m], (..., 3).
        q0: start of the second segment [m], (..., 3).
        q1: its end [m], (..., 3).

    Returns:
        Distances [m], (...).
    """
    along_p, along_q, between = p1 - p0, q1 - q0, p0 - q0
    tiny = 1e-12
    a = np.maximum(np.sum(along_p * along_p, axis=-1), tiny)
    e = np.maximum(np.sum(along_q * along_q, axis=-1), tiny)
    b = np.sum(along_p * along_q, axis=-1)
    c = np.sum(along_p * between, axis=-1)
    f = np.sum(along_q * between, axis=-1)
    determinant = a * e - b * b
    # Parallel segments: any point of the first will do for a start.
    s = np.where(
        determinant > 1e-9 * a * e, (b * f - c * e) / np.maximum(determinant, tiny * tiny), 0.0
    )
    s = np.clip(s, 0.0, 1.0)
    t = np.clip((b * s + f) / e, 0.0, 1.0)
    s = np.clip((b * t - c) / a, 0.0, 1.0)
    nearest = between + s[..., None] * along_p - t[..., None] * along_q
    return np.linalg.norm(nearest, axis=-1)
