"""Raw frames: the terms of an observation contract as sensors give them, neither offset nor scaled.

A raw frame holds the contract's terms in its order, in SI units, with absolute joint angles. A
policy bundle takes raw frames; offset and scale are part of its graph. F is the contract's
``frame_size``.
"""

import numpy as np

from legged_skills.robots.contract import ObservationContract


def term_slices(contract: ObservationContract) -> dict[str, slice]:
    """Where each term lies in a frame, by name, in order."""
    slices, start = {}, 0
    for term in contract.terms:
        slices[term.name] = slice(start, start + term.size)
        start += term.size
    return slices


def frame_offset(contract: ObservationContract) -> np.ndarray:
    """(F,) float64: what is taken off a raw frame: the default pose, and zero elsewhere."""
    offset = np.zeros(contract.frame_size)
    where = term_slices(contract).get("joint_pos")
    if where is not None:
        offset[where] = contract.default_joint_pos
    return offset


def frame_scale(contract: ObservationContract) -> np.ndarray:
    """(F,) float64: a policy is told (raw frame - offset) * scale."""
    return np.concatenate([np.full(term.size, term.scale) for term in contract.terms])


def newest_turning_rate(contract: ObservationContract) -> tuple[int, float]:
    """Where proprioception has the newest turning rate about the base's vertical axis.

    Returns:
        Its index in the (P,) proprioception, and what stands there for 1 rad/s.
    """
    gyro = term_slices(contract)["angular_velocity"].start + 2
    newest = (contract.history - 1) * contract.frame_size
    return newest + gyro, float(frame_scale(contract)[gyro])
