"""Fits a source's size and marker offsets to a robot, once for a clip.

Following Bohez et al. (2022), constants of the clip (scale and marker offsets) alternate
with poses of the frames, both by least squares, with a weak pull of the pose to the
robot's default.

Letters in the shape comments: T frames, K body markers, F feet, J joints.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap.mapping import Mapping
from legged_skills.mocap.posture import Posture
from legged_skills.mocap.solve import PoseProblem, solve_poses
from legged_skills.mocap.source import SourceMotion
from legged_skills.robots import rotations
from legged_skills.robots.kinematics import ROOT_QPOS, BodyPoints, Kinematics, site_points
from legged_skills.robots.spec import RobotSpec

Array = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How scale and offsets are fitted."""

    frames: int = 200
    """Frames that the fit looks at, spread evenly over the usable ones."""
    rounds: int = 3
    """Alternations of poses and constants."""
    pull: float = 0.01
    """Weight of the pull to the default pose [1/rad^2]."""
    scale_spread: float = 0.03
    """How far the scale may leave the ratio of leg lengths, as a share (standard deviation)."""
    reach: float = 0.96
    """Feet farther from the hip than this share of the leg's greatest reach make the robot lower
    its trunk."""
    reach_percentile: float = 99.0
    """Share of the feet's positions that must be within reach [percent]."""
    marker_spread_m: float = 0.02
    """How far a well-fitted marker is off (standard deviation) [m]."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Constants of one clip on one robot."""

    scale: float
    """Metres of the robot's motion for one metre of the source's."""
    time_scale: float
    """Seconds of the robot's motion for one second of the source's."""
    body_offsets_b: Array
    """Each body marker in the frame of its body [m], (K, 3)."""
    foot_offsets_h: Array
    """What is added to each scaled foot marker, turned by ``Posture.foot_yaw`` [m], (F, 3)."""


@dataclass(frozen=True, kw_only=True)
class RobotPoints:
    """The robot's side of a mapping."""

    kinematics: Kinematics
    """The robot's kinematics."""
    feet: BodyPoints
    """Centres of the feet, (F,)."""
    marker_bodies: NDArray[np.integer]
    """The body that each body marker follows, (K,)."""
    stand_under: NDArray[np.integer]
    """The body whose origin each foot stands under, (F,)."""
    weights: Array
    """Weights of body markers, then feet [1/m^2], (K + F,)."""

    @staticmethod
    def of(spec: RobotSpec, mapping: Mapping) -> "RobotPoints":
        """Looks up a mapping's bodies and feet in the robot's model."""
        model = spec.model()
        return RobotPoints(
            kinematics=Kinematics(model),
            feet=site_points(model, spec.foot_sites),
            marker_bodies=np.array([model.body(m.body).id for m in mapping.body_markers]),
            stand_under=np.array([model.body(name).id for name in mapping.stand_under]),
            weights=np.array(
                [m.weight for m in mapping.body_markers]
                + [mapping.foot_weight] * len(spec.foot_sites)
            ),
        )

    def all_points(self, body_offsets_b: Array) -> BodyPoints:
        """Body markers at given offsets, then feet, (K + F,)."""
        return BodyPoints(
            np.concatenate([self.marker_bodies, self.feet.body_ids]),
            np.concatenate([body_offsets_b, self.feet.offsets_b]),
        )


class _Sample(NamedTuple):
    """The frames of the source that the fit looks at."""

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
        settings: how to fit.
        speed: how many times as fast as the source; None for Froude scaling.

    Returns:
        The constants.
    """
    sample = _take_sample(motion, mapping, posture, settings.frames)
    prior = spec.leg_length_m / posture.leg_length_m
    rest = posture.rest_height
    constants = _first_constants(sample, rest, spec, robot, prior)
    qpos = start_poses(spec, sample.centre_w * prior, sample.yaw, rest.mean() * prior)
    for _ in range(settings.rounds):
        scale, offsets, foot_offsets = constants
        feet = foot_targets(sample.feet_w, sample.foot_yaw, scale, foot_offsets)
        markers = lift(sample.markers_w * scale, rest.mean() * scale)
        problem = pose_problem(spec, robot, offsets, settings.pull)
        qpos = solve_poses(problem, qpos, np.concatenate([markers, feet], axis=1))
        scale, offsets, foot_offsets = _refit(
            sample, rest, spec, robot, qpos, constants, prior, settings
        )
        # A lower trunk is the same as markers higher on the robot.
        offsets[:, 2] += _crouch(robot, spec, qpos, feet, settings)
        constants = _Constants(scale, offsets, foot_offsets)
    return Fit(
        scale=constants.scale,
        time_scale=math.sqrt(constants.scale) if speed is None else 1 / speed,
        body_offsets_b=constants.body_offsets_b,
        foot_offsets_h=constants.foot_offsets_h,
    )


def _take_sample(motion: SourceMotion, mapping: Mapping, posture: Posture, most: int) -> _Sample:
    """At most ``most`` upright frames, spread evenly."""
    upright = np.flatnonzero(posture.upright)
    chosen = upright[np.linspace(0, len(upright) - 1, min(most, len(upright))).astype(int)]
    columns = [motion.index(m.marker) for m in mapping.body_markers]
    return _Sample(
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
        pull=pull,
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


def start_poses(spec: RobotSpec, centre_w: Array, yaw: Array, floor_m: float) -> Array:
    """Default poses at a trunk's place and heading, (T, 7 + J)."""
    qpos = np.tile(spec.home_qpos, (len(centre_w), 1))
    qpos[:, :3] = lift(centre_w, floor_m)
    qpos[:, 3:7] = rotations.from_yaw(yaw)
    return qpos


def _first_constants(
    sample: _Sample, rest: Array, spec: RobotSpec, robot: RobotPoints, scale: float
) -> _Constants:
    """Offsets that put the mean of the source's upright postures onto the default pose.

    The mean trunk is taken to be level, with the middle between its front and rear at the
    base's origin; a standing foot's mean place is under its hip.
    """
    heading = rotations.from_yaw(sample.yaw)[:, None]
    centre = sample.centre_w[:, None]
    local = rotations.rotate_inverse(heading, (sample.markers_w - centre) * scale)
    feet = rotations.rotate_inverse(heading, (sample.feet_w - centre) * scale)
    home_poses = robot.kinematics.poses(spec.home_qpos[None])
    home = robot.kinematics.points(home_poses, robot.feet)[0]
    home[:, 0] = home_poses.body_pos_w[robot.stand_under, 0, 0]
    foot_offsets = np.empty_like(home)
    for foot, contact in enumerate(sample.contact.T):
        standing = contact if np.any(contact) else slice(None)
        foot_offsets[foot] = home[foot] - feet[standing, foot].mean(axis=0)
    foot_offsets[:, 2] = spec.foot_radius_m - scale * rest
    return _Constants(scale, local.mean(axis=0), foot_offsets)


def _refit(
    sample: _Sample,
    rest: Array,
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
    robot_feet = robot.kinematics.points(poses, robot.feet) - anchor
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
    markers = lift((sample.markers_w - middle) * scale, rest.mean() * scale) + anchor
    body_offsets = np.empty((markers.shape[1], 3))
    for k, body in enumerate(robot.marker_bodies):
        body_offsets[k] = rotations.rotate_inverse(
            poses.body_quat_w[body], markers[:, k] - poses.body_pos_w[body]
        ).mean(axis=0)
    # The height of the trunk is not up to the pull of the poses, only to ``_crouch``.
    body_offsets[:, 2] += old.body_offsets_b[:, 2].mean() - body_offsets[:, 2].mean()
    foot_offsets = rotations.rotate_inverse(
        rotations.from_yaw(sample.foot_yaw), robot_feet - source_feet * scale
    ).mean(axis=0)
    foot_offsets[:, 2] = spec.foot_radius_m - scale * rest
    return _Constants(scale, body_offsets, foot_offsets)


def _crouch(
    robot: RobotPoints, spec: RobotSpec, qpos: Array, feet_w: Array, settings: FitSettings
) -> float:
    """How much the trunk has to come down for the feet to be within reach [m]."""
    kinematics = robot.kinematics
    extremes = np.tile(spec.home_qpos, (2, 1))
    extremes[0, ROOT_QPOS:] = spec.joint_lower
    extremes[1, ROOT_QPOS:] = spec.joint_upper
    poses = kinematics.poses(extremes)
    hips = poses.body_pos_w[robot.stand_under].swapaxes(0, 1)
    lengths = np.linalg.norm(kinematics.points(poses, robot.feet) - hips, axis=-1)
    reach = settings.reach * lengths.max(axis=0)
    hips = kinematics.poses(qpos).body_pos_w[robot.stand_under].swapaxes(0, 1)
    drop = feet_w - hips
    # Lowering the hip by c brings the foot up by c in its frame: the foot is within reach
    # from c = depth - sqrt(reach^2 - horizontal^2) on.
    depth = -drop[..., 2]
    horizontal = np.minimum(np.hypot(drop[..., 0], drop[..., 1]), reach)
    needed = depth - np.sqrt(reach**2 - horizontal**2)
    return float(max(0.0, np.percentile(needed, settings.reach_percentile)))
