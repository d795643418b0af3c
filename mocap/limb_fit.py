"""Fits what stays the same of a clip's limbs: where they rest, and what they miss on average.

Letters in the shape comments: T frames, L limbs, J joints.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap.limbs import Limbs
from legged_skills.mocap.solve import PoseProblem, solve_poses
from legged_skills.robots.kinematics import ROOT_QPOS, BodyPoints, Kinematics
from legged_skills.robots.spec import RobotSpec

Array = NDArray[np.floating]

# Where in their ranges the joints of a limb start when the default pose is no good start.
_SHARES = (0.2, 0.5, 0.8)
# Weight that holds the base where it is [1/m^2].
_HOLD = 100.0


@dataclass(frozen=True, kw_only=True)
class LimbFitSettings:
    """How the constants of limbs are fitted. Lengths are in leg lengths."""

    frames: int = 60
    """Frames that the fit looks at."""
    search_frames: int = 12
    """Frames that the search for a start looks at."""
    pull: float = 1e-4
    """Weight of the pull of limbs to where they rest, which keeps stretched arms from jerking
    [1/rad^2]."""
    most_offset: float = 0.15
    """Greatest offset of the end of a limb."""
    good: float = 0.06
    """A limb that misses its targets by less than this, on average, starts well."""


@dataclass(frozen=True, kw_only=True)
class LimbFit:
    """Constants of a clip's limbs on one robot."""

    offsets_b: Array
    """What is added to the ends of limbs, in the frame of the base [m], (L, 3)."""
    rest: Array
    """Joint angles that poses are pulled to: for limbs their middle posture, for other joints the
    default pose [rad], (J,)."""


def fit_limbs(
    limbs: Limbs,
    kinematics: Kinematics,
    spec: RobotSpec,
    vectors_b: Array,
    settings: LimbFitSettings,
) -> LimbFit:
    """Fits rest and offsets over some frames of a clip.

    Inverse kinematics finds the nearest of several ways to hold an arm. Where the default
    pose leads to a bad one, starts all over the joints' ranges are tried.

    Args:
        limbs: the robot's limbs.
        kinematics: the robot's.
        spec: the robot.
        vectors_b: directions of limbs in the frame of the base [m], (T, L, 2, 3).
        settings: how.

    Returns:
        The constants.
    """
    count = len(limbs.anchors_b)
    rest = spec.default_joint_pos.copy()
    if count == 0:
        return LimbFit(offsets_b=np.zeros((0, 3)), rest=rest)
    chosen = np.linspace(0, len(vectors_b) - 1, min(settings.frames, len(vectors_b))).astype(int)
    trial = _Trial(limbs, kinematics, spec, settings)
    joints, offsets, errors = trial.solve(rest, vectors_b[chosen])
    if np.any(errors > settings.good * spec.leg_length_m):
        few = vectors_b[chosen[:: max(1, len(chosen) // settings.search_frames)]]
        start = trial.best_start(rest, few)
        new_joints, new_offsets, new_errors = trial.solve(start, vectors_b[chosen])
        for i in np.flatnonzero(new_errors < 0.8 * errors):
            joints[:, limbs.joints_of[i]] = new_joints[:, limbs.joints_of[i]]
            offsets[i] = new_offsets[i]
    middle = np.median(joints, axis=0)
    return LimbFit(offsets_b=offsets, rest=np.where(limbs.joints, middle, rest))


@dataclass(frozen=True)
class _Trial:
    """Poses of the limbs alone, from different starts."""

    limbs: Limbs
    kinematics: Kinematics
    spec: RobotSpec
    settings: LimbFitSettings

    def solve(self, joints: Array, vectors_b: Array) -> tuple[Array, Array, Array]:
        """Joints (T, J), offsets (L, 3) and mean errors (L,) [m] from one start (J,)."""
        starts = np.tile(joints, (len(vectors_b), 1))
        solved, missed = self._poses(starts, vectors_b, joints)
        offsets = self._offsets(missed)
        return solved, offsets, np.linalg.norm(missed - offsets, axis=-1).mean(axis=0)

    def best_start(self, joints: Array, vectors_b: Array) -> Array:
        """For each limb the start, of many, that ends nearest to its targets, (J,)."""
        spec, limbs = self.spec, self.limbs
        span = spec.joint_upper - spec.joint_lower
        most = int(limbs.joints_of.sum(axis=1).max())
        starts = []
        for shares in itertools.product(_SHARES, repeat=most):
            start = joints.copy()
            for own in limbs.joints_of:
                places = np.flatnonzero(own)
                start[places] = spec.joint_lower[places] + span[places] * shares[: len(places)]
            starts.append(start)
        frames = len(vectors_b)
        repeated = np.repeat(starts, frames, axis=0)
        _, missed = self._poses(repeated, np.tile(vectors_b, (len(starts), 1, 1, 1)), joints)
        out = joints.copy()
        errors = np.array(
            [
                np.linalg.norm(part - self._offsets(part), axis=-1).mean(axis=0)
                for part in missed.reshape(len(starts), frames, -1, 3)
            ]
        )
        for i, best in enumerate(np.argmin(errors, axis=0)):
            out[limbs.joints_of[i]] = starts[best][limbs.joints_of[i]]
        return out

    def _poses(self, starts: Array, vectors_b: Array, rest: Array) -> tuple[Array, Array]:
        """Joints (T, J), and what the ends of limbs miss (T, L, 3) [m]."""
        limbs, kinematics, spec = self.limbs, self.kinematics, self.spec
        qpos = np.tile(spec.home_qpos, (len(starts), 1))
        qpos[:, ROOT_QPOS:] = starts
        held = np.vstack([np.zeros(3), np.eye(3)])
        problem = PoseProblem(
            kinematics=kinematics,
            points=BodyPoints(
                np.concatenate([np.full(4, kinematics.root_body), limbs.points.body_ids]),
                np.concatenate([held, limbs.points.offsets_b]),
            ),
            weights=np.concatenate([np.full(4, _HOLD), limbs.weights]),
            rest=rest,
            pull=self.settings.pull,
            lower=spec.joint_lower,
            upper=spec.joint_upper,
            tolerance=1e-3,
        )
        none = np.zeros(limbs.anchors_b.shape)
        wanted = limbs.targets(qpos[:, :ROOT_QPOS], vectors_b, none)
        base = np.broadcast_to(qpos[0, :3] + held, (len(qpos), 4, 3))
        qpos = solve_poses(problem, qpos, np.concatenate([base, wanted], axis=1))
        missed = kinematics.points(kinematics.poses(qpos), limbs.points) - wanted
        return qpos[:, ROOT_QPOS:], missed[:, len(none) :]

    def _offsets(self, missed: Array) -> Array:
        """What is missed on average, as far as offsets go [m], (L, 3)."""
        offsets = missed.mean(axis=0)
        length = np.linalg.norm(offsets, axis=-1, keepdims=True)
        most = self.settings.most_offset * self.spec.leg_length_m
        return offsets * np.minimum(1.0, most / np.maximum(length, 1e-9))
