"""Reader of C3D, the binary format of optical motion capture (c3d.org), by way of ezc3d.

Only the points are read, with their labels, unit and rate. ezc3d dies on some damaged files; it
runs in a process of its own (``c3d_process``).
"""

import importlib.util
import math
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap.formats import c3d_process, hierarchy
from legged_skills.mocap.formats.reading import (
    Timing,
    motion_of_points,
    stated_rate,
    unit_by_name,
)
from legged_skills.mocap.formats.text import MAX_ABS, shown
from legged_skills.mocap.skeletons import subjects
from legged_skills.mocap.source import ReadOptions, SourceMotion
from legged_skills.robots import npz
from legged_skills.robots.errors import ClipError, FileFormatError

FORMAT = "C3D"

_KEY = 0x50
_BLOCK_BYTES = 512
_MAX_FIRST_BYTE = 31
# First bytes that a text may have before a P.
_TEXT_BYTES = b"\t\n\r"
# How the processor that wrote the file orders bytes: Intel and DEC, or SGI and MIPS.
_INTEL = 84
_BYTE_ORDERS = {_INTEL: "<", 85: "<", 86: ">"}
# The header numbers frames with 16 bits; the library reads no more than it says.
_MAX_FRAMES = 65535
# A busy machine takes this many times as long as the processor works: a minute at least.
_BUSY = 12.0


def sniff(head: bytes) -> bool:
    """Whether a file begins like this format.

    Args:
        head: the first bytes of the file.

    Returns:
        True if the first byte is a small block number and the second 0x50.
    """
    return (
        len(head) > 1
        and 0 < head[0] <= _MAX_FIRST_BYTE
        and head[0] not in _TEXT_BYTES
        and head[1] == _KEY
    )


def read(path: Path, options: ReadOptions) -> SourceMotion:
    """Reads the points of a C3D file.

    Labels lose the name of their subject ("Ann:LKNE") unless there are two. Points without a
    label, or with one that begins with "*", and points that the file lists as angles, forces or
    the like are left out.

    Args:
        path: the file.
        options: what the user says about rate, unit and axis; it wins over the file.

    Returns:
        The motion of the markers; ``source["note"]`` says what was filled or left out.

    Raises:
        FileFormatError: ezc3d is not installed, or cannot read the file, or not all of it.
        ClipError: a gap is too long, or unit or rate are not plausible.
    """
    _check_header(path)
    arrays = _extract(path)
    if int(arrays["frames"]) > max(len(arrays["points"]), _MAX_FRAMES):
        raise _too_long(path)
    points, labels = arrays["points"], [str(label).strip() for label in arrays["labels"]]
    labels = labels[: points.shape[1]]
    no_places = {str(label).strip() for label in arrays["no_places"]}
    kept = [
        column
        for column, label in enumerate(labels)
        if label and not label.startswith("*") and label not in no_places
    ]
    if not kept:
        raise ClipError(f"{path}: has {points.shape[1]} points, but no marker with a label.")
    hierarchy.check_size(len(points), len(kept), str(path))
    names = _without_subjects([labels[column] for column in kept])
    positions = points[:, kept]
    _check_range(path, positions, names)
    unit = str(arrays["unit"]).strip() if options.unit_m is None else ""
    dropped = points.shape[1] - len(kept)
    return motion_of_points(
        path,
        FORMAT,
        positions,
        names,
        Timing(stated_rate(path, options, float(arrays["rate"]) or None), None),
        options,
        unit_m=unit_by_name(unit, f"{path}: POINT:UNITS") if unit else None,
        default_up="z",
        note=f"{dropped} points without a label, or that are no places, left out"
        if dropped
        else "",
    )


def _check_header(path: Path) -> None:
    """Compares what the first block declares with the size of the file: too little, or more."""
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(_BLOCK_BYTES)
        file.seek((header[0] - 1) * _BLOCK_BYTES if header else 0)
        parameters = file.read(4)
    order = _BYTE_ORDERS.get(parameters[3]) if len(parameters) == 4 else None
    if len(header) < _BLOCK_BYTES or order is None:
        raise FileFormatError(
            f"{path}: has no parameters in block {header[0] if header else 0}, where a {FORMAT} "
            "file says they are; it may be damaged or cut short."
        )
    words = np.frombuffer(header, dtype=f"{order}u2")
    points, first, last, start = (int(words[i]) for i in (1, 3, 4, 8))
    # Four numbers a point, floats of four bytes or integers of two.
    least = (start - 1) * _BLOCK_BYTES + max(last - first + 1, 0) * points * 4 * 2
    if size < least:
        raise FileFormatError(
            f"{path}: declares {last - first + 1} frames of {points} points, at least {least} "
            f"bytes, but has {size}; it may be damaged or cut short."
        )
    # The sign of a factor says whether positions are floats; it is in the high word of a float,
    # which for Intel is the second.
    width = 4 if words[7 if parameters[3] == _INTEL else 6] >> 15 else 2
    frame = (4 * points + int(words[2])) * width
    rest = size - (start - 1) * _BLOCK_BYTES - (last - first + 1) * frame
    if last == _MAX_FRAMES and rest >= max(frame, _BLOCK_BYTES):
        raise _too_long(path)


def _too_long(path: Path) -> FileFormatError:
    """What is said of a file that would be read in part."""
    return FileFormatError(
        f"{path}: has more frames than the {_MAX_FRAMES} that can be read of a {FORMAT} file; "
        "cut it into shorter ones."
    )


def _extract(path: Path) -> dict[str, NDArray]:
    """What ``c3d_process.extract`` gives, from a process of its own."""
    if importlib.util.find_spec("ezc3d") is None:
        raise FileFormatError(
            f"{path}: reading {FORMAT} needs ezc3d; install legged_skills[formats]."
        )
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "points.npz"
        code, message = _run(path, target)
        if code != 0:
            reason = " ".join(message.split())[:200] if code == 1 else "the reader gave up"
            raise FileFormatError(
                f"{path}: not a readable {FORMAT} file ({reason}); it may be damaged or cut short."
            )
        return npz.read_npz(target)


def _run(source: Path, target: Path) -> tuple[int, str]:
    """Runs ``c3d_process``: its exit code, and what it says about a failure."""
    # -P: the folder of the program holds modules with the names of others.
    command = [sys.executable, "-P", c3d_process.__file__, str(source), str(target)]
    # Threads, which it has no use for, would each take from its memory.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    limit_s = c3d_process.cpu_limit_s(source.stat().st_size)
    timeout = _BUSY * limit_s
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise FileFormatError(
            f"{source}: reading took more than {timeout:.3g} s; the file may be damaged, or the "
            "machine too busy."
        ) from None
    if done.returncode == -getattr(signal, "SIGXCPU", math.inf):  # Windows has none
        return 1, f"it took more than {limit_s} s of the processor's time"
    return done.returncode, done.stderr


def _without_subjects(labels: list[str]) -> tuple[str, ...]:
    """Labels without "subject:", if all are of one and they stay distinct."""
    short = [label.rpartition(":")[2] for label in labels]
    several = len(subjects(labels)) > 1 or len(set(short)) < len(short)
    return hierarchy.unique_names(labels if several else short)


def _check_range(path: Path, positions: NDArray, names: tuple[str, ...]) -> None:
    """Finds the first position that cannot be one; NaN is a missing one."""
    bad = np.abs(positions) > MAX_ABS
    if np.any(bad):
        frame, marker = np.argwhere(bad)[0, :2]
        raise ClipError(
            f"{path}: frame {frame}, marker {shown(names[marker])} is not within ±{MAX_ABS:g}."
        )
