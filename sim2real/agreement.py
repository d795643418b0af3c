"""Do a policy and a robot agree? If not, one sentence says where.

J is the number of joints.
"""

from collections.abc import Collection, Sequence

import numpy as np

from legged_skills.robots.contract import ObservationContract
from legged_skills.robots.errors import ContractError
from legged_skills.robots.spec import RobotSpec


def require_robot(contract: ObservationContract, spec: RobotSpec, what: str) -> None:
    """Checks that a policy was made for a robot as it is specified now.

    Args:
        contract: of the policy.
        spec: the robot.
        what: the policy, for the message, e.g. a file name.

    Raises:
        ContractError: the robot's name, joints, their order, the control period, the action
            scale, the default pose or the gains differ; the message names the first difference.
    """
    if contract.robot != spec.name:
        raise ContractError(
            f"{what}: the policy's robot is {contract.robot}, expected {spec.name}."
        )
    _require_names(contract.joint_names, spec.joint_names, "joint", what)
    for name, found, wanted, unit in (
        ("control period", contract.control_period_s, spec.control_period_s, "s"),
        ("action scale", contract.action_scale, spec.action_scale, "rad"),
    ):
        if found != wanted:
            raise ContractError(f"{what}: the {name} is {found} {unit}, expected {wanted} {unit}.")
    default = np.array(contract.default_joint_pos)
    require_per_joint(spec, "default angle", default, spec.default_joint_pos, "rad", what)
    require_per_joint(spec, "kp", np.array(contract.kp), spec.kp, "Nm/rad", what)
    require_per_joint(spec, "kd", np.array(contract.kd), spec.kd, "Nm s/rad", what)


def require_per_joint(
    spec: RobotSpec, name: str, found: np.ndarray, wanted: np.ndarray, unit: str, what: str
) -> None:
    """Checks numbers joint by joint; they must be the same to the last bit.

    Args:
        spec: names the joints.
        name: what the numbers are.
        found: (J,) the policy's.
        wanted: (J,) the robot's.
        unit: of both.
        what: the policy, for the message.

    Raises:
        ContractError: a number differs, or one is missing; the message names the first joint.
    """
    if found.shape != wanted.shape:
        raise ContractError(
            f"{what}: there are {found.size} numbers of the {name}, expected {wanted.size}."
        )
    different = np.flatnonzero(found != wanted)
    if different.size:
        joint = int(different[0])
        raise ContractError(
            f"{what}: the {name} of {spec.joint_names[joint]} is {found[joint]} {unit}, "
            f"expected {wanted[joint]} {unit}."
        )


def require_contract(found: ObservationContract, wanted: ObservationContract, what: str) -> None:
    """Checks that two contracts are the same; names the missing term if it is that.

    Args:
        found: the policy's.
        wanted: what it must be.
        what: the policy, for the message.

    Raises:
        ContractError: they differ; the message names the first difference.
    """
    if found.hash == wanted.hash:
        return
    if found.robot == wanted.robot:
        _require_names(found.joint_names, wanted.joint_names, "joint", what)
        _require_names(found.term_names, wanted.term_names, "observation term", what)
    wanted.require_same(found, what)


def require_signals(contract: ObservationContract, available: Collection[str], what: str) -> None:
    """Checks that a robot has a sensor for every term that a policy is told.

    Args:
        contract: of the policy.
        available: names of the signals that there are; "last_action" is known without a sensor.
        what: the policy, for the message.

    Raises:
        ContractError: a signal is missing; the message names the first.
    """
    for term in contract.terms:
        if term.name != "last_action" and term.name not in available:
            raise ContractError(
                f"{what}: the policy is told {term.name!r}, which is not measured; "
                f"there are {', '.join(available) or 'no signals'}."
            )


def _require_names(found: Sequence[str], wanted: Sequence[str], kind: str, what: str) -> None:
    """Checks that two lists of names are the same, in the same order."""
    for name in wanted:
        if name not in found:
            raise ContractError(f"{what}: the policy lacks the {kind} {name!r}.")
    for name in found:
        if name not in wanted:
            raise ContractError(
                f"{what}: the policy has the {kind} {name!r}, which is not expected."
            )
    for place, (one, other) in enumerate(zip(found, wanted, strict=True)):
        if one != other:
            raise ContractError(
                f"{what}: the {kind}s are in another order: number {place + 1} is {one!r}, "
                f"expected {other!r}."
            )
