"""How surely a robot gets up from the floor."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from legged_skills.robots.errors import require_count, require_seed
from legged_skills.robots.intervals import wilson
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.gap import Gap
from legged_skills.sim2real.reality import simulate
from legged_skills.sim2real.sensed_robot import SensedRobots
from legged_skills.skill_module.rollout import act, carried
from legged_skills.tasks import lying
from legged_skills.tasks.assess_walk import as_trained
from legged_skills.tasks.evaluate_walk import WalkEvaluationConfig, random_commands
from legged_skills.tasks.getup import SIDES
from legged_skills.tasks.policy_file import Policy
from legged_skills.tasks.recovering import RecoveringPolicy
from legged_skills.tasks.walk import WalkConfig, WalkEnv

_REST_S = 0.5
"""A robot that fell stands again when it has stood for so long [s]."""


@dataclass(frozen=True, kw_only=True)
class GetupEvaluationConfig:
    """What getting up is tested on."""

    episodes: int = 200
    """Robots that lie on the floor."""
    limit_s: float = 6.0
    """They shall stand after this time [s]."""
    stand_s: float = 1.0
    """They stand if they do so for this long from then on [s]."""
    height_share: float = 0.85
    """Standing, the base is at least so high, over its height in the default pose."""
    tilt_rad: float = 0.4
    """Standing, it is tilted by no more than this [rad]."""
    seed: int = 12345
    """Of the poses, and of what the gap draws."""

    def __post_init__(self) -> None:
        """Checks what the command line offers.

        Raises:
            SettingsError: there are no episodes, or the seed is out of its range.
        """
        require_count(self, "episodes")
        require_seed(self)


@dataclass(frozen=True, kw_only=True)
class GetupEpisodes:
    """What E robots did over T control steps."""

    side: np.ndarray
    """(E,) what they lay on, see ``getup.SIDES``."""
    stands: np.ndarray
    """(T, E) True while they stand; never for those whose physics diverged."""
    qpos: np.ndarray
    """(T, K, 7 + J) states of the first K."""


def get_up(
    spec: RobotSpec,
    policy: Policy,
    config: GetupEvaluationConfig,
    num_threads: int = 0,
    gap: Gap | None = None,
    keep: int = 1,
) -> GetupEpisodes:
    """Drops robots in poses of any kind, and lets a policy get them up.

    Args:
        spec: the robot.
        policy: what gets up.
        config: the test.
        num_threads: of the physics; 0 takes all cores.
        gap: what is between policy and physics; None for nothing.
        keep: number of episodes whose states are kept.
    """
    n, agent, key = config.episodes, policy.agent, jax.random.key(0)
    robots = SensedRobots(
        simulate(spec, n, num_threads, gap, touches_itself=True),
        policy.contract,
        0.0,
        config.seed,
        gap,
    )
    robots.draw_factors(config.seed)
    diverged = lying.drop(robots, np.random.default_rng(config.seed))
    side = lying.sides(robots)
    steps = round((config.limit_s + config.stand_s) / spec.control_period_s)
    stands = np.empty((steps, n), bool)
    qpos = np.empty((steps, min(keep, n), 7 + spec.num_joints))
    z = np.zeros((n, agent.carried_size), np.float32)
    for step in range(steps):
        obs = {"proprioception": robots.proprioception()}
        decision = act(agent, policy.params, obs, z, key, deterministic=True)
        failed = robots.step(np.asarray(decision.action))
        z = carried(decision, failed)
        diverged |= failed
        stands[step] = lying.standing(robots, config.height_share, config.tilt_rad)
        qpos[step] = robots.sim.qpos[: qpos.shape[1]]
    # Physics puts such robots back on their feet, but they did not get up.
    stands[:, diverged] = False
    return GetupEpisodes(side=side, stands=stands, qpos=qpos)


def stood_after(stands: np.ndarray, for_steps: int) -> np.ndarray:
    """(E,) control steps until each stands for ``for_steps`` on end, by ``stands`` (T, E).

    Those that never do get T.
    """
    total = len(stands)
    counts = np.zeros((total + 1, stands.shape[1]), int)
    np.cumsum(stands, axis=0, out=counts[1:])
    whole = counts[for_steps:] - counts[: total + 1 - for_steps] == for_steps
    return np.where(whole.any(axis=0), whole.argmax(axis=0), total)


def summarize(run: GetupEpisodes, config: GetupEvaluationConfig, period_s: float) -> dict[str, Any]:
    """How many stood in time.

    Args:
        run: the episodes.
        config: the test.
        period_s: the control period [s].

    Returns:
        "success_rate" with "success_rate_ci95", "time_s" (median of those that stood), "episodes",
        "limit_s", and the same for each side in a list "sides".
    """
    after = stood_after(run.stands, round(config.stand_s / period_s))
    seconds = (after + 1) * period_s
    stood = seconds <= config.limit_s

    def part(rows: np.ndarray) -> dict[str, Any]:
        count, hits = int(rows.sum()), int((stood & rows).sum())
        return {
            "success_rate": hits / count if count else float("nan"),
            "success_rate_ci95": list(wilson(hits, count)) if count else [float("nan")] * 2,
            "time_s": float(np.median(seconds[stood & rows])) if hits else float("nan"),
            "episodes": count,
        }

    sides = [{"name": name, **part(run.side == side)} for side, name in enumerate(SIDES)]
    return {**part(np.ones(len(stood), bool)), "limit_s": config.limit_s, "sides": sides}


@dataclass(frozen=True, kw_only=True)
class RecoveryEpisodes:
    """What E robots did over T control steps of walking."""

    down: np.ndarray
    """(T, E) True from a fall until they stand again; where the physics diverges, to the end."""
    qpos: np.ndarray
    """(T, K, 7 + J) states of the first K."""


def walk_and_recover(
    spec: RobotSpec,
    policy: RecoveringPolicy,
    config: GetupEvaluationConfig,
    num_threads: int = 0,
    gap: Gap | None = None,
    keep: int = 1,
) -> RecoveryEpisodes:
    """Lets robots walk on the commands of ``evaluate_walk``, whatever happens.

    Args:
        spec: the robot.
        policy: walks, and gets up.
        config: the test.
        num_threads: of the physics; 0 takes all cores.
        gap: what is between policy and physics; None for nothing.
        keep: number of episodes whose states are kept.
    """
    n, agent, key = config.episodes, policy.agent, jax.random.key(0)
    test = as_trained(WalkEvaluationConfig(episodes=n, seed=config.seed), policy)
    commands = random_commands(spec, test)
    hold = round(test.command_s / spec.control_period_s)
    steps = hold * commands.shape[1]
    walk = WalkConfig(max_steps=steps + 1, start_noise=0.0, change_period_s=1e9)
    env = WalkEnv(
        simulate(spec, n, num_threads, gap, touches_itself=True),
        policy.contract,
        walk,
        seed=config.seed,
        gap=gap,
    )
    env.robots.draw_factors(config.seed)
    env.robots.reset(np.arange(n), spec.home_qpos, np.zeros(6 + spec.num_joints))
    fell = np.empty((steps, n), bool)
    stands = np.empty((steps, n), bool)
    qpos = np.empty((steps, min(keep, n), 7 + spec.num_joints))
    diverged = np.zeros(n, bool)
    z = np.zeros((n, agent.carried_size), np.float32)
    for step in range(steps):
        env.command[:] = commands[:, step // hold]
        decision = act(agent, policy.params, env.observe(), z, key, deterministic=True)
        failed = env.robots.step(np.asarray(decision.action))
        z = carried(decision, failed)
        diverged |= failed
        fell[step] = env.fallen() | diverged
        stands[step] = lying.standing(env.robots, config.height_share, config.tilt_rad)
        qpos[step] = env.robots.sim.qpos[: qpos.shape[1]]
    rest = round(_REST_S / spec.control_period_s)
    return RecoveryEpisodes(down=down_until_standing(fell, stands, rest), qpos=qpos)


def down_until_standing(fell: np.ndarray, stands: np.ndarray, rest_steps: int) -> np.ndarray:
    """(T, E) True from each fall until the robot has stood for ``rest_steps`` on end.

    Args:
        fell: (T, E) True where it is fallen.
        stands: (T, E) True where it stands.
        rest_steps: how long that is.
    """
    down = np.zeros_like(fell)
    is_down, rested = np.zeros(fell.shape[1], bool), np.zeros(fell.shape[1], int)
    for step in range(len(fell)):
        rested = np.where(stands[step], rested + 1, 0)
        is_down = fell[step] | (is_down & (rested < rest_steps))
        down[step] = is_down
    return down


def summarize_recovery(
    run: RecoveryEpisodes, config: GetupEvaluationConfig, period_s: float
) -> dict[str, Any]:
    """How often they fell, and stood again.

    Args:
        run: the episodes.
        config: the test.
        period_s: the control period [s].

    Returns:
        "falls", "minutes" walked, "falls_per_minute"; "recovered", the share of falls after which
        the robot stood again within the limit, with "recovered_ci95", of those that left it the
        time; "upright_share" of the time.
    """
    down = np.concatenate([np.zeros((1, run.down.shape[1]), bool), run.down])
    limit = round(config.limit_s / period_s)
    starts, who = np.nonzero(down[1:] & ~down[:-1])
    whole = starts + limit < len(run.down)
    again = [
        not run.down[start : start + limit + 1, robot].all()
        for start, robot in zip(starts[whole], who[whole], strict=True)
    ]
    minutes = run.down.size * period_s / 60.0
    return {
        "falls": len(starts),
        "minutes": minutes,
        "falls_per_minute": len(starts) / minutes,
        "recovered": float(np.mean(again)) if again else float("nan"),
        "recovered_ci95": list(wilson(sum(again), len(again))) if again else [float("nan")] * 2,
        "upright_share": float(1.0 - run.down.mean()),
    }
