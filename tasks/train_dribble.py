"""Training the dribbling policy on a frozen skill module."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from legged_skills.robots.ball import BALLS
from legged_skills.robots.errors import ContractError
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.ball_gap import BALL_GAPS
from legged_skills.sim2real.reality import simulate
from legged_skills.skill_module import training
from legged_skills.skill_module.agents import Params
from legged_skills.skill_module.digests import weights_digest
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.ppo import PpoConfig
from legged_skills.skill_module.training import Result, RunConfig, require_same_networks
from legged_skills.tasks.ball_tracker import ball_tracker
from legged_skills.tasks.chase import CHASES
from legged_skills.tasks.commander import CommanderArchitecture, FrozenWalk
from legged_skills.tasks.commander_file import AnyPolicy, CommanderPolicy
from legged_skills.tasks.dribble import DribbleEnv
from legged_skills.tasks.dribble_config import TASK_SIZE, DribbleConfig
from legged_skills.tasks.learn_chase import ChaseConfig, learn_chase
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.train_commander import (
    commander_identity,
    make_commander,
    train_commander,
)
from legged_skills.tasks.train_policy import (
    PolicyTrainingConfig,
    train_policy,
    without_critic,
)

CHASE_FOLDER = "chase"
"""Chasing is learned in this folder of the dribbling's."""


@dataclass(frozen=True, kw_only=True)
class DribbleTrainingConfig(PolicyTrainingConfig):
    """All settings of the dribbling policy's training."""

    # The KL's weight in reuse is that of Bohez et al. 2022. It takes seconds until a step towards
    # the ball pays, which is why the discount looks farther than that of walking. What it begins
    # with would be lost by the first steps if they were larger.
    ppo: PpoConfig = field(
        default_factory=lambda: PpoConfig(
            epochs=3, gamma=0.995, kl_weight=1e-2, target_kl=0.02, learning_rate=1e-4
        )
    )
    """Settings of PPO."""
    dribble: DribbleConfig = field(default_factory=DribbleConfig)
    """The task."""
    commander: CommanderArchitecture = field(default_factory=CommanderArchitecture)
    """Sizes of a policy that commands a walk, in the place of ``architecture``."""
    chase: ChaseConfig = field(default_factory=ChaseConfig)
    """How it begins."""


def make_env(spec: RobotSpec, module: SkillModule, config: DribbleTrainingConfig) -> DribbleEnv:
    """The environments the policy is trained in."""
    gap = config.training_gap(spec.name, BALL_GAPS)
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
    start: AnyPolicy | None = None,
) -> Result:
    """Trains dribbling on the frozen decoder, and writes ``out``/dribble.npz.

    Args:
        spec: the robot.
        module: its skill module.
        config: all settings.
        out: folder of the run; see ``train_policy``, also for the errors.
        start: a policy on the same skill module. With one that dribbles, training goes on with it;
            one that walks is commanded, which is learned in ``out``/chase first.
    """
    if isinstance(start, CommanderPolicy):
        _check_begun(start, config.commander)
        return _train_commander(spec, module, config, Path(out), start.walk, start)
    if start is not None and start.task == "walk":
        return _train_commander(spec, module, config, Path(out), start)
    env = make_env(spec, module, config)
    return train_policy("dribble", env, TASK_SIZE, settings(env), module, config, out, start)


def _train_commander(
    spec: RobotSpec,
    module: SkillModule,
    config: DribbleTrainingConfig,
    out: Path,
    walk: TaskPolicy,
    begun: CommanderPolicy | None = None,
) -> Result:
    """A commander of a walk, which first learns to chase, or one that is gone on with."""
    module.contract.require_same(walk.contract, "the walk to command")
    if not walk.decoder.is_of(module):
        raise ContractError("the walk to command is on other skills.")
    env = make_env(spec, module, config)
    tracker = ball_tracker(module.contract, env.sizes)
    agent = make_commander(env, TASK_SIZE, FrozenWalk.of(walk), tracker, config.commander)
    identity = commander_identity("dribble", env, settings(env), walk, config.commander) | {
        "noise_scale": config.noise_scale,
        "chase": asdict(config.chase) if begun is None else None,
        "start": None if begun is None else weights_digest(begun.params),
    }
    initial: Params | None = None
    before: dict[str, Any] = {}
    if begun is not None:
        initial = training.to_begin_with(begun.params)
        before = {"start": begun.summary}
    elif config.chase.steps:
        run = config.run if config.chase.then_ppo else one_update(config.run, config.ppo)
        # What cannot be trained is refused before anything is.
        training.count_iterations(config.ppo, run)
        learned = learn_chase(agent, env, config.chase, config.run, out / CHASE_FOLDER, identity)
        if not learned.finished or learned.interrupted:
            return learned
        initial = without_critic(learned)
        done = {"steps": learned.steps, "seconds": learned.seconds}
        before = {"chase": asdict(config.chase) | done, "rules": asdict(CHASES[spec.name])}
        config = replace(config, run=training.after(run, learned.seconds))
        env = make_env(spec, module, config)  # as at the start, gap and all
    return train_commander(agent, env, settings(env), walk, config, out, identity, initial, before)


def one_update(run: RunConfig, ppo: PpoConfig) -> RunConfig:
    """A run of a single update, in which only the critic learns."""
    return replace(run, total_steps=run.num_envs * ppo.steps, critic_share=1.0)


def _check_begun(begun: CommanderPolicy, architecture: CommanderArchitecture) -> None:
    """Checks that a commander can be gone on with.

    Raises:
        ContractError: it is for another task, or has other networks.
    """
    what = "the policy to start from"
    if begun.task != "dribble":
        raise ContractError(f"{what} is for {begun.task}, expected dribble.")
    free = ("initial_std", "min_std", "persistence", "alpha")  # what has no weights
    require_same_networks(begun.architecture, architecture, what, free)
