"""Targets of the whole-clip pass: feet that stand still, a root that moves smoothly.

Letters in the shape comments: T frames, F feet.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from legged_skills.mocap import signals
from legged_skills.robots import rotations

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]

# Weight of a frame in the air that smoothing would push into the floor.
_LOW = 100.0


def smooth_root(root: Array, fps: float, cutoff_hz: float) -> Array:
    """Low-pass filters a root's path.

    Args:
        root: positions [m] and quaternions wxyz, (T, 7).
        fps: frames a second [1/s].
        cutoff_hz: frequency at which the gain is one half [Hz].

    Returns:
        Positions and unit quaternions, (T, 7).
    """
    aligned = np.concatenate([root[:, :3], rotations.align_signs(root[:, 3:])], axis=1)
    out = signals.smooth(aligned, cutoff_hz, fps)
    out[:, 3:] = rotations.normalize(out[:, 3:])
    return out


def swing_share(contact: Mask, fps: float, fade_s: float) -> Array:
    """How far each foot is from standing: 0 while it stands, 1 well away from any contact.

    Args:
        contact: which feet stand, (T, F).
        fps: frames a second [1/s].
        fade_s: time from the end of a contact to 1 [s].

    Returns:
        Shares without kinks, (T, F).
    """
    out = np.empty(contact.shape)
    for foot in range(contact.shape[1]):
        # A frame more on each side, which is at rest too.
        away = np.asarray(distance_transform_edt(~signals.widen(contact[:, foot], 1)))
        part = np.clip(away / (fade_s * fps), 0.0, 1.0) if np.any(contact[:, foot]) else 1.0
        out[:, foot] = part * part * (3 - 2 * part)
    return out


def sole_orientations(foot_yaw: Array, foot_pitch: Array) -> Array:
    """Orientations of soles that point somewhere and are pitched, without roll.

    Args:
        foot_yaw: headings [rad], (T, F).
        foot_pitch: rise from heel to toe [rad], (T, F).

    Returns:
        Quaternions wxyz, (T, F, 4).
    """
    up = rotations.from_axis_angle(np.array([0.0, -1.0, 0.0]), foot_pitch)
    return rotations.multiply(rotations.from_yaw(foot_yaw), up)


def pinned_feet(
    fitted_w: Array,
    contact: Mask,
    floor_m: Array,
    fps: float,
    cutoff_hz: float,
    blend_s: float,
) -> Array:
    """Foot targets that stand still on the floor during contacts.

    A standing foot is pinned to the mean place of its contact. The correction fades in before
    and fades out after it, so that a swing keeps its shape. Then each path is smoothed, with
    the contacts held fast, and kept out of the floor.

    Args:
        fitted_w: the scaled, offset-fitted feet of the source [m], (T, F, 3).
        contact: which feet stand, (T, F).
        floor_m: height of a foot's centre when the foot touches the floor [m], (T, F).
        fps: frames a second [1/s].
        cutoff_hz: low-pass filter of feet in the air [Hz].
        blend_s: time constant of the fading [s].

    Returns:
        Targets [m], (T, F, 3).
    """
    out = np.empty_like(fitted_w)
    for foot in range(fitted_w.shape[1]):
        floor = floor_m[:, foot]
        path = _pin(fitted_w[:, foot], contact[:, foot], floor, blend_s * fps)
        # One frame more on each side than the contact has, so that the velocity of its first
        # and last frame is zero too.
        weights = np.where(signals.widen(contact[:, foot], 1), signals.HELD, 1.0)
        smoothed = signals.smooth(path, cutoff_hz, fps, weights)
        low = smoothed[:, 2] < floor - 1e-4
        if np.any(low):
            path[low, 2] = floor[low]
            weights[low] = np.maximum(weights[low], _LOW)
            smoothed = signals.smooth(path, cutoff_hz, fps, weights)
        smoothed[:, 2] = np.maximum(smoothed[:, 2], floor)
        out[:, foot] = smoothed
    return out


def _pin(path: Array, contact: Mask, floor: Array, blend_frames: float) -> Array:
    """One foot's path with its contacts at rest, and corrections that fade between, (T, 3)."""
    frames = np.arange(len(path))
    out = path.copy()
    contacts = signals.runs(contact)
    for start, stop in contacts:
        place = path[start:stop].mean(axis=0)
        place[2] = floor[start]
        # The contact and a frame on each side are at rest; outside, the correction of the
        # nearest such frame fades away.
        first, last = max(start - 1, 0), min(stop, len(path) - 1)
        fade_in = np.exp((frames[:first] - first) / blend_frames)[:, None]
        fade_out = np.exp((last - frames[last + 1 :]) / blend_frames)[:, None]
        out[:first] += (place - path[first]) * fade_in
        out[last + 1 :] += (place - path[last]) * fade_out
    for start, stop in contacts:
        first, last = max(start - 1, 0), min(stop, len(path) - 1)
        out[first : last + 1, :2] = path[start:stop, :2].mean(axis=0)
        out[first : last + 1, 2] = floor[start]
    out[:, 2] = np.maximum(out[:, 2], floor)
    return out
