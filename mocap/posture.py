"""What the source alone tells: where its trunk is, how it stands, when its feet stand.

Letters in the shape comments: T frames, F feet.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from legged_skills.mocap import signals
from legged_skills.mocap.mapping import Mapping
from legged_skills.mocap.source import SourceMotion
from legged_skills.mocap.trunk import Trunk, TrunkSettings, find_trunk
from legged_skills.robots.errors import ClipError
from legged_skills.robots.spec import GRAVITY_MPS2

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]

# Height of a person's ankle over the floor as a share of thigh and shank: Winter 2009,
# "Biomechanics and Motor Control of Human Movement", 0.039 of 0.245 + 0.246 body heights.
_ANKLE_HEIGHT = 0.079
# Legs of a robot on a desk, and of a giraffe [m].
_LEG_RANGE_M = (0.05, 3.0)


@dataclass(frozen=True, kw_only=True)
class PostureSettings:
    """When a source's feet stand. Lengths are in leg lengths, speeds in sqrt(g leg)."""

    trunk: TrunkSettings = field(default_factory=TrunkSettings)
    """When the source stands upright."""
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
    heel_rise_rad: float = math.radians(20)
    """A foot whose heel rises more than this has begun its step, though its toe stands [rad]."""
    gap_max_s: float = 0.12
    """Gaps in a contact shorter than this are closed if the foot stays where it is [s]."""
    gap_max_move: float = 0.06
    """A foot that moves farther than this during a gap has made a step [leg lengths]."""
    heading_cutoff_hz: float = 1.0
    """Low-pass filter of the heading that offsets of feet turn with [Hz]."""
    splay_max_rad: float = math.radians(40)
    """Feet point at most this far away from where the trunk faces on average [rad]."""
    toe_in_max_rad: float = math.radians(10)
    """Feet with heels turn inwards from the trunk at most this far: the robot's knees would meet
    [rad]."""
    toe_out_max_rad: float = math.radians(20)
    """Feet with heels turn outwards from the trunk at most this far [rad]."""
    pivot_cutoff_hz: float = 2.0
    """Low-pass filter of the trunk's heading that feet are kept near [Hz]."""
    pivot_speed_radps: float = 0.5
    """A foot that turns faster than this on the floor does not stand [rad/s]."""
    pivot_rad: float = math.radians(20)
    """A standing paw stays behind a turning trunk this far, and then pivots [rad]."""
    flight_max_s: float = 0.25
    """Longer than this without any foot near the floor is a jump [s]."""
    fastest_foot: float = 8.0
    """A foot that is faster than this for 1 % of the time means a wrong frame rate [sqrt(g leg)];
    a galloping dog has 4.3."""
    jump_speed: float = 8.0
    """A marker that moves faster than this between frames has jumped [sqrt(g leg)]."""
    first_step: float = 0.25
    """Whatever the frame rate, a marker that moves farther than this from the first frame to the
    second [leg], and then four times less, has jumped: some files begin with a pose apart."""


@dataclass(frozen=True, kw_only=True)
class Posture:
    """The source's trunk and feet, frame by frame, and its size."""

    centre_w: Array
    """``Trunk.centre_w`` [m], (T, 3)."""
    yaw: Array
    """Heading of the trunk, unwrapped [rad], (T,)."""
    foot_yaw: Array
    """Heading of each foot, and of its offset, unwrapped [rad], (T, F). See ``_foot_yaw``."""
    foot_pitch: Array
    """Rise of each foot from heel to toe over that of a standing foot [rad], (T, F); 0 for
    sources without heels."""
    feet_w: Array
    """Foot markers [m], (T, F, 3)."""
    contact: Mask
    """Which feet stand, (T, F)."""
    rest_height: Array
    """Height of each foot marker when it stands [m], (F,)."""
    floor_m: float
    """Height of the floor [m]: that of the resting feet, but below the ankles of a source without
    toes."""
    leg_length_m: float
    """Height of the trunk's centre over the floor when the source stands [m]."""
    straight_leg_m: float | None
    """Length of a straight leg from hip to floor [m], if the mapping names the legs."""
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
        ClipError: the source has no frame without a problem, has legs that are too short or too
            long for any animal, or moves faster than any.
    """
    feet = motion.positions_w[:, [motion.index(n) for n in mapping.feet]]
    trunk = find_trunk(motion, mapping, feet, settings.trunk)
    problems = dict(trunk.problems)
    height = trunk.height_m
    _check_size(motion, height)
    upright = ~np.any(np.stack(list(problems.values())), axis=0)
    unit_speed = math.sqrt(GRAVITY_MPS2 * height)
    speed = np.linalg.norm(signals.velocity(feet, motion.fps), axis=-1)
    _check_speed(motion, speed, height, settings.fastest_foot * unit_speed)
    trunk_speed = np.linalg.norm(signals.velocity(trunk.centre_w[:, :2], motion.fps), axis=-1)
    most = settings.contact_speed * unit_speed + settings.contact_speed_share * trunk_speed
    slow = speed < most[:, None]
    rest = _rest_heights(feet[..., 2], slow & upright[:, None], settings.contact_height * height)
    low = feet[..., 2] < rest + settings.contact_height * height
    contact = _tidy(slow & low, feet, settings.gap_max_move * height, motion.fps, settings)
    problems["off the floor"] = _flight(low, motion.fps, settings)
    far = settings.first_step * height
    problems["jump in the data"] = _jumps(motion, mapping, settings.jump_speed * unit_speed, far)
    heading, foot_pitch = _foot_angles(motion, mapping, trunk, feet, contact, settings)
    # A robot's sole is rigid: it begins its step when the source's heel has left the floor.
    contact = contact & (foot_pitch > -settings.heel_rise_rad)
    smooth = signals.smooth(trunk.yaw, settings.pivot_cutoff_hz, motion.fps)
    foot_yaw = _foot_yaw(heading, contact, *_turn_range(mapping, smooth, settings))
    # A foot that turns on the floor does not stand still.
    turning = np.abs(signals.velocity(foot_yaw, motion.fps)) > settings.pivot_speed_radps
    contact = contact & ~turning
    floor, legs_m = _floor_and_leg(motion, mapping, rest)
    posture = Posture(
        centre_w=trunk.centre_w,
        yaw=trunk.yaw,
        foot_yaw=foot_yaw,
        foot_pitch=foot_pitch,
        feet_w=feet,
        contact=contact,
        rest_height=rest,
        floor_m=floor,
        leg_length_m=float(np.median(trunk.centre_w[upright, 2]) - floor),
        straight_leg_m=legs_m,
        problems=problems,
    )
    if not np.any(posture.upright):
        found = [f"{name} in {np.sum(mask)}" for name, mask in problems.items() if np.any(mask)]
        raise ClipError(
            f"{motion.source.get('file', 'motion')}: none of its {motion.num_frames} frames can be "
            f"used ({', '.join(found)})."
        )
    return posture


def _jumps(motion: SourceMotion, mapping: Mapping, most_mps: float, first_m: float) -> Mask:
    """Frames before and after a step of a marker that no body makes, (T,).

    Lost markers jump; so does the pose with stretched arms that some files begin with, though at
    few frames a second not faster than one can move.
    """
    names = [*mapping.front, *mapping.rear, *mapping.feet]
    names += [name for limb in mapping.limbs for name in limb.markers]
    steps = np.diff(motion.positions_w[:, [motion.index(name) for name in names]], axis=0)
    size = np.linalg.norm(steps, axis=-1)
    far = np.any(size * motion.fps > most_mps, axis=1)
    after = size[1:4]
    if len(after):
        far[0] |= np.any((size[0] > first_m) & (size[0] > 4.0 * after.max(axis=0)))
    return np.append(far, False) | np.insert(far, 0, False)


def _floor_and_leg(
    motion: SourceMotion, mapping: Mapping, rest: Array
) -> tuple[float, float | None]:
    """Height of the floor, and length of a straight leg from hip to floor, if known [m]."""
    if not mapping.legs:
        return float(rest.mean()), None
    bones, standing = [], []
    for leg, foot_rest in zip(mapping.legs, rest, strict=True):
        hip, knee, ankle = (motion.positions_w[:, motion.index(name)] for name in leg)
        length = np.linalg.norm(hip - knee, axis=-1) + np.linalg.norm(knee - ankle, axis=-1)
        bones.append(np.median(length))
        standing.append(max(0.0, np.percentile(ankle[:, 2], 10) - foot_rest))
    if mapping.heels:
        return float(rest.mean()), float(np.mean(bones) + np.mean(standing))
    # The feet are the ankles themselves.
    below = _ANKLE_HEIGHT * float(np.mean(bones))
    return float(rest.mean()) - below, float(np.mean(bones)) + below


def _check_size(motion: SourceMotion, height: float) -> None:
    """Finds a wrong unit by the ``height`` of a standing trunk over the feet [m]."""
    least, most = _LEG_RANGE_M
    if not least <= height <= most:
        raise ClipError(
            f"{motion.source.get('file', 'motion')}: the legs would be {height:.3g} m long, "
            f"expected {least:g} to {most:g} m; the unit is wrong, give the right one with --unit."
        )


def _check_speed(motion: SourceMotion, speed: Array, height: float, most: float) -> None:
    """Finds a wrong frame rate or unit by feet that are too fast; ``speed`` is (T, F) [m/s]."""
    fastest = float(np.percentile(speed, 99))
    if fastest > most:
        raise ClipError(
            f"{motion.source.get('file', 'motion')}: the feet move at {fastest:.1f} m/s on legs of "
            f"{height:.2f} m, which no animal does; the frame rate of {motion.fps:g} frames/s or "
            "the unit is wrong."
        )


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


def _foot_angles(
    motion: SourceMotion,
    mapping: Mapping,
    trunk: Trunk,
    feet_w: Array,
    contact: Mask,
    settings: PostureSettings,
) -> tuple[Array, Array]:
    """Heading and pitch of each foot [rad], (T, F) both."""
    steady = signals.smooth(trunk.yaw, settings.heading_cutoff_hz, motion.fps)
    if not mapping.heels:
        return np.tile(steady[:, None], contact.shape[1]), np.zeros(contact.shape)
    along = feet_w - motion.positions_w[:, [motion.index(n) for n in mapping.heels]]
    pitch = np.arctan2(along[..., 2], np.hypot(along[..., 0], along[..., 1]))
    splay = np.arctan2(along[..., 1], along[..., 0]) - steady[:, None]
    splay = (splay + np.pi) % (2 * np.pi) - np.pi
    for foot in range(contact.shape[1]):
        standing = contact[:, foot] if np.any(contact[:, foot]) else slice(None)
        # Standing feet are mostly flat; the median leaves out heels that rise.
        pitch[:, foot] -= np.median(pitch[standing, foot])
        splay[:, foot] -= np.median(splay[standing, foot])
    splay = np.clip(splay, -settings.splay_max_rad, settings.splay_max_rad)
    return steady[:, None] + splay, pitch


def _turn_range(mapping: Mapping, yaw: Array, settings: PostureSettings) -> tuple[Array, Array]:
    """Least and greatest heading of each foot under a trunk's heading (T,) [rad], (T, F) both."""
    if not mapping.heels:
        most = np.full((len(yaw), len(mapping.feet)), settings.pivot_rad)
        return yaw[:, None] - most, yaw[:, None] + most
    inward, outward = settings.toe_in_max_rad, settings.toe_out_max_rad
    left = np.array([name.startswith("left") for name in mapping.feet])
    lower = yaw[:, None] - np.where(left, inward, outward)
    upper = yaw[:, None] + np.where(left, outward, inward)
    return lower, upper


def _foot_yaw(heading: Array, contact: Mask, lower: Array, upper: Array) -> Array:
    """The heading that turns each foot and its offset: held while the foot stands.

    A robot wider than the source needs its footprints beside the source's. An offset that
    turned with the trunk would drag a standing foot along, so that it takes the mean
    heading of its contact, or the nearest that suits the trunk all the time, and passes to the
    next one's during the swing. Only where the trunk turns too far over a standing foot does
    the foot follow: it pivots.

    Args:
        heading: of each foot in each frame [rad], (T, F).
        contact: which feet stand, (T, F).
        lower: least heading of each foot [rad], (T, F).
        upper: greatest heading of each foot [rad], (T, F).

    Returns:
        Headings [rad], (T, F).
    """
    out = heading.copy()
    frames = np.arange(len(heading))
    for foot in range(contact.shape[1]):
        knots = np.flatnonzero(contact[:, foot])
        if len(knots) < 2:
            continue
        column = out[:, foot]
        for start, stop in signals.runs(contact[:, foot]):
            low, high = lower[start:stop, foot].max(), upper[start:stop, foot].min()
            if low <= high:
                column[start:stop] = np.clip(column[start:stop].mean(), low, high)
            else:
                column[start:stop] = 0.5 * (low + high)
        column[knots] = np.clip(column[knots], lower[knots, foot], upper[knots, foot])
        # Monotone and without kinks: at rest at the end of one contact and the start of the next.
        inside = np.clip(frames, knots[0], knots[-1])
        out[:, foot] = PchipInterpolator(knots, column[knots])(inside)
    return np.clip(out, lower, upper)
