"""Training a task policy on a frozen skill module, whatever the task."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from legged_skills.robots.errors import ContractError, require_at_least, require_not_negative
from legged_skills.sim2real.gap import GAPS, Gap, load_gap, widened
from legged_skills.sim2real.sensed_robot import SensedRobots
from legged_skills.skill_module import training
from legged_skills.skill_module.agents import Params
from legged_skills.skill_module.digests import weights_digest
from legged_skills.skill_module.environment import Environment
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.ppo import PpoConfig
from legged_skills.skill_module.symmetry import Representation, Symmetry
from legged_skills.skill_module.train import gap_json
from legged_skills.skill_module.training import Result, RunConfig
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.reuse import (
    FrozenDecoder,
    PolicyArchitecture,
    ReuseAgent,
    reuse_equivariance,
    to_numpy,
)
from legged_skills.tasks.stride_clock import stride_clock
from legged_skills.tasks.trim import velocity_trim


@dataclass(frozen=True, kw_only=True)
class PolicyTrainingConfig:
    """The settings that trainings of all tasks have in common."""

    run: RunConfig = field(
        default_factory=lambda: RunConfig(total_steps=8_000_000, kl_ramp_share=0.1)
    )
    """Length, seed, number of environments."""
    ppo: PpoConfig = field(
        default_factory=lambda: PpoConfig(epochs=3, gamma=0.99, kl_weight=1e-2, target_kl=0.02)
    )
    """Settings of PPO."""
    architecture: PolicyArchitecture = field(default_factory=PolicyArchitecture)
    """Sizes of the networks."""
    gap: str = "full"
    """What is between policy and physics: none, full, or a file of settings."""
    gap_factor: float = 1.2
    """Factor on the gap's ``training_level``: a policy is surer at the ends of the ranges if it has
    seen what is beyond them; but for delays of commands and sensors, which end where they do. What
    it learns from clips before is learned in the gap as it is."""
    gap_ramp_share: float | None = None
    """Share of the training over which the gap grows to its full width; by default the gap's own,
    as in what is learned from clips before. A policy that begins with what stands the gap would
    forget that where it is narrow at first."""
    noise_scale: float = 0.0
    """Factor on the contract's sensor noise, if there is no gap."""
    policy_trim_steps: float | None = None
    """Time constant of the integrator on a commanded velocity in the policy's file [control steps],
    which has no weights; by default as in training. A walk that was trained with a slow one stands
    stiller, and is more exact with a quicker one afterwards."""

    def __post_init__(self) -> None:
        """Checks what would show late, or never.

        Raises:
            SettingsError: a number is out of its range.
        """
        require_not_negative(self, "gap_factor", "noise_scale")
        if self.policy_trim_steps is not None:
            require_at_least(self, policy_trim_steps=0.0)

    @property
    def clip_steps(self) -> int:
        """Control steps of learning from clips, before there are returns."""
        return 0

    def training_gap(self, robot: str, gaps: Mapping[str, Gap] = GAPS) -> Gap | None:
        """The gap that a robot is trained under, wider than in tests; ``gaps``: the full ones."""
        return widened(load_gap(self.gap, robot, gaps), self.gap_factor, self.gap_ramp_share)

    @property
    def policy_architecture(self) -> PolicyArchitecture:
        """That of the policy's file."""
        if self.policy_trim_steps is None:
            return self.architecture
        return replace(self.architecture, trim_steps=self.policy_trim_steps)


class TaskEnvironment(Environment, Protocol):
    """An environment of a task."""

    robots: SensedRobots
    """The robots."""

    @property
    def privileged_size(self) -> int:
        """Length of a privileged observation."""
        ...

    def mirrored(self, symmetry: Symmetry) -> tuple[Representation, Representation]:
        """How "task" and "privileged" observations are mirrored."""
        ...


def train_policy(
    task: str,
    env: TaskEnvironment,
    task_size: int,
    settings: Mapping[str, Any],
    module: SkillModule,
    config: PolicyTrainingConfig,
    out: str | Path,
    start: TaskPolicy | None = None,
    initial: Params | None = None,
    initial_from: Mapping[str, Any] | None = None,
) -> Result:
    """Trains a policy on the frozen decoder, and writes ``out``/TASK.npz.

    Goes on from the checkpoint in ``out`` if there is one.

    Args:
        task: name of the task.
        env: its environments.
        task_size: length of their "task" observation.
        settings: of the task, as plain dicts, lists, numbers and strings; part of the policy.
        module: the robot's skill module.
        config: all other settings.
        out: folder of the run.
        start: a policy to begin with, of the same task, on the same skill module.
        initial: weights to begin with instead, by their name in the agent's.
        initial_from: the settings that gave them, as plain values.

    Raises:
        FileFormatError: a file cannot be written, or a checkpoint is damaged.
        ContractError: the checkpoint in ``out`` is of another robot, contract, configuration or
            decoder, or the policy to start from is on other skills.
        SettingsError: there are fewer steps than one iteration has, or what it collects cannot be
            cut into minibatches.
        TrainingError: weights became infinite, or no numbers; the checkpoint before stays.
    """
    decoder = FrozenDecoder.of(module)
    agent = make_agent(task, env, task_size, decoder, config.architecture)
    if start is not None:
        check_start(start, task, module, config.architecture)
    identity = {
        "task": task,
        "robot": module.contract.robot,
        "contract_hash": module.contract.hash,
        "architecture": asdict(config.architecture),
        task: dict(settings),
        "noise_scale": config.noise_scale,
        "gap": gap_json(env.robots),
        "start": None if start is None else weights_digest(start.params),
        "initial_from": None if initial_from is None else dict(initial_from),
        "decoder": decoder.digest,
        "alpha": decoder.alpha,
    }

    def write_policy(result: Result) -> None:
        TaskPolicy(
            task=task,
            contract=module.contract,
            task_size=task_size,
            architecture=config.policy_architecture,
            decoder=decoder,
            params=to_numpy(result.learner.average),
            config=dict(settings),
            summary=training.summary(result, config.run, config.ppo)
            | {
                "skills": module.summary,
                "gap": identity["gap"],
                "start": None if start is None else start.summary,
                "initial_from": identity["initial_from"],
            },
        ).save(Path(out) / f"{task}.npz")

    if start is not None:
        initial = training.to_begin_with(start.params)
    return training.train(
        agent, env, config.ppo, config.run, out, identity, write_policy, initial=initial
    )


def make_agent(
    task_name: str,
    env: TaskEnvironment,
    task_size: int,
    decoder: FrozenDecoder,
    architecture: PolicyArchitecture,
) -> ReuseAgent:
    """The agent for an environment of a task."""
    spec, contract = env.robots.spec, env.robots.contract
    symmetry = Symmetry(spec)
    task, privileged = env.mirrored(symmetry)
    equivariance = reuse_equivariance(
        symmetry,
        architecture,
        decoder.latent_size,
        symmetry.proprioception(contract),
        task,
        privileged,
    )
    trim = velocity_trim(task_name, contract, architecture.trim_steps, architecture.memory_steps)
    clock = stride_clock(task_name, contract.control_period_s, architecture.clock_s)
    return ReuseAgent(
        architecture, decoder, task_size, env.privileged_size, equivariance, trim, clock
    )


def check_start(
    start: TaskPolicy, task: str, module: SkillModule, architecture: PolicyArchitecture
) -> None:
    """Checks that a training can begin with a policy.

    Raises:
        ContractError: it has another task or contract, other networks or other skills.
    """
    what = "the policy to start from"
    if start.task != task:
        raise ContractError(f"{what} is for {start.task}, expected {task}.")
    module.contract.require_same(start.contract, what)
    # Exploration, what has no weights, and what begins with doing nothing.
    exploration = ("initial_std", "min_std", "correction_noise")
    free = (*exploration, "alpha", "initial_filter", "trim_steps")
    if not start.agent.corrects:
        free += ("correction_std", "correction_hidden")
    training.require_same_networks(start.architecture, architecture, what, free)
    if not start.decoder.is_of(module):
        raise ContractError(f"{what} is on other skills.")


def without_critic(result: Result) -> Params:
    """The weights of a training that taught no critic, to begin another one with."""
    return {name: part for name, part in result.learner.average.items() if name != "critic"}
