"""Which robots one picture shows, and from where."""

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots import rotations
from legged_skills.robots.camera import project
from legged_skills.tasks.time_lapse import _ROOM, _VIEW, SIZE, SPACING, _camera, _rows

SPEC = robots.get("anymal_c")


def _way(steps: list[float]) -> np.ndarray:
    """(T, 2) places along a line, by the way between them."""
    return np.concatenate([[0.0], np.cumsum(steps)])[:, None] * [0.6, -0.8]


@pytest.mark.parametrize(
    ("steps", "rows"),
    [
        ([0.1] * 9, [9]),
        ([SPACING / 4.0] * 9, [1, 5, 9]),
        # It goes twice as fast at the end.
        ([0.1] + [SPACING / 8.0] * 16 + [SPACING / 4.0] * 8, [1, 9, 17, 21, 25]),
        # Of a long way the end is shown.
        ([SPACING / 2.0] * 40, [32, 34, 36, 38, 40]),
    ],
)
def test_robots_are_at_equal_distances_before_the_end(steps: list[float], rows: list[int]) -> None:
    # A little nearer than that, for the rounding of sums.
    assert _rows((1.0 - 1e-9) * _way(steps)).tolist() == rows


@pytest.mark.parametrize("heading", [0.0, 0.9, -2.5])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_all_robots_fit_and_the_way_goes_across_the_picture(heading: float, count: int) -> None:
    qpos = np.tile(SPEC.home_qpos, (count, 1))
    along = np.array([np.cos(heading), np.sin(heading)])
    qpos[:, :2] += SPACING * SPEC.leg_length_m * np.arange(count)[:, None] * along
    qpos[:, 3:7] = rotations.from_yaw(np.full(count, heading))
    view = _camera(SPEC, qpos, SIZE)
    turned = np.degrees(heading)
    assert view.azimuth - _VIEW.azimuth == pytest.approx(turned)
    _, right_w, up_w = view.axes_w()
    room_w = _ROOM * SPEC.leg_length_m * np.stack([right_w, -right_w, up_w, -up_w])
    corners = project((qpos[:, None, :3] + room_w).reshape(-1, 3), view, *SIZE)
    lower, upper = corners.min(axis=0), corners.max(axis=0)
    assert (lower >= -0.05 * np.array(SIZE)).all() and (upper <= 1.05 * np.array(SIZE)).all()
    np.testing.assert_allclose(0.5 * (lower + upper), 0.5 * np.array(SIZE), rtol=0.02)
    assert ((upper - lower) / SIZE).max() > 0.93


def test_who_walks_sideways_is_seen_from_the_side_of_its_way() -> None:
    qpos = np.tile(SPEC.home_qpos, (3, 1))
    qpos[:, 1] += np.arange(3.0)
    assert _camera(SPEC, qpos, SIZE).azimuth - _VIEW.azimuth == pytest.approx(90.0)
