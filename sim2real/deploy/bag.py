"""A deployment's log as a rosbag2 of MCAP, for the tools of ROS 2; needs rosbags, but no ROS."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from legged_skills.robots.errors import FileFormatError
from legged_skills.sim2real.deploy.log import STATES
from legged_skills.sim2real.deploy.recorded_run import read_run
from legged_skills.sim2real.deploy.snapshot import IMU_ACCELERATION, IMU_GYRO, IMU_ORIENTATION
from legged_skills.sim2real.deploy.states import State

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
    entries: list[tuple[float, str, str, Any]] = [
        (float(row[0]), IMU, "sensor_msgs/msg/Imu", imu(row)) for row in arrays["imu"]
    ]
    before: State | None = None
    for i, time_s in enumerate(arrays["time_s"].tolist()):
        state = STATES[int(arrays["state"][i])]
        heard_s = float(arrays["joint_time_s"][i].max())
        if np.isfinite(heard_s):
            message = joints(heard_s, arrays["joint_pos"][i], arrays["joint_vel"][i])
            entries.append((time_s, JOINTS, "sensor_msgs/msg/JointState", message))
        if arrays["publish"][i]:
            message = joints(time_s, arrays["joint_targets"][i], np.zeros(0))
            entries.append((time_s, TARGETS, "sensor_msgs/msg/JointState", message))
        message = make("std_msgs/msg/Float64MultiArray", layout, arrays["command"][i])
        entries.append((time_s, COMMAND, "std_msgs/msg/Float64MultiArray", message))
        if state is not before:
            before = state
            message = make("std_msgs/msg/String", state.value)
            entries.append((time_s, STATE, "std_msgs/msg/String", message))
    entries.sort(key=lambda entry: entry[0])
    try:
        with Writer(Path(bag), version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            kind_of = {topic: kind for _, topic, kind, _ in entries}
            connections = {
                topic: writer.add_connection(topic, kind, typestore=store)
                for topic, kind in kind_of.items()
            }
            for time_s, topic, kind, message in entries:
                data = store.serialize_cdr(message, kind)
                writer.write(connections[topic], round(1e9 * time_s), data)
    except (OSError, WriterError) as error:
        raise FileFormatError(f"{bag}: cannot be written ({error}).") from error
    return len(entries)
