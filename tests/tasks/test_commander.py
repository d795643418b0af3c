"""What a commander asks of a walk, and how it is mirrored."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.ball_camera import CameraConfig
from legged_skills.skill_module.symmetry import Symmetry, join
from legged_skills.tasks.ball_tracker import AGE, BallTracker, ball_tracker
from legged_skills.tasks.commander import (
    MOST_BEFORE,
    REST_AGE_S,
    CommanderAgent,
    CommanderArchitecture,
    FrozenWalk,
    commander_equivariance,
)
from legged_skills.tasks.dribble_config import SIZES
from legged_skills.tasks.evaluate_walk import shipped_policy
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.walk import COMMAND_SCALE, PACES


@pytest.fixture(scope="module", params=["anymal_c", "op3"])
def walk(request: pytest.FixtureRequest) -> TaskPolicy:
    return TaskPolicy.load(shipped_policy(request.param), task="walk")


def _tracker(walk: TaskPolicy) -> BallTracker:
    return ball_tracker(walk.contract, SIZES[walk.robot])


def test_commands_are_shares_of_the_walks_paces(walk: TaskPolicy) -> None:
    frozen = FrozenWalk.of(walk)
    # tanh(0.5) is 0.4621; ANYmal goes backwards as it goes forwards, OP3 does not.
    fast = np.asarray(frozen.task(jnp.array([[9.0, 0.0, -9.0], [-9.0, 0.5, 0.0]])))
    velocity = fast / COMMAND_SCALE
    wanted = {
        "anymal_c": [[1.3, 0.0, -1.1], [-1.3, 0.35 * 0.46212, 0.0]],
        "op3": [[0.42, 0.0, -0.9], [-0.15, 0.15 * 0.46212, 0.0]],
    }
    np.testing.assert_allclose(velocity, wanted[walk.robot], atol=1e-5)


def test_a_slower_walk_is_commanded_less(walk: TaskPolicy) -> None:
    slower = dataclasses.replace(walk, config=walk.config | {"vx_range": [-0.1, 0.3]})
    frozen = FrozenWalk.of(slower)
    assert frozen.paces.vx_range == (-0.1, 0.3)
    assert frozen.paces.yaw_range == FrozenWalk.of(walk).paces.yaw_range
    fast = np.asarray(frozen.task(jnp.array([[9.0, 0.0, 0.0]])))
    np.testing.assert_allclose(fast[0, 0] / COMMAND_SCALE[0], 0.3, atol=1e-6)
    # Of a file that does not say, the robot's own.
    assert FrozenWalk.of(dataclasses.replace(walk, config={})).paces == PACES[walk.robot]


def test_velocities_come_back_from_commands(walk: TaskPolicy) -> None:
    frozen = FrozenWalk.of(walk)
    velocity = np.array([[0.2, -0.1, 0.5], [-0.1, 0.0, -0.3]])
    told = np.asarray(frozen.task(frozen.command(jnp.asarray(velocity))))
    np.testing.assert_allclose(told / COMMAND_SCALE, velocity, atol=1e-6)
    # What is faster than the walk becomes almost its fastest.
    asked = frozen.command(jnp.array([[9.0, 9.0, 9.0]]))
    fastest = 0.95 * frozen.fastest[0, 0] * COMMAND_SCALE[0]
    assert float(frozen.task(asked)[0, 0]) == pytest.approx(fastest)


def test_a_walk_that_does_not_go_there_is_not_asked_to(walk: TaskPolicy) -> None:
    straight = dataclasses.replace(walk, config=walk.config | {"vy_range": [0.0, 0.0]})
    frozen = FrozenWalk.of(straight)
    asked = frozen.command(jnp.array([[0.2, 0.0, 0.0], [0.2, 0.1, 0.0], [0.2, -0.1, 0.0]]))
    told = np.asarray(frozen.task(asked)) / COMMAND_SCALE
    np.testing.assert_allclose(told, [[0.2, 0.0, 0.0]] * 3, atol=1e-6)


def test_a_mirrored_robot_commands_the_mirror_image(walk: TaskPolicy) -> None:
    spec, rng = robots.get(walk.robot), np.random.default_rng(0)
    symmetry, sizes = Symmetry(spec), CommanderArchitecture(policy_hidden=(16,), initial_std=0.5)
    task = join([symmetry.planar, symmetry.planar, symmetry.scalars(), symmetry.planar])
    seen = symmetry.proprioception(walk.contract)
    equivariance = commander_equivariance(symmetry, sizes, seen, task, symmetry.polar)
    agent = CommanderAgent(sizes, FrozenWalk.of(walk), _tracker(walk), 7, 3, equivariance)
    params = agent.init(jax.random.key(0))
    params["policy"] = jax.tree.map(lambda x: 30.0 * x, params["policy"])
    command = join([symmetry.planar, symmetry.turning])
    told = symmetry.polar.repeated(2)

    def drawn(size: int) -> np.ndarray:
        return rng.standard_normal((4, size)).astype(np.float32)

    x = {
        "proprioception": drawn(seen.size),
        "task": drawn(7),
        "tracked": drawn(8),
        "told_velocity": drawn(6),
        "u_tm1": drawn(3),
    }
    kinds = {"proprioception": seen, "task": task, "tracked": symmetry.planar.repeated(4)}
    kinds |= {"told_velocity": told, "u_tm1": command}

    def said(values: dict[str, np.ndarray]) -> np.ndarray:
        told = {name: jnp.asarray(value, jnp.float32) for name, value in values.items()}
        return np.asarray(agent.mean(params, told, told))

    straight = said(x)
    for element in range(symmetry.order):
        image = said({name: kinds[name].apply(element, value) for name, value in x.items()})
        np.testing.assert_allclose(image, command.apply(element, straight), atol=1e-4)


def test_likelihoods_and_divergence_by_hand(walk: TaskPolicy) -> None:
    sizes = CommanderArchitecture(alpha=0.6, persistence=0.5, initial_std=0.4, min_std=0.2)
    agent = CommanderAgent(sizes, FrozenWalk.of(walk), _tracker(walk), 7, 3)
    params = agent.init(jax.random.key(0))
    params["policy"] = jax.tree.map(np.zeros_like, params["policy"])
    record = {
        "u_tm1": jnp.array([[1.0, -1.0, 0.0]]),
        "off_tm1": jnp.array([[1.0, -1.0, 0.0]]),
        "told_velocity": jnp.zeros((1, 6)),
        "tracked": jnp.zeros((1, 8)),
        "u": jnp.array([[0.9, -0.5, 0.0]]),
    }
    obs = {"proprioception": jnp.zeros((1, walk.contract.size)), "task": jnp.zeros((1, 7))}
    found = agent.evaluate(params, obs, record)
    # The mean is 0, half of what it was off stays, the spread is 0.4: one of three is off by it.
    wanted = -0.5 - 3.0 * (np.log(0.4) + 0.5 * np.log(2.0 * np.pi))
    assert float(found.log_prob[0]) == pytest.approx(wanted, abs=1e-4)
    # The prior's mean is 0.6 u_tm1, its variance 0.64: two are off by 0.1.
    ratio = 0.16 / 0.64
    kl = 0.5 * (3.0 * (ratio - 1.0 - np.log(ratio)) + 2.0 * 0.01 / 0.64)
    assert float(found.kl[0]) == pytest.approx(kl, abs=1e-4)
    tighter = dataclasses.replace(sizes, min_std=0.5)
    other = dataclasses.replace(agent, architecture=tighter)
    np.testing.assert_allclose(other.log_std(params), np.log(0.5), atol=1e-6)


@pytest.mark.parametrize("deterministic", [True, False])
def test_steps_carry_what_the_next_one_needs(walk: TaskPolicy, deterministic: bool) -> None:
    sizes = CommanderArchitecture(persistence=0.5, initial_std=1e-3, min_std=1e-4)
    agent = CommanderAgent(sizes, FrozenWalk.of(walk), _tracker(walk), 7, 3)
    params = agent.init(jax.random.key(0))
    rng = np.random.default_rng(1)
    obs = {
        "proprioception": jnp.asarray(0.1 * rng.standard_normal((2, walk.contract.size))),
        "task": jnp.asarray(rng.standard_normal((2, 7))),
    }
    z = jnp.asarray(0.1 * rng.standard_normal((2, agent.carried_size)))
    done = agent.act(params, obs, z, jax.random.key(0), deterministic)
    u, off, tracked, carried = jnp.split(done.z, (3, 6, 15), axis=1)
    told = {**obs, "task": agent.walk.task(u)}
    alone = walk.agent.act(walk.params, told, z[:, 15:], jax.random.key(0), True)
    np.testing.assert_allclose(done.action, alone.action, atol=1e-5)
    np.testing.assert_allclose(carried, alone.z, atol=1e-5)
    now = walk.agent.estimator.estimate(walk.params["estimator"], obs)
    known = agent.tracker.advance(z[:, 6:15], obs["task"], now, obs["proprioception"])
    np.testing.assert_allclose(tracked, known, atol=1e-5)
    # What explores goes on by half, but for a thousandth; without exploration nothing is left.
    kept = np.zeros((2, 3)) if deterministic else 0.5 * z[:, 3:6]
    np.testing.assert_allclose(off, kept, atol=5e-3)
    if not deterministic:
        mean = agent.mean(params, obs, done.record)
        np.testing.assert_allclose(u, mean + off, atol=1e-6)
        np.testing.assert_array_equal(done.record["u"], u)
        found = agent.evaluate(params, obs, done.record)
        np.testing.assert_allclose(found.log_prob, done.record["log_prob"], atol=1e-3)


def test_what_was_said_before_has_an_end(walk: TaskPolicy) -> None:
    """A network that says ten times what it said before is told no more than ``MOST_BEFORE``."""
    sizes = CommanderArchitecture(policy_hidden=(3,))
    agent = CommanderAgent(sizes, FrozenWalk.of(walk), _tracker(walk), 7, 3)
    params = jax.tree.map(np.zeros_like, agent.init(jax.random.key(0)))
    first, last = sorted(params["policy"])
    kernel = params["policy"][first]["kernel"]
    params["policy"][first]["kernel"] = np.vstack([kernel[:-3], np.eye(3, dtype=np.float32)])
    params["policy"][last]["kernel"] = 10.0 * np.eye(3, dtype=np.float32)
    obs = {
        "proprioception": jnp.zeros((1, walk.contract.size)),
        "task": jnp.zeros((1, 7)),
    }
    z, said = jnp.zeros((1, agent.carried_size)).at[0, 0].set(1.0), []
    for _ in range(6):
        done = agent.act(params, obs, z, jax.random.key(0), True)
        assert np.isfinite(done.action).all()
        z = done.z
        said.append(float(z[0, 0]))
    np.testing.assert_allclose(said[:3], [10.0, 100.0, 10.0 * MOST_BEFORE], rtol=1e-5)
    assert said[-1] == said[2]


def test_a_ball_seen_too_long_ago_makes_the_walk_stand(walk: TaskPolicy) -> None:
    assert CameraConfig().max_age_s < REST_AGE_S
    agent = CommanderAgent(CommanderArchitecture(), FrozenWalk.of(walk), _tracker(walk), 7, 3)
    params = jax.tree.map(lambda x: x + 0.1, agent.init(jax.random.key(0)))
    rng = np.random.default_rng(1)
    obs = {
        "proprioception": jnp.asarray(0.1 * rng.standard_normal((3, walk.contract.size))),
        "task": jnp.zeros((3, 7)).at[:, AGE].set(jnp.array([0.1, CameraConfig().max_age_s, 3.0])),
    }
    z = jnp.asarray(0.1 * rng.standard_normal((3, agent.carried_size)))
    done = agent.act(params, obs, z, jax.random.key(0), True)
    stands = {**obs, "task": jnp.zeros((3, 3))}
    still = walk.agent.act(walk.params, stands, z[:, 15:], jax.random.key(0), True)
    differences = np.abs(done.action - still.action).max(axis=1)
    assert (differences[:2] > 1e-3).all()
    assert differences[2] < 1e-6
    np.testing.assert_allclose(done.z[2, 15:], still.z[2], atol=1e-6)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"persistence": 1.0}, r"persistence is 1\.0, expected at least 0 and less than 1"),
        ({"alpha": -0.5}, r"alpha is -0\.5, expected at least 0 and less than 1"),
        ({"min_std": 0.0}, r"min_std is 0\.0, expected more than 0"),
        ({"policy_hidden": (8, 0)}, "policy_hidden is"),
        ({"critic_hidden": (-1,)}, "critic_hidden is"),
    ],
)
def test_numbers_out_of_range_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        CommanderArchitecture(**setting)
