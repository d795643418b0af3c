"""Recordings of a held robot's joint commands and positions: the ``.npz`` that ``identify`` reads.

The base hangs or is held and does not move; the feet are in the air. Fields, T rows:

- ``robot``: name of the robot, text;
- ``joint_names``: (L,) text, the recorded joints, in any order;
- ``time_s``: (T,) increasing [s]; steps need not be equal;
- ``command``: (T, L) the position target in force from this row's time until the next's [rad];
- ``position``: (T, L) measured at this row's time [rad];
- ``base_wxyz``: optional, (4,) orientation of the base, quaternion wxyz; level if it is missing;
- ``load_links``, ``load_masses_kg``, ``load_centres_m``, ``load_radii_m``: optional, known weights
  on the robot's links, see ``loads.py``: (W,) text, (W,) [kg], (W, 3) [m], (W,) [m]. Without
  radii they are point masses, without all of them there are none.

Files may hold other fields, such as velocities, which are not read.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legged_skills.robots.errors import ClipError, FileFormatError, SettingsError
from legged_skills.robots.files import atomic_write
from legged_skills.robots.npz import read_npz
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.loads import Load, check_links, from_arrays, to_arrays

Array = NDArray[np.floating]

LEAST_SECONDS = 5.0
MOST_SECONDS = 600.0
"""Longer recordings would take more memory than helps."""
MOST_GAP_S = 0.5
"""Longest time between rows: beyond it nobody knows what was commanded."""
MOST_RATE_HZ = 2000.0
_MOST_ANGLE_RAD = 100.0
_REQUIRED = ("robot", "joint_names", "time_s", "command", "position")


@dataclass(frozen=True, kw_only=True)
class JointLog:
    """A recording, for T times and the L joints that were recorded."""

    robot: str
    """Name of the robot."""
    joint_names: tuple[str, ...]
    """(L,) the columns."""
    time_s: Array
    """(T,) increasing [s]."""
    command: Array
    """(T, L) position targets, each held until the next row [rad]."""
    position: Array
    """(T, L) measured [rad]."""
    base_wxyz: Array
    """(4,) orientation of the base, unit quaternion wxyz."""
    loads: tuple[Load, ...] = ()
    """Known weights on the links."""
    source: str = "joint log"
    """Where it is from, for messages."""

    def __post_init__(self) -> None:
        """Checks shapes and values, normalises the orientation, makes arrays read-only.

        Raises:
            ClipError: a value is missing, wrong or out of range.
        """
        for name in ("time_s", "command", "position", "base_wxyz"):
            object.__setattr__(self, name, self._numbers(name))
        rows, joints = len(self.time_s), len(self.joint_names)
        shapes = {"command": (rows, joints), "position": (rows, joints), "base_wxyz": (4,)}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                self._fail(f"{name} has shape {getattr(self, name).shape}, expected {shape}")
        if joints == 0 or len(set(self.joint_names)) != joints:
            self._fail(f"joint_names is {list(self.joint_names)}, expected different names")
        self._check_times()
        for name in ("command", "position"):
            row, joint = np.unravel_index(np.abs(getattr(self, name)).argmax(), (rows, joints))
            value = getattr(self, name)[row, joint]
            if abs(value) > _MOST_ANGLE_RAD:
                self._fail(
                    f"{name} of {self.joint_names[joint]} is {value:g} in row {row}, expected an "
                    "angle in radians"
                )
        length = float(np.linalg.norm(self.base_wxyz))
        if not 0.9 < length < 1.1:
            self._fail(f"base_wxyz has length {length:g}, expected a unit quaternion")
        object.__setattr__(self, "base_wxyz", self.base_wxyz / length)
        for name in ("time_s", "command", "position", "base_wxyz"):
            getattr(self, name).flags.writeable = False

    def _fail(self, what: str) -> None:
        raise ClipError(f"{self.source}: {what}.")

    def _numbers(self, name: str) -> Array:
        value = np.asarray(getattr(self, name))
        if value.dtype.kind not in "fiu":
            self._fail(f"{name} holds {value.dtype}, expected numbers")
        value = value.astype(np.float64)
        if value.ndim == 0 or value.size == 0:
            self._fail(f"{name} has shape {value.shape}, expected one entry for each row")
        bad = np.argwhere(~np.isfinite(value))
        if len(bad):
            self._fail(f"{name} is {value[tuple(bad[0])]} at {bad[0].tolist()}, expected a number")
        return value

    def _check_times(self) -> None:
        if self.time_s.ndim != 1:
            self._fail(f"time_s has shape {self.time_s.shape}, expected (T,)")
        steps = np.diff(self.time_s)
        seconds = float(self.time_s[-1] - self.time_s[0])
        if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
            self._fail(
                f"the recording takes {seconds:g} s, expected {LEAST_SECONDS:g} to "
                f"{MOST_SECONDS:g} s"
            )
        if len(steps) > seconds * MOST_RATE_HZ:
            self._fail(f"there are {len(steps)} rows, expected at most {MOST_RATE_HZ:g} a second")
        row = int(steps.argmin())
        if steps[row] <= 0.0:
            self._fail(
                f"time_s goes from {self.time_s[row]:g} to {self.time_s[row + 1]:g} s in row "
                f"{row + 1}, expected increasing times"
            )
        row = int(steps.argmax())
        if steps[row] > MOST_GAP_S:
            self._fail(
                f"there are {steps[row]:g} s without a row after row {row}, expected at most "
                f"{MOST_GAP_S:g} s"
            )

    def arranged(self, spec: RobotSpec) -> tuple[Array, Array, NDArray[np.bool_]]:
        """The columns in the robot's order; joints without a recording stand in the default pose.

        Args:
            spec: the robot.

        Returns:
            Commands (T, J) [rad], positions (T, J) [rad], and which joints were recorded, (J,).

        Raises:
            ClipError: the recording is of another robot, or of joints or links that this one
                has not.
        """
        if self.robot != spec.name:
            self._fail(f"robot is {self.robot!r}, expected {spec.name!r}")
        unknown = [name for name in self.joint_names if name not in spec.joint_names]
        if unknown:
            self._fail(
                f"{spec.name} has no joint {unknown[0]!r}, expected some of "
                f"{', '.join(spec.joint_names)}"
            )
        try:
            check_links(self.loads, spec)
        except SettingsError as error:
            raise ClipError(f"{self.source}: {error}") from error
        places = [spec.joint_names.index(name) for name in self.joint_names]
        command = np.tile(spec.default_joint_pos, (len(self.time_s), 1))
        position = command.copy()
        command[:, places], position[:, places] = self.command, self.position
        recorded = np.zeros(spec.num_joints, dtype=bool)
        recorded[places] = True
        return command, position, recorded

    def write(self, path: str | Path) -> None:
        """Writes the file, atomically.

        Raises:
            FileFormatError: it cannot be written.
        """
        arrays: dict[str, Any] = {
            "robot": np.array(self.robot),
            "joint_names": np.array(self.joint_names),
            "time_s": self.time_s,
            "command": self.command,
            "position": self.position,
            "base_wxyz": self.base_wxyz,
            **to_arrays(self.loads),
        }
        with atomic_write(path) as file:
            np.savez_compressed(file, **arrays)


def read_log(path: str | Path) -> JointLog:
    """Reads a recording.

    Args:
        path: the ``.npz`` file.

    Returns:
        The recording.

    Raises:
        FileFormatError: the file is missing, damaged, or has no such fields.
        ClipError: its contents are not usable.
    """
    path = Path(path)
    arrays = read_npz(path)
    for name in _REQUIRED:
        if name not in arrays:
            raise FileFormatError(
                f"{path}: there is no field {name!r}, expected {', '.join(_REQUIRED)}."
            )
    for name, ndim in (("robot", 0), ("joint_names", 1)):
        if arrays[name].dtype.kind != "U" or arrays[name].ndim != ndim:
            raise FileFormatError(
                f"{path}: {name} is an array of {arrays[name].dtype} and shape "
                f"{arrays[name].shape}, expected {'a list of names' if ndim else 'one name'}."
            )
    try:
        loads = from_arrays(arrays)
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from error
    except SettingsError as error:
        raise ClipError(f"{path}: {error}") from error
    return JointLog(
        robot=str(arrays["robot"]),
        joint_names=tuple(arrays["joint_names"].tolist()),
        time_s=arrays["time_s"],
        command=arrays["command"],
        position=arrays["position"],
        base_wxyz=arrays.get("base_wxyz", np.array([1.0, 0.0, 0.0, 0.0])),
        loads=loads,
        source=str(path),
    )
