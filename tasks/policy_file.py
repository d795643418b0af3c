"""A trained task policy as one file, with the frozen decoder it moves."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from flax.traverse_util import flatten_dict

from legged_skills.robots.contract import ObservationContract
from legged_skills.robots.errors import ContractError, FileFormatError
from legged_skills.robots.files import read_archive, write_archive
from legged_skills.robots.npz import damage_reported
from legged_skills.skill_module.agents import Actor
from legged_skills.skill_module.module_file import (
    check_parts,
    check_weights,
    read_contract,
    read_settings,
    require_header,
    weights_tree,
)
from legged_skills.tasks.dribble_config import DribbleConfig
from legged_skills.tasks.reuse import FrozenDecoder, PolicyArchitecture, ReuseAgent
from legged_skills.tasks.stride_clock import stride_clock
from legged_skills.tasks.trim import velocity_trim
from legged_skills.tasks.walk import trained_paces

KIND = "task policy"


class Policy(Protocol):
    """What is needed of a policy to let it act in an environment of its task."""

    @property
    def task(self) -> str:
        """Name of the task."""
        ...

    @property
    def contract(self) -> ObservationContract:
        """What it is told of the robot."""
        ...

    @property
    def robot(self) -> str:
        """Name of the robot."""
        ...

    @property
    def agent(self) -> Actor:
        """What decides."""
        ...

    @property
    def params(self) -> dict[str, Any]:
        """The agent's weights, but for the critic's."""
        ...

    @property
    def config(self) -> dict[str, Any]:
        """Settings of the task it was trained on."""
        ...


@dataclass(frozen=True, kw_only=True)
class TaskPolicy:
    """A task policy: its own weights, and a copy of the skill module's decoder."""

    task: str
    """Name of the task, e.g. "walk"."""
    contract: ObservationContract
    """What policy and decoder are told of the robot."""
    task_size: int
    """Length of the "task" observation."""
    architecture: PolicyArchitecture
    """Sizes of the policy's networks."""
    decoder: FrozenDecoder
    """Turns latents into actions."""
    params: dict[str, Any]
    """Weights, those of ``ReuseAgent.trained``."""
    config: dict[str, Any]
    """Settings of the task it was trained on."""
    summary: dict[str, Any]
    """How it was trained: steps, seconds, seed, versions, last figures."""

    @property
    def robot(self) -> str:
        """Name of the robot."""
        return self.contract.robot

    @property
    def agent(self) -> ReuseAgent:
        """The agent whose parameters these are; its critic is not part of the file."""
        sizes = self.architecture
        trim = velocity_trim(self.task, self.contract, sizes.trim_steps, sizes.memory_steps)
        clock = stride_clock(self.task, self.contract.control_period_s, sizes.clock_s)
        return ReuseAgent(
            self.architecture,
            self.decoder,
            self.task_size,
            privileged_size=1,
            trim=trim,
            clock=clock,
        )

    def parts(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The policy as arrays by name, and a header that JSON can hold."""
        tree = {name: self.params[name] for name in self.agent.trained}
        flat = flatten_dict({"trained": tree, "decoder": self.decoder.params}, sep="/")
        decoder = {
            "hidden": self.decoder.hidden,
            "latent_size": self.decoder.latent_size,
            "proprioception_size": self.decoder.proprioception_size,
            "action_size": self.decoder.action_size,
            "alpha": self.decoder.alpha,
        }
        header = {
            "task": self.task,
            "robot": self.robot,
            "contract": self.contract.to_json(),
            "contract_hash": self.contract.hash,
            "task_size": self.task_size,
            "architecture": asdict(self.architecture),
            "decoder": decoder,
            "config": self.config,
            "summary": self.summary,
        }
        return {name: np.asarray(a) for name, a in flat.items()}, header

    def save(self, path: str | Path) -> None:
        """Writes the policy to one file, atomically.

        Raises:
            FileFormatError: it cannot be written.
        """
        write_archive(path, KIND, *self.parts())

    @classmethod
    def of_parts(
        cls, path: str | Path, arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]
    ) -> "TaskPolicy":
        """The policy of which these are the ``parts``.

        Args:
            path: the file they are from, for messages.
            arrays: arrays by name.
            header: the rest.

        Raises:
            FileFormatError: something is missing, or of another type or size.
            ContractError: the contract is not its own, or not its robot's as it is specified now.
        """
        tree = weights_tree(path, arrays)
        try:
            contract = read_contract(path, header)
            require_header(path, header, task=str, task_size=int, config=dict, summary=dict)
            policy = cls(
                task=header["task"],
                contract=contract,
                task_size=header["task_size"],
                architecture=read_settings(path, PolicyArchitecture, header["architecture"]),
                decoder=read_settings(
                    path, FrozenDecoder, header["decoder"], params=tree["decoder"]
                ),
                params=tree["trained"],
                config=header["config"],
                summary=header["summary"],
            )
        except KeyError as error:
            raise FileFormatError(f"{path}: the task policy lacks {error}.") from error
        _check_config(path, policy)
        trained = policy.agent.trained
        check_parts(path, policy.params, trained, lambda key: policy.agent.init(key))
        with damage_reported(Path(path), "task policy"):
            decoder = policy.decoder.template()
        check_weights(path, policy.decoder.params, decoder)
        return policy

    @classmethod
    def load(
        cls, path: str | Path, robot: str | None = None, task: str | None = None
    ) -> "TaskPolicy":
        """Reads a policy.

        Args:
            path: the file.
            robot: the robot it must be for; None takes any.
            task: the task it must be for; None takes any.

        Raises:
            FileFormatError: the file is missing, damaged, or not a task policy.
            ContractError: it is for another robot or task, its contract is not its own, or that is
                not its robot's as it is specified now.
        """
        policy = cls.of_parts(path, *read_archive(path, KIND))
        check_purpose(path, policy, robot, task)
        return policy


def _check_config(path: str | Path, policy: TaskPolicy) -> None:
    """Checks the settings of a policy's task, as far as something depends on them later.

    Raises:
        FileFormatError: one of them cannot be.
    """
    if policy.task == "walk":
        trained_paces(policy.config, policy.robot, path)
    elif policy.task == "dribble":
        read_settings(path, DribbleConfig, policy.config)


def check_purpose(path: str | Path, policy: Policy, robot: str | None, task: str | None) -> None:
    """Checks what a policy is for; None takes anything.

    Raises:
        ContractError: it is for another robot or task.
    """
    for name, found, wanted in (("robot", policy.robot, robot), ("task", policy.task, task)):
        if wanted is not None and found != wanted:
            raise ContractError(f"{path}: the policy's {name} is {found}, expected {wanted}.")
