"""From motions to films: what each frame shows, and what is drawn and written on it."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import mujoco
import numpy as np

from legged_skills.mocap.clip import RobotClip
from legged_skills.robots import rotations
from legged_skills.robots.ball import Ball, add_ball
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.overlay import Colour, Line
from legged_skills.robots.render import (
    Backend,
    Camera,
    TrackingCamera,
    annotate,
    draw_arrow,
    gl_status,
    render_ahead,
    with_ghost,
)
from legged_skills.robots.spec import RobotSpec
from legged_skills.robots.video import VideoWriter
from legged_skills.skill_module.evaluate import ClipTrack
from legged_skills.tasks.evaluate_walk import WalkEpisodes
from legged_skills.tasks.ribbon import draw_ribbon

Overlay = Callable[[np.ndarray, Camera, int], np.ndarray]
"""Draws on a picture (H, W, 3): picture, its camera, row of the motion -> new picture."""

WANTED: Colour = (88, 182, 250)
"""What should be done: the clip, the command. The colour of the ghost."""
ACHIEVED: Colour = (255, 168, 28)
"""What the robot does."""
ALARM: Colour = (255, 96, 80)
"""The robot has fallen."""

AVERAGE_S = 0.5
"""Achieved velocities are shown averaged over this time: a trunk sways with every step [s]."""

FULL_SIZE = (960, 540)
SMALL_SIZE = (640, 360)
_VIEW = Camera(elevation=-20.0, azimuth=125.0)
"""From the right front of a robot that looks along +x."""
_DISTANCE = 4.55
"""From the camera to the robot [leg lengths]."""
_LOOK_HEIGHT = 0.73
"""Height of what the camera looks at [leg lengths]."""
_ARROW_HEIGHT_M = 0.36
"""Arrows float this much over the base [m]."""
_ARROW_S = 1.2
"""An arrow is as long as the way of this time; an arc as wide as the turn in it [s]."""
_ARC_RADIUS_M = 0.85
"""Arcs lie on the floor around the robot, beyond its feet [m]."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A motion to film. T is its number of rows, J the robot's number of joints."""

    spec: RobotSpec
    """The robot."""
    qpos: np.ndarray
    """(T, 7 + J) the robot's states [m, rad]; (T, 14 + J) with a ball's after them."""
    period_s: float
    """Time from row to row [s]."""
    reference_qpos: np.ndarray | None = None
    """(T, 7 + J) states of a translucent second robot [m, rad]; None for no such robot."""
    ball: Ball | None = None
    """The ball, if there is one."""
    overlay: Overlay = lambda frame, camera, row: frame
    """What is drawn on the pictures."""

    def rows(self, fps: float) -> np.ndarray:
        """(N,) the rows shown by a film of ``fps`` frames a second; at least one."""
        count = len(self.qpos)
        times_s = np.arange(max(1, math.floor(count * self.period_s * fps + 1e-6))) / fps
        return np.minimum(np.rint(times_s / self.period_s).astype(int), count - 1)

    def pose(self) -> tuple[mujoco.MjModel, np.ndarray]:
        """A model of all that is seen, on a floor, and its states (T, nq)."""
        spec = self.spec.spec()
        if self.ball is not None:
            add_ball(spec, self.ball)
        if self.reference_qpos is None:
            return spec.compile(), self.qpos
        return with_ghost(spec), np.hstack([self.qpos, self.reference_qpos])


@dataclass(frozen=True, kw_only=True)
class FilmSettings:
    """How films look."""

    size: tuple[int, int] | None = None
    """Width and height [pixels]; None takes 960 x 540, or 640 x 360 where no graphics hardware
    helps."""
    fps: float = 25.0
    """Frames in a second of film and of motion [1/s]."""
    backend: Backend = "auto"
    """What makes the pictures: OpenGL, the package's own ray casting, whichever of these is
    quicker, or shaded faces, which are plainer and the quickest."""

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height of the pictures here."""
        quick = self.backend not in ("raycast", "sketch") and gl_status().accelerated
        return self.size or (FULL_SIZE if quick else SMALL_SIZE)

    @property
    def renderer(self) -> str:
        """What makes the pictures here, in words."""
        if self.backend == "sketch":
            return "shaded faces"
        if self.backend == "gl" or (self.backend == "auto" and gl_status().accelerated):
            return f"OpenGL ({gl_status().device})"
        return "ray casting on the processor"


def render_scene(scene: Scene, settings: FilmSettings) -> Iterator[np.ndarray]:
    """Renders a motion at real speed; the camera follows the robot.

    Args:
        scene: the motion.
        settings: size, frame rate, renderer.

    Yields:
        (H, W, 3) uint8 pictures, as many as ``scene.rows(settings.fps)``.

    Raises:
        SettingsError: the size or the backend is not possible.
        RenderError: OpenGL was asked for and does not work here.
    """
    model, states = scene.pose()
    view = facing(scene.spec, scene.qpos)
    follower = TrackingCamera(view, height=_LOOK_HEIGHT * scene.spec.leg_length_m)
    rows = scene.rows(settings.fps)
    cameras = [follower.follow(scene.qpos[row, :3], 1.0 / settings.fps) for row in rows]
    shots = zip(states[rows], cameras, strict=True)
    frames = render_ahead(model, shots, *settings.pixels, settings.backend)
    for row, camera, frame in zip(rows, cameras, frames, strict=True):
        yield scene.overlay(frame, camera, int(row))


def write_film(
    path: Path,
    scenes: Sequence[Scene],
    settings: FilmSettings,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Writes scenes to one video file, one after another.

    Args:
        path: the file, with the ending ".mp4" or ".gif".
        scenes: what to show.
        settings: how it looks.
        advance: called after each frame with the number of frames done, and of all.

    Returns:
        The number of frames.

    Raises:
        SettingsError: the size or rate is not possible.
        RenderError: the film cannot be made here.
    """
    total = sum(len(scene.rows(settings.fps)) for scene in scenes)
    with VideoWriter(path, settings.fps, settings.pixels) as video:
        for scene in scenes:
            for frame in render_scene(scene, settings):
                video.write(frame)
                advance(video.num_frames, total)
    return total


def write_side_by_side(
    path: Path,
    scenes: Sequence[Scene],
    settings: FilmSettings,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Writes scenes to one video file, beside each other; it ends with the shortest.

    Arguments, return and errors as in ``write_film``; the film is as wide as all pictures together.
    """
    width, height = settings.pixels
    total = min(len(scene.rows(settings.fps)) for scene in scenes)
    frames = zip(*(render_scene(scene, settings) for scene in scenes), strict=False)
    with VideoWriter(path, settings.fps, (width * len(scenes), height)) as video:
        for pictures in frames:
            video.write(np.hstack(pictures))
            advance(video.num_frames, total)
    return total


def facing(spec: RobotSpec, qpos: np.ndarray) -> Camera:
    """The view that shows a motion from the right front, as far away as suits the robot's size.

    Args:
        spec: the robot.
        qpos: (T, 7 + J) states; their mean heading counts.
    """
    heading = np.exp(1j * rotations.yaw(qpos[:, 3:7])).mean()
    azimuth = _VIEW.azimuth + math.degrees(float(np.angle(heading)))
    return replace(_VIEW, azimuth=azimuth, distance=_DISTANCE * spec.leg_length_m)


def moving_average(values: np.ndarray, period_s: float, window_s: float = AVERAGE_S) -> np.ndarray:
    """Averages over a window around each row; at the ends the window is cut.

    Args:
        values: (T, ...) one row each ``period_s``.
        period_s: time from row to row [s].
        window_s: length of the window [s].

    Returns:
        (T, ...) float64.
    """
    half = max(0, round(0.5 * window_s / period_s))
    total = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, 0, np.float64)])
    rows = np.arange(len(values))
    first, last = np.maximum(rows - half, 0), np.minimum(rows + half + 1, len(values))
    count = (last - first).reshape(-1, *[1] * (values.ndim - 1))
    return (total[last] - total[first]) / count


def clip_scene(spec: RobotSpec, clip: RobotClip) -> Scene:
    """A clip as it is, without physics."""
    name = short_name(clip.name)

    def overlay(frame: np.ndarray, camera: Camera, row: int) -> np.ndarray:
        del camera
        return annotate(frame, [f"clip {name}", f"{row / clip.fps:.1f} s"])

    return Scene(spec=spec, qpos=clip.qpos, period_s=1.0 / clip.fps, overlay=overlay)


def tracking_scene(
    spec: RobotSpec, track: ClipTrack, rows: slice = slice(None), title: str = "Tracking a clip"
) -> Scene:
    """A clip followed by the robot; the clip is the translucent robot.

    Args:
        spec: the robot.
        track: what was followed.
        rows: the part to show [control steps].
        title: written in a corner.

    Raises:
        SettingsError: there is nothing to show.
    """
    qpos, reference = track.qpos[rows], track.reference_qpos[rows]
    name = short_name(track.name)
    if not len(qpos):
        raise SettingsError(f"clip {name}: not one control step was followed; nothing to show.")
    start = range(len(track.qpos))[rows].start
    error = np.abs(qpos[:, 7:] - reference[:, 7:]).mean(axis=1)
    smooth = moving_average(error, spec.control_period_s)

    def overlay(frame: np.ndarray, camera: Camera, row: int) -> np.ndarray:
        del camera
        seconds = (start + row + 1) * spec.control_period_s
        frame = annotate(frame, [title])
        lines: list[Line] = [
            (f"clip {name}, {seconds:.1f} s", WANTED),
            (f"robot, joints {smooth[row]:.3f} rad off", ACHIEVED),
        ]
        return annotate(frame, lines, "top right", _small(frame))

    return Scene(
        spec=spec,
        qpos=qpos,
        period_s=spec.control_period_s,
        reference_qpos=reference,
        overlay=overlay,
    )


def walking_scene(
    spec: RobotSpec,
    run: WalkEpisodes,
    names: Sequence[str] = (),
    title: str = "Commanded walk",
) -> Scene:
    """The first episode of a walk, with arrows for commanded and achieved velocity.

    Args:
        spec: the robot.
        run: what was walked; its states must be kept for the first episode.
        names: what to call each command.
        title: written in a corner.
    """
    period_s = spec.control_period_s
    velocity = moving_average(run.velocity[:, 0], period_s)
    hold = len(velocity) // run.commands.shape[1]
    yaw = rotations.yaw(run.qpos[:, 0, 3:7])

    def overlay(frame: np.ndarray, camera: Camera, row: int) -> np.ndarray:
        index = row // hold
        command = run.commands[0, index]
        upright = row < run.fallen_at[0]
        for twist, colour, width_m in (
            (command, WANTED, 0.06),
            (velocity[row], ACHIEVED, 0.028),
        ):
            if upright:
                pos_w = run.qpos[row, 0, :3]
                frame = _draw_velocity(frame, camera, pos_w, yaw[row], twist, colour, width_m)
        lines: list[Line] = [title, *names[index : index + 1]]
        frame = annotate(frame, lines if upright else [*lines, ("fallen", ALARM)])
        lines = [
            (f"commanded  {_twist_text(command)}", WANTED),
            (f"achieved  {_twist_text(velocity[row])}", ACHIEVED),
        ]
        return annotate(frame, lines, "top right", _small(frame))

    return Scene(spec=spec, qpos=run.qpos[:, 0], period_s=period_s, overlay=overlay)


def short_name(name: str) -> str:
    """A clip's name without folders and ending."""
    return Path(name).name.removesuffix(".npz")


def _draw_velocity(
    frame: np.ndarray,
    camera: Camera,
    pos_w: np.ndarray,
    yaw: float,
    twist: np.ndarray,
    colour: Colour,
    width_m: float,
) -> np.ndarray:
    """An arrow along the velocity over the robot, and an arc for the turning rate around it.

    Args:
        frame: (H, W, 3) uint8.
        camera: of the picture.
        pos_w: (3,) of the base [m].
        yaw: heading [rad].
        twist: (3,) forward and left velocity [m/s], turning rate [rad/s].
        colour: of the arrows.
        width_m: of their shafts [m].
    """
    start_w = pos_w + np.array([0.0, 0.0, _ARROW_HEIGHT_M])
    vx, vy, turn = twist.tolist()
    cosine, sine = math.cos(yaw), math.sin(yaw)
    along_w = _ARROW_S * np.array([cosine * vx - sine * vy, sine * vx + cosine * vy, 0.0])
    frame = draw_arrow(frame, camera, start_w, start_w + along_w, colour, shaft_m=width_m)
    if abs(turn) > 0.08:
        angles = yaw + np.linspace(0.0, _ARROW_S * turn, 24)
        x = pos_w[0] + _ARC_RADIUS_M * np.cos(angles)
        y = pos_w[1] + _ARC_RADIUS_M * np.sin(angles)
        arc_w = np.stack([x, y, np.zeros_like(x)], axis=1)
        frame = draw_ribbon(frame, camera, arc_w, colour, 1.5 * width_m)
    return frame


def _twist_text(twist: np.ndarray) -> str:
    # Adding zero turns a rounded -0.0 into 0.0.
    vx, vy, turn = (np.round(twist.astype(np.float64), 2) + 0.0).tolist()
    return f"forward {vx:+.2f}, left {vy:+.2f} m/s, turn {turn:+.2f} rad/s"


def _small(frame: np.ndarray) -> int:
    """Height of small letters [pixels]."""
    return max(10, round(len(frame) / 26))
