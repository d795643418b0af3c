import itertools

import pytest

from legged_skills.sim2real.deploy.states import (
    GUARDED,
    MOVING,
    OPERATOR_EVENTS,
    TRANSITIONS,
    Event,
    State,
    after,
    refusal,
)

# One row for each state, one column for each event; "-" is nothing.
EVENTS = ["prepare", "ramped", "enable", "stop", "stopped", "reset", "fault"]
TABLE = {
    "idle": "ramp - - idle - - fault",
    "ramp": "- ready - stopping - - fault",
    "ready": "- - policy stopping - - fault",
    "policy": "- - - stopping - - fault",
    "stopping": "- - - stopping idle - fault",
    "fault": "- - - - - idle fault",
}
PAIRS = list(itertools.product(State, Event))


def test_table_of_the_test_is_complete():
    assert {state.value for state in State} == TABLE.keys()
    assert {event.value for event in Event} == set(EVENTS)
    assert len(PAIRS) == 42


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_every_event_in_every_state(state, event):
    wanted = dict(zip(EVENTS, TABLE[state.value].split(), strict=True))[event.value]
    found = after(state, event)
    assert (found.value if found else "-") == wanted


@pytest.mark.parametrize(("state", "event"), [p for p in PAIRS if p not in TRANSITIONS])
def test_refusals_say_where_the_event_does_something(state, event):
    sentence = refusal(state, event)
    assert sentence.startswith(f"{event.value} does nothing in the state {state.value}, only in ")
    for other in State:
        assert (f" {other.value}" in sentence.partition("only in")[2]) == (
            (other, event) in TRANSITIONS
        )


def test_motion_begins_by_an_operator_only():
    for (before, event), to in TRANSITIONS.items():
        if to in MOVING and before not in MOVING:
            assert event in OPERATOR_EVENTS, (before, event)


def test_a_fault_is_left_by_a_reset_only_and_not_into_motion():
    ways = {
        event: to
        for (before, event), to in TRANSITIONS.items()
        if before is State.FAULT and to is not State.FAULT
    }
    assert ways == {Event.RESET: State.IDLE}


def test_all_states_but_the_first_and_last_are_guarded():
    assert set(GUARDED) == set(State) - {State.IDLE, State.FAULT}
    assert set(MOVING) < set(GUARDED)
