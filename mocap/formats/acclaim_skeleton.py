"""Acclaim skeletons (ASF): bones, their axes and degrees of freedom, and the rest pose.

Format (Schafer 1994, "Acclaim Skeleton File Definition V1.10"): sections that begin with a
keyword after a colon. A bone is given by its direction and length in the world at rest, its axes C
at rest, and the degrees of freedom of its motion M about those axes; in the parent's frame it is
turned by C M C^-1. "axis 10 20 30 XYZ" means 10, 20 and 30 about x, y and z of the world, about x
first; the turns of M come in the order of the degrees of freedom. Every bone starts where its
parent ends, so that a bone's end is all that needs a name: the markers are "root" and the end of
each bone, by the bone's name ("ltibia" is the ankle).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap.formats import hierarchy
from legged_skills.mocap.formats.text import parse_number, shown, split_lines, without_comment
from legged_skills.robots import rotations
from legged_skills.robots.errors import ClipError

Array = NDArray[np.floating]
Line = tuple[int, list[str]]
"""A line's number and words."""

ROOT = "root"
KEYWORDS = ("version", "name", "units", "documentation", "root", "bonedata", "hierarchy", "skin")
"""The sections of the definition; others are skipped."""

MAX_CHARACTERS = 2_000_000
"""A longer file is no skeleton; CMU's have 7,000."""

_SHIFTS = ("tx", "ty", "tz")
_TURNS = ("rx", "ry", "rz")
_STRETCH = "l"
_DOFS = (*_SHIFTS, *_TURNS, _STRETCH)
_NO_BRACKETS = str.maketrans("(),", "   ")


@dataclass(frozen=True, kw_only=True)
class Bone:
    """One bone, or the root, which is a bone without length."""

    name: str
    direction: tuple[float, ...]
    """From start to end in the world at rest, a unit vector, (3,)."""
    length: float
    """In the file's unit."""
    axis_wxyz: Array
    """The bone's axes C in the world at rest, a unit quaternion wxyz, (4,)."""
    dofs: tuple[str, ...]
    """What the motion gives, in its order: "tx" ... "tz", "rx" ... "rz", or "l" (stretch)."""
    start: tuple[float, ...] = (0.0, 0.0, 0.0)
    """Where it starts from the end of its parent, (3,); other than zero only for the root."""


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """A tree of bones at rest."""

    bones: tuple[Bone, ...]
    """The root first, parents before their children, (M,)."""
    parents: tuple[int, ...]
    """Index of each bone's parent, -1 for the root, (M,)."""
    length: float | None = None
    """The unit "length": units of the file in an inch, as CMU's files use it, if stated."""
    degrees: bool = True
    """Whether angles are in degrees rather than radians."""

    def poses(self, motion: Mapping[str, Array], frames: int) -> tuple[Array, Array]:
        """Ends and orientations of all bones (the transforms of Schafer 1994).

        Args:
            motion: values of the degrees of freedom of each bone that moves, by its name [file's
                unit, rad], (T, number of dofs); the other bones stay at rest.
            frames: T.

        Returns:
            Positions in the file's unit and axes, (T, M, 3), and rotations from the pose at
            rest as unit quaternions wxyz, (T, M, 4).
        """
        shape = (frames, len(self.bones))
        positions, quats = np.zeros((*shape, 3)), rotations.identity(shape)
        for m, bone in enumerate(self.bones):
            values = motion.get(bone.name, np.zeros((frames, len(bone.dofs))))
            positions[:, m], quats[:, m] = _local_pose(bone, values)
        return hierarchy.forward_kinematics(self.parents, positions, quats)


def fixed_axes(order: str, angles: Array) -> Array:
    """Turns about the fixed axes one after the other, the first letter first.

    Args:
        order: letters "x", "y", "z"; "xyz" gives R = Rz Ry Rx.
        angles: one angle per letter, in their order [rad], (..., K).

    Returns:
        Unit quaternions wxyz, (..., 4).
    """
    return hierarchy.euler(order[::-1], angles[..., ::-1])


def _local_pose(bone: Bone, values: Array) -> tuple[Array, Array]:
    """A bone's end (T, 3) and rotation wxyz (T, 4) in the frame of its parent's end."""
    zero = np.zeros(len(values))
    columns = {dof: values[:, i] for i, dof in enumerate(bone.dofs)}
    shift = np.stack([columns.get(dof, zero) for dof in _SHIFTS], axis=-1)
    turns = [i for i, dof in enumerate(bone.dofs) if dof in _TURNS]
    motion = fixed_axes("".join(bone.dofs[i][1] for i in turns), values[:, turns])
    turned = rotations.multiply(bone.axis_wxyz, motion)
    if bone.name != ROOT:
        turned = rotations.multiply(turned, rotations.conjugate(bone.axis_wxyz))
    length = bone.length + columns.get(_STRETCH, zero)
    along = rotations.rotate(turned, length[:, None] * np.array(bone.direction))
    return np.array(bone.start) + rotations.rotate(bone.axis_wxyz, shift) + along, turned


def parse(path: Path, text: str) -> Skeleton:
    """Reads a skeleton file.

    Args:
        path: where the text is from, for messages.
        text: the whole file.

    Returns:
        The skeleton.

    Raises:
        ClipError: the file is damaged; the message names the line and what was expected.
    """
    if len(text) > MAX_CHARACTERS:
        raise ClipError(
            f"{path}: has {len(text)} characters, expected a skeleton of at most {MAX_CHARACTERS}."
        )
    sections = _sections(path, text)
    unit_lines = _fields(sections.get("units", []))
    degrees = _is_degrees(path, unit_lines)
    length = _numbers(path, unit_lines, "length", 1)[0] if "length" in unit_lines else None
    if length is not None and not length > 0:
        raise ClipError(f"{path}: the unit of length is {length:g}, expected more than 0.")
    for name in ("root", "bonedata", "hierarchy"):
        if name not in sections:
            raise ClipError(f"{path}: has no :{name} section, expected an Acclaim skeleton.")
    found = [_root(path, sections["root"], degrees), *_bones(path, sections["bonedata"], degrees)]
    if len(found) > hierarchy.MAX_POINTS:
        raise ClipError(f"{path}: has {len(found)} bones, expected at most {hierarchy.MAX_POINTS}.")
    bones: dict[str, Bone] = {}
    for bone in found:
        if bone.name.lower() in bones:
            raise ClipError(f"{path}: has two bones with the name {bone.name!r}.")
        bones[bone.name.lower()] = bone
    order, parents = _tree(path, sections["hierarchy"], bones)
    return Skeleton(
        bones=tuple(bones[name] for name in order),
        parents=parents,
        length=length,
        degrees=degrees,
    )


def _sections(path: Path, text: str) -> dict[str, list[Line]]:
    """The lines of each section, without comments and brackets."""
    sections: dict[str, list[Line]] = {}
    current: list[Line] = []
    for number, line in enumerate(split_lines(text), start=1):
        words = without_comment(line).translate(_NO_BRACKETS).split()
        if not words:
            continue
        if words[0][0] != ":":
            current.append((number, words))
            continue
        name = words[0][1:].lower()
        if name in sections:
            raise ClipError(f"{path}: line {number} begins a second section :{shown(name)}.")
        current = sections[name] = []
    return sections


def _fields(lines: Sequence[Line]) -> dict[str, Line]:
    """The words after the first word of each line, by that word; a field's last line counts."""
    return {words[0].lower(): (number, words[1:]) for number, words in lines}


def _numbers(path: Path, fields: Mapping[str, Line], key: str, count: int) -> list[float]:
    """The first numbers of a field that must be there."""
    number, words = fields[key]
    if len(words) < count:
        raise ClipError(f"{path}: line {number}: {key} has {len(words)} values, expected {count}.")
    return [parse_number(word, f"{path}: line {number}: {key}") for word in words[:count]]


def _is_degrees(path: Path, fields: Mapping[str, Line]) -> bool:
    """Whether the unit of angles is the degree, which it is if nothing is said."""
    number, words = fields.get("angle", (0, ["deg"]))
    unit = words[0].lower() if words else ""
    if not unit.startswith(("deg", "rad")):
        raise ClipError(f"{path}: line {number}: angle is {shown(unit)}, expected deg or rad.")
    return unit.startswith("deg")


def _axes(order: str, angles: Sequence[float], degrees: bool) -> Array:
    """The quaternion wxyz of angles about x, y and z, turned by in an order such as "zyx"."""
    sequence = np.array([angles["xyz".index(axis)] for axis in order])
    return fixed_axes(order, np.radians(sequence) if degrees else sequence)


def _axis_order(path: Path, number: int, words: Sequence[str]) -> str:
    """An order of rotations such as "XYZ"."""
    order = words[0].lower() if words else ""
    if sorted(order) != ["x", "y", "z"]:
        raise ClipError(
            f"{path}: line {number}: the order of the axis is {shown(order)}, expected e.g. XYZ."
        )
    return order


def _dofs(path: Path, number: int, words: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Degrees of freedom, each at most once."""
    dofs = tuple(word.lower() for word in words)
    for dof in dofs:
        if dof not in known or dofs.count(dof) > 1:
            raise ClipError(
                f"{path}: line {number}: {shown(dof)} is not a degree of freedom or comes twice, "
                f"expected {', '.join(known)}."
            )
    return dofs


def _root(path: Path, lines: Sequence[Line], degrees: bool) -> Bone:
    """The root as a bone without length, placed and turned before all motion."""
    fields = _fields(lines)
    if "order" not in fields:
        raise ClipError(f"{path}: the :root section has no order of its values.")
    place, turn = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
    if "position" in fields:
        place = _numbers(path, fields, "position", 3)
    if "orientation" in fields:
        turn = _numbers(path, fields, "orientation", 3)
    axis = _axis_order(path, *fields["axis"]) if "axis" in fields else "xyz"
    return Bone(
        name=ROOT,
        direction=(0.0, 0.0, 0.0),
        length=0.0,
        axis_wxyz=_axes(axis, turn, degrees),
        dofs=_dofs(path, *fields["order"], (*_SHIFTS, *_TURNS)),
        start=tuple(place),
    )


def _bones(path: Path, lines: Sequence[Line], degrees: bool) -> Iterator[Bone]:
    """The bones between begin and end."""
    block: list[Line] | None = None
    begin = 0
    for number, words in lines:
        key = words[0].lower()
        if (key == "begin") == (block is not None) and key in ("begin", "end"):
            raise ClipError(f"{path}: line {number} has {key!r} in the wrong place.")
        if key == "begin":
            block, begin = [], number
        elif key == "end":
            yield _bone(path, begin, _fields(block or []), degrees)
            block = None
        elif block is None:
            raise ClipError(
                f"{path}: line {number} is {shown(' '.join(words))}, expected 'begin' of a bone."
            )
        else:
            block.append((number, words))
    if block is not None:
        raise ClipError(f"{path}: the bone that begins on line {begin} has no 'end'.")


def _bone(path: Path, begin: int, fields: Mapping[str, Line], degrees: bool) -> Bone:
    """One bone from its lines."""
    for key in ("name", "direction", "length", "axis"):
        if key not in fields or not fields[key][1]:
            raise ClipError(f"{path}: the bone that begins on line {begin} has no {key}.")
    direction = np.array(_numbers(path, fields, "direction", 3))
    length = _numbers(path, fields, "length", 1)[0]
    norm = float(np.linalg.norm(direction))
    if length < 0 or (length > 0 and not norm > 0):
        raise ClipError(
            f"{path}: line {fields['length'][0]}: the length is {length:g} along a direction of "
            f"length {norm:g}, expected at least 0 along a direction."
        )
    number, axis = fields["axis"]
    angles = _numbers(path, fields, "axis", 3)
    return Bone(
        name=fields["name"][1][0],
        # Schafer's directions are unit vectors, those of files are so but for rounding.
        direction=tuple(direction / norm if norm > 0 else direction),
        length=length,
        axis_wxyz=_axes(_axis_order(path, number, axis[3:]), angles, degrees),
        dofs=_dofs(path, *fields["dof"], _DOFS) if "dof" in fields else (),
    )


def _tree(
    path: Path, lines: Sequence[Line], bones: Mapping[str, Bone]
) -> tuple[list[str], tuple[int, ...]]:
    """Names of the bones, parents before children, and the index of each one's parent."""
    children: dict[str, list[str]] = {}
    parent_of: dict[str, str] = {}
    for number, words in lines:
        names = [word.lower() for word in words]
        if names in (["begin"], ["end"]):
            continue
        for name in names:
            if name not in bones:
                raise ClipError(f"{path}: line {number}: there is no bone {shown(name)}.")
        for child in names[1:]:
            if child in parent_of or child == ROOT:
                raise ClipError(f"{path}: line {number}: {child!r} has a second parent.")
            parent_of[child] = names[0]
            children.setdefault(names[0], []).append(child)
    order: list[str] = []
    waiting = [ROOT]
    while waiting:
        order.append(waiting.pop())
        waiting += reversed(children.get(order[-1], []))
    # Those in a circle have parents, but no way from the root.
    found = set(order)
    lost = [name for name in bones if name not in found]
    if lost:
        raise ClipError(
            f"{path}: the :hierarchy does not lead to the bone {bones[lost[0]].name!r}."
        )
    index = {name: i for i, name in enumerate(order)}
    return order, tuple(index[parent_of[name]] if name != ROOT else -1 for name in order)
