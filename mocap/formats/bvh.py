"""Reader of BVH (Biovision Hierarchy): a tree of joints and their channels in each frame.

Format (Meredith and Maddock 2001, "Motion Capture File Formats Explained"): a HIERARCHY of nested
joints, each with an OFFSET from its parent and a list of CHANNELS; then MOTION with the number of
frames, the time between them, and one line of channel values a frame, angles in degrees. Nothing
says how long a unit is or which axis points up: ``units`` infers both.

Conventions where programs differ:

- A joint's rotation is the product of its channels in the order of the file, R = R1 R2 R3.
- A position channel replaces that component of the OFFSET, at the root as elsewhere; its place
  among the rotation channels does not matter.
- An End Site is a marker "<joint>_end" with its parent's orientation.
- Several ROOTs are read as one set of markers. Names that come again are numbered.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap.formats import hierarchy, units
from legged_skills.mocap.formats.reading import motion_of_bodies, plain_rate
from legged_skills.mocap.formats.text import (
    check_length,
    parse_number,
    parse_table,
    shown,
    split_lines,
)
from legged_skills.mocap.source import ReadOptions, SourceMotion, check_fps
from legged_skills.robots import rotations
from legged_skills.robots.errors import ClipError

Array = NDArray[np.floating]

FORMAT = "BVH"

_MAX_HEADER_CHARACTERS = 10_000
_CHANNEL = re.compile(r"([xyz])(position|rotation)", re.IGNORECASE)
_FRAMES = re.compile(r"\s*frames\s*:\s*(\d{1,9})\s*", re.IGNORECASE)
_FRAME_TIME = re.compile(r"\s*frame\s*time\s*:\s*(\S+)\s*", re.IGNORECASE)


@dataclass(kw_only=True)
class _Joint:
    """One joint or End Site of the hierarchy, filled in as its lines are read."""

    name: str
    parent: int
    line: int
    is_end: bool = False
    offset: tuple[float, ...] | None = None
    channels: tuple[tuple[str, str], ...] = ()
    """Axis "x", "y" or "z", and kind "position" or "rotation", in the order of the file."""


def sniff(head: str) -> bool:
    """Whether a text begins like this format: with the word HIERARCHY.

    Args:
        head: the first characters of the file.

    Returns:
        True if its first word is HIERARCHY.
    """
    return re.match(r"\s*hierarchy\b", head, re.IGNORECASE) is not None


def read(path: Path, text: str, options: ReadOptions) -> SourceMotion:
    """Reads a BVH file.

    Args:
        path: where the text is from, for messages.
        text: the whole file.
        options: what the user says about rate, unit and axis.

    Returns:
        The motion of all joints and End Sites, with orientations and hierarchy.

    Raises:
        ClipError: the file is damaged; the message names the line and what was expected.
    """
    lines = split_lines(text)
    joints, start = _parse_hierarchy(path, lines)
    frames, frame_time, start = _parse_motion_head(path, lines, start)
    fps = _rate(path, frame_time, options)
    values = _parse_values(path, lines, start, frames, joints)
    names = hierarchy.unique_names([joint.name for joint in joints])
    parents = tuple(joint.parent for joint in joints)
    positions, quats = hierarchy.forward_kinematics(parents, *_local_poses(joints, values))
    world = units.infer_world(positions, names, options, path)
    return motion_of_bodies(path, FORMAT, world, fps, names, parents, positions, quats)


def _parse_hierarchy(path: Path, lines: list[str]) -> tuple[list[_Joint], int]:
    """The joints, parents before children, and the index of the line after MOTION."""
    joints: list[_Joint] = []
    open_joints: list[int] = []
    opening = False  # the last joint waits for its brace
    for number, words in _statements(path, lines):
        where = f"{path}: line {number}"
        key = words[0].lower()
        if opening != (key == "{"):
            expected = f"'{{' after {joints[-1].name!r}" if opening else "a joint before '{'"
            raise ClipError(f"{where} is {shown(' '.join(words))}, expected {expected}.")
        if key == "{":
            open_joints.append(len(joints) - 1)
            opening = False
        elif key == "motion":
            _check_closed(path, joints, open_joints)
            return joints, number
        elif key in ("root", "joint", "end", "endsite"):
            joints.append(_new_joint(where, number, words, joints, open_joints))
            opening = True
        elif key == "}":
            if not open_joints:
                raise ClipError(f"{where} has a '}}' too many.")
            joint = joints[open_joints.pop()]
            if joint.offset is None:
                raise ClipError(f"{where}: joint {joint.name!r} ends without an OFFSET.")
        elif key in ("offset", "channels"):
            if not open_joints:
                raise ClipError(f"{where} has {key.upper()} outside of a joint.")
            _set_field(where, key, words[1:], joints[open_joints[-1]])
        elif key != "hierarchy" or joints:
            raise ClipError(
                f"{where} is {shown(' '.join(words))}, "
                "expected JOINT, End Site, OFFSET, CHANNELS, a brace or MOTION."
            )
    raise ClipError(f"{path}: has no MOTION section, expected one after the hierarchy.")


def _statements(path: Path, lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and words; braces stand alone, wherever in a line they are."""
    for number, line in enumerate(lines, start=1):
        check_length(line, _MAX_HEADER_CHARACTERS, f"{path}: line {number}")
        for piece in re.findall(r"[{}]|[^{}]+", line):
            if words := piece.split():
                yield number, words


def _new_joint(
    where: str, number: int, words: list[str], joints: list[_Joint], open_joints: list[int]
) -> _Joint:
    """A joint from its first line, or an error if it must not stand here."""
    key, name = words[0].lower(), " ".join(words[1:])
    if len(joints) >= hierarchy.MAX_POINTS:
        raise ClipError(f"{where}: more than {hierarchy.MAX_POINTS} joints are not a body.")
    if key == "root":
        if open_joints:
            raise ClipError(f"{where} has a ROOT inside of joint {joints[open_joints[-1]].name!r}.")
    elif not open_joints:
        raise ClipError(f"{where} has {shown(' '.join(words))} outside of a ROOT.")
    parent = open_joints[-1] if open_joints else -1
    if parent >= 0 and joints[parent].is_end:
        raise ClipError(f"{where} has a joint inside of an End Site, which ends a limb.")
    if key in ("end", "endsite"):
        end_name = f"{joints[parent].name}_end"
        return _Joint(name=end_name, parent=parent, line=number, is_end=True)
    if not name:
        raise ClipError(f"{where}: a {words[0].upper()} has no name.")
    return _Joint(name=name, parent=parent, line=number)


def _set_field(where: str, key: str, words: list[str], joint: _Joint) -> None:
    """Takes over an OFFSET or CHANNELS line."""
    if key == "offset":
        if len(words) != 3:
            raise ClipError(
                f"{where}: the OFFSET of {joint.name!r} has {len(words)} numbers, expected 3."
            )
        joint.offset = tuple(
            parse_number(w, f"{where}: the OFFSET of {joint.name!r}") for w in words
        )
        return
    count, names = words[0] if words else "", words[1:]
    if joint.is_end or joint.channels:
        raise ClipError(f"{where} has CHANNELS that {joint.name!r} must not have.")
    if count != str(len(names)):
        raise ClipError(
            f"{where}: CHANNELS of {joint.name!r} says {shown(count)} "
            f"and names {len(names)} channels."
        )
    matches = [_CHANNEL.fullmatch(name) for name in names]
    channels = tuple((m[1].lower(), m[2].lower()) for m in matches if m)
    if len(channels) < len(names):
        bad = next(name for name, match in zip(names, matches, strict=True) if not match)
        raise ClipError(
            f"{where}: {shown(bad)} is not a channel, expected X, Y or Z and position or rotation."
        )
    if len(set(channels)) < len(channels):
        raise ClipError(f"{where}: a channel of {joint.name!r} is named twice.")
    joint.channels = channels


def _check_closed(path: Path, joints: list[_Joint], open_joints: list[int]) -> None:
    """Rejects a hierarchy that is empty, unfinished, or does not move."""
    if not joints:
        raise ClipError(f"{path}: the HIERARCHY has no ROOT.")
    if open_joints:
        joint = joints[open_joints[-1]]
        raise ClipError(f"{path}: line {joint.line}: joint {joint.name!r} has no closing '}}'.")
    if not any(joint.channels for joint in joints):
        raise ClipError(f"{path}: no joint has CHANNELS, so that nothing moves.")


def _parse_motion_head(path: Path, lines: list[str], start: int) -> tuple[int, str, int]:
    """The stated number of frames, the text of the frame time, and where the values begin."""
    frames, start = _header_value(path, lines, start, _FRAMES, "Frames: <count>")
    frame_time, start = _header_value(path, lines, start, _FRAME_TIME, "Frame Time: <seconds>")
    return int(frames), frame_time, start


def _header_value(
    path: Path, lines: list[str], start: int, pattern: re.Pattern[str], expected: str
) -> tuple[str, int]:
    """The value on the next line that is not blank, and the index of the line after it."""
    at = next((i for i in range(start, len(lines)) if lines[i].strip()), None)
    if at is None:
        raise ClipError(f"{path}: ends after line {start}, expected {expected!r}.")
    match = pattern.fullmatch(lines[at])
    if match is None:
        raise ClipError(f"{path}: line {at + 1} is {shown(lines[at])}, expected {expected!r}.")
    return match[1], at + 1


def _rate(path: Path, frame_time: str, options: ReadOptions) -> float:
    """Frames a second [1/s], a whole number where the file's text is one but for rounding."""
    if options.fps is not None:
        return check_fps(options.fps, str(path))
    seconds = parse_number(frame_time, f"{path}: the Frame Time")
    if not seconds > 0:
        raise ClipError(f"{path}: the Frame Time is {seconds:g} s, expected a positive number.")
    return plain_rate(check_fps(1 / seconds, f"{path}: Frame Time {seconds:g} s"))


def _parse_values(
    path: Path, lines: list[str], start: int, frames: int, joints: list[_Joint]
) -> Array:
    """The channels of all frames, (T, C)."""
    filled = [i for i in range(start, len(lines)) if lines[i] and not lines[i].isspace()]
    if len(filled) != frames:
        raise ClipError(
            f"{path}: has {len(filled)} lines of values, "
            f"expected {frames}, the number after 'Frames:'."
        )
    hierarchy.check_size(frames, len(joints), str(path))
    labels = [
        f"{axis.upper()}{kind} of {joint.name!r}"
        for joint in joints
        for axis, kind in joint.channels
    ]
    return parse_table(path, lines, filled, labels)


def _local_poses(joints: list[_Joint], values: Array) -> tuple[Array, Array]:
    """Positions (T, M, 3) and quaternions wxyz (T, M, 4) of the joints in their parents."""
    shape = (len(values), len(joints))
    positions = np.empty((*shape, 3))
    positions[:] = [joint.offset for joint in joints]
    quats = rotations.identity(shape)
    column = 0
    for m, joint in enumerate(joints):
        turned = []  # axis and column of the joint's rotation channels
        for axis, kind in joint.channels:
            if kind == "position":
                positions[:, m, "xyz".index(axis)] = values[:, column]
            else:
                turned.append((axis, column))
            column += 1
        if turned:
            angles = np.radians(values[:, [c for _, c in turned]])
            quats[:, m] = hierarchy.euler("".join(axis for axis, _ in turned), angles)
    return positions, quats
