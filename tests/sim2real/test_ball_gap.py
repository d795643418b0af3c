import mujoco
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.ball import BALL, BALLS, spin_dofs
from legged_skills.robots.contract import proprioception
from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real import ranges
from legged_skills.sim2real.ball_gap import BALL_GAPS, vary_ball
from legged_skills.sim2real.gap import GAPS, load_gap
from legged_skills.sim2real.ranges import BallRanges
from legged_skills.sim2real.reality import simulate
from legged_skills.sim2real.sensed_robot import SensedRobots

SPEC, GAP = robots.get("anymal_c"), BALL_GAPS["anymal_c"]


def _robots(n: int, **factors: list[float] | float) -> SensedRobots:
    """Robots at rest with nominal factors, but for some."""
    sim = simulate(SPEC, n, 1, GAP, BALLS["anymal_c"])
    sensed = SensedRobots(sim, proprioception(SPEC, 2), gap=GAP)
    assert sensed.reality is not None
    values = ranges.nominal(GAP.ranges, SPEC, sensed.reality.num_links, n)
    for name, value in factors.items():
        values[name][:] = np.reshape(value, (-1, 1))
    sensed.set_factors(values)
    sensed.reset(np.arange(n), SPEC.home_qpos, np.zeros(18))
    return sensed


def test_fields_by_hand():
    model = simulate(SPEC, 1, 1, GAP, BALLS["anymal_c"]).model
    names = ("body_mass", "body_inertia", "dof_frictionloss", "geom_friction")
    fields = {name: np.repeat(getattr(model, name)[None], 2, axis=0) for name in names}
    values = {"mass": 1.1, "radius": 0.9, "friction": 0.8, "rolling": 2.0, "damping": 1.5}
    factors = {f"ball_{name}": np.array([[1.0], [value]]) for name, value in values.items()}
    varied = vary_ball(model, fields, factors)
    body, geom = model.body(BALL).id, model.geom(BALL).id
    for name, found in varied.items():
        np.testing.assert_array_equal(found[0], getattr(model, name))
    assert varied["body_mass"][1, body] == pytest.approx(1.1 * 0.43)
    # A shell: 2/3 m r^2.
    assert varied["body_inertia"][1, body, 0] == pytest.approx(2 / 3 * 0.473 * 0.099**2)
    torque = 2.0 * 0.05 * 0.473 * 9.81 * 0.099
    np.testing.assert_allclose(varied["dof_frictionloss"][1, spin_dofs(model)], torque)
    np.testing.assert_array_equal(varied["dof_frictionloss"][1, :18], model.dof_frictionloss[:18])
    assert varied["geom_friction"][1, geom, 0] == pytest.approx(0.4)
    assert varied["geom_size"][1, geom, 0] == varied["geom_rbound"][1, geom] == 0.099
    assert varied["geom_solref"][1, geom, 1] == pytest.approx(0.3)


def test_links_are_those_of_the_robot():
    sensed = _robots(1, link_mass=1.2)
    assert sensed.reality is not None and sensed.reality.num_links == 13
    mass = sensed.batch.field("body_mass")[0]
    assert mass[-1] == pytest.approx(0.43)
    assert mass[1:-1].sum() == pytest.approx(1.2 * SPEC.model().body_mass.sum())


def test_each_robot_has_its_own_ball():
    sensed = _robots(3, ball_radius=[0.9, 1.0, 1.1], ball_rolling=[1.0, 0.5, 2.0])
    sim = sensed.batch
    sim.objects_qpos[:, 0] = 3.0
    sim.objects_qpos[:, 2] = 0.11 * np.array([0.9, 1.0, 1.1])
    sim.objects_qvel[:, 0] = 1.0
    sim.objects_qvel[:, 4] = 1.0 / sim.objects_qpos[:, 2]
    for _ in range(50):
        sensed.step(np.zeros((3, 12)))
    np.testing.assert_allclose(sim.objects_qpos[:, 2], [0.099, 0.11, 0.121], atol=5e-4)
    # In a second each loses 0.6 times its resistance times g.
    slower = 0.6 * 9.81 * 0.05 * np.array([1.0, 0.5, 2.0])
    np.testing.assert_allclose(sim.objects_qvel[:, 0], 1.0 - slower, atol=5e-3)


def test_robots_are_what_they_are_without_a_ball():
    gap = GAPS["anymal_c"]
    sensed = _robots(2)
    other = SensedRobots(simulate(SPEC, 2, 1, gap), proprioception(SPEC, 2), gap=gap)
    assert other.reality is not None
    other.set_factors(ranges.nominal(gap.ranges, SPEC, other.reality.num_links, 2))
    other.reset(np.arange(2), SPEC.home_qpos, np.zeros(18))
    for side in (sensed, other):
        side.reality.pushes.force_n[:] = 0.0  # pyright: ignore[reportOptionalMemberAccess]
        for step in range(20):
            side.step(np.full((2, 12), 0.1 * np.sin(step)))
    np.testing.assert_allclose(sensed.sim.qpos, other.sim.qpos, atol=1e-6)
    assert sensed.sim.qpos.shape == (2, 19) and sensed.sim.qvel.shape == (2, 18)


@pytest.mark.parametrize("robot", ["anymal_c", "op3"])
def test_balls_lie_still_on_every_pitch(robot: str):
    own, spec = BALL_GAPS[robot].ranges, robots.get(robot)
    assert isinstance(own, BallRanges)
    least = own.ball_rolling[0] * BALLS[robot].rolling_resistance
    assert np.sin(own.slope_rad[1]) < least
    without = GAPS[robot].ranges
    assert own.link_mass == without.link_mass and own.push_force_n == without.push_force_n
    drawn = ranges.draw(own, spec, 13, 500, np.random.default_rng(0))
    assert 0.9 < drawn["ball_mass"].min() < 0.92 and 1.08 < drawn["ball_mass"].max() < 1.1
    assert ranges.nominal(own, spec, 13, 1)["camera_delay_s"] == own.camera_delay_s[0]


def test_files_can_say_what_the_ball_is_like(tmp_path):
    path = tmp_path / "gap.yaml"
    path.write_text("ranges: {ball_mass: [0.5, 2], payload_kg: [0, 1]}")
    gap = load_gap(str(path), "anymal_c", BALL_GAPS)
    assert gap is not None and isinstance(gap.ranges, BallRanges)
    assert gap.ranges.ball_mass == (0.5, 2.0) and gap.ranges.payload_kg == (0.0, 1.0)
    with pytest.raises(SettingsError, match="unknown field 'ball_mass'"):
        load_gap(str(path), "anymal_c")


def test_a_ball_comes_with_a_clean_model_too():
    sim = simulate(SPEC, 2, 1, None, BALLS["anymal_c"])
    assert sim.objects_qpos.shape == (2, 7) and sim.objects_qvel.shape == (2, 6)
    sim.objects_qpos[:, 0] = 9.0
    sim.reset(np.array([True, False]))
    np.testing.assert_allclose(sim.objects_qpos[:, 0], [BALLS["anymal_c"].ahead_m, 9.0])
    np.testing.assert_array_equal(sim.qpos[0], SPEC.home_qpos)
    geom = mujoco.mj_name2id(sim.model, mujoco.mjtObj.mjOBJ_GEOM, BALL)
    assert sim.model.geom_size[geom, 0] == 0.11
