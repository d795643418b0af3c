"""Solves stretches of a source for poses of the robot: the three steps of ``retarget``.

Letters in the shape comments: T frames, F feet, H handles of feet, L limbs, J joints.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap import signals, tempo
from legged_skills.mocap.clearance import FootRoom, LimbClearance, keep_apart
from legged_skills.mocap.fit import (
    Fit,
    foot_targets,
    lift,
    pose_problem,
    start_poses,
)
from legged_skills.mocap.limbs import Limbs
from legged_skills.mocap.mapping import Mapping
from legged_skills.mocap.posture import Posture
from legged_skills.mocap.robot_points import RobotPoints
from legged_skills.mocap.solve import PoseProblem, solve_poses
from legged_skills.mocap.source import SourceMotion
from legged_skills.mocap.stretch import RetargetSettings, Stretch
from legged_skills.mocap.targets import (
    pinned_feet,
    smooth_root,
    sole_orientations,
    swing_share,
)
from legged_skills.robots import rotations
from legged_skills.robots.kinematics import ROOT_QPOS, BodyPoints
from legged_skills.robots.self_collision import SelfCollision
from legged_skills.robots.spec import RobotSpec

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]

# Slowing down by less than this is not worth another round.
_NO_SLOWDOWN = 1.005
# Four points of the base that carry the root's target in the whole-clip pass [leg lengths]: far
# enough apart to hold its turn as firmly as its place.
_BASE_CORNERS = np.array([[0.5, 0.4, 0.0], [0.5, -0.4, 0.0], [-0.5, 0.4, 0.0], [-0.5, -0.4, 0.0]])


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A stretch of the source in the robot's size and frame rate."""

    at: Array
    """The source's frames, (T,)."""
    centre_w: Array
    """Centre of the trunk [m], (T, 3)."""
    yaw: Array
    """Heading of the trunk [rad], (T,)."""
    contact: Mask
    """Which feet stand, (T, F)."""
    fitted_feet_w: Array
    """Scaled feet with their offsets [m], (T, F, 3)."""
    foot_yaw: Array
    """Headings of the feet [rad], (T, F)."""
    foot_pitch: Array
    """Rise of the feet from heel to toe [rad], (T, F)."""
    limb_vectors_w: Array
    """Directions of limbs at the robot's lengths [m], (T, L, 2, 3)."""


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
class StretchSolver:
    """What stays the same while the stretches of one source are retargeted."""

    motion: SourceMotion
    """The source."""
    mapping: Mapping
    """Which of its joints go where."""
    posture: Posture
    """What the source alone tells."""
    spec: RobotSpec
    """The robot; its default pose is where the clip's limbs rest."""
    robot: RobotPoints
    """The robot's points."""
    limbs: Limbs
    """The robot's limbs besides the legs."""
    limb_vectors_w: Array
    """Their directions in the source at the robot's lengths [m], (T, L, 2, 3)."""
    collision: SelfCollision
    """Which parts of the robot must not meet."""
    clearance: LimbClearance
    """Keeps limbs clear of the rest."""
    room: FootRoom
    """How much room feet need."""
    fit: Fit
    """The clip's constants."""
    settings: RetargetSettings
    """How."""

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
        fps = self.fps * self.fit.time_scale
        roots = [smooth_root(q[:, :ROOT_QPOS], fps, cutoff) for q in qpos]
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
        kinematics, feet, limbs = self.robot.kinematics, self.robot.feet, self.limbs
        poses = kinematics.poses(draft.qpos)
        apart = kinematics.points(poses, limbs.points)
        apart -= limbs.targets(
            draft.qpos[:, :ROOT_QPOS], draft.part.limb_vectors_w, self.fit.limbs.offsets_b
        )
        return Stretch(
            source_frame=draft.part.at,
            qpos=draft.qpos,
            contact=draft.part.contact,
            feet_w=kinematics.points(poses, feet.centres),
            floor_distance=feet.floor_distance(kinematics, poses),
            fitted_feet_w=draft.part.fitted_feet_w,
            apart=self.collision.nearest(kinematics, poses),
            limb_errors=np.linalg.norm(apart[:, len(self.mapping.limbs) :], axis=-1),
            slowdown=draft.slowdown,
        )

    def _sample(self, at: Array) -> _Part:
        """The scaled source at some of its frames."""
        fit, posture = self.fit, self.posture
        foot_yaw = signals.sample(posture.foot_yaw, at)
        feet = signals.sample(posture.feet_w, at)
        centre = signals.sample(posture.centre_w, at)
        floor = posture.floor_m * fit.scale
        return _Part(
            at=at,
            centre_w=lift(centre * fit.scale, floor),
            yaw=signals.sample(posture.yaw, at),
            contact=posture.contact[np.round(at).astype(int)],
            fitted_feet_w=foot_targets(feet, foot_yaw, fit.scale, fit.foot_offsets_h),
            foot_yaw=foot_yaw,
            foot_pitch=signals.sample(posture.foot_pitch, at),
            limb_vectors_w=signals.sample(self.limb_vectors_w, at),
        )

    def _marker_poses(self, parts: list[_Part]) -> list[Array]:
        """Step 1, (T, 7 + J) each."""
        fit, robot = self.fit, self.robot
        problem = pose_problem(self.spec, robot, fit.body_offsets_b, self.settings.fit.pull)
        columns = [self.motion.index(m.marker) for m in self.mapping.body_markers]
        floor = self.posture.floor_m * fit.scale
        positions = self.motion.positions_w[:, columns]
        targets = []
        for part in parts:
            markers = lift(signals.sample(positions, part.at) * fit.scale, floor)
            flat = rotations.from_yaw(part.foot_yaw)
            handles = robot.feet.handle_targets(part.fitted_feet_w, flat)
            targets.append(np.concatenate([markers, handles], axis=1))
        starts = [start_poses(self.spec, robot, p.centre_w, p.yaw, 0.0) for p in parts]
        # The root's path is smoothed afterwards: half a millimetre is near enough.
        return _solve_parts(replace(problem, tolerance=5e-4), starts, targets)

    def _whole_clip_poses(self, parts: list[_Part], starts: list[Array]) -> list[Array]:
        """Step 2, (T, 7 + J) each; the roots of ``starts`` are the root's targets."""
        settings, spec, robot, limbs = self.settings, self.spec, self.robot, self.limbs
        handles = robot.feet.handles
        corners_b = _BASE_CORNERS * spec.leg_length_m
        base = np.full(len(corners_b), robot.kinematics.root_body)
        problem = PoseProblem(
            kinematics=robot.kinematics,
            points=BodyPoints(
                np.concatenate([base, handles.body_ids, limbs.points.body_ids]),
                np.concatenate([corners_b, handles.offsets_b, limbs.points.offsets_b]),
            ),
            weights=np.concatenate([self._weights(part.contact) for part in parts]),
            rest=spec.default_joint_pos,
            pull=np.where(limbs.joints, settings.fit.limbs.pull, settings.pull),
            lower=spec.joint_lower,
            upper=spec.joint_upper,
        )
        targets = []
        for part, start in zip(parts, starts, strict=True):
            root = start[:, :ROOT_QPOS]
            corners = root[:, None, :3] + rotations.rotate(root[:, None, 3:], corners_b)
            arms = limbs.targets(root, part.limb_vectors_w, self.fit.limbs.offsets_b)
            targets.append(np.concatenate([corners, self._foot_handles(part), arms], axis=1))
        poses = _solve_parts(problem, starts, targets)
        for part, qpos in zip(parts, poses, strict=True):
            self._calm_limbs(part, qpos)
        return poses

    def _calm_limbs(self, part: _Part, qpos: Array) -> None:
        """Smooths the joints of limbs, which hold no foot, in place; ``qpos`` is (T, 7 + J)."""
        chosen = np.flatnonzero(self.limbs.joints)
        if len(chosen):
            cutoff, fps = self.settings.limb_cutoff_hz, self._source_fps(part)
            joints = signals.smooth(qpos[:, ROOT_QPOS + chosen], cutoff, fps)
            lower, upper = self.spec.joint_lower[chosen], self.spec.joint_upper[chosen]
            qpos[:, ROOT_QPOS + chosen] = np.clip(joints, lower, upper)
            window = self.settings.limb_window(fps)
            qpos[:] = self.clearance.clear(qpos, window)

    def _source_fps(self, part: _Part) -> float:
        """Frames in a second of the source's time [1/s]: smoothing slows down with a motion."""
        return self.motion.fps * (len(part.at) - 1) / max(part.at[-1] - part.at[0], 1e-9)

    def _foot_handles(self, part: _Part) -> Array:
        """Where the handles of feet should be that stand still and clear the floor, (T, H, 3)."""
        settings, feet = self.settings, self.robot.feet
        fps = self._source_fps(part)
        paths, pitch = part.fitted_feet_w, np.zeros(part.foot_pitch.shape)
        cutoff, blend = settings.foot_cutoff_hz, settings.blend_s
        if feet.has_soles:
            swing = swing_share(part.contact, fps, settings.sole_fade_s)
            most = settings.sole_pitch_max_rad
            pitch = swing * np.clip(settings.sole_pitch * part.foot_pitch, -most, most)
            paths = paths.copy()
            cutoff, blend = settings.sole_cutoff_hz, settings.sole_blend_s
            paths[..., 2] += swing * settings.sole_lift * self.spec.leg_length_m
        quats = sole_orientations(part.foot_yaw, pitch)
        floor = feet.standing_height(quats)
        paths = keep_apart(paths, part.contact, part.yaw, part.foot_yaw, self.room, fps, cutoff)
        centres = pinned_feet(paths, part.contact, floor, fps, cutoff, blend)
        return feet.handle_targets(centres, quats)

    def _weights(self, contact: Mask) -> Array:
        """Weights of the base's corners, the feet's handles and the limbs, (T, 4 + H + 2 L)."""
        settings = self.settings
        each = self.robot.feet.handles_per_foot
        corners = np.full((len(contact), len(_BASE_CORNERS)), settings.root_weight)
        feet = np.where(signals.widen(contact, 1), 1.0, settings.swing_weight)
        limbs = np.tile(self.limbs.weights, (len(contact), 1))
        return np.concatenate([corners, np.repeat(feet / each, each, axis=1), limbs], axis=1)

    def _slowdown(self, draft: _Draft) -> Array:
        """Step 3's factors, on top of those that the stretch has already, (T,)."""
        settings = self.settings
        limits = tempo.Limits(
            speed=settings.velocity_share * self.spec.velocity_limit,
            acceleration=settings.velocity_share * self.spec.acceleration_limit,
        )
        taken = self.fit.time_scale * draft.slowdown
        greatest = np.maximum(settings.slowest / taken, 1.0)
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
