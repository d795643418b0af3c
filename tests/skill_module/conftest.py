"""Skill modules that need no training."""

from collections.abc import Callable

import jax
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.contract import proprioception
from legged_skills.skill_module.agents import Architecture, ImitationAgent
from legged_skills.skill_module.imitation import ImitationConfig, privileged_size
from legged_skills.skill_module.module_file import SkillModule


@pytest.fixture(scope="session")
def constant_module() -> Callable[[float], SkillModule]:
    """Makes a module of ANYmal whose decoder says the same number for every joint, always.

    Its latent has four dimensions, and its encoder adds nothing to the prior's mean.
    """
    spec = robots.get("anymal_c")
    contract, imitation = proprioception(spec), ImitationConfig()
    sizes = Architecture(
        latent_size=4, encoder_hidden=(8,), decoder_hidden=(8,), critic_hidden=(8,)
    )
    agent = ImitationAgent(sizes, contract.size, privileged_size(spec, contract, imitation), 12)
    shapes = jax.eval_shape(agent.init, jax.random.key(0))

    def make(action: float) -> SkillModule:
        # Drawn weights would take seconds.
        params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
        params["decoder"]["Dense_1"]["bias"] += np.float32(action)
        return SkillModule(
            contract=contract,
            architecture=sizes,
            imitation=imitation,
            params=params,
            clips=(),
            summary={},
        )

    return make
