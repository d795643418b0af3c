"""Films and plots of dribbling."""

import numpy as np

from legged_skills.robots.ball import BALLS
from legged_skills.robots.canvas import ACHIEVED, FORBIDDEN, WANTED, Canvas
from legged_skills.robots.overlay import Line, annotate, draw_arrow
from legged_skills.robots.render import Camera
from legged_skills.robots.spec import RobotSpec
from legged_skills.tasks import film
from legged_skills.tasks.evaluate_dribble import DribbleEpisodes
from legged_skills.tasks.film import Scene

_ARROW_M = 0.7
"""Length of the arrow that points at the target from above [leg lengths]."""


def dribbling_scene(
    spec: RobotSpec, run: DribbleEpisodes, episode: int = 0, title: str = "Dribbling"
) -> Scene:
    """One episode, with an arrow that points at the target.

    Args:
        spec: the robot.
        run: the episodes.
        episode: which; its states must be kept.
        title: written in a corner.
    """
    distance = run.distance[:, episode]
    name, fallen_at = run.paths[episode], run.fallen_at[episode]
    height = np.array([0.0, 0.0, _ARROW_M * spec.leg_length_m])

    def overlay(frame: np.ndarray, camera: Camera, row: int) -> np.ndarray:
        target_w = np.append(run.target_w[row, episode], 0.0)
        width_m = 0.08 * spec.leg_length_m
        frame = draw_arrow(frame, camera, target_w + height, target_w, film.WANTED, shaft_m=width_m)
        lines: list[Line] = [title, f"target: {name}"]
        frame = annotate(frame, lines if row < fallen_at else [*lines, ("fallen", film.ALARM)])
        size = max(10, round(len(frame) / 26))
        text = f"ball {distance[row]:.2f} m from the target"
        return annotate(frame, [(text, film.ACHIEVED)], "top right", size)

    return Scene(
        spec=spec,
        qpos=run.qpos[:, episode],
        period_s=spec.control_period_s,
        ball=BALLS[spec.name],
        overlay=overlay,
    )


def paths_from_above(run: DribbleEpisodes) -> bytes:
    """Where target, ball and robot went, a panel for the first episode of each kind of way.

    Args:
        run: the episodes; what comes after a fall is left out.

    Returns:
        A PNG picture.
    """
    names = list(dict.fromkeys(run.paths))
    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    with Canvas(4.0 * rows, rows, columns) as canvas:
        for axes, name in zip(canvas.axes.flat, names, strict=False):
            episode = run.paths.index(name)
            stop = max(1, int(run.fallen_at[episode]))
            for track, colour, width, label in (
                (run.robot_w, FORBIDDEN, 0.9, "robot"),
                (run.target_w, WANTED, 2.2, "target"),
                (run.ball_w, ACHIEVED, 1.3, "ball"),
            ):
                way = track[:stop, episode]
                axes.plot(*way.T, color=colour, lw=width, label=label)
                axes.plot(*way[-1], "o", color=colour, ms=4.0)
            axes.set_aspect("equal", adjustable="datalim")
            fell = " (fell)" if run.fell[episode] else ""
            axes.set_title(f"{name}{fell}", loc="left")
            axes.set(xlabel="x [m]", ylabel="y [m]")
        for axes in canvas.axes.flat[len(names) :]:
            axes.set_visible(False)
        canvas.legend()
    return canvas.png
