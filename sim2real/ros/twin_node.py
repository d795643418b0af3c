"""The twin as a ROS 2 node: one robot in real time in a process of its own; needs rclpy.

One thread does all: at each deadline it publishes what the sensors say then, takes what has been
heard, and moves the robot on by a cycle, to the next deadline. A robot's bus takes targets once a
cycle too.
"""

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import PointStamped
from nav_msgs.msg import Odometry
from rclpy import init
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.signals import SignalHandlerOptions
from rclpy.time import Time
from rclpy.utilities import ok, try_shutdown
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger

from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.deploy.states import State
from legged_skills.sim2real.ros.filling import doubles
from legged_skills.sim2real.ros.processes import StopSignals, orphaned
from legged_skills.sim2real.ros.topics import BALL, BRIDGE_STATE, HEADING_FRAME, TARGET, TWIN_NODE
from legged_skills.sim2real.ros.topics import Twin as Names
from legged_skills.sim2real.ros.twin_op3 import Op3Face
from legged_skills.sim2real.ros.twin_ros2_control import Ros2ControlFace
from legged_skills.sim2real.twin.ball import Path
from legged_skills.sim2real.twin.pace import Pace
from legged_skills.sim2real.twin.twin import Sent, Twin, TwinConfig

_TRUTH_S = 0.02
_SECOND_PUBLISHER_S = 0.08
_MOST_HEARD = 50
"""Messages and requests that are taken in one cycle, so that a flood of them stops nothing."""
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class TwinNode:
    """A twin and its node.

    Attributes:
        twin: the robot.
        node: the node.
        pace: how well time is kept.
        falls: how often the robot has fallen.
    """

    def __init__(self, twin: Twin, faults: list[str] | None = None) -> None:
        """Offers all topics; rclpy must have been started.

        Args:
            twin: the robot.
            faults: those it begins with, each a line as on the topic.

        Raises:
            SettingsError: a fault is not in the grammar.
        """
        self.twin = twin
        self.node = node = Node(TWIN_NODE)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        self._any_heard = False
        face = Op3Face if twin.config.robot == "op3" else Ros2ControlFace
        self.face = face(node, twin, self._heard)
        self._offer()
        self._intruder: Node | None = None
        self._intrude: Callable[[], None] = lambda: None
        cycle_s = twin.interface.cycle_s
        self._truth_every = max(1, round(_TRUTH_S / cycle_s))
        self._intrude_every = max(1, round(_SECOND_PUBLISHER_S / cycle_s))
        self._told_faults: list[str] | None = None
        self._told_fallen: bool | None = None
        self.falls = 0
        self._sent: Sent | None = None
        self.pace = Pace(cycle_s, time.monotonic())
        self._second = (self.pace.deadline_s, 0)
        self._rtf_last = float("nan")
        self._cpu_s = time.process_time()
        for text in faults or ():
            self.twin.inject(text)

    def _heard(self) -> None:
        self._any_heard = True

    def _offer(self) -> None:
        """Topics and services of the twin itself."""
        node, out = self.node, self.node.create_publisher
        self._truth = out(Odometry, Names.TRUTH, 10)
        self._fallen = out(Bool, Names.FALLEN, _LATCHED)
        self._faults = out(String, Names.FAULTS, _LATCHED)
        self._stats = out(DiagnosticArray, Names.STATS, 10)
        self._truth_message = Odometry(child_frame_id=self.twin.interface.spec.base_body)
        self._truth_message.header.frame_id = Names.FLOOR_FRAME
        node.create_subscription(String, Names.INJECT, self._inject, 10)
        node.create_subscription(String, BRIDGE_STATE, self._bridge, _LATCHED)
        node.create_service(Trigger, Names.CLEAR, self._clear)
        node.create_service(Trigger, Names.RESET, self._reset)
        node.create_service(SetBool, Names.SERVO_OFF, self._servo_off)
        if self.twin.ball is None:
            return
        self._ball, self._target = out(PointStamped, BALL, 10), out(PointStamped, TARGET, 10)
        self._ball_truth = out(PointStamped, Names.BALL_TRUTH, 10)
        self._target_truth = out(PointStamped, Names.TARGET_TRUTH, 10)
        node.create_subscription(PointStamped, Names.SET_TARGET, self._set_target, 10)

    def _inject(self, message: String) -> None:
        self._heard()
        try:
            self.twin.inject(message.data)
        except SettingsError as error:
            self.node.get_logger().error(f"not injected: {error}")
            return
        self.node.get_logger().info(f"injected: {message.data}")

    def _bridge(self, message: String) -> None:
        self._heard()
        if message.data in {state.value for state in State}:
            self.twin.told(State(message.data))

    def _clear(self, _: Any, response: Any) -> Any:
        self._heard()
        self.twin.inject("clear")
        response.success = True
        return response

    def _reset(self, _: Any, response: Any) -> Any:
        self._heard()
        self.twin.reset()
        response.success = True
        return response

    def _servo_off(self, request: Any, response: Any) -> Any:
        self._heard()
        self.twin.inject("servo_off" if request.data else "clear servo_off")
        response.success = True
        return response

    def _set_target(self, message: PointStamped) -> None:
        self._heard()
        ball, point = self.twin.ball, np.array([message.point.x, message.point.y])
        if ball is not None and message.header.frame_id == Names.FLOOR_FRAME:
            if np.isfinite(point).all():
                ball.set_target(point)
        else:
            self.node.get_logger().error(
                f"target in {message.header.frame_id!r}, expected {Names.FLOOR_FRAME}"
            )

    def run(self, seconds: float = np.inf, each: Callable[[], None] = lambda: None) -> None:
        """Goes on in real time until the time is over, or somebody asks the process to stop.

        A twin that another process has started for itself ends with that, too.

        Args:
            seconds: how long [s].
            each: called after each cycle.
        """
        with StopSignals() as stop:
            self.pace = pace = Pace(self.twin.interface.cycle_s, time.monotonic())
            self._second, self._cpu_s = (time.monotonic(), 0), time.process_time()
            until = time.monotonic() + seconds
            while not stop.asked and not orphaned() and ok() and pace.deadline_s <= until:
                wait = pace.deadline_s - time.monotonic()
                if wait > 0.0:
                    time.sleep(wait)
                pace.begin(time.monotonic())
                self.cycle()
                each()
                pace.end(time.monotonic())

    def cycle(self) -> None:
        """Publishes what the cycle before ended with, hears, and moves on by a cycle."""
        if self._sent is not None:
            now = self.node.get_clock().now()
            self.face.publish(self._sent, now)
            self._tell(self._sent, now)
        for _ in range(_MOST_HEARD):
            self._any_heard = False
            self._executor.spin_once(timeout_sec=0.0)
            if not self._any_heard:
                break
        self._sent = self.twin.cycle()

    def _tell(self, sent: Sent, now: Time) -> None:
        """Publishes what is the twin's own."""
        count = self.pace.cycles
        if count % self._truth_every == 0:
            self._tell_truth(now)
        if sent.picture is not None:
            taken_ns = now.nanoseconds - round(1e9 * sent.picture.age_s)
            taken = Time(nanoseconds=taken_ns, clock_type=now.clock_type)
            radius = 0.0
            if sent.picture.ball is not None:
                self._ball.publish(_point(HEADING_FRAME, taken, sent.picture.ball, radius))
            self._target.publish(_point(HEADING_FRAME, taken, sent.picture.target, radius))
        self._keep_intruder(count)
        faults = [str(fault) for fault in self.twin.faults.active]
        if faults != self._told_faults:
            self._told_faults = faults
            self._faults.publish(String(data="\n".join(faults)))
        elapsed = time.monotonic() - self._second[0]
        if elapsed >= 1.0:
            done = count - self._second[1]
            self._rtf_last = done * self.pace.period_s / elapsed
            self._second = (self._second[0] + elapsed, count)
            self.face.slow(now)
            self._tell_stats(now)

    def _tell_truth(self, now: Time) -> None:
        truth, message = self.twin.robot.truth(), self._truth_message
        message.header.stamp = now.to_msg()
        p, q = message.pose.pose.position, message.pose.pose.orientation
        v, w = message.twist.twist.linear, message.twist.twist.angular
        p.x, p.y, p.z = truth.pos_w.tolist()
        q.w, q.x, q.y, q.z = truth.quat_wxyz.tolist()
        v.x, v.y, v.z = truth.lin_vel_b.tolist()
        w.x, w.y, w.z = truth.ang_vel_b.tolist()
        self._truth.publish(message)
        if truth.fallen != self._told_fallen:
            self.falls += truth.fallen
            self._told_fallen = truth.fallen
            self._fallen.publish(Bool(data=truth.fallen))
        if self.twin.ball is not None:
            ball = self.twin.ball
            self._ball_truth.publish(_point(Names.FLOOR_FRAME, now, ball.pos_w[:2], ball.pos_w[2]))
            self._target_truth.publish(_point(Names.FLOOR_FRAME, now, ball.target_w, 0.0))

    def _keep_intruder(self, count: int) -> None:
        """A second publisher of joint targets, as long as there is such a fault."""
        wanted = bool(self.twin.faults.named("second_publisher"))
        if wanted and self._intruder is None:
            self._intruder = Node("intruder")
            publisher = self._intruder.create_publisher(JointState, self.face.command_topic, 10)

            def intrude() -> None:
                goal = self.twin.goal_states()
                message = JointState(name=list(goal.names), position=doubles(goal.position))
                publisher.publish(message)

            self._intrude = intrude
        elif not wanted and self._intruder is not None:
            self._intruder.destroy_node()
            self._intruder = None
        if self._intruder is not None and count % self._intrude_every == 0:
            self._intrude()

    def figures(self) -> dict[str, float]:
        """How well time is kept, and what has happened."""
        now_s, twin = time.monotonic(), self.twin
        figures = self.pace.figures(now_s)
        figures |= {
            "real_time_factor_last_s": self._rtf_last,
            "cpu_share": (time.process_time() - self._cpu_s) / figures["elapsed_s"],
            "simulated_s": twin.robot.time_s,
            "falls": float(self.falls),
            "diverged": float(twin.robot.diverged),
            "refused_targets": float(twin.refused),
            "ignored_targets": float(twin.ignored),
            "lost_messages": float(twin.faults.lost),
        }
        if twin.manager is not None:
            figures["merged_writes"] = float(twin.manager.merged)
        return figures

    def _tell_stats(self, now: Time) -> None:
        figures = self.figures()
        values = [KeyValue(key=key, value=f"{value:.6g}") for key, value in figures.items()]
        behind = self._rtf_last < 0.98
        status = DiagnosticStatus(
            level=DiagnosticStatus.WARN if behind else DiagnosticStatus.OK,
            name=f"{TWIN_NODE}: real time",
            message="slower than real time" if behind else "in real time",
            hardware_id=self.twin.config.robot,
            values=values,
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = now.to_msg()
        self._stats.publish(message)

    def close(self) -> None:
        """Takes the node away."""
        if self._intruder is not None:
            self._intruder.destroy_node()
        self._executor.shutdown()
        self.node.destroy_node()


def _point(frame: str, now: Time, xy: np.ndarray, z: float) -> PointStamped:
    message = PointStamped()
    message.header.frame_id, message.header.stamp = frame, now.to_msg()
    message.point.x, message.point.y, message.point.z = float(xy[0]), float(xy[1]), float(z)
    return message


def run_twin(
    config: TwinConfig,
    *,
    seconds: float = np.inf,
    faults: list[str] | None = None,
    path: Path | None = None,
    watch: Callable[[Twin], Callable[[], None]] | None = None,
    ros_arguments: list[str] | None = None,
) -> dict[str, float]:
    """Runs a twin in real time until the time is over, or the process is asked to stop.

    Args:
        config: which twin.
        seconds: how long [s].
        faults: those it begins with.
        path: how the ball's target moves.
        watch: makes of the twin what is called after each cycle.
        ros_arguments: command-line arguments of ROS.

    Returns:
        ``TwinNode.figures`` at the end.

    Raises:
        SettingsError: robot, gap, pose or a fault are unknown.
    """
    twin = Twin(config, path)
    init(args=ros_arguments or [], signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = TwinNode(twin, faults)
        where = os.environ.get("ROS_DOMAIN_ID", "0")
        node.node.get_logger().info(
            f"{config.robot}, seed {config.seed}, gap {config.gap}, domain {where}"
        )
        try:
            node.run(seconds, watch(twin) if watch is not None else lambda: None)
            return node.figures()
        finally:
            node.close()
    finally:
        try_shutdown()
