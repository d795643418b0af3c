"""Plots, films and report of a skill module's evaluation."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from legged_skills import robots
from legged_skills.mocap.clip import RobotClip
from legged_skills.skill_module.diagnose import SkillEvaluationConfig, evaluate_skills
from legged_skills.skill_module.latent_walk import LatentWalkConfig
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.prior_rollouts import PriorConfig, PriorRollouts
from legged_skills.tasks import skill_films, skill_plots
from legged_skills.tasks.skill_films import MosaicSettings, Tile, mosaic, prior_tiles
from legged_skills.tasks.skill_report import LATENT_FILM, PRIOR_FILM, _times, write_skill_report

SPEC = robots.get("anymal_c")
BLUE, VERMILLION = (0, 114, 178), (213, 94, 0)


def count(png: bytes, colour: tuple[int, int, int]) -> int:
    """The number of pixels in a colour."""
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    return int((np.abs(picture - colour).max(axis=2) <= 4).sum())


def test_how_often_clips_are_played() -> None:
    assert [_times(count) for count in (1, 10)] == ["once", "10 times"]


def clip(name: str, share: float) -> dict[str, object]:
    return {
        "name": name,
        "tracked_share": share,
        "tracked_share_ci95": [share - 0.1, min(1.0, share + 0.1)],
        "strictly_tracked_share": share,
        "joint_error_rad": 0.1,
        "joint_error_rad_ci95": [float("nan"), float("nan")],
    }


def test_held_out_clips_have_a_colour_of_their_own() -> None:
    alone = skill_plots.clip_tracking([clip("a", 0.5)])
    assert count(alone, BLUE) > 1000 and count(alone, VERMILLION) == 0
    both = skill_plots.clip_tracking([clip("a", 0.5)], [clip("b", 0.9), clip("c", float("nan"))])
    assert count(both, VERMILLION) > 1000


def test_divergence_has_a_bar_for_each_dimension() -> None:
    small, large = (skill_plots.kl_bars([1.0, value]) for value in (0.0, 1.0))
    # Without the second bar there is half as much ink.
    assert count(large, VERMILLION) == pytest.approx(2 * count(small, VERMILLION), rel=0.02)


@pytest.mark.parametrize("speeds", [[], [0.2, 0.3, 0.5]])
def test_speeds_of_the_prior(speeds: Sequence[float]) -> None:
    figures = {
        "speeds_mps": speeds,
        "turns_radps": speeds,
        "median_speed_mps": 0.3,
        "median_turn_radps": 0.3,
    }
    assert count(skill_plots.prior_motion(figures, 0.6), BLUE) > 50


def test_mosaics_show_each_robot_where_it_belongs() -> None:
    qpos = np.tile(SPEC.home_qpos, (10, 1))
    upright = Tile(qpos=qpos, fallen_at=10, texts=["0"] * 10)
    settings = MosaicSettings(columns=2, rows=2, size=(64, 48), fps=25.0)
    # 10 rows of 20 ms at 25 frames/s: five frames.
    frames = list(mosaic(SPEC, [upright, replace(upright, fallen_at=0)], settings))
    assert [frame.shape for frame in frames] == [(96, 128, 3)] * 5
    left, right = frames[0][:48, :64].astype(int), frames[0][:48, 64:].astype(int)
    reddish = [(half[..., 0] - half[..., 2] > 80).sum() for half in (left, right)]
    assert reddish[1] > reddish[0] > 0  # the alarm is written on the right one
    assert (frames[0][48:] == 128).all()


def test_robots_of_the_prior_are_shown_as_they_come() -> None:
    qpos = np.zeros((10, 3, 19), np.float32)
    qpos[:, 1, 0] = 2.0
    run = PriorRollouts(qpos=qpos, fallen_at=np.array([10, 4, 10]), period_s=0.02)
    tiles = prior_tiles(run, 2)
    assert [tile.fallen_at for tile in tiles] == [10, 4]
    assert tiles[1].qpos[0, 0] == 2.0 and tiles[0].texts[5] == "0.1 s"


def test_evaluation_and_report(
    tmp_path: Path, still_module: SkillModule, wiggling_clip: RobotClip
) -> None:
    held_out = replace(wiggling_clip, name="wiggle_07")
    config = SkillEvaluationConfig(
        prior=PriorConfig(robots=3, seconds=1.0),
        latent_walk=LatentWalkConfig(hold_s=0.1, change_s=0.2),
    )
    done = evaluate_skills(SPEC, still_module, [wiggling_clip], [held_out], config, 1)
    figures = done.figures
    assert figures["tracked_share"] == figures["held_out"]["tracked_share"] == 1.0
    assert figures["plays"] == 1
    # The module says that it was trained on "wiggle", whose second stretch this is.
    assert figures["held_out"]["seen"] is True
    assert len(figures["kl_per_dimension"]) == 4
    assert figures["kl"] == pytest.approx(sum(figures["kl_per_dimension"]), rel=1e-5)
    assert figures["clips_speed_mps"] == pytest.approx(0.2)
    assert figures["prior"]["fall_rate"] == 0.0
    assert figures["latent_walk"] == {"from": "wiggle", "to": "wiggle", "fell": False}
    settings = MosaicSettings(columns=2, rows=1, size=(64, 48))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("legged_skills.tasks.skill_report.MosaicSettings", lambda: settings)
        patch.setattr("legged_skills.tasks.skill_report._LATENT_SETTINGS", settings)
        page = write_skill_report(tmp_path / "out", SPEC, done)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"clips.png", "prior.png", "kl.png", PRIOR_FILM, LATENT_FILM, page.name}
    text = page.read_text()
    assert "held out: wiggle_07" in text and "trained on recordings that are held out" in text
    assert done.latent_walk is not None
    assert skill_films.latent_tile(done.latent_walk).texts[0] == "wiggle  100%   wiggle  0%"
