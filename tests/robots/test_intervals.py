"""95 % confidence intervals."""

import numpy as np
import pytest

from legged_skills.robots.intervals import (
    mean_interval,
    median_interval,
    ratio_interval,
    wilson,
)


def test_wilson_interval() -> None:
    # Closed form without hits: z^2 / (n + z^2); with z = 1.96 and n = 100: 3.70 %.
    assert wilson(0, 100) == pytest.approx((0.0, 1.959964**2 / (100.0 + 1.959964**2)))
    # Newcombe 1998, table I: 81 of 263 is 0.2553 to 0.3662, 15 of 148 is 0.0624 to 0.1605.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    low, high = wilson(100, 100)
    assert low == pytest.approx(1.0 - wilson(0, 100)[1]) and high == 1.0


def test_mean_interval() -> None:
    # Student's t for 4 degrees of freedom is 2.776; the standard deviation of 1 to 5 is sqrt(2.5).
    spread = 2.776445 * np.sqrt(2.5 / 5.0)
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert mean_interval(values) == pytest.approx((3.0 - spread, 3.0 + spread))
    assert mean_interval(np.append(values, np.nan)) == mean_interval(values)
    assert np.isnan(mean_interval(np.array([1.0]))).all()


def test_ratio_interval() -> None:
    # Groups of one size: the interval of their means.
    means = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert ratio_interval(4.0 * means, np.full(5, 4.0)) == pytest.approx(mean_interval(means))
    # By hand: 10 in 4, 2 in 1 and nothing; the mean is 12 / 5, off by 0.4 and -0.4, over 2.5; of
    # these the standard deviation is 0.16 sqrt(2), and t for one degree of freedom is 12.706.
    low, high = ratio_interval(np.array([10.0, 2.0, 0.0]), np.array([4, 1, 0]))
    assert (low + high) / 2.0 == pytest.approx(2.4)
    assert (high - low) / 2.0 == pytest.approx(12.7062 * 0.16, rel=1e-4)
    assert np.isnan(ratio_interval(np.array([1.0]), np.array([1]))).all()


def test_median_interval() -> None:
    # All six lie on one side of the median with probability 2 / 2^6 = 3.1 %; of five, 6.3 %.
    assert median_interval(np.array([6.0, 2.0, 3.0, 4.0, 5.0, 1.0])) == (1.0, 6.0)
    assert np.isnan(median_interval(np.arange(5.0))).all()
    # Tables of the sign test: for 20 values the sixth and the fifteenth.
    assert median_interval(np.arange(1.0, 21.0)) == (6.0, 15.0)
