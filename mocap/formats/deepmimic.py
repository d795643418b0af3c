"""Reader of DeepMimic's motions: poses of its humanoid, frame by frame, as JSON.

Format (Peng et al. 2018, "DeepMimic", the files of its public code): an object with "Loop",
"wrap" or "none", and "Frames". Each frame has 44 numbers: how long it lasts [s], the root's
position [m], then one quaternion wxyz for each spherical joint and one angle about z [rad] for
each revolute one, in the order of the skeleton. The axes are x forward, y up, z to the right,
and in the rest pose those of all joints' frames too.

The skeleton comes in a file of its own, ``character_humanoid3d.json``. Its proportions are
always the same, so that they are written out here. Besides its joints there are markers on what it
draws around them: "left_toe" and "left_heel", the middle of the front and rear lower edges of the
box that is the foot; "left_hand", the far end of the sphere at the wrist; "head", the top of the
sphere on the neck.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap.formats import hierarchy
from legged_skills.mocap.formats.reading import known_world, motion_of_bodies, timing
from legged_skills.mocap.formats.text import shown
from legged_skills.mocap.source import ReadOptions, SourceMotion, check_fps
from legged_skills.robots import rotations
from legged_skills.robots.errors import ClipError

Array = NDArray[np.floating]

FORMAT = "DeepMimic"
REST_FPS = 30.0
"""Frames a second of a skeleton without motion [1/s]."""


class _Point(NamedTuple):
    """A joint of the humanoid, or a marker on one."""

    name: str
    parent: str
    """The joint whose frame it is placed in; "" for the root."""
    offset: tuple[float, float, float]
    """Its place in the parent's frame [m]."""
    numbers: int = 0
    """How many numbers of a frame turn it: 4 a quaternion, 1 an angle about z, 0 nothing."""


# The MIT-licensed character_humanoid3d.json of DeepMimic: joints in order, with AttachX, Y, Z.
_JOINTS = (
    _Point("root", "", (0.0, 0.0, 0.0), 4),
    _Point("chest", "root", (0.0, 0.236151, 0.0), 4),
    _Point("neck", "chest", (0.0, 0.223894, 0.0), 4),
    _Point("right_hip", "root", (0.0, 0.0, 0.084887), 4),
    _Point("right_knee", "right_hip", (0.0, -0.421546, 0.0), 1),
    _Point("right_ankle", "right_knee", (0.0, -0.40987, 0.0), 4),
    _Point("right_shoulder", "chest", (-0.02405, 0.2435, 0.18311), 4),
    _Point("right_elbow", "right_shoulder", (0.0, -0.274788, 0.0), 1),
    _Point("right_wrist", "right_elbow", (0.0, -0.258947, 0.0)),
    _Point("left_hip", "root", (0.0, 0.0, -0.084887), 4),
    _Point("left_knee", "left_hip", (0.0, -0.421546, 0.0), 1),
    _Point("left_ankle", "left_knee", (0.0, -0.40987, 0.0), 4),
    _Point("left_shoulder", "chest", (-0.02405, 0.2435, -0.18311), 4),
    _Point("left_elbow", "left_shoulder", (0.0, -0.274788, 0.0), 1),
    _Point("left_wrist", "left_elbow", (0.0, -0.258947, 0.0)),
)
# Its BodyDefs: the foot is a box of 0.177 x 0.055 x 0.09 m with the centre at (0.045, -0.0225, 0)
# from the ankle, the hand a sphere of 0.08 m diameter around the wrist, the head one of 0.205 m
# around (0, 0.175, 0) from the neck.
_SOLE_Y = -0.0225 - 0.055 / 2
_MARKERS = (
    _Point("head", "neck", (0.0, 0.175 + 0.205 / 2, 0.0)),
    *(
        _Point(f"{side}_{name}", f"{side}_{joint}", offset)
        for side in ("right", "left")
        for name, joint, offset in (
            ("toe", "ankle", (0.045 + 0.177 / 2, _SOLE_Y, 0.0)),
            ("heel", "ankle", (0.045 - 0.177 / 2, _SOLE_Y, 0.0)),
            ("hand", "wrist", (0.0, -0.04, 0.0)),
        )
    ),
)
_POINTS = _JOINTS + _MARKERS
MARKER_NAMES = tuple(point.name for point in _POINTS)
"""The joints in the order of the format, then the markers on them."""
PARENTS = tuple(MARKER_NAMES.index(p.parent) if p.parent else -1 for p in _POINTS)
"""Index of the joint that each one hangs on, -1 for the root."""
NUM_COLUMNS = 4 + sum(point.numbers for point in _POINTS)
"""Numbers in a frame: duration, root position, joints."""

_OFFSETS = np.array([point.offset for point in _POINTS])
_MAX_POSITION_M = 1000.0
_MAX_ANGLE_RAD = 100.0
_MAX_DURATION_S = 1e4
# Files that are in use have quaternions of lengths 0.58 to 1.06; only their direction counts.
_MIN_LENGTH, _MAX_LENGTH = 0.1, 10.0
_OFFSET_TOLERANCE_M = 1e-3
# As Python objects, numbers take ten times the memory of their text.
_MAX_CHARACTERS = 50_000_000


def sniff(head: str) -> bool:
    """Whether a text begins like this format: a JSON object with frames or a skeleton.

    Args:
        head: the first characters of the file.

    Returns:
        True if it begins with a brace and has the key "Frames" or "Skeleton".
    """
    return head.lstrip().startswith("{") and ('"Frames"' in head or '"Skeleton"' in head)


def read(path: Path, text: str, options: ReadOptions) -> SourceMotion:
    """Reads a motion, or the skeleton file, which gives its rest pose held for two frames.

    The frames' durations give the frame rate; if they differ by more than rounding, the motion
    is resampled: positions linearly, rotations spherically. The last frame's is not used.

    Args:
        path: where the text is from, for messages.
        text: the whole file.
        options: what the user says about rate, unit and axis; a rate replaces the durations.

    Returns:
        The motion of ``MARKER_NAMES``, with orientations and hierarchy; ``source["loop"]`` is
        "wrap" or "none".

    Raises:
        ClipError: the file is damaged; the message names the frame and the field.
    """
    data = _parse(path, text)
    if "Frames" in data:
        frames = _frames(path, data["Frames"])
        more = {"loop": "wrap" if data.get("Loop") == "wrap" else "none"}
        fps, positions, quats = _local_poses(path, frames, options)
    else:
        _check_skeleton(path, data)
        more = {"note": "a skeleton without motion: its rest pose"}
        fps = check_fps(options.fps or REST_FPS, str(path))
        positions = np.tile(_OFFSETS, (2, 1, 1))
        # Standing on the floor, at the height of hip, knee, ankle and sole.
        positions[:, 0, 1] = 0.421546 + 0.40987 - _SOLE_Y
        quats = rotations.identity((2, len(_POINTS)))
    positions, quats = hierarchy.forward_kinematics(PARENTS, positions, quats)
    world = known_world(positions, MARKER_NAMES, options, path, "y")
    return motion_of_bodies(path, FORMAT, world, fps, MARKER_NAMES, PARENTS, positions, quats, more)


def _parse(path: Path, text: str) -> dict[str, Any]:
    """The JSON object of the file; all its numbers are floats."""
    if len(text) > _MAX_CHARACTERS:
        raise ClipError(
            f"{path}: has {len(text)} characters, expected at most {_MAX_CHARACTERS} "
            f"in a {FORMAT} motion; split the file."
        )
    try:
        # An integer may have more digits than a float can hold, or than Python wants to read.
        data = json.loads(text, parse_int=float)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise ClipError(f"{path}: is not JSON, as a {FORMAT} motion is ({reason}).") from None
    if not isinstance(data, dict) or not {"Frames", "Skeleton"} & set(data):
        raise ClipError(f"{path}: has no field 'Frames', as a {FORMAT} motion has.")
    return data


def _frames(path: Path, rows: Any) -> Array:
    """The numbers of all frames, (T, 44)."""
    if not isinstance(rows, list) or len(rows) < 2:
        found = f"{len(rows)} frame(s)" if isinstance(rows, list) else "no list"
        raise ClipError(f"{path}: field 'Frames' has {found}, a motion needs at least 2 frames.")
    for number, row in enumerate(rows):
        if not isinstance(row, list):
            raise ClipError(f"{path}: frame {number} is no list of {NUM_COLUMNS} numbers.")
        if len(row) != NUM_COLUMNS:
            raise ClipError(
                f"{path}: frame {number} has {len(row)} numbers, expected {NUM_COLUMNS} "
                "(duration, root position, turns of the humanoid's root and 12 joints)."
            )
    kinds = {type(value) for row in rows for value in row}
    if kinds != {float}:
        number, column, value = next(
            (i, j, value)
            for i, row in enumerate(rows)
            for j, value in enumerate(row)
            if type(value) is not float
        )
        where = f"{path}: frame {number}: {_column_name(column)}"
        raise ClipError(f"{where} is {shown(str(value))}, expected a number.")
    values = np.array(rows)
    limits = np.full(NUM_COLUMNS, _MAX_ANGLE_RAD)
    limits[0], limits[1:4] = _MAX_DURATION_S, _MAX_POSITION_M
    bad = ~(np.abs(values) <= limits)  # also for NaN
    if np.any(bad):
        number, column = np.argwhere(bad)[0]
        raise ClipError(
            f"{path}: frame {number}: {_column_name(int(column))} is "
            f"{values[number, column]:g}, expected a number within ±{limits[column]:g}."
        )
    return values


def _local_poses(path: Path, frames: Array, options: ReadOptions) -> tuple[float, Array, Array]:
    """Frame rate, places in the parents' frames (T, P, 3), and turns in them (T, P, 4)."""
    fps, at = _timing(path, frames, options)
    root = frames[:, 1:4]
    quats = _local_quats(path, frames)
    if at is not None:
        low = np.minimum(at.astype(int), len(frames) - 2)
        part = at - low
        root = root[low] + part[:, None] * (root[low + 1] - root[low])
        quats = rotations.slerp(quats[low], quats[low + 1], part[:, None])
    positions = np.tile(_OFFSETS, (len(quats), 1, 1))
    positions[:, 0] = root
    return fps, positions, quats


def _timing(path: Path, frames: Array, options: ReadOptions) -> tuple[float, Array | None]:
    """The frame rate, and where to sample the frames if their durations differ."""
    if options.fps is not None:
        return check_fps(options.fps, str(path)), None
    durations = frames[:-1, 0]
    if not np.all(durations > 0):
        number = int(np.argmin(durations > 0))
        raise ClipError(
            f"{path}: frame {number}: duration is {durations[number]:g} s, expected more than 0 s."
        )
    times = np.concatenate([[0.0], np.cumsum(durations)])
    return timing(times, f"{path}: durations")


def _local_quats(path: Path, frames: Array) -> Array:
    """How each point is turned in its parent's frame, unit wxyz, (T, P, 4)."""
    out = rotations.identity((len(frames), len(_POINTS)))
    column = 4
    for i, point in enumerate(_JOINTS):
        values = frames[:, column : column + point.numbers]
        column += point.numbers
        if point.numbers == 1:
            out[:, i] = rotations.from_axis_angle(np.array([0.0, 0.0, 1.0]), values[:, 0])
        elif point.numbers == 4:
            lengths = np.linalg.norm(values, axis=1)
            bad = ~((lengths >= _MIN_LENGTH) & (lengths <= _MAX_LENGTH))
            if np.any(bad):
                number = int(np.argmax(bad))
                raise ClipError(
                    f"{path}: frame {number}: the quaternion of {point.name} has the length "
                    f"{lengths[number]:.3g}, expected 1."
                )
            out[:, i] = rotations.normalize(values)
    return out


def _column_name(column: int) -> str:
    """What a number of a frame is, for messages."""
    names = ["duration", "root position x", "root position y", "root position z"]
    for point in _JOINTS:
        parts = {4: ("w", "x", "y", "z"), 1: ("angle",)}.get(point.numbers, ())
        names += [f"{point.name} {part}" for part in parts]
    return names[column]


def _check_skeleton(path: Path, data: dict[str, Any]) -> None:
    """Makes sure that a skeleton file is of the humanoid whose proportions are known here."""
    skeleton = data["Skeleton"]
    joints = skeleton.get("Joints") if isinstance(skeleton, dict) else None
    joints = joints if isinstance(joints, list) else []
    joints = [joint if isinstance(joint, dict) else {} for joint in joints]
    expected = [point.name for point in _JOINTS]
    if [joint.get("Name") for joint in joints] != expected:
        raise ClipError(
            f"{path}: is the skeleton of another character than DeepMimic's humanoid, "
            f"expected the joints {', '.join(expected)}."
        )
    for joint, point in zip(joints, _JOINTS, strict=True):
        for axis, wanted in zip("XYZ", point.offset, strict=True):
            found = joint.get(f"Attach{axis}")
            if not isinstance(found, float) or not abs(found - wanted) < _OFFSET_TOLERANCE_M:
                raise ClipError(
                    f"{path}: joint {point.name}: Attach{axis} is {shown(str(found))}, "
                    f"expected {wanted:g} as in DeepMimic's humanoid."
                )
