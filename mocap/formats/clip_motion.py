"""Reader of our own robot clips as a source: bodies and feet of the robot as markers.

Format: see ``clip``. Forward kinematics of the robot's model gives the places and orientations of
all its bodies; each foot's site is a marker besides, with the orientation of its body.
"""

import json
from collections.abc import Set
from pathlib import Path

import numpy as np

from legged_skills import robots
from legged_skills.mocap.clip import RobotClip
from legged_skills.mocap.formats import hierarchy
from legged_skills.mocap.formats.reading import known_world, motion_of_bodies
from legged_skills.mocap.source import ReadOptions, SourceMotion, check_fps
from legged_skills.robots import npz
from legged_skills.robots.errors import ClipError, UnknownRobotError
from legged_skills.robots.kinematics import Kinematics, site_points

FORMAT = "robot clip"

# Greater numbers [m, rad] and [m/s, rad/s] are damage, and their squares overflow.
_LIMITS = {"fps": 1e6, "qpos": 1e3, "qvel": 1e6, "foot_contact": 1e6}


def sniff(names: Set[str]) -> bool:
    """Whether an archive with fields of these names is of this format."""
    return names >= {"robot", "joint_names", "qpos"}


def read(path: Path, options: ReadOptions) -> SourceMotion:
    """Reads a robot clip.

    Args:
        path: the clip.
        options: what the user says about rate, unit and axis; it wins over the file.

    Returns:
        The motion of the robot's bodies and sites, with orientations and hierarchy. What
        the clip says about its own source is there with "original_" before each key, but the
        licence, which still holds.

    Raises:
        FileFormatError: the file is damaged.
        ClipError: its contents do not fit together, or its robot is not known.
    """
    clip = _load(path)
    try:
        spec = robots.get(clip.robot)
    except UnknownRobotError as error:
        raise ClipError(f"{path}: is a clip of an {error}") from None
    clip.check_layout(spec)
    model = spec.model()
    kinematics = Kinematics(model)
    bodies = range(1, model.nbody)  # without the world
    sites = tuple(model.site(i).name for i in range(model.nsite))
    marks = site_points(model, sites)
    hierarchy.check_size(clip.num_frames, len(bodies) + len(sites), str(path))
    poses = kinematics.poses(clip.qpos)
    positions = np.concatenate(
        [poses.body_pos_w[1:].swapaxes(0, 1), kinematics.points(poses, marks)], axis=1
    )
    quats = np.concatenate([poses.body_quat_w[1:], poses.body_quat_w[marks.body_ids]])
    names = hierarchy.unique_names([model.body(body).name for body in bodies] + list(sites))
    parents = (*(model.body_parentid[1:] - 1), *(marks.body_ids - 1))
    world = known_world(positions, names, options, path, "z")
    fps = clip.fps if options.fps is None else check_fps(options.fps, str(path))
    parents = tuple(int(parent) for parent in parents)
    quats, more = quats.swapaxes(0, 1), {"robot": spec.name, **_origin(clip)}
    return motion_of_bodies(path, FORMAT, world, fps, names, parents, positions, quats, more)


def _load(path: Path) -> RobotClip:
    """The clip, with a check of its numbers before anything is computed from them."""
    arrays = npz.read_npz(path)
    for name, limit in _LIMITS.items():
        array = arrays.get(name)
        if array is not None and array.dtype.kind == "f" and np.any(np.abs(array) > limit):
            raise ClipError(f"{path}: field {name} has a number that is not within ±{limit:g}.")
    del arrays
    with npz.damage_reported(path):
        return RobotClip.load(path)


def _origin(clip: RobotClip) -> dict[str, str]:
    """What the clip says about where it comes from, as texts."""
    texts = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in clip.source.items()
    }
    out = {f"original_{key}": text for key, text in texts.items() if key != "licence"}
    if "licence" in texts:
        out["licence"] = texts["licence"]
    return out
