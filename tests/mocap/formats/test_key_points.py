"""Key points as tables and as arrays: names, rates, units, gaps, and what can be wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from legged_skills.mocap.formats import key_points, read_motion
from legged_skills.mocap.source import ReadOptions
from legged_skills.robots.errors import ClipError, FileFormatError

NAMES = ("left_hip", "left_knee", "left_ankle", "head")
FPS = 50.0


def _person(frames: int = 40) -> np.ndarray:
    """A crude person that walks along x, z up [m], (T, 4, 3)."""
    rest = np.array([[0, 0.1, 0.9], [0, 0.1, 0.5], [0, 0.1, 0.1], [0, 0, 1.75]])
    time = np.arange(frames) / FPS
    return rest + time[:, None, None] * [1.0, 0.0, 0.0]


def _table(
    positions: np.ndarray, names: tuple[str, ...] = NAMES, axis: str = "_{}"
) -> list[list[str]]:
    """Header and cells, with a column of times."""
    header = ["time", *(name + axis.format(a) for name in names for a in "xyz")]
    cells = positions.reshape(len(positions), 3 * len(names))
    return [header, *([f"{i / FPS:.3f}", *map(str, row)] for i, row in enumerate(cells.tolist()))]


def _write(path: Path, rows: list[list[str]], separator: str = ",") -> Path:
    path.write_text("\n".join(separator.join(row) for row in rows) + "\n")
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("axis", ["_{}", ".{}", ":{}", " {}", "-{}"])
def test_headers_and_separators(tmp_path: Path, separator: str, axis: str) -> None:
    positions = _person()
    rows = _table(positions, axis=axis)
    rows[0] = [title.title() if separator == ";" else title for title in rows[0]]
    motion = read_motion(_write(tmp_path / "a.csv", rows, separator))
    assert [name.lower() for name in motion.marker_names] == list(NAMES)
    assert motion.fps == FPS
    np.testing.assert_allclose(motion.positions_w, positions, atol=1e-12)
    assert motion.source["unit"] == "1 m (inferred: skeleton 1.65 m high)"
    assert motion.source["up_axis"] == "z (inferred)"
    assert "note" not in motion.source


def test_quotes_blank_lines_and_other_columns(tmp_path: Path) -> None:
    rows = _table(_person())
    rows[0] = [f'"{title}"' for title in rows[0]]
    for row in rows[1:]:
        row += ["0.9", "good"]
    rows[0] += ["head_confidence", "comment"]
    rows[5][2] = f'"{rows[5][2]}"'
    path = _write(tmp_path / "a.csv", rows)
    path.write_text("\n\n" + path.read_text().replace("\n", "\n\n"))
    motion = read_motion(path)
    np.testing.assert_allclose(motion.positions_w, _person(), atol=1e-12)
    assert motion.source["note"] == "columns left out: head_confidence, comment"


def test_millimetres_with_y_up_are_found_out(tmp_path: Path) -> None:
    # The world's (x, y, z) are the file's (z, x, y).
    rows = _table(1000 * _person()[:, :, [1, 2, 0]])
    motion = read_motion(_write(tmp_path / "a.csv", rows))
    np.testing.assert_allclose(motion.positions_w, _person(), atol=1e-12)
    assert motion.source["unit"].startswith("0.001 m (inferred")
    assert motion.source["up_axis"] == "y (inferred)"


def test_options_win(tmp_path: Path) -> None:
    rows = _table(_person())
    options = ReadOptions(fps=25, unit_m=0.01, up_axis="y")
    motion = read_motion(_write(tmp_path / "a.csv", rows), options)
    assert motion.fps == 25.0
    np.testing.assert_allclose(motion.positions_w, 0.01 * _person()[:, :, [2, 0, 1]], atol=1e-12)


def test_without_times_the_rate_must_be_given(tmp_path: Path) -> None:
    rows = [row[1:] for row in _table(_person())]
    path = _write(tmp_path / "a.csv", rows)
    with pytest.raises(ClipError, match=r"does not say its frame rate .* give it with --fps"):
        read_motion(path)
    assert read_motion(path, ReadOptions(fps=30)).fps == 30.0
    rows = [["frame", *rows[0]], *([str(2 * i), *row] for i, row in enumerate(rows[1:]))]
    _write(path, rows)
    assert read_motion(path, ReadOptions(fps=30)).num_frames == 40
    del rows[7]
    _write(path, rows)
    with pytest.raises(ClipError, match="column frame goes from 10 to 14, expected equal steps"):
        read_motion(path, ReadOptions(fps=30))
    _write(path, [rows[0], *rows[:0:-1]])
    with pytest.raises(ClipError, match="column frame goes from 78 to 76, expected equal steps"):
        read_motion(path, ReadOptions(fps=30))


def test_tables_longer_than_what_is_parsed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_points, "_CHUNK", 7)
    motion = read_motion(_write(tmp_path / "a.csv", _table(_person())))
    np.testing.assert_allclose(motion.positions_w, _person(), atol=1e-12)


def test_missing_rows_are_sampled(tmp_path: Path) -> None:
    rows = _table(_person())
    del rows[10], rows[20]
    motion = read_motion(_write(tmp_path / "a.csv", rows))
    np.testing.assert_allclose(motion.positions_w, _person(), atol=1e-9)


def test_empty_cells_are_gaps(tmp_path: Path) -> None:
    rows = _table(_person())
    rows[5][1] = ""
    rows[6][1:4] = ["NaN", " nan ", "NA"]
    motion = read_motion(_write(tmp_path / "a.csv", rows))
    np.testing.assert_allclose(motion.positions_w, _person(), atol=1e-12)
    assert motion.source["note"].startswith("2 missing positions")
    for row in rows[5:20]:
        row[10:13] = ["", "", ""]
    with pytest.raises(ClipError, match=r"marker 'head' is missing from frame 4 to 18 .0.30 s."):
        read_motion(_write(tmp_path / "a.csv", rows))


def _edited(row: int, column: int, text: str) -> list[list[str]]:
    rows = _table(_person(5))
    rows[row][column] = text
    return rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (_edited(0, 2, "left_hip_x"), "the header has two columns 'left_hip_x'"),
        (_edited(0, 2, "other"), "the header has no column for y of marker 'left_hip'"),
        (_edited(2, 2, "wide"), "line 3, column 'left_hip_y' is 'wide', expected a number, or"),
        (_edited(2, 2, "1e9"), r"line 3, column 'left_hip_y' is 1e\+09, expected a number within"),
        (_edited(2, 2, "-inf"), "line 3, column 'left_hip_y' is -inf, expected a number within"),
        (_edited(2, 2, "1,2"), "line 3 has 14 cells, expected 13 as in the header"),
        (_edited(2, 0, ""), "line 3, column 'time' is nan, expected a number"),
        (_edited(3, 0, "0.01"), "column time, in seconds: frame 2 is at 0.01 s, expected a time"),
        (_table(_person(1)), "has 1 frame.s., a motion needs at least 2"),
        (_table(_person(0)), "has 0 frame.s., a motion needs at least 2"),
    ],
)
def test_bad_tables(tmp_path: Path, rows: list[list[str]], message: str) -> None:
    path = _write(tmp_path / "bad.csv", rows)
    with pytest.raises(ClipError, match=message) as error:
        read_motion(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_times_in_milliseconds_are_not_plausible(tmp_path: Path) -> None:
    rows = _table(_person())
    for row in rows[1:]:
        row[0] = f"{1000 * float(row[0]):g}"
    with pytest.raises(ClipError, match=r"column time, in seconds: a frame rate of 0.05 frames/s"):
        read_motion(_write(tmp_path / "a.csv", rows))


@settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    positions=npst.arrays(
        np.float64, st.tuples(st.integers(2, 5), st.just(4), st.just(3)), elements=st.floats(-9, 9)
    )
)
def test_tables_and_arrays_give_the_numbers_back(tmp_path: Path, positions: np.ndarray) -> None:
    options = ReadOptions(unit_m=1.0, up_axis="z")
    table = read_motion(_write(tmp_path / "a.csv", _table(positions)), options)
    np.savez(tmp_path / "a.npz", positions=positions, names=np.array(NAMES), fps=FPS)
    arrays = read_motion(tmp_path / "a.npz", options)
    np.testing.assert_array_equal(table.positions_w, positions)
    np.testing.assert_array_equal(arrays.positions_w, positions)
    assert table.marker_names == arrays.marker_names == NAMES
    assert table.fps == arrays.fps == FPS


def _save(path: Path, **fields: Any) -> Path:
    arrays = {"positions": _person(), "names": np.array(NAMES), "fps": FPS, **fields}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_arrays_state_their_unit_and_axis(tmp_path: Path) -> None:
    path = _save(
        tmp_path / "a.npz", positions=100 * _person()[:, :, [1, 2, 0]], unit="cm", up_axis="Y"
    )
    motion = read_motion(path)
    np.testing.assert_allclose(motion.positions_w, _person(), atol=1e-12)
    assert motion.source["unit"] == "0.01 m (from the file: skeleton 1.65 m high)"
    assert motion.source["up_axis"] == "y"
    assert motion.source["format"] == "key point arrays"
    motion = read_motion(_save(path, unit=0.5, up_axis=b"z"), ReadOptions(up_axis="y"))
    np.testing.assert_allclose(motion.positions_w, 0.5 * _person()[:, :, [2, 0, 1]], atol=1e-12)
    motion = read_motion(_save(path, unit="ell"), ReadOptions(unit_m=1.0))
    assert motion.source["unit"] == "1 m (as given: skeleton 1.65 m high)"


def test_arrays_with_other_field_names_and_types(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(
        path,
        joints=_person().astype(np.float32),
        joint_names=np.array(NAMES, dtype="S"),
        framerate=np.array([FPS]),
    )
    motion = read_motion(path)
    assert (motion.marker_names, motion.fps) == (NAMES, FPS)
    np.testing.assert_allclose(motion.positions_w, _person(), atol=1e-6)


def test_gaps_in_arrays(tmp_path: Path) -> None:
    positions = _person()
    positions[3:5, 1] = np.nan
    motion = read_motion(_save(tmp_path / "a.npz", positions=positions))
    np.testing.assert_allclose(motion.positions_w, _person(), atol=1e-12)
    assert motion.source["note"].startswith("2 missing positions")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"positions": np.zeros((4, 4))}, r"field positions has type float64 and shape \(4, 4\)"),
        ({"positions": np.zeros((4, 4, 3), complex)}, "field positions has type complex128"),
        ({"positions": np.full((4, 4, 3), np.inf)}, "frame 0, marker 'left_hip' is not within"),
        ({"positions": _person(1)}, "has 1 frame"),
        ({"names": None}, "has no names of its 4 points, expected a field 'names'"),
        ({"names": np.array(NAMES[:3])}, "field names has .* expected 4 texts"),
        ({"names": np.arange(4)}, "field names has type int64"),
        ({"names": np.array(["a", "b", "c", "b"])}, "field names has 'b' more than once"),
        ({"fps": None}, "does not say its frame rate"),
        ({"fps": np.array([1.0, 2.0])}, r"field fps has type float64 and shape \(2,\)"),
        ({"fps": "fast"}, "field fps is 'fast', expected a number"),
        ({"fps": np.nan}, "nan frames/s is not plausible"),
        ({"unit": "ell"}, "field unit is 'ell', expected m, dm"),
        ({"unit": np.nan}, "the unit in the file is nan m long"),
        ({"up_axis": "x"}, "field up_axis is 'x', expected y or z"),
    ],
)
def test_bad_arrays(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    path = _save(tmp_path / "bad.npz", **fields)
    with pytest.raises(ClipError, match=message) as error:
        read_motion(path)
    assert str(error.value).startswith(str(path))


def test_damaged_archives(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.npz")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(FileFormatError, match=r"not a readable .npz archive"):
        read_motion(path)
