"""What a robot's driver has heard, as the controller reads it once each control period.

A driver owns one snapshot and writes into it as messages arrive; the control thread copies it,
``take``, so that it does not change during a step. J is the number of joints, in the policy's
order.
"""

import numpy as np

IMU_CAPACITY = 64
"""So many IMU samples fit between two control steps; of more, the oldest are lost."""
IMU_TIME, IMU_GYRO, IMU_ACCELERATION, IMU_ORIENTATION = 0, slice(1, 4), slice(4, 7), slice(7, 11)
"""Columns of ``SensorSnapshot.imu``."""
IMU_WIDTH = 11
NEVER = -np.inf
"""Receive time of what has not been received."""


class SensorSnapshot:
    """The newest sensor values of one robot. Times are receive times on the steady clock [s].

    Attributes:
        joint_pos: (J,) [rad].
        joint_vel: (J,) [rad/s]; NaN where the robot does not say.
        joint_time_s: (J,) when each joint was heard of last.
        imu: (IMU_CAPACITY, 11) samples since the last ``take``, oldest first, in the frame of the
            IMU: receive time [s], angular velocity [rad/s], acceleration [m/s^2], orientation
            wxyz; what the IMU does not tell is NaN.
        num_imu: how many of its rows are filled.
        others: publishers of joint targets besides this one.
        owner: one sentence that says who else is in charge of joints; empty if nobody is.
        rejected: so many messages could not be used since the last ``take``.
        rejection: one sentence about the last of them.
        spoiled: one sentence about a joint state since the last ``take`` that had no numbers, which
            others may have overwritten meanwhile; empty if none had.
        battery_v: [V]; NaN if unknown.
    """

    def __init__(self, num_joints: int) -> None:
        """Nothing has been heard yet."""
        self.joint_pos = np.full(num_joints, np.nan)
        self.joint_vel = np.full(num_joints, np.nan)
        self.joint_time_s = np.full(num_joints, NEVER)
        self.imu = np.full((IMU_CAPACITY, IMU_WIDTH), np.nan)
        self.num_imu = 0
        self.others = 0
        self.owner = ""
        self.rejected = 0
        self.rejection = self.spoiled = ""
        self.battery_v = float("nan")

    def add_imu(
        self,
        time_s: float,
        gyro: np.ndarray,
        acceleration: np.ndarray,
        orientation_wxyz: np.ndarray | None = None,
    ) -> None:
        """Appends a sample; of too many, the oldest is lost.

        Args:
            time_s: receive time [s].
            gyro: (3,) [rad/s].
            acceleration: (3,) [m/s^2].
            orientation_wxyz: (4,), or None if the IMU gives none.
        """
        if self.num_imu == IMU_CAPACITY:
            self.imu[:-1] = self.imu[1:]
            self.num_imu -= 1
        row = self.imu[self.num_imu]
        row[IMU_TIME] = time_s
        row[IMU_GYRO] = gyro
        row[IMU_ACCELERATION] = acceleration
        row[IMU_ORIENTATION] = np.nan if orientation_wxyz is None else orientation_wxyz
        self.num_imu += 1

    def reject(self, sentence: str) -> None:
        """Notes that a message could not be used, and why."""
        self.rejected += 1
        self.rejection = sentence

    def take(self, into: "SensorSnapshot") -> None:
        """Copies all of it, and begins a new list of IMU samples and of unusable messages."""
        into.joint_pos[:] = self.joint_pos
        into.joint_vel[:] = self.joint_vel
        into.joint_time_s[:] = self.joint_time_s
        into.imu[: self.num_imu] = self.imu[: self.num_imu]
        into.num_imu = self.num_imu
        into.others, into.owner = self.others, self.owner
        into.rejected, into.rejection = self.rejected, self.rejection
        into.spoiled, into.battery_v = self.spoiled, self.battery_v
        self.num_imu = self.rejected = 0
        self.spoiled = ""


class CommandSnapshot:
    """What the policy is asked to do.

    Attributes:
        values: (C,) in the units of the bundle's command.
        time_s: when it was received, on the steady clock [s].
    """

    def __init__(self, size: int) -> None:
        """Nothing has been asked yet."""
        self.values = np.zeros(size)
        self.time_s = NEVER
