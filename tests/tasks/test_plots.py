import io

import matplotlib
import numpy as np
import pytest
from PIL import Image

from legged_skills import robots
from legged_skills.tasks import plots

SPEC = robots.get("anymal_c")
TIMES_S = 0.02 * np.arange(1, 101)
BLUE, VERMILLION = (0, 114, 178), (213, 94, 0)


def pixels(png: bytes) -> np.ndarray:
    """The picture, after a look at its header."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def count(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    """The number of pixels in a colour."""
    return int((np.abs(picture - colour).max(axis=2) <= 4).sum())


def joints() -> tuple[np.ndarray, np.ndarray]:
    wave = 0.3 * np.sin(5.0 * TIMES_S)[:, None]
    return SPEC.default_joint_pos + wave, SPEC.default_joint_pos + 0.8 * wave


def test_joint_angles_are_a_row_of_panels_for_each_leg() -> None:
    picture = pixels(plots.joint_angles(SPEC, TIMES_S, *joints()))
    assert picture.shape == (round(160 * (4 * 1.55 + 0.4)), 1440, 3)
    height, width = picture.shape[0] / 4, picture.shape[1] / 3
    panels = [
        picture[round(row * height) : round((row + 1) * height)][
            :, round(column * width) : round((column + 1) * width)
        ]
        for row in range(4)
        for column in range(3)
    ]
    assert min(count(panel, VERMILLION) for panel in panels) > 100


def test_angles_beyond_the_range_are_shaded() -> None:
    reference, achieved = joints()
    grey = (230, 230, 230)
    inside = count(pixels(plots.joint_angles(SPEC, TIMES_S, reference, achieved)), grey)
    reference[:, 0] = SPEC.joint_upper[0] + 0.5
    outside = count(pixels(plots.joint_angles(SPEC, TIMES_S, reference, achieved)), grey)
    assert outside > inside + 5000


def test_plots_do_not_depend_on_the_users_settings() -> None:
    before = plots.joint_angles(SPEC, TIMES_S, *joints())
    with matplotlib.rc_context({"font.size": 20.0, "axes.facecolor": "black"}):
        assert plots.joint_angles(SPEC, TIMES_S, *joints()) == before
        assert matplotlib.rcParams["font.size"] == 20.0


def test_a_failing_plot_leaves_the_settings_alone() -> None:
    before = dict(matplotlib.rcParams)
    with pytest.raises((ValueError, IndexError)):
        plots.joint_angles(SPEC, TIMES_S, np.zeros((100, 3)), np.zeros((100, 3)))
    assert dict(matplotlib.rcParams) == before


def test_base_motion_has_three_panels() -> None:
    place = np.stack([0.5 * TIMES_S, 0.0 * TIMES_S, 0.52 + 0.0 * TIMES_S], axis=1)
    picture = pixels(plots.base_motion(TIMES_S, place, place + np.array([0.0, 0.05, 0.01])))
    assert picture.shape == (464, 1440, 3)
    for panel in np.array_split(picture, 3, axis=1):
        assert count(panel, VERMILLION) > 100
    # The last panel shows a distance, which is no one's command.
    assert count(picture[:, 1000:], BLUE) < 200 < count(picture[:, :480], BLUE)


def test_velocities_name_their_commands() -> None:
    command = np.zeros((100, 3))
    command[50:, 0] = 0.5
    with_names = plots.velocities(0.02, command, 0.9 * command, ("stand", "walk"))
    without = plots.velocities(0.02, command, 0.9 * command)
    picture = pixels(with_names)
    assert picture.shape == (896, 1440, 3)
    assert count(picture, BLUE) > 1000 and count(picture, VERMILLION) > 1000
    # Names stand over the first panel: dark text that is not there without them.
    assert (pixels(without)[:110] < 100).all(axis=2).sum() < (picture[:110] < 100).all(axis=2).sum()


def test_clip_bars_are_as_long_as_their_values() -> None:
    clips = [
        {"name": "/data/dog_0.npz", "tracked_share": 1.0, "joint_error_rad": 0.10},
        {"name": "dog_1", "tracked_share": 0.25, "joint_error_rad": 0.05},
        {"name": "dog_2", "tracked_share": 0.0, "joint_error_rad": float("nan")},
    ]
    picture = pixels(plots.clip_scores(clips))
    assert picture.shape == (257, 1440, 3)  # 160 * (0.8 + 0.27 * 3) = 257.6
    for panel, share in ((picture[:, :720], 0.25), (picture[:, 720:], 0.5)):
        lengths = (np.abs(panel - VERMILLION).max(axis=2) <= 4).sum(axis=1)
        whole, part = sorted({int(n) for n in lengths if (lengths == n).sum() > 15 and n})[::-1]
        assert part / whole == pytest.approx(share, abs=0.02)


def test_scatter_shows_the_mean_error_and_leaves_out_what_was_not_done() -> None:
    rng = np.random.default_rng(0)
    commands = rng.uniform(-1.0, 1.0, (50, 3))
    achieved = commands + 0.1
    achieved[3] = np.nan
    picture = pixels(plots.command_scatter(commands, achieved))
    assert picture.shape == (512, 1440, 3)
    assert count(picture, BLUE) > 1000
    assert len(pixels(plots.command_scatter(commands[:1], np.full((1, 3), np.nan)))) == 512
