"""Showing a motion: a clip, a clip followed by the skill module, or a task policy at work."""

import os
import sys
import threading
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import mujoco
import numpy as np
from rich.console import Console

from legged_skills import robots
from legged_skills.mocap.clip import RobotClip
from legged_skills.mocap.library import find_clip
from legged_skills.robots.errors import (
    RenderError,
    SettingsError,
    require_ending,
    require_within,
)
from legged_skills.robots.render import Backend
from legged_skills.robots.spec import RobotSpec
from legged_skills.robots.video import ENCODINGS
from legged_skills.skill_module.evaluate import shipped_module, track_clips
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.tasks import evaluate_dribble
from legged_skills.tasks.commander_file import load_any_policy
from legged_skills.tasks.dribble_film import dribbling_scene
from legged_skills.tasks.evaluate_getup import GetupEvaluationConfig, get_up
from legged_skills.tasks.evaluate_walk import shipped_policy, walk_on_commands
from legged_skills.tasks.film import (
    FilmSettings,
    Scene,
    clip_scene,
    facing,
    short_name,
    tracking_scene,
    walking_scene,
    write_film,
)
from legged_skills.tasks.getup_file import GetupPolicy, shipped_getup
from legged_skills.tasks.getup_film import lying_scenes
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.stages import Stages
from legged_skills.tasks.time_lapse import save_picture, time_lapse
from legged_skills.tasks.walk import WalkConfig

_SHORTEST_S, _LONGEST_S = 0.03, 3600.0
"""Ends of the times that can be shown [s]."""
PACE = (0.46, 0.0, 0.0)
"""Where no command is given, this share of the robot's paces (``Paces.command``)."""


@dataclass(frozen=True, kw_only=True)
class PlayConfig:
    """What to show, and where."""

    robot: str = "anymal_c"
    """Name of the robot."""
    clip: Path | None = None
    """Show this clip instead of a walk: a file, or the name of one that comes with the package."""
    track: bool = False
    """Let the skill module follow the clip; the clip itself is shown as a translucent robot."""
    skills: Path | None = None
    """The skill module; by default the one that comes with the package."""
    task: Literal["walk", "dribble", "getup"] = "walk"
    """What is done, if no clip is shown."""
    policy: Path | None = None
    """The task's policy; by default the one that comes with the package."""
    path: Literal["straight", "slalom", "square", "jumps"] | None = None
    """The way of the target for dribbling; a slalom by default."""
    command: tuple[float, float, float] | None = None
    """Walk with this velocity: forward, to the left [m/s], turning rate to the left [rad/s]; by
    default straight ahead at a pace that suits the robot."""
    seconds: float = 10.0
    """Show this much, or the clip if it is shorter [s]."""
    video: Path | None = None
    """Write a film to this file (.mp4 or .gif), instead of opening a window."""
    picture: Path | None = None
    """Write one picture of the robot along its way to this file (.png), instead of a window."""
    backend: Backend = "auto"
    """What makes the pictures of films: OpenGL, the package's own ray casting, its quick sketch, or
    OpenGL where hardware speeds it up and ray casting elsewhere."""

    def __post_init__(self) -> None:
        """Checks the settings.

        Raises:
            SettingsError: a value is out of range, or the settings do not go together.
        """
        if self.track and self.clip is None:
            raise SettingsError("track is set, but no clip is given to follow.")
        if self.skills is not None and not self.track:
            raise SettingsError("skills are given, but not --track, which is what they are for.")
        if self.task != "walk" and self.clip is not None:
            raise SettingsError(f"task is {self.task}, but a clip is given to show.")
        if self.task != "walk" and self.picture is not None:
            raise SettingsError(
                f"task is {self.task}, of which no picture is made; ask for a video."
            )
        walks = self.task == "walk" and self.clip is None
        if self.command is not None and not walks:
            raise SettingsError("command is given, but only a walk is commanded.")
        if self.path is not None and self.task != "dribble":
            raise SettingsError("path is given, but only dribbling has a target.")
        require_within(self, seconds=(_SHORTEST_S, _LONGEST_S))
        if self.policy is not None and self.clip is not None:
            raise SettingsError("policy is given, and a clip to show, expected one of them.")
        if self.video is not None:
            require_ending(self.video, "video", ENCODINGS)
        if self.command is not None and not np.isfinite(self.command).all():
            raise SettingsError(f"command is {self.command}, expected finite numbers.")
        if self.picture is not None:
            require_ending(self.picture, "picture", [".png"])


def play(
    config: PlayConfig, *, size: tuple[int, int] | None = None, console: Console | None = None
) -> list[Path]:
    """Shows a motion in a window, or writes it to files if the configuration names any.

    Args:
        config: what to show, and where.
        size: width and height of a film [pixels]; None takes what this machine is quick at.
        console: where progress is shown.

    Returns:
        The files written.

    Raises:
        UnknownRobotError: there is no such robot.
        FileFormatError: a file cannot be read or written, or does not come with the package.
        ContractError: a file is for another robot.
        ClipError: the clip cannot be used.
        SettingsError: the film's size or name is not possible, or there is nothing to show.
        RenderError: there is no screen, or no film can be made here.
    """
    spec = robots.get(config.robot)
    written = [path for path in (config.video, config.picture) if path is not None]
    if not written:
        _require_screen()
    scene = _scene(spec, config)
    if config.video is not None:
        settings = FilmSettings(size=size, backend=config.backend)
        with Stages(console) as stages, stages.stage("making the film", "film") as advance:
            write_film(config.video, [scene], settings, advance)
    if config.picture is not None:
        save_picture(config.picture, time_lapse(spec, scene.qpos, backend=config.backend))
    if not written:
        _show(scene)
    return written


def _scene(spec: RobotSpec, config: PlayConfig) -> Scene:
    """The motion that the configuration asks for."""
    if config.task == "dribble":
        file = config.policy or evaluate_dribble.shipped_policy(spec.name)
        test = evaluate_dribble.DribbleEvaluationConfig(episode_s=config.seconds, heading_rad=0.0)
        policy = load_any_policy(file, spec.name, "dribble")
        run = evaluate_dribble.dribble_on_paths(spec, policy, [config.path or "slalom"], test)
        return dribbling_scene(spec, run)
    if config.task == "getup":
        getup = GetupPolicy.load(config.policy or shipped_getup(spec.name), spec.name)
        fallen = GetupEvaluationConfig(episodes=1, limit_s=config.seconds, stand_s=0.0)
        return lying_scenes(spec, get_up(spec, getup, fallen))[0]
    if config.clip is None:
        policy = TaskPolicy.load(config.policy or shipped_policy(spec.name), spec.name, "walk")
        command = config.command
        if command is None:
            command = WalkConfig().paces(spec.name).command(PACE)
        seconds, commands = config.seconds, np.array([[command]])
        return walking_scene(
            spec, walk_on_commands(spec, policy, commands, seconds, average_s=seconds)
        )
    clip = RobotClip.load(find_clip(config.clip, spec.name))
    clip.check_robot(spec)
    if not config.track:
        scene = clip_scene(spec, clip)
        return replace(scene, qpos=scene.qpos[_rows(config.seconds, scene.period_s)])
    module = SkillModule.load(config.skills or shipped_module(spec.name), spec.name)
    track = track_clips(spec, module, [clip])[0]
    rows = _rows(config.seconds, spec.control_period_s)
    return tracking_scene(spec, track, rows, f"Tracking {short_name(track.name)}")


def _rows(seconds: float, period_s: float) -> slice:
    """The first rows of a motion, at least one."""
    return slice(0, max(1, round(seconds / period_s)))


def _require_screen() -> None:
    """Checks that a window can be opened, for which MuJoCo's viewer would wait for ever.

    Raises:
        RenderError: it cannot.
    """
    screens = ("DISPLAY", "WAYLAND_DISPLAY")
    works = sys.platform != "linux" or any(os.environ.get(name) for name in screens)
    if works:
        # It needs a window system, and this module is needed without one, too.
        import mujoco.viewer

        # The viewer's library of windows warns where it fails; the error below says more.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            works = bool(mujoco.viewer.glfw.init())
    if not works:
        raise RenderError(
            "there is no screen to open a window on; write a film instead, with --video FILE.mp4."
        )


def _show(scene: Scene) -> None:
    """Plays a motion in MuJoCo's viewer, over and over, until its window is closed.

    Raises:
        RenderError: the window cannot be opened.
    """
    import mujoco.viewer

    model, states = scene.pose()
    data = mujoco.MjData(model)
    _place(model, data, states[0])
    others = set(threading.enumerate())
    try:
        window = mujoco.viewer.launch_passive(model, data, show_left_ui=False, show_right_ui=False)
    except RuntimeError as error:
        # On macOS a window needs MuJoCo's own launcher.
        raise RenderError(f"the viewer's window cannot be opened ({error}).") from error
    with window as viewer:
        with viewer.lock():
            viewer.cam.type = mujoco.mjtCamera.mjCAMERA_TRACKING.value
            viewer.cam.trackbodyid = model.body(scene.spec.base_body).id
            view = facing(scene.spec, scene.qpos)
            viewer.cam.distance, viewer.cam.azimuth = view.distance, view.azimuth
            viewer.cam.elevation = view.elevation
        began = time.perf_counter()
        while viewer.is_running():
            row = int((time.perf_counter() - began) / scene.period_s) % len(states)
            _place(model, data, states[row])
            viewer.sync()
            time.sleep(scene.period_s - (time.perf_counter() - began) % scene.period_s)
    # Ending Python while the viewer's thread still tidies up would crash.
    for thread in set(threading.enumerate()) - others:
        thread.join(timeout=5.0)


def _place(model: mujoco.MjModel, data: mujoco.MjData, state: np.ndarray) -> None:
    data.qpos[:] = state
    mujoco.mj_forward(model, data)
