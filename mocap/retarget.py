"""Turns a source motion into poses of a robot.

Over each stretch in which the source stands on its feet:

1. Poses for the scaled markers, each frame for itself.
2. The whole-clip pass. The root's path of step 1, smoothed, is the root's target; the feet
   have targets that stand still on the floor while the source's feet stand.
3. Where that needs joints faster than the drives, the motion is slowed down and step 2 is
   done again.

Letters in the shape comments: T frames, F feet, J joints.
"""

from dataclasses import dataclass, field, fields, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap import signals, tempo
from legged_skills.mocap.fit import (
    Fit,
    FitSettings,
    RobotPoints,
    fit_clip,
    foot_targets,
    lift,
    pose_problem,
    start_poses,
)
from legged_skills.mocap.mapping import Mapping
from legged_skills.mocap.posture import Posture, PostureSettings, analyse
from legged_skills.mocap.solve import PoseProblem, solve_poses
from legged_skills.mocap.source import SourceMotion
from legged_skills.mocap.targets import pinned_feet, smooth_root
from legged_skills.robots import rotations
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.kinematics import ROOT_QPOS, BodyPoints
from legged_skills.robots.spec import RobotSpec

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]

# Slowing down by less than this is not worth another round.
_NO_SLOWDOWN = 1.005
# Four points of the base that carry the root's target in the whole-clip pass [leg lengths]: far
# enough apart to hold its turn as firmly as its place.
_BASE_CORNERS = np.array([[0.5, 0.4, 0.0], [0.5, -0.4, 0.0], [-0.5, 0.4, 0.0], [-0.5, -0.4, 0.0]])


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
    root_cutoff_hz: float = 4.0
    """Low-pass filter of the root's path, in the robot's time [Hz]."""
    foot_cutoff_hz: float = 9.0
    """Low-pass filter of the feet in the air, in the robot's time [Hz]."""
    blend_s: float = 0.06
    """Time in which a foot in the air comes back to the source's path, in the robot's time [s]."""
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
    slowest: float = 2.5
    """Motions that are too fast for the drives are slowed down at most this many times."""
    slow_window_s: float = 0.4
    """Slowing down fades in and out over this time [s]."""
    slow_rounds: int = 5
    """How often the motion may be slowed down further and solved again."""
    velocity_share: float = 0.95
    """Share of the joint velocity limits that slowing down aims at."""
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
    fitted_feet_w: Array
    """The scaled, offset-fitted feet of the source, neither filtered nor pinned [m], (T, F, 3)."""
    slowdown: Array
    """How many times slower than ``Fit.time_scale`` alone the motion is, (T,)."""

    def part(self, start: int, stop: int) -> "Stretch":
        """The frames from ``start`` to before ``stop``."""
        return Stretch(**{f.name: getattr(self, f.name)[start:stop] for f in fields(self)})


@dataclass(frozen=True, kw_only=True)
class Retargeted:
    """All that retargeting gives for one source."""

    fit: Fit
    """The clip's constants."""
    posture: Posture
    """The analysed source; its ``problems`` say why frames are in no stretch."""
    stretches: list[Stretch]
    """The stretches, in order."""
    fps: float
    """Frames a second of the stretches [1/s]."""


def retarget(
    motion: SourceMotion, mapping: Mapping, spec: RobotSpec, settings: RetargetSettings
) -> Retargeted:
    """Retargets every stretch in which the source stands on its feet.

    Args:
        motion: the source.
        mapping: which marker goes where.
        spec: the robot.
        settings: how.

    Returns:
        Constants, analysis, and stretches at the robot's control rate.

    Raises:
        ClipError: the source is upright in no frame.
    """
    posture = analyse(motion, mapping, settings.posture)
    robot = RobotPoints.of(spec, mapping)
    # Slightly narrower limits, so that rounding cannot exceed them.
    limited = replace(
        spec,
        joint_lower=spec.joint_lower + settings.limit_margin_rad,
        joint_upper=spec.joint_upper - settings.limit_margin_rad,
    )
    fit = fit_clip(motion, mapping, posture, limited, robot, settings.fit, settings.speed)
    work = _Work(motion, mapping, posture, limited, robot, fit, settings)
    stretches = work.stretches(_candidates(posture, motion.fps, fit.time_scale, settings))
    return Retargeted(fit=fit, posture=posture, stretches=stretches, fps=work.fps)


def _candidates(
    posture: Posture, fps: float, time_scale: float, settings: RetargetSettings
) -> list[signals.Run]:
    """Long enough runs of upright frames, with a margin to the others."""
    bad = signals.widen(~posture.upright, round(settings.margin_s * fps))
    least = settings.min_stretch_s / time_scale * fps + 1
    return [(a, b) for a, b in signals.runs(~bad) if b - a >= least]


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A stretch of the source in the robot's size and frame rate."""

    at: Array
    """The source's frames, (T,)."""
    centre_w: Array
    yaw: Array
    contact: Mask
    fitted_feet_w: Array


class _Draft(NamedTuple):
    """A stretch on its way."""

    part: _Part
    """The scaled source."""
    root: Array
    """The root's target, (T, 7)."""
    qpos: Array
    """The poses so far, (T, 7 + J)."""
    slowdown: Array
    """How many times slower than ``Fit.time_scale`` alone it is, (T,)."""


@dataclass(frozen=True)
class _Work:
    """What stays the same while the stretches of one source are retargeted."""

    motion: SourceMotion
    mapping: Mapping
    posture: Posture
    spec: RobotSpec
    robot: RobotPoints
    fit: Fit
    settings: RetargetSettings

    @property
    def fps(self) -> float:
        """Frames a second of the result [1/s]."""
        return 1 / self.spec.control_period_s

    def stretches(self, candidates: list[signals.Run]) -> list[Stretch]:
        """All three steps for some runs of the source's frames."""
        if not candidates:
            return []
        step = self.motion.fps / (self.fps * self.fit.time_scale)
        parts = [
            self._sample(a + np.arange(int((b - 1 - a) / step + 1e-9) + 1) * step)
            for a, b in candidates
        ]
        drafts = self._solved(self._drafts(parts))
        for _ in range(self.settings.slow_rounds):
            factors = [self._slowdown(draft) for draft in drafts]
            late = [i for i, factor in enumerate(factors) if factor.max() > _NO_SLOWDOWN]
            if not late:
                break
            redone = self._solved([self._slowed(drafts[i], factors[i]) for i in late])
            for i, draft in zip(late, redone, strict=True):
                drafts[i] = draft
        return [self._stretch(draft) for draft in drafts]

    def _drafts(self, parts: list[_Part]) -> list[_Draft]:
        """Step 1 for all stretches at once, and the smoothed path of the root."""
        qpos = self._marker_poses(parts)
        cutoff = self.settings.root_cutoff_hz
        roots = [smooth_root(q[:, :ROOT_QPOS], self.fps, cutoff) for q in qpos]
        return [
            _Draft(part, root, q, np.ones(len(q)))
            for part, root, q in zip(parts, roots, qpos, strict=True)
        ]

    def _solved(self, drafts: list[_Draft]) -> list[_Draft]:
        """Step 2 for all stretches at once."""
        starts = [np.concatenate([d.root, d.qpos[:, ROOT_QPOS:]], axis=1) for d in drafts]
        poses = self._whole_clip_poses([d.part for d in drafts], starts)
        return [d._replace(qpos=qpos) for d, qpos in zip(drafts, poses, strict=True)]

    def _slowed(self, draft: _Draft, factors: Array) -> _Draft:
        """A stretch with more time, not solved yet."""
        at = tempo.stretched_times(factors)
        return _Draft(
            part=self._sample(_between(draft.part.at, at)),
            root=_sample_pose(draft.root, at),
            qpos=_sample_pose(draft.qpos, at),
            slowdown=_between(draft.slowdown * factors, at),
        )

    def _stretch(self, draft: _Draft) -> Stretch:
        """The result of a stretch."""
        kinematics = self.robot.kinematics
        return Stretch(
            source_frame=draft.part.at,
            qpos=draft.qpos,
            contact=draft.part.contact,
            feet_w=kinematics.points(kinematics.poses(draft.qpos), self.robot.feet),
            fitted_feet_w=draft.part.fitted_feet_w,
            slowdown=draft.slowdown,
        )

    def _sample(self, at: Array) -> _Part:
        """The scaled source at some of its frames."""
        fit, posture = self.fit, self.posture
        foot_yaw = signals.sample(posture.foot_yaw, at)
        feet = signals.sample(posture.feet_w, at)
        centre = signals.sample(posture.centre_w, at)
        floor = posture.rest_height.mean() * fit.scale
        return _Part(
            at=at,
            centre_w=lift(centre * fit.scale, floor),
            yaw=signals.sample(posture.yaw, at),
            contact=posture.contact[np.round(at).astype(int)],
            fitted_feet_w=foot_targets(feet, foot_yaw, fit.scale, fit.foot_offsets_h),
        )

    def _marker_poses(self, parts: list[_Part]) -> list[Array]:
        """Step 1, (T, 7 + J) each."""
        fit = self.fit
        problem = pose_problem(self.spec, self.robot, fit.body_offsets_b, self.settings.fit.pull)
        columns = [self.motion.index(m.marker) for m in self.mapping.body_markers]
        floor = self.posture.rest_height.mean() * fit.scale
        positions = self.motion.positions_w[:, columns]
        targets = [
            np.concatenate(
                [lift(signals.sample(positions, p.at) * fit.scale, floor), p.fitted_feet_w], axis=1
            )
            for p in parts
        ]
        starts = [start_poses(self.spec, p.centre_w, p.yaw, 0.0) for p in parts]
        # The root's path is smoothed afterwards: half a millimetre is near enough.
        return _solve_parts(replace(problem, tolerance=5e-4), starts, targets)

    def _whole_clip_poses(self, parts: list[_Part], starts: list[Array]) -> list[Array]:
        """Step 2, (T, 7 + J) each; the roots of ``starts`` are the root's targets."""
        settings, spec, robot = self.settings, self.spec, self.robot
        corners_b = _BASE_CORNERS * spec.leg_length_m
        base = np.full(len(corners_b), robot.kinematics.root_body)
        problem = PoseProblem(
            kinematics=robot.kinematics,
            points=BodyPoints(
                np.concatenate([base, robot.feet.body_ids]),
                np.concatenate([corners_b, robot.feet.offsets_b]),
            ),
            weights=np.concatenate([self._weights(part.contact) for part in parts]),
            rest=spec.default_joint_pos,
            pull=settings.pull,
            lower=spec.joint_lower,
            upper=spec.joint_upper,
        )
        targets = []
        for part, start in zip(parts, starts, strict=True):
            corners = start[:, None, :3] + rotations.rotate(start[:, None, 3:ROOT_QPOS], corners_b)
            feet = pinned_feet(
                part.fitted_feet_w,
                part.contact,
                spec.foot_radius_m,
                self.fps,
                settings.foot_cutoff_hz,
                settings.blend_s,
            )
            targets.append(np.concatenate([corners, feet], axis=1))
        return _solve_parts(problem, starts, targets)

    def _weights(self, contact: Mask) -> Array:
        """Weights of the base's corners and the feet in the whole-clip pass, (T, 4 + F)."""
        settings = self.settings
        corners = np.full((len(contact), len(_BASE_CORNERS)), settings.root_weight)
        feet = np.where(signals.widen(contact, 1), 1.0, settings.swing_weight)
        return np.concatenate([corners, feet], axis=1)

    def _slowdown(self, draft: _Draft) -> Array:
        """Step 3's factors, on top of those that the stretch has already, (T,)."""
        settings = self.settings
        limits = settings.velocity_share * self.spec.velocity_limit
        greatest = np.maximum(settings.slowest / draft.slowdown, 1.0)
        joints = draft.qpos[:, ROOT_QPOS:]
        return tempo.slowdown(joints, limits, self.fps, settings.slow_window_s, greatest)


def _solve_parts(problem: PoseProblem, starts: list[Array], targets: list[Array]) -> list[Array]:
    """``solve_poses`` for several stretches at once."""
    qpos = solve_poses(problem, np.concatenate(starts), np.concatenate(targets))
    return np.split(qpos, np.cumsum([len(start) for start in starts])[:-1])


def _sample_pose(qpos: Array, at: Array) -> Array:
    """Poses, or roots alone, between their frames, (N, 7 or 7 + J)."""
    signs = rotations.align_signs(qpos[:, 3:ROOT_QPOS])
    aligned = np.concatenate([qpos[:, :3], signs, qpos[:, ROOT_QPOS:]], axis=1)
    out = signals.sample(aligned, at)
    out[:, 3:ROOT_QPOS] = rotations.normalize(out[:, 3:ROOT_QPOS])
    return out


def _between(values: Array, at: Array) -> Array:
    """Linear interpolation of a signal between its frames, (N,)."""
    return np.interp(at, np.arange(len(values)), values)
