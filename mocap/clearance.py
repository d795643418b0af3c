"""Keeps parts of the robot out of each other: feet by their targets, limbs by their joints.

A robot is thicker than an animal: where people's feet pass close by, or cross, a robot's
would meet.

Letters in the shape comments: T frames, F feet, J joints, N pairs of parts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, minimum_filter1d, uniform_filter1d

from legged_skills.mocap import signals
from legged_skills.robots.feet import Feet
from legged_skills.robots.kinematics import ROOT_QPOS, Kinematics
from legged_skills.robots.self_collision import SelfCollision
from legged_skills.robots.spec import RobotSpec

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]

# Corrections of feet at most; smoothing undoes part of each.
_ROUNDS = 8
# A step for finite differences [rad].
_STEP_RAD = 1e-3
# No correction turns a joint by more than this in one round [rad].
_MOST_RAD = 0.2


@dataclass(frozen=True, kw_only=True)
class FootRoom:
    """How much room two feet need."""

    home_b: Array
    """Where the feet are in the default pose, along the floor [m], (F, 2)."""
    length_m: float
    """From heel to toe [m]."""
    width_m: float
    """From side to side [m]."""
    margin_m: float
    """Room between feet [m]."""

    def axes(self, turn_i: Array, turn_j: Array) -> tuple[Array, Array]:
        """Half axes of the ellipse around one foot that another's centre stays out of [m], (T,).

        Args:
            turn_i: heading of one foot relative to the trunk's [rad], (T,).
            turn_j: of the other.

        Returns:
            Along the trunk, and across it.
        """
        cos = 0.5 * (np.abs(np.cos(turn_i)) + np.abs(np.cos(turn_j)))
        sin = 0.5 * (np.abs(np.sin(turn_i)) + np.abs(np.sin(turn_j)))
        along = self.length_m * cos + self.width_m * sin + self.margin_m
        across = self.width_m * cos + self.length_m * sin + self.margin_m
        return along, across


def keep_apart(
    paths_w: Array,
    contact: Mask,
    yaw: Array,
    foot_yaw: Array,
    room: FootRoom,
    fps: float,
    cutoff_hz: float,
) -> Array:
    """Moves foot targets apart along the floor, in the directions of the default pose.

    A foot in the air gives way to one that stands; a standing foot's whole contact is moved by
    the same vector.

    Args:
        paths_w: targets [m], (T, F, 3).
        contact: which feet stand, (T, F).
        yaw: heading of the trunk [rad], (T,).
        foot_yaw: headings of the feet [rad], (T, F).
        room: what the feet need.
        fps: frames a second [1/s].
        cutoff_hz: low-pass filter of the corrections in the air [Hz].

    Returns:
        Targets [m], (T, F, 3).
    """
    out = paths_w
    for _ in range(_ROUNDS):
        moves = _moves(out, contact, yaw, foot_yaw, room)
        if not np.any(moves):
            break
        out = out.copy()
        for foot in range(out.shape[1]):
            if np.any(moves[:, foot]):
                out[:, foot, :2] += _steady(moves[:, foot], contact[:, foot], fps, cutoff_hz)
    return out


def wider_stance(
    paths_w: Array, yaw: Array, foot_yaw: Array, room: FootRoom, share: float
) -> Array:
    """How much farther out feet have to be all the time, to be clear of each other most of it.

    Args:
        paths_w: feet [m], (T, F, 3).
        yaw: heading of the trunk [rad], (T,).
        foot_yaw: headings of the feet [rad], (T, F).
        room: what the feet need.
        share: of the frames in which each two feet shall be clear of each other.

    Returns:
        Along the floor, in the trunk's heading [m], (F, 2).
    """
    out = np.zeros_like(room.home_b)
    for push in _pushes(paths_w, yaw, foot_yaw, room):
        i, j = push.feet
        apart_b = room.home_b[i] - room.home_b[j]
        half = 0.5 * np.quantile(push.size, share) * apart_b / np.linalg.norm(apart_b)
        out[i] += half
        out[j] -= half
    return out


class _Push(NamedTuple):
    """How two feet have to be moved away from each other."""

    feet: tuple[int, int]
    """Which."""
    size: Array
    """How much farther apart they have to be [m], (T,)."""
    way_w: Array
    """Where to the first one moves along the floor, (T, 2)."""


def _pushes(paths_w: Array, yaw: Array, foot_yaw: Array, room: FootRoom) -> Iterator[_Push]:
    """What each two feet need."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    for i in range(paths_w.shape[1]):
        for j in range(i):
            x, y = room.home_b[i] - room.home_b[j]
            along, across = room.axes(foot_yaw[:, i] - yaw, foot_yaw[:, j] - yaw)
            if abs(x) > abs(y):
                along, across = across, along
            n = np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1) / np.hypot(x, y)
            gap = paths_w[:, i, :2] - paths_w[:, j, :2]
            ahead = np.sum(gap * n, axis=-1)
            aside = gap[:, 0] * n[:, 1] - gap[:, 1] * n[:, 0]
            need = across * np.sqrt(np.maximum(0.0, 1 - (aside / along) ** 2))
            yield _Push((i, j), np.maximum(0.0, need - ahead), n)


def _moves(paths_w: Array, contact: Mask, yaw: Array, foot_yaw: Array, room: FootRoom) -> Array:
    """How far each foot has to move in each frame [m], (T, F, 2)."""
    moves = np.zeros((*contact.shape, 2))
    for push in _pushes(paths_w, yaw, foot_yaw, room):
        i, j = push.feet
        share = np.where(contact[:, i] == contact[:, j], 0.5, np.where(contact[:, i], 0.0, 1.0))
        moves[:, i] += (push.size * share)[:, None] * push.way_w
        moves[:, j] -= (push.size * (1 - share))[:, None] * push.way_w
    return moves


def _steady(moves: Array, contact: Mask, fps: float, cutoff_hz: float) -> Array:
    """Corrections of one foot that are constant in each contact and smooth between, (T, 2)."""
    out = moves.copy()
    for start, stop in signals.runs(contact):
        size = np.linalg.norm(moves[start:stop], axis=-1)
        out[start:stop] = moves[start + int(np.argmax(size))]
    return signals.smooth(out, cutoff_hz, fps, np.where(contact, signals.HELD, 1.0))


@dataclass(frozen=True, kw_only=True)
class LimbClearance:
    """Turns the joints of limbs until their parts are clear of the rest."""

    kinematics: Kinematics
    """The robot's kinematics."""
    collision: SelfCollision
    """The robot's pairs."""
    joints: NDArray[np.integer]
    """The joints that may be turned: those of limbs."""
    lower: Array
    """Lower joint limits [rad], (J,)."""
    upper: Array
    """Upper joint limits [rad], (J,)."""
    margin_m: float
    """Least distance [m]."""
    rounds: int = 6
    """Corrections at most."""

    def clear(self, qpos: Array, window: int) -> Array:
        """Corrects poses.

        Each round turns the joints along the gradient of the least distance, as far as its
        linearisation says, and spreads the correction over neighbouring frames.

        Args:
            qpos: poses, (T, 7 + J).
            window: over how many frames a correction fades.

        Returns:
            Poses, (T, 7 + J).
        """
        pairs = np.flatnonzero(self._of_limbs())
        if len(pairs) == 0:
            return qpos
        columns = ROOT_QPOS + self.joints
        for _ in range(self.rounds):
            least, which = self._least(qpos, pairs)
            frames = np.flatnonzero(least < self.margin_m - 1e-4)
            if len(frames) == 0:
                break
            turns = np.zeros((len(qpos), len(columns)))
            turns[frames] = self._turns(qpos[frames], least[frames], pairs[which[frames]])
            up = uniform_filter1d(maximum_filter1d(np.maximum(turns, 0), window, axis=0), window, 0)
            down = uniform_filter1d(
                minimum_filter1d(np.minimum(turns, 0), window, axis=0), window, 0
            )
            qpos = qpos.copy()
            joints = qpos[:, columns] + up + down
            qpos[:, columns] = np.clip(joints, self.lower[self.joints], self.upper[self.joints])
        return qpos

    def _of_limbs(self) -> Mask:
        """Which pairs the joints of limbs can part, (N,)."""
        ends = self.collision.ends.body_ids.reshape(-1, 4)
        limbs = np.array(
            [
                [self.kinematics.movers(part[:1])[self.joints] for part in (pair[:2], pair[2:])]
                for pair in ends
            ]
        )
        # Joints that move one part and not the other.
        return np.any(limbs[:, 0] != limbs[:, 1], axis=-1)

    def _least(self, qpos: Array, pairs: NDArray[np.integer]) -> tuple[Array, NDArray[np.integer]]:
        """The least distance in each frame [m], and its place in ``pairs``, (T,) both."""
        apart = self._distances(qpos)[:, pairs]
        which = np.argmin(apart, axis=1)
        return apart[np.arange(len(apart)), which], which

    def _distances(self, qpos: Array) -> Array:
        """Distances of all pairs [m], (T, N)."""
        return self.collision.distances(self.kinematics, self.kinematics.poses(qpos))

    def _turns(self, qpos: Array, least: Array, pairs: NDArray[np.integer]) -> Array:
        """Turns of the joints that part one pair in each frame [rad], (T, joints)."""
        rows = np.arange(len(qpos))
        slope = np.empty((len(qpos), len(self.joints)))
        for i, joint in enumerate(self.joints):
            moved = qpos.copy()
            moved[:, ROOT_QPOS + joint] += _STEP_RAD
            slope[:, i] = (self._distances(moved)[rows, pairs] - least) / _STEP_RAD
        squared = np.maximum(np.sum(slope * slope, axis=1, keepdims=True), 1e-4)
        turns = (self.margin_m - least)[:, None] * slope / squared
        return np.clip(turns, -_MOST_RAD, _MOST_RAD)


def room_between_feet(
    spec: RobotSpec, kinematics: Kinematics, feet: Feet, margin_m: float
) -> FootRoom:
    """The room that a robot's feet need.

    Args:
        spec: the robot.
        kinematics: its kinematics.
        feet: its feet.
        margin_m: room on top of the soles' size [m].
    """
    home = kinematics.points(kinematics.poses(spec.home_qpos[None]), feet.centres)
    return foot_room(feet.points_f, home[0, :, :2], spec.foot_radius_m, margin_m)


def foot_room(points_f: Array, home_b: Array, radius_m: float, margin_m: float) -> FootRoom:
    """The room that feet need, from the shape of their soles.

    Args:
        points_f: points of the feet that meet the floor, in the frames of the feet [m],
            (F, S, 3).
        home_b: where the feet are in the default pose, along the floor [m], (F, 2).
        radius_m: radius of a round foot [m].
        margin_m: room on top of the sole's size [m].

    Returns:
        The room; a round foot's is a circle.
    """
    length, width, _ = np.ptp(points_f, axis=1).max(axis=0)
    return FootRoom(
        home_b=home_b,
        length_m=float(length + 2 * radius_m),
        width_m=float(width + 2 * radius_m),
        margin_m=margin_m,
    )
