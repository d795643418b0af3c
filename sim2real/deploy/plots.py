"""A picture of a recorded deployment."""

import io
import itertools

import numpy as np

from legged_skills.sim2real.deploy.attitude import Attitude
from legged_skills.sim2real.deploy.log import CODES, STATES
from legged_skills.sim2real.deploy.recorded_run import RecordedRun
from legged_skills.sim2real.deploy.snapshot import IMU_GYRO, IMU_TIME

_COLORS = ("0.9", "#cfe8ff", "#d9f2d9", "#ffffff", "#fff2cc", "#ffd6d6")


def gravity_b(run: RecordedRun) -> np.ndarray:
    """Direction of gravity in the base frame (K, 3) at each IMU sample, as it was for the policy.

    Args:
        run: the recording.
    """
    attitude, samples = Attitude(run.config), run.arrays["imu"]
    found = np.empty((len(samples), 3))
    for row in range(len(samples)):
        attitude.update(samples[row : row + 1])
        found[row] = attitude.gravity_b
    return found


def plot(run: RecordedRun) -> bytes:
    """State, command, joints with their targets, attitude and step times over time.

    Args:
        run: the recording, of at least one step.

    Returns:
        The bytes of a PNG file.
    """
    from matplotlib.figure import Figure

    arrays, names = run.arrays, run.header["joint_names"]
    start_s = float(arrays["time_s"][0])
    time_s = arrays["time_s"] - start_s
    figure = Figure(figsize=(11, 15), layout="constrained")
    axes = figure.subplots(6, 1, sharex=True)
    for axis in axes:
        _shade(axis, time_s, arrays["state"])
    axes[0].plot(time_s, arrays["command"])
    axes[0].set_ylabel("command")
    # The three joints that moved most say more than all of them on top of each other.
    spread = np.nanmax(arrays["joint_targets"], axis=0) - np.nanmin(arrays["joint_targets"], axis=0)
    for joint in np.argsort(spread)[::-1][:3]:
        (line,) = axes[1].plot(time_s, arrays["joint_pos"][:, joint], label=names[joint])
        axes[1].plot(time_s, arrays["joint_targets"][:, joint], ":", color=line.get_color())
    axes[1].set_ylabel("joints, targets\ndotted [rad]")
    axes[1].legend(loc="upper right")
    imu = arrays["imu"]
    axes[2].plot(imu[:, IMU_TIME] - start_s, imu[:, IMU_GYRO])
    axes[2].set_ylabel("angular velocity\nof the IMU [rad/s]")
    axes[3].plot(imu[:, IMU_TIME] - start_s, gravity_b(run), label=("x", "y", "z"))
    axes[3].set_ylabel("gravity in the\nbase frame [1]")
    axes[3].legend(loc="upper right")
    axes[4].plot(time_s[1:], 1e3 * np.diff(time_s), label="period")
    axes[4].plot(time_s, 1e3 * arrays["step_s"], label="step")
    age_s = arrays["time_s"] - arrays["joint_time_s"].max(axis=1)
    age_s = np.where(np.isfinite(age_s) & (age_s < 1.0), age_s, np.nan)
    axes[4].plot(time_s, 1e3 * age_s, label="age of the joint states")
    axes[4].set_ylabel("[ms]")
    axes[4].legend(loc="upper right")
    axes[5].set_yticks(range(len(CODES)), [code.value for code in CODES])
    for bit in range(len(CODES)):
        rows = np.flatnonzero((arrays["faults"] | arrays["warnings"]) >> bit & 1)
        axes[5].plot(time_s[rows], np.full(len(rows), bit), "|", color="tab:red")
    axes[5].set_ylim(-1, len(CODES))
    axes[5].set_xlabel("time [s]; background: " + ", ".join(state.value for state in STATES))
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110)
    return data.getvalue()


def _shade(axis: object, time_s: np.ndarray, state: np.ndarray) -> None:
    """Backgrounds in the colours of the states, one for each stretch."""
    edges = [0, *(np.flatnonzero(np.diff(state)) + 1).tolist(), len(state)]
    for begin, end in itertools.pairwise(edges):
        stop = time_s[min(end, len(time_s) - 1)]
        axis.axvspan(time_s[begin], stop, color=_COLORS[int(state[begin])], lw=0)  # pyright: ignore[reportAttributeAccessIssue]
