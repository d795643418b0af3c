import dataclasses
import json

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.contract import proprioception
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.feet import Feet
from legged_skills.robots.kinematics import Kinematics
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real import ranges
from legged_skills.sim2real.gap import GAPS, load_gap
from legged_skills.sim2real.reality import simulate, steps_at_once
from legged_skills.sim2real.sensed_robot import SensedRobots, clean_frame_size


def _robots(name: str, n: int = 4, level: float = 1.0, seed: int = 0) -> SensedRobots:
    spec, gap = robots.get(name), GAPS[name]
    return SensedRobots(
        simulate(spec, n, 1, gap), proprioception(spec), seed=seed, gap=gap, level=level
    )


def _actions(sensed: SensedRobots, steps: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    return 0.1 * rng.standard_normal((steps, sensed.num_envs, sensed.spec.num_joints))


@pytest.mark.parametrize("name", robots.names())
def test_goes_on_exactly(name: str):
    one, other = _robots(name), _robots(name, seed=0)
    actions = _actions(one, 12)
    one.set_level(0.5)
    for action in actions[:6]:
        one.step(action)
    one.reset(np.array([2]), one.spec.home_qpos, np.zeros(6 + one.spec.num_joints))
    other.restore(*one.state())
    for action in actions[6:]:
        one.step(action)
        other.step(action)
        np.testing.assert_array_equal(one.batch.qpos, other.batch.qpos)
        np.testing.assert_array_equal(one.proprioception(), other.proprioception())
    one.reset(np.array([1]), one.spec.home_qpos, np.zeros(6 + one.spec.num_joints))
    other.reset(np.array([1]), one.spec.home_qpos, np.zeros(6 + one.spec.num_joints))
    np.testing.assert_array_equal(one.batch.qpos, other.batch.qpos)


def test_same_seed_same_motion_and_another_seed_another():
    runs = []
    for seed in (0, 0, 1):
        sensed = _robots("anymal_c", seed=seed)
        for action in _actions(sensed, 10):
            sensed.step(action)
        runs.append(sensed.batch.qpos.copy())
    np.testing.assert_array_equal(runs[0], runs[1])
    assert np.abs(runs[0] - runs[2]).max() > 1e-3


def test_without_uncertainty_the_motion_is_the_clean_one_but_late():
    sensed = _robots("op3", n=1, level=0.0)
    clean = SensedRobots(simulate(sensed.spec, 1, 1), sensed.contract)
    # Held setpoints, 2 ms of delay rounded to no step of 4 ms: physics is the same.
    for action in _actions(sensed, 20):
        sensed.step(action)
        clean.step(action)
    np.testing.assert_allclose(sensed.batch.qpos, clean.batch.qpos, atol=1e-3)
    np.testing.assert_allclose(sensed.joint_pos, clean.joint_pos, atol=1e-3)
    # What the policy is told is 8 ms old and counted by the encoders.
    assert np.abs(sensed.signals["joint_pos"] - sensed.joint_pos).max() > 1e-4


def test_episodes_draw_other_factors_from_the_pool():
    sensed = _robots("anymal_c", n=8)
    assert sensed.reality is not None
    before = sensed.reality.factors["payload_kg"].copy()
    masses = sensed.batch.field("body_mass").copy()
    sensed.reset(np.arange(4), sensed.spec.home_qpos, np.zeros(18))
    after = sensed.reality.factors["payload_kg"]
    np.testing.assert_array_equal(after[4:], before[4:])
    assert (after[:4] != before[:4]).any()
    assert set(after[:4, 0]) <= set(sensed.reality._pool_factors["payload_kg"][:, 0])
    changed = (masses != sensed.batch.field("body_mass")).any(axis=1)
    np.testing.assert_array_equal(changed, (after != before)[:, 0])


def test_given_factors_stay():
    sensed = _robots("anymal_c", n=3)
    factors = ranges.nominal(GAPS["anymal_c"].ranges, sensed.spec, 13, 3)
    factors["payload_kg"][:, 0] = [0.0, 1.0, 2.0]
    sensed.set_factors(factors)
    for _ in range(2):
        sensed.reset(np.arange(3), sensed.spec.home_qpos, np.zeros(18))
    total = sensed.batch.field("body_mass").sum(axis=1)
    np.testing.assert_allclose(np.diff(total), 1.0)


def test_a_slope_tilts_gravity_and_not_the_floor():
    sensed = _robots("anymal_c", n=200)
    factors = ranges.nominal(GAPS["anymal_c"].ranges, sensed.spec, 13, 200)
    factors["slope_rad"][:] = 0.08
    sensed.set_factors(factors)
    sensed.reset(np.arange(200), sensed.spec.home_qpos, np.zeros(18))
    np.testing.assert_allclose(sensed.up_b, np.tile([0, 0, 1], (200, 1)), atol=1e-6)
    tilt = np.arccos(-sensed.gravity_b[:, 2])
    np.testing.assert_allclose(tilt, 0.08, atol=1e-3)
    np.testing.assert_allclose(sensed.signals["gravity"], sensed.gravity_b, atol=1e-6)


def test_torque_squared_is_that_of_standing():
    sensed = _robots("anymal_c", n=1, level=0.0)
    for _ in range(100):
        sensed.step_targets(sensed.spec.default_joint_pos[None])
    assert sensed.reality is not None
    # At rest the drives hold the joints by their springs alone.
    wanted = np.square(80.0 * (sensed.spec.default_joint_pos - sensed.batch.qpos[0, 7:])).sum()
    np.testing.assert_allclose(sensed.reality.torque_squared[0], wanted, rtol=1e-3)


def test_a_divergence_is_reported_and_stays_alone():
    sensed = _robots("anymal_c", n=2)
    sensed.batch.qvel[0] = 1e9
    diverged = sensed.step(np.zeros((2, 12)))
    np.testing.assert_array_equal(diverged, [True, False])
    assert np.isfinite(sensed.proprioception()).all()


def test_critics_see_joint_velocities_that_policies_do_not():
    sensed = _robots("op3", n=1)
    assert "joint_vel" not in sensed.contract.term_names
    assert sensed.clean_frame().shape[1] == clean_frame_size(sensed.contract)
    assert clean_frame_size(sensed.contract) == sensed.contract.frame_size + 20
    told = proprioception(robots.get("anymal_c"))
    assert clean_frame_size(told) == told.frame_size


def test_the_gap_of_another_robot_is_refused():
    spec = robots.get("anymal_c")
    with pytest.raises(SettingsError, match="the gap is that of op3, expected anymal_c"):
        SensedRobots(simulate(spec, 1, 1), proprioception(spec), gap=GAPS["op3"])


def test_factors_need_a_gap():
    spec = robots.get("anymal_c")
    sensed = SensedRobots(simulate(spec, 1, 1), proprioception(spec))
    with pytest.raises(SettingsError, match="without a gap"):
        sensed.set_factors({})


def test_drives_of_a_fitted_robot(tmp_path):
    from legged_skills.sim2real.terrain import gap_model

    gap, spec = GAPS["op3"], robots.get("op3")

    class Fit:
        kp, damping = 0.9 * spec.kp, np.full(20, 1.2)
        friction, armature, command_delay_s = np.full(20, 0.08), np.full(20, 0.05), 0.006

    model = gap_model(spec, dataclasses.replace(gap, fit=Fit()))
    np.testing.assert_allclose(model.dof_damping[6:], 1.2)
    np.testing.assert_allclose(model.dof_frictionloss[6:], 0.08)
    np.testing.assert_allclose(model.dof_armature[6:], 0.05)


def test_identified_damping_is_the_drives_up_to_kd_and_the_joints_beyond(make_fit):
    spec, gap = robots.get("anymal_c"), GAPS["anymal_c"]
    damping = np.where(np.arange(12) % 2 == 0, 0.7, 1.4) * spec.kd
    fit = make_fit(spec, damping=damping)
    gap = dataclasses.replace(gap, fit=fit)
    sim = simulate(spec, 1, 1, gap)
    sensed = SensedRobots(sim, proprioception(spec), gap=gap, level=0.0)
    sensed.step(np.zeros((1, 12), np.float32))
    of_drive = -sim.field("actuator_biasprm")[0, :, 2]
    np.testing.assert_allclose(of_drive, np.minimum(damping, spec.kd))
    np.testing.assert_allclose(of_drive + sim.field("dof_damping")[0, 6:], damping)


def test_a_fit_has_the_robots_joints_in_its_order(tmp_path, make_fit):
    spec = robots.get("op3")
    found = {"robot": "op3", "joint_names": list(spec.joint_names[::-1])}
    (tmp_path / "fit.json").write_text(json.dumps(make_fit(spec).to_json() | found))
    (tmp_path / "gap.yaml").write_text("fit: fit.json")
    with pytest.raises(SettingsError, match=r"fit.json: joint_names are not those of op3"):
        load_gap(str(tmp_path / "gap.yaml"), "op3")


def _given(n: int, **changes: float | np.ndarray) -> SensedRobots:
    """Robots with nominal factors but for some."""
    sensed = _robots("anymal_c", n=n)
    factors = ranges.nominal(GAPS["anymal_c"].ranges, sensed.spec, 13, n)
    for name, value in changes.items():
        factors[name][:] = value
    sensed.set_factors(factors)
    return sensed


def test_episodes_start_off_within_the_limits_and_on_the_floor():
    velocity = np.array([0.1, 0.2, -0.3])
    sensed = _given(3, start_joint_rad=0.1, start_velocity_mps=velocity, roughness_m=0.02)
    spec, qpos = sensed.spec, sensed.spec.home_qpos.copy()
    qpos[7] = spec.joint_upper[0]
    sensed.reset(np.arange(3), qpos, np.zeros(18))
    np.testing.assert_allclose(sensed.joint_pos[:, 0], spec.joint_upper[0], atol=1e-6)
    np.testing.assert_allclose(sensed.joint_pos[:, 1], spec.default_joint_pos[1] + 0.1, atol=1e-6)
    np.testing.assert_allclose(sensed.lin_vel_b, np.tile(velocity, (3, 1)), atol=1e-6)
    # Its highest points are half of its roughness above the mean.
    wanted_m = _lowest_foot_m(spec, qpos[None])[0] + 0.01
    np.testing.assert_allclose(_lowest_foot_m(spec, sensed.batch.qpos), wanted_m, atol=1e-6)


def _lowest_foot_m(spec: RobotSpec, qpos: np.ndarray) -> np.ndarray:
    """Height over 0 of the lowest point of the feet, robot by robot."""
    model = spec.model(visible=False)
    kinematics = Kinematics(model)
    return Feet.of(model, spec).floor_distance(kinematics, kinematics.poses(qpos)).min(axis=1)


@pytest.mark.parametrize("name", robots.names())
def test_nobody_starts_in_the_floor_nor_is_thrown_off_it(name):
    sensed = _robots(name, n=300)
    spec, qpos = sensed.spec, np.tile(sensed.spec.home_qpos, (300, 1))
    # A swinging foot may come as low as the others.
    qpos[:150, 9] += 0.3
    assert sensed.reality is not None
    start, _ = sensed.reality.start(np.arange(300), qpos, np.zeros((300, 6 + spec.num_joints)))
    assert np.abs(start[:, 7:] - qpos[:, 7:]).max() > 0.09
    floor_m = sensed.reality.floor_top_m(np.arange(300))
    higher = _lowest_foot_m(spec, start) - _lowest_foot_m(spec, qpos) - floor_m
    assert higher.min() > -1e-9
    lifted = start[:, 2] - qpos[:, 2] - floor_m
    # No more than is needed, and nobody is lowered.
    np.testing.assert_allclose(higher[lifted > 1e-6], 0.0, atol=1e-9)
    assert lifted.min() > -1e-9 and (lifted > 0.005 * spec.leg_length_m).sum() > 100
    sensed.reset(np.arange(300), qpos, np.zeros((300, 6 + spec.num_joints)))
    begin_m = sensed.pos_w[:, 2].copy()
    for _ in range(5):
        sensed.step(np.zeros((300, spec.num_joints)))
        # Who starts in the default pose; others stretch their legs.
        assert (sensed.pos_w[:, 2] - begin_m)[150:].max() < 0.02 * spec.leg_length_m


def test_new_episodes_begin_without_a_push_and_with_the_force_of_their_row():
    sensed = _robots("anymal_c", n=8)
    assert sensed.reality is not None
    sensed.reality.pushes._left[:] = 1.0
    sensed.reset(np.arange(8), sensed.spec.home_qpos, np.zeros(18))
    np.testing.assert_array_equal(sensed.reality.pushes._left, 0.0)
    wanted = sensed.reality.factors["push_force_n"]
    np.testing.assert_array_equal(sensed.reality.pushes.force_n, wanted)
    assert len(np.unique(wanted)) > 1


def test_factors_for_tests_are_drawn_at_the_level_in_force():
    sensed = _robots("anymal_c", level=0.0)
    sensed.draw_factors(3)
    assert sensed.reality is not None
    np.testing.assert_array_equal(sensed.reality.factors["payload_kg"], 0.0)


def test_sensors_of_a_robot_that_diverged_begin_anew():
    sensed = _given(2)
    sensed.reset(np.arange(2), sensed.spec.home_qpos, np.zeros(18))
    sensed.batch.qvel[0] = 1e9
    diverged = sensed.step(np.zeros((2, 12)))
    assert diverged.tolist() == [True, False]
    np.testing.assert_allclose(sensed.signals["joint_pos"][0], sensed.joint_pos[0], atol=1e-5)
    np.testing.assert_allclose(sensed.signals["joint_vel"][0], sensed.joint_vel[0], atol=1e-5)


def test_physics_steps_that_drives_let_be_one_call():
    # ANYmal's torque-speed line follows each; OP3's setpoints come every 8 ms.
    assert steps_at_once(GAPS["anymal_c"], 0.00125, 16) == 1
    assert steps_at_once(GAPS["op3"], 0.004, 6) == 2
    assert steps_at_once(GAPS["op3"], 0.004, 5) == 1
