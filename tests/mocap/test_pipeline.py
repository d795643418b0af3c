"""From a source to clips: a known motion comes back, and the real data keeps its bars."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.mocap import signals
from legged_skills.mocap.clip import RobotClip
from legged_skills.mocap.mapping import mapping_for
from legged_skills.mocap.pipeline import (
    PipelineSettings,
    RetargetedFile,
    fitted_feet,
    outdated_clips,
    retarget_file,
    retarget_motion,
    strange_clips,
    write_clips,
)
from legged_skills.mocap.posture import PostureSettings, analyse
from legged_skills.mocap.quality import Gates, check_clip
from legged_skills.mocap.stretch import RetargetSettings
from legged_skills.robots import rotations
from legged_skills.robots.errors import ClipError, SettingsError
from legged_skills.robots.spec import RobotSpec

WALKS = ("walk00", "walk01", "walk02", "walk03", "walk04", "walk09")


def _one_clip(result: RetargetedFile) -> RobotClip:
    assert len(result.clips) == 1, result.cuts
    return result.clips[0]


def test_a_motion_of_the_robot_comes_back(dog, spec: RobotSpec) -> None:
    result = retarget_motion(dog.motion, spec)
    clip = _one_clip(result)
    assert clip.name == "synthetic_00"
    assert (clip.fps, result.cuts) == (50.0, [])
    assert result.scale == pytest.approx(dog.scale, rel=0.01)
    # 299 steps of 1 / 60 s, times the root of the scale.
    assert clip.duration_s == pytest.approx(299 / 60 * np.sqrt(dog.scale), abs=0.05)
    at = np.array(clip.retarget["source_frame"])
    truth = signals.sample(dog.qpos, at)
    # From the origin; the clip's scale is off by up to 1 %.
    np.testing.assert_allclose(clip.qpos[:, 0], truth[:, 0] - truth[0, 0], atol=0.03)
    np.testing.assert_allclose(clip.qpos[:, 1:3], truth[:, 1:3], atol=0.02)
    # A foot that is 1 cm off, as the offsets may be, turns a knee by 0.04 rad.
    assert np.mean(np.abs(clip.qpos[:, 7:] - truth[:, 7:])) < 0.045
    assert clip.quality["marker_error_m"] < 0.004
    stands = dog.contact[np.round(at).astype(int)]
    assert np.mean(clip.foot_contact == stands) > 0.93


def test_the_source_is_turned_to_face_x(dog, spec: RobotSpec) -> None:
    turn = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    turned = replace(dog.motion, positions_w=dog.motion.positions_w @ turn + np.array([3.0, 4, 0]))
    clip, expected = (_one_clip(retarget_motion(m, spec)) for m in (turned, dog.motion))
    np.testing.assert_allclose(clip.qpos, expected.qpos, atol=2e-3)
    assert clip.retarget["yaw_w"] == pytest.approx(np.pi / 2, abs=0.05)
    # The fitted source, in the clip's own world, is where the robot's feet are.
    feet = fitted_feet(clip, turned, spec)
    np.testing.assert_allclose(feet, fitted_feet(expected, dog.motion, spec), atol=3e-3)


def test_unusable_parts_are_cut_with_a_reason(dog, spec: RobotSpec, tmp_path: Path) -> None:
    positions = dog.motion.positions_w.copy()
    hips = [dog.motion.index("left_hip"), dog.motion.index("right_hip")]
    positions[140:160, hips, 2] -= 0.2
    result = retarget_motion(replace(dog.motion, positions_w=positions), spec)
    assert [clip.name for clip in result.clips] == ["synthetic_00", "synthetic_01"]
    (cut,) = result.cuts
    assert cut.reason == "sitting"
    # Frames 140 to 160 at 60 Hz, and a margin of 0.1 s.
    assert cut.start_s == pytest.approx(140 / 60 - 0.1, abs=0.05)
    assert cut.stop_s == pytest.approx(160 / 60 + 0.1, abs=0.05)
    assert result.kept_share == pytest.approx(1 - cut.duration_s / dog.motion.duration_s)
    paths = write_clips(result, tmp_path / "out")
    assert [path.name for path in paths] == ["synthetic_00.npz", "synthetic_01.npz"]
    for path, clip in zip(paths, result.clips, strict=True):
        loaded = RobotClip.load(path)
        loaded.check_robot(spec)
        np.testing.assert_allclose(loaded.qpos, clip.qpos, atol=1e-5)
    json.dumps(result.to_json(), allow_nan=False)
    # Of an earlier run, of which there were more; of files of other names, of another, and of none.
    out = tmp_path / "out"
    for name in ("synthetic_10", "synthetic_02", "synthetic_00_02", "synthetic_2", "synthetic"):
        shutil.copy(paths[1], out / f"{name}.npz")
    clip = RobotClip.load(paths[1])
    replace(clip, source={**clip.source, "file": "other.txt"}).save(out / "synthetic_03.npz")
    (out / "synthetic_04.npz").touch()
    assert outdated_clips(result, out) == [out / "synthetic_02.npz", out / "synthetic_10.npz"]
    assert outdated_clips(result, tmp_path / "nowhere") == []


def test_clips_of_another_recording_are_not_overwritten(
    dog, spec: RobotSpec, tmp_path: Path
) -> None:
    def of(name: str, digest: str) -> RetargetedFile:
        source = {**dog.motion.source, "file": name, "sha256": digest}
        return retarget_motion(replace(dog.motion, source=source), spec)

    mine = of("dog.txt", "1f")
    paths = write_clips(mine, tmp_path)
    assert strange_clips(mine, tmp_path) == []
    # Another file of that name, and one of another name that gives the same names.
    for result in (of("dog.txt", "2e"), of("dog.bvh", "1f")):
        assert strange_clips(result, tmp_path) == paths
        assert outdated_clips(replace(result, clips=[]), tmp_path) == []
    assert outdated_clips(replace(mine, clips=[]), tmp_path) == paths
    # Clips of before do not say of which of them they are.
    clip = RobotClip.load(paths[0])
    replace(clip, source={k: v for k, v in clip.source.items() if k != "sha256"}).save(paths[0])
    assert strange_clips(of("dog.txt", "2e"), tmp_path) == []
    # What is no clip may be a recording.
    np.savez(paths[0], positions=dog.motion.positions_w, names=dog.motion.marker_names)
    assert strange_clips(mine, tmp_path) == paths
    assert outdated_clips(replace(mine, clips=[]), tmp_path) == []
    paths[0].unlink()
    assert strange_clips(mine, tmp_path) == []


def test_motions_that_are_too_fast_are_slowed_down(dog, spec: RobotSpec) -> None:
    fast = _one_clip(retarget_motion(replace(dog.motion, fps=240.0), spec))
    assert fast.retarget["slowdown_max"] > 1.2
    speeds = np.abs(np.diff(fast.qpos[:, 7:], axis=0)) * fast.fps
    assert np.all(speeds <= spec.velocity_limit)
    slow = _one_clip(retarget_motion(dog.motion, spec))
    assert slow.retarget["slowdown_max"] == pytest.approx(1.0)


def test_how_much_a_clip_is_slowed_down_tells_how_long_it_takes(dog, spec: RobotSpec) -> None:
    # Twice as fast in its second half.
    at = np.r_[:150, 150:299:2]
    hurries = replace(dog.motion, fps=110.0, positions_w=dog.motion.positions_w[at])
    clip = _one_clip(retarget_motion(hurries, spec))
    first, last = clip.retarget["source_frame"][:: len(clip.qpos) - 1]
    taken = clip.retarget["time_scale"] * clip.retarget["slowdown_mean"]
    assert clip.retarget["slowdown_max"] > 2.0
    assert taken == pytest.approx(clip.duration_s / ((last - first) / 110.0), rel=0.002)


def test_speed_is_an_override(dog, spec: RobotSpec) -> None:
    settings = PipelineSettings(retarget=RetargetSettings(speed=0.5))
    clip = _one_clip(retarget_motion(dog.motion, spec, settings))
    assert clip.duration_s == pytest.approx(2 * dog.motion.duration_s, abs=0.05)
    with pytest.raises(SettingsError, match=r"speed is 0, expected 0.1 to 10"):
        RetargetSettings(speed=0.0)


def test_gates_drop_stretches(dog, spec: RobotSpec) -> None:
    settings = PipelineSettings(gates=Gates(marker_error_m=1e-6))
    result = retarget_motion(dog.motion, spec, settings)
    assert result.clips == []
    (cut,) = result.cuts
    assert cut.reason == "far from the source on average"


def test_short_and_foreign_sources(dog, spec: RobotSpec) -> None:
    short = replace(dog.motion, positions_w=dog.motion.positions_w[:20])
    result = retarget_motion(short, spec)
    assert result.clips == [] and result.kept_share == 0.0
    assert [cut.reason for cut in result.cuts] == ["too short"]
    two = retarget_motion(replace(dog.motion, positions_w=dog.motion.positions_w[:2]), spec)
    assert two.clips == [] and two.kept_share == 0.0
    with pytest.raises(ClipError, match="no mapping from 'dog' to 'op3'"):
        retarget_motion(dog.motion, robots.get("op3"))
    names = tuple(f"cat {name}" for name in dog.motion.marker_names)
    with pytest.raises(ClipError, match="of no known skeleton"):
        retarget_motion(replace(dog.motion, skeleton="", marker_names=names), spec)


def test_the_source_is_not_written_to(dog, spec: RobotSpec) -> None:
    positions = dog.motion.positions_w.copy()
    positions.flags.writeable = False
    retarget_motion(replace(dog.motion, positions_w=positions), spec)


@pytest.fixture(scope="session")
def walks(mocap_dir: Path, spec: RobotSpec) -> dict[str, RetargetedFile]:
    """The six walks retargeted."""
    return {
        name: retarget_file(mocap_dir / "dog_keypoints" / f"dog_{name}.txt", spec) for name in WALKS
    }


def _feet_by_mujoco(clip: RobotClip, spec: RobotSpec) -> np.ndarray:
    model = spec.model()
    data = mujoco.MjData(model)
    feet = np.empty((clip.num_frames, 4, 3))
    for t, qpos in enumerate(clip.qpos):
        data.qpos[:] = qpos
        mujoco.mj_kinematics(model, data)
        feet[t] = [data.site(name).xpos for name in spec.foot_sites]
    return feet


@pytest.mark.parametrize("name", WALKS)
def test_bars_on_the_walks(walks, spec: RobotSpec, name: str) -> None:
    result = walks[name]
    assert result.clips
    for clip in result.clips:
        feet = _feet_by_mujoco(clip, spec)
        joints = clip.qpos[:, 7:]
        assert np.all(joints >= spec.joint_lower) and np.all(joints <= spec.joint_upper)
        assert spec.foot_radius_m - feet[..., 2].min() <= 0.01
        speed = np.linalg.norm(np.gradient(feet, axis=0), axis=-1) * clip.fps
        assert np.mean(speed[clip.foot_contact]) <= 0.03
        assert np.percentile(speed[clip.foot_contact], 95) <= 0.06
        # A foot that is said to stand is on the floor.
        assert np.max(feet[clip.foot_contact][:, 2]) <= spec.foot_radius_m + 0.01
        error = np.linalg.norm(feet - fitted_feet(clip, result.motion, spec), axis=-1)
        assert np.mean(error) <= 0.01
        assert np.mean(error) == pytest.approx(clip.quality["marker_error_m"], rel=0.01)
        assert np.all(np.abs(np.diff(joints, axis=0)) * clip.fps <= spec.velocity_limit)


def test_of_the_walks_only_sitting_is_cut(walks) -> None:
    for name, result in walks.items():
        for cut in result.cuts:
            assert cut.reason == "sitting" or cut.duration_s < 0.2, (name, cut)
    kept = sum(r.kept_share * r.motion.num_frames for r in walks.values())
    # About 1,100 of 8,008 frames show the dog sitting.
    assert kept / sum(r.motion.num_frames for r in walks.values()) > 0.84


def test_feet_stand_as_much_as_a_walk_has(walks) -> None:
    # A dog's walk: each foot stands for about 60 % of a stride (here: less, since lift-off and
    # landing do not count as standing), a trot less. The slow clips stand most of the time.
    for name, least in (("walk00", 0.4), ("walk01", 0.4), ("walk03", 0.4), ("walk09", 0.4)):
        clips = walks[name].clips
        contact = np.concatenate([clip.foot_contact for clip in clips])
        assert least < contact.mean() < 0.85
        assert np.all(contact.mean(axis=0) > 0.3)


def test_a_frame_rate_that_no_animal_could_have(dog, spec: RobotSpec) -> None:
    # Ten times too high, the paws of this slow walk would swing at 20 m/s.
    with pytest.raises(ClipError, match=r"the frame rate of 600 frames/s or the unit is wrong"):
        retarget_motion(replace(dog.motion, fps=600.0), spec)


# --- a few files for each robot ---

FILES = {
    "dog_keypoints/dog_walk03.txt": "anymal_c",
    "dog_keypoints/dog_turn00.txt": "anymal_c",
    "deepmimic/humanoid3d_walk.txt": "op3",
    "deepmimic/humanoid3d_long_walk2.txt": "op3",
    "bvh/cmu_12_01_walk.bvh": "op3",
}
SITTING = ("sitting", "lying", "sitting or kneeling")


@pytest.fixture(scope="module", params=FILES)
def from_file(request: pytest.FixtureRequest, mocap_dir: Path) -> RetargetedFile:
    return retarget_file(mocap_dir / request.param, robots.get(FILES[request.param]))


def test_clips_of_files_keep_all_gates(from_file: RetargetedFile, tmp_path: Path) -> None:
    assert from_file.clips
    for clip, path in zip(from_file.clips, write_clips(from_file, tmp_path), strict=True):
        check = check_clip(clip)
        assert check.passed, check.failures
        # Saved and loaded again, and measured anew: the same figures, up to the rounding of a
        # float32, which accelerations multiply by the frame rate squared.
        loaded = RobotClip.load(path)
        again = check_clip(loaded)
        assert again.passed, again.failures
        assert loaded.quality == clip.quality
        np.testing.assert_array_equal(loaded.foot_contact, clip.foot_contact)
        for name, value in clip.quality.items():
            assert getattr(again, name) == pytest.approx(value, rel=1e-3, abs=1e-4), name


def test_of_files_little_but_sitting_is_cut(from_file: RetargetedFile) -> None:
    motion = from_file.motion
    spec = robots.get(from_file.clips[0].robot)
    problems = analyse(motion, mapping_for(motion, spec), PostureSettings()).problems
    sits = np.any([problems[name] for name in SITTING if name in problems], axis=0)
    kept = np.zeros(motion.num_frames, dtype=bool)
    for part in from_file.stretches:
        kept[int(part.source_frame[0]) : int(part.source_frame[-1]) + 1] = True
    assert np.mean(kept[~sits]) >= 0.85
    # What is kept and what is cut is all there is.
    cut = sum(cut.duration_s for cut in from_file.cuts)
    assert from_file.kept_share * motion.duration_s + cut == pytest.approx(motion.duration_s)


def test_clips_of_files_say_where_they_come_from(from_file: RetargetedFile) -> None:
    for clip, part in zip(from_file.clips, from_file.stretches, strict=True):
        assert clip.source["file"] == from_file.motion.source["file"]
        assert clip.retarget["scale"] == from_file.scale
        np.testing.assert_allclose(clip.retarget["source_frame"], part.source_frame, atol=1e-3)
        # They begin over the origin, facing x.
        np.testing.assert_allclose(clip.qpos[0, :2], 0.0, atol=1e-9)
        turn = clip.qpos[0, 3:7]
        facing = rotations.rotate(turn, np.array([1.0, 0.0, 0.0]))
        assert facing[0] > 0.9 and abs(facing[1]) < 0.2


def test_people_walk_ahead_on_both_feet(mocap_dir: Path) -> None:
    spec = robots.get("op3")
    for name in ("deepmimic/humanoid3d_walk.txt", "bvh/cmu_12_01_walk.bvh"):
        (clip,) = retarget_file(mocap_dir / name, spec).clips
        ahead = rotations.rotate_inverse(clip.qpos[:, 3:7], clip.qvel[:, :3])[:, 0]
        assert np.mean(ahead) > 0.1 and np.mean(ahead > 0) > 0.95
        # Each foot stands for about 60 % of the time, as people's do, and never none of them
        # for long.
        share = clip.foot_contact.mean(axis=0)
        assert np.all(share > 0.4) and np.all(share < 0.8)
        flights = [b - a for a, b in signals.runs(~np.any(clip.foot_contact, axis=1))]
        assert max(flights, default=0) < 0.2 * clip.fps
        # A step at a time: while one foot is in the air the other one stands.
        steps = [len(signals.runs(~column)) for column in clip.foot_contact.T]
        assert min(steps) >= 3 and abs(steps[0] - steps[1]) <= 1
