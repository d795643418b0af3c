"""Joint commands that make the drives of a held robot show what they are.

Of friction, damping, gain and inertia each needs motion of its own kind: slow and wide turns, in
which friction is most of the torque and gravity changes; and fast ones. Speeds of one size alone
cannot tell friction from damping: the less the speeds are alike, the better, so joints are slow for
most of the time and fast now and then.

Letters in the shape comments: J joints, K commands.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from legged_skills.robots.errors import SettingsError
from legged_skills.robots.kinematics import Kinematics
from legged_skills.robots.self_collision import SelfCollision
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.held_robot import UPRIGHT_WXYZ, DriveParameters, HeldRobot, held_mean
from legged_skills.sim2real.joint_log import MOST_SECONDS
from legged_skills.sim2real.loads import Load

Array = NDArray[np.floating]

_WIDE_HZ = (0.06, 0.4)
"""Of wide turns: most of the time, and in sweeps. Slower ones come near speeds at which friction is
not Coulomb's."""
_FAST_HZ = (0.7, 4.0)
_SINES = 6
_BURST_S = 6.0
"""Sweeps of a joint, and bursts of fast turns, each come once in about this time [s]."""
_RAMP_S = 2.0
"""From the default pose to the middles, and from rest there to the whole motion; the same way back
at the end [s]."""
_POSES_HZ = 10.0
"""Poses in a second in which distances between parts are measured [1/s]."""
_MOST_TRIES = 60


@dataclass(frozen=True, kw_only=True)
class ExcitationLimits:
    """How far an excitation goes. Shares are of the robot's own limits."""

    range_share: float = 0.9
    """Of the way from the middle of the motion to the nearer end of the usable range."""
    velocity_share: float = 0.6
    """Of the greatest joint speed."""
    acceleration_share: float = 0.4
    """Of the greatest joint acceleration."""
    torque_share: float = 0.8
    """Of the greatest drive torque, in the nominal robot; beyond the limit gain shows no more."""
    clearance: float = 0.04
    """Between parts of the robot that may meet, at least [leg lengths]."""


def excitation(
    spec: RobotSpec,
    seconds: float,
    seed: int = 0,
    limits: ExcitationLimits | None = None,
    base_wxyz: Array | tuple[float, ...] = UPRIGHT_WXYZ,
    loads: Sequence[Load] = (),
) -> Array:
    """A safe course of joint commands that is good for identification.

    The robot hangs or is held by its base, feet in the air, with room for its limbs around it.
    Commands start and end in the default pose. They and the motion that a nominal robot makes of
    them stay within ``limits``. Loads count as weight and inertia, and not as shapes: they have to
    be where they meet no part of the robot in its usable ranges.

    Args:
        spec: the robot.
        seconds: duration, at least 10 [s].
        seed: of frequencies, phases and the times of the bursts.
        limits: how far it goes.
        base_wxyz: (4,) orientation in which the base is held, wxyz.
        loads: known weights on its links.

    Returns:
        (K, J) position targets, one for each control period of the robot [rad].

    Raises:
        SettingsError: it is too short or far too long, the default pose itself is not clear, or
            the loads are on no links of the robot or too heavy.
    """
    if not 10.0 <= seconds <= MOST_SECONDS:
        raise SettingsError(
            f"excitation of {seconds:g} s was asked for, expected 10 to {MOST_SECONDS:g} s."
        )
    limits = ExcitationLimits() if limits is None else limits
    rng = np.random.default_rng(seed)
    times_s = np.arange(round(seconds / spec.control_period_s)) * spec.control_period_s
    courses = [_course(times_s, rng) for _ in spec.joint_names]
    slow, fast = (np.stack(parts, axis=1) for parts in zip(*courses, strict=True))
    # Left and right limbs move side by side, so that they do not meet in the middle. They do not
    # feel each other, so nothing is lost by it.
    partner, sign = spec.mirror_joints
    right = np.flatnonzero(partner < np.arange(spec.num_joints))
    sign = np.where(_turns_sideways(spec), sign, -sign)
    for course in (slow, fast):
        course[:, right] = sign[right] * course[:, partner[right]]
    # The middles of the ranges, where parts are further apart than in most default poses.
    middle = 0.5 * (spec.joint_lower + spec.joint_upper)
    room = limits.range_share * (spec.joint_upper - middle)
    period = spec.control_period_s
    fastest = limits.velocity_share * spec.velocity_limit
    wide = np.minimum(0.8 * room, 0.8 * fastest / _speed(slow, period))
    quick = np.minimum(0.2 * room / np.abs(fast).max(axis=0), fastest / _speed(fast, period))
    hardest = limits.acceleration_share * spec.acceleration_limit
    quick = np.minimum(quick, hardest / _speed(np.gradient(fast, period, axis=0), period))
    # First to the middles, then the swings: around the default pose there is little room.
    to_end = np.minimum(times_s, times_s[-1] - times_s)[:, None] / _RAMP_S
    there = spec.default_joint_pos + _smooth(to_end) * (middle - spec.default_joint_pos)
    check = _Check(spec, limits, base_wxyz, loads)
    for attempt in range(_MOST_TRIES):
        commands = there + _smooth(to_end - 1.0) * (wide * slow + quick * fast)
        too_far, too_fast = check.violations(commands)
        if not (too_far.any() or too_fast.any()):
            return commands
        if attempt > _MOST_TRIES // 2:
            # Who is to blame is a guess; all together are, in the end.
            too_far |= too_far.any()
        wide = np.where(too_far, 0.9 * wide, np.where(too_fast, 0.98 * wide, wide))
        quick = np.where(too_far | too_fast, 0.9 * quick, quick)
    raise SettingsError(
        f"{spec.name}: no excitation was found within the limits of joints, speed, torque "
        f"and {limits.clearance:g} leg lengths between its parts."
    )


def _turns_sideways(spec: RobotSpec) -> NDArray[np.bool_]:
    """(J,) which joints turn about the left-right axis, in the default pose.

    In a mirror image these move as the other side's do, and the others against them.
    """
    poses = Kinematics(spec.model()).poses(spec.home_qpos[None])
    return np.abs(poses.joint_axis_w[:, 0, 1]) > np.sqrt(0.5)


def _speed(course: Array, period_s: float) -> Array:
    """(J,) greatest rate of change of (K, J) values [1/s]."""
    return np.abs(np.gradient(course, period_s, axis=0)).max(axis=0)


def _course(times_s: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """One joint's wide turns, (K,), and its bursts of fast ones, (K,), without unit."""
    return _wide(times_s, rng), _pulses(times_s, rng) * _sines(times_s, _FAST_HZ, rng)


def _wide(times_s: Array, rng: np.random.Generator) -> Array:
    """(K,) a slow sine that sweeps now and then; it is near its ends more than many sines are."""
    slow_hz, sweep_hz = _WIDE_HZ
    frequency = slow_hz + (sweep_hz - slow_hz) * _pulses(times_s, rng)
    turns = np.cumsum(frequency * np.gradient(times_s))
    return np.sin(2.0 * np.pi * (turns + rng.uniform()))


def _pulses(times_s: Array, rng: np.random.Generator) -> Array:
    """(K,) smooth pulses from 0 to 1, a fifth of the time in all."""
    period = _BURST_S * rng.uniform(0.8, 1.2)
    return np.cos(np.pi * (times_s / period + rng.uniform())) ** 16


def _sines(times_s: Array, band_hz: tuple[float, float], rng: np.random.Generator) -> Array:
    """(K,) a sum of sines of about the same speed, scaled to a root mean square of 1."""
    edges = np.geomspace(*band_hz, _SINES + 1)
    frequency = rng.uniform(edges[:-1], edges[1:])
    phase = rng.uniform(0.0, 2.0 * np.pi, _SINES)
    waves = np.sin(2.0 * np.pi * frequency * times_s[:, None] + phase) / frequency
    total = waves.sum(axis=1)
    return total / np.sqrt(np.mean(total**2))


def _smooth(x: Array) -> Array:
    """A step from 0 at 0 to 1 at 1 without a jump in speed."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


class _Check:
    """Whether commands, and the motion that a nominal robot makes of them, are safe."""

    def __init__(
        self,
        spec: RobotSpec,
        limits: ExcitationLimits,
        base_wxyz: Array | tuple[float, ...] = UPRIGHT_WXYZ,
        loads: Sequence[Load] = (),
    ) -> None:
        model = spec.model()
        self._spec, self._limits = spec, limits
        self._kinematics, self._pairs = Kinematics(model), SelfCollision.of(model, spec)
        self._nominal = DriveParameters.nominal(spec)
        self._robot = HeldRobot(spec, 1, spec.physics_step_s, base_wxyz, loads)
        self._robot.set_drives(self._nominal.table()[None])

    def violations(self, commands: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(J,) joints that turn too far or bring parts together; (J,) those too fast or loaded.

        Args:
            commands: (K, J) one for each control period [rad].
        """
        spec, limits, step = self._spec, self._limits, self._robot.step_s
        starts_s = np.arange(len(commands) * spec.substeps) * step
        times_s = np.arange(len(commands)) * spec.control_period_s
        course = held_mean(times_s, commands, starts_s - 0.5 * step, step)
        q = self._robot.simulate(commands[0], course[None], np.zeros(1, int), starts_s)[0]
        torque = np.abs(self._nominal.kp * (course - q)).max(axis=0)
        speed = np.abs(np.diff(q, axis=0)).max(axis=0) / step
        too_fast = (torque > limits.torque_share * spec.torque_limit) | (
            speed > limits.velocity_share * spec.velocity_limit
        )
        beyond = (q < spec.joint_lower) | (q > spec.joint_upper)
        poses = q[:: max(1, round(1.0 / (_POSES_HZ * step)))]
        return beyond.any(axis=0) | self._to_blame(poses), too_fast

    def _to_blame(self, poses: Array) -> NDArray[np.bool_]:
        """(J,) joints that bring a pair of parts too close, each in its worst of (K, J) poses."""
        spec, joints = self._spec, self._spec.num_joints
        least_m = self._limits.clearance * spec.leg_length_m
        distance = self.distances_m(poses)
        close = np.flatnonzero(distance.min(axis=0) < least_m)
        if not len(close):
            return np.zeros(joints, dtype=bool)
        worst = distance[:, close].argmin(axis=0)
        # A joint is to blame as far as the parts would be apart if it, and its mirror image,
        # stood in their middles.
        variants = np.repeat(poses[worst][:, None], joints, axis=1)
        every = np.arange(joints)
        middle = 0.5 * (spec.joint_lower + spec.joint_upper)
        for both in (every, spec.mirror_joints[0]):
            variants[:, every, both] = middle[both]
        moved = self.distances_m(variants.reshape(-1, joints)).reshape(len(close), joints, -1)
        pair = np.arange(len(close))
        gain = moved[pair, :, close] - distance[worst, close][:, None]
        return (gain > 0.5 * gain.max(axis=1, keepdims=True, initial=1e-9)).any(axis=0)

    def distances_m(self, poses: Array) -> Array:
        """(K, N) distances between parts that may meet in (K, J) poses, negative: overlap [m]."""
        root = np.tile(self._spec.home_qpos[:7], (len(poses), 1))
        states = self._kinematics.poses(np.concatenate([root, poses], axis=1))
        return self._pairs.distances(self._kinematics, states)


def clearance_m(spec: RobotSpec, joint_pos: Array) -> float:
    """The least distance between parts that ``RobotSpec.self_collision`` pairs [m].

    Args:
        spec: the robot.
        joint_pos: (K, J) poses [rad].
    """
    return float(_Check(spec, ExcitationLimits()).distances_m(joint_pos).min())
