"""dm_control's collections: choosing a clip, bodies and frames, and damage."""

import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from legged_skills.mocap.formats import dm_control_cmu, read_motion
from legged_skills.mocap.source import ReadOptions
from legged_skills.robots import rotations
from legged_skills.robots.errors import ClipError, FileFormatError

h5py = pytest.importorskip("h5py")

# The bodies of dm_control's CMU humanoid in the order of its file.
BODIES = (
    *("lhipjoint", "lfemur", "ltibia", "lfoot", "ltoes"),
    *("rhipjoint", "rfemur", "rtibia", "rfoot", "rtoes"),
    *("lowerback", "upperback", "thorax", "lowerneck", "upperneck", "head"),
    *("lclavicle", "lhumerus", "lradius", "lwrist", "lhand", "lfingers", "lthumb"),
    *("rclavicle", "rhumerus", "rradius", "rwrist", "rhand", "rfingers", "rthumb"),
)
SIZES = {
    **{"position": 3, "quaternion": 4, "joints": 56, "center_of_mass": 3, "end_effectors": 12},
    **{"velocity": 3, "angular_velocity": 3, "joints_velocity": 56, "appendages": 15},
    **{"body_positions": 90, "body_quaternions": 120},
}


def _fields(frames: int = 7, seed: int = 0) -> dict[str, np.ndarray]:
    """What a walker's group holds, one column a frame."""
    rng = np.random.default_rng(seed)
    fields: dict[str, np.ndarray] = {
        name: rng.uniform(-1, 1, size=(size, frames)) for name, size in SIZES.items()
    }
    for name in ("quaternion", "body_quaternions"):
        quats = rotations.normalize(fields[name].T.reshape(frames, -1, 4))
        fields[name] = quats.reshape(frames, -1).T
    return fields


def _write(path: Path, clips: dict[str, dict[str, np.ndarray]], dt: Any = 0.03) -> Path:
    """A collection in the layout of ``dm_control.locomotion.mocap``."""
    with h5py.File(path, "w") as file:
        for name, fields in clips.items():
            clip = file.create_group(name)
            clip.attrs.update({"num_steps": 7, "year": 2020, "month": 7, "day": 7})
            if dt is not None:
                clip.attrs["dt"] = dt
            clip.create_group("props")
            walker = clip.create_group("walkers/walker_0")
            walker.attrs.update({"model": 4, "name": b"walker", "mass": 0.0})
            walker.create_group("scaling")
            walker.create_group("markers")
            for field, values in fields.items():
                walker.create_dataset(field, data=values, compression="gzip")
    return path


def test_bodies_of_a_single_clip(tmp_path: Path) -> None:
    fields = _fields()
    motion = read_motion(_write(tmp_path / "cmu.h5", {"CMU_001_01": fields}))
    assert (motion.num_frames, motion.fps) == (7, pytest.approx(100 / 3))
    assert set(motion.marker_names) == {"root", *BODIES} - {"lhipjoint", "rhipjoint"}
    assert motion.rotations_wxyz is not None
    for i, name in enumerate(BODIES):
        if name in ("lhipjoint", "rhipjoint"):
            continue
        marker = motion.index(name)
        positions = fields["body_positions"][3 * i : 3 * i + 3].T
        np.testing.assert_array_equal(motion.positions_w[:, marker], positions)
        quats = fields["body_quaternions"][4 * i : 4 * i + 4].T
        np.testing.assert_allclose(motion.rotations_wxyz[:, marker], quats, atol=1e-12)
    np.testing.assert_array_equal(motion.positions_w[:, 0], fields["position"].T)
    np.testing.assert_allclose(motion.rotations_wxyz[:, 0], fields["quaternion"].T, atol=1e-12)
    assert motion.source == {
        **{"file": "cmu.h5#CMU_001_01", "clip": "CMU_001_01", "format": "dm_control CMU"},
        **{"unit": "m", "up_axis": "z", "licence": "not stated"},
    }
    assert read_motion(tmp_path / "cmu.h5", ReadOptions(fps=25)).fps == 25.0


def test_quaternions_are_of_length_one(tmp_path: Path) -> None:
    fields = _fields()
    longer = {**fields, "body_quaternions": 1.009 * fields["body_quaternions"]}
    motion = read_motion(_write(tmp_path / "a.h5", {"CMU_001_01": longer}))
    assert motion.rotations_wxyz is not None
    femur = motion.rotations_wxyz[:, motion.index("lfemur")]
    np.testing.assert_allclose(femur, fields["body_quaternions"][4:8].T, atol=1e-12)


def test_collections_may_be_larger_than_other_files(tmp_path: Path) -> None:
    fields = _fields()
    path = _write(tmp_path / "cmu.h5", {"CMU_001_01": fields})
    with path.open("ab") as file:
        file.truncate(300_000_000)  # sparse: takes no room on the disk
    motion = read_motion(path)
    np.testing.assert_array_equal(motion.positions_w[:, 0], fields["position"].T)


def test_hierarchy() -> None:
    parent_of = {
        name: dm_control_cmu.MARKER_NAMES[parent] if parent >= 0 else ""
        for name, parent in zip(dm_control_cmu.MARKER_NAMES, dm_control_cmu.PARENTS, strict=True)
    }
    assert (parent_of["root"], parent_of["lfemur"], parent_of["rfemur"]) == ("", "root", "root")
    assert (parent_of["lthumb"], parent_of["rfingers"]) == ("lhand", "rhand")
    assert (parent_of["lclavicle"], parent_of["lowerneck"]) == ("thorax", "thorax")


def test_one_of_many_clips(tmp_path: Path) -> None:
    clips = {f"CMU_{i:03d}_01": _fields(seed=i) for i in range(8)}
    path = _write(tmp_path / "cmu.h5", clips)
    motion = read_motion(f"{path}#CMU_005_01")
    np.testing.assert_array_equal(motion.positions_w[:, 0], clips["CMU_005_01"]["position"].T)
    with pytest.raises(
        FileFormatError,
        match=r"cmu.h5: holds 8 clips \(CMU_000_01, CMU_001_01, CMU_002_01, CMU_003_01, "
        r"CMU_004_01, and 3 more\); append '#' and the name of one, e.g. cmu.h5#CMU_000_01",
    ):
        read_motion(path)
    with pytest.raises(FileFormatError, match="has no clip 'CMU_009_01' among its 8"):
        read_motion(f"{path}#CMU_009_01")
    with pytest.raises(FileFormatError, match="has no clip 'CMU_001_01/walkers' among its 8"):
        read_motion(f"{path}#CMU_001_01/walkers")
    with pytest.raises(FileFormatError, match="holds no clips"):
        read_motion(_write(path, {}))


def _changed(**changes: Any) -> dict[str, np.ndarray]:
    fields = {**_fields(), **changes}
    return {name: values for name, values in fields.items() if values is not None}


@pytest.mark.parametrize(
    ("fields", "dt", "message"),
    [
        (_changed(body_positions=None), 0.03, "has no field 'body_positions', as dm_control CMU"),
        (_changed(body_positions=np.zeros((60, 7))), 0.03, r"shape \(60, 7\), expected numbers of"),
        (_changed(position=np.zeros((3, 6))), 0.03, "its fields differ in their number of frames"),
        (_changed(position=np.full((3, 7), np.nan)), 0.03, "field position: frame 0, row 0 is nan"),
        (_changed(position=np.full((3, 7), 1e9)), 0.03, r"row 0 is 1e\+09, expected a number with"),
        (_changed(quaternion=np.zeros((4, 7))), 0.03, "frame 0: the quaternion of root is not of"),
        (_changed(quaternion=np.zeros((4, 7), "S1")), 0.03, r"field quaternion has type \|S1"),
        (_fields(frames=1), 0.03, "has 1 frame"),
        (_fields(), None, "does not say its frame rate"),
        (_fields(), 0.0, "attribute dt is no time step in seconds"),
        (_fields(), "soon", "attribute dt is no time step in seconds"),
        (_fields(), 1.0, "a frame rate of 1 frames/s is not plausible"),
    ],
)
def test_bad_clips(tmp_path: Path, fields: dict[str, np.ndarray], dt: Any, message: str) -> None:
    path = _write(tmp_path / "bad.h5", {"CMU_001_01": fields}, dt)
    with pytest.raises((ClipError, FileFormatError), match=message) as error:
        read_motion(path)
    assert str(error.value).startswith(f"{path}#CMU_001_01")


def test_nothing_outside_of_the_file_is_read(tmp_path: Path) -> None:
    _write(tmp_path / "other.h5", {"CMU_001_01": _fields()})
    path = _write(tmp_path / "links.h5", {"CMU_001_01": _fields()})
    with h5py.File(path, "a") as file:
        file["CMU_002_01"] = h5py.ExternalLink("other.h5", "/CMU_001_01")
        del file["CMU_001_01/walkers/walker_0/position"]
        file["CMU_001_01/walkers/walker_0/position"] = h5py.SoftLink("/CMU_002_01")
    with pytest.raises(FileFormatError, match="has no group 'CMU_002_01'"):
        read_motion(f"{path}#CMU_002_01")
    with pytest.raises(FileFormatError, match="has no field 'position'"):
        read_motion(f"{path}#CMU_001_01")
    with h5py.File(path, "a") as file:
        walker = file["CMU_001_01/walkers/walker_0"]
        del walker["position"]
        raw = [(str(tmp_path / "other.h5"), 0, 168)]
        walker.create_dataset("position", (3, 7), np.float64, external=raw)
    with pytest.raises(FileFormatError, match="field position lies in another file"):
        read_motion(f"{path}#CMU_001_01")


def test_declared_sizes_are_not_believed(tmp_path: Path) -> None:
    path = _write(tmp_path / "large.h5", {"CMU_001_01": _changed(body_positions=None)})
    with h5py.File(path, "a") as file:
        walker = file["CMU_001_01/walkers/walker_0"]
        walker.create_dataset("body_positions", (90, 10**9), np.float64, chunks=(90, 100))
    with pytest.raises(ClipError, match="has 1000000000 frames of 90 points, expected at most"):
        read_motion(path)


def test_damaged_and_foreign_files(tmp_path: Path) -> None:
    data = _write(tmp_path / "a.h5", {"CMU_001_01": _fields()}).read_bytes()
    path = tmp_path / "cut.h5"
    path.write_bytes(data[:2000])
    with pytest.raises(FileFormatError, match=r"not a readable HDF5 file .*truncated"):
        read_motion(path)
    with h5py.File(path, "w") as file:
        file["weights"] = np.zeros(3)
    with pytest.raises(FileFormatError, match="has no group 'weights', as dm_control CMU clips"):
        read_motion(path)


def test_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write(tmp_path / "a.h5", {"CMU_001_01": _fields()})
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(
        FileFormatError, match=r"reading HDF5 needs h5py; install legged_skills\[formats\]"
    ):
        read_motion(path)


def test_the_loader_of_dm_control_reads_the_same(tmp_path: Path) -> None:
    loader = pytest.importorskip("dm_control.locomotion.mocap.loader")
    path = _write(tmp_path / "a.h5", {"CMU_001_01": _fields(), "CMU_002_01": _fields(seed=1)})
    own = Path(loader.__file__).with_name("test_trajectories.h5")
    for file, name in ((path, "CMU_002_01"), (own, "cmuv2019_001")):
        try:
            trajectory = loader.HDF5TrajectoryLoader(str(file)).get_trajectory(name)
        except AttributeError as error:
            pytest.skip(f"dm_control does not work with this protobuf ({error})")
        expected = trajectory.as_dict()
        motion = read_motion(f"{file}#{name}")
        assert 1 / motion.fps == pytest.approx(trajectory.dt)
        kept = [i for i, body in enumerate(BODIES) if not body.endswith("hipjoint")]
        assert motion.rotations_wxyz is not None
        np.testing.assert_allclose(
            motion.positions_w[:, 1:], expected["walker/body_positions"][:, kept]
        )
        np.testing.assert_allclose(
            motion.rotations_wxyz[:, 1:], expected["walker/body_quaternions"][:, kept], atol=1e-9
        )
        np.testing.assert_allclose(motion.positions_w[:, 0], expected["walker/position"])


def test_names_are_those_of_the_humanoid_of_dm_control() -> None:
    package = pytest.importorskip("dm_control.locomotion.walkers")
    assets = Path(package.__file__).with_name("assets")
    for version in ("2019", "2020"):
        root = ElementTree.parse(assets / f"humanoid_CMU_V{version}.xml").getroot()
        bodies = {
            child.get("name"): body.get("name")
            for body in root.iter("body")
            for child in body.findall("body")
        }
        in_order = [body.get("name") for body in root.iter("body")]
        assert in_order == ["root", *BODIES]
        parents = {
            name: "root" if parent in ("lhipjoint", "rhipjoint") else parent
            for name, parent in bodies.items()
        }
        assert parents == dm_control_cmu._BODIES
