"""How well a skill module tracks clips: every clip from its start, deterministically."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import Array

from legged_skills.mocap.clip import RobotClip
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.files import package_file
from legged_skills.robots.intervals import mean_interval
from legged_skills.robots.kinematics import Kinematics
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.gap import Gap
from legged_skills.sim2real.reality import simulate
from legged_skills.skill_module import prior
from legged_skills.skill_module.agents import ImitationAgent, Params
from legged_skills.skill_module.deviation import MAX_DEVIATION, STRICT_DEVIATION, lost
from legged_skills.skill_module.imitation import ImitationEnv
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.reference import Reference, build_reference


@dataclass(frozen=True, kw_only=True)
class ClipTrack:
    """How one clip was followed. Rows are control steps, the first of the clip left out.

    J is the number of joints, L the latent's size.
    """

    name: str
    """The clip's name."""
    play: int = 0
    """Number of the play: the first of a clip is 0."""
    frames: int
    """Control steps in the clip."""
    tracked: int
    """Control steps followed before the robot was lost; all of them if it never was."""
    tracked_strictly: int
    """The same, if it is lost from ``STRICT_DEVIATION`` on."""
    qpos: np.ndarray
    """(tracked, 7 + J) what the robot did, as in the simulation."""
    reference_qpos: np.ndarray
    """(tracked, 7 + J) what it should have done."""
    latents: np.ndarray
    """(tracked, L) means of the encoder's distributions."""
    kl: np.ndarray
    """(tracked, L) divergence of these distributions from the prior, by dimension [nat]."""

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
    plays: int = 1,
) -> list[ClipTrack]:
    """Plays every clip from its start with the latent's and the action's means.

    A clip counts no further once the robot is ``lost``, or the physics diverges.

    Args:
        spec: the robot.
        module: its skill module.
        clips: what to follow.
        num_threads: of the physics; 0 takes all cores.
        gap: what is between policy and physics; None for nothing.
        seed: of what the gap draws.
        plays: how often each clip is played, each time with factors of the gap of its own.

    Returns:
        Clip after clip, the plays of a clip after one another.

    Raises:
        SettingsError: the number of plays is less than 1.
        ClipError: a clip cannot be used.
    """
    if plays < 1:
        raise SettingsError(f"plays is {plays}, expected at least 1.")
    build_reference(spec, clips)  # a clip that cannot be used is refused before any is played
    tracks: dict[int, list[ClipTrack]] = {}
    for number, group in enumerate(groups_of_like_length([clip.duration_s for clip in clips])):
        chosen, own_seed = [clips[i] for i in group], seed + 1000 * number
        done = _play(spec, module, chosen, num_threads, gap, own_seed, plays)
        tracks |= {index: done[k * plays : (k + 1) * plays] for k, index in enumerate(group)}
    return [track for index in range(len(clips)) for track in tracks[index]]


def groups_of_like_length(lengths: Sequence[float]) -> list[list[int]]:
    """Groups of clips to be played together: none is less than half as long as the longest.

    Simulations that are done wait for the longest of their group: among clips of all lengths that
    would be most of the time.

    Args:
        lengths: of the clips, in any unit.

    Returns:
        Indices of the clips, the group with the longest first.
    """
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if not groups or lengths[index] < 0.5 * lengths[groups[-1][0]]:
            groups.append([])
        groups[-1].append(index)
    return groups


def _play(
    spec: RobotSpec,
    module: SkillModule,
    clips: Sequence[RobotClip],
    num_threads: int,
    gap: Gap | None,
    seed: int,
    plays: int,
) -> list[ClipTrack]:
    """Plays clips as ``track_clips`` does, all in one simulation."""
    reference = build_reference(spec, clips)
    starts = reference.starts.repeat(plays)
    sim = simulate(spec, len(starts), num_threads, gap)
    env = ImitationEnv(sim, module.contract, reference, module.imitation, seed=seed, gap=gap)
    env.robots.draw_factors(seed)
    env.reset(np.arange(env.num_envs), starts)
    steps, latent_size = int(reference.lengths.max()) - 1, module.architecture.latent_size
    qpos = np.zeros((steps, env.num_envs, sim.qpos.shape[1]))
    latents, kl = np.zeros((2, steps, env.num_envs, latent_size), np.float32)
    diverged = np.zeros((steps, env.num_envs), dtype=bool)
    agent, z = module.agent, np.zeros((env.num_envs, latent_size), np.float32)
    for step in range(steps):
        action, mean, divergence = _follow(agent, module.params, env.observe(), z)
        latents[step] = z = np.asarray(mean)
        kl[step] = divergence
        diverged[step] = env.advance(np.asarray(action))
        qpos[step] = sim.qpos
    # Its model is compiled once for all plays.
    kinematics = Kinematics(spec.model(visible=False))
    return [
        _track(
            kinematics,
            spec,
            reference,
            index,
            play,
            (qpos[:, i], latents[:, i], kl[:, i]),
            diverged[:, i],
        )
        for i, (index, play) in enumerate(np.ndindex(len(reference.starts), plays))
    ]


@partial(jax.jit, static_argnames=("agent",))
def _follow(
    agent: ImitationAgent, params: Params, obs: Mapping[str, Array], z_tm1: Array
) -> tuple[Array, Array, Array]:
    """The mean action, the latent's mean, and its divergence from the prior by dimension."""
    mean, log_std = agent.encode(params, obs["privileged"], z_tm1)
    kl = prior.kl_per_dimension(mean, log_std, z_tm1, agent.architecture.alpha)
    return agent.decode(params, obs["proprioception"], mean), mean, kl


def _track(
    kinematics: Kinematics,
    spec: RobotSpec,
    reference: Reference,
    index: int,
    play: int,
    done: tuple[np.ndarray, np.ndarray, np.ndarray],
    diverged: np.ndarray,
) -> ClipTrack:
    """What was tracked of one play of a clip: everything before the robot is lost."""
    start, frames = int(reference.starts[index]), int(reference.lengths[index]) - 1
    wanted = reference.qpos[start + 1 : start + 1 + frames].astype(np.float64)
    ends = (MAX_DEVIATION, STRICT_DEVIATION)
    astray = lost(spec, kinematics, done[0][:frames], wanted, ends) | diverged[:frames]
    first = np.where(astray.any(axis=1), astray.argmax(axis=1), frames)
    tracked, strictly = int(first[0]), int(first[1])
    qpos, latents, kl = (part[:tracked].copy() for part in done)
    return ClipTrack(
        name=reference.names[index],
        play=play,
        frames=frames,
        tracked=tracked,
        tracked_strictly=strictly,
        qpos=qpos,
        reference_qpos=wanted[:tracked],
        latents=latents,
        kl=kl,
    )


def summarize(tracks: Sequence[ClipTrack]) -> dict[str, Any]:
    """Figures over all clips, and per clip.

    Returns:
        "tracked_share" and "strictly_tracked_share" (of all control steps), "joint_error_rad" and
        "root_error_m" (means over all tracked steps), each with "..._ci95", the 95 % confidence
        interval over the plays, that is over the draws of the gap for these clips, NaN if there is
        one play; "plays"; and "clips": a list with the same figures for each clip, its "name" and
        "frames".
    """
    clips = [track for track in tracks if track.play == 0]
    plays = len(tracks) // len(clips)
    rounds = [[tracks[i] for i in range(k, len(tracks), plays)] for k in range(plays)]
    each = [tracks[i * plays : (i + 1) * plays] for i in range(len(clips))]
    return {
        **_with_intervals(rounds),
        "plays": plays,
        "clips": [
            {
                "name": tracks_[0].name,
                "frames": tracks_[0].frames,
                **_with_intervals([[track] for track in tracks_]),
            }
            for tracks_ in each
        ],
    }


def _with_intervals(rounds: Sequence[Sequence[ClipTrack]]) -> dict[str, Any]:
    """Figures over all rounds of plays, and their intervals over the rounds, which are alike."""
    single = [_figures(tracks) for tracks in rounds]
    figures: dict[str, Any] = {}
    for name, value in _figures([track for tracks in rounds for track in tracks]).items():
        figures[name] = value
        low, high = mean_interval(np.array([one[name] for one in single]))
        # A share ends at 1.
        most = 1.0 if name.endswith("_share") else np.inf
        figures[f"{name}_ci95"] = [max(low, 0.0), min(high, most)]
    return figures


def _figures(tracks: Sequence[ClipTrack]) -> dict[str, float]:
    """Tracked share and errors over some plays."""
    tracked = np.array([track.tracked for track in tracks])
    strictly = np.array([track.tracked_strictly for track in tracks])
    frames = np.array([track.frames for track in tracks])
    weight = tracked / max(1, tracked.sum())
    errors = np.array([[track.joint_error_rad, track.root_error_m] for track in tracks])
    means = (np.where(tracked[:, None] > 0, errors, 0.0) * weight[:, None]).sum(axis=0)
    return {
        "tracked_share": float(tracked.sum() / frames.sum()),
        "strictly_tracked_share": float(strictly.sum() / frames.sum()),
        "joint_error_rad": float(means[0]) if tracked.any() else float("nan"),
        "root_error_m": float(means[1]) if tracked.any() else float("nan"),
    }


def kl_per_dimension(tracks: Sequence[ClipTrack]) -> np.ndarray:
    """(L,) divergence from the prior under the encoder, mean over all tracked steps [nat].

    NaN if nothing was tracked.
    """
    every = np.concatenate([track.kl for track in tracks])
    return every.mean(axis=0) if len(every) else np.full(every.shape[1], np.nan)


def shipped_module(robot: str) -> Path:
    """Path of the skill module that comes with the package.

    Raises:
        FileFormatError: there is none for this robot.
    """
    return package_file("legged_skills.skill_module", f"weights/{robot}/skills.npz", "skill module")
