"""What a skill module does by itself: latents from the prior alone, through the decoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import Array

from legged_skills.mocap.clip import RobotClip
from legged_skills.mocap.walking import travel_speeds, turning_rates
from legged_skills.robots.errors import require_at_least, require_count, require_seed
from legged_skills.robots.intervals import mean_interval, median_interval, wilson
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.gap import Gap
from legged_skills.sim2real.reality import simulate
from legged_skills.sim2real.sensed_robot import SensedRobots
from legged_skills.skill_module import prior
from legged_skills.skill_module.agents import ImitationAgent, Params
from legged_skills.skill_module.deviation import lowest_height
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.reference import build_reference

PERCENTILES = (5, 25, 50, 75, 95)
"""Of the distributions over robots."""


@dataclass(frozen=True, kw_only=True)
class PriorConfig:
    """Settings of the rollouts."""

    robots: int = 200
    """N, robots, all run together."""
    seconds: float = 10.0
    """Length of a rollout [s]."""
    max_tilt_rad: float = 1.0
    """Fallen when the base is tilted by more than this from the floor's normal [rad]."""
    seed: int = 0
    """Of starts, latents, and what the gap draws."""

    def __post_init__(self) -> None:
        """Checks what the command line offers.

        Raises:
            SettingsError: there are no robots, the seed is out of its range, or the time is too
                short.
        """
        require_count(self, "robots")
        require_at_least(self, seconds=1.0)
        require_seed(self)


@dataclass(frozen=True, kw_only=True)
class PriorRollouts:
    """What N robots did over T control steps."""

    qpos: np.ndarray
    """(T, N, 7 + J) float32, states [m, rad]."""
    fallen_at: np.ndarray
    """(N,) control step of the fall; T if there was none."""
    period_s: float
    """Control period [s]."""

    @property
    def fell(self) -> np.ndarray:
        """(N,) True where the robot fell."""
        return self.fallen_at < len(self.qpos)

    @property
    def speeds_mps(self) -> np.ndarray:
        """(K,) mean of the ``travel_speeds`` of each of the K robots that did not fall [m/s]."""
        return travel_speeds(self.qpos[:, ~self.fell], self.period_s).mean(axis=0)

    @property
    def turns_radps(self) -> np.ndarray:
        """(K,) mean size of the ``turning_rates`` of each robot that did not fall [rad/s]."""
        return np.abs(turning_rates(self.qpos[:, ~self.fell, 3:7], self.period_s)).mean(axis=0)


def roll_prior(
    spec: RobotSpec,
    module: SkillModule,
    clips: Sequence[RobotClip],
    config: PriorConfig,
    num_threads: int = 0,
    gap: Gap | None = None,
) -> PriorRollouts:
    """Samples latents from the AR(1) prior, stationary from the start, and does what they mean.

    Robots start on rows of the clips, drawn uniformly. A robot falls when it is tilted, or lower
    than ``lowest_height`` of the lowest row of all.

    Args:
        spec: the robot.
        module: its skill module.
        clips: where to start.
        config: settings.
        num_threads: of the physics; 0 takes all cores.
        gap: what is between policy and physics; None for nothing.
    """
    n, steps = config.robots, round(config.seconds / spec.control_period_s)
    reference = build_reference(spec, clips)
    rows = np.random.default_rng(config.seed).integers(0, reference.num_rows, n)
    sim = simulate(spec, n, num_threads, gap)
    robots = SensedRobots(sim, module.contract, seed=config.seed + 1, gap=gap)
    robots.draw_factors(config.seed)
    robots.reset(np.arange(n), reference.qpos[rows].astype(np.float64), reference.qvel[rows])
    least_m = lowest_height(spec, reference.qpos[:, 2].min())
    least_up = np.cos(config.max_tilt_rad)
    agent = module.agent
    key, start = jax.random.split(jax.random.key(config.seed))
    z = jax.random.normal(start, (n, module.architecture.latent_size))
    qpos = np.empty((steps, n, sim.qpos.shape[1]), np.float32)
    fallen_at = np.full(n, steps)
    for step in range(steps):
        action = decode(agent, module.params, robots.proprioception(), z)
        diverged = robots.step(np.asarray(action))
        z, key = _next(z, key, module.architecture.alpha)
        qpos[step] = sim.qpos
        down = diverged | (robots.pos_w[:, 2] < least_m) | (robots.up_b[:, 2] < least_up)
        fallen_at[down & (fallen_at == steps)] = step
    return PriorRollouts(qpos=qpos, fallen_at=fallen_at, period_s=spec.control_period_s)


@partial(jax.jit, static_argnames=("agent",))
def decode(agent: ImitationAgent, params: Params, proprioception: Array, z: Array) -> Array:
    """The agent's mean action for latents, jitted."""
    return agent.decode(params, proprioception, z)


@partial(jax.jit, static_argnames=("alpha",))
def _next(z: Array, key: Array, alpha: float) -> tuple[Array, Array]:
    """The next latents, and the key after them."""
    key, now = jax.random.split(key)
    return prior.sample_prior(now, z, alpha), key


def summarize_prior(run: PriorRollouts) -> dict[str, Any]:
    """Figures of rollouts, with 95 % confidence intervals over robots.

    Returns:
        "robots", "seconds", "fall_rate"; of the robots that did not fall "median_speed_mps" and
        "median_turn_radps", the distributions "speed_mps" and "turn_radps" ("mean", and percentiles
        "p5" to "p95"), and the values "speeds_mps" and "turns_radps"; NaN and empty if all fell.
    """
    fell = run.fell
    figures: dict[str, Any] = {
        "robots": len(fell),
        "seconds": len(run.qpos) * run.period_s,
        "fall_rate": float(fell.mean()),
        "fall_rate_ci95": list(wilson(int(fell.sum()), len(fell))),
    }
    for name, unit, values in (
        ("speed", "mps", run.speeds_mps),
        ("turn", "radps", run.turns_radps),
    ):
        some = len(values) > 0
        figures[f"median_{name}_{unit}"] = float(np.median(values)) if some else float("nan")
        figures[f"median_{name}_{unit}_ci95"] = list(median_interval(values))
        spread = np.percentile(values, PERCENTILES) if some else np.full(len(PERCENTILES), np.nan)
        figures[f"{name}_{unit}"] = {
            "mean": float(values.mean()) if some else float("nan"),
            "mean_ci95": list(mean_interval(values)),
            **{f"p{p}": float(value) for p, value in zip(PERCENTILES, spread, strict=True)},
        }
        figures[f"{name}s_{unit}"] = values.tolist()
    return figures
