"""How a robot gets up, as one file: key poses, and the policy that adds to them."""

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from legged_skills import robots
from legged_skills.robots.contract import ObservationContract
from legged_skills.robots.errors import FileFormatError
from legged_skills.robots.files import begun_with, package_file, read_archive, write_archive
from legged_skills.skill_module.module_file import (
    check_parts,
    read_contract,
    read_settings,
    require_header,
    weights_by_name,
    weights_tree,
)
from legged_skills.skill_module.tracker import TrackerArchitecture
from legged_skills.tasks.getup import (
    LONGEST_S,
    SIDES,
    FrozenGetup,
    GetupAgent,
    GetupConfig,
    GetupMotion,
    KeyPoses,
    RecoveringAgent,
    Standing,
)
from legged_skills.tasks.policy_file import check_purpose

KIND = "getup policy"
TASK = "getup"
_TRAINED = ("policy", "action_log_std")
_WEIGHTS = "trained/"


@dataclass(frozen=True, kw_only=True)
class GetupPolicy:
    """Gets a robot up, and lets it stand in the default pose."""

    contract: ObservationContract
    """What it is told of the robot."""
    keys: KeyPoses
    """The key poses."""
    getup: GetupConfig
    """When it gets up."""
    architecture: TrackerArchitecture
    """Sizes of the network."""
    params: dict[str, Any]
    """Weights: "policy", "action_log_std"."""
    config: dict[str, Any]
    """Settings of the task it was trained on."""
    summary: dict[str, Any]
    """How it was trained: steps, seconds, seed, versions, last figures."""

    @property
    def task(self) -> str:
        """Name of the task."""
        return TASK

    @property
    def robot(self) -> str:
        """Name of the robot."""
        return self.contract.robot

    @property
    def trained(self) -> GetupAgent:
        """The agent whose parameters these are; its critic is not part of the file."""
        spec, size = robots.get(self.robot), self._motion.told_size
        return GetupAgent(self.architecture, self.contract.size, 1, spec.num_joints, task_size=size)

    @cached_property
    def _motion(self) -> GetupMotion:
        return GetupMotion.of(robots.get(self.robot), self.keys, self.getup.rest_s)

    @cached_property
    def frozen(self) -> FrozenGetup:
        """Always the same object, so that agents are equal."""
        return FrozenGetup(motion=self._motion, agent=self.trained, params=self.params)

    @property
    def agent(self) -> RecoveringAgent:
        """Gets up, and stands."""
        standing = Standing(robots.get(self.robot).num_joints)
        return RecoveringAgent(
            agent=standing, getup=self.frozen, config=self.getup, contract=self.contract
        )

    def save(self, path: str | Path) -> None:
        """Writes the policy to one file, atomically.

        Raises:
            FileFormatError: it cannot be written.
        """
        weights = weights_by_name(self.params, _TRAINED)
        arrays = {_WEIGHTS + name: values for name, values in weights.items()}
        arrays |= {"poses": self.keys.poses, "durations_s": self.keys.durations_s}
        header = {
            "contract": self.contract.to_json(),
            "contract_hash": self.contract.hash,
            "getup": asdict(self.getup),
            "architecture": asdict(self.architecture),
            "config": self.config,
            "summary": self.summary,
        }
        write_archive(path, KIND, arrays, header)

    @classmethod
    def load(cls, path: str | Path, robot: str | None = None) -> "GetupPolicy":
        """Reads a policy.

        Args:
            path: the file.
            robot: the robot it must be for; None takes any.

        Raises:
            FileFormatError: the file is missing, damaged, or not such a policy.
            ContractError: it is for another robot, its contract is not its own, or that is not its
                robot's as it is specified now.
        """
        arrays, header = read_archive(path, KIND)
        try:
            require_header(path, header, config=dict, summary=dict)
            policy = cls(
                contract=read_contract(path, header),
                keys=KeyPoses(poses=arrays["poses"], durations_s=arrays["durations_s"]),
                getup=read_settings(path, GetupConfig, header["getup"]),
                architecture=read_settings(path, TrackerArchitecture, header["architecture"]),
                params=weights_tree(path, begun_with(_WEIGHTS, arrays)),
                config=header["config"],
                summary=header["summary"],
            )
        except KeyError as error:
            raise FileFormatError(f"{path}: the getup policy lacks {error}.") from error
        check_purpose(path, policy, robot, TASK)
        _check_poses(path, policy)
        check_parts(path, policy.params, _TRAINED, lambda key: policy.trained.init(key))
        return policy


def _check_poses(path: str | Path, policy: GetupPolicy) -> None:
    """Checks the key poses of a file.

    Raises:
        FileFormatError: they have other shapes or types than key poses of the robot, are out of its
            usable ranges, or a time is not positive.
    """
    spec, poses, times = robots.get(policy.robot), policy.keys.poses, policy.keys.durations_s
    for name, values in (("poses", poses), ("durations_s", times)):
        if not np.issubdtype(values.dtype, np.floating):
            raise FileFormatError(
                f"{path}: {name} are of type {values.dtype}, expected floating-point numbers."
            )
    fits = poses.ndim == 3 and poses.shape[::2] == (len(SIDES), spec.num_joints)
    if not fits or poses.shape[1] < 1 or times.shape != (poses.shape[0], poses.shape[1] + 1):
        raise FileFormatError(
            f"{path}: the key poses have the shapes {poses.shape} and {times.shape}, "
            f"expected ({len(SIDES)}, K, {spec.num_joints}) and ({len(SIDES)}, K + 1), K at least "
            "1."
        )
    if not ((times > 0.0) & (times < LONGEST_S)).all():
        raise FileFormatError(
            f"{path}: a time between key poses is not positive, or over {LONGEST_S:g} s."
        )
    low, high = spec.joint_lower - 1e-6, spec.joint_upper + 1e-6
    if not ((poses >= low) & (poses <= high)).all():
        raise FileFormatError(f"{path}: a key pose is out of the usable ranges of {policy.robot}.")


def shipped_getup(robot: str) -> Path:
    """Path of the policy that comes with the package.

    Raises:
        FileFormatError: there is none for this robot.
    """
    return package_file("legged_skills.tasks", f"weights/{robot}/getup.npz", "getup policy")
