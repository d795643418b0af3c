"""Levels recordings whose floor is tilted, as that of some CMU subjects is by a degree or more."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap import signals
from legged_skills.mocap.mapping import Mapping
from legged_skills.mocap.source import SourceMotion

Array = NDArray[np.floating]

# A foot slower than this share of its fastest speed may stand.
_SLOW = 0.06
_FAST_PERCENTILE = 95.0
_LEAST_CONTACT_S = 0.1
_LEAST_CONTACTS = 4
_LEAST_PATH_M = 1.0
# How far a footprint is off the plane, and how far floors are tilted (standard deviations).
_NOISE_M = 0.01
_SLOPE = 0.03
# Footprints farther from the plane were none [m].
_OUTLIER_M = 0.04
# Less is not worth a change, and more is no floor but stairs or a ramp.
_RANGE_RAD = (math.radians(0.25), math.radians(5.0))
# The plane must explain the footprints this much better than a level floor.
_BETTER = 0.7


def levelled(motion: SourceMotion, mapping: Mapping) -> SourceMotion:
    """Brings the floor of a motion to the level, if footprints show that it is tilted.

    Args:
        motion: the source.
        mapping: names its feet.

    Returns:
        The motion, with heights taken from the floor's plane; ``source["note"]`` says by how
        much it was tilted. The same motion if the floor is level, or cannot be told.
    """
    feet_w = motion.positions_w[:, [motion.index(name) for name in mapping.feet]]
    slope = floor_slope(feet_w, motion.fps)
    tilt = math.atan(float(np.hypot(*slope)))
    if not _RANGE_RAD[0] < tilt < _RANGE_RAD[1]:
        return motion
    positions = motion.positions_w.copy()
    positions[..., 2] -= positions[..., :2] @ slope
    note = f"its floor was tilted by {math.degrees(tilt):.1f} degrees and is levelled"
    notes = [text for text in (motion.source.get("note"), note) if text]
    return replace(
        motion, positions_w=positions, source={**motion.source, "note": "; ".join(notes)}
    )


def floor_slope(feet_w: Array, fps: float) -> Array:
    """The slope of the floor that footprints lie on, along x and y.

    Each foot has a height of its own over the plane. Slopes are pulled to 0, since footprints
    on a line say nothing of the slope across it.

    Args:
        feet_w: foot markers [m], (T, F, 3).
        fps: frames a second [1/s].

    Returns:
        Rise per metre along x and along y, (2,); zeros if it cannot be told.
    """
    prints, foot = _footprints(feet_w, fps)
    level = np.zeros(2)
    for _ in range(4):
        enough = len(prints) >= _LEAST_CONTACTS
        if not enough or np.ptp(prints[:, :2], axis=0).max() < _LEAST_PATH_M:
            return level
        slope, off = _plane(prints, foot)
        good = np.abs(off) < _OUTLIER_M
        if np.all(good):
            break
        prints, foot = prints[good], foot[good]
    flat = _over_own_height(prints[:, 2], foot)
    return slope if np.std(off) < _BETTER * np.std(flat) else level


def _footprints(feet_w: Array, fps: float) -> tuple[Array, NDArray[np.integer]]:
    """Where feet hardly move: mean places (N, 3) [m], and which foot it is, (N,)."""
    speed = np.linalg.norm(signals.velocity(feet_w, fps), axis=-1)
    slow = speed < _SLOW * np.percentile(speed, _FAST_PERCENTILE, axis=0)
    places, which = [np.zeros((0, 3))], []
    for foot in range(feet_w.shape[1]):
        for start, stop in signals.runs(slow[:, foot]):
            if stop - start >= _LEAST_CONTACT_S * fps:
                places.append(feet_w[None, start:stop, foot].mean(axis=1))
                which.append(foot)
    return np.concatenate(places), np.array(which, dtype=int)


def _plane(prints: Array, foot: NDArray[np.integer]) -> tuple[Array, Array]:
    """Slopes (2,), and how far each footprint is off the plane (N,) [m]."""
    centred = np.stack([_over_own_height(column, foot) for column in prints.T], axis=1)
    ridge = np.eye(2) * (_NOISE_M / _SLOPE) ** 2
    along = centred[:, :2]
    slope = np.linalg.solve(along.T @ along + ridge, along.T @ centred[:, 2])
    return slope, centred[:, 2] - along @ slope


def _over_own_height(values: Array, foot: NDArray[np.integer]) -> Array:
    """Values less the mean of the same foot's, (N,)."""
    out = values.astype(np.float64)
    for one in np.unique(foot):
        out[foot == one] -= values[foot == one].mean()
    return out
