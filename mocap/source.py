"""The one type that every motion capture format is read into."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from legged_skills.robots.errors import ClipError

MIN_FPS = 10.0
"""Fewer frames a second than this cannot hold a step [1/s]."""
MAX_FPS = 1000.0
"""More than any motion capture system gives [1/s]."""


def check_fps(fps: float, where: str) -> float:
    """Rejects frame rates that no motion capture has.

    Args:
        fps: frames a second [1/s].
        where: what the message begins with: a file, or a file and a field.

    Returns:
        ``fps`` as a float.

    Raises:
        ClipError: it is not a number within ``MIN_FPS`` and ``MAX_FPS``.
    """
    value = float(fps)
    if not MIN_FPS <= value <= MAX_FPS:  # also false for NaN
        raise ClipError(
            f"{where}: a frame rate of {value:g} frames/s is not plausible, "
            f"expected {MIN_FPS:g} to {MAX_FPS:g}."
        )
    return value


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """What a user says about a file that the file does not say, or says wrongly."""

    fps: float | None = None
    """Frames a second [1/s]; None for what the file or its format says."""
    unit_m: float | None = None
    """Length of the file's unit [m]; None for what the file says, or what its size suggests."""
    up_axis: Literal["y", "z"] | None = None
    """The axis that points up; None for what the format says, or what the motion suggests."""
    skeleton: Path | None = None
    """The file with the skeleton (ASF), for a format that keeps it apart (AMC); None looks for it
    beside the motion."""


@dataclass(frozen=True, kw_only=True)
class SourceMotion:
    """A recorded motion in metres, z up, before any robot comes into play.

    T is the number of frames, M that of markers. A "marker" is any named point that the
    format gives: an optical marker, a joint of a skeleton, or a key point.
    """

    marker_names: tuple[str, ...]
    """What the points are called, (M,)."""
    positions_w: NDArray[np.floating]
    """Where the points are in a right-handed world with z up [m], (T, M, 3)."""
    fps: float
    """Frames a second [1/s]."""
    skeleton: str = ""
    """What it is the skeleton of, "human" or "dog", once the joints are identified
    (``identify.identify``); before that what the format says, if it has but one."""
    rotations_wxyz: NDArray[np.floating] | None = None
    """Orientations in the world of markers that are joints, (T, M, 4), if the format has them."""
    parents: tuple[int, ...] | None = None
    """Index of each marker's parent, -1 for a root, (M,), if the format has a hierarchy."""
    source: dict[str, str] = field(default_factory=dict)
    """Where it comes from: "file" (name only) and its "sha256", "format", "licence", "unit",
    "up_axis"."""

    def __post_init__(self) -> None:
        """Checks shapes and values.

        Raises:
            ClipError: something does not fit; the message begins with the file's name.
        """
        name = self.source.get("file", "motion")
        shape = (len(self.positions_w), len(self.marker_names), 3)
        if self.positions_w.shape != shape:
            raise ClipError(
                f"{name}: positions have shape {self.positions_w.shape}, expected {shape}."
            )
        if shape[0] < 2:
            raise ClipError(f"{name}: has {shape[0]} frame(s), a motion needs at least 2.")
        if not np.all(np.isfinite(self.positions_w)):
            frame, marker = np.argwhere(~np.isfinite(self.positions_w))[0, :2]
            raise ClipError(
                f"{name}: frame {frame}, marker {self.marker_names[marker]!r} "
                "is not a finite number."
            )
        if self.rotations_wxyz is not None and self.rotations_wxyz.shape != (*shape[:2], 4):
            raise ClipError(
                f"{name}: rotations have shape {self.rotations_wxyz.shape}, "
                f"expected {(*shape[:2], 4)}."
            )
        if self.parents is not None and len(self.parents) != shape[1]:
            raise ClipError(f"{name}: has {len(self.parents)} parents for {shape[1]} markers.")
        check_fps(self.fps, name)

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.positions_w)

    @property
    def duration_s(self) -> float:
        """Time from the first to the last frame [s]."""
        return (self.num_frames - 1) / self.fps

    def index(self, marker_name: str) -> int:
        """The position of a marker in ``marker_names``.

        Raises:
            ClipError: there is none of that name; the message lists those that exist.
        """
        if marker_name not in self.marker_names:
            raise ClipError(
                f"{self.source.get('file', 'motion')}: has no marker {marker_name!r}, "
                f"found {', '.join(self.marker_names)}."
            )
        return self.marker_names.index(marker_name)
