"""Randomised physics: the model fields of many environments at once, built ahead of the episodes.

A pool holds one row of factors, and of all model fields that follow from them, for each of P
variants of the robot. An environment that starts an episode copies a row; nothing is compiled then.
"""

import mujoco
import numpy as np
from mujoco.batch import Batch

from legged_skills.robots.simulation import BatchSim
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.ball_gap import vary_ball
from legged_skills.sim2real.gap import Gap
from legged_skills.sim2real.ranges import Factors
from legged_skills.sim2real.terrain import floor_levels, floor_name, gap_model

__all__ = ["ModelPool", "down_directions", "gap_model", "model_fields"]

_PAYLOAD_ABOVE = 0.3
"""The payload's centre is this share of the standing height above the base's frame."""
_DERIVED = ("body_subtreemass", "body_invweight0", "dof_invweight0", "dof_M0")
"""Fields that MuJoCo derives from those that are randomised, and reads in a step: the last one for
bodies that have no parts, such as a ball."""


def model_fields(
    model: mujoco.MjModel, spec: RobotSpec, gap: Gap, factors: Factors, down_w: np.ndarray
) -> dict[str, np.ndarray]:
    """The model's fields under given factors, (n, ...) each; those derived from them left out.

    Args:
        model: from ``gap_model``.
        spec: the robot.
        gap: the gap.
        factors: (n, K) by name; "link" is every body of the robot, which come first in the model.
        down_w: (n, 3) direction of gravity in the floor's frame.
    """
    n = len(factors["payload_kg"])
    base = model.body(spec.base_body).id

    def copies(field: np.ndarray) -> np.ndarray:
        return np.repeat(field[None], n, axis=0)

    mass, inertia = copies(model.body_mass), copies(model.body_inertia)
    centre = copies(model.body_ipos)
    links = slice(1, 1 + factors["link_mass"].shape[1])
    mass[:, links] *= factors["link_mass"]
    inertia[:, links] *= factors["link_mass"][:, :, None]
    centre[:, base] += factors["com_offset_m"]
    # A point mass over the trunk; the trunk's inertia grows in proportion to its mass, which is
    # about what a box of the payload's size does.
    payload, trunk = factors["payload_kg"], mass[:, base, None].copy()
    top = np.array([0.0, 0.0, _PAYLOAD_ABOVE * spec.standing_height_m])
    centre[:, base] = (trunk * centre[:, base] + payload * top) / (trunk + payload)
    inertia[:, base] *= (trunk + payload) / trunk
    mass[:, base] = (trunk + payload)[:, 0]
    joints = slice(6, 6 + spec.num_joints)
    damping = copies(model.dof_damping)
    damping[:, joints] = np.maximum(damping[:, joints] + factors["viscous_friction"], 0.0)
    loss = copies(model.dof_frictionloss)
    loss[:, joints] = np.maximum(loss[:, joints] + factors["coulomb_friction_nm"], 0.0)
    armature = copies(model.dof_armature)
    armature[:, joints] *= factors["armature"]
    friction = copies(model.geom_friction)
    feet = np.flatnonzero((model.geom_priority > 0) & (model.geom_bodyid < links.stop))
    friction[:, feet, 0] = factors["floor_friction"]
    # Masks decide which floor is met: one that is merely out of the way would still cost time, as
    # its bounding sphere holds every robot.
    level, _ = floor_levels(gap, factors["roughness_m"][:, 0])
    smooth = model.geom(floor_name(0)).id
    masks = {}
    for name in ("geom_contype", "geom_conaffinity"):
        masks[name] = copies(getattr(model, name))
        of_floor = masks[name][0, smooth]
        for k in range(level.max(initial=0) + 1):
            masks[name][:, model.geom(floor_name(k)).id] = np.where(level == k, of_floor, 0)
    fields = {
        **masks,
        "body_mass": mass,
        "body_inertia": inertia,
        "body_ipos": centre,
        "dof_damping": damping,
        "dof_frictionloss": loss,
        "dof_armature": armature,
        "geom_friction": friction,
        "opt.gravity": np.linalg.norm(model.opt.gravity) * down_w,
    }
    if "ball_mass" in factors:
        fields |= vary_ball(model, fields, factors)
    return fields


def down_directions(slope_rad: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n, 3) direction of gravity in the frame of floors of the slope (n,) [rad].

    The floor goes down in a direction from U(-pi, pi).
    """
    heading = rng.uniform(-np.pi, np.pi, len(slope_rad))
    across = np.sin(slope_rad)
    return np.stack(
        [across * np.cos(heading), across * np.sin(heading), -np.cos(slope_rad)], axis=1
    )


class ModelPool:
    """P variants of a robot's physics.

    Attributes:
        down_w: (P, 3) direction of gravity in the floor's frame.
        fields: (P, ...) model fields by name, derived ones among them.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        spec: RobotSpec,
        gap: Gap,
        factors: Factors,
        rng: np.random.Generator,
    ) -> None:
        """Builds the rows.

        Args:
            model: from ``gap_model``.
            spec: the robot.
            gap: the gap.
            factors: (P, K) by name.
            rng: draws the directions of the slopes.
        """
        self.down_w = down_directions(factors["slope_rad"][:, 0], rng)
        fields = model_fields(model, spec, gap, factors, self.down_w)
        batch = Batch(model, len(self.down_w), 1)
        for name, values in fields.items():
            batch.expand(name)[:] = values
        batch.set_const()
        for name in _DERIVED:
            values = batch.expanded(name)
            # Without a difference between the rows and the model they stay shared.
            shared = np.repeat(getattr(model, name)[None], len(self.down_w), axis=0)
            fields[name] = shared if values is None else values.copy()
        self.fields = fields

    def give(self, sim: BatchSim, ids: np.ndarray, rows: np.ndarray) -> None:
        """Gives environments ``ids`` (n,) of a simulation the physics of ``rows`` (n,)."""
        for name, values in self.fields.items():
            sim.field(name)[ids] = values[rows]
