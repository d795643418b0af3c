"""What the source alone tells: where its trunk is, how it stands, when its feet stand.

Letters in the shape comments: T frames, F feet.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap import signals
from legged_skills.mocap.mapping import Mapping
from legged_skills.mocap.source import SourceMotion
from legged_skills.robots.errors import ClipError

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]

GRAVITY = 9.81  # [m/s^2]


@dataclass(frozen=True, kw_only=True)
class PostureSettings:
    """When a source stands on its feet. Lengths are in leg lengths, speeds in sqrt(g leg)."""

    max_pitch_rad: float = math.radians(28)
    """A trunk that pitches more than this is not upright [rad]."""
    low_trunk: float = 0.78
    """An end of the trunk lower than this share of its standing height is not upright."""
    high_trunk: float = 1.22
    """An end of the trunk higher than this share of its standing height is not upright."""
    contact_height: float = 0.05
    """A foot that stands is at most this far over its resting height [leg lengths]."""
    contact_speed: float = 0.07
    """A foot that stands under a resting trunk is at most this fast [sqrt(g leg)]; 0.13 m/s for a
    dog."""
    contact_speed_share: float = 0.1
    """What is added to ``contact_speed``, as a share of the trunk's speed: feet roll faster in a
    fast gait."""
    contact_min_s: float = 0.08
    """Contacts shorter than this are dropped [s]."""
    gap_max_s: float = 0.12
    """Gaps in a contact shorter than this are closed if the foot stays where it is [s]."""
    gap_max_move: float = 0.06
    """A foot that moves farther than this during a gap has made a step [leg lengths]."""
    heading_cutoff_hz: float = 1.0
    """Low-pass filter of the heading that offsets of feet turn with [Hz]."""
    flight_max_s: float = 0.25
    """Longer than this without any foot near the floor is a jump [s]."""
    fastest_foot: float = 8.0
    """A foot that is faster than this for 1 % of the time means a wrong frame rate [sqrt(g leg)];
    a galloping dog has 4.3."""
    jump_speed: float = 8.0
    """A trunk marker that moves faster than this between frames has jumped [sqrt(g leg)]."""


@dataclass(frozen=True, kw_only=True)
class Posture:
    """The source's trunk and feet, frame by frame, and its size."""

    centre_w: Array
    """Middle between front and rear of the trunk [m], (T, 3)."""
    yaw: Array
    """Heading of the trunk, unwrapped [rad], (T,)."""
    foot_yaw: Array
    """Heading that each foot is offset along, unwrapped [rad], (T, F). See ``_foot_yaw``."""
    pitch: Array
    """Rise of the trunk from rear to front [rad], (T,)."""
    feet_w: Array
    """Foot markers [m], (T, F, 3)."""
    contact: Mask
    """Which feet stand, (T, F)."""
    rest_height: Array
    """Height of each foot marker when it stands [m], (F,)."""
    leg_length_m: float
    """Height of the trunk over the resting feet when the source stands [m]."""
    problems: dict[str, Mask]
    """For each reason why frames are unusable: the frames, (T,)."""

    @property
    def upright(self) -> Mask:
        """Frames without any problem, (T,)."""
        return ~np.any(np.stack(list(self.problems.values())), axis=0)


def analyse(motion: SourceMotion, mapping: Mapping, settings: PostureSettings) -> Posture:
    """Finds trunk, standing height, contacts and unusable frames of a source.

    Args:
        motion: the source.
        mapping: names its trunk and feet.
        settings: thresholds.

    Returns:
        The posture in every frame.

    Raises:
        ClipError: the source is upright in no frame, or moves faster than any animal.
    """
    name = motion.source.get("file", "motion")
    front = motion.positions_w[:, [motion.index(n) for n in mapping.front]].mean(axis=1)
    rear = motion.positions_w[:, [motion.index(n) for n in mapping.rear]].mean(axis=1)
    feet = motion.positions_w[:, [motion.index(n) for n in mapping.feet]]
    forward = front - rear
    flat = np.hypot(forward[:, 0], forward[:, 1])
    pitch = np.arctan2(forward[:, 2], flat)
    centre = 0.5 * (front + rear)
    floor = float(np.percentile(feet[..., 2].min(axis=1), 5))
    height = _standing_height(centre[:, 2] - feet[..., 2].min(axis=1), pitch, settings)
    if height <= 0:
        raise ClipError(
            f"{name}: the trunk is nowhere above the feet; check the unit and the up axis."
        )
    problems = _trunk_problems(front[:, 2] - floor, rear[:, 2] - floor, pitch, height, settings)
    upright = ~np.any(np.stack(list(problems.values())), axis=0)
    if not np.any(upright):
        raise ClipError(f"{name}: stands upright on its feet in no frame.")
    unit_speed = math.sqrt(GRAVITY * height)
    speed = np.linalg.norm(signals.velocity(feet, motion.fps), axis=-1)
    fastest = float(np.percentile(speed, 99))
    if fastest > settings.fastest_foot * unit_speed:
        raise ClipError(
            f"{name}: the feet move at {fastest:.1f} m/s on legs of {height:.2f} m, which no "
            f"animal does; the frame rate of {motion.fps:g} frames/s or the unit is wrong."
        )
    trunk_speed = np.linalg.norm(signals.velocity(centre[:, :2], motion.fps), axis=-1)
    most = settings.contact_speed * unit_speed + settings.contact_speed_share * trunk_speed
    slow = speed < most[:, None]
    rest = _rest_heights(feet[..., 2], slow & upright[:, None], settings.contact_height * height)
    low = feet[..., 2] < rest + settings.contact_height * height
    contact = slow & low
    contact = _tidy(contact, feet, settings.gap_max_move * height, motion.fps, settings)
    problems["off the floor"] = _flight(low, motion.fps, settings)
    jump = np.linalg.norm(signals.velocity(np.stack([front, rear], 1), motion.fps), axis=-1)
    problems["jump in the data"] = np.any(jump > settings.jump_speed * unit_speed, axis=1)
    yaw = np.unwrap(np.arctan2(forward[:, 1], forward[:, 0]))
    return Posture(
        centre_w=centre,
        yaw=yaw,
        foot_yaw=_foot_yaw(yaw, contact, motion.fps, settings),
        pitch=pitch,
        feet_w=feet,
        contact=contact,
        rest_height=rest,
        leg_length_m=float(np.median(centre[upright, 2]) - rest.mean()),
        problems=problems,
    )


def _standing_height(height: Array, pitch: Array, settings: PostureSettings) -> float:
    """Typical height of the trunk's middle over the lowest foot while standing [m].

    Sitting and lying lower it: the median of what is near the most that level frames reach
    is standing.
    """
    level = np.abs(pitch) < settings.max_pitch_rad
    heights = height[level] if np.any(level) else height
    top = float(np.percentile(heights, 90))
    return float(np.median(heights[heights > 0.8 * top])) if top > 0 else top


def _trunk_problems(
    front: Array, rear: Array, pitch: Array, height: float, settings: PostureSettings
) -> dict[str, Mask]:
    """Frames in which the trunk is not as in standing, by name."""
    low_front = front < settings.low_trunk * height
    low_rear = rear < settings.low_trunk * height
    high = np.maximum(front, rear) > settings.high_trunk * height
    steep = np.abs(pitch) > settings.max_pitch_rad
    up = pitch > 0
    return {
        "lying": low_front & low_rear,
        "sitting": low_rear & ~low_front,
        "bowing": (low_front & ~low_rear) | (steep & ~up & ~low_rear),
        "rearing": (high | steep) & up & ~low_rear,
        "jumping": high & ~up,
    }


def _rest_heights(heights: Array, slow: Mask, band: float) -> Array:
    """Height at which each foot marker rests on the floor [m], (F,).

    The median of slow frames, after leaving out those far above the lowest (a foot can be
    slow in the air).
    """
    rest = np.empty(heights.shape[1])
    for foot in range(heights.shape[1]):
        candidates = heights[slow[:, foot], foot]
        if len(candidates) == 0:
            candidates = heights[:, foot]
        low = np.percentile(candidates, 5)
        rest[foot] = np.median(candidates[candidates < low + band])
    return rest


def _tidy(
    contact: Mask, feet_w: Array, most_m: float, fps: float, settings: PostureSettings
) -> Mask:
    """Closes short gaps in which a foot moves at most ``most_m``, then drops short contacts."""
    out = contact.copy()
    for foot in range(contact.shape[1]):
        column = out[:, foot]
        for start, stop in signals.runs(~column):
            inside = start > 0 and stop < len(column)
            if inside and stop - start < settings.gap_max_s * fps:
                away = feet_w[start : stop + 1, foot] - feet_w[start - 1, foot]
                if np.max(np.linalg.norm(away, axis=1)) < most_m:
                    column[start:stop] = True
        for start, stop in signals.runs(column):
            inside = start > 0 and stop < len(column)
            if inside and stop - start < settings.contact_min_s * fps:
                column[start:stop] = False
    return out


def _flight(low: Mask, fps: float, settings: PostureSettings) -> Mask:
    """Frames of stretches that are too long without any foot near the floor."""
    out = np.zeros(len(low), dtype=bool)
    for start, stop in signals.runs(~np.any(low, axis=1)):
        if stop - start > settings.flight_max_s * fps:
            out[start:stop] = True
    return out


def _foot_yaw(yaw: Array, contact: Mask, fps: float, settings: PostureSettings) -> Array:
    """The heading that turns each foot's offset: held while the foot stands, (T, F).

    A robot wider than the source needs its footprints beside the source's. An offset that
    turned with the trunk would drag a standing foot along, so that it takes the heading of
    the middle of its contact, and passes to the next one's during the swing.
    """
    steady = signals.smooth(yaw, settings.heading_cutoff_hz, fps)
    frames = np.arange(len(yaw))
    out = np.empty(contact.shape)
    for foot in range(contact.shape[1]):
        contacts = signals.runs(contact[:, foot])
        if not contacts:
            out[:, foot] = steady
            continue
        ends = np.array([(start, stop - 1) for start, stop in contacts]).ravel()
        held = np.repeat([steady[start:stop].mean() for start, stop in contacts], 2)
        out[:, foot] = np.interp(frames, ends, held)
    return out
