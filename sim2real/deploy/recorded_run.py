"""Reads what ``log`` wrote, and decides every step of it once more.

T is the number of control steps, K that of IMU samples, J that of joints.
"""

import glob
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from legged_skills.robots.errors import ContractError, FileFormatError, SettingsError
from legged_skills.robots.files import read_archive
from legged_skills.sim2real.bundle import Bundle
from legged_skills.sim2real.deploy.config import DeployConfig, config_of
from legged_skills.sim2real.deploy.controller import Controller, Output
from legged_skills.sim2real.deploy.log import CODES, EVENTS, KIND, STATES, columns
from legged_skills.sim2real.deploy.parameters import replaced
from legged_skills.sim2real.deploy.snapshot import IMU_WIDTH, CommandSnapshot, SensorSnapshot
from legged_skills.sim2real.deploy.states import Event
from legged_skills.sim2real.runtime import Runtime


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordedRun:
    """A log as it is read. T control steps, K IMU samples."""

    header: Mapping[str, Any]
    """Robot, task, bundle, joint names, settings, and what numbers mean."""
    arrays: Mapping[str, np.ndarray]
    """(T, ...) by name, see ``DeploymentLog.record``; "imu" is (K, 11)."""
    source: str
    """Where it is from, for messages."""

    @property
    def config(self) -> DeployConfig:
        """The controller's settings.

        Raises:
            FileFormatError: they are not such settings.
        """
        try:
            return replaced(config_of(self.header["robot"]), self.header["config"])
        except (SettingsError, KeyError, AttributeError) as error:
            raise FileFormatError(
                f"{self.source}: its settings are not usable ({error})."
            ) from error

    def __len__(self) -> int:
        """T."""
        return len(self.arrays["time_s"])

    def events(self, row: int) -> tuple[Event, ...]:
        """What was requested before a step."""
        bits = int(self.arrays["events"][row])
        return tuple(event for bit, event in enumerate(EVENTS) if bits >> bit & 1)

    def fill(self, row: int, sensors: SensorSnapshot, command: CommandSnapshot) -> float:
        """Writes what a step was told into snapshots.

        Args:
            row: the step; steps must be asked for one after another or at random, as one likes.
            sensors: gets the sensor values.
            command: gets the command.

        Returns:
            The time of the step [s].
        """
        arrays = self.arrays
        sensors.joint_pos[:] = arrays["joint_pos"][row]
        sensors.joint_vel[:] = arrays["joint_vel"][row]
        sensors.joint_time_s[:] = arrays["joint_time_s"][row]
        count, stop = int(arrays["num_imu"][row]), int(self._imu_stops[row])
        sensors.imu[:count] = arrays["imu"][stop - count : stop]
        sensors.num_imu = count
        sensors.others = int(arrays["others"][row])
        sensors.owner = "another owner was recorded." if arrays["owned"][row] else ""
        sensors.rejected = int(arrays["rejected"][row])
        sensors.rejection = "an unusable message was recorded."
        sensors.spoiled = "a spoiled joint state was recorded." if arrays["spoiled"][row] else ""
        sensors.battery_v = float(arrays["battery_v"][row])
        command.values[:] = arrays["command"][row]
        command.time_s = float(arrays["command_time_s"][row])
        return float(arrays["time_s"][row])

    @cached_property
    def _imu_stops(self) -> np.ndarray:
        return np.cumsum(self.arrays["num_imu"])


def parts_of(path: Path) -> list[Path]:
    """The files of a log, by its name without number and ".npz", in order."""
    found = path.parent.glob(f"{glob.escape(path.name)}.*.npz")
    numbers = {part: part.name.split(".")[-2] for part in found}
    numbered = [part for part, number in numbers.items() if number.isdecimal()]
    return sorted(numbered, key=lambda part: int(numbers[part]))


def read_run(path: str | Path) -> RecordedRun:
    """Reads a log.

    Args:
        path: its name without number and ".npz", or one of its files.

    Returns:
        All its files as one.

    Raises:
        FileFormatError: there is no such log, or a file is missing, damaged or of another log.
    """
    given, path = path, Path(re.sub(r"\.\d{3,}\.npz$", "", str(path)))
    parts = parts_of(path)
    if not parts:
        there = Path(given).is_file()
        raise FileFormatError(
            f"{given}: {'is no' if there else 'there is no such'} deployment log."
        )
    header: dict[str, Any] = {}
    pieces: list[dict[str, np.ndarray]] = []
    for number, part in enumerate(parts):
        if part.name != f"{path.name}.{number:03d}.npz":
            raise FileFormatError(f"{path}: part {number} of the deployment log is missing.")
        arrays, found = read_archive(part, KIND)
        if pieces and found != header:
            raise FileFormatError(f"{part}: it is part of another log than {parts[0]}.")
        header = found
        if "command" in arrays:
            # Earlier logs do not have it.
            arrays.setdefault("spoiled", np.zeros(len(arrays["command"]), dtype=bool))
        _check(arrays, header, part)
        pieces.append(arrays)
    merged = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    return RecordedRun(header=header, arrays=merged, source=str(path))


def _check(arrays: Mapping[str, np.ndarray], header: Mapping[str, Any], path: Path) -> None:
    """Checks that a file holds what logs hold.

    Raises:
        FileFormatError: it does not.
    """
    meanings = {"states": STATES, "events": EVENTS, "codes": CODES}
    for name, members in meanings.items():
        if header.get(name) != [member.value for member in members]:
            raise FileFormatError(f"{path}: the log's {name} are those of another version.")
    names, command = header.get("joint_names"), arrays.get("command")
    if not isinstance(names, list) or command is None or command.ndim != 2:
        raise FileFormatError(f"{path}: the log lacks joint names or commands.")
    rows = len(command)
    wanted = {
        name: ((rows, *shape), kind)
        for name, (shape, kind) in columns(len(names), command.shape[1]).items()
    }
    samples = int(arrays["num_imu"].sum()) if "num_imu" in arrays else 0
    wanted["imu"] = ((samples, IMU_WIDTH), np.float64)
    for name, (shape, kind) in wanted.items():
        found = arrays.get(name)
        if found is None or found.shape != shape or found.dtype != kind:
            raise FileFormatError(f"{path}: the log's {name} is not an array of shape {shape}.")


def replay(
    run: RecordedRun, bundle: Bundle, runtime: Runtime | None = None
) -> Iterator[tuple[int, Output]]:
    """Lets a new controller decide on what was recorded.

    Args:
        run: the recording.
        bundle: the policy that it was made with.
        runtime: what runs the policy, to look at what it is told; made new by default.

    Yields:
        For each step its row and what is decided now, to be compared with the arrays "state" and
        "joint_targets"; outputs are overwritten by the next one.

    Raises:
        ContractError: the recording was made with another policy.
    """
    recorded = run.header.get("bundle")
    if recorded != bundle.sha256:
        raise ContractError(
            f"{run.source}: recorded with the bundle {str(recorded)[:16]}..., "
            f"not with {bundle.name} ({bundle.sha256[:16]}...)."
        )
    controller = Controller(bundle, run.config)
    if runtime is not None:
        controller.runtime = runtime
    sensors = SensorSnapshot(run.arrays["joint_pos"].shape[1])
    command = CommandSnapshot(run.arrays["command"].shape[1])
    for row in range(len(run)):
        for event in run.events(row):
            controller.request(event)
        now_s = run.fill(row, sensors, command)
        yield row, controller.tick(now_s, sensors, command)
