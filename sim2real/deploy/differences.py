"""Whether a recorded deployment would be decided again as it was, and what else a log is good for.

T is the number of control steps, J that of joints.
"""

from dataclasses import dataclass

import numpy as np

from legged_skills.robots.errors import ClipError
from legged_skills.sim2real.bundle import Bundle
from legged_skills.sim2real.deploy.log import STATES
from legged_skills.sim2real.deploy.recorded_run import RecordedRun, replay
from legged_skills.sim2real.joint_log import JointLog
from legged_skills.sim2real.runtime import Runtime

TOLERANCE_RAD = 1e-5
"""Targets that differ by less are the same: processors round differently."""


@dataclass(frozen=True)
class Comparison:
    """A recording beside what is decided now."""

    steps: int
    """Control steps that were compared."""
    worst_rad: float
    """Greatest difference of a joint target before the first difference [rad]."""
    first: str
    """The first difference, in a sentence; empty if there is none."""


def compare(
    run: RecordedRun,
    bundle: Bundle,
    runtime: Runtime | None = None,
    tolerance_rad: float = TOLERANCE_RAD,
) -> Comparison:
    """Decides every step once more, up to the first that comes out differently.

    Args:
        run: the recording.
        bundle: the policy that it was made with.
        runtime: see ``replay``.
        tolerance_rad: what is no difference [rad].

    Raises:
        ContractError: the recording was made with another policy.
    """
    worst, steps = 0.0, 0
    for row, output in replay(run, bundle, runtime):
        steps += 1
        at = f"step {row}, {run.arrays['time_s'][row] - run.arrays['time_s'][0]:.3f} s"
        recorded = STATES[int(run.arrays["state"][row])]
        if output.state is not recorded:
            return Comparison(
                steps, worst, f"{at}: the state was {recorded.value}, now {output.state.value}."
            )
        off = np.abs(output.joint_targets - run.arrays["joint_targets"][row])
        joint = int(off.argmax())
        if not off[joint] <= tolerance_rad:
            name = run.header["joint_names"][joint]
            told, now = run.arrays["joint_targets"][row, joint], output.joint_targets[joint]
            return Comparison(
                steps, worst, f"{at}: {name} was told {told:.6f} rad, now {now:.6f} rad."
            )
        worst = max(worst, float(off[joint]))
    return Comparison(steps, worst, "")


def joint_log(run: RecordedRun) -> JointLog:
    """The longest stretch in which targets were sent, as ``identify`` reads it.

    The robot must have hung or been held with its feet in the air, level.

    Args:
        run: the recording.

    Raises:
        ClipError: there is no stretch of 5 s, or it is not usable.
    """
    if run.header.get("dry_run"):
        raise ClipError(f"{run.source}: no joint targets were sent in a dry run.")
    arrays = run.arrays
    publish = arrays["publish"].astype(np.int8)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], publish, [0]])))
    if not edges.size:
        raise ClipError(f"{run.source}: no joint targets were sent.")
    starts, stops = edges[::2], edges[1::2]
    longest = int((stops - starts).argmax())
    rows = slice(int(starts[longest]), int(stops[longest]))
    time_s, heard_s = arrays["time_s"][rows], arrays["joint_time_s"][rows]
    # What is heard is older than the step; between two samples lies what was at its time.
    position = np.stack(
        [
            np.interp(time_s, heard_s[:, joint], arrays["joint_pos"][rows, joint])
            for joint in range(heard_s.shape[1])
        ],
        axis=1,
    )
    return JointLog(
        robot=str(run.header["robot"]),
        joint_names=tuple(run.header["joint_names"]),
        time_s=time_s - time_s[0],
        command=arrays["joint_targets"][rows],
        position=position,
        base_wxyz=np.array([1.0, 0.0, 0.0, 0.0]),
        source=run.source,
    )
