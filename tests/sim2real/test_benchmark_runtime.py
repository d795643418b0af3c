import pytest

from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.benchmark_runtime import benchmark_runtime


def test_times_are_ordered_and_short(bundle):
    figures = benchmark_runtime(bundle, calls=500)
    assert figures["calls"] == 500
    assert 0.0 < figures["median_ms"] <= figures["p99_ms"] <= figures["max_ms"]
    assert figures["median_ms"] <= 0.3


def test_bad_arguments(bundle):
    with pytest.raises(SettingsError, match="calls is 0, expected at least 1"):
        benchmark_runtime(bundle, calls=0)
