"""Reader of SMPL motions as AMASS has them: joint rotations of a body model, as ``.npz``.

Format (Mahmood et al. 2019, "AMASS"; Loper et al. 2015, "SMPL"): ``poses`` (T, D), rotation
vectors [rad] of the pelvis in the world and of each further joint in its parent's frame, of which
the first 22 joints are the body in SMPL, SMPL-H and SMPL-X alike; ``trans`` (T, 3), how far the
body is moved [m]; ``mocap_framerate`` or ``mocap_frame_rate`` [1/s]. The world has z up. In the
rest pose, arms out to the sides, a body faces its frame's z, with y up and x to its left.

How long bones are follows from ``betas`` and the body model, which is licensed apart and not
needed here: bones have the lengths of an average adult, so that orientations are exact and
positions approximate, most of all for children and tall people. Hands and faces are left out.
"""

from collections.abc import Mapping, Set
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap.formats import hierarchy
from legged_skills.mocap.formats.reading import known_world, motion_of_bodies, stated_rate
from legged_skills.mocap.source import ReadOptions, SourceMotion
from legged_skills.robots import npz, rotations
from legged_skills.robots.errors import ClipError

Array = NDArray[np.floating]

FORMAT = "SMPL"
RATE_FIELDS = ("mocap_framerate", "mocap_frame_rate")
NOTE = "bones of an average adult (betas ignored), hands left out"
"""What every motion of this format says in ``source["note"]``."""

# Rest pose: x left, y up, z forward [m]; left side only. Figures of the mean shape that are
# public in many programs, made symmetric and rounded to 5 mm. The pelvis is placed from the origin
# of the body, each other joint from its parent.
_MIDDLE = {
    "pelvis": ("", (0.0, -0.225, 0.03)),
    "spine1": ("pelvis", (0.0, 0.11, -0.025)),
    "spine2": ("spine1", (0.0, 0.135, 0.0)),
    "spine3": ("spine2", (0.0, 0.055, 0.025)),
    "neck": ("spine3", (0.0, 0.215, -0.045)),
    "head": ("neck", (0.0, 0.065, 0.05)),
}
_SIDE = {
    "hip": ("pelvis", (0.07, -0.09, -0.005)),
    "knee": ("hip", (0.035, -0.38, -0.005)),
    "ankle": ("knee", (-0.015, -0.4, -0.045)),
    "foot": ("ankle", (0.025, -0.05, 0.12)),
    "collar": ("spine3", (0.08, 0.12, -0.035)),
    "shoulder": ("collar", (0.095, 0.03, -0.01)),
    "elbow": ("shoulder", (0.255, -0.015, -0.025)),
    "wrist": ("elbow", (0.25, 0.01, -0.005)),
}
MARKER_NAMES = (
    *("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2"),
    *("left_ankle", "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar"),
    *("right_collar", "head", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow"),
    *("left_wrist", "right_wrist"),
)
"""The 22 joints of the body, in the order of the format."""


def _rest() -> dict[str, tuple[str, tuple[float, float, float]]]:
    """Parent, "" for none, and offset from it [m] of each joint."""
    out = dict(_MIDDLE)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for name, (parent, (x, y, z)) in _SIDE.items():
            above = parent if parent in _MIDDLE else f"{side}_{parent}"
            out[f"{side}_{name}"] = (above, (sign * x, y, z))
    return out


_REST = _rest()
PARENTS = tuple(
    MARKER_NAMES.index(_REST[name][0]) if _REST[name][0] else -1 for name in MARKER_NAMES
)
"""Index of each joint's parent, -1 for the pelvis."""
OFFSETS_M = tuple(_REST[name][1] for name in MARKER_NAMES)
"""Where each joint is in its parent's frame in the rest pose [m]."""

_NUM_POSES = 3 * len(MARKER_NAMES)
_MAX_ANGLE_RAD = 100.0
_MAX_POSITION_M = 1000.0


def sniff(names: Set[str]) -> bool:
    """Whether an archive with fields of these names is of this format."""
    return names >= {"poses", "trans"}


def read(path: Path, options: ReadOptions) -> SourceMotion:
    """Reads a motion of SMPL, SMPL-H or SMPL-X.

    As in the body model, the pelvis is at ``trans`` plus its place in the rest pose, which the
    root's rotation does not turn.

    Args:
        path: the archive.
        options: what the user says about rate, unit and axis; it wins over the file.

    Returns:
        The motion of ``MARKER_NAMES``, with orientations and hierarchy.

    Raises:
        FileFormatError: the archive is damaged, or a field holds pickled objects.
        ClipError: a field is missing or wrong, or the rate unknown.
    """
    # Files of SMPL-X have objects too, such as markers_latent_vids.
    arrays = npz.read_npz(path, needed=("poses", "trans", *RATE_FIELDS))
    poses = _field(path, arrays, "poses", _NUM_POSES, _MAX_ANGLE_RAD)
    trans = _field(path, arrays, "trans", 3, _MAX_POSITION_M)
    if len(poses) != len(trans):
        raise ClipError(f"{path}: has {len(poses)} frames of poses, but {len(trans)} of trans.")
    hierarchy.check_size(len(poses), len(MARKER_NAMES), str(path))
    fps = stated_rate(path, options, _rate(path, arrays))
    quats = rotations.from_rotvec(poses.reshape(len(poses), -1, 3))
    places = np.tile(np.array(OFFSETS_M), (len(poses), 1, 1))
    places[:, 0] += trans
    positions, quats = hierarchy.forward_kinematics(PARENTS, places, quats)
    world = known_world(positions, MARKER_NAMES, options, path, "z")
    more = {"note": NOTE}
    return motion_of_bodies(path, FORMAT, world, fps, MARKER_NAMES, PARENTS, positions, quats, more)


def _field(
    path: Path, arrays: Mapping[str, NDArray], name: str, columns: int, limit: float
) -> Array:
    """A field of numbers, (T, at least ``columns``), of which only these are looked at."""
    if name not in arrays:
        raise ClipError(f"{path}: has no field {name!r}, as {FORMAT} motions have.")
    array = arrays[name]
    if array.dtype.kind not in "fiu" or array.ndim != 2 or array.shape[1] < columns:
        raise ClipError(
            f"{path}: field {name} has type {array.dtype} and shape {array.shape}, "
            f"expected numbers of shape (frames, {columns} or more)."
        )
    array = array[:, :columns].astype(np.float64)
    bad = ~(np.abs(array) <= limit)  # also for NaN
    if np.any(bad):
        frame, column = np.argwhere(bad)[0]
        raise ClipError(
            f"{path}: field {name}: frame {frame}, column {column} is {array[frame, column]:g}, "
            f"expected a number within ±{limit:g}."
        )
    return array


def _rate(path: Path, arrays: Mapping[str, NDArray]) -> float | None:
    """The frame rate that the file states [1/s]."""
    name = next((name for name in RATE_FIELDS if name in arrays), None)
    if name is None:
        return None
    value = arrays[name]
    if value.size != 1 or value.dtype.kind not in "fiu":
        raise ClipError(
            f"{path}: field {name} has type {value.dtype} and shape {value.shape}, "
            "expected a single number."
        )
    return float(value.reshape(-1)[0])
