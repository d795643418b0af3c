"""Turns a source motion into poses of a robot.

Over each stretch in which the source stands on its feet:

1. Poses for the scaled markers, each frame for itself.
2. The whole-clip pass. The root's path of step 1, smoothed, is the root's target; the feet
   have targets that stand still on the floor while the source's feet stand.
3. Where that needs joints faster than the drives, the motion is slowed down and step 2 is
   done again.

Letters in the shape comments: T frames.
"""

from dataclasses import dataclass, replace

import numpy as np

from legged_skills.mocap import signals
from legged_skills.mocap.clearance import LimbClearance, room_between_feet
from legged_skills.mocap.fit import Fit, fit_clip
from legged_skills.mocap.limbs import Limbs, limb_vectors
from legged_skills.mocap.mapping import Mapping
from legged_skills.mocap.posture import Posture, analyse
from legged_skills.mocap.robot_points import RobotPoints
from legged_skills.mocap.source import SourceMotion
from legged_skills.mocap.stretch import RetargetSettings, Stretch
from legged_skills.mocap.stretch_solver import StretchSolver
from legged_skills.robots.self_collision import SelfCollision
from legged_skills.robots.spec import RobotSpec


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
    limbs = Limbs.of(spec, mapping)
    # Slightly narrower limits, so that rounding cannot exceed them.
    limited = replace(
        spec,
        joint_lower=spec.joint_lower + settings.limit_margin_rad,
        joint_upper=spec.joint_upper - settings.limit_margin_rad,
    )
    vectors = limb_vectors(motion, mapping, limbs.lengths_m, settings.limb_cutoff_hz)
    fit = fit_clip(
        motion, mapping, posture, limited, robot, limbs, vectors, settings.fit, settings.speed
    )
    collision = SelfCollision.of(spec.model(), spec)
    margin = settings.foot_margin * spec.leg_length_m
    work = StretchSolver(
        motion=motion,
        mapping=mapping,
        posture=posture,
        spec=replace(limited, default_joint_pos=fit.limbs.rest),
        robot=robot,
        limbs=limbs,
        limb_vectors_w=vectors,
        collision=collision,
        clearance=LimbClearance(
            kinematics=robot.kinematics,
            collision=collision,
            joints=np.flatnonzero(limbs.joints),
            lower=limited.joint_lower,
            upper=limited.joint_upper,
            margin_m=0.5 * margin,
        ),
        room=room_between_feet(spec, robot.kinematics, robot.feet, margin),
        fit=fit,
        settings=settings,
    )
    stretches = work.stretches(_candidates(posture, motion.fps, fit.time_scale, settings))
    return Retargeted(fit=fit, posture=posture, stretches=stretches, fps=work.fps)


def _candidates(
    posture: Posture, fps: float, time_scale: float, settings: RetargetSettings
) -> list[signals.Run]:
    """Long enough runs of upright frames, with a margin to the others."""
    bad = signals.widen(~posture.upright, round(settings.margin_s * fps))
    # Slowing down may yet make a stretch long enough.
    least = settings.min_stretch_s / max(settings.slowest, time_scale) * fps + 1
    return [(a, b) for a, b in signals.runs(~bad) if b - a >= least]
