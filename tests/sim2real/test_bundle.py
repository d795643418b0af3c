import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from legged_skills import robots
from legged_skills.robots.contract import proprioception
from legged_skills.robots.errors import ContractError, FileFormatError, UnknownRobotError
from legged_skills.sim2real import bundle as module
from legged_skills.sim2real.bundle import Bundle
from legged_skills.sim2real.bundle_header import HEADER_KEY, seal
from legged_skills.sim2real.raw_frame import frame_offset, frame_scale

SPEC = robots.get("anymal_c")
SEAL_BYTES = 76


def _resealed(data: bytes, edit) -> bytes:
    """The bundle after an edit of its model, with a checksum that is right again."""
    model = onnx.load_model_from_string(data[:-SEAL_BYTES])
    edit(model)
    return seal(model.SerializeToString())


def _edit_header(change):
    def edit(model):
        fields = json.loads(model.metadata_props[0].value)
        change(fields)
        model.metadata_props[0].value = json.dumps(fields)

    return edit


def _mlp(params, x):
    """Dense layers with ELU between them, in double precision."""
    for layer in range(len(params)):
        weights = params[f"Dense_{layer}"]
        x = x @ weights["kernel"].astype(np.float64) + weights["bias"]
        if layer < len(params) - 1:
            x = np.where(x > 0.0, x, np.expm1(np.minimum(x, 0.0)))
    return x


@pytest.fixture
def path(bundle_bytes, tmp_path):
    file = tmp_path / "walk.onnx"
    file.write_bytes(bundle_bytes)
    return file


def test_reads_what_was_exported(path, policy, bundle_bytes):
    bundle = Bundle.load(path, "anymal_c", "walk", policy.contract)
    assert (bundle.robot, bundle.task, bundle.name) == ("anymal_c", "walk", str(path))
    assert bundle.contract == policy.contract
    # A latent of four, and behind it the mean velocity.
    assert bundle.header.latent_size == 7
    assert bundle.sha256 == bundle_bytes[-64:].decode()
    bundle.require(SPEC)
    bundle.require_signals(["gravity", "angular_velocity", "joint_pos", "joint_vel"])


def test_any_onnx_tool_reads_it(bundle_bytes):
    model = onnx.load_model_from_string(bundle_bytes)
    onnx.checker.check_model(model, full_check=True)
    assert [entry.key for entry in model.metadata_props] == [HEADER_KEY, "sha256"]
    assert model.metadata_props[1].value == bundle_bytes[-64:].decode()
    assert bundle_bytes[-SEAL_BYTES:-64].endswith(b"sha256\x12\x40")
    assert model.ir_version == 8
    assert [opset.version for opset in model.opset_import] == [17]


def test_outputs_are_those_of_the_formulas(bundle, policy):
    rng = np.random.default_rng(0)
    raw = rng.standard_normal((50, 3, 42)).astype(np.float32)
    command = rng.uniform(-1.0, 1.0, (50, 3)).astype(np.float32)
    carried = rng.standard_normal((50, 7)).astype(np.float32)
    z_tm1, mean_tm1 = carried[:, :4], carried[:, 4:]
    targets, z = bundle.infer(raw, command, carried)
    contract = policy.contract
    sensed = ((raw - frame_offset(contract)) * frame_scale(contract)).reshape(50, -1)
    velocity = _mlp(policy.params["estimator"], sensed)
    mean = mean_tm1 + (velocity - mean_tm1) / 25.0
    inputs = np.concatenate([sensed, velocity, mean, command * [2.0, 4.0, 2.0], z_tm1], axis=1)
    share = 1.0 / (1.0 + np.exp(-0.4))
    wanted_z = share * z_tm1 + _mlp(policy.params["policy"], inputs)
    action = _mlp(policy.decoder.params, np.concatenate([sensed, wanted_z], axis=1))
    np.testing.assert_allclose(z, np.concatenate([wanted_z, mean], axis=1), atol=1e-5)
    np.testing.assert_allclose(targets, SPEC.joint_targets(action), atol=1e-5)
    assert z.dtype == targets.dtype == np.float32


def test_targets_are_never_beyond_the_limits(bundle):
    raw = np.random.default_rng(1).standard_normal((2000, 3, 42)).astype(np.float32) * 1000.0
    targets, _ = bundle.infer(raw, np.zeros((2000, 3), np.float32), np.zeros((2000, 7), np.float32))
    # Not by a rounding error either: the limits are compared in double precision.
    assert (targets >= SPEC.joint_lower).all() and (targets <= SPEC.joint_upper).all()
    np.testing.assert_allclose(targets.min(axis=0), SPEC.joint_lower, atol=1e-6)
    np.testing.assert_allclose(targets.max(axis=0), SPEC.joint_upper, atol=1e-6)


def test_files_that_cannot_be_bundles(tmp_path, path, monkeypatch):
    with pytest.raises(FileFormatError, match=r"none\.onnx: there is no such file\."):
        Bundle.load(tmp_path / "none.onnx")
    with pytest.raises(FileFormatError, match="is a folder, expected a policy bundle"):
        Bundle.load(tmp_path)
    with pytest.raises(FileFormatError, match=r"test_bundle\.py: not a policy bundle"):
        Bundle.load(__file__)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(FileFormatError, match="there is no such file"):
        Bundle.load(fifo)
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    with pytest.raises(FileFormatError, match="too large for a policy bundle"):
        Bundle.load(path)


def test_unreadable_file_is_refused(path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(FileFormatError, match=r"cannot be read \(Permission denied\)"):
        Bundle.load(path)


def test_every_truncation_is_refused(bundle_bytes):
    rng = np.random.default_rng(0)
    for length in (0, 1, 63, 64, 76, *rng.integers(77, len(bundle_bytes), 100).tolist()):
        with pytest.raises(FileFormatError):
            Bundle.from_bytes(bundle_bytes[:length], "x")
    with pytest.raises(FileFormatError, match="cut short"):
        Bundle.from_bytes(bundle_bytes[:-1], "x")


def test_thousand_single_byte_corruptions_are_refused(bundle_bytes):
    rng = np.random.default_rng(0)
    # Everywhere, and in the tail, where header and checksum are.
    places = rng.integers(0, len(bundle_bytes), 700).tolist()
    places += rng.integers(len(bundle_bytes) - 3000, len(bundle_bytes), 300).tolist()
    for place in places:
        damaged = bytearray(bundle_bytes)
        damaged[place] ^= int(rng.integers(1, 256))
        with pytest.raises(FileFormatError, match=r"^x: .*\.$"):
            Bundle.from_bytes(bytes(damaged), "x")


def test_other_robot_task_and_contract(path, policy):
    with pytest.raises(ContractError, match="robot is anymal_c, expected op3"):
        Bundle.load(path, "op3")
    with pytest.raises(ContractError, match="robot is anymal_c, expected op3"):
        Bundle.load(path, robots.get("op3"))
    with pytest.raises(UnknownRobotError, match="unknown robot 'spot'"):
        Bundle.load(path, "spot")
    with pytest.raises(ContractError, match="task is walk, expected dribble"):
        Bundle.load(path, "anymal_c", "dribble")
    with pytest.raises(ContractError, match="history is 3, expected 1"):
        Bundle.load(path, contract=proprioception(SPEC, history=1))
    terms = policy.contract.terms[:-1]
    with pytest.raises(ContractError, match="has the observation term 'last_action'"):
        Bundle.load(path, contract=dataclasses.replace(policy.contract, terms=terms))


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("joint_lower", "the lower limit of LF_HFE is -1.5 rad, expected -1.4 rad"),
        ("joint_upper", "the upper limit of LF_HFE is 1.5 rad, expected 1.6 rad"),
        ("torque_limit", "the torque limit of LF_HFE is 80.0 Nm, expected 80.1 Nm"),
        ("velocity_limit", "the velocity limit of LF_HFE is 7.5 rad/s, expected 7.6 rad/s"),
        ("kp", "the kp of LF_HFE is 80.0 Nm/rad, expected 80.1 Nm/rad"),
    ],
)
def test_robot_with_other_numbers(path, field, message):
    changed = getattr(SPEC, field).copy()
    changed[1] = round(changed[1] + 0.1, 6)
    with pytest.raises(ContractError, match=message):
        Bundle.load(path, dataclasses.replace(SPEC, **{field: changed}))


def test_robot_with_another_period(path):
    with pytest.raises(ContractError, match=r"control period is 0\.02 s, expected 0\.01 s"):
        Bundle.load(path, dataclasses.replace(SPEC, control_period_s=0.01))


def _rename_input(model):
    model.graph.input[1].name = "speed"
    model.graph.node[3].input[0] = "speed"


def _fix_batch(model):
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1


def _nan_weight(model):
    weight = next(w for w in model.graph.initializer if w.name == "policy_bias_1")
    weight.raw_data = np.full(4, np.nan, np.float32).tobytes()


def _wider_limit(model):
    weight = next(w for w in model.graph.initializer if w.name == "joint_upper")
    weight.raw_data = np.full(12, 9.0, np.float32).tobytes()


def _lower_limit(model):
    weight = next(w for w in model.graph.initializer if w.name == "joint_lower")
    weight.raw_data = np.full(12, -9.0, np.float32).tobytes()


def _unknown_operator(model):
    model.graph.node[0].op_type = "Nonsense"


def _nan_memory(model):
    graph = model.graph
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = ["z_before" if name == "z" else name for name in names]
    graph.initializer.append(numpy_helper.from_array(np.array(np.nan, np.float32), "not_a_number"))
    graph.node.append(helper.make_node("Mul", ["z_before", "not_a_number"], ["z"]))


def _second_output(model):
    model.graph.output.append(helper.make_tensor_value_info("added", TensorProto.FLOAT, ["b", 4]))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_rename_input, "inputs are observation, speed, z_tm1, expected command, observ"),
        (_second_output, "outputs are added, joint_targets, z, expected joint_targets, z"),
        (_fix_batch, r"'observation' is a tensor\(float\) of shape \(1, 3, 42\), expected"),
        (_nan_weight, "the policy's outputs are not finite"),
        (_nan_memory, "the policy's outputs are not finite"),
        (_wider_limit, "the policy's joint targets exceed the stated limits"),
        (_lower_limit, "the policy's joint targets exceed the stated limits"),
        (_unknown_operator, "not a readable ONNX model"),
        (lambda model: model.metadata_props.pop(), "the bundle has no header"),
        (_edit_header(lambda fields: fields.update(latent_size=5)), r"of shape \('batch', 5\)"),
        (_edit_header(lambda fields: fields.update(format=9)), "is 9, expected 1"),
        (lambda model: model.graph.Clear(), "x: "),
    ],
)
def test_graph_that_is_not_what_the_header_says(bundle_bytes, edit, message, capfd):
    with pytest.raises(FileFormatError, match=message):
        Bundle.from_bytes(_resealed(bundle_bytes, edit), "x")
    # onnxruntime keeps quiet: the sentence is all that is printed.
    assert capfd.readouterr() == ("", "")


def test_stated_hash_must_be_the_contracts_own(bundle_bytes):
    edit = _edit_header(lambda fields: fields.update(contract_hash="0" * 16))
    with pytest.raises(ContractError, match="but the file states 0000000000000000"):
        Bundle.from_bytes(_resealed(bundle_bytes, edit), "x")


def test_running_a_bundle_needs_neither_jax_nor_mujoco_nor_onnx(path):
    program = f"""
import sys
from legged_skills.sim2real.bundle import Bundle
from legged_skills.sim2real.runtime import Runtime
from legged_skills.sim2real.benchmark_runtime import benchmark_runtime
bundle = Bundle.load({str(path)!r}, "anymal_c", "walk")
assert Runtime(bundle).step().shape == (1, 12)
benchmark_runtime(bundle, calls=2)
heavy = {{name.partition(".")[0] for name in sys.modules}}
print(sorted(heavy & {{"jax", "jaxlib", "flax", "mujoco", "onnx", "scipy", "matplotlib"}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
