"""Robot clips as sources: the kinematics of MuJoCo, and what a clip says about its origin."""

from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.mocap.clip import RobotClip
from legged_skills.mocap.formats import read_motion
from legged_skills.mocap.source import ReadOptions
from legged_skills.robots import rotations
from legged_skills.robots.errors import ClipError


def test_bodies_and_sites_are_those_of_mujoco(tmp_path: Path, wiggling_clip: RobotClip) -> None:
    path = tmp_path / "wiggle.npz"
    wiggling_clip.save(path)
    motion = read_motion(path)
    spec = robots.get("anymal_c")
    model = spec.model()
    data = mujoco.MjData(model)
    bodies = [model.body(i).name for i in range(1, model.nbody)]
    assert motion.marker_names == (*bodies, "imu", *spec.foot_sites)
    assert motion.rotations_wxyz is not None
    # What the file has, which is of single precision.
    qpos = RobotClip.load(path).qpos
    for frame in (0, 17, 99):
        data.qpos[:] = qpos[frame]
        mujoco.mj_kinematics(model, data)
        expected = np.concatenate([data.xpos[1:], data.site_xpos])
        np.testing.assert_allclose(motion.positions_w[frame], expected, atol=1e-12)
        turns = rotations.to_matrix(motion.rotations_wxyz[frame, : len(bodies)])
        np.testing.assert_allclose(turns, data.xmat[1:].reshape(-1, 3, 3), atol=1e-12)
    # The base comes back as it was, and so do the frame rate and the number of frames.
    base = motion.index("base")
    np.testing.assert_array_equal(motion.positions_w[:, base], qpos[:, :3])
    assert (motion.fps, motion.num_frames) == (50.0, 100)


def test_hierarchy(tmp_path: Path, wiggling_clip: RobotClip) -> None:
    wiggling_clip.save(tmp_path / "wiggle.npz")
    motion = read_motion(tmp_path / "wiggle.npz")
    assert motion.parents is not None
    parent_of = {
        name: motion.marker_names[parent] if parent >= 0 else ""
        for name, parent in zip(motion.marker_names, motion.parents, strict=True)
    }
    assert parent_of["base"] == ""
    assert parent_of["LF_THIGH"] == "LF_HIP"
    assert parent_of["LF_FOOT"] == "LF_SHANK"


def test_origin_and_licence_come_along(tmp_path: Path, wiggling_clip: RobotClip) -> None:
    source = {"file": "dog.txt", "licence": "CC0", "frames": [0.0, 9.5]}
    path = tmp_path / "wiggle.npz"
    replace(wiggling_clip, source=source).save(path)
    (tmp_path / "LICENSE.txt").write_text("of something else")
    motion = read_motion(path)
    assert motion.source == {
        **{"file": "wiggle.npz", "format": "robot clip", "unit": "m", "up_axis": "z"},
        **{"robot": "anymal_c", "licence": "CC0"},
        **{"original_file": "dog.txt", "original_frames": "[0.0, 9.5]"},
        "sha256": motion.source["sha256"],
    }
    assert read_motion(path, licence="mine").source["licence"] == "mine"
    assert read_motion(path, ReadOptions(fps=25)).fps == 25.0


def test_shipped_clips_are_sources(repo_root: Path) -> None:
    path = sorted((repo_root / "mocap" / "clips").rglob("*.npz"))[0]
    motion = read_motion(path)
    feet = motion.positions_w[:, [motion.index(name) for name in robots.get("anymal_c").foot_sites]]
    assert motion.source["original_file"].startswith("dog_")
    # Feet do not go through the floor.
    radius = robots.get("anymal_c").foot_radius_m
    assert feet[..., 2].min() > radius - 0.02


def test_other_robots_and_damage(tmp_path: Path, wiggling_clip: RobotClip) -> None:
    path = tmp_path / "clip.npz"
    replace(wiggling_clip, robot="spot").save(path)
    with pytest.raises(ClipError, match="is a clip of an unknown robot 'spot'; known robots: any"):
        read_motion(path)
    names = ("x", *wiggling_clip.joint_names[1:])
    replace(wiggling_clip, joint_names=names).save(path)
    with pytest.raises(ClipError, match="field joint_names is x, "):
        read_motion(path)
    wiggling_clip.save(path)
    arrays = dict(np.load(path))
    arrays["qpos"] = arrays["qpos"].astype(np.float64)
    arrays["qpos"][3, 9] = 1e300
    np.savez(path, **arrays)
    with pytest.raises(ClipError, match="field qpos has a number that is not within ±1000"):
        read_motion(path)
