"""Training the walking policy on a frozen skill module."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import jax
import numpy as np

from legged_skills.robots.errors import ContractError
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.gap import load_gap
from legged_skills.sim2real.reality import simulate
from legged_skills.skill_module import training
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.ppo import PpoConfig
from legged_skills.skill_module.train import gap_json
from legged_skills.skill_module.training import Result, RunConfig
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.reuse import FrozenDecoder, PolicyArchitecture, ReuseAgent, to_numpy
from legged_skills.tasks.walk import COMMAND_SIZE, WalkConfig, WalkEnv

POLICY_FILE = "walk.npz"


@dataclass(frozen=True, kw_only=True)
class WalkTrainingConfig:
    """All settings of the walking policy's training."""

    run: RunConfig = field(
        default_factory=lambda: RunConfig(total_steps=30_000_000, kl_ramp_share=0.1)
    )
    """Length, seed, number of environments."""
    ppo: PpoConfig = field(
        default_factory=lambda: PpoConfig(epochs=3, gamma=0.99, kl_weight=3e-3, target_kl=0.02)
    )
    """Settings of PPO."""
    architecture: PolicyArchitecture = field(default_factory=PolicyArchitecture)
    """Sizes of the networks."""
    walk: WalkConfig = field(default_factory=WalkConfig)
    """The task."""
    gap: str = "full"
    """What is between policy and physics: none, full, or a file of settings."""
    noise_scale: float = 0.0
    """Factor on the contract's sensor noise, if there is no gap."""


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


def train_walk(
    spec: RobotSpec,
    module: SkillModule,
    config: WalkTrainingConfig,
    out: str | Path,
    start: TaskPolicy | None = None,
) -> Result:
    """Trains a velocity-commanded walk on the frozen decoder, and writes ``out``/walk.npz.

    Goes on from the checkpoint in ``out`` if there is one.

    Args:
        spec: the robot.
        module: its skill module.
        config: all settings.
        out: folder of the run.
        start: a policy to begin with, on the same skill module.

    Raises:
        FileFormatError: a file cannot be written, or a checkpoint is damaged.
        ContractError: the checkpoint in ``out`` is of another robot, contract or configuration.
    """
    env = make_env(spec, module, config)
    decoder = FrozenDecoder.of(module)
    agent = ReuseAgent(config.architecture, decoder, COMMAND_SIZE, env.privileged_size)
    if start is not None:
        module.contract.require_same(start.contract, "the policy to start from")
        explores = {name: getattr(config.architecture, name) for name in ("initial_std", "min_std")}
        like = replace(start.architecture, **explores)
        if like != config.architecture or not _same(start.decoder, decoder):
            raise ContractError("the policy to start from has other networks or skills.")
    identity = {
        "task": "walk",
        "robot": spec.name,
        "contract_hash": module.contract.hash,
        "architecture": asdict(config.architecture),
        "walk": asdict(config.walk),
        "noise_scale": config.noise_scale,
        "gap": gap_json(env.robots),
        "start": None if start is None else start.summary["steps"],
        "skill_steps": module.summary["steps"],
        "skill_seed": module.summary["seed"],
    }

    def write_policy(result: Result) -> None:
        TaskPolicy(
            task="walk",
            contract=module.contract,
            task_size=COMMAND_SIZE,
            architecture=config.architecture,
            decoder=decoder,
            params=to_numpy(result.learner.average),
            config=asdict(config.walk),
            summary=training.summary(result, config.run, config.ppo)
            | {
                "skills": module.summary,
                "gap": identity["gap"],
                "start": None if start is None else start.summary,
            },
        ).save(Path(out) / POLICY_FILE)

    initial = None if start is None else start.params
    return training.train(
        agent, env, config.ppo, config.run, out, identity, write_policy, initial=initial
    )


def _same(one: FrozenDecoder, other: FrozenDecoder) -> bool:
    """Whether two decoders are the same function."""
    weights = [jax.tree.leaves(decoder.params) for decoder in (one, other)]
    return len(weights[0]) == len(weights[1]) and all(
        np.array_equal(a, b) for a, b in zip(*weights, strict=True)
    )
