"""What keys of a terminal mean to a robot; no rclpy here."""

import contextlib
import os
import re
import select
import sys
import termios
import tty
from dataclasses import dataclass, field

import numpy as np

from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.deploy.states import Event

HELP = (
    "w/s forward, back   a/d turn left, right   q/e sideways   space stand\n"
    "p prepare   g give it to the policy   x stop   r reset after a fault   Q or Ctrl-C quit"
)
QUIT = ("Q", "\x03", "\x04")
_STEPS = 6
# As arrows and function keys send them; what is after a bare escape is a key like others.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[A-Z])?")
_MOVES = {
    "w": (0, 1),
    "s": (0, -1),
    "q": (1, 1),
    "e": (1, -1),
    "a": (2, 1),
    "d": (2, -1),
}
EVENTS = {"p": Event.PREPARE, "g": Event.ENABLE, "x": Event.STOP, "r": Event.RESET}
"""Keys that ask the bridge for something."""


@dataclass
class Velocity:
    """What is commanded: it stays until another key is pressed."""

    most: tuple[float, float, float]
    """Greatest vx, vy [m/s] and yaw rate [rad/s]."""
    steps: np.ndarray = field(default_factory=lambda: np.zeros(3, dtype=int))
    """(3,) so many sixths of the greatest are commanded."""

    def __post_init__(self) -> None:
        """Checks the speeds.

        Raises:
            SettingsError: one is not positive.
        """
        if not all(np.isfinite(value) and value > 0.0 for value in self.most):
            raise SettingsError(f"max_speed is {self.most}, expected numbers above 0.")

    def press(self, key: str) -> bool:
        """Takes a key; whether it was one of motion."""
        if key in (" ", *(event for event in EVENTS if event != "g")):
            # Whoever asks for anything but motion wants the robot to stand when it is over.
            self.steps[:] = 0
            return key == " "
        if key not in _MOVES:
            return False
        axis, sign = _MOVES[key]
        self.steps[axis] = int(np.clip(self.steps[axis] + sign, -_STEPS, _STEPS))
        return True

    @property
    def values(self) -> tuple[float, float, float]:
        """vx, vy [m/s] and yaw rate [rad/s]."""
        vx, vy, turning = (self.steps / _STEPS * np.array(self.most)).tolist()
        return vx, vy, turning


class Keys:
    """The terminal, key by key and without echo, as long as this is entered."""

    def __enter__(self) -> "Keys":
        """Changes the terminal.

        Raises:
            SettingsError: standard input is no terminal.
        """
        if not sys.stdin.isatty():
            raise SettingsError("standard input is no terminal, expected one to read keys from.")
        self._fd = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._fd)
        tty.setcbreak(self._fd)
        return self

    def __exit__(self, *_: object) -> None:
        # A terminal that is gone needs nothing back.
        with contextlib.suppress(termios.error):
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def read(self) -> str:
        """The keys that were pressed since; an escape sequence counts as nothing."""
        if not self.waiting:
            return ""
        return _ESCAPES.sub("", os.read(self._fd, 64).decode(errors="ignore"))

    @property
    def waiting(self) -> bool:
        """Whether a key has been pressed since."""
        return bool(select.select([self._fd], [], [], 0.0)[0])
