import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from legged_skills.robots.errors import FileFormatError
from legged_skills.sim2real.identified import Identified, split_damping

TWO = np.array([1.25, 2.0 / 3.0])


def _found() -> Identified:
    return Identified(
        robot="anymal_c",
        joint_names=("a", "b"),
        kp=80.0 * TWO,
        damping=2.0 * TWO,
        friction=0.5 * TWO,
        armature=0.06 * TWO,
        command_delay_s=0.0123,
        kp_error=TWO,
        damping_error=TWO,
        friction_error=TWO,
        armature_error=TWO,
        command_delay_error_s=1e-5,
        fitted=np.array([[True] * 4, [False, True, True, True]]),
        residual_rms_rad=0.003 * TWO,
        seconds=60.0,
        notes=("b is light.",),
    )


def test_a_fit_comes_back_from_its_file(tmp_path: Path) -> None:
    found = _found()
    found.save(tmp_path / "fit.json")
    back = Identified.load(tmp_path / "fit.json", "anymal_c")
    assert back.to_json() == found.to_json()
    np.testing.assert_allclose(back.kp, [100.0, 160.0 / 3.0], rtol=1e-15)
    assert back.fitted.dtype == bool
    with pytest.raises(FileFormatError, match="drives of 'anymal_c', expected 'op3'"):
        Identified.load(tmp_path / "fit.json", "op3")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("kp", [1.0], "kp has shape (1,)"),
        ("kp", [1.0, -2.0], "kp has -2, expected numbers from 0 up"),
        ("kp", [1.0, float("nan")], "kp has nan"),
        ("friction", ["1", "2"], "friction is ['1', '2'], expected numbers"),
        ("friction", [1, [2]], "friction is no list of equal rows"),
        ("armature", [10**400, 1], "expected numbers"),
        ("command_delay_s", None, "command_delay_s is None"),
        ("fitted", [[1, 1, 1, 1]] * 2, "expected true and false"),
        ("joint_names", "ab", "joint_names is 'ab', expected a list"),
        ("robot", 3, "something else than text"),
        ("kind", "policy", "expected identified drives"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, field: str, value: object, message: str) -> None:
    path = tmp_path / "fit.json"
    path.write_text(json.dumps({**_found().to_json(), field: value}))
    with pytest.raises(FileFormatError) as error:
        Identified.load(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "fit.json"
    for content in (b"", b"\xff\xfe", b"[" * 100_000, b"{}", b"[1]", b"null", b"1" * 10_000):
        path.write_bytes(content)
        with pytest.raises(FileFormatError):
            Identified.load(path)
    with pytest.raises(FileFormatError, match="cannot be read"):
        Identified.load(tmp_path / "none.json")
    fields = _found().to_json()
    for name in fields:
        path.write_text(json.dumps({key: fields[key] for key in fields if key != name}))
        with pytest.raises(FileFormatError):
            Identified.load(path)


def test_what_a_drive_is_not_set_to_is_the_joints() -> None:
    of_drive, of_joint = split_damping(np.array([[1.5, 2.5], [2.0, 0.0]]), np.array([2.0, 2.0]))
    assert of_drive.tolist() == [[1.5, 2.0], [2.0, 0.0]]
    assert of_joint.tolist() == [[0.0, 0.5], [0.0, 0.0]]


def test_it_is_read_without_mujoco() -> None:
    code = "import sys, legged_skills.sim2real.identified as _; print('mujoco' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
