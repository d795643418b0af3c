"""Plots of motions and figures, as PNG pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from legged_skills.robots.canvas import ACHIEVED, FORBIDDEN, WANTED, Canvas
from legged_skills.robots.spec import RobotSpec
from legged_skills.tasks.film import AVERAGE_S, moving_average, short_name

_MIN_SPAN_RAD = 0.5
"""Joint axes show at least this much [rad]."""
TWIST_LABELS = ("forward [m/s]", "to the left [m/s]", "turning [rad/s]")
"""Components of a velocity command."""


def joint_angles(
    spec: RobotSpec, times_s: np.ndarray, reference: np.ndarray, achieved: np.ndarray
) -> bytes:
    """Reference against achieved joint angles: a row of panels for each leg.

    Angles beyond the usable range are shaded, where they are in sight; the range is in the
    panel's title.

    Args:
        spec: the robot.
        times_s: (T,) [s].
        reference: (T, J) [rad].
        achieved: (T, J) [rad].

    Returns:
        A PNG picture.
    """
    rows = len(spec.foot_names)
    columns = -(-spec.num_joints // rows)
    with Canvas(1.55 * rows + 0.4, rows, columns, sharex=True) as canvas:
        for joint, name in enumerate(spec.joint_names):
            axes = canvas.axes.flat[joint]
            axes.plot(times_s, reference[:, joint], color=WANTED, lw=2.2, alpha=0.75, label="clip")
            axes.plot(times_s, achieved[:, joint], color=ACHIEVED, lw=1.1, label="robot")
            both = np.concatenate([reference[:, joint], achieved[:, joint]])
            lower, upper = float(spec.joint_lower[joint]), float(spec.joint_upper[joint])
            _joint_axis(axes, both, lower, upper)
            axes.set_title(f"{name}   [{lower:.2f}, {upper:.2f}]", loc="left")
        for axes in canvas.axes[-1]:
            axes.set_xlabel("time [s]")
            axes.set_xlim(_whole(times_s))
        for axes in canvas.axes[:, 0]:
            axes.set_ylabel("angle [rad]")
        canvas.legend()
    return canvas.png


def base_motion(
    times_s: np.ndarray, reference_pos_w: np.ndarray, achieved_pos_w: np.ndarray
) -> bytes:
    """The base's way from above, its height, and its distance from the reference.

    Args:
        times_s: (T,) [s].
        reference_pos_w: (T, 3) world frame [m].
        achieved_pos_w: (T, 3) world frame [m].

    Returns:
        A PNG picture.
    """
    with Canvas(2.9, 1, 3) as canvas:
        above, height, offset = canvas.axes[0]
        start = reference_pos_w[0, :2]
        for pos_w, colour, width, label in (
            (reference_pos_w, WANTED, 2.2, "clip"),
            (achieved_pos_w, ACHIEVED, 1.1, "robot"),
        ):
            above.plot(*(pos_w[:, :2] - start).T, color=colour, lw=width, label=label)
            height.plot(times_s, pos_w[:, 2], color=colour, lw=width)
        above.set_aspect("equal", adjustable="datalim")
        above.set(title="way from above", xlabel="x [m]", ylabel="y [m]")
        height.set(title="height of the base", xlabel="time [s]", ylabel="height [m]")
        _at_least(height, 0.2)
        distance = np.linalg.norm(achieved_pos_w - reference_pos_w, axis=1)
        offset.plot(times_s, distance, color=ACHIEVED, lw=1.4)
        offset.set(title="distance from the clip", xlabel="time [s]", ylabel="distance [m]")
        offset.set_ylim(0.0, max(0.1, 1.1 * float(distance.max())))
        for axes in (height, offset):
            axes.set_xlim(_whole(times_s))
        canvas.legend()
    return canvas.png


def velocities(
    period_s: float, command: np.ndarray, achieved: np.ndarray, names: Sequence[str] = ()
) -> bytes:
    """Commanded against achieved velocity over time, a panel for each component.

    Args:
        period_s: time from row to row [s].
        command: (T, 3) forward, left [m/s], turning rate [rad/s].
        achieved: (T, 3) the same, at each instant.
        names: of the commands, for each change of the command one, and one for the first.

    Returns:
        A PNG picture.
    """
    times_s = period_s * np.arange(1, len(command) + 1)
    changes = 1 + np.flatnonzero((np.diff(command, axis=0) != 0.0).any(axis=1))
    starts_s = np.concatenate([[0.0], times_s[changes - 1]])
    smooth = moving_average(achieved, period_s)
    with Canvas(5.6, 3, 1, sharex=True) as canvas:
        for axes, label, wanted, fast, slow in zip(
            canvas.axes[:, 0], TWIST_LABELS, command.T, achieved.T, smooth.T, strict=True
        ):
            axes.plot(times_s, fast, color=ACHIEVED, lw=0.6, alpha=0.45, label="at each instant")
            axes.plot(times_s, slow, color=ACHIEVED, lw=2.0, label=f"mean of {AVERAGE_S} s")
            axes.step(times_s, wanted, color=WANTED, lw=1.8, where="pre", label="command")
            axes.set_ylabel(label)
            axes.margins(y=0.1)
            _at_least(axes, 0.8)
            for start_s in starts_s[1:]:
                axes.axvline(start_s, color=FORBIDDEN, lw=0.7, ls=":")
        top = canvas.axes[0, 0]
        for name, start_s in zip(names, starts_s, strict=False):
            place = (start_s, 1.02)
            top.annotate(name, place, xycoords=("data", "axes fraction"), fontsize=8.5)
        last = canvas.axes[-1, 0]
        last.set_xlim(0.0, times_s[-1])
        last.set_xlabel("time [s]")
        canvas.legend()
    return canvas.png


def clip_scores(clips: Sequence[Mapping[str, Any]]) -> bytes:
    """Tracked share and joint error of each clip.

    Args:
        clips: each with "name", "tracked_share" and "joint_error_rad", as in ``summarize``.

    Returns:
        A PNG picture.
    """
    names = [short_name(clip["name"]) for clip in clips]
    places = np.arange(len(clips))
    panels = (
        ("followed [% of the clip]", [100.0 * clip["tracked_share"] for clip in clips], "{:.1f}"),
        ("mean joint error [rad]", [clip["joint_error_rad"] for clip in clips], "{:.3f}"),
    )
    with Canvas(0.8 + 0.27 * len(clips), 1, 2, sharey=True) as canvas:
        for axes, (label, values, form) in zip(canvas.axes[0], panels, strict=True):
            bars = axes.barh(places, np.nan_to_num(values), color=ACHIEVED, height=0.62)
            texts = [form.format(value) if np.isfinite(value) else "-" for value in values]
            axes.bar_label(bars, texts, padding=3, fontsize=8.5)
            axes.set_xlabel(label)
            axes.margins(x=0.16)
            axes.grid(axis="y", visible=False)
        canvas.axes[0, 0].set_yticks(places, names)
        canvas.axes[0, 0].invert_yaxis()
        canvas.axes[0, 0].set_xlim(0.0, 115.0)
    return canvas.png


def command_scatter(commands: np.ndarray, achieved: np.ndarray) -> bytes:
    """Achieved against commanded velocity, one point for each command.

    Args:
        commands: (N, 3) forward, left [m/s], turning rate [rad/s].
        achieved: (N, 3) the same, averaged; NaN for commands that were not carried out.

    Returns:
        A PNG picture.
    """
    with Canvas(3.2, 1, 3) as canvas:
        for index, axes in enumerate(canvas.axes[0]):
            wanted, found = commands[:, index], achieved[:, index]
            if not len(wanted):
                axes.set_title("no command was carried out", loc="left")
                continue
            ends = np.array([wanted.min(), wanted.max()])
            ends += 0.12 * max(0.1, np.ptp(ends)) * np.array([-1.0, 1.0])
            axes.plot(ends, ends, color=WANTED, lw=1.4, label="as commanded")
            axes.plot(wanted, found, "o", ms=3.2, mew=0.0, alpha=0.55, color=ACHIEVED)
            error = np.abs(found - wanted)
            mean = f"{np.nanmean(error):.3f}" if np.isfinite(error).any() else "-"
            unit = TWIST_LABELS[index].partition("[")[2].rstrip("]")
            axes.set_title(f"mean error {mean} {unit}", loc="left")
            axes.set(xlabel=f"commanded {TWIST_LABELS[index]}", ylabel="achieved")
            axes.set_aspect("equal", adjustable="datalim")
        canvas.legend()
    return canvas.png


def _joint_axis(axes: Axes, angles: np.ndarray, lower: float, upper: float) -> None:
    """Shows all angles with some room, and shades what is beyond the usable range."""
    low, high = float(angles.min()), float(angles.max())
    room = max(0.08 * (high - low), 0.5 * (_MIN_SPAN_RAD - (high - low)))
    low, high = low - room, high + room
    for beyond, limit, end in ((low < lower, lower, low), (high > upper, upper, high)):
        if beyond:
            axes.axhspan(min(limit, end), max(limit, end), color=FORBIDDEN, alpha=0.25, lw=0.0)
            axes.axhline(limit, color=FORBIDDEN, lw=0.9)
    axes.set_ylim(low, high)


def _whole(times_s: np.ndarray) -> tuple[float, float]:
    """From one step before the first row, where a stretch begins, to the last [s]."""
    step_s = times_s[1] - times_s[0] if len(times_s) > 1 else 1.0
    return float(times_s[0] - step_s), float(times_s[-1])


def _at_least(axes: Axes, span: float) -> None:
    """Widens the vertical axis to a span, so that small errors look small."""
    low, high = axes.get_ylim()
    room = max(0.0, 0.5 * (span - (high - low)))
    axes.set_ylim(low - room, high + room)
