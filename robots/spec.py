"""What a robot is: its model, its joints in order, and the numbers a policy needs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from legged_skills.robots.errors import SettingsError

# MuJoCo is imported where it is used: the numbers here are read on the robot too, which has none.
if TYPE_CHECKING:
    import mujoco


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
    """(J,) velocity gain of the drives [Nm s/rad]."""
    torque_limit: np.ndarray
    """(J,) greatest drive torque [Nm]."""
    velocity_limit: np.ndarray
    """(J,) greatest joint speed [rad/s]."""
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

    def __post_init__(self) -> None:
        """Freezes the arrays and checks sizes.

        Raises:
            SettingsError: an array has not J entries, or the periods do not divide.
        """
        for name in (
            "default_joint_pos",
            "joint_lower",
            "joint_upper",
            "kp",
            "kd",
            "torque_limit",
            "velocity_limit",
        ):
            array = np.array(getattr(self, name), dtype=np.float64)
            if array.shape != (self.num_joints,):
                raise SettingsError(
                    f"{self.name}: {name} has shape {array.shape}, "
                    f"expected one entry for each of the {self.num_joints} joints."
                )
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        ratio = self.control_period_s / self.physics_step_s
        if abs(ratio - round(ratio)) > 1e-9 or ratio < 1:
            raise SettingsError(
                f"{self.name}: the control period {self.control_period_s} s is not a multiple "
                f"of the physics step {self.physics_step_s} s."
            )

    @property
    def num_joints(self) -> int:
        """J."""
        return len(self.joint_names)

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

    def spec(self, floor: bool = True) -> "mujoco.MjSpec":
        """The robot as an editable MuJoCo specification.

        Args:
            floor: whether a floor plane and a light come with it. Leave them out to attach
                the robot to a scene of your own.

        Returns:
            A new specification, with this robot's physics step, and with the keyframe "home" if
            there is a floor to stand on.
        """
        import mujoco

        from legged_skills.robots.scene import add_floor

        spec = mujoco.MjSpec.from_string(self.mjcf())
        spec.option.timestep = self.physics_step_s
        if floor:
            add_floor(spec, self.floor_friction)
            spec.add_key(name="home", qpos=self.home_qpos, ctrl=self.default_joint_pos)
        return spec

    def model(self) -> "mujoco.MjModel":
        """The robot on a floor plane, compiled. Its keyframe "home" is the standing pose."""
        return self.spec().compile()
