import pytest

from legged_skills.robots.errors import FileFormatError, SettingsError
from legged_skills.sim2real.benchmark_runtime import benchmark_runtime


def test_times_are_ordered_and_short(bundle, bundle_bytes, tmp_path):
    path = tmp_path / "walk.onnx"
    path.write_bytes(bundle_bytes)
    for policy in (bundle, path, str(path)):
        figures = benchmark_runtime(policy, calls=500)
        assert figures["calls"] == 500
        assert 0.0 < figures["median_ms"] <= figures["p99_ms"] <= figures["max_ms"]
        assert figures["median_ms"] <= 0.3


def test_bad_arguments(bundle, tmp_path):
    with pytest.raises(SettingsError, match="calls is 0, expected at least 1"):
        benchmark_runtime(bundle, calls=0)
    with pytest.raises(FileFormatError, match="there is no such file"):
        benchmark_runtime(tmp_path / "none.onnx")
