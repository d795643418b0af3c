"""Batched forward kinematics of a robot with a free root and hinge joints.

Everything is read from the compiled MuJoCo model and evaluated for all frames at once:
one pass over the bodies, each step an array operation over time.

Letters in the shape comments: T frames, B bodies, J hinge joints, P points. The columns
of a Jacobian are, in this order: root translation in the world frame (3), a small turn of
the root about the world axes (3), the hinge joints in the order of ``qpos`` (J). The
columns thus differ from MuJoCo's ``qvel`` only in the turn, which MuJoCo counts about the
axes of the body.
"""

from dataclasses import dataclass
from typing import NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from legged_skills.robots import rotations

Array = NDArray[np.floating]

ROOT_DOFS = 6
ROOT_QPOS = 7


@dataclass(frozen=True)
class BodyPoints:
    """Points fixed to bodies of a model."""

    body_ids: NDArray[np.integer]
    """The body that each point moves with, (P,)."""
    offsets_b: Array
    """Where each point is in the frame of its body [m], (P, 3)."""

    def __post_init__(self) -> None:
        """Checks the shapes."""
        if self.offsets_b.shape != (len(self.body_ids), 3):
            raise ValueError(
                f"offsets_b must be ({len(self.body_ids)}, 3), got {self.offsets_b.shape}"
            )


class Poses(NamedTuple):
    """Where the bodies and joints of a robot are, frame by frame."""

    body_pos_w: Array
    """Origins of the bodies in the world [m], (B, T, 3)."""
    body_quat_w: Array
    """Orientations of the bodies, wxyz, (B, T, 4)."""
    joint_pos_w: Array
    """A point on each hinge axis in the world [m], (J, T, 3)."""
    joint_axis_w: Array
    """Unit vectors along the hinge axes in the world, (J, T, 3)."""


class _Level(NamedTuple):
    """Bodies at the same depth of the tree: none of them moves another."""

    bodies: NDArray[np.integer]
    """Ids, (N,)."""
    parents: NDArray[np.integer]
    """Ids of their parents, (N,)."""
    hinges: list[tuple[NDArray[np.integer], NDArray[np.integer]]]
    """(bodies, joints) for the first hinge of each body that has one, then the second, ..."""

    @staticmethod
    def of(
        bodies: NDArray[np.integer],
        parents: NDArray[np.integer],
        hinge_bodies: NDArray[np.integer],
    ) -> "_Level":
        """Sorts the hinges of some bodies; ``hinge_bodies`` has the body of each hinge."""
        joints_of = {int(body): np.flatnonzero(hinge_bodies == body) for body in bodies}
        hinges = []
        for i in range(max(len(joints) for joints in joints_of.values())):
            turned = [body for body, joints in joints_of.items() if len(joints) > i]
            hinges.append((np.array(turned), np.array([joints_of[body][i] for body in turned])))
        return _Level(bodies, parents[bodies].copy(), hinges)


class Kinematics:
    """Forward kinematics of one model; ``qpos`` is laid out as in MuJoCo.

    Args:
        model: a compiled model whose only free joint is the robot's root, followed in
            ``qpos`` by hinge joints; nothing else may move.

    Raises:
        ValueError: the model has other joints.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        """Reads the tree from the model; the model is not kept."""
        types = model.jnt_type
        hinges = types[1:] == mujoco.mjtJoint.mjJNT_HINGE
        if model.njnt < 1 or types[0] != mujoco.mjtJoint.mjJNT_FREE or not np.all(hinges):
            raise ValueError("the model must have one free joint followed by hinge joints only")
        self.num_joints = model.njnt - 1
        self.num_dofs = ROOT_DOFS + self.num_joints
        self.root_body = int(model.jnt_bodyid[0])
        self._body_pos = model.body_pos.copy()
        self._body_quat = model.body_quat.copy()
        self._axes = model.jnt_axis[1:].copy()
        self._anchors = model.jnt_pos[1:].copy()
        self._zero = model.qpos0[ROOT_QPOS:].copy()
        parents = model.body_parentid
        hinge_bodies = model.jnt_bodyid[1:]
        # movers[b, j]: joint j moves body b. floating[b]: the root moves body b.
        self._movers = np.zeros((model.nbody, self.num_joints), dtype=bool)
        self._floating = np.zeros(model.nbody, dtype=bool)
        depth = np.zeros(model.nbody, dtype=int)
        for body in range(1, model.nbody):
            depth[body] = depth[parents[body]] + 1
            self._movers[body] = self._movers[parents[body]] | (hinge_bodies == body)
            self._floating[body] = self._floating[parents[body]] or body == self.root_body
        levels = [np.flatnonzero(depth == level) for level in range(1, depth.max() + 1)]
        self._levels = [_Level.of(bodies, parents, hinge_bodies) for bodies in levels]

    def poses(self, qpos: Array) -> Poses:
        """Places all bodies.

        Args:
            qpos: root position [m], root quaternion wxyz, joints [rad], (T, 7 + J).

        Returns:
            The poses of bodies and joints.

        Raises:
            ValueError: ``qpos`` has the wrong shape.
        """
        if qpos.ndim != 2 or qpos.shape[1] != ROOT_QPOS + self.num_joints:
            raise ValueError(f"qpos must be (T, {ROOT_QPOS + self.num_joints}), got {qpos.shape}")
        frames, bodies = len(qpos), len(self._body_pos)
        pos = np.zeros((bodies, frames, 3))
        quat = rotations.identity((bodies, frames))
        joint_pos = np.empty((self.num_joints, frames, 3))
        joint_axis = np.empty((self.num_joints, frames, 3))
        angles = (qpos[:, ROOT_QPOS:] - self._zero).T
        turns = rotations.from_axis_angle(self._axes[:, None], angles)
        for level in self._levels:
            parent_quat = quat[level.parents]
            offsets = rotations.rotate(parent_quat, self._body_pos[level.bodies, None])
            pos[level.bodies] = pos[level.parents] + offsets
            quat[level.bodies] = rotations.multiply(
                parent_quat, self._body_quat[level.bodies, None]
            )
            if self.root_body in level.bodies:
                pos[self.root_body] = qpos[:, :3]
                quat[self.root_body] = rotations.normalize(qpos[:, 3:ROOT_QPOS])
            for turned, joints in level.hinges:
                before = quat[turned]
                after = rotations.multiply(before, turns[joints])
                quat[turned] = after
                joint_axis[joints] = rotations.rotate(before, self._axes[joints, None])
                anchors = self._anchors[joints, None]
                if np.any(anchors):
                    joint_pos[joints] = pos[turned] + rotations.rotate(before, anchors)
                    pos[turned] = joint_pos[joints] - rotations.rotate(after, anchors)
                else:
                    joint_pos[joints] = pos[turned]
        return Poses(pos, quat, joint_pos, joint_axis)

    def movers(self, body_ids: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Which joints move at least one of some bodies, (J,)."""
        return np.any(self._movers[body_ids], axis=0)

    def points(self, poses: Poses, points: BodyPoints) -> Array:
        """Places points that are fixed to bodies.

        Args:
            poses: what ``poses`` gave for T frames.
            points: the P points.

        Returns:
            Positions in the world [m], (T, P, 3).
        """
        offsets = rotations.rotate(poses.body_quat_w[points.body_ids], points.offsets_b[:, None])
        offsets += poses.body_pos_w[points.body_ids]
        return offsets.swapaxes(0, 1)

    def jacobian(self, poses: Poses, points: BodyPoints, points_w: Array) -> Array:
        """How points move with the root and the joints.

        A hinge with unit axis a through c moves a point p by a x (p - c) per radian.

        Args:
            poses: what ``poses`` gave for T frames.
            points: the P points.
            points_w: their positions, from ``points`` [m], (T, P, 3).

        Returns:
            Derivatives [m / m] and [m / rad], (T, P, 3, 6 + J).
        """
        out = np.zeros((*points_w.shape, self.num_dofs))
        by_point = points_w.swapaxes(0, 1)
        floating = np.flatnonzero(self._floating[points.body_ids])
        # e_k x r for the world axes e_k and r = p - root.
        arms = by_point[floating] - poses.body_pos_w[self.root_body]
        x, y, z = arms[..., 0].T, arms[..., 1].T, arms[..., 2].T
        for axis in range(3):
            out[:, floating, axis, axis] = 1
        out[:, floating, 1, 3], out[:, floating, 2, 3] = -z, y
        out[:, floating, 0, 4], out[:, floating, 2, 4] = z, -x
        out[:, floating, 0, 5], out[:, floating, 1, 5] = -y, x
        which, joints = np.nonzero(self._movers[points.body_ids])
        axes = poses.joint_axis_w[joints]
        arms = by_point[which] - poses.joint_pos_w[joints]
        ax, ay, az = axes[..., 0].T, axes[..., 1].T, axes[..., 2].T
        x, y, z = arms[..., 0].T, arms[..., 1].T, arms[..., 2].T
        columns = ROOT_DOFS + joints
        out[:, which, 0, columns] = ay * z - az * y
        out[:, which, 1, columns] = az * x - ax * z
        out[:, which, 2, columns] = ax * y - ay * x
        return out

    def integrate(self, qpos: Array, step: Array) -> Array:
        """Moves a pose by a small step in the coordinates of the Jacobian's columns.

        Args:
            qpos: poses, (T, 7 + J).
            step: root translation [m], root turn about world axes [rad], joints [rad],
                (T, 6 + J).

        Returns:
            New poses, (T, 7 + J).
        """
        out = np.empty_like(qpos)
        out[:, :3] = qpos[:, :3] + step[:, :3]
        turned = rotations.multiply(rotations.from_rotvec(step[:, 3:6]), qpos[:, 3:ROOT_QPOS])
        out[:, 3:ROOT_QPOS] = rotations.normalize(turned)
        out[:, ROOT_QPOS:] = qpos[:, ROOT_QPOS:] + step[:, ROOT_DOFS:]
        return out


def site_points(model: mujoco.MjModel, names: tuple[str, ...]) -> BodyPoints:
    """The points of named sites.

    Args:
        model: the model that has the sites.
        names: names of sites.

    Returns:
        One point a site.

    Raises:
        ValueError: the model has no site of that name.
    """
    ids = [mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, name) for name in names]
    if -1 in ids:
        raise ValueError(f"the model has no site named {names[ids.index(-1)]!r}")
    return BodyPoints(model.site_bodyid[ids].copy(), model.site_pos[ids].copy())
