from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from legged_skills.skill_module import ppo
from legged_skills.skill_module.agents import Architecture, ImitationAgent
from legged_skills.skill_module.ppo import Batch, PpoConfig

NO = jnp.zeros((3, 1), bool)


def _column(*values: float) -> jax.Array:
    return jnp.array(values, dtype=jnp.float32)[:, None]


def _advantages(terminated: jax.Array = NO, truncated: jax.Array = NO) -> np.ndarray:
    result = ppo.advantages(
        reward=_column(1, 2, 3),
        value=_column(10, 20, 30),
        next_value=_column(20, 30, 40),
        terminated=terminated,
        truncated=truncated,
        gamma=0.5,
        lambda_=0.5,
    )
    return np.asarray(result)[:, 0]


def test_advantages_by_hand():
    # Errors: 1 + 0.5 * 20 - 10 = 1; 2 + 0.5 * 30 - 20 = -3; 3 + 0.5 * 40 - 30 = -7.
    # Backwards with 0.25: -7; -3 - 1.75 = -4.75; 1 - 1.1875 = -0.1875.
    np.testing.assert_allclose(_advantages(), [-0.1875, -4.75, -7.0])


def test_termination_cuts_the_bootstrap():
    # Step 1 ends for good: 2 - 20 = -18, and step 0 gets 1 + 0.25 * -18 = -3.5.
    terminated = NO.at[1, 0].set(True)
    np.testing.assert_allclose(_advantages(terminated=terminated), [-3.5, -18.0, -7.0])


def test_truncation_bootstraps_but_does_not_run_on():
    # Step 1 is cut: its own error stays -3, but nothing of step 2 comes back.
    truncated = NO.at[1, 0].set(True)
    np.testing.assert_allclose(_advantages(truncated=truncated), [0.25, -3.0, -7.0])


def test_lambda_one_is_the_discounted_return():
    rng = np.random.default_rng(0)
    reward, value = rng.random((5, 2)), rng.random((6, 2))
    found = ppo.advantages(
        jnp.asarray(reward),
        jnp.asarray(value[:-1]),
        jnp.asarray(value[1:]),
        jnp.zeros((5, 2), bool),
        jnp.zeros((5, 2), bool),
        0.9,
        1.0,
    )
    powers = 0.9 ** np.arange(5)
    wanted = (powers[:, None] * reward).sum(axis=0) + 0.9**5 * value[-1] - value[0]
    np.testing.assert_allclose(found[0], wanted, rtol=1e-5)


AGENT = ImitationAgent(
    Architecture(latent_size=3, encoder_hidden=(8,), decoder_hidden=(8,), critic_hidden=(8,)),
    proprioception_size=4,
    privileged_size=5,
    action_size=2,
)


def _observations(count: int) -> dict[str, jax.Array]:
    rng = np.random.default_rng(1)
    return {
        "proprioception": jnp.asarray(rng.standard_normal((count, 4)), jnp.float32),
        "privileged": jnp.asarray(rng.standard_normal((count, 5)), jnp.float32),
    }


def _batch(params, steps: int, envs: int, reward) -> Batch:
    obs = _observations(steps * envs)
    decision = AGENT.act(params, obs, jnp.zeros((steps * envs, 3)), jax.random.key(3), False)
    shaped = jax.tree.map(lambda x: x.reshape(steps, envs, *x.shape[1:]), (obs, decision.record))
    zeros = jnp.zeros((steps, envs))
    return Batch(
        obs=shaped[0],
        record=shaped[1],
        reward=reward(shaped[1]["action"]),
        terminated=jnp.ones((steps, envs), bool),
        truncated=jnp.zeros((steps, envs), bool),
        value=zeros,
        next_value=zeros,
    )


def test_first_evaluation_gives_back_the_recorded_likelihood():
    params = AGENT.init(jax.random.key(0))
    obs = _observations(16)
    decision = AGENT.act(params, obs, jnp.ones((16, 3)), jax.random.key(1), False)
    again = AGENT.evaluate(params, obs, decision.record)
    np.testing.assert_allclose(again.log_prob, decision.record["log_prob"], atol=1e-4)


def test_deterministic_action_is_the_mean_of_the_means():
    params = AGENT.init(jax.random.key(0))
    obs = _observations(4)
    first = AGENT.act(params, obs, jnp.ones((4, 3)), jax.random.key(1), True)
    second = AGENT.act(params, obs, jnp.ones((4, 3)), jax.random.key(2), True)
    np.testing.assert_array_equal(first.action, second.action)
    mean, _ = AGENT.encode(params, obs["privileged"], jnp.ones((4, 3)))
    np.testing.assert_array_equal(first.z, mean)


def test_gradient_runs_through_decoder_and_encoder():
    params = AGENT.init(jax.random.key(0))
    obs = _observations(8)
    record = AGENT.act(params, obs, jnp.zeros((8, 3)), jax.random.key(1), False).record
    grad = jax.grad(lambda p: AGENT.evaluate(p, obs, record).log_prob.mean())(params)
    for part in ("encoder", "decoder"):
        norms = [float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(grad[part])]
        assert min(norms) > 0.0
    # One direction by finite differences.
    direction = jax.tree.map(jnp.ones_like, params["encoder"])

    def shifted(step: float):
        moved = jax.tree.map(lambda p, d: p + step * d, params["encoder"], direction)
        return float(AGENT.evaluate({**params, "encoder": moved}, obs, record).log_prob.mean())

    slope = sum(float(jnp.sum(g)) for g in jax.tree.leaves(grad["encoder"]))
    numeric = (shifted(1e-2) - shifted(-1e-2)) / 2e-2
    assert slope == pytest.approx(numeric, rel=0.02, abs=1e-3)


@pytest.mark.standard_dtypes
def test_update_finds_a_rewarded_action():
    config = PpoConfig(epochs=4, minibatches=2, kl_weight=0.0, learning_rate=3e-3, target_kl=0.05)
    learner = ppo.init(AGENT, config, jax.random.key(0))
    obs = _observations(256)

    def action(params):
        mean = AGENT.act(params, obs, jnp.zeros((256, 3)), jax.random.key(9), True).action
        return np.asarray(mean).mean(axis=0)

    for i in range(40):
        batch = _batch(learner.params, 4, 64, lambda a: -jnp.square(a - 0.5).sum(axis=-1))
        learner, figures = ppo.update(
            AGENT, config, learner, batch, ppo.Schedule(0.0), jax.random.key(i)
        )
    np.testing.assert_allclose(action(learner.params), 0.5, atol=0.12)
    assert (
        config.min_learning_rate
        <= float(figures["learning_rate"])
        <= 1.001 * config.max_learning_rate
    )


@pytest.mark.standard_dtypes
def test_steps_shrink_as_the_schedule_says():
    config = PpoConfig(epochs=1, minibatches=1)
    learner = ppo.init(AGENT, config, jax.random.key(0))
    batch = _batch(learner.params, 4, 64, lambda a: -jnp.square(a - 0.5).sum(axis=-1))

    def moved(share: float) -> np.ndarray:
        schedule = ppo.Schedule(0.0, share)
        after, _ = ppo.update(AGENT, config, learner, batch, schedule, jax.random.key(1))
        before = jax.tree.leaves(learner.params)
        return np.concatenate(
            [np.ravel(a - b) for a, b in zip(jax.tree.leaves(after.params), before, strict=True)]
        )

    whole = moved(1.0)
    assert np.abs(whole).max() > 1e-4
    np.testing.assert_allclose(moved(0.25), 0.25 * whole, atol=1e-6)
    np.testing.assert_array_equal(moved(0.0), 0.0)


@pytest.mark.standard_dtypes
def test_steps_that_shrink_are_not_enlarged_again():
    # Nothing moves the policy, so that a step of any size is smaller than is wanted.
    config = PpoConfig(epochs=2, minibatches=2, learning_rate=1e-4, kl_weight=0.0)
    learner = ppo.init(AGENT, config, jax.random.key(0))
    batch = _batch(learner.params, 4, 64, lambda a: 0.0 * a[..., 0])
    rates = []
    for share in (1.0, 0.9, 0.1):
        schedule = ppo.Schedule(0.0, share)
        after, _ = ppo.update(AGENT, config, learner, batch, schedule, jax.random.key(1))
        rates.append(float(after.learning_rate))
    np.testing.assert_allclose(rates, [1e-4 * 1.5**4, 1e-4, 1e-4], rtol=1e-5)


@pytest.mark.standard_dtypes
def test_exploration_that_is_beyond_its_floor_comes_back():
    floor = np.log(AGENT.architecture.min_action_std)
    config = PpoConfig(epochs=1, minibatches=1, entropy_weight=1.0, learning_rate=1e-3)
    learner = ppo.init(AGENT, config, jax.random.key(0))
    learner.params["action_log_std"] = jnp.full(2, floor - 0.01)
    batch = _batch(learner.params, 4, 64, lambda a: 0.0 * a[..., 0])
    found = []
    for _ in range(5):
        schedule = ppo.Schedule(0.0, 1.0)
        learner, _ = ppo.update(AGENT, config, learner, batch, schedule, jax.random.key(1))
        found.append(np.asarray(learner.params["action_log_std"]))
    # First at the floor, where there is a gradient again, which is that of more entropy.
    np.testing.assert_allclose(found[0], floor, atol=1e-6)
    assert (found[-1] > floor + 2e-3).all()


@pytest.mark.standard_dtypes
def test_the_policy_waits_for_the_critic():
    config = PpoConfig(epochs=1, minibatches=2, target_kl=1.0)
    learner = ppo.init(AGENT, config, jax.random.key(0))
    batch = _batch(learner.params, 4, 64, lambda a: -jnp.square(a - 0.5).sum(axis=-1))
    waits = ppo.Schedule(0.1, 1.0, 0.0)
    after, _ = ppo.update(AGENT, config, learner, batch, waits, jax.random.key(1))
    for name, before in learner.params.items():
        moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), after.params[name], before)
        assert (max(jax.tree.leaves(moved)) > 0.0) == (name == "critic"), name
    assert float(after.learning_rate) == pytest.approx(config.learning_rate)


@pytest.mark.standard_dtypes
def test_kl_weight_pulls_the_encoder_to_the_prior():
    config = PpoConfig(epochs=4, minibatches=2, learning_rate=3e-3, target_kl=1.0)
    learner = ppo.init(AGENT, config, jax.random.key(0))
    figures = []
    for i in range(15):
        batch = _batch(learner.params, 4, 64, lambda a: 0.0 * a.sum(axis=-1))
        learner, figure = ppo.update(
            AGENT, config, learner, batch, ppo.Schedule(1.0), jax.random.key(i)
        )
        figures.append(float(figure["kl_prior"]))
    assert figures[-1] < 0.2 * figures[0]


def test_clipped_surrogate_by_hand():
    config = PpoConfig(clip=0.2, value_weight=0.0)
    params = AGENT.init(jax.random.key(0))
    obs = _observations(2)
    record = AGENT.act(params, obs, jnp.zeros((2, 3)), jax.random.key(1), False).record
    # Ratios 2 and 0.5. Advantage +1: min(2, 1.2) = 1.2; advantage -1: min(-0.5, -0.8) = -0.8.
    shift = jnp.log(jnp.array([2.0, 0.5]))
    data = {
        "obs": obs,
        "record": {**record, "log_prob": record["log_prob"] - shift},
        "advantage": jnp.array([1.0, -1.0]),
        "target": jnp.zeros(2),
    }
    total, figures = ppo.loss(AGENT, config, params, data, jnp.float32(0.0))
    assert float(figures["surrogate"]) == pytest.approx((1.2 - 0.8) / 2, abs=1e-3)
    assert float(total) == pytest.approx(-0.2, abs=1e-3)
    assert float(figures["clipped_share"]) == 1.0


class LearnsBeside(ImitationAgent):
    """An agent that learns something beside the policy, at losses 1, 2 and 6."""

    def evaluate(self, params, obs, record):
        """As the imitation agent, with these losses."""
        return super().evaluate(params, obs, record)._replace(auxiliary=jnp.array([1.0, 2.0, 6.0]))


def test_what_is_learned_beside_the_policy_counts_by_its_weight():
    agent = LearnsBeside(AGENT.architecture, 4, 5, 2)
    params, obs = agent.init(jax.random.key(0)), _observations(3)
    record = agent.act(params, obs, jnp.zeros((3, 3)), jax.random.key(1), False).record
    data = {"obs": obs, "record": record, "advantage": jnp.ones(3), "target": jnp.zeros(3)}
    without, with_ = (
        ppo.loss(agent, PpoConfig(auxiliary_weight=weight), params, data, jnp.float32(0.1))
        for weight in (0.0, 0.5)
    )
    # Their mean is 3.
    assert float(with_[1]["auxiliary"]) == pytest.approx(3.0)
    assert float(with_[0] - without[0]) == pytest.approx(1.5, abs=1e-5)


def test_the_average_forgets_the_beginning_and_then_follows_slowly():
    config = PpoConfig(averaging=0.5)
    state = ppo.begin({"w": jnp.zeros(2)}, config)
    for iteration, value in enumerate([1.0, 2.0], start=1):
        state = ppo.averaged(state._replace(params={"w": jnp.full(2, value)}), config, iteration)
    # Kept shares are 1/10 and 2/11: 0.1 * 0 + 0.9 * 1, then 2/11 * 0.9 + 9/11 * 2.
    np.testing.assert_allclose(state.average["w"], 2 / 11 * 0.9 + 9 / 11 * 2.0, rtol=1e-6)
    late = ppo.averaged(state, config, 1000)
    np.testing.assert_allclose(late.average["w"], 0.5 * state.average["w"] + 1.0, rtol=1e-6)


def _whole_batch(params: dict, ratio: float = 1.0) -> Batch:
    """Three steps of four robots, each of which ends its episode; values were not zero."""
    rng, obs = np.random.default_rng(0), _observations(12)
    record = AGENT.act(params, obs, jnp.zeros((12, 3)), jax.random.key(3), False).record
    record = record | {"log_prob": record["log_prob"] - np.log(ratio)}
    obs, record = jax.tree.map(lambda x: x.reshape(3, 4, *x.shape[1:]), (obs, record))
    reward, value = (jnp.asarray(rng.normal(size=(3, 4)), jnp.float32) for _ in range(2))
    yes, no = jnp.ones((3, 4), bool), jnp.zeros((3, 4), bool)
    return Batch(obs, record, 5.0 * reward, yes, no, value, value)


@pytest.mark.standard_dtypes
def test_the_critic_learns_returns_times_one_less_gamma():
    config = PpoConfig(epochs=1, minibatches=1, gamma=0.9)
    state = ppo.init(AGENT, config, jax.random.key(0))
    batch = _whole_batch(state.params)
    figures = ppo.update(AGENT, config, state, batch, ppo.Schedule(0.0), jax.random.key(1))[1]
    # Where an episode ends the return is the reward.
    wanted = 0.1 * batch.reward
    value = AGENT.value(state.params, batch.obs["privileged"])
    np.testing.assert_allclose(figures["value_error"], np.square(value - wanted).mean(), rtol=1e-4)
    explained = 1.0 - np.var(wanted - batch.value) / np.var(wanted)
    np.testing.assert_allclose(figures["explained_variance"], explained, rtol=1e-3)


@pytest.mark.standard_dtypes
def test_steps_shrink_where_the_policy_has_moved_too_far():
    config = PpoConfig(epochs=1, minibatches=1, learning_rate=1e-3)
    state = ppo.init(AGENT, config, jax.random.key(0))
    # Everything is twice as likely: a divergence of 1 - log 2 = 0.31, far above 2 * 0.01.
    batch = _whole_batch(state.params, ratio=2.0)
    after = ppo.update(AGENT, config, state, batch, ppo.Schedule(0.0), jax.random.key(1))[0]
    assert float(after.learning_rate) == pytest.approx(1e-3 / 1.5, rel=1e-5)


@pytest.mark.standard_dtypes
def test_minibatches_are_drawn_by_the_key():
    config = PpoConfig(epochs=1, minibatches=2)
    state = ppo.init(AGENT, config, jax.random.key(0))
    batch = _whole_batch(state.params)
    one, other = (
        ppo.update(AGENT, config, state, batch, ppo.Schedule(0.0), jax.random.key(key))[0]
        for key in (1, 2)
    )
    kernels = [found.params["decoder"]["Dense_0"]["kernel"] for found in (one, other)]
    assert np.abs(kernels[0] - kernels[1]).max() > 0.0


@pytest.mark.standard_dtypes
def test_long_gradients_are_scaled_down():
    optimizer = ppo.optimizer(PpoConfig(max_grad_norm=1.0))
    state = optimizer.init({"w": jnp.zeros(1)})
    for gradient in (1000.0, 1.0):
        update, state = optimizer.update({"w": jnp.full(1, gradient)}, state)
    # Adam takes both for 1; otherwise the second would be small beside the first.
    (weight,) = jax.tree.leaves(update)
    np.testing.assert_allclose(weight, 1.0, rtol=1e-3)


@pytest.mark.parametrize(
    ("ratio", "advantage", "wanted"),
    # Where the ratio has gone the wrong way beyond the range, it still counts as it is.
    [(2.0, 1.0, 1.2), (2.0, -1.0, -2.0), (0.5, 1.0, 0.5), (0.5, -1.0, -0.8), (1.1, -1.0, -1.1)],
)
def test_only_gains_are_clipped(ratio: float, advantage: float, wanted: float):
    params, obs = AGENT.init(jax.random.key(0)), _observations(2)
    record = AGENT.act(params, obs, jnp.zeros((2, 3)), jax.random.key(1), False).record
    data = {
        "obs": obs,
        "record": {**record, "log_prob": record["log_prob"] - np.float32(np.log(ratio))},
        "advantage": jnp.full(2, advantage),
        "target": jnp.zeros(2),
    }
    _, figures = ppo.loss(AGENT, PpoConfig(clip=0.2), params, data, jnp.float32(0.0))
    assert float(figures["surrogate"]) == pytest.approx(wanted, abs=1e-3)


def test_the_loss_is_the_sum_of_its_parts_by_their_weights():
    params, obs = AGENT.init(jax.random.key(0)), _observations(3)
    record = AGENT.act(params, obs, jnp.ones((3, 3)), jax.random.key(1), False).record
    advantage = jnp.array([1.0, 0.5, -0.3])
    data = {"obs": obs, "record": record, "advantage": advantage, "target": jnp.ones(3)}
    config = PpoConfig(entropy_weight=0.3, value_weight=0.7)
    total, figures = ppo.loss(AGENT, config, params, data, jnp.float32(0.2), jnp.float32(0.6))
    parts = {name: float(figures[name]) for name in ("kl_prior", "surrogate", "entropy")}
    assert min(abs(value) for value in parts.values()) > 0.01
    policy = 0.2 * parts["kl_prior"] - parts["surrogate"] - 0.3 * parts["entropy"]
    wanted = 0.6 * policy + 0.7 * float(figures["value_error"])
    assert float(total) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.standard_dtypes
def test_advantages_are_normalised_over_the_batch():
    config = PpoConfig(epochs=1, minibatches=1, gamma=0.9)
    state = ppo.init(AGENT, config, jax.random.key(0))
    batch = _whole_batch(state.params)
    # Ratios within the range, so that none is clipped.
    ratio = np.random.default_rng(1).uniform(0.85, 1.15, (3, 4)).astype(np.float32)
    log_prob = batch.record["log_prob"] - np.log(ratio)
    batch = batch._replace(record=batch.record | {"log_prob": log_prob})
    figures = ppo.update(AGENT, config, state, batch, ppo.Schedule(0.0), jax.random.key(1))[1]
    advantage = np.asarray(0.1 * batch.reward - batch.value)
    wanted = (ratio * (advantage - advantage.mean()) / advantage.std()).mean()
    assert float(figures["surrogate"]) == pytest.approx(wanted, abs=1e-4)


@pytest.mark.standard_dtypes
def test_the_step_size_stays_within_its_limits():
    config = PpoConfig(
        epochs=1,
        minibatches=1,
        learning_rate=1e-3,
        min_learning_rate=0.9e-3,
        max_learning_rate=1.2e-3,
    )
    state, found = ppo.init(AGENT, config, jax.random.key(0)), []
    for ratio in (2.0, 1.0):
        batch = _whole_batch(state.params, ratio)
        after = ppo.update(AGENT, config, state, batch, ppo.Schedule(0.0), jax.random.key(1))[0]
        found.append(float(after.learning_rate))
    # Otherwise they would be 1e-3 / 1.5 and 1.5e-3.
    np.testing.assert_allclose(found, [0.9e-3, 1.2e-3], rtol=1e-5)


class _Slope:
    """Parameters of which the second is never to be moved, and the third has a limit."""

    def project(self, gradient):
        return {"w": gradient["w"] * jnp.array([1.0, 0.0, 1.0])}

    def bounded(self, params):
        return {"w": jnp.maximum(params["w"], jnp.array([-9.0, -9.0, 0.95]))}


@pytest.mark.standard_dtypes
def test_minibatches_take_steps_of_adam_one_after_another():
    config = PpoConfig(epochs=2, minibatches=2, learning_rate=0.1, max_grad_norm=100.0)
    state = ppo.begin({"w": jnp.ones(3)}, config)
    agent: Any = _Slope()
    # The gradients of the four samples are 1, 2, 3 and 4, whatever the parameters are.
    scale = jnp.array([1.0, 2.0, 3.0, 4.0])

    def loss_of(params, rows):
        slope = scale[rows].mean()
        return slope * params["w"].sum(), {"slope": slope}

    seen: list[float] = []
    key = jax.random.key(0)
    after, figures = ppo.descend(agent, config, state, loss_of, 4, 0.5, key)
    for epoch_key in jax.random.split(key, 2):
        order = np.asarray(jax.random.permutation(epoch_key, 4)).reshape(2, 2)
        seen += [float(scale[rows].mean()) for rows in order]
    # Kingma and Ba 2015, with 0.9 and 0.999, by half of the step size.
    w, mean, square = 1.0, 0.0, 0.0
    for step, slope in enumerate(seen, start=1):
        mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
        unbiased = mean / (1.0 - 0.9**step), square / (1.0 - 0.999**step)
        w -= 0.5 * 0.1 * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
    np.testing.assert_allclose(after.params["w"], [w, 1.0, 0.95], rtol=1e-4)
    assert float(figures["slope"]) == pytest.approx(2.5)
    assert float(figures["learning_rate"]) == pytest.approx(0.1)
