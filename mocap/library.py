"""Clips on disk: loading many, the shipped ones, and their tables."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from legged_skills.mocap.clip import RobotClip
from legged_skills.robots.errors import ClipError, FileFormatError
from legged_skills.robots.spec import RobotSpec

CLIP_SUFFIX = ".npz"

HELD_OUT: Mapping[str, tuple[str, ...]] = {
    "anymal_c": ("dog_walk02",),
    "op3": ("humanoid3d_long_walk3",),
}
"""By robot: the recordings that skill modules are tested on and not trained on. Whole recordings,
since two stretches of one recording are nearly the same movement."""


def clip_paths(where: str | Path | Sequence[str | Path]) -> list[Path]:
    """The clip files that a user means.

    Args:
        where: a folder, a file, or several of them.

    Returns:
        Files, in the given order, those of a folder by name.

    Raises:
        ClipError: nothing is given, or a folder has no clips.
        FileFormatError: there is no such file or folder.
    """
    places = [where] if isinstance(where, str | Path) else list(where)
    paths: list[Path] = []
    for place in map(Path, places):
        if place.is_dir():
            found = sorted(place.glob(f"*{CLIP_SUFFIX}"))
            if not found:
                raise ClipError(f"{place}: the folder has no clips (*{CLIP_SUFFIX}).")
            paths.extend(found)
        elif place.is_file():
            paths.append(place)
        else:
            raise FileFormatError(f"{place}: there is no such file or folder.")
    if not paths:
        raise ClipError("no clip is given, expected a folder or files.")
    return paths


def load_clips(
    where: str | Path | Sequence[str | Path], spec: RobotSpec | None = None
) -> list[RobotClip]:
    """Loads clips.

    Args:
        where: a folder, a file, or several of them.
        spec: the robot that all clips must be for; None for any, but all the same.

    Returns:
        The clips, in the order of ``clip_paths``.

    Raises:
        ClipError: a folder has no clips, or a clip does not fit.
        FileFormatError: a file is missing or damaged.
    """
    clips = [RobotClip.load(path) for path in clip_paths(where)]
    for clip in clips:
        if spec is not None:
            clip.check_robot(spec)
        elif (clip.robot, clip.joint_names) != (clips[0].robot, clips[0].joint_names):
            raise ClipError(
                f"{clip.path}: is a clip of {clip.robot!r}, but {clips[0].path} is one of "
                f"{clips[0].robot!r}."
            )
    return clips


def shipped_clips(robot: str) -> list[Path]:
    """The clips that come with the package.

    Args:
        robot: name of the robot.

    Returns:
        Files, by name; none if no clips are shipped for the robot.
    """
    folder = Path(str(files("legged_skills.mocap"))) / "clips" / robot
    return sorted(folder.glob(f"*{CLIP_SUFFIX}"))


def find_clip(path: Path, robot: str) -> Path:
    """The file of a clip that is named by its path, or by its name if it comes with the package."""
    if not path.exists() and path.parent == Path():
        for clip in shipped_clips(robot):
            if path.name in (clip.name, clip.name.removesuffix(CLIP_SUFFIX)):
                return clip
    return path


def recording(name: str) -> str:
    """The recording that a clip is a stretch of: the clip's name without its number.

    Args:
        name: a clip's name, a recording's name and a number, e.g. "dog_walk02_01".
    """
    base, _, number = name.rpartition("_")
    return base if base and number.isdigit() else name


def held_out(robot: str, name: str) -> bool:
    """Whether a clip of this name is kept from the training of a robot's skill modules."""
    return recording(name) in HELD_OUT.get(robot, ())


def split_clips(clips: Sequence[RobotClip]) -> tuple[list[RobotClip], list[RobotClip]]:
    """The clips to train skill modules on, and those that are held out."""
    parts: tuple[list[RobotClip], list[RobotClip]] = ([], [])
    for clip in clips:
        parts[held_out(clip.robot, clip.name)].append(clip)
    return parts


def summary(clip: RobotClip) -> dict[str, Any]:
    """One row of a table of clips.

    Returns:
        name, robot, frames, duration_s, speed_mps, speed_max_mps, marker_error_m, source,
        licence; a figure that the clip does not have is None.
    """
    return {
        "name": clip.name,
        "robot": clip.robot,
        "frames": clip.num_frames,
        "duration_s": clip.duration_s,
        "speed_mps": clip.quality.get("speed_mps"),
        "speed_max_mps": clip.quality.get("speed_max_mps"),
        "marker_error_m": clip.quality.get("marker_error_m"),
        "source": clip.source.get("file"),
        "licence": clip.source.get("licence"),
    }
