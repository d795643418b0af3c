"""Quick films of what a skill module does by itself: several robots at once, small."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from legged_skills.robots.camera import Camera, TrackingCamera
from legged_skills.robots.overlay import Line, annotate
from legged_skills.robots.sketch import RobotFaces, Sketcher
from legged_skills.robots.spec import RobotSpec
from legged_skills.robots.video import VideoWriter
from legged_skills.skill_module.latent_walk import LatentWalk
from legged_skills.skill_module.prior_rollouts import PriorRollouts
from legged_skills.tasks.film import ALARM, short_name

_DISTANCE = 4.8
"""From the camera to the robot [leg lengths]."""
_LOOK_HEIGHT = 0.7
"""Height of what the camera looks at [leg lengths]."""


@dataclass(frozen=True, kw_only=True)
class MosaicSettings:
    """How mosaics look."""

    columns: int = 3
    """Pictures beside each other."""
    rows: int = 2
    """Pictures above each other."""
    size: tuple[int, int] = (300, 220)
    """Width and height of each, even numbers [pixels]."""
    fps: float = 12.5
    """Frames in a second of film and of motion [1/s]."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """What one picture of a mosaic shows over time."""

    qpos: np.ndarray
    """(T, 7 + J) states [m, rad]."""
    fallen_at: int
    """Row from which on the picture stands still."""
    texts: Sequence[str]
    """(T,) what is written in the corner."""


def write_mosaic(
    path: Path, spec: RobotSpec, tiles: Sequence[Tile], settings: MosaicSettings
) -> None:
    """Writes a film of several robots, each followed by a camera of its own.

    Args:
        path: the file, with the ending ".mp4".
        spec: the robot.
        tiles: as many as the mosaic has pictures at most, all as long.
        settings: how it looks.

    Raises:
        RenderError: the film cannot be written.
    """
    width, height = settings.size
    size = (width * settings.columns, height * settings.rows)
    with VideoWriter(path, settings.fps, size) as video:
        for frame in mosaic(spec, tiles, settings):
            video.write(frame)


def mosaic(
    spec: RobotSpec, tiles: Sequence[Tile], settings: MosaicSettings
) -> Iterator[np.ndarray]:
    """Draws a mosaic.

    Args:
        spec: the robot.
        tiles: as many as the mosaic has pictures at most, all as long.
        settings: how it looks.

    Yields:
        (H * rows, W * columns, 3) uint8; places without a tile are grey.
    """
    model = spec.model()
    faces, sketcher = RobotFaces(model), Sketcher(model, *settings.size)
    leg = spec.leg_length_m
    # One view for all: the floor is then looked at only once.
    view = Camera(elevation=-20.0, azimuth=125.0, distance=_DISTANCE * leg)
    followers = [TrackingCamera(view, height=_LOOK_HEIGHT * leg) for _ in tiles]
    steps = len(tiles[0].qpos)
    every = 1.0 / (settings.fps * spec.control_period_s)
    for index in range(max(1, math.floor(steps / every))):
        row = min(round(index * every), steps - 1)
        width, height = settings.size
        grid = np.full((settings.rows, settings.columns, height, width, 3), 128, np.uint8)
        for place, (tile, follower) in enumerate(zip(tiles, followers, strict=True)):
            fallen = row >= tile.fallen_at
            qpos = tile.qpos[min(row, max(0, tile.fallen_at - 1))]
            camera = follower.follow(qpos[:3], 1.0 / settings.fps)
            lines: list[Line] = [tile.texts[row], *([("fallen", ALARM)] if fallen else [])]
            picture = sketcher.picture(faces.at(qpos), camera)
            grid[divmod(place, settings.columns)] = annotate(
                picture, lines, size=max(10, height // 18)
            )
        yield grid.swapaxes(1, 2).reshape(settings.rows * height, settings.columns * width, 3)


def prior_tiles(run: PriorRollouts, count: int) -> list[Tile]:
    """The first robots of the rollouts, fallen ones too, as they come."""
    times_s = [f"{row * run.period_s:.1f} s" for row in range(len(run.qpos))]
    return [
        Tile(qpos=run.qpos[:, i].astype(np.float64), fallen_at=int(fallen), texts=times_s)
        for i, fallen in enumerate(run.fallen_at[:count])
    ]


def latent_tile(walk: LatentWalk) -> Tile:
    """A walk through latent space, which says where it is."""
    first, second = (short_name(name) for name in walk.names)
    texts = [f"{first}  {1.0 - share:.0%}   {second}  {share:.0%}" for share in walk.share]
    return Tile(qpos=walk.qpos, fallen_at=walk.fallen_at, texts=texts)
