"""Joints of a MuJoCo model as they were identified."""

import mujoco
import numpy as np
from numpy.typing import NDArray

from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.identified import Identified, split_damping


def fit_joints(model: mujoco.MjModel, spec: RobotSpec, fit: Identified | None) -> None:
    """Gives a model's joints the identified friction, inertia, and their share of the damping.

    The drive's gains and share of the damping, and the delay, are not in a model (``Drives``).

    Args:
        model: of the robot, whatever else is in it; it is changed.
        spec: the robot.
        fit: what was identified; None for nothing, which changes nothing.
    """
    if fit is None:
        return
    dofs = dofs_of(model, spec)
    model.dof_damping[dofs] = split_damping(fit.damping, spec.kd)[1]
    model.dof_frictionloss[dofs] = fit.friction
    model.dof_armature[dofs] = fit.armature


def dofs_of(model: mujoco.MjModel, spec: RobotSpec) -> NDArray[np.intp]:
    """(J,) where the joints are in qvel, and without a free joint in qpos, too."""
    return np.array([int(model.joint(name).dofadr[0]) for name in spec.joint_names])
