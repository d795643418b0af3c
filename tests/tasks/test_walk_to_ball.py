"""A walking policy that is made to walk to the ball."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.contract import proprioception
from legged_skills.tasks.dribble_config import SIZES, task_scale
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.reuse import FrozenDecoder, PolicyArchitecture, ReuseAgent
from legged_skills.tasks.walk import COMMAND_SCALE
from legged_skills.tasks.walk_to_ball import walk_to_ball

SMALL = PolicyArchitecture(policy_hidden=(16,), critic_hidden=(8,), estimator_hidden=(8,))


def walking_policy(robot: str) -> TaskPolicy:
    """An untrained policy on a decoder of zeros, whose weights differ from each other."""
    contract = proprioception(robots.get(robot))
    joints = robots.get(robot).num_joints
    decoder = FrozenDecoder(
        hidden=(8,),
        latent_size=4,
        proprioception_size=contract.size,
        action_size=joints,
        alpha=0.95,
        params={},
    )
    agent = ReuseAgent(SMALL, decoder, 3, privileged_size=1)
    return TaskPolicy(
        task="walk",
        contract=contract,
        task_size=3,
        architecture=SMALL,
        decoder=decoder,
        params=jax.tree.map(np.asarray, agent.init(jax.random.key(0))),
        config={},
        summary={},
    )


@pytest.mark.parametrize(
    ("robot", "command"),
    [
        # A ball 2 m ahead and 0.5 m to the left; 1.3 m/s at 2.5 m. Front and back are alike.
        ("anymal_c", [1.04, 0.26, 0.0]),
        # 0.42 m/s and 0.8 rad/s at 1 m.
        ("op3", [0.84, 0.21, 0.4]),
    ],
)
def test_the_ball_is_walked_to(robot: str, command: list[float]) -> None:
    walk = walking_policy(robot)
    dribble = walk_to_ball(walk, SIZES[robot])
    assert (dribble.task, dribble.task_size) == ("dribble", 7)
    rng = np.random.default_rng(0)
    seen = jnp.asarray(rng.standard_normal((1, walk.contract.size)), jnp.float32)
    told = np.array([2.0, 0.5, 0.3, -0.2, 0.1, 4.0, 5.0], np.float32) * task_scale(SIZES[robot])
    asked = np.array(command, np.float32) * COMMAND_SCALE
    carried = jnp.asarray(rng.standard_normal((1, 7)), jnp.float32)
    key = jax.random.key(0)

    def mean(policy: TaskPolicy, task: np.ndarray) -> np.ndarray:
        obs = {"proprioception": seen, "task": jnp.asarray(task[None])}
        agent = policy.agent
        z, velocity = jnp.split(carried, [4], axis=1)
        found = agent.mean(policy.params, obs, {"z_tm1": z, "mean_velocity": velocity})
        assert found.shape == agent.init(key)["log_std"][None].shape
        return np.asarray(found)

    wanted = mean(walk, asked)
    np.testing.assert_allclose(mean(dribble, told), wanted, atol=1e-5)
    # Where the target is, and how the ball moves, is nothing to it yet.
    told[2:] = 0.0
    np.testing.assert_allclose(mean(dribble, told), wanted, atol=1e-5)
    assert np.abs(wanted - mean(walk, 0.0 * asked)).max() > 1e-4
