"""Films of robots that get up."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from legged_skills.robots.overlay import Line, annotate
from legged_skills.robots.render import Backend, Camera
from legged_skills.robots.spec import RobotSpec
from legged_skills.tasks import film
from legged_skills.tasks.evaluate_getup import GetupEpisodes, RecoveryEpisodes
from legged_skills.tasks.film import Scene
from legged_skills.tasks.getup import SIDES
from legged_skills.tasks.stages import Stages

_BEFORE_S, _AFTER_S = 1.5, 5.0
"""What is shown before and after a fall [s]."""


def write_films(
    out: Path,
    spec: RobotSpec,
    lying: GetupEpisodes,
    walking: RecoveryEpisodes,
    backend: Backend = "sketch",
) -> list[Path]:
    """Writes getup.mp4, a robot from each side; and recovery.mp4, a fall while walking.

    Args:
        out: the folder.
        spec: the robot.
        lying: robots that lay on the floor.
        walking: robots that walked; if none of the kept ones fell there is no second film.
        backend: what makes the pictures.

    Returns:
        The files.
    """
    films = {"getup.mp4": lying_scenes(spec, lying), "recovery.mp4": fall_scenes(spec, walking)}
    settings, written = film.FilmSettings(backend=backend), []
    with Stages() as stages:
        for name, scenes in films.items():
            if scenes:
                with stages.stage(f"making {name}", "film") as advance:
                    film.write_film(out / name, scenes, settings, advance)
                written.append(out / name)
    return written


def lying_scenes(spec: RobotSpec, run: GetupEpisodes) -> list[Scene]:
    """The first kept robot of each side."""
    kept = run.qpos.shape[1]
    scenes = []
    for side, name in enumerate(SIDES):
        found = np.flatnonzero(run.side[:kept] == side)
        if found.size:
            title = [f"Getting up from the {name}"]
            scenes.append(_scene(spec, run.qpos[:, found[0]], run.stands[:, found[0]], title))
    return scenes


def fall_scenes(spec: RobotSpec, run: RecoveryEpisodes) -> list[Scene]:
    """The first fall of a kept robot that leaves time to get up."""
    period = spec.control_period_s
    before, after = round(_BEFORE_S / period), round(_AFTER_S / period)
    for robot in range(run.qpos.shape[1]):
        down = run.down[:, robot]
        falls = np.flatnonzero(down[1:] & ~down[:-1])
        falls = falls[(falls > before) & (falls < len(down) - after)]
        if falls.size:
            rows = slice(falls[0] - before, falls[0] + after)
            title = ["A fall, and on"]
            return [_scene(spec, run.qpos[rows, robot], ~down[rows], title)]
    return []


def _scene(spec: RobotSpec, qpos: np.ndarray, stands: np.ndarray, title: Sequence[Line]) -> Scene:
    def overlay(frame: np.ndarray, camera: Camera, row: int) -> np.ndarray:
        note: Line = ("on its feet", film.ACHIEVED) if stands[row] else ("down", film.ALARM)
        return annotate(frame, [*title, note])

    return Scene(spec=spec, qpos=qpos, period_s=spec.control_period_s, overlay=overlay)
