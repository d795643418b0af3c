"""A dribbling policy to begin with: one that does what a walk does that chases the ball.

Nothing is learned of a ball that nobody touches. The walk, told by the rules of ``chase`` which way
to go, brings balls about; here a policy learns to say the latents that it would say, being told
nothing but what the camera says.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from legged_skills import robots
from legged_skills.robots.ball import BALLS
from legged_skills.sim2real.gap import Gap
from legged_skills.sim2real.reality import simulate
from legged_skills.skill_module import training
from legged_skills.skill_module.agents import Observations, Params
from legged_skills.skill_module.distil import DistilConfig
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.train import gap_json
from legged_skills.skill_module.training import Result, RunConfig
from legged_skills.tasks import imitate
from legged_skills.tasks.chase import CHASES, Chase, chase_command
from legged_skills.tasks.dribble import DribbleEnv
from legged_skills.tasks.dribble_config import TASK_SIZE, DribbleConfig
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.reuse import FrozenDecoder, PolicyArchitecture, ReuseAgent
from legged_skills.tasks.train_policy import make_agent
from legged_skills.tasks.walk import COMMAND_SCALE, Paces, WalkConfig
from legged_skills.tasks.walk_to_ball import walk_to_ball


@dataclass(frozen=True, kw_only=True)
class ChaseConfig:
    """Settings of learning to chase."""

    steps: int = 2_000_000
    """Control steps of it, before dribbling's own training, if that begins with a walk; 0 to begin
    by walking to the ball (``walk_to_ball``)."""
    learner: DistilConfig = field(default_factory=DistilConfig)
    """Settings of the learner."""


class ChaseEnv(DribbleEnv):
    """Robots that dribble; a further observation, "command", is what a chasing walk is told."""

    def __init__(self, chase: Chase, paces: Paces, *args: Any, **settings: Any) -> None:
        """Takes the rules, the paces of the walk, and what a ``DribbleEnv`` takes."""
        super().__init__(*args, **settings)
        self.chase, self.paces = chase, paces

    def observe(self) -> dict[str, np.ndarray]:
        """Present observations by group, (N, size) float32; copies."""
        command = chase_command(self.told(), self.chase, self.paces)
        return super().observe() | {"command": command * COMMAND_SCALE}


@dataclass(frozen=True)
class Chaser:
    """A teacher: a walk that is told what ``chase`` says.

    Attributes:
        walk: the walking policy's agent, without a trim.
    """

    walk: ReuseAgent

    def latent(self, params: Params, obs: Observations, record: Mapping[str, Array]) -> Array:
        """The mean of what the walk says."""
        return self.walk.mean(params, {**obs, "task": jnp.asarray(obs["command"])}, record)


def learn_chase(
    walk: TaskPolicy,
    module: SkillModule,
    task: DribbleConfig,
    architecture: PolicyArchitecture,
    config: ChaseConfig,
    run: RunConfig,
    gap: Gap | None,
    out: str | Path,
) -> Result:
    """Trains a dribbling policy that does what the walk does that chases the ball.

    Goes on from the checkpoint in ``out`` if there is one.

    Args:
        walk: the walking policy.
        module: the skill module that it is on.
        task: the dribbling task.
        architecture: sizes of the policy's networks: the walk's.
        config: settings.
        run: length, seed and so on; ``config.steps`` stands for its length.
        gap: what is between policy and physics, with a ball; None for nothing.
        out: folder of the run.

    Returns:
        The result; its learner's average holds the weights, the critic's are of no use.

    Raises:
        FileFormatError: a file cannot be written, or a checkpoint is damaged.
        ContractError: the checkpoint in ``out`` is of another robot, contract or configuration.
    """
    robot, chase = walk.robot, CHASES[walk.robot]
    env = ChaseEnv(
        chase,
        WalkConfig().paces(robot),
        simulate(robots.get(robot), run.num_envs, run.num_threads, gap, BALLS[robot]),
        module.contract,
        task,
        seed=run.seed,
        gap=gap,
        level=0.0,
        progress=0.0,
    )
    decoder = FrozenDecoder.of(module)
    agent = make_agent("dribble", env, TASK_SIZE, decoder, architecture)
    identity = {
        "task": "chase",
        "robot": robot,
        "contract_hash": module.contract.hash,
        "architecture": asdict(architecture),
        "chase": asdict(chase),
        "dribble": asdict(env.config) | asdict(env.sizes),
        "walk": walk.summary["steps"],
        "gap": gap_json(env.robots),
        "decoder": decoder.digest,
    }
    teacher = Chaser(replace(walk.agent, trim=None))
    length = replace(run, total_steps=config.steps)
    learn = partial(imitate.update, teacher, walk.params)
    initial = walk_to_ball(walk, env.sizes).params
    return training.train(
        agent, env, config.learner, length, out, identity, initial=initial, update=learn
    )
