"""Training the walking policy on a frozen skill module."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

from legged_skills.robots.simulation import BatchSim
from legged_skills.robots.spec import RobotSpec
from legged_skills.skill_module import training
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.ppo import PpoConfig
from legged_skills.skill_module.training import Result, RunConfig
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.reuse import FrozenDecoder, PolicyArchitecture, ReuseAgent, to_numpy
from legged_skills.tasks.walk import COMMAND_SIZE, WalkConfig, WalkEnv

POLICY_FILE = "walk.npz"


@dataclass(frozen=True, kw_only=True)
class WalkTrainingConfig:
    """All settings of the walking policy's training."""

    run: RunConfig = field(
        default_factory=lambda: RunConfig(total_steps=9_000_000, kl_ramp_share=0.2)
    )
    """Length, seed, number of environments."""
    ppo: PpoConfig = field(
        default_factory=lambda: PpoConfig(epochs=3, gamma=0.98, kl_weight=3e-3, target_kl=0.02)
    )
    """Settings of PPO."""
    architecture: PolicyArchitecture = field(default_factory=PolicyArchitecture)
    """Sizes of the networks."""
    walk: WalkConfig = field(default_factory=WalkConfig)
    """The task."""
    noise_scale: float = 0.0
    """Factor on the contract's sensor noise."""


def make_env(spec: RobotSpec, module: SkillModule, config: WalkTrainingConfig) -> WalkEnv:
    """The environments the policy is trained in."""
    return WalkEnv(
        BatchSim(spec, config.run.num_envs, config.run.num_threads),
        module.contract,
        config.walk,
        seed=config.run.seed,
        noise_scale=config.noise_scale,
    )


def train_walk(
    spec: RobotSpec, module: SkillModule, config: WalkTrainingConfig, out: str | Path
) -> Result:
    """Trains a velocity-commanded walk on the frozen decoder, and writes ``out``/walk.npz.

    Goes on from the checkpoint in ``out`` if there is one.

    Args:
        spec: the robot.
        module: its skill module.
        config: all settings.
        out: folder of the run.

    Raises:
        FileFormatError: a file cannot be written, or a checkpoint is damaged.
        ContractError: the checkpoint in ``out`` is of another robot, contract or configuration.
    """
    env = make_env(spec, module, config)
    decoder = FrozenDecoder.of(module)
    agent = ReuseAgent(config.architecture, decoder, COMMAND_SIZE, env.privileged_size)
    identity = {
        "task": "walk",
        "robot": spec.name,
        "contract_hash": module.contract.hash,
        "architecture": asdict(config.architecture),
        "walk": asdict(config.walk),
        "noise_scale": config.noise_scale,
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
            params=to_numpy(result.learner.params),
            config=asdict(config.walk),
            summary=training.summary(result, config.run, config.ppo) | {"skills": module.summary},
        ).save(Path(out) / POLICY_FILE)

    return training.train(agent, env, config.ppo, config.run, out, identity, write_policy)
