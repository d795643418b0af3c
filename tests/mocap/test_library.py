"""Finding and loading clips."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from legged_skills.mocap.clip import RobotClip, finite_difference_qvel
from legged_skills.mocap.library import (
    HELD_OUT,
    clip_paths,
    find_clip,
    held_out,
    load_clips,
    recording,
    shipped_clips,
    split_clips,
    summary,
)
from legged_skills.mocap.quality import check_clip
from legged_skills.robots.errors import ClipError, FileFormatError
from legged_skills.robots.spec import RobotSpec


@pytest.fixture
def folder(spec: RobotSpec, tmp_path: Path) -> Path:
    """Three clips, b, a and c, in one folder."""
    qpos = np.tile(spec.home_qpos, (10, 1))
    qpos[:, 0] = 0.01 * np.arange(10)
    for name in "bac":
        RobotClip(
            robot=spec.name,
            fps=50.0,
            joint_names=spec.joint_names,
            qpos=qpos,
            qvel=finite_difference_qvel(qpos, 50.0),
            foot_contact=np.ones((10, 4), dtype=bool),
            source={"file": f"{name}.txt", "licence": "free"},
        ).save(tmp_path / "clips" / f"{name}.npz")
    return tmp_path / "clips"


def test_folders_and_files(folder: Path, spec: RobotSpec) -> None:
    (folder / "notes.txt").write_text("not a clip")
    assert [clip.name for clip in load_clips(folder)] == ["a", "b", "c"]
    chosen = [folder / "c.npz", str(folder / "a.npz")]
    assert [clip.name for clip in load_clips(chosen, spec)] == ["c", "a"]
    assert clip_paths(str(folder / "b.npz")) == [folder / "b.npz"]
    row = summary(load_clips(folder / "a.npz")[0])
    assert (row["name"], row["frames"], row["licence"]) == ("a", 10, "free")
    assert row["speed_mps"] is None


def test_nothing_to_load(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match=r"the folder has no clips \(\*.npz\)"):
        load_clips(tmp_path)
    with pytest.raises(FileFormatError, match="there is no such file or folder"):
        load_clips(tmp_path / "absent")
    with pytest.raises(ClipError, match="no clip is given"):
        load_clips([])


def test_clips_of_several_robots_are_not_mixed(folder: Path, spec: RobotSpec) -> None:
    other = replace(load_clips(folder / "a.npz")[0], robot="op3")
    other.save(folder / "d.npz")
    with pytest.raises(ClipError, match=r"d.npz: is a clip of 'op3', but .*a.npz is one of"):
        load_clips(folder)
    with pytest.raises(ClipError, match=r"d.npz: is a clip of 'op3', expected 'anymal_c'"):
        load_clips(folder, spec)


def test_whole_recordings_are_held_out() -> None:
    names = ["dog_walk02_01", "dog_walk02", "dog_walk0", "walk", "a_b_", "_12"]
    found = ["dog_walk02", "dog_walk02", "dog_walk0", "walk", "a_b_", "_12"]
    assert [recording(name) for name in names] == found
    assert held_out("anymal_c", "dog_walk02_07")
    assert not held_out("anymal_c", "dog_walk03_00") and not held_out("op3", "dog_walk02_07")
    for robot, recordings in HELD_OUT.items():
        clips = load_clips(shipped_clips(robot))
        train, test = split_clips(clips)
        assert {recording(clip.name) for clip in test} == set(recordings)
        assert not {recording(clip.name) for clip in train} & set(recordings)
        assert len(train) + len(test) == len(clips) and len(train) > len(test)


def test_shipped_clips_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = shipped_clips("op3")[0]
    assert find_clip(Path(first.stem), "op3") == find_clip(Path(first.name), "op3") == first
    for other in (Path(first.stem[:-1]), Path("clips") / first.name, Path("/nowhere.npz")):
        assert find_clip(other, "op3") == other
    assert find_clip(Path(first.stem), "anymal_c") == Path(first.stem)
    # A file of one's own goes before.
    monkeypatch.chdir(tmp_path)
    Path(first.name).touch()
    assert find_clip(Path(first.name), "op3") == Path(first.name)


def test_shipped_clips_are_good(spec: RobotSpec) -> None:
    assert shipped_clips("no such robot") == []
    paths = shipped_clips(spec.name)
    assert len(paths) >= 6
    assert sum(path.stat().st_size for path in paths) < 5e6
    for clip in load_clips(paths, spec):
        check = check_clip(clip, spec)
        assert check.passed, (clip.name, check.failures)
        assert clip.fps == pytest.approx(1 / spec.control_period_s)
        assert "CC BY-NC 4.0" in clip.source["licence"]
        # Knees bend as in the default pose: those of the fore legs back, of the hind legs ahead.
        knees = clip.qpos[:, 7:][:, [2, 5, 8, 11]]
        assert np.all(np.sign(knees) == np.sign(spec.default_joint_pos[[2, 5, 8, 11]]))
        # Neither crouched nor floating, and from the origin towards +x.
        assert 0.42 < clip.qpos[:, 2].mean() < 0.58
        np.testing.assert_allclose(clip.qpos[0, :2], 0, atol=1e-6)
