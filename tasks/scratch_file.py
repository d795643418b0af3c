"""A trained policy without a skill module as one file; nothing but comparisons reads it."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from legged_skills import robots
from legged_skills.robots.contract import ObservationContract
from legged_skills.robots.errors import ContractError, FileFormatError
from legged_skills.robots.files import read_archive, write_archive
from legged_skills.skill_module.module_file import (
    check_parts,
    read_contract,
    read_settings,
    require_header,
    weights_by_name,
    weights_tree,
)
from legged_skills.tasks.scratch import ScratchAgent, ScratchArchitecture
from legged_skills.tasks.trim import velocity_trim

KIND = "scratch policy"
_TRAINED = ("policy", "estimator", "action_log_std")


@dataclass(frozen=True, kw_only=True)
class ScratchPolicy:
    """A task policy that was trained from scratch, without a skill module."""

    task: str
    """Name of the task, e.g. "walk"."""
    contract: ObservationContract
    """What it is told of the robot."""
    task_size: int
    """Length of the "task" observation."""
    architecture: ScratchArchitecture
    """Sizes of its networks."""
    params: dict[str, Any]
    """Weights: "policy", "estimator", "action_log_std"."""
    config: dict[str, Any]
    """Settings of the task it was trained on."""
    summary: dict[str, Any]
    """How it was trained: steps, seconds, seed, versions, last figures."""

    @property
    def robot(self) -> str:
        """Name of the robot."""
        return self.contract.robot

    @property
    def agent(self) -> ScratchAgent:
        """The agent whose parameters these are; its critic is not part of the file."""
        return ScratchAgent(
            self.architecture,
            self.contract.size,
            privileged_size=1,
            action_size=robots.get(self.robot).num_joints,
            task_size=self.task_size,
            trim=velocity_trim(
                self.task,
                self.contract,
                self.architecture.trim_steps,
                self.architecture.memory_steps,
            ),
        )

    def save(self, path: str | Path) -> None:
        """Writes the policy to one file, atomically.

        Raises:
            FileFormatError: it cannot be written.
        """
        header = {
            "task": self.task,
            "robot": self.robot,
            "contract": self.contract.to_json(),
            "contract_hash": self.contract.hash,
            "task_size": self.task_size,
            "architecture": asdict(self.architecture),
            "config": self.config,
            "summary": self.summary,
        }
        write_archive(path, KIND, weights_by_name(self.params, _TRAINED), header)

    @classmethod
    def load(cls, path: str | Path, robot: str, task: str) -> "ScratchPolicy":
        """Reads a policy.

        Args:
            path: the file.
            robot: the robot it must be for.
            task: the task it must be for.

        Raises:
            FileFormatError: the file is missing, damaged, or not a policy from scratch.
            ContractError: it is for another robot or task, its contract is not its own, or that is
                not its robot's as it is specified now.
        """
        arrays, header = read_archive(path, KIND)
        try:
            require_header(path, header, task=str, task_size=int, config=dict, summary=dict)
            policy = cls(
                task=header["task"],
                contract=read_contract(path, header),
                task_size=header["task_size"],
                architecture=read_settings(path, ScratchArchitecture, header["architecture"]),
                params=weights_tree(path, arrays),
                config=header["config"],
                summary=header["summary"],
            )
        except KeyError as error:
            raise FileFormatError(f"{path}: the scratch policy lacks {error}.") from error
        if (policy.robot, policy.task) != (robot, task):
            raise ContractError(
                f"{path}: the policy is for {policy.task} of {policy.robot}, "
                f"expected {task} of {robot}."
            )
        check_parts(path, policy.params, _TRAINED, lambda key: policy.agent.init(key))
        return policy
