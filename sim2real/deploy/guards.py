"""What can be wrong with a robot and its sensors: small checks, each of which finds faults.

No check has a memory. J is the number of joints.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from legged_skills.sim2real.deploy.snapshot import NEVER


class Code(Enum):
    """The kinds of faults; the value is the name in logs and diagnostics."""

    STALE_JOINTS = "stale_joints"
    STALE_IMU = "stale_imu"
    NOT_FINITE = "not_finite"
    UNUSABLE_MESSAGE = "unusable_message"
    FROZEN_SENSORS = "frozen_sensors"
    JOINT_RANGE = "joint_range"
    JOINT_SPEED = "joint_speed"
    NOT_FOLLOWING = "not_following"
    TILT = "tilt"
    TARGET_STEPS = "target_steps"
    POLICY_OUTPUT = "policy_output"
    LATE_LOOP = "late_loop"
    CLOCK = "clock"
    OTHER_PUBLISHER = "other_publisher"
    OTHER_OWNER = "other_owner"
    INTERNAL = "internal"
    LOW_BATTERY = "low_battery"


DESCRIPTIONS: Mapping[Code, str] = {
    Code.STALE_JOINTS: "A joint has not been heard of for joint_timeout_s.",
    Code.STALE_IMU: "The IMU has not been heard of for imu_timeout_s.",
    Code.NOT_FINITE: "A joint or the IMU says NaN or infinity, or no joint speed where one is due.",
    Code.UNUSABLE_MESSAGE: "A message has arrays of wrong lengths.",
    Code.FROZEN_SENSORS: "Sensors have said the same for frozen_s while a policy moves or stops "
    "the robot.",
    Code.JOINT_RANGE: "A joint is farther than joint_margin_rad beyond its usable range.",
    Code.JOINT_SPEED: "A joint is faster than joint_speed_radps, or its angle jumps.",
    Code.NOT_FOLLOWING: "A joint has not come to its target for following_s, or none moves for 3 "
    "times that though targets of a policy do.",
    Code.TILT: "The base is tilted by more than tilt_limit_deg.",
    Code.TARGET_STEPS: "The policy has asked for faster targets than target_speed_radps too long.",
    Code.POLICY_OUTPUT: "The policy's output is not finite.",
    Code.LATE_LOOP: "The control loop was late by max_late_s, or max_overruns + 1 times on end.",
    Code.CLOCK: "The steady clock stood still, went back or is no number.",
    Code.OTHER_PUBLISHER: "Somebody else publishes joint targets.",
    Code.OTHER_OWNER: "Another module or controller is in charge of joints.",
    Code.INTERNAL: "The program itself failed.",
    Code.LOW_BATTERY: "The battery is below low_battery_v; a warning that stops nothing.",
}
"""One sentence for each kind; setting names as in ``DeployConfig``."""
WITHIN: Mapping[Code, tuple[str, float]] = {
    Code.STALE_JOINTS: ("joint_timeout_s", 0.05),
    Code.STALE_IMU: ("imu_timeout_s", 0.05),
    Code.NOT_FINITE: ("", 0.1),
    Code.UNUSABLE_MESSAGE: ("", 0.1),
    Code.FROZEN_SENSORS: ("frozen_s", 0.1),
    Code.JOINT_RANGE: ("", 0.1),
    Code.JOINT_SPEED: ("", 0.1),
    Code.NOT_FOLLOWING: ("following_s", 0.1),
    Code.TILT: ("", 0.1),
    Code.TARGET_STEPS: ("max_limited_steps", 0.1),
    Code.POLICY_OUTPUT: ("", 0.1),
    # A loop that hangs altogether is given a second.
    Code.LATE_LOOP: ("max_late_s", 1.1),
    Code.CLOCK: ("", 0.1),
    # Others are counted ten times a second, once they have been discovered.
    Code.OTHER_PUBLISHER: ("", 0.5),
    # OP3's modules are asked for twice a second.
    Code.OTHER_OWNER: ("", 0.7),
    Code.INTERNAL: ("", 0.1),
    Code.LOW_BATTERY: ("", 0.1),
}
"""Time from the cause to the fault: a setting that must pass, if any, and the most on top [s]."""
SILENCING = (Code.OTHER_PUBLISHER, Code.OTHER_OWNER)
"""After these nothing is published any more: two masters are worse than none."""
WARNINGS = (Code.LOW_BATTERY,)
"""These stop nothing."""


@dataclass(frozen=True)
class Fault:
    """Something that is wrong."""

    code: Code
    """What kind."""
    sentence: str
    """What exactly, in one sentence."""


Faults = list[Fault]


def within_s(code: Code, config: object, period_s: float) -> float:
    """A fault is in force so long after its cause at the latest [s].

    Args:
        code: the kind.
        config: the settings that are in force.
        period_s: the control period; settings that count steps take so long for each [s].
    """
    name, extra_s = WITHIN[code]
    if not name:
        return extra_s
    return extra_s + float(getattr(config, name)) * (1.0 if name.endswith("_s") else period_s)


def stale_joints(
    names: Sequence[str], joint_time_s: np.ndarray, now_s: float, timeout_s: float
) -> Faults:
    """Joints that have not been heard of for too long; names the worst.

    Args:
        names: (J,) the joints.
        joint_time_s: (J,) when each was heard of last [s].
        now_s: time [s].
        timeout_s: what is too long [s].
    """
    oldest = int(np.argmin(joint_time_s))
    age = now_s - float(joint_time_s[oldest])
    if age <= timeout_s:
        return []
    return [Fault(Code.STALE_JOINTS, f"{names[oldest]} {_silence(age, timeout_s)}.")]


def stale_imu(time_s: float, now_s: float, timeout_s: float) -> Faults:
    """Whether the IMU has not been heard of for too long; as ``stale_joints``."""
    age = now_s - time_s
    if age <= timeout_s:
        return []
    return [Fault(Code.STALE_IMU, f"the IMU {_silence(age, timeout_s)}.")]


def _silence(age_s: float, timeout_s: float) -> str:
    if age_s == -NEVER:
        return "has not been heard of yet"
    return f"was heard of {age_s:.3f} s ago, expected at most {timeout_s:g} s"


def not_finite(names: Sequence[str], what: str, values: np.ndarray) -> Faults:
    """Joints whose value (J,) is NaN or infinite; names the first."""
    bad = np.flatnonzero(~np.isfinite(values))
    if not bad.size:
        return []
    first = int(bad[0])
    return [Fault(Code.NOT_FINITE, f"the {what} of {names[first]} is {values[first]}.")]


def imu_not_finite(usable: bool) -> Faults:
    """Whether an IMU sample was NaN, infinite, or no rotation."""
    if usable:
        return []
    return [Fault(Code.NOT_FINITE, "the IMU gives values that are no numbers or no rotation.")]


def unusable_message(count: int, sentence: str) -> Faults:
    """Whether messages could not be used."""
    return [Fault(Code.UNUSABLE_MESSAGE, sentence)] if count > 0 else []


def frozen(what: str, unchanged_s: float, limit_s: float) -> Faults:
    """Whether a sensor has said exactly the same for too long."""
    if unchanged_s <= limit_s:
        return []
    sentence = f"{what} have not changed at all for {unchanged_s:.3f} s, at most {limit_s:g} s."
    return [Fault(Code.FROZEN_SENSORS, sentence)]


def joint_range(
    names: Sequence[str],
    joint_pos: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    margin_rad: float,
) -> Faults:
    """Joints that are too far beyond their usable range; names the worst. Arrays (J,) [rad]."""
    beyond = np.maximum(lower - joint_pos, joint_pos - upper)
    worst = int(np.argmax(beyond))
    if not beyond[worst] > margin_rad:
        return []
    return [
        Fault(
            Code.JOINT_RANGE,
            f"{names[worst]} is at {joint_pos[worst]:.3f} rad, expected "
            f"{lower[worst] - margin_rad:.3f} to {upper[worst] + margin_rad:.3f} rad.",
        )
    ]


def joint_speed(names: Sequence[str], joint_vel: np.ndarray, limit_radps: float) -> Faults:
    """Joints that are too fast, (J,) [rad/s]; names the worst. NaN is not fast."""
    speed = np.nan_to_num(np.abs(joint_vel), nan=0.0)
    worst = int(np.argmax(speed))
    if speed[worst] <= limit_radps:
        return []
    return [
        Fault(
            Code.JOINT_SPEED,
            f"{names[worst]} turns at {joint_vel[worst]:.2f} rad/s, "
            f"expected at most {limit_radps:g} rad/s.",
        )
    ]


def not_following(
    names: Sequence[str], errors_rad: np.ndarray, seconds: float, limit_rad: float, limit_s: float
) -> Faults:
    """Joints that have been off their targets for too long; names the worst.

    Args:
        names: (J,) the joints.
        errors_rad: (J,) how far they are off [rad].
        seconds: for how long one of them has been farther off than ``limit_rad`` [s].
        limit_rad: what is far [rad].
        limit_s: what is long [s].
    """
    if seconds <= limit_s:
        return []
    worst = int(np.argmax(np.abs(errors_rad)))
    return [
        Fault(
            Code.NOT_FOLLOWING,
            f"{names[worst]} is {abs(errors_rad[worst]):.3f} rad from its target, expected at most "
            f"{limit_rad:g} rad; is its drive on?",
        )
    ]


def nothing_follows(
    asked_rad: float, moved_rad: float, limit_rad: float, stuck_rad: float
) -> Faults:
    """Whether no joint moves although targets do.

    Args:
        asked_rad: standard deviation of the target that swings most, over some time [rad].
        moved_rad: by how much the joint has changed that did most, in the same time [rad].
        limit_rad: so much must be asked to say anything [rad].
        stuck_rad: who moves no more than this does not move [rad].
    """
    if not (asked_rad > limit_rad and moved_rad <= stuck_rad):
        return []
    return [
        Fault(
            Code.NOT_FOLLOWING,
            f"targets swing by {asked_rad:.2f} rad, no joint moves more than {moved_rad:.2f} rad; "
            "are the drives on, and is the controller active?",
        )
    ]


def tilt(gravity_b: np.ndarray, limit_deg: float) -> Faults:
    """Whether the base is tilted too far; gravity (3,) is a unit vector in the base frame."""
    degrees = float(np.degrees(np.arccos(np.clip(-gravity_b[2], -1.0, 1.0))))
    # NaN is another guard's.
    if not degrees > limit_deg:
        return []
    return [
        Fault(Code.TILT, f"the base is tilted by {degrees:.0f} degrees, at most {limit_deg:g}.")
    ]


def late_loop(late_s: float, overruns: int, max_late_s: float, max_overruns: int) -> Faults:
    """Whether the control loop is too late.

    Args:
        late_s: how late this step is [s].
        overruns: so many steps on end, this one included, were late by more than half a
            period.
        max_late_s: how late a step may be [s].
        max_overruns: how many may be late on end.
    """
    if late_s > max_late_s:
        sentence = f"a control step was {late_s:.3f} s late, expected at most {max_late_s:g} s."
    elif overruns > max_overruns:
        sentence = f"{overruns} control steps on end were late, expected at most {max_overruns}."
    else:
        return []
    return [Fault(Code.LATE_LOOP, sentence)]


def clock(now_s: float, before_s: float) -> Faults:
    """Whether the time of this step is a number and after that of the step before."""
    if np.isfinite(now_s) and now_s > before_s:
        return []
    return [Fault(Code.CLOCK, f"the time went from {before_s:.3f} to {now_s:.3f} s.")]


def target_steps(limited: int, limit: int, speed_radps: float) -> Faults:
    """Whether too many steps on end asked for faster targets than allowed."""
    if limited <= limit:
        return []
    return [
        Fault(
            Code.TARGET_STEPS,
            f"{limited} steps on end asked for targets faster than {speed_radps:g} rad/s, "
            f"expected at most {limit}.",
        )
    ]


def policy_output(names: Sequence[str], targets: np.ndarray) -> Faults:
    """Whether the policy's targets (J,) are numbers; names the first joint whose is not."""
    return [
        Fault(Code.POLICY_OUTPUT, fault.sentence)
        for fault in not_finite(names, "policy's target", targets)
    ]


def other_publisher(count: int) -> Faults:
    """Whether somebody else publishes joint targets."""
    if count <= 0:
        return []
    return [Fault(Code.OTHER_PUBLISHER, f"{count} others publish joint targets, expected none.")]


def other_owner(sentence: str) -> Faults:
    """Whether somebody else is in charge of joints; the driver says who."""
    return [Fault(Code.OTHER_OWNER, sentence)] if sentence else []


def low_battery(battery_v: float, limit_v: float) -> Faults:
    """Whether the battery is low; NaN is an unknown voltage."""
    if limit_v <= 0.0 or not battery_v < limit_v:
        return []
    return [
        Fault(
            Code.LOW_BATTERY,
            f"the battery is at {battery_v:.1f} V, expected at least {limit_v:g} V.",
        )
    ]
