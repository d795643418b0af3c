"""DeepMimic's frames: the order of the numbers, the kinematics, the durations, the damage."""

import hashlib
import json
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest

from legged_skills.mocap.formats import deepmimic, read_motion
from legged_skills.mocap.source import ReadOptions, SourceMotion
from legged_skills.robots import rotations
from legged_skills.robots.errors import ClipError

# Where the numbers of each joint begin in a frame.
COLUMNS = {
    **{"root": 4, "chest": 8, "neck": 12, "right_hip": 16, "right_knee": 20, "right_ankle": 21},
    **{"right_shoulder": 25, "right_elbow": 29, "left_hip": 30, "left_knee": 34},
    **{"left_ankle": 35, "left_shoulder": 39, "left_elbow": 43},
}
HINGES = ("right_knee", "right_elbow", "left_knee", "left_elbow")
ATTACH = ("AttachX", "AttachY", "AttachZ")
HALF = np.sqrt(0.5)


def _frame(**joints: Any) -> list[float]:
    """A frame of 0.02 s at rest, the root at (1, 0.9, 2), but for the joints given."""
    frame = [0.02, 1.0, 0.9, 2.0] + [0.0] * 40
    for name, column in COLUMNS.items():
        if name not in HINGES:
            frame[column] = 1.0
    for name, values in joints.items():
        values = np.atleast_1d(values)
        frame[COLUMNS[name] : COLUMNS[name] + len(values)] = values.tolist()
    return frame


def _write(path: Path, frames: list[Any], **fields: Any) -> Path:
    path.write_text(json.dumps({"Loop": "wrap", "Frames": frames, **fields}))
    return path


def _at(motion: SourceMotion, name: str, frame: int = 0) -> np.ndarray:
    return motion.positions_w[frame, motion.index(name)]


def test_rest_pose_by_hand(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.txt", [_frame(), _frame()])
    motion = read_motion(path)
    assert motion.fps == 50.0
    assert motion.source == {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        **{"file": "a.txt", "format": "DeepMimic", "loop": "wrap", "unit": "m", "up_axis": "y"},
        "licence": "not stated",
    }
    # The file's (x, y, z) is the world's (z, x, y); the root is at (1, 0.9, 2).
    np.testing.assert_allclose(_at(motion, "root"), [2, 1, 0.9])
    # Ankle: 0.084887 to the right, 0.421546 + 0.40987 down.
    np.testing.assert_allclose(_at(motion, "right_ankle"), [2.084887, 1, 0.068584])
    np.testing.assert_allclose(_at(motion, "left_ankle"), [1.915113, 1, 0.068584])
    # Chest and shoulder: 0.236151 + 0.2435 up, 0.02405 back; then 0.274788 + 0.258947 down.
    np.testing.assert_allclose(_at(motion, "left_wrist"), [1.81689, 0.97595, 0.845916])
    # The sole is 0.0225 + 0.0275 under the ankle, 0.177 long, its middle 0.045 before the ankle.
    np.testing.assert_allclose(_at(motion, "right_toe"), [2.084887, 1.1335, 0.018584])
    np.testing.assert_allclose(_at(motion, "right_heel"), [2.084887, 0.9565, 0.018584])
    # Neck 0.236151 + 0.223894 up; the head's centre 0.175, its radius 0.1025.
    np.testing.assert_allclose(_at(motion, "head"), [2, 1, 1.637545])
    np.testing.assert_allclose(_at(motion, "left_hand"), [1.81689, 0.97595, 0.805916])
    # The frames of joints are the file's axes: their y is up.
    assert motion.rotations_wxyz is not None
    up = rotations.rotate(motion.rotations_wxyz, np.array([0.0, 1.0, 0.0]))
    np.testing.assert_allclose(up, np.broadcast_to([0.0, 0.0, 1.0], up.shape), atol=1e-15)


def test_joints_turn_as_they_should(tmp_path: Path) -> None:
    bent = _frame(right_knee=-np.pi / 2, left_shoulder=[HALF, 0, 0, HALF])
    turned = _frame(root=[HALF, 0, HALF, 0])
    motion = read_motion(_write(tmp_path / "a.txt", [bent, turned]))
    # A bent knee: the shin points back, along the file's -x, the world's -y.
    shin = _at(motion, "right_ankle") - _at(motion, "right_knee")
    np.testing.assert_allclose(shin, [0, -0.40987, 0], atol=1e-12)
    # A quarter turn of the shoulder about z lifts the arm forward: -y goes to +x.
    arm = _at(motion, "left_elbow") - _at(motion, "left_shoulder")
    np.testing.assert_allclose(arm, [0, 0.274788, 0], atol=1e-12)
    # A quarter turn about the vertical to the left: from the file's x to its -z.
    foot = _at(motion, "right_toe", 1) - _at(motion, "right_heel", 1)
    np.testing.assert_allclose(foot, [-0.177, 0, 0], atol=1e-12)


def _mujoco_model() -> mujoco.MjModel:
    """The humanoid's joints as a model of MuJoCo, in the file's axes."""
    spec = mujoco.MjSpec()
    bodies: dict[str, Any] = {}
    for i, name in enumerate(deepmimic.MARKER_NAMES):
        parent = deepmimic.PARENTS[i]
        above = bodies[deepmimic.MARKER_NAMES[parent]] if parent >= 0 else spec.worldbody
        offset = deepmimic._POINTS[i].offset
        body = above.add_body(name=name, pos=offset, mass=1, inertia=[1, 1, 1])
        if name == "root":
            body.add_freejoint()
        elif name in HINGES:
            body.add_joint(type=mujoco.mjtJoint.mjJNT_HINGE, axis=[0, 0, 1])
        elif name in COLUMNS:
            body.add_joint(type=mujoco.mjtJoint.mjJNT_BALL)
        bodies[name] = body
    return spec.compile()


def test_random_poses_are_those_of_mujoco(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    frames = rng.normal(size=(4, 44))
    frames[:, 0] = 0.02
    model = _mujoco_model()
    data = mujoco.MjData(model)
    motion = read_motion(_write(tmp_path / "a.txt", frames.tolist()))
    assert motion.rotations_wxyz is not None
    bodies = [model.body(name).id for name in deepmimic.MARKER_NAMES]
    for i, frame in enumerate(frames):
        data.qpos[:3] = frame[1:4]
        data.qpos[3:7] = frame[4:8]
        for name, column in list(COLUMNS.items())[1:]:
            first = model.jnt_qposadr[model.body(name).jntadr[0]]
            count = 1 if name in HINGES else 4
            data.qpos[first : first + count] = frame[column : column + count]
        mujoco.mj_kinematics(model, data)
        positions = data.xpos[bodies][:, [2, 0, 1]]
        np.testing.assert_allclose(motion.positions_w[i], positions, atol=1e-9)
        axes = data.xmat[bodies].reshape(-1, 3, 3)[:, [2, 0, 1]]
        np.testing.assert_allclose(rotations.to_matrix(motion.rotations_wxyz[i]), axes, atol=1e-9)


def test_different_durations_are_resampled(tmp_path: Path) -> None:
    frames = [_frame() for _ in range(5)]
    for frame, x, duration in zip(
        frames, [0, 1, 2, 4, 5], [0.02, 0.02, 0.04, 0.02, 9], strict=True
    ):
        frame[0], frame[1] = duration, float(x)
    frames[3][COLUMNS["left_knee"]] = -1.0
    motion = read_motion(_write(tmp_path / "a.txt", frames))
    assert motion.fps == 50.0
    # One unit of x in 0.02 s throughout; the last frame's duration counts for nothing.
    np.testing.assert_allclose(motion.positions_w[:, 0, 1], [0, 1, 2, 3, 4, 5], atol=1e-12)
    # Half way in time the knee is half bent: 0.5 rad about z, the world's x.
    assert motion.rotations_wxyz is not None
    knee, hip = motion.index("left_knee"), motion.index("left_hip")
    turn = rotations.multiply(
        rotations.conjugate(motion.rotations_wxyz[3, hip]), motion.rotations_wxyz[3, knee]
    )
    np.testing.assert_allclose(rotations.to_rotvec(turn), [0, 0, -0.5], atol=1e-12)


def test_rate_from_rounded_durations(tmp_path: Path) -> None:
    frames = [_frame() for _ in range(4)]
    for frame, duration in zip(frames, [0.0083330004, 0.008333, 0.008334, 0.0], strict=True):
        frame[0] = duration
    path = _write(tmp_path / "a.txt", frames, Loop="none")
    motion = read_motion(path)
    assert (motion.fps, motion.num_frames, motion.source["loop"]) == (120.0, 4, "none")
    assert read_motion(path, ReadOptions(fps=30)).fps == 30.0


def _damaged(frame: int, column: int, value: Any) -> list[Any]:
    frames: list[Any] = [_frame() for _ in range(4)]
    frames[frame][column] = value
    return frames


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "field 'Frames' has 0 frame"),
        ([_frame()], "field 'Frames' has 1 frame.s., a motion needs at least 2"),
        (7, "field 'Frames' has no list"),
        ([_frame(), 3], "frame 1 is no list of 44 numbers"),
        ([_frame(), _frame()[:-1]], "frame 1 has 43 numbers, expected 44"),
        (_damaged(1, 20, "left"), "frame 1: right_knee angle is 'left', expected a number"),
        (_damaged(1, 20, None), "frame 1: right_knee angle is 'None', expected a number"),
        (_damaged(1, 20, [1.0]), "frame 1: right_knee angle is '.1.0.', expected a number"),
        (_damaged(2, 4, float("nan")), "frame 2: root w is nan, expected a number within"),
        (_damaged(2, 9, 1e308), r"frame 2: chest x is 1e\+308, expected a number within ±100"),
        (_damaged(0, 3, 10**400), "frame 0: root position z is inf, expected a number within"),
        (_damaged(1, 8, 0.0), "frame 1: the quaternion of chest has the length 0, expected 1"),
        (_damaged(0, 0, 0.0), "frame 0: duration is 0 s, expected more than 0 s"),
        (_damaged(1, 0, 2.0), "durations: frame 2 comes 2 s after the one before"),
    ],
)
def test_bad_frames(tmp_path: Path, frames: Any, message: str) -> None:
    path = _write(tmp_path / "bad.txt", frames)
    with pytest.raises(ClipError, match=message) as error:
        read_motion(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"Frames": [[1, 2', "is not JSON, as a DeepMimic motion is"),
        ('{"Frames": ' + "[" * 100_000, "it is nested too deeply"),
        ('{"a": {"Frames": 1}}', "has no field 'Frames'"),
        ('{"Skeleton": {"Joints": [{"Name": "root"}]}}', "is the skeleton of another character"),
        ('{"Skeleton": 5}', "is the skeleton of another character"),
    ],
)
def test_bad_json(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ClipError, match=message):
        read_motion(path)


def test_large_texts_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deepmimic, "_MAX_CHARACTERS", 1000)
    path = _write(tmp_path / "a.txt", [_frame() for _ in range(9)])
    with pytest.raises(ClipError, match="expected at most 1000 in a DeepMimic motion; split"):
        read_motion(path)


def _skeleton() -> dict[str, Any]:
    joints = [
        {"Name": point.name, **dict(zip(ATTACH, point.offset, strict=True))}
        for point in deepmimic._JOINTS
    ]
    return {"Skeleton": {"Joints": joints}}


def test_skeleton_alone_stands_at_rest(tmp_path: Path) -> None:
    path = tmp_path / "character.json"
    path.write_text(json.dumps(_skeleton()))
    motion = read_motion(path)
    assert motion.num_frames == 2
    assert motion.source["note"] == "a skeleton without motion: its rest pose"
    # On its soles, as tall as the sum of its parts: 0.881416 to the root, 0.737545 to the crown.
    assert motion.positions_w[..., 2].min() == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(_at(motion, "head"), [0, 0, 1.618961])
    np.testing.assert_array_equal(motion.positions_w[0], motion.positions_w[1])


def test_skeletons_alone_have_the_given_rate(tmp_path: Path) -> None:
    path = tmp_path / "character.json"
    path.write_text(json.dumps(_skeleton()))
    assert read_motion(path).fps == 30.0
    assert read_motion(path, ReadOptions(fps=24)).fps == 24.0


def test_other_proportions_are_refused(tmp_path: Path) -> None:
    skeleton = _skeleton()
    skeleton["Skeleton"]["Joints"][4]["AttachY"] = -0.5
    path = tmp_path / "character.json"
    path.write_text(json.dumps(skeleton))
    with pytest.raises(ClipError, match=r"right_knee: AttachY is '-0[.]5', expected -0[.]4215"):
        read_motion(path)


def test_numbers_are_those_of_the_skeleton_file(mocap_dir: Path) -> None:
    data = json.loads((mocap_dir / "deepmimic" / "character_humanoid3d.json").read_text())
    names = [joint["Name"] for joint in data["Skeleton"]["Joints"]]
    kinds = {"spherical": 4, "revolute": 1, "fixed": 0, "none": 4}
    for joint, point in zip(data["Skeleton"]["Joints"], deepmimic._JOINTS, strict=True):
        assert joint["Name"] == point.name
        assert (names[joint["Parent"]] if joint["Parent"] >= 0 else "") == point.parent
        assert tuple(joint[f"Attach{axis}"] for axis in "XYZ") == point.offset
        assert kinds[joint["Type"]] == point.numbers
    bodies = {body["Name"]: body for body in data["BodyDefs"]}
    offsets = {point.name: point.offset for point in deepmimic._MARKERS}
    foot = bodies["left_ankle"]
    half = foot["Param0"] / 2
    sole = foot["AttachY"] - foot["Param1"] / 2
    assert offsets["left_toe"] == pytest.approx((foot["AttachX"] + half, sole, 0))
    assert offsets["left_heel"] == pytest.approx((foot["AttachX"] - half, sole, 0))
    neck = bodies["neck"]
    assert offsets["head"] == pytest.approx((0, neck["AttachY"] + neck["Param0"] / 2, 0))
    assert offsets["left_hand"] == pytest.approx((0, -bodies["left_wrist"]["Param0"] / 2, 0))


def test_walks_stand_on_the_floor_and_go_forward(mocap_dir: Path) -> None:
    motion = read_motion(mocap_dir / "deepmimic" / "humanoid3d_walk.txt")
    lowest = motion.positions_w[..., 2].min(axis=1)
    assert np.all(np.abs(lowest) < 0.03)
    assert motion.rotations_wxyz is not None
    forward = rotations.rotate(motion.rotations_wxyz[:, 0], np.array([1.0, 0.0, 0.0]))
    velocity = np.diff(motion.positions_w[:, 0], axis=0)
    assert np.all(np.sum(forward[:-1] * velocity, axis=1) > 0)
    # Up x forward is left.
    left = np.cross([0.0, 0.0, 1.0], forward)
    across = motion.positions_w[:, motion.index("left_hip")] - motion.positions_w[:, 3]
    assert np.all(np.sum(left * across, axis=1) > 0.15)
