"""How a walk looks: how near it is to the clips, and how smooth, quiet and sure-footed it is."""

from typing import Any

import numpy as np

from legged_skills.mocap.quality import Gates
from legged_skills.mocap.walking import Walking, nearest_rms
from legged_skills.robots import rotations
from legged_skills.robots.feet import Feet
from legged_skills.robots.intervals import ratio_interval
from legged_skills.robots.kinematics import ROOT_QPOS, Kinematics
from legged_skills.robots.self_collision import SelfCollision
from legged_skills.robots.spec import RobotSpec
from legged_skills.tasks.evaluate_walk import WalkEpisodes

POSE_RATE_HZ = 5.0
"""Poses are compared with those of clips this often: neighbours tell the same [1/s]."""
OVERLAP_RATE_HZ = 25.0
"""Whether parts of a robot are in each other is looked at this often [1/s]."""
OVERLAP_M = Gates.overlap_m
"""Parts that are in each other by more than this would meet [m]."""
CONTACT_M = 0.005
"""A foot stands whose lowest point is no higher over the floor's mean height [m]."""


def walking_steps(run: WalkEpisodes) -> np.ndarray:
    """(T, E) True where a robot is upright and told to go somewhere, not to stand or only turn."""
    steps, episodes, _ = run.velocity.shape
    hold = steps // run.commands.shape[1]
    told = np.linalg.norm(run.commands[..., :2], axis=-1) > 0.0  # (E, C)
    upright = np.arange(steps)[:, None] < run.fallen_at
    return upright & told.T.repeat(hold, axis=0).reshape(steps, episodes)


def naturalness(spec: RobotSpec, run: WalkEpisodes, walking: Walking | None) -> dict[str, Any]:
    """Figures of how a walk looks, over all control steps in which robots walk.

    Args:
        spec: the robot.
        run: episodes whose states are all kept.
        walking: what the clips look like; None leaves out what is compared with them.

    Returns:
        See ``motion_figures``.
    """
    return motion_figures(spec, run.qpos, walking_steps(run), run.torque_squared, walking)


def motion_figures(
    spec: RobotSpec,
    qpos: np.ndarray,
    walks: np.ndarray,
    torque_squared: np.ndarray | None,
    walking: Walking | None,
) -> dict[str, Any]:
    """Figures of how robots move, over some control steps.

    Args:
        spec: the robot.
        qpos: (T, E, 7 + J) states of E robots over T control steps.
        walks: (T, E) True for the steps that count.
        torque_squared: (T, E) sum over joints of torque^2 [N^2 m^2]; None if it is not known.
        walking: what the clips look like; None leaves out what is compared with them.

    Returns:
        "nearest_pose_rad", mean over time of ``nearest_rms`` to the poses of the walking clips,
        with "nearest_pose_rad_ci95" over episodes; "height_in_range", share of the time in which
        the base is as high over the floor as in the clips (``Walking.height_range_m``, here
        "height_range_m"); "height_m", its mean; "joint_acceleration_radps2" and
        "roll_pitch_rate_radps", root mean squares over time, and joints; "foot_slide_mps", mean
        speed of what of a standing foot meets the floor; "overlap_share", share of the time in
        which parts of the robot that must stay apart are in each other by more than ``OVERLAP_M``,
        and "overlap_m", the most; "torque_squared", mean sum over joints [N^2 m^2], NaN if it is
        not known; "walking_clips", their names. NaN if no step counts.
    """
    heights = qpos[..., 2][walks]
    figures: dict[str, Any] = {"height_m": _mean(heights)}
    if walking is not None:
        low, high = walking.height_range_m
        figures |= _nearest(spec, qpos, walks, walking) | {
            "height_in_range": _mean((heights >= low) & (heights <= high)),
            "height_range_m": [low, high],
            "walking_clips": list(walking.names),
        }
    return figures | {
        "joint_acceleration_radps2": _joint_acceleration(spec, qpos, walks),
        "roll_pitch_rate_radps": _roll_pitch_rate(spec, qpos, walks),
        "foot_slide_mps": _foot_slide(spec, qpos, walks),
        **_overlap(spec, qpos, walks),
        "torque_squared": float("nan") if torque_squared is None else _mean(torque_squared[walks]),
    }


def _nearest(
    spec: RobotSpec, qpos: np.ndarray, walks: np.ndarray, walking: Walking
) -> dict[str, Any]:
    every = max(1, round(1.0 / (POSE_RATE_HZ * spec.control_period_s)))
    joints, counted = qpos[::every, :, ROOT_QPOS:], walks[::every]
    nearest = np.full(counted.shape, np.nan)
    nearest[counted] = nearest_rms(joints[counted], walking.joints)
    # Poses of one robot are alike: what is independent is the robots.
    interval = ratio_interval(np.nansum(nearest, axis=0), counted.sum(axis=0))
    return {
        "nearest_pose_rad": _mean(nearest[counted]),
        "nearest_pose_rad_ci95": list(interval),
    }


def _joint_acceleration(spec: RobotSpec, qpos: np.ndarray, walks: np.ndarray) -> float:
    """Root mean square of the second differences of the joint angles [rad/s^2]."""
    bends = np.diff(qpos[..., ROOT_QPOS:], n=2, axis=0)[walks[2:] & walks[:-2]]
    return _rms(bends) / spec.control_period_s**2


def _roll_pitch_rate(spec: RobotSpec, qpos: np.ndarray, walks: np.ndarray) -> float:
    """Root mean square of the base's angular velocity about its x and y axes together [rad/s]."""
    rates = rotations.angular_velocity_b(qpos[..., 3:ROOT_QPOS], spec.control_period_s)[..., :2]
    # A rate is that from the row before to the next.
    inside = walks[2:] & walks[1:-1] & walks[:-2]
    return _rms(np.linalg.norm(rates, axis=-1)[1:-1][inside])


def _foot_slide(spec: RobotSpec, qpos: np.ndarray, walks: np.ndarray) -> float:
    """Mean speed along the floor of the points in which standing feet meet it [m/s].

    The point is fixed to the foot for one control step, so that a ball that rolls does not slide.
    """
    model = spec.model(visible=False)
    kinematics, feet = Kinematics(model), Feet.of(model, spec)
    total, count = 0.0, 0
    robots = np.flatnonzero(walks.any(axis=0))
    for robot in robots.tolist():
        slides = foot_slides(kinematics, feet, qpos[:, robot], spec.control_period_s)
        slides = slides[walks[1:, robot] & walks[:-1, robot]]
        total, count = total + np.nansum(slides), count + int(np.isfinite(slides).sum())
    return float(total / count) if count else float("nan")


def foot_slides(
    kinematics: Kinematics, feet: Feet, qpos: np.ndarray, period_s: float
) -> np.ndarray:
    """How fast the lowest point of each standing foot moves along the floor.

    Args:
        kinematics: of the robot.
        feet: of the robot.
        qpos: (T, 7 + J) states, one each control step.
        period_s: control period [s].

    Returns:
        (T - 1, F) speeds [m/s]; NaN where a foot does not stand before and after the step.
    """
    poses = kinematics.poses(qpos)
    points = feet.meeting
    steps, per_foot = len(qpos), len(points.body_ids) // len(feet.centres.body_ids)
    centres_w = kinematics.points(poses, points)  # (T, F * S, 3)
    quat = poses.body_quat_w[points.body_ids].swapaxes(0, 1)
    # A ball meets the floor below its centre; the point there stays with the ball for a step.
    below_w = np.array([0.0, 0.0, -feet.radius_m])
    below_b = rotations.rotate_inverse(quat[:-1], np.broadcast_to(below_w, centres_w[1:].shape))
    moved = centres_w[1:] + rotations.rotate(quat[1:], below_b) - centres_w[:-1] - below_w
    speeds = np.linalg.norm(moved[..., :2], axis=-1).reshape(steps - 1, -1, per_foot) / period_s
    heights = centres_w[..., 2].reshape(steps, -1, per_foot) - feet.radius_m
    lowest = heights[:-1].argmin(axis=2)[..., None]
    slide = np.take_along_axis(speeds, lowest, axis=2)[..., 0]
    stands = heights.min(axis=2) <= CONTACT_M
    return np.where(stands[1:] & stands[:-1], slide, np.nan)


def _overlap(spec: RobotSpec, qpos: np.ndarray, walks: np.ndarray) -> dict[str, float]:
    """How much parts of robots are in each other, which simulations of walking let them."""
    model = spec.model()
    kinematics, collision = Kinematics(model), SelfCollision.of(model, spec)
    every = max(1, round(1.0 / (OVERLAP_RATE_HZ * spec.control_period_s)))
    qpos, walks = qpos[::every], walks[::every]
    depths: list[np.ndarray] = [np.empty(0)]
    for robot in np.flatnonzero(walks.any(axis=0)).tolist():
        poses = kinematics.poses(qpos[walks[:, robot], robot])
        depths.append(-collision.nearest(kinematics, poses))
    depth = np.concatenate(depths)
    return {
        "overlap_share": _mean(depth > OVERLAP_M),
        "overlap_m": float(max(0.0, depth.max())) if depth.size else float("nan"),
    }


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.square(values).mean())) if values.size else float("nan")
