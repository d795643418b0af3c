import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import mujoco
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.errors import DownloadError, FileFormatError, SettingsError
from legged_skills.robots.simulation import BatchSim
from legged_skills.sim2real.public_model import describe, load_public, menagerie

SPEC = robots.get("anymal_c")
TEXT = SPEC.mjcf()
"""Our own model stands in for a public one: a file that names the same joints."""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes the model with replacements, each of which must change something."""

    def _write(*changes: tuple[str, str], text: str = TEXT) -> Path:
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "public.xml"
        path.write_text(text)
        return path

    return _write


OTHER_PHYSICS = (
    ('timestep="0.0025" integrator="implicitfast" cone="pyramidal" impratio="10"',
     'timestep="0.002" integrator="Euler" cone="elliptic" impratio="100"'),
    ('armature="0.06" frictionloss="0.1"', 'armature="0.01" damping="1" frictionloss="0.2"'),
    ('kp="80" kv="2" forcerange="-80 80"', 'kp="5" ctrlrange="-1 1" forcerange="-3 3"'),
    ('mass="19.2035"', 'mass="21"'),
)  # fmt: skip


@pytest.mark.parametrize("name", ["anymal_c", "op3"])
def test_a_models_physics_is_kept_and_its_drives_are_ours(name: str, write: Callable[..., Path]):
    spec = robots.get(name)
    own = spec.model()
    model = load_public(write(text=spec.mjcf()), spec)
    assert model.nu == spec.num_joints
    assert [model.actuator(i).name for i in range(model.nu)] == list(spec.joint_names)
    np.testing.assert_array_equal(model.actuator_gainprm[:, 0], spec.kp)
    np.testing.assert_array_equal(model.actuator_biasprm[:, 1], -spec.kp)
    np.testing.assert_array_equal(model.actuator_biasprm[:, 2], -spec.kd)
    np.testing.assert_array_equal(model.actuator_forcerange[:, 1], spec.torque_limit)
    np.testing.assert_array_equal(model.key_qpos[0], spec.home_qpos)
    assert [model.sensor(i).name for i in range(model.nsensor)] == [
        own.sensor(i).name for i in range(own.nsensor)
    ]
    # Our own model, so with our floor it moves as it always does.
    sims = [BatchSim(spec, 1, 1), BatchSim(spec, 1, 1, models=model)]
    targets = spec.default_joint_pos[None] + 0.05
    for _ in range(5):
        for sim in sims:
            sim.step(targets)
    np.testing.assert_allclose(sims[1].qpos, sims[0].qpos, atol=1e-9)
    feet = [sim.sensor(*spec.foot_sites) for sim in sims]
    np.testing.assert_allclose(feet[1], feet[0], atol=1e-9)


def test_other_physics_is_kept_and_told(write: Callable[..., Path]):
    model = load_public(write(*OTHER_PHYSICS), SPEC)
    assert describe(model, SPEC) == {
        "physics step": "0.002 s",
        "integrator": "euler",
        "friction cone": "elliptic",
        "impratio": "100",
        "mass": "46.76 kg",
        "geoms that touch": "2 capsule, 8 sphere",
        "joint damping": "1 Nm s/rad",
        "joint friction": "0.2 Nm",
        "armature": "0.01 kg m^2",
    }
    np.testing.assert_array_equal(model.actuator_forcerange, np.tile([-80.0, 80.0], (12, 1)))
    assert not model.actuator_ctrllimited.any()
    np.testing.assert_array_equal(model.actuator_gainprm[:, 0], 80.0)
    sim = BatchSim(SPEC, 1, 1, models=model)
    assert sim.step_s == 0.002


def test_joints_with_different_values_are_told_as_a_range(write: Callable[..., Path]):
    path = write(('<joint name="LF_KFE" class="KFE"/>', '<joint name="LF_KFE" damping="0.5"/>'))
    assert describe(load_public(path, SPEC), SPEC)["joint damping"] == "0 to 0.5 Nm s/rad"


def test_a_step_that_does_not_divide_the_control_period_becomes_the_nearest_that_does(
    write: Callable[..., Path],
):
    # 0.02 / 0.003 is 6.67: seven steps.
    model = load_public(write(('timestep="0.0025"', 'timestep="0.003"')), SPEC)
    assert model.opt.timestep == pytest.approx(0.02 / 7, rel=1e-12)


def test_a_scene_keeps_its_floor(write: Callable[..., Path], tmp_path: Path):
    (tmp_path / "robot.xml").write_text(TEXT)
    scene = '<mujoco><include file="robot.xml"/><worldbody><geom name="ground" type="plane" '
    scene += 'size="0 0 1" friction="0.35"/></worldbody></mujoco>'
    model = load_public(write(text=scene), SPEC)
    planes = np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE)
    assert [model.geom(i).name for i in planes] == ["ground"]
    assert model.geom_friction[planes[0], 0] == 0.35


def test_a_file_without_sites_and_sensors_gets_ours(write: Callable[..., Path]):
    path = write(
        ('<site name="LF_FOOT" class="foot" pos="0.01305 -0.08795 -0.31547"/>', ""),
        (TEXT[TEXT.index("  <sensor>") : TEXT.index("</sensor>") + 9], ""),
    )
    sim = BatchSim(SPEC, 1, models=load_public(path, SPEC))
    np.testing.assert_allclose(
        sim.sensor(*SPEC.foot_sites), BatchSim(SPEC, 1).sensor(*SPEC.foot_sites), atol=1e-6
    )


FREE = '<freejoint name="root"/>'
KNEE = '<joint name="LF_KFE" class="KFE"/>'
_TWO = "{}<body name='ball'><freejoint/><geom size='1'/></body></worldbody>"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([("LF_KFE", "LF_KNEE_JOINT")], "no joint LF_KFE, which anymal_c has"),
        ([('"RF_', '"XX_')], "no joint RF_HAA"),
        ([("LF_HAA", "swap"), ("RF_HAA", "LF_HAA"), ("swap", "RF_HAA")],
         "joint RF_HAA comes where anymal_c has LF_HAA; the joints must come in the same order"),
        ([('<site name="imu" class="imu"/>',
           '<site name="imu"/><body><geom size="0.1" mass="1"/><joint name="tail"/></body>')],
         "joint 'tail' is none of anymal_c's"),
        ([(FREE, "")], "free joint on no body, expected one, on base"),
        ([("</worldbody>", _TWO.format(""))], "free joint on base and ball, expected one, on base"),
        ([('name="base"', 'name="trunk"')],
         "free joint on trunk, expected one, on base"),
        ([(KNEE, '<joint name="LF_KFE" type="slide"/>')], "joint LF_KFE is not a hinge"),
        ([(KNEE, '<joint name="LF_KFE" axis="-1 0 0"/>')],
         "joint LF_KFE turns about another axis than anymal_c's, 180 degrees off"),
        ([(KNEE, '<joint name="LF_KFE" pos="0 0.1 0"/>')],
         r"the axis of joint LF_KFE is 0\.100 m from where anymal_c has it"),
        ([('<site name="LF_FOOT" class="foot" pos="0.01305 -0.08795 -0.31547"/>',
           '<site name="LF_FOOT"/>')], r"its site LF_FOOT is 0\.328 m from where anymal_c's foot"),
        ([('timestep="0.0025"', 'timestep="0"')], "time step is 0 s, expected 1e-05 s or more"),
        ([("<asset>", '<asset><mesh name="m" file="gone.stl"/>')], "gone.stl"),
        ([('<body name="LF_HIP"', '<bodie name="LF_HIP"')], "not an MJCF file: mismatched tag"),
        ([("<worldbody>", "<wordbody>"), ("</worldbody>", "</wordbody>")], "MuJoCo cannot read it"),
        ([("mujoco", "robot")], "not an MJCF file: it begins with <robot>, expected <mujoco>"),
    ],
)  # fmt: skip
def test_what_is_not_a_model_of_the_robot_is_refused_in_a_sentence(
    changes: list[tuple[str, str]], message: str, write: Callable[..., Path]
):
    with pytest.raises(FileFormatError, match=message) as caught:
        load_public(write(*changes), SPEC)
    text = str(caught.value)
    assert text.startswith("public.xml: ")
    assert text.endswith(".") and "\n" not in text


def test_another_robot_is_refused(write: Callable[..., Path]):
    path = write(text=robots.get("op3").mjcf())
    with pytest.raises(FileFormatError, match="free joint on body_link, expected one, on base"):
        load_public(path, SPEC)


@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe", b"\xef\xbb\xbf<mujoco", b"<a/>" * 9])
def test_any_bytes_are_refused_in_a_sentence(content: bytes, tmp_path: Path):
    path = tmp_path / "x.xml"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"^x.xml: not an MJCF file: .*\.$"):
        load_public(path, SPEC)


def test_missing_files_and_folders_are_refused(tmp_path: Path):
    with pytest.raises(FileFormatError, match=r"gone.xml: cannot be read: no such file"):
        load_public(tmp_path / "gone.xml", SPEC)
    with pytest.raises(FileFormatError, match="cannot be read: is a directory"):
        load_public(tmp_path, SPEC)


class _MenagerieError(Exception):
    pass


def _fake_menagerie(xml: Callable[[], Path]) -> SimpleNamespace:
    asked: list[str] = []

    def get(name: str) -> SimpleNamespace:
        asked.append(name)
        return SimpleNamespace(xml=xml)

    return SimpleNamespace(get=get, MenagerieError=_MenagerieError, asked=asked)


def test_menagerie_gives_the_scene_of_the_robot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    fake = _fake_menagerie(lambda: tmp_path / "scene.xml")
    monkeypatch.setitem(sys.modules, "mujoco_menagerie", fake)
    assert menagerie("anymal_c") == tmp_path / "scene.xml"
    assert menagerie("op3") == tmp_path / "scene.xml"
    assert fake.asked == ["anybotics_anymal_c", "robotis_op3"]


def test_menagerie_out_of_reach_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    def offline() -> Path:
        raise _MenagerieError("the.url: no route")

    monkeypatch.setitem(sys.modules, "mujoco_menagerie", _fake_menagerie(offline))
    with pytest.raises(
        DownloadError, match=r"of op3 cannot be fetched \(the.url: no route\); give"
    ):
        menagerie("op3")
    monkeypatch.setitem(sys.modules, "mujoco_menagerie", None)
    with pytest.raises(
        SettingsError, match=r"install legged_skills\[menagerie\], or give the path"
    ):
        menagerie("op3")
    with pytest.raises(SettingsError, match=r"'spot' has no model .* expected anymal_c or op3"):
        menagerie("spot")


def test_the_real_package_knows_our_robots(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    pytest.importorskip("mujoco_menagerie")
    monkeypatch.setenv("MENAGERIE_ROOT", str(tmp_path))
    for robot, folder in (("anymal_c", "anybotics_anymal_c"), ("op3", "robotis_op3")):
        with pytest.raises(DownloadError, match=f"{folder}' not found"):
            menagerie(robot)
        (tmp_path / folder).mkdir()
        assert menagerie(robot) == tmp_path / folder / "scene.xml"
