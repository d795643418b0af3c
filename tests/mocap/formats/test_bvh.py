import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from legged_skills.mocap.formats import bvh
from legged_skills.mocap.source import ReadOptions, SourceMotion
from legged_skills.robots import rotations
from legged_skills.robots.errors import ClipError, LeggedSkillsError

PATH = Path("clip.bvh")
METRES = ReadOptions(unit_m=1.0, up_axis="z")
"""Keeps the file's axes and unit, so that numbers can be compared with the text."""

BODY = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Leg
  {
    OFFSET 1 0 0
    CHANNELS 3 Yrotation Xrotation Zrotation
    End Site
    {
      OFFSET 0 -2 0
    }
  }
  JOINT Head
  {
    OFFSET 0 3 0
    CHANNELS 1 Xrotation
  }
}
MOTION
Frames: 2
Frame Time: .0083333
0 5 0  0 0 0  0 0 0  0
1 5 2  90 0 0  0 90 0  90
"""


def _read(text: str, options: ReadOptions = METRES) -> SourceMotion:
    return bvh.read(PATH, text, options)


def _at(motion: SourceMotion, name: str) -> np.ndarray:
    return motion.positions_w[:, motion.index(name)]


# An evaluator of its own, which shares nothing with the reader: 4 x 4 matrices, one joint of one
# frame at a time.


def _turn(axis: str, degrees: float) -> np.ndarray:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    out = np.eye(4)
    out[i, i] = out[j, j] = c
    out[i, j], out[j, i] = -s, s
    return out


def _naive_poses(text: str, frame: int) -> dict[str, np.ndarray]:
    """The 4 x 4 matrices of all joints and ends at a frame, by name, for names without spaces."""
    words = iter(text.split())
    values = iter(text[text.index("Time:") :].split("\n")[1 + frame].split())
    out: dict[str, np.ndarray] = {}

    def node(name: str, world: np.ndarray) -> None:
        assert next(words) == "{"
        shift, turn = np.zeros(3), np.eye(4)
        for word in words:
            if word == "OFFSET":
                shift = np.array([float(next(words)) for _ in range(3)])
            elif word == "CHANNELS":
                for _ in range(int(next(words))):
                    channel, value = next(words), float(next(values))
                    if channel.endswith("position"):
                        shift["XYZ".index(channel[0])] = value
                    else:
                        turn = turn @ _turn(channel[0].lower(), value)
            else:
                local = np.eye(4)
                local[:3, 3] = shift
                here = out[name] = world @ local @ turn
                while word != "}":
                    child = next(words)
                    node(f"{name}_end" if word == "End" else child, here)
                    word = next(words)
                return

    assert (next(words), next(words)) == ("HIERARCHY", "ROOT")
    node(next(words), np.eye(4))
    return out


def _compare(text: str, frames: range, motion: SourceMotion) -> float:
    """The largest difference between the reader and the naive evaluator, in the file's unit."""
    worst = 0.0
    for frame in frames:
        naive = _naive_poses(text, frame)
        assert set(naive) == set(motion.marker_names)
        for m, name in enumerate(motion.marker_names):
            error = motion.positions_w[frame, m] - naive[name][:3, 3]
            worst = max(worst, float(np.abs(error).max()))
            assert motion.rotations_wxyz is not None
            np.testing.assert_allclose(
                rotations.to_matrix(motion.rotations_wxyz[frame, m]), naive[name][:3, :3], atol=1e-9
            )
    return worst


def test_poses_by_hand() -> None:
    motion = _read(BODY)
    assert motion.marker_names == ("Hips", "Leg", "Leg_end", "Head")
    assert motion.parents == (-1, 0, 1, 0)
    np.testing.assert_allclose(
        motion.positions_w[0], [[0, 5, 0], [1, 5, 0], [1, 3, 0], [0, 8, 0]], atol=1e-12
    )
    # Hips turned by 90 degrees about z: x goes to y, y to -x. The leg's x turn takes its -y to -z.
    np.testing.assert_allclose(
        motion.positions_w[1], [[1, 5, 2], [1, 6, 2], [1, 6, 0], [-2, 5, 2]], atol=1e-12
    )
    assert motion.rotations_wxyz is not None
    # The head: y goes to z by its own turn, and z stays when the hips turn.
    up = rotations.rotate(motion.rotations_wxyz[1, 3], np.array([0.0, 1.0, 0.0]))
    np.testing.assert_allclose(up, [0, 0, 1], atol=1e-12)
    np.testing.assert_array_equal(motion.rotations_wxyz[:, 1], motion.rotations_wxyz[:, 2])


def test_the_file_is_turned_to_z_up() -> None:
    motion = _read(BODY, ReadOptions(unit_m=0.5, up_axis="y"))
    # (1, 6, 2) with y up becomes (2, 1, 6), in halves.
    np.testing.assert_allclose(_at(motion, "Leg")[1], [1.0, 0.5, 3.0], atol=1e-12)
    assert motion.rotations_wxyz is not None
    # The hips' y axis pointed to the file's -x, which is the world's -y.
    up = rotations.rotate(motion.rotations_wxyz[1, 0], np.array([0.0, 1.0, 0.0]))
    np.testing.assert_allclose(up, [0, -1, 0], atol=1e-12)
    # The extents of the frames are 5 and 1 units, their 90th percentile is 4.6.
    assert motion.source == {
        "file": "clip.bvh",
        "format": "BVH",
        "unit": "0.5 m (as given: skeleton 2.3 m high)",
        "up_axis": "y",
    }


def _random_file(rng: np.random.Generator, frames: int = 3) -> str:
    """A tree with channels of all kinds, orders and numbers on all joints."""
    names = [f"{axis}{kind}" for kind in ("position", "rotation") for axis in "XYZ"]
    lines, columns = ["HIERARCHY"], 0

    def node(word: str, depth: int) -> None:
        nonlocal columns
        channels = rng.permutation(names)[: rng.integers(1, 7)]
        columns += len(channels)
        lines.extend([f"{word} j{len(lines)}", "{"])
        lines.append("OFFSET " + " ".join(f"{v:.6f}" for v in rng.normal(size=3)))
        lines.append(f"CHANNELS {len(channels)} " + " ".join(channels))
        if depth < 4:
            for _ in range(rng.integers(1, 4)):
                node("JOINT", depth + 1)
        else:
            lines.extend(["End Site", "{", "OFFSET 0.1 -0.2 0.3", "}"])
        lines.append("}")

    node("ROOT", 0)
    lines += ["MOTION", f"Frames: {frames}", "Frame Time: 0.01"]
    lines += [" ".join(map(str, row)) for row in rng.uniform(-180, 180, (frames, columns))]
    return "\n".join(lines)


@pytest.mark.parametrize("seed", range(5))
def test_any_hierarchy_and_channels_as_the_naive_evaluator(seed: int) -> None:
    text = _random_file(np.random.default_rng(seed))
    # Positions are up to 180 units from each parent, over five levels.
    assert _compare(text, range(3), _read(text)) < 1e-9


def test_position_channels_replace_components_of_the_offset() -> None:
    text = BODY.replace(
        "CHANNELS 3 Yrotation Xrotation Zrotation", "CHANNELS 3 Yrotation Zposition Xposition"
    ).replace("1 5 2  90 0 0  0 90 0  90", "0 5 0  0 0 0  90 7 8  0")
    motion = _read(text)
    # First frame: (0, OFFSET's 0, 0). Second: x 8, OFFSET's y, z 7.
    np.testing.assert_allclose(_at(motion, "Leg"), [[0, 5, 0], [8, 5, 7]], atol=1e-12)


def test_bones_along_x_in_the_zero_pose() -> None:
    # As in LAFAN1: every bone lies along its own x, so that only the angles make it stand. The
    # root's OFFSET is where the first frame was, and its position replaces it.
    text = """HIERARCHY
    ROOT Hips
    {
      OFFSET 420 86 -300
      CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
      JOINT LeftUpLeg
      {
        OFFSET 0 0 10
        CHANNELS 3 Zrotation Yrotation Xrotation
        JOINT LeftLeg
        {
          OFFSET 43 0 0
          CHANNELS 3 Zrotation Yrotation Xrotation
          JOINT LeftFoot
          {
            OFFSET 42 0 0
            CHANNELS 3 Zrotation Yrotation Xrotation
            End Site
            {
              OFFSET 16 0 0
            }
          }
        }
      }
      JOINT Spine
      {
        OFFSET 80 0 0
        CHANNELS 3 Zrotation Yrotation Xrotation
      }
    }
    MOTION
    Frames: 2
    Frame Time: 0.033333
    100 86 200 90 0 90   180 0 0   0 0 0   90 0 0   0 0 0
    100 86 200 90 0 90   180 0 0   -30 0 0   120 0 0   0 0 0
    """
    motion = _read(text, ReadOptions(unit_m=0.01, up_axis="z"))
    assert motion.fps == 30
    # R = Rz(90) Rx(90) of the hips: x goes to y (up), y to z, and z to x.
    np.testing.assert_allclose(_at(motion, "Spine")[0], [1.0, 1.66, 2.0], atol=1e-12)
    np.testing.assert_allclose(_at(motion, "LeftUpLeg")[0], [1.1, 0.86, 2.0], atol=1e-12)
    # The thigh's half turn about z takes x to -x and y to -y: down and back.
    np.testing.assert_allclose(_at(motion, "LeftLeg")[0], [1.1, 0.43, 2.0], atol=1e-12)
    np.testing.assert_allclose(_at(motion, "LeftFoot")[0], [1.1, 0.01, 2.0], atol=1e-12)
    # The foot's quarter turn takes its x to the thigh's y, which points to -z.
    np.testing.assert_allclose(_at(motion, "LeftFoot_end")[0], [1.1, 0.01, 1.84], atol=1e-12)
    # The knee bent by -30 degrees: the shank goes down by cos 30 and to +z by sin 30; the foot
    # turns by 120 - 30 = 90 degrees and stays as it was.
    ankle = np.array([1.1, 0.43 - 0.42 * math.cos(math.pi / 6), 2.0 + 0.42 * 0.5])
    np.testing.assert_allclose(_at(motion, "LeftFoot")[1], ankle, atol=1e-12)
    np.testing.assert_allclose(_at(motion, "LeftFoot_end")[1], ankle - [0, 0, 0.16], atol=1e-12)


def _tabs(text: str) -> str:
    return text.replace("  ", "\t")


@pytest.mark.parametrize(
    "change",
    [
        _tabs,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace("\n", " \n\n"),
        lambda text: text.replace("\n  {", " {").replace("ROOT Hips\n{", "ROOT Hips {"),
        lambda text: text.replace("HIERARCHY", "\n Hierarchy").replace("End Site", "END SITE"),
        lambda text: text.replace("JOINT", "Joint").replace("OFFSET", "Offset"),
        lambda text: text.replace("CHANNELS", "channels").replace("position", "POSITION"),
        lambda text: text.replace("MOTION", "Motion").replace("Frame Time:", "frame time :"),
        lambda text: text.replace("Frames: 2", "FRAMES:\t2  "),
        lambda text: text.rstrip(),
    ],
)
def test_spellings(change: Callable[[str], str]) -> None:
    text = change(BODY)
    assert bvh.sniff(text)
    motion, expected = _read(text), _read(BODY)
    assert motion.marker_names == expected.marker_names
    np.testing.assert_array_equal(motion.positions_w, expected.positions_w)


@pytest.mark.parametrize(
    ("frame_time", "fps"),
    [
        (".0083333", 120.0),
        ("0.00833333", 120.0),
        ("0.041667", 24.0),
        ("0.0333333", 30.0),
        ("0.033333", 30.0),
        ("0.04", 25.0),
        ("0.0234", 1 / 0.0234),
        ("1e-2", 100.0),
    ],
)
def test_rates(frame_time: str, fps: float) -> None:
    text = BODY.replace(".0083333", frame_time)
    assert _read(text).fps == fps
    # What the user says wins, whatever the file says.
    assert _read(text, ReadOptions(fps=50)).fps == 50
    assert _read(BODY.replace(".0083333", "0"), ReadOptions(fps=50)).fps == 50


def test_names_with_spaces_and_names_that_come_again() -> None:
    text = BODY.replace("JOINT Leg", "JOINT Bip01 L Thigh").replace("JOINT Head", "JOINT Hips")
    assert _read(text).marker_names == ("Hips", "Bip01 L Thigh", "Bip01 L Thigh_end", "Hips_2")


def test_two_roots_are_two_trees() -> None:
    head, motion = BODY.split("MOTION\n")
    second = head.partition("\n")[2].replace("Hips", "Guest")
    lines = motion.splitlines()
    both = [*lines[:2], *(f"{line} {line}" for line in lines[2:])]
    result = _read(head + second + "MOTION\n" + "\n".join(both))
    assert result.parents == (-1, 0, 1, 0, -1, 4, 5, 4)
    np.testing.assert_array_equal(result.positions_w[:, 4:], result.positions_w[:, :4])
    assert result.marker_names[4:] == ("Guest", "Leg_2", "Leg_end_2", "Head_2")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("MOTION", "", "line 22 is 'Frames: 2', expected JOINT, End Site, OFFSET, CHANNELS"),
        ("  JOINT Head", "  BONE Head", "line 15 is 'BONE Head', expected JOINT, End Site"),
        ("ROOT Hips\n{", "ROOT Hips", r"line 3 is 'OFFSET 0 0 0', expected '{' after 'Hips'"),
        ("HIERARCHY", "HIERARCHY {", "line 1 is '{', expected a joint before '{'"),
        ("ROOT Hips", "JOINT Hips", "line 2 has 'JOINT Hips' outside of a ROOT"),
        ("JOINT Head", "ROOT Head", "line 15 has a ROOT inside of joint 'Hips'"),
        ("JOINT Head", "JOINT", "line 15: a JOINT has no name"),
        ("}\nMOTION", "MOTION", "line 2: joint 'Hips' has no closing '}'"),
        ("}\nMOTION", "}\n}\nMOTION", "line 21 has a '}' too many"),
        ("    OFFSET 0 3 0\n", "", "line 18: joint 'Head' ends without an OFFSET"),
        ("OFFSET 0 3 0", "OFFSET 0 3", "line 17: the OFFSET of 'Head' has 2 numbers, expected 3"),
        ("OFFSET 0 3 0", "OFFSET 0 3 o", "line 17: the OFFSET of 'Head' is 'o', expected a number"),
        ("OFFSET 0 3 0", "OFFSET 0 3 1e7", "OFFSET of 'Head' is '1e7', .* within ±1e"),
        ("CHANNELS 1 X", "CHANNELS 2 X", "CHANNELS of 'Head' says '2' and names 1 channels"),
        ("CHANNELS 1 X", "CHANNELS X", "line 18: CHANNELS of 'Head' says 'Xrotation' and names 0"),
        ("1 Xrotation", "1 Xscale", "line 18: 'Xscale' is not a channel, expected X, Y or Z"),
        ("1 Xrotation", "2 Xrotation Xrotation", "a channel of 'Head' is named twice"),
        ("OFFSET 0 -2 0", "CHANNELS 1 Xrotation", "line 12 has CHANNELS that 'Leg_end' must not"),
        ("OFFSET 0 -2 0", "JOINT Toe", "line 12 has a joint inside of an End Site"),
        ("HIERARCHY", "HIERARCHY\nOFFSET 1 2 3", "line 2 has OFFSET outside of a joint"),
        ("Frames: 2\n", "", "line 22 is 'Frame Time: .0083333', expected 'Frames: <count>'"),
        ("Frames: 2", "Frames: two", "line 22 is 'Frames: two', expected 'Frames: <count>'"),
        ("Frames: 2", "Frames: -2", "line 22 is 'Frames: -2', expected"),
        ("Frame Time: .0083333\n", "", "line 23 is '0 5 0  0 0 0  0 0 0  0', expected 'Frame Time"),
        ("Frames: 2", "Frames: 3", "has 2 lines of values, expected 3, the number after 'Frames:'"),
        ("Frames: 2", "Frames: 1", "has 2 lines of values, expected 1"),
        (".0083333", "0", "the Frame Time is 0 s, expected a positive number"),
        (".0083333", "-0.01", "the Frame Time is -0.01 s, expected a positive number"),
        (".0083333", "0,008", "the Frame Time is '0,008', expected a number"),
        (".0083333", "2", "Frame Time 2 s: a frame rate of 0.5 frames/s is not plausible"),
        ("90 0  90", "90 0", "line 25 has 9 values, expected 10, from Xposition of 'Hips' to Xrot"),
        ("90 0  90", "90 0  90 7", "line 25 has 11 values, expected 10"),
        ("90 0  90", "90 x  90", "line 25: Zrotation of 'Leg' is 'x', expected a number"),
        ("90 0  90", "90 0  nan", "line 25: Xrotation of 'Head' is 'nan', expected a number"),
        ("90 0  90", "90 0  -inf", "line 25: Xrotation of 'Head' is '-inf', expected a number"),
        ("1 5 2", "1 5 2e200", "line 25: Zposition of 'Hips' is '2e200', expected a number within"),
    ],
)
def test_bad_files(old: str, new: str, message: str) -> None:
    assert old in BODY
    with pytest.raises(ClipError, match=message.replace("{", r"\{").replace("}", r"\}")) as error:
        _read(BODY.replace(old, new, 1))
    assert str(error.value).startswith("clip.bvh: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("HIERARCHY\n", "has no MOTION section"),
        ("HIERARCHY\nMOTION\nFrames: 2", "the HIERARCHY has no ROOT"),
        ("HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\n}\nMOTION", "no joint has CHANNELS"),
        (BODY[: BODY.index("Frames")], "ends after line 21, expected 'Frames: <count>'"),
        (BODY[: BODY.index("0 5 0")], "has 0 lines of values, expected 2"),
        (BODY[: BODY.index("1 5 2")].replace("s: 2", "s: 1"), r"has 1 frame\(s\), a motion needs"),
        (BODY[: BODY.index("0 5 0")].replace("s: 2", "s: 0"), r"has 0 frame\(s\), a motion needs"),
    ],
)
def test_incomplete_files(text: str, message: str) -> None:
    with pytest.raises(ClipError, match=f"^clip.bvh: .*{message}"):
        _read(text)


def test_too_many_joints_are_refused_at_once() -> None:
    text = "HIERARCHY\n" + "ROOT a {\nOFFSET 0 0 0\n" + "JOINT b {\nOFFSET 1 0 0\n" * 100_000
    start = time.process_time()
    with pytest.raises(ClipError, match="line 2002: more than 1000 joints are not a body"):
        _read(text)
    assert time.process_time() - start < 1


def test_a_declared_size_takes_no_memory() -> None:
    with pytest.raises(ClipError, match="has 2 lines of values, expected 999999999"):
        _read(BODY.replace("Frames: 2", "Frames: 999999999"))
    # A thousand joints, and lines that have one value each: too much for their poses.
    joints = "".join(f"JOINT j{i} {{ \nOFFSET 0 0 0\n}}\n" for i in range(990))
    text = BODY.replace("  JOINT Leg", joints + "  JOINT Leg").replace("Frames: 2", "Frames: 30000")
    with pytest.raises(ClipError, match="has 30000 frames of 994 points, expected at most"):
        _read(text[: text.index("0 5 0")] + "0\n" * 30_000)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("HIERARCHY\nROOT", True),
        ("\n\n  hierarchy\r\n", True),
        ("HIERARCHYX", False),
        ("# HIERARCHY", False),
        (":hierarchy", False),
        ("", False),
    ],
)
def test_sniff(head: str, expected: bool) -> None:
    assert bvh.sniff(head) is expected


def test_mutated_files_read_or_fail_with_our_own_error() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        text = BODY
        for _ in range(rng.integers(1, 4)):
            start, length = rng.integers(len(text)), rng.integers(1, 30)
            other = rng.integers(len(BODY))
            insert = ["", BODY[other : other + length], chr(rng.integers(1, 0x250))]
            text = text[:start] + insert[rng.integers(3)] + text[start + length :]
        try:
            motion = _read(text, ReadOptions())
        except LeggedSkillsError as error:
            assert "\n" not in str(error)
        else:
            assert np.all(np.isfinite(motion.positions_w))


FILES = {
    "cmu_10_01_kick_soccer_ball.bvh": (802, 120.0, "0.01 m (inferred"),
    "cmu_11_01_kick_soccer_ball.bvh": (598, 120.0, "0.01 m (inferred"),
    "cmu_12_01_walk.bvh": (524, 120.0, "0.0564 m (inferred"),
    "pirouette.bvh": (592, 120.0, "0.01 m (inferred"),
    "walk_cycle.bvh": (42, 24.0, "0.01 m (inferred"),
}


@pytest.mark.parametrize("name", FILES)
def test_real_files_as_the_naive_evaluator(mocap_dir: Path, name: str) -> None:
    text = (mocap_dir / "bvh" / name).read_text()
    motion = _read(text)
    # In the file's unit: of a centimetre or more, so that 1e-6 m are at least 1e-5 of it.
    assert _compare(text, range(0, motion.num_frames, motion.num_frames // 12), motion) < 1e-9


@pytest.mark.parametrize("name", FILES)
def test_real_files_are_people_on_a_floor(mocap_dir: Path, name: str) -> None:
    path = mocap_dir / "bvh" / name
    motion = bvh.read(path, path.read_text(), ReadOptions())
    frames, fps, unit = FILES[name]
    assert (motion.num_frames, motion.fps) == (frames, fps)
    assert motion.source["unit"].startswith(unit)
    assert motion.source["up_axis"] == "y (inferred)"
    lowest = motion.positions_w[..., 2].min(axis=1)
    height = motion.positions_w[..., 2].max(axis=1) - lowest
    assert 1.3 < np.median(height) < 1.9
    # The floor of the walk cycle is half a metre above the origin.
    floor = 0.52 if name == "walk_cycle.bvh" else 0.0
    assert np.percentile(lowest, 10) == pytest.approx(floor, abs=0.08)
    # The lowest point is a foot.
    feet = [i for i, n in enumerate(motion.marker_names) if "Foot" in n or "To" in n or "Ank" in n]
    np.testing.assert_allclose(motion.positions_w[:, feet, 2].min(axis=1), lowest, atol=1e-12)


def test_joint_positions_in_the_walk_cycle_are_their_offsets(mocap_dir: Path) -> None:
    # Every joint of this file has position channels; that they replace the OFFSET shows in bones
    # that keep their length.
    path = mocap_dir / "bvh" / "walk_cycle.bvh"
    motion = bvh.read(path, path.read_text(), ReadOptions())
    shank = np.linalg.norm(_at(motion, "LeftAnkle") - _at(motion, "LeftKnee"), axis=1)
    assert np.ptp(shank) < 1e-4
    assert 0.35 < shank[0] < 0.5


def test_a_long_file_is_read_quickly() -> None:
    text = _random_file(np.random.default_rng(1), frames=2)
    head, values = text[: text.index("Frames:")], text.splitlines()[-1]
    columns = len(values.split())
    frames = 400_000 // columns
    long = head + f"Frames: {frames}\nFrame Time: 0.01\n" + f"{values}\n" * frames
    start = time.process_time()
    _read(long)
    assert time.process_time() - start < 2
