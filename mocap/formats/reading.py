"""What readers of several formats share: fixed worlds, gaps, times, and units by name.

Letters in the shape comments: ``T`` frames, ``M`` markers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap.formats import units
from legged_skills.mocap.formats.text import shown
from legged_skills.mocap.source import ReadOptions, SourceMotion, check_fps
from legged_skills.robots.errors import ClipError

Array = NDArray[np.floating]

MAX_GAP_S = 0.2
"""A marker that is missing for longer is not made up [s]."""
UNITS_M = {
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1.0),
    **dict.fromkeys(("dm", "decimeter", "decimeters", "decimetre", "decimetres"), 0.1),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 0.01),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 0.001),
    **dict.fromkeys(("in", "inch", "inches"), 0.0254),
    **dict.fromkeys(("ft", "foot", "feet"), 0.3048),
}
"""Lengths of units by name [m]."""

# A rate is a rounded text in most files: one this close to a whole number is that number.
_WHOLE_RATE = 1e-3
# Times off equal steps by less than this share of a step, or than what rounding to milliseconds
# makes [s], are equally spaced.
_JITTER = 0.05
_ROUNDING_S = 6e-4
# More frames than this for each one recorded are made up.
_MAX_GROWTH = 2
_EPSILON = 1e-9


def known_world(
    positions: Array, names: Sequence[str], options: ReadOptions, path: Path, up_axis: units.UpAxis
) -> units.World:
    """The world of a format that is always in metres with the same axis up.

    Args:
        positions: points in the file's own unit and axes, (T, M, 3).
        names: what the points are called, (M,).
        options: what the user says; it wins.
        path: the file, for messages.
        up_axis: the format's axis that points up.

    Returns:
        Unit and axis.

    Raises:
        ClipError: the given unit is not a plausible length.
    """
    stated = replace(options, up_axis=options.up_axis or up_axis)
    world = units.infer_world(positions, names, stated, path, unit_m=1.0)
    return world if options.unit_m is not None else replace(world, unit_text="m")


def unit_by_name(text: str, where: str) -> float:
    """The length of a unit [m].

    Args:
        text: its name, e.g. "mm" or "Meters".
        where: what the message begins with: a file and a field.

    Returns:
        Its length [m].

    Raises:
        ClipError: it is not known.
    """
    name = text.strip().lower()
    if name not in UNITS_M:
        raise ClipError(f"{where} is {shown(text)}, expected m, dm, cm, mm, inch or foot.")
    return UNITS_M[name]


def plain_rate(fps: float) -> float:
    """A frame rate, whole where it is so but for rounding [1/s]."""
    whole = round(fps)
    return float(whole) if abs(fps - whole) <= _WHOLE_RATE * fps else float(fps)


class Timing(NamedTuple):
    """When to sample a recording so that its frames are equally spaced."""

    fps: float
    """Frames a second [1/s]."""
    at: Array | None
    """The frames of the recording to sample at, with fractions; None if it stays as it is."""


def timing(times: Array, where: str) -> Timing:
    """The frame rate of a recording from the times of its frames.

    Args:
        times: when each frame was recorded [s], (T,), T >= 2.
        where: what the message begins with: the file and the field.

    Returns:
        The rate, and, if the steps differ by more than rounding, where to sample the recording
        for equal ones.

    Raises:
        ClipError: the times do not grow, or the rate is not plausible.
    """
    steps = np.diff(times)
    if not np.all(steps > 0):
        frame = int(np.argmin(steps > 0)) + 1
        raise ClipError(
            f"{where}: frame {frame} is at {times[frame]:g} s, "
            f"expected a time after that of frame {frame - 1}, {times[frame - 1]:g} s."
        )
    step = float(np.median(steps))
    check_fps(1 / max(step, _EPSILON), where)
    if float(steps.max()) > MAX_GAP_S + step:
        frame = int(np.argmax(steps)) + 1
        raise ClipError(
            f"{where}: frame {frame} comes {steps[frame - 1]:.3g} s after the one before, "
            f"expected about {step:.3g} s, or at most {MAX_GAP_S:g} s more."
        )
    # How many frames on each one is, and the straight line through all: it is far closer than any
    # step, or the last time, which are rounded.
    counts = np.maximum(np.round(steps / step), 1)
    duration = float(times[-1] - times[0])
    frames = np.concatenate([[0.0], np.cumsum(counts)])
    mean_step = float(np.polyfit(frames, times - times[0], 1)[0])
    fps = check_fps(plain_rate(1 / mean_step), where)
    off = times - frames * mean_step
    if np.all(counts == 1) and 0.5 * np.ptp(off) <= max(_JITTER * step, _ROUNDING_S):
        return Timing(fps, None)
    count = int(duration * fps + _EPSILON) + 1
    if count > _MAX_GROWTH * len(times):
        raise ClipError(
            f"{where}: {len(times)} frames span {duration:.3g} s, which at "
            f"{fps:g} frames/s would be {count}; too many are missing."
        )
    wanted = times[0] + np.arange(count) / fps
    return Timing(fps, np.interp(wanted, times, np.arange(len(times), dtype=np.float64)))


def stated_rate(path: Path, options: ReadOptions, stated: float | None) -> float:
    """The frame rate as given by the user, else by the file.

    Args:
        path: the file, for messages.
        options: what the user says; it wins.
        stated: what the file says [1/s].

    Returns:
        Frames a second [1/s].

    Raises:
        ClipError: neither says anything, or the rate is not plausible.
    """
    if options.fps is not None:
        return check_fps(options.fps, str(path))
    if stated is None:
        raise ClipError(
            f"{path}: does not say its frame rate (neither times nor frames a second); "
            "give it with --fps."
        )
    return plain_rate(check_fps(stated, str(path)))


def fill_gaps(
    positions: Array, names: Sequence[str], fps: float, path: Path
) -> tuple[Array, tuple[str, ...], str]:
    """Fills short gaps of markers linearly, and leaves out markers that are never seen.

    A gap at either end holds the nearest position.

    Args:
        positions: points, (T, M, 3); a point with a NaN is missing.
        names: their names, (M,).
        fps: frames a second [1/s].
        path: the file, for messages.

    Returns:
        New array of points without NaN, (T, N, 3), their names (N,), and a sentence about what
        was done, "" if nothing.

    Raises:
        ClipError: a gap is longer than ``MAX_GAP_S``, or no marker is ever seen.
    """
    missing = np.any(np.isnan(positions), axis=-1)
    seen = ~np.all(missing, axis=0)
    if not np.any(seen):
        raise ClipError(f"{path}: has no marker that is ever seen, expected at least one.")
    kept = tuple(name for name, is_seen in zip(names, seen, strict=True) if is_seen)
    out, missing = positions[:, seen].astype(np.float64), missing[:, seen]
    _check_gaps(missing, kept, fps, path)
    frames = np.arange(len(out))
    for marker in np.flatnonzero(np.any(missing, axis=0)):
        gone = missing[:, marker]
        for axis in range(3):
            known = out[~gone, marker, axis]
            out[gone, marker, axis] = np.interp(frames[gone], frames[~gone], known)
    notes = []
    if count := int(np.count_nonzero(missing)):
        share = 100 * count / missing.size
        notes.append(f"{count} missing positions ({share:.2g} %) filled by interpolation")
    if dropped := [name for name, is_seen in zip(names, seen, strict=True) if not is_seen]:
        notes.append(f"left out as never seen: {listed(dropped)}")
    return out, kept, "; ".join(notes)


def motion_of_points(
    path: Path,
    format_name: str,
    positions: Array,
    names: Sequence[str],
    rate: Timing,
    options: ReadOptions,
    *,
    unit_m: float | None = None,
    default_up: units.UpAxis = "y",
    note: str = "",
) -> SourceMotion:
    """The motion of points without orientations: gaps filled, in metres, z up.

    Args:
        path: the file.
        format_name: what the format is called.
        positions: points in the file's unit and axes, NaN where missing, (T, M, 3).
        names: what the points are called, (M,).
        rate: frame rate, and where to sample.
        options: what the user says about unit and axis.
        unit_m: what the file says about its unit [m].
        default_up: the axis to believe in doubt.
        note: what else there is to say about the file.

    Returns:
        The motion; ``source["note"]`` also says what was filled.

    Raises:
        ClipError: a gap is too long, or the unit not plausible.
    """
    positions, kept, filled = fill_gaps(positions, names, rate.fps, path)
    if rate.at is not None:
        low = np.minimum(rate.at.astype(int), len(positions) - 2)
        part = (rate.at - low)[:, None, None]
        positions = positions[low] + part * (positions[low + 1] - positions[low])
    world = units.infer_world(positions, kept, options, path, default_up=default_up, unit_m=unit_m)
    source = _about(path, format_name, world)
    if notes := "; ".join(text for text in (filled, note) if text):
        source["note"] = notes
    return SourceMotion(
        marker_names=kept,
        positions_w=units.to_world(positions, world.up_axis, world.unit_m),
        fps=rate.fps,
        source=source,
    )


def motion_of_bodies(
    path: Path,
    format_name: str,
    world: units.World,
    fps: float,
    names: Sequence[str],
    parents: tuple[int, ...],
    positions: Array,
    quats: Array,
    more: Mapping[str, str] | None = None,
) -> SourceMotion:
    """The motion of a hierarchy with orientations, in metres, z up.

    Args:
        path: the file.
        format_name: what the format is called.
        world: the file's unit and axes.
        fps: frames a second [1/s].
        names: what joints and markers are called, (M,).
        parents: index of each one's parent, -1 for none, (M,).
        positions: in the file's unit and axes, (T, M, 3).
        quats: unit quaternions wxyz in the file's axes, (T, M, 4).
        more: what else there is to say about the file.
    """
    return SourceMotion(
        marker_names=tuple(names),
        positions_w=units.to_world(positions, world.up_axis, world.unit_m),
        fps=fps,
        rotations_wxyz=units.rotate_to_world(quats, world.up_axis),
        parents=parents,
        source=_about(path, format_name, world) | dict(more or {}),
    )


def _about(path: Path, format_name: str, world: units.World) -> dict[str, str]:
    """What every motion says about its file."""
    return {
        "file": path.name,
        "format": format_name,
        "unit": world.unit_text,
        "up_axis": world.up_text,
    }


def listed(names: Sequence[str], most: int = 10) -> str:
    """The first few names with commas, and how many more there are."""
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _check_gaps(missing: NDArray[np.bool_], names: Sequence[str], fps: float, path: Path) -> None:
    """Finds the first gap that is too long; ``missing`` is (T, M)."""
    padded = np.zeros((missing.shape[1], missing.shape[0] + 2), dtype=np.int8)
    padded[:, 1:-1] = missing.T
    edges = np.diff(padded, axis=1)
    # Row by row, the n-th start belongs to the n-th end.
    markers, starts = np.nonzero(edges == 1)
    _, ends = np.nonzero(edges == -1)
    lengths = ends - starts
    too_long = np.flatnonzero(lengths > MAX_GAP_S * fps + _EPSILON)
    if len(too_long):
        worst = too_long[0]
        name = names[int(markers[worst])]
        raise ClipError(
            f"{path}: marker {name!r} is missing from frame {starts[worst]} "
            f"to {ends[worst] - 1} ({lengths[worst] / fps:.2f} s), "
            f"expected gaps of at most {MAX_GAP_S:g} s."
        )
