"""The bridge between a policy and a robot: a ROS 2 lifecycle node; needs rclpy.

Configuring loads and checks the policy; activating starts the control loop, and moves nothing. What
moves the robot is asked for by the services ``~/prepare``, ``~/enable``, ``~/stop``, ``~/reset``.
"""

import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import ParameterDescriptor
from rclpy._rclpy_pybind11 import RCLError
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.task import Future
from std_msgs.msg import String
from std_srvs.srv import Trigger

from legged_skills import robots
from legged_skills.robots.errors import LeggedSkillsError, SettingsError
from legged_skills.robots.files import write_text
from legged_skills.sim2real.bundle import Bundle
from legged_skills.sim2real.deploy.config import DeployConfig, config_of
from legged_skills.sim2real.deploy.controller import Controller, Output, Reply
from legged_skills.sim2real.deploy.guards import Code, Fault
from legged_skills.sim2real.deploy.log import DeploymentLog
from legged_skills.sim2real.deploy.loop import ControlLoop
from legged_skills.sim2real.deploy.parameters import replaced
from legged_skills.sim2real.deploy.snapshot import CommandSnapshot, SensorSnapshot
from legged_skills.sim2real.deploy.states import GUARDED, OPERATOR_EVENTS, Event, State, after
from legged_skills.sim2real.ros import drivers
from legged_skills.sim2real.ros.bridge_config import BridgeConfig, bridge_config_of
from legged_skills.sim2real.ros.listeners import Listeners
from legged_skills.sim2real.ros.node_parameters import declare, require_known
from legged_skills.sim2real.ros.report import Report
from legged_skills.sim2real.ros.topics import BRIDGE_NODE, DIAGNOSTICS

STATE = "~/state"
"""std_msgs/String, transient local: the state."""
NOTICE = "~/notice"
"""std_msgs/String, transient local: why the state changed without being asked, one sentence."""
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_HUNG_S = 1.0
"""A control loop that has been silent for so long, and for max_late_s, hangs."""
_NO_LOG = ("", "none")
_SUCCESS, _FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


@contextmanager
def _unless_hung(lock: threading.Lock) -> Iterator[bool]:
    """Holds a lock, unless a step that hangs does; whether it is held."""
    held = lock.acquire(timeout=_HUNG_S)
    try:
        yield held
    finally:
        if held:
            lock.release()


class _Parts:
    """All that is made by configuring and ended by cleaning up."""

    def __init__(self, node: "BridgeNode", deploy: DeployConfig, config: BridgeConfig) -> None:
        spec = robots.get(deploy.robot)
        if not config.bundle:
            raise SettingsError("the parameter bundle is empty, expected the path of a bundle.")
        self.bundle = Bundle.load(config.bundle, spec)
        self.controller = Controller(self.bundle, deploy)
        # Between requests, which come in the executor's thread, and steps.
        self.deciding = threading.Lock()
        self.sensors = SensorSnapshot(spec.num_joints)
        self.command = CommandSnapshot(len(self.bundle.header.command))
        self.listeners = Listeners(node, self.bundle, config)
        self.driver = drivers.make(node, spec, config)
        self.log = None
        if config.log not in _NO_LOG:
            self.log = DeploymentLog(config.log, self.bundle, deploy, dry_run=config.dry_run)
        self.loop = ControlLoop(
            spec.control_period_s, node.step, config.sensor_period_s, age=self.driver.age_s
        )
        attitude = self.controller.watch.attitude
        self.report = Report(node, self.bundle, self.driver, self.loop.timing, attitude)
        # Why a fault was told while a step hung, which does not know of it.
        self.overtaken = ""

    def close(self) -> None:
        self.listeners.close()
        self.driver.close()
        if self.log is not None:
            self.log.close()


class BridgeNode(LifecycleNode):
    """Policy, guards and driver of one robot.

    Attributes:
        deploy: settings of the controller.
        config: settings of the bridge.
        output: of the last control step, or None.
    """

    def __init__(
        self, robot: str = "anymal_c", forced: Sequence[Parameter] = (), **overrides: Any
    ) -> None:
        """Declares the parameters; rclpy must have been started.

        Args:
            robot: default of the parameter "robot", which decides on all other defaults.
            forced: parameters that hold whatever the process was told.
            overrides: defaults of other parameters.

        Raises:
            SettingsError: a parameter's value is not usable.
        """
        super().__init__(BRIDGE_NODE, parameter_overrides=list(forced))
        about = ParameterDescriptor(
            description="Name of the robot.",
            additional_constraints="One of: " + ", ".join(robots.names()) + ".",
            read_only=True,
        )
        try:
            robot = str(self.declare_parameter("robot", robot, about).value)
        except InvalidParameterTypeException as error:
            raise SettingsError(f"robot: {error}") from error
        deploy, config = config_of(robot), bridge_config_of(robot)
        known = {"deploy": {}, "bridge": {}}
        for name, value in overrides.items():
            known["deploy" if hasattr(deploy, name) else "bridge"][name] = value
        self.deploy = declare(self, replaced(deploy, known["deploy"]), ["robot"])
        self.config = declare(self, replaced(config, known["bridge"]))
        require_known(self)
        if self.config.dry_run:
            # Joints that nobody moves do not follow.
            self.deploy = replaced(
                self.deploy,
                {"following_error_rad": 3.0, "following_s": 10.0, "frozen_s": 10.0},
            )
        self.output: Output | None = None
        self._parts: _Parts | None = None
        self._told: tuple[State, str] | None = None
        self._damped = False
        self._waiting: list[tuple[int, Future]] = []
        # So many times whatever had been asked for, and was not done yet, was called off.
        self._called_off = 0
        self._failure = ""
        self._noted = ""
        # The fault that was latched when the node was cleaned up.
        self._unreset = ""
        for service in self.services:
            if service.service_name.endswith("/change_state"):
                service.callback = self._change(service.callback)
        self._state = self.create_publisher(String, STATE, _LATCHED)
        self._notice = self.create_publisher(String, NOTICE, _LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, DIAGNOSTICS, 10)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(0.1, self._refresh, clock=steady)
        self.create_timer(1.0, self._diagnose, clock=steady)
        for event in OPERATOR_EVENTS:
            # Each in a group of its own: one that waits must not keep the timers from running.
            self.create_service(
                Trigger,
                f"~/{event.value}",
                self._service(event),
                callback_group=MutuallyExclusiveCallbackGroup(),
            )

    def _change(self, change: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """Refuses what the present state has no transition for, where rclpy raises an error."""

        def answer(request: Any, response: Any) -> Any:
            try:
                return change(request, response)
            except RCLError:
                asked = request.transition.label or request.transition.id
                self.get_logger().error(f"no transition {asked} from the present state.")
                response.success = False
                return response

        return answer

    @property
    def active(self) -> bool:
        """Whether the control loop runs, and shall."""
        parts = self._parts
        return parts is not None and parts.loop.running and not parts.loop.ending

    @property
    def at_rest(self) -> bool:
        """Whether nothing moves: after a fault the last target may still be sent."""
        return self.output is None or self.output.state not in GUARDED

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Loads the policy; refuses a wrong one with a sentence."""
        try:
            self._parts = _Parts(self, self.deploy, self.config)
        except LeggedSkillsError as error:
            self.get_logger().error(f"not configured: {error}")
            return _FAILURE
        except Exception as error:
            # rclpy would swallow it.
            self.get_logger().fatal(f"not configured: {type(error).__name__}: {error}")
            return _FAILURE
        bundle, config = self._parts.bundle, self.config
        if self._unreset:
            # A fault wants a reset, whoever configures the node meanwhile.
            self._parts.controller.fail(self._unreset)
        self._parts.driver.on_button = lambda name: self._button(name)
        self.get_logger().info(
            f"{bundle.robot} {bundle.task}, {bundle.name} ({bundle.sha256[:16]}), "
            f"driver {config.driver}, targets on {self._parts.driver.command_topic}"
            + (", dry run" if config.dry_run else "")
        )
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Starts the control loop, idle; nothing moves."""
        assert self._parts is not None
        self._told, self.output, self._failure = None, None, ""
        self._parts.overtaken = ""
        self._release(self._parts)
        self._parts.driver.mute(False)
        self._parts.loop.start()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Ends the control loop, unless the robot is still in its hands."""
        if not self.at_rest:
            assert self.output is not None
            self.get_logger().error(
                f"not deactivated in the state {self.output.state.value}: stop first."
            )
            return _FAILURE
        if self._parts is not None:
            if not self._end_loop(self._parts):
                self.get_logger().error("not deactivated: the control loop hangs.")
                return _FAILURE
            self._release(self._parts)
        return super().on_deactivate(state)

    def _end_loop(self, parts: _Parts) -> bool:
        """Ends the control loop; whether it has. What a step that hangs does later is not sent."""
        self._call_off(parts)
        if parts.loop.stop():
            return True
        parts.driver.mute()
        self.get_logger().fatal("the control loop hangs, and does not end: nothing is sent.")
        return False

    def _call_off(self, parts: _Parts) -> None:
        """Whatever has been asked for, and is not done yet, shall not be done."""
        self._called_off += 1
        parts.driver.call_off()

    def _release(self, parts: _Parts) -> None:
        """Between two runs of the control loop nothing is sent, and nothing left to be done."""
        parts.controller.release()
        if self.output is not None:
            self.output = dataclasses.replace(
                self.output, state=parts.controller.state, publish=False
            )
        self._tell(parts.controller.state, parts.controller.notice)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forgets the policy, and writes what is left of the log."""
        self._close_parts()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Ends everything at once, see ``close``."""
        self._close_parts()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Ends everything at once, see ``close``."""
        self.get_logger().fatal("a transition failed: all is ended.")
        self._close_parts()
        return _SUCCESS

    def close(self) -> None:
        """Ends everything at once, and the node.

        A robot that still moves holds the last target then, with the force of its drives, or lets
        go if it shall after a fault, and the driver can.
        """
        self._close_parts()
        self.destroy_node()

    def _close_parts(self) -> None:
        parts, self._parts = self._parts, None
        if parts is None:
            return
        ended = self._end_loop(parts)
        if not self.at_rest and self.output is not None and not self.config.dry_run:
            damped = self.deploy.fault_behaviour == "damp" and parts.driver.damp()
            self.get_logger().fatal(
                f"ended in the state {self.output.state.value}: the drives "
                + ("were told to let go." if damped else "hold the last target.")
            )
        if ended:
            self._release(parts)
        controller = parts.controller
        self._unreset = controller.notice if controller.state is State.FAULT else ""
        parts.close()
        self.output = None
        if parts.log is not None and parts.log.error:
            self.get_logger().error(parts.log.error)
        if self.config.figures:
            try:
                text = json.dumps(parts.loop.timing.figures(), indent=2)
                write_text(self.config.figures, text)
            except LeggedSkillsError as error:
                self.get_logger().error(str(error))

    def step(self, now_s: float) -> float | None:
        """One control step, in the control loop's thread; what fails in it is a fault."""
        parts = self._parts
        if parts is None:
            return None
        try:
            return self._step(parts, now_s)
        except Exception as error:
            if not parts.loop.ending:
                self._fail(parts, f"the program failed ({error!r}).")
            return None

    def _step(self, parts: _Parts, now_s: float) -> float | None:
        sensors, command = parts.sensors, parts.command
        parts.driver.take(sensors)
        parts.listeners.read(now_s, command)
        heard_s = float(sensors.joint_time_s.max())
        with parts.deciding:
            self._catch_up(parts)
            before = parts.controller.joint_targets.copy()
            output = parts.controller.tick(now_s, sensors, command)
            late = self._catch_up(parts)
            if late is not None:
                # What it decided is of another time.
                parts.controller.joint_targets[:], output = before, late
            # Nobody may be waiting for a step any more that comes when the loop shall end.
            wanted = not parts.loop.ending
            if wanted:
                self.output = output
        if wanted:
            self._carry_out(parts, output, heard_s)
        if parts.log is not None:
            parts.log.record(now_s, sensors, command, output, time.monotonic() - now_s)
        age_s = now_s - heard_s
        return age_s if age_s < 1.0 else None

    def _catch_up(self, parts: _Parts) -> Output | None:
        """Makes the fault that was told while a step hung the controller's.

        Returns:
            What is decided then; None if there was none, or the robot was at rest.
        """
        sentence, parts.overtaken = parts.overtaken, ""
        if sentence and not parts.loop.ending:
            parts.driver.mute(False)
        moves = parts.controller.state in GUARDED
        return parts.controller.fail(sentence) if sentence and moves else None

    def _carry_out(self, parts: _Parts, output: Output, heard_s: float) -> None:
        """Does what a step has decided; its newest sensor values came at ``heard_s`` [s]."""
        if output.publish and not self.config.dry_run:
            parts.driver.publish(output.joint_targets)
            parts.loop.timing.latency(time.monotonic() - heard_s)
            if parts.loop.ending:
                # Others may have told more since.
                return
        self._damp(parts, output)
        self._tell(output.state, parts.controller.notice)
        parts.report.count(output)

    def _fail(self, parts: _Parts, sentence: str) -> None:
        """Makes a fault of what has failed outside of the controller; once of the same."""
        with _unless_hung(parts.deciding) as may:
            if may:
                self.output = output = parts.controller.fail(sentence)
        if may:
            self._damp(parts, output)
            self._tell(output.state, parts.controller.notice)
        # Otherwise ``_watch_loop`` makes a fault of the step that hangs, and must not wait for it.
        if sentence != self._failure:
            self._failure = sentence
            self.get_logger().fatal(sentence)

    def _damp(self, parts: _Parts, output: Output) -> None:
        """Lets the drives go, once."""
        begins, self._damped = output.damp and not self._damped, output.damp
        if begins and not self.config.dry_run and not parts.driver.damp():
            self.get_logger().fatal("the drives could not be told to let go.")

    def _tell(self, state: State, notice: str) -> None:
        """Publishes state and notice if they are others than before."""
        if self._told == (state, notice):
            return
        before, self._told = self._told, (state, notice)
        # Who hears of a state hears the reason next.
        if before is None or before[0] is not state:
            self._state.publish(String(data=state.value))
        self._notice.publish(String(data=notice))

    def request(self, event: Event) -> Reply:
        """Asks for something; see ``Controller.request``."""
        parts = self._parts
        if parts is not None and event is Event.STOP:
            # It also holds for what somebody else waits for.
            self._call_off(parts)
        if parts is None or not self.active or self.output is None:
            return Reply(False, f"{event.value} is refused: the bridge is not active.")
        with _unless_hung(parts.deciding) as may:
            if not may:
                return Reply(False, f"{event.value} is refused: the control loop hangs.")
            reply = parts.controller.request(event)
        if reply.accepted and event is Event.ENABLE:
            parts.listeners.forget_joystick()
        # Two calls: rclpy refuses a call whose severity changes from one time to the next.
        if reply.accepted:
            self.get_logger().info(reply.sentence)
            if event is Event.PREPARE:
                self._warn_of_damping(parts)
        else:
            self.get_logger().warning(reply.sentence)
        return reply

    def _warn_of_damping(self, parts: _Parts) -> None:
        """Who hears a driver is known when the robot is to move, and not when it is configured."""
        wanted = self.deploy.fault_behaviour == "damp" and not self.config.dry_run
        if wanted and not parts.driver.damp_possible():
            self.get_logger().warning(
                "the drives cannot be told to let go: after a fault nothing is sent."
            )

    def _service(self, event: Event) -> Any:
        async def answer(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            reason = await self._make_ready(event)
            if reason:
                reply = Reply(False, f"{event.value} is refused: {reason}")
            else:
                reply = self.request(event)
            response.success, response.message = reply.accepted, reply.sentence
            return response

        return answer

    async def _make_ready(self, event: Event) -> str:
        """Does what must be done before a robot is moved; why that is not to be, or empty."""
        if event not in (Event.PREPARE, Event.ENABLE) or not self._may(event):
            return ""
        # A request reaches all bridges, also one that is thought to be gone, beside a dry run.
        if self.count_publishers(self._state.topic_name) > 1:
            return f"another {self.get_name()} is there, which would hear it, too."
        return await self._acquire() if event is Event.PREPARE else ""

    async def _acquire(self) -> str:
        """Takes charge of the joints; why that is not to be, or empty.

        Only of a robot that nothing else is wrong with: to be given joints may move them.
        """
        parts, called_off = self._parts, self._called_off
        if parts is None:
            return ""
        reason = parts.controller.objection(Event.PREPARE, (Code.OTHER_OWNER,))
        if reason:
            return reason
        reason = await parts.driver.acquire()
        await self._next_step()
        if not reason and called_off != self._called_off:
            return "it was called off meanwhile."
        return reason

    def _may(self, event: Event) -> bool:
        return (
            self.active and self.output is not None and after(self.output.state, event) is not None
        )

    async def _next_step(self) -> None:
        """Waits until a step has seen what has changed just now."""
        if self._parts is None:
            return
        waiting = Future(executor=self.executor)
        self._waiting.append((self._parts.loop.timing.steps + 2, waiting))
        await waiting

    def _button(self, name: str) -> None:
        self.get_logger().warning(f"the button {name} asks to stop.")
        self.request(Event.STOP)

    def _refresh(self) -> None:
        parts = self._parts
        steps = None if parts is None else parts.loop.timing.steps
        for entry in list(self._waiting):
            if steps is None or not self.active or steps >= entry[0]:
                self._waiting.remove(entry)
                entry[1].set_result(None)
        if parts is None:
            return
        try:
            parts.driver.refresh()
        except Exception as error:
            self._fail(parts, f"the driver failed ({error!r}).")
        self._watch_loop(parts)
        self._report_notice(parts)

    def _report_notice(self, parts: _Parts) -> None:
        """Logs why the state is what it is, once."""
        output, notice = self.output, parts.controller.notice
        if output is None or notice == self._noted:
            return
        if not notice and output.state is State.FAULT:
            # Told while a step hangs, which does not know of it yet.
            return
        self._noted = notice
        if not notice or notice == self._failure:
            return
        if output.state is State.FAULT:
            self.get_logger().error(f"{output.state.value}: {notice}")
        else:
            self.get_logger().warning(notice)

    def _watch_loop(self, parts: _Parts) -> None:
        """Tells of a control loop that is dead or hangs, which cannot tell itself."""
        sentence = parts.loop.trouble(max(_HUNG_S, 2.0 * self.deploy.max_late_s))
        output = self.output
        if not sentence or output is None or output.state is State.FAULT:
            return
        if self.active and self.at_rest:
            # Late is no fault of a robot that rests; a loop that comes back says so.
            return
        # Not by the controller, which may be in the hands of the thread that hangs; if that comes
        # back, it is told, and what it wanted to send is not sent.
        parts.overtaken = self._noted = sentence
        parts.driver.mute()
        fault = Fault(Code.LATE_LOOP, sentence)
        damp = output.publish and self.deploy.fault_behaviour == "damp"
        self.output = output = dataclasses.replace(
            output, state=State.FAULT, publish=False, damp=damp, faults=(fault,)
        )
        self._damp(parts, output)
        self._tell(State.FAULT, sentence)
        self.get_logger().fatal(sentence)

    def _diagnose(self) -> None:
        parts = self._parts
        if parts is None:
            return
        extra = parts.listeners.values()
        if parts.log is not None:
            log = parts.log
            extra |= {"log": str(log.path), "log_error": log.error, "log_lost": str(log.lost)}
        output = self.output
        if output is not None and self.config.dry_run:
            output = dataclasses.replace(output, publish=False)
        self._diagnostics.publish(parts.report.message(output, parts.sensors, parts.command, extra))
