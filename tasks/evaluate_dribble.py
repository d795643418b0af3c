"""How well a dribbling policy keeps the ball at its target: many episodes on four kinds of ways."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from legged_skills.robots.ball import BALLS
from legged_skills.robots.errors import require_count, require_seed
from legged_skills.robots.files import package_file
from legged_skills.robots.intervals import mean_interval, wilson
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.gap import Gap
from legged_skills.sim2real.reality import simulate
from legged_skills.skill_module.module_file import read_settings
from legged_skills.skill_module.rollout import act, carried
from legged_skills.tasks.dribble import DribbleEnv
from legged_skills.tasks.dribble_config import DribbleConfig
from legged_skills.tasks.policy_file import Policy
from legged_skills.tasks.target_paths import PATHS, WAY_SIZE, path


@dataclass(frozen=True, kw_only=True)
class DribbleTest:
    """What a robot's ball is asked for."""

    target_speed_mps: float
    """Targets move this fast [m/s]."""
    near_m: float
    """A ball is at its target within this distance [m]."""


TESTS: Mapping[str, DribbleTest] = {
    "anymal_c": DribbleTest(target_speed_mps=0.5, near_m=1.0),
    "op3": DribbleTest(target_speed_mps=0.2, near_m=0.5),
}
"""The test of each robot, by name."""


@dataclass(frozen=True, kw_only=True)
class DribbleEvaluationConfig:
    """What a dribbling policy is tested on."""

    episodes: int = 200
    """Episodes, all run together, spread over the ways."""
    episode_s: float = 20.0
    """Length of an episode [s]."""
    skip_s: float = 5.0
    """What happens in the first of it is not counted [s]."""
    heading_rad: float = 0.5
    """Ways begin within this to both sides of straight ahead, uniform [rad]."""
    seed: int = 12345
    """Of the ways, and of what the gap draws; the policy is deterministic."""

    def __post_init__(self) -> None:
        """Checks what the command line offers.

        Raises:
            SettingsError: there is no episode for each way, or the seed is out of its range.
        """
        require_count(self, "episodes", least=len(PATHS))
        require_seed(self)


@dataclass(frozen=True, kw_only=True)
class DribbleEpisodes:
    """What E robots did with their balls over T control steps."""

    paths: tuple[str, ...]
    """(E,) name of each target's way."""
    robot_w: np.ndarray
    """(T, E, 2) where the robots are [m]."""
    ball_w: np.ndarray
    """(T, E, 2) where the balls are [m]."""
    target_w: np.ndarray
    """(T, E, 2) where the targets are [m]."""
    fallen_at: np.ndarray
    """(E,) control step of the fall; T if there was none."""
    qpos: np.ndarray
    """(T, K, 14 + J) states of robot and ball of the first K episodes."""
    torque_squared: np.ndarray | None = None
    """(T, K) of the same, sum over joints of torque^2, mean over the control step [N^2 m^2]; None
    without a gap."""

    @property
    def distance(self) -> np.ndarray:
        """(T, E) between ball and target [m]."""
        return np.linalg.norm(self.ball_w - self.target_w, axis=2)

    @property
    def fell(self) -> np.ndarray:
        """(E,) True where the robot fell."""
        return self.fallen_at < len(self.ball_w)


def dribble_on_paths(
    spec: RobotSpec,
    policy: Policy,
    paths: Sequence[str],
    config: DribbleEvaluationConfig,
    keep: int = 1,
    num_threads: int = 0,
    gap: Gap | None = None,
) -> DribbleEpisodes:
    """Runs a policy deterministically, standing at first, with the ball and the target ahead.

    Args:
        spec: the robot.
        policy: its dribbling policy.
        paths: (E,) the kind of each target's way.
        config: length of the episodes, first headings and seed.
        keep: number of episodes whose states are kept.
        num_threads: of the physics; 0 takes all cores.
        gap: what is between policy and physics, with a ball; None for nothing. Each robot has
            factors of its own.

    Raises:
        FileFormatError: the policy's settings of the task are those of another version.
        SettingsError: the robot has no ball, or an episode has no control step.
    """
    env = _prepared(spec, policy, paths, config, num_threads, gap)
    n, steps = env.num_envs, env.max_steps
    sim, agent, key = env.robots.batch, policy.agent, jax.random.key(0)
    z = np.zeros((n, agent.carried_size), np.float32)
    tracks = np.empty((3, steps, n, 2))
    kept = min(keep, n)
    qpos = np.empty((steps, kept, sim.model.nq))
    torque_squared = None if gap is None else np.empty((steps, kept), np.float32)
    fallen_at = np.full(n, steps)
    for step in range(steps):
        decision = act(agent, policy.params, env.observe(), z, key, deterministic=True)
        diverged = env.advance(np.asarray(decision.action))
        z = carried(decision, diverged)
        tracks[:, step] = sim.qpos[:, :2], env.ball_w, env.target
        qpos[step] = np.hstack([sim.qpos[:kept], sim.objects_qpos[:kept]])
        if torque_squared is not None:
            torque_squared[step] = env.robots.torque_squared[:kept]
        fallen_at[(env.fallen() | diverged) & (fallen_at == steps)] = step
    robot, ball, target = tracks
    return DribbleEpisodes(
        paths=tuple(paths),
        robot_w=robot,
        ball_w=ball,
        target_w=target,
        fallen_at=fallen_at,
        qpos=qpos,
        torque_squared=torque_squared,
    )


def _prepared(
    spec: RobotSpec,
    policy: Policy,
    paths: Sequence[str],
    config: DribbleEvaluationConfig,
    num_threads: int,
    gap: Gap | None,
) -> DribbleEnv:
    """Robots at the start of their episodes."""
    task = read_settings("the dribbling policy", DribbleConfig, policy.config)
    task.sizes(spec.name)
    n, rng = len(paths), np.random.default_rng(config.seed)
    env = DribbleEnv(
        simulate(spec, n, num_threads, gap, BALLS[spec.name]),
        policy.contract,
        replace(task, episode_s=config.episode_s),
        seed=config.seed,
        gap=gap,
    )
    env.robots.draw_factors(config.seed)
    heading = rng.uniform(-config.heading_rad, config.heading_rad, n)
    side = rng.choice([-1.0, 1.0], n)
    ways = np.empty((n, WAY_SIZE))
    speed = TESTS[spec.name].target_speed_mps
    for name in set(paths):
        rows = np.array([other == name for other in paths])
        ways[rows] = path(name, speed, heading[rows], side[rows])
    ball = np.tile([env.ball.ahead_m, 0.0], (n, 1))
    env.place(np.arange(n), np.tile(spec.home_qpos, (n, 1)), ball, ball, ways)
    return env


def evaluate_dribble(
    spec: RobotSpec,
    policy: Policy,
    config: DribbleEvaluationConfig,
    num_threads: int = 0,
    gap: Gap | None = None,
    keep: int = len(PATHS),
) -> tuple[dict[str, Any], DribbleEpisodes]:
    """Tests a policy on all ways.

    Args:
        spec: the robot.
        policy: its dribbling policy.
        config: episodes.
        num_threads: of the physics; 0 takes all cores.
        gap: what is between policy and physics, with a ball; None for nothing.
        keep: number of episodes whose states are kept: the first ones, one of each way, in the
            order of ``PATHS``, and so on.

    Returns:
        The figures of ``summarize``, and the episodes.
    """
    paths = [PATHS[i % len(PATHS)] for i in range(config.episodes)]
    run = dribble_on_paths(spec, policy, paths, config, keep, num_threads, gap)
    return summarize(spec, run, config.skip_s), run


def summarize(spec: RobotSpec, run: DribbleEpisodes, skip_s: float) -> dict[str, Any]:
    """Figures of some episodes.

    Args:
        spec: the robot.
        run: the episodes.
        skip_s: time at their start that is not counted [s].

    Returns:
        "time_near_target": share of the time after ``skip_s`` in which the ball is within "near_m"
        of its target, on the worst kind of way; the time after a fall counts as far away.
        "distance_m": mean over the time on its feet; "fall_rate", "falls_ci95", "episodes",
        "target_speed_mps"; "paths": a list with the same of each kind of way, with its "name" and
        "ci95", the 95 % confidence interval of its "time_near_target": 0 to 1 for one episode.
    """
    test = TESTS[spec.name]
    steps = np.arange(len(run.ball_w))[:, None]
    counted = steps >= round(skip_s / spec.control_period_s)
    upright = steps < run.fallen_at
    distance = run.distance
    near = ((distance < test.near_m) & upright)[counted[:, 0]].mean(axis=0)
    names = list(dict.fromkeys(run.paths))
    parts = []
    for name in names:
        rows = np.array([other == name for other in run.paths])
        low, high = mean_interval(near[rows])
        parts.append(
            {
                "name": name,
                "time_near_target": float(near[rows].mean()),
                "ci95": [float(np.fmax(low, 0.0)), float(np.fmin(high, 1.0))],
                "distance_m": _mean(distance[:, rows][(counted & upright)[:, rows]]),
                **_falls(run.fell[rows]),
            }
        )
    return {
        "time_near_target": min(part["time_near_target"] for part in parts),
        "distance_m": _mean(distance[counted & upright]),
        **_falls(run.fell),
        "near_m": test.near_m,
        "target_speed_mps": test.target_speed_mps,
        "paths": parts,
    }


def _falls(fell: np.ndarray) -> dict[str, Any]:
    return {
        "episodes": len(fell),
        "fall_rate": float(fell.mean()),
        "falls_ci95": list(wilson(int(fell.sum()), len(fell))),
    }


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def shipped_policy(robot: str) -> Path:
    """Path of the dribbling policy that comes with the package.

    Raises:
        FileFormatError: there is none for this robot.
    """
    return package_file("legged_skills.tasks", f"weights/{robot}/dribble.npz", "dribbling policy")
