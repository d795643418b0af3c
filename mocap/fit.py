"""Fits a source's size and marker offsets to a robot, once for a clip.

Following Bohez et al. (2022), constants of the clip (scale and marker offsets) alternate
with poses of the frames, both by least squares, with a weak pull of the pose to the
robot's default.

Letters in the shape comments: T frames, K body markers, F feet, J joints.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap.limb_fit import LimbFit, LimbFitSettings, fit_limbs
from legged_skills.mocap.limbs import Limbs
from legged_skills.mocap.mapping import Mapping
from legged_skills.mocap.posture import Posture
from legged_skills.mocap.robot_points import RobotPoints
from legged_skills.mocap.solve import PoseProblem, solve_poses
from legged_skills.mocap.source import SourceMotion
from legged_skills.robots import rotations
from legged_skills.robots.kinematics import ROOT_QPOS
from legged_skills.robots.spec import RobotSpec

Array = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How scale and offsets are fitted."""

    frames: int = 200
    """Frames that the fit looks at, spread evenly over the usable ones."""
    rounds: int = 3
    """Alternations of poses and constants."""
    pull: float = 0.0332
    """Weight of the pull to the default pose, against distances in leg lengths [1/rad^2]; 0.01
    against metres for ANYmal, as in Bohez et al. (2022)."""
    scale_spread: float = 0.03
    """How far the scale may leave the ratio of leg lengths, as a share (standard deviation)."""
    reach: float = 0.96
    """Feet farther from the hip than this share of the leg's greatest reach make the robot lower
    its trunk."""
    reach_percentile: float = 99.0
    """Share of the feet's positions that must be within reach [percent]."""
    marker_spread_m: float = 0.02
    """How far a well-fitted marker is off (standard deviation) [m]."""
    lean_max_rad: float = math.radians(20)
    """A human's mean lean is kept up to this [rad]."""
    limbs: LimbFitSettings = field(default_factory=LimbFitSettings)
    """How limbs besides the legs are fitted."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Constants of one clip on one robot."""

    scale: float
    """Metres of the robot's motion for one metre of the source's."""
    time_scale: float
    """Seconds of the robot's motion for one second of the source's."""
    body_offsets_b: Array
    """Each body marker in the frame of the base [m], (K, 3)."""
    foot_offsets_h: Array
    """What is added to each scaled foot marker, turned by ``Posture.foot_yaw`` [m], (F, 3)."""
    limbs: LimbFit
    """Constants of the limbs."""


class _Sample(NamedTuple):
    """The frames of the source that the fit looks at."""

    frames: NDArray[np.integer]
    """Which they are, (T,)."""
    markers_w: Array
    """Body markers [m], (T, K, 3)."""
    centre_w: Array
    """Middle of the trunk [m], (T, 3)."""
    yaw: Array
    """Heading of the trunk [rad], (T,)."""
    feet_w: Array
    """Foot markers [m], (T, F, 3)."""
    foot_yaw: Array
    """Headings that turn the feet's offsets [rad], (T, F)."""
    contact: NDArray[np.bool_]
    """Which feet stand, (T, F)."""


class _Constants(NamedTuple):
    """What the fit is after; see ``Fit``."""

    scale: float
    body_offsets_b: Array
    foot_offsets_h: Array


def fit_clip(
    motion: SourceMotion,
    mapping: Mapping,
    posture: Posture,
    spec: RobotSpec,
    robot: RobotPoints,
    limbs: Limbs,
    limb_vectors_w: Array,
    settings: FitSettings,
    speed: float | None = None,
) -> Fit:
    """Fits scale, time scale and offsets over the upright frames of a clip.

    Time is scaled by the square root of the length scale, so that the Froude number
    v^2 / (g leg) of the source is kept.

    Args:
        motion: the source.
        mapping: which marker goes where.
        posture: the analysed source.
        spec: the robot.
        robot: the robot's points.
        limbs: the robot's limbs.
        limb_vectors_w: from ``limbs.limb_vectors`` [m], (T, L, 2, 3).
        settings: how to fit.
        speed: how many times as fast as the source; None for Froude scaling.

    Returns:
        The constants.
    """
    sample = _take_sample(motion, mapping, posture, settings.frames)
    if posture.straight_leg_m is None:
        prior = spec.leg_length_m / posture.leg_length_m
    else:
        prior = robot.straight_leg_m / posture.straight_leg_m
    rest = posture.rest_height
    constants = _first_constants(sample, rest, spec, robot, prior, settings.lean_max_rad)
    qpos = start_poses(spec, robot, sample.centre_w * prior, sample.yaw, posture.floor_m * prior)
    flat = rotations.from_yaw(sample.foot_yaw)
    for _ in range(settings.rounds):
        scale, offsets, foot_offsets = constants
        feet = foot_targets(sample.feet_w, sample.foot_yaw, scale, foot_offsets)
        markers = lift(sample.markers_w * scale, posture.floor_m * scale)
        problem = pose_problem(spec, robot, offsets, settings.pull)
        handles = robot.feet.handle_targets(feet, flat)
        qpos = solve_poses(problem, qpos, np.concatenate([markers, handles], axis=1))
        scale, offsets, foot_offsets = _refit(
            sample, posture, spec, robot, qpos, constants, prior, settings
        )
        # A lower trunk is the same as markers higher on the robot.
        ankles = feet + rotations.rotate(flat, robot.ankles_f)
        offsets[:, 2] += _crouch(robot, qpos, ankles, settings)
        constants = _Constants(scale, offsets, foot_offsets)
    return Fit(
        scale=constants.scale,
        time_scale=math.sqrt(constants.scale) if speed is None else 1 / speed,
        body_offsets_b=constants.body_offsets_b,
        foot_offsets_h=constants.foot_offsets_h,
        limbs=fit_limbs(
            limbs,
            robot.kinematics,
            spec,
            rotations.rotate_inverse(
                qpos[:, None, None, 3:ROOT_QPOS], limb_vectors_w[sample.frames]
            ),
            settings.limbs,
        ),
    )


def _take_sample(motion: SourceMotion, mapping: Mapping, posture: Posture, most: int) -> _Sample:
    """At most ``most`` upright frames, spread evenly."""
    upright = np.flatnonzero(posture.upright)
    chosen = upright[np.linspace(0, len(upright) - 1, min(most, len(upright))).astype(int)]
    columns = [motion.index(m.marker) for m in mapping.body_markers]
    return _Sample(
        frames=chosen,
        markers_w=motion.positions_w[chosen][:, columns],
        centre_w=posture.centre_w[chosen],
        yaw=posture.yaw[chosen],
        feet_w=posture.feet_w[chosen],
        foot_yaw=posture.foot_yaw[chosen],
        contact=posture.contact[chosen],
    )


def pose_problem(
    spec: RobotSpec, robot: RobotPoints, body_offsets_b: Array, pull: float
) -> PoseProblem:
    """The pose of the robot whose body markers and feet are at targets."""
    return PoseProblem(
        kinematics=robot.kinematics,
        points=robot.all_points(body_offsets_b),
        weights=robot.weights,
        rest=spec.default_joint_pos,
        pull=pull * spec.leg_length_m**2,
        lower=spec.joint_lower,
        upper=spec.joint_upper,
    )


def lift(points_w: Array, floor_m: float) -> Array:
    """Moves points down so that a floor at height ``floor_m`` comes to height 0."""
    return points_w - np.array([0.0, 0.0, floor_m])


def foot_targets(feet_w: Array, foot_yaw: Array, scale: float, foot_offsets_h: Array) -> Array:
    """The scaled, offset-fitted feet of the source: where the robot's feet should be.

    Args:
        feet_w: the source's foot markers [m], (T, F, 3).
        foot_yaw: ``Posture.foot_yaw`` [rad], (T, F).
        scale: of lengths.
        foot_offsets_h: offsets of the feet at heading 0 [m], (F, 3).

    Returns:
        Centres of the robot's feet over a floor at height 0 [m], (T, F, 3).
    """
    turned = rotations.rotate(rotations.from_yaw(foot_yaw), foot_offsets_h)
    return feet_w * scale + turned


def start_poses(
    spec: RobotSpec, robot: RobotPoints, centre_w: Array, yaw: Array, floor_m: float
) -> Array:
    """Default poses at a trunk's place and heading, (T, 7 + J)."""
    qpos = np.tile(spec.home_qpos, (len(centre_w), 1))
    turned = rotations.rotate(rotations.from_yaw(yaw), robot.trunk_b)
    qpos[:, :3] = lift(centre_w, floor_m) - turned
    qpos[:, 3:7] = rotations.from_yaw(yaw)
    return qpos


def _first_constants(
    sample: _Sample,
    rest: Array,
    spec: RobotSpec,
    robot: RobotPoints,
    scale: float,
    most_lean: float,
) -> _Constants:
    """Offsets that put the mean of the source's upright postures onto the default pose.

    A dog's mean trunk is taken to be level; a human's keeps its mean lean. Its centre is where the
    mapping says, and a standing foot's mean place is under its hip, or under the robot's middle
    if that is elsewhere because it leans.
    """
    heading = rotations.from_yaw(sample.yaw)[:, None]
    centre = sample.centre_w[:, None]
    local = rotations.rotate_inverse(heading, (sample.markers_w - centre) * scale)
    lean = float(np.clip(robot.trunk.lean(local.mean(axis=0)), -most_lean, most_lean))
    upright = rotations.from_axis_angle(np.array([0.0, 1.0, 0.0]), np.array(-lean))
    feet = rotations.rotate_inverse(heading, (sample.feet_w - centre) * scale)
    home_poses = robot.kinematics.poses(spec.home_qpos[None])
    home = robot.kinematics.points(home_poses, robot.feet.centres)[0] - spec.home_qpos[:3]
    home[:, 0] = robot.kinematics.points(home_poses, robot.hips)[0, :, 0]
    home -= robot.trunk_b
    foot_offsets = np.empty_like(home)
    for foot, contact in enumerate(sample.contact.T):
        standing = contact if np.any(contact) else slice(None)
        foot_offsets[foot] = home[foot] - feet[standing, foot].mean(axis=0)
    foot_offsets[:, 2] = spec.foot_radius_m - scale * rest
    # A robot that leans stands under its middle, not under its hips.
    foot_offsets[:, 0] += robot.trunk.ahead(lean)
    markers = rotations.rotate(upright, local.mean(axis=0))
    return _Constants(scale, markers + robot.trunk_b, foot_offsets)


def _refit(
    sample: _Sample,
    posture: Posture,
    spec: RobotSpec,
    robot: RobotPoints,
    qpos: Array,
    old: _Constants,
    prior: float,
    settings: FitSettings,
) -> _Constants:
    """Scale and offsets that fit best to given poses.

    For fixed poses each offset is a mean difference; the scale is what is left: the
    regression of the robot's deviations from the mean on the source's, with a prior at the
    ratio of leg lengths (poses are pulled to the default, which would shrink it).
    """
    poses = robot.kinematics.poses(qpos)
    heading = rotations.from_yaw(sample.yaw)[:, None]
    # Everything relative to the trunk's middle: a change of scale moves the whole path over
    # the floor, which is no one's error.
    middle = (sample.centre_w * [1.0, 1.0, 0.0])[:, None]
    anchor = middle * old.scale
    robot_feet = robot.kinematics.points(poses, robot.feet.centres) - anchor
    source_feet = sample.feet_w - middle
    robot_local = rotations.rotate_inverse(heading, robot_feet)[..., :2]
    source_local = rotations.rotate_inverse(heading, source_feet)[..., :2]
    robot_dev = robot_local - robot_local.mean(axis=0)
    source_dev = source_local - source_local.mean(axis=0)
    weight = settings.marker_spread_m**-2 / len(qpos)
    prior_weight = (settings.scale_spread * prior) ** -2
    scale = float(
        (weight * np.sum(source_dev * robot_dev) + prior_weight * prior)
        / (weight * np.sum(source_dev**2) + prior_weight)
    )
    markers = lift((sample.markers_w - middle) * scale, posture.floor_m * scale) + anchor
    base = robot.kinematics.root_body
    body_offsets = rotations.rotate_inverse(
        poses.body_quat_w[base, :, None], markers - poses.body_pos_w[base, :, None]
    ).mean(axis=0)
    # The mean lean is not up to the pull of the poses.
    turn = robot.trunk.lean(old.body_offsets_b) - robot.trunk.lean(body_offsets)
    back = rotations.from_axis_angle(np.array([0.0, 1.0, 0.0]), np.array(turn))
    body_offsets = robot.trunk_b + rotations.rotate(back, body_offsets - robot.trunk_b)
    # The height of the trunk is not up to it either, only to ``_crouch``.
    body_offsets[:, 2] += old.body_offsets_b[:, 2].mean() - body_offsets[:, 2].mean()
    foot_offsets = rotations.rotate_inverse(
        rotations.from_yaw(sample.foot_yaw), robot_feet - source_feet * scale
    ).mean(axis=0)
    foot_offsets[:, 2] = spec.foot_radius_m - scale * posture.rest_height
    return _Constants(scale, body_offsets, foot_offsets)


def _crouch(robot: RobotPoints, qpos: Array, ankles_w: Array, settings: FitSettings) -> float:
    """How much the trunk has to come down for the feet to be within reach [m]."""
    kinematics = robot.kinematics
    reach = settings.reach * robot.reach_m
    drop = ankles_w - kinematics.points(kinematics.poses(qpos), robot.hips)
    # Lowering the hip by c brings the foot up by c in its frame: the foot is within reach
    # from c = depth - sqrt(reach^2 - horizontal^2) on.
    depth = -drop[..., 2]
    horizontal = np.minimum(np.hypot(drop[..., 0], drop[..., 1]), reach)
    needed = depth - np.sqrt(reach**2 - horizontal**2)
    return float(max(0.0, np.percentile(needed, settings.reach_percentile)))
