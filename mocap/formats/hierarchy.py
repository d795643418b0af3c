"""Forward kinematics of a hierarchy of joints, over all frames of a recording at once.

Letters in the shape comments: ``T`` frames, ``M`` joints and other points of the hierarchy.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from legged_skills.robots import rotations
from legged_skills.robots.errors import ClipError

Array = NDArray[np.floating]

MAX_POINTS = 1000
"""More joints than this in one file are not a body."""
MAX_POSES = 10_000_000
"""Frames times points of the longest recording that is read: 0.6 GB of poses."""

_UNIT_VECTORS = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}


def euler(axes: str, angles: Array) -> Array:
    """The rotation R = R(first axis) R(second axis) ..., each about its own turned axis.

    The same product is a turn about the fixed axes, the last one first.

    Args:
        axes: letters "x", "y", "z" in the order of the product; "" gives identity.
        angles: one angle per letter [rad], (..., K).

    Returns:
        Unit quaternions wxyz, (..., 4).

    Raises:
        ValueError: the last axis of ``angles`` is not one angle per letter.
    """
    angles = np.asarray(angles, dtype=np.float64)
    if angles.shape[-1] != len(axes):
        raise ValueError(f"angles must have {len(axes)} as their last axis, got {angles.shape}")
    out = rotations.identity(angles.shape[:-1])
    for i, axis in enumerate(axes):
        turn = rotations.from_axis_angle(np.array(_UNIT_VECTORS[axis]), angles[..., i])
        out = turn if i == 0 else rotations.multiply(out, turn)
    return out


def forward_kinematics(
    parents: Sequence[int], positions: Array, quats: Array
) -> tuple[Array, Array]:
    """Poses in the world of a tree of joints.

    From the root outwards, x = x_parent + R_parent x_local and R = R_parent R_local.

    Args:
        parents: index of each joint's parent, less than its own, or -1 for a root, (M,).
        positions: where each joint is in its parent's frame [any unit], (T, M, 3).
        quats: how each joint is turned in its parent's frame, unit wxyz, (T, M, 4).

    Returns:
        Positions in the world [the same unit], (T, M, 3), and orientations wxyz, (T, M, 4).

    Raises:
        ValueError: shapes do not fit, or a joint stands before its parent.
    """
    frames, points = len(positions), len(parents)
    if positions.shape != (frames, points, 3) or quats.shape != (frames, points, 4):
        raise ValueError(
            f"positions and quats must be ({frames}, {points}, 3) and ({frames}, {points}, 4), "
            f"got {positions.shape} and {quats.shape}"
        )
    world_positions = np.array(positions, dtype=np.float64)
    world_quats = np.array(quats, dtype=np.float64)
    for joint, parent in enumerate(parents):
        if parent >= joint:
            raise ValueError(f"joint {joint} has the parent {parent}, which must come before it")
        if parent < 0:
            continue
        turn = world_quats[:, parent]
        world_positions[:, joint] = world_positions[:, parent] + rotations.rotate(
            turn, positions[:, joint]
        )
        world_quats[:, joint] = rotations.multiply(turn, quats[:, joint])
    return world_positions, world_quats


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Names made distinct: the second "Bone" becomes "Bone_2", the third "Bone_3".

    Args:
        names: names in order, of which some may be equal.

    Returns:
        As many distinct names; a name that is the first of its kind stays.
    """
    taken = set(names)
    seen: set[str] = set()
    counts: dict[str, int] = {}
    out = []
    for name in names:
        new = name
        while new in seen or (new != name and new in taken):
            counts[name] = counts.get(name, 1) + 1
            new = f"{name}_{counts[name]}"
        seen.add(new)
        out.append(new)
    return tuple(out)


def check_size(frames: int, points: int, where: str) -> None:
    """Rejects recordings whose poses would take more memory than a machine may have.

    Args:
        frames: T.
        points: M.
        where: the file, for the message.

    Raises:
        ClipError: there are too few frames to move, or too many poses.
    """
    if frames < 2:
        raise ClipError(f"{where}: has {frames} frame(s), a motion needs at least 2.")
    if frames * points > MAX_POSES:
        raise ClipError(
            f"{where}: has {frames} frames of {points} points, "
            f"expected at most {MAX_POSES} poses; split the file."
        )
