import dataclasses

import mujoco
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.simulation import BatchSim

SPEC = robots.get("anymal_c")
TARGETS = np.tile(SPEC.default_joint_pos, (4, 1))


def _wiggle(step: int, envs: int = 4) -> np.ndarray:
    phase = np.arange(envs)[:, None] + np.arange(12)[None, :]
    return SPEC.default_joint_pos + 0.3 * np.sin(0.2 * step + phase)


def test_one_step_is_eight_physics_steps_of_mujoco():
    sim = BatchSim(SPEC, 2, num_threads=1)
    model = SPEC.model()
    data = mujoco.MjData(model)
    data.qpos[:] = SPEC.home_qpos
    data.ctrl[:] = SPEC.default_joint_pos
    mujoco.mj_forward(model, data)
    for step in range(5):
        targets = _wiggle(step, 2)
        sim.step(targets)
        data.ctrl[:] = targets[1]
        mujoco.mj_step(model, data, nstep=8)
    np.testing.assert_allclose(sim.qpos[1], data.qpos, atol=1e-9)
    np.testing.assert_allclose(sim.qvel[1], data.qvel, atol=1e-8)


def test_reset_by_mask_leaves_the_others():
    sim = BatchSim(SPEC, 4, num_threads=1)
    for step in range(3):
        sim.step(_wiggle(step))
    before = sim.qpos.copy()
    mask = np.array([False, True, False, True])
    qpos = np.tile(SPEC.home_qpos, (2, 1))
    qpos[:, 0] = [5.0, 7.0]
    sim.reset(mask, qpos, np.full(18, 0.25))
    np.testing.assert_array_equal(sim.qpos[~mask], before[~mask])
    np.testing.assert_array_equal(sim.qpos[mask], qpos)
    np.testing.assert_array_equal(sim.qvel[mask], 0.25)


def test_sensors_after_reset_are_current():
    sim = BatchSim(SPEC, 1)
    # Feet in the base frame do not depend on where the base is.
    qpos = SPEC.home_qpos
    qpos[:7] = [3.0, -2.0, 0.7, np.cos(0.3), 0.0, 0.0, np.sin(0.3)]
    sim.reset(qpos=qpos)
    feet = sim.sensor(*SPEC.foot_sites)[0].reshape(4, 3)
    np.testing.assert_allclose(feet[:, 2], SPEC.foot_radius_m - SPEC.standing_height_m, atol=1e-4)
    np.testing.assert_allclose(feet[0], feet[1] * [1, -1, 1], atol=1e-6)


def test_diverged_environment_is_reset_counted_and_alone():
    with_nan, without = BatchSim(SPEC, 4, num_threads=2), BatchSim(SPEC, 4, num_threads=2)
    for sim in (with_nan, without):
        sim.step(TARGETS)
    with_nan.qpos[2, 8] = np.nan
    with_nan.qvel[3, 7] = 1e12
    diverged = with_nan.step(_wiggle(1))
    without.step(_wiggle(1))
    np.testing.assert_array_equal(diverged, [False, False, True, True])
    np.testing.assert_array_equal(with_nan.diverged, [0, 0, 1, 1])
    np.testing.assert_array_equal(with_nan.qpos[2], SPEC.home_qpos)
    np.testing.assert_array_equal(with_nan.qpos[:2], without.qpos[:2])
    assert not with_nan.step(_wiggle(2)).any()
    assert np.isfinite(with_nan.qpos).all()


def test_non_finite_targets_do_not_spread():
    sim = BatchSim(SPEC, 4)
    targets = TARGETS.copy()
    targets[1, 0] = np.nan
    diverged = sim.step(targets)
    np.testing.assert_array_equal(diverged, [False, True, False, False])
    assert np.isfinite(sim.qpos).all()
    assert not sim.step(TARGETS).any()


def test_restored_simulation_goes_on_bit_for_bit():
    sim = BatchSim(SPEC, 4)
    for step in range(5):
        sim.step(_wiggle(step))
    saved = sim.save()
    for step in range(5, 10):
        sim.step(_wiggle(step))
    after = sim.qpos.copy()
    other = BatchSim(SPEC, 4, num_threads=1)
    other.restore(saved)
    for step in range(5, 10):
        other.step(_wiggle(step))
    np.testing.assert_array_equal(other.qpos, after)
    with pytest.raises(SettingsError, match="another robot or number of environments"):
        BatchSim(SPEC, 3).restore(saved)


def test_every_environment_can_have_its_own_physics():
    heavy = SPEC.model()
    heavy.body("base").mass *= 2.0
    sim = BatchSim(SPEC, 2, models=[SPEC.model(), heavy])
    for _ in range(50):
        sim.step(TARGETS[:2])
    # The heavy one sags further.
    assert sim.qpos[1, 2] < sim.qpos[0, 2] - 0.01
    alone = BatchSim(SPEC, 1, models=heavy)
    for _ in range(50):
        alone.step(TARGETS[:1])
    np.testing.assert_array_equal(alone.qpos[0], sim.qpos[1])


def test_wrong_sizes_are_refused():
    with pytest.raises(SettingsError, match="number of environments is 0, expected at least 1"):
        BatchSim(SPEC, 0)
    with pytest.raises(SettingsError, match="2 models were given for 3 environments"):
        BatchSim(SPEC, 3, models=[SPEC.model()] * 2)
    with pytest.raises(SettingsError, match="no sensor 'nose'"):
        BatchSim(SPEC, 1).sensor("nose")
    with pytest.raises(SettingsError, match="not a multiple of the physics step"):
        dataclasses.replace(SPEC, physics_step_s=0.003)
    with pytest.raises(SettingsError, match="kp has shape"):
        dataclasses.replace(SPEC, kp=np.ones(3))


@pytest.mark.parametrize("name", ["anymal_c", "op3"])
def test_several_physics_steps_at_once_are_the_same_as_one_by_one(name: str):
    spec, rng = robots.get(name), np.random.default_rng(0)
    together, single = BatchSim(spec, 3, 1), BatchSim(spec, 3, 1)
    shape = (3, 4, spec.num_joints)
    targets = spec.default_joint_pos + rng.uniform(-0.2, 0.2, shape)
    low, high = np.full((3, spec.num_joints), -2.0), np.full((3, spec.num_joints), 1.5)
    motion = together.run_steps(targets, low, high)
    for k in range(4):
        limits = (low, high) if k == 0 else (None, None)
        step = single.run_steps(targets[:, k : k + 1], *limits)
        np.testing.assert_array_equal(motion.qpos[:, k], step.qpos[:, 0])
        np.testing.assert_array_equal(motion.qvel[:, k], step.qvel[:, 0])
        np.testing.assert_array_equal(motion.torque[:, k], step.torque[:, 0])
    np.testing.assert_array_equal(together.qpos, single.qpos)
    np.testing.assert_array_equal(together.torque, single.torque)
    assert motion.torque.max() == 1.5 and motion.torque.min() == -2.0


@pytest.mark.parametrize("name", ["anymal_c", "op3"])
def test_what_is_only_seen_does_not_move_the_robot(name: str):
    spec = robots.get(name)
    assert spec.model(visible=False).ngeom < 0.3 * spec.model().ngeom
    bare, whole = BatchSim(spec, 1, 1), BatchSim(spec, 1, 1, spec.model())
    targets = spec.default_joint_pos[None] + 0.1
    for _ in range(10):
        bare.step(targets)
        whole.step(targets)
    np.testing.assert_array_equal(bare.qpos, whole.qpos)


def test_what_has_diverged_so_far_is_restored():
    sim, other = BatchSim(SPEC, 2, 1), BatchSim(SPEC, 2, 1)
    sim.qpos[1, 8] = np.nan
    sim.step(TARGETS[:2])
    other.restore(sim.save())
    np.testing.assert_array_equal(other.diverged, [0, 1])
