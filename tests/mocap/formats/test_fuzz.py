"""Damaged files of every format: each is read, or refused with our own error, soon and in memory.

The damage is random but the same in every run. Formats that foreign C code reads are tried in
processes of their own: run as a program, this file does that and prints what came of it.
"""

import contextlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legged_skills.mocap.clip import RobotClip
from legged_skills.mocap.formats import c3d, c3d_process, read_motion
from legged_skills.mocap.source import ReadOptions
from legged_skills.robots.errors import LeggedSkillsError

TEXT_FILES = 5000
BINARY_FILES = 500
MAX_SECONDS = 10.0
MAX_BYTES = 1_000_000_000
NUMBERS = (
    *(b"0", b"-1", b"1e308", b"-1e308", b"nan", b"inf", b"-inf", b"", b"1e-320", b"1e999"),
    *(b"999999999999", b"9" * 400, b"9" * 5000, b"0x10", b"1_0", b"1.2.3", b"+-1", b"12345.678"),
)
WORDS = (b"", b"{", b"}", b"[", b"]", b":", b"#", b"\0", b"\xff\xfe", b"\n", b"\r", b'"', b" " * 99)

BVH = b"""HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Leg
  {
    OFFSET 0.1 -0.5 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 -1 0
    }
  }
  JOINT Head
  {
    OFFSET 0 0.7 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 0.2 0
    }
  }
}
MOTION
Frames: 3
Frame Time: 0.01
0 1.5 0 1 2 3 4 5 6 7 8 9
0 1.5 0.1 1 2 3 4 5 6 7 8 9.5
0 1.5 0.2 1 2 3 4 5 6 7 8 9.25
"""
ASF = b"""# a small skeleton
:version 1.10
:name VICON
:units
  mass 1.0
  length 0.45
  angle deg
:documentation
   nothing to say
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
  begin
     id 1
     name lfemur
     direction 0.34 -0.93 0
     length 7.1
     axis 0 0 20 XYZ
    dof rx ry rz
    limits (-160.0 20.0)
           (-70.0 70.0)
           (-60.0 70.0)
  end
  begin
     id 2
     name ltibia
     direction 0.34 -0.93 0
     length 7.4
     axis 0 0 20 XYZ
    dof rx
    limits (-10.0 170.0)
  end
:hierarchy
  begin
    root lfemur
    lfemur ltibia
  end
"""
AMC = b"""#!OML:ASF a.ASF
:FULLY-SPECIFIED
:DEGREES
1
root 9.1 17.5 -1.1 1.1 -6.8 2.2
lfemur -16.2 1.3 24.5
ltibia 13.1
2
root 9.2 17.4 -1.0 1.0 -6.7 2.1
lfemur -17.2 1.2 24.4
ltibia 12.1
3
root 9.3 17.3 -0.9 0.9 -6.6 2.0
lfemur -18.2 1.1 24.3
ltibia 11.1
"""


def _deepmimic() -> bytes:
    quats = {4, 8, 12, 16, 21, 25, 30, 35, 39}
    rows = [[0.02, 0.0, 0.9, 0.1 * i] + [1.0 * (k in quats) for k in range(4, 44)] for i in (0, 1)]
    return json.dumps({"Loop": "wrap", "Frames": rows}, indent=1).encode()


def _dog() -> bytes:
    rows = np.random.default_rng(0).uniform(0, 1, (3, 81)).round(3).tolist()
    return "\n".join(",".join(map(str, row)) for row in rows).encode()


def _table() -> bytes:
    lines = ["time;frame;hip_x;hip_y;hip_z;toe_x;toe_y;toe_z;comment"]
    lines += [f"{i / 50};{i};0;{i / 90:.3f};1.0;0.1;{i / 80:.3f};0.0;ok" for i in range(4)]
    return "\n".join(lines).encode()


TEXTS: dict[str, bytes] = {
    **{"bvh": BVH, "asf": ASF, "amc": AMC},
    **{"deepmimic": _deepmimic(), "dog": _dog(), "table": _table()},
}


def _mutated(rng: np.random.Generator, data: bytes, other: bytes) -> bytes:
    """A text or binary with one to four damages."""
    for _ in range(rng.integers(1, 5)):
        data = _MUTATIONS[rng.integers(len(_MUTATIONS))](rng, data, other)
    return data


def _place(rng: np.random.Generator, data: bytes) -> int:
    return int(rng.integers(len(data) + 1))


def _flip(rng: np.random.Generator, data: bytes, _: bytes) -> bytes:
    at = _place(rng, data)
    return data[:at] + bytes([rng.integers(256)]) + data[at + 1 :]


def _delete(rng: np.random.Generator, data: bytes, _: bytes) -> bytes:
    at = _place(rng, data)
    return data[:at] + data[at + int(rng.integers(1, 60)) :]


def _double(rng: np.random.Generator, data: bytes, _: bytes) -> bytes:
    at = _place(rng, data)
    return data[: at + int(rng.integers(1, 200))] + data[at:]


def _cut(rng: np.random.Generator, data: bytes, _: bytes) -> bytes:
    return data[: _place(rng, data)]


def _swap_lines(rng: np.random.Generator, data: bytes, _: bytes) -> bytes:
    lines = data.split(b"\n")
    a, b = rng.integers(len(lines), size=2)
    lines[a], lines[b] = lines[b], lines[a]
    return b"\n".join(lines)


def _replace_match(pattern: bytes, choices: tuple[bytes, ...]) -> Callable[..., bytes]:
    compiled = re.compile(pattern)

    def replace(rng: np.random.Generator, data: bytes, _: bytes) -> bytes:
        # Of a part only: the whole would take longer than the reading.
        match = compiled.search(data, _place(rng, data))
        if match is None:
            return data
        return data[: match.start()] + choices[rng.integers(len(choices))] + data[match.end() :]

    return replace


def _recase(rng: np.random.Generator, data: bytes, _: bytes) -> bytes:
    at = _place(rng, data)
    return data[:at] + data[at : at + 9].swapcase() + data[at + 9 :]


def _splice(rng: np.random.Generator, data: bytes, other: bytes) -> bytes:
    return data[: _place(rng, data)] + other[_place(rng, other) :]


_MUTATIONS: tuple[Callable[[np.random.Generator, bytes, bytes], bytes], ...] = (
    *(_flip, _delete, _double, _cut, _swap_lines, _recase, _splice),
    _replace_match(rb"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?", NUMBERS),
    _replace_match(rb"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?", NUMBERS),
    _replace_match(rb"[A-Za-z_:]+", WORDS),
)


@contextlib.contextmanager
def _limited_memory() -> Iterator[None]:
    """Makes allocations fail that take more than MAX_BYTES beyond what the process has now.

    What it has and does not use, after other tests, can be given out again in spite of that.
    """
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    before = resource.getrlimit(resource.RLIMIT_DATA)
    most = pages * resource.getpagesize() + MAX_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _read_all(path: Path, files: Iterator[bytes], options: ReadOptions) -> dict[str, Any]:
    """Tries all files. Returns how many were read, and the errors of the others by type.

    Raises:
        AssertionError: something else was raised, or it took too long; the file stays.
    """
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    for number, data in enumerate(files):
        path.write_bytes(data)
        started = time.perf_counter()
        try:
            motion = read_motion(path, options)
            assert np.all(np.isfinite(motion.positions_w))
            outcomes["read"] += 1
        except LeggedSkillsError as error:
            assert "\n" not in str(error), f"file {number} in {path}"
            outcomes[type(error).__name__] += 1
        except BaseException as error:
            raise AssertionError(f"file {number} in {path}: {error!r}") from error
        slowest = max(slowest, time.perf_counter() - started)
        assert slowest < MAX_SECONDS, f"file {number} in {path}"
    return {**outcomes, "slowest": slowest}


def _damaged_texts(kind: str, count: int) -> Iterator[bytes]:
    rng = np.random.default_rng(list(TEXTS).index(kind))
    others = list(TEXTS.values())
    for _ in range(count):
        yield _mutated(rng, TEXTS[kind], others[rng.integers(len(others))])


def test_the_memory_limit_works() -> None:
    with _limited_memory(), pytest.raises(MemoryError):
        _ = [np.empty(MAX_BYTES, dtype=np.uint8) for _ in range(16)]


@pytest.mark.parametrize("kind", TEXTS)
def test_damaged_texts(kind: str, tmp_path: Path) -> None:
    skeleton = tmp_path / "whole.asf"
    skeleton.write_bytes(ASF)
    options = ReadOptions(skeleton=skeleton if kind == "amc" else None)
    path = tmp_path / "damaged.txt"
    path.write_bytes(TEXTS[kind])
    read_motion(path, options)
    with warnings.catch_warnings(), _limited_memory():
        warnings.simplefilter("error")
        outcomes = _read_all(path, _damaged_texts(kind, TEXT_FILES), options)
    print(kind, outcomes)
    # The damage is neither too little to matter nor too much to get past the first line.
    assert outcomes["read"] > 0.02 * TEXT_FILES
    assert outcomes["ClipError"] > 0.2 * TEXT_FILES


def _archives() -> dict[str, dict[str, np.ndarray]]:
    """Arrays of a small file of each kind of ``.npz``."""
    points = np.random.default_rng(0).uniform(0, 1, (6, 3, 3))
    poses = np.random.default_rng(1).normal(size=(4, 72))
    return {
        "points": {
            **{"positions": points, "names": np.array(["a", "b", "c"]), "fps": np.array(50.0)},
            **{"unit": np.array("m"), "up_axis": np.array("z")},
        },
        "smpl": {"poses": poses, "trans": poses[:, :3], "mocap_framerate": np.array(60.0)},
    }


def _damaged_array(rng: np.random.Generator, array: np.ndarray) -> np.ndarray:
    """Another type, another shape, or another value."""
    kind = rng.integers(6)
    if kind == 0:
        types = (np.float16, np.int8, np.uint64, np.complex128, bool, "S3", "U2", "M8[s]", "V4")
        with contextlib.suppress(ValueError, TypeError):
            return array.astype(types[rng.integers(len(types))])
    if kind == 1:
        return array[..., None] if rng.random() < 0.5 else array.reshape(-1)
    if kind == 2:
        return array[: rng.integers(len(array))] if array.ndim else np.array([])
    if kind == 3:
        return array.T
    if kind == 4:
        return np.zeros((0, *array.shape[1:]), array.dtype)
    out = np.array(array)
    values = (0.0, -1.0, np.nan, np.inf, 1e308, -1e308, 1e-320, 1e7)
    if out.dtype.kind == "f":
        out.reshape(-1)[rng.integers(out.size)] = values[rng.integers(len(values))]
    return out


def _damaged_archives(arrays: dict[str, np.ndarray], folder: Path, count: int) -> Iterator[bytes]:
    """Archives with damaged arrays, and damaged archives."""
    rng = np.random.default_rng(7)
    path = folder / "whole.npz"
    for number in range(count):
        changed: dict[str, Any] = dict(arrays)
        if number % 2:
            name = list(arrays)[rng.integers(len(arrays))]
            if rng.random() < 0.1:
                del changed[name]
            else:
                changed[name] = _damaged_array(rng, arrays[name])
        np.savez(path, **changed)
        data = path.read_bytes()
        yield data if number % 2 else _mutated(rng, data, data)


def _check_archives(arrays: dict[str, Any], folder: Path) -> None:
    path = folder / "damaged.npz"
    np.savez(path, **arrays)
    read_motion(path)
    with warnings.catch_warnings(), _limited_memory():
        warnings.simplefilter("error")
        files = _damaged_archives(arrays, folder, BINARY_FILES)
        outcomes = _read_all(path, files, ReadOptions())
    print(outcomes)
    assert outcomes["read"] > 0.02 * BINARY_FILES
    assert outcomes["FileFormatError"] > 0.2 * BINARY_FILES


@pytest.mark.parametrize("kind", ["points", "smpl"])
def test_damaged_archives(kind: str, tmp_path: Path) -> None:
    _check_archives(_archives()[kind], tmp_path)


def test_damaged_robot_clips(wiggling_clip: RobotClip, tmp_path: Path) -> None:
    arrays = {
        **{name: np.asarray(array) for name, array in asdict(wiggling_clip).items()},
        **{name: np.array("{}") for name in ("source", "retarget", "quality")},
    }
    _check_archives(arrays, tmp_path)


@pytest.mark.parametrize(("kind", "module"), [("c3d", "ezc3d"), ("hdf5", "h5py")])
def test_damaged_files_of_foreign_code(kind: str, module: str, tmp_path: Path) -> None:
    pytest.importorskip(module)
    done = subprocess.run(
        [sys.executable, __file__, kind, str(BINARY_FILES), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    outcomes = json.loads(done.stdout.splitlines()[-1])
    print(kind, outcomes)
    assert outcomes["read"] > 0.02 * BINARY_FILES
    assert outcomes["FileFormatError"] > 0.2 * BINARY_FILES


def _write_c3d(path: Path) -> None:
    import ezc3d

    file = ezc3d.c3d()
    labels = ["LASI", "LKNE", "LFHD"]
    for name, value in {"UNITS": ["mm"], "RATE": [100.0], "LABELS": labels}.items():
        file.add_parameter("POINT", name, value)
    file["data"]["points"] = np.random.default_rng(0).uniform(1, 1700, (4, 3, 6))
    file.write(str(path))


def _write_hdf5(path: Path) -> None:
    import h5py

    sizes = {"position": 3, "quaternion": 4, "body_positions": 90, "body_quaternions": 120}
    with h5py.File(path, "w") as file:
        walker = file.create_group("CMU_001_01/walkers/walker_0")
        file["CMU_001_01"].attrs["dt"] = 0.03
        for name, size in sizes.items():
            data = np.full((size, 5), 0.5)
            walker.create_dataset(name, data=data, compression="gzip" if size > 50 else None)


def _run_forked(source: Path, target: Path) -> tuple[int, str]:
    """What ``c3d._run`` does, without starting Python anew for each file."""
    child = os.fork()
    if child == 0:
        signal.alarm(2)  # ezc3d goes on for ever on some files
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        code = 1
        try:
            c3d_process.main(str(source), str(target))
            code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    FORKED[code] += 1
    return code, "ezc3d says no"


FORKED: Counter[int] = Counter()
"""Exit codes of the processes in which ezc3d ran."""


def _main(kind: str, count: int, folder: Path) -> None:
    """Tries damaged files of a format that foreign code reads; prints what came of it."""
    path = folder / f"whole.{kind}"
    if kind == "c3d":
        import ezc3d  # noqa: F401 - so that forked processes have it

        c3d._run = _run_forked
        _write_c3d(path)
    else:
        _write_hdf5(path)
    whole = path.read_bytes()
    read_motion(path)
    rng = np.random.default_rng(11)
    files = (_mutated(rng, whole, whole) for _ in range(count))
    with warnings.catch_warnings(), _limited_memory():
        warnings.simplefilter("error")
        outcomes = _read_all(folder / f"damaged.{kind}", files, ReadOptions())
    outcomes["hangs"] = FORKED[-signal.SIGALRM]
    outcomes["crashes"] = sum(n for code, n in FORKED.items() if code < 0) - outcomes["hangs"]
    print(json.dumps(outcomes))


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
