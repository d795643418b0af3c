"""Pictures and films of robots, on machines with and without OpenGL.

Example:
    with make_renderer(model, 480, 270) as renderer, VideoWriter(path, 50, (480, 270)) as video:
        for frame in render_trajectory(renderer, qpos, fps=50):
            video.write(frame)
"""

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Literal, Protocol, get_args

import mujoco
import numpy as np

from legged_skills.robots.camera import Camera, TrackingCamera, project
from legged_skills.robots.cores import usable_cores
from legged_skills.robots.errors import RenderError, SettingsError
from legged_skills.robots.gl import GLRenderer, GLStatus, gl_status
from legged_skills.robots.overlay import annotate, draw_arrow
from legged_skills.robots.raycast import RaycastRenderer
from legged_skills.robots.sketch import SketchRenderer

__all__ = [
    "Backend",
    "Camera",
    "GLStatus",
    "Renderer",
    "TrackingCamera",
    "annotate",
    "draw_arrow",
    "gl_status",
    "make_renderer",
    "project",
    "render_ahead",
    "render_trajectory",
    "with_ghost",
]

Backend = Literal["auto", "gl", "raycast", "sketch"]
GHOST_PREFIX = "ghost_"
"""What the names of a ghost's bodies, joints and so on begin with."""
_GHOST_RGBA = (0.20, 0.62, 0.95, 0.30)
_MAX_PIXELS = 8192
_MAX_RENDERERS = 8
"""Each has a copy of the model."""
_LOG = logging.getLogger(__name__)


class Renderer(Protocol):
    """Makes pictures of one model. Not for use from several threads."""

    backend: str
    """Which of the backends it is: "gl", "raycast" or "sketch"."""
    width: int
    """Picture width [pixels]."""
    height: int
    """Picture height [pixels]."""

    def render(self, qpos: np.ndarray, camera: Camera) -> np.ndarray:
        """A picture of the model.

        Args:
            qpos: (nq,) positions [m, rad].
            camera: where from.

        Returns:
            (H, W, 3) uint8, a new array.
        """
        ...

    def close(self) -> object:
        """Frees what the renderer holds; it cannot render any more."""
        ...

    def __enter__(self) -> "Renderer":
        """Returns itself."""
        ...

    def __exit__(self, *exc_info: object) -> None:
        """Closes."""
        ...


def make_renderer(
    model: mujoco.MjModel, width: int, height: int, backend: Backend = "auto"
) -> Renderer:
    """Makes a renderer that works on this machine.

    Geoms of groups 0 to 2 are drawn, as in MuJoCo's viewer, in the same light for all models.

    Args:
        model: it is copied; later changes have no effect.
        width: picture width [pixels].
        height: picture height [pixels].
        backend: "gl" renders with OpenGL, without a screen where EGL is installed; the
            environment variable MUJOCO_GL is obeyed. "raycast" needs no OpenGL and takes about
            50 ms for 480 x 270 pixels on one core. "sketch" is a plainer drawing in a sixth of that
            time. "auto" takes "gl" where graphics hardware
            speeds it up, and "raycast" elsewhere: emulated OpenGL is slower.

    Returns:
        A renderer; close it, or use it in a ``with`` statement.

    Raises:
        SettingsError: the size is out of range, or there is no such backend.
        RenderError: "gl" was asked for and does not work here.
    """
    for name, value in (("width", width), ("height", height)):
        if not 1 <= value <= _MAX_PIXELS:
            raise SettingsError(f"{name} is {value} pixels, expected 1 to {_MAX_PIXELS}.")
    if backend not in get_args(Backend):
        known = ", ".join(get_args(Backend))
        raise SettingsError(f"backend is {backend!r}, expected one of {known}.")
    if backend == "gl" and not gl_status().works:
        raise RenderError(gl_status().problem)
    if backend == "sketch":
        return SketchRenderer(model, width, height)
    if backend == "raycast" or (backend == "auto" and not gl_status().accelerated):
        return RaycastRenderer(model, width, height)
    try:
        return GLRenderer(model, width, height)
    except Exception as error:
        # What OpenGL libraries raise has no common base.
        if backend == "gl":
            raise RenderError(f"OpenGL does not work here ({error}).") from error
        _LOG.warning("OpenGL failed (%s); rendering without it.", error)
        return RaycastRenderer(model, width, height)


def render_trajectory(
    renderer: Renderer,
    qpos: Iterable[np.ndarray],
    fps: float,
    camera: TrackingCamera | Camera | None = None,
) -> Iterator[np.ndarray]:
    """Renders a motion, one frame after another.

    Args:
        renderer: what makes the pictures.
        qpos: (T, nq) positions, one row for each frame [m, rad]; a tracking camera follows the
            first three numbers of a row.
        fps: frames in a second.
        camera: where from; by default a tracking camera.

    Yields:
        (H, W, 3) uint8 pictures.
    """
    camera = camera or TrackingCamera()
    for row in qpos:
        view = camera if isinstance(camera, Camera) else camera.follow(row[:3], 1.0 / fps)
        yield renderer.render(row, view)


def render_ahead(
    model: mujoco.MjModel,
    shots: Iterable[tuple[np.ndarray, Camera]],
    width: int,
    height: int,
    backend: Backend = "auto",
) -> Iterator[np.ndarray]:
    """Renders pictures in turn; where rays are cast, on all cores.

    Args:
        model: as for ``make_renderer``, as are size and backend.
        shots: positions (nq,) [m, rad] and camera of each picture.
        width: picture width [pixels].
        height: picture height [pixels].
        backend: what makes the pictures.

    Yields:
        (H, W, 3) uint8 pictures.

    Raises:
        SettingsError: the size is out of range, or there is no such backend.
        RenderError: "gl" was asked for and does not work here.
    """
    with ExitStack() as stack:
        first = stack.enter_context(make_renderer(model, width, height, backend))
        if not isinstance(first, RaycastRenderer):
            yield from (first.render(qpos, camera) for qpos, camera in shots)
            return
        count = min(usable_cores(), _MAX_RENDERERS)
        idle: SimpleQueue[Renderer] = SimpleQueue()
        idle.put(first)
        for _ in range(count - 1):
            idle.put(RaycastRenderer(model, width, height))

        def render(qpos: np.ndarray, camera: Camera) -> np.ndarray:
            renderer = idle.get()
            try:
                return renderer.render(qpos, camera)
            finally:
                idle.put(renderer)

        pool = stack.enter_context(ThreadPoolExecutor(count))
        begun: deque[Future[np.ndarray]] = deque()
        for qpos, camera in shots:
            begun.append(pool.submit(render, qpos, camera))
            if len(begun) > count:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


def with_ghost(
    spec: mujoco.MjSpec, rgba: tuple[float, float, float, float] = _GHOST_RGBA
) -> mujoco.MjModel:
    """A model of a robot and of its translucent ghost, e.g. a reference motion.

    The ghost has the robot's bodies and joints under names with ``GHOST_PREFIX``, one colour, and
    neither contacts, sensors nor drives. ``qpos`` is the robot's, then the ghost's.

    Args:
        spec: the scene with the robot, which is not changed; its floor and lights are not
            doubled.
        rgba: colour and opacity of the ghost, 0 to 1.

    Returns:
        The compiled model, for pictures rather than for physics. It has no keyframes.

    Raises:
        SettingsError: the scene has no moving body.
    """
    if not spec.worldbody.bodies:
        raise SettingsError("the scene has no body, expected a robot to make a ghost of.")
    scene, ghost = spec.copy(), spec.copy()
    for geom in ghost.geoms:
        geom.material, geom.rgba = "", rgba
        geom.contype = geom.conaffinity = 0
    _strip(ghost)
    # Positions of all joints together differ in number from the robot's.
    for key in list(scene.keys):
        scene.delete(key)
    scene.attach(ghost, prefix=GHOST_PREFIX, frame=scene.worldbody.add_frame())
    return scene.compile()


def _strip(spec: mujoco.MjSpec) -> None:
    """Leaves only bodies with their joints, and geoms, which have lost their materials."""
    world = spec.worldbody
    # What refers to other elements goes first.
    for group in (
        spec.keys,
        spec.sensors,
        spec.actuators,
        spec.equalities,
        spec.pairs,
        spec.excludes,
        spec.tendons,
        spec.lights,
        spec.cameras,
        spec.sites,
        world.geoms,
        spec.materials,
        spec.textures,
    ):
        for element in list(group):
            spec.delete(element)
