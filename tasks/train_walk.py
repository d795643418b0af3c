"""Training the walking policy on a frozen skill module."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.gap import load_gap
from legged_skills.sim2real.reality import simulate
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.training import Result
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.train_policy import PolicyTrainingConfig, train_policy
from legged_skills.tasks.walk import COMMAND_SIZE, WalkConfig, WalkEnv


@dataclass(frozen=True, kw_only=True)
class WalkTrainingConfig(PolicyTrainingConfig):
    """All settings of the walking policy's training."""

    walk: WalkConfig = field(default_factory=WalkConfig)
    """The task."""


def make_env(spec: RobotSpec, module: SkillModule, config: WalkTrainingConfig) -> WalkEnv:
    """The environments the policy is trained in."""
    gap = load_gap(config.gap, spec.name)
    return WalkEnv(
        simulate(spec, config.run.num_envs, config.run.num_threads, gap),
        module.contract,
        config.walk,
        seed=config.run.seed,
        noise_scale=config.noise_scale,
        gap=gap,
        level=0.0,
    )


def settings(env: WalkEnv) -> dict[str, Any]:
    """Settings of the task with the robot's own in place of None, as plain values."""
    return asdict(env.config) | asdict(env.paces)


def train_walk(
    spec: RobotSpec,
    module: SkillModule,
    config: WalkTrainingConfig,
    out: str | Path,
    start: TaskPolicy | None = None,
) -> Result:
    """Trains a velocity-commanded walk on the frozen decoder, and writes ``out``/walk.npz.

    Args:
        spec: the robot.
        module: its skill module.
        config: all settings.
        out: folder of the run; see ``train_policy``, also for the errors.
        start: a policy to begin with, on the same skill module.
    """
    env = make_env(spec, module, config)
    return train_policy("walk", env, COMMAND_SIZE, settings(env), module, config, out, start)
