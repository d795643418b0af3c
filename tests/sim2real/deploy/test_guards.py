import inspect
import re
from pathlib import Path

import numpy as np
import pytest

from legged_skills.sim2real.deploy import guards
from legged_skills.sim2real.deploy.guards import (
    DESCRIPTIONS,
    SILENCING,
    WARNINGS,
    WITHIN,
    Code,
    Fault,
    within_s,
)

NAMES = ("hip", "knee")
NAN, INF = float("nan"), float("inf")
LOWER, UPPER = np.array([-1.0, -2.0]), np.array([1.0, 0.5])
TIMES = np.array([9.95, 9.9])


def _gravity(degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return np.array([np.sin(angle), 0.0, -np.cos(angle)])


def at(*values: float) -> np.ndarray:
    return np.array(values)


# Check, its arguments, and what its fault says; None for no fault. Below, at and above each limit.
CASES = [
    (guards.stale_joints, (NAMES, at(10.0, 9.91), 10.0, 0.1), None),
    (guards.stale_joints, (NAMES, at(1.0, 0.5), 1.0, 0.5), None),
    (guards.stale_joints, (NAMES, at(1.0, 0.5), 1.001, 0.5), "knee was heard of 0.501 s ago"),
    (guards.stale_joints, (NAMES, at(-INF, 1.0), 1.0, 0.5), "hip has not been heard of yet"),
    (guards.stale_joints, (NAMES, at(1.0, 1.0), NAN, 0.5), "hip was heard of nan s ago"),
    (guards.stale_imu, (0.75, 1.0, 0.5), None),
    (guards.stale_imu, (0.5, 1.0, 0.5), None),
    (guards.stale_imu, (0.5, 1.25, 0.5), "the IMU was heard of 0.750 s ago, expected at most 0.5"),
    (guards.stale_imu, (-INF, 1.0, 0.5), "the IMU has not been heard of yet"),
    (guards.not_finite, (NAMES, "angle", at(1e300, -1.0)), None),
    (guards.not_finite, (NAMES, "angle", at(0.0, NAN)), "the angle of knee is nan"),
    (guards.not_finite, (NAMES, "speed", at(-INF, NAN)), "the speed of hip is -inf"),
    (guards.imu_not_finite, (True,), None),
    (guards.imu_not_finite, (False,), "the IMU gives values that are no numbers"),
    (guards.unusable_message, (0, "old."), None),
    (guards.unusable_message, (1, "3 names and 2 positions."), "3 names and 2 positions"),
    (guards.frozen, ("the IMU's values", 0.2, 0.3), None),
    (guards.frozen, ("the IMU's values", 0.3, 0.3), None),
    (guards.frozen, ("the IMU's values", 0.31, 0.3), "not changed at all for 0.310 s, at most 0.3"),
    (guards.joint_range, (NAMES, at(1.0, -2.0), LOWER, UPPER, 0.25), None),
    (guards.joint_range, (NAMES, at(1.25, -2.25), LOWER, UPPER, 0.25), None),
    (
        guards.joint_range,
        (NAMES, at(1.26, 0.5), LOWER, UPPER, 0.25),
        "hip is at 1.260 rad, expected -1.250 to 1.250 rad",
    ),
    (guards.joint_range, (NAMES, at(0.0, -2.26), LOWER, UPPER, 0.25), "knee is at -2.260 rad"),
    (guards.joint_speed, (NAMES, at(1.0, -4.9), 5.0), None),
    (guards.joint_speed, (NAMES, at(5.0, -5.0), 5.0), None),
    (guards.joint_speed, (NAMES, at(NAN, NAN), 5.0), None),
    (guards.joint_speed, (NAMES, at(NAN, -5.1), 5.0), "knee turns at -5.10 rad/s"),
    (guards.joint_speed, (NAMES, at(INF, 0.0), 5.0), "hip turns at inf rad/s"),
    (guards.not_following, (NAMES, at(0.1, 0.7), 0.4, 0.6, 0.5), None),
    (guards.not_following, (NAMES, at(0.1, 0.7), 0.5, 0.6, 0.5), None),
    (guards.not_following, (NAMES, at(0.1, -0.7), 0.51, 0.6, 0.5), "knee is 0.700 rad from its"),
    (guards.nothing_follows, (0.6, 0.0, 0.6, 0.05), None),
    (guards.nothing_follows, (0.7, 0.06, 0.6, 0.05), None),
    (guards.nothing_follows, (0.7, NAN, 0.6, 0.05), None),
    (guards.nothing_follows, (0.7, 0.05, 0.6, 0.05), "targets swing by 0.70 rad, no joint moves"),
    (guards.tilt, (_gravity(0.0), 55.0), None),
    (guards.tilt, (_gravity(54.9), 55.0), None),
    (guards.tilt, (_gravity(55.1), 55.0), "the base is tilted by 55 degrees, at most 55"),
    (guards.tilt, (_gravity(-180.0), 55.0), "tilted by 180 degrees"),
    (guards.tilt, (_gravity(90.0), 90.0 + 1e-9), None),
    (guards.late_loop, (0.05, 0, 0.1, 5), None),
    (guards.late_loop, (0.1, 5, 0.1, 5), None),
    (guards.late_loop, (0.11, 0, 0.1, 5), "a control step was 0.110 s late"),
    (guards.late_loop, (0.03, 6, 0.1, 5), "6 control steps on end were late"),
    (guards.clock, (1.0, 0.9), None),
    (guards.clock, (1.0, -INF), None),
    (guards.clock, (1.0, 1.0), "the time went from 1.000 to 1.000 s"),
    (guards.clock, (0.9, 1.0), "the time went from 1.000 to 0.900 s"),
    (guards.clock, (NAN, 1.0), "the time went from 1.000 to nan s"),
    (guards.clock, (INF, 1.0), "the time went from 1.000 to inf s"),
    (guards.target_steps, (9, 10, 50.0), None),
    (guards.target_steps, (10, 10, 50.0), None),
    (guards.target_steps, (11, 10, 50.0), "11 steps on end asked for targets faster than 50"),
    (guards.policy_output, (NAMES, at(1.0, 2.0)), None),
    (guards.policy_output, (NAMES, at(1.0, NAN)), "the policy's target of knee is nan"),
    (guards.other_publisher, (0,), None),
    (guards.other_publisher, (1,), "1 others publish joint targets"),
    (guards.other_owner, ("",), None),
    (guards.other_owner, ("knee is moved by walking_module.",), "knee is moved by walking_module"),
    (guards.low_battery, (11.1, 11.0), None),
    (guards.low_battery, (11.0, 11.0), None),
    (guards.low_battery, (10.9, 11.0), "the battery is at 10.9 V, expected at least 11 V"),
    (guards.low_battery, (NAN, 11.0), None),
    (guards.low_battery, (1.0, 0.0), None),
]
CODES = {
    guards.imu_not_finite: Code.NOT_FINITE,
    guards.frozen: Code.FROZEN_SENSORS,
    guards.nothing_follows: Code.NOT_FOLLOWING,
}


@pytest.mark.parametrize(("check", "arguments", "words"), CASES)
def test_limits(check, arguments, words):
    found = check(*arguments)
    if words is None:
        assert found == []
        return
    (fault,) = found
    assert words in fault.sentence
    assert fault.code is CODES.get(check, Code.__members__.get(check.__name__.upper()))
    assert fault.sentence.endswith((".", "?"))


def test_every_check_is_tested_with_and_without_a_fault():
    checks = {
        function
        for name, function in inspect.getmembers(guards, inspect.isfunction)
        if not name.startswith("_")
        and function.__module__ == guards.__name__
        and name != "within_s"
    }
    assert len(checks) == 18
    assert {check for check, _, words in CASES if words is None} == checks
    assert {check for check, _, words in CASES if words is not None} == checks


def test_every_kind_is_described_and_made_somewhere(repo_root: Path):
    assert DESCRIPTIONS.keys() == set(Code)
    folder = repo_root / "sim2real" / "deploy"
    source = "".join(path.read_text("utf-8") for path in folder.glob("*.py"))
    made = set(re.findall(r"Fault\(\s*Code\.(\w+)", source))
    assert made == {code.name for code in Code}


def test_descriptions_name_settings_that_there_are(repo_root: Path):
    from legged_skills.sim2real.deploy.config import config_of
    from legged_skills.sim2real.deploy.parameters import parameters

    names = {parameter.name for parameter in parameters(config_of("op3"))}
    named = set(re.findall(r"\w+_\w+", " ".join(DESCRIPTIONS.values())))
    assert named <= names
    assert len(named) > 8
    assert {name for name, _ in WITHIN.values() if name} <= names


def test_every_kind_has_a_time():
    from legged_skills.sim2real.deploy.config import config_of

    assert WITHIN.keys() == set(Code)
    config = config_of("op3")
    # joint_timeout_s = 0.1 and 0.05 on top; 10 steps of 0.024 s and 0.1 s on top.
    assert within_s(Code.STALE_JOINTS, config, 0.024) == pytest.approx(0.15)
    assert within_s(Code.TARGET_STEPS, config, 0.024) == pytest.approx(0.34)
    assert within_s(Code.TILT, config, 0.024) == pytest.approx(0.1)


def test_warnings_and_silence():
    assert WARNINGS == (Code.LOW_BATTERY,)
    assert set(SILENCING) == {Code.OTHER_PUBLISHER, Code.OTHER_OWNER}
    assert Fault(Code.TILT, "x.") == Fault(Code.TILT, "x.")
