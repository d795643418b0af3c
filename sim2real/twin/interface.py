"""What each robot's messages are like: their rate, order, frames, and where the robot starts.

Sources: "interfaces" is ROBOTIS's framework (ROS 2 branch of ROBOTIS-OP3) and ANYbotics's public
description of ANYmal C; numbers without a source are our estimates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from legged_skills import robots
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.spec import RobotSpec


@dataclass(frozen=True, kw_only=True)
class TwinInterface:
    """One robot's messages. J is its number of joints."""

    robot: str
    """Name of the robot."""
    cycle_s: float
    """Time from one message to the next, a whole number of physics steps [s]."""
    message_joints: tuple[str, ...]
    """(J,) order of the joints in joint states."""
    forward_joints: tuple[str, ...]
    """(J,) configured order of commands without names; the robot's own."""
    tells_velocity: bool
    """Whether joint states hold velocities and efforts; zeros if not."""
    orientation: Literal["attitude", "tilt"]
    """IMU orientation: a full one, or roll and pitch by the accelerometer alone, with yaw 0."""
    orientation_covariance: float
    """On the diagonal of the orientation's covariance [rad^2]; 0 for unknown."""
    imu_mount_wxyz: tuple[float, float, float, float]
    """Turns vectors of the IMU's frame into the base's, unit quaternion wxyz."""
    start_poses: Mapping[str, np.ndarray]
    """Poses it can start in, the first by default: (J,) joint angles in the robot's order [rad]."""
    battery_v: float
    """Voltage of a nominal battery [V]."""
    camera_range_m: float
    """A ball farther away is not found [m]."""

    def __post_init__(self) -> None:
        """Checks names and times.

        Raises:
            SettingsError: an order is not one of the robot's joints, or the cycle is no multiple
                of the physics step.
        """
        spec = self.spec
        for name in ("message_joints", "forward_joints"):
            order = getattr(self, name)
            if sorted(order) != sorted(spec.joint_names):
                raise SettingsError(
                    f"{name} is {', '.join(order)}, expected all joints of {spec.name} once."
                )
        steps = self.cycle_s / spec.physics_step_s
        if steps < 0.5 or abs(steps - round(steps)) > 1e-9:
            raise SettingsError(
                f"cycle_s is {self.cycle_s:g}, expected a multiple of {spec.physics_step_s:g} s."
            )

    @property
    def spec(self) -> RobotSpec:
        """The robot."""
        return robots.get(self.robot)

    def order(self, names: tuple[str, ...]) -> np.ndarray:
        """(L,) where joints are in the robot's order."""
        return np.array([self.spec.joint_names.index(name) for name in names], dtype=np.int64)


def _op3() -> TwinInterface:
    spec = robots.get("op3")
    # Interfaces: ini_pose.yaml, left side; the right side has the opposite signs [degrees].
    left = {"sho_pitch": -15, "sho_roll": 45, "el": -45, "hip_pitch": -70, "knee": 142}
    left["ank_pitch"] = 70
    degrees = {"head_tilt": -10.0}
    degrees |= {f"l_{name}": float(angle) for name, angle in left.items()}
    degrees |= {f"r_{name}": -float(angle) for name, angle in left.items()}
    ini_pose = np.deg2rad([degrees.get(name, 0.0) for name in spec.joint_names])
    return TwinInterface(
        robot="op3",
        cycle_s=0.008,
        # The framework keeps joints in a std::map.
        message_joints=tuple(sorted(spec.joint_names)),
        forward_joints=spec.joint_names,
        tells_velocity=False,
        orientation="tilt",
        orientation_covariance=0.0,
        imu_mount_wxyz=(1.0, 0.0, 0.0, 0.0),
        start_poses={"ini_pose": ini_pose, "default": spec.default_joint_pos},
        battery_v=12.0,
        camera_range_m=3.0,
    )


def _anymal_c() -> TwinInterface:
    spec = robots.get("anymal_c")
    half = float(np.sqrt(0.5))
    return TwinInterface(
        robot="anymal_c",
        # A controller manager at 200 Hz; the public drives' loop has 400 Hz.
        cycle_s=0.005,
        message_joints=spec.joint_names,
        forward_joints=spec.joint_names,
        tells_velocity=True,
        orientation="attitude",
        orientation_covariance=1e-3,
        # Interfaces: the URDF's imu_link is turned by +90 degrees about z.
        imu_mount_wxyz=(half, 0.0, 0.0, half),
        start_poses={
            "default": spec.default_joint_pos,
            # tbai's "sit".
            "lying": np.concatenate([np.tile([0.0, 1.5, -2.6], 2), np.tile([0.0, -1.5, 2.6], 2)]),
        },
        battery_v=48.0,
        camera_range_m=6.0,
    )


def interface(robot: str) -> TwinInterface:
    """The messages of a robot.

    Raises:
        SettingsError: there is no twin of it.
    """
    made = {"op3": _op3, "anymal_c": _anymal_c}
    if robot not in made:
        raise SettingsError(f"there is no twin of {robot}, expected one of {', '.join(made)}.")
    return made[robot]()
