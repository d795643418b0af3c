"""Plots of what a skill module can do, as PNG pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from legged_skills.robots.canvas import ACHIEVED, WANTED, Canvas
from legged_skills.tasks.film import short_name

GIVEN, HELD_OUT = WANTED, ACHIEVED
"""Colours of the clips that are tested, and of those held out from training."""
_BINS = 24
_ROW_IN = 0.27
"""Height of a bar with its room [inches]."""


def clip_tracking(
    clips: Sequence[Mapping[str, Any]], held_out: Sequence[Mapping[str, Any]] = ()
) -> bytes:
    """Tracked share and joint error of each clip, with 95 % intervals where they are known.

    Args:
        clips: each with "name", "tracked_share" and "joint_error_rad", and the ends of their
            intervals as "..._ci95", as in ``evaluate.summarize``.
        held_out: the same for clips that are drawn in another colour.

    Returns:
        A PNG picture.
    """
    rows = [*clips, *held_out]
    panels = (
        ("followed [% of the clip]", "tracked_share", 100.0),
        ("mean joint error [rad]", "joint_error_rad", 1.0),
    )
    with Canvas(0.9 + _ROW_IN * len(rows), 1, 2, sharey=True) as canvas:
        for axes, (label, name, scale) in zip(canvas.axes[0], panels, strict=True):
            _bars(axes, clips, 0, name, scale, GIVEN, "clips")
            _bars(axes, held_out, len(clips), name, scale, HELD_OUT, "held out")
            axes.set_xlabel(label)
            axes.set_xlim(left=0.0)
            axes.grid(axis="y", visible=False)
        names = [short_name(row["name"]) for row in rows]
        canvas.axes[0, 0].set_yticks(np.arange(len(rows)), names)
        canvas.axes[0, 0].set_ylim(len(rows) - 0.5, -0.5)
        canvas.legend()
    return canvas.png


def prior_motion(figures: Mapping[str, Any], clips_speed_mps: float) -> bytes:
    """How fast robots move and turn that the prior alone moves, and did not fall.

    Args:
        figures: of ``summarize_prior``.
        clips_speed_mps: mean speed of the clips [m/s], marked.

    Returns:
        A PNG picture.
    """
    panels = (
        ("speed [m/s]", figures["speeds_mps"], figures["median_speed_mps"]),
        ("size of the turning rate [rad/s]", figures["turns_radps"], figures["median_turn_radps"]),
    )
    with Canvas(2.9, 1, 2) as canvas:
        for axes, (label, values, median) in zip(canvas.axes[0], panels, strict=True):
            axes.set(xlabel=label, ylabel="robots")
            if values:
                axes.hist(values, _BINS, color=ACHIEVED, alpha=0.8)
                axes.axvline(median, color="#222222", lw=1.4, label=f"median {median:.2f}")
            else:
                axes.set_title("all robots fell", loc="left")
        speed = canvas.axes[0, 0]
        speed.axvline(
            clips_speed_mps, color=WANTED, lw=1.4, ls="--", label=f"clips {clips_speed_mps:.2f}"
        )
        for axes in canvas.axes[0]:
            axes.set_xlim(left=0.0)
            if axes.get_legend_handles_labels()[0]:
                axes.legend()
    return canvas.png


def kl_bars(kl_per_dimension: Sequence[float]) -> bytes:
    """Divergence of the encoder's latents from the prior, a bar for each dimension.

    Args:
        kl_per_dimension: (L,) [nat/step].

    Returns:
        A PNG picture.
    """
    values = np.nan_to_num(np.asarray(kl_per_dimension, dtype=float))
    with Canvas(2.6, 1, 1) as canvas:
        axes = canvas.axes[0, 0]
        axes.bar(np.arange(len(values)), values, color=ACHIEVED, width=0.7)
        axes.set(xlabel="dimension of the latent", ylabel="divergence [nat/step]")
        axes.set_title(f"all together {values.sum():.2f} nat/step", loc="left")
        axes.set_xticks(np.arange(len(values)))
        axes.grid(axis="x", visible=False)
    return canvas.png


def _bars(
    axes: Axes,
    rows: Sequence[Mapping[str, Any]],
    first: int,
    name: str,
    scale: float,
    colour: str,
    label: str,
) -> None:
    """Bars from place ``first`` downwards, with whiskers over the intervals."""
    if not rows:
        return
    values = scale * np.array([row[name] for row in rows], dtype=float)
    ends = scale * np.array(
        [row.get(f"{name}_ci95", (np.nan, np.nan)) for row in rows], dtype=float
    )
    whiskers = np.nan_to_num(np.maximum([values - ends[:, 0], ends[:, 1] - values], 0.0))
    places = first + np.arange(len(rows))
    axes.barh(places, np.nan_to_num(values), color=colour, height=0.62, label=label)
    axes.errorbar(
        np.nan_to_num(values), places, xerr=whiskers, fmt="none", ecolor="#222222", elinewidth=0.9
    )
