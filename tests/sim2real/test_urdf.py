import dataclasses
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import mujoco
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.urdf import floor_geoms, to_urdf

ROBOTS = ("anymal_c", "op3")


def _fixed_model(spec: RobotSpec) -> mujoco.MjModel:
    """The robot with its base held at the origin, and drives without inertia."""
    text = spec.mjcf()
    changed = mujoco.MjSpec.from_string(text)
    changed.delete(next(j for j in changed.joints if j.type == mujoco.mjtJoint.mjJNT_FREE))
    changed.body(spec.base_body).pos = [0, 0, 0]
    for joint in changed.joints:
        joint.armature = 0.0
    return changed.compile()


def _with_mjcf(spec: RobotSpec, old: str, new: str) -> RobotSpec:
    text = spec.mjcf()
    assert old in text
    return dataclasses.replace(spec, mjcf=lambda: text.replace(old, new, 1))


def _find(root: ElementTree.Element, path: str) -> ElementTree.Element:
    found = root.find(path)
    assert found is not None, path
    return found


def _number(element: ElementTree.Element, name: str) -> float:
    return float(element.get(name, "nan"))


def _load(bullet: ModuleType, text: str, folder: Path) -> tuple[int, int]:
    path = folder / "robot.urdf"
    path.write_text(text)
    client = bullet.connect(bullet.DIRECT)
    flags = bullet.URDF_USE_INERTIA_FROM_FILE
    body = bullet.loadURDF(str(path), useFixedBase=True, flags=flags, physicsClientId=client)
    return client, body


@pytest.fixture(params=ROBOTS)
def spec(request: pytest.FixtureRequest) -> RobotSpec:
    return robots.get(request.param)


def test_forward_kinematics_and_mass_matrix_in_bullet_are_those_of_mujoco(
    spec: RobotSpec, tmp_path: Path
):
    bullet = pytest.importorskip("pybullet")
    client, body = _load(bullet, to_urdf(spec), tmp_path)
    at = {"physicsClientId": client}
    infos = [bullet.getJointInfo(body, i, **at) for i in range(bullet.getNumJoints(body, **at))]
    joints = [info[1].decode() for info in infos]
    assert sorted(joints) == sorted(spec.joint_names)
    # calculateMassMatrix orders by the joints' places in velocity vectors.
    dofs = [info[4] for info in infos]
    model = _fixed_model(spec)
    data = mujoco.MjData(model)
    order = [model.joint(name).dofadr[0] for name in joints]
    rng = np.random.default_rng(0)
    for _ in range(5):
        pose = rng.uniform(spec.joint_lower, spec.joint_upper)
        data.qpos[:] = pose
        mujoco.mj_fwdPosition(model, data)
        for joint, name in enumerate(joints):
            bullet.resetJointState(body, joint, data.joint(name).qpos[0], **at)
        states = bullet.getLinkStates(body, range(len(joints)), computeForwardKinematics=1, **at)
        for info, state in zip(infos, states, strict=True):
            link = data.body(info[12].decode())
            np.testing.assert_allclose(state[4], link.xpos, atol=1e-6)
            np.testing.assert_allclose(state[0], link.xipos, atol=1e-6)
            turned = np.empty(9)
            mujoco.mju_quat2Mat(turned, np.roll(state[5], 1))
            np.testing.assert_allclose(turned, link.xmat, atol=1e-6)
        full = np.empty((model.nv, model.nv))
        mujoco.mj_fullM(model, data, full)
        angles = [data.joint(name).qpos[0] for name in joints]
        found = np.array(bullet.calculateMassMatrix(body, angles, **at))
        rows = np.argsort(np.argsort(dofs))
        np.testing.assert_allclose(
            found[np.ix_(rows, rows)], full[np.ix_(order, order)], rtol=1e-6, atol=1e-9
        )
    bullet.disconnect(**at)


def test_masses_inertias_and_limits_are_the_models(spec: RobotSpec):
    root = ElementTree.fromstring(to_urdf(spec))
    model = spec.model()
    links = root.findall("link")
    assert len(links) == model.nbody - 1
    total = 0.0
    for link in links:
        body = model.body(link.get("name", ""))
        mass = _number(_find(link, "inertial/mass"), "value")
        inertia = _find(link, "inertial/inertia")
        assert mass == body.mass[0]
        assert [_number(inertia, k) for k in ("ixx", "iyy", "izz")] == body.inertia.tolist()
        total += mass
    assert total == pytest.approx(model.body_mass.sum(), abs=1e-12)
    for name, limit in zip(spec.joint_names, spec.torque_limit, strict=True):
        element = _find(root, f"joint[@name='{name}']/limit")
        assert _number(element, "effort") == limit
        ends = [_number(element, "lower"), _number(element, "upper")]
        assert ends == model.joint(name).range.tolist()
    shapes = root.findall("link/collision/geometry/*")
    assert len(shapes) == len(floor_geoms(model))


def test_shapes_are_those_that_touch_the_floor():
    model = robots.get("anymal_c").model()
    legs = [f"{leg}_{end}" for leg in ("LF", "RF", "LH", "RH") for end in ("FOOT", "KNEE")]
    names = [model.geom(i).name for i in floor_geoms(model)]
    assert names == ["base_left", "base_right", *legs]
    root = ElementTree.fromstring(to_urdf(robots.get("anymal_c")))
    foot = _find(root, "link[@name='LF_SHANK']/collision/geometry/sphere")
    assert _number(foot, "radius") == 0.03
    trunk = _find(root, "link[@name='base']/collision/geometry/capsule")
    assert _number(trunk, "radius") == 0.09
    assert _number(trunk, "length") == pytest.approx(0.86, abs=1e-12)


def test_rotors_turn_about_the_joints_axis_with_the_drives_inertia(spec: RobotSpec, tmp_path: Path):
    bullet = pytest.importorskip("pybullet")
    text = to_urdf(spec, rotor_ratio=50.0)
    root = ElementTree.fromstring(text)
    model = spec.model()
    client, body = _load(bullet, text, tmp_path)
    at = {"physicsClientId": client}
    states = {}
    for i in range(bullet.getNumJoints(body, **at)):
        info = bullet.getJointInfo(body, i, **at)
        bullet.resetJointState(body, i, 0.0, **at)
        states[info[1].decode()] = (i, np.array(info[13]))
    for name in spec.joint_names:
        inertia = _find(root, f"link[@name='{name}_rotor']/inertial/inertia")
        armature = model.dof_armature[model.joint(name).dofadr[0]]
        assert _number(inertia, "izz") == pytest.approx(armature / 2500, rel=1e-12)
        axes_w = []
        for joint in (name, f"{name}_rotor"):
            index, axis = states[joint]
            state = bullet.getLinkState(body, index, computeForwardKinematics=1, **at)
            # Bullet gives the axis in the link's principal axes.
            turn = np.array(bullet.getMatrixFromQuaternion(state[1])).reshape(3, 3)
            axes_w.append(turn @ axis)
        np.testing.assert_allclose(axes_w[0], axes_w[1], atol=1e-6)
    bullet.disconnect(**at)


def test_what_has_no_place_in_a_urdf_is_named():
    spec = robots.get("anymal_c")
    ellipsoid = _with_mjcf(
        spec, '<geom name="LF_KNEE" class="body" type="sphere" size="0.06"',
        '<geom name="LF_KNEE" class="body" type="ellipsoid" size="0.06 0.06 0.05"',
    )  # fmt: skip
    with pytest.raises(SettingsError, match="geom LF_KNEE is of type ellipsoid, expected a sphere"):
        to_urdf(ellipsoid)
    offset = _with_mjcf(
        spec, '<joint name="LF_KFE" class="KFE"/>', '<joint name="LF_KFE" pos="0 0 0.1"/>'
    )
    with pytest.raises(SettingsError, match="body LF_SHANK moves by other than one hinge"):
        to_urdf(offset)
    with pytest.raises(SettingsError, match=r"rotor_ratio is 0\.0, expected more than 0"):
        to_urdf(spec, rotor_ratio=0.0)
