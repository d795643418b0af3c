"""Observations of imitation, of a robot and of its mirror images in the world."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.mocap.clip import RobotClip
from legged_skills.robots.contract import proprioception
from legged_skills.robots.simulation import BatchSim
from legged_skills.skill_module.imitation import (
    ImitationConfig,
    ImitationEnv,
    privileged_representation,
)
from legged_skills.skill_module.reference import build_reference
from legged_skills.skill_module.symmetry import Symmetry
from legged_skills.skill_module.tracker import TrackerAgent, TrackerArchitecture

SPEC = robots.get("anymal_c")
CONTRACT = proprioception(SPEC, 2)
CONFIG = ImitationConfig()


@pytest.fixture
def env(wiggling_clip: RobotClip) -> ImitationEnv:
    """One robot for each reflection, on the clip and its images."""
    reference = build_reference(SPEC, [wiggling_clip], mirrored=True, front_back=True)
    return ImitationEnv(BatchSim(SPEC, 4, 1), CONTRACT, reference, CONFIG)


def test_observations_are_mirrored_as_robot_and_reference_are(env: ImitationEnv) -> None:
    symmetry, rows = Symmetry(SPEC), env.reference.starts + 40
    env.reset(np.arange(4), rows)
    # Each robot is off its reference, moves and turns, as the mirror image of the first one does.
    joints = SPEC.default_joint_pos + 0.1 * np.arange(12.0)
    base, quat = np.array([0.3, 0.2, 0.6]), np.array([0.98, 0.1, 0.05, 0.15])
    quat /= np.linalg.norm(quat)
    world, turn = np.array([0.5, 0.2, -0.1]), np.array([0.3, -0.2, 0.7])
    qpos, qvel = np.zeros((4, 19)), np.zeros((4, 18))
    for g in range(4):
        qpos[g, :3] = symmetry.polar.apply(g, base)
        qpos[g, 3], qpos[g, 4:7] = quat[0], symmetry.axial.apply(g, quat[1:])
        qpos[g, 7:] = symmetry.joints.apply(g, joints)
        qvel[g, :3] = symmetry.polar.apply(g, world)
        qvel[g, 3:6] = symmetry.axial.apply(g, turn)
        qvel[g, 6:] = symmetry.joints.apply(g, joints)
    env.robots.reset(np.arange(4), qpos, qvel)
    env._privileged = env._observe_privileged(slice(None))
    seen = env.observe()
    kinds = {
        "privileged": privileged_representation(symmetry, CONTRACT, CONFIG),
        "proprioception": symmetry.proprioception(CONTRACT),
        "reference_action": symmetry.joints,
    }
    for name, kind in kinds.items():
        assert kind.size == seen[name].shape[1]
        for g in range(4):
            image = kind.apply(g, seen[name][0])
            np.testing.assert_allclose(seen[name][g], image, atol=1e-4, err_msg=f"{name} {g}")


def test_reference_action_asks_for_the_joints_some_steps_ahead(env: ImitationEnv) -> None:
    rows = env.reference.last[0] - np.array([50, 2, 1, 0])
    env.reset(np.arange(4), rows)
    action = env.observe()["reference_action"]
    # Two steps ahead, but no farther than the last row of the clip.
    ahead = rows + np.array([2, 2, 1, 0])
    wanted = env.reference.qpos[ahead, 7:]
    np.testing.assert_allclose(SPEC.joint_targets(action), wanted, atol=1e-5)
    by_hand = (wanted[0, 1] - SPEC.default_joint_pos[1]) / SPEC.action_scale
    assert action[0, 1] == pytest.approx(by_hand, abs=1e-5)
    assert np.abs(action[0] - action[3]).max() > 1e-3


def test_a_trackers_decision_is_as_likely_as_it_says() -> None:
    agent = TrackerAgent(
        TrackerArchitecture(policy_hidden=(8,), critic_hidden=(8,)),
        proprioception_size=4,
        privileged_size=5,
        action_size=2,
    )
    rng = np.random.default_rng(0)
    sizes = {"proprioception": 4, "privileged": 5, "reference_action": 2}
    obs = {n: jnp.asarray(rng.standard_normal((6, k)), jnp.float32) for n, k in sizes.items()}
    params = agent.init(jax.random.key(0))
    decision = agent.act(params, obs, jnp.zeros((6, 0)), jax.random.key(1), False)
    evaluation = agent.evaluate(params, obs, decision.record)
    np.testing.assert_allclose(evaluation.log_prob, decision.record["log_prob"], atol=1e-5)
    np.testing.assert_array_equal(evaluation.kl, np.zeros(6))
    # Of a normal distribution of standard deviation 0.4 in both directions.
    mean = agent.act(params, obs, jnp.zeros((6, 0)), jax.random.key(1), True).action
    off = np.asarray(decision.action - mean) / 0.4
    by_hand = -0.5 * np.square(off).sum(axis=1) - np.log(2.0 * np.pi * 0.4**2)
    np.testing.assert_allclose(evaluation.log_prob, by_hand, atol=1e-4)
