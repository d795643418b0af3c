"""One picture of a motion: the robot at several places of its way."""

import math
from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
from PIL import Image

from legged_skills.robots import rotations
from legged_skills.robots.camera import Camera, project
from legged_skills.robots.files import atomic_write
from legged_skills.robots.render import Backend, make_renderer
from legged_skills.robots.spec import RobotSpec

SIZE = (1280, 420)
"""Width and height [pixels]."""
SPACING = 2.65
"""Way from one shown place to the next [leg lengths]."""
_VIEW = Camera(elevation=-13.0, azimuth=116.0, fovy=20.0)
"""From the right and a little from the front of a robot that goes along +x."""
_ROOM = 1.28
"""Room around the middle of each robot [leg lengths]."""
_MAX_ROBOTS = 5


def time_lapse(
    spec: RobotSpec,
    qpos: np.ndarray,
    size: tuple[int, int] = SIZE,
    backend: Backend = "auto",
) -> np.ndarray:
    """Shows a robot at equal distances along its way, all in one picture.

    Args:
        spec: the robot.
        qpos: (T, 7 + J) its motion [m, rad]; if the way is long, the end of it is shown.
        size: width and height of the picture [pixels].
        backend: what makes the picture.

    Returns:
        (H, W, 3) uint8.

    Raises:
        SettingsError: the size or the backend is not possible.
        RenderError: OpenGL was asked for and does not work here.
    """
    rows = _rows(qpos[:, :2] / spec.leg_length_m)
    model = _many(spec, len(rows))
    with make_renderer(model, *size, backend) as renderer:
        return renderer.render(qpos[rows].ravel(), _camera(spec, qpos[rows], size))


def save_picture(path: str | Path, frame: np.ndarray) -> None:
    """Writes a PNG file, atomically.

    Raises:
        FileFormatError: the file cannot be written.
    """
    with atomic_write(path) as file:
        Image.fromarray(frame).save(file, format="png", optimize=True)


def _rows(places_w: np.ndarray) -> np.ndarray:
    """The rows to show: that in which it arrives, and those at equal distances before it.

    Args:
        places_w: (T, 2) the robot's places along the floor [leg lengths].
    """
    steps = np.linalg.norm(np.diff(places_w, axis=0), axis=1)
    before_end = np.concatenate([np.cumsum(steps[::-1])[::-1], [0.0]])
    count = min(_MAX_ROBOTS, 1 + math.floor(before_end[0] / SPACING))
    wanted = SPACING * np.arange(count - 1, -1, -1)
    # The way to the end falls from row to row, so its negative is sorted.
    return np.searchsorted(-before_end, -wanted)


def _many(spec: RobotSpec, count: int) -> mujoco.MjModel:
    """A scene with several robots; ``qpos`` is that of one robot after the other."""
    scene = spec.spec()
    # A keyframe holds the positions of one robot only.
    for key in list(scene.keys):
        scene.delete(key)
    for index in range(1, count):
        robot = spec.spec(floor=False)
        scene.attach(robot, prefix=f"{index}_", frame=scene.worldbody.add_frame())
    return scene.compile()


def _camera(spec: RobotSpec, qpos: np.ndarray, size: tuple[int, int]) -> Camera:
    """Looks from the side, as close as all robots fit in.

    Args:
        spec: the robot.
        qpos: (K, 7 + J) the robots [m, rad].
        size: width and height of the picture [pixels].
    """
    places_w = qpos[:, :3]
    way_w = places_w[-1] - places_w[0]
    alone = len(places_w) == 1
    heading = float(rotations.yaw(qpos[0, 3:7])) if alone else math.atan2(way_w[1], way_w[0])
    view = replace(_VIEW, azimuth=_VIEW.azimuth + math.degrees(heading))
    _, right_w, up_w = view.axes_w()
    room_m = _ROOM * spec.leg_length_m
    room_w = room_m * np.stack([right_w, -right_w, up_w, -up_w])
    corners_w = (places_w[:, None, :] + room_w).reshape(-1, 3)
    # Far enough for all corners to be in front of the camera, and then farther until all fit.
    distance = room_m + float(np.ptp(corners_w @ view.axes_w()[0]))
    middle_w = places_w.mean(axis=0)
    while True:
        view = replace(view, distance=distance).looking_at(middle_w)
        pixels = project(corners_w, view, *size)
        lower, upper = pixels.min(axis=0), pixels.max(axis=0)
        if (upper - lower <= size).all():
            break
        distance *= 1.02
    # What is nearer is larger, so the middle of the way is not that of the picture.
    across, down = 0.5 * (lower + upper - size)
    metres = 2.0 * distance * math.tan(math.radians(view.fovy) / 2.0) / size[1]
    return view.looking_at(middle_w + metres * (across * right_w - down * up_w))
