"""A robot that hangs or is held by its base, with its feet in the air: the physics that is fitted.

The base cannot move and nothing touches anything, so what a joint does depends on its own drive
and on the links that hang on it, and limbs do not feel each other.

Letters in the shape comments: B simulations side by side, J joints, K physics steps, T samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from mujoco.batch import Batch
from numpy.typing import NDArray

from legged_skills.robots.errors import SettingsError
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.fitted_model import dofs_of
from legged_skills.sim2real.identified import split_damping
from legged_skills.sim2real.loads import Load, check_links

Array = NDArray[np.floating]

UPRIGHT_WXYZ = (1.0, 0.0, 0.0, 0.0)
"""Orientation of a base that is held level."""
DRIVE_FIELDS = ("kp", "damping", "friction", "armature")
"""What is fitted for each joint, in the order of all arrays with one column each."""
_CHUNK_STEPS = 4096
"""Physics steps between two interpolations, which bounds the memory."""
_CTRL = int(mujoco.mjtState.mjSTATE_CTRL)
_FRICTION_STEPS = 2.0
"""Time constant of MuJoCo's friction loss [physics steps]; the smallest that it allows. The
shorter, the nearer to Coulomb's law, whose friction jumps when the speed changes its sign."""


@dataclass(frozen=True, kw_only=True)
class DriveParameters:
    """What drives do with commands. J is the number of joints, in the order of the robot's."""

    kp: Array
    """(J,) position gain [Nm/rad]."""
    damping: Array
    """(J,) viscous damping: the drive's velocity gain and the joint's friction that grows with
    its speed, together [Nm s/rad]."""
    friction: Array
    """(J,) Coulomb friction [Nm]."""
    armature: Array
    """(J,) inertia of the drive itself, seen at the joint [kg m^2]."""
    command_delay_s: float
    """Time from a command to the torque that obeys it [s]."""

    def __post_init__(self) -> None:
        """Makes the arrays read-only.

        Raises:
            SettingsError: arrays differ in size, or a value is negative or not finite.
        """
        for name in DRIVE_FIELDS:
            array = np.array(getattr(self, name), dtype=np.float64)
            if array.shape != np.shape(self.kp) or array.ndim != 1:
                raise SettingsError(
                    f"drive parameter {name} has shape {array.shape}, expected one value for "
                    "each joint."
                )
            if not np.all(np.isfinite(array)) or np.any(array < 0.0):
                raise SettingsError(
                    f"drive parameter {name} is {array.tolist()}, expected numbers from 0 up."
                )
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if not (np.isfinite(self.command_delay_s) and self.command_delay_s >= 0.0):
            raise SettingsError(
                f"drive parameter command_delay_s is {self.command_delay_s:g}, "
                "expected a time from 0 s up."
            )

    @staticmethod
    def nominal(spec: RobotSpec) -> "DriveParameters":
        """The robot's own: gains of its specification, the rest from its model, no delay."""
        model = held_spec(spec, UPRIGHT_WXYZ, spec.physics_step_s).compile()
        dofs = dofs_of(model, spec)
        return DriveParameters(
            kp=spec.kp,
            damping=spec.kd + model.dof_damping[dofs].ravel(),
            friction=model.dof_frictionloss[dofs],
            armature=model.dof_armature[dofs],
            command_delay_s=0.0,
        )

    def table(self) -> Array:
        """(J, 4) kp, damping, friction, armature: ``DRIVE_FIELDS``."""
        return np.stack([getattr(self, name) for name in DRIVE_FIELDS], axis=1)

    @staticmethod
    def of_table(table: Array, command_delay_s: float) -> "DriveParameters":
        """The inverse of ``table``."""
        columns = dict(zip(DRIVE_FIELDS, table.T, strict=True))
        return DriveParameters(**columns, command_delay_s=command_delay_s)


def held_mean(times_s: Array, values: Array, starts_s: Array, length_s: float) -> Array:
    """Mean of a signal that holds each value until the next over intervals of time.

    It is exact for intervals of any length and place, hence a continuous and piecewise linear
    function of where they start: a delay can be fitted by moving them.

    Args:
        times_s: (T,) when each value comes, increasing [s].
        values: (T, J) the values; the first holds before, the last after.
        starts_s: (K,) starts of the intervals [s].
        length_s: of each interval [s].

    Returns:
        (K, J) means.
    """
    steps = np.diff(times_s)[:, None] * values[:-1]
    integral = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(steps, axis=0)])

    def until(t: Array) -> Array:
        row = np.clip(np.searchsorted(times_s, t, side="right") - 1, 0, len(times_s) - 1)
        return integral[row] + (t - times_s[row])[:, None] * values[row]

    return (until(starts_s + length_s) - until(starts_s)) / length_s


class HeldRobot:
    """B copies of a held robot, each with drives of its own, simulated side by side.

    The steps are MuJoCo's semi-implicit ones, corrected to second order so that parameters
    mean the same at any step: positions of such a step obey
    ``q[k+1] - 2 q[k] + q[k-1] = step^2 a[k]``, so the command of step k has to be its mean over
    half a step before and after k; and the implicit damping acts on the speed half a step later,
    which adds ``step / 2 * damping`` to the inertia and is taken off the armature.
    """

    def __init__(
        self,
        spec: RobotSpec,
        count: int,
        step_s: float,
        base_wxyz: Array | tuple[float, ...] = UPRIGHT_WXYZ,
        loads: Sequence[Load] = (),
    ) -> None:
        """Builds the copies with the robot's nominal drives.

        Args:
            spec: the robot.
            count: B.
            step_s: physics step [s].
            base_wxyz: (4,) orientation in which the base is held, wxyz.
            loads: known weights on its links.

        Raises:
            SettingsError: the robot has no such link.
        """
        model = held_spec(spec, base_wxyz, step_s, loads).compile()
        model.opt.integrator = int(mujoco.mjtIntegrator.mjINT_IMPLICITFAST)
        self._model = model
        self._dofs = dofs_of(model, spec)
        self._actuators = actuators_of(model, spec)
        model.dof_solref[:] = (_FRICTION_STEPS * step_s, 1.0)
        self.spec = spec
        self.count = count
        self.step_s = step_s
        self._batch = Batch(model, count, 1)
        self._gain = self._batch.expand("actuator_gainprm")
        self._bias = self._batch.expand("actuator_biasprm")
        self._damping = self._batch.expand("dof_damping")
        self._friction = self._batch.expand("dof_frictionloss")
        self._armature = self._batch.expand("dof_armature")

    def set_drives(self, tables: Array) -> None:
        """Gives each copy its drives.

        Args:
            tables: (B, J, 4) see ``DriveParameters.table``.
        """
        kp, damping, friction, armature = np.moveaxis(tables, -1, 0)
        of_drive, of_joint = split_damping(damping, self.spec.kd)
        self._gain[:, self._actuators, 0] = kp
        self._bias[:, self._actuators, 1] = -kp
        self._bias[:, self._actuators, 2] = -of_drive
        self._damping[:, self._dofs] = of_joint
        self._friction[:, self._dofs] = friction
        half_step = 0.5 * self.step_s * damping
        self._armature[:, self._dofs] = np.maximum(armature - half_step, 1e-6)

    @property
    def limbs(self) -> NDArray[np.intp]:
        """(J,) which limb each joint belongs to, from 0: with the base held, limbs are apart."""
        return np.asarray(self._model.dof_treeid[self._dofs], dtype=np.intp)

    def simulate(
        self,
        start: Array,
        commands: Array,
        which: NDArray[np.intp],
        times_s: Array,
    ) -> Array:
        """Joint positions at given times, from rest at time 0.

        Args:
            start: (J,) positions at time 0 [rad].
            commands: (C, K, J) C different courses of position targets: their means over half a
                step before and after each step's start [rad].
            which: (B,) the course that each copy gets.
            times_s: (T,) increasing, 0 to K steps [s].

        Returns:
            (B, T, J) positions, on straight lines between steps [rad].
        """
        steps = commands.shape[1]
        self._batch.reset(stage=int(mujoco.mjtStage.mjSTAGE_NONE.value))
        self._batch.bind("qpos")[:, self._dofs] = start
        out = np.empty((self.count, len(times_s), len(self._dofs)))
        left = np.broadcast_to(start, (self.count, 1, len(self._dofs)))
        place = np.clip(times_s / self.step_s, 0.0, steps)
        row = np.minimum(place.astype(int), steps - 1)
        for first in range(0, steps, _CHUNK_STEPS):
            control = np.empty((self.count, min(_CHUNK_STEPS, steps - first), len(self._dofs)))
            control[:, :, self._actuators] = commands[which, first : first + control.shape[1]]
            rolled = self._batch.rollout(
                control.shape[1], control=control, control_spec=_CTRL, record=("qpos",)
            )
            q = np.concatenate([left, rolled["qpos"][:, :, self._dofs]], axis=1)
            left = q[:, -1:]
            wanted = slice(*np.searchsorted(row, [first, first + control.shape[1]]))
            at = row[wanted] - first
            share = (place[wanted] - row[wanted])[:, None]
            out[:, wanted] = q[:, at] + share * (q[:, at + 1] - q[:, at])
        return out


def held_spec(
    spec: RobotSpec,
    base_wxyz: Array | tuple[float, ...],
    step_s: float,
    loads: Sequence[Load] = (),
) -> mujoco.MjSpec:
    """The robot without floor, free joint, contacts and sensors, with loads on its links.

    Raises:
        SettingsError: the robot has no such link.
    """
    check_links(loads, spec)
    held = spec.spec(floor=False)
    for joint in list(held.joints):
        if joint.type == mujoco.mjtJoint.mjJNT_FREE:
            held.delete(joint)
    for sensor in list(held.sensors):
        held.delete(sensor)
    held.body(spec.base_body).quat = np.asarray(base_wxyz, dtype=np.float64)
    for load in loads:
        inertia = 0.4 * load.mass_kg * load.radius_m**2
        # Without ipos, MuJoCo takes pos for it too, and adds both.
        held.body(load.link).add_body(
            pos=load.centre_m,
            ipos=np.zeros(3),
            mass=load.mass_kg,
            inertia=[inertia] * 3,
            explicitinertial=True,
        )
    held.option.timestep = step_s
    held.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONTACT)
    return held


def actuators_of(model: mujoco.MjModel, spec: RobotSpec) -> NDArray[np.intp]:
    """(J,) which of the model's actuators drives each joint."""
    driven = model.actuator_trnid[:, 0].tolist()
    return np.array([driven.index(int(model.joint(name).id)) for name in spec.joint_names])
