"""Training the dribbling policy on a frozen skill module."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from legged_skills.robots.ball import BALLS
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.ball_gap import BALL_GAPS
from legged_skills.sim2real.gap import load_gap
from legged_skills.sim2real.reality import simulate
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.ppo import PpoConfig
from legged_skills.skill_module.training import Result
from legged_skills.tasks.dribble import DribbleEnv
from legged_skills.tasks.dribble_config import TASK_SIZE, DribbleConfig
from legged_skills.tasks.learn_chase import ChaseConfig, learn_chase
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.train_policy import (
    PolicyTrainingConfig,
    check_start,
    train_policy,
    widened,
    without_critic,
)
from legged_skills.tasks.walk_to_ball import walk_to_ball

CHASE_FOLDER = "chase"
"""Chasing is learned in this folder of the dribbling's."""


@dataclass(frozen=True, kw_only=True)
class DribbleTrainingConfig(PolicyTrainingConfig):
    """All settings of the dribbling policy's training."""

    # The KL's weight in reuse is that of Bohez et al. 2022. It takes seconds until a step towards
    # the ball pays, which is why the discount looks farther than that of walking.
    ppo: PpoConfig = field(
        default_factory=lambda: PpoConfig(epochs=3, gamma=0.995, kl_weight=1e-2, target_kl=0.02)
    )
    """Settings of PPO."""
    dribble: DribbleConfig = field(default_factory=DribbleConfig)
    """The task."""
    chase: ChaseConfig = field(default_factory=ChaseConfig)
    """Whether a policy that begins with a walk first learns to chase the ball."""


def make_env(spec: RobotSpec, module: SkillModule, config: DribbleTrainingConfig) -> DribbleEnv:
    """The environments the policy is trained in."""
    gap = widened(load_gap(config.gap, spec.name, BALL_GAPS), config)
    return DribbleEnv(
        simulate(spec, config.run.num_envs, config.run.num_threads, gap, BALLS[spec.name]),
        module.contract,
        config.dribble,
        seed=config.run.seed,
        noise_scale=config.noise_scale,
        gap=gap,
        level=0.0,
        progress=0.0,
    )


def settings(env: DribbleEnv) -> dict[str, Any]:
    """Settings of the task with the robot's own in place of None, as plain values."""
    return asdict(env.config) | asdict(env.sizes)


def train_dribble(
    spec: RobotSpec,
    module: SkillModule,
    config: DribbleTrainingConfig,
    out: str | Path,
    start: TaskPolicy | None = None,
) -> Result:
    """Trains dribbling on the frozen decoder, and writes ``out``/dribble.npz.

    Args:
        spec: the robot.
        module: its skill module.
        config: all settings.
        out: folder of the run; see ``train_policy``, also for the errors.
        start: a policy to begin with, on the same skill module; with a walking policy, dribbling
            begins by chasing the ball, which is learned in ``out``/chase, or by walking to it.
    """
    env, initial, told = make_env(spec, module, config), None, None
    if start is not None and start.task == "walk":
        start, walk = walk_to_ball(start, env.sizes), start
        if config.chase.steps:
            check_start(start, "dribble", module, config.architecture)
            done = learn_chase(
                walk,
                module,
                config.dribble,
                config.architecture,
                config.chase,
                config.run,
                load_gap(config.gap, spec.name, BALL_GAPS),
                Path(out) / CHASE_FOLDER,
            )
            if not done.finished or done.interrupted:
                return done
            start, initial, told = None, without_critic(done), asdict(config.chase)
    return train_policy(
        "dribble", env, TASK_SIZE, settings(env), module, config, out, start, initial, told
    )
