"""The robot in Bullet, a second physics engine, to see what a policy owes to the first one.

What Bullet does as MuJoCo does, and what not:

- Masses, inertias, joints, their limits and the shapes that meet the floor are those of
  the model (``urdf.to_urdf``). Robots touch the floor only.
- A drive's inertia (armature) is a rotor that a gear constraint couples to its joint. A rotor
  is a body, so a leg that hits the floor has its drives behind it, and the base does not.
- A joint's dry friction is a motor that brakes with at most that torque; its damping and the
  drive's are torques from the speed at the start of the step, where MuJoCo takes the end's.
- Bullet knows one friction coefficient for each link: that of the geom with the highest priority.
  Contacts are rigid, with Coulomb's round cone; MuJoCo's yield a little, with a pyramid.
- Constraints are solved by sweeps (projected Gauss-Seidel) and not to the end.
"""

import math
from collections.abc import Iterable

import mujoco
import numpy as np

from legged_skills.robots import rotations
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.simulation import Motion
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.bullet_world import ROTOR_RATIO, Recipe, World, import_pybullet
from legged_skills.sim2real.fitted_model import dofs_of, fit_joints
from legged_skills.sim2real.identified import Identified
from legged_skills.sim2real.urdf import floor_geoms, to_urdf

LONGEST_STEP_S = 0.0025
"""The default step is the longest that is no longer than this and divides the control period."""

_ROBOTS_PER_WORLD = 16
"""A world takes 35 MB, however few are in it; steps of a hundred robots together are slower."""
_SPACING_M = 100.0
"""Between the robots of a world. They do not collide, but finding that out would cost time."""
_HUGE_SPEED = 1e3
"""A robot with a part faster than this [m/s or rad/s] has diverged."""


class BulletSim:
    """N robots in Bullet; satisfies ``robots.simulation.Physics``. J is the number of joints.

    The arrays are fresh after each step and reset; to change the state, call ``reset``.

    Attributes:
        spec: the robot.
        num_envs: N.
        step_s: one physics step [s].
        qpos: (N, 7 + J) root position in the world [m], root quaternion wxyz, joints [rad].
        qvel: (N, 6 + J) root linear velocity in the world [m/s], root angular velocity in the
            base frame [rad/s], joints [rad/s].
        torque: (N, J) torque of the drives in the last step [Nm].
        diverged: (N,) how often each robot has diverged so far.
    """

    def __init__(
        self,
        spec: RobotSpec,
        num_envs: int,
        *,
        step_s: float | None = None,
        floor_friction: float | None = None,
        gravity_w: tuple[float, float, float] | None = None,
        fixed_base: bool = False,
        fit: Identified | None = None,
    ) -> None:
        """Builds the robots, all standing at the origin of a floor of their own.

        Args:
            spec: the robot.
            num_envs: N.
            step_s: one physics step [s], a divisor of the control period; None for the longest
                up to ``LONGEST_STEP_S``.
            floor_friction: friction coefficient between feet and floor; None for the model's.
            gravity_w: [m/s^2]; None for the model's. A slope is gravity that is not vertical.
            fixed_base: whether the base hangs where it was put and there is no floor, for tests
                of drives.
            fit: joints as they were identified; None for the model's own.

        Raises:
            SettingsError: pybullet is missing, or an argument is out of range.
        """
        import_pybullet()
        if num_envs < 1:
            raise SettingsError(f"number of environments is {num_envs}, expected at least 1.")
        self.spec = spec
        self.num_envs = num_envs
        self.step_s = _step(spec, step_s)
        model = spec.model()
        fit_joints(model, spec, fit)
        base = model.body(spec.base_body).id
        self._com_b: np.ndarray = model.body_ipos[base].copy()
        self._principal_wxyz: np.ndarray = model.body_iquat[base].copy()
        self._recipe = Recipe(
            urdf=to_urdf(spec, rotor_ratio=ROTOR_RATIO, fit=fit),
            joint_names=spec.joint_names,
            dry_friction=model.dof_frictionloss[dofs_of(model, spec)],
            link_friction=_link_friction(model, floor_friction),
            gravity_w=_gravity(model, gravity_w),
            step_s=self.step_s,
            fixed_base=fixed_base,
        )
        n, joints = num_envs, spec.num_joints
        self.qpos = np.tile(spec.home_qpos, (n, 1))
        self.qvel = np.zeros((n, 6 + joints))
        self.torque = np.zeros((n, joints))
        self.diverged = np.zeros(n, dtype=np.int64)
        self._failed = np.zeros(n, dtype=bool)
        self._kp, self._kd = np.tile(spec.kp, (n, 1)), np.tile(spec.kd, (n, 1))
        self._low, self._high = -spec.torque_limit, spec.torque_limit
        self._force_w = np.zeros((n, 3))
        self._base = np.zeros((n, 13))
        self._shift_w = np.zeros((n, 3))
        self._shift_w[:, 0] = np.arange(n) % _ROBOTS_PER_WORLD * _SPACING_M
        self._worlds: list[World] = []
        self._robots = [self._add() for _ in range(n)]
        self.reset()

    def close(self) -> None:
        """Gives the memory back at once; nothing else may be called afterwards."""
        for world in self._worlds:
            world.close()

    def set_gains(self, kp: np.ndarray, kd: np.ndarray) -> None:
        """Gives the drives other gains: (N, J) [Nm/rad] and (N, J) [Nm s/rad]."""
        self._kp[:] = kp
        self._kd[:] = kd

    def push(self, force_w: np.ndarray) -> None:
        """Forces (N, 3) on the base's centre of mass, in the world frame, until changed [N]."""
        self._force_w[:] = force_w

    def run_steps(
        self,
        joint_targets: np.ndarray,
        torque_low: np.ndarray | None = None,
        torque_high: np.ndarray | None = None,
    ) -> Motion:
        """Physics steps; see ``Physics``."""
        if torque_low is not None:
            self._low = torque_low
        if torque_high is not None:
            self._high = torque_high
        motions = []
        for targets in joint_targets.swapaxes(0, 1):
            self._substep(targets)
            motions.append((self.qpos.copy(), self.qvel.copy(), self.torque.copy()))
        return Motion(*(np.stack(values, axis=1) for values in zip(*motions, strict=True)))

    def _substep(self, joint_targets: np.ndarray) -> None:
        wanted = self._kp * (joint_targets - self.qpos[:, 7:]) - self._kd * self.qvel[:, 6:]
        # As np.clip, but in the order of MuJoCo and without a warning where low > high.
        np.minimum(np.maximum(wanted, self._low), self._high, out=self.torque)
        torques = np.where(np.isfinite(self.torque), self.torque, 0.0)
        for env in np.flatnonzero(self._force_w.any(axis=1)):
            world, index = self._robots[env]
            world.push(index, self._force_w[env], self._base[env, :3])
        for (world, index), torque in zip(self._robots, torques, strict=True):
            world.drive(index, torque)
        for world in self._worlds:
            world.step()
        self._read(range(self.num_envs))
        self._mend()

    def end_step(self) -> np.ndarray:
        """(N,) True where it diverged since the last call; such a robot stands at the origin."""
        failed, self._failed = self._failed, np.zeros(self.num_envs, dtype=bool)
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
        """Puts robots into given states.

        Args:
            mask: (N,) bool, which robots; None for all.
            qpos: (n, 7 + J) or (7 + J,) for the n robots; None for the standing pose.
            qvel: (n, 6 + J) or (6 + J,); None for rest.
        """
        ids = np.arange(self.num_envs) if mask is None else np.flatnonzero(mask)
        if ids.size == 0:
            return
        self.qpos[ids] = self.spec.home_qpos if qpos is None else qpos
        self.qvel[ids] = 0.0 if qvel is None else qvel
        quat = rotations.normalize(self.qpos[ids, 3:7])
        arm_w = rotations.rotate(quat, self._com_b)
        omega_w = rotations.rotate(quat, self.qvel[ids, 3:6])
        turn = rotations.multiply(quat, self._principal_wxyz)
        self._base[ids, :3] = self.qpos[ids, :3] + arm_w + self._shift_w[ids]
        self._base[ids, 3:7] = turn[:, [1, 2, 3, 0]]
        self._base[ids, 7:10] = self.qvel[ids, :3] + np.cross(omega_w, arm_w)
        self._base[ids, 10:] = omega_w
        for env in ids:
            world, index = self._robots[env]
            world.put(index, self._base[env], np.stack([self.qpos[env, 7:], self.qvel[env, 6:]]))
        self.qpos[ids, 3:7] = quat
        self.torque[ids] = 0.0
        self._failed[ids] = False

    def _add(self) -> tuple[World, int]:
        """One more robot, in a new world if the last one is full."""
        if not self._worlds or len(self._worlds[-1]) == _ROBOTS_PER_WORLD:
            self._worlds.append(World(self._recipe))
        return self._worlds[-1], self._worlds[-1].add()

    def _read(self, ids: Iterable[int]) -> None:
        """Brings ``qpos`` and ``qvel`` up to date."""
        for env in ids:
            world, index = self._robots[env]
            self._base[env], joints = world.read(index)
            self.qpos[env, 7:], self.qvel[env, 6:] = joints
        place_w, turn_xyzw, velocity_w, omega_w = np.split(self._base, [3, 7, 10], axis=1)
        turn = turn_xyzw[:, [3, 0, 1, 2]]
        quat = rotations.multiply(turn, rotations.conjugate(self._principal_wxyz))
        # Of the two quaternions of a rotation, the one that is near that of the last step.
        quat *= np.where(np.sum(quat * self.qpos[:, 3:7], axis=1) < 0, -1.0, 1.0)[:, None]
        arm_w = rotations.rotate(quat, self._com_b)
        self.qpos[:, :3] = place_w - arm_w - self._shift_w
        self.qpos[:, 3:7] = quat
        self.qvel[:, :3] = velocity_w - np.cross(omega_w, arm_w)
        self.qvel[:, 3:6] = rotations.rotate_inverse(quat, omega_w)

    def _mend(self) -> None:
        """Rebuilds robots whose state is none any more, and remembers them for ``end_step``."""
        bad = np.any(~np.isfinite(self.qpos), axis=1) | np.any(~np.isfinite(self.torque), axis=1)
        bad |= np.any(~(np.abs(self.qvel) < _HUGE_SPEED), axis=1)  # also where it is no number
        if not bad.any():
            return
        failed = self._failed | bad
        for env in np.flatnonzero(bad):
            world, index = self._robots[env]
            world.rebuild(index)
        self.reset(np.asarray(bad))
        self._failed = failed


def _step(spec: RobotSpec, step_s: float | None) -> float:
    """The physics step [s], as near to the given one as rounding makes it."""
    if step_s is None:
        return spec.control_period_s / math.ceil(spec.control_period_s / LONGEST_STEP_S - 1e-9)
    ratio = spec.control_period_s / step_s if step_s > 0 else 0.0
    if ratio < 1 - 1e-9 or abs(ratio - round(ratio)) > 1e-6:
        raise SettingsError(
            f"step_s is {step_s}, expected {spec.name}'s control period "
            f"{spec.control_period_s} s divided by a whole number."
        )
    return spec.control_period_s / round(ratio)


def _gravity(model: mujoco.MjModel, gravity_w: tuple[float, float, float] | None) -> np.ndarray:
    gravity = np.array(model.opt.gravity if gravity_w is None else gravity_w, dtype=np.float64)
    if gravity.shape != (3,) or not np.isfinite(gravity).all():
        raise SettingsError(f"gravity_w is {gravity_w}, expected three numbers [m/s^2].")
    return gravity


def _link_friction(model: mujoco.MjModel, floor_friction: float | None) -> dict[str, float]:
    """Friction coefficient of each link that touches the floor, as MuJoCo would mix it.

    The geom with the higher priority decides; with equal ones it is the larger coefficient.
    ``floor_friction`` is given to links that have a say of their own: the feet.
    """
    if floor_friction is not None and not 0.0 <= floor_friction < math.inf:
        raise SettingsError(f"floor_friction is {floor_friction}, expected 0 or more.")
    floor = model.geom_friction[model.geom("floor").id, 0]
    found: dict[str, tuple[int, float]] = {}
    for geom in floor_geoms(model):
        link = model.body(model.geom_bodyid[geom]).name
        priority, friction = int(model.geom_priority[geom]), float(model.geom_friction[geom, 0])
        if priority <= 0:
            friction = max(friction, float(floor))
        elif floor_friction is not None:
            friction = floor_friction
        found[link] = max(found.get(link, (priority, friction)), (priority, friction))
    return {link: friction for link, (_, friction) in found.items()}
