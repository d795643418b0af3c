"""From a motion capture file to robot clips: the whole way, as the command line runs it."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap import signals
from legged_skills.mocap.clip import RobotClip, finite_difference_qvel
from legged_skills.mocap.fit import foot_targets
from legged_skills.mocap.formats import read_motion
from legged_skills.mocap.mapping import Mapping, mapping_for
from legged_skills.mocap.posture import analyse
from legged_skills.mocap.quality import Gates, failed_gates, measure_motion
from legged_skills.mocap.retarget import Retargeted, RetargetSettings, Stretch, retarget
from legged_skills.mocap.segment import Cut, SegmentSettings, explain, usable_parts
from legged_skills.mocap.source import SourceMotion
from legged_skills.robots import rotations
from legged_skills.robots.kinematics import ROOT_QPOS
from legged_skills.robots.spec import RobotSpec


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
    """The source."""
    clips: list[RobotClip]
    """The kept stretches, in order, named after the file."""
    cuts: list[Cut]
    """The parts of the source that are in no clip."""
    scale: float
    """Metres of the robot's motion for one metre of the source's."""
    time_scale: float
    """Seconds of the robot's motion for one second of the source's, before slowing down."""

    def to_json(self) -> dict[str, Any]:
        """Figures of the file, its clips and its cuts."""
        return {
            "file": self.motion.source.get("file"),
            "frames": self.motion.num_frames,
            "fps": self.motion.fps,
            "scale": self.scale,
            "time_scale": self.time_scale,
            "kept_share": self.kept_share,
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
    speed: float | None = None,
    licence: str | None = None,
) -> RetargetedFile:
    """Makes robot clips from a motion capture file.

    Args:
        path: the file, of any known format.
        spec: the robot.
        settings: of all steps; None for the defaults.
        fps: frames a second, where the file does not say or says it wrongly [1/s].
        speed: how many times as fast as the source the robot moves; None for what the settings
            say, which by default is what fits its leg length.
        licence: the terms the data is under, see ``formats.read_motion``.

    Returns:
        Clips and cuts. There may be no clip.

    Raises:
        LeggedSkillsError: the file cannot be read or has no motion that can be used.
    """
    settings = PipelineSettings() if settings is None else settings
    if speed is not None:
        settings = replace(settings, retarget=replace(settings.retarget, speed=speed))
    return retarget_motion(read_motion(path, fps, licence), spec, settings)


def retarget_motion(
    motion: SourceMotion, spec: RobotSpec, settings: PipelineSettings | None = None
) -> RetargetedFile:
    """``retarget_file`` for a motion that is already read."""
    settings = PipelineSettings() if settings is None else settings
    mapping = mapping_for(motion, spec)
    result = retarget(motion, mapping, spec, settings.retarget)
    parts, reasons = usable_parts(result, spec, settings.segment)
    kept: list[Stretch] = []
    clips: list[RobotClip] = []
    stem = Path(motion.source.get("file", "motion")).stem
    for part in parts:
        error = np.linalg.norm(part.feet_w - part.fitted_feet_w, axis=-1)
        quality = measure_motion(
            part.qpos,
            part.feet_w,
            part.contact,
            spec,
            result.fps,
            marker_error_m=float(error.mean()),
            marker_error_max_m=float(error.max()),
        )
        failures = failed_gates(quality, settings.gates)
        if failures:
            mask = reasons.setdefault("; ".join(failures), np.zeros(motion.num_frames, dtype=bool))
            mask[int(part.source_frame[0]) : int(part.source_frame[-1]) + 1] = True
            continue
        kept.append(part)
        name = f"{stem}_{len(clips):02d}"
        notes = _notes(part, mapping, result, settings)
        clips.append(_clip(name, part, motion, spec, result.fps, notes, quality.to_json()))
    return RetargetedFile(
        motion=motion,
        clips=clips,
        cuts=explain(result.posture, reasons, kept, motion.fps),
        scale=result.fit.scale,
        time_scale=result.fit.time_scale,
    )


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

    The distance of the robot's feet from them is ``Quality.marker_error_m``.

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
    notes = clip.retarget
    at = np.array(notes["source_frame"])
    posture = analyse(motion, mapping_for(motion, spec), settings.posture)
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
        "slowdown_mean": float(part.slowdown.mean()),
        "slowdown_max": float(part.slowdown.max()),
        "body_markers": [m.marker for m in mapping.body_markers],
        "body_offsets_b": fit.body_offsets_b.tolist(),
        "foot_markers": list(mapping.feet),
        "foot_offsets_h": fit.foot_offsets_h.tolist(),
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
