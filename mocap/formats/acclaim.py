"""Reader of Acclaim motion capture: a motion (AMC) on a skeleton (ASF), or a skeleton alone.

Format (Schafer 1994, "Acclaim Skeleton File Definition V1.10"; Lander 1998, "Working with Motion
Capture File Formats"): a motion is a list of frames; each begins with its number, followed by one
line per bone with a value for each of the bone's degrees of freedom. ``acclaim_skeleton`` has the
skeleton and the kinematics, and says which points the markers are.

What the files leave open:

- The rate. Unless it is given, or a line ":SAMPLES-PER-SECOND" has it, it is CMU's 120.
- The unit. CMU's files count in ``length`` units an inch, and ``length`` is 0.45. If a body of
  that size is not plausible, the unit is inferred from the body's height.
- Preset position p and orientation C of the root, zero in all known files. They are read as
  moving the whole recording: x = p + C x_motion, R = C R_motion.
- "l" among a bone's degrees of freedom. It is read as what the bone is longer than at rest.
- Bones of the skeleton that no frame of a motion mentions stay at rest.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap.formats import acclaim_skeleton, hierarchy, units
from legged_skills.mocap.formats.acclaim_skeleton import Skeleton
from legged_skills.mocap.formats.reading import motion_of_bodies
from legged_skills.mocap.formats.text import (
    parse_number,
    parse_table,
    shown,
    split_lines,
    without_comment,
)
from legged_skills.mocap.source import ReadOptions, SourceMotion, check_fps
from legged_skills.robots.errors import ClipError, FileFormatError

Array = NDArray[np.floating]

FORMAT = "Acclaim ASF/AMC"
CMU_FPS = 120.0
"""Frames a second of the CMU database [1/s]."""
INCH_M = 0.0254

_RATE = "samples-per-second"
_MOTION_KEYWORDS = ("fully-specified", "degrees", "radians", _RATE)
_FRAME = re.compile(r"[0-9]{1,9}")
_BONE_LINE = re.compile(r"[A-Za-z_]\S*(\s+[-+0-9.eE]+)+")
_HEAD_CHARACTERS = 4096
# The size at rest, with arms stretched out, at which the stated unit is believed [m].
_REST_RANGE_M = (0.25, 2.5)


@dataclass(frozen=True, kw_only=True)
class _Motion:
    """An AMC file: where each bone's values stand."""

    lines: list[str]
    rows: Mapping[str, list[int]]
    """Indices of the lines of each bone, by its name in small letters, one per frame."""
    frames: int
    degrees: bool | None
    """Whether angles are in degrees; None if the file leaves it to the skeleton."""
    fps: float | None
    """Frames a second, if the file has them [1/s]."""


def sniff(head: str) -> bool:
    """Whether a text begins like a motion or a skeleton of this format.

    Args:
        head: the first characters of the file.

    Returns:
        True if the first line that is no comment has a keyword of the format after a colon, or is
        the number of a frame before the line of a bone.
    """
    return _kind(head) != ""


def read(path: Path, text: str, options: ReadOptions) -> SourceMotion:
    """Reads a motion, or a skeleton, whose rest pose is then held for two frames.

    Args:
        path: where the text is from. The skeleton of a motion is looked for beside it.
        text: the whole file.
        options: what the user says about skeleton, rate, unit and axis.

    Returns:
        The motion of the root and of the ends of all bones, with the rotations from the pose at
        rest, and the hierarchy.

    Raises:
        FileFormatError: the skeleton of a motion is missing or cannot be read.
        ClipError: a file is damaged; the message names the line and what was expected.
    """
    if _kind(text[:_HEAD_CHARACTERS]) == "skeleton":
        skeleton = acclaim_skeleton.parse(path, text)
        values, frames, rate = {}, 2, None
        note = {"note": "a skeleton without motion: its rest pose"}
    else:
        skeleton_path = _find_skeleton(path, options)
        skeleton = acclaim_skeleton.parse(skeleton_path, _skeleton_text(skeleton_path))
        motion = _parse_motion(path, text)
        values, frames, rate = _values(path, motion, skeleton), motion.frames, motion.fps
        note = {"skeleton_file": skeleton_path.name}
    fps, fps_text = _rate(path, rate, options)
    positions, quats = skeleton.poses(values, frames)
    world = _world(path, options, skeleton, positions)
    names = [bone.name for bone in skeleton.bones]
    more = {"fps_text": fps_text, **note}
    return motion_of_bodies(
        path, FORMAT, world, fps, names, skeleton.parents, positions, quats, more
    )


def _kind(head: str) -> str:
    """What a text begins like: "motion", "skeleton", or "" for neither."""
    lines = [without_comment(line).split() for line in split_lines(head)]
    filled = [words for words in lines if words]
    for i, words in enumerate(filled):
        keyword = words[0][1:].lower() if words[0][0] == ":" else ""
        if keyword in _MOTION_KEYWORDS:
            return "motion"
        if keyword in acclaim_skeleton.KEYWORDS:
            return "skeleton"
        if not keyword:
            follows = " ".join(filled[i + 1]) if i + 1 < len(filled) else ""
            is_frame = len(words) == 1 and _FRAME.fullmatch(words[0])
            return "motion" if is_frame and _BONE_LINE.fullmatch(follows) else ""
    return ""


def _rate(path: Path, stated: float | None, options: ReadOptions) -> tuple[float, str]:
    """Frames a second [1/s], and where they are known from."""
    if options.fps is not None:
        return check_fps(options.fps, str(path)), f"{options.fps:g} (as given)"
    if stated is not None:
        return check_fps(stated, f"{path}: {_RATE}"), f"{stated:g} (from the file)"
    return CMU_FPS, f"{CMU_FPS:g} (CMU's; the file has no frame rate)"


def _find_skeleton(path: Path, options: ReadOptions) -> Path:
    """The skeleton of a motion: as given, or the likeliest name beside it."""
    if options.skeleton is not None:
        return Path(options.skeleton)
    try:
        files = sorted(file for file in path.parent.iterdir() if file.suffix.lower() == ".asf")
    except OSError as error:
        raise FileFormatError(
            f"{path}: its folder cannot be searched for a skeleton ({error.strerror or error}); "
            "give one with --skeleton."
        ) from error
    stems = [path.stem, path.stem.rpartition("_")[0], path.stem.rstrip("0123456789")]
    wanted = list(dict.fromkeys(stem for stem in stems if stem))
    for stem in wanted:
        for file in files:
            if file.stem.lower() == stem.lower():
                return file
    if len(files) == 1:
        return files[0]
    looked = ", ".join(f"{stem}.asf" for stem in wanted)
    found = f"{len(files)} others" if files else "no .asf file at all"
    raise FileFormatError(
        f"{path}: a motion needs its skeleton; looked beside it for {looked}, found {found}; "
        "give one with --skeleton."
    )


def _skeleton_text(path: Path) -> str:
    """The text of a skeleton file."""
    try:
        size = path.stat().st_size
        if size > acclaim_skeleton.MAX_CHARACTERS:
            raise FileFormatError(
                f"{path}: has {size} bytes, "
                f"expected a skeleton of at most {acclaim_skeleton.MAX_CHARACTERS}."
            )
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileFormatError(f"{path}: the skeleton cannot be read ({reason}).") from error
    if _kind(text[:_HEAD_CHARACTERS]) != "skeleton":
        raise FileFormatError(f"{path}: is not an Acclaim skeleton (ASF).")
    return text


def _parse_motion(path: Path, text: str) -> _Motion:
    """Finds the frames and, in each, the lines of the bones."""
    lines = split_lines(text)
    rows: dict[str, list[int]] = {}
    frames, last = 0, 0
    degrees, fps = None, None
    for i, line in enumerate(lines):
        if "#" in line:
            line = lines[i] = without_comment(line)
        words = line.split(None, 1)
        if not words:
            continue
        name, rest = words[0], "".join(words[1:])
        where = f"{path}: line {i + 1}"
        if name[0] == ":":
            keyword = name[1:].lower()
            if keyword in ("degrees", "radians"):
                degrees = keyword == "degrees"
            elif keyword == _RATE:
                fps = parse_number(rest, f"{where}: {keyword}")
        elif _FRAME.fullmatch(name):
            number = int(name)
            if frames and number != last + 1:
                raise ClipError(f"{where}: frame {number} follows frame {last}.")
            frames, last = frames + 1, number
        else:
            key = name.lower()
            found = rows.setdefault(key, [])
            if not frames:
                raise ClipError(f"{where} is {shown(line)}, expected the number of a frame.")
            if len(found) != frames - 1:
                what = "comes twice" if len(found) >= frames else "has been left out before"
                raise ClipError(f"{where}: bone {shown(key)} {what} in frame {last}.")
            found.append(i)
    for key, found in rows.items():
        if len(found) != frames:
            raise ClipError(f"{path}: the last frame, {last}, has no values of bone {shown(key)}.")
    return _Motion(lines=lines, rows=rows, frames=frames, degrees=degrees, fps=fps)


def _values(path: Path, motion: _Motion, skeleton: Skeleton) -> dict[str, Array]:
    """Values of each bone that moves [file's unit, rad], (T, dofs), by the skeleton's names."""
    hierarchy.check_size(motion.frames, len(skeleton.bones), str(path))
    degrees = skeleton.degrees if motion.degrees is None else motion.degrees
    bones = {bone.name.lower(): bone for bone in skeleton.bones}
    out = {}
    for key, rows in motion.rows.items():
        where = f"{path}: line {rows[0] + 1}"
        if key not in bones:
            raise ClipError(f"{where}: the skeleton has no bone {shown(key)}.")
        bone = bones[key]
        if not bone.dofs:
            raise ClipError(f"{where}: bone {bone.name!r} has no degrees of freedom.")
        labels = [f"{dof} of bone {bone.name!r}" for dof in bone.dofs]
        values = parse_table(path, motion.lines, rows, labels, skip=1)
        if degrees:
            turns = [i for i, dof in enumerate(bone.dofs) if dof[0] == "r"]
            values[:, turns] = np.radians(values[:, turns])
        out[bone.name] = values
    return out


def _world(path: Path, options: ReadOptions, skeleton: Skeleton, positions: Array) -> units.World:
    """Unit and axis: the unit that the skeleton states, if its rest pose is then a body."""
    names = [bone.name for bone in skeleton.bones]
    if skeleton.length is None:
        return units.infer_world(positions, names, options, path)
    stated = INCH_M / skeleton.length
    rest, _ = skeleton.poses({}, 1)
    size = stated * float(np.max(np.ptp(rest[0], axis=0)))
    if _REST_RANGE_M[0] <= size <= _REST_RANGE_M[1]:
        return units.infer_world(positions, names, options, path, unit_m=stated)
    world = units.infer_world(positions, names, options, path)
    if options.unit_m is not None:
        return world
    said = f"; not {stated:.3g} m, an inch / length, at which it would be {size:.3g} m large)"
    return replace(world, unit_text=world.unit_text.removesuffix(")") + said)
