from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.mocap.clip import RobotClip
from legged_skills.robots import rotations
from legged_skills.robots.camera import Camera, project
from legged_skills.robots.errors import SettingsError
from legged_skills.skill_module.evaluate import ClipTrack
from legged_skills.tasks import film
from legged_skills.tasks.evaluate_walk import WalkEpisodes
from legged_skills.tasks.film import FilmSettings, Scene
from legged_skills.tasks.ribbon import draw_ribbon
from legged_skills.tasks.time_lapse import SIZE, time_lapse

SPEC = robots.get("anymal_c")
TINY = FilmSettings(size=(96, 64), backend="raycast")


def scene(count: int, period_s: float = 0.02) -> Scene:
    return Scene(spec=SPEC, qpos=np.tile(SPEC.home_qpos, (count, 1)), period_s=period_s)


def walk(yaw_rate: float = 0.0) -> WalkEpisodes:
    """A second and a half of standing, commanded to stand and then to walk at 0.5 m/s."""
    commands = np.array([[[0.0, 0.0, 0.0], [0.5, 0.0, yaw_rate]]])
    return WalkEpisodes(
        commands=commands,
        achieved=np.zeros((1, 2, 3)),
        fallen_at=np.array([60]),
        velocity=np.zeros((76, 1, 3), np.float32),
        qpos=np.tile(SPEC.home_qpos, (76, 1, 1)),
    )


def test_films_run_at_real_speed() -> None:
    # 100 rows of 20 ms are 2 s, so 50 frames of 40 ms: every second row.
    np.testing.assert_array_equal(scene(100).rows(25.0), np.arange(0, 100, 2))
    # 30 frames/s: row 1/30 s / 20 ms = 1.67, rounded, and so on.
    assert scene(100).rows(30.0)[:4].tolist() == [0, 2, 3, 5]
    assert len(scene(100).rows(30.0)) == 60
    # A clip of 60 frames/s shown with 25: a frame every 2.4 rows.
    assert scene(60, 1.0 / 60.0).rows(25.0)[:4].tolist() == [0, 2, 5, 7]
    assert scene(1).rows(25.0).tolist() == [0]


def test_moving_average_by_hand() -> None:
    values = np.array([[0.0], [3.0], [6.0], [0.0], [0.0]])
    # Windows of one row to each side, cut at the ends.
    wanted = [[1.5], [3.0], [3.0], [2.0], [0.0]]
    np.testing.assert_allclose(film.moving_average(values, 0.1, 0.2), wanted)
    np.testing.assert_allclose(film.moving_average(values[:, 0], 0.1, 0.0), values[:, 0])


def test_camera_looks_from_the_same_side_whatever_the_heading() -> None:
    qpos = np.tile(SPEC.home_qpos, (10, 1))
    ahead = film.facing(SPEC, qpos)
    qpos[:, 3:7] = rotations.from_yaw(np.linspace(np.pi - 0.2, np.pi + 0.2, 10))
    back = film.facing(SPEC, qpos)
    assert abs(back.azimuth - ahead.azimuth) == pytest.approx(180.0, abs=1e-6)
    assert back.distance == ahead.distance


def test_pictures_are_the_robot_from_a_followed_camera() -> None:
    moving = scene(20, period_s=0.1)
    moving.qpos[:, 0] = 3.0 + np.linspace(0.0, 3.0, 20)
    frames = list(film.render_scene(moving, replace(TINY, fps=5.0)))
    assert [frame.shape for frame in frames] == [(64, 96, 3)] * 10
    for frame in frames:
        red = (frame[..., 0] > 100) & (frame[..., 1] < 60)
        # The red trunk is in the picture's middle half, although the robot covers 3 m.
        assert red.sum() > 30
        assert red[:, 24:72].sum() > 0.9 * red.sum()


def test_tracking_shows_clip_and_robot() -> None:
    qpos = np.tile(SPEC.home_qpos, (20, 1))
    reference = qpos.copy()
    reference[:, 1] += 0.6
    reference[:, 7:] += 0.1
    track = ClipTrack(
        name="/x/dog_3.npz",
        frames=40,
        tracked=20,
        tracked_strictly=20,
        qpos=qpos,
        reference_qpos=reference,
        latents=np.zeros((20, 1)),
        kl=np.zeros((20, 1)),
    )
    shown = film.tracking_scene(SPEC, track, slice(10, 20))
    assert shown.qpos.shape == (10, 19)
    frame = next(film.render_scene(replace(shown, overlay=lambda f, c, i: f), TINY)).astype(int)
    bluish = (frame[..., 2] - frame[..., 0] > 60).sum()
    alone = Scene(spec=SPEC, qpos=qpos[:1], period_s=0.02)
    plain = next(film.render_scene(alone, TINY)).astype(int)
    assert bluish > 50 + (plain[..., 2] - plain[..., 0] > 60).sum()
    lost = replace(track, tracked=0, qpos=qpos[:0], reference_qpos=qpos[:0])
    with pytest.raises(SettingsError, match="clip dog_3: not one control step was followed"):
        film.tracking_scene(SPEC, lost)


def test_texts_say_what_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    def note(frame: np.ndarray, lines: list, *rest: object) -> np.ndarray:
        written.extend(line if isinstance(line, str) else line[0] for line in lines)
        return frame

    monkeypatch.setattr(film, "annotate", note)
    shown = film.walking_scene(SPEC, walk(), ["stand", "go"], "2  Walking")
    frame = np.zeros((64, 96, 3), np.uint8)
    shown.overlay(frame, Camera(), 37)
    assert written[:2] == ["2  Walking", "stand"]
    assert written[2] == "commanded  forward +0.00, left +0.00 m/s, turn +0.00 rad/s"
    written.clear()
    shown.overlay(frame, Camera(), 38)
    assert written[1:3] == ["go", "commanded  forward +0.50, left +0.00 m/s, turn +0.00 rad/s"]
    written.clear()
    shown.overlay(frame, Camera(), 60)
    assert written[:3] == ["2  Walking", "go", "fallen"]


def test_arrows_point_where_the_command_says() -> None:
    camera = Camera(lookat=(0.0, 0.0, 0.9), distance=3.0, azimuth=90.0, elevation=-40.0)
    black = np.zeros((200, 300, 3), np.uint8)

    def columns(frame: np.ndarray) -> np.ndarray:
        return np.flatnonzero((frame == film.WANTED).all(axis=2).any(axis=0))

    straight = film.walking_scene(SPEC, walk()).overlay(black, camera, 50)[90:]
    turning = film.walking_scene(SPEC, walk(0.6)).overlay(black, camera, 50)[90:]
    # Looking along +y, the robot's +x is to the right: 1.2 s at 0.5 m/s ahead of the middle.
    start, tip = np.array([[0.0, 0.0, 0.9088], [0.6, 0.0, 0.9088]])
    wanted = project(np.stack([start, tip]), camera, 300, 200)[:, 0]
    found = columns(straight)
    assert found[-1] == pytest.approx(wanted[1], abs=3)
    assert found[0] >= wanted[0] - 3
    # The arc of 0.6 rad/s * 1.2 s starts on the floor 0.85 m ahead, and turns to the left.
    ends_w = 0.85 * np.array([[1.0, 0.0, 0.0], [np.cos(0.72), np.sin(0.72), 0.0]])
    (_, first_row), (_, last_row) = project(ends_w, camera, 300, 200) - [0.0, 90.0]
    rows = np.flatnonzero((turning != straight).any(axis=(1, 2)))
    assert rows[-1] == pytest.approx(first_row, abs=3)
    assert rows[0] == pytest.approx(last_row, abs=6)


def test_ribbon_follows_its_path() -> None:
    camera = Camera(lookat=(0.0, 0.0, 0.0), distance=4.0, azimuth=90.0, elevation=-89.0)
    frame = np.zeros((200, 200, 3), np.uint8)
    angles = np.linspace(0.0, np.pi, 30)
    path_w = np.stack([np.cos(angles), np.sin(angles), 0.0 * angles], axis=1)
    drawn = draw_ribbon(frame, camera, path_w, (255, 255, 255), 0.08)
    assert frame.max() == 0
    on_path = project(path_w[2:-6], camera, 200, 200).astype(int)
    assert drawn[on_path[:, 1], on_path[:, 0]].min() > 200
    column, row = project(np.zeros(3), camera, 200, 200).astype(int)
    assert drawn[row, column].max() == 0
    # The neck is 0.24 m before the tip. There the head is 2.8 times as broad as the shaft, so
    # 0.09 m to the side it is white after the neck, and black before.
    for angle, white in ((np.pi - 0.2, True), (np.pi - 0.4, False)):
        for radius in (0.93, 1.07):
            place_w = radius * np.array([np.cos(angle), np.sin(angle), 0.0])
            column, row = project(place_w, camera, 200, 200).astype(int)
            assert (drawn[row, column].min() > 60) == white
    still = draw_ribbon(frame, camera, np.zeros((2, 3)), (255, 255, 255), 0.08)
    assert still.max() == 0


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_film_has_all_frames_of_all_scenes(tmp_path: Path, wiggling_clip: RobotClip) -> None:
    seen: list[tuple[int, int]] = []
    scenes = [scene(10), film.clip_scene(SPEC, replace(wiggling_clip, name="a/b/wiggle.npz"))]
    scenes[1] = replace(scenes[1], qpos=scenes[1].qpos[:20])
    path = tmp_path / "film.mp4"
    assert film.write_film(path, scenes, TINY, lambda *done: seen.append(done)) == 15
    assert seen == [(n, 15) for n in range(1, 16)]
    assert imageio_ffmpeg.count_frames_and_secs(str(path))[0] == 15


def test_time_lapse_shows_the_robot_along_its_way() -> None:
    qpos = np.tile(SPEC.home_qpos, (200, 1))
    alone = time_lapse(SPEC, qpos, backend="raycast")
    qpos[:, 1] = np.linspace(0.0, 3.2, 200)  # sideways: as far as two robots and their gaps
    qpos[:, 3:7] = rotations.from_yaw(np.full(200, np.pi / 2.0))
    frame = time_lapse(SPEC, qpos, backend="raycast")
    assert alone.shape == frame.shape == (SIZE[1], SIZE[0], 3)
    # The dark legs and drives of three robots reach over most of the picture.
    for picture, least, most in ((frame, 0.6, 0.95), (alone, 0.1, 0.4)):
        columns = np.flatnonzero((picture.max(axis=2) < 40).sum(axis=0) > 4)
        reach = (columns[-1] - columns[0]) / SIZE[0]
        assert least < reach < most
        assert (columns[-1] + columns[0]) / (2 * SIZE[0]) == pytest.approx(0.5, abs=0.12)
