"""Robots in a world of Bullet: how they are built there, pushed, put somewhere and read.

All positions and velocities are Bullet's: of the base's centre of mass, turned as its principal
axes, quaternions xyzw. ``bullet.BulletSim`` speaks of the base frame.
"""

import tempfile
import weakref
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.urdf import ROTOR_SUFFIX

ROTOR_RATIO = 100.0
"""Between the ANYdrive's gear of 50 and the 353.5 of OP3's servos."""
SWEEPS = 30
"""Of the solver. In a second of squats of OP3, 30 and 1000 sweeps differ by 0.6 mm and 0.007 rad
at most, a tenth of what Bullet and MuJoCo differ by; each ten sweeps more take an eighth longer."""

_FLOOR_GROUP, _ROBOT_GROUP = 1, 2
_UNLIMITED = 1e6
"""Joint speed [rad/s] and gear torque [Nm] that are never met."""


def import_pybullet() -> ModuleType:
    """The package pybullet.

    Raises:
        SettingsError: it is not installed.
    """
    try:
        import pybullet
    except ImportError as error:
        raise SettingsError(
            "the engine Bullet needs pybullet; install legged_skills[bullet]."
        ) from error
    return pybullet


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a world and its robots are made of. J joints."""

    urdf: str
    """The robot with rotors of ``ROTOR_RATIO``."""
    joint_names: tuple[str, ...]
    """(J,) in the order of all arrays."""
    dry_friction: np.ndarray
    """(J,) of the joints [Nm]."""
    link_friction: dict[str, float]
    """Coefficient between a link, by its name, and the floor; others touch nothing."""
    gravity_w: np.ndarray
    """(3,) [m/s^2]."""
    step_s: float
    """One physics step [s]."""
    fixed_base: bool
    """Whether the base hangs in the air, over no floor."""


@dataclass(frozen=True)
class _Robot:
    """Bullet's numbers for a robot: itself, gears (J,), joints (J,), joints and rotors (2J,)."""

    body: int
    gears: tuple[int, ...]
    joints: tuple[int, ...]
    joints_and_rotors: tuple[int, ...]


class World:
    """Robots that stand on one floor and do not feel each other. J is the number of joints."""

    def __init__(self, recipe: Recipe) -> None:
        """Makes a world without robots.

        Args:
            recipe: what it is made of.

        Raises:
            SettingsError: pybullet is missing, or has too many worlds already.
        """
        self._pb: Any = import_pybullet()
        self._recipe = recipe
        self._robots: list[_Robot] = []
        client = self._pb.connect(self._pb.DIRECT)
        if client < 0:
            raise SettingsError("Bullet has no room for another world; simulate fewer robots.")
        self._at = {"physicsClientId": client}
        self.close = weakref.finalize(self, _disconnect, self._pb, client)
        self._pb.setTimeStep(recipe.step_s, **self._at)
        self._pb.setGravity(*recipe.gravity_w, **self._at)
        self._pb.setPhysicsEngineParameter(
            numSolverIterations=SWEEPS,
            # Each robot is solved by itself, as if it were alone.
            minimumSolverIslandSize=1,
            enableConeFriction=1,
            # Otherwise another robot's file of the same name would be read from memory.
            enableFileCaching=0,
            **self._at,
        )
        if not recipe.fixed_base:
            self._add_floor()

    def __len__(self) -> int:
        return len(self._robots)

    def add(self) -> int:
        """Adds a robot at the origin. Returns its index."""
        self._robots.append(self._load())
        return len(self._robots) - 1

    def rebuild(self, index: int) -> None:
        """Replaces a robot by a new one at the origin.

        Bullet takes a shape out of the world for good when its place is not finite.
        """
        for gear in self._robots[index].gears:
            self._pb.removeConstraint(gear, **self._at)
        self._pb.removeBody(self._robots[index].body, **self._at)
        self._robots[index] = self._load()

    def drive(self, index: int, torque: np.ndarray) -> None:
        """Torques (J,) of the joints in the next step [Nm]."""
        robot = self._robots[index]
        self._pb.setJointMotorControlArray(
            robot.body, robot.joints, self._pb.TORQUE_CONTROL, forces=torque, **self._at
        )

    def push(self, index: int, force_w: np.ndarray, point_w: np.ndarray) -> None:
        """A force (3,) on the base in the next step [N], at a point (3,) in the world [m]."""
        self._pb.applyExternalForce(
            self._robots[index].body, -1, force_w, point_w, self._pb.WORLD_FRAME, **self._at
        )

    def step(self) -> None:
        """One physics step of all robots."""
        self._pb.stepSimulation(**self._at)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """A robot's state.

        Returns:
            (13,) the base's place [m], turn xyzw, velocity [m/s] and angular velocity [rad/s] in
            the world; (2, J) joint positions [rad] and speeds [rad/s].
        """
        robot = self._robots[index]
        place, turn = self._pb.getBasePositionAndOrientation(robot.body, **self._at)
        velocity, omega = self._pb.getBaseVelocity(robot.body, **self._at)
        states = self._pb.getJointStates(robot.body, robot.joints, **self._at)
        joints = np.array([[state[0] for state in states], [state[1] for state in states]])
        return np.array([*place, *turn, *velocity, *omega]), joints

    def put(self, index: int, base: np.ndarray, joints: np.ndarray) -> None:
        """Puts a robot into a state of the form that ``read`` gives."""
        body = self._robots[index].body
        place, turn, velocity, omega = np.split(base, [3, 7, 10])
        self._pb.resetBasePositionAndOrientation(body, place, turn, **self._at)
        self._pb.resetBaseVelocity(body, velocity, omega, **self._at)
        positions = np.concatenate([joints[0], np.zeros_like(joints[0])])
        speeds = np.concatenate([joints[1], ROTOR_RATIO * joints[1]])
        self._pb.resetJointStatesMultiDof(
            body,
            self._robots[index].joints_and_rotors,
            positions[:, None].tolist(),
            speeds[:, None].tolist(),
            **self._at,
        )

    def _add_floor(self) -> None:
        pb = self._pb
        shape = pb.createCollisionShape(pb.GEOM_PLANE, **self._at)
        floor = pb.createMultiBody(0, shape, **self._at)
        # Bullet multiplies the coefficients of the two that touch.
        pb.changeDynamics(floor, -1, lateralFriction=1.0, **self._at)
        pb.setCollisionFilterGroupMask(floor, -1, _FLOOR_GROUP, _ROBOT_GROUP, **self._at)

    def _load(self) -> _Robot:
        pb, recipe = self._pb, self._recipe
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "robot.urdf"
            path.write_text(recipe.urdf, encoding="utf-8")
            flags = pb.URDF_USE_INERTIA_FROM_FILE | pb.URDF_USE_IMPLICIT_CYLINDER
            body = pb.loadURDF(str(path), useFixedBase=recipe.fixed_base, flags=flags, **self._at)
        infos = [
            pb.getJointInfo(body, i, **self._at) for i in range(pb.getNumJoints(body, **self._at))
        ]
        return self._prepare(body, infos)

    def _prepare(self, body: int, infos: list[Any]) -> _Robot:
        """Takes away what Bullet adds by itself; adds friction and gears. Damping is the URDF's."""
        pb, recipe = self._pb, self._recipe
        links = {-1: pb.getBodyInfo(body, **self._at)[0].decode()}
        links |= {info[0]: info[12].decode() for info in infos}
        # The first two and the speed are of the whole robot. Named together with a link's friction,
        # that friction would go to the base.
        pb.changeDynamics(
            body,
            -1,
            linearDamping=0.0,
            angularDamping=0.0,
            maxJointVelocity=_UNLIMITED,
            **self._at,
        )
        for link, name in links.items():
            pb.setCollisionFilterGroupMask(body, link, _ROBOT_GROUP, _FLOOR_GROUP, **self._at)
            if name in recipe.link_friction:
                friction = recipe.link_friction[name]
                pb.changeDynamics(body, link, lateralFriction=friction, **self._at)
        numbers = {info[1].decode(): info[0] for info in infos}
        joints = tuple(numbers[name] for name in recipe.joint_names)
        rotors = tuple(numbers[name + ROTOR_SUFFIX] for name in recipe.joint_names)
        # Every joint starts with a motor that holds it; what is left of it is the dry friction.
        brakes = np.concatenate([recipe.dry_friction, np.zeros(len(rotors))])
        pb.setJointMotorControlArray(
            body,
            joints + rotors,
            pb.VELOCITY_CONTROL,
            targetVelocities=np.zeros(len(brakes)),
            forces=brakes,
            **self._at,
        )
        gears = tuple(self._gear(body, *pair) for pair in zip(joints, rotors, strict=True))
        return _Robot(body, gears, joints, joints + rotors)

    def _gear(self, body: int, joint: int, rotor: int) -> int:
        """Makes the rotor turn ``ROTOR_RATIO`` times as fast as the joint."""
        pb, here = self._pb, [0, 0, 0]
        axis = [0, 0, 1]
        gear = pb.createConstraint(
            body, joint, body, rotor, pb.JOINT_GEAR, axis, here, here, **self._at
        )
        # Nobody asks how the rotor stands, so its angle is not corrected: erp 0.
        pb.changeConstraint(
            gear, gearRatio=-1.0 / ROTOR_RATIO, maxForce=_UNLIMITED, erp=0.0, **self._at
        )
        return gear


def _disconnect(pybullet: Any, client: int) -> None:
    # At the end of the process pybullet may have closed everything already.
    with suppress(pybullet.error):
        pybullet.disconnect(physicsClientId=client)
