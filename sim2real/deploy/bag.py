"""A deployment's log as a rosbag2 of MCAP, for the tools of ROS 2; needs rosbags, but no ROS."""

import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from legged_skills.robots.errors import FileFormatError
from legged_skills.sim2real.deploy.log import STATES
from legged_skills.sim2real.deploy.recorded_run import read_run
from legged_skills.sim2real.deploy.snapshot import IMU_ACCELERATION, IMU_GYRO, IMU_ORIENTATION

JOINTS, TARGETS, IMU, COMMAND, STATE = "/joints", "/joint_targets", "/imu", "/command", "/state"
"""JointState as measured and as published, Imu, Float64MultiArray, and String when it changes."""


def bag_possible() -> bool:
    """Whether the library that writes bags is installed."""
    return importlib.util.find_spec("rosbags") is not None


def write_bag(log: str | Path, bag: str | Path) -> int:
    """Writes a log once more, as a bag.

    Names are the policy's, angles the policy's, and times those of the bridge's steady clock. The
    IMU is as it came, in its own frame.

    Args:
        log: name of the log's files without number and ".npz", or one of them.
        bag: folder to make, which must not be there.

    Returns:
        Number of messages.

    Raises:
        FileFormatError: the log cannot be read, or the bag not be written.
    """
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.rosbag2.errors import WriterError
    from rosbags.typesys import Stores, get_typestore

    run = read_run(log)
    arrays, store = run.arrays, get_typestore(Stores.ROS2_JAZZY)
    kinds: Any = store.types
    names = list(run.header["joint_names"])

    def make(kind: str, *values: Any) -> Any:
        return kinds[kind](*values)

    def head(time_s: float, frame: str) -> Any:
        seconds, rest = divmod(round(1e9 * time_s), 10**9)
        stamp = make("builtin_interfaces/msg/Time", seconds, rest)
        return make("std_msgs/msg/Header", stamp, frame)

    def joints(time_s: float, position: np.ndarray, velocity: np.ndarray) -> Any:
        none = np.zeros(0)
        return make("sensor_msgs/msg/JointState", head(time_s, ""), names, position, velocity, none)

    def imu(row: np.ndarray) -> Any:
        w, x, y, z = row[IMU_ORIENTATION]
        covariance = np.zeros(9)
        covariance[0] = -1.0 if np.isnan(w) else 0.0
        return make(
            "sensor_msgs/msg/Imu",
            head(float(row[0]), "imu"),
            make("geometry_msgs/msg/Quaternion", x, y, z, w),
            covariance,
            make("geometry_msgs/msg/Vector3", *row[IMU_GYRO]),
            np.zeros(9),
            make("geometry_msgs/msg/Vector3", *row[IMU_ACCELERATION]),
            np.zeros(9),
        )

    layout = make("std_msgs/msg/MultiArrayLayout", [], 0)
    states = [STATES[code] for code in arrays["state"].tolist()]
    heard_s = arrays["joint_time_s"].max(axis=1)
    makers: dict[str, tuple[str, Callable[[int], Any]]] = {
        IMU: ("sensor_msgs/msg/Imu", lambda i: imu(arrays["imu"][i])),
        JOINTS: (
            "sensor_msgs/msg/JointState",
            lambda i: joints(float(heard_s[i]), arrays["joint_pos"][i], arrays["joint_vel"][i]),
        ),
        TARGETS: (
            "sensor_msgs/msg/JointState",
            lambda i: joints(float(arrays["time_s"][i]), arrays["joint_targets"][i], np.zeros(0)),
        ),
        COMMAND: (
            "std_msgs/msg/Float64MultiArray",
            lambda i: make("std_msgs/msg/Float64MultiArray", layout, arrays["command"][i]),
        ),
        STATE: ("std_msgs/msg/String", lambda i: make("std_msgs/msg/String", states[i].value)),
    }
    # When, on what topic, and the row that it is made of; messages themselves are made one by one.
    entries: list[tuple[float, str, int]] = [
        (time_s, IMU, i) for i, time_s in enumerate(arrays["imu"][:, 0].tolist())
    ]
    for i, time_s in enumerate(arrays["time_s"].tolist()):
        if np.isfinite(heard_s[i]):
            entries.append((time_s, JOINTS, i))
        if arrays["publish"][i]:
            entries.append((time_s, TARGETS, i))
        entries.append((time_s, COMMAND, i))
        if i == 0 or states[i] is not states[i - 1]:
            entries.append((time_s, STATE, i))
    entries.sort(key=lambda entry: entry[0])
    bag = Path(bag)
    if bag.exists():
        raise FileFormatError(f"{bag}: cannot be written (it is there already).")
    try:
        # The files of a bag have its name, so that it is made under it, elsewhere.
        with tempfile.TemporaryDirectory(prefix=f".{bag.name}-", dir=bag.parent) as folder:
            with Writer(
                Path(folder, bag.name), version=9, storage_plugin=StoragePlugin.MCAP
            ) as writer:
                connections = {
                    topic: writer.add_connection(topic, makers[topic][0], typestore=store)
                    for topic in dict.fromkeys(topic for _, topic, _ in entries)
                }
                for time_s, topic, i in entries:
                    kind, maker = makers[topic]
                    data = store.serialize_cdr(maker(i), kind)
                    writer.write(connections[topic], round(1e9 * time_s), data)
            Path(folder, bag.name).rename(bag)
    except (OSError, WriterError) as error:
        raise FileFormatError(f"{bag}: cannot be written ({error}).") from error
    return len(entries)
