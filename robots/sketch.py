"""Quick pictures: shaded faces over a checkered floor, sorted by depth and filled.

About 8 ms for a robot in 400 x 320 pixels on one core, where casting rays takes 60 to 100 ms, and
the same on every machine. Light, floor and colours are those of the other renderers. Faces hide
each other as wholes, the nearer the farther, so that large ones are split; edges of things that
stick in each other are not exact.

Letters in the shape comments: N faces, K points or sticks.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from legged_skills.robots import lighting
from legged_skills.robots.camera import Camera, project

Array = NDArray[np.floating]

_FINE = 2
"""Pictures are drawn this many times too large and then shrunk, for smooth edges."""
_SIDES = 12
"""Sides of the robot's round things; balls have half as many bands."""
_FACE_SHARE = 0.1
"""Faces are split until none is longer than this share of the robot's size."""
_DECAL_M = 2e-3
"""What is painted on the floor is drawn this much over it [m]."""


@dataclass(frozen=True, kw_only=True)
class Faces:
    """Flat faces with four corners."""

    corners_w: Array
    """Corners, counter-clockwise as seen from outside [m], (N, 4, 3); a triangle repeats one."""
    rgb: Array
    """Colours, 0 to 1, (N, 3)."""

    def __add__(self, other: "Faces") -> "Faces":
        return Faces(
            corners_w=np.concatenate([self.corners_w, other.corners_w]),
            rgb=np.concatenate([self.rgb, other.rgb]),
        )


class RobotFaces:
    """The faces of a model's geoms: boxes, cylinders, capsules, balls and ellipsoids.

    As elsewhere, those of groups 0 to 2 are drawn. Translucent ones are opaque here.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        """Splits the geoms into faces.

        Args:
            model: later changes to it have no effect on shapes and colours.
        """
        looks = lighting.looks_of(model)
        shown = (lighting.SHOWN_GROUPS[model.geom_group] > 0) & ~looks.is_floor
        geoms = np.flatnonzero(shown & (looks.rgba[:, 3] > 0.0))
        self._model, self._data = model, mujoco.MjData(model)
        mujoco.mj_kinematics(model, self._data)
        places, reach = self._data.geom_xpos[geoms], model.geom_rbound[geoms, None]
        size_m = float(np.ptp([places - reach, places + reach], axis=(0, 1)).max())
        shapes = [_split(_shape(model, geom), _FACE_SHARE * size_m) for geom in geoms.tolist()]
        self._corners_g = np.concatenate([np.zeros((0, 4, 3)), *shapes])
        self._geoms = np.repeat(geoms, [len(shape) for shape in shapes])
        self._rgb = looks.rgba[self._geoms, :3]

    def at(self, qpos: Array) -> Faces:
        """The faces of one pose.

        Args:
            qpos: positions [m, rad], (nq,).
        """
        self._data.qpos[:] = qpos
        mujoco.mj_kinematics(self._model, self._data)
        turns = self._data.geom_xmat.reshape(-1, 3, 3)[self._geoms]
        corners_w = self._corners_g @ turns.swapaxes(1, 2)
        corners_w += self._data.geom_xpos[self._geoms, None]
        return Faces(corners_w=corners_w, rgb=self._rgb)


def balls(centres_w: Array, radius_m: Array | float, rgb: Array) -> Faces:
    """Small balls.

    Args:
        centres_w: where [m], (K, 3).
        radius_m: how large [m], (K,) or one for all.
        rgb: their colours, 0 to 1, (K, 3).
    """
    ball = _ball(8)
    radius = np.broadcast_to(radius_m, len(centres_w)).reshape(-1, 1, 1, 1)
    corners = centres_w[:, None, None] + radius * ball
    return Faces(corners_w=corners.reshape(-1, 4, 3), rgb=np.repeat(rgb, len(ball), axis=0))


def sticks(starts_w: Array, ends_w: Array, radius_m: float, rgb: Array) -> Faces:
    """Straight rods with six sides and open ends.

    Args:
        starts_w: where they begin [m], (K, 3).
        ends_w: where they end [m], (K, 3); a stick without length is not seen.
        radius_m: how thick [m].
        rgb: their colours, 0 to 1, (K, 3).
    """
    along = ends_w - starts_w
    # Any direction that is not along the stick will do.
    other = np.eye(3)[np.abs(along).argmin(axis=1)]
    side = _unit(np.cross(along, other))
    third = _unit(np.cross(along, side))
    rim = _ring(6, 1.0, 0.0)[:, :2] @ np.stack([side, third], axis=1)  # (K, 6, 3)
    lower, upper = starts_w[:, None] + radius_m * rim, ends_w[:, None] + radius_m * rim
    bands = np.stack([lower, np.roll(lower, -1, axis=1), np.roll(upper, -1, axis=1), upper], axis=2)
    return Faces(corners_w=bands.reshape(-1, 4, 3), rgb=np.repeat(rgb, 6, axis=0))


def discs(centres_w: Array, radius_m: float, rgb: Array) -> Faces:
    """Discs that lie on the floor.

    Args:
        centres_w: where [m], (K, 3); their heights do not matter.
        radius_m: how large [m].
        rgb: their colours, 0 to 1, (K, 3).
    """
    rim = _ring(24, radius_m, 0.0)
    # Each face is a slice with two of the rim's sides.
    middle = np.zeros((12, 3))
    slices = np.stack([middle, rim[0::2], rim[1::2], np.roll(rim[0::2], -1, axis=0)], axis=1)
    flat_w = centres_w * [1.0, 1.0, 0.0] + [0.0, 0.0, _DECAL_M]
    corners = flat_w[:, None, None] + slices
    return Faces(corners_w=corners.reshape(-1, 4, 3), rgb=np.repeat(rgb, len(slices), axis=0))


class Sketcher:
    """Draws faces over the floor of a model. Quickest where the camera only moves sideways."""

    def __init__(self, model: mujoco.MjModel, width: int, height: int) -> None:
        """Takes the look of the floor from a model.

        Args:
            model: a model with a floor plane, which is drawn at height 0.
            width: picture width [pixels].
            height: picture height [pixels].
        """
        self.width, self.height = width, height
        looks = lighting.looks_of(model)
        plane = int(np.flatnonzero(looks.is_floor)[0])
        self._checks = tuple(map(tuple, looks.checks[plane].tolist()))
        self._cell_m = looks.cell_m[plane]
        self._camera: Camera | None = None
        self._floors: tuple[Image.Image, Image.Image] | None = None

    def picture(self, faces: Faces, camera: Camera, decals: Faces | None = None) -> np.ndarray:
        """Draws one picture.

        Args:
            faces: what stands on the floor.
            camera: where from.
            decals: what is painted on the floor, without light and shadow.

        Returns:
            (H, W, 3) uint8, a new array.
        """
        sun_w = lighting.sun_direction_w(camera)
        normals_w = _normals(faces.corners_w)
        middles_w = faces.corners_w.mean(axis=1)
        rays_w = middles_w - camera.eye_w()
        far = np.linalg.norm(rays_w, axis=1)
        rays_w /= np.maximum(far, 1e-9)[:, None]
        lit = normals_w @ sun_w < 0.0
        bright = lighting.brightness(normals_w, rays_w, sun_w, lit)
        rgb = faces.rgb * bright[:, None]
        # From above, the floor hides what is below it.
        shown = (np.einsum("ij,ij->i", normals_w, rays_w) < 0.0) & (middles_w[:, 2] > 0.0)
        seen = np.flatnonzero(shown)
        seen = seen[np.argsort(-far[seen])]

        corners_w = faces.corners_w[lit]
        shadow = Image.new("L", (self.width * _FINE, self.height * _FINE))
        self._fill(shadow, corners_w - corners_w[..., 2:] / sun_w[2] * sun_w, None, camera)
        dark, light = self._floor(camera)
        floor = Image.composite(dark, light, shadow.reduce(_FINE))
        picture = floor.resize(shadow.size, Image.Resampling.NEAREST)
        if decals is not None:
            self._fill(picture, decals.corners_w, decals.rgb, camera)
        self._fill(picture, faces.corners_w[seen], rgb[seen], camera)
        return np.array(picture.reduce(_FINE))

    def _fill(
        self, image: Image.Image, corners_w: Array, rgb: Array | None, camera: Camera
    ) -> None:
        """Fills faces (N, 4, 3) in their order; without colours, with white."""
        pixels = project(corners_w, camera, *image.size).reshape(-1, 8)
        # What is partly behind the camera is NaN, and not drawn.
        whole = np.isfinite(pixels).all(axis=1)
        draw = ImageDraw.Draw(image)
        if rgb is None:
            for polygon in pixels[whole].tolist():
                draw.polygon(polygon, fill=255)
            return
        colours = (255.0 * rgb[whole] + 0.5).clip(0.0, 255.0).astype(int).tolist()
        for polygon, colour in zip(pixels[whole].tolist(), colours, strict=True):
            draw.polygon(polygon, fill=tuple(colour))

    def _floor(self, camera: Camera) -> tuple[Image.Image, Image.Image]:
        """The floor and the sky, all in shadow and all in the sun."""
        if self._floors is None or camera != self._camera:
            x, y, z = camera.lookat
            above = replace(camera, lookat=(0.0, 0.0, z))
            ground = _ground(above, self.width, self.height, self._checks)
            cells = ground.points / self._cell_m + np.array([x, y], np.float32) / self._cell_m
            share = lighting.check_share(cells, ground.covered / self._cell_m)[:, None]
            images = []
            for base, gain in (ground.dark, ground.light):
                rgb = np.concatenate([ground.sky, base + share * gain])
                rgb = rgb.clip(0.0, 255.0).astype(np.uint8)
                images.append(Image.fromarray(rgb.reshape(self.height, self.width, 3)))
            self._camera, self._floors = camera, (images[0], images[1])
        return self._floors


class SketchRenderer:
    """Makes sketches of a model; a ``render.Renderer``."""

    backend = "sketch"

    def __init__(self, model: mujoco.MjModel, width: int, height: int) -> None:
        """Prepares faces and floor; arguments as of ``Sketcher``."""
        self.width, self.height = width, height
        self._faces, self._sketcher = RobotFaces(model), Sketcher(model, width, height)

    def render(self, qpos: Array, camera: Camera) -> np.ndarray:
        """A picture (H, W, 3) uint8 of the model at positions (nq,) [m, rad]."""
        return self._sketcher.picture(self._faces.at(qpos), camera)

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> "SketchRenderer":
        """Returns itself."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Nothing is held."""


class _Ground(NamedTuple):
    """What stays the same of a floor when the camera moves sideways; P pixels show floor."""

    sky: Array
    """Colours of the pixels above the floor, 0 to 255, (H * W - P, 3)."""
    points: Array
    """Where the floor is seen [m], (P, 2)."""
    covered: Array
    """How much floor a pixel covers [m], (P, 2)."""
    dark: tuple[Array, Array]
    """In shadow: the colour of the second check, and what the first has more, 0 to 255, (P, 3)."""
    light: tuple[Array, Array]
    """The same in the sun."""


@lru_cache(maxsize=4)
def _ground(
    camera: Camera, width: int, height: int, checks: tuple[tuple[float, ...], ...]
) -> _Ground:
    """Looks at a floor from a camera; the checks' colours are the first and the second."""
    slope = 2.0 * math.tan(math.radians(camera.fovy) / 2.0) / height
    rays_c = np.ones((height, width, 3))
    rays_c[..., 1] = (np.arange(width) + 0.5 - width / 2.0) * slope
    rays_c[..., 2] = ((height / 2.0 - np.arange(height) - 0.5) * slope)[:, None]
    rays_w = _unit(rays_c @ camera.axes_w())
    # The camera does not roll: a row shows sky, or floor.
    rows = int((rays_w[:, 0, 2] >= 0.0).sum()) if camera.eye_w()[2] > 0.0 else height
    sky = 255.0 * lighting.sky(rays_w[:rows].reshape(-1, 3)[:, 2])
    rays_w = rays_w[rows:].reshape(-1, 3).astype(np.float32)
    distance = (camera.eye_w()[2] / -rays_w[:, 2:]).astype(np.float32)
    points = camera.eye_w()[:2].astype(np.float32) + distance * rays_w[:, :2]
    # A pixel covers more of the floor along the view than across it.
    stretch = 1.0 / np.maximum(-rays_w[:, 2:], 1e-3) - 1.0
    covered = distance * np.float32(slope) * (1.0 + stretch * np.abs(rays_w[:, :2]))
    clear = 255.0 * np.exp(-np.square(distance / lighting.HAZE_M))
    normals_w = np.broadcast_to(np.array([0.0, 0.0, 1.0], np.float32), rays_w.shape)
    first, second = np.array(checks, np.float32)
    looks = []
    for sunny in (False, True):
        lit = np.full(len(rays_w), sunny)
        sun_w = lighting.sun_direction_w(camera)
        bright = clear * lighting.brightness(normals_w, rays_w, sun_w, lit)[:, None]
        haze = (255.0 - clear) * lighting.HORIZON_RGB
        base, gain = haze + bright * second, bright * (first - second)
        looks.append((base.astype(np.float32), gain.astype(np.float32)))
    return _Ground(sky, points, covered, looks[0], looks[1])


def _shape(model: mujoco.MjModel, geom: int) -> Array:
    """The faces of a geom in its own frame [m], (N, 4, 3)."""
    kind, size = int(model.geom_type[geom]), model.geom_size[geom]
    kinds = mujoco.mjtGeom
    if kind == kinds.mjGEOM_BOX:
        return _box() * size
    if kind == kinds.mjGEOM_CYLINDER:
        return _cylinder(_SIDES) * size[[0, 0, 1]]
    if kind == kinds.mjGEOM_SPHERE:
        return _ball(_SIDES) * size[0]
    if kind == kinds.mjGEOM_ELLIPSOID:
        return _ball(_SIDES) * size
    if kind == kinds.mjGEOM_CAPSULE:
        ball = _ball(_SIDES) * size[0]
        half = np.copysign(size[1], ball[..., 2].mean(axis=1))
        ball[..., 2] += half[:, None]
        return np.concatenate([ball, _cylinder(_SIDES)[:_SIDES] * size[[0, 0, 1]]])
    return np.zeros((0, 4, 3))


def _box() -> Array:
    """A cube from -1 to 1, (6, 4, 3)."""
    top = np.array([[-1.0, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]])
    # Mirrored through the middle, it is seen from the other side.
    return np.array([np.roll(s * top[::s], axis, axis=1) for axis in range(3) for s in (1, -1)])


def _ring(sides: int, radius: float, height: float) -> Array:
    """Points on a horizontal circle, counter-clockwise from above, (sides, 3)."""
    angle = np.linspace(0.0, 2.0 * np.pi, sides, endpoint=False)
    out = np.full((sides, 3), float(height))
    out[:, 0], out[:, 1] = radius * np.cos(angle), radius * np.sin(angle)
    return out


def _band(lower: Array, upper: Array) -> Array:
    """Faces between two rings, (sides, 4, 3)."""
    return np.stack([lower, np.roll(lower, -1, axis=0), np.roll(upper, -1, axis=0), upper], axis=1)


def _cylinder(sides: int) -> Array:
    """A cylinder of radius 1 from -1 to 1, its ends after its sides, (3 * sides, 4, 3)."""
    rings = [_ring(sides, radius, z) for radius, z in ((0, -1), (1, -1), (1, 1), (0, 1))]
    return np.concatenate([_band(rings[i], rings[i + 1]) for i in (1, 0, 2)])


def _ball(sides: int) -> Array:
    """A ball of radius 1, (sides * sides / 2, 4, 3)."""
    angles = np.linspace(-np.pi / 2.0, np.pi / 2.0, sides // 2 + 1)
    rings = [_ring(sides, math.cos(angle), math.sin(angle)) for angle in angles]
    return np.concatenate([_band(rings[i], rings[i + 1]) for i in range(len(rings) - 1)])


def _split(corners: Array, most_m: float) -> Array:
    """Faces split along their two directions until no edge is longer than ``most_m``."""
    parts = [np.zeros((0, 4, 3))]
    for a, b, c, d in corners:
        long = [max(np.linalg.norm(b - a), np.linalg.norm(c - d))]
        long += [max(np.linalg.norm(d - a), np.linalg.norm(c - b))]
        nu, nv = (max(1, math.ceil(length / most_m)) for length in long)
        u = np.linspace(0.0, 1.0, nu + 1)[:, None, None]
        v = np.linspace(0.0, 1.0, nv + 1)[:, None]
        grid = (1 - v) * ((1 - u) * a + u * b) + v * ((1 - u) * d + u * c)  # (nu + 1, nv + 1, 3)
        cells = [grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]]
        parts.append(np.stack(cells, axis=2).reshape(-1, 4, 3))
    return np.concatenate(parts)


def _normals(corners_w: Array) -> Array:
    """Unit normals to the outside, from the diagonals, (N, 3)."""
    return _unit(np.cross(corners_w[:, 2] - corners_w[:, 0], corners_w[:, 3] - corners_w[:, 1]))


def _unit(vectors: Array) -> Array:
    """Vectors of length 1, or 0 where there is none, (..., 3)."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(length, 1e-12)
