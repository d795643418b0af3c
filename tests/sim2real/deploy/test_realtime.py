"""Real-time priorities, in processes of their own, where the machine allows them."""

import os
import subprocess
import sys

import pytest

from legged_skills.sim2real.deploy.realtime import take_priority

PROGRAM = """
import os, sys, threading
from legged_skills.sim2real.deploy.realtime import take_priority

held, known = threading.Event(), []

def note():
    known.append((os.sched_getscheduler(0), os.sched_getparam(0).sched_priority))

def early():
    held.wait()
    note()

before = threading.Thread(target=early)
before.start()
refused = take_priority(3)
held.set()
after = threading.Thread(target=note)
after.start()
before.join(), after.join(), note()
wanted = (os.SCHED_OTHER, 0) if refused else (os.SCHED_FIFO, 3)
assert known == [wanted] * 3, known
print(refused)
"""


def test_all_threads_get_it_or_none() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() in ("", "Operation not permitted")


def test_none_is_taken_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    assert take_priority(0) == ""
    assert take_priority(5) == "Operation not permitted"
