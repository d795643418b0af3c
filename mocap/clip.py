"""Robot clips: motions of one robot, in files that say where they come from.

A clip file is an ``.npz`` without pickles: ``fps``, ``robot``, ``joint_names``, ``qpos``,
``qvel``, ``foot_contact``, and the JSON texts ``source``, ``retarget`` and ``quality``.
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap import signals
from legged_skills.mocap.source import check_fps
from legged_skills.robots import rotations
from legged_skills.robots.errors import ClipError, FileFormatError
from legged_skills.robots.files import atomic_write
from legged_skills.robots.kinematics import ROOT_DOFS, ROOT_QPOS
from legged_skills.robots.npz import read_npz
from legged_skills.robots.spec import RobotSpec

_ARRAYS = ("fps", "robot", "joint_names", "qpos", "qvel", "foot_contact")
_TEXTS = ("source", "retarget", "quality")
# A stored quaternion's length may be off by the rounding of a float32 and of a text format.
_QUATERNION_TOLERANCE = 1e-3
# How far the speeds may be from those of the positions before the frame rate is called wrong.
_RATE_TOLERANCE = 0.03
# Differences beyond the choice of one-sided or central differences, as a share of the speed.
_VELOCITY_TOLERANCE = 0.35
_LIMIT_TOLERANCE_RAD = 1e-4


def finite_difference_qvel(qpos: NDArray[np.floating], fps: float) -> NDArray[np.floating]:
    """Velocities of a motion, in MuJoCo's layout, by central differences.

    Args:
        qpos: root position [m], root quaternion wxyz, joints [rad], (T, 7 + J).
        fps: frames a second [1/s].

    Returns:
        Root velocity in the world [m/s], root angular velocity in the root's frame [rad/s],
        joint velocities [rad/s], (T, 6 + J).
    """
    qpos = np.asarray(qpos, dtype=np.float64)
    out = np.empty((len(qpos), qpos.shape[1] - 1))
    out[:, :3] = signals.velocity(qpos[:, :3], fps)
    out[:, 3:ROOT_DOFS] = rotations.angular_velocity_b(qpos[:, 3:ROOT_QPOS], 1 / fps)
    out[:, ROOT_DOFS:] = signals.velocity(qpos[:, ROOT_QPOS:], fps)
    return out


@dataclass(frozen=True, kw_only=True)
class RobotClip:
    """A motion of a robot. T frames, J joints, F feet."""

    robot: str
    """Name of the robot."""
    fps: float
    """Frames a second [1/s]."""
    joint_names: tuple[str, ...]
    """The joints, in the order of ``qpos``, (J,)."""
    qpos: NDArray[np.floating]
    """Root position [m], root quaternion wxyz, joints [rad], (T, 7 + J)."""
    qvel: NDArray[np.floating]
    """Root velocity in the world [m/s], root angular velocity in its own frame [rad/s], joint
    velocities [rad/s], (T, 6 + J)."""
    foot_contact: NDArray[np.bool_]
    """Which feet stand, (T, F)."""
    source: dict[str, Any] = field(default_factory=dict)
    """Where the motion comes from: "file", its "sha256", "format", "licence", "frames"."""
    retarget: dict[str, Any] = field(default_factory=dict)
    """How it was made: scale, time scale, offsets, settings."""
    quality: dict[str, Any] = field(default_factory=dict)
    """Metrics of the stretch, see ``quality.Quality``."""
    name: str = "clip"
    """What tables call it: the file's name without its ending."""
    path: str = ""
    """The file it was read from, for messages."""

    @property
    def _where(self) -> str:
        """What messages call the clip."""
        return self.path or self.name

    def __post_init__(self) -> None:
        """Checks values and shapes, and that velocities, positions and frame rate agree.

        Raises:
            ClipError: something does not fit; the message names the clip and the field.
        """
        check_fps(self.fps, f"{self._where}: field fps")
        frames, joints = len(self.qpos), len(self.joint_names)
        if frames < 2:
            raise ClipError(f"{self._where}: has {frames} frame(s), a clip needs at least 2.")
        self._check_shape("qpos", (frames, ROOT_QPOS + joints))
        self._check_shape("qvel", (frames, ROOT_DOFS + joints))
        self._check_shape("foot_contact", (frames, self.foot_contact.shape[-1]))
        for name in ("qpos", "qvel"):
            array = getattr(self, name)
            if not np.all(np.isfinite(array)):
                frame, column = np.argwhere(~np.isfinite(array))[0]
                raise ClipError(
                    f"{self._where}: field {name} is not a finite number "
                    f"in frame {frame}, column {column}."
                )
        lengths = np.linalg.norm(self.qpos[:, 3:ROOT_QPOS], axis=1)
        worst = int(np.argmax(np.abs(lengths - 1)))
        if abs(lengths[worst] - 1) > _QUATERNION_TOLERANCE:
            raise ClipError(
                f"{self._where}: field qpos has a root quaternion of length {lengths[worst]:.4g} "
                f"in frame {worst}, expected 1."
            )
        self._check_velocities()

    def _check_shape(self, name: str, expected: tuple[int, ...]) -> None:
        shape = getattr(self, name).shape
        if shape != expected:
            raise ClipError(f"{self._where}: field {name} has shape {shape}, expected {expected}.")

    def _check_velocities(self) -> None:
        """Finds a wrong frame rate, or velocities of another motion."""
        derived = finite_difference_qvel(self.qpos, self.fps)
        energy = float(np.sum(derived * derived))
        stated = float(np.sum(np.square(self.qvel)))
        frames = len(self.qpos)
        if max(energy, stated) < 1e-4 * frames:  # hardly moves: nothing to compare
            return
        # The factor that brings the derived velocities closest to the stated ones.
        ratio = float(np.sum(derived * self.qvel)) / max(energy, 1e-12)
        error = float(np.sum(np.square(self.qvel - ratio * derived))) ** 0.5
        if error > _VELOCITY_TOLERANCE * max(stated, 1e-12) ** 0.5:
            raise ClipError(
                f"{self._where}: field qvel does not belong to field qpos: it differs from the "
                f"finite differences by {error / frames**0.5:.3g} (root mean square a frame)."
            )
        if abs(ratio - 1) > _RATE_TOLERANCE:
            raise ClipError(
                f"{self._where}: field fps is {self.fps:g}, but field qvel belongs to about "
                f"{self.fps * ratio:.4g} frames/s; one of them is wrong."
            )

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.qpos)

    @property
    def duration_s(self) -> float:
        """Time from the first to the last frame [s]."""
        return (self.num_frames - 1) / self.fps

    def check_layout(self, spec: RobotSpec) -> None:
        """Checks that the clip's arrays mean what they do for a robot.

        Args:
            spec: the robot.

        Raises:
            ClipError: the robot, its joints or its number of feet are others.
        """
        if self.robot != spec.name:
            raise ClipError(f"{self._where}: is a clip of {self.robot!r}, expected {spec.name!r}.")
        if self.joint_names != spec.joint_names:
            raise ClipError(
                f"{self._where}: field joint_names is {', '.join(self.joint_names)}; "
                f"expected {', '.join(spec.joint_names)}."
            )
        self._check_shape("foot_contact", (self.num_frames, len(spec.foot_names)))

    def check_robot(self, spec: RobotSpec) -> None:
        """Checks that the clip is for a robot and within its joint limits.

        Args:
            spec: the robot.

        Raises:
            ClipError: the robot, its joints or its number of feet are others, or a joint is
                beyond its limits.
        """
        self.check_layout(spec)
        joints = self.qpos[:, ROOT_QPOS:]
        beyond = np.maximum(spec.joint_lower - joints, joints - spec.joint_upper)
        frame, joint = np.unravel_index(np.argmax(beyond), beyond.shape)
        if beyond[frame, joint] > _LIMIT_TOLERANCE_RAD:
            raise ClipError(
                f"{self._where}: field qpos has {spec.joint_names[joint]} at "
                f"{joints[frame, joint]:.3f} rad in frame {frame}, outside of its limits "
                f"{spec.joint_lower[joint]:.3f} to {spec.joint_upper[joint]:.3f} rad."
            )

    def resample(self, fps: float) -> "RobotClip":
        """The same motion at another frame rate.

        Positions and joints are interpolated linearly, the root's orientation spherically;
        velocities are differences of the result, contacts those of the nearest frame.

        Args:
            fps: frames a second of the result [1/s].

        Returns:
            A new clip that begins with the same frame.

        Raises:
            ClipError: the frame rate is not plausible, or leaves fewer than 2 frames.
        """
        check_fps(fps, f"{self._where}: resampling")
        count = int(self.duration_s * fps + 1e-6) + 1
        at = np.minimum(np.arange(count) * (self.fps / fps), self.num_frames - 1)
        low = np.minimum(at.astype(int), self.num_frames - 2)
        part = at - low
        before, after = self.qpos[low], self.qpos[low + 1]
        qpos = before + part[:, None] * (after - before)
        qpos[:, 3:ROOT_QPOS] = rotations.slerp(before[:, 3:ROOT_QPOS], after[:, 3:ROOT_QPOS], part)
        nearest = np.round(at).astype(int)
        if count < 2:
            raise ClipError(f"{self._where}: is too short for {fps:g} frames/s.")
        return replace(
            self,
            fps=float(fps),
            qpos=qpos,
            qvel=finite_difference_qvel(qpos, fps),
            foot_contact=self.foot_contact[nearest],
        )

    def save(self, path: str | Path) -> None:
        """Writes the clip, atomically; motions are stored as float32.

        Raises:
            FileFormatError: the file cannot be written.
        """
        arrays: dict[str, Any] = {
            "fps": np.float64(self.fps),
            "robot": np.array(self.robot),
            "joint_names": np.array(self.joint_names),
            "qpos": self.qpos.astype(np.float32),
            "qvel": self.qvel.astype(np.float32),
            "foot_contact": self.foot_contact,
        }
        for name in _TEXTS:
            arrays[name] = np.array(json.dumps(getattr(self, name)))
        with atomic_write(path) as file:
            np.savez_compressed(file, **arrays)

    @staticmethod
    def load(path: str | Path) -> "RobotClip":
        """Reads a clip.

        Args:
            path: the file.

        Returns:
            The clip, checked.

        Raises:
            FileFormatError: the file is missing, damaged, or no clip.
            ClipError: its contents do not fit together.
        """
        arrays = read_npz(path)
        for name in _ARRAYS:
            if name not in arrays:
                raise FileFormatError(f"{path}: is not a robot clip, it has no field {name!r}.")
        return RobotClip(
            robot=_text(path, arrays, "robot"),
            fps=float(_numbers(path, arrays, "fps", 0)),
            joint_names=_names(path, arrays),
            qpos=_numbers(path, arrays, "qpos", 2),
            qvel=_numbers(path, arrays, "qvel", 2),
            foot_contact=_numbers(path, arrays, "foot_contact", 2) > 0.5,
            name=Path(path).stem,
            path=str(path),
            **{name: _json(path, arrays, name) for name in _TEXTS},
        )


def _numbers(
    path: str | Path, arrays: dict[str, np.ndarray], name: str, axes: int
) -> NDArray[np.floating]:
    """A field that must hold numbers."""
    array = arrays[name]
    if array.dtype.kind not in "fiub" or array.ndim != axes:
        raise FileFormatError(
            f"{path}: field {name} has type {array.dtype} and {array.ndim} axes, "
            f"expected numbers with {axes}."
        )
    return array.astype(np.float64)


def _text(path: str | Path, arrays: dict[str, np.ndarray], name: str) -> str:
    """A field that must hold one text."""
    array = arrays[name]
    if array.dtype.kind != "U" or array.ndim != 0:
        raise FileFormatError(f"{path}: field {name} has type {array.dtype}, expected a text.")
    return str(array)


def _names(path: str | Path, arrays: dict[str, np.ndarray]) -> tuple[str, ...]:
    """The field joint_names."""
    array = arrays["joint_names"]
    if array.dtype.kind != "U" or array.ndim != 1:
        raise FileFormatError(
            f"{path}: field joint_names has type {array.dtype}, expected a list of texts."
        )
    return tuple(str(name) for name in array)


def _json(path: str | Path, arrays: dict[str, np.ndarray], name: str) -> dict[str, Any]:
    """A field that holds a JSON object; an absent one is empty."""
    if name not in arrays:
        return {}
    try:
        value = json.loads(_text(path, arrays, name))
    # Numbers of thousands of digits, and nesting beyond Python's limit, are no JSON either.
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path}: field {name} is not JSON ({error}).") from error
    if not isinstance(value, dict):
        raise FileFormatError(f"{path}: field {name} is not a JSON object.")
    return value
