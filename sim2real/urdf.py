"""The robot's own model as a URDF, for simulators that cannot read MJCF.

A URDF has no word for the inertia of a drive behind its gear (MuJoCo's armature). Added to a
link it would also resist turns of the whole robot, which it does not: OP3's drives together have
0.9 kg m^2, many times the robot's own inertia. So it is either left out, or given as what it
is: a small rotor on the parent link that turns faster than the joint (``rotor_ratio``). The URDF
does not couple the two; the simulator must.
"""

from collections.abc import Sequence

import mujoco
import numpy as np

from legged_skills.robots import rotations
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.fitted_model import fit_joints
from legged_skills.sim2real.identified import Identified

ROTOR_SUFFIX = "_rotor"
"""A joint's rotor is the link and the joint of its name with this behind it."""

_ROTOR_MASS_KG = 1e-6


def to_urdf(
    spec: RobotSpec, *, rotor_ratio: float | None = None, fit: Identified | None = None
) -> str:
    """Converts the robot's model: links, inertias, joints with limits, and what meets the floor.

    Link and joint names are those of the model. Inertias stand in their principal axes.
    Geoms that touch nothing are left out.

    Args:
        spec: the robot.
        rotor_ratio: turns of a rotor for each turn of its joint, without unit; None for no
            rotors, which leaves the drives' inertia out. A rotor about the joint's axis has
            the inertia armature / rotor_ratio^2 [kg m^2]: coupled so that it turns rotor_ratio
            times as fast, it is the armature, and a share of 1 / rotor_ratio of it acts on the
            parent, as with a real drive.
        fit: joints as they were identified; None for the model's own.

    Returns:
        The URDF as XML text.

    Raises:
        SettingsError: the model has something that has no place in a URDF, or the ratio is not
            positive.
    """
    if rotor_ratio is not None and not rotor_ratio > 0:
        raise SettingsError(f"rotor_ratio is {rotor_ratio}, expected more than 0.")
    model = spec.spec(floor=False).compile()
    fit_joints(model, spec, fit)
    lines = ['<?xml version="1.0"?>', f'<robot name="{spec.name}">']
    for body in range(1, model.nbody):
        lines += _link(model, spec, body)
    for body in range(1, model.nbody):
        if body != model.body(spec.base_body).id:
            lines += _joint(model, spec, body)
            if rotor_ratio is not None and model.body_jntnum[body]:
                lines += _rotor(model, body, rotor_ratio)
    return "\n".join([*lines, "</robot>", ""])


def floor_geoms(model: mujoco.MjModel) -> np.ndarray:
    """(n,) ids of the robot's geoms that touch the floor of ``robots.scene.add_floor``."""
    # The floor has contype 1 and conaffinity 1; two geoms touch if one's type meets the other's
    # affinity.
    touches = ((model.geom_contype | model.geom_conaffinity) & 1).astype(bool)
    return np.flatnonzero(touches & (model.geom_bodyid > 0))


def _numbers(values: float | Sequence[float] | np.ndarray) -> str:
    return " ".join(repr(float(value)) for value in np.ravel(values))


def _origin(position: np.ndarray, quat_wxyz: np.ndarray) -> str:
    """A frame in another, with fixed-axis roll, pitch, yaw as URDF has them."""
    m = rotations.to_matrix(np.asarray(quat_wxyz, dtype=np.float64))
    level = np.hypot(m[0, 0], m[1, 0])
    pitch = np.arctan2(-m[2, 0], level)
    if level > 1e-9:
        roll, yaw = np.arctan2(m[2, 1], m[2, 2]), np.arctan2(m[1, 0], m[0, 0])
    else:  # x points straight up or down: only yaw -+ roll is defined
        roll, yaw = np.arctan2(-m[1, 2], m[1, 1]), 0.0
    return f'<origin xyz="{_numbers(position)}" rpy="{_numbers([roll, pitch, yaw])}"/>'


def _inertial(origin: str, mass: float, inertia: np.ndarray) -> str:
    ixx, iyy, izz = (_numbers(value) for value in inertia)
    return (
        f'<inertial>{origin}<mass value="{_numbers(mass)}"/>'
        f'<inertia ixx="{ixx}" iyy="{iyy}" izz="{izz}" ixy="0" ixz="0" iyz="0"/></inertial>'
    )


def _link(model: mujoco.MjModel, spec: RobotSpec, body: int) -> list[str]:
    lines = [f'  <link name="{model.body(body).name}">']
    origin = _origin(model.body_ipos[body], model.body_iquat[body])
    lines.append("    " + _inertial(origin, model.body_mass[body], model.body_inertia[body]))
    for geom in floor_geoms(model):
        if model.geom_bodyid[geom] == body:
            place = _origin(model.geom_pos[geom], model.geom_quat[geom])
            shape = _shape(model, spec, int(geom))
            lines.append(f"    <collision>{place}<geometry>{shape}</geometry></collision>")
    return [*lines, "  </link>"]


def _shape(model: mujoco.MjModel, spec: RobotSpec, geom: int) -> str:
    size = model.geom_size[geom]
    kind = mujoco.mjtGeom(int(model.geom_type[geom]))
    if kind == mujoco.mjtGeom.mjGEOM_SPHERE:
        return f'<sphere radius="{_numbers(size[0])}"/>'
    if kind == mujoco.mjtGeom.mjGEOM_BOX:
        return f'<box size="{_numbers(2 * size)}"/>'
    if kind in (mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_CYLINDER):
        name = "capsule" if kind == mujoco.mjtGeom.mjGEOM_CAPSULE else "cylinder"
        return f'<{name} radius="{_numbers(size[0])}" length="{_numbers(2 * size[1])}"/>'
    raise SettingsError(
        f"{spec.name}: geom {model.geom(geom).name or geom} is of type {kind.name[7:].lower()}, "
        "expected a sphere, capsule, cylinder or box."
    )


def _joint(model: mujoco.MjModel, spec: RobotSpec, body: int) -> list[str]:
    child, parent = model.body(body).name, model.body(model.body_parentid[body]).name
    ends = f'<parent link="{parent}"/><child link="{child}"/>'
    ends += _origin(model.body_pos[body], model.body_quat[body])
    if not model.body_jntnum[body]:
        return [f'  <joint name="{child}_fixed" type="fixed">{ends}</joint>']
    joint = int(model.body_jntadr[body])
    name = model.joint(joint).name
    hinge = model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_HINGE
    if model.body_jntnum[body] > 1 or not hinge or np.any(model.jnt_pos[joint]):
        raise SettingsError(
            f"{spec.name}: body {child} moves by other than one hinge at its origin, "
            "which a URDF cannot say."
        )
    index = spec.joint_names.index(name)
    limit = f'effort="{_numbers(spec.torque_limit[index])}" '
    limit += f'velocity="{_numbers(spec.velocity_limit[index])}"'
    kind = "continuous"
    if model.jnt_limited[joint]:
        kind = "revolute"
        low, high = (_numbers(value) for value in model.jnt_range[joint])
        limit = f'lower="{low}" upper="{high}" {limit}'
    dof = int(model.jnt_dofadr[joint])
    damping, loss = _numbers(model.dof_damping[dof]), _numbers(model.dof_frictionloss[dof])
    return [
        f'  <joint name="{name}" type="{kind}">{ends}',
        f'    <axis xyz="{_numbers(model.jnt_axis[joint])}"/><limit {limit}/>',
        f'    <dynamics damping="{damping}" friction="{loss}"/></joint>',
    ]


def _rotor(model: mujoco.MjModel, body: int, ratio: float) -> list[str]:
    """A rotor on the parent, about the joint's axis, which is its frame's z axis."""
    joint = int(model.body_jntadr[body])
    name = model.joint(joint).name + ROTOR_SUFFIX
    about = model.dof_armature[model.jnt_dofadr[joint]] / ratio**2
    quat = rotations.multiply(model.body_quat[body], _from_z(model.jnt_axis[joint]))
    here = _origin(np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0]))
    inertial = _inertial(here, _ROTOR_MASS_KG, about * np.array([0.5, 0.5, 1.0]))
    parent = model.body(model.body_parentid[body]).name
    place = _origin(model.body_pos[body], quat)
    return [
        f'  <link name="{name}">{inertial}</link>',
        f'  <joint name="{name}" type="continuous">',
        f'    <parent link="{parent}"/><child link="{name}"/>{place}<axis xyz="0 0 1"/></joint>',
    ]


def _from_z(axis: np.ndarray) -> np.ndarray:
    """A turn (wxyz) that brings z to the unit vector ``axis``."""
    across = np.array([-axis[1], axis[0], 0.0])
    length = np.linalg.norm(across)
    if length < 1e-12:
        return np.array([1.0, 0.0, 0.0, 0.0] if axis[2] > 0 else [0.0, 1.0, 0.0, 0.0])
    return rotations.from_axis_angle(across / length, np.arctan2(length, axis[2]))
