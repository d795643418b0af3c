"""Untrained weights as files: a robot that holds its default pose."""

from pathlib import Path

import jax
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.mocap.clip import RobotClip
from legged_skills.robots.contract import proprioception
from legged_skills.skill_module.agents import Architecture, ImitationAgent
from legged_skills.skill_module.imitation import ImitationConfig, privileged_size
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.reuse import FrozenDecoder, PolicyArchitecture, ReuseAgent

SUMMARY = {"steps": 1_500_000, "seconds": 240.0, "seed": 7, "finished": True, "versions": {}}


@pytest.fixture(scope="session")
def still_module() -> SkillModule:
    """A skill module whose decoder says zero."""
    spec = robots.get("anymal_c")
    contract, imitation = proprioception(spec), ImitationConfig()
    sizes = Architecture(
        latent_size=4, encoder_hidden=(8,), decoder_hidden=(8,), critic_hidden=(8,)
    )
    agent = ImitationAgent(sizes, contract.size, privileged_size(spec, contract, imitation), 12)
    params = jax.tree.map(np.array, agent.init(jax.random.key(0)))
    params["decoder"] = jax.tree.map(np.zeros_like, params["decoder"])
    return SkillModule(
        contract=contract,
        architecture=sizes,
        imitation=imitation,
        params=params,
        clips=("wiggle",),
        summary=SUMMARY,
    )


@pytest.fixture(scope="session")
def still_policy(still_module: SkillModule) -> TaskPolicy:
    """A walking policy on that module."""
    decoder, sizes = FrozenDecoder.of(still_module), PolicyArchitecture(policy_hidden=(8,))
    params = ReuseAgent(sizes, decoder, 3, privileged_size=1).init(jax.random.key(1))
    return TaskPolicy(
        task="walk",
        contract=still_module.contract,
        task_size=3,
        architecture=sizes,
        decoder=decoder,
        params=jax.tree.map(np.asarray, params),
        config={},
        summary=SUMMARY,
    )


@pytest.fixture(scope="session")
def still_skills_file(still_module: SkillModule, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The skill module's file."""
    path = tmp_path_factory.mktemp("still") / "skills.npz"
    still_module.save(path)
    return path


@pytest.fixture(scope="session")
def still_policy_file(still_policy: TaskPolicy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The walking policy's file."""
    path = tmp_path_factory.mktemp("still") / "walk.npz"
    still_policy.save(path)
    return path


@pytest.fixture(scope="session")
def wiggle_file(wiggling_clip: RobotClip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared clip's file."""
    path = tmp_path_factory.mktemp("clips") / "wiggle.npz"
    wiggling_clip.save(path)
    return path
