"""Plots of a comparison of reuse with training from scratch, as PNG pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from legged_skills.robots.canvas import ACHIEVED, FORBIDDEN, WANTED, Canvas
from legged_skills.tasks.compare import REUSE, SCRATCH, Curve, episode_return, smoothed, value
from legged_skills.tasks.compare_tasks import Metric

COLOURS = {SCRATCH: WANTED, REUSE: ACHIEVED}
LABELS = {SCRATCH: "from scratch", REUSE: "with the skill module"}
_COLUMNS = 3
_MODULE_COLOURS = (ACHIEVED, "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Of modules in a sweep; colour-blind people can tell them apart."""


def short(number: float) -> str:
    """A figure in about three digits; a question mark if it is not known."""
    if np.isnan(number):
        return "?"
    return f"{number:,.0f}" if abs(number) >= 1000.0 else f"{number:.3g}"


def learning_curves(curves: Mapping[str, Mapping[str, Sequence[float]]], length: int) -> bytes:
    """Returns of episodes against environment steps, and rewards per step: raw, and smoothed.

    Args:
        curves: "steps", "reward" and "lost_per_1000_steps" of each run, by its name.
        length: control steps of an episode.

    Returns:
        A PNG picture.
    """
    with Canvas(3.4, 1, 2) as canvas:
        returns, rewards = canvas.axes[0]
        for name, figures in curves.items():
            curve = Curve(
                steps=np.array(figures["steps"]) / 1e6,
                reward=np.array(figures["reward"]),
                lost=np.array(figures["lost_per_1000_steps"]) / 1000.0,
            )
            raw = episode_return(curve.reward, curve.lost, length)
            for axes, all_of_it, means in (
                (returns, raw, curve.returns(length)),
                (rewards, curve.reward, smoothed(curve.steps, curve.reward)),
            ):
                axes.plot(curve.steps, all_of_it, color=COLOURS[name], lw=0.6, alpha=0.35)
                axes.plot(*means, color=COLOURS[name], lw=1.8, label=LABELS[name])
        returns.set(xlabel="environment steps [millions]", ylabel="return of an episode")
        rewards.set(xlabel="environment steps [millions]", ylabel="reward per step")
        canvas.legend()
    return canvas.png


def metric_bars(metrics: Sequence[Metric], runs: Mapping[str, Mapping[str, Any]]) -> bytes:
    """A panel for each metric, with a bar for each run; unknown ones have none.

    An arrow says whether more or less is better.

    Args:
        metrics: what to show.
        runs: figures by name of the run, as in ``compare``.

    Returns:
        A PNG picture.
    """
    rows = -(-len(metrics) // _COLUMNS)
    names = list(runs)
    with Canvas(0.5 + 1.35 * rows, rows, _COLUMNS) as canvas:
        for axes, metric in zip(canvas.axes.flat, metrics, strict=False):
            values = np.array([value(metric, runs[name]) for name in names])
            shown = np.nan_to_num(values)
            colours = [COLOURS[name] for name in names]
            bars = axes.barh(np.arange(len(names)), shown, color=colours, height=0.62)
            axes.bar_label(bars, [short(x) for x in values], padding=3, fontsize=8.5)
            arrow = "\N{UPWARDS ARROW}" if metric.more_is_better else "\N{DOWNWARDS ARROW}"
            axes.set_title(f"{metric.label} {arrow}", loc="left", fontsize=8.0)
            axes.set_yticks(np.arange(len(names)), [LABELS[name] for name in names])
            axes.set_xlim(0.0, 1.25 * max(float(shown.max()), 1e-9))
            axes.invert_yaxis()
            axes.grid(axis="y", visible=False)
        for axes in canvas.axes.flat[len(metrics) :]:
            axes.set_visible(False)
        for axes in canvas.axes[:, 1:].flat:
            axes.set_yticklabels([])
    return canvas.png


def trade_off(
    error: Metric,
    effort: Metric,
    sweep: Sequence[Mapping[str, Any]],
    scratch: Mapping[str, Any],
    names: Sequence[str],
) -> bytes:
    """Error against effort over KL weights (Bohez et al. 2022, figure 6).

    Args:
        error: what is on the vertical axis.
        effort: what is on the horizontal one.
        sweep: entries of "sweep" in ``compare``; each point is named by its weight in reuse.
        scratch: figures of the run without skills.
        names: of the modules, by their index.

    Returns:
        A PNG picture.
    """
    with Canvas(4.2, 1, 1) as canvas:
        axes = canvas.axes[0, 0]
        for index in sorted({row["skills"] for row in sweep}):
            rows = [row for row in sweep if row["skills"] == index]
            points = np.array([[value(effort, row), value(error, row)] for row in rows])
            colour = _MODULE_COLOURS[index % len(_MODULE_COLOURS)]
            axes.plot(
                *points.T,
                "o-",
                color=colour,
                lw=0.8,
                ms=5.0,
                label=_module_label(names[int(index)], rows[0]),
            )
            for row, point in zip(rows, points, strict=True):
                if np.isfinite(point).all():
                    place = {"xytext": (5, 4), "textcoords": "offset points", "fontsize": 8.0}
                    axes.annotate(f"{row['kl_weight']:g}", point, **place)
        alone = (value(effort, scratch), value(error, scratch))
        axes.plot(*alone, "D", color=FORBIDDEN, ms=6.0, label="from scratch")
        axes.set(xlabel=effort.label, ylabel=error.label)
        axes.margins(0.12)
        axes.legend()
    return canvas.png


def _module_label(name: str, row: Mapping[str, Any]) -> str:
    weight = row["skills_kl_weight"]
    return name if weight is None else f"{name}, trained with KL weight {weight:g}"
