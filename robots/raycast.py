"""Pictures without OpenGL: rays cast by MuJoCo, shaded with NumPy, on one core."""

import copy
import math
from dataclasses import dataclass
from functools import lru_cache

import mujoco
import numpy as np

from legged_skills.robots import lighting
from legged_skills.robots.camera import Camera

_SUN_DISTANCE_M = 200.0
"""MuJoCo casts many rays only from one point, so the sun is a point this far off [m]."""
_SHADOW_BIAS_M = 2e-3
"""Something this much closer to the sun than a surface shades it [m]."""
_CREASE_COSINE = 0.8
"""Neighbouring pixels whose surface normals differ by more than this show an edge."""
_EDGE_OFFSETS = np.array([[-0.125, -0.375], [0.375, -0.125], [0.125, 0.375], [-0.375, 0.125]])
"""(4, 2) where in a pixel on an edge rays are cast [pixels]."""


@dataclass(frozen=True)
class _View:
    """What N rays from the camera see; drawn into, from the sky to the nearest things."""

    rays_w: np.ndarray
    """(N, 3) unit."""
    rgb: np.ndarray
    """(N, 3) float32 colour, 0 to 1."""
    distance: np.ndarray
    """(N,) to the nearest thing, infinite for the sky [m]."""
    key: np.ndarray
    """(N,) int64 differs between things, and between light and shadow; 0 for the sky."""
    normal_w: np.ndarray
    """(N, 3) float32 surface normal; zero for the sky."""


class RaycastRenderer:
    """Renders a model in software.

    Lambert shading with highlights, hard shadows, smooth edges, one layer of translucent geoms.
    Textures other than the floor's checks are not drawn.
    """

    backend = "raycast"

    def __init__(self, model: mujoco.MjModel, width: int, height: int) -> None:
        """Prepares for a model.

        Args:
            model: it is copied; later changes have no effect.
            width: picture width [pixels].
            height: picture height [pixels].
        """
        self.width, self.height = width, height
        self._looks = lighting.looks_of(model)
        self._data = mujoco.MjData(model)
        alpha = self._looks.rgba[:, 3]
        shown = lighting.SHOWN_GROUPS[model.geom_group] > 0
        solid = shown & ~self._looks.is_floor & (alpha >= 1.0)
        veil = shown & ~self._looks.is_floor & (alpha > 0.0) & (alpha < 1.0)
        self._planes = np.flatnonzero(shown & self._looks.is_floor & (alpha > 0.0))
        self._solids, self._veils = _with_visible(model, solid), _with_visible(model, veil)
        self._solid_geoms, self._veil_geoms = np.flatnonzero(solid), np.flatnonzero(veil)
        roots = model.body_rootid[model.geom_bodyid]
        self._shades = [np.flatnonzero(solid & (roots == root)) for root in np.unique(roots[solid])]

    def render(self, qpos: np.ndarray, camera: Camera) -> np.ndarray:
        """Renders one picture.

        Args:
            qpos: (nq,) positions [m, rad].
            camera: where from.

        Returns:
            (H, W, 3) uint8, a new array.

        Raises:
            ValueError: there are more or fewer positions, or they are not finite.
        """
        if np.shape(qpos) != self._data.qpos.shape or not np.isfinite(qpos).all():
            raise ValueError(f"expected {len(self._data.qpos)} finite positions, got {qpos}")
        self._data.qpos[:] = qpos
        mujoco.mj_kinematics(self._solids, self._data)
        size = (self.height, self.width)
        rays_c = _pixel_rays(self.width, self.height, camera.fovy)
        near = [self._near_pixels(ids, camera) for ids in (self._solid_geoms, self._veil_geoms)]
        view = self._look(rays_c, near, camera)
        edges = np.flatnonzero(_edges(view.key.reshape(size), view.normal_w.reshape(*size, 3)))
        if edges.size:
            # Smooth the edges: several rays for each pixel on one.
            slopes = rays_c[edges, None, 1:] / rays_c[edges, None, :1]
            fine_c = np.ones((edges.size, len(_EDGE_OFFSETS), 3))
            fine_c[..., 1:] = slopes + _EDGE_OFFSETS * self._pixel_slope(camera)
            fine_c = _unit(fine_c.reshape(-1, 3))
            near = [mask[edges].repeat(len(_EDGE_OFFSETS)) for mask in near]
            fine = self._look(fine_c, near, camera)
            view.rgb[edges] = fine.rgb.reshape(edges.size, -1, 3).mean(axis=1)
        return (view.rgb.reshape(*size, 3) * 255.0 + 0.5).clip(0.0, 255.0).astype(np.uint8)

    def close(self) -> None:
        """Does nothing: there is nothing to free."""

    def __enter__(self) -> "RaycastRenderer":
        """Returns itself."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Closes."""
        self.close()

    def _look(self, rays_c: np.ndarray, near: list[np.ndarray], camera: Camera) -> _View:
        """What the camera sees.

        Args:
            rays_c: (N, 3) unit rays to the camera's front, right and up.
            near: two of (N,) bool: rays that may meet opaque geoms, and translucent geoms.
            camera: the camera.
        """
        count = len(rays_c)
        rays_w = _turned(rays_c, camera.axes_w())
        view = _View(
            rays_w=rays_w,
            rgb=lighting.sky(rays_w[:, 2]),
            distance=np.full(count, np.inf),
            key=np.zeros(count, dtype=np.int64),
            normal_w=np.zeros((count, 3), dtype=np.float32),
        )
        for plane in self._planes:
            self._draw_plane(int(plane), view, camera)
        self._draw_solids(np.flatnonzero(near[0]), view, camera)
        self._draw_veils(np.flatnonzero(near[1]), view, camera)
        return view

    def _draw_plane(self, plane: int, view: _View, camera: Camera) -> None:
        """Draws the checks, shadows and haze of the plane with that geom id."""
        axes_w = self._data.geom_xmat[plane].reshape(3, 3)
        eye_p = (camera.eye_w() - self._data.geom_xpos[plane]) @ axes_w
        slope = _along(view.rays_w, axes_w[:, 2])
        distance = np.full(len(slope), np.inf)
        # Like MuJoCo's, planes have only an upper side.
        np.divide(-eye_p[2], slope, out=distance, where=(slope < 0.0) & (eye_p[2] > 0.0))
        seen = np.flatnonzero(distance < view.distance)
        # There are many of these pixels; single precision is quicker, and enough to shade them.
        rays_w, distance = view.rays_w[seen].astype(np.float32), distance[seen].astype(np.float32)
        rays_p = _turned(rays_w, axes_w.astype(np.float32))
        points_p = eye_p[:2].astype(np.float32) + distance[:, None] * rays_p[:, :2]
        reach = self._solids.geom_size[plane, :2]
        inside = ((np.abs(points_p) <= reach) | (reach <= 0.0)).all(axis=1)
        if not inside.all():
            seen, distance, points_p = seen[inside], distance[inside], points_p[inside]
            rays_w, rays_p = rays_w[inside], rays_p[inside]

        normal_w = axes_w[:, 2].astype(np.float32)
        normals_w = np.broadcast_to(normal_w, rays_w.shape)
        points_w = camera.eye_w().astype(np.float32) + distance[:, None] * rays_w
        lit = self._lit(points_w, normals_w, camera)
        # A pixel covers more of the floor along the view than across it.
        stretch = 1.0 / np.maximum(-rays_p[:, 2:], 1e-3) - 1.0
        covered = distance[:, None] * self._pixel_slope(camera)
        covered = covered * (1.0 + stretch * np.abs(rays_p[:, :2]))
        cell_m = self._looks.cell_m[plane]
        share = lighting.check_share(points_p / cell_m, covered / cell_m)[:, None]
        first, second = self._looks.checks[plane]
        sun_w = lighting.sun_direction_w(camera)
        bright = lighting.brightness(normals_w, rays_w, sun_w, lit)[:, None]
        clear = np.exp(-np.square(distance / lighting.HAZE_M))[:, None]
        near_rgb = (second + share * (first - second)) * bright
        view.rgb[seen] = lighting.HORIZON_RGB + clear * (near_rgb - lighting.HORIZON_RGB)
        view.distance[seen] = distance
        view.key[seen] = 4 * (plane + 1) + lit
        view.normal_w[seen] = normal_w

    def _draw_solids(self, near: np.ndarray, view: _View, camera: Camera) -> None:
        """Draws opaque geoms; only rays with ids ``near`` (M,) may meet any."""
        rays_w = view.rays_w[near]
        geom, distance, normal_w = _cast(self._solids, self._data, camera.eye_w(), rays_w)
        hit = np.flatnonzero((geom >= 0) & (distance < view.distance[near]))
        geom, distance, normal_w = geom[hit], distance[hit], normal_w[hit]
        rays_w = rays_w[hit]
        lit = self._lit(camera.eye_w() + distance[:, None] * rays_w, normal_w, camera)
        seen = near[hit]
        view.rgb[seen] = self._shade(geom, normal_w, rays_w, lit, camera)
        view.distance[seen] = distance
        view.key[seen] = 4 * (geom.astype(np.int64) + 1) + lit
        view.normal_w[seen] = normal_w

    def _draw_veils(self, near: np.ndarray, view: _View, camera: Camera) -> None:
        """Draws the nearest translucent geoms over what is there, without shadows."""
        rays_w = view.rays_w[near]
        geom, distance, normal_w = _cast(self._veils, self._data, camera.eye_w(), rays_w)
        hit = np.flatnonzero((geom >= 0) & (distance < view.distance[near]))
        geom, normal_w, seen = geom[hit], normal_w[hit], near[hit]
        lit = np.ones(len(hit), dtype=bool)
        shaded = self._shade(geom, normal_w, rays_w[hit], lit, camera)
        # One sees through the front and the back of a thing, as with OpenGL.
        cover = 1.0 - np.square(1.0 - self._looks.rgba[geom, 3:])
        view.rgb[seen] += cover * (shaded - view.rgb[seen])
        view.key[seen] += 4 * (geom.astype(np.int64) + 1) * (self._veils.ngeom + 1)
        view.normal_w[seen] = normal_w

    def _shade(
        self,
        geom: np.ndarray,
        normals_w: np.ndarray,
        rays_w: np.ndarray,
        lit: np.ndarray,
        camera: Camera,
    ) -> np.ndarray:
        """(N, 3) colours of geoms (N,) with normals (N, 3), seen along rays (N, 3)."""
        sun_w = lighting.sun_direction_w(camera)
        facing = (-np.einsum("ij,ij->i", normals_w, _unit(rays_w + sun_w))).clip(0.0, 1.0)
        highlight = facing ** self._looks.shininess[geom] * self._looks.specular[geom] * lit
        bright = lighting.brightness(normals_w, rays_w, sun_w, lit)
        albedo = self._looks.rgba[geom, :3]
        return albedo * bright[:, None] + lighting.SUN_HIGHLIGHT * highlight[:, None]

    def _lit(self, points_w: np.ndarray, normals_w: np.ndarray, camera: Camera) -> np.ndarray:
        """(N,) bool: whether the sun shines on points (N, 3) with normals (N, 3)."""
        direction_w = lighting.sun_direction_w(camera)
        lit = _along(normals_w, direction_w) < 0.0
        candidates = np.flatnonzero(lit & self._may_be_shaded(points_w, direction_w))
        sun_w = np.asarray(camera.lookat) - _SUN_DISTANCE_M * direction_w
        rays_w = points_w[candidates] - sun_w
        length = np.linalg.norm(rays_w, axis=1)
        _, distance, _ = _cast(self._solids, self._data, sun_w, rays_w / length[:, None])
        lit[candidates] = (distance < 0.0) | (distance > length - _SHADOW_BIAS_M)
        return lit

    def _may_be_shaded(self, points_w: np.ndarray, direction_w: np.ndarray) -> np.ndarray:
        """(N,) bool: whether sunrays to points (N, 3) pass the sphere around some robot."""
        near = np.zeros(len(points_w), dtype=bool)
        for geoms in self._shades:
            centres_w = self._data.geom_xpos[geoms]
            centre_w = centres_w.mean(axis=0)
            reach = np.linalg.norm(centres_w - centre_w, axis=1) + self._solids.geom_rbound[geoms]
            offset = points_w - centre_w.astype(points_w.dtype)
            across = np.einsum("ij,ij->i", offset, offset) - _along(offset, direction_w) ** 2
            near |= across < reach.max() ** 2
        return near

    def _near_pixels(self, geoms: np.ndarray, camera: Camera) -> np.ndarray:
        """(H * W,) bool: pixels within a box around one of the geoms with ids (M,)."""
        near = np.zeros((self.height, self.width), dtype=bool)
        places_c = (self._data.geom_xpos[geoms] - camera.eye_w()) @ camera.axes_w().T
        radius = self._solids.geom_rbound[geoms]
        ends = []
        for across, pixels in ((places_c[:, 1], self.width), (-places_c[:, 2], self.height)):
            # Seen along the other axis, a ball spans these angles; around the eye, all of them.
            angle = np.arctan2(across, places_c[:, 0])
            ratio = radius / np.maximum(np.hypot(across, places_c[:, 0]), 1e-9)
            span = np.where(ratio < 1.0, np.arcsin(np.minimum(ratio, 1.0)), np.pi)
            limits = np.stack([angle - span, angle + span]).clip(-1.55, 1.55)
            limits = np.tan(limits) / self._pixel_slope(camera) + 0.5 * pixels
            ends.append(np.stack([np.floor(limits[0]), np.ceil(limits[1])]).clip(0, pixels))
        for left, right, top, bottom in np.concatenate(ends).astype(int).T:
            near[top:bottom, left:right] = True
        return near.reshape(-1)

    def _pixel_slope(self, camera: Camera) -> float:
        """Width of a pixel at a distance of 1."""
        return 2.0 * math.tan(math.radians(camera.fovy) / 2.0) / self.height


def _cast(
    model: mujoco.MjModel, data: mujoco.MjData, point_w: np.ndarray, rays_w: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Casts unit rays (N, 3) from one point (3,).

    Returns:
        (N,) the geoms they meet or -1, (N,) the distances [m] or -1, and (N, 3) the surface
        normals in the world frame.
    """
    count = len(rays_w)
    geom, distance = np.full(count, -1, dtype=np.int32), np.full(count, -1.0)
    normal_w = np.zeros((count, 3))
    if count:
        flat, normals, groups = rays_w.reshape(-1), normal_w.reshape(-1), lighting.SHOWN_GROUPS
        mujoco.mj_multiRay(
            model, data, point_w, flat, groups, True, -1, geom, distance, normals, count, 1e6
        )
    return geom, distance, normal_w


def _with_visible(model: mujoco.MjModel, visible: np.ndarray) -> mujoco.MjModel:
    """A copy of a model in which rays meet only the geoms that ``visible`` (G,) marks."""
    model = copy.copy(model)
    model.geom_matid[:] = -1
    model.geom_rgba[:, 3] = visible
    # The boxes around bodies that let rays skip them hold only geoms that collide.
    model.body_bvhadr[:] = -1
    model.body_bvhnum[:] = 0
    return model


def _edges(key: np.ndarray, normal_w: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels whose neighbour shows another thing, or the other side of a crease."""
    edges = np.zeros(key.shape, dtype=bool)
    for first, second in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1, :], np.s_[1:, :])):
        cosine = np.einsum("ijk,ijk->ij", normal_w[first], normal_w[second])
        differ = (key[first] != key[second]) | ((cosine < _CREASE_COSINE) & (key[first] > 0))
        edges[first] |= differ
        edges[second] |= differ
    return edges


# Without BLAS, whose threads would be in the way of the other pictures that are being made.


def _turned(vectors: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Vectors (N, 3) times (3, 3)."""
    return np.einsum("ij,jk->ik", vectors, axes)


def _along(vectors: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """(N,) how far vectors (N, 3) go along a direction (3,)."""
    return np.einsum("ij,j->i", vectors, direction)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """(N, 3) vectors of length 1."""
    return vectors / np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]


@lru_cache(maxsize=4)
def _pixel_rays(width: int, height: int, fovy: float) -> np.ndarray:
    """(H * W, 3) unit rays through the middles of all pixels: to the front, right and up."""
    step = 2.0 * math.tan(math.radians(fovy) / 2.0) / height
    right = (np.arange(width) + 0.5 - width / 2.0) * step
    up = (height / 2.0 - np.arange(height) - 0.5) * step
    rays = np.ones((height, width, 3))
    rays[..., 1], rays[..., 2] = np.meshgrid(right, up)
    rays = _unit(rays.reshape(-1, 3))
    rays.flags.writeable = False
    return rays
