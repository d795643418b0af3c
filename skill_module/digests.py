"""Short names of what a training depends on, for its checkpoint: other content, another name."""

import hashlib
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

from legged_skills.mocap.clip import RobotClip


def clip_digest(clip: RobotClip) -> str:
    """Sixteen hexadecimal digits that stand for a motion, whatever its name."""
    return _digest((np.float64(clip.fps), clip.qpos, clip.qvel))


def weights_digest(params: Any) -> str:
    """Sixteen hexadecimal digits that stand for the numbers in a tree of arrays."""
    return _digest(jax.tree.leaves(params))


def _digest(arrays: Iterable[Any]) -> str:
    parts = (np.ascontiguousarray(array).tobytes() for array in arrays)
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]
