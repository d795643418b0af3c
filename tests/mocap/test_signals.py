"""Smoothing, interpolation and runs, against hand-computed and analytic cases."""

import numpy as np
import pytest

from legged_skills.mocap import signals


def test_smoothing_keeps_parabolas_and_the_argument() -> None:
    # The penalty is on third differences, and those of a parabola are zero.
    time = np.arange(40.0)
    values = np.stack([3 - time + 0.1 * time**2, 5 * time], axis=1)
    before = values.copy()
    np.testing.assert_allclose(signals.smooth(values, 2.0, 50.0), values, atol=1e-9)
    np.testing.assert_array_equal(values, before)


def test_many_frames_in_a_period_cost_no_precision() -> None:
    t = np.arange(20_000) / 1000.0
    turning, sway = 0.8 * t, 0.05 * np.sin(2 * np.pi * 0.1 * t)
    smoothed = signals.smooth(turning + sway, 1.0, 1000.0)
    # 0.1 Hz passes but for 1e-6 of it, and for what its ends do.
    assert np.abs(smoothed - turning - sway).max() < np.deg2rad(0.2)


def test_gain_at_the_cutoff_is_one_half() -> None:
    fps, cutoff = 50.0, 5.0
    time = np.arange(2000) / fps
    wave = np.sin(2 * np.pi * cutoff * time)
    middle = slice(500, 1500)
    out = signals.smooth(wave, cutoff, fps)
    # No shift of phase: the output is the input times the gain.
    np.testing.assert_allclose(out[middle], 0.5 * wave[middle], atol=1e-3)
    slow = np.sin(2 * np.pi * 1.0 * time)
    np.testing.assert_allclose(signals.smooth(slow, cutoff, fps)[middle], slow[middle], atol=1e-3)


def test_a_great_weight_pins_the_curve() -> None:
    values = np.zeros((50, 1))
    values[25] = 1.0
    weights = np.ones(50)
    weights[25] = 1e6
    out = signals.smooth(values, 3.0, 50.0, weights)
    assert out[25, 0] == pytest.approx(1.0, abs=1e-5)
    assert 0.5 < out[24, 0] < 1.0  # a smooth hill, not a spike


def test_short_signals_and_high_cutoffs_pass_through() -> None:
    short = np.array([[1.0], [5.0], [2.0]])
    np.testing.assert_array_equal(signals.smooth(short, 1.0, 50.0), short)
    noise = np.random.default_rng(0).normal(size=30)
    np.testing.assert_array_equal(signals.smooth(noise, 25.0, 50.0), noise)


def test_sampling_meets_the_frames_and_is_exact_for_parabolas_inside() -> None:
    time = np.arange(10.0)
    values = np.stack([time**2, -time], axis=1)
    np.testing.assert_allclose(signals.sample(values, time), values, atol=1e-12)
    at = np.linspace(1, 8, 57)
    np.testing.assert_allclose(
        signals.sample(values, at), np.stack([at**2, -at], axis=1), atol=1e-12
    )
    # At the ends lines stay lines.
    np.testing.assert_allclose(
        signals.sample(values, np.array([0.25, 8.75]))[:, 1], [-0.25, -8.75], atol=1e-12
    )
    np.testing.assert_allclose(signals.sample(values[:2], np.array([0.5])), [[0.5, -0.5]])


def test_velocity_by_hand() -> None:
    # At 10 frames/s: one-sided (1 - 0) * 10, central (4 - 0) / 2 * 10, one-sided (4 - 1) * 10.
    np.testing.assert_allclose(signals.velocity(np.array([0.0, 1.0, 4.0]), 10.0), [10, 20, 30])


def test_runs() -> None:
    assert signals.runs(np.array([1, 1, 0, 0, 1, 0, 1], dtype=bool)) == [(0, 2), (4, 5), (6, 7)]
    assert signals.runs(np.zeros(4, dtype=bool)) == []
    assert signals.runs(np.ones(4, dtype=bool)) == [(0, 4)]
    assert signals.runs(np.zeros(0, dtype=bool)) == []


def test_widen() -> None:
    condition = np.array([0, 0, 0, 1, 0, 0, 0, 0], dtype=bool)
    np.testing.assert_array_equal(
        signals.widen(condition, 2), np.array([0, 1, 1, 1, 1, 1, 0, 0], dtype=bool)
    )
    np.testing.assert_array_equal(signals.widen(condition, 0), condition)
    assert np.all(signals.widen(condition, 100))
    assert condition.sum() == 1
