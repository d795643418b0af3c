import gc
import tracemalloc

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.bundle import Bundle
from legged_skills.sim2real.runtime import Runtime
from legged_skills.tasks.export import export_bytes

SPEC = robots.get("anymal_c")


def _values(runtime: Runtime, rng: np.random.Generator) -> dict[str, np.ndarray]:
    values = {n: rng.standard_normal(s.shape) * 0.3 for n, s in runtime.signals.items()}
    values["joint_pos"] += SPEC.default_joint_pos
    return {name: value.astype(np.float32) for name, value in values.items()}


def _write(runtime: Runtime, values: dict[str, np.ndarray], rows=slice(None)) -> None:
    for name, value in values.items():
        runtime.signals[name][:] = value[rows]


def _frame(values: dict[str, np.ndarray], last_action: np.ndarray) -> np.ndarray:
    names = ("gravity", "angular_velocity", "joint_pos", "joint_vel")
    return np.concatenate([*(values[name] for name in names), last_action], axis=1)


def _action(joint_pos: np.ndarray) -> np.ndarray:
    return ((joint_pos - SPEC.default_joint_pos) / 0.5).astype(np.float32)


def test_buffers_are_those_of_the_contract(bundle):
    runtime = Runtime(bundle, batch=2)
    shapes = {name: signal.shape for name, signal in runtime.signals.items()}
    assert shapes == {
        "gravity": (2, 3),
        "angular_velocity": (2, 3),
        "joint_pos": (2, 12),
        "joint_vel": (2, 12),
    }
    assert runtime.command.shape == (2, 3)
    assert runtime.z.shape == (2, 7)
    with pytest.raises(TypeError):
        runtime.signals["gravity"] = np.zeros((2, 3))  # pyright: ignore[reportIndexIssue]


def test_steps_by_hand(bundle):
    runtime, rng = Runtime(bundle), np.random.default_rng(0)
    command = np.array([[0.5, 0.1, -0.2]], np.float32)
    runtime.command[:] = command
    frames, z = [], np.zeros((1, 7), np.float32)
    action = np.zeros((1, 12), np.float32)
    for step in range(6):
        values = _values(runtime, rng)
        _write(runtime, values)
        if step == 0:
            # A drive that is switched on holds the pose it finds.
            action = _action(values["joint_pos"])
            frames = [_frame(values, action)] * 3
        else:
            frames = [*frames[1:], _frame(values, action)]
        targets, z = bundle.infer(np.stack(frames, axis=1), command, z)
        np.testing.assert_allclose(runtime.step(), targets, atol=1e-6)
        np.testing.assert_allclose(runtime.z, z, atol=1e-6)
        action = _action(targets)
        np.testing.assert_allclose(runtime.last_action, action, atol=1e-6)


def test_reset_is_a_new_beginning(bundle):
    runtime, fresh = Runtime(bundle), Runtime(bundle)
    rng = np.random.default_rng(1)
    for _ in range(4):
        _write(runtime, _values(runtime, rng))
        runtime.step()
    runtime.reset()
    for _ in range(4):
        values = _values(runtime, rng)
        _write(runtime, values)
        _write(fresh, values)
        np.testing.assert_array_equal(runtime.step(), fresh.step())
    np.testing.assert_array_equal(runtime.z, fresh.z)


@pytest.mark.parametrize("ids", [np.array([2, 0]), np.array([True, False, True])])
def test_some_robots_are_reset_and_the_others_go_on(bundle, ids):
    batch, rng = Runtime(bundle, batch=3), np.random.default_rng(2)
    singles = [Runtime(bundle) for _ in range(3)]
    for step in range(8):
        if step == 4:
            batch.reset(ids)
            singles[0].reset()
            singles[2].reset()
        values = _values(batch, rng)
        _write(batch, values)
        targets = batch.step()
        for row, single in enumerate(singles):
            _write(single, values, slice(row, row + 1))
            np.testing.assert_allclose(targets[row], single.step()[0], atol=1e-6)


def test_arrays_stay_the_same_objects(bundle):
    runtime = Runtime(bundle)
    first = runtime.step()
    before = first.copy()
    runtime.command[:] = 1.0
    assert runtime.step() is first is runtime.joint_targets
    assert np.abs(first - before).max() > 1e-4


def test_contract_with_one_frame(make_policy):
    bundle = Bundle.from_bytes(export_bytes(make_policy(history=1)), "x")
    runtime, rng = Runtime(bundle), np.random.default_rng(3)
    _write(runtime, _values(runtime, rng))
    runtime.step()
    values, last, z = _values(runtime, rng), runtime.last_action.copy(), runtime.z.copy()
    _write(runtime, values)
    runtime.step()
    targets, _ = bundle.infer(_frame(values, last)[:, None], runtime.command, z)
    np.testing.assert_allclose(runtime.joint_targets, targets, atol=1e-6)


def test_robot_with_other_joints(make_policy):
    spec = robots.get("op3")
    bundle = Bundle.from_bytes(export_bytes(make_policy("op3")), "x", "op3")
    runtime = Runtime(bundle)
    runtime.signals["joint_pos"][:] = spec.default_joint_pos
    targets = runtime.step()
    assert targets.shape == (1, 20)
    assert (targets >= spec.joint_lower).all() and (targets <= spec.joint_upper).all()


def test_two_runtimes_of_one_bundle_do_not_touch_each_other(bundle):
    one, other, alone = Runtime(bundle), Runtime(bundle, batch=2), Runtime(bundle)
    rng = np.random.default_rng(4)
    for _ in range(5):
        values = _values(one, rng)
        _write(one, values)
        _write(alone, values)
        one.step()
        _write(other, _values(other, rng))
        other.step()
        alone.step()
    np.testing.assert_array_equal(one.joint_targets, alone.joint_targets)


@pytest.mark.parametrize("batch", [1, 64])
def test_loop_allocates_nothing(bundle, batch):
    runtime, rng = Runtime(bundle, batch), np.random.default_rng(5)
    values = _values(runtime, rng)
    pairs = [(runtime.signals[name], value) for name, value in values.items()]

    def run(steps: int) -> None:
        for _ in range(steps):
            for signal, value in pairs:
                np.copyto(signal, value)
            runtime.step()

    run(10)
    gc.collect()
    tracemalloc.start()
    try:
        # onnxruntime's binding keeps some small objects of its own in its first hundreds of calls.
        run(2000)
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        run(1000)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Python's own small objects come and go. One frame of 64 robots is 10,752 bytes.
    assert after - before < 500
    assert peak - before < 1500


def test_batch_must_be_positive(bundle):
    with pytest.raises(SettingsError, match="batch is 0, expected at least 1"):
        Runtime(bundle, batch=0)
