"""Reader of key points from anywhere, as arrays with names.

Format: an ``.npz`` with ``positions`` (T, M, 3), NaN where missing, and ``names`` (M,); if they are
there, ``fps`` [1/s], ``unit`` (a name such as "mm", or its length [m]) and ``up_axis`` ("y" or
"z"), none of them pickled. Other names of the fields are in ``POSITION_FIELDS``, ``NAME_FIELDS``
and ``RATE_FIELDS``. Where nothing is said, ``units.infer_world`` finds unit and vertical axis.
"""

from collections.abc import Mapping, Set
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap.formats import hierarchy, units
from legged_skills.mocap.formats.reading import Timing, motion_of_points, stated_rate, unit_by_name
from legged_skills.mocap.formats.text import MAX_ABS, shown
from legged_skills.mocap.source import ReadOptions, SourceMotion
from legged_skills.robots import npz
from legged_skills.robots.errors import ClipError

FORMAT = "key point arrays"
POSITION_FIELDS = ("positions", "joints", "points", "keypoints")
NAME_FIELDS = ("names", "marker_names", "joint_names", "point_names", "keypoint_names")
RATE_FIELDS = ("fps", "framerate", "frame_rate", "rate")
UNIT_FIELDS = ("unit", "units")
UP_FIELDS = ("up_axis", "up")
FIELDS = (*POSITION_FIELDS, *NAME_FIELDS, *RATE_FIELDS, *UNIT_FIELDS, *UP_FIELDS)
"""All fields that are read; others may be anything."""

Arrays = Mapping[str, NDArray]


def sniff(names: Set[str]) -> bool:
    """Whether an archive with fields of these names is of this format."""
    return not names.isdisjoint(POSITION_FIELDS)


def read(path: Path, options: ReadOptions) -> SourceMotion:
    """Reads an archive of key points.

    Args:
        path: the archive.
        options: what the user says about rate, unit and axis; it wins over the file.

    Returns:
        The motion; ``source["note"]`` says what was filled or left out.

    Raises:
        FileFormatError: the archive is damaged, or a field holds pickled objects.
        ClipError: a field is missing or wrong, a gap too long, or the rate unknown.
    """
    arrays = npz.read_npz(path, needed=FIELDS)
    field = _field(arrays, POSITION_FIELDS)
    if field is None:
        raise ClipError(f"{path}: has no field {' or '.join(POSITION_FIELDS)}.")
    positions = arrays[field]
    if positions.dtype.kind not in "fiu" or positions.ndim != 3 or positions.shape[2] != 3:
        raise ClipError(
            f"{path}: field {field} has type {positions.dtype} and shape {positions.shape}, "
            "expected numbers of shape (frames, points, 3)."
        )
    hierarchy.check_size(len(positions), positions.shape[1], str(path))
    names = _names(path, arrays, positions.shape[1])
    positions = positions.astype(np.float64)
    bad = np.abs(positions) > MAX_ABS
    if np.any(bad):
        frame, point = np.argwhere(bad)[0, :2]
        raise ClipError(
            f"{path}: field {field}: frame {frame}, marker {shown(names[point])} is not within "
            f"±{MAX_ABS:g}."
        )
    rate = Timing(stated_rate(path, options, _number(path, arrays, RATE_FIELDS)), None)
    unit = _unit(path, arrays) if options.unit_m is None else None
    options = replace(options, up_axis=options.up_axis or _up_axis(path, arrays))
    return motion_of_points(path, FORMAT, positions, names, rate, options, unit_m=unit)


def _field(arrays: Arrays, names: tuple[str, ...]) -> str | None:
    """The first of some names that is a field."""
    return next((name for name in names if name in arrays), None)


def _single(path: Path, arrays: Arrays, fields: tuple[str, ...]) -> float | str | None:
    """A number or text, None if there is no such field."""
    field = _field(arrays, fields)
    if field is None:
        return None
    value = arrays[field]
    if value.size != 1 or value.dtype.kind not in "fiuUS":
        raise ClipError(
            f"{path}: field {field} has type {value.dtype} and shape {value.shape}, "
            "expected a single value."
        )
    single = value.reshape(-1)[0]
    return float(single) if value.dtype.kind in "fiu" else _text(single)


def _number(path: Path, arrays: Arrays, fields: tuple[str, ...]) -> float | None:
    """A number, None if there is no such field."""
    value = _single(path, arrays, fields)
    if isinstance(value, str):
        where = f"{path}: field {_field(arrays, fields)}"
        raise ClipError(f"{where} is {shown(value)}, expected a number.")
    return value


def _names(path: Path, arrays: Arrays, points: int) -> tuple[str, ...]:
    """The names of the points."""
    field = _field(arrays, NAME_FIELDS)
    if field is None:
        raise ClipError(f"{path}: has no names of its {points} points, expected a field 'names'.")
    value = arrays[field]
    if value.dtype.kind not in "US" or value.shape != (points,):
        raise ClipError(
            f"{path}: field {field} has type {value.dtype} and shape {value.shape}, "
            f"expected {points} texts, one a point."
        )
    names = tuple(_text(name) for name in value)
    if len(set(names)) != len(names):
        seen: set[str] = set()
        twice = next(name for name in names if name in seen or seen.add(name))
        raise ClipError(f"{path}: field {field} has {shown(twice)} more than once.")
    return names


def _unit(path: Path, arrays: Arrays) -> float | None:
    """The unit that the archive states [m]."""
    value = _single(path, arrays, UNIT_FIELDS)
    return unit_by_name(value, f"{path}: field unit") if isinstance(value, str) else value


def _up_axis(path: Path, arrays: Arrays) -> units.UpAxis | None:
    """The axis that the archive says points up."""
    value = _single(path, arrays, UP_FIELDS)
    if value is None:
        return None
    text = str(value).strip().lower()
    if text not in ("y", "z"):
        raise ClipError(f"{path}: field up_axis is {shown(str(value))}, expected y or z.")
    return "y" if text == "y" else "z"


def _text(value: str | bytes) -> str:
    """A text of NumPy, of either kind."""
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
