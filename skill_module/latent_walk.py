"""A walk through latent space: from the latents of one clip to those of another, decoded."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from legged_skills.mocap.clip import finite_difference_qvel
from legged_skills.mocap.walking import travel_speeds
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.reality import simulate
from legged_skills.sim2real.sensed_robot import SensedRobots
from legged_skills.skill_module.deviation import lowest_height
from legged_skills.skill_module.evaluate import ClipTrack
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.prior_rollouts import decode


@dataclass(frozen=True, kw_only=True)
class LatentWalkConfig:
    """Times of a walk through latent space."""

    hold_s: float = 3.0
    """Latents of the first clip at the start, and of the second at the end [s]."""
    change_s: float = 4.0
    """From the ones to the others [s]."""


@dataclass(frozen=True, kw_only=True)
class LatentWalk:
    """What a robot did over T control steps."""

    names: tuple[str, str]
    """The two clips."""
    share: np.ndarray
    """(T,) how far the latents had gone from the first clip's to the second's, 0 to 1."""
    qpos: np.ndarray
    """(T, 7 + J) states [m, rad]."""
    fallen_at: int
    """Control step of the fall; T if there was none."""


def slow_and_fast(tracks: Sequence[ClipTrack], steps: int, period_s: float) -> tuple[int, int]:
    """Two tracks to walk between: those with the slowest and the fastest reference.

    Args:
        tracks: at least one.
        steps: control steps that the two should be tracked for; if fewer than two tracks are so
            long, the two longest are taken.
        period_s: control period [s].

    Returns:
        Indices of the slower and of the faster one.
    """
    lengths = np.array([track.tracked for track in tracks])
    long = np.flatnonzero(lengths >= steps)
    if len(long) < 2:
        long = np.argsort(-lengths, kind="stable")[:2]
    speeds = [
        float(travel_speeds(tracks[i].reference_qpos[:steps], period_s).mean())
        if lengths[i] > 1
        else 0.0
        for i in long.tolist()
    ]
    return int(long[np.argmin(speeds)]), int(long[np.argmax(speeds)])


def shares(config: LatentWalkConfig, period_s: float) -> np.ndarray:
    """(T,) how far the latents have gone at each control step: 0, then a straight line, then 1."""
    hold, change = (round(time / period_s) for time in (config.hold_s, config.change_s))
    return np.clip((np.arange(2 * hold + change) - hold) / max(1, change), 0.0, 1.0)


def blend(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Latents between two sequences, along an arc.

    Both are distributed about as N(0, I), and independent: so is what lies on the arc, while the
    middle of a straight line would have half the variance, which the decoder seldom saw.

    Args:
        first: (T, L).
        second: (T, L).
        share: (T,) 0 for the first, 1 for the second.

    Returns:
        (T, L) cos(share pi / 2) first + sin(share pi / 2) second.
    """
    angle = 0.5 * np.pi * share[:, None]
    return (np.cos(angle) * first + np.sin(angle) * second).astype(np.float32)


def walk_latents(
    spec: RobotSpec,
    module: SkillModule,
    tracks: tuple[ClipTrack, ClipTrack],
    config: LatentWalkConfig | None = None,
) -> LatentWalk:
    """Decodes the latents of one clip, and step by step more of those of another, without a gap.

    Args:
        spec: the robot.
        module: its skill module.
        tracks: of the two clips, from their starts; if one was not tracked for long enough, the
            walk ends there.
        config: times.
    """
    first, second = tracks
    share = shares(config or LatentWalkConfig(), spec.control_period_s)
    # The first row of a reference is where the first latent led to: the second is decided there.
    share = share[: min(first.tracked, second.tracked) - 1]
    steps = len(share)
    latents = blend(first.latents[1 : steps + 1], second.latents[1 : steps + 1], share)
    robots = SensedRobots(simulate(spec, 1, 1), module.contract)
    qvel = finite_difference_qvel(first.reference_qpos, 1.0 / spec.control_period_s)
    robots.reset(np.arange(1), first.reference_qpos[0], qvel[0])
    least_m = lowest_height(spec, first.reference_qpos[:, 2].min())
    agent = module.agent
    qpos, fallen_at = np.empty((steps, 7 + spec.num_joints)), steps
    for step in range(steps):
        z = latents[step : step + 1]
        action = decode(agent, module.params, robots.proprioception(), z)
        diverged = robots.step(np.asarray(action))
        qpos[step] = robots.sim.qpos[0]
        down = diverged[0] or robots.pos_w[0, 2] < least_m or robots.up_b[0, 2] < np.cos(1.0)
        if down and fallen_at == steps:
            fallen_at = step
    return LatentWalk(names=(first.name, second.name), share=share, qpos=qpos, fallen_at=fallen_at)
