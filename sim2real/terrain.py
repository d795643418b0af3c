"""Floors of the randomised simulation: one smooth, some rough, of which each robot meets one."""

import mujoco
import numpy as np

from legged_skills.robots.ball import Ball, add_ball, set_rolling
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.fitted_model import fit_joints
from legged_skills.sim2real.gap import Gap

_MARK = "randomised"
_BASE_M = 0.5
"""Thickness of the ground under the lowest point of a rough floor [m]."""


def gap_model(
    spec: RobotSpec, gap: Gap, ball: Ball | None = None, touches_itself: bool = False
) -> mujoco.MjModel:
    """The robot's model with rough floors beside the smooth one, and maybe with a ball.

    Rough floors are height fields with independent heights, uniform between lowest and highest,
    at the corners of a grid, which come again after ``floor_period_m``. A slope is not in them:
    gravity is tilted instead, which is the same.
    """
    mj = spec.spec(visible=False, touches_itself=touches_itself)
    terrain = gap.terrain
    floor = next(geom for geom in mj.worldbody.geoms if geom.name == "floor")
    half = int(np.ceil(terrain.size_m / terrain.cell_m))
    count = 1 + 2 * half
    again = (np.arange(count) - half // 2) % half + half // 2
    corners = np.random.default_rng(terrain.seed).random((count, count))[np.ix_(again, again)]
    for level, roughness in enumerate(_roughness_m(gap)[1:], start=1):
        name = floor_name(level)
        mj.add_hfield(
            name=name,
            size=[terrain.size_m, terrain.size_m, roughness, _BASE_M],
            nrow=count,
            ncol=count,
            userdata=corners.ravel(),
        )
        # All floors are in one place, with mean height 0; masks say which one a robot meets.
        geom = mj.worldbody.add_geom(
            name=name,
            type=mujoco.mjtGeom.mjGEOM_HFIELD,
            hfieldname=name,
            pos=[0, 0, -0.5 * roughness],
        )
        geom.contype, geom.conaffinity, geom.condim = floor.contype, floor.conaffinity, floor.condim
        geom.friction = floor.friction
        geom.rgba = [0.7, 0.73, 0.76, 1.0]
    mj.add_numeric(name=_MARK, data=[1.0])
    if ball is not None:
        add_ball(mj, ball)
    model = mj.compile()
    # So few geoms touch anything that walking a tree of them costs more than it saves.
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_MIDPHASE.value
    for level in range(1, len(_roughness_m(gap))):
        model.geom(floor_name(level)).contype = model.geom(floor_name(level)).conaffinity = 0
    fit_joints(model, spec, gap.fit)
    if ball is not None:
        set_rolling(model, ball)
    return model


def is_gap_model(model: mujoco.MjModel) -> bool:
    """Whether a model comes from ``gap_model``."""
    return mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_NUMERIC.value, _MARK) >= 0


def floor_name(level: int) -> str:
    """The geom of a floor: 0 is the smooth one."""
    return f"rough{level}" if level else "floor"


def floor_levels(gap: Gap, roughness_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which floor each environment meets, and how high that one is.

    Args:
        gap: the gap.
        roughness_m: (n,) wanted roughness [m].

    Returns:
        (n,) level of the floor, 0 the smooth one, and (n,) how far its highest point is above its
        mean height, which is 0 [m].
    """
    known = _roughness_m(gap)
    step = known[1] if len(known) > 1 else np.inf
    level = np.clip(np.rint(roughness_m / step), 0, len(known) - 1).astype(np.int64)
    return level, 0.5 * known[level]


def floor_period_m(gap: Gap) -> float:
    """After so many metres along x or y a rough floor is as it was: half its length [m].

    Whoever goes on for longer than a floor is long can so be put back unnoticed.
    """
    return gap.terrain.size_m


def _roughness_m(gap: Gap) -> np.ndarray:
    """(1 + levels,) roughness of the floors, the smooth one first [m]."""
    roughest, levels = gap.ranges.roughness_m[1], gap.terrain.levels
    return np.linspace(0.0, roughest, 1 + levels) if roughest > 0.0 else np.zeros(1)
