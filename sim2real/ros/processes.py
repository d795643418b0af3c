"""Processes that are started, watched and ended as a set; no rclpy here."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

_LAST_WORDS = re.compile(r"(?:not configured: |legged-skills: |Error: )(.+)")
_LONGEST = 300
_LOOK_S = 0.1
"""Who waits for an end looks so often whether it is wanted at once [s]."""
AGAIN_S = 0.7
"""A signal that comes so long after the first one is another request [s]."""
PARENT = "LEGGED_SKILLS_PARENT"
"""Variable of a child's environment: the number of the process that started it."""


def orphaned() -> bool:
    """Whether this process was started as a ``Child`` by one that has ended since."""
    parent = os.environ.get(PARENT, "")
    return parent.isdecimal() and os.getppid() != int(parent)


class Child:
    """A process with its output in a file.

    It is in a session of its own: Ctrl-C in the terminal is for the one who started it, who ends
    it in the right order.

    Attributes:
        name: what it is called in messages.
        output: the file.
    """

    def __init__(self, name: str, command: Sequence[str], output: Path) -> None:
        """Starts it.

        Args:
            name: what it is called in messages.
            command: program and arguments.
            output: file for all that it prints.
        """
        self.name, self.output = name, output
        # Small matrices on several threads would only take the cores from each other.
        environment = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"} | os.environ
        environment[PARENT] = str(os.getpid())
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    def last_words(self) -> str:
        """What it said was wrong, or else its last line; without the full stop."""
        text = self.output.read_text("utf-8", errors="replace")
        found = _LAST_WORDS.findall(text)
        lines = found or [line for line in text.splitlines() if line.strip()] or ["it said nothing"]
        return lines[-1].strip().rstrip(".")[:_LONGEST]

    def end(self, patience_s: float, hurry: Callable[[], bool] = lambda: False) -> int:
        """Asks it to end as Ctrl-C would, and does not take no for an answer.

        Args:
            patience_s: time for an end in order [s].
            hurry: whether it shall end at once; it is asked more firmly then, without patience.

        Returns:
            Its exit code.
        """
        deadline = time.monotonic() + patience_s
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if self.code is not None:
                break
            self._process.send_signal(number)
            at_least = time.monotonic() + 1.0
            until = max(at_least, deadline)
            while self.code is None and time.monotonic() < until:
                if hurry():
                    until = deadline = at_least
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(_LOOK_S)
        return self._process.wait()


class StopSignals:
    """Notes Ctrl-C, a request to terminate and a lost terminal, so that a robot is stopped first.

    Attributes:
        asked: whether one has come.
        hurry: whether somebody asked again. One request may come as several signals: a shell, a
            launch system and the kernel each pass it on. So one that comes just after the first
            says nothing more, nor does a lost terminal.
    """

    def __init__(self) -> None:
        """None has come."""
        self.asked = self.hurry = False
        self._first_s = float("inf")

    def __enter__(self) -> "StopSignals":
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        self._before = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def _note(self, number: int, _: object) -> None:
        now = time.monotonic()
        if not self.asked:
            self.asked, self._first_s = True, now
        elif number != signal.SIGHUP and now - self._first_s >= AGAIN_S:
            self.hurry = True

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
