"""From a sketch of key poses to a policy that gets up, and its figures."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.contract import proprioception
from legged_skills.robots.errors import ContractError, SettingsError
from legged_skills.robots.intervals import wilson
from legged_skills.sim2real.gap import GAPS, Gap, load_gap
from legged_skills.skill_module.agents import Decision
from legged_skills.skill_module.ppo import PpoConfig
from legged_skills.skill_module.tracker import TrackerArchitecture
from legged_skills.skill_module.training import RunConfig
from legged_skills.tasks import evaluate_getup, lying
from legged_skills.tasks.commander_file import load_any_policy
from legged_skills.tasks.evaluate_getup import (
    GetupEvaluationConfig,
    RecoveryEpisodes,
    down_until_standing,
    get_up,
    summarize,
    summarize_recovery,
    walk_and_recover,
)
from legged_skills.tasks.evaluate_walk import (
    WalkEvaluationConfig,
    random_commands,
    shipped_policy,
)
from legged_skills.tasks.getup_env import GetupTaskConfig
from legged_skills.tasks.getup_file import GetupPolicy, shipped_getup
from legged_skills.tasks.getup_film import fall_scenes, lying_scenes
from legged_skills.tasks.recovering import RecoveringPolicy
from legged_skills.tasks.search_getup import SKETCHES, Search, SearchConfig
from legged_skills.tasks.train_getup import GetupTrainingConfig, search, train_getup
from legged_skills.tasks.walk import COMMAND_SCALE

SPEC = robots.get("op3")
GAP = GAPS["op3"]
FEW = SearchConfig(generations=2, gap_generations=0, candidates=6, starts=2, elites=3, pool=16)


def test_sketches_are_within_the_usable_ranges() -> None:
    for name, sketch in SKETCHES.items():
        spec = robots.get(name)
        indices = [spec.joint_names.index(joint) for joint in sketch.joints]
        poses = np.array(sketch.poses)
        assert (poses >= spec.joint_lower[indices]).all()
        assert (poses <= spec.joint_upper[indices]).all()
        assert len(sketch.durations_s) == poses.shape[1] + 1


def test_a_search_begins_with_the_sketch() -> None:
    keys, sketch = Search(SPEC, FEW, 1).best(), SKETCHES["op3"]
    knee = SPEC.joint_names.index("l_knee")
    np.testing.assert_allclose(keys.poses[0, :, knee], [0.3, 2.3, 2.4, 1.7], atol=1e-9)
    np.testing.assert_allclose(keys.durations_s, np.tile(sketch.durations_s, (2, 1)))


def _give_scores(found: Search, *generations: list[float]) -> None:
    """Candidates of both sides get these scores, generation by generation, and never stand."""
    scores = iter(generations)

    def try_all(genes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        now = np.tile(next(scores), (2, 1))
        return now, np.zeros_like(now)

    found._try = try_all  # type: ignore[method-assign]


def test_elites_are_kept_and_their_scores_are_means() -> None:
    found = Search(SPEC, FEW, 1)
    _give_scores(found, [1.0, 2.0, 3.0, 9.0, 0.0, 0.0], [5.0, 6.0, 1.0, 0.0, 0.0, 4.0])
    found.step()
    # Nobody was tested before; the newcomer with 9 is worth (9 + the elites' mean of 2) / 2.
    np.testing.assert_allclose(found.scores[0], [9.0, 3.0, 2.0])
    np.testing.assert_allclose(found.tested[0], [1, 1, 1])
    found.step()
    # Means over both: 7, 4.5, 1.5, of which the usual is 13/3. The newcomer with 4 counts
    # (4 + 13/3) / 2, more than (2 x 1.5 + 13/3) / 3.
    np.testing.assert_allclose(found.scores[0], [7.0, 4.5, 4.0])
    np.testing.assert_allclose(found.tested[0], [2, 2, 1])


def test_seconds_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Search(SPEC, FEW, 1)
    genes = np.tile(found.genes[:, :1], (1, FEW.candidates, 1))
    genes[..., -5:] = np.log([[0.1], [0.2], [0.3]] * 2)
    # Who does not move is worth as much each time, but for that.
    still = np.zeros(found._robots.num_envs, bool)
    monkeypatch.setattr(found._robots, "step", lambda action: still)

    def scored(time_cost: float) -> np.ndarray:
        found.config = dataclasses.replace(FEW, time_cost=time_cost)
        found.rng = np.random.default_rng(0)
        return found._try(genes)[0]

    # Five times between poses, of 0.1, 0.2 or 0.3 s.
    cost = [[0.2, 0.4, 0.6] * 2] * 2
    np.testing.assert_allclose(scored(0.0) - scored(0.4), cost, atol=1e-9)


def test_an_attempt_that_diverges_is_worth_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def tried(diverges: bool) -> tuple[np.ndarray, np.ndarray]:
        found = Search(SPEC, FEW, 1)
        robots_, step = found._robots, found._robots.step
        # All get up, as far as one sees.
        monkeypatch.setattr(lying, "standing", lambda robots, *_: np.ones(robots.num_envs, bool))

        def with_nan(action: np.ndarray) -> np.ndarray:
            if diverges:
                robots_.sim.qvel[:2] = np.nan  # both attempts of the first candidate
                robots_.sim.qvel[3] = np.nan  # one of the second
            return step(action)

        monkeypatch.setattr(robots_, "step", with_nan)
        return found._try(np.tile(found.genes[:, :1], (1, FEW.candidates, 1)))

    (scores, stood), (usual, _) = tried(True), tried(False)
    assert scores[0, 0] == 0.0 and stood[0, 0] == 0.0
    assert 0.0 < scores[0, 1] < usual[0, 1] and stood[0, 1] == 0.5
    np.testing.assert_array_equal(scores[0, 2:], usual[0, 2:])
    np.testing.assert_array_equal(stood[1], 1.0)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("candidates", 2, "at least 3"),
        ("pool", 0, "at least 1"),
        ("mutation", -0.1, "a finite number of at least 0"),
        ("time_cost", float("nan"), "a finite number of at least 0"),
        ("seed", 2**32, "at most 4294967295"),
    ],
)
def test_searches_that_cannot_be_are_refused(name: str, value: float, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        dataclasses.replace(FEW, **{name: value})
    assert str(caught.value) == f"{name} is {value}, expected {expected}."


def test_somebody_must_lie_on_each_side() -> None:
    with pytest.raises(
        SettingsError, match=r"^pool is 1, of which none lies on its (front|back), "
    ):
        Search(SPEC, dataclasses.replace(FEW, pool=1), 1)


def test_under_the_gap_scores_begin_anew() -> None:
    found = Search(SPEC, dataclasses.replace(FEW, generations=1, gap_generations=1), 1, GAP)
    assert found.generations == 2
    assert Search(SPEC, found.config, 1).generations == 1
    _give_scores(found, [1.0, 2.0, 3.0, 9.0, 0.0, 0.0], [0.5, 0.2, 0.1, 0.0, 0.0, 0.0])
    found.step()
    np.testing.assert_allclose(found.scores[0], [9.0, 3.0, 2.0])
    found.step()
    # The means with those of the first generation would be 4.75, 1.6, 1.05.
    np.testing.assert_allclose(found.scores[0], [0.5, 0.2, 0.1])
    np.testing.assert_allclose(found.tested[0], [1, 1, 1])


def test_under_the_gap_attempts_are_by_different_robots() -> None:
    found = Search(SPEC, dataclasses.replace(FEW, generations=0, gap_generations=1), 1, GAP)
    found.step()
    reality = found._robots.reality
    assert reality is not None and reality.level == 1.0
    assert found._robots.num_envs == 2 * 6 * 2
    assert len(np.unique(reality.factor("battery"))) > 12


@pytest.mark.parametrize("gap", [None, GAP])
def test_a_search_goes_on_exactly(tmp_path: Path, gap: Gap | None) -> None:
    config = FEW if gap is None else dataclasses.replace(FEW, generations=1, gap_generations=2)
    whole = search(SPEC, config, tmp_path / "whole", 1, gap)
    stops = iter([*[False] * (config.generations + config.gap_generations - 1), True, True])
    assert search(SPEC, config, tmp_path / "parts", 1, gap, lambda: next(stops)) is None
    rest = search(SPEC, config, tmp_path / "parts", 1, gap)
    assert whole is not None and rest is not None
    np.testing.assert_array_equal(whole.poses, rest.poses)
    np.testing.assert_array_equal(whole.durations_s, rest.durations_s)
    with pytest.raises(ContractError, match="had other settings"):
        search(SPEC, dataclasses.replace(config, starts=1), tmp_path / "parts", 1, gap)
    # Who asks for an end in the last generation gets it.
    assert search(SPEC, config, tmp_path / "parts", 1, gap, lambda: True) is None


def test_only_robots_with_a_sketch_get_up(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="anymal_c has no key poses to get up with"):
        train_getup(robots.get("anymal_c"), GetupTrainingConfig(), tmp_path)


def test_what_cannot_be_trained_is_refused_before_poses_are_searched(tmp_path: Path) -> None:
    config = GetupTrainingConfig(run=RunConfig(total_steps=64, num_envs=8), search=FEW)
    with pytest.raises(SettingsError, match="total_steps is 64, expected at least the 192"):
        train_getup(SPEC, config, tmp_path)
    sizes = TrackerArchitecture(policy_hidden=(255, 128))
    with pytest.raises(SettingsError, match="255 values cannot be mirrored"):
        train_getup(SPEC, GetupTrainingConfig(search=FEW, architecture=sizes), tmp_path)
    with pytest.raises(SettingsError, match=r"training_level is -1\.0"):
        train_getup(SPEC, GetupTrainingConfig(search=FEW, gap_factor=-1.0), tmp_path)
    assert not any(tmp_path.iterdir())


@pytest.mark.standard_dtypes
def test_training_writes_a_policy_that_acts(tmp_path: Path) -> None:
    config = GetupTrainingConfig(
        run=RunConfig(total_steps=64, num_envs=8, num_threads=1),
        ppo=PpoConfig(steps=4, epochs=1, minibatches=1, kl_weight=0.0),
        architecture=TrackerArchitecture(policy_hidden=(8,), critic_hidden=(8,)),
        task=GetupTaskConfig(pool=8),
        search=FEW,
    )
    result = train_getup(SPEC, config, tmp_path)
    assert result is not None and result.finished and result.steps == 64
    policy = GetupPolicy.load(tmp_path / "getup.npz", "op3")
    assert policy.summary["search"]["generations"] == 2
    # Under a gap that is a tenth wider than what it is tested under.
    level = policy.summary["gap"]["training_level"]
    assert level == pytest.approx(1.1 * GAP.training_level)
    more = dataclasses.replace(config, search=dataclasses.replace(FEW, generations=9))
    on = train_getup(SPEC, more, tmp_path / "on", policy)
    further = GetupPolicy.load(tmp_path / "on" / "getup.npz")
    # Its key poses are kept, and nothing is searched.
    assert on is not None and not (tmp_path / "on" / "search.npz").exists()
    np.testing.assert_array_equal(further.keys.poses, policy.keys.poses)
    assert further.summary["start"]["steps"] == 64
    wider = dataclasses.replace(
        config, architecture=TrackerArchitecture(policy_hidden=(10,), critic_hidden=(8,))
    )
    with pytest.raises(ContractError, match=r"has policy_hidden \(.*\), expected \(10,\)"):
        train_getup(SPEC, wider, tmp_path / "wider", policy)
    test = GetupEvaluationConfig(episodes=6, limit_s=0.5, stand_s=0.1)
    run = get_up(SPEC, policy, test, 1, load_gap("full", "op3"), keep=6)
    figures = summarize(run, test, SPEC.control_period_s)
    assert figures["success_rate"] == 0.0 and figures["episodes"] == 6
    assert len(lying_scenes(SPEC, run)) == len(set(run.side))


def test_down_is_from_the_fall_until_it_stands_for_a_while() -> None:
    fell = np.array([0, 1, 0, 0, 0, 0, 0, 0, 1, 0], bool)[:, None]
    stands = np.array([1, 0, 0, 1, 1, 0, 1, 1, 0, 0], bool)[:, None]
    down = down_until_standing(fell, stands, rest_steps=2)
    np.testing.assert_array_equal(down[:, 0], [0, 1, 1, 1, 0, 0, 0, 0, 1, 1])
    slower = down_until_standing(fell, stands, rest_steps=3)
    np.testing.assert_array_equal(slower[:, 0], [0, 1, 1, 1, 1, 1, 1, 1, 1, 1])


def test_who_diverged_while_it_walked_is_down_to_the_end(
    monkeypatch: pytest.MonkeyPatch,
    diverge: Callable[[int], None],
    anew: Callable[[ModuleType], Callable[[int], list[int]]],
) -> None:
    short = partial(WalkEvaluationConfig, episode_s=1.2, command_s=0.24)
    monkeypatch.setattr("legged_skills.tasks.evaluate_getup.WalkEvaluationConfig", short)
    diverge(20)
    begins = anew(evaluate_getup)
    walk = load_any_policy(shipped_policy("op3"), "op3", "walk")
    both = RecoveringPolicy(policy=walk, getup=GetupPolicy.load(shipped_getup("op3"), "op3"))
    run = walk_and_recover(SPEC, both, GetupEvaluationConfig(episodes=2), 1)
    assert len(run.down) > 40
    np.testing.assert_array_equal(run.down[:, 0], np.arange(len(run.down)) >= 20)
    assert not run.down[:, 1].any()
    assert begins(0) == [0, 21] and begins(1) == [0]


def test_recoveries_by_hand() -> None:
    down = np.zeros((100, 2), bool)
    down[10:30, 0] = True  # up again after 20 steps
    down[60:100, 0] = True  # never within 25
    down[90:100, 1] = True  # there is no time left
    run = RecoveryEpisodes(down=down, qpos=np.zeros((100, 2, 27)))
    config = GetupEvaluationConfig(limit_s=25.0)
    figures = summarize_recovery(run, config, period_s=1.0)
    assert figures["falls"] == 3 and figures["recovered"] == 0.5
    assert figures["minutes"] == pytest.approx(200 / 60)
    assert figures["falls_per_minute"] == pytest.approx(0.9)
    assert figures["upright_share"] == pytest.approx(1 - 70 / 200)
    # A film shows 62 steps before a fall and 208 after it.
    assert fall_scenes(SPEC, run) == []
    longer = RecoveryEpisodes(
        down=np.concatenate([np.zeros((80, 2), bool), down, np.zeros((150, 2), bool)]),
        qpos=np.zeros((330, 2, 27)),
    )
    assert len(fall_scenes(SPEC, longer)[0].qpos) == 62 + 208


def test_the_share_of_recoveries_has_an_interval() -> None:
    down = np.zeros((100, 4), bool)
    down[10:15, :3] = True
    down[10:50, 3] = True
    run = RecoveryEpisodes(down=down, qpos=np.zeros((100, 1, 27)))
    figures = summarize_recovery(run, GetupEvaluationConfig(limit_s=20.0), period_s=1.0)
    assert figures["recovered"] == 0.75
    assert figures["recovered_ci95"] == list(wilson(3, 4))
    # Who stands again at the limit does so in time, and who falls at the end had no time.
    down[:] = False
    down[10:30, 0] = down[10:31, 1] = down[79:, 2] = down[80:, 3] = True
    assert summarize_recovery(run, GetupEvaluationConfig(limit_s=20.0), 1.0)["recovered"] == 1 / 3


class _Stays:
    """An agent that asks for the default pose, and carries nothing."""

    carried_size = 1


def _noted(monkeypatch: pytest.MonkeyPatch) -> tuple[list[np.ndarray], list[dict[str, Any]]]:
    """The commands that ``_Stays`` is told, and how simulations were asked for."""
    told: list[np.ndarray] = []
    asked: list[dict[str, Any]] = []
    simulate = evaluate_getup.simulate

    def act(agent: Any, params: Any, obs: Any, z: np.ndarray, *_: Any, **__: Any) -> Decision:
        told.append(obs["task"].copy() if "task" in obs else np.zeros(0))
        return Decision(np.zeros((len(z), SPEC.num_joints)), z, {})  # type: ignore[arg-type]

    def simulated(*arguments: Any, **more: Any) -> Any:
        asked.append(more)
        return simulate(*arguments, **more)

    monkeypatch.setattr(evaluate_getup, "act", act)
    monkeypatch.setattr(evaluate_getup, "simulate", simulated)
    return told, asked


def test_who_walks_and_falls_is_told_the_commands_of_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    short = partial(WalkEvaluationConfig, episode_s=0.72, command_s=0.24)
    monkeypatch.setattr("legged_skills.tasks.evaluate_getup.WalkEvaluationConfig", short)
    told, asked = _noted(monkeypatch)
    rests: list[int] = []

    def down(fell: np.ndarray, stands: np.ndarray, rest_steps: int) -> np.ndarray:
        rests.append(rest_steps)
        return down_until_standing(fell, stands, rest_steps)

    monkeypatch.setattr(evaluate_getup, "down_until_standing", down)
    policy: Any = SimpleNamespace(
        agent=_Stays(), params={}, contract=proprioception(SPEC), config={"vx_range": (0.1, 0.2)}
    )
    run = walk_and_recover(SPEC, policy, GetupEvaluationConfig(episodes=3, seed=5), 1, keep=2)
    test = short(episodes=3, seed=5, vx_range=(0.1, 0.2))
    commands = random_commands(SPEC, test).repeat(10, axis=1).swapaxes(0, 1)
    np.testing.assert_allclose(told, commands * COMMAND_SCALE, rtol=1e-6)
    # Parts of a robot meet, as they do on the floor.
    assert asked == [{"touches_itself": True}]
    # It stands again when it has for half a second, at 24 ms a step.
    assert rests == [21]
    assert run.down.shape == (30, 3) and run.qpos.shape == (30, 2, 27) and not run.down.any()


def test_who_gets_up_is_watched_for_the_limit_and_a_while_of_standing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, asked = _noted(monkeypatch)
    policy: Any = SimpleNamespace(agent=_Stays(), params={}, contract=proprioception(SPEC))
    config = GetupEvaluationConfig(episodes=3, limit_s=0.24, stand_s=0.12)
    run = get_up(SPEC, policy, config, 1, keep=2)
    assert run.stands.shape == (15, 3) and run.qpos.shape == (15, 2, 27)
    assert not run.stands.any() and asked == [{"touches_itself": True}]
