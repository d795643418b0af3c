"""A policy bundle that is small, and moves: random weights."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.contract import proprioception
from legged_skills.sim2real.bundle import Bundle
from legged_skills.tasks.export import export_bytes
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.reuse import FrozenDecoder, PolicyArchitecture

LATENT, HIDDEN = 4, 16


def _layers(rng: np.random.Generator, *sizes: int) -> dict[str, Any]:
    return {
        f"Dense_{layer}": {
            "kernel": (rng.standard_normal((rows, columns)) / rows**0.5).astype(np.float32),
            "bias": (0.1 * rng.standard_normal(columns)).astype(np.float32),
        }
        for layer, (rows, columns) in enumerate(itertools.pairwise(sizes))
    }


@pytest.fixture(scope="session")
def make_policy() -> Callable[..., TaskPolicy]:
    """Makes a policy with random weights for a robot."""

    def make(robot: str = "anymal_c", history: int = 3) -> TaskPolicy:
        spec, rng = robots.get(robot), np.random.default_rng(3)
        contract = proprioception(spec, history)
        size, joints = contract.size, spec.num_joints
        decoder = FrozenDecoder(
            hidden=(HIDDEN,),
            latent_size=LATENT,
            proprioception_size=size,
            action_size=joints,
            alpha=0.95,
            params=_layers(rng, size + LATENT, HIDDEN, joints),
        )
        params = {
            "policy": _layers(rng, size + 3 + 3 + 3 + LATENT, HIDDEN, LATENT),
            "estimator": _layers(rng, size, HIDDEN, 3),
            "filter_logit": np.float32(0.4),
            "log_std": np.zeros(LATENT, np.float32),
        }
        return TaskPolicy(
            task="walk",
            contract=contract,
            task_size=3,
            architecture=PolicyArchitecture(policy_hidden=(HIDDEN,), estimator_hidden=(HIDDEN,)),
            decoder=decoder,
            params=params,
            config={"vx_range": [-0.5, 0.75]},
            summary={"steps": 7, "figures": {"reward": float("nan")}},
        )

    return make


@pytest.fixture(scope="session")
def policy(make_policy: Callable[..., TaskPolicy]) -> TaskPolicy:
    """Such a policy of ANYmal."""
    return make_policy()


@pytest.fixture(scope="session")
def bundle_bytes(policy: TaskPolicy) -> bytes:
    """Its bundle's file."""
    return export_bytes(policy)


@pytest.fixture(scope="session")
def bundle(bundle_bytes: bytes) -> Bundle:
    """Its bundle."""
    return Bundle.from_bytes(bundle_bytes, "walk.onnx")
