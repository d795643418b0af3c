"""Commands to begin with: a commander that chases the ball by the rules of ``chase``.

Nothing is learned of a ball that nobody touches, and a robot that tries out random ways walks off.
The rules bring balls about; here a commander learns to command what they do, and goes on from
there.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from jax import Array

from legged_skills.skill_module import training
from legged_skills.skill_module.agents import Observations, Params
from legged_skills.skill_module.distil import TeachingConfig
from legged_skills.skill_module.training import Result, RunConfig
from legged_skills.tasks import imitate
from legged_skills.tasks.chase import CHASES, Chase, chase_command
from legged_skills.tasks.commander import CommanderAgent, FrozenWalk
from legged_skills.tasks.dribble import DribbleEnv


@dataclass(frozen=True, kw_only=True)
class ChaseConfig:
    """Settings of learning to chase."""

    steps: int = 2_500_000
    """Control steps of it, before dribbling's own training; 0 for none."""
    then_ppo: bool = False
    """Whether PPO goes on with it, for as long as the run says. It has made nothing better so far;
    without it only a critic is learned, by one update."""
    learner: TeachingConfig = field(default_factory=lambda: TeachingConfig(epochs=6, minibatches=8))
    """Settings of the learner: it takes many steps until the rules' edges are sharp."""


@dataclass(frozen=True)
class Rules:
    """A teacher: it asks for what the rules would, given what the pupil knows.

    Attributes:
        walk: what is commanded.
        chase: the rules.
    """

    walk: FrozenWalk
    chase: Chase

    def latent(self, params: Params, obs: Observations, record: Mapping[str, Array]) -> Array:
        """(T, N, 3) the commands."""
        del params, obs
        known = record["tracked"]
        velocity = chase_command(known.reshape(-1, known.shape[-1]), self.chase, self.walk.paces)
        return self.walk.command(velocity).reshape(*known.shape[:-1], -1)


def learn_chase(
    agent: CommanderAgent,
    env: DribbleEnv,
    config: ChaseConfig,
    run: RunConfig,
    out: str | Path,
    identity: Mapping[str, Any],
) -> Result:
    """Trains a commander that does what the rules do; goes on from the checkpoint in ``out``.

    Args:
        agent: the commander.
        env: where.
        config: settings.
        run: seed and so on; ``config.steps`` stands for its length.
        out: folder of the run.
        identity: what a checkpoint must share with dribbling's own training.

    Returns:
        The result; its learner's average holds the weights, the critic's are of no use.

    Raises:
        FileFormatError: a file cannot be written, or a checkpoint is damaged.
        ContractError: the checkpoint in ``out`` is of another robot, contract or configuration.
        SettingsError: there are fewer steps than one iteration has, or what it collects cannot be
            cut into minibatches.
        TrainingError: weights became infinite, or no numbers; the checkpoint before stays.
    """
    robot = env.spec.name
    rules = Rules(agent.walk, CHASES[robot])
    known = {**identity, "task": "chase", "rules": asdict(rules.chase)}
    length = replace(run, total_steps=config.steps)
    learn = partial(imitate.update, rules, {})
    return training.train(agent, env, config.learner, length, out, known, update=learn)
