"""Cuts out what a robot cannot do, and says why."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from legged_skills.mocap import signals
from legged_skills.mocap.posture import Posture
from legged_skills.mocap.quality import joint_accelerations, joint_speeds
from legged_skills.mocap.retarget import Retargeted
from legged_skills.mocap.stretch import Stretch
from legged_skills.robots import rotations
from legged_skills.robots.kinematics import ROOT_QPOS
from legged_skills.robots.spec import RobotSpec

Mask = NDArray[np.bool_]

# Resampling, repeated where a motion is slowed down, loses less than this at an end.
_RESAMPLING_FRAMES = 4


@dataclass(frozen=True, kw_only=True)
class SegmentSettings:
    """When a frame of the robot's motion is unusable."""

    foot_error: float = 0.25
    """A foot farther than this from the scaled, offset-fitted source [leg lengths]."""
    mean_error: float = 0.1
    """Feet, or hands, farther than this from the scaled, offset-fitted source on average over a
    while [leg lengths]."""
    mean_error_s: float = 1.0
    """Half the time over which that is averaged [s]."""
    standing_speed_mps: float = 0.10
    """A foot that should stand and is faster than this [m/s]."""
    standing_lift_m: float = 0.01
    """A foot that should stand and is higher than this over the floor [m]."""
    penetration_m: float = 0.005
    """A foot deeper than this in the floor [m]."""
    overlap_m: float = 0.005
    """Parts of the robot that are deeper than this in each other [m]."""
    contact_share: float = 0.1
    """Feet that stand for less than this share of the time, on average, hardly ever stand."""
    contact_window_s: float = 1.0
    """Half the time over which that is averaged [s]."""
    flight_s: float = 0.25
    """Without any foot on the floor for longer than this, a robot would have to rise by 8 cm: a
    flight that has been slowed down is none [s]."""
    flight_height_m: float = 0.01
    """Feet that are all higher than this at some time are in flight [m]."""
    tilt_rad: float = math.radians(35)
    """A base that leans more than this [rad]."""
    margin_frames: int = 1
    """Frames this close to an unusable one are unusable too."""
    min_stretch_s: float = 1.0
    """Stretches shorter than this are dropped [s]."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A part of the source that is in no clip."""

    start_s: float
    """Where it begins, in the source's time [s]."""
    stop_s: float
    """Where it ends, in the source's time [s]."""
    reason: str
    """Why, e.g. "sitting"."""

    @property
    def duration_s(self) -> float:
        """Length [s]."""
        return self.stop_s - self.start_s


def usable_parts(
    result: Retargeted, spec: RobotSpec, settings: SegmentSettings
) -> tuple[list[Stretch], dict[str, Mask]]:
    """The parts of all stretches in which the robot can follow.

    Args:
        result: the retargeted source.
        spec: the robot.
        settings: thresholds.

    Returns:
        The parts, in order, and the source's frames that are unusable, by reason, (T,) each.
    """
    parts: list[Stretch] = []
    reasons: dict[str, Mask] = {}
    frames = len(result.posture.yaw)
    least = round(settings.min_stretch_s * result.fps) + 1
    for stretch in result.stretches:
        problems = _problems(stretch, spec, settings, result.fps)
        bad = np.any(np.stack(list(problems.values())), axis=0)
        bad = signals.widen(bad, settings.margin_frames)
        parts.extend(
            stretch.part(start, stop) for start, stop in signals.runs(~bad) if stop - start >= least
        )
        for reason, mask in problems.items():
            at = np.round(stretch.source_frame[mask]).astype(int)
            reasons.setdefault(reason, np.zeros(frames, dtype=bool))[at] = True
    return parts, reasons


def _problems(
    stretch: Stretch, spec: RobotSpec, settings: SegmentSettings, fps: float
) -> dict[str, Mask]:
    """For each reason the frames of a stretch that are unusable, (T,)."""
    qpos, feet_w, contact = stretch.qpos, stretch.feet_w, stretch.contact
    error = np.linalg.norm(feet_w - stretch.fitted_feet_w, axis=-1)
    speed = np.linalg.norm(signals.velocity(feet_w, fps), axis=-1)
    lift = stretch.floor_distance
    up = rotations.rotate(qpos[:, 3:ROOT_QPOS], np.array([0.0, 0.0, 1.0]))[:, 2]
    too_fast = np.zeros(len(qpos), dtype=bool)
    steps = joint_speeds(qpos[:, ROOT_QPOS:], spec, fps) > 1
    too_fast[1:] |= steps
    too_fast[:-1] |= steps
    abrupt = np.zeros(len(qpos), dtype=bool)
    abrupt[1:-1] = joint_accelerations(qpos[:, ROOT_QPOS:], spec, fps) > 1
    standing = _average(contact.mean(axis=1), settings.contact_window_s * fps)
    ends = [error.mean(axis=1)]
    if stretch.limb_errors.size:
        ends.append(stretch.limb_errors.mean(axis=1))
    far = np.max([_average(end, settings.mean_error_s * fps) for end in ends], axis=0)
    slips = speed > settings.standing_speed_mps
    floats = lift > settings.standing_lift_m
    return {
        "foot out of reach": np.any(error > settings.foot_error * spec.leg_length_m, axis=1),
        "far from the source": far > settings.mean_error * spec.leg_length_m,
        "standing foot cannot stay": np.any(contact & (slips | floats), axis=1),
        "foot in the floor": np.any(lift < -settings.penetration_m, axis=1),
        "parts of the robot meet": stretch.apart < -settings.overlap_m,
        "joint too fast": too_fast,
        "joint too abrupt": abrupt,
        "feet hardly ever stand": standing < settings.contact_share,
        "in the air too long": _flights(lift.min(axis=1), fps, settings),
        "tilted": up < math.cos(settings.tilt_rad),
    }


def _flights(lowest: NDArray[np.floating], fps: float, settings: SegmentSettings) -> Mask:
    """Frames of flights that last longer than gravity allows; ``lowest`` foot [m], (T,)."""
    out = np.zeros(len(lowest), dtype=bool)
    for start, stop in signals.runs(lowest > 0.5 * settings.flight_height_m):
        high = lowest[start:stop].max() > settings.flight_height_m
        out[start:stop] = high and (stop - start) / fps > settings.flight_s
    return out


def _average(values: NDArray[np.floating], reach: float) -> NDArray[np.floating]:
    """Running mean over ``reach`` frames before and after, (T,)."""
    size = min(2 * round(reach) + 1, len(values))
    return uniform_filter1d(values, size, mode="nearest")


def explain(
    posture: Posture, reasons: dict[str, Mask], kept: list[Stretch], fps: float
) -> list[Cut]:
    """Says for each part of the source that is in no clip why it is not.

    Args:
        posture: the analysed source.
        reasons: from ``usable_parts``, and further ones, (T,) each.
        kept: what became clips.
        fps: the source's frames a second [1/s].

    Returns:
        The cuts, in order. A part with several reasons has them all, the most frequent
        first; a part without any was too short between two cuts.
    """
    last_frame = len(posture.yaw) - 1
    masks = {**posture.problems, **reasons}
    starts = [0.0, *(float(part.source_frame[-1]) for part in kept)]
    stops = [*(float(part.source_frame[0]) for part in kept), float(last_frame)]
    cuts = []
    for start, stop in zip(starts, stops, strict=True):
        around = slice(math.floor(start), math.ceil(stop) + 1)
        found = {name: int(mask[around].sum()) for name, mask in masks.items()}
        names = [n for n, count in sorted(found.items(), key=lambda x: -x[1]) if count]
        if names or not kept or stop - start > _RESAMPLING_FRAMES:
            reason = ", ".join(names) if names else "too short"
            cuts.append(Cut(start_s=start / fps, stop_s=stop / fps, reason=reason))
    return cuts
