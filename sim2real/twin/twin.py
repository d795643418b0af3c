"""A digital twin: one simulated robot that takes and gives the real one's messages, without ROS.

The caller moves it on by one cycle of the robot's bus at a time, as fast as it likes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from legged_skills.robots.ball import BALLS
from legged_skills.robots.errors import SettingsError, require_seed
from legged_skills.sim2real.ball_gap import BALL_GAPS
from legged_skills.sim2real.deploy.states import State
from legged_skills.sim2real.gap import GAPS, load_gap
from legged_skills.sim2real.twin.ball import Path, Picture, TwinBall
from legged_skills.sim2real.twin.faults import Fault, Faults
from legged_skills.sim2real.twin.interface import interface
from legged_skills.sim2real.twin.messages import ImuMessage, JointMessage
from legged_skills.sim2real.twin.op3_manager import BUTTONS, MODULES, Op3Manager
from legged_skills.sim2real.twin.robot import TwinRobot, clean_gap

_NOTHING = np.zeros(0)
_BATTERY = (0.5, 1.5)
"""Voltages that a battery may be given, over the nominal one: drives are simulated so."""


@dataclass(frozen=True, kw_only=True)
class TwinConfig:
    """Which twin."""

    robot: str
    """The robot."""
    seed: int = 0
    """Of the robot that is drawn from the gap, and of all noise."""
    gap: str = "full"
    """Between simulation and robot: none, full, or a file of settings."""
    start: str | None = None
    """Pose it starts in; by default the first of the robot's."""
    ball: bool = False
    """Whether there is a ball, with a target and a camera."""
    wait: bool = True
    """The gap's pushes act, and the ball's target goes its way, only while a policy moves the robot
    (``told``): what ramps and holds a pose does not balance. A hoist carries it meanwhile, but for
    faults."""

    def __post_init__(self) -> None:
        """Checks what the command line offers.

        Raises:
            SettingsError: the seed is out of its range.
        """
        require_seed(self)


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What arrives at others in one cycle, the oldest first."""

    joints: list[JointMessage]
    """Joint states."""
    imu: list[ImuMessage]
    """IMU samples."""
    picture: Picture | None
    """Of the ball."""


class Twin:
    """One robot with its messages.

    Attributes:
        config: which twin.
        interface: what its messages are like.
        robot: the robot itself.
        manager: OP3's manager; None for a robot without one.
        ball: ball, target and camera, or None.
        faults: the faults in force.
        refused: targets that the robot would choke on: not finite, or not as many as joints.
        ignored: targets of joints that the robot has not, or that others command.
    """

    def __init__(self, config: TwinConfig, path: Path | None = None) -> None:
        """Builds the robot, standing in its start pose.

        Args:
            config: which twin.
            path: how the ball's target moves.

        Raises:
            SettingsError: robot, gap or pose are unknown.
        """
        self.config = config
        self.interface = face = interface(config.robot)
        gaps = BALL_GAPS if config.ball else GAPS
        gap = load_gap(config.gap, config.robot, gaps) or clean_gap(gaps[config.robot])
        if config.start is not None and config.start not in face.start_poses:
            raise SettingsError(
                f"start is {config.start!r}, expected one of {', '.join(face.start_poses)}."
            )
        self._start = config.start or next(iter(face.start_poses))
        ball = BALLS[config.robot] if config.ball else None
        self.robot = TwinRobot(face, gap, config.seed, ball)
        self.faults = Faults(face.cycle_s, face.spec.joint_names, config.seed)
        self._order = face.order(face.message_joints)
        self._index = {name: j for j, name in enumerate(face.spec.joint_names)}
        self._zeros = np.zeros(face.spec.num_joints)
        self._off = np.zeros(face.spec.num_joints, dtype=bool)
        self._refused = self._ignored = 0
        self.manager: Op3Manager | None = None
        self.ball: TwinBall | None = None
        self.robot.let_push(not config.wait)
        self.robot.hang(config.wait)
        self.robot.start(face.start_poses[self._start])
        if config.ball:
            self.ball = TwinBall(self.robot, config.seed, path)
            self.ball.going = not config.wait
        self._switch_on()

    def _switch_on(self) -> None:
        self._targets = self.robot.joint_pos.astype(np.float64)
        if self.config.robot == "op3":
            # What the manager's goal is after it has moved there.
            goal = self.interface.start_poses[self._start]
            self.manager = Op3Manager(self.interface, goal)
            self._targets = goal.copy()
        self._hold = True

    def reset(self) -> None:
        """Puts robot and ball back to where they started; faults stay.

        The hoist holds it, unless a policy acts.
        """
        self.robot.hang(self.config.wait and not self.robot.pushing)
        self.robot.start(self.interface.start_poses[self._start])
        if self.ball is not None:
            self.ball.start()
        self._refused, self._ignored = self.refused, self.ignored
        self._switch_on()

    @property
    def refused(self) -> int:
        """Targets so far that the robot would choke on."""
        return self._refused + (self.manager.refused if self.manager else 0)

    @property
    def ignored(self) -> int:
        """Targets so far of joints that the robot has not, or that others command."""
        return self._ignored + (self.manager.ignored if self.manager else 0)

    def command(self, names: Sequence[str], position: Sequence[float] | np.ndarray) -> None:
        """Joint targets by name [rad], as they arrive; a fault may delay or lose them."""
        message = JointMessage(
            names=tuple(names), position=np.array(position), velocity=_NOTHING, effort=_NOTHING
        )
        self.faults.command(message)

    def command_forward(self, position: Sequence[float] | np.ndarray) -> None:
        """Joint targets without names, in the configured order of the robot's controller [rad]."""
        self.command(self.interface.forward_joints, position)

    def told(self, state: State) -> None:
        """Is told the bridge's state; see ``TwinConfig.wait``. In a fault nobody helps."""
        if not self.config.wait:
            return
        acting = state is State.POLICY
        self.robot.let_push(acting)
        self.robot.hang(state not in (State.POLICY, State.FAULT))
        if self.ball is not None:
            self.ball.going = acting

    def inject(self, text: str) -> Fault | None:
        """Begins a fault, or ends some; see ``faults``.

        Raises:
            SettingsError: the text is not in the grammar, or the robot cannot have the fault.
        """
        fault = self.faults.inject(text, self._require_possible)
        if fault is not None and fault.name == "tilt":
            self.robot.tip_over(np.deg2rad(fault.number("deg")))
        elif fault is not None and self.manager is not None:
            if fault.name == "module":
                self.manager.enable_ctrl_module(str(fault.keys["name"]))
            elif fault.name == "button":
                self.manager.press(str(fault.keys["name"]))
        self._suffer()
        return fault

    def _require_possible(self, fault: Fault) -> None:
        """Raises if this robot cannot have a fault."""
        if fault.name == "battery":
            nominal, volts = self.interface.battery_v, fault.number("v")
            low, high = _BATTERY[0] * nominal, _BATTERY[1] * nominal
            if not low <= volts <= high:
                raise SettingsError(
                    f"battery: v is {volts:g} V, expected {low:g} to {high:g} V, as "
                    f"{self.config.robot} has {nominal:g} V."
                )
        elif fault.name in ("module", "button"):
            name = str(fault.keys["name"])
            known = (*MODULES, "none") if fault.name == "module" else BUTTONS
            if self.manager is None:
                raise SettingsError(f"{self.config.robot} has no {fault.name}.")
            if name not in known:
                raise SettingsError(
                    f"there is no {fault.name} {name!r}, expected one of {', '.join(known)}."
                )

    def cycle(self) -> Sent:
        """Moves on by one cycle of the bus."""
        robot, faults = self.robot, self.faults
        if faults.advance(robot.time_s):
            self._suffer()
        for message in faults.commands():
            self._obey(message)
        if self.manager is not None:
            goal = self.manager.cycle(robot.time_s, robot.volts)
            self._hold |= not np.array_equal(goal, self._targets)
            self._targets[:] = goal
            robot.set_drives((self.manager.torque & ~self._off) * 1.0, self.manager.p_gain)
        if self._hold:
            robot.hold(self._targets)
            self._hold = False
        robot.cycle()
        return Sent(
            joints=faults.joints(self._joint_states()),
            imu=faults.imu(robot.imu()),
            picture=None if self.ball is None else self.ball.cycle(),
        )

    def _obey(self, message: JointMessage) -> None:
        if self.manager is not None:
            self.manager.set_joint_states(message.names, message.position.tolist())
            return
        if len(message.position) != len(message.names) or not np.isfinite(message.position).all():
            self._refused += 1
            return
        self._hold = True
        for name, angle in zip(message.names, message.position.tolist(), strict=True):
            if name in self._index:
                self._targets[self._index[name]] = angle
            else:
                self._ignored += 1

    def _suffer(self) -> None:
        """What the faults in force do to the robot."""
        force = np.zeros(3)
        for fault in self.faults.named("push"):
            angle = np.deg2rad(fault.number("deg")) + self.robot.heading_rad
            force += fault.number("n") * np.array([np.cos(angle), np.sin(angle), 0.0])
        self.robot.extra_force_w = force
        batteries = self.faults.named("battery")
        self.robot.set_battery(batteries[-1].number("v") if batteries else None)
        off = {str(fault.keys["joint"]) for fault in self.faults.named("servo_off")}
        self._off[:] = ["all" in off or name in off for name in self._index]
        if self.manager is None:
            self.robot.set_drives(~self._off * 1.0, np.ones(len(self._off)))

    def _joint_states(self) -> JointMessage:
        """In the robot's order of messages."""
        robot, order = self.robot, self._order
        tells = self.interface.tells_velocity
        return JointMessage(
            names=self.interface.message_joints,
            position=robot.joint_pos[order].astype(np.float64),
            velocity=robot.joint_vel[order].astype(np.float64) if tells else self._zeros,
            effort=robot.effort[order] if tells else self._zeros,
        )

    def goal_states(self) -> JointMessage:
        """What is being commanded, in the robot's order of messages."""
        return JointMessage(
            names=self.interface.message_joints,
            position=self._targets[self._order],
            velocity=self._zeros,
            effort=self._zeros,
        )
