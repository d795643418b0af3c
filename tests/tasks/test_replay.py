"""Training's path beside the runtime, on sensor values that were recorded."""

from pathlib import Path

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.console import write_bytes
from legged_skills.robots.errors import ContractError, FileFormatError, SettingsError
from legged_skills.sim2real.bundle import Bundle
from legged_skills.sim2real.deploy.config import config_of
from legged_skills.sim2real.deploy.controller import Controller
from legged_skills.sim2real.deploy.log import DeploymentLog
from legged_skills.sim2real.deploy.recorded_run import RecordedRun
from legged_skills.sim2real.deploy.snapshot import CommandSnapshot, SensorSnapshot
from legged_skills.tasks.commands import load_policy, recovering, timing
from legged_skills.tasks.evaluate_walk import shipped_policy
from legged_skills.tasks.export import export_bytes, policy_bundle
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.recovering import RecoveringPolicy
from legged_skills.tasks.replay import TracingRuntime, compare_training, policy_of
from legged_skills.tasks.replay_commands import Replay

SPEC = robots.get("anymal_c")


@pytest.fixture(scope="module")
def policy() -> TaskPolicy:
    return TaskPolicy.load(shipped_policy("anymal_c"), "anymal_c", "walk")


@pytest.fixture(scope="module")
def bundle(policy: TaskPolicy) -> Bundle:
    return policy_bundle(policy, timing("anymal_c"))


def _recorded(checksum: str) -> RecordedRun:
    header = {"robot": "anymal_c", "task": "walk", "bundle": checksum}
    return RecordedRun(header=header, arrays={}, source="log")


@pytest.fixture
def runtime(bundle: Bundle) -> TracingRuntime:
    rng, runtime = np.random.default_rng(0), TracingRuntime(bundle)
    for _ in range(30):
        runtime.signals["gravity"][0] = [0.05, 0.0, -0.99]
        runtime.signals["angular_velocity"][0] = rng.normal(0.0, 0.3, 3)
        runtime.signals["joint_pos"][0] = SPEC.default_joint_pos + rng.normal(0.0, 0.1, 12)
        runtime.signals["joint_vel"][0] = rng.normal(0.0, 1.0, 12)
        runtime.command[0] = [0.4, 0.0, 0.2]
        runtime.step()
    return runtime


def test_the_agent_decides_as_the_graph(policy: TaskPolicy, runtime: TracingRuntime) -> None:
    targets_off, handed_off, _ = compare_training(policy, runtime)
    frames, command, z_tm1, targets, z = runtime.trace()
    assert len(runtime) == 30 == len(frames)
    np.testing.assert_array_equal(z_tm1[1:], z[:-1])
    np.testing.assert_allclose(command, np.tile([0.4, 0.0, 0.2], (30, 1)), rtol=1e-6)
    assert np.abs(np.diff(targets, axis=0)).max() > 0.01
    assert targets_off <= 1e-5 and handed_off <= 1e-4


def test_a_difference_is_seen(policy: TaskPolicy, runtime: TracingRuntime) -> None:
    runtime._told[17][3][4] += 0.02
    targets_off, _, step = compare_training(policy, runtime)
    assert targets_off == pytest.approx(0.02, abs=1e-4) and step == 17


def test_policy_of_a_recording(bundle: Bundle) -> None:
    found = policy_of(_recorded(bundle.sha256))
    assert found is not None and found.robot == "anymal_c"
    assert policy_of(_recorded("0" * 64)) is None
    with pytest.raises(ContractError, match="recorded with another policy"):
        policy_of(_recorded("0" * 64), shipped_policy("anymal_c"))


def test_where_the_bundle_of_a_log_is_looked_for(policy: TaskPolicy, tmp_path: Path) -> None:
    then, beside, log = tmp_path / "then.onnx", tmp_path / "log" / "x.onnx", tmp_path / "log" / "l"
    write_bytes(then, export_bytes(policy, timing("anymal_c")))
    header = {"robot": "anymal_c", "task": "walk", "bundle": Bundle.load(then).sha256}
    run = RecordedRun(header=header, arrays={}, source=str(log))
    with pytest.raises(FileFormatError, match="is not there, nor where it was then"):
        Replay(log=log)._bundle(run)
    header["bundle_file"] = str(then)
    assert Replay(log=log)._bundle(run).name == str(then)
    # Another policy in its place is not taken; one beside the log that is the same is.
    write_bytes(beside, then.read_bytes())
    assert Replay(log=log)._bundle(run).name == str(beside)
    beside.unlink()
    header["bundle"] = "0" * 64
    with pytest.raises(FileFormatError, match="expected it to be named by --bundle"):
        Replay(log=log)._bundle(run)


def test_policy_of_a_recording_that_also_gets_up() -> None:
    policy = recovering(load_policy("op3", "walk", None))
    bundle = policy_bundle(policy, timing("op3"))
    header = {"robot": "op3", "task": "walk", "bundle": bundle.sha256}
    found = policy_of(RecordedRun(header=header, arrays={}, source="log"), shipped_policy("op3"))
    assert isinstance(found, RecoveringPolicy)
    rng, runtime, home = np.random.default_rng(0), TracingRuntime(bundle), robots.get("op3")
    for step in range(60):
        lies = 20 < step < 40
        runtime.signals["gravity"][0] = [-0.99, 0.0, 0.05] if lies else [0.05, 0.0, -0.99]
        runtime.signals["angular_velocity"][0] = rng.normal(0.0, 0.3, 3)
        runtime.signals["joint_pos"][0] = home.default_joint_pos + rng.normal(0.0, 0.1, 20)
        runtime.command[0] = [0.2, 0.0, 0.2]
        runtime.step()
    targets_off, handed_off, _ = compare_training(found, runtime)
    assert targets_off <= 1e-5 and handed_off <= 1e-4


@pytest.mark.parametrize("given", ["log", "log.000.npz"])
def test_a_recording_is_not_overwritten(bundle: Bundle, tmp_path: Path, given: str) -> None:
    log = DeploymentLog(tmp_path / "log", bundle, config_of("anymal_c"))
    controller, sensors = Controller(bundle, config_of("anymal_c")), SensorSnapshot(12)
    command = CommandSnapshot(len(bundle.header.command))
    log.record(1.0, sensors, command, controller.tick(1.0, sensors, command))
    log.close()
    part = tmp_path / "log.000.npz"
    before = part.read_bytes()
    for options, words in (
        ({"joint_log": part}, "is a part of the log, expected the name of another file"),
        ({"joint_log": tmp_path / "joints.csv"}, "file name that ends in .npz"),
    ):
        with pytest.raises(SettingsError, match=words):
            Replay(log=tmp_path / given, **options).run()
        assert part.read_bytes() == before and list(tmp_path.iterdir()) == [part]
