import io
import sys
import threading
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from legged_skills import robots
from legged_skills.robots.errors import ClipError, RenderError, SettingsError
from legged_skills.tasks import play as module
from legged_skills.tasks.play import PlayConfig, play

SIZE = (64, 48)


def quiet() -> Console:
    return Console(file=io.StringIO())


def frames(path: Path) -> int:
    count, _ = imageio_ffmpeg.count_frames_and_secs(str(path))
    return count or 0


def test_clip_to_video_and_picture(wiggle_file: Path, tmp_path: Path) -> None:
    video, picture = tmp_path / "clip.mp4", tmp_path / "clip.png"
    config = PlayConfig(clip=wiggle_file, video=video, picture=picture, backend="raycast")
    assert play(config, size=SIZE, console=quiet()) == [video, picture]
    assert frames(video) == 50  # 2 s
    with Image.open(picture) as image:
        assert (image.format, image.size) == ("PNG", (1280, 420))


def test_clip_followed_by_the_skills(
    wiggle_file: Path, still_skills_file: Path, tmp_path: Path
) -> None:
    config = PlayConfig(
        clip=wiggle_file,
        track=True,
        skills=still_skills_file,
        seconds=0.4,
        video=tmp_path / "track.mp4",
        backend="raycast",
    )
    play(config, size=SIZE, console=quiet())
    assert frames(tmp_path / "track.mp4") == 10


def test_commanded_walk(still_policy_file: Path, tmp_path: Path) -> None:
    config = PlayConfig(
        command=(0.0, 0.2, -0.5),
        policy=still_policy_file,
        seconds=0.4,
        video=tmp_path / "walk.mp4",
        backend="raycast",
    )
    play(config, size=SIZE, console=quiet())
    assert frames(tmp_path / "walk.mp4") == 10


def test_without_a_command_the_pace_suits_the_robot(
    still_policy_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []

    def walk(spec, policy, commands, *rest, **more):
        given.append(commands.tolist())
        return walk_on_commands(spec, policy, commands, *rest, **more)

    walk_on_commands = module.walk_on_commands
    monkeypatch.setattr(module, "walk_on_commands", walk)
    config = PlayConfig(policy=still_policy_file, seconds=0.1)
    module._scene(robots.get("anymal_c"), config)
    module._scene(robots.get("anymal_c"), replace(config, command=(0.1, 0.2, 0.3)))
    assert given == [[[[0.6, 0.0, 0.0]]], [[[0.1, 0.2, 0.3]]]]


def test_getting_up(tmp_path: Path) -> None:
    video = tmp_path / "getup.mp4"
    config = PlayConfig(robot="op3", task="getup", seconds=0.4, video=video, backend="sketch")
    play(config, size=SIZE, console=quiet())
    assert frames(video) == 10


def test_settings_that_do_not_go_together() -> None:
    with pytest.raises(SettingsError, match="task is getup, but a clip is given"):
        PlayConfig(robot="op3", task="getup", clip=Path("clip.npz"))
    with pytest.raises(SettingsError, match="no clip is given to follow"):
        PlayConfig(track=True)
    with pytest.raises(SettingsError, match=r"seconds is 0\.0"):
        PlayConfig(seconds=0.0)
    with pytest.raises(SettingsError, match="finite"):
        PlayConfig(command=(float("nan"), 0.0, 0.0))
    with pytest.raises(SettingsError, match="only a walk is commanded"):
        PlayConfig(task="dribble", command=(0.5, 0.0, 0.0))
    with pytest.raises(SettingsError, match="only a walk is commanded"):
        PlayConfig(clip=Path("clip.npz"), command=(0.5, 0.0, 0.0))
    with pytest.raises(SettingsError, match="only dribbling has a target"):
        PlayConfig(path="square")
    with pytest.raises(SettingsError, match=r"a\.jpg.*\.png"):
        PlayConfig(picture=Path("a.jpg"))


def test_film_names_are_checked(wiggle_file: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\.mp4"):
        play(PlayConfig(clip=wiggle_file, video=tmp_path / "a.avi"), console=quiet())


def test_clip_of_another_robot(
    wiggle_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from legged_skills import robots

    other = replace(robots.get("anymal_c"), name="other")
    monkeypatch.setattr(module.robots, "get", lambda name: other)
    with pytest.raises(ClipError, match="anymal_c"):
        play(PlayConfig(robot="other", clip=wiggle_file, video=tmp_path / "a.mp4"))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a screen")
def test_without_a_screen_a_film_is_offered(
    wiggle_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(RenderError, match=r"no screen.*--video"):
        play(PlayConfig(clip=wiggle_file))


class Window:
    """Stands in for MuJoCo's viewer, and is closed after four pictures."""

    def __init__(self, model: object, data: SimpleNamespace) -> None:
        self.model, self.data = model, data
        self.cam = SimpleNamespace()
        self.seen: list[np.ndarray] = []
        self.thread = threading.Thread(target=lambda: None)
        self.thread.start()

    def __enter__(self) -> "Window":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def lock(self) -> nullcontext:
        return nullcontext()

    def is_running(self) -> bool:
        return len(self.seen) < 4

    def sync(self) -> None:
        self.seen.append(self.data.qpos.copy())


def test_window_shows_the_motion_over_and_over(
    wiggle_file: Path, still_skills_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = pytest.importorskip("mujoco.viewer")
    windows: list[Window] = []

    def launch(model: object, data: SimpleNamespace, **options: bool) -> Window:
        assert options == {"show_left_ui": False, "show_right_ui": False}
        windows.append(Window(model, data))
        return windows[0]

    monkeypatch.setattr(viewer, "launch_passive", launch)
    monkeypatch.setattr(module, "_require_screen", lambda: None)
    config = PlayConfig(clip=wiggle_file, track=True, skills=still_skills_file, seconds=0.04)
    assert play(config) == []
    (window,) = windows
    # Two rows, over and over: robot and clip, 19 numbers each.
    assert {len(seen) for seen in window.seen} == {38}
    assert len(np.unique(np.round(window.seen, 9), axis=0)) == 2
    assert window.cam.trackbodyid == 1
    assert not window.thread.is_alive()
