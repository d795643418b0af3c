"""The gap of a robot that plays with a ball: what is uncertain about ball and camera, too."""

import dataclasses
from collections.abc import Mapping

import mujoco
import numpy as np

from legged_skills.robots.ball import BALL, spin_dofs
from legged_skills.sim2real.gap import GAPS, Gap
from legged_skills.sim2real.ranges import BallRanges, Factors

_PITCH_SLOPE_RAD = 0.01
"""Pitches are usually built to 1 % [rad]; less than what the ball with the least resistance rolls
off on, which on a steeper one would never lie still again once it moved."""


def _with_ball(gap: Gap) -> Gap:
    known = {f.name: getattr(gap.ranges, f.name) for f in dataclasses.fields(gap.ranges)}
    known["slope_rad"] = (0.0, min(known["slope_rad"][1], _PITCH_SLOPE_RAD))
    ranges = BallRanges(
        **known,
        ball_mass=(0.9, 1.1),
        ball_radius=(0.97, 1.03),
        ball_friction=(0.7, 1.3),
        # From a smooth carpet to short turf.
        ball_rolling=(0.5, 2.0),
        # Restitution of 0.8 to 0.2; FIFA asks turf for 0.55 to 0.7.
        ball_damping=(0.5, 2.0),
        camera_delay_s=(0.03, 0.1),
        camera_drop_rate=(0.0, 0.2),
        camera_noise=(0.5, 1.5),
    )
    return dataclasses.replace(gap, ranges=ranges)


BALL_GAPS: Mapping[str, Gap] = {name: _with_ball(gap) for name, gap in GAPS.items()}
"""The gap of each robot with a ball, by name. The ranges of ball, camera and pitch are our
estimates."""


def vary_ball(
    model: mujoco.MjModel, fields: Mapping[str, np.ndarray], factors: Factors
) -> dict[str, np.ndarray]:
    """The fields of a model that are others with another ball.

    Args:
        model: a model with a ball.
        fields: (n, ...) "body_mass", "body_inertia", "dof_frictionloss" and "geom_friction" with
            the nominal ball; not changed.
        factors: (n, 1) by name, see ``BallRanges``.

    Returns:
        The same fields with the balls of the factors, and the fields of their size and bounce.
    """
    n = len(factors["ball_mass"])
    body, geom = model.body(BALL).id, model.geom(BALL).id
    mass, radius = factors["ball_mass"], factors["ball_radius"]
    names = ("body_mass", "body_inertia", "dof_frictionloss", "geom_friction")
    out = {name: fields[name].copy() for name in names}
    for name in ("geom_size", "geom_rbound", "geom_solref"):
        out[name] = np.repeat(getattr(model, name)[None], n, axis=0)
    out["body_mass"][:, body] *= mass[:, 0]
    out["body_inertia"][:, body] *= mass * radius**2
    # The torque of a given resistance grows with weight and radius.
    out["dof_frictionloss"][:, spin_dofs(model)] *= factors["ball_rolling"] * mass * radius
    out["geom_friction"][:, geom, 0] *= factors["ball_friction"][:, 0]
    out["geom_size"][:, geom, 0] *= radius[:, 0]
    out["geom_rbound"][:, geom] *= radius[:, 0]
    out["geom_solref"][:, geom, 1] *= factors["ball_damping"][:, 0]
    return out
