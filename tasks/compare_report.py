"""The report of a comparison: plots, a film and a web page in one folder."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from legged_skills.robots import webpage
from legged_skills.robots.console import known, write_bytes, write_json
from legged_skills.robots.files import write_text
from legged_skills.tasks import compare_plots
from legged_skills.tasks.compare import REUSE, SCRATCH, Compared, Comparison, value
from legged_skills.tasks.compare_tasks import Metric
from legged_skills.tasks.film import FilmSettings, write_side_by_side

REPORT_FILE, FIGURES_FILE, FILM_FILE = "report.html", "comparison.json", "side_by_side.mp4"
_SAME = "environment, observations, reward, steps, PPO, mirrored networks, and their size"
_RECIPE = (
    "environment, reward and the number of steps; with skills there are the settings of the policy "
    "that comes with the package, from scratch those that trainings have by default"
)
_FILM = FilmSettings(size=(480, 320), fps=12.5, backend="sketch")


def metric_rows(metrics: Sequence[Metric], figures: Mapping[str, Any]) -> Sequence[Sequence[str]]:
    """A table of what is compared: metric, from scratch, with the module, ratio."""
    runs = figures["runs"]
    return [
        (
            metric.label,
            compare_plots.short(value(metric, runs[SCRATCH])),
            compare_plots.short(value(metric, runs[REUSE])),
            known(figures["ratios"][metric.name], ".2f"),
        )
        for metric in metrics
    ]


def learning_rows(figures: Mapping[str, Any]) -> Sequence[Sequence[str]]:
    """A table of the trainings: the same columns, without ratios."""
    runs = [figures["runs"][name] for name in (SCRATCH, REUSE)]
    reached = [run["steps_to_other"] for run in runs]
    return [
        ("return of an episode at the end", *(f"{r['final_return']:.1f}" for r in runs), ""),
        (
            "return above the other's, share of the training",
            "",
            known(figures["return_ahead_share"], ".0%"),
            "",
        ),
        ("reward per step at the end", *(f"{r['final_reward']:.3f}" for r in runs), ""),
        (
            "steps to the other's reward",
            *("not reached" if steps is None else f"{steps:,}" for steps in reached),
            "",
        ),
        (
            "reward above the other's, share of the training",
            "",
            known(figures["ahead_share"], ".0%"),
            "",
        ),
        ("weights", *(f"{run['weights']:,}" for run in runs), ""),
    ]


def write_comparison(
    out: Path,
    what: Compared,
    found: Comparison,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Writes figures, plots, a film, and the page that shows them.

    Args:
        out: folder; made if it is missing.
        what: what was compared.
        found: what came out.
        advance: called after each frame of the film with the number done, and of all.

    Returns:
        The page.

    Raises:
        FileFormatError: a file cannot be written.
        RenderError: the film cannot be made here.
    """
    figures, metrics = found.figures, what.task.metrics
    plots = {
        "curves": compare_plots.learning_curves(figures["curves"], figures["episode_steps"]),
        "bars": compare_plots.metric_bars(metrics, figures["runs"]),
    }
    if figures["sweep"]:
        effort = next(metric for metric in metrics if metric.name == "torque_squared")
        plots["trade_off"] = compare_plots.trade_off(
            metrics[0], effort, figures["sweep"], figures["runs"][SCRATCH], what.names
        )
    for name, png in plots.items():
        write_bytes(out / f"{name}.png", png)
    write_json(out / FIGURES_FILE, figures)
    write_side_by_side(out / FILM_FILE, found.scenes, _FILM, advance)
    body = [
        *_overview(what, figures),
        *_learning(figures, plots),
        *_behaviour(metrics, figures, plots, out),
    ]
    if figures["sweep"]:
        body += _trade_off(plots)
    path = out / REPORT_FILE
    title = f"legged_skills: {what.task.name} of {what.spec.name}, with and without skills"
    write_text(path, webpage.page(title, body))
    return path


def _overview(what: Compared, figures: Mapping[str, Any]) -> list[str]:
    moves = "moves" if what.walk is None else "commands a walk that moves"
    return [
        webpage.paragraph(
            f"One policy {moves} the frozen decoder of a skill module; the other emits the joints' "
            f"targets itself. All else is the same: {_SAME if what.reuse is None else _RECIPE}."
        ),
        webpage.pairs(
            [
                ("task", f"{what.task.name} of {what.spec.name}"),
                ("skill module", what.names[0]),
                ("steps of each training", f"{figures['steps']:,}"),
                ("seed", str(figures["seed"])),
                ("gap, in training and test", str(figures["gap"])),
                ("episodes of the test", str(what.evaluation.episodes)),
            ]
        ),
    ]


def _learning(figures: Mapping[str, Any], plots: Mapping[str, bytes]) -> list[str]:
    head = ("", "from scratch", "with the skill module", "")
    return [
        webpage.heading("Learning"),
        webpage.picture(
            plots["curves"],
            "Left the return of an episode, which is what it would have if all of it went as the "
            "training did just then, with as many falls and lost balls; right the reward per step. "
            "Both in training, exploration included, of every iteration and smoothed; the "
            "divergence from the prior is not in them.",
        ),
        webpage.table(head, learning_rows(figures)),
    ]


def _behaviour(
    metrics: Sequence[Metric], figures: Mapping[str, Any], plots: Mapping[str, bytes], out: Path
) -> list[str]:
    head = ("", "from scratch", "with the skill module", "ratio")
    return [
        webpage.heading("What was learned"),
        webpage.video(out / FILM_FILE, "The same episode, without and with the skill module."),
        webpage.table(head, metric_rows(metrics, figures)),
        webpage.picture(
            plots["bars"], "The same as bars; arrows say whether more or less is better."
        ),
        webpage.paragraph(
            "Ratios are of the policy with the module to the one without. How they move counts "
            "only while they are on their feet and have somewhere to go. A robot that hardly moves "
            "is smooth too: read both halves of the table together."
        ),
    ]


def _trade_off(plots: Mapping[str, bytes]) -> list[str]:
    return [
        webpage.heading("Obedience against effort"),
        webpage.picture(
            plots["trade_off"],
            "One point for each training, named by the weight of the divergence from the prior in "
            "reuse; a colour for each skill module.",
        ),
    ]
