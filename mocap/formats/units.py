"""Length of a file's unit and its vertical axis: given, stated by the file, or inferred.

Most motion capture formats say neither. A body's height tells its unit, since the units in use
differ by factors that people do not; the floor tells the vertical axis, since no other direction
has an end that the body always reaches and never passes.

Letters in the shape comments: ``T`` frames, ``M`` markers.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap.source import ReadOptions
from legged_skills.robots import rotations
from legged_skills.robots.errors import ClipError

Array = NDArray[np.floating]
UpAxis = Literal["y", "z"]

CMU_UNIT_M = 0.0254 / 0.45
"""Length of the unit of the CMU database's skeletons [m]."""
STANDARD_UNITS_M = (1.0, 0.1, 0.01, 0.001, 0.0254, 0.3048, CMU_UNIT_M)
"""Metre, decimetre, centimetre, millimetre, inch, foot, and the unit of CMU [m]."""
PERSON_HEIGHT_M = 1.7
"""What a skeleton of a person is expected to measure from toes to crown [m]."""
PERSON_RANGE_M = (1.2, 2.2)
"""Heights at which a standard unit is believed for a person: crouched, or with arms up [m]."""
ANIMAL_HEIGHT_M = 0.6
"""What a skeleton of a four-legged animal is expected to measure: a large dog [m]."""
ANIMAL_RANGE_M = (0.25, 1.9)
"""Heights at which a standard unit is believed for an animal: from cat to horse [m]."""

_UNIT_RANGE_M = (1e-6, 1e3)
_MAX_SAMPLES = 300
_AXIS_INDEX = {"y": 1, "z": 2}
# The turn (x, y, z) -> (z, x, y): 120 degrees about the diagonal.
_Y_UP_TO_WORLD_WXYZ = np.array([0.5, 0.5, 0.5, 0.5])
# Words begin at capitals, but those of an abbreviation, and after anything but a letter.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_ANIMAL_WORD = re.compile(r"tail|.*paw|hind(?!foot).*|hock|hoof|fetlock|stifle")
# People have these; their hindfoot is a heel.
_NO_TAIL = re.compile(r"(pony|pig|coat)[ _-]*tails?", re.IGNORECASE)
# The other axis must look this many times more like the vertical to be believed.
_CLEARLY = 2.0
# An unevenness of the floor below this share of the body says nothing about an axis.
_UNEVENNESS = 0.05


@dataclass(frozen=True, kw_only=True)
class World:
    """How a file's coordinates become metres in a world with z up."""

    unit_m: float
    """Length of the file's unit [m]."""
    up_axis: UpAxis
    """The file's axis that points up."""
    unit_text: str
    """The unit and where it is known from, for ``SourceMotion.source["unit"]``."""
    up_text: str
    """The axis and where it is known from, for ``SourceMotion.source["up_axis"]``."""
    height_m: float
    """Typical height of all points together with this unit and axis [m]."""


def infer_world(
    positions: Array,
    names: Sequence[str],
    options: ReadOptions,
    path: Path,
    *,
    default_up: UpAxis = "y",
    unit_m: float | None = None,
) -> World:
    """Settles a file's unit and vertical axis: as given, else as stated, else as inferred.

    Args:
        positions: points in the file's own unit and axes, (T, M, 3); NaN where unknown.
        names: what the points are called, (M,); they tell a person from an animal.
        options: what the user says; it wins over everything.
        path: the file, for messages.
        default_up: the axis to believe unless the other one fits clearly better.
        unit_m: what the file itself says about its unit [m].

    Returns:
        Unit and axis, with sentences that say where they come from.

    Raises:
        ClipError: the given or stated unit is not a plausible length.
    """
    low, high = _ends(positions)
    if options.up_axis is not None:
        up_axis, up_text = options.up_axis, options.up_axis
    else:
        up_axis = infer_up_axis(low, high, default_up)
        up_text = f"{up_axis} (inferred)"
    height = _typical_height(low, high, up_axis)
    if options.unit_m is not None:
        unit = _checked_unit(options.unit_m, path, "the given unit")
        reason = f"as given{_height_text(unit * height)}"
    elif unit_m is not None:
        unit = _checked_unit(unit_m, path, "the unit in the file")
        reason = f"from the file{_height_text(unit * height)}"
    else:
        unit, reason = _unit_of(height, is_animal(names))
    return World(
        unit_m=unit,
        up_axis=up_axis,
        unit_text=f"{unit:.3g} m ({reason})",
        up_text=up_text,
        height_m=unit * height,
    )


def to_world(positions: Array, up_axis: UpAxis, unit_m: float) -> Array:
    """Points in metres with z up, by a rotation: right-handed stays right-handed.

    Args:
        positions: points in the file's unit and axes, (..., 3).
        up_axis: the file's axis that points up. From y up, (x, y, z) becomes (z, x, y).
        unit_m: length of the file's unit [m].

    Returns:
        New array of points in the world [m], (..., 3).
    """
    positions = np.asarray(positions, dtype=np.float64)
    turned = positions[..., [2, 0, 1]] if up_axis == "y" else positions
    return np.ascontiguousarray(turned * unit_m)


def rotate_to_world(quats: Array, up_axis: UpAxis) -> Array:
    """Orientations seen from the world with z up; the bodies' own frames stay the file's.

    Args:
        quats: unit quaternions wxyz that turn body vectors into the file's axes, (..., 4).
        up_axis: the file's axis that points up.

    Returns:
        Unit quaternions wxyz that turn body vectors into the world, (..., 4).
    """
    if up_axis == "y":
        return rotations.multiply(_Y_UP_TO_WORLD_WXYZ, quats)
    return np.array(quats, dtype=np.float64)


def infer_up_axis(low: Array, high: Array, default_up: UpAxis = "y") -> UpAxis:
    """The axis along which the body is tall and its lowest point stays on one level.

    Each axis scores its extent divided by how much the lowest point varies. The axis that is
    not the default must score twice as much.

    Args:
        low: smallest coordinates of all points in each frame, (T, 3).
        high: largest coordinates of all points in each frame, (T, 3).
        default_up: the axis to believe in doubt.

    Returns:
        "y" or "z".
    """
    other: UpAxis = "z" if default_up == "y" else "y"
    if not len(low):
        return default_up
    extents = np.percentile(high - low, 90, axis=0)
    if not extents.max() > 0:
        return default_up
    spread = np.subtract(*np.percentile(low, [90, 10], axis=0))
    scores = extents / (spread + _UNEVENNESS * extents.max())
    if scores[_AXIS_INDEX[other]] > _CLEARLY * scores[_AXIS_INDEX[default_up]]:
        return other
    return default_up


def is_animal(names: Sequence[str]) -> bool:
    """Whether the names are of a four-legged body: a tail, paws, hocks, hind legs.

    Args:
        names: names of points, in any style: "LeftPaw", "hind_paw_l", "Tail1".

    Returns:
        True if one word of one name is of an animal.
    """
    words = (word.lower() for name in names for word in _WORD.findall(_NO_TAIL.sub("", name)))
    return any(_ANIMAL_WORD.fullmatch(word) for word in words)


def _ends(positions: Array) -> tuple[Array, Array]:
    """Smallest and largest coordinates of a sample of frames, two of (S, 3); NaN is left out."""
    positions = np.asarray(positions)
    count = min(len(positions), _MAX_SAMPLES)
    frames = np.linspace(0, len(positions) - 1, count).round().astype(int)
    sample = positions[frames].astype(np.float64)
    known = np.isfinite(sample)
    low = np.where(known, sample, np.inf).min(axis=1, initial=np.inf)
    high = np.where(known, sample, -np.inf).max(axis=1, initial=-np.inf)
    whole = np.all(np.isfinite(low), axis=1)
    return low[whole], high[whole]


def _typical_height(low: Array, high: Array, up_axis: UpAxis) -> float:
    """The 90th percentile of the extent along the vertical, in the file's unit; 0 if unknown."""
    if not len(low):
        return 0.0
    return float(np.percentile((high - low)[:, _AXIS_INDEX[up_axis]], 90))


def _unit_of(height: float, animal: bool) -> tuple[float, str]:
    """The unit [m] in which a body of ``height`` units has a plausible size, and why."""
    aim, (least, most) = PERSON_HEIGHT_M, PERSON_RANGE_M
    body = "a person"
    if animal:
        aim, (least, most), body = ANIMAL_HEIGHT_M, ANIMAL_RANGE_M, "an animal"
    smallest = aim / _UNIT_RANGE_M[1]
    if not height > smallest:
        return 1.0, "assumed; the points have no height to tell it from"
    unit = min(STANDARD_UNITS_M, key=lambda unit: abs(math.log(unit * height / aim)))
    if least <= unit * height <= most:
        return unit, f"inferred: skeleton {unit * height:.2f} m high"
    return aim / height, f"no standard unit fits; assumed {body} {aim:g} m high"


def _height_text(height_m: float) -> str:
    """The height that follows from a unit nobody inferred, so that a wrong one shows."""
    return f": skeleton {height_m:.3g} m high" if height_m > 0 else ""


def _checked_unit(unit_m: float, path: Path, what: str) -> float:
    """A unit that somebody states [m], within reason."""
    value = float(unit_m)
    if not _UNIT_RANGE_M[0] <= value <= _UNIT_RANGE_M[1]:  # also false for NaN
        raise ClipError(
            f"{path}: {what} is {value:g} m long, "
            f"expected {_UNIT_RANGE_M[0]:g} to {_UNIT_RANGE_M[1]:g} m."
        )
    return value
