"""Reader of the AI4Animation dog: 27 key points a frame as text, 60 Hz, metres, y up.

Format (Zhang et al. 2018, "Mode-Adaptive Neural Networks for Quadruped Motion Control"):
one frame a line, 81 numbers separated by commas, x y z of each point in turn. The file has
neither names nor a frame rate; both are known from the data set's description.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap.formats import units
from legged_skills.mocap.formats.reading import known_world
from legged_skills.mocap.formats.text import shown, split_lines
from legged_skills.mocap.source import ReadOptions, SourceMotion, check_fps
from legged_skills.robots.errors import ClipError

FORMAT = "dog key points"
FPS = 60.0
"""Frames a second of the data set [1/s]."""
NUM_POINTS = 27

_NAMED = {
    0: "pelvis",
    3: "neck",
    6: "left_shoulder",
    10: "left_fore_paw",
    11: "right_shoulder",
    15: "right_fore_paw",
    16: "left_hip",
    19: "left_hind_paw",
    20: "right_hip",
    23: "right_hind_paw",
}
MARKER_NAMES = tuple(_NAMED.get(i, f"point_{i}") for i in range(NUM_POINTS))
"""The points whose place on the dog is documented have names; the others have numbers."""

_MAX_ABS_M = 1000.0
"""A point farther from the origin than this is not in metres [m]."""


def sniff(head: str) -> bool:
    """Whether a text begins like this format: only numbers and commas, many to a line.

    Args:
        head: the first lines of the file.

    Returns:
        True if the first line that is not blank has more than 40 numbers and commas only.
    """
    line = next((line for line in head.splitlines() if line.strip()), "")
    cells = line.split(",")
    return len(cells) > NUM_POINTS and set(line) <= set("0123456789+-.eEnaifNI, \t\r")


def read(path: Path, text: str, options: ReadOptions) -> SourceMotion:
    """Reads the key points, turned into a world with z up.

    The data's z becomes x, its x becomes y, its y becomes z: a right-handed frame stays
    right-handed, and a dog that faces the data's +z faces +x.

    Args:
        path: where the text is from, for messages.
        text: the whole file.
        options: what the user says about rate, unit and axis, where they are not the data set's.

    Returns:
        The motion.

    Raises:
        ClipError: a value is missing, not a number or not finite; the message names the line.
    """
    fps = check_fps(FPS if options.fps is None else options.fps, str(path))
    lines = split_lines(text.rstrip())
    if not text.strip():
        raise ClipError(f"{path}: the file is empty, expected {3 * NUM_POINTS} numbers a line.")
    if len(lines) < 2:
        raise ClipError(f"{path}: has a single frame, a motion needs at least 2.")
    values = _parse(path, lines)
    points = values.reshape(len(lines), NUM_POINTS, 3)
    world = known_world(points, MARKER_NAMES, options, path, "y")
    return SourceMotion(
        marker_names=MARKER_NAMES,
        positions_w=units.to_world(points, world.up_axis, world.unit_m),
        fps=fps,
        skeleton="dog_keypoints",
        source={
            "file": path.name,
            "format": FORMAT,
            "unit": world.unit_text,
            "up_axis": world.up_text,
        },
    )


def _parse(path: Path, lines: list[str]) -> NDArray[np.floating]:
    """The numbers of all lines, (T, 81)."""
    columns = 3 * NUM_POINTS
    for number, line in enumerate(lines, start=1):
        if (found := line.count(",") + 1) != columns:
            raise ClipError(
                f"{path}: line {number} has {found} numbers, expected {columns} "
                f"({NUM_POINTS} points of x, y, z)."
            )
    try:
        values = np.array(",".join(lines).split(","), dtype=np.float64).reshape(-1, columns)
    except ValueError:
        raise ClipError(_first_bad_cell(path, lines)) from None
    bad = ~(np.abs(values) <= _MAX_ABS_M)  # also true for NaN
    if np.any(bad):
        row, column = np.argwhere(bad)[0]
        raise ClipError(
            f"{path}: line {row + 1}, column {column + 1} is {values[row, column]:g}, "
            f"expected a finite position in metres within {_MAX_ABS_M:g} m."
        )
    return values


def _first_bad_cell(path: Path, lines: list[str]) -> str:
    """Says which cell is not a number."""
    for number, line in enumerate(lines, start=1):
        for column, cell in enumerate(line.split(","), start=1):
            try:
                float(cell)
            except ValueError:
                where = f"{path}: line {number}, column {column}"
                return f"{where} is {shown(cell)}, expected a number."
    return f"{path}: holds something that is not a number."
