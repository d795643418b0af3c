"""Reader of key points from anywhere, as a table with a header line.

Format: text with commas, semicolons or tabs. The header names the columns: "<name>_x",
"<name>_y" and "<name>_z" of each point, with "_", ".", ":", "/", "-" or a space before the axis,
in capitals or not; and, if they are there, "time" [s] or "frame". An empty cell, or NaN, is a
missing value. Other columns are left out. ``units.infer_world`` finds unit and vertical axis.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap.formats import hierarchy
from legged_skills.mocap.formats.reading import (
    Timing,
    listed,
    motion_of_points,
    stated_rate,
    timing,
)
from legged_skills.mocap.formats.text import MAX_ABS, shown, split_lines
from legged_skills.mocap.source import ReadOptions, SourceMotion
from legged_skills.robots.errors import ClipError

Array = NDArray[np.floating]

FORMAT = "key points"

_SEPARATORS = ",;\t"
_COORDINATE = re.compile(r"(?P<name>.*\S)\s*[_.:/\- ]\s*(?P<axis>[xyz])", re.IGNORECASE)
_TIMES = ("time", "time_s", "time [s]", "time (s)", "t", "timestamp", "seconds")
_FRAMES = ("frame", "frames", "frame_index", "frame number", "#frame", "index")
_MISSING = ("", "nan", "na", "null", "none")
_MIN_SNIFFED = 3
_MAX_TITLE = 200
# Rows whose cells are held as text at a time.
_CHUNK = 2000
# Times may count from 1970.
_MAX_TIME = 1e11


class _Columns(NamedTuple):
    """What the columns of a table are."""

    names: tuple[str, ...]
    """The points, in the order of the file, (M,)."""
    points: NDArray[np.integer]
    """The columns of x, y and z, (M, 3)."""
    time: int | None
    """The column with times."""
    frame: int | None
    """The column with the numbers of frames."""
    ignored: tuple[str, ...]
    """Titles of the other columns."""


def sniff(head: str) -> bool:
    """Whether a text begins like a table of key points.

    Args:
        head: the first characters of the file.

    Returns:
        True if the first line that is not blank has several cells, and one of x, y and z each.
    """
    line = next((line for line in split_lines(head) if line.strip()), "")
    matches = [_coordinate(title) for title in _cells(line, _separator(line))]
    axes = {match["axis"].lower() for match in matches if match}
    return len(matches) >= _MIN_SNIFFED and axes == set("xyz")


def read(path: Path, text: str, options: ReadOptions) -> SourceMotion:
    """Reads a table of key points.

    Args:
        path: where the text is from, for messages.
        text: the whole file.
        options: what the user says about rate, unit and axis. Without a column with times, the
            rate must be given.

    Returns:
        The motion; ``source["note"]`` says what was filled or left out.

    Raises:
        ClipError: the header or a cell is wrong, a gap too long, or the rate unknown; the message
            names line and column, or marker and frame.
    """
    lines = split_lines(text)
    rows = [i for i, line in enumerate(lines) if line.strip()]
    if not rows:
        raise ClipError(f"{path}: the file is empty, expected a header with columns such as hip_x.")
    separator = _separator(lines[rows[0]])
    titles = _cells(lines[rows[0]], separator)
    columns = _columns(path, titles)
    hierarchy.check_size(len(rows) - 1, len(columns.names), str(path))
    values = _parse(path, lines, rows[1:], separator, titles)
    _check_range(path, values, rows, titles, columns)
    rate = _timing(path, values, columns, options)
    note = f"columns left out: {listed(columns.ignored)}" if columns.ignored else ""
    return motion_of_points(
        path, FORMAT, values[:, columns.points], columns.names, rate, options, note=note
    )


def _separator(line: str) -> str:
    """What stands most often between the cells of a line."""
    return max(_SEPARATORS, key=line.count)


def _cells(line: str, separator: str) -> list[str]:
    """The cells of a line, without blanks and quotes around them."""
    return [cell.strip().strip("\"'").strip() for cell in line.split(separator)]


def _coordinate(title: str) -> re.Match[str] | None:
    """Name and axis out of a title such as hip_x."""
    return _COORDINATE.fullmatch(title) if len(title) <= _MAX_TITLE else None


def _columns(path: Path, titles: list[str]) -> _Columns:
    """Finds out what the columns are."""
    points: dict[str, dict[str, int]] = {}
    special: dict[str, int] = {}
    ignored = []
    for column, title in enumerate(titles):
        match = _coordinate(title)
        if match:
            axes = points.setdefault(match["name"], {})
            if axes.setdefault(match["axis"].lower(), column) != column:
                raise ClipError(f"{path}: the header has two columns {shown(title)}.")
        elif title.lower() in _TIMES:
            special.setdefault("time", column)
        elif title.lower() in _FRAMES:
            special.setdefault("frame", column)
        elif title:
            ignored.append(title)
    for name, axes in points.items():
        if absent := [axis for axis in "xyz" if axis not in axes]:
            raise ClipError(
                f"{path}: the header has no column for {absent[0]} of marker {shown(name)}."
            )
    if not points:
        raise ClipError(f"{path}: the header has no columns such as hip_x, hip_y, hip_z.")
    return _Columns(
        names=tuple(points),
        points=np.array([[axes[axis] for axis in "xyz"] for axes in points.values()]),
        time=special.get("time"),
        frame=special.get("frame"),
        ignored=tuple(ignored),
    )


def _parse(
    path: Path, lines: list[str], rows: list[int], separator: str, titles: list[str]
) -> Array:
    """The numbers of some lines, NaN where missing, (T, columns)."""
    columns = len(titles)
    out = np.empty((len(rows), columns))
    for first in range(0, len(rows), _CHUNK):
        chunk = rows[first : first + _CHUNK]
        cells = [lines[row].split(separator) for row in chunk]
        for row, found in zip(chunk, cells, strict=True):
            if len(found) != columns:
                raise ClipError(
                    f"{path}: line {row + 1} has {len(found)} cells, "
                    f"expected {columns} as in the header."
                )
        part = out[first : first + len(chunk)]
        try:
            part[:] = [list(map(float, found)) for found in cells]
        except ValueError:
            for row, found, numbers in zip(chunk, cells, part, strict=True):
                numbers[:] = [
                    _number(path, row, title, cell)
                    for title, cell in zip(titles, found, strict=True)
                ]
    return out


def _number(path: Path, row: int, title: str, cell: str) -> float:
    """The number in a cell; NaN if it is missing, or in a column that is not read."""
    word = cell.strip().strip("\"'").strip()
    if word.lower() in _MISSING:
        return np.nan
    try:
        return float(word)
    except ValueError:
        if not (title.lower() in (*_TIMES, *_FRAMES) or _coordinate(title)):
            return np.nan
        raise ClipError(
            f"{path}: line {row + 1}, column {shown(title)} is {shown(cell)}, "
            "expected a number, or nothing where it is missing."
        ) from None


def _check_range(
    path: Path, values: Array, rows: list[int], titles: list[str], columns: _Columns
) -> None:
    """Finds the first value that is too large, or a time or frame that is missing."""
    limits = np.full(len(titles), np.inf)
    limits[columns.points] = MAX_ABS
    bad = np.abs(values) > limits
    for column in (columns.time, columns.frame):
        if column is not None:
            limits[column] = _MAX_TIME
            bad[:, column] = ~(np.abs(values[:, column]) <= _MAX_TIME)
    if np.any(bad):
        row, column = np.argwhere(bad)[0]
        raise ClipError(
            f"{path}: line {rows[row + 1] + 1}, column {shown(titles[column])} is "
            f"{values[row, column]:g}, expected a number within ±{limits[column]:g}."
        )


def _timing(path: Path, values: Array, columns: _Columns, options: ReadOptions) -> Timing:
    """The rate as given, or from the column with times."""
    if columns.frame is not None:
        _check_frames(path, values[:, columns.frame])
    if options.fps is not None or columns.time is None:
        return Timing(stated_rate(path, options, None), None)
    return timing(values[:, columns.time], f"{path}: column time, in seconds")


def _check_frames(path: Path, numbers: Array) -> None:
    """Makes sure that no frame is left out."""
    steps = np.diff(numbers)
    good = (steps == steps[0]) & (steps > 0)
    if not np.all(good):
        frame = int(np.argmin(good)) + 1
        raise ClipError(
            f"{path}: column frame goes from {numbers[frame - 1]:g} to {numbers[frame]:g}, "
            "expected equal steps upwards; where values are missing, leave their cells empty."
        )
