"""Which way to walk so that a ball comes to its target: a teacher for dribbling, by rules.

The robot gets behind the ball, seen from where it shall go, beside the line through both, so that
the ball is in the lane of one foot; walks on, and pushes it as it walks; and follows. What it is
good for is to begin with (``learn_chase``): it gives no thought to how a foot meets the ball.

Vectors are planar, in the heading frame (x forward, y left).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array

from legged_skills.tasks.walk import Paces

_GO_RATE = 1.5
"""Velocity over distance on the way to a place [1/s]."""
_LONGEST_S = 2.5
"""No meeting with the ball is planned for later than this [s]."""
_SOON_S = 0.4
"""Which end of the robot meets a ball is decided by where it will be after this time [s]."""
_EASY_RAD = 0.3
"""The last of a turn may be left to the kick itself [rad]."""
_BACKWARDS_RAD = 2.2
"""Robots with two ends go backwards rather than to turn by more than this [rad]."""
_BEHIND_SHARE = 1.25
"""On the way around the ball the robot aims for a place from which the ball is ahead by this times
``Chase.passed_m``: once there, it is to be met again."""


@dataclass(frozen=True, kw_only=True)
class Chase:
    """Lengths and speeds of the rules."""

    lane_m: float
    """Distance of a foot's lane from the middle of the robot [m]."""
    lane_width_m: float
    """The ball is in the lane within this to both sides [m]."""
    reach_m: float
    """Front feet reach this far ahead [m]."""
    passed_m: float
    """The ball is no more to be met if it is less than this ahead [m]."""
    lead_s: float
    """The ball is sent to where the target will be this long after it was met [s]."""
    meet_mps: float
    """How fast the robot comes nearer to the ball, to foresee where it meets it [m/s]."""
    slowing_mps2: float
    """How fast a rolling ball slows [m/s^2]."""
    slow_kick_mps: float
    """Speed of the robot when it meets a ball that is where it shall be [m/s]."""
    kick_rate: float
    """What comes on top for each metre that the ball shall go [1/s]."""
    fast_kick_mps: float
    """It is no faster than this [m/s]."""
    run_up_rate: float
    """How much faster it may be for each metre to the ball [1/s]."""
    pace_mps: float
    """Fastest speed [m/s]."""
    sideways_mps: float
    """Fastest speed to the side [m/s]."""
    sideways_rate: float
    """That speed for each metre beside the lane [1/s]."""
    turning_radps: float
    """Turns that are left are thought to take this long: angle over this [rad/s]."""
    turn_rate: float
    """Turning rate over angle [1/s]."""
    behind_m: float
    """How far behind the ball the robot lines up [m]."""
    aside_m: float
    """How far beside the ball it passes on the way there [m]."""
    far_m: float
    """Beyond this the robot turns where it goes, nearer the way that it shall kick [m]."""
    both_ends: bool
    """Whether hind legs kick what is behind, as front legs do what is ahead."""


CHASES: Mapping[str, Chase] = {
    # Found by CMA-ES under the full gap, with a walk that is 0.02 m/s off in nominal simulation. Of
    # passed_m and lead_s a few values were tried.
    "anymal_c": Chase(
        lane_m=0.26,
        lane_width_m=0.06,
        reach_m=0.42,
        passed_m=0.40,
        lead_s=0.30,
        meet_mps=0.88,
        slowing_mps2=0.40,
        slow_kick_mps=0.24,
        kick_rate=0.33,
        fast_kick_mps=0.82,
        run_up_rate=0.48,
        pace_mps=1.09,
        sideways_mps=0.34,
        sideways_rate=2.47,
        turning_radps=0.77,
        turn_rate=2.14,
        behind_m=0.76,
        aside_m=0.38,
        far_m=1.31,
        both_ends=True,
    ),
    # Found by CMA-ES under the full gap, with the first walk that had a clock and pushes of at most
    # 6 N, from what had been found so with a walk that did not go sideways.
    "op3": Chase(
        lane_m=0.05,
        lane_width_m=0.045,
        reach_m=0.045,
        passed_m=0.038,
        lead_s=0.94,
        meet_mps=0.52,
        slowing_mps2=0.27,
        slow_kick_mps=0.13,
        kick_rate=0.34,
        fast_kick_mps=0.22,
        run_up_rate=0.3,
        pace_mps=0.23,
        sideways_mps=0.15,
        sideways_rate=1.62,
        turning_radps=0.59,
        turn_rate=1.08,
        behind_m=0.11,
        aside_m=0.56,
        far_m=0.25,
        both_ends=False,
    ),
}
"""The rules of each robot, by name."""


def chase_command(known: Array, chase: Chase, paces: Paces) -> Array:
    """Which velocity brings the ball to its target.

    Args:
        known: (N, 8) ball [m], its velocity over the floor [m/s], target [m] and its velocity
            [m/s] (``BallTracker``).
        chase: the rules.
        paces: the velocities that the walk was trained for; backwards as forwards with
            ``both_ends``.

    Returns:
        (N, 3) forward, to the left [m/s], turning [rad/s].
    """
    points = known.reshape(-1, 4, 2)
    forwards, slowest = jnp.ones(len(points)), paces.vx_range[0]
    if chase.both_ends:
        # A ball behind is a ball ahead of a robot whose front is its back.
        behind = points[:, 0, 0] + _SOON_S * points[:, 1, 0] < 0.0
        forwards, slowest = jnp.where(behind, -1.0, 1.0), -paces.vx_range[1]
    mirror = jnp.stack([forwards, jnp.ones_like(forwards)], axis=1)
    velocity, turn = _ahead(points * mirror[:, None, :], chase)
    if chase.both_ends:
        backwards = jnp.abs(turn) > _BACKWARDS_RAD
        turn = jnp.where(backwards, turn - jnp.sign(turn) * jnp.pi, turn)
    velocity = velocity * mirror
    high = jnp.array([[paces.vx_range[1], paces.vy_range[1]]], jnp.float32)
    low = jnp.array([[slowest, paces.vy_range[0]]], jnp.float32)
    # Where a range ends at 0, the walk does not go at all.
    least, most = jnp.where(low < 0.0, -jnp.inf, 0.0), jnp.where(high > 0.0, jnp.inf, 0.0)
    velocity = jnp.clip(velocity, least, most)
    high, low = jnp.maximum(high, 1e-6), jnp.minimum(low, -1e-6)
    over = jnp.maximum(velocity / high, velocity / low).max(axis=1, keepdims=True)
    velocity = velocity / jnp.maximum(over, 1.0)
    rate = jnp.clip(chase.turn_rate * turn, *paces.yaw_range) * forwards
    return jnp.concatenate([velocity, rate[:, None]], axis=1)


def _ahead(points: Array, chase: Chase) -> tuple[Array, Array]:
    """Velocities (N, 2) [m/s] and turns (N,) [rad] of robots that kick forwards."""
    ball, ball_vel, target, target_vel = jnp.moveaxis(points, 1, 0)
    away = jnp.linalg.norm(ball, axis=1)
    meets_in = jnp.clip((away - chase.reach_m) / chase.meet_mps, 0.0, _LONGEST_S)
    speed, rolling = _split(ball_vel)
    rolls = jnp.minimum(meets_in, speed / chase.slowing_mps2)
    met = ball + rolling * (speed * rolls - 0.5 * chase.slowing_mps2 * rolls**2)[:, None]
    goal = target + target_vel * (meets_in + chase.lead_s)[:, None]
    distance, towards = _split(goal - met)
    left = jnp.stack([-towards[:, 1], towards[:, 0]], axis=1)
    angle = jnp.arctan2(towards[:, 1], towards[:, 0])
    ahead, beside = _dot(met, towards), -_dot(met, left)
    side = jnp.where(beside >= 0.0, 1.0, -1.0)
    off_lane = chase.lane_m * side - beside

    # Towards the ball, as fast as leaves time to get into the lane and to turn.
    kick = jnp.minimum(chase.slow_kick_mps + chase.kick_rate * distance, chase.fast_kick_mps)
    to_go = jnp.maximum(ahead - chase.reach_m, 0.0)
    needs_s = jnp.maximum(jnp.abs(off_lane) - chase.lane_width_m, 0.0) / chase.sideways_mps
    needs_s = needs_s + jnp.maximum(jnp.abs(angle) - _EASY_RAD, 0.0) / chase.turning_radps
    pace = jnp.clip(kick + chase.run_up_rate * to_go, kick, chase.pace_mps)
    pace = jnp.minimum(pace, to_go / jnp.maximum(needs_s, 1e-3))
    sideways = jnp.clip(chase.sideways_rate * off_lane, -chase.sideways_mps, chase.sideways_mps)
    kicking = pace[:, None] * towards + sideways[:, None] * left

    # Around the ball, or back behind it.
    beyond = ahead <= chase.passed_m
    blocked = beyond & (jnp.abs(beside) < chase.aside_m)
    back = jnp.where(blocked, _BEHIND_SHARE * chase.passed_m, chase.behind_m)
    aside = jnp.where(blocked, 1.1 * chase.aside_m, chase.lane_m)
    around = _go_to(met - back[:, None] * towards + (side * aside)[:, None] * left, chase)
    lined_up = met - chase.behind_m * towards + (side * chase.lane_m)[:, None] * left

    far = away > chase.far_m
    comes = ~beyond & (jnp.abs(off_lane) < chase.lane_m)
    velocity = jnp.where(beyond[:, None], around, kicking)
    velocity = jnp.where((far & ~comes)[:, None], _go_to(lined_up, chase), velocity)
    forth = jnp.where(velocity[:, 0] < 0.0, -1.0, 1.0)
    way = jnp.arctan2(velocity[:, 1], jnp.abs(velocity[:, 0]) + 1e-6) * forth
    return velocity, jnp.where(far, way, angle)


def _go_to(place: Array, chase: Chase) -> Array:
    """Velocities (N, 2) that lead to places (N, 2)."""
    length, way = _split(place)
    return jnp.minimum(_GO_RATE * length, chase.pace_mps)[:, None] * way


def _split(vectors: Array) -> tuple[Array, Array]:
    """Lengths (N,) and directions (N, 2) of vectors (N, 2); the zero vector has none."""
    length = jnp.linalg.norm(vectors, axis=1)
    return length, vectors / jnp.maximum(length, 1e-6)[:, None]


def _dot(a: Array, b: Array) -> Array:
    """Dot products (N,) of vectors (N, 2)."""
    return (a * b).sum(axis=1)
