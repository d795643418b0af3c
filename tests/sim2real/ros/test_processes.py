import os
import signal
import sys
import time
from pathlib import Path

import pytest

from legged_skills.sim2real.ros import processes
from legged_skills.sim2real.ros.processes import Child, StopSignals, orphaned


def _child(tmp_path: Path, program: str) -> Child:
    return Child("child", [sys.executable, "-c", program], tmp_path / "child.txt")


def _said(child: Child, words: str) -> None:
    end = time.monotonic() + 60.0
    while words not in child.output.read_text():
        assert time.monotonic() < end and child.code is None, child.output.read_text()
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("print('a'); print('[ERROR] [1.0] [x]: not configured: it is wrong.')", "it is wrong"),
        ("print('legged-skills: no such robot.'); print('bye')", "no such robot"),
        ("raise ValueError('five')", "five"),
        ("print('one'); print('two')", "two"),
        ("", "it said nothing"),
    ],
)
def test_last_words(tmp_path, program, words):
    child = _child(tmp_path, program)
    child.end(0.0) if child.code is not None else child._process.wait(60.0)
    assert child.last_words() == words


def test_it_ends_in_order_when_asked(tmp_path):
    program = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(7))
print("ready")
time.sleep(100)
"""
    child = _child(tmp_path, program)
    _said(child, "ready")
    assert child.code is None
    assert child.end(30.0) == 7


def test_it_ends_even_if_it_will_not(tmp_path):
    program = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready")
time.sleep(100)
"""
    child = _child(tmp_path, program)
    _said(child, "ready")
    assert child.end(0.1) == -signal.SIGKILL


def test_it_is_asked_more_firmly_at_once_if_that_is_wanted(tmp_path):
    program = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(8))
print("ready")
time.sleep(100)
"""
    child = _child(tmp_path, program)
    _said(child, "ready")
    asked = []

    def hurry() -> bool:
        asked.append(time.monotonic())
        return len(asked) > 2

    begin = time.monotonic()
    assert child.end(60.0, hurry) == 8
    assert time.monotonic() - begin < 20.0


def test_it_knows_when_its_parent_has_ended(tmp_path):
    program = """
import sys, time
from legged_skills.sim2real.ros.processes import orphaned
print("orphan" if orphaned() else "child", flush=True)
while not orphaned():
    time.sleep(0.02)
print("now orphan", flush=True)
"""
    output = tmp_path / "grandchild.txt"
    parent = f"""
import sys
from pathlib import Path
from legged_skills.sim2real.ros.processes import Child
child = Child("child", [sys.executable, "-c", {program!r}], Path({str(output)!r}))
while "child" not in child.output.read_text() and child.code is None:
    pass
"""
    assert not orphaned()
    _child(tmp_path, parent)._process.wait(60.0)
    end = time.monotonic() + 60.0
    while "now orphan" not in output.read_text():
        assert time.monotonic() < end, output.read_text()
        time.sleep(0.02)
    assert output.read_text().startswith("child")


def test_ctrl_c_in_the_terminal_is_not_for_it(tmp_path):
    child = _child(tmp_path, "import time; print('ready'); time.sleep(100)")
    _said(child, "ready")
    assert os.getsid(child.pid) != os.getsid(0)
    child.end(10.0)


def test_one_request_may_come_as_several_signals(monkeypatch):
    before, now = signal.getsignal(signal.SIGINT), [100.0]
    monkeypatch.setattr(processes.time, "monotonic", lambda: now[0])
    with StopSignals() as stop:
        assert not stop.asked
        # A launch system passes on what the kernel has told all of them.
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
        assert stop.asked and not stop.hurry
        now[0] += 5.0
        os.kill(os.getpid(), signal.SIGHUP)
        assert not stop.hurry
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.hurry
    assert signal.getsignal(signal.SIGINT) is before
