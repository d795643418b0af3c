"""Floors of the randomised simulation: one smooth, some rough, of which each robot meets one."""

import mujoco
import numpy as np

from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.gap import Gap

_PARKED_M = -5.0
"""Height of the floors that a robot does not meet [m]."""
_MARK = "randomised"
_BASE_M = 0.5
"""Thickness of the ground under the lowest point of a rough floor [m]."""


def gap_model(spec: RobotSpec, gap: Gap) -> mujoco.MjModel:
    """The robot's model with rough floors beside the smooth one.

    Rough floors are height fields with independent heights, uniform between lowest and highest,
    at the corners of a grid. A slope is not in them: gravity is tilted instead, which is the same.
    """
    mj = spec.spec(floor=True)
    ranges, terrain = gap.ranges, gap.terrain
    floor = next(geom for geom in mj.worldbody.geoms if geom.name == "floor")
    count = 1 + int(np.ceil(2.0 * terrain.size_m / terrain.cell_m))
    heights = np.random.default_rng(terrain.seed).random((count, count))
    for level in range(1, _levels(gap) + 1):
        roughness = ranges.roughness_m[1] * level / terrain.levels
        name = f"rough{level}"
        mj.add_hfield(
            name=name,
            size=[terrain.size_m, terrain.size_m, roughness, _BASE_M],
            nrow=count,
            ncol=count,
            userdata=heights.ravel(),
        )
        geom = mj.worldbody.add_geom(
            name=name, type=mujoco.mjtGeom.mjGEOM_HFIELD, hfieldname=name, pos=[0, 0, _PARKED_M]
        )
        geom.contype, geom.conaffinity, geom.condim = floor.contype, floor.conaffinity, floor.condim
        geom.friction = floor.friction
        geom.rgba = [0.7, 0.73, 0.76, 1.0]
    mj.add_numeric(name=_MARK, data=[1.0])
    model = mj.compile()
    # The tree of bounding boxes that this test walks knows the floors where they were compiled,
    # and not where each environment has them.
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_MIDPHASE.value
    if gap.fit is not None:
        model.dof_damping[6:] = np.maximum(gap.fit.damping - spec.kd, 0.0)
        model.dof_frictionloss[6:] = gap.fit.friction
        model.dof_armature[6:] = gap.fit.armature
    return model


def is_gap_model(model: mujoco.MjModel) -> bool:
    """Whether a model comes from ``gap_model``."""
    return mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_NUMERIC.value, _MARK) >= 0


def floor_heights(gap: Gap, roughness_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which floor each environment meets, and how high it may stand over its mean.

    Args:
        gap: the gap.
        roughness_m: (n,) wanted roughness [m].

    Returns:
        (n, 1 + levels) heights of the floors' frames [m], the smooth one first, and (n,) how far
        the floor's highest point is above its mean height, which is 0 [m].
    """
    levels, largest = _levels(gap), gap.ranges.roughness_m[1]
    heights = np.full((len(roughness_m), 1 + levels), _PARKED_M)
    if levels == 0:
        heights[:] = 0.0
        return heights, np.zeros(len(roughness_m))
    level = np.clip(np.rint(roughness_m / largest * levels), 0, levels).astype(np.int64)
    above = 0.5 * largest * level / levels
    heights[np.arange(len(level)), level] = -above
    return heights, above


def _levels(gap: Gap) -> int:
    return gap.terrain.levels if gap.ranges.roughness_m[1] > 0.0 else 0
