"""What is collected for an update, with a world and an agent whose every number is known."""

from dataclasses import dataclass
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from legged_skills.skill_module.agents import Decision
from legged_skills.skill_module.environment import Outcome
from legged_skills.skill_module.rollout import Collected, collect


@dataclass(frozen=True)
class _Counter:
    """Carries how many steps an episode has had, does random things, and values what it sees."""

    def act(self, params: Any, obs: Any, z_tm1: Any, key: Any, deterministic: bool) -> Decision:
        del params, obs, deterministic
        z_tm1 = jnp.asarray(z_tm1)
        noise = jax.random.normal(key, (len(z_tm1), 1))
        return Decision(action=noise, z=z_tm1 + 1.0, record={"z_tm1": z_tm1})

    def value(self, params: Any, privileged: Any) -> Any:
        return params["scale"] * privileged.sum(axis=-1)


class _World:
    """Two robots: the first falls in step 1, the episode of the second is cut in step 2."""

    num_envs = 2

    def __init__(self) -> None:
        self.t, self.actions = 0, []

    def observe(self) -> dict[str, np.ndarray]:
        seen = 10.0 * self.t + np.array([[0.0], [1.0]], np.float32)
        return {"privileged": seen.astype(np.float32)}

    def step(self, action: np.ndarray) -> Outcome:
        self.actions.append(action.copy())
        falls = np.array([self.t == 1, False])
        cut = np.array([False, self.t == 2])
        final = np.full((int(cut.sum()), 1), 99.0, np.float32)
        reward = np.array([self.t, 0.5 * self.t], np.float32)
        self.t += 1
        return Outcome(reward, falls, cut, final, {"part": 2.0 * reward})


@pytest.fixture
def world() -> _World:
    return _World()


@pytest.fixture
def collected(world: _World) -> Collected:
    agent, env, key = cast(Any, _Counter()), cast(Any, world), jax.random.key(3)
    return collect(agent, {"scale": jnp.float32(2.0)}, env, 4, np.full((2, 1), 7.0), key)


def test_what_is_carried_begins_anew_after_an_end(collected: Collected) -> None:
    before = np.asarray(collected.batch.record["z_tm1"])[..., 0]
    np.testing.assert_array_equal(before.T, [[7, 8, 0, 1], [7, 8, 9, 0]])
    np.testing.assert_array_equal(collected.z, [[2.0], [1.0]])


def test_values_before_and_after_each_step(collected: Collected) -> None:
    batch = collected.batch
    np.testing.assert_array_equal(
        batch.obs["privileged"][..., 0].T, [[0, 10, 20, 30], [1, 11, 21, 31]]
    )
    np.testing.assert_array_equal(batch.value.T, [[0, 20, 40, 60], [2, 22, 42, 62]])
    # Where an episode was cut it is that of the last state, not of the new episode's first.
    np.testing.assert_array_equal(batch.next_value.T, [[20, 40, 60, 80], [22, 42, 198, 82]])
    np.testing.assert_array_equal(batch.terminated.T, [[0, 1, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(batch.truncated.T, [[0, 0, 0, 0], [0, 0, 1, 0]])
    np.testing.assert_array_equal(batch.reward.T, [[0, 1, 2, 3], [0, 0.5, 1, 1.5]])


def test_figures_are_means(collected: Collected) -> None:
    wanted = {"part": 2.0 * 1.125, "reward": 1.125, "lost_per_1000_steps": 125.0}
    assert collected.figures == pytest.approx(wanted)


def test_each_step_has_noise_of_its_own(world: _World, collected: Collected) -> None:
    del collected
    actions = np.array(world.actions)
    assert len(np.unique(actions)) == actions.size == 8


class _CutTwice(_World):
    """The episode of the second robot is cut in step 0, and both are cut in step 2."""

    def step(self, action: np.ndarray) -> Outcome:
        outcome = super().step(action)
        cut = {1: [False, True], 3: [True, True]}.get(self.t, [False, False])
        final = 100.0 * self.t + np.arange(float(sum(cut)))[:, None]
        none = np.zeros(2, dtype=bool)
        return Outcome(outcome.reward, none, np.array(cut), final.astype(np.float32), {})


def test_final_values_belong_to_the_steps_in_which_episodes_were_cut() -> None:
    agent, env = cast(Any, _Counter()), cast(Any, _CutTwice())
    params, key = {"scale": jnp.float32(2.0)}, jax.random.key(3)
    batch = collect(agent, params, env, 4, np.zeros((2, 1)), key).batch
    np.testing.assert_array_equal(batch.next_value.T, [[20, 40, 600, 80], [200, 42, 602, 82]])
