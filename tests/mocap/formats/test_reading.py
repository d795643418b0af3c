"""What readers share: gaps, times, rates, units by name, worlds that a format fixes."""

from pathlib import Path

import numpy as np
import pytest

from legged_skills.mocap.formats.reading import (
    fill_gaps,
    known_world,
    listed,
    plain_rate,
    stated_rate,
    timing,
    unit_by_name,
)
from legged_skills.mocap.source import ReadOptions
from legged_skills.robots.errors import ClipError

PATH = Path("a.csv")


def _line(frames: int) -> np.ndarray:
    """Two markers on straight lines, (T, 2, 3)."""
    time = np.arange(frames, dtype=float)[:, None]
    return np.stack([time * [1.0, 2.0, 3.0], 5 - time * [3.0, 0.0, 1.0]], axis=1)


def test_short_gaps_are_filled_linearly() -> None:
    whole = _line(20)
    holed = whole.copy()
    holed[4:8, 0] = np.nan  # 4 frames at 20 frames/s: 0.2 s
    holed[9, 1, 2] = np.nan  # one coordinate: the point is missing
    filled, names, note = fill_gaps(holed, ("a", "b"), 20.0, PATH)
    np.testing.assert_allclose(filled, whole, atol=1e-12)
    assert names == ("a", "b")
    assert note == "5 missing positions (12 %) filled by interpolation"
    assert np.isnan(holed[4, 0, 0])  # the argument stays as it was


def test_gaps_at_the_ends_hold_the_nearest_position() -> None:
    holed = _line(20)
    holed[:2, 0] = holed[-1, 1] = np.nan
    filled, _, _ = fill_gaps(holed, ("a", "b"), 20.0, PATH)
    np.testing.assert_array_equal(filled[:2, 0], holed[[2, 2], 0])
    np.testing.assert_array_equal(filled[-1, 1], holed[-2, 1])


def test_long_gaps_are_refused_by_name_and_frame() -> None:
    holed = _line(20)
    holed[3, 0] = holed[10:15, 1] = np.nan
    with pytest.raises(
        ClipError, match=r"a.csv: marker 'b' is missing from frame 10 to 14 \(0.25 s\), expected"
    ):
        fill_gaps(holed, ("a", "b"), 20.0, PATH)


def test_markers_that_are_never_seen_are_left_out() -> None:
    holed = _line(20)
    holed[:, 0] = np.nan
    filled, names, note = fill_gaps(holed, ("a", "b"), 20.0, PATH)
    assert (filled.shape, names, note) == ((20, 1, 3), ("b",), "left out as never seen: a")
    holed[:, 1] = np.nan
    with pytest.raises(ClipError, match="has no marker that is ever seen"):
        fill_gaps(holed, ("a", "b"), 20.0, PATH)


def test_equal_steps_need_no_sampling() -> None:
    # Rounded to milliseconds the steps are 0.016 and 0.017 s, and the mean step is not.
    rate = timing(np.round(np.arange(500) / 60, 3), "a.csv")
    assert (rate.at, rate.fps) == (None, 60.0)
    # A step rounded to microseconds adds up to 0.2 frames here, and is no reason either.
    rate = timing(np.arange(5000) * 0.008333, "a.csv")
    assert (rate.at, rate.fps) == (None, 120.0)
    assert timing(np.arange(9) / 100 + 1.7e9, "a.csv").fps == 100.0
    # The last time is rounded, too.
    for fps, frames in ((120, 500), (150, 450), (240, 487)):
        rate = timing(np.round(np.arange(frames) / fps, 3), "a.csv")
        assert rate.fps == fps and rate.at is None
    # Rounding to milliseconds is no reason, though it is off by 8 % of these steps.
    rate = timing(np.round(np.arange(361) / 180, 3), "a.csv")
    assert (rate.at, rate.fps) == (None, 180.0)


def test_missing_frames_are_sampled() -> None:
    # At 50 frames/s, the frames at 0.04 and 0.10 s are missing.
    rate = timing(np.array([0.0, 0.02, 0.06, 0.08, 0.12, 0.14]), "a.csv")
    assert rate.fps == 50.0
    assert rate.at is not None
    np.testing.assert_allclose(rate.at, [0, 1, 1.5, 2, 3, 3.5, 4, 5], atol=1e-9)


def test_times_may_begin_anywhere() -> None:
    # From 5 s on; the seventh step ends at 5.14 s, which is 6.99... steps after 5 s in floats.
    rate = timing(np.array([5.0, 5.02, 5.06, 5.08, 5.12, 5.14]), "a.csv")
    assert rate.fps == 50.0
    assert rate.at is not None
    np.testing.assert_allclose(rate.at, [0, 1, 1.5, 2, 3, 3.5, 4, 5], atol=1e-9)


def test_gaps_may_last_for_a_step_more_than_what_is_missing() -> None:
    # At 12.5 frames/s two frames are missing, for 0.16 s; it is 0.24 s from one to the next.
    rate = timing(0.08 * np.array([0, 1, 2, 3, 6, 7, 8]), "a.csv")
    assert rate.fps == 12.5
    assert rate.at is not None
    np.testing.assert_allclose(rate.at, [0, 1, 2, 3, 10 / 3, 11 / 3, 4, 5, 6], atol=1e-9)


def test_gaps_are_measured_in_seconds() -> None:
    # At 24 frames/s four frames are 0.17 s, five are 0.21 s.
    holed = _line(20)
    holed[3:7, 0] = np.nan
    np.testing.assert_allclose(fill_gaps(holed, ("a", "b"), 24.0, PATH)[0], _line(20), atol=1e-12)
    holed[7, 0] = np.nan
    with pytest.raises(ClipError, match=r"marker 'a' is missing from frame 3 to 7 \(0.21 s\)"):
        fill_gaps(holed, ("a", "b"), 24.0, PATH)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([0.0, 0.02, 0.02], "frame 2 is at 0.02 s, expected a time after that of frame 1"),
        ([0.0, 0.02, 0.04, 0.5, 0.52], "frame 3 comes 0.46 s after the one before, expected"),
        ([0.0, 20.0, 40.0], "a frame rate of 0.05 frames/s is not plausible"),
        ([0.0, 1e-12, 2e-12], "is not plausible"),
        ([0.0, 0.01, 0.02, 0.13, 0.23, 0.24], "6 frames span 0.24 s, which at 100 frames/s"),
    ],
)
def test_bad_times(times: list[float], message: str) -> None:
    with pytest.raises(ClipError, match=message):
        timing(np.array(times), "a.csv")


def test_rates_are_whole_but_for_rounding() -> None:
    assert plain_rate(1 / 0.033333) == 30.0
    assert plain_rate(59.94) == 59.94
    assert stated_rate(PATH, ReadOptions(), 119.99) == 120.0
    assert stated_rate(PATH, ReadOptions(fps=25), 119.99) == 25.0
    with pytest.raises(ClipError, match=r"does not say its frame rate .* give it with --fps"):
        stated_rate(PATH, ReadOptions(), None)
    with pytest.raises(ClipError, match="nan frames/s is not plausible"):
        stated_rate(PATH, ReadOptions(), float("nan"))


def test_units_by_name() -> None:
    assert unit_by_name(" MM ", "a") == 0.001
    assert unit_by_name("Inches", "a") == 0.0254
    assert unit_by_name("ft", "a") == unit_by_name("Feet", "a") == pytest.approx(12 * 0.0254)
    with pytest.raises(ClipError, match="a is 'furlong', expected m, dm, cm, mm, inch or foot"):
        unit_by_name("furlong", "a")


def test_known_world_is_that_of_the_format_unless_given() -> None:
    positions = _line(20)
    world = known_world(positions, ("a", "b"), ReadOptions(), PATH, "y")
    assert (world.unit_m, world.up_axis, world.unit_text, world.up_text) == (1.0, "y", "m", "y")
    world = known_world(positions, ("a", "b"), ReadOptions(unit_m=0.01, up_axis="z"), PATH, "y")
    assert (world.unit_m, world.up_axis, world.up_text) == (0.01, "z", "z")
    assert world.unit_text.startswith("0.01 m (as given")


def test_long_lists_are_cut_short() -> None:
    assert listed("abc", 3) == "a, b, c"
    assert listed("abcdef", 2) == "a, b, and 4 more"
