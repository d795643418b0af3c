"""C3D files, written by ezc3d: labels, units, gaps, and files that bring ezc3d down."""

import importlib.util
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legged_skills.mocap.formats import c3d, c3d_process, read_motion
from legged_skills.mocap.source import ReadOptions
from legged_skills.robots.errors import ClipError, FileFormatError

ezc3d = pytest.importorskip("ezc3d")

LABELS = ("LASI", "LKNE", "LANK", "LFHD")
FPS = 120.0


def _person(frames: int = 30) -> np.ndarray:
    """A crude person that walks along x, z up [m], (T, 4, 3)."""
    rest = np.array([[0, 0.1, 0.9], [0, 0.1, 0.5], [0, 0.1, 0.1], [0, 0, 1.75]])
    return rest + np.arange(frames)[:, None, None] / FPS * [1.0, 0.0, 0.0]


def _write(
    path: Path,
    points: np.ndarray,
    labels: tuple[str, ...] = LABELS,
    residuals: np.ndarray | None = None,
    **parameters: Any,
) -> Path:
    """A C3D file; ``points`` (T, P, 3) in its unit, ``residuals`` (T, P)."""
    file = ezc3d.c3d()
    values = {"UNITS": ["mm"], "RATE": [FPS], "LABELS": list(labels)}
    for name, value in {**values, **parameters}.items():
        file.add_parameter("POINT", name, value)
    file["data"]["points"] = np.concatenate(
        [points.transpose(2, 1, 0), np.ones((1, *points.shape[1::-1]))]
    )
    if residuals is not None:
        file["data"]["meta_points"]["residuals"] = residuals.T[None]
    file.write(str(path))
    return path


def test_points_labels_unit_and_rate(tmp_path: Path) -> None:
    path = _write(tmp_path / "walk.c3d", 1000 * _person()).rename(tmp_path / "walk.dat")
    motion = read_motion(path)
    assert (motion.marker_names, motion.fps) == (LABELS, FPS)
    np.testing.assert_allclose(motion.positions_w, _person(), atol=1e-6)
    assert motion.rotations_wxyz is None
    assert motion.source == {
        "file": "walk.dat",
        "format": "C3D",
        "unit": "0.001 m (from the file: skeleton 1.65 m high)",
        "up_axis": "z (inferred)",
        "licence": "not stated",
        "sha256": motion.source["sha256"],
    }


def test_y_up_is_found_out_and_options_win(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.c3d", 100 * _person()[:, :, [1, 2, 0]], UNITS=["cm"])
    motion = read_motion(path)
    np.testing.assert_allclose(motion.positions_w, _person(), atol=1e-6)
    assert motion.source["up_axis"] == "y (inferred)"
    motion = read_motion(path, ReadOptions(fps=100, unit_m=1.0, up_axis="z"))
    assert motion.fps == 100.0
    np.testing.assert_allclose(motion.positions_w, 100 * _person()[:, :, [1, 2, 0]], atol=1e-4)


def test_unit_is_inferred_where_it_is_not_stated(tmp_path: Path) -> None:
    motion = read_motion(_write(tmp_path / "a.c3d", 1000 * _person(), UNITS=[""]))
    np.testing.assert_allclose(motion.positions_w, _person(), atol=1e-6)
    assert motion.source["unit"].startswith("0.001 m (inferred")
    path = _write(tmp_path / "a.c3d", _person(), UNITS=["parsec"])
    with pytest.raises(ClipError, match="POINT:UNITS is 'parsec', expected m, dm, cm"):
        read_motion(path)
    assert read_motion(path, ReadOptions(unit_m=1.0)).source["unit"].startswith("1 m (as given")


def test_in_doubt_z_is_up(tmp_path: Path) -> None:
    cloud = np.random.default_rng(0).uniform(-1000, 1000, (60, 4, 3))
    assert read_motion(_write(tmp_path / "a.c3d", cloud)).source["up_axis"] == "z (inferred)"


def test_positions_may_be_integers(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.c3d", 1000 * _person())
    data = bytearray(path.read_bytes())
    # A scale that is not negative says so: here tenths of a millimetre.
    scale = struct.pack("<f", 0.1)
    parameter = data.find(b"SCALE") + 9
    data[12:16] = data[parameter : parameter + 4] = scale
    start = 512 * (struct.unpack("<H", data[16:18])[0] - 1)
    numbers = np.frombuffer(data[start : start + 30 * 4 * 16], "<f4").reshape(30, 4, 4)
    tenths = np.round(numbers * [10, 10, 10, 1]).astype("<i2")
    path.write_bytes(bytes(data[:start]) + tenths.tobytes())
    motion = read_motion(path)
    assert motion.marker_names == LABELS
    np.testing.assert_allclose(motion.positions_w, _person(), atol=6e-5)


def test_subjects_are_left_out_unless_there_are_two(tmp_path: Path) -> None:
    labels = ("Ann:LASI", "Ann:LKNE", "LANK", "Ann:LFHD")
    path = _write(tmp_path / "a.c3d", 1000 * _person(), labels)
    assert read_motion(path).marker_names == LABELS
    for labels in (
        ("Ann:LASI", "Ann:LKNE", "Bob:LASI", "Bob:LKNE"),
        ("Ann:LASI", "Ann:LKNE", "Ann:LANK", "Bob:LTOE"),
    ):
        path = _write(tmp_path / "a.c3d", 1000 * _person(), labels)
        assert read_motion(path).marker_names == labels


def test_points_that_are_no_markers_are_left_out(tmp_path: Path) -> None:
    points = np.concatenate([1000 * _person(), np.full((30, 3, 3), 45.0)], axis=1)
    labels = (*LABELS, "LHipAngles", "*12", "")
    path = _write(tmp_path / "a.c3d", points, labels, ANGLES=["LHipAngles"])
    motion = read_motion(path)
    assert motion.marker_names == LABELS
    np.testing.assert_allclose(motion.positions_w, _person(), atol=1e-6)
    assert motion.source["note"].startswith("3 points without a label, or that are no places")
    path = _write(tmp_path / "a.c3d", points[:, 4:6], ("*1", "*2"))
    with pytest.raises(ClipError, match="has 2 points, but no marker with a label"):
        read_motion(path)


def test_more_labels_than_one_parameter_holds() -> None:
    values = {"LABELS": ["a", "b"], "LABELS2": ["c"], "LABELS3": ["d"], "LABELS5": ["e"]}
    parameters = {name: {"value": value} for name, value in values.items()}
    assert c3d_process._numbered(parameters, "LABELS") == ["a", "b", "c", "d"]
    assert c3d_process._numbered(parameters, "ANGLES") == []


def test_missing_points_are_filled(tmp_path: Path) -> None:
    points, residuals = 1000 * _person(), np.zeros((30, 4))
    points[3, 0] = np.nan
    points[5:8, 1] = 0.0
    residuals[20:, 2] = -1.0
    path = _write(tmp_path / "a.c3d", points, residuals=residuals)
    motion = read_motion(path)
    expected = _person()
    expected[20:, 2] = expected[19, 2]  # at the end there is nothing to go on to
    np.testing.assert_allclose(motion.positions_w, expected, atol=1e-6)
    assert motion.source["note"].startswith("14 missing positions")
    points[2:28, 1] = 0.0
    with pytest.raises(ClipError, match="marker 'LKNE' is missing from frame 2 to 27"):
        read_motion(_write(tmp_path / "b.c3d", points))


def test_sniffing_takes_no_text_for_it() -> None:
    assert c3d.sniff(b"\x02P\x05\x00")
    for head in (b"", b"\x02", b"\nP", b"PK", b"\x00P", b"HP"):
        assert not c3d.sniff(head)


def test_cut_files(tmp_path: Path) -> None:
    data = _write(tmp_path / "a.c3d", 1000 * _person()).read_bytes()
    path = tmp_path / "cut.c3d"
    path.write_bytes(data[:400])
    with pytest.raises(FileFormatError, match="has no parameters in block 2, where a C3D file"):
        read_motion(path)
    path.write_bytes(data[:1600])
    with pytest.raises(FileFormatError, match="declares 30 frames of 4 points, at least"):
        read_motion(path)


def test_more_frames_than_the_header_can_count(tmp_path: Path) -> None:
    points = np.tile(1000 * _person(1), (65537, 1, 1))
    assert read_motion(_write(tmp_path / "a.c3d", points[:65535])).num_frames == 65535
    path = _write(tmp_path / "a.c3d", points)
    with pytest.raises(FileFormatError, match="has more frames than the 65535 that can be read"):
        read_motion(path)
    # Others begin at 0 again, and have the whole number elsewhere: 4464 + 65536.
    file = ezc3d.c3d(str(_write(tmp_path / "a.c3d", points[:4464])))
    for name, words in (("START", [1, 0]), ("END", [4464, 1])):
        file.add_parameter("TRIAL", f"ACTUAL_{name}_FIELD", words)
    file.write(str(path))
    with pytest.raises(FileFormatError, match="has more frames than the 65535 that can be read"):
        read_motion(path)


def test_a_crash_of_the_library_is_an_error_like_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "crash.py"
    program.write_text("import os\nprint('half a message')\nos.abort()\n")
    monkeypatch.setattr(c3d_process, "__file__", str(program))
    path = _write(tmp_path / "a.c3d", 1000 * _person())
    with pytest.raises(
        FileFormatError, match=r"a.c3d: not a readable C3D file \(the reader gave up\); it may be"
    ):
        read_motion(path)


def test_without_ezc3d(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write(tmp_path / "a.c3d", 1000 * _person())
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "ezc3d" else find_spec(name)
    )
    with pytest.raises(
        FileFormatError, match=r"reading C3D needs ezc3d; install legged_skills\[formats\]"
    ):
        read_motion(path)


def test_a_reader_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write(tmp_path / "a.c3d", 1000 * _person())
    monkeypatch.setattr(c3d, "_BUSY", 0.0001)
    with pytest.raises(FileFormatError, match=r"a.c3d: reading took more than 0\.0006 s; the file"):
        read_motion(path)


def test_a_reader_that_works_too_long_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _write(tmp_path / "a.c3d", 1000 * _person())
    program = tmp_path / "hang.py"
    lines = (
        "import sys",
        f"sys.path.append({str(Path(c3d_process.__file__).parent)!r})",
        "import c3d_process",
        "c3d_process.CPU_S = 0.5",
        "c3d_process.limit_resources(1)",
        "while True: pass",
    )
    program.write_text("\n".join(lines))
    monkeypatch.setattr(c3d_process, "__file__", str(program))
    with pytest.raises(
        FileFormatError, match=r"not a readable C3D file \(it took more than 6 s of the processor's"
    ):
        read_motion(path)
