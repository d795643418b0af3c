"""A trained commander as one file, with the walk that it commands; and files of either kind."""

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from legged_skills.robots.contract import ObservationContract
from legged_skills.robots.errors import FileFormatError
from legged_skills.robots.files import begun_with, read_archive_of, write_archive
from legged_skills.skill_module.module_file import (
    check_parts,
    read_settings,
    require_header,
    weights_by_name,
    weights_tree,
)
from legged_skills.tasks.ball_tracker import ball_tracker
from legged_skills.tasks.commander import CommanderAgent, CommanderArchitecture, FrozenWalk
from legged_skills.tasks.dribble_config import DribbleConfig
from legged_skills.tasks.policy_file import KIND as TASK_POLICY
from legged_skills.tasks.policy_file import TaskPolicy, check_purpose
from legged_skills.tasks.reuse import FrozenDecoder

KIND = "commander"
_TRAINED = ("policy", "log_std")
_OWN, _WALK = "trained/", "walk/"


@dataclass(frozen=True, kw_only=True)
class CommanderPolicy:
    """A task policy that commands a walk: its own weights, and a copy of the walk."""

    task: str
    """Name of the task, e.g. "dribble"."""
    task_size: int
    """Length of the "task" observation."""
    architecture: CommanderArchitecture
    """Sizes of the commander's networks."""
    walk: TaskPolicy
    """What does as it is commanded."""
    params: dict[str, Any]
    """Weights: "policy", "log_std"."""
    config: dict[str, Any]
    """Settings of the task it was trained on."""
    summary: dict[str, Any]
    """How it was trained: steps, seconds, seed, versions, last figures."""

    @property
    def contract(self) -> ObservationContract:
        """What commander and walk are told of the robot."""
        return self.walk.contract

    @property
    def robot(self) -> str:
        """Name of the robot."""
        return self.walk.robot

    @property
    def decoder(self) -> FrozenDecoder:
        """The decoder that the walk moves."""
        return self.walk.decoder

    @cached_property
    def _frozen(self) -> FrozenWalk:
        """Always the same object, so that agents are equal."""
        return FrozenWalk.of(self.walk)

    @property
    def agent(self) -> CommanderAgent:
        """The agent whose parameters these are; its critic is not part of the file."""
        what = f"the {self.task} policy of {self.robot}"
        sizes = read_settings(what, DribbleConfig, self.config).sizes(self.robot)
        tracker = ball_tracker(self.contract, sizes)
        return CommanderAgent(
            self.architecture, self._frozen, tracker, self.task_size, privileged_size=1
        )

    def save(self, path: str | Path) -> None:
        """Writes the policy to one file, atomically.

        Raises:
            FileFormatError: it cannot be written.
        """
        own = weights_by_name(self.params, _TRAINED)
        walk, walk_header = self.walk.parts()
        arrays = {_OWN + name: values for name, values in own.items()}
        arrays |= {_WALK + name: values for name, values in walk.items()}
        header = {
            "task": self.task,
            "task_size": self.task_size,
            "architecture": asdict(self.architecture),
            "walk": walk_header,
            "config": self.config,
            "summary": self.summary,
        }
        write_archive(path, KIND, arrays, header)

    @classmethod
    def of_parts(
        cls, path: str | Path, arrays: dict[str, np.ndarray], header: dict[str, Any]
    ) -> "CommanderPolicy":
        """The policy that a file holds.

        Args:
            path: the file, for messages.
            arrays: its arrays by name.
            header: the rest.

        Raises:
            FileFormatError: something is missing, or of another type or size.
            ContractError: the walk's contract is not its own, or not its robot's as it is specified
                now.
        """
        own, walk = (begun_with(start, arrays) for start in (_OWN, _WALK))
        try:
            require_header(path, header, task=str, task_size=int, config=dict, summary=dict)
            require_header(path, header, walk=dict)
            read_settings(path, DribbleConfig, header["config"])
            policy = cls(
                task=header["task"],
                task_size=header["task_size"],
                architecture=read_settings(path, CommanderArchitecture, header["architecture"]),
                walk=TaskPolicy.of_parts(path, walk, header["walk"]),
                params=weights_tree(path, own),
                config=header["config"],
                summary=header["summary"],
            )
        except KeyError as error:
            raise FileFormatError(f"{path}: the commander lacks {error}.") from error
        check_parts(path, policy.params, _TRAINED, lambda key: policy.agent.init(key))
        return policy


AnyPolicy = TaskPolicy | CommanderPolicy
"""A policy that moves a decoder, or one that commands a walk."""


def load_any_policy(
    path: str | Path, robot: str | None = None, task: str | None = None
) -> AnyPolicy:
    """Reads a policy of either kind.

    Args:
        path: the file.
        robot: the robot it must be for; None takes any.
        task: the task it must be for; None takes any.

    Raises:
        FileFormatError: the file is missing, damaged, or neither of them.
        ContractError: it is for another robot or task, its contract is not its own, or that is not
            its robot's as it is specified now.
    """
    kind, arrays, header = read_archive_of(path, (TASK_POLICY, KIND))
    of_parts = TaskPolicy.of_parts if kind == TASK_POLICY else CommanderPolicy.of_parts
    policy = of_parts(path, arrays, header)
    check_purpose(path, policy, robot, task)
    return policy
