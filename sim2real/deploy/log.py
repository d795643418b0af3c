"""What happened in a deployment, step by step: enough to decide every step once more, exactly.

What went wrong outside of a step, in the driver or as the loop ended, is not in it: of that the
states tell only, and deciding once more stays in the state before.

A log is one ``.npz`` archive for every minute or so: ``name.000.npz``, ``name.001.npz``, ... Each
holds T control steps, the K IMU samples that came in between, and a header with robot, bundle,
joint names and settings. J is the number of joints, C the size of the command.
"""

import dataclasses
import glob
import threading
from pathlib import Path
from typing import Any

import numpy as np

from legged_skills.robots.errors import SettingsError
from legged_skills.robots.files import write_archive
from legged_skills.sim2real.bundle import Bundle
from legged_skills.sim2real.deploy.config import DeployConfig
from legged_skills.sim2real.deploy.controller import Output
from legged_skills.sim2real.deploy.guards import Code
from legged_skills.sim2real.deploy.snapshot import (
    IMU_CAPACITY,
    IMU_WIDTH,
    CommandSnapshot,
    SensorSnapshot,
)
from legged_skills.sim2real.deploy.states import Event, State

KIND = "deployment log"
STATES = tuple(State)
"""What the numbers in ``state`` mean."""
EVENTS = tuple(Event)
"""What the bits of ``events`` mean."""
CODES = tuple(Code)
"""What the bits of ``faults`` and ``warnings`` mean."""
_SAMPLES_PER_STEP = 10
"""Room for IMU samples; a file with more IMU samples holds fewer steps."""


def columns(joints: int, command: int) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Shape of a row, and type, of each array."""
    return {
        "time_s": ((), np.float64),
        "joint_pos": ((joints,), np.float64),
        "joint_vel": ((joints,), np.float64),
        "joint_time_s": ((joints,), np.float64),
        "num_imu": ((), np.int64),
        "others": ((), np.int64),
        "owned": ((), np.bool_),
        "rejected": ((), np.int64),
        "spoiled": ((), np.bool_),
        "battery_v": ((), np.float64),
        "command": ((command,), np.float64),
        "command_time_s": ((), np.float64),
        "events": ((), np.int64),
        "state": ((), np.int64),
        "joint_targets": ((joints,), np.float64),
        "publish": ((), np.bool_),
        "limited": ((), np.bool_),
        "faults": ((), np.int64),
        "warnings": ((), np.int64),
        "step_s": ((), np.float64),
    }


class _Chunk:
    """Arrays for one file, allocated once."""

    def __init__(self, rows: int, joints: int, command: int) -> None:
        self.arrays = {
            name: np.zeros((rows, *shape), kind)
            for name, (shape, kind) in columns(joints, command).items()
        }
        self.imu = np.zeros((rows * _SAMPLES_PER_STEP + IMU_CAPACITY, IMU_WIDTH))
        self.rows = self.samples = 0

    @property
    def full(self) -> bool:
        """Whether the next step might not fit."""
        no_room = self.samples + IMU_CAPACITY > len(self.imu)
        return self.rows == len(self.arrays["time_s"]) or no_room

    def contents(self) -> dict[str, np.ndarray]:
        """What is filled."""
        filled = {name: array[: self.rows] for name, array in self.arrays.items()}
        return filled | {"imu": self.imu[: self.samples]}


def _free(path: Path) -> Path:
    """A name that no other log has: what happened before is not written over."""
    number, free = 1, path
    while any(path.parent.glob(f"{glob.escape(free.name)}.[0-9]*.npz")):
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


class DeploymentLog:
    """Writes a log while the robot runs; the control loop only copies numbers.

    Attributes:
        path: name of the files: the one wished for, or that with "-2", "-3", ... if there is such
            a log already.
        error: why a file could not be written, in one sentence; empty if all could.
        lost: so many steps could not be kept because writing was too slow.
    """

    def __init__(
        self,
        path: str | Path,
        bundle: Bundle,
        config: DeployConfig,
        part_s: float = 60.0,
        wait: bool = False,
        dry_run: bool = False,
    ) -> None:
        """Allocates everything.

        Args:
            path: name of the files, without number and ".npz".
            bundle: the policy.
            config: the controller's settings.
            part_s: time in one file [s].
            wait: wait for a slow disk rather than lose steps, as may be where time is simulated.
            dry_run: whether no targets are sent, whatever the controller decides.

        Raises:
            SettingsError: the path names no file.
        """
        if not Path(path).name:
            raise SettingsError(f"log is {str(path)!r}, expected the name of files.")
        self.path = _free(Path(path))
        self.error, self.lost, self._wait = "", 0, wait
        contract = bundle.contract
        self._header = {
            "robot": bundle.robot,
            "task": bundle.task,
            "bundle": bundle.sha256,
            "bundle_file": str(Path(bundle.name).absolute()),
            "contract": contract.hash,
            "joint_names": list(contract.joint_names),
            "control_period_s": contract.control_period_s,
            "states": [state.value for state in STATES],
            "events": [event.value for event in EVENTS],
            "codes": [code.value for code in CODES],
            "config": dataclasses.asdict(config),
            "dry_run": dry_run,
        }
        rows = max(1, round(part_s / contract.control_period_s))
        joints, command = len(contract.joint_names), len(bundle.header.command)
        self._chunk = _Chunk(rows, joints, command)
        self._spare: _Chunk | None = _Chunk(rows, joints, command)
        self._number = 0
        self._writer: threading.Thread | None = None

    def record(
        self,
        now_s: float,
        sensors: SensorSnapshot,
        command: CommandSnapshot,
        output: Output,
        step_s: float = 0.0,
    ) -> None:
        """Keeps one control step, or counts it as lost; raises nothing.

        Args:
            now_s: the time it was told [s].
            sensors: what it was told.
            command: what it was told.
            output: what it decided.
            step_s: how long that took [s].
        """
        try:
            if not self._chunk.full or self._turn_over():
                self._keep(now_s, sensors, command, output, step_s)
                return
        except Exception as error:
            # The robot goes on without a log.
            self.error = repr(error)
        self.lost += 1

    def _keep(
        self,
        now_s: float,
        sensors: SensorSnapshot,
        command: CommandSnapshot,
        output: Output,
        step_s: float,
    ) -> None:
        chunk, row = self._chunk, self._chunk.rows
        arrays = chunk.arrays
        arrays["time_s"][row] = now_s
        arrays["joint_pos"][row] = sensors.joint_pos
        arrays["joint_vel"][row] = sensors.joint_vel
        arrays["joint_time_s"][row] = sensors.joint_time_s
        arrays["num_imu"][row] = sensors.num_imu
        arrays["others"][row] = sensors.others
        arrays["owned"][row] = bool(sensors.owner)
        arrays["rejected"][row] = sensors.rejected
        arrays["spoiled"][row] = bool(sensors.spoiled)
        arrays["battery_v"][row] = sensors.battery_v
        arrays["command"][row] = command.values
        arrays["command_time_s"][row] = command.time_s
        arrays["events"][row] = sum(1 << EVENTS.index(event) for event in output.events)
        arrays["state"][row] = STATES.index(output.state)
        arrays["joint_targets"][row] = output.joint_targets
        arrays["publish"][row] = output.publish
        arrays["limited"][row] = output.limited
        arrays["faults"][row] = sum({1 << CODES.index(fault.code) for fault in output.faults})
        arrays["warnings"][row] = sum({1 << CODES.index(w.code) for w in output.warnings})
        arrays["step_s"][row] = step_s
        stop = chunk.samples + sensors.num_imu
        chunk.imu[chunk.samples : stop] = sensors.imu[: sensors.num_imu]
        chunk.samples, chunk.rows = stop, row + 1

    def close(self) -> None:
        """Writes what is left. The log can go on after that, with a further file."""
        self._join()
        if self._chunk.rows:
            self._write(self._chunk, self._number)
            self._number += 1
            self._chunk.rows = self._chunk.samples = 0

    def _turn_over(self) -> bool:
        """Begins a new file while the full one is being written; whether there is room."""
        if self._writer is not None and self._writer.is_alive() and not self._wait:
            return False
        self._join()
        full, spare = self._chunk, self._spare
        if spare is None:
            return False
        writer = threading.Thread(
            target=self._write, args=(full, self._number), name="deployment log", daemon=False
        )
        writer.start()
        self._writer, self._chunk, self._spare = writer, spare, full
        self._number += 1
        return True

    def _join(self) -> None:
        if self._writer is not None:
            self._writer.join()
            self._writer = None

    def _write(self, chunk: _Chunk, number: int) -> None:
        path = self.path.with_name(f"{self.path.name}.{number:03d}.npz")
        try:
            write_archive(path, KIND, chunk.contents(), self._header)
        except Exception as error:
            # Whatever it is: the arrays must be empty again for the steps to come.
            self.error = " ".join(str(error).split()) or repr(error)
        finally:
            chunk.rows = chunk.samples = 0
