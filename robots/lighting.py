"""The light, the sky and the looks of things, the same for every way of rendering."""

from dataclasses import dataclass

import mujoco
import numpy as np

from legged_skills.robots.camera import Camera

SHOWN_GROUPS = np.array([1, 1, 1, 0, 0, 0], dtype=np.uint8)
"""Which geom groups are drawn: 0 to 2, as in MuJoCo's viewer."""

AMBIENT = 0.42
"""Light from everywhere; a surface's colour times the sum of all lights is what one sees."""
HEADLIGHT = 0.24
"""Light from the camera."""
SUN = 0.54
"""Light from the sun; only this one casts shadows."""
SUN_HIGHLIGHT = 0.3
"""Brightness of the sun's reflection, times a material's specular."""

HORIZON_RGB = np.array([0.80, 0.86, 0.92], dtype=np.float32)
"""(3,) colour of the sky at the horizon, and of the floor far away."""
ZENITH_RGB = np.array([0.60, 0.72, 0.86], dtype=np.float32)
"""(3,) colour of the sky overhead."""
HAZE_M = 22.0
"""At this distance the floor has faded by 63 % [m]."""

_PLAIN_CELL_M = 0.5
"""Size of the checks on a floor whose model has no texture for it [m]."""
_UNSET_RGBA = np.array([0.5, 0.5, 0.5, 1.0])
"""A geom of exactly this colour shows its material's, as in MuJoCo."""


@dataclass(frozen=True)
class Looks:
    """How each geom of a model looks. G is the number of geoms."""

    rgba: np.ndarray
    """(G, 4) float32 colour and opacity, 0 to 1."""
    specular: np.ndarray
    """(G,) float32 strength of highlights, 0 to 1."""
    shininess: np.ndarray
    """(G,) float32 exponent of highlights."""
    is_floor: np.ndarray
    """(G,) bool: planes, which are drawn with checks."""
    checks: np.ndarray
    """(G, 2, 3) float32 colours of a plane's checks: where its x and y are positive, the other."""
    cell_m: np.ndarray
    """(G, 2) float32 size of a check along a plane's x and y [m]."""


def sun_direction_w(camera: Camera) -> np.ndarray:
    """(3,) float32, unit, the way sunlight goes: over the camera's left shoulder, world frame."""
    _, right_w, _ = camera.axes_w()
    flat_w = np.array([-right_w[1], right_w[0], 0.0])
    direction_w = 0.45 * right_w + 0.25 * flat_w - [0.0, 0.0, 1.0]
    return (direction_w / np.linalg.norm(direction_w)).astype(np.float32)


def brightness(
    normals_w: np.ndarray, rays_w: np.ndarray, sun_w: np.ndarray, lit: np.ndarray
) -> np.ndarray:
    """Light on matt surfaces.

    Args:
        normals_w: (N, 3) their unit normals.
        rays_w: (N, 3) unit rays from the camera along which they are seen.
        sun_w: (3,) the way sunlight goes.
        lit: (N,) bool, whether the sun reaches them.

    Returns:
        (N,) what their colours are multiplied with.
    """
    to_eye = np.abs(np.einsum("ij,ij->i", normals_w, rays_w))
    to_sun = (-normals_w @ sun_w).clip(0.0, 1.0)
    return AMBIENT + HEADLIGHT * to_eye + SUN * to_sun * lit


def sky(rise: np.ndarray) -> np.ndarray:
    """(N, 3) float32 colours of the sky along unit rays with upward components (N,)."""
    rise = rise.astype(np.float32).clip(0.0, 1.0)
    # The course of MuJoCo's "gradient" skybox, within 3 %.
    share = rise * (0.82 + 0.18 * rise * rise)
    return HORIZON_RGB + share[:, None] * (ZENITH_RGB - HORIZON_RGB)


def check_share(position: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """How much of a box around a point has the checkerboard's first colour.

    The average of a product of two square waves over a box is the product of the differences of
    their integrals, which are triangle waves.

    Args:
        position: (N, 2) the boxes' middles, in checks.
        covered: (N, 2) the boxes' sizes, in checks.

    Returns:
        (N,) 0 to 1.
    """
    upper, lower = (position + 0.5 * covered) / 2.0, (position - 0.5 * covered) / 2.0
    waves = np.abs(upper - np.floor(upper) - 0.5) - np.abs(lower - np.floor(lower) - 0.5)
    waves *= 2.0 / covered
    return 0.5 + 0.5 * waves[:, 0] * waves[:, 1]


def looks_of(model: mujoco.MjModel) -> Looks:
    """Reads the looks of all geoms from a model's colours, materials and textures."""
    material = model.geom_matid
    rgba = model.geom_rgba.astype(np.float32)
    specular = np.full(model.ngeom, 0.5, dtype=np.float32)
    shininess = np.full(model.ngeom, 0.5, dtype=np.float32)
    has_material = material >= 0
    unset = has_material & np.isclose(rgba, _UNSET_RGBA).all(axis=1)
    rgba[unset] = model.mat_rgba[material[unset]]
    specular[has_material] = model.mat_specular[material[has_material]]
    shininess[has_material] = model.mat_shininess[material[has_material]]

    checks = rgba[:, None, :3] * np.array([1.05, 0.95], dtype=np.float32)[:, None]
    cell_m = np.full((model.ngeom, 2), _PLAIN_CELL_M, dtype=np.float32)
    is_floor = model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE
    for geom in np.flatnonzero(is_floor & has_material):
        texture = model.mat_texid[material[geom], mujoco.mjtTextureRole.mjTEXROLE_RGB]
        repeat = model.mat_texrepeat[material[geom]]
        if texture >= 0 and (repeat > 0.0).all():
            checks[geom] = rgba[geom, :3] * _texture_checks(model, texture)
            half = model.geom_size[geom, :2]
            per_metre = bool(model.mat_texuniform[material[geom]]) | (half <= 0.0)
            cell_m[geom] = np.where(per_metre, 1.0, half) / repeat
    return Looks(rgba, specular, 128.0 * shininess, is_floor, checks.clip(0.0, 1.0), cell_m)


def _texture_checks(model: mujoco.MjModel, texture: int) -> np.ndarray:
    """(2, 3) a checkered texture's colour where x and y are positive, and its other colour."""
    height, width = int(model.tex_height[texture]), int(model.tex_width[texture])
    channels, start = int(model.tex_nchannel[texture]), int(model.tex_adr[texture])
    texels = model.tex_data[start : start + height * width * channels]
    quarters = texels.reshape(height, width, channels)[height // 4, [3 * width // 4, width // 4]]
    return (quarters[:, :3] if channels >= 3 else quarters[:, :1].repeat(3, axis=1)) / 255.0
