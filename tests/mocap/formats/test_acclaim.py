import math
import re
import time
from pathlib import Path

import numpy as np
import pytest

from legged_skills.mocap.formats import acclaim, acclaim_skeleton
from legged_skills.mocap.source import ReadOptions, SourceMotion
from legged_skills.robots import rotations
from legged_skills.robots.errors import ClipError, FileFormatError, LeggedSkillsError

METRES = ReadOptions(unit_m=1.0, up_axis="z")
"""Keeps the file's axes and unit, so that numbers can be compared with the text."""

ASF = """# made by hand
:version 1.10
:name HAND
:units
  mass 1.0
  length 0.45
  angle deg
:documentation
   begin of a text with any words: root order axis
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
  begin
     id 1
     name lthigh
     direction 0 -1 0
     length 10
     axis 0 0 0  XYZ
    dof rx ry rz
    limits (-160.0 20.0)
           (-7.0e+001 70.0)
           (-60.0, 70.0)
  end
  begin
     id 2
     name lshin
     direction 0 -1 0
     length 8   # to the ankle
     axis 0 90 0   XYZ
    dof rx
    limits (-10.0 170.0)
  end
  begin
     id 3
     name back
     direction 0 2 0
     length 12
     axis 0 0 0 XYZ
  end
:hierarchy
  begin
    root lthigh back
    lthigh lshin
  end
"""

AMC = """#!OML:ASF H:\\somewhere\\hand.ASF
:FULLY-SPECIFIED
:DEGREES
1
root 0 20 0 0 0 0
lthigh 0 0 0
lshin 0
2
root 1 20 3 0 90 0
lthigh 90 0 0
lshin 90
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hand.asf").write_text(ASF)
    return tmp_path


def _read(folder: Path, text: str = AMC, options: ReadOptions = METRES) -> SourceMotion:
    return acclaim.read(folder / "hand.amc", text, options)


def _skeleton(text: str, options: ReadOptions = METRES) -> SourceMotion:
    return acclaim.read(Path("hand.asf"), text, options)


def _at(motion: SourceMotion, name: str) -> np.ndarray:
    return motion.positions_w[:, motion.index(name)]


# An evaluator of its own, which shares nothing with the reader: 4 x 4 matrices, one bone of one
# frame at a time, for files like CMU's.


def _turn(axis: str, degrees: float) -> np.ndarray:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    out = np.eye(4)
    out[i, i] = out[j, j] = c
    out[i, j], out[j, i] = -s, s
    return out


def _shift(x: float, y: float, z: float) -> np.ndarray:
    out = np.eye(4)
    out[:3, 3] = x, y, z
    return out


def _motion_matrix(dofs: list[str], values: list[float]) -> np.ndarray:
    """The first turn is applied first, which is rightmost."""
    out = np.eye(4)
    for dof, value in zip(dofs, values, strict=True):
        if dof[0] == "r":
            out = _turn(dof[1], value) @ out
    return out


def _naive_poses(asf: str, amc: str, frame: int) -> dict[str, np.ndarray]:
    """The 4 x 4 matrices at the ends of all bones in one frame, by name."""
    values = {}
    for line in re.split(r"\n\d+\n", amc)[1 + frame].strip().splitlines():
        name, *numbers = line.split()
        values[name] = [float(number) for number in numbers]
    bones = {}
    for block in asf[asf.index(":bonedata") : asf.index(":hierarchy")].split("begin")[1:]:
        words = block.split()

        def after(key: str, count: int, words: list[str] = words) -> list[float]:
            start = words.index(key) + 1
            return [float(word) for word in words[start : start + count]]

        dof_words = words[words.index("dof") + 1 :] if "dof" in words else []
        dofs = [w for w in dof_words if re.fullmatch("[rt][xyz]", w)]
        direction = np.array(after("direction", 3))
        direction *= after("length", 1)[0] / np.sqrt(np.sum(direction**2))
        bones[words[words.index("name") + 1]] = (after("axis", 3), dofs, direction)
    x, y, z, *angles = values["root"]
    poses = {"root": _shift(x, y, z) @ _motion_matrix(["rx", "ry", "rz"], angles)}
    for line in asf[asf.index(":hierarchy") :].splitlines()[2:]:
        parent, *children = line.split() or ["end"]
        if parent == "end":
            break
        for name in children:
            (ax, ay, az), dofs, along = bones[name]
            c = _turn("z", az) @ _turn("y", ay) @ _turn("x", ax)
            m = _motion_matrix(dofs, values.get(name, []))
            poses[name] = poses[parent] @ c @ m @ np.linalg.inv(c) @ _shift(*along)
    return poses


def test_poses_by_hand(folder: Path) -> None:
    motion = _read(folder)
    assert motion.marker_names == ("root", "lthigh", "lshin", "back")
    assert motion.parents == (-1, 0, 1, 0)
    # At rest under a root at height 20; the back's direction is not of length one, its bone is 12.
    np.testing.assert_allclose(
        motion.positions_w[0], [[0, 20, 0], [0, 10, 0], [0, 2, 0], [0, 32, 0]], atol=1e-12
    )
    # The thigh's 90 degrees about x take -y to -z; the root's 90 about y take -z to -x: the knee
    # is at (1 - 10, 20, 3). The shin's own x axis is C x = -z at rest, about which M turns by 90,
    # so that -y becomes -x; then the thigh leaves -x, and the root takes it to z.
    np.testing.assert_allclose(
        motion.positions_w[1], [[1, 20, 3], [-9, 20, 3], [-9, 20, 11], [1, 32, 3]], atol=1e-12
    )
    assert motion.rotations_wxyz is not None
    np.testing.assert_allclose(
        rotations.to_rotvec(motion.rotations_wxyz[1, 0]), [0, np.pi / 2, 0], atol=1e-12
    )
    # A bone's frame is the world's at rest, whatever its axes.
    np.testing.assert_allclose(np.abs(motion.rotations_wxyz[0, :, 0]), 1)
    assert motion.source["skeleton_file"] == "hand.asf"


def test_the_file_is_turned_to_z_up(folder: Path) -> None:
    motion = _read(folder, options=ReadOptions(up_axis="y"))
    unit = 0.0254 / 0.45
    np.testing.assert_allclose(_at(motion, "lshin")[1], np.array([11, -9, 20]) * unit, atol=1e-12)
    assert motion.source["unit"].startswith("0.0564 m (from the file: skeleton ")
    assert motion.source["up_axis"] == "y"


@pytest.mark.parametrize("frame", [0, 1])
def test_the_hand_made_file_as_the_naive_evaluator(folder: Path, frame: int) -> None:
    motion = _read(folder)
    for name, pose in _naive_poses(ASF, AMC, frame).items():
        np.testing.assert_allclose(_at(motion, name)[frame], pose[:3, 3], atol=1e-12)


def test_order_of_dofs_and_axes(folder: Path) -> None:
    # dof rz rx: about z first, then about the fixed x. Axis ZYX: z first, then y, then x.
    asf = ASF.replace("dof rx ry rz", "dof rz rx").replace(
        "axis 0 0 0  XYZ\n    dof rz", "axis 10 20 30 zyx\n    dof rz"
    )
    (folder / "hand.asf").write_text(asf)
    motion = _read(folder, AMC.replace("lthigh 0 0 0", "lthigh 0 0").replace("90 0 0\n", "40 50\n"))
    c = _turn("x", 10) @ _turn("y", 20) @ _turn("z", 30)
    turn = c @ _turn("x", 50) @ _turn("z", 40) @ np.linalg.inv(c)
    expected = (_shift(1, 20, 3) @ _turn("y", 90) @ turn @ _shift(0, -10, 0))[:3, 3]
    np.testing.assert_allclose(_at(motion, "lthigh")[1], expected, atol=1e-12)


def test_order_of_the_root(folder: Path) -> None:
    asf = ASF.replace("order TX TY TZ RX RY RZ", "order RZ TX RY TZ RX TY")
    (folder / "hand.asf").write_text(asf)
    motion = _read(folder, AMC.replace("root 1 20 3 0 90 0", "root 10 1 20 3 30 20"))
    turn = _turn("x", 30) @ _turn("y", 20) @ _turn("z", 10)
    np.testing.assert_allclose(_at(motion, "root")[1], [1, 20, 3])
    assert motion.rotations_wxyz is not None
    np.testing.assert_allclose(
        rotations.to_matrix(motion.rotations_wxyz[1, 0]), turn[:3, :3], atol=1e-12
    )


def test_translation_and_stretch_of_bones(folder: Path) -> None:
    # Without turns the shin starts 1, 2, 3 along its own axes from the knee: x is -z, z is x. It
    # is longer by half.
    (folder / "hand.asf").write_text(ASF.replace("dof rx\n", "dof tx ty tz rx l\n"))
    motion = _read(
        folder,
        AMC.replace("lshin 0", "lshin 1 2 3 0 4").replace("lshin 90", "lshin 0 0 0 0 0"),
    )
    np.testing.assert_allclose(_at(motion, "lshin")[0], [3, 10 + 2 - 12, -1], atol=1e-12)


def test_preset_root_moves_the_recording(folder: Path) -> None:
    asf = ASF.replace("position 0 0 0", "position 5 6 7").replace(
        "orientation 0 0 0", "orientation 0 90 0"
    )
    (folder / "hand.asf").write_text(asf)
    moved = _read(folder)
    (folder / "hand.asf").write_text(ASF)
    plain = _read(folder)
    # A quarter turn about y: x goes to -z, z to x.
    x, y, z = np.moveaxis(plain.positions_w, -1, 0)
    np.testing.assert_allclose(
        moved.positions_w, np.stack([5 + z, 6 + y, 7 - x], axis=-1), atol=1e-12
    )


@pytest.mark.parametrize("unit", ["deg", "rad"])
def test_preset_roots_turn_in_the_order_of_their_axis(unit: str) -> None:
    scale = 1.0 if unit == "deg" else math.pi / 180
    angles = " ".join(str(scale * angle) for angle in (10, 20, 30))
    asf = ASF.replace("axis XYZ", "axis ZXY").replace("orientation 0 0 0", f"orientation {angles}")
    asf = asf.replace("angle deg", f"angle {unit}").replace("axis 0 90 0", "axis 0 0 0")
    motion = _skeleton(asf)
    # About z first, then about x, then about y, all of the world.
    turn = _turn("y", 20) @ _turn("x", 10) @ _turn("z", 30)
    assert motion.rotations_wxyz is not None
    np.testing.assert_allclose(
        rotations.to_matrix(motion.rotations_wxyz[0, 0]), turn[:3, :3], atol=1e-12
    )
    np.testing.assert_allclose(_at(motion, "back")[0], turn[:3, :3] @ [0, 12, 0], atol=1e-12)


def test_radians_in_either_file(folder: Path) -> None:
    expected = _read(folder).positions_w
    radians = AMC.replace(":DEGREES", ":RADIANS").replace(" 90", f" {math.pi / 2}")
    np.testing.assert_allclose(_read(folder, radians).positions_w, expected, atol=1e-12)
    # A motion that does not say has the unit of its skeleton.
    asf = ASF.replace("angle deg", "angle rad").replace("axis 0 90 0", f"axis 0 {math.pi / 2} 0")
    (folder / "hand.asf").write_text(asf)
    quiet = radians.replace(":RADIANS\n", "")
    np.testing.assert_allclose(_read(folder, quiet).positions_w, expected, atol=1e-12)
    # One that does say is believed, also against its skeleton.
    np.testing.assert_allclose(_read(folder, AMC).positions_w, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n", "\r\n"),
        ("\n", "\n\n"),
        (" ", "\t"),
        ("lthigh", "LThigh"),
        ("#!OML:ASF H:\\somewhere\\hand.ASF\n", ""),
        (":FULLY-SPECIFIED\n", ":fully-specified # all bones\n"),
        ("1\nroot", "  1  # first\n root"),
        ("1\nroot 0", "7\nroot 0"),
    ],
)
def test_spellings_of_motions(folder: Path, old: str, new: str) -> None:
    text = AMC.replace(old, new)
    if new.startswith("7"):
        text = text.replace("\n2\n", "\n8\n")
    assert acclaim.sniff(text)
    np.testing.assert_array_equal(_read(folder, text).positions_w, _read(folder).positions_w)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n", "\r\n"),
        (" ", "\t"),
        ("id 1\n", "id 1\n bodymass 4.2\n cofmass 0.1\n"),
        ("name lthigh", "NAME LTHIGH"),
        ("dof rx ry rz", "DOF RX RY RZ"),
        ("direction 0 -1 0", "direction (0, -1, 0)"),
        (":hierarchy", ":skin\n some file\n:hierarchy"),
        ("axis 0 0 0  XYZ", "axis 0 -7.62852e-016 0 xyz"),
        ("  mass 1.0\n  length 0.45\n  angle deg\n", ""),
    ],
)
def test_spellings_of_skeletons(folder: Path, old: str, new: str) -> None:
    expected = _read(folder).positions_w
    (folder / "hand.asf").write_text(ASF.replace(old, new))
    np.testing.assert_allclose(_read(folder).positions_w, expected, atol=1e-12)


def test_bones_that_are_never_mentioned_rest(folder: Path) -> None:
    text = re.sub("lshin.*\n", "", AMC)
    motion = _read(folder, text)
    # As by hand, but that the shin goes on along the thigh.
    np.testing.assert_allclose(_at(motion, "lshin")[1], [-17, 20, 3], atol=1e-12)


def test_rates(folder: Path) -> None:
    motion = _read(folder)
    assert motion.fps == 120
    assert motion.source["fps_text"] == "120 (CMU's; the file has no frame rate)"
    stated = _read(folder, AMC.replace(":DEGREES", ":DEGREES\n:SAMPLES-PER-SECOND 60"))
    assert (stated.fps, stated.source["fps_text"]) == (60, "60 (from the file)")
    tabbed = _read(folder, AMC.replace(":DEGREES", ":DEGREES\n:SAMPLES-PER-SECOND\t60"))
    assert tabbed.fps == 60
    given = _read(folder, options=ReadOptions(fps=30))
    assert (given.fps, given.source["fps_text"]) == (30, "30 (as given)")
    with pytest.raises(ClipError, match="a frame rate of 3 frames/s is not plausible"):
        _read(folder, options=ReadOptions(fps=3))


def test_a_skeleton_alone_holds_its_rest_pose() -> None:
    motion = _skeleton(ASF)
    assert (motion.num_frames, motion.fps) == (2, 120)
    np.testing.assert_allclose(
        motion.positions_w, [[[0, 0, 0], [0, -10, 0], [0, -18, 0], [0, 12, 0]]] * 2, atol=1e-12
    )
    assert motion.source["note"] == "a skeleton without motion: its rest pose"
    # 30 units from foot to head, of 0.0254 m / 0.45.
    inferred = _skeleton(ASF, ReadOptions())
    assert inferred.source["unit"] == "0.0564 m (from the file: skeleton 1.69 m high)"
    assert inferred.source["up_axis"] == "y (inferred)"


@pytest.mark.parametrize(
    ("length", "scale", "expected"),
    [
        # By the definition, 2.54 is for data in centimetres of a body in inches.
        ("2.54", 5.6444, "0.01 m (from the file: skeleton 1.69 m high)"),
        # Inches; but in these the body would be 4.3 m large.
        (
            "1.0",
            5.6444,
            "0.01 m (inferred: skeleton 1.69 m high; not 0.0254 m, an inch / length, at which it "
            "would be 4.3 m large)",
        ),
        # What would be a mouse is a person in the unit of CMU.
        (
            "4.5",
            1.0,
            "0.0564 m (inferred: skeleton 1.69 m high; not 0.00564 m, an inch / length, at which "
            "it would be 0.169 m large)",
        ),
    ],
)
def test_other_units(length: str, scale: float, expected: str) -> None:
    asf = ASF.replace("length 0.45", f"length {length}")
    for value in (10, 8, 12):
        asf = asf.replace(f"length {value}", f"length {value * scale}")
    assert _skeleton(asf, ReadOptions()).source["unit"] == expected
    assert _skeleton(asf, ReadOptions(unit_m=0.1)).source["unit"].startswith("0.1 m (as given")


@pytest.mark.parametrize(
    ("motion", "skeleton"),
    [
        ("07_01.amc", "07_01.asf"),
        ("07_01.amc", "07.asf"),
        ("07_01.AMC", "07.ASF"),
        ("charleston1.amc", "charleston.asf"),
        ("walk.amc", "somebody.asf"),
    ],
)
def test_the_skeleton_is_found(tmp_path: Path, motion: str, skeleton: str) -> None:
    (tmp_path / skeleton).write_text(ASF)
    found = acclaim.read(tmp_path / motion, AMC, METRES)
    assert found.source["skeleton_file"] == skeleton


def test_the_likeliest_skeleton_is_taken(tmp_path: Path) -> None:
    for name in ("07_01.asf", "07.asf", "08.asf"):
        (tmp_path / name).write_text(ASF)
    for motion, skeleton in (("07_01", "07_01"), ("07_02", "07"), ("08_1", "08"), ("082", None)):
        path = tmp_path / f"{motion}.amc"
        if skeleton is None:
            with pytest.raises(
                FileFormatError, match=r"looked beside it for 082\.asf, found 3 oth"
            ):
                acclaim.read(path, AMC, METRES)
        else:
            assert acclaim.read(path, AMC, METRES).source["skeleton_file"] == f"{skeleton}.asf"


def test_a_skeleton_can_be_given(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "any.txt").write_text(ASF)
    (tmp_path / "walk.asf").write_text("broken")
    options = ReadOptions(skeleton=elsewhere / "any.txt")
    assert acclaim.read(tmp_path / "walk.amc", AMC, options).source["skeleton_file"] == "any.txt"


def test_a_skeleton_that_cannot_be_had(tmp_path: Path) -> None:
    path = tmp_path / "07_01.amc"
    with pytest.raises(
        FileFormatError,
        match=r"07_01\.amc: a motion needs its skeleton; looked beside it for 07_01\.asf, 07\.asf, "
        r"07_\.asf, found no \.asf file at all; give one with --skeleton",
    ):
        acclaim.read(path, AMC, METRES)
    with pytest.raises(
        FileFormatError, match=r"absent\.asf: the skeleton cannot be read \(No such"
    ):
        acclaim.read(path, AMC, ReadOptions(skeleton=tmp_path / "absent.asf"))
    with pytest.raises(FileFormatError, match="the skeleton cannot be read"):
        acclaim.read(path, AMC, ReadOptions(skeleton=tmp_path))
    (tmp_path / "other.asf").write_text("Once upon a time")
    with pytest.raises(FileFormatError, match=r"other\.asf: is not an Acclaim skeleton \(ASF\)"):
        acclaim.read(path, AMC, METRES)
    with (tmp_path / "other.asf").open("wb") as file:
        file.truncate(20_000_000)
    with pytest.raises(FileFormatError, match="has 20000000 bytes, expected a skeleton of at most"):
        acclaim.read(path, AMC, METRES)
    with pytest.raises(FileFormatError, match="its folder cannot be searched for a skeleton"):
        acclaim.read(tmp_path / "absent" / "07_01.amc", AMC, METRES)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1\nroot 0", "root 0", "line 4 is 'root 0 20 0 0 0 0', expected the number of a frame"),
        ("\n2\n", "\n4\n", "line 8: frame 4 follows frame 1"),
        ("\n2\n", "\n", "line 8: bone 'root' comes twice in frame 1"),
        ("lshin 0\n", "", "line 10: bone 'lshin' has been left out before in frame 2"),
        ("lshin 90\n", "", "the last frame, 2, has no values of bone 'lshin'"),
        ("lshin 0\n", "lshin 0\nlshin 0\n", "line 8: bone 'lshin' comes twice in frame 1"),
        ("lshin", "rshin", "line 7: the skeleton has no bone 'rshin'"),
        ("lshin", "back", "line 7: bone 'back' has no degrees of freedom"),
        ("root 1 20 3 0", "root 1 20 3", "line 9 has 5 values, expected 6, from tx of bone 'root'"),
        ("lshin 90", "lshin 90 1", "line 11 has 2 values, expected 1"),
        ("lshin 90", "lshin", "line 11 has 0 values, expected 1"),
        ("lshin 90", "lshin -1.#IND", "line 11: rx of bone 'lshin' is '-1.#IND', expe"),
        ("lshin 90", "lshin nan", "line 11: rx of bone 'lshin' is 'nan', expected a number within"),
        ("root 1 20", "root 1 2e9", "line 9: ty of bone 'root' is '2e9', expected a number within"),
        (
            "lthigh 90 0 0",
            "lthigh 90 0 O",
            "line 10: rz of bone 'lthigh' is 'O', expected a number",
        ),
        (":DEGREES", ":SAMPLES-PER-SECOND x", "line 3: samples-per-second is 'x', expected a num"),
        (":DEGREES", ":SAMPLES-PER-SECOND 1", "samples-per-second: a frame rate of 1 frames/s"),
        (AMC[AMC.index("\n2\n") :], "", r"has 1 frame\(s\), a motion needs at least 2"),
        (AMC[AMC.index("\n1\n") :], "", r"has 0 frame\(s\), a motion needs at least 2"),
    ],
)
def test_bad_motions(folder: Path, old: str, new: str, message: str) -> None:
    assert old in AMC
    with pytest.raises(ClipError, match=message) as error:
        _read(folder, AMC.replace(old, new))
    assert str(error.value).startswith(f"{folder / 'hand.amc'}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (":bonedata", ":bones", "has no :bonedata section, expected an Acclaim skeleton"),
        (":hierarchy", ":tree", "has no :hierarchy section"),
        (":root", ":roof", "has no :root section"),
        (":name HAND", ":units", "line 4 begins a second section :'units'"),
        ("length 0.45", "length 0", "the unit of length is 0, expected more than 0"),
        ("length 0.45", "length", "line 6: length has 0 values, expected 1"),
        ("angle deg", "angle grad", "line 7: angle is 'grad', expected deg or rad"),
        ("   order TX TY TZ RX RY RZ\n", "", "the :root section has no order of its values"),
        ("TX TY TZ", "TX TY TW", "line 11: 'tw' is not a degree of freedom or comes twice"),
        ("TX TY TZ", "TX TY TY", "line 11: 'ty' is not a degree of freedom or comes twice"),
        ("axis XYZ", "axis XYY", "line 12: the order of the axis is 'xyy', expected e.g. XYZ"),
        ("position 0 0 0", "position 0 0", "line 13: position has 2 values, expected 3"),
        ("orientation 0 0 0", "orientation 0 0 q", "line 14: orientation is 'q', expected a num"),
        (":bonedata\n  begin", ":bonedata", "line 16 is 'id 1', expected 'begin' of a bone"),
        (
            "  end\n  begin\n     id 2",
            "  begin\n     id 2",
            "line 26 has 'begin' in the wrong place",
        ),
        ("XYZ\n  end\n:h", "XYZ\n:h", "the bone that begins on line 36 has no 'end'"),
        ("     name lthigh\n", "", "the bone that begins on line 16 has no name"),
        ("name lthigh", "name", "the bone that begins on line 16 has no name"),
        ("     length 12\n", "", "the bone that begins on line 36 has no length"),
        ("direction 0 2 0", "direction 0 2", "line 39: direction has 2 values, expected 3"),
        ("direction 0 2 0", "direction 0 0 0", "line 40: the length is 12 along a direction of le"),
        ("length 12", "length -12", "line 40: the length is -12 along a direction"),
        ("length 12", "length 1e12", "line 40: length is '1e12', expected a number within"),
        ("axis 0 0 0 XYZ", "axis 0 0 0", "line 41: the order of the axis is '', expected e.g. XYZ"),
        ("dof rx\n", "dof rx rw\n", "line 33: 'rw' is not a degree of freedom or comes twice"),
        ("name lshin", "name lthigh", "has two bones with the name 'lthigh'"),
        ("name lshin", "name root", "has two bones with the name 'root'"),
        ("    lthigh lshin\n", "", "the :hierarchy does not lead to the bone 'lshin'"),
        ("    lthigh lshin\n", "  lshin lshin\n", "does not lead to the bone 'lshin'"),
        ("    lthigh lshin\n", "  lthigh rshin\n", "line 46: there is no bone 'rshin'"),
        ("    lthigh lshin\n", "  lthigh lshin back\n", "line 46: 'back' has a second parent"),
        ("    lthigh lshin\n", "  lthigh lshin root\n", "line 46: 'root' has a second parent"),
    ],
)
def test_bad_skeletons(old: str, new: str, message: str) -> None:
    assert old in ASF
    with pytest.raises(ClipError, match=f"^hand.asf: .*{message}") as error:
        acclaim_skeleton.parse(Path("hand.asf"), ASF.replace(old, new, 1))
    assert "\n" not in str(error.value)


def test_too_many_bones() -> None:
    block = ASF[ASF.index("  begin\n     id 1") : ASF.index("  begin\n     id 2")]
    blocks = "".join(block.replace("lthigh", f"b{i}") for i in range(1000))
    with pytest.raises(ClipError, match="has 1004 bones, expected at most 1000"):
        _skeleton(ASF.replace(":bonedata\n", f":bonedata\n{blocks}"))


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (AMC, True),
        (ASF, True),
        ("\n# only a comment\n:RADIANS\n1\n", True),
        ("1\nroot 1 2 3 4 5 6\n", True),
        ("1\r\nRoot\t1.5e-3 -2\r\n", True),
        (":bonedata\n", True),
        ("1\n2\n3\n", False),
        ("1\nOnce upon a time\n", False),
        ("1 2 3\nroot 1 2 3\n", False),
        (":something else\n", False),
        ("HIERARCHY\nROOT Hips\n", False),
        ("# nothing", False),
        ("", False),
    ],
)
def test_sniff(head: str, expected: bool) -> None:
    assert acclaim.sniff(head) is expected


@pytest.mark.parametrize("which", ["asf", "amc"])
def test_mutated_files_read_or_fail_with_our_own_error(folder: Path, which: str) -> None:
    rng = np.random.default_rng(0)
    original = {"asf": ASF, "amc": AMC}[which]
    for _ in range(300):
        text = original
        for _ in range(rng.integers(1, 4)):
            start, length = rng.integers(len(text)), rng.integers(1, 30)
            other = rng.integers(len(original))
            insert = ["", original[other : other + length], chr(rng.integers(1, 0x250))]
            text = text[:start] + insert[rng.integers(3)] + text[start + length :]
        try:
            motion = acclaim.read(folder / f"hand.{which}", text, ReadOptions())
        except LeggedSkillsError as error:
            assert "\n" not in str(error)
        else:
            assert np.all(np.isfinite(motion.positions_w))


FILES = {
    "charleston1.amc": ("charleston.asf", 506, 1.60),
    "pirouette.amc": ("pirouette.asf", 591, 1.55),
}


@pytest.mark.parametrize("name", FILES)
def test_real_files_as_the_naive_evaluator(mocap_dir: Path, name: str) -> None:
    path = mocap_dir / "asf_amc" / name
    skeleton, frames, _ = FILES[name]
    text, asf = path.read_text(), path.with_name(skeleton).read_text()
    motion = acclaim.read(path, text, ReadOptions(unit_m=0.0254 / 0.45, up_axis="z"))
    assert motion.num_frames == frames
    assert motion.source["skeleton_file"] == skeleton
    assert motion.rotations_wxyz is not None
    for frame in range(0, frames, 50):
        naive = _naive_poses(asf, text, frame)
        assert set(naive) == set(motion.marker_names)
        for m, marker in enumerate(motion.marker_names):
            expected = naive[marker][:3, 3] * 0.0254 / 0.45
            np.testing.assert_allclose(motion.positions_w[frame, m], expected, atol=1e-9)
            turn = rotations.to_matrix(motion.rotations_wxyz[frame, m])
            np.testing.assert_allclose(turn, naive[marker][:3, :3], atol=1e-9)


@pytest.mark.parametrize("name", FILES)
def test_real_files_are_people_on_a_floor(mocap_dir: Path, name: str) -> None:
    path = mocap_dir / "asf_amc" / name
    motion = acclaim.read(path, path.read_text(), ReadOptions())
    assert motion.fps == 120
    assert motion.source["unit"].startswith("0.0564 m (from the file: skeleton 1.")
    assert motion.source["up_axis"] == "y (inferred)"
    lowest = motion.positions_w[..., 2].min(axis=1)
    assert np.percentile(lowest, 10) == pytest.approx(0, abs=0.05)
    assert np.median(_at(motion, "head")[:, 2]) == pytest.approx(FILES[name][2], abs=0.05)
    feet = [motion.index(f"{side}{part}") for side in "lr" for part in ("tibia", "foot", "toes")]
    np.testing.assert_allclose(motion.positions_w[:, feet, 2].min(axis=1), lowest, atol=1e-12)
    # Left is left: between the hips, seen along the way from back to front of the feet.
    across = _at(motion, "lhipjoint") - _at(motion, "rhipjoint")
    ahead = _at(motion, "lfoot") - _at(motion, "ltibia")
    assert np.mean(np.cross(ahead, across)[:, 2] > 0) > 0.9


@pytest.mark.parametrize("name", ["charleston.asf", "pirouette.asf"])
def test_real_skeletons_stand(mocap_dir: Path, name: str) -> None:
    path = mocap_dir / "asf_amc" / name
    motion = acclaim.read(path, path.read_text(), ReadOptions())
    assert motion.source["unit"].startswith("0.0564 m (from the file")
    assert 1.5 < np.ptp(motion.positions_w[0, :, 2]) < 1.7
    # Arms to the sides: the left fingers on the left, which is +y for a body that looks along +x.
    assert _at(motion, "lfingers")[0, 1] > 0.6
    assert _at(motion, "ltoes")[0, 0] > 0.05


def test_a_real_file_is_read_quickly(mocap_dir: Path) -> None:
    path = mocap_dir / "asf_amc" / "charleston1.amc"
    text = path.read_text()
    start = time.process_time()
    acclaim.read(path, text, ReadOptions())
    assert time.process_time() - start < 1
