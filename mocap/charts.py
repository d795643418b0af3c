"""Plots of a retargeted clip: its joints against their limits, and what its feet do over time.

Letters in the shape comments: T frames, J joints, F feet.
"""

import io
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image

from legged_skills.mocap import signals
from legged_skills.mocap.quality import Gates
from legged_skills.mocap.stretch import Stretch
from legged_skills.robots.canvas import ACHIEVED, WANTED, Canvas
from legged_skills.robots.kinematics import ROOT_QPOS
from legged_skills.robots.spec import RobotSpec

Array = NDArray[np.floating]

_DPI = 120
_FOOT_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
"""Okabe and Ito's, which colour-blind people can tell apart; more feet start over."""
_LIMIT = "#B00020"
_NAMED = 3
"""How many of the joints that are nearest to a limit are named."""
_MM = 1000.0
_COLOURS = 64


class Joints(NamedTuple):
    """How close the joints of a clip come to their limits."""

    room: Array
    """Distance of each joint from the nearer end of its range, as a share of half the range: 1 in
    the middle, 0 at a limit, (T, J)."""
    speed: Array
    """Joint speeds from frame to frame, as a share of the drives' limits, (T - 1, J)."""
    acceleration: Array
    """Joint accelerations, as a share of what the drives can do, (T - 2, J)."""

    @staticmethod
    def of(qpos: Array, spec: RobotSpec, fps: float) -> "Joints":
        """Measures poses.

        Args:
            qpos: poses, (T, 7 + J).
            spec: the robot.
            fps: frames a second [1/s].
        """
        joints = qpos[:, ROOT_QPOS:]
        half = 0.5 * (spec.joint_upper - spec.joint_lower)
        room = np.minimum(joints - spec.joint_lower, spec.joint_upper - joints) / half
        speed = np.abs(np.diff(joints, axis=0)) * fps / spec.velocity_limit
        bends = np.abs(np.diff(joints, n=2, axis=0)) * fps**2
        return Joints(room, speed, bends / spec.acceleration_limit)

    @property
    def nearest(self) -> NDArray[np.integer]:
        """The joints in order, that which comes closest to a limit first, (J,)."""
        return np.argsort(self.room.min(axis=0), kind="stable")


def joint_ranges(stretch: Stretch, spec: RobotSpec, fps: float) -> bytes:
    """Used and usable range of each joint, its greatest speed and acceleration, in rows.

    Args:
        stretch: the clip's stretch.
        spec: the robot.
        fps: frames a second [1/s].

    Returns:
        A PNG picture.
    """
    figures = Joints.of(stretch.qpos, spec, fps)
    rows = np.arange(spec.num_joints)
    shape = {"sharey": True, "gridspec_kw": {"width_ratios": [2.2, 1.0, 1.0]}}
    with Canvas(0.95 + 0.2 * len(rows), 1, 3, dpi=_DPI, **shape) as canvas:
        angle, speed, acceleration = canvas.axes[0]
        _ranges(angle, stretch.qpos[:, ROOT_QPOS:], figures.nearest[:_NAMED], spec)
        angle.set_yticks(rows, spec.joint_names)
        angle.invert_yaxis()
        _peaks(speed, figures.speed, "speed", "drive's limit [%]")
        _peaks(acceleration, figures.acceleration, "acceleration", "what the drive can [%]")
        for axes in canvas.axes[0]:
            axes.grid(axis="y", visible=False)
    return _fewer_colours(canvas.png)


def _ranges(axes: Axes, joints: Array, nearest: NDArray[np.integer], spec: RobotSpec) -> None:
    """The range of each joint, and what angles (T, J) use of it."""
    rows = np.arange(spec.num_joints)
    width = spec.joint_upper - spec.joint_lower
    axes.barh(rows, width, left=spec.joint_lower, height=0.8, color="#E6E9EC")
    colours = np.where(np.isin(rows, nearest), ACHIEVED, WANTED)
    for share, height in (([0, 100], 0.22), ([5, 95], 0.55)):
        low, high = np.percentile(joints, share, axis=0)
        axes.barh(rows, high - low, left=low, height=height, color=colours)
    ends = np.concatenate([spec.joint_lower, spec.joint_upper])
    axes.vlines(ends, np.tile(rows - 0.4, 2), np.tile(rows + 0.4, 2), color=_LIMIT, lw=1.4)
    axes.plot(spec.default_joint_pos, rows, "|", color="black", ms=7, mew=1.0)
    axes.set_xlim(float(ends.min()) - 0.1, float(ends.max()) + 0.1)
    axes.set_title("angle: grey what the joint can", loc="left")
    axes.set_xlabel("angle [rad]")


def _peaks(axes: Axes, shares: Array, title: str, unit: str) -> None:
    """Greatest values of each joint and their 95th percentiles, from shares (T, J)."""
    high, most = 100.0 * np.percentile(shares, [95, 100], axis=0)
    rows = np.arange(len(most))
    colours = np.where(rows == most.argmax(), ACHIEVED, WANTED)
    axes.barh(rows, most, height=0.22, color=colours)
    axes.barh(rows, high, height=0.55, color=colours)
    axes.axvline(100.0, color=_LIMIT, lw=1.4)
    axes.set_xlim(0.0, max(105.0, 1.05 * float(most.max())))
    axes.set_title(title, loc="left")
    axes.set_xlabel(unit)


def over_time(stretch: Stretch, spec: RobotSpec, fps: float, gates: Gates) -> bytes:
    """Joints, feet, errors and tempo of a clip over its time, panel under panel.

    Args:
        stretch: the clip's stretch.
        spec: the robot.
        fps: frames a second [1/s].
        gates: what it is held against.

    Returns:
        A PNG picture.
    """
    times_s = np.arange(len(stretch.qpos)) / fps
    panels = [_angles, _loads, _contacts, _heights, _slide, _errors, _tempo]
    if np.isfinite(stretch.apart).all():
        panels.append(_apart)
    heights = [{_contacts: 0.3 + 0.22 * spec.num_feet}.get(panel, 1.0) for panel in panels]
    shape = {"sharex": True, "gridspec_kw": {"height_ratios": heights}}
    with Canvas(0.4 + 1.15 * sum(heights), len(panels), 1, dpi=_DPI, **shape) as canvas:
        for panel, axes in zip(panels, canvas.axes[:, 0], strict=True):
            panel(axes, times_s, stretch, spec, gates)
        last = canvas.axes[-1, 0]
        last.set_xlim(0.0, times_s[-1])
        last.set_xlabel("the robot's time [s]")
        canvas.figure.align_ylabels()
    return _fewer_colours(canvas.png)


def _fps(times_s: Array) -> float:
    """Frames a second [1/s]."""
    return 1.0 / float(times_s[1] - times_s[0])


def _angles(axes: Axes, times_s: Array, stretch: Stretch, spec: RobotSpec, gates: Gates) -> None:
    """The joints that come closest to a limit, within their range."""
    del gates
    joints = stretch.qpos[:, ROOT_QPOS:]
    nearest = Joints.of(stretch.qpos, spec, _fps(times_s)).nearest
    for joint, colour in zip(nearest[:_NAMED].tolist(), _FOOT_COLOURS, strict=False):
        width = spec.joint_upper[joint] - spec.joint_lower[joint]
        share = 100.0 * (joints[:, joint] - spec.joint_lower[joint]) / width
        axes.plot(times_s, share, color=colour, lw=1.2, label=spec.joint_names[joint])
    _limits(axes, 0.0, 100.0)
    axes.set_ylim(-6.0, 106.0)
    axes.set_yticks([0, 50, 100])
    _legend(axes)
    _title(axes, "joints nearest to a limit, from the lower end of their range to the upper", "[%]")


def _loads(axes: Axes, times_s: Array, stretch: Stretch, spec: RobotSpec, gates: Gates) -> None:
    """The fastest joint of each moment, and that which is accelerated most."""
    figures = Joints.of(stretch.qpos, spec, _fps(times_s))
    top, names = 0.0, []
    for name, shares, times, colour in (
        ("speed", figures.speed, times_s[1:], WANTED),
        ("acceleration", figures.acceleration, times_s[1:-1], ACHIEVED),
    ):
        axes.plot(times, 100.0 * shares.max(axis=1), color=colour, lw=1.1, label=name)
        worst = np.unravel_index(shares.argmax(), shares.shape)
        top = max(top, 100.0 * float(shares[worst]))
        names.append(spec.joint_names[worst[1]])
    most = 100.0 * gates.joint_speed_share
    _limits(axes, most)
    axes.set_ylim(0.0, max(1.06 * most, 1.05 * top))
    _legend(axes)
    text = f"share of what the drives can; fastest {names[0]}, most accelerated {names[1]}"
    _title(axes, text, "[%]")


def _contacts(axes: Axes, times_s: Array, stretch: Stretch, spec: RobotSpec, gates: Gates) -> None:
    """Bars while feet stand."""
    del gates
    step = 1.0 / _fps(times_s)
    for foot, name in enumerate(spec.foot_names):
        runs = signals.runs(stretch.contact[:, foot])
        spans = [(start * step, (stop - start) * step) for start, stop in runs]
        axes.broken_barh(spans, (foot - 0.38, 0.76), color=_colour(foot), lw=0.0, label=name)
    axes.set_yticks(range(spec.num_feet), spec.foot_names)
    axes.set_ylim(spec.num_feet - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    shares = ", ".join(
        f"{name} {100 * share:.0f} %"
        for name, share in zip(spec.foot_names, stretch.contact.mean(axis=0), strict=True)
    )
    _title(axes, f"feet stand: {shares} of the time", "")


def _heights(axes: Axes, times_s: Array, stretch: Stretch, spec: RobotSpec, gates: Gates) -> None:
    """Lowest points of the feet over the floor."""
    heights = _MM * stretch.floor_distance
    for foot, name in enumerate(spec.foot_names):
        axes.plot(times_s, heights[:, foot], color=_colour(foot), lw=1.1, label=name)
    deepest, most = float(heights.min()), _MM * gates.penetration_m
    axes.axhline(0.0, color="black", lw=0.8)
    _limits(axes, -most)
    axes.set_ylim(min(-1.6 * most, 1.1 * deepest), max(30.0, 1.05 * float(heights.max())))
    _legend(axes)
    stands = heights[stretch.contact]
    text = f"lowest point of feet over the floor; lowest {_mm(deepest)} mm"
    if len(stands):
        text += f", of standing feet {_mm(stands.min())} to {_mm(stands.max())} mm"
    _title(axes, text, "[mm]")


def _slide(axes: Axes, times_s: Array, stretch: Stretch, spec: RobotSpec, gates: Gates) -> None:
    """Speeds of standing feet along the floor."""
    speed = _MM * slide_speeds(stretch, _fps(times_s))
    for foot in range(spec.num_feet):
        axes.plot(times_s, speed[:, foot], color=_colour(foot), lw=1.2)
    _limits(axes, _MM * gates.slide_p95_mps)
    known = speed[np.isfinite(speed)]
    top = float(known.max(initial=0.0))
    axes.set_ylim(0.0, max(1.1 * _MM * gates.slide_p95_mps, 1.05 * top))
    _title(axes, f"slide of standing feet; most {top:.1f} mm/s", "[mm/s]")


def _errors(axes: Axes, times_s: Array, stretch: Stretch, spec: RobotSpec, gates: Gates) -> None:
    """Distances of feet and hands from the source."""
    error = _MM * np.linalg.norm(stretch.feet_w - stretch.fitted_feet_w, axis=-1)
    for foot, name in enumerate(spec.foot_names):
        axes.plot(times_s, error[:, foot], color=_colour(foot), lw=1.0, label=name)
    text = f"distance from the source: feet {error.mean():.1f} mm on average"
    top = float(error.max())
    if stretch.limb_errors.size:
        hands = _MM * stretch.limb_errors
        for limb in range(hands.shape[1]):
            style = {"color": "#555555", "lw": 1.0, "ls": ("-", ":")[limb % 2]}
            axes.plot(times_s, hands[:, limb], label=None if limb else "hands", **style)
        text += f", hands {hands.mean():.1f} mm"
        top = max(top, float(hands.max()))
    most = _MM * gates.marker_error_m
    _limits(axes, most, of_mean=True)
    axes.set_ylim(0.0, max(1.1 * most, 1.05 * top))
    _legend(axes)
    _title(axes, text, "[mm]")


def _tempo(axes: Axes, times_s: Array, stretch: Stretch, spec: RobotSpec, gates: Gates) -> None:
    """How much slower than size alone asks for."""
    del spec, gates
    slower = stretch.slowdown
    axes.fill_between(times_s, 1.0, slower, color=WANTED, alpha=0.25, lw=0.0)
    axes.plot(times_s, slower, color=WANTED, lw=1.2)
    axes.set_ylim(0.95, max(1.5, 1.05 * float(slower.max())))
    text = f"slowed down for the drives; {slower.mean():.2f} times on average"
    _title(axes, text, "factor")


def _apart(axes: Axes, times_s: Array, stretch: Stretch, spec: RobotSpec, gates: Gates) -> None:
    """Least distance of parts of the robot."""
    del spec
    apart, most = _MM * stretch.apart, _MM * gates.overlap_m
    axes.plot(times_s, apart, color=WANTED, lw=1.2)
    axes.axhline(0.0, color="black", lw=0.8)
    _limits(axes, -most)
    low = float(apart.min())
    axes.set_ylim(min(-1.6 * most, 1.1 * low), max(20.0, 1.05 * float(apart.max())))
    _title(axes, f"least distance between parts of the robot; {low:.1f} mm at least", "[mm]")


def slide_speeds(stretch: Stretch, fps: float) -> Array:
    """Speeds of the centres of feet along the floor [m/s]; NaN for feet in the air, (T, F)."""
    speed = np.linalg.norm(signals.velocity(stretch.feet_w[..., :2], fps), axis=-1)
    return np.where(stretch.contact, speed, np.nan)


def _colour(foot: int) -> str:
    return _FOOT_COLOURS[foot % len(_FOOT_COLOURS)]


def _mm(value: float) -> str:
    """A length; adding zero turns a rounded -0.0 into 0.0."""
    return f"{round(float(value), 1) + 0.0:.1f}"


def _limits(axes: Axes, *values: float, of_mean: bool = False) -> None:
    """Lines that must not be crossed, dashed; dotted where that holds for the mean only."""
    for value in values:
        axes.axhline(value, color=_LIMIT, lw=1.0, ls=(0, (1, 2)) if of_mean else (0, (5, 2)))


def _legend(axes: Axes) -> None:
    """Names in a row over the right end of a panel."""
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles,
        labels,
        loc="lower right",
        bbox_to_anchor=(1.0, 0.97),
        ncols=len(labels),
        fontsize=8.0,
        handlelength=1.2,
        columnspacing=1.0,
        borderpad=0.2,
    )


def _title(axes: Axes, text: str, unit: str) -> None:
    axes.set_title(text, loc="left", fontsize=8.5)
    axes.set_ylabel(unit)


def _fewer_colours(png: bytes) -> bytes:
    """The same picture with a palette, which is a third as large."""
    buffer = io.BytesIO()
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(_COLOURS, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
