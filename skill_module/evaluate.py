"""How well a skill module tracks clips: every clip from its start, deterministically."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from legged_skills.mocap.clip import RobotClip
from legged_skills.robots.files import package_file
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.gap import Gap
from legged_skills.sim2real.reality import simulate
from legged_skills.skill_module.imitation import ImitationEnv
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.reference import build_reference
from legged_skills.skill_module.rollout import act


@dataclass(frozen=True, kw_only=True)
class ClipTrack:
    """How one clip was followed. Rows are control steps, the first of the clip left out."""

    name: str
    """The clip's name."""
    frames: int
    """Control steps in the clip."""
    tracked: int
    """Control steps followed before the robot was lost; all of them if it never was."""
    qpos: np.ndarray
    """(tracked, 7 + J) what the robot did, as in the simulation."""
    reference_qpos: np.ndarray
    """(tracked, 7 + J) what it should have done."""

    @property
    def tracked_share(self) -> float:
        """Share of the clip's control steps that were followed."""
        return self.tracked / self.frames

    @property
    def joint_error_rad(self) -> float:
        """Mean absolute joint error over the tracked steps [rad]."""
        if self.tracked == 0:
            return float("nan")
        return float(np.abs(self.qpos[:, 7:] - self.reference_qpos[:, 7:]).mean())

    @property
    def root_error_m(self) -> float:
        """Mean distance of the base from the reference over the tracked steps [m]."""
        if self.tracked == 0:
            return float("nan")
        offset = self.qpos[:, :3] - self.reference_qpos[:, :3]
        return float(np.linalg.norm(offset, axis=1).mean())


def track_clips(
    spec: RobotSpec,
    module: SkillModule,
    clips: Sequence[RobotClip],
    num_threads: int = 0,
    gap: Gap | None = None,
    seed: int = 0,
) -> list[ClipTrack]:
    """Plays every clip from its start with the latent's and the action's means.

    A clip is lost, and counts no further, when the base is more than 0.5 m off, roll and pitch
    are more than 1 rad off, or the robot has fallen (the module's own ``ImitationConfig``).

    Args:
        spec: the robot.
        module: its skill module.
        clips: what to follow.
        num_threads: of the physics; 0 takes all cores.
        gap: what is between policy and physics; None for nothing.
        seed: of what the gap draws.
    """
    reference = build_reference(spec, clips)
    sim = simulate(spec, len(reference.starts), num_threads, gap)
    env = ImitationEnv(sim, module.contract, reference, module.imitation, seed=seed, gap=gap)
    everyone = np.arange(env.num_envs)
    env.reset(everyone, reference.starts)
    frames = reference.lengths - 1
    tracked = np.zeros(env.num_envs, dtype=np.int64)
    following = np.ones(env.num_envs, dtype=bool)
    visited = np.zeros((int(frames.max()), env.num_envs, sim.qpos.shape[1]))
    z = np.zeros((env.num_envs, module.architecture.latent_size), np.float32)
    agent, key = module.agent, jax.random.key(0)
    step = 0
    while following.any():
        decision = act(agent, module.params, env.observe(), z, key, deterministic=True)
        diverged = env.advance(np.asarray(decision.action))
        following &= ~(env.lost(env.tracking_error()) | diverged)
        visited[step] = sim.qpos
        tracked[following] += 1
        step += 1
        following &= tracked < frames
    return [
        ClipTrack(
            name=name,
            frames=int(frames[i]),
            tracked=int(tracked[i]),
            qpos=visited[: tracked[i], i],
            reference_qpos=reference.qpos[start + 1 : start + 1 + tracked[i]].astype(np.float64),
        )
        for i, (name, start) in enumerate(zip(reference.names, reference.starts, strict=True))
    ]


def summarize(tracks: Sequence[ClipTrack]) -> dict[str, Any]:
    """Figures over all clips, and per clip.

    Returns:
        "tracked_share" (of all control steps), "joint_error_rad" and "root_error_m" (means over all
        tracked steps), and "clips": a list with the same for each clip, and its "name".
    """
    tracked = np.array([track.tracked for track in tracks])
    frames = np.array([track.frames for track in tracks])
    weight = tracked / max(1, tracked.sum())
    errors = np.array([[track.joint_error_rad, track.root_error_m] for track in tracks])
    means = (np.where(tracked[:, None] > 0, errors, 0.0) * weight[:, None]).sum(axis=0)
    return {
        "tracked_share": float(tracked.sum() / frames.sum()),
        "joint_error_rad": float(means[0]) if tracked.any() else float("nan"),
        "root_error_m": float(means[1]) if tracked.any() else float("nan"),
        "clips": [
            {
                "name": track.name,
                "frames": track.frames,
                "tracked_share": track.tracked_share,
                "joint_error_rad": track.joint_error_rad,
                "root_error_m": track.root_error_m,
            }
            for track in tracks
        ],
    }


def shipped_module(robot: str) -> Path:
    """Path of the skill module that comes with the package.

    Raises:
        FileFormatError: there is none for this robot.
    """
    return package_file("legged_skills.skill_module", f"weights/{robot}/skills.npz", "skill module")
