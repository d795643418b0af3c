"""Drawings on finished pictures: text in a corner, arrows at places in the world."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from legged_skills.robots.camera import Camera, project

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""
Line = str | tuple[str, Colour]
"""A line of text, white or in a colour."""
Corner = Literal["top left", "top right", "bottom left", "bottom right"]

_WHITE: Colour = (255, 255, 255)
_BOX = (18, 22, 28, 150)
"""What the text stands on: red, green, blue, opacity, 0 to 255."""
_SMOOTHING = 4
"""Arrows are drawn this many times too large and then shrunk, for smooth edges."""


def annotate(
    frame: np.ndarray, lines: Sequence[Line], corner: Corner = "top left", size: int | None = None
) -> np.ndarray:
    """Writes a few lines of text on a dark box in a corner of a picture.

    Args:
        frame: (H, W, 3) uint8; it is not changed.
        lines: each a text, or a pair of a text and its colour.
        corner: where the box goes.
        size: height of the letters [pixels]; by default 1/20 of the picture, at least 11.

    Returns:
        (H, W, 3) uint8, a new picture.
    """
    _check_frame(frame)
    if not lines:
        return frame.copy()
    height, width = frame.shape[:2]
    size = size or max(11, round(height / 20))
    font = _font(size)
    pairs = [(line, _WHITE) if isinstance(line, str) else line for line in lines]
    margin, line_height = round(0.5 * size), round(1.3 * size)
    box_width = round(max(font.getlength(text) for text, _ in pairs)) + 2 * margin
    box_height = line_height * len(pairs) + margin
    left = margin if "left" in corner else width - margin - box_width
    top = margin if "top" in corner else height - margin - box_height

    image = Image.fromarray(frame)
    draw = ImageDraw.Draw(image, "RGBA")
    box = (left, top, left + box_width, top + box_height)
    draw.rounded_rectangle(box, radius=round(0.4 * size), fill=_BOX)
    for index, (text, colour) in enumerate(pairs):
        middle = top + 0.5 * margin + (index + 0.5) * line_height
        draw.text((left + margin, middle), text, font=font, fill=colour, anchor="lm")
    return np.array(image)


def draw_arrow(
    frame: np.ndarray,
    camera: Camera,
    start_w: np.ndarray,
    end_w: np.ndarray,
    colour: Colour,
    *,
    shaft_m: float = 0.025,
) -> np.ndarray:
    """Draws an arrow that stands in the world, on top of everything in the picture.

    Args:
        frame: (H, W, 3) uint8; it is not changed.
        camera: the camera that took the picture.
        start_w: (3,) the arrow's tail, world frame [m].
        end_w: (3,) the arrow's tip, world frame [m].
        colour: its colour.
        shaft_m: width of its shaft [m].

    Returns:
        (H, W, 3) uint8, a new picture. An arrow of no length is a dot. Nothing is drawn of an
        arrow that is partly behind the camera or has a NaN.
    """
    _check_frame(frame)
    height, width = frame.shape[:2]
    ends_w = np.array([start_w, end_w], dtype=np.float64)
    outline_w = _arrow_outline_w(ends_w[0], ends_w[1], camera, shaft_m)
    pixels = project(outline_w, camera, width, height)
    if not np.isfinite([*pixels, *project(ends_w, camera, width, height)]).all():
        return frame.copy()
    lower = np.clip(np.floor(pixels.min(axis=0)).astype(int) - 1, 0, [width, height])
    upper = np.clip(np.ceil(pixels.max(axis=0)).astype(int) + 1, 0, [width, height])
    columns, rows = upper - lower
    if columns <= 0 or rows <= 0:
        return frame.copy()
    mask = Image.new("L", (int(columns) * _SMOOTHING, int(rows) * _SMOOTHING))
    outline = [(float(x), float(y)) for x, y in (pixels - lower) * _SMOOTHING]
    ImageDraw.Draw(mask).polygon(outline, fill=255)
    opacity = np.asarray(mask.resize((int(columns), int(rows)), Image.Resampling.BOX)) / 255.0
    drawn = frame.copy()
    patch = drawn[lower[1] : upper[1], lower[0] : upper[0]]
    patch[:] = np.rint(patch + opacity[..., None] * (np.array(colour) - patch.astype(np.float64)))
    return drawn


def _arrow_outline_w(
    start_w: np.ndarray, end_w: np.ndarray, camera: Camera, shaft_m: float
) -> np.ndarray:
    """(P, 3) corners of a flat arrow that turns its broad side to the camera [m]."""
    _, right, up = camera.axes_w()
    along = end_w - start_w
    length = float(np.linalg.norm(along))
    side = np.cross(along, start_w - camera.eye_w())
    breadth = float(np.linalg.norm(side))
    head = 3.0 * shaft_m
    if length < 0.2 * head or breadth < 1e-9:
        angles = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)[:, None]
        return start_w + 0.8 * shaft_m * (np.cos(angles) * right + np.sin(angles) * up)
    along, side = along / length, side / breadth
    # The head of a short arrow shrinks, so that its length still tells the speed.
    head = min(head, 0.6 * length)
    corners = [(0.0, 0.5), (length - head, 0.5), (length - head, 1.4), (length, 0.0)]
    corners += [(at, -offset) for at, offset in reversed(corners[:3])]
    return np.array([start_w + at * along + offset * shaft_m * side for at, offset in corners])


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, so that pictures look the same everywhere."""
    return ImageFont.load_default(size)


def _check_frame(frame: np.ndarray) -> None:
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise ValueError(f"frame is {frame.dtype} {frame.shape}, expected uint8 (H, W, 3)")
