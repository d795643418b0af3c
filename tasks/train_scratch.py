"""Training a task policy from scratch: all as in ``train_policy``, but for the skill module."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from legged_skills.skill_module import training
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.symmetry import Symmetry
from legged_skills.skill_module.train import gap_json
from legged_skills.skill_module.training import Result
from legged_skills.tasks.reuse import to_numpy
from legged_skills.tasks.scratch import ScratchAgent, ScratchArchitecture, scratch_equivariance
from legged_skills.tasks.scratch_file import ScratchPolicy
from legged_skills.tasks.train_policy import PolicyTrainingConfig, TaskEnvironment
from legged_skills.tasks.trim import velocity_trim


def train_scratch(
    task: str,
    env: TaskEnvironment,
    task_size: int,
    settings: Mapping[str, Any],
    module: SkillModule,
    config: PolicyTrainingConfig,
    out: str | Path,
) -> Result:
    """Trains a policy without skills, and writes ``out``/TASK.npz.

    Goes on from the checkpoint in ``out`` if there is one.

    Args:
        task: name of the task.
        env: its environments, with the module's contract.
        task_size: length of their "task" observation.
        settings: of the task, as plain dicts, lists, numbers and strings; part of the policy.
        module: the skill module to compare with; only its sizes count.
        config: all other settings, as for the policy on the module; there is no divergence from a
            prior, so that its weight has no effect.
        out: folder of the run.

    Raises:
        FileFormatError: a file cannot be written, or a checkpoint is damaged.
        ContractError: the checkpoint in ``out`` is of another robot, contract or configuration.
        SettingsError: there are fewer steps than one iteration has, or what it collects cannot be
            cut into minibatches.
        TrainingError: weights became infinite, or no numbers; the checkpoint before stays.
    """
    contract = env.robots.contract
    architecture = ScratchArchitecture.like(config.architecture, module.architecture)
    written = ScratchArchitecture.like(config.policy_architecture, module.architecture)
    agent = make_agent(task, env, task_size, architecture)
    identity = {
        "task": f"{task} from scratch",
        "robot": contract.robot,
        "contract_hash": contract.hash,
        "architecture": asdict(architecture),
        task: dict(settings),
        "noise_scale": config.noise_scale,
        "gap": gap_json(env.robots),
    }

    def write_policy(result: Result) -> None:
        ScratchPolicy(
            task=task,
            contract=contract,
            task_size=task_size,
            architecture=written,
            params=to_numpy(result.learner.average),
            config=dict(settings),
            summary=training.summary(result, config.run, config.ppo) | {"gap": identity["gap"]},
        ).save(Path(out) / f"{task}.npz")

    return training.train(agent, env, config.ppo, config.run, out, identity, write_policy)


def make_agent(
    task_name: str, env: TaskEnvironment, task_size: int, architecture: ScratchArchitecture
) -> ScratchAgent:
    """The agent for an environment of a task."""
    spec, contract = env.robots.spec, env.robots.contract
    symmetry = Symmetry(spec)
    task, privileged = env.mirrored(symmetry)
    return ScratchAgent(
        architecture,
        contract.size,
        env.privileged_size,
        spec.num_joints,
        scratch_equivariance(
            symmetry, architecture, symmetry.proprioception(contract), task, privileged
        ),
        task_size=task_size,
        trim=velocity_trim(task_name, contract, architecture.trim_steps, architecture.memory_steps),
    )
