"""Clip files: round trips, and a sentence for everything that does not fit together."""

from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest

from legged_skills.mocap.clip import RobotClip, finite_difference_qvel
from legged_skills.robots import rotations
from legged_skills.robots.errors import ClipError, FileFormatError, LeggedSkillsError
from legged_skills.robots.spec import RobotSpec

FPS = 50.0


@pytest.fixture
def clip(spec: RobotSpec) -> RobotClip:
    """A robot that walks a circle, nods, and moves its joints, for 2 s."""
    time = np.arange(101) / FPS
    qpos = np.tile(spec.home_qpos, (101, 1))
    qpos[:, 0], qpos[:, 1] = np.sin(time), 1 - np.cos(time)
    nod = rotations.from_axis_angle(np.array([0.0, 1.0, 0.0]), 0.1 * np.sin(5 * time))
    qpos[:, 3:7] = rotations.multiply(rotations.from_yaw(time), nod)
    qpos[:, 7:] += 0.2 * np.sin(4 * time[:, None] + np.arange(12))
    return RobotClip(
        robot=spec.name,
        fps=FPS,
        joint_names=spec.joint_names,
        qpos=qpos,
        qvel=finite_difference_qvel(qpos, FPS),
        foot_contact=np.sin(3 * time[:, None] + np.arange(4)) > 0,
        source={"file": "circle.txt", "licence": "none"},
        retarget={"scale": 1.5, "settings": {"speed": None}},
        quality={"marker_error_m": 0.001},
        name="circle",
    )


def test_velocities_are_mujocos(clip: RobotClip, spec: RobotSpec) -> None:
    # MuJoCo moves a pose with a velocity; two steps back and forth are our central difference.
    model = spec.model()
    for t in (1, 40, 99):
        step = np.empty(model.nv)
        mujoco.mj_differentiatePos(model, step, 2 / FPS, clip.qpos[t - 1], clip.qpos[t + 1])
        # MuJoCo's turn is in the frame of t - 1, ours in that of t.
        turn = rotations.rotate(clip.qpos[t - 1, 3:7], step[3:6])
        step[3:6] = rotations.rotate_inverse(clip.qpos[t, 3:7], turn)
        np.testing.assert_allclose(clip.qvel[t], step, atol=1e-9)


def test_file_round_trip(clip: RobotClip, spec: RobotSpec, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "circle.npz"
    clip.save(path)
    loaded = RobotClip.load(path)
    loaded.check_robot(spec)
    # Stored as float32: six or seven digits.
    np.testing.assert_allclose(loaded.qpos, clip.qpos, atol=1e-6)
    np.testing.assert_allclose(loaded.qvel, clip.qvel, atol=1e-5)
    np.testing.assert_array_equal(loaded.foot_contact, clip.foot_contact)
    assert loaded.qpos.dtype == loaded.qvel.dtype == np.float64
    assert loaded.foot_contact.dtype == bool
    assert (loaded.name, loaded.fps, loaded.robot) == ("circle", FPS, "anymal_c")
    assert loaded.joint_names == spec.joint_names
    assert (loaded.source, loaded.retarget, loaded.quality) == (
        clip.source,
        clip.retarget,
        clip.quality,
    )
    # A second round loses nothing more.
    loaded.save(tmp_path / "again.npz")
    again = RobotClip.load(tmp_path / "again.npz")
    np.testing.assert_array_equal(again.qpos, loaded.qpos)
    with np.load(path, allow_pickle=False) as arrays:
        assert set(arrays.files) == {
            *("fps", "robot", "joint_names", "qpos", "qvel", "foot_contact"),
            *("source", "retarget", "quality"),
        }


def _with(array: np.ndarray, place: tuple, value: float) -> np.ndarray:
    out = array.copy()
    out[place] = value
    return out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (lambda c: {"fps": 5.0}, "field fps: a frame rate of 5 frames/s is not plausible"),
        (lambda c: {"fps": float("nan")}, "field fps: a frame rate of nan"),
        (
            lambda c: {"qpos": _with(c.qpos, (3, 9), np.nan)},
            "field qpos is not a finite number in frame 3, column 9",
        ),
        (
            lambda c: {"qvel": _with(c.qvel, (7, 0), np.inf)},
            "field qvel is not a finite number in frame 7, column 0",
        ),
        (lambda c: {"qpos": c.qpos[:, :-1]}, r"field qpos has shape \(101, 18\), expected"),
        (
            lambda c: {"qvel": c.qvel[:-1]},
            r"field qvel has shape \(100, 18\), expected \(101, 18\)",
        ),
        (lambda c: {"foot_contact": c.foot_contact[:5]}, "field foot_contact has shape"),
        (
            lambda c: {"qpos": _with(c.qpos, (4, slice(3, 7)), 0.6)},
            r"field qpos has a root quaternion of length 1.2 in frame 4, expected 1",
        ),
        (
            lambda c: {n: getattr(c, n)[:1] for n in ("qpos", "qvel", "foot_contact")},
            r"has 1 frame\(s\), a clip needs at least 2",
        ),
        # The motion at 50 frames/s, called 60 or 25.
        (lambda c: {"fps": 60.0}, "field fps is 60, but field qvel belongs to about 50 frames/s"),
        (lambda c: {"fps": 25.0}, "field fps is 25, but field qvel belongs to about 50 frames/s"),
        (
            lambda c: {"qvel": c.qvel[:, ::-1].copy()},
            "field qvel does not belong to field qpos",
        ),
        (lambda c: {"qvel": 0 * c.qvel}, "field qvel belongs to about 0 frames/s"),
    ],
)
def test_what_does_not_fit_together(clip: RobotClip, changes: object, message: str) -> None:
    with pytest.raises(ClipError, match=message) as error:
        replace(clip, **changes(clip))  # type: ignore[operator]
    assert str(error.value).startswith("circle: ")
    assert "\n" not in str(error.value)


def test_other_ways_to_differentiate_are_accepted(clip: RobotClip, spec: RobotSpec) -> None:
    # Forward differences, as other tools store them, and clips at rest.
    forward = clip.qvel.copy()
    forward[:-1, 6:] = np.diff(clip.qpos[:, 7:], axis=0) * FPS
    replace(clip, qvel=forward)
    still = np.tile(spec.home_qpos, (10, 1))
    replace(clip, qpos=still, qvel=np.zeros((10, 18)), foot_contact=np.ones((10, 4), dtype=bool))


def test_other_robots_are_refused(clip: RobotClip, spec: RobotSpec) -> None:
    with pytest.raises(ClipError, match="circle: is a clip of 'op3', expected 'anymal_c'"):
        replace(clip, robot="op3").check_robot(spec)
    with pytest.raises(ClipError, match=r"field joint_names is LF_HFE, .*; expected LF_HAA"):
        replace(clip, joint_names=(*spec.joint_names[1:], "LF_HAA")).check_robot(spec)
    with pytest.raises(ClipError, match=r"field foot_contact has shape \(101, 2\)"):
        replace(clip, foot_contact=clip.foot_contact[:, :2]).check_robot(spec)
    # The left fore knee, straightened to its limit of -0.087 rad and beyond.
    qpos = clip.qpos.copy()
    qpos[50, 9] = 0.2
    bent = replace(clip, qpos=qpos, qvel=finite_difference_qvel(qpos, FPS))
    with pytest.raises(
        ClipError,
        match=r"has LF_KFE at 0.200 rad in frame 50, outside of its limits -2.600 to -0.087",
    ):
        bent.check_robot(spec)


def test_resampling(clip: RobotClip, spec: RobotSpec) -> None:
    slow = clip.resample(30.0)
    # 2 s at 30 frames/s are 61 frames.
    assert (slow.num_frames, slow.fps) == (61, 30.0)
    assert slow.duration_s == pytest.approx(clip.duration_s)
    time = np.arange(61) / 30
    # Linear interpolation of a curve with second derivative a errs by at most a dt^2 / 8.
    np.testing.assert_allclose(slow.qpos[:, 0], np.sin(time), atol=1 * 0.02**2 / 8 + 1e-9)
    np.testing.assert_allclose(rotations.yaw(slow.qpos[:, 3:7]), time, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(slow.qpos[:, 3:7], axis=1), 1)
    np.testing.assert_array_equal(slow.foot_contact[:2], clip.foot_contact[[0, 2]])
    same = clip.resample(FPS)
    np.testing.assert_allclose(same.qpos, clip.qpos, atol=1e-12)
    assert clip.resample(200.0).num_frames == 401
    with pytest.raises(ClipError, match="is not plausible"):
        clip.resample(5.0)


def _arrays(clip: RobotClip, path: Path) -> dict[str, np.ndarray]:
    clip.save(path)
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("qvel"), "is not a robot clip, it has no field 'qvel'"),
        (lambda a: a.update(fps=np.array("fast")), "field fps has type <U4 and 0 axes"),
        (lambda a: a.update(qpos=a["qpos"][0]), "field qpos has type float32 and 1 axes"),
        (lambda a: a.update(robot=np.array(3)), "field robot has type int64, expected a text"),
        (lambda a: a.update(joint_names=np.arange(12)), "field joint_names has type int64"),
        (lambda a: a.update(source=np.array("{")), "field source is not JSON"),
        (lambda a: a.update(source=np.array("1" * 5000)), "field source is not JSON"),
        (lambda a: a.update(source=np.array("[" * 100_000)), "field source is not JSON"),
        (lambda a: a.update(source=np.array("[]")), "field source is not a JSON object"),
    ],
)
def test_damaged_fields(clip: RobotClip, tmp_path: Path, change: object, message: str) -> None:
    path = tmp_path / "clip.npz"
    arrays = _arrays(clip, path)
    change(arrays)  # type: ignore[operator]
    np.savez(path, **arrays)  # type: ignore[arg-type]
    with pytest.raises(FileFormatError, match=message) as error:
        RobotClip.load(path)
    assert str(error.value).startswith(str(path))


def test_damaged_files(clip: RobotClip, tmp_path: Path) -> None:
    path = tmp_path / "clip.npz"
    with pytest.raises(FileFormatError, match="there is no such file"):
        RobotClip.load(path)
    clip.save(path)
    whole = path.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:size])
        with pytest.raises(LeggedSkillsError) as error:
            RobotClip.load(path)
        assert str(error.value).startswith(str(path))
    wrong_rate = _arrays(clip, path)
    wrong_rate["fps"] = np.array(60.0)
    np.savez(path, **wrong_rate)  # type: ignore[arg-type]
    with pytest.raises(ClipError, match=r"clip.npz: field fps is 60, but field qvel belongs to"):
        RobotClip.load(path)


def test_a_failed_save_keeps_the_old_file(
    clip: RobotClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clip.npz"
    clip.save(path)
    before = path.read_bytes()

    def full_disk(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full_disk)
    with pytest.raises(FileFormatError, match="No space left on device"):
        clip.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["clip.npz"]
