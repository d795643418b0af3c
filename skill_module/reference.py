"""Clips as arrays that an environment can index: one row a control step, all clips in a row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from legged_skills.mocap.clip import RobotClip
from legged_skills.mocap.mirror import mirror
from legged_skills.robots.errors import ClipError
from legged_skills.robots.kinematics import Kinematics, site_points
from legged_skills.robots.rotations import rotate_inverse
from legged_skills.robots.spec import RobotSpec

MIN_STEPS = 10
"""Clips shorter than this many control steps are refused: there is nothing to track."""


@dataclass(frozen=True)
class Reference:
    """M control steps of reference motion, clip after clip, all float32.

    Attributes:
        qpos: (M, 7 + J) root position in the world [m], root quaternion wxyz, joints [rad].
        qvel: (M, 6 + J) root velocity in the world [m/s], root angular velocity in the base frame
            [rad/s], joints [rad/s].
        lin_vel_b: (M, 3) root velocity in the base frame [m/s].
        gravity_b: (M, 3) direction of gravity in the base frame, unit length.
        feet_b: (M, F * 3) foot positions in the base frame [m], one physics step before the row's
            time, as the simulation's foot sensors are.
        last: (M,) index of the last row of the row's clip.
        starts: (C,) index of the first row of each clip.
        lengths: (C,) number of rows of each clip.
        names: of the clips.
    """

    qpos: np.ndarray
    qvel: np.ndarray
    lin_vel_b: np.ndarray
    gravity_b: np.ndarray
    feet_b: np.ndarray
    last: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    names: tuple[str, ...]

    @property
    def num_rows(self) -> int:
        """M."""
        return len(self.last)


def build_reference(
    spec: RobotSpec,
    clips: Sequence[RobotClip],
    mirrored: bool = False,
    front_back: bool = False,
) -> Reference:
    """Brings clips to the robot's control period and joins them.

    Args:
        spec: the robot.
        clips: motions of that robot, at any frame rate.
        mirrored: whether the left-right mirror image of each clip follows it.
        front_back: whether the front-back mirror images of all of these follow too.

    Raises:
        ClipError: there are no clips, or one is too short or of another robot.
        SettingsError: front-back images are wanted of a robot that has none.
    """
    if not clips:
        raise ClipError("there are no clips to track; expected at least one.")
    rate = 1.0 / spec.control_period_s
    parts: list[RobotClip] = []
    for clip in clips:
        clip.check_robot(spec)
        part = clip if abs(clip.fps - rate) < 1e-6 else clip.resample(rate)
        if len(part.qpos) < MIN_STEPS:
            raise ClipError(
                f"clip {clip.name}: {len(part.qpos)} control steps long, "
                f"expected at least {MIN_STEPS}."
            )
        images = [part, mirror(part, spec)] if mirrored else [part]
        parts.extend(images)
        if front_back:
            parts.extend(mirror(image, spec, "front_back") for image in images)
    return _join(spec, parts)


def _join(spec: RobotSpec, clips: Sequence[RobotClip]) -> Reference:
    lengths = np.array([len(clip.qpos) for clip in clips])
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    qpos = np.concatenate([clip.qpos for clip in clips])
    qvel = np.concatenate([clip.qvel for clip in clips])
    # The feet in the base frame depend on the joints alone: put the base at the world's origin.
    joints = qpos[:, 7:] - spec.physics_step_s * qvel[:, 6:]
    origin = np.tile([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], (len(qpos), 1))
    model = spec.model()
    kinematics = Kinematics(model)
    feet = site_points(model, spec.foot_sites)
    feet_b = kinematics.points(kinematics.poses(np.hstack([origin, joints])), feet)
    down = np.tile([0.0, 0.0, -1.0], (len(qpos), 1))
    return Reference(
        qpos=qpos.astype(np.float32),
        qvel=qvel.astype(np.float32),
        lin_vel_b=rotate_inverse(qpos[:, 3:7], qvel[:, :3]).astype(np.float32),
        gravity_b=rotate_inverse(qpos[:, 3:7], down).astype(np.float32),
        feet_b=feet_b.reshape(len(qpos), -1).astype(np.float32),
        last=np.repeat(starts + lengths - 1, lengths),
        starts=starts,
        lengths=lengths,
        names=tuple(clip.name for clip in clips),
    )
