"""Watching a twin: in MuJoCo's window while it runs, or in a film that is drawn when it is over."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from legged_skills.robots.ball import BALLS, add_ball
from legged_skills.robots.errors import RenderError
from legged_skills.robots.render import Backend, make_renderer, render_trajectory
from legged_skills.robots.video import VideoWriter
from legged_skills.sim2real.twin.twin import Twin

FILM_FPS = 25
_WINDOW_FPS = 30
_SIZE = (640, 360)


def visible_model(twin: Twin) -> mujoco.MjModel:
    """The twin's robot, and its ball if it has one, with all that can be seen of it."""
    spec = twin.interface.spec.spec()
    if twin.ball is not None:
        add_ball(spec, BALLS[twin.config.robot])
    return spec.compile()


def positions(twin: Twin) -> np.ndarray:
    """(nq,) of the visible model now; a copy."""
    robot = twin.robot
    base, ball = [robot.pos_w, robot.sim.qpos[0, 3:]], []
    if twin.ball is not None:
        ball = [robot.ball_w, robot.sim.objects_qpos[0, 3:]]
    return np.concatenate(base + ball)


def window(twin: Twin) -> Callable[[], None]:
    """Opens MuJoCo's window; what is returned brings it up to date, 30 times a second.

    Raises:
        RenderError: there is no screen.
    """
    import mujoco.viewer

    model = visible_model(twin)
    data = mujoco.MjData(model)
    try:
        viewer: Any = mujoco.viewer.launch_passive(model, data)
    except Exception as error:
        # What window libraries raise has no common base.
        raise RenderError(f"MuJoCo's window cannot be opened ({error}).") from error
    every = max(1, round(1.0 / _WINDOW_FPS / twin.interface.cycle_s))
    count = 0

    def refresh() -> None:
        nonlocal count
        count += 1
        if count % every == 0 and viewer.is_running():
            data.qpos[:] = positions(twin)
            mujoco.mj_forward(model, data)
            viewer.sync()

    return refresh


class Watch:
    """Watches a twin, as far as that is wanted."""

    def __init__(self, viewer: bool, film: bool) -> None:
        """Nothing is seen yet.

        Args:
            viewer: whether to open a window.
            film: whether to remember where the twin was, for ``write``.
        """
        self._viewer, self._film = viewer, film
        self._frames: list[np.ndarray] = []
        self._model: mujoco.MjModel | None = None
        self._fps = float(FILM_FPS)

    def begin(self, twin: Twin) -> Callable[[], None]:
        """Starts; what is returned is called after each cycle.

        Raises:
            RenderError: there is no screen for a window.
        """
        refresh = window(twin) if self._viewer else lambda: None
        if not self._film:
            return refresh
        self._model = visible_model(twin)
        every = max(1, round(1.0 / FILM_FPS / twin.interface.cycle_s))
        self._fps = 1.0 / (every * twin.interface.cycle_s)
        count = 0

        def each() -> None:
            nonlocal count
            if count % every == 0:
                self._frames.append(positions(twin))
            count += 1
            refresh()

        return each

    def write(self, path: Path, backend: Backend = "auto") -> None:
        """Draws the film.

        Raises:
            RenderError: it cannot be drawn or written, or there is nothing to draw.
        """
        if self._model is None or not self._frames:
            raise RenderError(f"{path}: the twin was not watched, so there is no film.")
        qpos = np.array(self._frames)
        with (
            make_renderer(self._model, *_SIZE, backend) as renderer,
            VideoWriter(path, self._fps, _SIZE) as film,
        ):
            for frame in render_trajectory(renderer, qpos, self._fps):
                film.write(frame)
