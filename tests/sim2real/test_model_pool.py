import mujoco
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.ball import BALL, BALLS
from legged_skills.robots.simulation import BatchSim
from legged_skills.sim2real import ranges
from legged_skills.sim2real.ball_gap import BALL_GAPS
from legged_skills.sim2real.gap import GAPS
from legged_skills.sim2real.model_pool import ModelPool, down_directions, model_fields
from legged_skills.sim2real.terrain import floor_levels, floor_name, gap_model, is_gap_model

SPEC, GAP = robots.get("anymal_c"), GAPS["anymal_c"]
MODEL = gap_model(SPEC, GAP)
LINKS = MODEL.nbody - 1
BASE = MODEL.body("base").id


def _pool(n: int = 2, **changes: float) -> ModelPool:
    factors = ranges.nominal(GAP.ranges, SPEC, LINKS, n)
    for name, value in changes.items():
        factors[name][:] = value
    return ModelPool(MODEL, SPEC, GAP, factors, np.random.default_rng(0))


def test_nominal_factors_change_nothing():
    fields = _pool().fields
    for name in ("body_mass", "body_inertia", "body_ipos", "dof_damping", "dof_armature"):
        np.testing.assert_allclose(fields[name][1], getattr(MODEL, name), atol=1e-12)
    np.testing.assert_allclose(fields["opt.gravity"][0], MODEL.opt.gravity)
    np.testing.assert_allclose(fields["body_invweight0"][0], MODEL.body_invweight0, rtol=1e-6)


def test_masses_and_centres_by_hand():
    fields = _pool(link_mass=1.2, payload_kg=4.0, com_offset_m=0.01).fields
    trunk = 1.2 * MODEL.body_mass[BASE]
    total = 1.2 * MODEL.body_mass.sum() + 4.0
    np.testing.assert_allclose(fields["body_mass"][0].sum(), total)
    np.testing.assert_allclose(fields["body_subtreemass"][0, 0], total)
    top = np.array([0.0, 0.0, 0.3 * SPEC.standing_height_m])
    centre = (trunk * (MODEL.body_ipos[BASE] + 0.01) + 4.0 * top) / (trunk + 4.0)
    np.testing.assert_allclose(fields["body_ipos"][0, BASE], centre)
    # Everything heavier by the same factor moves as easily as before per mass.
    light = _pool(link_mass=1.0, armature=1.0).fields["dof_invweight0"][0, :3]
    heavy = _pool(link_mass=1.2, armature=1.2).fields["dof_invweight0"][0, :3]
    np.testing.assert_allclose(heavy, light / 1.2, rtol=1e-6)


def test_friction_is_never_negative():
    fields = _pool(viscous_friction=-1.0, coulomb_friction_nm=0.4).fields
    np.testing.assert_array_equal(fields["dof_damping"][:, 6:], 0.0)
    np.testing.assert_allclose(fields["dof_frictionloss"][:, 6:], 0.5)
    np.testing.assert_array_equal(fields["dof_frictionloss"][:, :6], 0.0)


def test_floor_friction_is_that_of_the_feet():
    friction = _pool(floor_friction=0.4).fields["geom_friction"][0, :, 0]
    feet = [MODEL.geom(name).id for name in SPEC.foot_sites]
    np.testing.assert_allclose(friction[feet], 0.4)
    others = np.delete(np.arange(MODEL.ngeom), feet)
    np.testing.assert_allclose(friction[others], MODEL.geom_friction[others, 0])


def test_slopes_go_down_anywhere():
    down = down_directions(np.full(2000, 0.1), np.random.default_rng(0))
    np.testing.assert_allclose(np.linalg.norm(down, axis=1), 1.0)
    np.testing.assert_allclose(np.arccos(-down[:, 2]), 0.1)
    np.testing.assert_allclose(down.mean(axis=0)[:2], 0.0, atol=0.01)


def test_one_floor_is_met():
    level, above = floor_levels(GAP, np.array([-0.01, 0.004, 0.006, 0.014, 0.016, 0.1]))
    # 2 cm at most, in halves, the nearest one.
    np.testing.assert_array_equal(level, [0, 0, 1, 1, 2, 2])
    np.testing.assert_allclose(above, [0.0, 0.0, 0.005, 0.005, 0.01, 0.01])
    factors = ranges.nominal(GAP.ranges, SPEC, MODEL.nbody - 1, 3)
    factors["roughness_m"][:, 0] = [0.0, 0.01, 0.02]
    fields = model_fields(MODEL, SPEC, GAP, factors, np.tile([0.0, 0.0, -1.0], (3, 1)))
    floors = [MODEL.geom(floor_name(k)).id for k in range(3)]
    wanted = MODEL.geom_contype[floors[0]] * np.eye(3)
    np.testing.assert_array_equal(fields["geom_contype"][:, floors], wanted)


@pytest.mark.parametrize("name", ["anymal_c", "op3"])
def test_robots_stand_on_rough_floors(name: str):
    spec, gap = robots.get(name), GAPS[name]
    model = gap_model(spec, gap)
    assert is_gap_model(model) and not is_gap_model(spec.model())
    rough = gap.ranges.roughness_m[1]
    n = 6
    factors = ranges.nominal(gap.ranges, spec, model.nbody - 1, n)
    factors["roughness_m"][: n // 2] = rough
    sim = BatchSim(spec, n, 1, model)
    pool = ModelPool(model, spec, gap, factors, np.random.default_rng(0))
    pool.give(sim, np.arange(n), np.arange(n))
    qpos = np.tile(spec.home_qpos, (n, 1))
    qpos[:, 0] = np.arange(n)
    qpos[:, 2] += rough
    sim.reset(None, qpos)
    for _ in range(round(1.0 / spec.control_period_s)):
        sim.step(np.tile(spec.default_joint_pos, (n, 1)))
    height = sim.qpos[:, 2]
    assert np.ptp(height[n // 2 :]) < 1e-3
    # Neither through the floor nor on one that was left in place.
    np.testing.assert_allclose(height[: n // 2], height[-1], atol=rough)
    assert np.ptp(height[: n // 2]) > 1e-4


def test_the_pool_reaches_the_simulation():
    sim = BatchSim(SPEC, 3, 1, gap_model(SPEC, GAP))
    factors = ranges.nominal(GAP.ranges, SPEC, LINKS, 2)
    factors["payload_kg"][1] = 5.0
    pool = ModelPool(MODEL, SPEC, GAP, factors, np.random.default_rng(0))
    pool.give(sim, np.array([0, 2]), np.array([1, 0]))
    extra = sim.field("body_mass")[:, BASE] - MODEL.body_mass[BASE]
    np.testing.assert_allclose(extra, [5.0, 0.0, 0.0])
    assert sim.field("body_mass").shape == (3, MODEL.nbody)
    assert isinstance(sim.model, mujoco.MjModel)


def test_a_payload_makes_the_trunk_harder_to_turn():
    fields = _pool(link_mass=1.2, payload_kg=4.0).fields
    trunk = 1.2 * MODEL.body_mass[BASE]
    wanted = 1.2 * MODEL.body_inertia
    wanted[BASE] *= (trunk + 4.0) / trunk
    np.testing.assert_allclose(fields["body_inertia"][0, 1:], wanted[1:])


def test_friction_losses_are_never_negative():
    fields = _pool(coulomb_friction_nm=-1.0).fields
    np.testing.assert_array_equal(fields["dof_frictionloss"][:, 6:], 0.0)


def test_the_friction_of_the_feet_is_not_the_balls():
    gap = BALL_GAPS["anymal_c"]
    model = gap_model(SPEC, gap, BALLS["anymal_c"])
    factors = ranges.nominal(gap.ranges, SPEC, LINKS, 1)
    factors["floor_friction"][:] = 0.4
    pool = ModelPool(model, SPEC, gap, factors, np.random.default_rng(0))
    ball = model.geom(BALL).id
    friction = pool.fields["geom_friction"][0, ball, 0]
    assert friction == pytest.approx(model.geom_friction[ball, 0])
