"""Tornado plot: which factor of the gap hurts a policy most."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from legged_skills.robots.canvas import ACHIEVED, FORBIDDEN, WANTED, Canvas
from legged_skills.tasks.validate_engines import EDGES, NOMINAL
from legged_skills.tasks.validate_figures import factor_title

_SIDES = (
    ("low", WANTED, "low end"),
    ("high", ACHIEVED, "high end"),
    ("corners", "#56606A", "either end, at random"),
)
_BAR = 0.27
"""Height of a bar; three make a row."""


def tornado(engines: Mapping[str, Any], max_factor_falls: float) -> bytes:
    """Velocity error and falls with each factor at an end of its range, the worst on top.

    Bars begin at what is measured with all factors nominal. A cross stands for an error that is not
    known, because no command was carried out.

    Args:
        engines: from ``engine_figures``, with the engines "nominal" and "edges".
        max_factor_falls: the gate, a share from 0 to 1.

    Returns:
        A PNG picture.
    """
    nominal, factors = engines[NOMINAL], engines[EDGES]["factors"]
    names = list(dict.fromkeys(at["name"] for at in factors))
    falls = 100.0 * nominal["fall_rate"]
    with Canvas(0.9 + 0.27 * len(names), 1, 2, sharey=True) as canvas:
        error, fall = canvas.axes[0]
        for index, (side, colour, label) in enumerate(_SIDES):
            chosen = {at["name"]: at for at in factors if at["side"] == side}
            rows = [row for row, name in enumerate(names) if name in chosen]
            found = [chosen[names[row]] for row in rows]
            places = np.array(rows, dtype=float) + (index - 1) * _BAR
            errors = [at["velocity_error_mps"] for at in found]
            rates = [100.0 * at["fall_rate"] for at in found]
            _bars(error, places, errors, nominal["velocity_error_mps"], colour, label)
            _bars(fall, places, rates, falls, colour, label)
        for axes, zero in ((error, nominal["velocity_error_mps"]), (fall, falls)):
            if math.isfinite(zero):
                axes.axvline(zero, color="#222222", lw=0.9)
            axes.grid(axis="y", visible=False)
            for row in range(1, len(names), 2):
                axes.axhspan(row - 0.5, row + 0.5, color=FORBIDDEN, alpha=0.1, lw=0.0)
        fall.axvline(100.0 * max_factor_falls, color="#222222", lw=0.9, ls=":")
        error.set_yticks(range(len(names)), [_label(name, factors) for name in names])
        error.set_ylim(len(names) - 0.5, -0.5)
        error.set_xlabel("velocity error [m/s]; line: all nominal")
        fall.set_xlabel("falls [%]; dotted: gate")
        fall.set_xlim(min(-0.4, falls), max(5.0, 1.05 * fall.get_xlim()[1]))
        canvas.legend()
    return canvas.png


def _bars(
    axes: Axes,
    places: np.ndarray,
    values: Sequence[float],
    zero: float,
    colour: str,
    label: str,
) -> None:
    """Bars from the nominal value to what was found."""
    start = zero if math.isfinite(zero) else 0.0
    lengths = np.array(values, dtype=float) - start
    known = np.isfinite(lengths)
    axes.barh(places[known], lengths[known], _BAR, left=start, color=colour, label=label)
    axes.plot(np.full((~known).sum(), start), places[~known], "x", ms=4.0, color=colour)


def _label(name: str, factors: Sequence[Mapping[str, Any]]) -> str:
    """A factor in words, with its two ends."""
    ends = {at["side"]: at for at in factors if at["name"] == name}
    low, high = ends["low"], ends["high"]
    suffix = "" if low["unit"] == "1" else f" {low['unit']}"
    return f"{factor_title(name)}  {low['value']:.3g} to {high['value']:.3g}{suffix}"
