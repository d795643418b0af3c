import dataclasses
import math
import sys

import mujoco
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.simulation import BatchSim, Physics
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real import bullet
from legged_skills.sim2real.bullet import BulletSim
from legged_skills.sim2real.bullet_world import ROTOR_RATIO
from legged_skills.sim2real.urdf import to_urdf

pytest.importorskip("pybullet")

ANYMAL = robots.get("anymal_c")
OP3 = robots.get("op3")


def _toy(mjcf: str) -> RobotSpec:
    """A robot of one joint, "swing", and a base, "box"."""
    one, none = np.ones(1), np.zeros(1)
    return dataclasses.replace(
        ANYMAL, name="toy", mjcf=lambda: mjcf, base_body="box", joint_names=("swing",),
        default_joint_pos=none, joint_lower=-9 * one, joint_upper=9 * one, kp=none, kd=none,
        torque_limit=100 * one, velocity_limit=one, acceleration_limit=one,
        foot_names=("foot",), foot_sites=("foot",), foot_points_f=np.zeros((1, 1, 3)),
        standing_height_m=0.05, mirror_joints=(np.zeros(1, dtype=int), one),
        mirror_feet=np.zeros(1, dtype=int), mirror_joints_front_back=None,
        mirror_feet_front_back=None, self_collision=(),
    )  # fmt: skip


PENDULUM = """<mujoco><worldbody><body name="box"><freejoint/>
<inertial mass="1" pos="0 0 0" diaginertia="0.01 0.01 0.01"/>
<body name="rod"><joint name="swing" axis="0 1 0" armature="{}" damping="{}" frictionloss="{}"/>
<inertial mass="2" pos="0 0 -0.5" diaginertia="0.03 0.03 0.01"/></body></body></worldbody>
<actuator><position joint="swing"/></actuator></mujoco>
"""
SLED = """<mujoco><worldbody><body name="box"><freejoint/>
<inertial mass="2" pos="0 0 0" diaginertia="0.02 0.02 0.02"/>
<geom type="box" size="0.1 0.1 0.05" conaffinity="1" priority="1" friction="0.8 0.005 0.0001"/>
<body name="flag"><joint name="swing" axis="0 0 1" damping="0.01"/>
<inertial mass="0.01" pos="0 0 0" diaginertia="1e-4 1e-4 1e-4"/></body></body></worldbody>
<actuator><position joint="swing"/></actuator></mujoco>
"""


def _held_mujoco(spec: RobotSpec, step_s: float) -> tuple[mujoco.MjModel, mujoco.MjData]:
    held = spec.spec(floor=False)
    held.delete(next(j for j in held.joints if j.type == mujoco.mjtJoint.mjJNT_FREE))
    model = held.compile()
    model.opt.timestep = step_s
    return model, mujoco.MjData(model)


def _feet_w(spec: RobotSpec, qpos: np.ndarray) -> np.ndarray:
    """(F, 3) the feet's sites [m]."""
    model = spec.model()
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_kinematics(model, data)
    return np.array([data.site(name).xpos for name in spec.foot_sites])


def _run(sim: Physics, targets: np.ndarray, seconds: float) -> None:
    for _ in range(round(seconds / sim.step_s)):
        sim.run_steps(targets[:, None])


@pytest.mark.parametrize("armature", [0.001, 0.5])
def test_pendulum_swings_with_its_period_drive_inertia_included(armature: float):
    sim = BulletSim(_toy(PENDULUM.format(armature, 0, 0)), 1, step_s=0.001, fixed_base=True)
    sim.reset(qpos=np.array([0, 0, 2, 1, 0, 0, 0, 0.05]))
    crossings: list[float] = []
    for step in range(8000):
        before = sim.qpos[0, 7]
        sim.run_steps(np.zeros((1, 1, 1)))
        after = sim.qpos[0, 7]
        if before > 0 >= after:
            crossings.append(0.001 * (step + before / (before - after)))
    # Physical pendulum: 2 pi sqrt(I / m g l), I about the pivot. A swing of 0.05 rad takes
    # 0.05^2 / 16 longer.
    period = 2 * math.pi * math.sqrt((0.03 + 2 * 0.25 + armature) / (2 * 9.81 * 0.5))
    assert np.diff(crossings) == pytest.approx(period * (1 + 0.05**2 / 16), rel=2e-3)
    assert len(crossings) > 2


def test_dry_friction_holds_up_to_its_torque_and_damping_slows():
    weight = 2 * 9.81 * 0.5
    qpos = np.array([0, 0, 2, 1, 0, 0, 0, 0.1])
    for loss, moves in ((weight * math.sin(0.1) * 0.98, True), (weight * math.sin(0.1), False)):
        sim = BulletSim(_toy(PENDULUM.format(0.1, 0, loss * 1.01)), 1, fixed_base=True)
        sim.reset(qpos=qpos)
        _run(sim, np.zeros((1, 1)), 0.5)
        assert (abs(sim.qpos[0, 7] - 0.1) > 1e-3) == moves
    # Without gravity, speed falls as exp(-damping / inertia * t).
    sim = BulletSim(_toy(PENDULUM.format(0.1, 0.3, 0)), 1, fixed_base=True, gravity_w=(0, 0, 0))
    sim.reset(qvel=np.array([0, 0, 0, 0, 0, 0, 1.0]))
    _run(sim, np.zeros((1, 1)), 1.0)
    assert sim.qvel[0, 6] == pytest.approx(math.exp(-0.3 / 0.63), rel=2e-3)


@pytest.mark.parametrize("heading", [0.0, 0.4, math.pi / 4])
def test_block_slides_where_the_slope_is_steeper_than_the_friction_cone(heading: float):
    for degrees in (37.0, 42.0):
        slope = math.radians(degrees)
        across = 9.81 * math.sin(slope)
        gravity = (across * math.cos(heading), across * math.sin(heading), -9.81 * math.cos(slope))
        sim = BulletSim(_toy(SLED), 1, gravity_w=gravity)
        sim.reset(qpos=np.array([0, 0, 0.05, 1, 0, 0, 0, 0]))
        _run(sim, np.zeros((1, 1)), 1.0)
        # atan 0.8 is 38.66 degrees.
        expected = max(0.0, 9.81 * (math.sin(slope) - 0.8 * math.cos(slope)))
        assert np.linalg.norm(sim.qvel[0, :2]) == pytest.approx(expected, abs=0.02)


def test_floor_friction_replaces_that_of_the_feet():
    gravity = (9.81 * math.sin(0.3), 0.0, -9.81 * math.cos(0.3))
    for friction, expected in ((0.2, 9.81 * (math.sin(0.3) - 0.2 * math.cos(0.3))), (0.4, 0.0)):
        sim = BulletSim(_toy(SLED), 1, gravity_w=gravity, floor_friction=friction)
        sim.reset(qpos=np.array([0, 0, 0.05, 1, 0, 0, 0, 0]))
        _run(sim, np.zeros((1, 1)), 1.0)
        assert sim.qvel[0, 0] == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("friction", [0.05, 0.15])
@pytest.mark.parametrize("spec", [ANYMAL, OP3], ids=["anymal_c", "op3"])
def test_robot_slides_down_a_slippery_slope_as_in_mujoco(spec: RobotSpec, friction: float):
    gravity = (9.81 * math.sin(0.2), 0.0, -9.81 * math.cos(0.2))
    sim = BulletSim(spec, 1, gravity_w=gravity, floor_friction=friction)
    model = spec.model()
    model.opt.timestep = sim.step_s
    model.opt.gravity[:] = gravity
    model.geom_friction[model.geom_priority > 0, 0] = friction
    other = BatchSim(spec, 1, 1, models=model)
    for physics in (sim, other):
        _run(physics, spec.default_joint_pos[None], 0.3)
    assert sim.qpos[0, 0] == pytest.approx(other.qpos[0, 0], abs=5e-3)
    # ANYmal's legs spread by 0.1 m, and how far the two do not agree on to the centimetre.
    feet, other_feet = (_feet_w(spec, physics.qpos[0])[:, 0].mean() for physics in (sim, other))
    assert feet == pytest.approx(other_feet, abs=0.015)


@pytest.mark.parametrize("spec", [ANYMAL, OP3], ids=["anymal_c", "op3"])
def test_drives_answer_a_step_as_in_mujoco(spec: RobotSpec):
    sim = BulletSim(spec, 1, fixed_base=True)
    model, data = _held_mujoco(spec, sim.step_s)
    data.qpos[:] = spec.default_joint_pos
    targets = spec.default_joint_pos + 0.2
    worst, fastest = 0.0, 0.0
    for _ in range(round(0.4 / sim.step_s)):
        sim.run_steps(targets[None, None])
        data.ctrl[:] = targets
        mujoco.mj_step(model, data)
        worst = max(worst, np.abs(sim.qpos[0, 7:] - data.qpos).max())
        fastest = max(fastest, np.abs(data.qvel).max())
    # MuJoCo's friction loss yields, and its damping is that of the step's end.
    assert worst < 0.01
    assert fastest > 2.0


@pytest.mark.parametrize("spec", [ANYMAL, OP3], ids=["anymal_c", "op3"])
def test_flight_from_any_state_is_that_of_mujoco(spec: RobotSpec):
    rng = np.random.default_rng(1)
    qpos = spec.home_qpos.copy()
    turn = rng.normal(size=4)
    qpos[:7] = [0.3, -0.2, 5.0, *turn / np.linalg.norm(turn)]
    qvel = np.concatenate([rng.normal(size=6), np.zeros(spec.num_joints)])
    force = np.array([[30.0, -20.0, 10.0]]) * spec.torque_limit[0] / 80
    sim = BulletSim(spec, 1, step_s=spec.control_period_s / 24)
    sim.reset(qpos=qpos, qvel=qvel)
    np.testing.assert_allclose(sim.qpos[0], qpos, atol=1e-12)
    np.testing.assert_allclose(sim.qvel[0], qvel, atol=1e-12)
    model = spec.model()
    model.opt.timestep = sim.step_s
    other = BatchSim(spec, 1, 1, models=model)
    other.reset(qpos=qpos, qvel=qvel)
    targets = spec.default_joint_pos[None] + rng.uniform(-0.2, 0.2, spec.num_joints)
    for physics in (sim, other):
        physics.push(force)
        _run(physics, targets, 0.24)
    np.testing.assert_allclose(sim.qpos[0, :3], other.qpos[0, :3], atol=2e-3)
    np.testing.assert_allclose(sim.qpos[0, 3:], other.qpos[0, 3:], atol=1e-2)
    np.testing.assert_allclose(sim.qvel[0, :3], other.qvel[0, :3], atol=2e-2)
    np.testing.assert_allclose(sim.qvel[0, 3:6], other.qvel[0, 3:6], atol=5e-2)


def test_dropped_robot_falls_freely_and_comes_to_rest_on_its_feet():
    sim = BulletSim(ANYMAL, 1)
    qpos = ANYMAL.home_qpos.copy()
    qpos[2] += 0.2
    sim.reset(qpos=qpos)
    targets = ANYMAL.default_joint_pos[None]
    _run(sim, targets, 0.15)
    # Steps of semi-implicit Euler fall g t h / 2 further than g t^2 / 2.
    fall = 0.5 * 9.81 * 0.15 * (0.15 + sim.step_s)
    assert qpos[2] - sim.qpos[0, 2] == pytest.approx(fall, abs=2e-4)
    _run(sim, targets, 2.0)
    assert np.abs(sim.qvel).max() < 0.02
    height = _feet_w(ANYMAL, sim.qpos[0])[:, 2] - ANYMAL.foot_radius_m
    np.testing.assert_allclose(height, 0.0, atol=2e-3)


@pytest.mark.parametrize("spec", [ANYMAL, OP3], ids=["anymal_c", "op3"])
def test_standing_robot_does_not_drift(spec: RobotSpec):
    sim = BulletSim(spec, 1)
    targets = spec.default_joint_pos[None]
    _run(sim, targets, 1.0)
    settled = sim.qpos.copy()
    _run(sim, targets, 9.0)
    np.testing.assert_allclose(sim.qpos[0, :3], settled[0, :3], atol=2e-3)
    np.testing.assert_allclose(sim.qpos[0, 3:], settled[0, 3:], atol=5e-3)
    assert np.abs(sim.qvel).max() < 0.01
    assert abs(sim.qpos[0, 2] - spec.standing_height_m) < 0.03
    assert not sim.end_step().any()


def test_torque_is_clipped_to_what_is_given_or_the_robots_limit():
    sim = BulletSim(ANYMAL, 1, fixed_base=True)
    targets = ANYMAL.default_joint_pos[None] + np.where(np.arange(12) % 2, 5.0, 0.1)
    sim.run_steps(targets[:, None])
    np.testing.assert_allclose(sim.torque[0, 0::2], 8.0, atol=1e-9)
    np.testing.assert_allclose(sim.torque[0, 1::2], 80.0)
    sim.reset()
    sim.set_gains(np.full((1, 12), 40.0), np.zeros((1, 12)))
    sim.run_steps(targets[:, None])
    np.testing.assert_allclose(sim.torque[0, 0::2], 4.0, atol=1e-9)
    sim.reset()
    sim.run_steps(targets[:, None], np.full((1, 12), -1.0), np.full((1, 12), 3.0))
    np.testing.assert_allclose(sim.torque, 3.0)
    sim.run_steps(targets[:, None])  # the limits stay
    np.testing.assert_allclose(sim.torque, 3.0)


def test_gains_are_of_position_and_speed():
    sim = BulletSim(ANYMAL, 1, fixed_base=True)
    sim.set_gains(np.full((1, 12), 40.0), np.full((1, 12), 3.0))
    sim.reset(qvel=np.concatenate([np.zeros(6), np.linspace(-0.5, 0.6, 12)]))
    sim.run_steps(ANYMAL.default_joint_pos[None, None] + 0.1)
    np.testing.assert_allclose(sim.torque[0], 4.0 - 3.0 * np.linspace(-0.5, 0.6, 12), atol=1e-9)
    sim.reset()
    np.testing.assert_array_equal(sim.torque, 0.0)


def test_friction_of_the_floor_is_that_of_links_with_a_say():
    # The flag has none: between it and the floor, of 0.8, is the larger one of their coefficients.
    flag = 'conaffinity="1" friction="{} 0.005 0.0001"/>'
    for own, wanted in ((0.1, 0.8), (1.5, 1.5)):
        geom = '<geom type="sphere" size="0.01" ' + flag.format(own)
        model = _toy(SLED.replace("</body></body>", f"{geom}</body></body>")).model()
        assert bullet._link_friction(model, None) == {"box": 0.8, "flag": wanted}
        assert bullet._link_friction(model, 0.3) == {"box": 0.3, "flag": wanted}


def test_identified_joints_are_in_it(make_fit):
    spec = robots.get("op3")
    given = {"friction": np.full(20, 0.15), "armature": np.full(20, 0.05)}
    fit = make_fit(spec, damping=np.full(20, 1.626), **given)
    recipe = BulletSim(spec, 1, fit=fit)._recipe
    np.testing.assert_allclose(recipe.dry_friction, 0.15)
    assert recipe.urdf == to_urdf(spec, rotor_ratio=ROTOR_RATIO, fit=fit)
    # OP3's drives have no damping of their own: all of it is the joint's.
    assert recipe.urdf.count('<dynamics damping="1.626" friction="0.15"/>') == 20
    assert recipe.urdf.count(f'izz="{0.05 / ROTOR_RATIO**2!r}"') == 20
    # The model of all others stays as it was.
    assert "1.626" not in BulletSim(spec, 1)._recipe.urdf


def test_robots_do_not_feel_each_other():
    several, alone = BulletSim(ANYMAL, 3), BulletSim(ANYMAL, 1)
    rng = np.random.default_rng(2)
    targets = ANYMAL.default_joint_pos + rng.uniform(-0.1, 0.1, (3, 12))
    _run(several, targets, 0.5)
    _run(alone, targets[2:], 0.5)
    # Bullet does not solve for them in the same order.
    np.testing.assert_allclose(several.qpos[2], alone.qpos[0], atol=1e-4)


def test_reset_by_mask_leaves_the_others():
    sim = BulletSim(ANYMAL, 3)
    _run(sim, np.tile(ANYMAL.default_joint_pos, (3, 1)), 0.1)
    before = sim.qpos.copy(), sim.qvel.copy()
    qpos = ANYMAL.home_qpos.copy()
    qpos[:7] = [1, 2, 3, 0, 0, 0, 1]
    sim.reset(np.array([False, True, False]), qpos, np.full(18, 0.25))
    for now, then in zip((sim.qpos, sim.qvel), before, strict=True):
        np.testing.assert_array_equal(now[[0, 2]], then[[0, 2]])
    np.testing.assert_array_equal(sim.qpos[1], qpos)
    np.testing.assert_array_equal(sim.qvel[1], 0.25)


@pytest.mark.parametrize("bad", [1e8, math.nan])
def test_diverging_robot_is_reported_and_stands_again(bad: float):
    sim = BulletSim(ANYMAL, 2)
    targets = np.tile(ANYMAL.default_joint_pos, (2, 1))
    sim.reset(np.array([True, False]), qvel=np.full(18, bad))
    sim.run_steps(targets[:, None])
    assert sim.end_step().tolist() == [True, False]
    assert not sim.end_step().any()
    assert sim.diverged.tolist() == [1, 0]
    np.testing.assert_array_equal(sim.qpos[0], ANYMAL.home_qpos)
    sim.reset()
    _run(sim, targets, 0.3)
    np.testing.assert_allclose(sim.qpos[0], sim.qpos[1], atol=1e-4)


def test_who_diverged_stands_at_the_origin_until_it_is_put_elsewhere():
    sim = BulletSim(ANYMAL, 2)
    targets = np.tile(ANYMAL.default_joint_pos + 0.1, (2, 8, 1))
    for elsewhere in (False, True):
        sim.reset(np.array([True, False]), qvel=np.full(18, math.nan))
        sim.run_steps(targets)
        # Seven more steps have moved it since.
        assert np.abs(sim.qvel[0]).max() > 0.01
        if elsewhere:
            qpos = ANYMAL.home_qpos
            qpos[0] = 3.0
            sim.reset(np.array([True, False]), qpos)
        assert sim.end_step().tolist() == [not elsewhere, False]
        wanted = qpos if elsewhere else ANYMAL.home_qpos
        np.testing.assert_array_equal(sim.qpos[0], wanted)
        np.testing.assert_array_equal(sim.qvel[0], 0.0)
    assert sim.diverged.tolist() == [1, 0]


def test_default_step_divides_the_control_period():
    assert BulletSim(ANYMAL, 1).step_s == pytest.approx(0.0025, abs=1e-15)
    assert BulletSim(OP3, 1).step_s == pytest.approx(0.0024, abs=1e-15)
    # Nine steps would be of 2.56 ms.
    odd = dataclasses.replace(_toy(SLED), control_period_s=0.023, physics_step_s=0.001)
    assert BulletSim(odd, 1).step_s == pytest.approx(0.0023, abs=1e-15)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_envs": 0}, "number of environments is 0, expected at least 1"),
        ({"step_s": 0.003}, r"step_s is 0\.003, expected anymal_c's control period 0\.02 s"),
        ({"step_s": -1.0}, r"step_s is -1\.0"),
        ({"floor_friction": -0.1}, r"floor_friction is -0\.1, expected 0 or more"),
        ({"gravity_w": (0.0, math.nan, 0.0)}, "gravity_w is .* expected three numbers"),
    ],
)
def test_bad_settings_are_refused(change: dict[str, float], message: str):
    with pytest.raises(SettingsError, match=message):
        BulletSim(**{"spec": ANYMAL, "num_envs": 1, **change})


def test_without_pybullet_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pybullet", None)
    with pytest.raises(SettingsError, match=r"needs pybullet; install legged_skills\[bullet\]"):
        BulletSim(ANYMAL, 1)


def test_cylinder_feet_are_carried_over():
    text = SLED.replace('type="box" size="0.1 0.1 0.05"', 'type="cylinder" size="0.1 0.05"')
    sim = BulletSim(dataclasses.replace(_toy(SLED), mjcf=lambda: text), 1)
    sim.reset(qpos=np.array([0, 0, 0.06, 1, 0, 0, 0, 0]))
    _run(sim, np.zeros((1, 1)), 1.0)
    assert sim.qpos[0, 2] == pytest.approx(0.05, abs=1e-3)
