"""A curved arrow that lies flat in the world, drawn on a finished picture."""

import numpy as np
from PIL import Image, ImageDraw

from legged_skills.robots.camera import Camera, project
from legged_skills.robots.overlay import Colour

_SMOOTHING = 4
"""Drawn this many times too large and then shrunk, for smooth edges."""


def draw_ribbon(
    frame: np.ndarray, camera: Camera, path_w: np.ndarray, colour: Colour, width_m: float
) -> np.ndarray:
    """Draws a horizontal arrow along a path, on top of everything in the picture.

    Args:
        frame: (H, W, 3) uint8; it is not changed.
        camera: the camera that took the picture.
        path_w: (P, 3) the arrow's middle line from tail to tip, world frame [m]; P is at least 2.
        colour: its colour.
        width_m: width of its shaft [m].

    Returns:
        (H, W, 3) uint8, a new picture. Nothing is drawn of an arrow that is partly behind the
        camera, has a NaN or no length.
    """
    height, width = frame.shape[:2]
    pixels = project(_outline_w(path_w, width_m), camera, width, height)
    if not np.isfinite(pixels).all():
        return frame.copy()
    mask = Image.new("L", (width * _SMOOTHING, height * _SMOOTHING))
    corners = [(float(x), float(y)) for x, y in pixels * _SMOOTHING]
    ImageDraw.Draw(mask).polygon(corners, fill=255)
    opacity = np.asarray(mask.resize((width, height), Image.Resampling.BOX)) / 255.0
    drawn = frame + opacity[..., None] * (np.array(colour) - frame.astype(np.float64))
    return np.rint(drawn).astype(np.uint8)


def _outline_w(path_w: np.ndarray, width_m: float) -> np.ndarray:
    """(Q, 3) corners of the arrow [m]; the head of a short one is smaller."""
    steps_w = np.diff(path_w, axis=0)
    travelled = np.concatenate([[0.0], np.cumsum(np.linalg.norm(steps_w, axis=1))])
    length = travelled[-1]
    if not length > 0.0:
        return np.full((1, 3), np.nan)
    head = min(3.0 * width_m, 0.6 * length)
    neck = length - head
    tangent_w = np.gradient(path_w, travelled, axis=0)
    side_w = np.cross([0.0, 0.0, 1.0], tangent_w)
    side_w /= np.linalg.norm(side_w, axis=1, keepdims=True)

    def at(distance: float, rows_w: np.ndarray) -> np.ndarray:
        return np.array([np.interp(distance, travelled, column) for column in rows_w.T])

    before = travelled < neck
    middle_w = np.vstack([path_w[before], at(neck, path_w)])
    sides_w = 0.5 * width_m * np.vstack([side_w[before], at(neck, side_w)])
    barb_w = (2.8 * head / (3.0 * width_m)) * sides_w[-1:]
    neck_w = middle_w[-1:]
    left_w, right_w = middle_w + sides_w, middle_w - sides_w
    return np.vstack([left_w, neck_w + barb_w, path_w[-1:], neck_w - barb_w, right_w[::-1]])
