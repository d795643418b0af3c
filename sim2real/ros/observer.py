"""What a twin's robot does, as the twin knows it without errors; needs rclpy."""

import time
from typing import Any

import numpy as np
from geometry_msgs.msg import PointStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Bool

from legged_skills.robots.rotations import from_yaw, rotate, rotate_inverse, yaw
from legged_skills.sim2real.ros.topics import TWIN_NODE, Twin

WINDOW_S = 2.0
"""Velocities are averaged over so long, to be compared with what was commanded [s]."""


def errors(
    time_s: np.ndarray, velocity: np.ndarray, command: np.ndarray, window_s: float = WINDOW_S
) -> tuple[float, float]:
    """How far averaged velocities are from a command.

    Args:
        time_s: (T,) [s].
        velocity: (T, 3) forward, to the left [m/s] and turning [rad/s], in the heading frame.
        command: (3,) the same.
        window_s: length of what is averaged [s]; what is left of the time is not counted. Of less
            time than that, all is averaged.

    Returns:
        Mean over windows of the size of the velocity's error [m/s] and of the turning rate's
        [rad/s]; NaN without two times.
    """
    if len(time_s) < 2:
        return float("nan"), float("nan")
    window_s = min(window_s, time_s[-1] - time_s[0])
    window = ((time_s - time_s[0]) // window_s).astype(int)
    whole = int((time_s[-1] - time_s[0] + 1e-6) // window_s)
    means = [velocity[window == k].mean(axis=0) for k in range(whole) if (window == k).any()]
    if not means:
        return float("nan"), float("nan")
    off = np.array(means) - command
    return float(np.linalg.norm(off[:, :2], axis=1).mean()), float(np.abs(off[:, 2]).mean())


class Observer:
    """Listens to a twin.

    Attributes:
        heard: messages about the robot so far.
        falls: how often it fell.
        counting: whether what is heard counts in the figures.
    """

    def __init__(self, node: Node) -> None:
        """Begins to listen.

        Args:
            node: gets the subscriptions.
        """
        self.heard = self.falls = 0
        self.counting = False
        self._motion: list[tuple[float, np.ndarray]] = []
        self._distance: list[float] = []
        self._target: np.ndarray | None = None
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        names = (
            (Odometry, Twin.TRUTH, self._hear_truth, 50),
            (Bool, Twin.FALLEN, self._hear_fallen, latched),
            (PointStamped, Twin.BALL_TRUTH, self._hear_ball, 10),
            (PointStamped, Twin.TARGET_TRUTH, self._hear_target, 10),
        )
        for kind, name, callback, qos in names:
            topic = name.replace("~", f"/{TWIN_NODE}", 1)
            hear: Any = callback
            node.create_subscription(kind, topic, hear, qos)

    def _hear_truth(self, message: Odometry) -> None:
        self.heard += 1
        if not self.counting:
            return
        q, v = message.pose.pose.orientation, message.twist.twist
        quat = np.array([q.w, q.x, q.y, q.z])
        velocity_w = rotate(quat, np.array([v.linear.x, v.linear.y, v.linear.z]))
        turning_w = rotate(quat, np.array([v.angular.x, v.angular.y, v.angular.z]))
        ahead = rotate_inverse(from_yaw(yaw(quat)), velocity_w)
        self._motion.append((time.monotonic(), np.array([ahead[0], ahead[1], turning_w[2]])))

    def _hear_fallen(self, message: Bool) -> None:
        self.falls += message.data

    def _hear_target(self, message: PointStamped) -> None:
        self._target = np.array([message.point.x, message.point.y])

    def _hear_ball(self, message: PointStamped) -> None:
        if self.counting and self._target is not None:
            ball = np.array([message.point.x, message.point.y])
            self._distance.append(float(np.linalg.norm(ball - self._target)))

    def walk_figures(self, command: np.ndarray) -> dict[str, Any]:
        """How far it walked from a command (3,)."""
        times = np.array([when for when, _ in self._motion])
        motion = np.array([what for _, what in self._motion]).reshape(-1, 3)
        velocity, turning = errors(times, motion, command)
        return {"velocity_error_mps": velocity, "yaw_error_radps": turning}

    def dribble_figures(self, near_m: float, share_counted: float) -> dict[str, Any]:
        """How long the ball was near its target.

        Args:
            near_m: what is near [m].
            share_counted: share of the time asked for that was counted; the rest is far away.
        """
        distance = np.array(self._distance)
        near = mean = float("nan")
        if distance.size:
            near, mean = float((distance < near_m).mean()) * share_counted, float(distance.mean())
        return {"time_near_target": near, "distance_m": mean, "near_m": near_m}
