import math

import numpy as np
import pytest

from legged_skills.robots.camera import Camera, TrackingCamera, project
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.overlay import annotate, draw_arrow

BLUE = (40, 80, 240)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"distance": 0.0}, "distance is 0.0 m, expected more than 0"),
        ({"fovy": 180.0}, "fovy is 180.0 deg, expected 1 to 170"),
        ({"lookat": (0.0, math.nan, 0.0)}, "finite numbers"),
    ],
)
def test_impossible_camera(settings: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Camera(**settings)


def test_axes_follow_mujocos_angles() -> None:
    # Azimuth 90 looks along +y, so +x is on the right; then 30 degrees down.
    axes_w = Camera(azimuth=90, elevation=-30).axes_w()
    half, root = 0.5, math.sqrt(3) / 2
    np.testing.assert_allclose(axes_w, [[0, root, -half], [1, 0, 0], [0, half, root]], atol=1e-12)
    np.testing.assert_allclose(
        Camera(lookat=(1, 2, 3), distance=2, azimuth=90, elevation=-30).eye_w(),
        [1, 2 - 2 * root, 3 + 2 * half],
    )


def test_project() -> None:
    # At fovy 90, half the picture's height (50 pixels) is a slope of 1. The eye is 2 m before 0.
    camera = Camera(lookat=(0, 0, 0), distance=2, azimuth=0, elevation=0, fovy=90)
    points_w = [[0, 0, 0], [0, -1, 0], [0, 0, 0.5], [2, 1, 1], [-2.5, 0, 0], [0, -9, 0]]
    pixels = project(np.array(points_w), camera, 200, 100)
    expected = [[100, 50], [125, 50], [100, 37.5], [87.5, 37.5], [math.nan] * 2, [325, 50]]
    np.testing.assert_allclose(pixels, expected, atol=1e-9)
    assert project(np.zeros((4, 5, 3)), camera, 200, 100).shape == (4, 5, 2)
    with pytest.raises(ValueError, match=r"\(2,\), expected"):
        project(np.zeros(2), camera, 200, 100)


def test_tracking_does_not_lag_behind_a_steady_walk() -> None:
    follower = TrackingCamera(Camera(distance=3.0, azimuth=10.0), time_constant_s=0.3, height=0.5)
    view = Camera()
    for step in range(101):
        view = follower.follow(np.array([0.02 * step, 0.01 * step, 0.6]), 0.02)
        if step == 0:
            assert view.lookat == (0.0, 0.0, 0.5)
    # 2 s are more than 6 time constants: what is left is (1 m/s * 2 s) exp(-6.7) = 2 mm.
    np.testing.assert_allclose(view.lookat, [2.0, 1.0, 0.5], atol=4e-3)
    assert (view.distance, view.azimuth) == (3.0, 10.0)


def test_tracking_is_smooth_and_independent_of_the_frame_rate() -> None:
    # The robot jumps by 1 m within the first 0.1 s, then stands.
    paths = []
    for dt_s in (0.1, 0.05, 0.01):
        follower = TrackingCamera(time_constant_s=0.3)
        times = np.arange(0, round(1.0 / dt_s) + 1) * dt_s
        path = [
            follower.follow(np.array([min(time / 0.1, 1.0), 0.0, 0.4]), dt_s).lookat[0]
            for time in times
        ]
        paths.append(np.interp([0.1, 0.3, 0.6, 1.0], times, path))
    np.testing.assert_allclose(paths[1], paths[0], atol=1e-9)
    np.testing.assert_allclose(paths[2], paths[0], atol=1e-9)
    assert paths[0][0] < 0.35


def test_tracking_ignores_a_diverged_robot() -> None:
    follower = TrackingCamera()
    before = follower.follow(np.array([1.0, 2.0, 0.5]), 0.02)
    assert follower.follow(np.full(3, np.nan), 0.02) == before
    with pytest.raises(SettingsError, match=r"time_constant_s is 0\.0"):
        TrackingCamera(time_constant_s=0.0)


def test_text_is_in_its_corner_and_in_its_colour() -> None:
    frame = np.full((270, 480, 3), 128, dtype=np.uint8)
    written = annotate(frame, ["ANYmal C", ("0.80 m/s", (255, 200, 0))])
    assert (frame == 128).all()
    changed = (written != 128).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert rows.max() < 60
    assert columns.max() < 160
    assert ((written == 255).all(axis=2)).sum() > 20
    assert ((written == (255, 200, 0)).all(axis=2)).sum() > 20
    # The box is dark, so that the text can be read on anything.
    assert written[rows.min() + 3, (columns.min() + columns.max()) // 2].max() < 90
    lower = annotate(frame, ["ANYmal C"], "bottom right")
    rows, columns = np.nonzero((lower != 128).any(axis=2))
    assert rows.min() > 230
    assert columns.min() > 350
    np.testing.assert_array_equal(annotate(frame, []), frame)


def test_arrow_is_where_project_says() -> None:
    frame = np.full((120, 160, 3), 255, dtype=np.uint8)
    camera = Camera(lookat=(0, 0, 0), distance=2, azimuth=90, elevation=-20)
    start_w, end_w = np.array([-0.3, 0.1, 0.1]), np.array([0.4, -0.2, 0.3])
    drawn = draw_arrow(frame, camera, start_w, end_w, BLUE)
    assert (frame == 255).all()
    for share in (0.05, 0.5, 0.9):
        column, row = project(start_w + share * (end_w - start_w), camera, 160, 120)
        np.testing.assert_array_equal(drawn[int(row), int(column)], BLUE)
    ends = project(np.stack([start_w, end_w]), camera, 160, 120)
    rows, columns = np.nonzero((drawn != 255).any(axis=2))
    np.testing.assert_allclose([columns.min(), columns.max()], ends[:, 0], atol=2.0)
    assert rows.min() == pytest.approx(ends[:, 1].min(), abs=3.0)


def test_arrow_of_no_length_is_a_dot_and_hidden_ones_are_nothing() -> None:
    frame = np.full((120, 160, 3), 255, dtype=np.uint8)
    camera = Camera(lookat=(0, 0, 0), distance=2, azimuth=90, elevation=0)
    zero = np.zeros(3)
    drawn = (draw_arrow(frame, camera, zero, zero, BLUE, shaft_m=0.1) != 255).any(axis=2)
    # Radius 0.08 m at 2 m, 60 pixels for a slope of tan(22.5 deg): 5.8 pixels.
    assert drawn.sum() == pytest.approx(math.pi * 5.8**2, rel=0.25)
    assert drawn[60, 80]
    for end_w in ([0.0, -3.0, 0.0], [math.nan, 0.0, 0.0]):
        np.testing.assert_array_equal(draw_arrow(frame, camera, zero, np.array(end_w), BLUE), frame)
    np.testing.assert_array_equal(
        draw_arrow(frame, camera, np.array([9.0, 0, 0]), np.array([9.5, 0, 0]), BLUE), frame
    )
    with pytest.raises(ValueError, match=r"float64 \(4, 4, 3\), expected uint8"):
        draw_arrow(np.zeros((4, 4, 3)), camera, zero, zero, BLUE)
