"""What judges the fault trials: which targets count as wrong, and which fault as the right one."""

import types
from typing import Any

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.sim2real.deploy.guards import Code

pytest.importorskip("rclpy")


def test_targets_that_should_not_be_on_the_wire_are_counted() -> None:
    from legged_skills.sim2real.ros.fault_trials import Wire

    spec, wire = robots.get("op3"), Wire("op3")
    pose, names = spec.default_joint_pos, spec.joint_names

    def say(position: np.ndarray, count: int = 20, sec: int = 1) -> tuple[int, int]:
        stamp = types.SimpleNamespace(sec=sec, nanosec=0)
        header = types.SimpleNamespace(stamp=stamp)
        message: Any = types.SimpleNamespace(
            header=header, name=list(names[:count]), position=list(position)
        )
        wire.hear(message)
        return wire.heard, wire.bad

    assert say(pose) == (1, 0)
    # Without a stamp it is the other publisher of a trial.
    assert say(pose, sec=0) == (1, 0)
    nan = np.where(np.arange(20) == 3, np.nan, pose)
    wrong = (nan, spec.joint_upper + 0.01, spec.joint_lower - 0.01, pose[:-1])
    for number, position in enumerate(wrong, start=1):
        assert say(position) == (1 + number, number)
    assert say(pose[:-1], count=19) == (6, 5)


def test_another_fault_is_not_the_right_one() -> None:
    from legged_skills.sim2real.ros import fault_trials

    notice = "the base is tilted by 80 degrees"
    rig: Any = types.SimpleNamespace(operator=types.SimpleNamespace(notice=notice))
    fault_trials._right_reason(rig, fault_trials.Trial(name="x", codes=(Code.TILT,)))
    with pytest.raises(fault_trials._WrongError):
        fault_trials._right_reason(rig, fault_trials.Trial(name="x", codes=(Code.STALE_IMU,)))
