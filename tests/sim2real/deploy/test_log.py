import threading
from pathlib import Path

import numpy as np
import pytest

from legged_skills.robots.errors import ContractError, FileFormatError, SettingsError
from legged_skills.robots.files import read_archive, write_archive
from legged_skills.sim2real.deploy.log import CODES, KIND, STATES, DeploymentLog
from legged_skills.sim2real.deploy.recorded_run import parts_of, read_run, replay
from legged_skills.sim2real.deploy.states import Event, State


class Recorder:
    """A run on a bench that is being recorded."""

    def __init__(self, bench, path, part_s=60.0):
        self.bench, self.states, self.targets = bench, [], []
        self.log = DeploymentLog(path, bench.controller.bundle, bench.config, part_s, wait=True)

    def go(self, seconds, edit=None):
        bench = self.bench
        for _ in range(round(seconds / bench.period_s)):
            output = bench.tick(edit)
            self.log.record(bench.now_s, bench.sensors, bench.command, output, 0.001)
            self.states.append(output.state)
            self.targets.append(output.joint_targets.copy())


def _run(bench, path, part_s=60.0):
    recorder = Recorder(bench, path, part_s)
    recorder.go(0.2)
    bench.ask(Event.PREPARE)
    recorder.go(3.0)
    bench.ask(Event.ENABLE)
    recorder.go(1.0)
    bench.command.values[:], bench.command.time_s = [0.3, 0.1, -0.2], bench.now_s
    recorder.go(1.0)
    recorder.go(0.1, lambda sensors: sensors.reject("short."))
    recorder.go(0.6)
    bench.ask(Event.RESET)
    recorder.go(0.2)
    recorder.log.close()
    assert recorder.log.error == "" and recorder.log.lost == 0
    return recorder


@pytest.mark.parametrize("part_s", [60.0, 0.7])
def test_every_step_is_decided_once_more_exactly(bench, bundles, tmp_path, part_s):
    recorder = _run(bench, tmp_path / "walk", part_s)
    run = read_run(tmp_path / "walk")
    assert len(run) == len(recorder.states)
    assert {State.POLICY, State.FAULT, State.RAMP} <= set(recorder.states)
    np.testing.assert_array_equal(run.arrays["joint_targets"], recorder.targets)
    assert [STATES[code] for code in run.arrays["state"]] == recorder.states
    rows = 0
    for row, output in replay(run, bundles[bench.spec.name]):
        assert output.state is recorder.states[row]
        np.testing.assert_array_equal(output.joint_targets, recorder.targets[row])
        rows += 1
    assert rows == len(run)


def test_numbers_that_a_log_keeps(bench, tmp_path):
    _run(bench, tmp_path / "walk")
    run = read_run(tmp_path / "walk.000.npz")
    assert run.config == bench.config
    header = run.header
    assert (header["robot"], header["task"]) == (bench.spec.name, "walk")
    assert header["bundle"] == bench.controller.bundle.sha256
    assert header["bundle_file"] == str(Path(bench.controller.bundle.name).absolute())
    assert tuple(header["joint_names"]) == bench.spec.joint_names
    arrays = run.arrays
    np.testing.assert_allclose(np.diff(arrays["time_s"]), bench.period_s, rtol=1e-6)
    assert arrays["imu"].shape == (len(run), 11) and (arrays["num_imu"] == 1).all()
    np.testing.assert_allclose(arrays["command"][-1], [0.3, 0.1, -0.2])
    assert (arrays["step_s"] == 0.001).all()
    fault = int(arrays["faults"].max())
    assert CODES[fault.bit_length() - 1].value == "unusable_message"
    asked = [run.events(row) for row in range(len(run)) if run.events(row)]
    assert asked == [(Event.PREPARE,), (Event.ENABLE,), (Event.RESET,)]


def test_long_runs_are_in_several_files(bench, tmp_path):
    _run(bench, tmp_path / "walk", 1.0)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"walk.{number:03d}.npz" for number in range(7)]
    assert len(read_archive(tmp_path / "walk.001.npz", KIND)[0]["time_s"]) == pytest.approx(
        1.0 / bench.period_s, abs=1
    )


def test_arrays_are_made_once(bench, tmp_path):
    recorder = Recorder(bench, tmp_path / "walk")
    before = {name: id(array) for name, array in recorder.log._chunk.arrays.items()}
    recorder.go(1.0)
    assert {name: id(array) for name, array in recorder.log._chunk.arrays.items()} == before
    assert list(tmp_path.iterdir()) == []


def test_disk_that_is_no_disk_is_reported_and_stops_nothing(bench, tmp_path):
    (tmp_path / "file").write_text("")
    recorder = Recorder(bench, tmp_path / "file" / "walk", 0.5)
    recorder.go(2.0)
    recorder.log.close()
    assert "cannot be written" in recorder.log.error


def test_whatever_fails_in_writing_stops_nothing(bench, tmp_path, monkeypatch):
    from legged_skills.sim2real.deploy import log as log_module

    write, fails = log_module.write_archive, iter([True, True, True])

    def broken(*args):
        if next(fails, False):
            raise MemoryError("no\nroom")
        write(*args)

    monkeypatch.setattr(log_module, "write_archive", broken)
    recorder = Recorder(bench, tmp_path / "walk", 0.5)
    recorder.go(2.2)
    recorder.log.close()
    assert recorder.log.error == "no room" and recorder.log.lost == 0
    # Two arrays take turns: both are empty again after a failure.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["walk.003.npz", "walk.004.npz"]


def test_log_that_cannot_go_on_counts_what_it_loses(bench, tmp_path, monkeypatch):
    recorder = Recorder(bench, tmp_path / "walk", 0.5)

    def broken(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", broken)
    recorder.go(1.0)
    rows = round(0.5 / bench.period_s)
    assert recorder.log.lost == len(recorder.states) - rows
    assert "can't start new thread" in recorder.log.error
    recorder.log.close()
    assert len(read_run(tmp_path / "walk")) == rows


def test_no_log_is_written_over(bench, tmp_path):
    for _ in range(3):
        recorder = Recorder(bench, tmp_path / "walk")
        recorder.go(0.2)
        recorder.log.close()
    assert recorder.log.path == tmp_path / "walk-3"
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["walk-2.000.npz", "walk-3.000.npz", "walk.000.npz"]


def test_logs_that_are_none(bench, bundles, tmp_path):
    with pytest.raises(FileFormatError, match="there is no such deployment log"):
        read_run(tmp_path / "walk")
    _run(bench, tmp_path / "walk", 1.0)
    run = read_run(tmp_path / "walk")
    other = bundles["op3" if bench.spec.name == "anymal_c" else "anymal_c"]
    with pytest.raises(ContractError, match="recorded with the bundle"):
        list(replay(run, other))
    arrays, header = read_archive(tmp_path / "walk.003.npz", KIND)
    write_archive(tmp_path / "walk.003.npz", KIND, arrays, header | {"task": "dribble"})
    with pytest.raises(FileFormatError, match="is part of another log than"):
        read_run(tmp_path / "walk")
    write_archive(tmp_path / "walk.003.npz", KIND, arrays | {"state": arrays["state"][1:]}, header)
    with pytest.raises(FileFormatError, match="the log's state is not an array of shape"):
        read_run(tmp_path / "walk")
    write_archive(tmp_path / "walk.003.npz", KIND, arrays, header | {"codes": ["tilt"]})
    with pytest.raises(FileFormatError, match=r"is part of another log|those of another version"):
        read_run(tmp_path / "walk")
    (tmp_path / "walk.003.npz").unlink()
    with pytest.raises(FileFormatError, match="part 3 of the deployment log is missing"):
        read_run(tmp_path / "walk")


def test_files_are_in_the_order_of_their_numbers(tmp_path):
    names = [f"walk.{number:03d}.npz" for number in range(1003)]
    for name in [*names, "walk.config.npz", "walk-2.000.npz"]:
        (tmp_path / name).touch()
    assert [part.name for part in parts_of(tmp_path / "walk")] == names


@pytest.mark.parametrize("path", [".", "/"])
def test_a_folder_is_no_name(bench, path):
    with pytest.raises(SettingsError, match=r"log is .*, expected the name of files"):
        DeploymentLog(path, bench.controller.bundle, bench.config)


def test_name_with_special_characters(bench, tmp_path):
    recorder = Recorder(bench, tmp_path / "walk[1]")
    recorder.go(0.2)
    recorder.log.close()
    assert len(read_run(tmp_path / "walk[1]")) == len(recorder.states)


def test_slow_disk_loses_steps_but_no_time(bench, tmp_path, monkeypatch):
    from legged_skills.sim2real.deploy import log as log_module

    gate = threading.Event()
    write = log_module.write_archive

    def slow(*args):
        gate.wait(30.0)
        write(*args)

    monkeypatch.setattr(log_module, "write_archive", slow)
    log = DeploymentLog(tmp_path / "walk", bench.controller.bundle, bench.config, 0.5)
    rows = round(0.5 / bench.period_s)
    for _ in range(2 * rows + 7):
        output = bench.tick()
        log.record(bench.now_s, bench.sensors, bench.command, output)
    assert log.lost == 7
    gate.set()
    log.close()
    assert len(read_run(tmp_path / "walk")) == 2 * rows
