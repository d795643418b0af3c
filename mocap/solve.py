"""Poses that bring points of a robot to targets: inverse kinematics of all frames at once.

Levenberg-Marquardt on every frame separately, but with each step's arithmetic batched
over frames: forward kinematics, analytic Jacobian, normal equations, step control.

Letters in the shape comments: T frames, P points, J joints.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from legged_skills.robots.kinematics import ROOT_DOFS, ROOT_QPOS, BodyPoints, Kinematics

Array = NDArray[np.floating]

# Frames a batch: enough to make the cost of calling NumPy small, few enough for the Jacobians
# (512 x 24 x 18 float64 for a quadruped, 1.8 MB) to stay in the processor's cache.
_BATCH = 512
_FIRST_DAMPING = 1e-4
_DAMPING_RANGE = (1e-9, 1e4)


@dataclass(frozen=True, kw_only=True)
class PoseProblem:
    """What the poses shall achieve, besides the targets.

    The cost of a frame is sum_p weight_p |p - target_p|^2 + sum_j pull_j (joint_j - rest_j)^2.
    """

    kinematics: Kinematics
    """The robot."""
    points: BodyPoints
    """The points that have targets, (P,)."""
    weights: Array
    """Weight of each point [1/m^2], (P,), or different ones in each frame, (T, P)."""
    rest: Array
    """Joint angles that the pose is pulled to [rad], (J,)."""
    pull: float | Array
    """Weight of the pull [1/rad^2], the same for all joints or one for each, (J,)."""
    lower: Array
    """Lower joint limits [rad], (J,)."""
    upper: Array
    """Upper joint limits [rad], (J,)."""
    iterations: int = 20
    """Steps at most."""
    tolerance: float = 1e-5
    """Steps smaller than this in every coordinate end the search [m, rad]."""


def solve_poses(problem: PoseProblem, qpos: Array, targets_w: Array) -> Array:
    """Finds the poses of least cost within the joint limits.

    Args:
        problem: robot, points, weights and limits.
        qpos: where to start, (T, 7 + J).
        targets_w: where the points shall be [m], (T, P, 3).

    Returns:
        Poses, (T, 7 + J); every joint is within its limits.
    """
    out = np.empty_like(qpos)
    for start in range(0, len(qpos), _BATCH):
        part = slice(start, start + _BATCH)
        each = np.sqrt(np.broadcast_to(problem.weights, targets_w.shape[:2])[part])
        out[part] = _solve_batch(problem, qpos[part], targets_w[part], each)
    return out


def _solve_batch(problem: PoseProblem, qpos: Array, targets_w: Array, roots: Array) -> Array:
    """``solve_poses`` for a batch that fits the cache; ``roots`` of the weights are (T, P)."""
    qpos = qpos.copy()
    np.clip(qpos[:, ROOT_QPOS:], problem.lower, problem.upper, out=qpos[:, ROOT_QPOS:])
    cost, hessian, gradient = _normal_equations(problem, qpos, targets_w, roots)
    damping = np.full(len(qpos), _FIRST_DAMPING)
    active = np.arange(len(qpos))
    for _ in range(problem.iterations):
        step = _step(problem, qpos[active], hessian[active], gradient[active], damping[active])
        candidate = problem.kinematics.integrate(qpos[active], step)
        joints = candidate[:, ROOT_QPOS:]
        np.clip(joints, problem.lower, problem.upper, out=joints)
        new_cost, new_hessian, new_gradient = _normal_equations(
            problem, candidate, targets_w[active], roots[active]
        )
        better = new_cost <= cost[active]
        chosen = active[better]
        qpos[chosen] = candidate[better]
        cost[chosen] = new_cost[better]
        hessian[chosen] = new_hessian[better]
        gradient[chosen] = new_gradient[better]
        factor = np.where(better, 0.1, 10.0)
        damping[active] = np.clip(damping[active] * factor, *_DAMPING_RANGE)
        moving = np.max(np.abs(step), axis=1) > problem.tolerance
        stuck = ~better & (damping[active] >= _DAMPING_RANGE[1])
        active = active[moving & ~stuck]
        if len(active) == 0:
            break
    return qpos


def _normal_equations(
    problem: PoseProblem, qpos: Array, targets_w: Array, roots: Array
) -> tuple[Array, Array, Array]:
    """Cost (T,), Gauss-Newton Hessian (T, D, D) and gradient (T, D), both halved."""
    kinematics = problem.kinematics
    poses = kinematics.poses(qpos)
    points_w = kinematics.points(poses, problem.points)
    frames = len(qpos)
    residual = ((points_w - targets_w) * roots[..., None]).reshape(frames, -1)
    jacobian = kinematics.jacobian(poses, problem.points, points_w)
    jacobian *= roots[..., None, None]
    jacobian = jacobian.reshape(frames, -1, kinematics.num_dofs)
    transposed = np.swapaxes(jacobian, 1, 2)
    hessian = transposed @ jacobian
    gradient = (transposed @ residual[..., None])[..., 0]
    offset = qpos[:, ROOT_QPOS:] - problem.rest
    diagonal = np.einsum("tii->ti", hessian)  # a view
    diagonal[:, ROOT_DOFS:] += problem.pull
    gradient[:, ROOT_DOFS:] += problem.pull * offset
    cost = np.sum(residual * residual, axis=1)
    cost += np.sum(problem.pull * offset * offset, axis=1)
    return cost, hessian, gradient


def _step(
    problem: PoseProblem, qpos: Array, hessian: Array, gradient: Array, damping: Array
) -> Array:
    """The damped Gauss-Newton step; joints that a limit holds back stay where they are."""
    joints = qpos[:, ROOT_QPOS:]
    downhill = -gradient[:, ROOT_DOFS:]
    held = ((joints <= problem.lower) & (downhill < 0)) | (
        (joints >= problem.upper) & (downhill > 0)
    )
    hessian = hessian.copy()
    gradient = gradient.copy()
    frames, which = np.nonzero(held)
    if len(frames):
        # A held joint's equation becomes 1 * step = 0.
        columns = which + ROOT_DOFS
        hessian[frames, columns, :] = 0
        hessian[frames, :, columns] = 0
        hessian[frames, columns, columns] = 1
        gradient[frames, columns] = 0
    diagonal = np.einsum("tii->ti", hessian)
    # Marquardt's scaling, plus a floor for directions that nothing determines.
    diagonal *= 1 + damping[:, None]
    diagonal += 1e-9
    return -np.linalg.solve(hessian, gradient[..., None])[..., 0]
