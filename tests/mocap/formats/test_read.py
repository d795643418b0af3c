"""Files are told apart by content; whatever is wrong with one is said in one sentence."""

import io
import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from legged_skills.mocap import formats
from legged_skills.mocap.formats import read_motion
from legged_skills.mocap.source import ReadOptions
from legged_skills.robots import npz
from legged_skills.robots.errors import ClipError, FileFormatError

DOG_LINE = ",".join(["0.5"] * 81)
CSV = "time,hip_x,hip_y,hip_z,toe_x,toe_y,toe_z\n0.00,0,1,0,0,0,0\n0.02,0,1,0,0,0,0\n"
BVH = """HIERARCHY
ROOT Hips {
OFFSET 0 0 0
CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
End Site {
OFFSET 0 1.7 0
}
}
MOTION
Frames: 2
Frame Time: 0.02
0 0 0 0 0 0
0 0 0 0 0 0
"""
ASF = """:version 1.10
:name VICON
:units
  length 0.45
  angle deg
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
  begin
     id 1
     name leg
     direction 0 -1 0
     length 16
     axis 0 0 0 XYZ
     dof rx
     limits (-90 90)
  end
:hierarchy
  begin
    root leg
  end
"""
AMC = ":FULLY-SPECIFIED\n:DEGREES\n1\nroot 0 16 0 0 0 0\nleg 0\n2\nroot 0 16 0 0 0 0\nleg 5\n"
FRAME = [0.02, 0.0, 0.9, 0.0] + [1.0] * 40
DEEPMIMIC = json.dumps({"Loop": "none", "Frames": [FRAME, FRAME]})


def _licence_folder(tmp_path: Path) -> Path:
    (tmp_path / "LICENSE.txt").write_text("Free for\nall uses.")
    path = tmp_path / "dog.txt"
    path.write_text(f"{DOG_LINE}\n{DOG_LINE}\n")
    return path


def test_licence_is_given_or_found_beside_or_not_stated(tmp_path: Path) -> None:
    path = _licence_folder(tmp_path)
    assert read_motion(path).source["licence"] == "Free for all uses."
    assert read_motion(path, licence="mine").source["licence"] == "mine"
    (tmp_path / "LICENSE.txt").unlink()
    assert read_motion(path).source["licence"] == "not stated"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (f"{DOG_LINE}\n{DOG_LINE}\n", "dog key points"),
        (CSV, "key points"),
        (BVH, "BVH"),
        (ASF, "Acclaim ASF/AMC"),
        (DEEPMIMIC, "DeepMimic"),
    ],
)
@pytest.mark.parametrize("suffix", [".txt", ".bvh", ".json", ".npz", ""])
def test_content_decides_not_the_ending(tmp_path: Path, text: str, name: str, suffix: str) -> None:
    path = tmp_path / f"motion{suffix}"
    path.write_text(text)
    assert read_motion(path).source["format"] == name
    # With the byte order mark and the ends of lines of Windows.
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert read_motion(path).source["format"] == name


def test_skeleton_of_a_motion_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.asf").write_text(ASF)
    (tmp_path / "a.amc").write_text(AMC)
    assert read_motion(tmp_path / "a.amc").marker_names == ("root", "leg")
    shutil.move(tmp_path / "a.asf", tmp_path / "b.skeleton")
    options = ReadOptions(skeleton=tmp_path / "b.skeleton")
    assert read_motion(tmp_path / "a.amc", options).marker_names == ("root", "leg")


def test_comments_in_older_encodings_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "a.asf"
    path.write_bytes("# für José\n".encode("latin-1") + ASF.encode())
    assert read_motion(path).source["format"] == "Acclaim ASF/AMC"
    path.write_bytes("für José\n".encode("latin-1") * 9)
    with pytest.raises(FileFormatError, match="is not a text file; known formats: BVH"):
        read_motion(path)


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="there is no such file"):
        read_motion(tmp_path / "absent.txt")
    with pytest.raises(FileFormatError, match="there is no such file"):
        read_motion(tmp_path / "absent.h5#clip")
    with pytest.raises(FileFormatError, match="is a folder, expected a motion capture file"):
        read_motion(tmp_path)
    binary = tmp_path / "binary.txt"
    binary.write_bytes(bytes(range(256)) * 10)
    with pytest.raises(FileFormatError, match="is not a text file"):
        read_motion(binary)
    prose = tmp_path / "prose.txt"
    prose.write_text("It was a dark and stormy night, and the dog walked on.\n" * 5)
    with pytest.raises(FileFormatError, match="of no known motion capture format") as error:
        read_motion(prose)
    for name in formats.format_names():
        assert name in str(error.value)
    for empty in (b"", b" \n\n"):
        prose.write_bytes(empty)
        with pytest.raises(ClipError, match="the file is empty"):
            read_motion(prose)


def test_large_files_are_refused_before_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "large.bvh"
    with path.open("wb") as file:
        file.write(b"HIERARCHY")
        file.truncate(300_000_000)  # sparse: takes no room on the disk
    with pytest.raises(FileFormatError, match="has 300000000 bytes, expected at most 200000000"):
        read_motion(path)


def test_a_name_after_a_hash_is_for_collections_only(tmp_path: Path) -> None:
    path = tmp_path / "dog.txt"
    path.write_text(f"{DOG_LINE}\n{DOG_LINE}\n")
    with pytest.raises(FileFormatError, match="is no collection of clips, so that there is no 'a'"):
        read_motion(f"{path}#a")
    hashed = tmp_path / "dog #1.txt"
    hashed.write_text(f"{DOG_LINE}\n{DOG_LINE}\n")
    assert read_motion(hashed).source["file"] == "dog #1.txt"


def test_archives_of_other_things(tmp_path: Path) -> None:
    path = tmp_path / "other.npz"
    np.savez(path, betas=np.zeros(10), gender=np.array("male"))
    with pytest.raises(
        FileFormatError, match="no known kind, with the fields betas, gender; known kinds: robot"
    ):
        read_motion(path)
    path.write_bytes(b"PK\x03\x04 but no more")
    with pytest.raises(FileFormatError, match=r"not a readable .npz archive \(File is not a zip"):
        read_motion(path)
    np.savez(path, positions=np.array([{}]), allow_pickle=True)
    with pytest.raises(FileFormatError, match="field positions holds pickled objects"):
        read_motion(path)


def test_archives_that_declare_more_than_they_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.npz"
    buffer = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (400_000_000_000, 2, 3)}
    np.lib.format.write_array_header_1_0(buffer, header)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("positions.npy", buffer.getvalue() + bytes(1000))
    with pytest.raises(FileFormatError, match=r"declares an array of shape \(400000000000, 2, 3\)"):
        read_motion(path)
    np.savez_compressed(path, positions=np.zeros((1000, 1)))
    monkeypatch.setattr(npz, "MAX_BYTES", 5000)
    with pytest.raises(FileFormatError, match="unpacks to 8128 bytes, expected at most 5000"):
        read_motion(path)


def _raw_files() -> list[Path]:
    """The raw data, as ``mocap_dir`` has it; none where it is absent."""
    named = os.environ.get("LEGGED_SKILLS_MOCAP")
    root = Path(named) if named else Path(__file__).resolve().parents[4] / "shared" / "mocap"
    skipped = ("README", "LICEN")
    return sorted(p for p in root.rglob("*") if p.is_file() and not p.name.startswith(skipped))


@pytest.mark.parametrize("path", _raw_files(), ids=lambda path: path.name)
def test_every_raw_file_reads(path: Path) -> None:
    motion = read_motion(path)
    # A person or a dog of plausible size, now and then on the floor.
    height = np.ptp(motion.positions_w[..., 2], axis=1)
    assert 0.3 < np.median(height) < 2.0
    assert motion.fps in (24.0, 30.0, 60.0, 120.0)
    if motion.rotations_wxyz is not None:
        lengths = np.linalg.norm(motion.rotations_wxyz, axis=-1)
        np.testing.assert_allclose(lengths, 1, atol=1e-9)
