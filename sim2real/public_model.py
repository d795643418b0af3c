"""Public MuJoCo models of the robots, as they are, with our drives: physics nobody here has tuned.

A model keeps its masses, contacts, joints, solver and, if it divides the control period, its step.
What a policy needs to act and be watched comes from our own: the drives' gains and torque limits,
the sites and sensors of feet and base. A file without a floor gets ours.
"""

import os
from pathlib import Path
from xml.etree import ElementTree

import mujoco
import numpy as np

from legged_skills.robots.errors import DownloadError, FileFormatError, SettingsError
from legged_skills.robots.scene import add_floor
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.fitted_model import dofs_of

_MENAGERIE = {"anymal_c": "anybotics_anymal_c", "op3": "robotis_op3"}
_LARGEST_FILE = 16 * 2**20
_ANCHOR_M = 0.02
"""Joints' axes may lie this far from ours; a public model has its own idea of millimetres."""
_AXIS_COSINE = 0.99
_SHORTEST_STEP_S = 1e-5
# What MuJoCo raises on models that it cannot read or compile.
_BAD_MODEL = (ValueError, RuntimeError, OSError, KeyError, mujoco.FatalError)


def load_public(path: str | os.PathLike[str], spec: RobotSpec) -> mujoco.MjModel:
    """Reads a model of the robot for ``BatchSim(..., models=...)``.

    Args:
        path: an MJCF file, of the robot alone or of a scene with it.
        spec: the robot that it must be of: the same joints in the same order, about the same axes,
            and one free joint, on the base.

    Returns:
        The model, with position drives of ``spec``'s gains and torque limits in the order of its
        joints, and with the sites, sensors and keyframe "home" of our own model.

    Raises:
        FileFormatError: the file cannot be read, is no MJCF, names files that are missing, or is
            of another robot.
    """
    file = Path(path)
    _check_root(file)
    try:
        public = mujoco.MjSpec.from_file(str(file))
        public.copy().compile()  # what is wrong now is the file's fault
    except _BAD_MODEL as error:
        raise FileFormatError(f"{file.name}: MuJoCo cannot read it: {_one_line(error)}") from error
    own = spec.model()
    _check_joints(file.name, public, spec)
    _check_bodies(file.name, public, own)
    try:
        _strip(public)
        _add_ours(public, spec, own)
        if not _has_floor(public):
            add_floor(public, spec.floor_friction)
        public.option.timestep = _step(public.option.timestep, spec.control_period_s)
        model = public.compile()
    except _BAD_MODEL as error:
        raise FileFormatError(
            f"{file.name}: our drives and sensors cannot be added: {_one_line(error)}"
        ) from error
    _check_geometry(file.name, model, own, spec)
    return model


def describe(model: mujoco.MjModel, spec: RobotSpec) -> dict[str, str]:
    """What the physics of a model is, in words, to be shown beside results got with it.

    Args:
        model: of ``load_public``, or ``spec.model()`` to compare.
        spec: the robot.

    Returns:
        Name of a property to its value and unit. Properties of joints have one value, or the
        least and the greatest.
    """
    dofs = dofs_of(model, spec)
    moving = [mujoco.mjtGeom(int(kind)).name[7:].lower() for kind in _touching_types(model)]
    kinds = ", ".join(f"{moving.count(kind)} {kind}" for kind in sorted(set(moving)))
    return {
        "physics step": f"{model.opt.timestep:g} s",
        "integrator": mujoco.mjtIntegrator(model.opt.integrator).name[6:].lower(),
        "friction cone": mujoco.mjtCone(model.opt.cone).name[7:].lower(),
        "impratio": f"{model.opt.impratio:g}",
        "mass": f"{model.body_mass.sum():.4g} kg",
        "geoms that touch": kinds,
        "joint damping": _span(model.dof_damping[dofs], "Nm s/rad"),
        "joint friction": _span(model.dof_frictionloss[dofs], "Nm"),
        "armature": _span(model.dof_armature[dofs], "kg m^2"),
    }


def menagerie(robot: str) -> Path:
    """The scene of MuJoCo Menagerie with a robot, downloaded at first use.

    The package mujoco-menagerie keeps it in its own cache; the variable MENAGERIE_ROOT names
    a folder with a copy of Menagerie to take instead.

    Args:
        robot: the robot's name here, e.g. "anymal_c".

    Raises:
        SettingsError: Menagerie has no such robot, or the package is not installed.
        DownloadError: the model cannot be fetched.
    """
    if robot not in _MENAGERIE:
        raise SettingsError(
            f"{robot!r} has no model in MuJoCo Menagerie, expected {' or '.join(_MENAGERIE)}."
        )
    try:
        import mujoco_menagerie
    except ImportError as error:
        raise SettingsError(
            "the public model needs mujoco-menagerie; install legged_skills[menagerie], "
            "or give the path of an MJCF file."
        ) from error
    try:
        path = Path(mujoco_menagerie.get(_MENAGERIE[robot]).xml())
    except (mujoco_menagerie.MenagerieError, OSError) as error:
        raise DownloadError(
            f"the public model of {robot} cannot be fetched ({_one_line(error).rstrip('.')}); "
            "give the path of an MJCF file, or set MENAGERIE_ROOT to a copy of MuJoCo Menagerie."
        ) from error
    return path


def _check_root(file: Path) -> None:
    """MuJoCo would read a URDF too, whose robot cannot move from its place."""
    try:
        size = file.stat().st_size
        if size > _LARGEST_FILE:
            raise FileFormatError(
                f"{file.name}: {size} bytes, expected an MJCF file of at most {_LARGEST_FILE}."
            )
        root = ElementTree.parse(file).getroot().tag
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise FileFormatError(f"{file.name}: cannot be read: {reason}.") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise FileFormatError(f"{file.name}: not an MJCF file: {_one_line(error)}") from error
    if root != "mujoco":
        raise FileFormatError(
            f"{file.name}: not an MJCF file: it begins with <{root}>, expected <mujoco>."
        )


def _check_joints(file: str, public: mujoco.MjSpec, spec: RobotSpec) -> None:
    free = [joint for joint in public.joints if joint.type == mujoco.mjtJoint.mjJNT_FREE]
    if len(free) != 1 or free[0].parent.name != spec.base_body:
        places = " and ".join(joint.parent.name or "a body without name" for joint in free)
        raise FileFormatError(
            f"{file}: free joint on {places or 'no body'}, expected one, on {spec.base_body}."
        )
    others = [joint for joint in public.joints if joint.type != mujoco.mjtJoint.mjJNT_FREE]
    names = [joint.name for joint in others]
    for name in spec.joint_names:
        if name not in names:
            raise FileFormatError(f"{file}: no joint {name}, which {spec.name} has.")
    for joint in others:
        if joint.name not in spec.joint_names:
            raise FileFormatError(f"{file}: joint {joint.name!r} is none of {spec.name}'s.")
        if joint.type != mujoco.mjtJoint.mjJNT_HINGE:
            raise FileFormatError(f"{file}: joint {joint.name} is not a hinge.")
    wrong = [pair for pair in zip(names, spec.joint_names, strict=True) if pair[0] != pair[1]]
    if wrong:
        raise FileFormatError(
            f"{file}: joint {wrong[0][0]} comes where {spec.name} has {wrong[0][1]}; "
            "the joints must come in the same order."
        )


def _check_bodies(file: str, public: mujoco.MjSpec, own: mujoco.MjModel) -> None:
    names = {body.name for body in public.bodies}
    for site in range(own.nsite):
        body = own.body(own.site_bodyid[site]).name
        if body not in names:
            raise FileFormatError(
                f"{file}: no body {body} to carry the site {own.site(site).name}."
            )


def _check_geometry(file: str, model: mujoco.MjModel, own: mujoco.MjModel, spec: RobotSpec) -> None:
    """Refuses a model whose joints are elsewhere or turn the other way than ours."""
    (place, axis), (own_place, own_axis) = (_axes_b(which, spec) for which in (model, own))
    off = place - own_place
    off -= np.sum(off * own_axis, axis=1, keepdims=True) * own_axis  # along the axis is no matter
    distance = np.linalg.norm(off, axis=1)
    cosine = np.sum(axis * own_axis, axis=1)
    for joint, name in enumerate(spec.joint_names):
        if distance[joint] > _ANCHOR_M:
            raise FileFormatError(
                f"{file}: the axis of joint {name} is {distance[joint]:.3f} m from where "
                f"{spec.name} has it in its default pose."
            )
        if cosine[joint] < _AXIS_COSINE:
            raise FileFormatError(
                f"{file}: joint {name} turns about another axis than {spec.name}'s, "
                f"{np.degrees(np.arccos(max(cosine[joint], -1.0))):.0f} degrees off."
            )
    # A site of the same name may mark something else.
    for site in spec.foot_sites:
        apart = np.linalg.norm(_site_b(model, spec, site) - _site_b(own, spec, site))
        if apart > _ANCHOR_M:
            raise FileFormatError(
                f"{file}: its site {site} is {apart:.3f} m from where {spec.name}'s foot is "
                "in the default pose."
            )


def _axes_b(model: mujoco.MjModel, spec: RobotSpec) -> tuple[np.ndarray, np.ndarray]:
    """(J, 3) anchors [m] and (J, 3) axes of the joints in the base frame, in the default pose."""
    data = _default_pose(model, spec)
    joints = [model.joint(name).id for name in spec.joint_names]
    return data.xanchor[joints], data.xaxis[joints]


def _site_b(model: mujoco.MjModel, spec: RobotSpec, name: str) -> np.ndarray:
    """(3,) a site in the base frame, in the default pose [m]."""
    return _default_pose(model, spec).site(name).xpos


def _default_pose(model: mujoco.MjModel, spec: RobotSpec) -> mujoco.MjData:
    """Kinematics of the default pose with the base frame in the world's."""
    data = mujoco.MjData(model)
    data.qpos[:] = spec.home_qpos
    data.qpos[:3] = 0.0
    mujoco.mj_kinematics(model, data)
    return data


def _strip(public: mujoco.MjSpec) -> None:
    """Takes out actuators, sensors and keyframes, which would not fit any more."""
    for group in (public.keys, public.sensors, public.actuators):
        for element in list(group):
            public.delete(element)


def _add_ours(public: mujoco.MjSpec, spec: RobotSpec, own: mujoco.MjModel) -> None:
    taken = {site.name for site in public.sites}
    for index in range(own.nsite):
        name = own.site(index).name
        if name not in taken:
            body = public.body(own.body(own.site_bodyid[index]).name)
            body.add_site(name=name, pos=own.site_pos[index], quat=own.site_quat[index], group=4)
    for sensor in spec.spec(floor=False).sensors:
        public.add_sensor(
            name=sensor.name,
            type=sensor.type,
            objtype=sensor.objtype,
            objname=sensor.objname,
            reftype=sensor.reftype,
            refname=sensor.refname,
        )
    for joint, name in enumerate(spec.joint_names):
        kp, kd, limit = spec.kp[joint], spec.kd[joint], spec.torque_limit[joint]
        # All of it is said: the file may have defaults of its own for actuators.
        public.add_actuator(
            name=name,
            target=name,
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            dyntype=mujoco.mjtDyn.mjDYN_NONE,
            gaintype=mujoco.mjtGain.mjGAIN_FIXED,
            biastype=mujoco.mjtBias.mjBIAS_AFFINE,
            gainprm=[kp] + [0.0] * 9,
            biasprm=[0.0, -kp, -kd] + [0.0] * 7,
            gear=[1.0] + [0.0] * 5,
            ctrllimited=mujoco.mjtLimited.mjLIMITED_FALSE,
            forcelimited=mujoco.mjtLimited.mjLIMITED_TRUE,
            forcerange=[-limit, limit],
        )
    public.add_key(name="home", qpos=spec.home_qpos, ctrl=spec.default_joint_pos)


def _has_floor(public: mujoco.MjSpec) -> bool:
    kinds = (mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_HFIELD)
    return any(
        geom.type in kinds and (geom.contype or geom.conaffinity) for geom in public.worldbody.geoms
    )


def _step(own_s: float, period_s: float) -> float:
    """The file's step [s] if the control period is a multiple of it, else the nearest divisor."""
    if not own_s >= _SHORTEST_STEP_S:
        raise ValueError(f"its time step is {own_s:g} s, expected {_SHORTEST_STEP_S:g} s or more.")
    steps = max(1, round(period_s / own_s))
    return own_s if abs(period_s / own_s - steps) < 1e-6 else period_s / steps


def _touching_types(model: mujoco.MjModel) -> np.ndarray:
    touches = (model.geom_contype | model.geom_conaffinity) != 0
    return model.geom_type[touches & (model.geom_bodyid > 0)]


def _span(values: np.ndarray, unit: str) -> str:
    low, high = f"{values.min():g}", f"{values.max():g}"
    return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"


def _one_line(error: BaseException) -> str:
    """The first line of a message, as the end of a sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return text if text.endswith(".") else f"{text}."
