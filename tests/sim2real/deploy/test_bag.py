"""A log written once more as a bag, and read back."""

import numpy as np
import pytest

from legged_skills.robots.errors import FileFormatError
from legged_skills.sim2real.deploy.log import DeploymentLog
from legged_skills.sim2real.deploy.states import Event

pytest.importorskip("rosbags")


def test_a_bag_holds_what_the_log_holds(bench, tmp_path):
    from rosbags.rosbag2 import Reader
    from rosbags.typesys import Stores, get_typestore

    from legged_skills.sim2real.deploy.bag import write_bag

    log = DeploymentLog(tmp_path / "log", bench.controller.bundle, bench.config)
    targets, measured, states = [], [], []
    for step in range(60):
        if step == 10:
            bench.ask(Event.PREPARE)
        output = bench.tick()
        log.record(bench.now_s, bench.sensors, bench.command, output)
        measured.append(bench.sensors.joint_pos.copy())
        states.append(output.state.value)
        if output.publish:
            targets.append(output.joint_targets.copy())
    log.close()
    count = write_bag(tmp_path / "log", tmp_path / "bag")
    store = get_typestore(Stores.ROS2_JAZZY)
    found: dict[str, list] = {}
    times: list[int] = []
    with Reader(tmp_path / "bag") as reader:
        for connection, time_ns, data in reader.messages():
            message = store.deserialize_cdr(data, connection.msgtype)
            found.setdefault(connection.topic, []).append(message)
            times.append(time_ns)
    assert [path.suffix for path in (tmp_path / "bag").glob("bag*")] == [".mcap"]
    assert count == len(times) == sum(map(len, found.values()))
    assert times == sorted(times)
    np.testing.assert_array_equal([m.position for m in found["/joint_targets"]], targets)
    np.testing.assert_array_equal([m.position for m in found["/joints"]], measured)
    assert list(found["/joints"][0].name) == list(bench.spec.joint_names)
    assert [m.data for m in found["/state"]] == ["idle", "ramp"]
    assert states[:11] == ["idle"] * 10 + ["ramp"]
    assert len(found["/imu"]) == len(found["/command"]) == 60
    assert found["/imu"][0].linear_acceleration.z == pytest.approx(9.80665, abs=0.1)
    with pytest.raises(FileFormatError, match="cannot be written"):
        write_bag(tmp_path / "log", tmp_path / "bag")


def test_of_a_bag_that_is_interrupted_nothing_is_left(bench, tmp_path, monkeypatch):
    from rosbags.rosbag2 import Writer

    from legged_skills.sim2real.deploy.bag import write_bag

    log = DeploymentLog(tmp_path / "log", bench.controller.bundle, bench.config)
    for _ in range(5):
        log.record(bench.now_s, bench.sensors, bench.command, bench.tick())
    log.close()
    before = sorted(tmp_path.iterdir())

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Writer, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bag(tmp_path / "log", tmp_path / "bag")
    assert sorted(tmp_path.iterdir()) == before
