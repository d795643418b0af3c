"""The row of a reference that a robot's present motion is nearest to."""

from dataclasses import dataclass

import numpy as np

from legged_skills.robots.errors import require_positive, require_share
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.sensed_robot import SensedRobots
from legged_skills.skill_module.reference import Reference

GRAVITY_WEIGHT = 3.0
"""Weight of the direction of gravity in the base frame."""
HEIGHT_WEIGHT = 3.3
"""Weight of the base's height in leg lengths."""
LIN_VEL_WEIGHT = 3.5
"""Weight of the base's velocity over the Froude speed (``RobotSpec.froude_speed_mps``)."""
ANG_VEL_WEIGHT = 0.4
"""Weight of the base's angular velocity [s/rad]."""
JOINT_WEIGHT = 1.0
"""Weight of the joint angles [1/rad]."""
JOINT_VEL_WEIGHT = 0.06
"""Weight of the joint velocities [s/rad]."""


@dataclass(frozen=True, kw_only=True)
class FreeConfig:
    """When robots are free: when latents come from the prior, and no reference is followed.

    Their reference goes on meanwhile, moved along the floor to where they are, and in time to the
    phase that they are in. So a tracker can say what keeps the motion going from wherever the
    prior leads, and a robot that only gets latents of the prior does not come to a halt.
    """

    share: float = 0.3
    """Share of time in which a robot is free."""
    mean_s: float = 6.0
    """Mean length of such a time [s]."""
    match_period_s: float = 0.2
    """Mean time between two such moves [s]."""
    reach_s: float = 0.3
    """The phase is looked for so far before and after the present row [s]."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            SettingsError: the share is not in [0, 1), or a time is not positive.
        """
        require_share(self, "share")
        require_positive(self, "mean_s", "match_period_s", "reach_s")


def motion_features(
    spec: RobotSpec,
    gravity_b: np.ndarray,
    height_m: np.ndarray,
    lin_vel_b: np.ndarray,
    ang_vel_b: np.ndarray,
    joint_pos: np.ndarray,
    joint_vel: np.ndarray,
) -> np.ndarray:
    """What is compared, weighted, whichever way a robot heads: (N, 10 + 2 J) float32."""
    return np.concatenate(
        [
            GRAVITY_WEIGHT * gravity_b,
            HEIGHT_WEIGHT / spec.leg_length_m * height_m.reshape(-1, 1),
            LIN_VEL_WEIGHT / spec.froude_speed_mps * lin_vel_b,
            ANG_VEL_WEIGHT * ang_vel_b,
            JOINT_WEIGHT * joint_pos,
            JOINT_VEL_WEIGHT * joint_vel,
        ],
        axis=1,
        dtype=np.float32,
    )


class MotionMatcher:
    """Finds the rows of a reference that are nearest to what robots do."""

    def __init__(self, spec: RobotSpec, reference: Reference, runway: int) -> None:
        """Prepares the search.

        Args:
            spec: the robot.
            reference: where to search.
            runway: rows nearer to the end of their clip are not the nearest of all: what they
                begin is soon over.
        """
        self.reference = reference
        self._features = motion_features(
            spec,
            reference.gravity_b,
            reference.qpos[:, 2],
            reference.lin_vel_b,
            reference.qvel[:, 3:6],
            reference.qpos[:, 7:],
            reference.qvel[:, 6:],
        )
        self._squares = np.square(self._features).sum(axis=1)
        self._squares[reference.last - np.arange(reference.num_rows) < runway] = np.inf
        self._lengths = np.repeat(reference.lengths, reference.lengths)

    def nearest(self, robots: SensedRobots, ids: np.ndarray) -> np.ndarray:
        """(n,) the nearest row of all for each of the robots ``ids`` (n,)."""
        distance = self._squares - 2.0 * (_present(robots, ids) @ self._features.T)
        return np.argmin(distance, axis=1)

    def nearest_around(
        self, robots: SensedRobots, ids: np.ndarray, rows: np.ndarray, reach: int
    ) -> np.ndarray:
        """(n,) the nearest row for each robot, among those of the same clip about its present one.

        Args:
            robots: what they do.
            ids: (n,) which of them.
            rows: (n,) their present rows.
            reach: how many rows earlier or later it may be.
        """
        last = self.reference.last[rows, None]
        around = rows[:, None] + np.arange(-reach, reach + 1)
        around = np.clip(around, last + 1 - self._lengths[rows, None], last)
        offset = self._features[around] - _present(robots, ids)[:, None, :]
        best = np.argmin(np.square(offset).sum(axis=2), axis=1)
        return around[np.arange(len(ids)), best]


def _present(robots: SensedRobots, ids: np.ndarray) -> np.ndarray:
    return motion_features(
        robots.spec,
        -robots.up_b[ids],
        robots.pos_w[ids, 2],
        robots.lin_vel_b[ids],
        robots.ang_vel_b[ids],
        robots.joint_pos[ids],
        robots.joint_vel[ids],
    )
