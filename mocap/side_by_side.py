"""Films of a clip: the scaled source on the left, the robot on the right, at the same time.

Both halves have the same floor, the same size of things and the same camera.

Letters in the shape comments: T frames, N pictures, M points of the source, F feet.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from legged_skills.mocap import signals
from legged_skills.mocap.bones import bones_of
from legged_skills.mocap.clip import RobotClip
from legged_skills.mocap.fit import lift
from legged_skills.mocap.mapping import mapping_for
from legged_skills.mocap.pipeline import RetargetedFile
from legged_skills.mocap.stretch import Stretch
from legged_skills.robots import rotations
from legged_skills.robots.camera import Camera, TrackingCamera
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.kinematics import ROOT_QPOS, Kinematics
from legged_skills.robots.overlay import annotate
from legged_skills.robots.sketch import Faces, RobotFaces, Sketcher, balls, discs, sticks
from legged_skills.robots.spec import RobotSpec
from legged_skills.robots.video import VideoWriter

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]

STANDS = "#009E73"
"""A standing foot: its point on the source, and a spot on the floor under it."""
_SIDE_RGB = {0: (0.42, 0.45, 0.50), 1: (0.16, 0.46, 0.75), -1: (0.90, 0.55, 0.13)}
"""Bones of neither, the left and the right side."""
_STANDS_RGB = tuple(int(STANDS[i : i + 2], 16) / 255.0 for i in (1, 3, 5))
_VIEW = Camera(elevation=-16.0, azimuth=125.0)
"""From the right front of a robot that looks along +x."""
_ROOM = 1.25
"""Room around what moves, as a factor."""
_BONE = 0.03
"""Radius of bones [leg lengths]."""
_POINT = 0.05
"""Radius of points [leg lengths]."""
_FOOT = 0.08
"""Radius of the feet's points [leg lengths]."""
_SPOT = 0.16
"""Radius of the spots under standing feet, at least [leg lengths]."""
_AROUND = 1.2
"""Radius of the spots under soles, as a share of theirs."""
_GAP_PIXELS = 4


@dataclass(frozen=True, kw_only=True)
class FilmSettings:
    """How films look."""

    size: tuple[int, int] = (400, 320)
    """Width and height of each of the two halves, even numbers [pixels]."""
    fps: float = 25.0
    """Frames in a second of film and of the robot's motion [1/s]."""
    seconds: float = 12.0
    """Longer clips are cut to this [s]."""

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            SettingsError: a value is out of range.
        """
        if any(not 32 <= length <= 2048 or length % 2 for length in self.size):
            raise SettingsError(f"film size is {self.size}, expected even numbers, 32 to 2048.")
        if not 1.0 <= self.fps <= 120.0:
            raise SettingsError(f"film fps is {self.fps:g}, expected 1 to 120.")
        if not self.seconds > 0.0:
            raise SettingsError(f"film seconds is {self.seconds:g}, expected more than 0.")

    def rows(self, frames: int, clip_fps: float) -> NDArray[np.integer]:
        """The rows of a clip that are shown, (N,).

        Args:
            frames: T.
            clip_fps: frames in a second of the clip [1/s].
        """
        seconds = min(self.seconds, (frames - 1) / clip_fps)
        times_s = np.arange(math.floor(seconds * self.fps + 1e-6) + 1) / self.fps
        return np.minimum(np.rint(times_s * clip_fps).astype(int), frames - 1)


class SideBySide:
    """Draws the clips of one source on one robot."""

    def __init__(self, result: RetargetedFile, spec: RobotSpec, settings: FilmSettings) -> None:
        """Prepares what all clips share.

        Args:
            result: the retargeted source.
            spec: the robot.
            settings: how films look.
        """
        self._result, self._spec, self._settings = result, spec, settings
        model = spec.model()
        self._robot, self._kinematics = RobotFaces(model), Kinematics(model)
        self._sketcher = Sketcher(model, *settings.size)
        self._bones = bones_of(result.motion)
        motion = result.motion
        self._feet = [motion.index(name) for name in mapping_for(motion, spec).feet]
        sole = float(np.linalg.norm(spec.foot_points_f[..., :2], axis=-1).max())
        self._spot_m = _SPOT * spec.leg_length_m
        self._robot_spot_m = max(self._spot_m, _AROUND * sole)

    def pictures(self, index: int) -> Iterator[np.ndarray]:
        """Draws a clip.

        Args:
            index: of the clip in the result.

        Yields:
            Pictures (H, W, 3) uint8, both halves side by side.
        """
        clip, stretch = self._result.clips[index], self._result.stretches[index]
        rows = self._settings.rows(clip.num_frames, clip.fps)
        source_w = scaled_source(self._result, stretch.source_frame[rows])
        view = self._view(stretch.qpos[rows], source_w)
        follower = TrackingCamera(view, height=view.lookat[2])
        for picture, row in enumerate(rows):
            camera = follower.follow(stretch.qpos[row, :3], 1.0 / self._settings.fps)
            left = self._source_half(source_w[picture], stretch.contact[row], camera)
            right = self._robot_half(stretch, row, camera)
            texts = self._texts(clip, stretch, row)
            halves = [
                annotate(half, lines, size=max(10, len(half) // 24))
                for half, lines in zip((left, right), texts, strict=True)
            ]
            gap = np.full((len(left), _GAP_PIXELS, 3), 255, dtype=np.uint8)
            yield np.concatenate([halves[0], gap, halves[1]], axis=1)

    def write(self, index: int, path: Path) -> Iterator[int]:
        """Writes the film of a clip; the file is there when the iterator has ended.

        Args:
            index: of the clip in the result.
            path: the file, with the ending ".mp4".

        Yields:
            The number of pictures written so far.

        Raises:
            RenderError: the film cannot be written.
        """
        width, height = self._settings.size
        with VideoWriter(path, self._settings.fps, (2 * width + _GAP_PIXELS, height)) as video:
            for picture in self.pictures(index):
                video.write(picture)
                yield video.num_frames

    def _source_half(
        self, points_w: Array, contact: NDArray[np.bool_], camera: Camera
    ) -> np.ndarray:
        """The source at points (M, 3), whose feet stand as ``contact`` (F,) says."""
        bones, leg = self._bones, self._spec.leg_length_m
        rgb = np.array([_SIDE_RGB[side] for side in bones.sides.tolist()])
        radius = np.full(len(points_w), _POINT * leg)
        radius[self._feet] = _FOOT * leg
        standing = [foot for foot, stands in zip(self._feet, contact, strict=True) if stands]
        rgb[standing] = _STANDS_RGB
        lines = sticks(points_w[bones.starts], points_w[bones.ends], _BONE * leg, rgb[bones.ends])
        faces = lines + balls(points_w, radius, rgb)
        return self._sketcher.picture(faces, camera, _spots(points_w[standing], self._spot_m))

    def _robot_half(self, stretch: Stretch, row: int, camera: Camera) -> np.ndarray:
        """The robot in one row of a stretch."""
        standing_w = stretch.feet_w[row, stretch.contact[row]]
        faces = self._robot.at(stretch.qpos[row])
        return self._sketcher.picture(faces, camera, _spots(standing_w, self._robot_spot_m))

    def _texts(self, clip: RobotClip, stretch: Stretch, row: int) -> tuple[list[str], list[str]]:
        """What is written into the two halves."""
        source_s = stretch.source_frame[row] / self._result.motion.fps
        slower = self._result.time_scale * stretch.slowdown[row]
        return (
            [f"source, size x {self._result.scale:.2f}", f"{source_s:.2f} s"],
            [self._spec.name, f"{row / clip.fps:.2f} s, time x {slower:.2f}"],
        )

    def _view(self, qpos: Array, source_w: Array) -> Camera:
        """A camera that has source and robot in both pictures all the time.

        Args:
            qpos: the robot in all pictures, (N, 7 + J).
            source_w: the source [m], (N, M, 3).
        """
        bodies_w = self._kinematics.poses(qpos).body_pos_w[1:].swapaxes(0, 1)
        points_w = np.concatenate([bodies_w, source_w], axis=1)
        top = float(np.percentile(points_w[..., 2].max(axis=1), 95))
        points_w = points_w - qpos[:, None, :3] * [1.0, 1.0, 0.0] - [0.0, 0.0, 0.5 * top]
        # A few frames may leave the picture: a tail, or a hand that is stretched out once.
        radius = np.percentile(np.linalg.norm(points_w, axis=-1).max(axis=1), 98)
        heading = np.exp(1j * rotations.yaw(qpos[:, 3:ROOT_QPOS])).mean()
        return Camera(
            lookat=(0.0, 0.0, 0.5 * top),
            distance=_ROOM * float(radius) / math.sin(math.radians(_VIEW.fovy) / 2.0),
            azimuth=_VIEW.azimuth + math.degrees(float(np.angle(heading))),
            elevation=_VIEW.elevation,
            fovy=_VIEW.fovy,
        )


def _spots(feet_w: Array, radius_m: float) -> Faces:
    """Spots under standing feet (K, 3)."""
    return discs(feet_w, radius_m, np.tile(_STANDS_RGB, (len(feet_w), 1)))


def scaled_source(result: RetargetedFile, source_frame: Array) -> Array:
    """The source in the world of its stretches: scaled, with the floor at height 0.

    Args:
        result: the retargeted source.
        source_frame: frames of the source, with fractions, (N,).

    Returns:
        Its points [m], (N, M, 3).
    """
    points = signals.sample(result.motion.positions_w, source_frame)
    return lift(points * result.scale, result.floor_m * result.scale)
