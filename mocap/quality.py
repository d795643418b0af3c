"""How good a robot clip is, and whether that is good enough."""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legged_skills import robots
from legged_skills.mocap import signals
from legged_skills.mocap.clip import RobotClip
from legged_skills.robots import rotations
from legged_skills.robots.feet import Feet
from legged_skills.robots.kinematics import ROOT_QPOS, Kinematics
from legged_skills.robots.self_collision import SelfCollision
from legged_skills.robots.spec import RobotSpec

Array = NDArray[np.floating]

# A joint within this of its limit keeps it: the rounding of a float32 [rad].
_LIMIT_ROUNDING_RAD = 1e-5


@dataclass(frozen=True, kw_only=True)
class Gates:
    """What a clip must keep to be used. A figure that is not known passes."""

    marker_error_m: float = 0.02
    """Mean distance of feet and hands from the scaled, offset-fitted source [m]."""
    penetration_m: float = 0.01
    """Greatest depth of a foot in the floor [m]."""
    slide_mps: float = 0.02
    """Mean speed of standing feet [m/s]."""
    slide_p95_mps: float = 0.06
    """95th percentile of the speed of standing feet [m/s]."""
    limit_violations: int = 0
    """Number of joint angles beyond their limits, over all frames."""
    joint_speed_share: float = 1.0
    """Greatest joint speed as a share of the drive's limit."""
    acceleration_share: float = 1.0
    """Greatest joint acceleration as a share of what the drives can do."""
    root_jump_m: float = 0.02
    """Greatest jump of the root between frames beyond what its speed explains [m]."""
    overlap_m: float = 0.005
    """Greatest depth of parts of the robot in each other [m]."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Figures of one clip."""

    duration_s: float
    """Length [s]."""
    marker_error_m: float
    """Mean distance of feet, and of hands, from the scaled, offset-fitted source: the greater of
    the two; NaN if not known [m]."""
    marker_error_max_m: float
    """Greatest such distance of a foot; NaN if not known [m]."""
    penetration_m: float
    """Greatest depth of a foot in the floor; 0 if there is none [m]."""
    slide_mps: float
    """Mean speed of the centres of standing feet, along the floor [m/s]."""
    slide_p95_mps: float
    """95th percentile of that speed [m/s]."""
    limit_violations: int
    """Number of joint angles beyond their limits, over all frames."""
    joint_speed_share: float
    """Greatest joint speed as a share of the drive's limit."""
    root_jump_m: float
    """Greatest distance of the root from the middle of its neighbours in time [m]."""
    speed_mps: float
    """Mean horizontal speed of the root [m/s]."""
    speed_max_mps: float
    """Greatest horizontal speed of the root [m/s]."""
    yaw_rate_max_radps: float
    """Greatest turning speed [rad/s]."""
    contact_share: float
    """Share of time that a foot stands, mean of all feet."""
    overlap_m: float
    """Greatest depth of parts of the robot in each other; 0 if none meet [m]."""
    acceleration_share: float
    """Greatest joint acceleration as a share of what the drives can do."""

    def to_json(self) -> dict[str, Any]:
        """The figures by name; those that are not known are None."""
        return {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in asdict(self).items()
        }


def failed_gates(quality: Quality, gates: Gates) -> tuple[str, ...]:
    """The gates that a clip fails, each as "figure value > limit"."""
    figures = {gate.name: getattr(quality, gate.name) for gate in fields(gates)}
    limits = {name: getattr(gates, name) for name in figures}
    return tuple(
        f"{name} {value:.3g} > {limits[name]:.3g}"
        for name, value in figures.items()
        if value > limits[name]  # false for NaN: a figure that is not known passes
    )


@dataclass(frozen=True, kw_only=True)
class ClipCheck(Quality):
    """The figures of one clip, and what they mean for it."""

    name: str
    """The clip."""
    failures: tuple[str, ...]
    """The gates that it fails, each as "figure value > limit"."""

    @property
    def passed(self) -> bool:
        """Whether the clip keeps all gates."""
        return not self.failures

    def to_json(self) -> dict[str, Any]:
        """Name, figures, "passed" and "failures"."""
        return {**super().to_json(), "failures": list(self.failures), "passed": self.passed}


def check_clip(
    clip: RobotClip, spec: RobotSpec | None = None, gates: Gates | None = None
) -> ClipCheck:
    """Measures a clip and compares it with gates.

    Args:
        clip: the clip.
        spec: its robot; None looks it up by the name in the clip.
        gates: what it must keep; None for the defaults.

    Returns:
        Figures and failures.

    Raises:
        UnknownRobotError: the clip's robot is not known.
        ClipError: the clip's joints or feet are not the robot's.
    """
    spec = robots.get(clip.robot) if spec is None else spec
    quality = measure(clip, spec)
    return ClipCheck(
        name=clip.name,
        failures=failed_gates(quality, Gates() if gates is None else gates),
        **asdict(quality),
    )


def measure(clip: RobotClip, spec: RobotSpec) -> Quality:
    """Measures a clip.

    The error against the source cannot be told from the clip alone: it is taken from the
    figures stored in it when it was made.

    Args:
        clip: the clip.
        spec: its robot.

    Returns:
        The figures.

    Raises:
        ClipError: the clip is of another robot, or its joints or feet are.
    """
    clip.check_layout(spec)
    model = spec.model()
    kinematics = Kinematics(model)
    feet = Feet.of(model, spec)
    poses = kinematics.poses(clip.qpos)
    collision = SelfCollision.of(model, spec)
    return measure_motion(
        clip.qpos,
        FootMotion(
            centres_w=kinematics.points(poses, feet.centres),
            floor_distance=feet.floor_distance(kinematics, poses),
            contact=clip.foot_contact,
        ),
        collision.nearest(kinematics, poses),
        spec,
        clip.fps,
        _stored(clip, "marker_error_m"),
        _stored(clip, "marker_error_max_m"),
    )


def _stored(clip: RobotClip, name: str) -> float:
    """A figure from when the clip was made; NaN if it has none."""
    value = clip.quality.get(name)
    return float(value) if isinstance(value, int | float) else math.nan


@dataclass(frozen=True, kw_only=True)
class FootMotion:
    """What the feet of a robot do."""

    centres_w: Array
    """Centres of the feet [m], (T, F, 3)."""
    floor_distance: Array
    """Height of the lowest point of each foot over the floor [m], (T, F)."""
    contact: NDArray[np.bool_]
    """Which feet stand, (T, F)."""


def measure_motion(
    qpos: Array,
    feet: FootMotion,
    apart: Array,
    spec: RobotSpec,
    fps: float,
    marker_error_m: float = math.nan,
    marker_error_max_m: float = math.nan,
) -> Quality:
    """Measures a motion whose feet are known.

    Args:
        qpos: poses, (T, 7 + J).
        feet: what its feet do.
        apart: least distance of parts of the robot that must not meet [m], (T,).
        spec: the robot.
        fps: frames a second [1/s].
        marker_error_m: mean error against the source, if known [m].
        marker_error_max_m: greatest error against the source, if known [m].

    Returns:
        The figures.
    """
    joints = qpos[:, ROOT_QPOS:]
    beyond = np.maximum(spec.joint_lower - joints, joints - spec.joint_upper)
    sliding = np.linalg.norm(signals.velocity(feet.centres_w[..., :2], fps), axis=-1)
    sliding = sliding[feet.contact]
    root_velocity = signals.velocity(qpos[:, :2], fps)
    speed = np.linalg.norm(root_velocity, axis=-1)
    middle = 0.5 * (qpos[2:, :3] + qpos[:-2, :3])
    jumps = np.linalg.norm(qpos[1:-1, :3] - middle, axis=-1)
    turning = rotations.angular_velocity_w(qpos[:, 3:ROOT_QPOS], 1 / fps)[:, 2]
    return Quality(
        duration_s=(len(qpos) - 1) / fps,
        marker_error_m=marker_error_m,
        marker_error_max_m=marker_error_max_m,
        penetration_m=max(0.0, float(-feet.floor_distance.min())),
        slide_mps=float(sliding.mean()) if len(sliding) else 0.0,
        slide_p95_mps=float(np.percentile(sliding, 95)) if len(sliding) else 0.0,
        limit_violations=int(np.sum(beyond > _LIMIT_ROUNDING_RAD)),
        joint_speed_share=float(joint_speeds(joints, spec, fps).max()),
        root_jump_m=float(jumps.max()) if len(jumps) else 0.0,
        speed_mps=float(speed.mean()),
        speed_max_mps=float(speed.max()),
        yaw_rate_max_radps=float(np.abs(turning).max()),
        contact_share=float(feet.contact.mean()),
        overlap_m=max(0.0, float(-apart.min())),
        acceleration_share=float(joint_accelerations(joints, spec, fps).max(initial=0.0)),
    )


def joint_speeds(joints: Array, spec: RobotSpec, fps: float) -> Array:
    """Greatest joint speed from each frame to the next, as a share of the limits, (T - 1,)."""
    return np.max(np.abs(np.diff(joints, axis=0)) * fps / spec.velocity_limit, axis=1)


def joint_accelerations(joints: Array, spec: RobotSpec, fps: float) -> Array:
    """Greatest joint acceleration in each frame, as a share of the limits, (T - 2,)."""
    bends = np.abs(np.diff(joints, n=2, axis=0)) * fps**2
    return np.max(bends / spec.acceleration_limit, axis=1)
