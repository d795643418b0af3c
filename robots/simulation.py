"""Many copies of one robot, stepped together on a thread pool.

``BatchSim`` wraps ``mujoco.batch.Batch``: every environment is one row of MuJoCo's full integration
state, solver warm start included, and a control step of all of them is one call. State arrays
are live views: what is written to them is the state of the next step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import mujoco
import numpy as np
from mujoco.batch import Batch, SimulationError

from legged_skills.robots.errors import SettingsError
from legged_skills.robots.spec import RobotSpec

_BAD_STATE = [
    int(mujoco.mjtWarning.mjWARN_BADQPOS),
    int(mujoco.mjtWarning.mjWARN_BADQVEL),
    int(mujoco.mjtWarning.mjWARN_BADQACC),
]


@dataclass(frozen=True)
class SimState:
    """A copy of everything that decides how a simulation goes on.

    Attributes:
        rows: (N, S) MuJoCo's integration state.
        diverged: (N,) how often each environment has diverged so far.
    """

    rows: np.ndarray
    diverged: np.ndarray


class Motion(NamedTuple):
    """N robots after each of K physics steps; J joints. Valid until the next steps."""

    qpos: np.ndarray
    """(N, K, 7 + J) as ``Physics.qpos``."""
    qvel: np.ndarray
    """(N, K, 6 + J) as ``Physics.qvel``."""
    torque: np.ndarray
    """(N, K, J) of the drives in that step [Nm]."""


class Physics(Protocol):
    """N robots in some physics engine. J is the number of joints."""

    @property
    def spec(self) -> RobotSpec:
        """The robot."""
        ...

    @property
    def num_envs(self) -> int:
        """N."""
        ...

    @property
    def step_s(self) -> float:
        """One physics step [s]."""
        ...

    @property
    def qpos(self) -> np.ndarray:
        """(N, 7 + J) live: root position in the world [m], root quaternion wxyz, joints [rad]."""
        ...

    @property
    def qvel(self) -> np.ndarray:
        """(N, 6 + J) live: of the root, then of the joints; see ``BatchSim.qvel``."""
        ...

    @property
    def torque(self) -> np.ndarray:
        """(N, J) live: torque of the drives in the last physics step [Nm]."""
        ...

    def set_gains(self, kp: np.ndarray, kd: np.ndarray) -> None:
        """Gives the drives other gains: (N, J) [Nm/rad] and (N, J) [Nm s/rad]."""
        ...

    def push(self, force_w: np.ndarray) -> None:
        """Forces (N, 3) on the base's centre of mass, in the world frame, until changed [N]."""
        ...

    def run_steps(
        self,
        joint_targets: np.ndarray,
        torque_low: np.ndarray | None = None,
        torque_high: np.ndarray | None = None,
    ) -> Motion:
        """K physics steps with drives of torque clip(kp (target - q) - kd dq/dt, low, high).

        Args:
            joint_targets: (N, K, J) in each of the steps [rad].
            torque_low: (N, J) [Nm]; None for that of the steps before, at first the robot's own.
            torque_high: (N, J) [Nm]; None for that of the steps before, at first the robot's own.
        """
        ...

    def end_step(self) -> np.ndarray:
        """(N,) True where it diverged since the last call; such a robot stands at the origin."""
        ...

    def reset(
        self,
        mask: np.ndarray | None = None,
        qpos: np.ndarray | None = None,
        qvel: np.ndarray | None = None,
    ) -> None:
        """Puts robots (mask: (N,) bool, None for all) into given states; None for standing."""
        ...


class BatchSim:
    """N environments of one robot. J is its number of joints, F its number of feet.

    Attributes:
        qpos: (N, 7 + J) live: root position in the world [m], root quaternion wxyz, joints [rad].
        qvel: (N, 6 + J) live: root linear velocity in the world [m/s], root angular velocity
            in the base frame [rad/s], joints [rad/s].
        objects_qpos: (N, nq - 7 - J) live: of what comes after the robot in the model, such as a
            ball, as MuJoCo has it.
        objects_qvel: (N, nv - 6 - J) live: the same for velocities.
        torque: (N, J) live, read-only: torque of the drives in the last physics step [Nm].
        step_s: one physics step [s].
        substeps: physics steps in one control period.
        diverged: (N,) how often each environment has diverged so far.
    """

    def __init__(
        self,
        spec: RobotSpec,
        num_envs: int,
        num_threads: int = 0,
        models: mujoco.MjModel | Sequence[mujoco.MjModel] | None = None,
    ) -> None:
        """Builds the environments, all standing at the origin.

        Args:
            spec: the robot.
            num_envs: N.
            num_threads: size of the thread pool; 0 takes all cores.
            models: the physics, if not the robot's own on a flat floor: one model for all
                environments or one for each. They must be of the same make: same joints, same
                geoms, other numbers.

        Raises:
            SettingsError: the number of environments or models is wrong, or the control period is
                no multiple of the model's physics step.
        """
        if num_envs < 1:
            raise SettingsError(f"number of environments is {num_envs}, expected at least 1.")
        several = None
        if models is None:
            model = spec.model(visible=False)
        elif isinstance(models, mujoco.MjModel):
            model = models
        else:
            several = list(models)
            if len(several) != num_envs:
                raise SettingsError(
                    f"{len(several)} models were given for {num_envs} environments; "
                    "expected one model for all or one for each."
                )
            model = several[0]
        self.spec = spec
        self.model: mujoco.MjModel = model
        self.num_envs = num_envs
        self._batch = Batch(model, num_envs, num_threads)
        if several is not None:
            self._batch.set_models(several)
        self._robot_sizes = (7 + spec.num_joints, 6 + spec.num_joints)
        (nq, nv), states = self._robot_sizes, [self._batch.bind(name) for name in ("qpos", "qvel")]
        self.qpos: np.ndarray = states[0][:, :nq]
        self.qvel: np.ndarray = states[1][:, :nv]
        self.objects_qpos: np.ndarray = states[0][:, nq:]
        self.objects_qvel: np.ndarray = states[1][:, nv:]
        self._ctrl = self._batch.bind("ctrl")
        self._sensordata = self._batch.bind("sensordata")
        self._warmstart = self._batch.bind("qacc_warmstart")
        self.torque: np.ndarray = self._batch.bind("actuator_force")
        self._warnings_seen = self._count_warnings()
        self.diverged = np.zeros(num_envs, dtype=np.int64)
        self._everyone = np.ones(num_envs, dtype=bool)
        self._failed = np.zeros(num_envs, dtype=bool)
        self._sizes = (self.model.nq, self.model.nv, self.model.nu)
        self._records: dict[int, dict[str | int, np.ndarray]] = {}
        self.step_s = float(self.model.opt.timestep)
        self.substeps = round(spec.control_period_s / self.step_s)
        if abs(self.substeps * self.step_s - spec.control_period_s) > 1e-9 or self.substeps < 1:
            raise SettingsError(
                f"{spec.name}: the control period {spec.control_period_s} s is not a multiple of "
                f"the model's physics step {self.step_s} s."
            )
        self.reset()

    @property
    def num_threads(self) -> int:
        """Threads in the pool."""
        return self._batch.nthread

    def sensor(self, *names: str) -> np.ndarray:
        """(N, sum of sizes) live, read-only: sensors of the model that follow each other in it.

        After ``step`` they show the state one physics step before the end of the control step:
        MuJoCo computes sensors at the start of each physics step, and the pass that would make
        them current costs a tenth of the simulation. After ``reset`` they are current.

        Raises:
            SettingsError: the model has no such sensor, or they do not lie side by side.
        """
        start = stop = -1
        for name in names:
            try:
                sensor = self.model.sensor(name)
            except KeyError as error:
                raise SettingsError(
                    f"{self.spec.name}: no sensor {name!r} in the model."
                ) from error
            if stop not in (-1, int(sensor.adr[0])):
                raise SettingsError(
                    f"{self.spec.name}: sensor {name!r} does not follow the one named before it."
                )
            start = int(sensor.adr[0]) if start == -1 else start
            stop = int(sensor.adr[0] + sensor.dim[0])
        return self._sensordata[:, start:stop]

    def step(self, joint_targets: np.ndarray) -> np.ndarray:
        """Advances all environments by one control period, with the targets held.

        An environment whose state becomes non-finite or huge does not touch the others: it is put
        back to the standing pose, counted in ``diverged`` and reported.

        Args:
            joint_targets: (N, J) position targets of the drives [rad]. Copied.

        Returns:
            (N,) True where an environment diverged in this step.
        """
        self._ctrl[:] = joint_targets
        self._advance(self.substeps)
        return self.end_step()

    def field(self, name: str) -> np.ndarray:
        """(N, ...) live: a field of the model, an environment's own value in each row.

        After a change of masses, armatures or positions the constants that MuJoCo derives from
        them are out of date.

        Args:
            name: as in ``MjModel``; of its options "opt.gravity" and the like.
        """
        return self._batch.expand(name)

    def set_gains(self, kp: np.ndarray, kd: np.ndarray) -> None:
        """Gives the drives other gains: (N, J) [Nm/rad] and (N, J) [Nm s/rad]."""
        self.field("actuator_gainprm")[:, :, 0] = kp
        bias = self.field("actuator_biasprm")
        np.negative(kp, out=bias[:, :, 1])
        np.negative(kd, out=bias[:, :, 2])

    def push(self, force_w: np.ndarray) -> None:
        """Forces (N, 3) on the base's centre of mass, in the world frame, until changed [N]."""
        base = self.model.body(self.spec.base_body).id
        self._batch.bind("xfrc_applied")[:, base, :3] = force_w

    def run_steps(
        self,
        joint_targets: np.ndarray,
        torque_low: np.ndarray | None = None,
        torque_high: np.ndarray | None = None,
    ) -> Motion:
        """Physics steps; see ``Physics``. ``end_step`` must follow the last ones."""
        if torque_low is not None:
            self.field("actuator_forcerange")[:, :, 0] = torque_low
        if torque_high is not None:
            self.field("actuator_forcerange")[:, :, 1] = torque_high
        count = joint_targets.shape[1]
        if count == 1:
            self._ctrl[:] = joint_targets[:, 0]
            self._advance(1)
            return Motion(self.qpos[:, None], self.qvel[:, None], self.torque[:, None])
        if count not in self._records:
            # One call for several steps is faster: an environment stays in the processor's cache.
            sizes = zip(("qpos", "qvel", "actuator_force"), self._sizes, strict=True)
            self._records[count] = {
                name: np.empty((self.num_envs, count, size)) for name, size in sizes
            }
        record = self._records[count]
        try:
            self._batch.rollout(count, joint_targets, record=tuple(record), out=record)
        except SimulationError as error:
            self._failed[error.ids] = True
        (nq, nv), (qpos, qvel, torque) = self._robot_sizes, record.values()
        return Motion(qpos[..., :nq], qvel[..., :nv], torque)

    def _advance(self, steps: int) -> None:
        try:
            self._batch.step(nstep=steps)
        except SimulationError as error:
            self._failed[error.ids] = True

    def end_step(self) -> np.ndarray:
        """Puts environments that went bad back to the standing pose, and counts them.

        Returns:
            (N,) True where an environment diverged since the last call.
        """
        failed, self._failed = self._failed, np.zeros(self.num_envs, dtype=bool)
        # MuJoCo itself resets an environment that goes bad, and raises its warning counters.
        warnings = self._count_warnings()
        if (warnings != self._warnings_seen).any():
            failed |= (warnings != self._warnings_seen).any(axis=1)
            self._warnings_seen[:] = warnings
        if not np.isfinite(self._batch.state.sum()):
            failed |= ~np.isfinite(self._batch.state).all(axis=1)
        if failed.any():
            self.diverged[failed] += 1
            self.reset(failed)
        return failed

    def reset(
        self,
        mask: np.ndarray | None = None,
        qpos: np.ndarray | None = None,
        qvel: np.ndarray | None = None,
    ) -> None:
        """Puts environments into given states, and brings their sensors up to date.

        Objects lie where the model has them.

        Args:
            mask: (N,) bool, which environments; None for all.
            qpos: (n, 7 + J) or (7 + J,) for the n environments; None for the standing pose.
            qvel: (n, 6 + J) or (6 + J,); None for rest.
        """
        mask = self._everyone if mask is None else mask
        ids = np.flatnonzero(mask).astype(np.int32)
        if ids.size == 0:
            return
        self._batch.reset(ids, stage=mujoco.mjtStage.mjSTAGE_NONE.value)
        self.qpos[ids] = self.spec.home_qpos if qpos is None else qpos
        self.qvel[ids] = 0.0 if qvel is None else qvel
        self._ctrl[ids] = self.qpos[ids, 7:]
        self._batch.forward(ids, stage=mujoco.mjtStage.mjSTAGE_VEL.value)
        self._warnings_seen[ids] = self._count_warnings()[ids]

    def _count_warnings(self) -> np.ndarray:
        """(N, 3) how often MuJoCo has found a bad position, velocity or acceleration."""
        # Each warning is a pair: the last thing it was about, and its count.
        return self._batch.warning[:, _BAD_STATE, 1]

    def save(self) -> SimState:
        """A copy of the state, with which ``restore`` goes on bit for bit."""
        return SimState(rows=self._batch.state.copy(), diverged=self.diverged.copy())

    def restore(self, state: SimState) -> None:
        """Goes on from what ``save`` gave.

        Raises:
            SettingsError: it is the state of other environments.
        """
        if state.rows.shape != self._batch.state.shape:
            raise SettingsError(
                f"saved simulation state has shape {state.rows.shape}, "
                f"expected {self._batch.state.shape}: another robot or number of environments."
            )
        self._batch.state[:] = state.rows
        self.diverged[:] = state.diverged
