import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.errors import ClipError, FileFormatError
from legged_skills.sim2real.joint_log import JointLog, read_log
from legged_skills.sim2real.loads import Load

SPEC = robots.get("anymal_c")
ROWS = 601
LOADS = (Load(link="LF_SHANK", mass_kg=1.5, centre_m=(0.0, -0.1, -0.3), radius_m=0.04),)


def _log(**changes: object) -> JointLog:
    time_s = np.linspace(0.0, 6.0, ROWS)
    fields: dict = {
        "robot": "anymal_c",
        "joint_names": ("RH_KFE", "LF_HAA"),
        "time_s": time_s,
        "command": np.stack([1.0 + 0.0 * time_s, 0.1 * time_s], axis=1),
        "position": np.stack([1.5 + 0.0 * time_s, 0.2 * time_s], axis=1),
        "base_wxyz": np.array([1.02, 0.0, 0.0, 0.0]),
        "loads": LOADS,
    }
    return JointLog(**{**fields, **changes})


def _with(values: np.ndarray, place: Any, value: Any) -> np.ndarray:
    values = values.copy()
    values[place] = value
    return values


def test_a_log_comes_back_from_its_file(tmp_path: Path) -> None:
    log = _log()
    log.write(tmp_path / "log.npz")
    back = read_log(tmp_path / "log.npz")
    for field in dataclasses.fields(JointLog):
        if field.name != "source":
            np.testing.assert_array_equal(getattr(back, field.name), getattr(log, field.name))
    assert back.base_wxyz.tolist() == [1.0, 0.0, 0.0, 0.0]
    assert back.loads == LOADS
    _log(loads=()).write(tmp_path / "bare.npz")
    assert read_log(tmp_path / "bare.npz").loads == ()


def test_columns_are_put_where_the_robot_has_them() -> None:
    command, position, recorded = _log().arranged(SPEC)
    assert recorded.nonzero()[0].tolist() == [0, 11]
    np.testing.assert_allclose(command[-1, [0, 11]], [0.6, 1.0])
    np.testing.assert_allclose(position[-1, [0, 11]], [1.2, 1.5])
    np.testing.assert_array_equal(command[7, 1:11], SPEC.default_joint_pos[1:11])


TIMES = np.linspace(0.0, 6.0, ROWS)
TWO = np.zeros((ROWS, 2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time_s": _with(TIMES, 5, 0.06)}, "goes from 0.06 to 0.06 s in row 6"),
        ({"time_s": _with(TIMES, slice(300, None), np.linspace(4, 6, 301))}, "1.01 s without"),
        ({"time_s": TIMES / 2.0}, "takes 3 s, expected 5 to 600 s"),
        ({"time_s": TIMES[:, None]}, "time_s has shape"),
        ({"command": TWO[:-1]}, "command has shape (600, 2), expected (601, 2)"),
        ({"command": _with(TWO, (3, 1), np.nan)}, "command is nan at [3, 1]"),
        ({"position": _with(TWO, (4, 0), 180.0)}, "position of RH_KFE is 180 in row 4"),
        ({"position": TWO.astype(str)}, "position holds <U"),
        ({"base_wxyz": np.zeros(4)}, "base_wxyz has length 0"),
        ({"joint_names": ("a", "a")}, "expected different names"),
    ],
)
def test_what_is_wrong_is_named(changes: dict, message: str) -> None:
    with pytest.raises(ClipError) as error:
        _log(**changes)
    assert message in str(error.value)


def test_another_robot_or_joint_is_refused() -> None:
    with pytest.raises(ClipError, match="robot is 'op3', expected 'anymal_c'"):
        _log(robot="op3").arranged(SPEC)
    with pytest.raises(ClipError, match="anymal_c has no joint 'KNEE'"):
        _log(joint_names=("LF_HAA", "KNEE")).arranged(SPEC)
    tail = Load(link="TAIL", mass_kg=1.0, centre_m=(0.0, 0.0, 0.0))
    with pytest.raises(ClipError, match="joint log: load on 'TAIL': anymal_c has no such link"):
        _log(loads=(tail,)).arranged(SPEC)


def test_impossible_loads_in_a_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.npz"
    _log().write(path)
    good = dict(np.load(path))
    np.savez(path, **{**good, "load_masses_kg": np.array([-1.5])})
    with pytest.raises(ClipError, match=r"log\.npz: load on 'LF_SHANK': mass_kg is -1\.5"):
        read_log(path)
    np.savez(path, **{**good, "load_masses_kg": np.ones(2)})
    with pytest.raises(FileFormatError, match=r"log\.npz: load_masses_kg is an array of float64"):
        read_log(path)


def test_damaged_and_incomplete_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.npz"
    _log().write(path)
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(200):
        bad = bytearray(good)
        bad[rng.integers(len(bad))] = rng.integers(256)
        path.write_bytes(bytes(bad[: rng.integers(1, len(bad) + 1)]))
        with pytest.raises((FileFormatError, ClipError)):
            read_log(path)
    np.savez(path, robot=np.array("anymal_c"))
    with pytest.raises(FileFormatError, match="there is no field 'joint_names'"):
        read_log(path)
    np.savez(path, robot=np.array(3), joint_names=TWO, time_s=TIMES, command=TWO, position=TWO)
    with pytest.raises(FileFormatError, match="robot is an array of int64"):
        read_log(path)
    with pytest.raises(FileFormatError, match="no such file"):
        read_log(tmp_path / "none.npz")
