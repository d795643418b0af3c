"""The report of a skill module's evaluation: plots, films and a web page in one folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from legged_skills.robots import webpage
from legged_skills.robots.console import known, write_bytes
from legged_skills.robots.files import write_text
from legged_skills.robots.spec import RobotSpec
from legged_skills.skill_module.deviation import MAX_DEVIATION, STRICT_DEVIATION
from legged_skills.skill_module.diagnose import SkillEvaluation
from legged_skills.tasks import skill_plots
from legged_skills.tasks.film import short_name
from legged_skills.tasks.skill_films import (
    MosaicSettings,
    latent_tile,
    prior_tiles,
    write_mosaic,
)

REPORT_FILE = "report.html"
PRIOR_FILM = "prior.mp4"
LATENT_FILM = "latent_walk.mp4"
_LATENT_SETTINGS = MosaicSettings(columns=1, rows=1, size=(480, 340), fps=25.0)


def write_skill_report(out: Path, spec: RobotSpec, evaluation: SkillEvaluation) -> Path:
    """Writes plots, films and the page that shows them.

    Args:
        out: folder; made if it is missing.
        spec: the robot.
        evaluation: what to show.

    Returns:
        The page.

    Raises:
        FileFormatError: a file cannot be written.
        RenderError: a film cannot be made here.
    """
    figures = evaluation.figures
    held_out = figures["held_out"]
    plots = {
        "clips": skill_plots.clip_tracking(figures["clips"], held_out["clips"] if held_out else ()),
        "prior": skill_plots.prior_motion(figures["prior"], figures["clips_speed_mps"]),
        "kl": skill_plots.kl_bars(figures["kl_per_dimension"]),
    }
    for name, png in plots.items():
        write_bytes(out / f"{name}.png", png)
    settings = MosaicSettings()
    tiles = prior_tiles(evaluation.prior, settings.columns * settings.rows)
    write_mosaic(out / PRIOR_FILM, spec, tiles, settings)
    walk = evaluation.latent_walk
    if walk is not None:
        write_mosaic(out / LATENT_FILM, spec, [latent_tile(walk)], _LATENT_SETTINGS)
    body = [*_overview(figures), *_tracking(figures, plots), *_prior(figures, plots, out)]
    if walk is not None:
        body += _latents(figures["latent_walk"], out)
    path = out / REPORT_FILE
    write_text(path, webpage.page(f"legged_skills: skill module of {spec.name}", body))
    return path


def _overview(figures: Mapping[str, Any]) -> list[str]:
    prior, held_out = figures["prior"], figures["held_out"]
    numbers = [(_percent(figures["tracked_share"]), "of the clips followed")]
    if held_out:
        numbers.append((_percent(held_out["tracked_share"]), "of the held-out clips followed"))
    return [
        webpage.numbers(
            [
                *numbers,
                (_percent(prior["fall_rate"]), "of robots fall by the prior alone"),
                (f"{known(prior['median_speed_mps'], '.2f')} m/s", "median speed by the prior"),
                (f"{known(figures['kl'], '.1f')} nat", "divergence from the prior a step"),
            ]
        )
    ]


def _tracking(figures: Mapping[str, Any], plots: Mapping[str, bytes]) -> list[str]:
    held_out = figures["held_out"]
    rows = [
        *_rows(figures["clips"], ""),
        _row("all but those held out" if held_out else "all clips", figures),
    ]
    if held_out:
        rows += [*_rows(held_out["clips"], "held out: "), _row("all held-out clips", held_out)]
    seen = held_out and held_out["seen"]
    return [
        webpage.heading("Tracking clips"),
        webpage.paragraph(
            f"Every clip is played {_times(figures['plays'])} from its start, by the means of "
            "latents and actions. It is followed until the mean error of body positions and joint "
            f"angles is more than {MAX_DEVIATION} (m and rad, half each; strictly: more than "
            f"{STRICT_DEVIATION}), or the robot has fallen."
            + (" The module was trained on recordings that are held out by now." if seen else "")
        ),
        webpage.picture(plots["clips"], "How much of each clip was followed, and how well."),
        webpage.table(
            (
                *("clip", "followed [%]", "95 % interval", "strictly [%]"),
                *("joint error [rad]", "base error [m]"),
            ),
            rows,
        ),
    ]


def _prior(figures: Mapping[str, Any], plots: Mapping[str, bytes], out: Path) -> list[str]:
    prior = figures["prior"]
    low, high = prior["fall_rate_ci95"]
    return [
        webpage.heading("The prior alone"),
        webpage.paragraph(
            f"{prior['robots']} robots start in poses of the clips and move for "
            f"{prior['seconds']:g} s by latents from the prior, which know nothing of any goal. "
            f"{_percent(prior['fall_rate'])} fall (95 % interval {_percent(low)} to "
            f"{_percent(high)}); speeds are those of the others."
        ),
        webpage.video(out / PRIOR_FILM, "Some of the robots, not chosen; fallen ones stand still."),
        webpage.picture(plots["prior"], "Speeds and turning rates, averaged over each rollout."),
        webpage.picture(
            plots["kl"],
            "Divergence of the encoder's latents from the prior while clips are tracked: "
            "dimensions near 0 say nothing.",
        ),
    ]


def _latents(walk: Mapping[str, Any], out: Path) -> list[str]:
    return [
        webpage.heading("From one clip to another"),
        webpage.video(
            out / LATENT_FILM,
            f"The decoder is told the latents of {short_name(walk['from'])}, and step by step "
            f"those of {short_name(walk['to'])}.",
        ),
    ]


def _rows(clips: Sequence[Mapping[str, Any]], before: str) -> list[tuple[str, ...]]:
    return [_row(before + short_name(clip["name"]), clip) for clip in clips]


def _row(name: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    low, high = (known(100.0 * end, ".1f") for end in figures["tracked_share_ci95"])
    return (
        name,
        f"{100.0 * figures['tracked_share']:.1f}",
        f"{low} to {high}",
        f"{100.0 * figures['strictly_tracked_share']:.1f}",
        known(figures["joint_error_rad"], ".3f"),
        known(figures["root_error_m"], ".3f"),
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _percent(share: float) -> str:
    return f"{100.0 * share:.1f} %"
