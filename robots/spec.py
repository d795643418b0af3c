"""What a robot is: its model, its joints in order, and the numbers a policy needs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from legged_skills.robots.errors import SettingsError

# MuJoCo is imported where it is used: the numbers here are read on the robot too, which has none.
if TYPE_CHECKING:
    import mujoco

GRAVITY_MPS2 = 9.81
"""Acceleration of free fall [m/s^2]."""

_PER_JOINT = (
    "default_joint_pos",
    "joint_lower",
    "joint_upper",
    "kp",
    "kd",
    "torque_limit",
    "velocity_limit",
    "acceleration_limit",
)


@dataclass(frozen=True, kw_only=True)
class RobotSpec:
    """One robot's numbers. J is its number of joints, F its number of feet.

    Everything that depends on a joint order, a period or a gain reads it here.
    """

    name: str
    """The name it is known by, e.g. "anymal_c"."""
    mjcf: Callable[[], str]
    """Gives the MJCF text of the robot alone: no floor, no lights."""
    base_body: str
    """The body with the free joint. Frame "base": x forward, y left, z up."""
    joint_names: tuple[str, ...]
    """The actuated joints, in the order of ``qpos``, of actions and of all (J,) arrays."""
    default_joint_pos: np.ndarray
    """(J,) the pose that a zero action asks for [rad]."""
    joint_lower: np.ndarray
    """(J,) lower end of the usable range [rad]; targets are clamped to it."""
    joint_upper: np.ndarray
    """(J,) upper end of the usable range [rad]."""
    kp: np.ndarray
    """(J,) position gain of the drives [Nm/rad]."""
    kd: np.ndarray
    """(J,) velocity gain of the drives [Nm s/rad]; what motor and gear damp by themselves is in
    the model."""
    torque_limit: np.ndarray
    """(J,) greatest drive torque [Nm]."""
    velocity_limit: np.ndarray
    """(J,) greatest joint speed [rad/s]."""
    acceleration_limit: np.ndarray
    """(J,) greatest joint acceleration that the drive can give from rest, with the base held and
    the leg or arm in the air [rad/s^2]."""
    measures_joint_velocity: bool
    """Whether its drives say how fast they turn; a policy is told joint velocities only then."""
    action_scale: float
    """Joint target = default_joint_pos + action_scale * action [rad]."""
    control_period_s: float
    """Time from one policy step to the next [s]."""
    physics_step_s: float
    """Time step of the training physics [s]; the control period is a multiple of it."""
    foot_names: tuple[str, ...]
    """The feet, in the order of all (F,) arrays."""
    foot_sites: tuple[str, ...]
    """The site at the centre of each foot."""
    foot_radius_m: float
    """Height of a foot's site over the floor when the foot stands on it [m]."""
    foot_points_f: np.ndarray
    """(F, S, 3) the S points of each foot that meet the floor, in the frame of its site [m]: the
    corners of a flat sole, which lie on the floor when the foot stands; for a round foot the
    site's origin, which is then ``foot_radius_m`` over the floor."""
    standing_height_m: float
    """Height of the base frame over the floor in the default pose [m]."""
    leg_length_m: float
    """Height of the hip joints over the floor in the default pose [m]; scales time (Froude)."""
    fallen_height_m: float
    """A base lower than this has fallen [m]."""
    floor_friction: float
    """Sliding friction coefficient of the floor."""
    mirror_joints: tuple[np.ndarray, np.ndarray]
    """(J,) indices and (J,) signs: joint j of a left-right mirrored motion is sign[j] times joint
    index[j] of the motion."""
    mirror_feet: np.ndarray
    """(F,) indices: foot f of a mirrored motion is foot index[f] of the motion."""
    mirror_joints_front_back: tuple[np.ndarray, np.ndarray] | None
    """As ``mirror_joints``, for the reflection that exchanges front and back (x becomes -x);
    None if that makes no motion of the robot."""
    mirror_feet_front_back: np.ndarray | None
    """As ``mirror_feet``, for the reflection that exchanges front and back, or None."""
    self_collision: tuple[tuple[str, str], ...]
    """Pairs of geoms, capsules or spheres, that must not touch each other. They need not
    collide in the physics."""

    def __post_init__(self) -> None:
        """Freezes the arrays and checks sizes.

        Raises:
            SettingsError: an array has the wrong shape, a mirror image is none, a pair of geoms
                is not one, or the periods do not divide.
        """
        for name in _PER_JOINT:
            self._freeze(name, (self.num_joints,))
        points = np.shape(self.foot_points_f)
        self._freeze("foot_points_f", (self.num_feet, points[1] if len(points) == 3 else 1, 3))
        self._freeze_mirror("mirror_joints", "mirror_feet")
        if (self.mirror_joints_front_back is None) != (self.mirror_feet_front_back is None):
            raise SettingsError(
                f"{self.name}: mirror_joints_front_back and mirror_feet_front_back "
                "must be given both or not at all."
            )
        if self.mirror_joints_front_back is not None:
            self._freeze_mirror("mirror_joints_front_back", "mirror_feet_front_back")
        for pair in self.self_collision:
            if len(pair) != 2 or pair[0] == pair[1]:
                raise SettingsError(
                    f"{self.name}: self_collision has {pair!r}, expected two different geoms."
                )
        ratio = self.control_period_s / self.physics_step_s
        if abs(ratio - round(ratio)) > 1e-9 or ratio < 1:
            raise SettingsError(
                f"{self.name}: the control period {self.control_period_s} s is not a multiple "
                f"of the physics step {self.physics_step_s} s."
            )

    def _freeze(self, name: str, shape: tuple[int, ...]) -> None:
        """Makes an attribute a read-only float array, after a check of its shape."""
        array = np.array(getattr(self, name), dtype=np.float64)
        if array.shape != shape:
            per_joint = f"one entry for each of the {self.num_joints} joints"
            raise SettingsError(
                f"{self.name}: {name} has shape {array.shape}, "
                f"expected {per_joint if shape == (self.num_joints,) else shape}."
            )
        array.flags.writeable = False
        object.__setattr__(self, name, array)

    def _freeze_mirror(self, joints: str, feet: str) -> None:
        """Makes the arrays of a mirror image read-only; mirroring twice must change nothing."""
        order, sign = (np.array(part) for part in getattr(self, joints))
        feet_order = np.array(getattr(self, feet))
        for name, indices, count in (
            (joints, order, self.num_joints),
            (feet, feet_order, self.num_feet),
        ):
            everyone = np.arange(count)
            if not np.array_equal(np.sort(indices), everyone) or np.any(
                indices[indices] != everyone
            ):
                raise SettingsError(
                    f"{self.name}: {name} is {indices.tolist()}, "
                    f"expected 0 to {count - 1} with some pairs exchanged."
                )
        if sign.shape != order.shape or np.any(np.abs(sign) != 1) or np.any(sign[order] != sign):
            raise SettingsError(
                f"{self.name}: the signs of {joints} are {sign.tolist()}, "
                "expected 1 or -1, the same for the two joints of a pair."
            )
        for array in (order, sign, feet_order):
            array.flags.writeable = False
        object.__setattr__(self, joints, (order, sign))
        object.__setattr__(self, feet, feet_order)

    @property
    def num_joints(self) -> int:
        """J."""
        return len(self.joint_names)

    @property
    def num_feet(self) -> int:
        """F."""
        return len(self.foot_names)

    @property
    def froude_speed_mps(self) -> float:
        """The speed whose square is gravity times leg length: it scales gaits with the leg."""
        return (GRAVITY_MPS2 * self.leg_length_m) ** 0.5

    @property
    def substeps(self) -> int:
        """Physics steps in one control period."""
        return round(self.control_period_s / self.physics_step_s)

    @property
    def home_qpos(self) -> np.ndarray:
        """(7 + J,) standing at the origin, facing +x: root position, wxyz, joints [m, rad]."""
        return np.concatenate(
            [[0.0, 0.0, self.standing_height_m, 1.0, 0.0, 0.0, 0.0], self.default_joint_pos]
        )

    def joint_targets(self, action: np.ndarray) -> np.ndarray:
        """The joint position targets that an action asks for.

        Args:
            action: (..., J) policy output, without unit.

        Returns:
            (..., J) targets within the usable range [rad].
        """
        targets = action * self.action_scale + self.default_joint_pos
        return np.clip(targets, self.joint_lower, self.joint_upper)

    def spec(
        self, floor: bool = True, visible: bool = True, touches_itself: bool = False
    ) -> "mujoco.MjSpec":
        """The robot as an editable MuJoCo specification.

        Args:
            floor: whether a floor plane and a light come with it. Leave them out to attach
                the robot to a scene of your own.
            visible: whether geoms that touch nothing and weigh nothing come with it. Most geoms
                are such; the physics is the same without, and faster.
            touches_itself: whether the pairs of ``self_collision`` meet, without friction, and do
                not pass through each other.

        Returns:
            A new specification, with this robot's physics step, and with the keyframe "home" if
            there is a floor to stand on.
        """
        import mujoco

        from legged_skills.robots.scene import add_floor

        spec = mujoco.MjSpec.from_string(self.mjcf())
        spec.option.timestep = self.physics_step_s
        pairs = self.self_collision if touches_itself else ()
        for one, other in pairs:
            spec.add_pair(geomname1=one, geomname2=other, condim=1)
        if not visible:
            needed = {name for pair in pairs for name in pair}
            for geom in list(spec.geoms):
                if geom.contype == 0 and geom.conaffinity == 0 and geom.name not in needed:
                    spec.delete(geom)
        if floor:
            add_floor(spec, self.floor_friction)
            spec.add_key(name="home", qpos=self.home_qpos, ctrl=self.default_joint_pos)
        return spec

    def model(self, visible: bool = True, touches_itself: bool = False) -> "mujoco.MjModel":
        """The robot on a floor plane, compiled. Its keyframe "home" is the standing pose."""
        return self.spec(visible=visible, touches_itself=touches_itself).compile()
