"""The dog format: axes, names, and a clear sentence for each way a file can be wrong."""

from pathlib import Path

import numpy as np
import pytest

from legged_skills.mocap.formats import dog_keypoints, read_motion
from legged_skills.mocap.source import ReadOptions
from legged_skills.robots.errors import ClipError


def _lines(frames: int = 3) -> list[str]:
    values = np.arange(frames * 81).reshape(frames, 81) / 100
    return [",\t".join(f"{value:.5f}" for value in row) for row in values]


def _write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_axes_names_and_rate(tmp_path: Path) -> None:
    motion = read_motion(_write(tmp_path / "dog.dat", _lines()))
    assert motion.positions_w.shape == (3, 27, 3)
    assert (motion.fps, motion.skeleton) == (60.0, "dog_keypoints")
    # The first point of the first line is (0, 0.01, 0.02) with y up: z -> x, x -> y, y -> z.
    np.testing.assert_allclose(motion.positions_w[0, 0], [0.02, 0.0, 0.01])
    # The neck is point 3: its first number is the tenth of the line, 0.09.
    np.testing.assert_allclose(motion.positions_w[0, motion.index("neck")], [0.11, 0.09, 0.10])
    assert motion.source["file"] == "dog.dat"
    assert motion.source["licence"] == "not stated"


def test_the_turn_of_axes_is_a_rotation() -> None:
    # Columns: where the file's x, y, z go.
    axes = np.eye(3)[:, [2, 0, 1]].T
    assert np.linalg.det(axes) == pytest.approx(1)


def test_rate_unit_and_axis_can_be_given(tmp_path: Path) -> None:
    path = _write(tmp_path / "dog.txt", _lines())
    motion = read_motion(path, ReadOptions(fps=30, unit_m=0.1, up_axis="z"))
    assert motion.fps == 30.0
    np.testing.assert_allclose(motion.positions_w[0, 0], [0.0, 0.001, 0.002])
    assert motion.source["unit"].startswith("0.1 m (as given")
    assert motion.source["up_axis"] == "z"
    motion = read_motion(path)
    assert (motion.source["unit"], motion.source["up_axis"]) == ("m", "y")


def _with_cell(text: str) -> list[str]:
    lines = _lines()
    cells = lines[1].split(",")
    cells[4] = text
    lines[1] = ",".join(cells)
    return lines


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "the file is empty"),
        (["", "  "], "the file is empty"),
        (_lines(1), "has a single frame, a motion needs at least 2"),
        ([*_lines(2), "1, 2, 3"], r"line 3 has 3 numbers, expected 81 \(27 points of x, y, z\)"),
        ([_lines()[0], "", _lines()[2]], "line 2 has 1 numbers, expected 81"),
        ([_lines()[0], _lines()[1] + ", 7"], "line 2 has 82 numbers, expected 81"),
        (_with_cell("nan"), "line 2, column 5 is nan, expected a finite position"),
        (_with_cell("-inf"), "line 2, column 5 is -inf, expected a finite position"),
        (_with_cell("5000"), "line 2, column 5 is 5000, expected a finite position in metres"),
        (_with_cell("left paw"), "line 2, column 5 is 'left paw', expected a number"),
        (_with_cell(""), "line 2, column 5 is '', expected a number"),
    ],
)
def test_bad_files(tmp_path: Path, lines: list[str], message: str) -> None:
    path = _write(tmp_path / "bad.txt", lines)
    with pytest.raises(ClipError, match=message) as error:
        read_motion(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("fps", [0.0, 6.0, 1500.0, float("nan")])
def test_implausible_rate(tmp_path: Path, fps: float) -> None:
    path = _write(tmp_path / "dog.txt", _lines())
    with pytest.raises(ClipError, match="is not plausible, expected 10 to 1000"):
        read_motion(path, ReadOptions(fps=fps))


def test_reads_the_data_set(mocap_dir: Path) -> None:
    motion = read_motion(mocap_dir / "dog_keypoints" / "dog_walk09.txt")
    assert motion.num_frames == 4336
    assert "CC BY-NC 4.0" in motion.source["licence"]
    # Up is z: the trunk is above the paws. Left is left: up x forward points to the left hip.
    at = {name: motion.positions_w[:, motion.index(name)] for name in dog_keypoints.MARKER_NAMES}
    assert np.mean(at["pelvis"][:, 2] - at["left_hind_paw"][:, 2]) > 0.3
    forward = at["neck"] - at["pelvis"]
    left = np.cross([0.0, 0.0, 1.0], forward)
    across = at["left_hip"] - at["right_hip"]
    assert np.mean(np.sum(left * across, axis=1) > 0) > 0.99
