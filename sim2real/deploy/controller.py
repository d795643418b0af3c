"""What decides, once each control period, which joint targets a robot gets: states, ramps, policy.

It knows neither ROS nor a clock: everything comes in by ``tick`` and ``request``, from one thread
at a time. J is the number of joints, C the size of the command.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from legged_skills import robots
from legged_skills.sim2real.bundle import Bundle
from legged_skills.sim2real.bundle_header import VELOCITY
from legged_skills.sim2real.deploy import guards
from legged_skills.sim2real.deploy.config import DeployConfig
from legged_skills.sim2real.deploy.guards import SILENCING, Code, Fault
from legged_skills.sim2real.deploy.motion import Ramp, limited, smooth
from legged_skills.sim2real.deploy.snapshot import NEVER, CommandSnapshot, SensorSnapshot
from legged_skills.sim2real.deploy.states import (
    GUARDED,
    OPERATOR_EVENTS,
    TRANSITIONS,
    Event,
    State,
    after,
    refusal,
)
from legged_skills.sim2real.deploy.watch import Watch, merged
from legged_skills.sim2real.runtime import Runtime

RESET_AFTER_S = 0.5
"""A fault can be reset when its cause has been gone for so long [s]."""
_NOT_FOR_IDLE = (Code.OTHER_OWNER,)
"""To be rid of these is what ``prepare`` does, from IDLE; so that they do not keep a fault."""
_BLINDING = (
    Code.STALE_JOINTS,
    Code.NOT_FINITE,
    Code.UNUSABLE_MESSAGE,
    Code.FROZEN_SENSORS,
    Code.JOINT_RANGE,
    Code.JOINT_SPEED,
)
"""After these it is not known where the joints are."""
_AWAY_RAD = 1.0
"""A joint with power is nearer to its target: that is more than its drive's torque takes [rad]."""
_SLACK = 1.0 + 1e-9
"""Ramps are as fast as they may be, but for rounding."""


@dataclass(frozen=True)
class Reply:
    """The answer to a request."""

    accepted: bool
    """Whether it will be done."""
    sentence: str
    """What will be done, or why not."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Output:
    """What a step decided."""

    state: State
    """The state that it ended in."""
    events: tuple[Event, ...]
    """What had been requested, and accepted, since the step before."""
    joint_targets: np.ndarray
    """(J,) finite, within the usable ranges [rad]; the controller's own array, which the next step
    overwrites. Only meant for the robot if ``publish``."""
    publish: bool
    """Whether the robot gets the targets."""
    damp: bool
    """Whether the drives shall let go."""
    faults: tuple[Fault, ...]
    """In FAULT what led there and what came on top; otherwise what refuses to start."""
    warnings: tuple[Fault, ...]
    """What stops nothing."""
    limited: bool
    """Whether the policy asked for more than the robot gets."""
    commanded: bool
    """Whether a command is in force; if not, the robot is commanded to stand."""


class Controller:
    """One robot's states, and the policy that moves it in one of them.

    Attributes:
        bundle: the policy.
        spec: the robot.
        config: settings.
        state: the state.
        watch: the guards.
        runtime: what runs the policy.
        joint_targets: (J,) the targets of the last step [rad].
        notice: one sentence about the last change of state that nobody asked for; empty if none.
    """

    def __init__(self, bundle: Bundle, config: DeployConfig) -> None:
        """Idle. The policy is run once, so that its first step is not a slow one.

        Args:
            bundle: the policy.
            config: settings.

        Raises:
            ContractError: the policy is for another robot, or for another version of it, or wants
                to be told what the robot does not measure.
        """
        self.bundle, self.config = bundle, config
        self.spec = robots.get(config.robot)
        bundle.require(self.spec)
        available = ["gravity", "angular_velocity", "joint_pos", "last_action"]
        bundle.require_signals(available + ["joint_vel"] * self.spec.measures_joint_velocity)
        self.state = State.IDLE
        self.runtime = Runtime(bundle)
        self.runtime.step()
        header = bundle.header
        self._lower, self._upper = header.joint_lower, header.joint_upper
        self._low = np.array([component.low for component in header.command])
        self._high = np.array([component.high for component in header.command])
        self._rest = np.zeros(len(header.command)) if header.rest is None else np.array(header.rest)
        self._default = self.spec.default_joint_pos
        self._period_s = self.spec.control_period_s
        self.watch = Watch(self.spec, config, (self._lower, self._upper))
        self.joint_targets = self._default.copy()
        self.notice = ""
        self._held = False
        # In a fault: how long joints have been far from their targets, and whose target follows.
        self._away_s = np.zeros(self.spec.num_joints)
        self._given_up = np.zeros(self.spec.num_joints, dtype=bool)
        self._faults: tuple[Fault, ...] = ()
        self._found: tuple[Fault, ...] = ()
        self._pending: set[Event] = set()
        self._limited_steps = 0
        self._ramp: Ramp | None = None
        self._policy_rests = self._at_rest = False
        self._policy_s = 0.0
        self._blend_from = self._default.copy()
        self._elapsed_s = 0.0
        self._command_age_s = np.inf
        # When the last step was, and when one found something last.
        self._now_s = self._found_s = NEVER

    @property
    def needs_target(self) -> bool:
        """Whether the policy cannot do without what it is told to go for."""
        return self.bundle.header.command_name != VELOCITY

    def request(self, event: Event) -> Reply:
        """Asks for something, to be done in the next step.

        Args:
            event: one of ``OPERATOR_EVENTS``.

        Returns:
            Whether it will be done, with a sentence.
        """
        if event not in OPERATOR_EVENTS:
            return Reply(False, f"{event.value} is not for operators.")
        if after(self.state, event) is None:
            return Reply(False, refusal(self.state, event))
        reason = self.objection(event)
        if reason:
            return Reply(False, f"{event.value} is refused: {reason}")
        self._pending.add(event)
        return Reply(True, f"{event.value} is accepted in the state {self.state.value}.")

    def fail(self, sentence: str) -> Output:
        """Makes a fault of what went wrong outside of ``tick``.

        Args:
            sentence: what went wrong.

        Returns:
            What is decided now, which is what the next step goes on from.
        """
        self._found = merged(self._found, [Fault(Code.INTERNAL, sentence)])
        self._fail()
        return self._decided()

    def release(self) -> None:
        """Gives up the robot: nothing is sent, nor done later, that was asked for until now.

        To be called when steps end and before they begin again, since meanwhile the robot may have
        been moved. What is not at rest then becomes a fault, and a fault stays one.
        """
        self._pending.clear()
        if self.state in GUARDED:
            self.fail(f"the control loop ended in the state {self.state.value}.")
        self._held = False

    def tick(self, now_s: float, sensors: SensorSnapshot, command: CommandSnapshot) -> Output:
        """One control step.

        Args:
            now_s: time on the steady clock, later than that of the step before [s].
            sensors: what was heard.
            command: what the policy shall do.

        Returns:
            What was decided.
        """
        warnings: tuple[Fault, ...] = ()
        was_limited = commanded = False
        # In an order of their own, not that of the requests; who stops wants nothing else.
        pending = {Event.STOP} if Event.STOP in self._pending else self._pending
        events = tuple(event for event in OPERATOR_EVENTS if event in pending)
        self._pending.clear()
        try:
            targets = self.joint_targets if self._held else None
            found, warned = self.watch.step(now_s, sensors, self.state, targets)
            self._found, warnings = tuple(found), tuple(warned)
            self._now_s = now_s
            if any(fault.code not in _NOT_FOR_IDLE for fault in found):
                self._found_s = now_s
            self._command_age_s = now_s - command.time_s
            self._react(events, sensors)
            commanded = self._take_command(command)
            was_limited = self._move(sensors)
        except Exception as error:
            # Whatever it is, the robot must not go on by itself.
            sentence = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            self.fail(f"the program failed ({sentence}).")
        return self._decided(events, warnings, limited=was_limited, commanded=commanded)

    def _decided(
        self,
        events: tuple[Event, ...] = (),
        warnings: tuple[Fault, ...] = (),
        *,
        limited: bool = False,
        commanded: bool = False,
    ) -> Output:
        """What follows from the state."""
        silent = any(fault.code in SILENCING for fault in self._faults)
        in_force = self._held and not silent
        damp = in_force and self.state is State.FAULT and self.config.fault_behaviour == "damp"
        return Output(
            state=self.state,
            events=events,
            joint_targets=self.joint_targets,
            publish=in_force and not damp,
            damp=damp,
            faults=self._faults if self.state is State.FAULT else self._found,
            warnings=warnings,
            limited=limited,
            commanded=commanded,
        )

    def objection(self, event: Event, ignored: Collection[Code] = ()) -> str:
        """Why an event must not be now, as the last step found it; empty if it may.

        Args:
            event: one of ``OPERATOR_EVENTS``.
            ignored: faults that shall not count.
        """
        if event is Event.STOP:
            return ""
        if event is Event.RESET:
            ignored = _NOT_FOR_IDLE
        for fault in self._found:
            if fault.code not in ignored:
                return fault.sentence
        gone_s = self._now_s - self._found_s
        if event is Event.RESET and gone_s < RESET_AFTER_S - 1e-6:
            return f"the cause has been gone for {gone_s:.2f} s, expected {RESET_AFTER_S:g} s."
        if event is Event.ENABLE and not self._target_known():
            return "there is no ball or no target."
        return ""

    def _target_known(self) -> bool:
        return not self.needs_target or self._command_age_s <= self.config.target_timeout_s

    def _react(self, events: tuple[Event, ...], sensors: SensorSnapshot) -> None:
        """Changes the state as guards, operators and the missing of a target ask for."""
        if self.state is State.FAULT:
            self._faults = merged(self._faults, self._found)
        elif self.state in GUARDED and self._found:
            self._fail()
            return
        for event in events:
            state, reason = after(self.state, event), self.objection(event)
            if state is not None and not reason:
                self._enter(state, sensors)
            elif reason:
                # It had been accepted a moment ago.
                self.notice = f"{event.value} was not done: {reason}"
        if self.state is State.POLICY and not self._target_known():
            self.notice = "there is no ball or no target any more."
            self._enter(TRANSITIONS[State.POLICY, Event.STOP], sensors)

    def _fail(self) -> None:
        self._found_s = self._now_s
        self._faults = merged(self._faults, self._found)
        self.state = State.FAULT
        self.notice = self._faults[0].sentence

    def _enter(self, state: State, sensors: SensorSnapshot) -> None:
        """Begins a state."""
        before, self.state = self.state, state
        if before is state:
            return
        self._elapsed_s = 0.0
        self._away_s[:], self._given_up[:] = 0.0, False
        if state is State.RAMP:
            # From where the joints are, not from where they were last told to be.
            self.joint_targets[:] = np.clip(sensors.joint_pos, self._lower, self._upper)
            self._ramp = self._ramp_to_default(self.config.ramp_min_s)
            self._held = True
            self.notice = ""
        elif state is State.POLICY:
            self.runtime.reset()
            self._blend_from[:] = self.joint_targets
            self._limited_steps, self._policy_s = 0, 0.0
        elif state is State.STOPPING:
            self._ramp = None
            can_rest = self.bundle.header.rest is not None
            self._policy_rests = before is State.POLICY and can_rest
            self._at_rest = before is not State.POLICY
        elif state is State.IDLE:
            self._held = False
            self._faults = ()

    def _ramp_to_default(self, min_s: float) -> Ramp:
        speed = self.config.ramp_speed_radps
        return Ramp(self.joint_targets, self._default, speed, min_s, self._period_s)

    def _move(self, sensors: SensorSnapshot) -> bool:
        """New targets, if the state has some; whether the policy asked for more than that."""
        self._elapsed_s += self._period_s
        if self.state is State.RAMP and self._ramp is not None:
            self._follow(self._ramp)
            off = np.abs(sensors.joint_pos - self.joint_targets)
            if self._ramp.done and (off <= self.config.following_error_rad).all():
                self._enter(TRANSITIONS[self.state, Event.RAMPED], sensors)
        elif self.state is State.POLICY:
            return self._step_policy(sensors)
        elif self.state is State.STOPPING:
            return self._come_to_rest(sensors)
        elif self.state is State.FAULT and self._held:
            self._wait_where_joints_are(sensors)
        return False

    def _wait_where_joints_are(self, sensors: SensorSnapshot) -> None:
        """A joint without power is far from what it holds: power that comes back must not throw it.

        The target goes to where the joint is, no faster than ramps, if the sensors can be believed.
        """
        blind = any(fault.code in _BLINDING for fault in self._faults)
        if blind or not np.isfinite(sensors.joint_pos).all():
            return
        away = np.abs(sensors.joint_pos - self.joint_targets) > _AWAY_RAD
        self._away_s = np.where(away, self._away_s + self._period_s, 0.0)
        self._given_up |= self._away_s > self.config.following_s
        if self._given_up.any():
            goal = np.where(self._given_up, sensors.joint_pos, self.joint_targets)
            self._send(goal, self.config.ramp_speed_radps)

    def _come_to_rest(self, sensors: SensorSnapshot) -> bool:
        """First the policy stands, if it can; then the default pose; others stay where they are."""
        if self._policy_rests and self._elapsed_s <= self.config.settle_s:
            return self._step_policy(sensors)
        # The last target has been sent, and the state seen for at least a step.
        if self._at_rest and self._elapsed_s > 1.5 * self._period_s:
            self._enter(TRANSITIONS[self.state, Event.STOPPED], sensors)
        elif not self._at_rest:
            if self._ramp is None:
                self._ramp = self._ramp_to_default(self.config.ramp_min_s)
            self._follow(self._ramp)
            self._at_rest = self._ramp.done
        return False

    def _follow(self, ramp: Ramp) -> None:
        self._send(ramp.step(), self.config.ramp_speed_radps * _SLACK)

    def _take_command(self, command: CommandSnapshot) -> bool:
        """Puts the command into the runtime; without one, or at the end, the robot shall stand."""
        config, values = self.config, self.runtime.command[0]
        timeout_s = config.target_timeout_s if self.needs_target else config.command_timeout_s
        in_force = (
            self.state is State.POLICY
            and self._command_age_s <= timeout_s
            and bool(np.isfinite(command.values).all())
        )
        values[:] = np.clip(command.values, self._low, self._high) if in_force else self._rest
        return in_force

    def _step_policy(self, sensors: SensorSnapshot) -> bool:
        """The policy's targets, blended in and limited; whether they had to be limited."""
        runtime, attitude = self.runtime, self.watch.attitude
        for name, value in (
            ("gravity", attitude.gravity_b),
            ("angular_velocity", attitude.angular_velocity_b),
            ("joint_pos", sensors.joint_pos),
            ("joint_vel", sensors.joint_vel),
        ):
            if name in runtime.signals:
                runtime.signals[name][0] = value
        wanted = runtime.step()[0].astype(np.float64)
        found = guards.policy_output(self.spec.joint_names, wanted)
        if not found:
            self._policy_s += self._period_s
            share = smooth(self._policy_s / self.config.blend_in_s)
            if share < 1.0:
                wanted = self._blend_from + share * (wanted - self._blend_from)
            before = self.joint_targets.copy()
            self._send(wanted, self.config.target_speed_radps)
            # The policy's float32 limits may be a rounding beyond ours.
            was_limited = bool((np.abs(wanted - self.joint_targets) > 1e-6).any())
            if was_limited or share < 1.0:
                action = (self.joint_targets - self._default) / self.spec.action_scale
                runtime.last_action[0] = action
            self._limited_steps = self._limited_steps + 1 if was_limited else 0
            found = guards.target_steps(
                self._limited_steps, self.config.max_limited_steps, self.config.target_speed_radps
            )
            if not found:
                return was_limited
            self.joint_targets[:] = before
        self._found = (*self._found, *found)
        self._fail()
        return True

    def _send(self, wanted: np.ndarray, speed_radps: float) -> None:
        """The one way by which targets change: in range, and no faster than a speed."""
        self.joint_targets[:] = limited(
            wanted, self.joint_targets, speed_radps * self._period_s, self._lower, self._upper
        )
