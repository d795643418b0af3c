"""Reuse beside training from scratch: figures by hand, and tiny comparisons from end to end."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.mocap.clip import RobotClip
from legged_skills.mocap.walking import Walking
from legged_skills.robots.errors import ContractError, FileFormatError, SettingsError
from legged_skills.skill_module.digests import weights_digest
from legged_skills.skill_module.distil import TeachingConfig
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.ppo import PpoConfig
from legged_skills.skill_module.training import RunConfig
from legged_skills.tasks import compare as compare_module
from legged_skills.tasks import compare_plots, compare_report
from legged_skills.tasks.clip_commands import ClipCommandConfig
from legged_skills.tasks.commander import CommanderArchitecture
from legged_skills.tasks.commander_file import CommanderPolicy, load_any_policy
from legged_skills.tasks.compare import (
    Compared,
    Comparison,
    Curve,
    ahead_share,
    compare,
    episode_return,
    planned,
    ratios,
    read_curve,
    smoothed,
    steps_to,
)
from legged_skills.tasks.compare_commands import Compare
from legged_skills.tasks.compare_tasks import TASKS, Metric
from legged_skills.tasks.evaluate_dribble import DribbleEvaluationConfig, shipped_policy
from legged_skills.tasks.evaluate_walk import WalkEvaluationConfig
from legged_skills.tasks.film import FilmSettings
from legged_skills.tasks.learn_chase import ChaseConfig
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.reuse import PolicyArchitecture
from legged_skills.tasks.train_dribble import DribbleTrainingConfig
from legged_skills.tasks.train_walk import RECIPES, WalkTrainingConfig

SPEC = robots.get("anymal_c")
WALKING = Walking(
    names=("clip",), joints=SPEC.default_joint_pos[None].copy(), height_range_m=(0.5, 0.6)
)


def compared(task: str, modules: list[SkillModule], evaluation: Any, **given: Any) -> Compared:
    small = PolicyArchitecture(policy_hidden=(8,), critic_hidden=(8,), estimator_hidden=(8,))
    training = TASKS[task].training(
        run=RunConfig(total_steps=2 * 6 * 8, num_envs=8, num_threads=1),
        ppo=PpoConfig(steps=6, epochs=1, minibatches=2, kl_weight=0.01),
        architecture=small,
        gap=given.pop("gap", "full"),
    )
    return Compared(
        spec=SPEC,
        task=TASKS[task],
        modules=modules,
        names=[f"m{i}" for i in range(len(modules))],
        training=training,
        evaluation=evaluation,
        walking=WALKING,
        **given,
    )


WALK_TEST = WalkEvaluationConfig(episodes=2, episode_s=0.8, command_s=0.4, average_s=0.2)


def done(what: Compared, out: Path) -> Comparison:
    with jax.numpy_dtype_promotion("standard"):
        found = compare(what, out)
    assert found is not None
    return found


def test_trainings_that_are_needed() -> None:
    pair = [run.name for run in planned(1, (), 0.01)]
    assert pair == ["scratch", "reuse"]
    # The task's own weight with the first module is the run "reuse".
    runs = planned(2, (0.01, 0.1, 0.1), 0.01)
    assert [(run.name, run.module, run.kl_weight) for run in runs[2:]] == [
        ("sweep/skills1_kl0.1", 0, 0.1),
        ("sweep/skills2_kl0.01", 1, 0.01),
        ("sweep/skills2_kl0.1", 1, 0.1),
    ]
    assert [run.name for run in planned(2, (), 0.01)][2:] == ["sweep/skills2_kl0.01"]


def test_learning_curves_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    # It was killed in the third iteration, and did the second one again.
    rows = [(1, 0.1), (2, 0.2), (2, 0.3), (3, 0.5)]
    lines = [
        json.dumps({"iteration": i, "steps": 10.0 * i, "reward": r, "lost_per_1000_steps": 5.0 * i})
        for i, r in rows
    ]
    path.write_text("\n".join([*lines[:2], lines[2][:9], *lines[2:]]) + "\n")
    curve = read_curve(path)
    steps, reward = curve.steps, curve.reward
    assert steps.tolist() == [10.0, 20.0, 30.0] and reward.tolist() == [0.1, 0.3, 0.5]
    assert curve.lost.tolist() == [0.005, 0.01, 0.015]
    path.write_text("")
    with pytest.raises(FileFormatError, match="there is no learning curve"):
        read_curve(path)
    with pytest.raises(FileFormatError, match="cannot be read"):
        read_curve(tmp_path / "none.jsonl")
    # A twentieth of 40 iterations is two.
    many, means = smoothed(100.0 * np.arange(40), np.arange(40.0))
    assert many.tolist() == [100.0 * i for i in range(1, 40)]
    np.testing.assert_allclose(means, np.arange(0.5, 39.0))
    assert steps_to(steps, reward, 0.3) == 20
    assert steps_to(steps, reward, 0.6) is None


def test_returns_of_episodes_by_hand() -> None:
    # Of at most three steps: 3 if none is lost, 1 if all are, 1 + 1/2 + 1/4 if half of them are.
    found = episode_return(np.full(3, 0.5), np.array([0.0, 1.0, 0.5]), 3)
    np.testing.assert_allclose(found, [1.5, 0.5, 0.875], rtol=1e-6)
    # Who gets more per step and falls four times as often has less of it in the end.
    likely = episode_return(np.array([0.48, 0.43]), np.array([0.0044, 0.0016]), 833)
    np.testing.assert_allclose(likely, [106.3, 197.9], atol=0.1)
    # Smoothed first: a twentieth of 40 is two.
    curve = Curve(steps=np.arange(40.0), reward=np.ones(40), lost=np.tile([0.0, 1.0], 20))
    steps, returns = curve.returns(3)
    assert steps.tolist() == list(range(1, 40))
    np.testing.assert_allclose(returns, 1.75)


def test_share_of_a_training_that_is_ahead_by_hand() -> None:
    steps, reward = np.array([5, 10, 20, 30, 40]), np.array([9.0, 1.0, 2.0, 2.0, 9.0])
    other_steps, other_reward = np.array([8, 28, 32]), np.array([0.0, 4.0, 0.0])
    # After 10, 20 and 30 steps the other has 0.4, 2.4 and 2; after 5 and 40 it has none.
    assert ahead_share(steps, reward, other_steps, other_reward) == pytest.approx(1 / 3)
    assert np.isnan(ahead_share(steps[:1], reward[:1], other_steps, other_reward))


def test_ratios_by_hand() -> None:
    metrics = [Metric(name=name, label=name, part="evaluation") for name in ("error", "falls")]
    metrics.append(Metric(name="slide", label="slide", part="naturalness"))
    scratch = {"evaluation": {"error": 0.2, "falls": 0.0}, "naturalness": {}}
    reuse = {"evaluation": {"error": 0.1, "falls": 0.1}, "naturalness": {"slide": 0.3}}
    found = ratios(metrics, reuse, scratch)
    assert found["error"] == pytest.approx(0.5)
    assert np.isnan(found["falls"]) and np.isnan(found["slide"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sweep": (-0.1,)}, "a KL weight is -0.1, expected at least 0"),
        ({"sweep": (0.1,), "gap": "none"}, "torques, which are recorded only with a gap"),
    ],
)
def test_unusable_sweeps(still_module: SkillModule, given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        compared("walk", [still_module], WALK_TEST, **given)


@pytest.fixture(scope="module")
def other_module(still_module: SkillModule) -> SkillModule:
    """The same sizes, seed and steps, but another decoder."""
    decoder = jax.tree.map(lambda x: x + np.float32(0.01), still_module.params["decoder"])
    return dataclasses.replace(
        still_module,
        params=still_module.params | {"decoder": decoder},
        summary=still_module.summary | {"ppo": {"kl_weight": 0.05}},
    )


@pytest.fixture(scope="module")
def walked(
    still_module: SkillModule, other_module: SkillModule, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Compared, Comparison, Path]:
    out = tmp_path_factory.mktemp("walked")
    what = compared("walk", [still_module, other_module], WALK_TEST)
    return what, done(what, out), out


def test_walking_with_and_without_skills(walked: tuple[Compared, Comparison, Path]) -> None:
    what, found, out = walked
    figures, runs = found.figures, found.figures["runs"]
    assert figures["robot"] == "anymal_c" and figures["task"] == "walk"
    assert figures["skills"] == ["m0", "m1"] and figures["gap"] == "full"
    told = what.modules[0].contract.size
    estimator = 8 * (told + 1) + 3 * 9
    # A policy of one layer of 16 and twelve standard deviations.
    assert runs["scratch"]["weights"] == estimator + 16 * (told + 10) + 12 * 17 + 12
    # Policy, decoder, filter constant, four standard deviations.
    policy, decoder = 8 * (told + 14) + 4 * 9, 8 * (told + 5) + 12 * 9
    assert runs["reuse"]["weights"] == estimator + policy + decoder + 1 + 4
    for name, run in runs.items():
        assert run["steps"] == 96 and run["evaluation"]["episodes"] == 2
        assert "commands" not in run["evaluation"]
        assert run["naturalness"]["torque_squared"] > 0.0
        curve = figures["curves"][name]
        assert curve["steps"] == [48.0, 96.0]
        assert run["final_reward"] == pytest.approx(curve["reward"][-1])
        lost = np.array(curve["lost_per_1000_steps"][-1:]) / 1000.0
        assert run["final_return"] == pytest.approx(
            episode_return(np.array(curve["reward"][-1:]), lost, 1000)[0]
        )
    acceleration = "joint_acceleration_radps2"
    by_hand = runs["reuse"]["naturalness"][acceleration]
    by_hand /= runs["scratch"]["naturalness"][acceleration]
    assert figures["ratios"][acceleration] == pytest.approx(by_hand)
    assert [row["run"] for row in figures["sweep"]] == ["reuse", "sweep/skills2_kl0.01"]
    assert [row["skills_kl_weight"] for row in figures["sweep"]] == [None, 0.05]
    assert all(row["kl_prior"] > 0.0 for row in figures["sweep"])
    scratch, reuse = found.scenes
    assert scratch.qpos.shape == reuse.qpos.shape == (40, 19)
    assert (out / "scratch" / "checkpoint.npz").exists()


def test_what_is_finished_is_kept(walked: tuple[Compared, Comparison, Path]) -> None:
    what, found, out = walked
    progress = [out / run.name / "progress.jsonl" for run in what.runs]
    before = [path.read_text() for path in progress]
    again = done(what, out)
    assert [path.read_text() for path in progress] == before
    # As text, where NaN is NaN.
    assert json.dumps(again.figures) == json.dumps(found.figures)


def test_other_skills_or_settings_are_refused(
    walked: tuple[Compared, Comparison, Path], other_module: SkillModule
) -> None:
    what, _, out = walked
    swapped = dataclasses.replace(what, modules=[other_module, what.modules[0]])
    with pytest.raises(ContractError, match="the policy is on other skills"):
        compare(swapped, out)
    run = dataclasses.replace(what.training.run, total_steps=960)
    longer = dataclasses.replace(what, training=dataclasses.replace(what.training, run=run))
    with pytest.raises(ContractError, match="cannot be resumed with other settings"):
        compare(longer, out)


def test_report(
    walked: tuple[Compared, Comparison, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what, found, _ = walked
    quick = FilmSettings(size=(96, 64), fps=5.0, backend="sketch")
    monkeypatch.setattr(compare_report, "_FILM", quick)
    shown = []
    page = compare_report.write_comparison(
        tmp_path, what, found, lambda *progress: shown.append(progress)
    )
    text = page.read_text()
    assert "joint acceleration" in text and "Obedience against effort" in text
    # 0.8 s at 5 frames/s.
    assert shown[-1] == (4, 4)
    for name in ("curves.png", "bars.png", "trade_off.png", "side_by_side.mp4"):
        assert (tmp_path / name).stat().st_size > 1000
    read = json.loads((tmp_path / "comparison.json").read_text())
    assert read["runs"]["reuse"]["weights"] == found.figures["runs"]["reuse"]["weights"]


def test_reuse_that_begins_with_clips(
    still_module: SkillModule, wiggling_clip: RobotClip, tmp_path: Path
) -> None:
    """It has settings of its own; its curve begins where the returns do, after the clips."""
    what = compared("walk", [still_module], WALK_TEST)
    assert isinstance(what.training, WalkTrainingConfig)
    learner = TeachingConfig(steps=6, minibatches=2)
    reuse = dataclasses.replace(
        what.training,
        clip_commands=ClipCommandConfig(steps=48, learner=learner),
        run=dataclasses.replace(what.training.run, total_steps=48),
    )
    what = dataclasses.replace(what, reuse=reuse, clips=[wiggling_clip])
    assert what.training.clip_steps == 0 and reuse.clip_steps == 48
    figures = done(what, tmp_path).figures
    assert figures["curves"]["scratch"]["steps"] == [48.0, 96.0]
    assert figures["curves"]["reuse"]["steps"] == [96.0]
    assert [run["steps"] for run in figures["runs"].values()] == [96, 96]
    assert (tmp_path / "reuse" / "clips" / "checkpoint.npz").exists()


def test_recipes_of_the_package(tmp_path: Path) -> None:
    command = Compare(out=tmp_path, robot="op3", recipe=True, seed=3, envs=8)
    what = command._what()
    recipe = RECIPES["op3"]
    assert what.reuse == dataclasses.replace(
        recipe, run=dataclasses.replace(recipe.run, num_envs=8, seed=3)
    )
    scratch, steps = what.training, recipe.clip_commands.steps + recipe.run.total_steps
    assert isinstance(scratch, WalkTrainingConfig)
    assert scratch.run.total_steps == steps and scratch.clip_commands.steps == 0
    assert scratch.walk == recipe.walk and scratch.gap_factor == recipe.gap_factor
    assert scratch.policy_architecture == recipe.policy_architecture
    assert scratch.ppo == WalkTrainingConfig().ppo != recipe.ppo
    assert {clip.robot for clip in what.clips} == {"op3"}
    longer = dataclasses.replace(command, steps=5_000_000)._what()
    assert longer.training.run.total_steps == 5_000_000 and longer.reuse is not None
    assert longer.reuse.clip_steps == 4_200_000 and longer.reuse.run.total_steps == 800_000
    with pytest.raises(SettingsError, match="more than the 4200000 that the recipe learns from"):
        dataclasses.replace(command, steps=4_200_000)._what()


def test_recipe_of_dribbling(tmp_path: Path) -> None:
    command = Compare(out=tmp_path, robot="op3", task="dribble", recipe=True, seed=3, envs=8)
    what = command._what()
    reuse, scratch = what.reuse, what.training
    assert isinstance(reuse, DribbleTrainingConfig) and isinstance(scratch, DribbleTrainingConfig)
    shipped = load_any_policy(shipped_policy("op3"))
    assert isinstance(shipped, CommanderPolicy) and what.walk is not None
    assert weights_digest(what.walk.params) == weights_digest(shipped.walk.params)
    # All but one update of the critic is learned from rules.
    assert reuse.chase == ChaseConfig() and not reuse.chase.then_ppo
    assert (reuse.run.total_steps, reuse.run.critic_share) == (24 * 8, 1.0)
    assert scratch.run == dataclasses.replace(
        DribbleTrainingConfig().run, total_steps=2_500_000 + 24 * 8, num_envs=8, seed=3
    )
    shorter = dataclasses.replace(command, steps=1_000_192)._what()
    assert isinstance(shorter.reuse, DribbleTrainingConfig)
    assert shorter.reuse.chase.steps == 1_000_000 and shorter.training.run.total_steps == 1_000_192
    with pytest.raises(SettingsError, match="more than the 192 that the recipe learns in one upd"):
        dataclasses.replace(command, steps=192)._what()
    with pytest.raises(SettingsError, match="a commander has no divergence from skills' prior"):
        dataclasses.replace(command, sweep=(0.1,))._what()


def test_too_few_steps_are_refused_before_anything_is_trained(
    still_module: SkillModule, tmp_path: Path
) -> None:
    what = compared("walk", [still_module], WALK_TEST)
    run = dataclasses.replace(what.training.run, total_steps=47)
    what = dataclasses.replace(what, reuse=dataclasses.replace(what.training, run=run))
    said: list[str] = []
    with pytest.raises(SettingsError, match="total_steps is 47, expected at least the 48"):
        compare(what, tmp_path, said.append)
    assert not said and not any(tmp_path.iterdir())


def test_a_stopped_training_ends_the_comparison(still_module: SkillModule, tmp_path: Path) -> None:
    what = compared("walk", [still_module], WALK_TEST, gap="none")
    run = dataclasses.replace(what.training.run, minutes=0.0)
    what = dataclasses.replace(what, training=dataclasses.replace(what.training, run=run))
    said: list[str] = []
    with jax.numpy_dtype_promotion("standard"):
        assert compare(what, tmp_path, said.append) is None
    assert [text.partition(":")[0] for text in said] == ["scratch"]


def test_dribbling_with_and_without_skills(still_module: SkillModule, tmp_path: Path) -> None:
    test = DribbleEvaluationConfig(episodes=4, episode_s=0.4, skip_s=0.1)
    figures = done(compared("dribble", [still_module], test), tmp_path).figures
    assert figures["sweep"] == []
    # 20 s of 0.02 s each.
    assert figures["episode_steps"] == 1000
    for run in figures["runs"].values():
        assert 0.0 < run["evaluation"]["distance_m"] < 0.5
        assert run["naturalness"]["torque_squared"] > 0.0
        assert run["naturalness"]["nearest_pose_rad"] >= 0.0
    # The ball lies at its target; only a robot that falls does not keep it there.
    near = [figures["runs"][run]["evaluation"]["time_near_target"] for run in ("reuse", "scratch")]
    assert 0.5 < min(near) <= max(near) <= 1.0
    assert figures["ratios"]["time_near_target"] == pytest.approx(near[0] / near[1])
    rows = compare_report.metric_rows(TASKS["dribble"].metrics, figures)
    assert rows[0][0] == "ball to target [m]" and rows[1][-1] == f"{near[0] / near[1]:.2f}"


def test_dribbling_by_a_commander_beside_training_from_scratch(
    still_module: SkillModule, still_policy: TaskPolicy, tmp_path: Path
) -> None:
    """Its curve is that of learning from rules, in which it acts itself."""
    test = DribbleEvaluationConfig(episodes=4, episode_s=0.4, skip_s=0.1)
    what = compared("dribble", [still_module], test)
    assert isinstance(what.training, DribbleTrainingConfig)
    reuse = dataclasses.replace(
        what.training,
        commander=CommanderArchitecture(policy_hidden=(8,), critic_hidden=(8,)),
        chase=ChaseConfig(learner=TeachingConfig(steps=6, minibatches=2)),
    )
    reuse = what.task.lasting(reuse, 2 * 6 * 8)
    what = dataclasses.replace(what, reuse=reuse, walk=still_policy)
    figures = done(what, tmp_path).figures
    assert figures["curves"]["scratch"]["steps"] == [48.0, 96.0]
    assert figures["curves"]["reuse"]["steps"] == [48.0]
    assert [run["steps"] for run in figures["runs"].values()] == [96, 96]
    commander = load_any_policy(tmp_path / "reuse" / "dribble.npz")
    assert isinstance(commander, CommanderPolicy)
    parts = (commander.params, commander.walk.params, commander.walk.decoder.params)
    assert figures["runs"]["reuse"]["weights"] == sum(
        np.size(leaf) for leaf in jax.tree.leaves(parts)
    )
    again = done(what, tmp_path)
    assert json.dumps(again.figures) == json.dumps(figures)


def test_a_walk_on_other_skills_is_refused(
    still_module: SkillModule, other_module: SkillModule, still_policy: TaskPolicy
) -> None:
    test = DribbleEvaluationConfig(episodes=4, episode_s=0.4)
    compared("dribble", [still_module], test, walk=still_policy)
    with pytest.raises(ContractError, match="the walk to command is on other skills than m0"):
        compared("dribble", [other_module], test, walk=still_policy)


def test_figures_are_short() -> None:
    shown = [compare_plots.short(x) for x in (2345.6, 0.01234, 0.0, float("nan"))]
    assert shown == ["2,346", "0.0123", "0", "?"]


def test_each_training_of_a_sweep_has_its_weight(
    still_module: SkillModule, other_module: SkillModule, tmp_path: Path
) -> None:
    weights: list[tuple[SkillModule, float]] = []

    def train(spec: object, module: SkillModule, config: WalkTrainingConfig, out: Path) -> None:
        weights.append((module, config.ppo.kl_weight))

    what = compared("walk", [still_module, other_module], WALK_TEST, sweep=(0.01, 0.5))
    what = dataclasses.replace(what, task=dataclasses.replace(what.task, train=train))
    for run in what.runs[1:]:
        compare_module._train(what, run, tmp_path / run.name)
    one, other = still_module, other_module
    assert weights == [(one, 0.01), (one, 0.5), (other, 0.01), (other, 0.5)]
