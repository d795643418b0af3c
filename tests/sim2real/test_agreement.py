import dataclasses

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.contract import proprioception
from legged_skills.robots.errors import ContractError
from legged_skills.sim2real.agreement import require_contract, require_robot, require_signals

SPEC = robots.get("anymal_c")
CONTRACT = proprioception(SPEC)
NAMES = SPEC.joint_names
SIGNALS = ("gravity", "angular_velocity", "joint_pos", "joint_vel")


def _changed(array: np.ndarray, joint: int, value: float) -> np.ndarray:
    changed = array.copy()
    changed[joint] = value
    return changed


def test_the_same_agree():
    require_robot(CONTRACT, SPEC, "x")
    require_contract(CONTRACT, proprioception(SPEC), "x")
    require_signals(CONTRACT, SIGNALS, "x")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "anymal_d"}, "x: the policy's robot is anymal_c, expected anymal_d."),
        (
            {"joint_names": ("LF_WHEEL", *NAMES[1:])},
            "x: the policy lacks the joint 'LF_WHEEL'.",
        ),
        (
            {"joint_names": (NAMES[1], NAMES[0], *NAMES[2:])},
            "x: the joints are in another order: number 1 is 'LF_HAA', expected 'LF_HFE'.",
        ),
        (
            {"control_period_s": 0.025},
            "x: the control period is 0.02 s, expected 0.025 s.",
        ),
        ({"action_scale": 0.3}, "x: the action scale is 0.5 rad, expected 0.3 rad."),
        (
            {"default_joint_pos": _changed(SPEC.default_joint_pos, 1, 0.5)},
            "x: the default angle of LF_HFE is 0.4 rad, expected 0.5 rad.",
        ),
        (
            {"kp": _changed(SPEC.kp, 3, 60.0)},
            "x: the kp of RF_HAA is 80.0 Nm/rad, expected 60.0 Nm/rad.",
        ),
        (
            {"kd": _changed(SPEC.kd, 11, 1.0)},
            "x: the kd of RH_KFE is 2.0 Nm s/rad, expected 1.0 Nm s/rad.",
        ),
    ],
)
def test_another_robot_is_named(changes, message):
    with pytest.raises(ContractError) as caught:
        require_robot(CONTRACT, dataclasses.replace(SPEC, **changes), "x")
    assert str(caught.value) == message


def test_a_number_too_few_is_named():
    fewer = dataclasses.replace(CONTRACT, kp=CONTRACT.kp[:-1])
    with pytest.raises(ContractError, match=r"^x: there are 11 numbers of the kp, expected 12\.$"):
        require_robot(fewer, SPEC, "x")


def test_a_joint_too_many_is_named():
    fewer = dataclasses.replace(CONTRACT, joint_names=NAMES[:-1])
    with pytest.raises(ContractError, match="has the joint 'RH_KFE', which is not expected"):
        require_contract(CONTRACT, fewer, "x")


def test_missing_term_is_named():
    without = dataclasses.replace(CONTRACT, terms=CONTRACT.terms[:3] + CONTRACT.terms[4:])
    with pytest.raises(ContractError, match="lacks the observation term 'joint_vel'"):
        require_contract(without, CONTRACT, "x")
    with pytest.raises(ContractError, match="has the observation term 'joint_vel'"):
        require_contract(CONTRACT, without, "x")


def test_other_differences_are_named():
    with pytest.raises(ContractError, match="history is 3, expected 2"):
        require_contract(CONTRACT, dataclasses.replace(CONTRACT, history=2), "x")
    with pytest.raises(ContractError, match='robot is "anymal_c", expected "op3"'):
        require_contract(CONTRACT, proprioception(robots.get("op3")), "x")


def test_term_without_a_sensor_is_named():
    with pytest.raises(ContractError, match="told 'joint_vel', which is not measured"):
        require_signals(CONTRACT, SIGNALS[:3], "x")
