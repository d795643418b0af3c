"""Untrained weights as files: a robot that holds its default pose. Physics that diverge."""

import itertools
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.mocap.clip import RobotClip
from legged_skills.robots.contract import proprioception
from legged_skills.sim2real.sensed_robot import SensedRobots
from legged_skills.skill_module.agents import Architecture, ImitationAgent
from legged_skills.skill_module.imitation import ImitationConfig, privileged_size
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.rollout import act
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


@pytest.fixture
def diverge(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets the physics of the first robot diverge in a control step, counted from now."""

    def diverge(at_step: int) -> None:
        step, count = SensedRobots.step_targets, itertools.count()

        def with_nan(robots: SensedRobots, targets: np.ndarray) -> np.ndarray:
            if next(count) == at_step:
                robots.sim.qvel[0] = np.nan
            return step(robots, targets)

        monkeypatch.setattr(SensedRobots, "step_targets", with_nan)

    return diverge


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch) -> Callable[[ModuleType], Callable[[int], list[int]]]:
    """Of an evaluation that is to come: into which steps a robot's policy carries nothing."""

    def anew(evaluation: ModuleType) -> Callable[[int], list[int]]:
        carried: list[np.ndarray] = []

        def noted(agent: Any, params: Any, obs: Any, z: np.ndarray, *rest: Any, **more: Any) -> Any:
            carried.append(z.copy())
            return act(agent, params, obs, z, *rest, **more)

        monkeypatch.setattr(evaluation, "act", noted)
        return lambda robot: [step for step, z in enumerate(carried) if not z[robot].any()]

    return anew
