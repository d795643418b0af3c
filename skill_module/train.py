"""Training a skill module from clips."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import jax
import numpy as np

from legged_skills.mocap.clip import RobotClip
from legged_skills.robots.contract import proprioception
from legged_skills.robots.simulation import BatchSim
from legged_skills.robots.spec import RobotSpec
from legged_skills.skill_module import training
from legged_skills.skill_module.agents import Architecture, ImitationAgent
from legged_skills.skill_module.imitation import ImitationConfig, ImitationEnv
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.ppo import PpoConfig
from legged_skills.skill_module.reference import build_reference
from legged_skills.skill_module.training import Result, RunConfig

MODULE_FILE = "skills.npz"


@dataclass(frozen=True, kw_only=True)
class SkillTrainingConfig:
    """All settings of a skill module's training."""

    run: RunConfig = field(
        default_factory=lambda: RunConfig(total_steps=20_000_000, kl_ramp_share=0.6)
    )
    """Length, seed, number of environments."""
    ppo: PpoConfig = field(
        default_factory=lambda: PpoConfig(epochs=3, kl_weight=2e-2, target_kl=0.02)
    )
    """Settings of PPO."""
    architecture: Architecture = field(default_factory=Architecture)
    """Sizes of the networks."""
    imitation: ImitationConfig = field(default_factory=ImitationConfig)
    """The environment and its reward."""
    history: int = 3
    """Frames of proprioception the decoder sees."""
    mirrored: bool = True
    """Whether the left-right mirror images of the clips are tracked too."""
    front_back: bool = False
    """Whether the front-back mirror images are tracked too, which teach a quadruped to walk
    backwards."""
    noise_scale: float = 0.0
    """Factor on the contract's sensor noise."""


def make_env(
    spec: RobotSpec, clips: Sequence[RobotClip], config: SkillTrainingConfig
) -> ImitationEnv:
    """The environments a skill module is trained in."""
    return ImitationEnv(
        BatchSim(spec, config.run.num_envs, config.run.num_threads),
        proprioception(spec, config.history),
        build_reference(spec, clips, config.mirrored, config.front_back),
        config.imitation,
        seed=config.run.seed,
        noise_scale=config.noise_scale,
    )


def make_agent(env: ImitationEnv, architecture: Architecture) -> ImitationAgent:
    """The agent for an environment: all sizes come from there."""
    return ImitationAgent(
        architecture=architecture,
        proprioception_size=env.robots.contract.size,
        privileged_size=env.privileged_size,
        action_size=env.spec.num_joints,
    )


def train_skills(
    spec: RobotSpec, clips: Sequence[RobotClip], config: SkillTrainingConfig, out: str | Path
) -> Result:
    """Trains a skill module end to end by imitation, and writes it to ``out``/skills.npz.

    Goes on from the checkpoint in ``out`` if there is one.

    Args:
        spec: the robot.
        clips: what it shall learn to move like.
        config: all settings.
        out: folder of the run.

    Raises:
        ClipError: the clips cannot be used.
        FileFormatError: a file cannot be written, or a checkpoint is damaged.
        ContractError: the checkpoint in ``out`` is of another robot, contract or configuration.
    """
    env = make_env(spec, clips, config)
    agent = make_agent(env, config.architecture)
    names = tuple(Path(clip.name).stem for clip in clips)
    identity = {
        "task": "skills",
        "robot": spec.name,
        "contract_hash": env.robots.contract.hash,
        # By content too: other motions under the same name are another training.
        "clips": {name: _digest(clip) for name, clip in zip(names, clips, strict=True)},
        "architecture": asdict(config.architecture),
        "imitation": asdict(config.imitation),
        "mirrored": config.mirrored,
        "front_back": config.front_back,
        "noise_scale": config.noise_scale,
    }

    def write_module(result: Result) -> None:
        params = jax.tree.map(np.asarray, result.learner.params)
        SkillModule(
            contract=env.robots.contract,
            architecture=config.architecture,
            imitation=config.imitation,
            params=params,
            clips=names,
            summary=training.summary(result, config.run, config.ppo)
            | {"mirrored": config.mirrored, "front_back": config.front_back},
        ).save(Path(out) / MODULE_FILE)

    return training.train(agent, env, config.ppo, config.run, out, identity, write_module)


def _digest(clip: RobotClip) -> str:
    parts = (np.float64(clip.fps), clip.qpos, clip.qvel)
    return hashlib.sha256(b"".join(np.ascontiguousarray(p).tobytes() for p in parts)).hexdigest()[
        :16
    ]
