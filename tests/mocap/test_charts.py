import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from legged_skills.mocap.charts import Joints, joint_ranges, over_time, slide_speeds
from legged_skills.mocap.quality import Gates
from legged_skills.mocap.stretch import Stretch
from legged_skills.robots.spec import RobotSpec

FPS = 50.0
BLUE, VERMILLION = (0, 114, 178), (213, 94, 0)


@pytest.fixture
def stretch(spec: RobotSpec) -> Stretch:
    """Two seconds of the default pose, in which one foot slides."""
    frames, feet = 100, spec.num_feet
    places = np.zeros((frames, feet, 3))
    places[:, 0, 0] = 0.1 * np.arange(frames) / FPS
    contact = np.ones((frames, feet), dtype=bool)
    contact[50:, 1] = False
    return Stretch(
        source_frame=np.arange(frames, dtype=float),
        qpos=np.tile(spec.home_qpos, (frames, 1)),
        contact=contact,
        feet_w=places,
        floor_distance=np.zeros((frames, feet)),
        fitted_feet_w=places + np.array([0.0, 0.0, 0.005]),
        limb_errors=np.zeros((frames, 0)),
        apart=np.full(frames, 0.2),
        slowdown=np.full(frames, 1.2),
    )


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def count(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    """The number of pixels in about a colour."""
    return int((np.abs(picture - colour).max(axis=2) <= 24).sum())


def test_joints_are_measured_against_their_limits(spec: RobotSpec) -> None:
    qpos = np.tile(spec.home_qpos, (3, 1))
    middle = 0.5 * (spec.joint_lower + spec.joint_upper)
    qpos[:, 7:] = middle
    # From the middle to a tenth of half the range below the limit, and back.
    qpos[1, 9] += 0.9 * (spec.joint_upper[2] - middle[2])
    figures = Joints.of(qpos, spec, FPS)
    np.testing.assert_allclose(figures.room.min(axis=0), [1, 1, 0.1, *[1] * 9], atol=1e-12)
    assert figures.nearest[0] == 2
    way = 0.9 * (spec.joint_upper[2] - middle[2])
    np.testing.assert_allclose(figures.speed[:, 2], way * FPS / spec.velocity_limit[2])
    # Twice the way: it turns round.
    wanted = 2 * way * FPS**2 / spec.acceleration_limit[2]
    np.testing.assert_allclose(figures.acceleration[0, 2], wanted)
    assert figures.speed[:, [0, 1, 3]].max() == 0.0


def test_slide_is_that_of_standing_feet(stretch: Stretch) -> None:
    speed = slide_speeds(stretch, FPS)
    np.testing.assert_allclose(speed[:, 0], 0.1)
    np.testing.assert_allclose(speed[:50, 1], 0.0)
    assert np.isnan(speed[50:, 1]).all()


def test_pictures_have_a_row_for_each_joint(stretch: Stretch, spec: RobotSpec) -> None:
    picture = pixels(joint_ranges(stretch, spec, FPS))
    assert picture.shape == (round(120 * (0.95 + 0.2 * spec.num_joints)), 1080, 3)
    # A joint that moves has a bar.
    moving = stretch.qpos.copy()
    moving[:, 7] += 0.3 * np.sin(np.arange(len(moving)) / 5.0)
    after = pixels(joint_ranges(replace(stretch, qpos=moving), spec, FPS))
    bars = count(after, BLUE) + count(after, VERMILLION)
    assert bars > count(picture, BLUE) + count(picture, VERMILLION) + 500


def test_panels_over_time(stretch: Stretch, spec: RobotSpec) -> None:
    picture = pixels(over_time(stretch, spec, FPS, Gates()))
    # Seven panels of one inch, bars of four feet, times 1.15, and the axis.
    height = 0.4 + 1.15 * (7.0 + 0.3 + 0.22 * 4)
    assert picture.shape == (int(120 * height), 1080, 3)
    # Limits are red; thin lines are drawn with soft edges.
    red, green, blue = np.moveaxis(picture, 2, 0)
    assert np.sum((red > green + 60) & (np.abs(green - blue) < 60)) > 500
    # The bar of a foot that stands half of the time is half as long.
    assert count(picture, BLUE) > 1.5 * count(picture, VERMILLION)


def test_panels_need_what_they_show(stretch: Stretch, spec: RobotSpec) -> None:
    whole = pixels(over_time(stretch, spec, FPS, Gates()))
    alone = replace(stretch, apart=np.full(100, np.inf), contact=np.zeros((100, 4), dtype=bool))
    less = pixels(over_time(alone, spec, FPS, Gates()))
    assert 130 <= len(whole) - len(less) <= 145  # a panel of 1.15 inches
    arms = replace(stretch, limb_errors=np.full((100, 2), 0.03))
    assert not np.array_equal(pixels(over_time(arms, spec, FPS, Gates())), whole)
