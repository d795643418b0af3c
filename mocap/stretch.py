"""Stretches of a robot's motion, and the settings with which they are made."""

from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap.fit import FitSettings
from legged_skills.mocap.posture import PostureSettings
from legged_skills.robots.errors import SettingsError

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class RetargetSettings:
    """How a source motion becomes a robot's."""

    speed: float | None = None
    """How many times as fast as the source the robot moves; None scales time by the root of the
    length scale (Froude)."""
    posture: PostureSettings = field(default_factory=PostureSettings)
    """When the source stands on its feet."""
    fit: FitSettings = field(default_factory=FitSettings)
    """How scale and offsets are fitted."""
    root_cutoff_hz: float = 5.0
    """Low-pass filter of the root's path, in the source's time [Hz]."""
    foot_cutoff_hz: float = 11.0
    """Low-pass filter of the feet in the air, in the source's time [Hz]."""
    limb_fade_s: float = 0.15
    """Arms give way to the rest of the robot within this time, in the source's time [s]."""
    limb_cutoff_hz: float = 3.0
    """Low-pass filter of arms, in the source's time [Hz]."""
    blend_s: float = 0.05
    """Time in which a foot in the air comes back to the source's path, in the source's time
    [s]."""
    sole_cutoff_hz: float = 5.0
    """``foot_cutoff_hz`` of feet with soles, which begin and end their steps less abruptly."""
    foot_margin: float = 0.02
    """Room that feet keep between each other, and limbs between them and the rest of the robot
    half of it [leg lengths]."""
    sole_blend_s: float = 0.1
    """``blend_s`` of feet with soles [s]."""
    sole_pitch: float = 0.4
    """Share of the source's pitch that soles in the air have; a robot's soles reach farther from
    the ankle."""
    sole_pitch_max_rad: float = 0.5
    """Soles in the air pitch at most this much [rad]."""
    sole_fade_s: float = 0.3
    """Time from the end of a contact in which a sole takes its pitch, in the source's time [s]."""
    sole_lift: float = 0.04
    """Feet with soles are lifted by this on top of the source's path in the middle of a swing:
    people clear the floor by the width of a finger [leg lengths]."""
    root_weight: float = 0.1
    """Weight of each corner of the base in the whole-clip pass, where a standing foot has 1
    [1/m^2]."""
    swing_weight: float = 0.5
    """Weight of a foot in the air in the whole-clip pass; one out of reach moves the root less
    [1/m^2]."""
    pull: float = 1e-5
    """Weight of the pull to the default pose in the whole-clip pass [1/rad^2]."""
    limit_margin_rad: float = 1e-3
    """Joints keep this far from their limits [rad]."""
    slowest: float = 3.0
    """Motions that are too fast for the drives are slowed down until they take at most this many
    times as long as the source."""
    slow_window_s: float = 0.4
    """Slowing down fades in and out over this time [s]."""
    slow_rounds: int = 8
    """How often the motion may be slowed down further and solved again."""
    velocity_share: float = 0.95
    """Share of the joint velocity and acceleration limits that slowing down aims at."""
    margin_s: float = 0.1
    """Frames this close to an unusable one are unusable too, in the source's time [s]."""
    min_stretch_s: float = 1.0
    """Stretches shorter than this are dropped, in the robot's time [s]."""

    def __post_init__(self) -> None:
        """Checks the settings that the command line offers.

        Raises:
            SettingsError: a value is out of range.
        """
        if self.speed is not None and not 0.1 <= self.speed <= 10:
            raise SettingsError(f"speed is {self.speed:g}, expected 0.1 to 10.")
        if not self.slowest >= 1:
            raise SettingsError(f"slowest is {self.slowest:g}, expected at least 1.")
        if not self.min_stretch_s >= 0.1:
            raise SettingsError(f"min_stretch_s is {self.min_stretch_s:g}, expected at least 0.1.")

    def limb_window(self, fps: float) -> int:
        """Over how many frames arms give way, for ``LimbClearance.clear``; fps: of the source."""
        return 2 * round(self.limb_fade_s * fps) + 1


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Poses of the robot for a part of the source, at the robot's control rate."""

    source_frame: Array
    """The source's frame at each of ours, with a fraction, (T,)."""
    qpos: Array
    """Poses, (T, 7 + J)."""
    contact: Mask
    """Which feet stand, (T, F)."""
    feet_w: Array
    """Centres of the robot's feet [m], (T, F, 3)."""
    floor_distance: Array
    """Height of the lowest point of each foot over the floor [m], (T, F)."""
    fitted_feet_w: Array
    """The scaled, offset-fitted feet of the source, neither filtered nor pinned [m], (T, F, 3)."""
    limb_errors: Array
    """Distance of the ends of limbs from where the source's directions put them [m], (T, L)."""
    apart: Array
    """Least distance of parts of the robot that must not meet [m], (T,); infinite without any."""
    slowdown: Array
    """How many times slower than ``Fit.time_scale`` alone the motion is, (T,)."""

    def part(self, start: int, stop: int) -> "Stretch":
        """The frames from ``start`` to before ``stop``."""
        return Stretch(**{f.name: getattr(self, f.name)[start:stop] for f in fields(self)})
