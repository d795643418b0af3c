"""What is measured of a skill module, from plays and rollouts that are made up."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.mocap.clip import RobotClip, finite_difference_qvel
from legged_skills.sim2real.gap import GAPS
from legged_skills.skill_module import diagnose
from legged_skills.skill_module.diagnose import SkillEvaluationConfig, evaluate_skills
from legged_skills.skill_module.evaluate import ClipTrack
from legged_skills.skill_module.latent_walk import LatentWalk, LatentWalkConfig
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.prior_rollouts import PriorRollouts

SPEC = robots.get("anymal_c")
SHARES = {"run_00": (40, 20), "run_01": (100, 60), "new_00": (10, 30)}
"""How many of its 100 control steps each clip is tracked for, in two plays."""


class _Played:
    """Stands for the simulations: remembers what was asked for, and gives what is in SHARES."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plays: list[int] = []
        self.walked: list[tuple[str, str, int]] = []
        monkeypatch.setattr(diagnose, "track_clips", self.track)
        monkeypatch.setattr(diagnose, "roll_prior", self.roll)
        monkeypatch.setattr(diagnose, "walk_latents", self.walk)

    def track(
        self,
        spec: Any,
        module: Any,
        clips: Sequence[RobotClip],
        num_threads: int = 0,
        gap: Any = None,
        seed: int = 0,
        plays: int = 1,
    ) -> list[ClipTrack]:
        self.plays.append(plays)
        return [self._one(clip, play) for clip in clips for play in range(plays)]

    def _one(self, clip: RobotClip, play: int) -> ClipTrack:
        tracked = SHARES[clip.name][play % 2]
        qpos = clip.qpos[:tracked]
        kl = np.full((tracked, 2), 5.0 if clip.name.startswith("new") else 1.0)
        return ClipTrack(
            name=clip.name,
            play=play,
            frames=100,
            tracked=tracked,
            tracked_strictly=tracked,
            qpos=qpos,
            reference_qpos=qpos,
            latents=np.zeros((tracked, 2)),
            kl=kl,
        )

    def roll(self, *args: Any) -> PriorRollouts:
        qpos = np.tile(SPEC.home_qpos.astype(np.float32), (60, 1, 1))
        return PriorRollouts(qpos=qpos, fallen_at=np.array([60]), period_s=0.02)

    def walk(self, spec: Any, module: Any, tracks: Any, config: Any) -> LatentWalk:
        self.walked.append((tracks[0].name, tracks[1].name, tracks[0].tracked))
        names = (tracks[0].name, tracks[1].name)
        return LatentWalk(names=names, share=np.zeros(9), qpos=np.zeros((9, 19)), fallen_at=4)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> _Played:
    return _Played(monkeypatch)


@pytest.fixture
def clips(wiggling_clip: RobotClip) -> list[RobotClip]:
    """Three clips, each as fast again as the one before."""
    made = []
    for speed, name in enumerate(SHARES, start=1):
        qpos = wiggling_clip.qpos.copy()
        qpos[:, 0] *= speed
        qvel = finite_difference_qvel(qpos, wiggling_clip.fps)
        made.append(replace(wiggling_clip, name=name, qpos=qpos, qvel=qvel))
    return made


@pytest.fixture
def module(constant_module: Callable[[float], SkillModule]) -> SkillModule:
    return replace(constant_module(0.0), clips=("run_00", "run_01"))


def test_held_out_clips_are_counted_by_themselves(
    played: _Played, clips: list[RobotClip], module: SkillModule
) -> None:
    config = SkillEvaluationConfig(plays=2)
    figures = evaluate_skills(SPEC, module, clips[:2], clips[2:], config).figures
    assert figures["tracked_share"] == pytest.approx((40 + 20 + 100 + 60) / 400)
    assert [clip["name"] for clip in figures["clips"]] == ["run_00", "run_01"]
    assert figures["held_out"]["tracked_share"] == pytest.approx((10 + 30) / 200)
    # The divergence is that of the clips it was trained on.
    assert (figures["kl"], figures["kl_per_dimension"]) == (2.0, [1.0, 1.0])
    assert figures["held_out"]["seen"] is False
    assert figures["clips_speed_mps"] == pytest.approx(0.3, rel=1e-3)


def test_one_recording_that_was_seen_is_enough(
    played: _Played, clips: list[RobotClip], module: SkillModule
) -> None:
    config = SkillEvaluationConfig(plays=2)
    figures = evaluate_skills(SPEC, module, clips[:1], clips[1:], config).figures
    assert figures["held_out"]["seen"] is True
    assert evaluate_skills(SPEC, module, clips, [], config).figures["held_out"] is None


@pytest.mark.parametrize(
    ("plays", "gap", "wanted"), [(None, False, 1), (None, True, 10), (3, False, 3), (3, True, 3)]
)
def test_clips_are_played_ten_times_under_a_gap(
    played: _Played,
    clips: list[RobotClip],
    module: SkillModule,
    plays: int | None,
    gap: bool,
    wanted: int,
) -> None:
    under, config = GAPS["anymal_c"] if gap else None, SkillEvaluationConfig(plays=plays)
    figures = evaluate_skills(SPEC, module, clips[:2], [], config, gap=under).figures
    assert (played.plays, figures["plays"]) == ([wanted], wanted)


def test_a_latent_walk_goes_from_the_slow_to_the_fast_clip_as_played_without_a_gap(
    played: _Played, clips: list[RobotClip], module: SkillModule
) -> None:
    config = SkillEvaluationConfig(plays=2, latent_walk=LatentWalkConfig(hold_s=0.1, change_s=0.1))
    done = evaluate_skills(SPEC, module, clips[:2], clips[2:], config, gap=GAPS["anymal_c"])
    assert played.plays == [2, 1, 1]
    assert played.walked == [("run_00", "run_01", 40)]
    assert done.figures["latent_walk"] == {"from": "run_00", "to": "run_01", "fell": True}


def test_there_is_no_latent_walk_to_a_clip_that_is_lost_at_once(
    played: _Played,
    clips: list[RobotClip],
    module: SkillModule,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(SHARES, "run_01", (9, 9))
    config = SkillEvaluationConfig(latent_walk=LatentWalkConfig())
    done = evaluate_skills(SPEC, module, clips[:2], [], config)
    assert done.figures["latent_walk"] is None and done.latent_walk is None
    assert played.walked == []
