"""How long a policy takes from sensor values to joint targets."""

import time

import numpy as np

from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.bundle import Bundle
from legged_skills.sim2real.runtime import Runtime

_VARIANTS = 256
_WARM_UP = 200


def benchmark_runtime(bundle: Bundle, calls: int = 10_000, seed: int = 0) -> dict[str, float | int]:
    """Times one robot's control steps: copying sensor values in, and all up to joint targets.

    Args:
        bundle: the policy.
        calls: number of steps that are timed, one after another.
        seed: of the sensor values, which are random.

    Returns:
        "median_ms", "p99_ms" (99th percentile) and "max_ms" [ms], and "calls".

    Raises:
        SettingsError: there are no calls.
    """
    if calls < 1:
        raise SettingsError(f"calls is {calls}, expected at least 1.")
    runtime = Runtime(bundle)
    rng = np.random.default_rng(seed)
    values = {
        name: rng.standard_normal((_VARIANTS, *signal.shape), dtype=np.float32)
        for name, signal in runtime.signals.items()
    }
    if "joint_pos" in values:
        values["joint_pos"] *= np.float32(0.1)
        values["joint_pos"] += np.array(bundle.contract.default_joint_pos, np.float32)
    nanoseconds = np.empty(calls, dtype=np.int64)
    for call in range(-_WARM_UP, calls):
        row = call % _VARIANTS
        began = time.perf_counter_ns()
        for name, signal in runtime.signals.items():
            np.copyto(signal, values[name][row])
        runtime.step()
        took = time.perf_counter_ns() - began
        if call >= 0:
            nanoseconds[call] = took
    milliseconds = nanoseconds * 1e-6
    return {
        "median_ms": float(np.median(milliseconds)),
        "p99_ms": float(np.percentile(milliseconds, 99.0)),
        "max_ms": float(milliseconds.max()),
        "calls": calls,
    }
