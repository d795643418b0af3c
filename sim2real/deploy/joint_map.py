"""A robot's joints and the policy's: other names, another order, other signs and zeros.

J is the number of joints. All arrays are in the policy's order.
"""

import math
from collections.abc import Sequence

import numpy as np

from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.deploy.snapshot import SensorSnapshot


class JointMap:
    """Reads joint states by name, and turns joint targets into the robot's angles.

    An angle of the robot is sign * angle + offset, with the policy's angle.

    Attributes:
        robot_names: (J,) the robot's names of the policy's joints.
        unknown: the names that the last message had and the policy has not.
    """

    def __init__(
        self,
        robot_names: Sequence[str],
        signs: Sequence[float],
        offsets_rad: Sequence[float],
        measures_velocity: bool,
    ) -> None:
        """Checks the lengths.

        Args:
            robot_names: (J,) the robot's names of the policy's joints.
            signs: (J,) 1 or -1.
            offsets_rad: (J,) what the robot says at the policy's zero [rad].
            measures_velocity: whether velocities in messages mean something.

        Raises:
            SettingsError: a length, a name or a sign is wrong.
        """
        self.robot_names = tuple(robot_names)
        joints = len(self.robot_names)
        if len(set(self.robot_names)) < joints:
            raise SettingsError(f"joint_names is {list(robot_names)}, expected different names.")
        for name, values in (("joint_signs", signs), ("joint_offsets_rad", offsets_rad)):
            if len(values) != joints:
                raise SettingsError(f"{name} has {len(values)} values, expected {joints}.")
        self._signs, self._offsets = np.array(signs, float), np.array(offsets_rad, float)
        if not (np.abs(self._signs) == 1.0).all():
            raise SettingsError(f"joint_signs is {list(signs)}, expected 1 or -1 for each joint.")
        self.unknown: tuple[str, ...] = ()
        self._measures_velocity = measures_velocity
        # The order of the last message, which hardly ever changes.
        self._seen: list[str] = []
        self._places = self._joints = np.zeros(0, dtype=np.int64)

    def read(
        self,
        names: Sequence[str],
        position: Sequence[float],
        velocity: Sequence[float],
        time_s: float,
        into: SensorSnapshot,
    ) -> bool:
        """Takes in a message about some joints, or about all; of others nothing changes.

        Args:
            names: of the message.
            position: of the message [rad]; must have as many values as names.
            velocity: of the message [rad/s]; may be empty.
            time_s: receive time [s].
            into: gets the values, or a note that the message is not usable.

        Returns:
            Whether the message was usable.
        """
        if len(position) != len(names) or len(velocity) not in (0, len(names)):
            into.reject(
                f"a joint state has {len(names)} names, {len(position)} positions and "
                f"{len(velocity)} velocities."
            )
            return False
        if names != self._seen and not self._learn(names, into):
            return False
        places, joints = self._places, self._joints
        signs = self._signs[joints]
        into.joint_pos[joints] = signs * (
            np.asarray(position, float)[places] - self._offsets[joints]
        )
        if self._measures_velocity and len(velocity):
            into.joint_vel[joints] = signs * np.asarray(velocity, float)[places]
        else:
            into.joint_vel[joints] = np.nan
        told = into.joint_pos[joints]
        if self._measures_velocity:
            told = told + into.joint_vel[joints]
        # A sum is a number if all are; this is done hundreds of times a second.
        if not math.isfinite(told.sum()):
            name = self.robot_names[joints[int(np.argmin(np.isfinite(told)))]]
            into.spoiled = f"a joint state had an angle or speed of {name} that is no number."
        into.joint_time_s[joints] = time_s
        return True

    def _learn(self, names: Sequence[str], into: SensorSnapshot) -> bool:
        if len(set(names)) < len(names):
            into.reject("a joint state names a joint twice.")
            return False
        index = {name: joint for joint, name in enumerate(self.robot_names)}
        known = [(place, index[name]) for place, name in enumerate(names) if name in index]
        self._places = np.array([place for place, _ in known], dtype=np.int64)
        self._joints = np.array([joint for _, joint in known], dtype=np.int64)
        self.unknown = tuple(name for name in names if name not in index)
        self._seen = list(names)
        return True

    def to_robot(self, joint_targets: np.ndarray) -> np.ndarray:
        """The robot's angles (J,) [rad] of joint targets (J,) [rad]."""
        return self._signs * joint_targets + self._offsets
