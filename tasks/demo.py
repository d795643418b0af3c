"""The demo: skills follow clips, policies do their tasks; a film and a report of all."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from legged_skills import robots
from legged_skills.mocap.library import load_clips, shipped_clips
from legged_skills.robots import rotations
from legged_skills.robots.errors import FileFormatError
from legged_skills.robots.render import Backend
from legged_skills.robots.spec import RobotSpec
from legged_skills.skill_module import evaluate
from legged_skills.skill_module.evaluate import ClipTrack, shipped_module, track_clips
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.training import versions
from legged_skills.tasks import evaluate_dribble, plots
from legged_skills.tasks import evaluate_walk as walking
from legged_skills.tasks.commander_file import load_any_policy
from legged_skills.tasks.dribble_film import dribbling_scene
from legged_skills.tasks.evaluate_dribble import DribbleEvaluationConfig
from legged_skills.tasks.evaluate_getup import GetupEvaluationConfig, get_up
from legged_skills.tasks.evaluate_getup import summarize as summarize_getup
from legged_skills.tasks.evaluate_walk import WalkEpisodes, WalkEvaluationConfig, shipped_policy
from legged_skills.tasks.film import (
    FilmSettings,
    Scene,
    short_name,
    tracking_scene,
    walking_scene,
    write_film,
)
from legged_skills.tasks.getup_file import GetupPolicy, shipped_getup
from legged_skills.tasks.getup_film import lying_scenes
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.report import DemoReport
from legged_skills.tasks.stages import Stages
from legged_skills.tasks.walk import COMMAND_NAMES, WalkConfig

VIDEO_FILE = "demo.mp4"
REPORT_FILE = "report.html"

COURSE: tuple[tuple[str, tuple[float, float, float]], ...] = (
    ("stand", (0.0, 0.0, 0.0)),
    ("forward, slowly", (0.31, 0.0, 0.0)),
    ("forward, faster", (0.69, 0.0, 0.0)),
    ("turn left", (0.385, 0.0, 0.64)),
    ("sidestep", (0.0, 0.72, 0.0)),
    ("backwards", (-0.42, 0.0, 0.0)),
    ("stop", (0.0, 0.0, 0.0)),
)
"""Commands of the film: name, and shares of the robot's paces (``Paces.command``)."""

_WAY = "slalom"
"""The way of the ball's target."""
_TURN_M = 0.5
"""Turning by 1 rad is as lively as this way [m]."""


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """What the demo shows."""

    clip_s: float = 8.0
    """Length of the part of a clip in the film [s]."""
    command_s: float = 2.5
    """Time each command of the course is given [s]."""
    average_s: float = 1.0
    """What is achieved is averaged over the last of that time [s]."""
    test: WalkEvaluationConfig = field(default_factory=WalkEvaluationConfig)
    """The test on random commands."""
    dribble_s: float = 8.0
    """Length of dribbling in the film, if the package has weights for the robot; 0 for none [s]."""
    getup_s: float = 3.0
    """Length of getting up from either side, likewise [s]."""


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo made."""

    video: Path
    """The film."""
    report: Path
    """The web page."""
    figures: dict[str, Any]
    """"tracking" and "walking" as the evaluations give them, "course", "dribbling" and "getup" or
    None, "film", "seconds" [s]; texts, numbers, lists and dictionaries only."""


def run_demo(
    robot: str,
    out: str | Path,
    config: DemoConfig | None = None,
    *,
    skills: str | Path | None = None,
    policy: str | Path | None = None,
    clips: str | Path | Sequence[str | Path] | None = None,
    backend: Backend = "auto",
    size: tuple[int, int] | None = None,
    console: Console | None = None,
) -> DemoResult:
    """Tracks all clips, walks a course and a test, and writes a film and a report.

    Args:
        robot: name of the robot.
        out: folder for the two files; made if it is missing.
        config: what to show.
        skills: a skill module; None takes the one that comes with the package.
        policy: a walking policy; None takes the one that comes with the package.
        clips: a folder of clips, or clips; None takes those that come with the package.
        backend: what makes the film's pictures.
        size: width and height of the film [pixels]; None takes what this machine is quick at.
        console: where progress is shown.

    Raises:
        UnknownRobotError: there is no such robot.
        FileFormatError: a file cannot be read or written, or does not come with the package.
        ContractError: a file is for another robot.
        ClipError: a clip cannot be used.
        SettingsError: the film's size or rate is not possible, or there is nothing to show.
        RenderError: the film cannot be made here.
    """
    config = config or DemoConfig()
    film = FilmSettings(size=size, backend=backend)
    began = time.perf_counter()
    spec = robots.get(robot)
    module = SkillModule.load(skills or shipped_module(robot), robot)
    walker = TaskPolicy.load(policy or shipped_policy(robot), robot, "walk")
    motions = load_clips(shipped_clips(robot) if clips is None else clips, spec)
    with Stages(console) as stages:
        with stages.stage("following the clips", "tracking"):
            tracks = track_clips(spec, module, motions)
        with stages.stage("walking on commands", "walking"):
            commands = np.array([[command for _, command in course_commands(robot)]])
            course = walking.walk_on_commands(
                spec, walker, commands, config.command_s, config.average_s
            )
            test = walking.evaluate_walk(spec, walker, config.test)
        track, rows = liveliest(tracks, round(config.clip_s / spec.control_period_s))
        scenes = [
            tracking_scene(spec, track, rows, "1  Tracking a clip"),
            walking_scene(spec, course, [name for name, _ in COURSE], "2  Commanded walk"),
        ]
        with stages.stage("dribbling and getting up", "tasks"):
            dribbling, ball_scenes = _dribbling(spec, config)
            getup, getup_scenes = _getting_up(spec, config)
        scenes += [*ball_scenes, *getup_scenes]
        video = Path(out) / VIDEO_FILE
        with stages.stage("making the film", "film") as advance:
            frames = write_film(video, scenes, film, advance)
    figures = {
        "robot": robot,
        "tracking": evaluate.summarize(tracks),
        "walking": test,
        "walking_test": asdict(config.test) | config.test.ranges(robot),
        "course": _course_figures(spec, course, config),
        "dribbling": dribbling,
        "getup": getup,
        "film": {"frames": frames, **_film_figures(spec, track, rows, film)},
        "versions": versions(),
        "seconds": {**stages.seconds, "all": time.perf_counter() - began},
    }
    report = Path(out) / REPORT_FILE
    DemoReport(
        spec=spec,
        module=module,
        policy=walker,
        clips=motions,
        figures=figures,
        plots=_plots(spec, track, rows, course, figures),
        video=video,
    ).write(report)
    return DemoResult(video=video, report=report, figures=figures)


def course_commands(robot: str) -> list[tuple[str, tuple[float, float, float]]]:
    """The commands of the film for a robot: name, and vx, vy [m/s], yaw rate [rad/s].

    Raises:
        SettingsError: the robot has no paces.
    """
    paces = WalkConfig().paces(robot)
    return [(name, paces.command(shares)) for name, shares in COURSE]


def liveliest(tracks: Sequence[ClipTrack], length: int) -> tuple[ClipTrack, slice]:
    """The part of all that was tracked in which the base moves and turns most.

    Args:
        tracks: at least one.
        length: wanted length [control steps]; where less was tracked, the part is shorter.

    Returns:
        A track, and the rows of the part.
    """
    best = (-1.0, tracks[0], slice(0, tracks[0].tracked))
    for track in tracks:
        way_m = np.linalg.norm(np.diff(track.reference_qpos[:, :2], axis=0), axis=1)
        heading = rotations.yaw(track.reference_qpos[:, 3:7])
        turn_m = _TURN_M * np.abs(np.diff(np.unwrap(heading)))
        travelled = np.concatenate([[0.0], np.cumsum(way_m + turn_m)])
        steps = min(length, track.tracked)
        starts = np.arange(track.tracked - steps + 1)
        score = travelled[np.maximum(starts + steps - 1, 0)] - travelled[starts]
        at = int(np.argmax(score))
        if steps > 0 and score[at] > best[0]:
            best = (float(score[at]), track, slice(at, at + steps))
    return best[1], best[2]


def _dribbling(spec: RobotSpec, config: DemoConfig) -> tuple[dict[str, Any] | None, list[Scene]]:
    """Figures and scenes of dribbling; nothing if the package has no weights for the robot."""
    path = shipped_or_none(evaluate_dribble.shipped_policy, spec.name)
    if path is None or config.dribble_s <= 0.0:
        return None, []
    test = DribbleEvaluationConfig(episode_s=config.dribble_s, heading_rad=0.0)
    policy = load_any_policy(path, spec.name, "dribble")
    run = evaluate_dribble.dribble_on_paths(spec, policy, [_WAY], test)
    # All of the film counts, its beginning too.
    found = evaluate_dribble.summarize(spec, run, skip_s=0.0)
    figures = {name: found[name] for name in ("near_m", "time_near_target")}
    figures |= {"path": _WAY, "fell": bool(run.fell[0])}
    return figures, [dribbling_scene(spec, run, title="3  Dribbling")]


def _getting_up(spec: RobotSpec, config: DemoConfig) -> tuple[dict[str, Any] | None, list[Scene]]:
    """Figures and scenes of getting up; nothing if the package has no weights for the robot."""
    path = shipped_or_none(shipped_getup, spec.name)
    if path is None or config.getup_s <= 0.0:
        return None, []
    stand_s = min(0.5, 0.5 * config.getup_s)
    test = GetupEvaluationConfig(episodes=16, limit_s=config.getup_s - stand_s, stand_s=stand_s)
    run = get_up(spec, GetupPolicy.load(path, spec.name), test, keep=test.episodes)
    return summarize_getup(run, test, spec.control_period_s), lying_scenes(spec, run)


def shipped_or_none(find: Callable[[str], Path], robot: str) -> Path | None:
    """The file that ``find`` finds for a robot; None if it does not come with the package."""
    try:
        return find(robot)
    except FileFormatError:
        return None


def _course_figures(spec: RobotSpec, course: WalkEpisodes, config: DemoConfig) -> dict[str, Any]:
    fell = bool(course.fell[0])
    legs = []
    rows = zip(course_commands(spec.name), course.achieved[0].tolist(), strict=True)
    for (name, command), achieved in rows:
        leg: dict[str, Any] = {"name": name, **dict(zip(COMMAND_NAMES, command, strict=True))}
        leg |= {f"achieved_{n}": value for n, value in zip(COMMAND_NAMES, achieved, strict=True)}
        legs.append(leg)
    return {
        "command_s": config.command_s,
        "average_s": config.average_s,
        "fell": fell,
        "fell_at_s": float(course.fallen_at[0]) * spec.control_period_s if fell else None,
        "commands": legs,
    }


def _film_figures(
    spec: RobotSpec, track: ClipTrack, rows: slice, settings: FilmSettings
) -> dict[str, Any]:
    return {
        "width": settings.pixels[0],
        "height": settings.pixels[1],
        "renderer": settings.renderer,
        "clip": {
            "name": short_name(track.name),
            "start_s": rows.start * spec.control_period_s,
            "end_s": rows.stop * spec.control_period_s,
        },
    }


def _plots(
    spec: RobotSpec,
    track: ClipTrack,
    rows: slice,
    course: WalkEpisodes,
    figures: dict[str, Any],
) -> dict[str, bytes]:
    """The report's pictures by name, PNG."""
    period_s = spec.control_period_s
    qpos, reference = track.qpos[rows], track.reference_qpos[rows]
    times_s = period_s * np.arange(rows.start + 1, rows.stop + 1)
    hold = len(course.velocity) // len(COURSE)
    return {
        "joints": plots.joint_angles(spec, times_s, reference[:, 7:], qpos[:, 7:]),
        "base": plots.base_motion(times_s, reference[:, :3], qpos[:, :3]),
        "clips": plots.clip_scores(figures["tracking"]["clips"]),
        "course": plots.velocities(
            period_s,
            course.commands[0].repeat(hold, axis=0),
            course.velocity[:, 0],
            [name for name, _ in COURSE],
        ),
        "commands": plots.command_scatter(*walking.command_arrays(figures["walking"])),
    }
