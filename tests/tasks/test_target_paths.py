import numpy as np
import pytest

from legged_skills.tasks.target_paths import PATHS, Way, displacements, draw, path, velocities

STEP_S = 0.02


def _follow(ways: np.ndarray, seconds: float) -> np.ndarray:
    """(T + 1, N, 2) where targets are that start at the origin."""
    places = [np.zeros((len(ways), 2))]
    for step in range(round(seconds / STEP_S)):
        moved = displacements(ways, np.full(len(ways), step * STEP_S), STEP_S)
        places.append(places[-1] + moved)
    return np.array(places)


def _path(name: str, heading: float = 0.0, side: float = 1.0) -> np.ndarray:
    return path(name, 0.5, np.array([heading]), np.array([side]))


def test_straight():
    places = _follow(_path("straight", heading=np.pi / 3), 20.0)[:, 0]
    wanted = 0.5 * STEP_S * np.arange(1001)[:, None] * [0.5, np.sqrt(0.75)]
    np.testing.assert_allclose(places, wanted, atol=1e-9)


def test_a_slalom_swings_about_a_straight_line():
    places = _follow(_path("slalom"), 6.0)[:, 0]
    # Forward in 6 s: 3 m times the mean of cos(0.8 cos x), the Bessel function J0(0.8) = 0.8463.
    np.testing.assert_allclose(places[-1], [3.0 * 0.8463, 0.0], atol=1e-3)
    mirrored = _follow(_path("slalom", side=-1.0), 6.0)[:, 0]
    np.testing.assert_allclose(mirrored, places * [1.0, -1.0], atol=1e-9)
    assert 0.3 < places[:, 1].max() < 0.5 and places[:, 1].min() == pytest.approx(
        -places[:, 1].max(), abs=1e-3
    )
    speed = np.linalg.norm(np.diff(places, axis=0), axis=1) / STEP_S
    np.testing.assert_allclose(speed, 0.5, atol=1e-9)


def test_a_square_closes():
    places = _follow(_path("square", side=-1.0), 16.0)[:, 0]
    np.testing.assert_allclose(places[-1], 0.0, atol=1e-9)
    np.testing.assert_allclose(
        places[[200, 400, 600]], [[2.0, 0.0], [2.0, -2.0], [0.0, -2.0]], atol=1e-9
    )


def test_jumps():
    places = _follow(_path("jumps"), 9.0)[:, 0]
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    np.testing.assert_array_equal(np.flatnonzero(steps), [199, 399])
    np.testing.assert_allclose(steps[[199, 399]], 1.0)
    np.testing.assert_allclose(places[-1], [np.cos(2.4) + np.cos(4.8), np.sin(2.4) + np.sin(4.8)])


def test_velocities():
    ways = np.concatenate([_path(name, heading=0.3) for name in PATHS])
    velocity = velocities(ways, np.full(4, 1.5))
    # The slalom's swing is zero after a quarter of its period.
    wanted = 0.5 * np.array([np.cos(0.3), np.sin(0.3)])
    np.testing.assert_allclose(velocity[:3], np.tile(wanted, (3, 1)), atol=1e-9)
    np.testing.assert_array_equal(velocity[3], 0.0)
    assert velocities(ways, np.full(4, 5.0))[2] @ wanted == pytest.approx(0.0, abs=1e-9)


def test_random_ways():
    n = 4000
    way = Way(*draw(np.random.default_rng(0), n, 0.6).T)
    assert way.speed_mps.max() <= 0.6 and (way.jump_m <= 0.5 * 0.6 * 8.0).all()
    jumps = way.jump_m > 0.0
    assert (way.speed_mps[jumps] == 0.0).all()
    assert jumps.mean() == pytest.approx(0.25, abs=0.03)
    assert (way.swing_rad != 0.0).mean() == pytest.approx(0.25, abs=0.03)
    assert (way.turn_rad != 0.0).mean() == pytest.approx(0.5, abs=0.03)
    assert (way.swing_rad * way.turn_rad == 0.0).all()
    assert (way.turn_rad > 0.0).mean() == pytest.approx(0.25, abs=0.03)
    assert way.speed_mps[~jumps].mean() == pytest.approx(0.4, abs=0.02)


def test_random_ways_are_of_all_sizes_on_both_sides():
    way = Way(*draw(np.random.default_rng(0), 4000, 0.6).T)

    def spread(values: np.ndarray) -> tuple[float, float]:
        return float(values.min()), float(values.max())

    assert spread(way.heading_rad) == pytest.approx((-np.pi, np.pi), abs=0.01)
    assert spread(way.period_s) == pytest.approx((2.0, 8.0), abs=0.01)
    swings, turns = way.swing_rad[way.swing_rad != 0.0], way.turn_rad[way.turn_rad != 0.0]
    assert spread(np.abs(swings)) == pytest.approx((0.3, 1.2), abs=0.01)
    assert spread(np.abs(turns)) == pytest.approx((0.5, 2.8), abs=0.01)
    assert (swings > 0.0).mean() == pytest.approx(0.5, abs=0.05)
    # A jump is as long as the way of half a period at a speed of up to 0.6 m/s.
    jumps = way.jump_m > 0.0
    speed = way.jump_m[jumps] / (0.5 * way.period_s[jumps])
    assert speed.max() == pytest.approx(0.6, abs=0.01)
    assert speed.mean() == pytest.approx(0.4, abs=0.02)
