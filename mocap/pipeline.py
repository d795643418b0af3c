"""From a motion capture file to robot clips: the whole way, as the command line runs it."""

import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap import signals
from legged_skills.mocap.clip import RobotClip, finite_difference_qvel
from legged_skills.mocap.fit import foot_targets
from legged_skills.mocap.formats import read_motion
from legged_skills.mocap.identify import identify
from legged_skills.mocap.levelling import levelled
from legged_skills.mocap.loops import unrolled
from legged_skills.mocap.mapping import Mapping, mapping_for
from legged_skills.mocap.posture import analyse
from legged_skills.mocap.quality import FootMotion, Gates, failed_gates, measure_motion
from legged_skills.mocap.retarget import Retargeted, retarget
from legged_skills.mocap.segment import Cut, SegmentSettings, explain, usable_parts
from legged_skills.mocap.skeletons import ROLES, Skeleton
from legged_skills.mocap.source import ReadOptions, SourceMotion
from legged_skills.mocap.stretch import RetargetSettings, Stretch
from legged_skills.robots import rotations
from legged_skills.robots.errors import LeggedSkillsError
from legged_skills.robots.kinematics import ROOT_QPOS
from legged_skills.robots.spec import RobotSpec

# What a stretch that fails a gate is cut out for.
_GATE_REASONS = {
    "marker_error_m": "far from the source on average",
    "penetration_m": "foot in the floor",
    "slide_mps": "standing feet slide",
    "slide_p95_mps": "standing feet slide",
    "limit_violations": "beyond joint limits",
    "joint_speed_share": "joint too fast",
    "acceleration_share": "joint too abrupt",
    "root_jump_m": "base jumps",
    "overlap_m": "parts of the robot meet",
}


@dataclass(frozen=True, kw_only=True)
class PipelineSettings:
    """Settings of all steps from file to clips."""

    retarget: RetargetSettings = field(default_factory=RetargetSettings)
    """How poses are found."""
    segment: SegmentSettings = field(default_factory=SegmentSettings)
    """What is cut out."""
    gates: Gates = field(default_factory=Gates)
    """What a stretch must keep to become a clip."""


@dataclass(frozen=True, kw_only=True)
class RetargetedFile:
    """What became of one motion capture file."""

    motion: SourceMotion
    """The source, as ``prepared``, its floor levelled."""
    clips: list[RobotClip]
    """The kept stretches, in order, named after the file."""
    stretches: list[Stretch]
    """The same stretches before they were moved to the origin, in the scaled source's world."""
    cuts: list[Cut]
    """The parts of the source that are in no clip."""
    scale: float
    """Metres of the robot's motion for one metre of the source's."""
    floor_m: float
    """Height of the source's floor, see ``Posture`` [m]."""
    time_scale: float
    """Seconds of the robot's motion for one second of the source's, before slowing down."""
    standing_s: float
    """Time in which the source stands or walks on its feet [s]."""

    def to_json(self) -> dict[str, Any]:
        """Figures of the file, its clips and its cuts."""
        return {
            "file": self.motion.source.get("file"),
            "frames": self.motion.num_frames,
            "fps": self.motion.fps,
            "scale": self.scale,
            "time_scale": self.time_scale,
            "kept_share": self.kept_share,
            "duration_s": self.motion.duration_s,
            "standing_s": self.standing_s,
            "clips": [
                {"name": clip.name, "frames": clip.num_frames, **clip.quality}
                for clip in self.clips
            ],
            "cuts": [asdict(cut) for cut in self.cuts],
        }

    @property
    def kept_share(self) -> float:
        """Share of the source's time that is in clips."""
        cut = sum(c.duration_s for c in self.cuts)
        return 1 - cut / self.motion.duration_s


def retarget_file(
    path: str | Path,
    spec: RobotSpec,
    settings: PipelineSettings | None = None,
    *,
    fps: float | None = None,
    options: ReadOptions | None = None,
    speed: float | None = None,
    licence: str | None = None,
    skeleton: Skeleton | None = None,
) -> RetargetedFile:
    """Makes robot clips from a motion capture file.

    Args:
        path: the file, of any known format.
        spec: the robot.
        settings: of all steps; None for the defaults.
        fps: frames a second, where the file does not say or says it wrongly [1/s]; wins over
            the rate in ``options``.
        options: what else the file does not say, or says wrongly.
        speed: how many times as fast as the source the robot moves; None for what the settings
            say, which by default is what fits its leg length.
        licence: the terms the data is under, see ``formats.read_motion``.
        skeleton: which joint is which, where no known skeleton fits, see ``identify.load_map``.

    Returns:
        Clips and cuts. There may be no clip.

    Raises:
        LeggedSkillsError: the file cannot be read or has no motion that can be used.
    """
    settings = PipelineSettings() if settings is None else settings
    if speed is not None:
        settings = replace(settings, retarget=replace(settings.retarget, speed=speed))
    options = ReadOptions() if options is None else options
    if fps is not None:
        options = replace(options, fps=fps)
    motion = read_motion(path, options, licence=licence)
    return retarget_motion(motion, spec, settings, skeleton=skeleton)


def prepared(motion: SourceMotion, skeleton: Skeleton | None = None) -> SourceMotion:
    """A motion as the retargeter takes it: joints identified, cycles long enough.

    Raises:
        ClipError: the joints cannot be told.
    """
    known = motion.skeleton in ROLES and skeleton is None
    return unrolled(motion if known else identify(motion, skeleton))


def retarget_motion(
    motion: SourceMotion,
    spec: RobotSpec,
    settings: PipelineSettings | None = None,
    *,
    skeleton: Skeleton | None = None,
) -> RetargetedFile:
    """``retarget_file`` for a motion that is already read."""
    settings = PipelineSettings() if settings is None else settings
    motion = prepared(motion, skeleton)
    mapping = mapping_for(motion, spec)
    motion = levelled(motion, mapping)
    result = retarget(motion, mapping, spec, settings.retarget)
    parts, reasons = usable_parts(result, spec, settings.segment)
    kept: list[Stretch] = []
    clips: list[RobotClip] = []
    stem = clip_stem(motion)
    for part in parts:
        error = np.linalg.norm(part.feet_w - part.fitted_feet_w, axis=-1)
        ends = [error] + ([part.limb_errors] if part.limb_errors.size else [])
        quality = measure_motion(
            part.qpos,
            FootMotion(
                centres_w=part.feet_w, floor_distance=part.floor_distance, contact=part.contact
            ),
            part.apart,
            spec,
            result.fps,
            marker_error_m=max(float(e.mean()) for e in ends),
            marker_error_max_m=float(error.max()),
        )
        failures = failed_gates(quality, settings.gates)
        if failures:
            frames = slice(int(part.source_frame[0]), int(part.source_frame[-1]) + 1)
            for failure in failures:
                reason = _GATE_REASONS.get(failure.split()[0], failure.split()[0])
                reasons.setdefault(reason, np.zeros(motion.num_frames, dtype=bool))[frames] = True
            continue
        kept.append(part)
        name = f"{stem}_{len(clips):02d}"
        notes = _notes(part, mapping, result, settings)
        clips.append(_clip(name, part, motion, spec, result.fps, notes, quality.to_json()))
    return RetargetedFile(
        motion=motion,
        clips=clips,
        stretches=kept,
        cuts=explain(result.posture, reasons, kept, motion.fps),
        scale=result.fit.scale,
        floor_m=result.posture.floor_m,
        time_scale=result.fit.time_scale,
        standing_s=float(result.posture.upright.mean()) * motion.duration_s,
    )


def clip_stem(motion: SourceMotion) -> str:
    """What the clips of a motion are called, but for a number.

    One of a collection is named after itself: the file's name is that of all of them.
    """
    return motion.source.get("clip") or Path(motion.source.get("file", "motion")).stem


def outdated_clips(result: RetargetedFile, folder: str | Path) -> list[Path]:
    """Clips in a folder that another run made of the same file, and this one did not.

    Args:
        result: from ``retarget_file``.
        folder: where its clips are written; may be missing.

    Returns:
        Those that bear its name and a higher number, in order. Other files are not among them,
        whatever they are called.
    """
    name = re.compile(re.escape(clip_stem(result.motion)) + r"_(\d\d+)\.npz")
    found = [(name.fullmatch(path.name), path) for path in Path(folder).glob("*.npz")]
    higher = [path for match, path in found if match and int(match[1]) >= len(result.clips)]
    return sorted(path for path in higher if _made_of(path, result.motion))


def strange_clips(result: RetargetedFile, folder: str | Path) -> list[Path]:
    """Files in a folder that the clips of a file would overwrite, though they are none of it.

    Args:
        result: from ``retarget_file``.
        folder: where its clips are to be written; may be missing.

    Returns:
        Clips of other files, and what is no clip, such as a recording, in order.
    """
    paths = [Path(folder) / f"{clip.name}.npz" for clip in result.clips]
    return [path for path in paths if path.exists() and not _made_of(path, result.motion)]


def _made_of(path: Path, motion: SourceMotion) -> bool:
    """Whether a file is a clip of a motion."""
    try:
        source = RobotClip.load(path).source
    except LeggedSkillsError:
        return False
    # Clips of before have no digest.
    digests = {source.get("sha256"), motion.source.get("sha256")} - {None}
    same = all(source.get(name) == motion.source.get(name) for name in ("file", "clip"))
    return same and len(digests) < 2


def write_clips(result: RetargetedFile, folder: str | Path) -> list[Path]:
    """Writes the clips of a file, one ``.npz`` each, named like the source with a number.

    Args:
        result: from ``retarget_file``.
        folder: where to; made if it is missing.

    Returns:
        The files, in order.

    Raises:
        FileFormatError: a file cannot be written.
    """
    paths = []
    for clip in result.clips:
        path = Path(folder) / f"{clip.name}.npz"
        clip.save(path)
        paths.append(path)
    return paths


def fitted_feet(
    clip: RobotClip,
    motion: SourceMotion,
    spec: RobotSpec,
    settings: RetargetSettings | None = None,
) -> NDArray[np.floating]:
    """The scaled, offset-fitted feet of the source, in the world of a clip made from it.

    ``Quality.marker_error_m`` is the mean distance of the robot's feet from them, or that of its
    limbs, whichever is greater.

    Args:
        clip: the clip.
        motion: what it was made from.
        spec: its robot.
        settings: with which it was made.

    Returns:
        Where the centres of the robot's feet would be without filter, floor and limits [m],
        (T, F, 3).
    """
    settings = RetargetSettings() if settings is None else settings
    motion = prepared(motion)
    notes = clip.retarget
    at = np.array(notes["source_frame"])
    mapping = mapping_for(motion, spec)
    posture = analyse(levelled(motion, mapping), mapping, settings.posture)
    feet_w = foot_targets(
        signals.sample(posture.feet_w, at),
        signals.sample(posture.foot_yaw, at),
        notes["scale"],
        np.array(notes["foot_offsets_h"]),
    )
    return rotations.rotate_inverse(
        rotations.from_yaw(notes["yaw_w"]), feet_w - np.array(notes["origin_w"])
    )


def _notes(
    part: Stretch, mapping: Mapping, result: Retargeted, settings: PipelineSettings
) -> dict[str, Any]:
    """How a stretch was made: the clip's field ``retarget``."""
    fit = result.fit
    return {
        "scale": fit.scale,
        "time_scale": fit.time_scale,
        # Over the source's time: the clip takes so many times as long.
        "slowdown_mean": float(1.0 / np.mean(1.0 / part.slowdown)),
        "slowdown_max": float(part.slowdown.max()),
        "body_markers": [m.marker for m in mapping.body_markers],
        "body_offsets_b": fit.body_offsets_b.tolist(),
        "foot_markers": list(mapping.feet),
        "foot_offsets_h": fit.foot_offsets_h.tolist(),
        "limb_offsets_b": fit.limbs.offsets_b.tolist(),
        # Where the clip's world is in the scaled source's.
        "origin_w": [float(part.qpos[0, 0]), float(part.qpos[0, 1]), 0.0],
        "yaw_w": float(rotations.yaw(part.qpos[0, 3:ROOT_QPOS])),
        "source_frame": part.source_frame.round(3).tolist(),
        "settings": asdict(settings.retarget),
    }


def _clip(
    name: str,
    part: Stretch,
    motion: SourceMotion,
    spec: RobotSpec,
    fps: float,
    notes: dict[str, Any],
    quality: dict[str, Any],
) -> RobotClip:
    """The clip of a stretch, moved so that it begins over the origin and faces +x."""
    back = rotations.from_yaw(-notes["yaw_w"])
    qpos = part.qpos.copy()
    qpos[:, :3] = rotations.rotate(back, qpos[:, :3] - np.array(notes["origin_w"]))
    turned = rotations.align_signs(rotations.multiply(back, qpos[:, 3:ROOT_QPOS]))
    qpos[:, 3:ROOT_QPOS] = turned * np.copysign(1.0, turned[0, 0])
    frames = [float(part.source_frame[0]), float(part.source_frame[-1])]
    return RobotClip(
        name=name,
        robot=spec.name,
        fps=fps,
        joint_names=spec.joint_names,
        qpos=qpos,
        qvel=finite_difference_qvel(qpos, fps),
        foot_contact=part.contact,
        source={**motion.source, "fps": motion.fps, "frames": frames},
        retarget=notes,
        quality=quality,
    )
