"""Which points of a source are joined by lines, and on which side they are, for pictures."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap.formats import dog_keypoints
from legged_skills.mocap.source import SourceMotion

_NONE = -1
# The key points have no hierarchy in the file; these keep their distances in the data: hips,
# spine, neck and head; fore legs from the neck's root to the paws; hind legs from the hips; tail.
_DOG_PARENTS = (
    *(_NONE, 0, 1, 2, 3, 4),
    *(3, 6, 7, 8, 9),
    *(3, 11, 12, 13, 14),
    *(0, 16, 17, 18),
    *(0, 20, 21, 22),
    *(0, 24, 25),
)
_ROLE_CHAINS = (
    ("head", "neck", "pelvis"),
    *(
        chain
        for side in ("left", "right")
        for chain in (
            (f"{side}_wrist", f"{side}_elbow", f"{side}_shoulder", "neck"),
            (f"{side}_toe", f"{side}_ankle", f"{side}_knee", f"{side}_hip", "pelvis"),
            (f"{side}_fore_paw", f"{side}_shoulder"),
            (f"{side}_hind_paw", f"{side}_hip"),
            (f"{side}_shoulder", f"{side}_hip"),
        )
    ),
    ("left_shoulder", "right_shoulder"),
    ("left_hip", "right_hip"),
)
"""What is joined where there is no hierarchy; roles that a source lacks are left out."""
_STRETCH = 0.5
"""A line whose length varies by more than this share of its median is no bone, e.g. from a root
at the origin of the world to the hips."""


class Bones(NamedTuple):
    """Lines between points of a source. B is their number, M that of the points."""

    starts: NDArray[np.integer]
    """Indices of the points where they begin, (B,)."""
    ends: NDArray[np.integer]
    """Indices of the points where they end, (B,)."""
    sides: NDArray[np.integer]
    """For each point 1 if it belongs to the left side, -1 to the right, 0 to neither, (M,)."""


def bones_of(motion: SourceMotion) -> Bones:
    """The lines to draw for a source.

    They are its hierarchy, or what is known of its format, or else join points that have roles.

    Args:
        motion: the source, its joints identified (``identify.identify``).
    """
    parents = motion.parents
    if parents is None and motion.marker_names == dog_keypoints.MARKER_NAMES:
        parents = _DOG_PARENTS
    if parents is None:
        lines = np.array(_role_pairs(motion.marker_names), dtype=int).reshape(-1, 2)
        parents = (_NONE,) * len(motion.marker_names)
    else:
        pairs = [(parent, child) for child, parent in enumerate(parents) if parent != _NONE]
        lines = np.array(pairs, dtype=int).reshape(-1, 2)
        along = motion.positions_w[:, lines[:, 0]] - motion.positions_w[:, lines[:, 1]]
        length = np.linalg.norm(along, axis=-1)
        lines = lines[np.ptp(length, axis=0) <= _STRETCH * np.median(length, axis=0) + 1e-3]
    return Bones(lines[:, 0], lines[:, 1], _sides(motion.marker_names, parents))


def _role_pairs(names: tuple[str, ...]) -> list[tuple[int, int]]:
    """Neighbours in the chains of roles, of those that there are."""
    pairs = []
    for chain in _ROLE_CHAINS:
        found = [names.index(role) for role in chain if role in names]
        pairs += list(zip(found[1:], found[:-1], strict=True))
    return pairs


def _sides(names: tuple[str, ...], parents: tuple[int, ...]) -> NDArray[np.integer]:
    """Sides by the names of roles; a point without one is on the side of its parent."""
    sides = np.zeros(len(names), dtype=int)
    for index, name in enumerate(names):
        sides[index] = name.startswith("left_") - name.startswith("right_")
    # Parents may come after their children: as often as the deepest of them may need it.
    for _ in range(len(names)):
        inherited = [
            sides[p] if p != _NONE and not s else s for p, s in zip(parents, sides, strict=True)
        ]
        if np.array_equal(inherited, sides):
            break
        sides = np.array(inherited)
    return sides
