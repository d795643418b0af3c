"""Recordings of a simulated robot with known drives: the test of ``identify``, and its demo.

The physics is another than that of the fit: fourth-order Runge-Kutta steps, a quarter as long, and
a friction that is nearer to Coulomb's law.
"""

from collections.abc import Sequence

import mujoco
import numpy as np
from mujoco.batch import Batch
from numpy.typing import NDArray

from legged_skills.robots import rotations
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.excitation import excitation
from legged_skills.sim2real.held_robot import (
    UPRIGHT_WXYZ,
    DriveParameters,
    actuators_of,
    dofs_of,
    held_spec,
)
from legged_skills.sim2real.joint_log import JointLog
from legged_skills.sim2real.loads import USUAL_LOADS, Load

Array = NDArray[np.floating]

STEP_S = 0.0005
_FRICTION_TIME_S = 0.002
_CTRL = int(mujoco.mjtState.mjSTATE_CTRL)
RECORDING_PERIOD_S = {"anymal_c": 0.0025, "op3": 0.008}
"""Time from row to row: the cycle of ANYmal's drives, and of OP3's bus."""
_LEAN_DEG = 45.0
"""Less, and gravity hardly turns OP3's head; more, and it hardly turns the ankles."""
COUNTS_PER_TURN = {"op3": 4096}
"""Of the encoders, where they are coarse."""
NOISE_RAD = {"anymal_c": 0.003, "op3": 0.001}
"""Standard deviation of the noise on positions, before they are rounded to counts."""


def held_orientation(spec: RobotSpec) -> Array:
    """(4,) how to hold the robot for a recording, wxyz.

    The weights of limbs are the scale against which gains are measured, so gravity must turn
    each joint. ANYmal's do with a level base; OP3's head and hips turn about the vertical then,
    and OP3 leans forward.
    """
    if spec.name != "op3":
        return np.array(UPRIGHT_WXYZ)
    return rotations.from_axis_angle(np.array([0.0, 1.0, 0.0]), np.deg2rad(_LEAN_DEG))


def random_drives(
    spec: RobotSpec,
    seed: int,
    friction_nm: tuple[float, float],
    delay_s: tuple[float, float] = (0.003, 0.03),
    spread: float = 0.3,
) -> DriveParameters:
    """Drives that differ from the nominal ones, each joint's in its own way.

    Args:
        spec: the robot.
        seed: of the draw.
        friction_nm: Coulomb friction, uniform [Nm].
        delay_s: command delay, uniform [s].
        spread: gain, damping and armature are nominal times U(1 - spread, 1 + spread).
    """
    rng = np.random.default_rng(seed)
    table = DriveParameters.nominal(spec).table()
    table = table * rng.uniform(1.0 - spread, 1.0 + spread, table.shape)
    table[:, 2] = rng.uniform(*friction_nm, spec.num_joints)
    return DriveParameters.of_table(table, float(rng.uniform(*delay_s)))


def simulate_log(
    spec: RobotSpec,
    parameters: DriveParameters,
    seconds: float = 60.0,
    seed: int = 0,
    position_noise_rad: float | None = None,
    counts_per_turn: int | None = None,
    period_s: float | None = None,
    jitter_s: float = 0.0002,
    base_wxyz: Array | None = None,
    loads: Sequence[Load] | None = None,
) -> JointLog:
    """Records a held robot with known drives while it follows an excitation.

    Args:
        spec: the robot.
        parameters: its drives.
        seconds: duration [s].
        seed: of the excitation and the noise.
        position_noise_rad: standard deviation on each position [rad]; None: the robot's.
        counts_per_turn: to which positions are rounded, 0 for none; None: the robot's.
        period_s: time from row to row, apart from jitter [s]; None: the robot's.
        jitter_s: standard deviation of the rows' times, which are recorded as they are [s].
        base_wxyz: (4,) how the base is held; None: as in ``held_orientation``.
        loads: known weights on its links; None: the robot's ``USUAL_LOADS``.

    Returns:
        The recording. A command that came since the row before shows in the next row.
    """
    rng = np.random.default_rng((seed, 1))
    base_wxyz = held_orientation(spec) if base_wxyz is None else base_wxyz
    loads = USUAL_LOADS.get(spec.name, ()) if loads is None else tuple(loads)
    if period_s is None:
        period_s = RECORDING_PERIOD_S.get(spec.name, spec.physics_step_s)
    sent = excitation(spec, seconds, seed, base_wxyz=base_wxyz, loads=loads)
    times_s = np.arange(int(seconds / period_s)) * period_s
    times_s = times_s + np.clip(
        jitter_s * rng.standard_normal(len(times_s)), -0.4 * period_s, 0.4 * period_s
    )
    row = np.floor(times_s / spec.control_period_s + 0.01).astype(int)
    command = sent[np.clip(row, 0, len(sent) - 1)]
    model = held_spec(spec, base_wxyz, STEP_S, loads).compile()
    q = _positions(model, spec, parameters, times_s, command)
    noise = NOISE_RAD.get(spec.name, 0.0) if position_noise_rad is None else position_noise_rad
    q = q + noise * rng.standard_normal(q.shape)
    counts = COUNTS_PER_TURN.get(spec.name, 0) if counts_per_turn is None else counts_per_turn
    if counts:
        q = np.round(q * counts / (2.0 * np.pi)) * (2.0 * np.pi / counts)
    return JointLog(
        robot=spec.name,
        joint_names=spec.joint_names,
        time_s=times_s,
        command=command,
        position=q,
        base_wxyz=base_wxyz,
        loads=loads,
        source=f"simulated log of {spec.name}",
    )


def _positions(
    model: mujoco.MjModel,
    spec: RobotSpec,
    parameters: DriveParameters,
    times_s: Array,
    command: Array,
) -> Array:
    """(T, J) true positions at the rows' times [rad]."""
    model.opt.integrator = int(mujoco.mjtIntegrator.mjINT_RK4)
    dofs, actuators = dofs_of(model, spec), actuators_of(model, spec)
    of_drive = np.minimum(parameters.damping, spec.kd)
    model.actuator_gainprm[actuators, 0] = parameters.kp
    model.actuator_biasprm[actuators, 1] = -parameters.kp
    model.actuator_biasprm[actuators, 2] = -of_drive
    model.dof_damping[dofs] = parameters.damping - of_drive
    model.dof_frictionloss[dofs] = parameters.friction
    model.dof_armature[dofs] = parameters.armature
    model.dof_solref[:] = (_FRICTION_TIME_S, 1.0)
    robot = Batch(model, 1, 1)
    robot.bind("qpos")[:, dofs] = command[0]
    start_s = float(times_s[0])
    steps = int((times_s[-1] - start_s) / STEP_S) + 2
    # What is in force in the middle of each step.
    middles_s = start_s + (np.arange(steps) + 0.5) * STEP_S - parameters.command_delay_s
    row = np.searchsorted(times_s, middles_s, side="right") - 1
    control = np.empty((1, steps, len(dofs)))
    control[0][:, actuators] = command[np.maximum(row, 0)]
    rolled = robot.rollout(steps, control=control, control_spec=_CTRL, record=("qpos",))
    q = np.concatenate([command[:1], rolled["qpos"][0][:, dofs]])
    grid_s = start_s + np.arange(steps + 1) * STEP_S
    return np.stack([np.interp(times_s, grid_s, angles) for angles in q.T], axis=1)
