"""Everything that is measured of a skill module: tracking, held-out clips, and the prior alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from legged_skills.mocap.clip import RobotClip
from legged_skills.mocap.library import recording
from legged_skills.mocap.walking import travel_speeds
from legged_skills.robots.errors import require_count, require_seed
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.gap import Gap
from legged_skills.skill_module import evaluate
from legged_skills.skill_module.evaluate import ClipTrack, track_clips
from legged_skills.skill_module.latent_walk import (
    LatentWalk,
    LatentWalkConfig,
    shares,
    slow_and_fast,
    walk_latents,
)
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.prior_rollouts import (
    PriorConfig,
    PriorRollouts,
    roll_prior,
    summarize_prior,
)

MIN_STEPS = 10
"""Latents of fewer control steps are no clip to walk from, or to."""
GAP_PLAYS = 10
"""Plays of each clip under a gap; without one they would all be the same."""


@dataclass(frozen=True, kw_only=True)
class SkillEvaluationConfig:
    """What a skill module is tested on."""

    plays: int | None = None
    """Plays of each clip; None takes ``GAP_PLAYS`` under a gap, and one without."""
    prior: PriorConfig = field(default_factory=PriorConfig)
    """Rollouts of the prior alone."""
    latent_walk: LatentWalkConfig | None = None
    """A walk through latent space; None for none."""
    seed: int = 0
    """Of what the gap draws."""

    def __post_init__(self) -> None:
        """Checks what the command line offers.

        Raises:
            SettingsError: the number of plays or the seed is out of its range.
        """
        require_seed(self)
        if self.plays is not None:
            require_count(self, "plays")


@dataclass(frozen=True, kw_only=True)
class SkillEvaluation:
    """What came of it."""

    figures: dict[str, Any]
    """See ``evaluate_skills``."""
    prior: PriorRollouts
    """Rollouts of the prior alone."""
    latent_walk: LatentWalk | None
    """The walk through latent space, if it was wanted and possible."""


def evaluate_skills(
    spec: RobotSpec,
    module: SkillModule,
    clips: Sequence[RobotClip],
    held_out: Sequence[RobotClip],
    config: SkillEvaluationConfig,
    num_threads: int = 0,
    gap: Gap | None = None,
) -> SkillEvaluation:
    """Tests a skill module.

    Args:
        spec: the robot.
        module: its skill module.
        clips: what it was trained on, or what else it shall follow; the prior's rollouts start
            there.
        held_out: clips that are counted by themselves; there may be none.
        config: plays, rollouts.
        num_threads: of the physics; 0 takes all cores.
        gap: what is between policy and physics; None for nothing.

    Returns:
        Figures: those of ``evaluate.summarize`` for ``clips``; "held_out", the same for the others,
        with "seen", whether the module was trained on one of their recordings (None if there are no
        others); "kl_per_dimension" and its sum "kl" [nat/step] while ``clips`` are tracked;
        "prior", as of ``summarize_prior``; and "clips_speed_mps", the mean speed in ``clips``, to
        compare the prior's with. "latent_walk", if wanted: "from", "to", "fell", or None if no clip
        was followed for long enough.
    """
    plays = config.plays or (1 if gap is None else GAP_PLAYS)
    every = [*clips, *held_out]
    tracks = track_clips(spec, module, every, num_threads, gap, config.seed, plays)
    known, others = tracks[: len(clips) * plays], tracks[len(clips) * plays :]
    kl = evaluate.kl_per_dimension(known)
    prior = roll_prior(spec, module, clips, config.prior, num_threads, gap)
    figures = evaluate.summarize(known) | {
        "held_out": _held_out(module, others) if others else None,
        "kl": float(kl.sum()),
        "kl_per_dimension": kl.tolist(),
        "prior": summarize_prior(prior),
        "clips_speed_mps": _mean_speed(clips),
    }
    walk = None
    if config.latent_walk is not None:
        walk = _latent_walk(spec, module, clips, known, config.latent_walk)
        figures["latent_walk"] = None if walk is None else _walk_figures(walk)
    return SkillEvaluation(figures=figures, prior=prior, latent_walk=walk)


def _held_out(module: SkillModule, tracks: Sequence[ClipTrack]) -> dict[str, Any]:
    trained = {recording(name) for name in module.clips}
    seen = any(recording(track.name) in trained for track in tracks)
    return evaluate.summarize(tracks) | {"seen": seen}


def _mean_speed(clips: Sequence[RobotClip]) -> float:
    """Mean over all frames of all clips of the averaged speed [m/s]."""
    return float(np.concatenate([travel_speeds(c.qpos, 1.0 / c.fps) for c in clips]).mean())


def _latent_walk(
    spec: RobotSpec,
    module: SkillModule,
    clips: Sequence[RobotClip],
    tracks: Sequence[ClipTrack],
    config: LatentWalkConfig,
) -> LatentWalk | None:
    """Walks between two of the tracked clips; their latents are those of clean simulation."""
    first_plays = [track for track in tracks if track.play == 0]
    steps = len(shares(config, spec.control_period_s)) + 1
    chosen = slow_and_fast(first_plays, steps, spec.control_period_s)
    slow, fast = (track_clips(spec, module, [clips[i]], 1)[0] for i in chosen)
    if min(slow.tracked, fast.tracked) < MIN_STEPS:
        return None
    return walk_latents(spec, module, (slow, fast), config)


def _walk_figures(walk: LatentWalk) -> dict[str, Any]:
    first, second = walk.names
    return {"from": first, "to": second, "fell": walk.fallen_at < len(walk.qpos)}
