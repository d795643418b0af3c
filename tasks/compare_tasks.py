"""The tasks on which reuse and training from scratch are compared: how each is set up and tested.

A motion is judged by the same figures in all of them (``naturalness``).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from legged_skills.mocap.walking import Walking
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.kinematics import ROOT_QPOS
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.ball_gap import BALL_GAPS
from legged_skills.sim2real.gap import GAPS, Gap
from legged_skills.skill_module.training import Result
from legged_skills.tasks import film, train_dribble, train_walk, walk
from legged_skills.tasks.assess_walk import as_trained
from legged_skills.tasks.chase import CHASES
from legged_skills.tasks.dribble import episode_steps
from legged_skills.tasks.dribble_config import TASK_SIZE
from legged_skills.tasks.dribble_film import dribbling_scene
from legged_skills.tasks.evaluate_dribble import DribbleEvaluationConfig, evaluate_dribble
from legged_skills.tasks.evaluate_walk import WalkEvaluationConfig, summarize, walk_at_random
from legged_skills.tasks.film import Scene
from legged_skills.tasks.naturalness import motion_figures, naturalness
from legged_skills.tasks.policy_file import Policy
from legged_skills.tasks.train_policy import PolicyTrainingConfig, TaskEnvironment

TaskName = Literal["walk", "dribble"]
_FILMED_WAY = "slalom"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A figure that is compared."""

    name: str
    """Its key among the figures."""
    label: str
    """What it is, with its unit."""
    part: Literal["evaluation", "naturalness"]
    """Where it is found."""
    more_is_better: bool = False
    """Otherwise less is."""


NATURALNESS: Sequence[Metric] = tuple(
    Metric(name=name, label=label, part="naturalness", more_is_better=name == "height_in_range")
    for name, label in (
        ("joint_acceleration_radps2", "joint acceleration [rad/s²]"),
        ("torque_squared", "torque² [N²m²]"),
        ("foot_slide_mps", "foot slide [m/s]"),
        ("roll_pitch_rate_radps", "roll and pitch rate [rad/s]"),
        ("nearest_pose_rad", "nearest pose of the clips [rad]"),
        ("height_in_range", "height in the clips' range [share]"),
    )
)


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What a policy did in its test."""

    evaluation: dict[str, Any]
    """How well it did the task."""
    naturalness: dict[str, Any]
    """How it moved: the figures of ``motion_figures``."""
    scene: Callable[[str], Scene]
    """A scene of one episode, under a title."""


Examine = Callable[[RobotSpec, Policy, Any, Walking | None, Gap | None, int], Examined]
"""(robot, policy, evaluation config, what walks look like, gap, threads) -> what it did."""


@dataclass(frozen=True, kw_only=True)
class ComparedTask:
    """A task, as comparisons need it."""

    name: TaskName
    """Its name."""
    training: type[PolicyTrainingConfig]
    """Settings of its trainings."""
    evaluation: Callable[..., Any]
    """Settings of its test, from "episodes"."""
    make_env: Callable[..., TaskEnvironment]
    """(robot, module, training settings) -> environments."""
    settings: Callable[[Any], dict[str, Any]]
    """Environments -> settings of the task."""
    task_size: int
    """Length of the "task" observation."""
    episode_steps: Callable[[RobotSpec, Any], int]
    """(robot, training settings) -> control steps of a training's episode."""
    recipes: Mapping[str, PolicyTrainingConfig]
    """By robot: the settings of the policy that comes with the package."""
    lasting: Callable[[Any, int | None], PolicyTrainingConfig]
    """(a recipe, control steps of all its stages or None) -> the same of that length."""
    first_steps: Callable[[Any], int]
    """A recipe -> control steps of what it learns before PPO, from clips or from rules."""
    first_folder: str | None
    """Where in its folder the returns are, if what a recipe learns first acts itself."""
    train: Callable[..., Result]
    """Trains on a module: (robot, module, training settings, folder)."""
    examine: Examine
    """Tests a policy."""
    metrics: Sequence[Metric]
    """What is compared; the first is the error of the trade-off between error and effort."""
    gaps: Mapping[str, Gap]
    """The full gap of each robot."""


def examine_walk(
    spec: RobotSpec,
    policy: Policy,
    config: WalkEvaluationConfig,
    walking: Walking | None,
    gap: Gap | None,
    num_threads: int = 0,
) -> Examined:
    """Tests a walk on random commands from the ranges that it was trained for.

    Args:
        spec: the robot.
        policy: its walk.
        config: episodes.
        walking: what walking clips look like; None if there are none to compare with.
        gap: what is between policy and physics; None for nothing.
        num_threads: of the physics; 0 takes all cores.
    """
    config = as_trained(config, policy)
    run = walk_at_random(spec, policy, config, num_threads, gap, keep=config.episodes)
    figures = summarize(run)
    del figures["commands"]
    return Examined(
        evaluation=figures,
        naturalness=naturalness(spec, run, walking),
        scene=lambda title: film.walking_scene(spec, run, title=title),
    )


def examine_dribble(
    spec: RobotSpec,
    policy: Policy,
    config: DribbleEvaluationConfig,
    walking: Walking | None,
    gap: Gap | None,
    num_threads: int = 0,
) -> Examined:
    """Tests dribbling on all ways; arguments as in ``examine_walk``.

    The motion counts from when the task does, until a fall.
    """
    figures, run = evaluate_dribble(spec, policy, config, num_threads, gap, config.episodes)
    qpos = run.qpos[..., : ROOT_QPOS + spec.num_joints]
    steps = np.arange(len(qpos))[:, None]
    counts = (steps >= round(config.skip_s / spec.control_period_s)) & (steps < run.fallen_at)
    episode = run.paths.index(_FILMED_WAY)
    return Examined(
        evaluation=figures,
        naturalness=motion_figures(spec, qpos, counts, run.torque_squared, walking),
        scene=lambda title: dribbling_scene(spec, run, episode, title),
    )


def _walk_lasting(
    recipe: train_walk.WalkTrainingConfig, steps: int | None
) -> train_walk.WalkTrainingConfig:
    if steps is None:
        return recipe
    run = replace(recipe.run, total_steps=_after_first(steps, recipe.clip_steps, "from clips"))
    return replace(recipe, run=run)


def _dribble_lasting(
    recipe: train_dribble.DribbleTrainingConfig, steps: int | None
) -> train_dribble.DribbleTrainingConfig:
    """Of the commander, which learns from rules all the time but for one update of its critic."""
    run, chase = train_dribble.one_update(recipe.run, recipe.ppo), recipe.chase
    if steps is not None:
        rest = _after_first(steps, run.total_steps, "in one update of its critic")
        chase = replace(chase, steps=rest)
    return replace(recipe, run=run, chase=chase)


def _after_first(steps: int, first: int, of_what: str) -> int:
    if steps <= first:
        raise SettingsError(
            f"steps is {steps}, expected more than the {first} that the recipe learns {of_what}."
        )
    return steps - first


def _metrics(*given: tuple[str, str]) -> tuple[Metric, ...]:
    more = "time_near_target"
    task = (Metric(name=n, label=x, part="evaluation", more_is_better=n == more) for n, x in given)
    return (*task, *NATURALNESS)


TASKS: Mapping[str, ComparedTask] = {
    "walk": ComparedTask(
        name="walk",
        training=train_walk.WalkTrainingConfig,
        evaluation=WalkEvaluationConfig,
        make_env=train_walk.make_env,
        settings=train_walk.settings,
        task_size=walk.COMMAND_SIZE,
        episode_steps=lambda spec, config: config.walk.max_steps,
        recipes=train_walk.RECIPES,
        lasting=_walk_lasting,
        first_steps=lambda recipe: recipe.clip_steps,
        first_folder=None,
        train=train_walk.train_walk,
        examine=examine_walk,
        metrics=_metrics(
            ("velocity_error_mps", "velocity error [m/s]"),
            ("yaw_error_radps", "turning error [rad/s]"),
            ("fall_rate", "falls [share of episodes]"),
        ),
        gaps=GAPS,
    ),
    "dribble": ComparedTask(
        name="dribble",
        training=train_dribble.DribbleTrainingConfig,
        evaluation=DribbleEvaluationConfig,
        make_env=train_dribble.make_env,
        settings=train_dribble.settings,
        task_size=TASK_SIZE,
        episode_steps=lambda spec, config: episode_steps(config.dribble, spec.control_period_s),
        recipes={robot: train_dribble.DribbleTrainingConfig() for robot in CHASES},
        lasting=_dribble_lasting,
        first_steps=lambda recipe: recipe.chase.steps,
        first_folder=train_dribble.CHASE_FOLDER,
        train=train_dribble.train_dribble,
        examine=examine_dribble,
        metrics=_metrics(
            ("distance_m", "ball to target [m]"),
            ("time_near_target", "time near the target [share]"),
            ("fall_rate", "falls [share of episodes]"),
        ),
        gaps=BALL_GAPS,
    ),
}
"""The tasks by name."""
