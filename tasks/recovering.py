"""A task policy that gets up by itself when it has fallen, and goes on."""

from dataclasses import dataclass
from typing import Any

from legged_skills.robots.contract import ObservationContract
from legged_skills.tasks.commander_file import AnyPolicy
from legged_skills.tasks.getup import RecoveringAgent
from legged_skills.tasks.getup_file import GetupPolicy


@dataclass(frozen=True, kw_only=True)
class RecoveringPolicy:
    """A task policy and one that gets up, of the same robot.

    Raises:
        ContractError: they are not told the same of the robot.
    """

    policy: AnyPolicy
    """Does the task."""
    getup: GetupPolicy
    """Gets up."""

    def __post_init__(self) -> None:
        """Checks that they fit. How noisy sensors are thought to be need not be the same."""
        mine, other = self.policy.contract.without_noise(), self.getup.contract.without_noise()
        mine.require_same(other, "the policy that gets up")

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.policy.task

    @property
    def task_size(self) -> int:
        """Length of the "task" observation."""
        return self.policy.task_size

    @property
    def contract(self) -> ObservationContract:
        """What both are told of the robot."""
        return self.policy.contract

    @property
    def robot(self) -> str:
        """Name of the robot."""
        return self.policy.robot

    @property
    def agent(self) -> RecoveringAgent:
        """Does the task, or gets up."""
        return RecoveringAgent(
            agent=self.policy.agent,
            getup=self.getup.frozen,
            config=self.getup.getup,
            contract=self.contract,
        )

    @property
    def params(self) -> dict[str, Any]:
        """The task agent's weights."""
        return self.policy.params

    @property
    def config(self) -> dict[str, Any]:
        """Settings of the task."""
        return self.policy.config

    @property
    def summary(self) -> dict[str, Any]:
        """How both were trained."""
        return {**self.policy.summary, "getup": self.getup.summary}
