"""Training the walking policy on a frozen skill module."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from legged_skills.mocap.clip import RobotClip
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.gap import load_gap
from legged_skills.sim2real.reality import simulate
from legged_skills.skill_module import training
from legged_skills.skill_module.matching import FreeConfig
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.training import Result
from legged_skills.tasks.clip_commands import ClipCommandConfig, learn_clip_commands
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.reuse import PolicyArchitecture
from legged_skills.tasks.train_policy import (
    PolicyTrainingConfig,
    train_policy,
    without_critic,
)
from legged_skills.tasks.walk import COMMAND_SIZE, WalkConfig, WalkEnv

CLIPS_FOLDER = "clips"
"""Going as the clips go is learned in this folder of the walk's."""


@dataclass(frozen=True, kw_only=True)
class WalkTrainingConfig(PolicyTrainingConfig):
    """All settings of the walking policy's training."""

    walk: WalkConfig = field(default_factory=WalkConfig)
    """The task."""
    architecture: PolicyArchitecture = field(
        default_factory=lambda: PolicyArchitecture(trim_steps=60.0)
    )
    """Sizes of the networks."""
    clip_commands: ClipCommandConfig = field(default_factory=ClipCommandConfig)
    """Whether the policy first learns to go as the clips go."""

    @property
    def clip_steps(self) -> int:
        """Control steps of going as the clips go."""
        return self.clip_commands.steps


_BASE = WalkTrainingConfig()

RECIPES: Mapping[str, WalkTrainingConfig] = {
    "anymal_c": replace(
        _BASE,
        # Not to the end of what the reward can give: the longer it is trained, the higher it walks,
        # until it is above the clips.
        run=replace(_BASE.run, total_steps=4_000_000, settle_share=0.4),
        ppo=replace(_BASE.ppo, learning_rate=5e-4, max_learning_rate=5e-4),
        walk=WalkConfig(stand_share=0.15),
        # The prior of the module forgets more quickly.
        architecture=replace(_BASE.architecture, trim_steps=125.0, alpha=0.95),
        policy_trim_steps=60.0,
        clip_commands=ClipCommandConfig(steps=1_000_000),
    ),
    # Most of it is learned from the clips; PPO makes it more exact, and surer on its feet.
    "op3": replace(
        _BASE,
        # Whoever lags is not waited for: it learns what brings it to the pace that it is told.
        clip_commands=ClipCommandConfig(steps=4_200_000, free=FreeConfig(share=0.1)),
        run=replace(_BASE.run, total_steps=2_000_000, critic_share=0.15),
        # Long stretches and small steps: pushes are many, and falls seldom teach anything.
        ppo=replace(
            _BASE.ppo,
            steps=96,
            epochs=2,
            minibatches=8,
            gamma=0.985,
            learning_rate=1e-4,
            max_learning_rate=1e-4,
            target_kl=0.01,
            kl_weight=1e-3,
        ),
        architecture=replace(
            _BASE.architecture, clock_s=0.75, correction_std=0.3, correction_noise=0.1
        ),
        walk=WalkConfig(
            # Wider than what is asked of it: it is told more where it is slow.
            vx_range=(-0.15, 0.42),
            vy_range=(-0.15, 0.15),
            yaw_range=(-0.9, 0.9),
            velocity_kernel_mps=0.05,
            average_s=0.75,
            zero_share=0.3,
            fall_cost=50.0,
        ),
        gap_factor=1.0,
        gap_ramp_share=0.0,
    ),
}
"""By robot: the settings of the walk that comes with the package."""


def make_env(spec: RobotSpec, module: SkillModule, config: WalkTrainingConfig) -> WalkEnv:
    """The environments the policy is trained in."""
    gap = config.training_gap(spec.name)
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
    clips: Sequence[RobotClip] = (),
) -> Result:
    """Trains a velocity-commanded walk on the frozen decoder, and writes ``out``/walk.npz.

    Args:
        spec: the robot.
        module: its skill module.
        config: all settings.
        out: folder of the run; see ``train_policy``, also for the errors.
        start: a policy to begin with, on the same skill module.
        clips: what the module was trained on, if the policy shall first learn to go as they do,
            in ``out``/clips.
    """
    # What cannot be trained is refused before anything is.
    training.count_iterations(config.ppo, config.run)
    env, initial, first = make_env(spec, module, config), None, config.clip_commands
    if config.clip_steps and start is None:
        gap = load_gap(config.gap, spec.name)
        where = Path(out) / CLIPS_FOLDER
        done = learn_clip_commands(
            spec,
            module,
            clips,
            config.architecture,
            first,
            config.run,
            gap,
            where,
            config.noise_scale,
        )
        if not done.finished or done.interrupted:
            return done
        initial = without_critic(done)
        config = replace(config, run=training.after(config.run, done.seconds))
    told = None if initial is None else asdict(first)
    return train_policy(
        "walk", env, COMMAND_SIZE, settings(env), module, config, out, start, initial, told
    )
