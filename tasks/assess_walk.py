"""Everything that is measured of a walking policy, in one dictionary."""

from dataclasses import replace
from typing import Any

import numpy as np

from legged_skills.mocap.walking import Walking
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.gap import Gap
from legged_skills.tasks.evaluate_walk import (
    WalkEvaluationConfig,
    summarize,
    walk_at_random,
    walk_on_commands,
)
from legged_skills.tasks.held_commands import held_episodes, held_figures, standing_figures
from legged_skills.tasks.naturalness import naturalness
from legged_skills.tasks.policy_file import Policy
from legged_skills.tasks.walk import RANGES


def as_trained(config: WalkEvaluationConfig, policy: Policy) -> WalkEvaluationConfig:
    """The same test, but with commands from the ranges that the policy was trained for."""
    given: dict[str, Any] = {
        name: tuple(policy.config[name]) for name in RANGES if name in policy.config
    }
    return replace(config, **given)


def assess_walk(
    spec: RobotSpec,
    policy: Policy,
    config: WalkEvaluationConfig,
    walking: Walking | None,
    num_threads: int = 0,
    gap: Gap | None = None,
) -> dict[str, Any]:
    """Tests a policy on random commands, on held commands, and standing.

    Args:
        spec: the robot.
        policy: its walking policy.
        config: episodes and commands.
        walking: what walking clips look like; None if there are none to compare with.
        num_threads: of the physics; 0 takes all cores.
        gap: what is between policy and physics; None for nothing.

    Returns:
        The figures of ``evaluate_walk``, ``held_figures``, "standing" as of ``standing_figures``,
        and "naturalness" as of ``naturalness`` for the episodes of random commands.
    """
    run = walk_at_random(spec, policy, config, num_threads, gap, keep=config.episodes)
    figures = summarize(run) | {"naturalness": naturalness(spec, run, walking)}
    figures["ranges"] = {name: list(ends) for name, ends in config.ranges(spec.name).items()}
    # Without a gap all start nearly alike and nothing is drawn: one episode says it all.
    held, standing = (
        1 if gap is None else count for count in (config.held_episodes, config.standing_episodes)
    )
    average_s = config.held_s - config.settle_s
    commands = held_episodes(spec.name, held)
    run = walk_on_commands(
        spec,
        policy,
        commands,
        config.held_s,
        average_s,
        0,
        num_threads,
        gap,
        config.seed + 1,
        config.touches_itself,
    )
    figures |= held_figures(run, held)
    figures["held_s"], figures["settle_s"] = config.held_s, config.settle_s
    still, time_s = np.zeros((standing, 1, 3)), config.standing_s
    run = walk_on_commands(
        spec,
        policy,
        still,
        time_s,
        time_s,
        standing,
        num_threads,
        gap,
        config.seed + 2,
        config.touches_itself,
    )
    figures["standing"] = standing_figures(spec, run, config.settle_s)
    return figures
