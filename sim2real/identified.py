"""Drives as identified from a recording: the JSON file that ``identify`` writes.

It is read without MuJoCo.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legged_skills.robots.errors import FileFormatError
from legged_skills.robots.files import write_text

Array = NDArray[np.floating]

KIND = "identified drives"
PARAMETERS = ("kp", "damping", "friction", "armature")
"""What there is of each joint, in the order of columns."""
UNITS = ("Nm/rad", "Nm s/rad", "Nm", "kg m^2")
_MOST_BYTES = 1_000_000
_PER_JOINT = (*PARAMETERS, *(f"{name}_error" for name in PARAMETERS), "residual_rms_rad")
_NUMBERS = ("command_delay_s", "command_delay_error_s", "seconds")


def split_damping(damping: Array, kd: Array) -> tuple[Array, Array]:
    """Whose a damping is that a drive and its joint have together.

    The drive's own counts towards its torque limit, that of the joint does not.

    Args:
        damping: (..., J) of both [Nm s/rad].
        kd: (J,) the velocity gain that the drive is set to [Nm s/rad].

    Returns:
        (..., J) the drive's, at most ``kd``, and what it has beyond that, the joint's.
    """
    of_drive = np.minimum(damping, kd)
    return of_drive, damping - of_drive


@dataclass(frozen=True, kw_only=True)
class Identified:
    """What was fitted, with one standard error of each value. J joints, in the robot's order.

    A value that the recording does not tell is the robot's nominal one: ``fitted`` is False.
    """

    robot: str
    """Name of the robot."""
    joint_names: tuple[str, ...]
    """(J,) all joints of the robot."""
    kp: Array
    """(J,) position gain [Nm/rad]."""
    damping: Array
    """(J,) viscous damping, of drive and joint together [Nm s/rad]."""
    friction: Array
    """(J,) Coulomb friction [Nm]."""
    armature: Array
    """(J,) inertia of the drive at the joint [kg m^2]."""
    command_delay_s: float
    """From the recorded time of a command to the torque, and, where positions are recorded late,
    that time too [s]."""
    kp_error: Array
    """(J,) standard error [Nm/rad]; 0 where not fitted, as in the other errors."""
    damping_error: Array
    """(J,) standard error [Nm s/rad]."""
    friction_error: Array
    """(J,) standard error [Nm]."""
    armature_error: Array
    """(J,) standard error [kg m^2]."""
    command_delay_error_s: float
    """Standard error [s]."""
    fitted: NDArray[np.bool_]
    """(J, 4) which of ``PARAMETERS`` the recording tells."""
    residual_rms_rad: Array
    """(J,) root mean square of measured minus simulated position [rad]."""
    seconds: float
    """Length of the recording [s]."""
    notes: tuple[str, ...] = ()
    """Sentences on what could not be told, and why."""

    def __post_init__(self) -> None:
        """Checks shapes and values and makes arrays read-only.

        Raises:
            FileFormatError: an entry has the wrong size, or is negative or no number.
        """
        joints = len(self.joint_names)
        for name in _PER_JOINT:
            array = np.array(getattr(self, name), dtype=np.float64)
            if array.shape != (joints,):
                raise FileFormatError(
                    f"{name} has shape {array.shape}, expected one number for each of the "
                    f"{joints} joints."
                )
            self._check(name, array)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        for name in _NUMBERS:
            self._check(name, np.array(getattr(self, name), dtype=np.float64))
        fitted = np.array(self.fitted, dtype=bool)
        if fitted.shape != (joints, len(PARAMETERS)):
            raise FileFormatError(
                f"fitted has shape {fitted.shape}, expected ({joints}, {len(PARAMETERS)})."
            )
        fitted.flags.writeable = False
        object.__setattr__(self, "fitted", fitted)

    @staticmethod
    def _check(name: str, values: Array) -> None:
        wrong = values[~(np.isfinite(values) & (values >= 0.0))]
        if wrong.size:
            raise FileFormatError(f"{name} has {wrong.flat[0]:g}, expected numbers from 0 up.")

    def to_json(self) -> dict[str, Any]:
        """Everything as plain lists, numbers and text."""
        return {
            "kind": KIND,
            "robot": self.robot,
            "joint_names": list(self.joint_names),
            **{name: float(getattr(self, name)) for name in _NUMBERS},
            **{name: getattr(self, name).tolist() for name in _PER_JOINT},
            "fitted": self.fitted.tolist(),
            "notes": list(self.notes),
        }

    @staticmethod
    def from_json(fields: Any) -> "Identified":
        """The inverse of ``to_json``.

        Raises:
            FileFormatError: a field is missing or has the wrong kind of value.
        """
        if not isinstance(fields, dict) or fields.get("kind") != KIND:
            raise FileFormatError(f"expected {KIND}, with a field kind that says so.")
        wanted = ("robot", "joint_names", *_NUMBERS, *_PER_JOINT, "fitted", "notes")
        for name in wanted:
            if name not in fields:
                raise FileFormatError(f"there is no field {name!r}.")
        texts = [fields["robot"]]
        for name in ("joint_names", "notes"):
            if not isinstance(fields[name], list):
                raise FileFormatError(f"{name} is {fields[name]!r:.80}, expected a list.")
            texts += fields[name]
        if not all(isinstance(text, str) for text in texts):
            raise FileFormatError("robot, joint_names or notes hold something else than text.")
        numbers: dict[str, Any] = {name: _array(fields, name, 1) for name in _PER_JOINT}
        numbers |= {name: float(_array(fields, name, 0)) for name in _NUMBERS}
        return Identified(
            robot=fields["robot"],
            joint_names=tuple(fields["joint_names"]),
            fitted=_array(fields, "fitted", 2, "b"),
            notes=tuple(fields["notes"]),
            **numbers,
        )

    def save(self, path: str | Path) -> None:
        """Writes a JSON file, atomically.

        Raises:
            FileFormatError: it cannot be written.
        """
        write_text(path, json.dumps(self.to_json(), indent=1) + "\n")

    @staticmethod
    def load(path: str | Path, robot: str | None = None) -> "Identified":
        """Reads what ``save`` wrote.

        Args:
            path: the file.
            robot: the robot that it must be of; None for any.

        Returns:
            The drives.

        Raises:
            FileFormatError: the file is missing, damaged, or of another robot.
        """
        path = Path(path)
        try:
            if path.stat().st_size > _MOST_BYTES:
                raise FileFormatError(f"{path}: larger than {_MOST_BYTES} bytes, expected {KIND}.")
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise FileFormatError(f"{path}: cannot be read ({error.strerror}).") from error
        except UnicodeDecodeError as error:
            raise FileFormatError(f"{path}: not a text file, expected {KIND}.") from error
        try:
            found = Identified.from_json(json.loads(text))
        # Nesting beyond Python's limit, and integers of thousands of digits.
        except (ValueError, RecursionError) as error:
            raise FileFormatError(f"{path}: not JSON, expected {KIND}.") from error
        except FileFormatError as error:
            raise FileFormatError(f"{path}: {error}") from error
        if robot is not None and found.robot != robot:
            raise FileFormatError(f"{path}: drives of {found.robot!r}, expected {robot!r}.")
        return found


def _array(fields: dict[str, Any], name: str, ndim: int, kinds: str = "fiu") -> np.ndarray:
    """A field as an array of the given dimension and kinds of dtype."""
    try:
        array = np.array(fields[name])
    except (ValueError, OverflowError) as error:
        raise FileFormatError(f"{name} is no list of equal rows.") from error
    if array.ndim != ndim or array.dtype.kind not in kinds:
        what = "true and false" if kinds == "b" else "numbers"
        raise FileFormatError(f"{name} is {fields[name]!r:.80}, expected {what}.")
    return array
