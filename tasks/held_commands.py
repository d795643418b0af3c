"""Single commands held from standing, and standing itself: what a walk does when left alone."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from legged_skills.robots.errors import SettingsError
from legged_skills.robots.intervals import mean_interval, wilson
from legged_skills.robots.kinematics import Kinematics, site_points
from legged_skills.robots.spec import RobotSpec
from legged_skills.tasks.evaluate_walk import WalkEpisodes
from legged_skills.tasks.walk import COMMAND_NAMES

Twist = tuple[float, float, float]

HELD_COMMANDS: Mapping[str, tuple[Twist, ...]] = {
    "anymal_c": (
        *((vx, 0.0, 0.0) for vx in (-0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25)),
        *((0.0, vy, 0.0) for vy in (-0.3, 0.3)),
        *((0.0, 0.0, yaw) for yaw in (-1.0, 1.0)),
    ),
    "op3": (
        *((vx, 0.0, 0.0) for vx in (-0.1, 0.0, 0.1, 0.2, 0.3, 0.4)),
        *((0.0, vy, 0.0) for vy in (-0.1, 0.1)),
        *((0.0, 0.0, yaw) for yaw in (-0.7, 0.7)),
    ),
}
"""By robot: forward and left velocity [m/s] and turning rate [rad/s], one at a time."""


def held_episodes(robot: str, episodes: int) -> np.ndarray:
    """Each of a robot's commands for some episodes.

    Returns:
        (K * episodes, 1, 3) the episodes of the first of K commands first.

    Raises:
        SettingsError: the robot has no list of commands.
    """
    if robot not in HELD_COMMANDS:
        known = ", ".join(HELD_COMMANDS)
        raise SettingsError(f"there are no commands to hold for {robot}, expected one of {known}.")
    return np.array(HELD_COMMANDS[robot]).repeat(episodes, axis=0)[:, None]


def held_figures(run: WalkEpisodes, episodes: int) -> dict[str, Any]:
    """What was reached of each command.

    Args:
        run: commands from ``held_episodes``; the velocity is averaged over all but the time to
            settle.
        episodes: of each command.

    Returns:
        "held_commands": for each command its "vx_mps", "vy_mps", "yaw_radps", "episodes", "falls",
        "fall_rate" with "fall_rate_ci95", and over the robots that did not fall the mean velocity
        "reached_..." and "error_...", that minus the command, with "error_..._ci95";
        "worst_velocity_error_mps" and "worst_yaw_error_radps", the greatest size of the mean error
        of a command, forward and left together; NaN if all robots fell at some command.
    """
    rows = [_held(run, slice(i, i + episodes)) for i in range(0, len(run.fell), episodes)]
    errors = np.array([[row[f"error_{name}"] for name in COMMAND_NAMES] for row in rows])
    return {
        "held_commands": rows,
        # NaN is passed on: a walk that cannot be measured at one command has no worst error.
        "worst_velocity_error_mps": float(np.linalg.norm(errors[:, :2], axis=1).max()),
        "worst_yaw_error_radps": float(np.abs(errors[:, 2]).max()),
    }


def _held(run: WalkEpisodes, rows: slice) -> dict[str, Any]:
    command, achieved, fell = run.commands[rows][0, 0], run.achieved[rows, 0], run.fell[rows]
    figures: dict[str, Any] = dict(zip(COMMAND_NAMES, command.tolist(), strict=True))
    falls = int(fell.sum())
    figures |= {
        "episodes": len(fell),
        "falls": falls,
        "fall_rate": falls / len(fell),
        "fall_rate_ci95": list(wilson(falls, len(fell))),
    }
    for index, name in enumerate(COMMAND_NAMES):
        reached = achieved[~fell, index]
        mean = float(reached.mean()) if len(reached) else float("nan")
        figures[f"reached_{name}"] = mean
        figures[f"error_{name}"] = mean - float(command[index])
        figures[f"error_{name}_ci95"] = list(mean_interval(reached - command[index]))
    return figures


def standing_figures(spec: RobotSpec, run: WalkEpisodes, settle_s: float) -> dict[str, Any]:
    """How still robots stand that are commanded to.

    Args:
        spec: the robot.
        run: command zero; all states are kept.
        settle_s: what happens before this time does not count [s].

    Returns:
        "episodes", "fall_rate" with "fall_rate_ci95", "from_s" and "to_s"; over the robots that
        did not fall "drift_m", how far the base is at the end from where it was at ``settle_s``,
        along the floor: "mean" with "mean_ci95", and "p95", its 95th percentile; and "feet_mps",
        the mean speed of the feet.
    """
    first = round(settle_s / spec.control_period_s)
    fell = run.fell
    qpos = run.qpos[first:, ~fell]
    figures: dict[str, Any] = {
        "episodes": len(fell),
        "fall_rate": float(fell.mean()),
        "fall_rate_ci95": list(wilson(int(fell.sum()), len(fell))),
        "from_s": settle_s,
        "to_s": len(run.qpos) * spec.control_period_s,
    }
    if not qpos.size:
        nan = float("nan")
        nothing = {"mean": nan, "mean_ci95": [nan, nan], "p95": nan}
        return figures | {"drift_m": nothing, "feet_mps": nan}
    drift = np.linalg.norm(qpos[-1, :, :2] - qpos[0, :, :2], axis=1)
    return figures | {
        "drift_m": {
            "mean": float(drift.mean()),
            "mean_ci95": list(mean_interval(drift)),
            "p95": float(np.percentile(drift, 95)),
        },
        "feet_mps": float(foot_speeds(spec, qpos).mean()),
    }


def foot_speeds(spec: RobotSpec, qpos: np.ndarray) -> np.ndarray:
    """Speeds of the feet's centres from each control step to the next.

    Args:
        spec: the robot.
        qpos: (T, N, 7 + J) states.

    Returns:
        (T - 1, N, F) [m/s].
    """
    model = spec.model(visible=False)
    kinematics, feet = Kinematics(model), site_points(model, spec.foot_sites)
    steps, count, size = qpos.shape
    points = kinematics.points(kinematics.poses(qpos.reshape(-1, size)), feet)
    points = points.reshape(steps, count, spec.num_feet, 3)
    return np.linalg.norm(np.diff(points, axis=0), axis=-1) / spec.control_period_s
