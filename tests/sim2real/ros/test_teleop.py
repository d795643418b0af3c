"""The keyboard's program, beside a stand-in for the bridge and for the terminal."""

import errno
import sys
from typing import Any

import pytest

pytest.importorskip("rclpy")

from legged_skills.sim2real.deploy.states import Event, State
from legged_skills.sim2real.ros import teleop as module
from legged_skills.sim2real.ros.keyboard import Velocity

MOST = (0.6, 0.3, 1.2)


class Bridge:
    """What an operator sees of a bridge, and asked of it."""

    begins = State.POLICY

    def __init__(self, name: str = "") -> None:
        self.state, self.notice, self.command = self.begins, "", None
        self.asked: list[Event] = []
        self.node = self

    def create_subscription(self, *_: Any) -> None:
        """Nobody tells it anything."""

    def until(self, *_: Any) -> None:
        """No time goes by."""

    def ask(self, event: Event, *_: Any) -> Any:
        self.asked.append(event)
        return type("Answer", (), {"sentence": f"{event.value} was refused, for a reason."})

    def close(self) -> None:
        self.closed = True


class Typed:
    """Keys that are pressed one after another."""

    def __init__(self, keys: str = "") -> None:
        self.keys = keys

    def __enter__(self) -> "Typed":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self) -> str:
        key, self.keys = self.keys[:1], self.keys[1:]
        return key

    @property
    def waiting(self) -> bool:
        return bool(self.keys)


class Closed:
    """A terminal whose window was closed."""

    def write(self, _: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    flush = write


def _drive(monkeypatch: pytest.MonkeyPatch, keys: str) -> Bridge:
    bridge = Bridge()
    monkeypatch.setattr(module, "Operator", lambda name: bridge)
    monkeypatch.setattr(module, "Keys", lambda: Typed(keys))
    monkeypatch.setattr(module.rclpy, "init", lambda **_: None)
    monkeypatch.setattr(module, "try_shutdown", lambda: None)
    module.teleop(MOST)
    assert bridge.closed and bridge.command is None
    return bridge


def test_who_quits_stops_the_robot_and_reads_the_answers(monkeypatch, capsys):
    bridge = _drive(monkeypatch, "wrQ")
    assert bridge.asked == [Event.RESET, Event.STOP]
    said = capsys.readouterr().out
    # Each on a line of its own, however narrow the terminal is.
    assert "\x1b[Kreset was refused, for a reason.\n" in said
    assert "\x1b[Kstop was refused, for a reason.\n" in said


@pytest.mark.parametrize("state", [State.IDLE, State.FAULT])
def test_who_quits_calls_off_what_is_on_its_way(monkeypatch, state):
    monkeypatch.setattr(Bridge, "begins", state)
    assert _drive(monkeypatch, "pQ").asked == [Event.PREPARE, Event.STOP]


def test_a_terminal_that_is_closed_stops_the_robot(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Closed())
    assert _drive(monkeypatch, "w").asked == [Event.STOP]


def test_what_the_bridge_notices_is_said_once(capsys):
    bridge = Bridge()
    display = module.Display(bridge)  # pyright: ignore[reportArgumentType]
    for notice in ("", "it fell.", "it fell.", "", "it fell."):
        bridge.notice = notice
        display.show(Velocity(MOST))
    assert capsys.readouterr().out.count("\x1b[Kit fell.\n") == 2
