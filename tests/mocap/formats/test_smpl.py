"""SMPL motions: an independent evaluation with matrices, the rest pose, and what can be wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from legged_skills.mocap.formats import read_motion, smpl
from legged_skills.mocap.source import ReadOptions, SourceMotion
from legged_skills.robots import rotations
from legged_skills.robots.errors import ClipError, FileFormatError

# The tree of the body model's paper (Loper et al. 2015), by index.
TREE = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)


def _save(path: Path, **fields: Any) -> Path:
    """An AMASS file of 5 frames, upright at rest at 30 frames/s but for the fields given."""
    poses = np.zeros((5, 156))
    poses[:, 0] = np.pi / 2  # a quarter turn about x: from y up to z up
    arrays = {
        "poses": poses,
        "trans": np.zeros((5, 3)),
        "mocap_framerate": np.array(30.0),
        "betas": np.ones(16),
        "gender": np.array("female"),
        **fields,
    }
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def _at(motion: SourceMotion, name: str, frame: int = 0) -> np.ndarray:
    return motion.positions_w[frame, motion.index(name)]


def test_upright_at_rest(tmp_path: Path) -> None:
    motion = read_motion(_save(tmp_path / "a.npz"))
    assert motion.fps == 30.0
    assert motion.parents == TREE
    assert motion.source["format"] == "SMPL"
    assert (motion.source["unit"], motion.source["up_axis"]) == ("m", "z")
    assert motion.source["note"] == "bones of an average adult (betas ignored), hands left out"
    # The quarter turn takes the body's y (up) to z and its z (forward) to -y; x stays to the left.
    pelvis = _at(motion, "pelvis")
    np.testing.assert_allclose(pelvis, [0, -0.225, 0.03])  # not turned with the body
    np.testing.assert_allclose(_at(motion, "left_hip") - pelvis, [0.07, 0.005, -0.09], atol=1e-12)
    # Sums of the table along the leg and the arm: x 0.115, y -0.92, z 0.065; x 0.68, y 0.46.
    foot = _at(motion, "left_foot") - pelvis
    np.testing.assert_allclose(foot, [0.115, -0.065, -0.92], atol=1e-12)
    right = _at(motion, "right_wrist") - pelvis
    np.testing.assert_allclose(right, [-0.68, 0.075, 0.445], atol=1e-12)
    # About 1.65 m from toes to crown: the head's joint is 0.2 m under the crown.
    assert np.ptp(motion.positions_w[0, :, 2]) == pytest.approx(1.5, abs=0.1)


@pytest.mark.parametrize("columns", [66, 72, 156, 165])
def test_random_poses_evaluated_with_matrices(tmp_path: Path, columns: int) -> None:
    rng = np.random.default_rng(columns)
    poses = rng.normal(size=(6, columns))
    trans = rng.normal(size=(6, 3))
    motion = read_motion(_save(tmp_path / "a.npz", poses=poses, trans=trans))
    assert motion.rotations_wxyz is not None
    local = Rotation.from_rotvec(poses[:, :66].reshape(-1, 3)).as_matrix().reshape(6, 22, 3, 3)
    for frame in range(6):
        turns: list[np.ndarray] = []
        places: list[np.ndarray] = []
        for joint, parent in enumerate(TREE):
            offset = np.array(smpl.OFFSETS_M[joint])
            if parent < 0:
                turns.append(local[frame, joint])
                places.append(offset + trans[frame])
            else:
                turns.append(turns[parent] @ local[frame, joint])
                places.append(places[parent] + turns[parent] @ offset)
        np.testing.assert_allclose(motion.positions_w[frame], places, atol=1e-9)
        matrices = rotations.to_matrix(motion.rotations_wxyz[frame])
        np.testing.assert_allclose(matrices, turns, atol=1e-9)


def test_table_is_symmetric_and_of_a_person() -> None:
    offsets = dict(zip(smpl.MARKER_NAMES, np.array(smpl.OFFSETS_M), strict=True))
    for name, offset in offsets.items():
        if name.startswith("left"):
            mirrored = offsets[name.replace("left", "right")]
            np.testing.assert_array_equal(mirrored, offset * [-1, 1, 1])
    # Thigh and shank of an adult, and span of the arms between the wrists.
    assert np.linalg.norm(offsets["left_knee"]) == pytest.approx(0.38, abs=0.01)
    assert np.linalg.norm(offsets["left_ankle"]) == pytest.approx(0.40, abs=0.01)


def test_other_rates_and_options(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.npz", mocap_framerate=None, mocap_frame_rate=np.array([120]))
    assert read_motion(path).fps == 120.0
    assert read_motion(path, ReadOptions(fps=60)).fps == 60.0
    path = _save(path, poses=np.zeros((5, 72)), mocap_framerate=None)
    with pytest.raises(ClipError, match="does not say its frame rate"):
        read_motion(path)
    # Upright without the quarter turn: a file with y up.
    motion = read_motion(path, ReadOptions(fps=60, up_axis="y"))
    leg = _at(motion, "left_ankle") - _at(motion, "left_hip")
    np.testing.assert_allclose(leg, [-0.05, 0.02, -0.78], atol=1e-12)


def test_objects_that_files_of_smpl_x_have_are_left_out(tmp_path: Path) -> None:
    vids = np.array({"LANK": 5}, dtype=object)
    motion = read_motion(_save(tmp_path / "a_stageii.npz", markers_latent_vids=vids))
    assert (motion.source["format"], motion.num_frames) == ("SMPL", 5)
    with pytest.raises(FileFormatError, match="field poses holds pickled objects"):
        read_motion(_save(tmp_path / "a.npz", poses=vids))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"poses": np.zeros((5, 63))}, r"field poses has type float64 and shape \(5, 63\)"),
        ({"poses": np.zeros((5, 52, 3))}, "field poses has type float64 and shape"),
        ({"poses": np.full((5, 156), "x")}, "field poses has type <U1"),
        ({"poses": np.full((5, 156), np.nan)}, "field poses: frame 0, column 0 is nan, expected"),
        ({"trans": np.full((5, 3), 1e300)}, r"field trans: frame 0, column 0 is 1e\+300, expected"),
        ({"trans": np.zeros((4, 3))}, "has 5 frames of poses, but 4 of trans"),
        ({"poses": np.zeros((1, 66)), "trans": np.zeros((1, 3))}, "has 1 frame"),
        ({"mocap_framerate": np.array(3.0)}, "a frame rate of 3 frames/s is not plausible"),
        ({"mocap_framerate": np.zeros(2)}, r"field mocap_framerate has .* shape \(2,\)"),
    ],
)
def test_bad_files(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    path = _save(tmp_path / "bad.npz", **fields)
    with pytest.raises(ClipError, match=message) as error:
        read_motion(path)
    assert str(error.value).startswith(str(path))
