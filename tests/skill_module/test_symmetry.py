import jax
import jax.numpy as jnp
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.mocap.mirror import mirror
from legged_skills.robots.contract import proprioception
from legged_skills.robots.errors import SettingsError
from legged_skills.skill_module.agents import (
    Architecture,
    ImitationAgent,
    imitation_equivariance,
)
from legged_skills.skill_module.imitation import (
    ImitationConfig,
    privileged_representation,
    privileged_size,
)
from legged_skills.skill_module.reference import build_reference
from legged_skills.skill_module.symmetry import Equivariance, Symmetry, join, project_vector
from legged_skills.skill_module.tracker import (
    TrackerAgent,
    TrackerArchitecture,
    tracker_equivariance,
)

ANYMAL, OP3 = robots.get("anymal_c"), robots.get("op3")
CONFIG = ImitationConfig(future_steps=(1, 4))


def test_reflections_of_vectors_by_hand():
    symmetry = Symmetry(ANYMAL)
    vector = np.array([1.0, 2.0, 3.0])
    polar = [symmetry.polar.apply(g, vector) for g in range(4)]
    np.testing.assert_array_equal(polar, [[1, 2, 3], [1, -2, 3], [-1, 2, 3], [-1, -2, 3]])
    # Both reflections together are half a turn about z, under which turns about z stay.
    axial = [symmetry.axial.apply(g, vector) for g in range(4)]
    np.testing.assert_array_equal(axial, [[1, 2, 3], [-1, 2, -3], [1, -2, -3], [-1, -2, 3]])
    assert Symmetry(OP3).order == 2


@pytest.mark.parametrize("spec", [ANYMAL, OP3])
def test_elements_are_their_own_inverses_and_compose_by_xor(spec):
    symmetry, contract = Symmetry(spec), proprioception(spec, 2)
    parts = [symmetry.proprioception(contract), symmetry.copies(4 * symmetry.order)]
    representation = join(parts)
    x = np.random.default_rng(0).normal(size=representation.size)
    for a in range(symmetry.order):
        for b in range(symmetry.order):
            twice = representation.apply(a, representation.apply(b, x))
            np.testing.assert_array_equal(twice, representation.apply(a ^ b, x))


@pytest.mark.parametrize(("kind", "element"), [("left_right", 1), ("front_back", 2)])
def test_agrees_with_mirrored_clips(kind, element, wiggling_clip):
    symmetry = Symmetry(ANYMAL)
    one = build_reference(ANYMAL, [wiggling_clip])
    other = build_reference(ANYMAL, [mirror(wiggling_clip, ANYMAL, kind)])
    np.testing.assert_allclose(
        symmetry.joints.apply(element, one.qpos[:, 7:]), other.qpos[:, 7:], atol=1e-6
    )
    for name in ("lin_vel_b", "gravity_b"):
        image = symmetry.polar.apply(element, getattr(one, name))
        np.testing.assert_allclose(image, getattr(other, name), atol=1e-5)
    np.testing.assert_allclose(
        symmetry.axial.apply(element, one.qvel[:, 3:6]), other.qvel[:, 3:6], atol=1e-5
    )


@pytest.mark.parametrize("spec", [ANYMAL, OP3])
def test_default_pose_is_its_own_mirror_image(spec):
    joints = Symmetry(spec).joints
    for element in range(len(joints.index)):
        image = joints.apply(element, spec.default_joint_pos)
        np.testing.assert_allclose(image, spec.default_joint_pos, atol=1e-9)


def _observations(spec):
    symmetry, contract = Symmetry(spec), proprioception(spec, 2)
    told = symmetry.proprioception(contract)
    privileged = privileged_representation(symmetry, contract, CONFIG)
    assert told.size == contract.size
    assert privileged.size == privileged_size(spec, contract, CONFIG)
    return symmetry, told, privileged


@pytest.mark.parametrize("spec", [ANYMAL, OP3])
def test_module_does_the_mirror_image_of_mirror_images(spec):
    symmetry, told, privileged = _observations(spec)
    sizes = Architecture(
        latent_size=8, encoder_hidden=(16, 8), decoder_hidden=(16, 8), critic_hidden=(8,)
    )
    agent = ImitationAgent(
        sizes,
        told.size,
        privileged.size,
        spec.num_joints,
        imitation_equivariance(symmetry, sizes, told, privileged),
    )
    params = agent.init(jax.random.key(0))
    rng = np.random.default_rng(1)
    p, x, z = (rng.normal(size=(3, n)).astype(np.float32) for n in (told.size, privileged.size, 8))
    latent = symmetry.copies(8)
    mean, log_std = agent.encode(params, x, z)
    action = np.asarray(agent.decode(params, p, z))
    assert np.abs(action).mean() > 1e-3
    for g in range(symmetry.order):
        image = agent.encode(params, privileged.apply(g, x), latent.apply(g, z))
        np.testing.assert_allclose(image[0], latent.apply(g, np.asarray(mean)), atol=1e-5)
        np.testing.assert_allclose(image[1], latent.apply(g, np.asarray(log_std)), atol=1e-5)
        done = agent.decode(params, told.apply(g, p).astype(np.float32), latent.apply(g, z))
        np.testing.assert_allclose(done, symmetry.joints.apply(g, action), atol=1e-5)
        value = agent.value(params, jnp.asarray(privileged.apply(g, x)))
        np.testing.assert_allclose(value, agent.value(params, jnp.asarray(x)), atol=1e-5)


def test_projecting_a_gradient_keeps_weights_symmetric_and_goes_downhill():
    symmetry, told, privileged = _observations(ANYMAL)
    sizes = TrackerArchitecture(policy_hidden=(8,), critic_hidden=(8,))
    agent = TrackerAgent(
        sizes,
        told.size,
        privileged.size,
        12,
        tracker_equivariance(symmetry, sizes, join([told, privileged]), privileged),
    )
    params = agent.init(jax.random.key(0))
    rng = np.random.default_rng(2)
    sizes_ = {"proprioception": told.size, "privileged": privileged.size, "reference_action": 12}
    obs = {name: jnp.asarray(rng.normal(size=(5, n)), jnp.float32) for name, n in sizes_.items()}
    gradient = jax.grad(lambda p: agent.mean(p, obs).sum())(params)
    projected = agent.project(gradient)
    for twice, once in zip(
        jax.tree.leaves(agent.project(projected)), jax.tree.leaves(projected), strict=True
    ):
        np.testing.assert_allclose(twice, once, atol=1e-5)
    # The parameters are in the subspace from the start, and the projection is orthogonal.
    for found, leaf in zip(
        jax.tree.leaves(agent.project(params)), jax.tree.leaves(params), strict=True
    ):
        np.testing.assert_allclose(found, leaf, atol=1e-5)
    pairs = list(zip(jax.tree.leaves(projected), jax.tree.leaves(gradient), strict=True))
    along = sum(float((a * b).sum()) for a, b in pairs)
    np.testing.assert_allclose(along, sum(float((a * a).sum()) for a, _ in pairs), rtol=1e-3)


def test_vectors_are_averaged_over_mirror_images():
    values = np.arange(12.0, dtype=np.float32)
    joints = Symmetry(ANYMAL).joints.unsigned()
    # HAA, HFE, KFE of the four legs: each becomes the mean of its kind.
    np.testing.assert_allclose(project_vector(values, joints), np.tile([4.5, 5.5, 6.5], 4))


def test_layers_that_cannot_be_mirrored_are_refused():
    with pytest.raises(SettingsError, match="of 6 values cannot be mirrored, expected a multiple"):
        Symmetry(ANYMAL).copies(6)


def test_mirrored_weights_begin_as_large_as_random_ones():
    layer = Symmetry(ANYMAL).copies(64)
    kernel = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    params = {"net": {"Dense_0": {"kernel": jnp.asarray(kernel), "bias": jnp.zeros(64)}}}
    equivariance = Equivariance({"net": (layer, layer)}, {})
    found = equivariance.begin(params)["net"]["Dense_0"]["kernel"]
    # 1024 independent numbers: a standard error of 2 %.
    assert float(jnp.std(found)) == pytest.approx(1.0, abs=0.07)
