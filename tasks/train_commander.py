"""Training a policy that commands a walk."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from legged_skills.skill_module import training
from legged_skills.skill_module.agents import Params
from legged_skills.skill_module.digests import weights_digest
from legged_skills.skill_module.symmetry import Symmetry
from legged_skills.skill_module.train import gap_json
from legged_skills.skill_module.training import Result
from legged_skills.tasks.ball_tracker import BallTracker
from legged_skills.tasks.commander import (
    CommanderAgent,
    CommanderArchitecture,
    FrozenWalk,
    commander_equivariance,
)
from legged_skills.tasks.commander_file import CommanderPolicy
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.reuse import to_numpy
from legged_skills.tasks.train_policy import PolicyTrainingConfig, TaskEnvironment


def make_commander(
    env: TaskEnvironment,
    task_size: int,
    walk: FrozenWalk,
    tracker: BallTracker,
    architecture: CommanderArchitecture,
) -> CommanderAgent:
    """The agent for an environment of a task."""
    symmetry = Symmetry(env.robots.spec)
    seen = symmetry.proprioception(env.robots.contract)
    equivariance = commander_equivariance(symmetry, architecture, seen, *env.mirrored(symmetry))
    return CommanderAgent(architecture, walk, tracker, task_size, env.privileged_size, equivariance)


def commander_identity(
    task: str,
    env: TaskEnvironment,
    settings: Mapping[str, Any],
    walk: TaskPolicy,
    architecture: CommanderArchitecture,
) -> dict[str, Any]:
    """What a checkpoint must share to be gone on with."""
    return {
        "task": task,
        "robot": walk.robot,
        "contract_hash": walk.contract.hash,
        "architecture": asdict(architecture),
        task: dict(settings),
        "gap": gap_json(env.robots),
        "walk": weights_digest(walk.params),
        "decoder": walk.decoder.digest,
    }


def train_commander(
    agent: CommanderAgent,
    env: TaskEnvironment,
    settings: Mapping[str, Any],
    walk: TaskPolicy,
    config: PolicyTrainingConfig,
    out: str | Path,
    identity: Mapping[str, Any],
    initial: Params | None = None,
    before: Mapping[str, Any] | None = None,
) -> Result:
    """Trains a commander, and writes ``out``/TASK.npz; goes on from the checkpoint in ``out``.

    Args:
        agent: the commander.
        env: the environments of the task.
        settings: of the task, as plain values; part of the policy.
        walk: the walk that is commanded.
        config: all other settings.
        out: folder of the run.
        identity: as ``commander_identity`` gives it, with what else decides the result.
        initial: weights to begin with, by their name in the agent's; None for random ones.
        before: what the policy's summary says of how these were learned.

    Raises:
        FileFormatError: a file cannot be written, or a checkpoint is damaged.
        ContractError: the checkpoint in ``out`` is of another robot, contract or configuration.
        SettingsError: there are fewer steps than one iteration has, or what it collects cannot be
            cut into minibatches.
        TrainingError: weights became infinite, or no numbers; the checkpoint before stays.
    """
    task = str(identity["task"])

    def write_policy(result: Result) -> None:
        CommanderPolicy(
            task=task,
            task_size=agent.task_size,
            architecture=agent.architecture,
            walk=walk,
            params=to_numpy(result.learner.average),
            config=dict(settings),
            summary=training.summary(result, config.run, config.ppo)
            | {"gap": identity["gap"], **(before or {})},
        ).save(Path(out) / f"{task}.npz")

    return training.train(
        agent, env, config.ppo, config.run, out, identity, write_policy, initial=initial
    )
