"""A picture of a fit: measured against simulated positions, and what is left between them."""

import numpy as np
from numpy.typing import NDArray

from legged_skills.robots.canvas import ACHIEVED, FORBIDDEN, WANTED, Canvas
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.identified import Identified
from legged_skills.sim2real.identify import simulated_positions
from legged_skills.sim2real.joint_log import JointLog

Array = NDArray[np.floating]

_SHOWN_S = 8.0
"""Of the motion; the residual is shown for the whole recording [s]."""
_MOST_POINTS = 4000


def plot(log: JointLog, spec: RobotSpec, found: Identified) -> bytes:
    """A row of panels for each joint: its liveliest seconds, and the residual over all.

    Args:
        log: the recording.
        spec: the robot.
        found: what was fitted to it.

    Returns:
        A PNG picture.
    """
    times_s, measured, simulated = simulated_positions(log, spec, found)
    residual = 1e3 * (measured - simulated)
    thin = slice(None, None, max(1, len(times_s) // _MOST_POINTS))
    with Canvas(1.15 * spec.num_joints + 0.6, spec.num_joints, 2, dpi=110) as canvas:
        for joint, name in enumerate(spec.joint_names):
            motion, rest = canvas.axes[joint]
            rows = _liveliest(times_s, simulated[:, joint])
            shown = times_s[rows]
            motion.plot(shown, measured[rows, joint], color=WANTED, lw=2.2, label="measured")
            motion.plot(shown, simulated[rows, joint], color=ACHIEVED, lw=1.1, label="model")
            motion.set_ylabel("angle [rad]")
            motion.set_xlim(shown[0], shown[-1])
            untold = "" if found.fitted[joint].all() else "   (not all told)"
            motion.set_title(f"{name}{untold}", loc="left")
            rest.plot(times_s[thin], residual[thin, joint], color=FORBIDDEN, lw=0.5)
            rest.set_ylabel("[mrad]")
            rest.set_xlim(times_s[0], times_s[-1])
            rms = float(np.sqrt(np.mean(residual[:, joint] ** 2)))
            rest.set_title(f"measured less model, {rms:.2g} mrad rms", loc="left")
        for axes in canvas.axes[-1]:
            axes.set_xlabel("time [s]")
        canvas.legend()
    return canvas.png


def _liveliest(times_s: Array, positions: Array) -> slice:
    """The rows of the seconds in which a joint goes the longest way."""
    way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(positions)))])
    last = np.minimum(np.searchsorted(times_s, times_s + _SHOWN_S), len(times_s) - 1)
    first = int((way[last] - way).argmax())
    return slice(first, int(last[first]) + 1)
