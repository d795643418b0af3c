from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from legged_skills.mocap import side_by_side
from legged_skills.mocap.pipeline import RetargetedFile, retarget_motion
from legged_skills.mocap.side_by_side import FilmSettings, SideBySide, scaled_source
from legged_skills.robots.camera import Camera, project
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.spec import RobotSpec

SMALL = FilmSettings(size=(96, 80), fps=5.0, seconds=1.0)
PAWS = ("left_fore_paw", "right_fore_paw", "left_hind_paw", "right_hind_paw")


@pytest.fixture(scope="module")
def result(dog, spec: RobotSpec) -> RetargetedFile:
    motion = replace(dog.motion, positions_w=dog.motion.positions_w[:150])
    return retarget_motion(motion, spec)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": (401, 320)}, r"film size is \(401, 320\), expected even numbers"),
        ({"fps": 0.0}, "film fps is 0, expected 1 to 120"),
        ({"seconds": 0.0}, "film seconds is 0, expected more than 0"),
    ],
)
def test_impossible_settings(settings: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        FilmSettings(**settings)


def test_films_are_at_real_speed_and_cut() -> None:
    # 2 s at 50 Hz: 100 steps; every 10th at 5 pictures a second, and the last.
    assert FilmSettings(fps=5.0).rows(101, 50.0).tolist() == list(range(0, 101, 10))
    assert SMALL.rows(101, 50.0).tolist() == [0, 10, 20, 30, 40, 50]
    # At 41.67 Hz, pictures of 25 a second take the nearest row.
    assert FilmSettings().rows(6, 1 / 0.024).tolist() == [0, 2, 3, 5]


def test_the_scaled_source_has_its_feet_at_the_robots(dog, result, spec: RobotSpec) -> None:
    stretch = result.stretches[0]
    points = scaled_source(result, stretch.source_frame)
    assert points.shape == (len(stretch.qpos), len(dog.motion.marker_names), 3)
    paws = points[:, [dog.motion.index(name) for name in PAWS]]
    # On the floor when they stand, and beside the robot's by what was added to the source's.
    assert np.abs(paws[stretch.contact][:, 2]).max() < 5e-3
    beside = np.linalg.norm((paws - stretch.feet_w)[..., :2], axis=-1)
    wanted = np.linalg.norm(dog.foot_offsets[:, :2], axis=1)
    np.testing.assert_allclose(beside.mean(axis=0), wanted, atol=0.02)


def test_both_halves_show_the_same_moment(result, spec: RobotSpec) -> None:
    pictures = list(SideBySide(result, spec, SMALL).pictures(0))
    assert len(pictures) == 6
    assert all(p.shape == (80, 2 * 96 + 4, 3) and p.dtype == np.uint8 for p in pictures)
    assert np.all(pictures[0][:, 96:100] == 255)
    left, right = pictures[2][:, :96].astype(int), pictures[2][:, 100:].astype(int)
    # The same floor; the robot is red, the dog's limbs are blue and orange.
    assert np.abs(left[74:, 80:] - right[74:, 80:]).max() == 0
    assert np.sum(right[..., 0] > 2 * right[..., 1]) > 20 > np.sum(left[..., 0] > 2 * left[..., 1])
    assert np.sum(left[..., 2] > left[..., 0] + 60) > 5
    assert not np.array_equal(pictures[0], pictures[5])


def test_standing_feet_are_green(result, spec: RobotSpec) -> None:
    def green(contact: bool) -> tuple[int, int]:
        flags = np.full(result.stretches[0].contact.shape, contact)
        stretch = replace(result.stretches[0], contact=flags)
        film = SideBySide(replace(result, stretches=[stretch]), spec, SMALL)
        picture = next(film.pictures(0)).astype(int)
        found = (picture[..., 1] > picture[..., 0] + 60) & (picture[..., 1] > picture[..., 2] + 20)
        return int(found[:, :96].sum()), int(found[:, 100:].sum())

    assert green(False) == (0, 0)
    assert min(green(True)) > 10


def test_everything_is_in_the_picture(
    result, spec: RobotSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    cameras: list[Camera] = []
    drawn = side_by_side.Sketcher.picture

    def spy(self, faces, camera, decals=None):
        cameras.append(camera)
        pixels = project(faces.corners_w, camera, *SMALL.size)
        assert np.all(pixels > 0) and np.all(pixels < SMALL.size)
        return drawn(self, faces, camera, decals)

    monkeypatch.setattr(side_by_side.Sketcher, "picture", spy)
    # What a file does not say is at 0 in this source: only named points are near the dog.
    named = [i for i, n in enumerate(result.motion.marker_names) if not n.startswith("point")]
    motion = replace(
        result.motion,
        marker_names=tuple(result.motion.marker_names[i] for i in named),
        positions_w=result.motion.positions_w[:, named],
    )
    list(SideBySide(replace(result, motion=motion), spec, SMALL).pictures(0))
    # One camera for both halves; it goes along, and does not turn.
    assert cameras[0::2] == cameras[1::2]
    assert len({camera.azimuth for camera in cameras}) == 1
    assert cameras[-1].lookat[0] > cameras[0].lookat[0] + 0.2


# The reader of imageio-ffmpeg leaves its pipes to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_films_are_written(result, spec: RobotSpec, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    assert list(SideBySide(result, spec, SMALL).write(0, path)) == [1, 2, 3, 4, 5, 6]
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(path))
    assert count == 6 and seconds == pytest.approx(1.2, abs=0.01)
