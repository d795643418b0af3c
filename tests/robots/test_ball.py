"""A ball on a floor, alone and with a robot, against closed forms."""

import mujoco
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.ball import BALLS, Ball, add_ball, set_rolling, spin_dofs
from legged_skills.robots.scene import add_floor

BALL = BALLS["anymal_c"]


def alone(ball: Ball = BALL, tilt_rad: float = 0.0) -> mujoco.MjModel:
    """A ball on a floor, which goes down towards +x."""
    spec = mujoco.MjSpec()
    spec.option.timestep = 0.005
    spec.option.gravity = [9.81 * np.sin(tilt_rad), 0.0, -9.81 * np.cos(tilt_rad)]
    add_floor(spec, 0.8)
    add_ball(spec, ball)
    model = spec.compile()
    set_rolling(model, ball)
    return model


def roll(model: mujoco.MjModel, speed_mps: float, seconds: float) -> mujoco.MjData:
    """Rolls along +x without slipping."""
    data = mujoco.MjData(model)
    data.qvel[0], data.qvel[4] = speed_mps, speed_mps / BALL.radius_m
    mujoco.mj_step(model, data, nstep=round(seconds / model.opt.timestep))
    return data


def test_a_rolling_ball_slows_as_the_closed_form_says() -> None:
    model = alone()
    # Torque 0.05 m g r on the inertia 5/3 m r^2 about the contact: 0.6 * 0.05 * 9.81 m/s^2.
    assert BALL.rolling_deceleration == pytest.approx(0.29430)
    data = roll(model, 1.0, 2.0)
    assert data.qvel[0] == pytest.approx(1.0 - 2.0 * 0.2943, abs=2e-3)
    assert data.qvel[4] * BALL.radius_m == pytest.approx(data.qvel[0], abs=0.01)
    assert data.qpos[0] - BALL.ahead_m == pytest.approx(2.0 - 0.5 * 0.2943 * 4.0, abs=0.01)
    # 1 / 0.2943 = 3.4 s until it lies still.
    assert abs(roll(model, 1.0, 4.0).qvel[0]) < 1e-3


def test_a_ball_that_slides_ends_up_rolling() -> None:
    ball = Ball(
        radius_m=0.11,
        mass_kg=0.43,
        friction=0.5,
        rolling_resistance=0.0,
        damping_ratio=1.0,
        ahead_m=0.0,
    )
    model = alone(ball)
    data = mujoco.MjData(model)
    data.qvel[0] = 1.0
    mujoco.mj_step(model, data, nstep=300)
    # Angular momentum about the contact is kept: m v = (1 + 2/3) m v'.
    assert data.qvel[0] == pytest.approx(0.6, abs=0.01)
    assert data.qvel[4] == pytest.approx(0.6 / 0.11, rel=0.02)


@pytest.mark.parametrize(("tilt_rad", "rolls"), [(0.02, False), (0.04, False), (0.1, True)])
def test_a_ball_lies_still_on_a_gentle_slope(tilt_rad: float, rolls: bool) -> None:
    data = roll(alone(tilt_rad=tilt_rad), 0.0, 4.0)
    moved = data.qpos[0] - BALL.ahead_m
    # It rolls where the sine of the slope is above the resistance of 0.05.
    wanted = 0.5 * 0.6 * 9.81 * (np.sin(tilt_rad) - 0.05) * 16.0 if rolls else 0.0
    assert moved == pytest.approx(wanted, abs=0.04 * max(1.0, wanted))


def test_bounce() -> None:
    model = alone()
    data = mujoco.MjData(model)
    data.qpos[2] = BALL.radius_m + 1.0
    heights = []
    for _ in range(220):
        mujoco.mj_step(model, data)
        heights.append(data.qpos[2] - BALL.radius_m)
    # From 1 m it comes back to the square of the restitution, about 0.5.
    assert max(heights[100:]) == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("robot", ["anymal_c", "op3"])
def test_the_ball_comes_after_the_robot(robot: str) -> None:
    spec, ball = robots.get(robot), BALLS[robot]
    mj = spec.spec(visible=False)
    without = spec.model(visible=False)
    add_ball(mj, ball)
    model = mj.compile()
    set_rolling(model, ball)
    joints = spec.num_joints
    assert (model.nq, model.nv, model.nu) == (14 + joints, 12 + joints, joints)
    np.testing.assert_array_equal(model.body_mass[:-1], without.body_mass)
    np.testing.assert_array_equal(model.key("home").qpos[: 7 + joints], spec.home_qpos)
    np.testing.assert_allclose(model.body_ipos[-1], 0.0)
    np.testing.assert_allclose(model.body_inertia[-1], 2 / 3 * ball.mass_kg * ball.radius_m**2)
    assert spin_dofs(model) == slice(9 + joints, 12 + joints)
    # A standing robot does not touch it, and stays as it is without.
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, 0)
    mujoco.mj_step(model, data, nstep=20)
    touching = {int(body) for pair in data.contact.geom for body in model.geom_bodyid[pair]}
    assert model.body("ball").id in touching and 0 in touching
    pairs = {tuple(sorted(model.geom_bodyid[pair])) for pair in data.contact.geom}
    assert [pair for pair in pairs if model.body("ball").id in pair and 0 not in pair] == []


@pytest.mark.parametrize("robot", ["anymal_c", "op3"])
def test_feet_stop_the_ball(robot: str) -> None:
    spec, ball = robots.get(robot), BALLS[robot]
    mj = spec.spec(visible=False)
    add_ball(mj, ball)
    model = mj.compile()
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, 0)
    # At a right foot, from ahead.
    foot = data.site(spec.foot_sites[1])
    mujoco.mj_forward(model, data)
    place = 7 + spec.num_joints
    data.qpos[place : place + 2] = foot.xpos[0] + 3.0 * ball.radius_m, foot.xpos[1]
    data.qvel[6 + spec.num_joints] = -1.0
    data.qvel[10 + spec.num_joints] = -1.0 / ball.radius_m
    before = data.qpos[place]
    mujoco.mj_step(model, data, nstep=round(1.0 / spec.physics_step_s))
    assert abs(data.qpos[place] - before) < 3.0 * ball.radius_m
    assert data.qpos[place] > foot.xpos[0]
