"""95 % confidence intervals of shares, means and medians."""

import numpy as np
from scipy.special import bdtr, stdtrit

_CI95 = 1.959964
"""Half the width of the middle 95 % of a normal distribution, in standard deviations."""
_NONE = (float("nan"), float("nan"))


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share (Wilson 1927): ends that are right for few hits.

    Args:
        hits: how often it happened.
        trials: how often it could have; at least 1.
    """
    share, square = hits / trials, _CI95**2 / trials
    centre = (share + square / 2.0) / (1.0 + square)
    spread = np.sqrt(square * (share * (1.0 - share) + square / 4.0)) / (1.0 + square)
    return max(0.0, float(centre - spread)), min(1.0, float(centre + spread))


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % confidence interval of a mean, by Student's t distribution.

    Args:
        values: (n,) independent values; NaN are left out.

    Returns:
        Low and high end; NaN for fewer than two values.
    """
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return _NONE
    mean, spread = float(known.mean()), _half_width(known)
    return mean - spread, mean + spread


def ratio_interval(sums: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """The 95 % confidence interval of a mean over all that groups of unlike sizes have.

    What is independent is the groups; by the linearised variance of a ratio (Cochran 1977, section
    2.11) and Student's t distribution.

    Args:
        sums: (n,) sum over what a group has.
        counts: (n,) how much it has; groups that have nothing are left out.

    Returns:
        Low and high end, around the sum of all over their number; NaN for fewer than two groups.
    """
    some = counts > 0
    sums, counts = sums[some], counts[some]
    if len(counts) < 2:
        return _NONE
    mean = float(sums.sum() / counts.sum())
    off = (sums - mean * counts) / counts.mean()
    spread = _half_width(off)
    return mean - spread, mean + spread


def _half_width(values: np.ndarray) -> float:
    """Half the width of the interval of the mean of (n,) independent values, at least two."""
    count = len(values)
    return float(stdtrit(count - 1, 0.975) * values.std(ddof=1) / np.sqrt(count))


def median_interval(values: np.ndarray) -> tuple[float, float]:
    """An interval that holds the median with at least 95 %: two of the values in their order.

    Of n values as many lie below the median as heads in n tosses of a coin, whatever their
    distribution.

    Args:
        values: (n,) independent values; NaN are left out.

    Returns:
        Low and high end; NaN for fewer than six values, which cannot say it.
    """
    known = np.sort(values[np.isfinite(values)])
    count = len(known)
    beyond = int((bdtr(np.arange(count), count, 0.5) <= 0.025).sum())
    if beyond < 1:
        return _NONE
    return float(known[beyond - 1]), float(known[count - beyond])
