"""The states of a deployment, and the only ways from one to another.

The robot moves in RAMP, POLICY and STOPPING only, and gets there only because an operator asked.
"""

from collections.abc import Mapping
from enum import Enum


class State(Enum):
    """What the controller is doing."""

    IDLE = "idle"
    """It watches and publishes nothing."""
    RAMP = "ramp"
    """It moves from the measured pose to the default pose."""
    READY = "ready"
    """It holds the default pose."""
    POLICY = "policy"
    """The policy moves the robot."""
    STOPPING = "stopping"
    """It comes to rest: first by the policy, if that can stand, then to the default pose."""
    FAULT = "fault"
    """Something was wrong: it holds the last target, or lets go, until it is reset."""


class Event(Enum):
    """What can happen to a state."""

    PREPARE = "prepare"
    """The operator asks for the default pose."""
    RAMPED = "ramped"
    """The default pose is reached."""
    ENABLE = "enable"
    """The operator gives the robot to the policy."""
    STOP = "stop"
    """The operator, or the end of what a policy needs, asks for rest."""
    STOPPED = "stopped"
    """Rest is reached."""
    RESET = "reset"
    """The operator has seen the fault."""
    FAULT = "fault"
    """A guard has found something wrong."""


OPERATOR_EVENTS = (Event.PREPARE, Event.ENABLE, Event.RESET, Event.STOP)
"""The events that a person can cause."""
MOVING = (State.RAMP, State.POLICY, State.STOPPING)
"""The states in which targets change."""
GUARDED = (State.RAMP, State.READY, State.POLICY, State.STOPPING)
"""The states that a guard's finding ends; they are those in which targets are published."""

TRANSITIONS: Mapping[tuple[State, Event], State] = {
    (State.IDLE, Event.PREPARE): State.RAMP,
    (State.RAMP, Event.RAMPED): State.READY,
    (State.READY, Event.ENABLE): State.POLICY,
    (State.RAMP, Event.STOP): State.STOPPING,
    (State.READY, Event.STOP): State.STOPPING,
    (State.POLICY, Event.STOP): State.STOPPING,
    (State.STOPPING, Event.STOPPED): State.IDLE,
    (State.FAULT, Event.RESET): State.IDLE,
    # To stop what stands still is no mistake.
    (State.IDLE, Event.STOP): State.IDLE,
    (State.STOPPING, Event.STOP): State.STOPPING,
    **{(state, Event.FAULT): State.FAULT for state in State},
}
"""Where an event leads from a state; what is not here does not happen."""


def after(state: State, event: Event) -> State | None:
    """The state that an event leads to, or None if it does nothing there."""
    return TRANSITIONS.get((state, event))


def refusal(state: State, event: Event) -> str:
    """One sentence that says why an event does nothing in a state, and where it would."""
    where = [s.value for s in State if (s, event) in TRANSITIONS]
    return f"{event.value} does nothing in the state {state.value}, only in {', '.join(where)}."
