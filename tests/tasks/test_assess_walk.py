"""Which episodes a walk is assessed by."""

import inspect
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.sim2real.gap import GAPS, Gap
from legged_skills.tasks import assess_walk as assessing
from legged_skills.tasks import evaluate_walk
from legged_skills.tasks.assess_walk import as_trained, assess_walk
from legged_skills.tasks.evaluate_walk import WalkEpisodes, WalkEvaluationConfig
from legged_skills.tasks.held_commands import held_episodes

SPEC = robots.get("op3")
CONFIG = WalkEvaluationConfig(
    episodes=3, held_episodes=2, standing_episodes=4, seed=7, touches_itself=True
)


def test_commands_are_from_the_ranges_that_the_policy_was_trained_for() -> None:
    policy: Any = SimpleNamespace(config={"vx_range": [0.0, 0.2], "fall_cost": 9.0})
    found = as_trained(WalkEvaluationConfig(vx_range=(0.0, 9.0), vy_range=(0.0, 0.1)), policy)
    assert (found.vx_range, found.vy_range, found.yaw_range) == ((0.0, 0.2), (0.0, 0.1), None)


def _assess(monkeypatch: pytest.MonkeyPatch, gap: Gap | None) -> tuple[Any, list[dict[str, Any]]]:
    """The figures of robots that stand, and what was asked for, run by run."""
    asked: list[dict[str, Any]] = []
    signature = inspect.signature(evaluate_walk.walk_on_commands)

    def stand(*arguments: Any, **more: Any) -> WalkEpisodes:
        bound = signature.bind(*arguments, **more)
        bound.apply_defaults()
        asked.append(bound.arguments)
        commands, kept = bound.arguments["commands"], bound.arguments["keep"]
        steps = round(bound.arguments["command_s"] / SPEC.control_period_s) * commands.shape[1]
        episodes = len(commands)
        return WalkEpisodes(
            commands=commands,
            achieved=np.zeros(commands.shape),
            fallen_at=np.full(episodes, steps),
            velocity=np.zeros((steps, episodes, 3)),
            qpos=np.tile(SPEC.home_qpos, (steps, kept, 1)),
        )

    monkeypatch.setattr(assessing, "walk_on_commands", stand)
    monkeypatch.setattr(evaluate_walk, "walk_on_commands", stand)
    monkeypatch.setattr(assessing, "naturalness", lambda spec, run, walking: run.qpos.shape)
    figures = assess_walk(SPEC, SimpleNamespace(), CONFIG, None, 1, gap)  # type: ignore[arg-type]
    return figures, asked


@pytest.mark.parametrize(("gap", "held", "standing"), [(GAPS["op3"], 2, 4), (None, 1, 1)])
def test_walks_at_random_on_held_commands_and_standing(
    monkeypatch: pytest.MonkeyPatch, gap: Gap | None, held: int, standing: int
) -> None:
    figures, (at_random, on_held, still) = _assess(monkeypatch, gap)
    for asked in (at_random, on_held, still):
        assert asked["gap"] is gap and asked["num_threads"] == 1 and asked["touches_itself"]
    assert [asked["seed"] for asked in (at_random, on_held, still)] == [7, 8, 9]
    # Looks are told from all episodes of random commands.
    assert at_random["commands"].shape == (3, 5, 3) and at_random["keep"] == 3
    assert figures["naturalness"][1] == 3
    np.testing.assert_array_equal(on_held["commands"], held_episodes("op3", held))
    assert (on_held["command_s"], on_held["average_s"]) == (8.0, 6.0)
    assert {row["episodes"] for row in figures["held_commands"]} == {held}
    np.testing.assert_array_equal(still["commands"], np.zeros((standing, 1, 3)))
    assert still["command_s"] == 12.0 and still["keep"] == standing
    assert figures["standing"]["episodes"] == standing
    assert figures["standing"]["from_s"] == 2.0
    assert figures["standing"]["to_s"] == pytest.approx(12.0, abs=SPEC.control_period_s)
    assert figures["ranges"]["vx_range"] == list(WalkEvaluationConfig().ranges("op3")["vx_range"])
    assert (figures["held_s"], figures["settle_s"]) == (8.0, 2.0)
