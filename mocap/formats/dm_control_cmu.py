"""Reader of dm_control's CMU collections: many clips, fitted to its humanoid, in one HDF5 file.

Format (Merel et al. 2019, "Hierarchical visuomotor control of humanoids"; the layout is that of
``dm_control.locomotion.mocap``): one group a clip, "CMU_001_01", with the attribute ``dt`` [s]
and the groups ``walkers/walker_0``, ... In a walker's group are arrays with one column a frame:
``position`` (3, T) [m] and ``quaternion`` (4, T) wxyz of the root body, and ``body_positions``
(3 B, T) and ``body_quaternions`` (4 B, T) of the other bodies of the CMU humanoid, in the world,
which has z up.

The file is read with h5py alone: dm_control itself is not needed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap.formats import hierarchy
from legged_skills.mocap.formats.reading import known_world, listed, motion_of_bodies, stated_rate
from legged_skills.mocap.source import ReadOptions, SourceMotion
from legged_skills.robots import rotations
from legged_skills.robots.errors import ClipError, FileFormatError
from legged_skills.robots.npz import damage_reported

Array = NDArray[np.floating]

FORMAT = "dm_control CMU"
MAGIC = b"\x89HDF\r\n\x1a\n"

# The bodies of the CMU humanoid, versions 2019 and 2020, below the root, each with its parent. The
# hip joints are bodies without a joint of their own: they stay where the root is.
_HIP_JOINTS = ("lhipjoint", "rhipjoint")
_TREE = """
lhipjoint<root lfemur<root ltibia<lfemur lfoot<ltibia ltoes<lfoot
rhipjoint<root rfemur<root rtibia<rfemur rfoot<rtibia rtoes<rfoot
lowerback<root upperback<lowerback thorax<upperback
lowerneck<thorax upperneck<lowerneck head<upperneck
lclavicle<thorax lhumerus<lclavicle lradius<lhumerus lwrist<lradius
lhand<lwrist lfingers<lhand lthumb<lhand
rclavicle<thorax rhumerus<rclavicle rradius<rhumerus rwrist<rradius
rhand<rwrist rfingers<rhand rthumb<rhand
"""
_BODIES = {name: parent for name, _, parent in (pair.partition("<") for pair in _TREE.split())}
_KEPT = [i for i, name in enumerate(_BODIES) if name not in _HIP_JOINTS]
MARKER_NAMES = ("root", *(name for name in _BODIES if name not in _HIP_JOINTS))
"""The bodies in the order of the format, without the two that stay where the root is."""
PARENTS = (-1, *(MARKER_NAMES.index(_BODIES[name]) for name in MARKER_NAMES[1:]))
"""Index of each body's parent, -1 for the root."""

_MAX_ABS_M = 1000.0
_LENGTH_TOLERANCE = 0.01
_MAX_NAME = 200


def sniff(head: bytes) -> bool:
    """Whether a file begins like HDF5."""
    return head.startswith(MAGIC)


def read(path: Path, options: ReadOptions, clip: str | None = None) -> SourceMotion:
    """Reads one clip of a collection.

    Args:
        path: the HDF5 file.
        options: what the user says about rate, unit and axis; it wins over the file.
        clip: the clip's name; None if the file has but one.

    Returns:
        The motion of ``MARKER_NAMES``, with orientations and hierarchy; ``source["clip"]`` is the
        clip's name, which ``source["file"]`` ends with too.

    Raises:
        FileFormatError: h5py is not installed, the file is damaged, or it has no such clip; the
            message lists the first that it has.
        ClipError: a field of the clip is missing or wrong.
    """
    try:
        import h5py
    except ImportError:
        raise FileFormatError(
            f"{path}: reading HDF5 needs h5py; install legged_skills[formats]."
        ) from None
    with damage_reported(path, "HDF5 file"), h5py.File(path, mode="r") as file:
        name = _choose(path, list(file), clip)
        where = f"{path}#{name}"
        group = _group(where, file, name)
        dt = _number(where, group.attrs.get("dt"))
        walker = _group(where, _group(where, group, "walkers"), "walker_0")
        root_pos = _read(where, walker, "position", 3)
        root_quat = _read(where, walker, "quaternion", 4)
        positions = _read(where, walker, "body_positions", 3 * len(_BODIES))
        quats = _read(where, walker, "body_quaternions", 4 * len(_BODIES))
    frames = len(root_pos)
    if not frames == len(root_quat) == len(positions) == len(quats):
        raise ClipError(f"{where}: its fields differ in their number of frames.")
    positions = np.concatenate([root_pos[:, None], positions.reshape(frames, -1, 3)[:, _KEPT]], 1)
    quats = np.concatenate([root_quat[:, None], quats.reshape(frames, -1, 4)[:, _KEPT]], 1)
    fps = stated_rate(Path(where), options, 1 / dt if dt else None)
    world = known_world(positions, MARKER_NAMES, options, path, "z")
    quats, more = _units(where, quats), {"file": f"{path.name}#{name}", "clip": name}
    return motion_of_bodies(path, FORMAT, world, fps, MARKER_NAMES, PARENTS, positions, quats, more)


def _choose(path: Path, names: Sequence[str], clip: str | None) -> str:
    """The clip to read."""
    if clip is None and len(names) == 1:
        return names[0]
    if clip is None:
        raise FileFormatError(
            f"{path}: holds {len(names)} clips ({_some(names)}); "
            f"append '#' and the name of one, e.g. {path.name}#{names[0][:_MAX_NAME]}."
            if names
            else f"{path}: holds no clips."
        )
    if clip not in names:
        raise FileFormatError(
            f"{path}: has no clip {clip[:_MAX_NAME]!r} among its {len(names)} ({listed(names, 5)})."
        )
    return clip


def _some(names: Sequence[str]) -> str:
    """The first few names, for messages."""
    return listed([name[:_MAX_NAME] for name in names], 5)


def _group(where: str, parent: Any, name: str) -> Any:
    """A group inside of another."""
    import h5py

    # Not get(name): it would follow links to other files.
    link = parent.get(name, getlink=True)
    child = parent[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(child, h5py.Group):
        raise FileFormatError(
            f"{where}: has no group {name!r}, as {FORMAT} clips have (walkers/walker_0)."
        )
    return child


def _number(where: str, value: Any) -> float:
    """The attribute dt [s], 0 if it is absent."""
    if value is None:
        return 0.0
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "fiu" or not 1e-6 < array.reshape(-1)[0] < 1e6:
        raise ClipError(f"{where}: attribute dt is no time step in seconds.")
    return float(array.reshape(-1)[0])


def _read(where: str, walker: Any, name: str, rows: int) -> Array:
    """A field of the walker, checked before it is read, (T, rows)."""
    import h5py

    link = walker.get(name, getlink=True)
    data = walker[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(data, h5py.Dataset):
        raise FileFormatError(f"{where}: has no field {name!r}, as {FORMAT} clips have.")
    if data.external or data.is_virtual:
        raise FileFormatError(f"{where}: field {name} lies in another file.")
    if data.dtype.kind not in "fiu" or data.ndim != 2 or data.shape[0] != rows:
        raise ClipError(
            f"{where}: field {name} has type {data.dtype} and shape {data.shape}, expected numbers "
            f"of shape ({rows}, frames), as fitted to dm_control's CMU humanoid."
        )
    hierarchy.check_size(data.shape[1], rows, where)
    values = data[()].T.astype(np.float64)
    bad = ~(np.abs(values) <= _MAX_ABS_M)  # also for NaN
    if np.any(bad):
        frame, row = np.argwhere(bad)[0]
        raise ClipError(
            f"{where}: field {name}: frame {frame}, row {row} is {values[frame, row]:g}, "
            f"expected a number within ±{_MAX_ABS_M:g}."
        )
    return values


def _units(where: str, quats: Array) -> Array:
    """Quaternions of length one, (T, M, 4), after a check that they nearly are."""
    bad = np.abs(np.linalg.norm(quats, axis=-1) - 1) > _LENGTH_TOLERANCE
    if np.any(bad):
        frame, body = np.argwhere(bad)[0]
        raise ClipError(
            f"{where}: frame {frame}: the quaternion of {MARKER_NAMES[body]} is not of length 1."
        )
    return rotations.normalize(quats)
