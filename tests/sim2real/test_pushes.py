import numpy as np

from legged_skills.sim2real.gap import PushConfig
from legged_skills.sim2real.pushes import Pushes


def test_impulses_intervals_and_directions():
    n, period = 400, 0.02
    rng = np.random.default_rng(0)
    pushes = Pushes(PushConfig(), n, period)
    pushes.force_n[:] = 100.0
    pushes.reset(np.arange(n), rng)
    forces = np.array([pushes.step(rng) for _ in range(1000)])
    assert np.abs(forces[..., 2]).max() == 0.0
    size = np.linalg.norm(forces, axis=2)
    assert size.max() <= 100.0 + 1e-9
    # In 20 s, a push every 2 s on average, of 0.1 s and 100 N each: 100 Ns.
    np.testing.assert_allclose(size.sum(axis=0).mean() * period, 100.0, rtol=0.1)
    starts = ((size[1:] > 0) & (size[:-1] == 0)).sum(axis=0)
    assert starts.min() >= 6 and starts.max() <= 20
    direction = forces.sum(axis=(0, 1)) / size.sum()
    np.testing.assert_allclose(direction, 0.0, atol=0.05)


def test_a_reset_ends_a_push():
    rng = np.random.default_rng(0)
    pushes = Pushes(PushConfig(duration_s=(1.0, 1.0), interval_s=(2.0, 2.0)), 2, 0.02)
    pushes.force_n[:] = 1.0
    pushes.reset(np.arange(2), rng)
    while not pushes.step(rng).any(axis=1).all():
        pass
    pushes.reset(np.array([0]), rng)
    force = np.linalg.norm(pushes.step(rng), axis=1)
    np.testing.assert_allclose(force, [0.0, 1.0])


def test_goes_on_exactly():
    one, other = (Pushes(PushConfig(), 3, 0.02) for _ in range(2))
    for pushes in (one, other):
        pushes.force_n[:] = 10.0
    rng = np.random.default_rng(0)
    one.reset(np.arange(3), rng)
    for _ in range(100):
        one.step(rng)
    other.restore(one.state())
    a, b = np.random.default_rng(1), np.random.default_rng(1)
    for _ in range(100):
        np.testing.assert_array_equal(one.step(a), other.step(b))


def test_a_push_that_ends_within_a_control_step_has_its_impulse():
    config = PushConfig(duration_s=(0.05, 0.05), interval_s=(2.0, 2.0))
    pushes, rng = Pushes(config, 1, 0.02), np.random.default_rng(0)
    pushes.force_n[:] = 10.0
    pushes.reset(np.arange(1), rng)
    force = np.linalg.norm([pushes.step(rng)[0] for _ in range(110)], axis=1)
    start = np.flatnonzero(force)[0]
    # 50 ms are two and a half steps.
    np.testing.assert_allclose(force[start : start + 4], [10.0, 10.0, 5.0, 0.0])


def test_the_first_push_may_come_at_once():
    n, rng = 3000, np.random.default_rng(0)
    pushes = Pushes(PushConfig(), n, 0.02)
    pushes.force_n[:] = 1.0
    pushes.reset(np.arange(n), rng)
    pushed = np.zeros(n, bool)
    for _ in range(50):
        pushed |= pushes.step(rng).any(axis=1)
    # Uniform within 3 s, of which this is the first.
    np.testing.assert_allclose(pushed.mean(), 1.0 / 3.0, atol=0.03)
