"""A ball: a free body that comes after the robot in a model, and touches floor and robot."""

from collections.abc import Mapping
from dataclasses import dataclass

import mujoco

from legged_skills.robots.spec import GRAVITY_MPS2

BALL = "ball"
"""Name of the ball's body, joint and geom."""


@dataclass(frozen=True, kw_only=True)
class Ball:
    """One ball's numbers."""

    radius_m: float
    """Radius [m]."""
    mass_kg: float
    """Mass, all of it in the shell [kg]."""
    friction: float
    """Sliding friction against everything: footballs on leather have 0.37 to 0.62 ("The Coefficient
    of Friction of Soccer Balls", Proceedings 2020, 49, 92)."""
    rolling_resistance: float
    """Resistance to rolling over weight, about an axis of the ball's frame. Coulomb friction acts
    on each axis of that frame by itself, so about other axes it is up to 3^0.5, in the mean 1.5
    times as much. A hard floor has 0.01; FIFA's roll of 4 to 10 m from a ramp of 1 m is 0.25 to
    0.1."""
    damping_ratio: float
    """Of its contacts; 0.2 is a coefficient of restitution of 0.5, 0.1 one of 0.8, 0.3 one of
    0.3."""
    ahead_m: float
    """It lies so far in front of a robot at the origin, unless it is put elsewhere [m]."""

    @property
    def inertia(self) -> float:
        """Of a thin shell about any axis through its centre [kg m^2]."""
        return 2.0 / 3.0 * self.mass_kg * self.radius_m**2

    @property
    def rolling_torque_nm(self) -> float:
        """Greatest torque of the resistance to rolling, about an axis of the ball's frame [Nm]."""
        return self.rolling_resistance * self.mass_kg * GRAVITY_MPS2 * self.radius_m

    @property
    def rolling_deceleration(self) -> float:
        """How fast it slows when it rolls about an axis of its frame [m/s^2].

        The torque acts on the inertia about the point of contact, 5/3 m r^2 for a shell.
        """
        return 0.6 * self.rolling_resistance * GRAVITY_MPS2


BALLS: Mapping[str, Ball] = {
    # Size 5 (Laws of the Game: circumference 0.68 to 0.70 m, mass 0.41 to 0.45 kg).
    "anymal_c": Ball(
        radius_m=0.11,
        mass_kg=0.43,
        friction=0.5,
        rolling_resistance=0.05,
        damping_ratio=0.2,
        ahead_m=0.8,
    ),
    # Size 1, with which RoboCup's KidSize humanoids play (radius in its virtual season: 0.07 m);
    # makers give a mass of 0.2 kg.
    "op3": Ball(
        radius_m=0.07,
        mass_kg=0.2,
        friction=0.5,
        rolling_resistance=0.05,
        damping_ratio=0.2,
        ahead_m=0.25,
    ),
}
"""What each robot plays with."""


def add_ball(spec: mujoco.MjSpec, ball: Ball) -> None:
    """Adds a ball to a scene, after all bodies that are there.

    ``set_rolling`` must follow when it is compiled.

    Args:
        spec: changed in place, its keyframes too.
        ball: the ball.
    """
    pos = [ball.ahead_m, 0.0, ball.radius_m]
    body = spec.worldbody.add_body(name=BALL, pos=pos)
    body.explicitinertial = True
    body.mass, body.inertia, body.ipos = ball.mass_kg, [ball.inertia] * 3, [0.0, 0.0, 0.0]
    body.add_joint(name=BALL, type=mujoco.mjtJoint.mjJNT_FREE)
    body.add_geom(
        name=BALL,
        type=mujoco.mjtGeom.mjGEOM_SPHERE,
        size=[ball.radius_m, 0.0, 0.0],
        # Above that of feet: what touches a ball meets the ball's friction and bounce.
        priority=2,
        contype=1,
        conaffinity=1,
        condim=3,
        friction=[ball.friction, 0.005, 0.0001],
        solref=[0.02, ball.damping_ratio],
        rgba=[0.95, 0.55, 0.10, 1.0],
    )
    for key in spec.keys:
        key.qpos = [*key.qpos, *pos, 1.0, 0.0, 0.0, 0.0]


def set_rolling(model: mujoco.MjModel, ball: Ball) -> None:
    """Gives a compiled model the ball's resistance to rolling.

    It acts on three of the free joint's six degrees of freedom, which a specification cannot say.
    """
    model.dof_frictionloss[spin_dofs(model)] = ball.rolling_torque_nm


def spin_dofs(model: mujoco.MjModel) -> slice:
    """The degrees of freedom of the ball's rotation."""
    first = int(model.joint(BALL).dofadr[0])
    return slice(first + 3, first + 6)
