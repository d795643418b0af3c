"""How well a walking policy does what it is told: many episodes of changing commands."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from legged_skills.robots.errors import SettingsError, require_count, require_seed
from legged_skills.robots.files import package_file
from legged_skills.robots.intervals import wilson
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.gap import Gap
from legged_skills.sim2real.reality import simulate
from legged_skills.skill_module.rollout import act, carried
from legged_skills.tasks.policy_file import Policy
from legged_skills.tasks.standing import near_home
from legged_skills.tasks.walk import (
    COMMAND_NAMES,
    COMMAND_SIZE,
    RANGES,
    WalkConfig,
    WalkEnv,
)

START_NOISE_RAD = 0.02
"""Standard deviation of the joint angles at the start where there is no gap that draws them [rad].
Networks that are mirrored as the robot is do the mirror image of mirror images: a robot that stands
as its own, exactly, does not know which leg to lift, and stays until rounding has told it."""


@dataclass(frozen=True, kw_only=True)
class WalkEvaluationConfig:
    """What a walking policy is tested on."""

    episodes: int = 200
    """Episodes, all run together."""
    episode_s: float = 20.0
    """Length of an episode [s]."""
    command_s: float = 4.0
    """Time each command is given [s]."""
    average_s: float = 2.0
    """The velocity is averaged over the last of that time [s]."""
    vx_range: tuple[float, float] | None = None
    """Commanded forward velocity, uniform [m/s]; None for the robot's own (``walk.PACES``)."""
    vy_range: tuple[float, float] | None = None
    """Commanded velocity to the left, uniform [m/s]; None for the robot's own."""
    yaw_range: tuple[float, float] | None = None
    """Commanded turning rate, uniform [rad/s]; None for the robot's own."""
    seed: int = 12345
    """Of the commands, and of what the gap draws; the policy is deterministic."""
    held_episodes: int = 200
    """Episodes of each of the robot's ``HELD_COMMANDS``; without a gap, where all would be nearly
    the same, there is one."""
    held_s: float = 8.0
    """Time such a command is given, from standing [s]."""
    settle_s: float = 2.0
    """The speed reached is averaged over what is left of that after this time [s]."""
    standing_episodes: int = 100
    """Episodes of standing at the command zero; without a gap there is one."""
    standing_s: float = 12.0
    """Length of these; what is measured begins after ``settle_s`` [s]."""
    touches_itself: bool = False
    """Whether parts of a robot meet, as those of real ones do; in training they do not."""

    def __post_init__(self) -> None:
        """Checks what the command line offers.

        Raises:
            SettingsError: there are no episodes, or a number is out of its range.
        """
        require_count(self, "episodes", "held_episodes", "standing_episodes")
        require_seed(self)

    def ranges(self, robot: str) -> dict[str, tuple[float, float]]:
        """The ranges of commands for a robot: "vx_range", "vy_range" [m/s], "yaw_range" [rad/s].

        Raises:
            SettingsError: the robot has no paces of its own.
        """
        paces = WalkConfig(**{name: getattr(self, name) for name in RANGES}).paces(robot)
        return {name: getattr(paces, name) for name in RANGES}


@dataclass(frozen=True, kw_only=True)
class WalkEpisodes:
    """What E robots did over T control steps, given C commands each, one after another."""

    commands: np.ndarray
    """(E, C, 3) commanded vx, vy [m/s], yaw rate [rad/s]."""
    achieved: np.ndarray
    """(E, C, 3) velocity averaged over the end of each command; NaN after a fall."""
    fallen_at: np.ndarray
    """(E,) control step of the fall; T if there was none."""
    velocity: np.ndarray
    """(T, E, 3) velocity in the heading frame [m/s, rad/s]."""
    qpos: np.ndarray
    """(T, E, 7 + J) states; only of the first few episodes, see ``walk_on_commands``."""
    torque_squared: np.ndarray | None = None
    """(T, E) sum over joints of torque^2, mean over the control step [N^2 m^2]; None without a gap.
    """

    @property
    def fell(self) -> np.ndarray:
        """(E,) True where the robot fell."""
        return self.fallen_at < len(self.velocity)


def walk_on_commands(
    spec: RobotSpec,
    policy: Policy,
    commands: np.ndarray,
    command_s: float = 4.0,
    average_s: float = 2.0,
    keep: int = 1,
    num_threads: int = 0,
    gap: Gap | None = None,
    seed: int = 0,
    touches_itself: bool = False,
) -> WalkEpisodes:
    """Runs a policy deterministically, standing at first, on given commands.

    Each robot has factors of the gap of its own.

    Args:
        spec: the robot.
        policy: its walking policy.
        commands: (E, C, 3) vx, vy [m/s], yaw rate [rad/s], one after another.
        command_s: time each is given [s].
        average_s: the velocity is averaged over the last of that time [s].
        keep: number of episodes whose states are kept.
        num_threads: of the physics; 0 takes all cores.
        gap: what is between policy and physics; None for nothing.
        seed: of what the gap draws, and of the joint angles at the start without one.
        touches_itself: whether parts of a robot meet.

    Raises:
        SettingsError: velocities cannot be averaged over so much of a command.
    """
    episodes, count, _ = commands.shape
    hold = round(command_s / spec.control_period_s)
    if not 0.0 < average_s <= command_s:
        raise SettingsError(f"average_s is {average_s:g}, expected 0 to {command_s:g}.")
    window = round(average_s / spec.control_period_s)
    steps = hold * count
    env = WalkEnv(
        simulate(spec, episodes, num_threads, gap, touches_itself=touches_itself),
        policy.contract,
        WalkConfig(max_steps=steps + 1, start_noise=0.0, change_period_s=1e9),
        seed=seed,
        gap=gap,
    )
    env.robots.draw_factors(seed)
    noise_rad = START_NOISE_RAD if gap is None else 0.0
    start = near_home(spec, episodes, noise_rad, np.random.default_rng(seed))
    env.robots.reset(np.arange(episodes), start, np.zeros(6 + spec.num_joints))
    agent, key = policy.agent, jax.random.key(0)
    z = np.zeros((episodes, agent.carried_size), np.float32)
    velocity = np.empty((steps, episodes, 3), np.float32)
    qpos = np.empty((steps, min(keep, episodes), spec.num_joints + 7))
    torque_squared = None if gap is None else np.empty((steps, episodes), np.float32)
    fallen_at = np.full(episodes, steps)
    for step in range(steps):
        env.command[:] = commands[:, step // hold]
        decision = act(agent, policy.params, env.observe(), z, key, deterministic=True)
        diverged = env.robots.step(np.asarray(decision.action))
        z = carried(decision, diverged)
        now = env.velocity()
        velocity[step, :, :2], velocity[step, :, 2] = now.linear, now.yaw
        qpos[step] = env.robots.sim.qpos[: qpos.shape[1]]
        if torque_squared is not None:
            torque_squared[step] = env.robots.torque_squared
        down = (env.fallen() | diverged) & (fallen_at == steps)
        fallen_at[down] = step
    ends = velocity.reshape(count, hold, episodes, 3)[:, hold - window :].mean(axis=1)
    achieved = ends.transpose(1, 0, 2).astype(np.float64)
    whole = (np.arange(1, count + 1) * hold)[None, :] <= fallen_at[:, None]
    achieved[~whole] = np.nan
    return WalkEpisodes(
        commands=commands,
        achieved=achieved,
        fallen_at=fallen_at,
        velocity=velocity,
        qpos=qpos,
        torque_squared=torque_squared,
    )


def evaluate_walk(
    spec: RobotSpec,
    policy: Policy,
    config: WalkEvaluationConfig,
    num_threads: int = 0,
    gap: Gap | None = None,
) -> dict[str, Any]:
    """Tests a policy on random commands.

    Args:
        spec: the robot.
        policy: its walking policy.
        config: episodes and commands.
        num_threads: of the physics; 0 takes all cores.
        gap: what is between policy and physics; None for nothing.

    Returns:
        "velocity_error_mps" and "yaw_error_radps": mean over commands of the error of the averaged
        velocity; "fall_rate" and "fall_rate_ci95"; "episodes"; "commands": a list with each
        command, what was achieved and its errors. A command during which the robot fell counts in
        the fall rate only.
    """
    return summarize(walk_at_random(spec, policy, config, num_threads, gap, keep=0))


def walk_at_random(
    spec: RobotSpec,
    policy: Policy,
    config: WalkEvaluationConfig,
    num_threads: int = 0,
    gap: Gap | None = None,
    keep: int = 1,
) -> WalkEpisodes:
    """The episodes of ``evaluate_walk``; the states of ``keep`` of them are kept."""
    return walk_on_commands(
        spec,
        policy,
        random_commands(spec, config),
        config.command_s,
        config.average_s,
        keep=keep,
        num_threads=num_threads,
        gap=gap,
        seed=config.seed,
        touches_itself=config.touches_itself,
    )


def random_commands(spec: RobotSpec, config: WalkEvaluationConfig) -> np.ndarray:
    """(E, C, 3) commands: forward, to the left [m/s], turning [rad/s]."""
    rng = np.random.default_rng(config.seed)
    ranges = np.array(list(config.ranges(spec.name).values()))
    count = round(config.episode_s / config.command_s)
    return rng.uniform(ranges[:, 0], ranges[:, 1], (config.episodes, count, COMMAND_SIZE))


def summarize(run: WalkEpisodes) -> dict[str, Any]:
    """The figures of ``evaluate_walk`` for given episodes."""
    error = run.achieved - run.commands
    velocity_error = np.linalg.norm(error[..., :2], axis=-1)
    yaw_error = np.abs(error[..., 2])
    done = np.isfinite(yaw_error)
    return {
        "velocity_error_mps": float(velocity_error[done].mean()) if done.any() else float("nan"),
        "yaw_error_radps": float(yaw_error[done].mean()) if done.any() else float("nan"),
        "fall_rate": float(run.fell.mean()),
        "fall_rate_ci95": list(wilson(int(run.fell.sum()), len(run.fell))),
        "episodes": len(run.fell),
        "commands": [
            _command(run, episode, index, velocity_error, yaw_error)
            for episode, index in zip(*np.nonzero(done), strict=True)
        ],
    }


def command_arrays(figures: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The commands of ``summarize`` as arrays, for plots.

    Returns:
        (N, 3) what was commanded, and (N, 3) what was achieved: forward, left [m/s] and turning
        [rad/s].
    """
    rows = figures["commands"]
    commanded = np.array([[row[name] for name in COMMAND_NAMES] for row in rows])
    achieved = np.array([[row[f"achieved_{name}"] for name in COMMAND_NAMES] for row in rows])
    return commanded.reshape(-1, COMMAND_SIZE), achieved.reshape(-1, COMMAND_SIZE)


def _command(
    run: WalkEpisodes,
    episode: int,
    index: int,
    velocity_error: np.ndarray,
    yaw_error: np.ndarray,
) -> dict[str, Any]:
    return {
        "episode": int(episode),
        **dict(zip(COMMAND_NAMES, run.commands[episode, index].tolist(), strict=True)),
        **{
            f"achieved_{name}": value
            for name, value in zip(
                COMMAND_NAMES, run.achieved[episode, index].tolist(), strict=True
            )
        },
        "velocity_error_mps": float(velocity_error[episode, index]),
        "yaw_error_radps": float(yaw_error[episode, index]),
    }


def shipped_policy(robot: str) -> Path:
    """Path of the walking policy that comes with the package.

    Raises:
        FileFormatError: there is none for this robot.
    """
    return package_file("legged_skills.tasks", f"weights/{robot}/walk.npz", "walking policy")
