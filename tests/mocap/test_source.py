"""The source-motion type refuses what is not a motion."""

import numpy as np
import pytest

from legged_skills.mocap.source import SourceMotion, check_fps
from legged_skills.robots.errors import ClipError


def _motion(**changes: object) -> SourceMotion:
    fields: dict = {
        "marker_names": ("a", "b"),
        "positions_w": np.zeros((3, 2, 3)),
        "fps": 30.0,
        "skeleton": "test",
        "source": {"file": "walk.txt"},
    }
    return SourceMotion(**{**fields, **changes})


def test_sizes() -> None:
    motion = _motion()
    assert motion.num_frames == 3
    # Two steps of 1/30 s.
    assert motion.duration_s == pytest.approx(2 / 30)
    assert motion.index("b") == 1


def test_missing_marker_lists_those_that_exist() -> None:
    with pytest.raises(ClipError, match=r"walk.txt: has no marker 'c', found a, b\."):
        _motion().index("c")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positions_w": np.zeros((3, 3, 3))}, r"positions have shape \(3, 3, 3\)"),
        ({"positions_w": np.zeros((1, 2, 3))}, r"has 1 frame\(s\), a motion needs at least 2"),
        ({"positions_w": np.full((3, 2, 3), np.nan)}, "frame 0, marker 'a' is not a finite"),
        ({"rotations_wxyz": np.zeros((3, 2, 3))}, "rotations have shape"),
        ({"parents": (-1,)}, "has 1 parents for 2 markers"),
        ({"fps": 5.0}, "frame rate of 5 frames/s is not plausible, expected 10 to 1000"),
    ],
)
def test_bad_motions(changes: dict, message: str) -> None:
    with pytest.raises(ClipError, match=message) as error:
        _motion(**changes)
    assert str(error.value).startswith("walk.txt: ")


@pytest.mark.parametrize("fps", [float("nan"), float("inf"), -60.0, 0.0, 9.99, 1001.0])
def test_implausible_frame_rates(fps: float) -> None:
    with pytest.raises(ClipError, match=r"x: a frame rate of .* is not plausible"):
        check_fps(fps, "x")


def test_plausible_frame_rates() -> None:
    assert check_fps(10, "x") == 10.0
    assert check_fps(1000, "x") == 1000.0
