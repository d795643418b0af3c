"""Training a skill module from clips."""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np

from legged_skills.mocap.clip import RobotClip
from legged_skills.robots.contract import ObservationContract, proprioception
from legged_skills.robots.errors import ContractError
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.gap import load_gap
from legged_skills.sim2real.reality import simulate
from legged_skills.sim2real.sensed_robot import SensedRobots
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
        default_factory=lambda: PpoConfig(epochs=3, kl_weight=5e-3, target_kl=0.02)
    )
    """Settings of PPO."""
    architecture: Architecture = field(default_factory=Architecture)
    """Sizes of the networks."""
    imitation: ImitationConfig = field(default_factory=ImitationConfig)
    """The environment and its reward."""
    history: int = 8
    """Frames of proprioception the decoder sees: as long as the longest delays and more, so that it
    can tell how late it is."""
    mirrored: bool = True
    """Whether the left-right mirror images of the clips are tracked too."""
    front_back: bool = False
    """Whether the front-back mirror images are tracked too, which teach a quadruped to walk
    backwards."""
    gap: str = "full"
    """What is between policy and physics: none, full, or a file of settings."""
    noise_scale: float = 0.0
    """Factor on the contract's sensor noise, if there is no gap."""


def make_env(
    spec: RobotSpec, clips: Sequence[RobotClip], config: SkillTrainingConfig
) -> ImitationEnv:
    """The environments a skill module is trained in."""
    gap = load_gap(config.gap, spec.name)
    return ImitationEnv(
        simulate(spec, config.run.num_envs, config.run.num_threads, gap),
        proprioception(spec, config.history),
        build_reference(spec, clips, config.mirrored, config.front_back),
        config.imitation,
        seed=config.run.seed,
        noise_scale=config.noise_scale,
        gap=gap,
        level=0.0,
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
    spec: RobotSpec,
    clips: Sequence[RobotClip],
    config: SkillTrainingConfig,
    out: str | Path,
    start: SkillModule | None = None,
) -> Result:
    """Trains a skill module end to end by imitation, and writes it to ``out``/skills.npz.

    Goes on from the checkpoint in ``out`` if there is one.

    Args:
        spec: the robot.
        clips: what it shall learn to move like.
        config: all settings.
        out: folder of the run.
        start: a module whose encoder and decoder the training begins with, e.g. one that was
            trained without a gap. Its contract and architecture must be the same, but for noise,
            exploration, and a history that may be shorter.

    Raises:
        ClipError: the clips cannot be used.
        FileFormatError: a file cannot be written, or a checkpoint is damaged.
        ContractError: the checkpoint in ``out`` is of another robot, contract or configuration.
    """
    env = make_env(spec, clips, config)
    agent = make_agent(env, config.architecture)
    initial = None if start is None else begin_with(start, env.robots.contract, config)
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
        "gap": gap_json(env.robots),
        "start": None if start is None else start.summary,
    }

    def write_module(result: Result) -> None:
        params = jax.tree.map(np.asarray, result.learner.average)
        SkillModule(
            contract=env.robots.contract,
            architecture=config.architecture,
            imitation=config.imitation,
            params=params,
            clips=names,
            summary=training.summary(result, config.run, config.ppo)
            | {
                "mirrored": config.mirrored,
                "front_back": config.front_back,
                "gap": identity["gap"],
                "start": identity["start"],
            },
        ).save(Path(out) / MODULE_FILE)

    return training.train(
        agent, env, config.ppo, config.run, out, identity, write_module, initial=initial
    )


def begin_with(
    start: SkillModule, contract: ObservationContract, config: SkillTrainingConfig
) -> dict[str, Any]:
    """The weights of a module, for a contract with as much history or more.

    The decoder's weights on frames that it has not seen are zero: at first it does as before.
    """
    what = "the module to start from"
    frames, size = start.contract.history, contract.frame_size
    more = contract.history - frames
    silent = dataclasses.replace(contract, history=frames).without_noise()
    silent.require_same(start.contract.without_noise(), what)
    names = ("initial_action_std", "min_action_std")
    explores = {name: getattr(config.architecture, name) for name in names}
    like = dataclasses.replace(start.architecture, **explores)
    if like != config.architecture or more < 0:
        raise ContractError(
            f"{what} has {frames} frames and the architecture {start.architecture}, "
            f"expected at most {contract.history} and {config.architecture}."
        )
    first = start.params["decoder"]["Dense_0"]
    kernel = np.asarray(first["kernel"])
    older = np.zeros((more * size, kernel.shape[1]), kernel.dtype)
    decoder = start.params["decoder"] | {
        "Dense_0": first | {"kernel": np.concatenate([older, kernel])}
    }
    return start.params | {"decoder": decoder}


def gap_json(robots: SensedRobots) -> dict[str, Any] | None:
    """The gap that robots are under, as plain values, or None."""
    return None if robots.reality is None else robots.reality.gap.to_json()


def _digest(clip: RobotClip) -> str:
    parts = (np.float64(clip.fps), clip.qpos, clip.qvel)
    return hashlib.sha256(b"".join(np.ascontiguousarray(p).tobytes() for p in parts)).hexdigest()[
        :16
    ]
