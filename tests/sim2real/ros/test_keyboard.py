import os
import pty
import sys

import pytest

from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.deploy.states import Event
from legged_skills.sim2real.ros.keyboard import EVENTS, Keys, Velocity


def _pressed(keys: str) -> tuple[float, float, float]:
    velocity = Velocity((0.6, 0.3, 1.2))
    for key in keys:
        velocity.press(key)
    return velocity.values


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        ("", (0.0, 0.0, 0.0)),
        ("w", (0.1, 0.0, 0.0)),
        ("wwws", (0.2, 0.0, 0.0)),
        ("ss", (-0.2, 0.0, 0.0)),
        ("qa", (0.0, 0.05, 0.2)),
        ("ed", (0.0, -0.05, -0.2)),
        ("wwwwwwwwww", (0.6, 0.0, 0.0)),
        ("wqa ", (0.0, 0.0, 0.0)),
        ("wg", (0.1, 0.0, 0.0)),
        ("wx", (0.0, 0.0, 0.0)),
        ("wz?", (0.1, 0.0, 0.0)),
    ],
)
def test_what_keys_command(keys, values):
    assert _pressed(keys) == pytest.approx(values)


def test_every_request_of_an_operator_has_a_key():
    assert set(EVENTS.values()) == {Event.PREPARE, Event.ENABLE, Event.STOP, Event.RESET}


def test_speeds_that_are_none():
    with pytest.raises(SettingsError, match="max_speed is"):
        Velocity((0.6, 0.0, 1.0))


def test_keys_of_a_terminal(monkeypatch):
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r") as terminal, os.fdopen(ours, "wb", buffering=0) as typist:
        monkeypatch.setattr(sys, "stdin", terminal)
        with Keys() as keys:
            assert keys.read() == ""
            typist.write(b"wp")
            assert keys.read() == "wp"
            typist.write(b"\x1b[A")
            assert keys.waiting
            assert keys.read() == "" and not keys.waiting
            # What is pressed beside an arrow or a function key is not lost.
            typist.write(b"\x1b[Ax\x1bOP\x1b[15~Q\x1bx")
            assert keys.read() == "xQx"


def test_without_a_terminal_there_are_no_keys(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    with (tmp_path / "file").open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        with pytest.raises(SettingsError, match="no terminal"), Keys():
            pass
