import numpy as np

from legged_skills import robots
from legged_skills.robots.contract import proprioception
from legged_skills.robots.simulation import BatchSim
from legged_skills.sim2real.gap import GAPS
from legged_skills.sim2real.reality import simulate
from legged_skills.sim2real.sensed_robot import SensedRobots

SPEC = robots.get("anymal_c")
CONTRACT = proprioception(SPEC, history=2)


def _robots(n: int = 3, noise_scale: float = 0.0, seed: int = 0) -> SensedRobots:
    return SensedRobots(BatchSim(SPEC, n, 1), CONTRACT, noise_scale, seed)


def test_signals_by_hand():
    sensed = _robots(1)
    qpos, qvel = SPEC.home_qpos, np.zeros(18)
    # Pitched nose down by 90 degrees: the base's x axis points down, its z axis forward.
    qpos[3:7] = [np.sqrt(0.5), 0.0, np.sqrt(0.5), 0.0]
    qvel[:3] = [1.0, 0.0, 3.0]  # world
    qvel[3:6] = [0.1, 0.2, 0.3]  # base frame
    sensed.reset(np.array([0]), qpos, qvel)
    np.testing.assert_allclose(sensed.gravity_b[0], [1.0, 0.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(sensed.lin_vel_b[0], [-3.0, 0.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(sensed.ang_vel_b[0], [0.1, 0.2, 0.3], atol=1e-6)
    np.testing.assert_allclose(sensed.joint_pos[0], SPEC.default_joint_pos, atol=1e-6)


def test_reset_fills_the_history_and_holds_the_pose():
    sensed = _robots()
    qpos = np.tile(SPEC.home_qpos, (2, 1))
    qpos[0, 7] += 0.1
    qpos[1, 7] += 0.2
    # Ids in any order go with their rows.
    sensed.reset(np.array([2, 0]), qpos, np.zeros(18))
    np.testing.assert_allclose(sensed.joint_pos[2, 0], 0.1, atol=1e-6)
    np.testing.assert_allclose(sensed.joint_pos[0, 0], 0.2, atol=1e-6)
    # 0.1 rad is an action of 0.2.
    np.testing.assert_allclose(sensed.last_action[2, 0], 0.2, atol=1e-6)
    np.testing.assert_array_equal(sensed.history.frames[2, 0], sensed.history.frames[2, 1])


def test_last_action_is_the_clamped_one():
    sensed = _robots(1)
    sensed.step(np.full((1, 12), 100.0))
    wanted = (SPEC.joint_upper - SPEC.default_joint_pos) / SPEC.action_scale
    np.testing.assert_allclose(sensed.last_action[0], wanted, rtol=1e-5)


def test_noise_has_the_stated_spread_and_no_memory():
    sensed = _robots(2000, noise_scale=0.5, seed=1)
    noise = sensed.history.frames[:, -1] - sensed.clean_frame()
    np.testing.assert_allclose(noise.mean(axis=0), 0.0, atol=0.01)
    np.testing.assert_allclose(noise.std(axis=0), 0.5 * CONTRACT.noise, rtol=0.1, atol=1e-9)
    # The clean frame of the same state stays clean.
    np.testing.assert_array_equal(sensed.clean_frame(), sensed.clean_frame())


def test_observation_is_a_copy():
    sensed = _robots()
    sensed.proprioception()[:] = 7.0
    assert np.abs(sensed.history.frames).max() < 3.0


def test_restored_robots_go_on_bit_for_bit():
    sensed, other = _robots(3, 1.0, 5), _robots(3, 1.0, 6)
    actions = np.random.default_rng(0).standard_normal((8, 3, 12)) * 0.3
    for action in actions[:4]:
        sensed.step(action)
    arrays, rest = sensed.state()
    arrays = {name: array.copy() for name, array in arrays.items()}
    other.restore(arrays, rest)
    for action in actions[4:]:
        sensed.step(action)
        other.step(action)
    np.testing.assert_array_equal(sensed.proprioception(), other.proprioception())


def test_each_robot_draws_factors_of_its_own():
    gap = GAPS["anymal_c"]
    sensed = [
        SensedRobots(simulate(SPEC, 40, 1, gap), CONTRACT, seed=seed, gap=gap) for seed in (0, 1)
    ]
    for robots_ in sensed:
        robots_.draw_factors(5)
    kept = [robots_.reality.factors for robots_ in sensed if robots_.reality is not None]
    assert len(np.unique(kept[0]["payload_kg"])) == 40
    np.testing.assert_array_equal(kept[0]["link_mass"], kept[1]["link_mass"])
    # A new episode keeps them.
    sensed[0].reset(np.arange(40), SPEC.home_qpos, np.zeros(18))
    assert sensed[0].reality is not None
    np.testing.assert_array_equal(sensed[0].reality.factors["payload_kg"], kept[0]["payload_kg"])
    # Without a gap there is nothing to draw.
    _robots().draw_factors(5)
