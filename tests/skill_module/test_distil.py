import jax
import jax.numpy as jnp
import numpy as np
import pytest

from legged_skills.skill_module import distil, ppo, prior
from legged_skills.skill_module.agents import Architecture, ImitationAgent
from legged_skills.skill_module.distil import DistilConfig
from legged_skills.skill_module.ppo import Batch, Schedule
from legged_skills.skill_module.tracker import TrackerAgent, TrackerArchitecture

SIZES = Architecture(
    latent_size=2, encoder_hidden=(8,), decoder_hidden=(16,), critic_hidden=(4,), alpha=0.9
)
AGENT = ImitationAgent(SIZES, proprioception_size=3, privileged_size=5, action_size=2)
TRACKER = TrackerAgent(
    TrackerArchitecture(policy_hidden=(8,), critic_hidden=(4,)),
    proprioception_size=3,
    privileged_size=5,
    action_size=2,
)


def _data(steps: int, count: int, seed: int = 0) -> dict[str, jax.Array]:
    rng = np.random.default_rng(seed)
    sizes = {"privileged": 5, "proprioception": 3, "z_noise": 2, "z_tm1": 2, "label": 2}
    data = {
        name: jnp.asarray(rng.normal(size=(steps, count, size)), jnp.float32)
        for name, size in sizes.items()
    }
    return data | {"first": jnp.zeros((steps, count), bool)}


def test_latents_follow_one_another_step_by_step():
    params, data = AGENT.init(jax.random.key(0)), _data(3, 4)
    # The second robot begins anew at the last step, from the latent that was recorded.
    data["first"] = data["first"].at[2, 1].set(True)
    z, kl = distil.latents(AGENT, params, {k: v for k, v in data.items() if k != "label"})
    z_tm1 = np.asarray(data["z_tm1"][0])
    for t in range(3):
        if t == 2:
            z_tm1[1] = data["z_tm1"][2, 1]
        mean, log_std = AGENT.encode(params, data["privileged"][t], z_tm1)
        np.testing.assert_allclose(
            kl[t], prior.kl_to_prior(mean, log_std, jnp.asarray(z_tm1), 0.9), rtol=1e-4
        )
        z_tm1 = np.array(mean + jnp.exp(log_std) * data["z_noise"][t])
        np.testing.assert_allclose(z[t], z_tm1, rtol=1e-4, atol=1e-6)


def test_loss_by_hand():
    params, data = AGENT.init(jax.random.key(0)), _data(2, 3)
    total, figures = distil.loss(AGENT, params, data, jnp.float32(0.5))
    z, kl = distil.latents(AGENT, params, {k: v for k, v in data.items() if k != "label"})
    error = np.asarray(AGENT.decode(params, data["proprioception"], z) - data["label"])
    squared = np.square(error).sum(axis=-1).mean()
    np.testing.assert_allclose(total, 0.5 * squared + 0.5 * np.mean(kl), rtol=1e-5)
    np.testing.assert_allclose(figures["action_error"], np.sqrt(np.square(error).mean()), rtol=1e-5)


def test_who_trains_only_the_encoder_loses_as_much_and_does_not_move_the_decoder():
    params, data = AGENT.init(jax.random.key(0)), _data(2, 3)

    def gradient(encoder_only: bool):
        return jax.grad(lambda p: distil.loss(AGENT, p, data, jnp.float32(0.5), encoder_only)[0])(
            params
        )

    both, one = gradient(encoder_only=False), gradient(encoder_only=True)
    for name in both:
        wanted = both[name] if name != "decoder" else jax.tree.map(jnp.zeros_like, both[name])
        for a, b in zip(jax.tree.leaves(wanted), jax.tree.leaves(one[name]), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    assert max(float(jnp.abs(g).max()) for g in jax.tree.leaves(both["decoder"])) > 0.01


def _batch(steps: int, count: int, seed: int) -> Batch:
    data = _data(steps, count, seed)
    zeros, none = jnp.zeros((steps, count)), jnp.zeros((steps, count), bool)
    obs = {name: data[name] for name in ("privileged", "proprioception")}
    # What the student can know, too: it sees the privileged observation.
    obs["reference_action"] = 0.5 * obs["privileged"][..., :2]
    obs["free"] = jnp.zeros((steps, count, 1))
    record = {name: data[name] for name in ("z_noise", "z_tm1")}
    return Batch(obs, record, zeros, none, none, zeros, zeros)


@pytest.mark.standard_dtypes  # Adam in optax.
def test_student_learns_what_the_tracker_does():
    tracker_params = TRACKER.init(jax.random.key(1))
    config = DistilConfig(epochs=4, minibatches=2, learning_rate=3e-3)
    state = ppo.begin(AGENT.init(jax.random.key(0)), config)
    errors = []
    for i in range(60):
        state, figures = distil.update(
            TRACKER,
            tracker_params,
            AGENT,
            config,
            state,
            _batch(6, 32, i),
            Schedule(0.0),
            jax.random.key(i),
        )
        errors.append(float(figures["action_error"]))
    assert np.mean(errors[-5:]) < 0.6 * np.mean(errors[:5])


@pytest.mark.standard_dtypes
def test_latent_before_a_free_step_is_the_recorded_one():
    """Two batches that differ in the latent recorded after a free step give other updates."""
    tracker_params = TRACKER.init(jax.random.key(1))
    config = DistilConfig(epochs=1, minibatches=1)
    state = ppo.begin(AGENT.init(jax.random.key(0)), config)
    batch = _batch(2, 4, 0)
    moved = batch.record | {"z_tm1": batch.record["z_tm1"].at[1].add(1.0)}

    def kl(batch: Batch) -> float:
        figures = distil.update(
            TRACKER,
            tracker_params,
            AGENT,
            config,
            state,
            batch,
            Schedule(0.1),
            jax.random.key(0),
        )[1]
        return float(figures["kl_prior"])

    assert kl(batch) == kl(batch._replace(record=moved))
    free = batch._replace(obs=batch.obs | {"free": jnp.ones((2, 4, 1))})
    assert kl(free) != kl(free._replace(record=moved))


def test_free_robots_draw_from_the_prior():
    params = AGENT.init(jax.random.key(0))
    count = 4000
    obs = {
        "proprioception": jnp.ones((count, 3)),
        "privileged": jnp.ones((count, 5)),
        "free": jnp.ones((count, 1)),
    }
    z_tm1 = jnp.tile(jnp.array([[1.0, -2.0]]), (count, 1))
    z = np.asarray(AGENT.act(params, obs, z_tm1, jax.random.key(1), deterministic=False).z)
    np.testing.assert_allclose(z.mean(axis=0), [0.9, -1.8], atol=0.03)
    np.testing.assert_allclose(z.std(axis=0), np.sqrt(1 - 0.81), rtol=0.05)


@pytest.mark.standard_dtypes
@pytest.mark.parametrize("how", ["terminated", "truncated", "free"])
def test_latents_begin_anew_in_the_step_after_an_end(how: str):
    config, batch = DistilConfig(epochs=1, minibatches=1), _batch(3, 4, 0)
    at = batch.terminated.at[1, 2].set(True)
    if how == "free":
        free = at[..., None].astype(jnp.float32)
        batch = batch._replace(obs=batch.obs | {"free": free})
    else:
        batch = batch._replace(**{how: at})
    params, schedule = AGENT.init(jax.random.key(0)), Schedule(0.1)
    tracker = TRACKER.init(jax.random.key(1))
    state, key = ppo.begin(params, config), jax.random.key(0)
    figures = distil.update(TRACKER, tracker, AGENT, config, state, batch, schedule, key)[1]

    def divergence(first: jax.Array) -> float:
        data = {"privileged": batch.obs["privileged"], **batch.record, "first": first}
        return float(distil.latents(AGENT, params, data)[1].mean())

    after = jnp.zeros_like(at).at[2, 2].set(True)
    np.testing.assert_allclose(figures["kl_prior"], divergence(after), rtol=1e-5)
    assert abs(divergence(after) - divergence(at)) > 1e-3


@pytest.mark.standard_dtypes
def test_an_update_follows_its_schedule():
    config = DistilConfig(epochs=1, minibatches=1)
    state, batch = ppo.begin(AGENT.init(jax.random.key(0)), config), _batch(2, 4, 0)
    tracker = TRACKER.init(jax.random.key(1))

    def moved(schedule: Schedule) -> np.ndarray:
        key = jax.random.key(0)
        after = distil.update(TRACKER, tracker, AGENT, config, state, batch, schedule, key)[0]
        before = jax.tree.leaves(state.params["encoder"])
        pairs = zip(jax.tree.leaves(after.params["encoder"]), before, strict=True)
        return np.concatenate([np.ravel(a - b) for a, b in pairs])

    whole = moved(Schedule(0.1, 1.0))
    assert np.abs(whole).max() > 5e-4
    np.testing.assert_allclose(moved(Schedule(0.1, 0.25)), 0.25 * whole, atol=1e-7)
    # With another weight of the divergence the encoder goes another way.
    assert np.abs(moved(Schedule(30.0, 1.0)) - whole).max() > 1e-4
