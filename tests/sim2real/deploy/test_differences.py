import dataclasses

import numpy as np
import pytest

from legged_skills.robots.errors import ClipError
from legged_skills.sim2real.deploy.differences import compare, joint_log
from legged_skills.sim2real.deploy.log import STATES, DeploymentLog
from legged_skills.sim2real.deploy.plots import gravity_b, plot
from legged_skills.sim2real.deploy.recorded_run import RecordedRun, read_run
from legged_skills.sim2real.deploy.snapshot import IMU_ACCELERATION, IMU_ORIENTATION
from legged_skills.sim2real.deploy.states import Event, State
from legged_skills.sim2real.joint_log import read_log


@pytest.fixture
def run(bench, bundles, tmp_path) -> RecordedRun:
    """Ramp, hold and policy, for 7 s or so."""
    return _record(bench, bundles, tmp_path)


def _record(bench, bundles, tmp_path, **settings) -> RecordedRun:
    bundle = bundles[bench.spec.name]
    log = DeploymentLog(tmp_path / "log", bundle, bench.config, wait=True, **settings)

    def go(seconds: float) -> None:
        for _ in range(round(seconds / bench.period_s)):
            output = bench.tick()
            log.record(bench.now_s, bench.sensors, bench.command, output, 0.001)

    go(0.2)
    bench.ask(Event.PREPARE)
    go(5.0)
    bench.ask(Event.ENABLE)
    go(1.0)
    log.close()
    return read_run(tmp_path / "log")


def _changed(run: RecordedRun, **arrays: np.ndarray) -> RecordedRun:
    return dataclasses.replace(run, arrays={**run.arrays, **arrays})


def test_a_recording_is_decided_again_as_it_was(run, bundles):
    found = compare(run, bundles[run.header["robot"]])
    assert (found.first, found.steps) == ("", len(run))
    assert found.worst_rad == 0.0


def test_the_first_difference_is_named(run, bundles):
    bundle, row = bundles[run.header["robot"]], len(run) - 20
    targets = run.arrays["joint_targets"].copy()
    targets[row:, 3] += 1e-3
    found = compare(_changed(run, joint_targets=targets), bundle)
    assert found.steps == row + 1
    assert found.first.startswith(f"step {row}, ") and run.header["joint_names"][3] in found.first
    state = run.arrays["state"].copy()
    state[7] = STATES.index(State.FAULT)
    found = compare(_changed(run, state=state), bundle)
    assert found.first.startswith("step 7, ") and "the state was fault, now idle" in found.first


def test_joint_log_for_identification(run, tmp_path):
    log = joint_log(run)
    log.write(tmp_path / "joints.npz")
    read = read_log(tmp_path / "joints.npz")
    rows = run.arrays["publish"]
    assert read.robot == run.header["robot"] and len(read.time_s) == rows.sum() > 100
    np.testing.assert_array_equal(read.command, run.arrays["joint_targets"][rows])
    # Joints were heard of at the time of the step here.
    np.testing.assert_allclose(read.position, run.arrays["joint_pos"][rows], atol=1e-9)
    assert np.abs(read.position - read.position[0]).max() > 0.02


def test_a_run_that_sent_nothing_is_no_joint_log(run):
    silent = _changed(run, publish=np.zeros(len(run), dtype=bool))
    with pytest.raises(ClipError, match="no joint targets were sent"):
        joint_log(silent)


def test_a_dry_run_is_decided_again_but_is_no_joint_log(bench, bundles, tmp_path):
    run = _record(bench, bundles, tmp_path, dry_run=True)
    assert run.header["dry_run"] and compare(run, bundles[run.header["robot"]]).first == ""
    with pytest.raises(ClipError, match="no joint targets were sent in a dry run"):
        joint_log(run)


def test_gravity_is_drawn_in_the_base_frame(run):
    """With the nose down x is positive, wherever the IMU looks."""
    np.testing.assert_allclose(gravity_b(run)[-1], [0.0, 0.0, -1.0], atol=0.01)
    imu, tilt = run.arrays["imu"].copy(), np.deg2rad(20.0)
    # Turned by 20 degrees about the base's y: of what is felt, upwards, x is -sin 20.
    c, s = np.cos(0.5 * tilt), np.sin(0.5 * tilt)
    if run.header["robot"] == "anymal_c":
        half = 0.5**0.5
        # Then by 90 degrees about z, as the IMU is mounted: (c, 0, s, 0) (half, 0, 0, half).
        imu[:, IMU_ORIENTATION] = half * np.array([c, s, s, c])
    else:
        imu[:, IMU_ACCELERATION] = 9.80665 * np.array([-np.sin(tilt), 0.0, np.cos(tilt)])
    found = gravity_b(_changed(run, imu=imu))
    assert found.shape == (len(imu), 3)
    np.testing.assert_allclose(found[-1], [np.sin(tilt), 0.0, -np.cos(tilt)], atol=0.02)


def test_plot_is_a_picture(run):
    data = plot(run)
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) > 20_000
