"""Latents from the prior alone, and what robots do by them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.mocap.clip import RobotClip, finite_difference_qvel
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.intervals import wilson
from legged_skills.robots.rotations import from_yaw
from legged_skills.sim2real.gap import GAPS
from legged_skills.sim2real.sensed_robot import SensedRobots
from legged_skills.skill_module import prior_rollouts
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.prior_rollouts import (
    PriorConfig,
    PriorRollouts,
    _next,
    roll_prior,
    summarize_prior,
)
from legged_skills.skill_module.reference import build_reference

SPEC = robots.get("anymal_c")


def test_figures_by_hand() -> None:
    # Three robots for 2 s: one goes ahead at 0.5 m/s, one stands and turns, one falls.
    steps, time = 100, 0.02 * np.arange(100)
    qpos = np.tile(SPEC.home_qpos.astype(np.float32), (steps, 3, 1))
    qpos[:, 0, 0] = 0.5 * time
    qpos[:, 1, 3:7] = from_yaw(-0.8 * time)
    qpos[:, 2, 0] = 9.0 * time
    run = PriorRollouts(qpos=qpos, fallen_at=np.array([steps, steps, 40]), period_s=0.02)
    np.testing.assert_allclose(run.speeds_mps, [0.5, 0.0], atol=1e-6)
    np.testing.assert_allclose(run.turns_radps, [0.0, 0.8], atol=1e-6)
    figures = summarize_prior(run)
    assert (figures["robots"], figures["seconds"]) == (3, 2.0)
    assert figures["fall_rate"] == pytest.approx(1 / 3)
    assert figures["fall_rate_ci95"] == list(wilson(1, 3))
    assert figures["median_speed_mps"] == pytest.approx(0.25, abs=1e-6)
    assert figures["median_turn_radps"] == pytest.approx(0.4, abs=1e-6)
    assert figures["speed_mps"]["mean"] == pytest.approx(0.25, abs=1e-6)
    assert figures["speed_mps"]["p75"] == pytest.approx(0.375, abs=1e-6)
    assert len(figures["speeds_mps"]) == len(figures["turns_radps"]) == 2


def test_nothing_is_known_if_all_fall() -> None:
    qpos = np.tile(SPEC.home_qpos.astype(np.float32), (60, 2, 1))
    run = PriorRollouts(qpos=qpos, fallen_at=np.array([3, 5]), period_s=0.02)
    figures = summarize_prior(run)
    assert figures["fall_rate"] == 1.0 and figures["speeds_mps"] == []
    assert np.isnan([figures["median_speed_mps"], figures["speed_mps"]["p5"]]).all()


def test_latents_are_stationary_and_remember() -> None:
    key, start = jax.random.split(jax.random.key(0))
    z = first = jax.random.normal(start, (20_000, 2))
    for _ in range(10):
        z, key = _next(z, key, 0.9)
    np.testing.assert_allclose(np.std(z), 1.0, atol=0.02)
    # Ten steps on, the correlation is 0.9^10 = 0.349.
    assert float((z * first).mean()) == pytest.approx(0.9**10, abs=0.02)


def test_a_decoder_that_says_nothing_stands(
    wiggling_clip: RobotClip, constant_module: Callable[[float], SkillModule]
) -> None:
    config, still = PriorConfig(robots=6, seconds=1.5), constant_module(0.0)
    runs = [roll_prior(SPEC, still, [wiggling_clip], config, 1) for _ in range(2)]
    assert runs[0].qpos.shape == (75, 6, 19) and not runs[0].fell.any()
    np.testing.assert_array_equal(runs[0].qpos, runs[1].qpos)
    # They start on different rows.
    assert len(np.unique(runs[0].qpos[0, :, 7])) > 1
    # One that throws all joints to one side falls.
    wild = roll_prior(SPEC, constant_module(5.0), [wiggling_clip], config, 1)
    assert wild.fell.all()


@pytest.mark.parametrize("given", [{"robots": 0}, {"seed": -1}, {"seconds": 0.5}])
def test_settings_must_make_sense(given: dict[str, Any]) -> None:
    name = next(iter(given))
    with pytest.raises(SettingsError, match=f"{name} is .*, expected at least"):
        PriorConfig(**given)


def test_who_is_tilted_has_fallen(
    wiggling_clip: RobotClip, constant_module: Callable[[float], SkillModule]
) -> None:
    config = PriorConfig(robots=6, seconds=1.0, max_tilt_rad=0.0)
    run = roll_prior(SPEC, constant_module(0.0), [wiggling_clip], config, 1)
    assert run.fell.all() and run.fallen_at.max() < 5


def test_latents_are_those_of_the_prior_from_the_first_step(
    wiggling_clip: RobotClip,
    constant_module: Callable[[float], SkillModule],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[np.ndarray] = []

    def decode(agent: Any, params: Any, proprioception: np.ndarray, z: Any) -> np.ndarray:
        seen.append(np.asarray(z))
        return np.zeros((len(z), SPEC.num_joints), np.float32)

    monkeypatch.setattr(prior_rollouts, "decode", decode)
    config = PriorConfig(robots=200, seconds=1.0)
    roll_prior(SPEC, constant_module(0.0), [wiggling_clip], config, 1)
    # 800 numbers: a standard error of 0.025.
    assert len(seen) == 50 and seen[0].std() == pytest.approx(1.0, abs=0.08)
    assert np.corrcoef(seen[0].ravel(), seen[1].ravel())[0, 1] == pytest.approx(0.95, abs=0.02)


def test_robots_of_the_prior_have_factors_of_their_own(
    wiggling_clip: RobotClip,
    constant_module: Callable[[float], SkillModule],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seeds: list[int] = []
    monkeypatch.setattr(SensedRobots, "draw_factors", lambda self, seed: seeds.append(seed))
    config = PriorConfig(robots=2, seconds=1.0, seed=7)
    roll_prior(SPEC, constant_module(0.0), [wiggling_clip], config, 1, GAPS["anymal_c"])
    assert seeds == [7]


def test_robots_of_the_prior_start_as_a_row_of_the_clips_moves(
    wiggling_clip: RobotClip,
    constant_module: Callable[[float], SkillModule],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reset, lowest = SensedRobots.reset, prior_rollouts.lowest_height
    states: list[np.ndarray] = []
    heights: list[float] = []

    def noting(self: SensedRobots, ids: np.ndarray, qpos: np.ndarray, qvel: np.ndarray) -> None:
        states.append(np.hstack([qpos, qvel]))
        reset(self, ids, qpos, qvel)

    def noting_height(spec: Any, height: Any) -> np.ndarray:
        heights.append(float(height))
        return lowest(spec, height)

    monkeypatch.setattr(SensedRobots, "reset", noting)
    monkeypatch.setattr(prior_rollouts, "lowest_height", noting_height)
    qpos = wiggling_clip.qpos.copy()
    qpos[50:, 2] += 0.002 * np.arange(50)
    qvel = finite_difference_qvel(qpos, wiggling_clip.fps)
    clip = replace(wiggling_clip, qpos=qpos, qvel=qvel)
    roll_prior(SPEC, constant_module(0.0), [clip], PriorConfig(robots=8, seconds=1.0), 1)
    reference = build_reference(SPEC, [clip])
    rows = np.hstack([reference.qpos, reference.qvel])
    nearest = [np.abs(rows - state).max(axis=1).min() for state in states[-1]]
    np.testing.assert_allclose(nearest, 0.0, atol=1e-6)
    # Too low is what is lower than in the lowest row of all.
    assert heights == pytest.approx([0.52])


def test_a_robot_whose_physics_diverges_has_fallen_then(
    wiggling_clip: RobotClip,
    constant_module: Callable[[float], SkillModule],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step, count = SensedRobots.step, []

    def diverging(self: SensedRobots, action: np.ndarray) -> np.ndarray:
        count.append(0)
        return step(self, action) | np.array([False, len(count) in (8, 20)])

    monkeypatch.setattr(SensedRobots, "step", diverging)
    config = PriorConfig(robots=2, seconds=1.0)
    run = roll_prior(SPEC, constant_module(0.0), [wiggling_clip], config, 1)
    assert run.fallen_at.tolist() == [50, 7]
