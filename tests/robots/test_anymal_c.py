"""The model against independent forward kinematics and the reference numbers."""

import json
from pathlib import Path

import mujoco
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.errors import UnknownRobotError

SPEC = robots.get("anymal_c")


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return SPEC.model()


@pytest.fixture(scope="module")
def numbers(repo_root: Path) -> dict:
    path = repo_root.parent / "shared" / "reference" / "anymal_c_kinematics.json"
    if not path.is_file():
        pytest.skip(f"the reference numbers are not at {path}")
    return json.loads(path.read_text())


def _matrix(quat: np.ndarray) -> np.ndarray:
    """Rotation matrix of a quaternion wxyz, written out from Rodrigues' formula."""
    w, x, y, z = quat / np.linalg.norm(quat)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + 2 * w * cross + 2 * cross @ cross


def _forward(numbers: dict, root: np.ndarray, angles: dict[str, float]) -> dict[str, np.ndarray]:
    """Body positions and feet in the world, from the reference numbers alone."""
    pos, rot, out = {"world": np.zeros(3)}, {"world": np.eye(3)}, {}
    for body in numbers["bodies"]:
        name, parent = body["name"], body["parent"]
        if parent == "world":
            pos[name], rot[name] = root[:3], _matrix(root[3:])
        else:
            pos[name] = pos[parent] + rot[parent] @ body["pos_m"]
            rot[name] = rot[parent] @ _matrix(np.array(body["quat_wxyz"]))
            joint = body["joints"][0]
            half = angles[joint["name"]] / 2
            turn = np.concatenate([[np.cos(half)], np.sin(half) * np.array(joint["axis"])])
            rot[name] = rot[name] @ _matrix(turn)
        out[name] = pos[name]
        for geom in body["primitive_geoms"]:
            if geom["type"] == "sphere":
                out[name[:2] + "_FOOT"] = pos[name] + rot[name] @ geom["pos_m"]
    return out


def test_forward_kinematics_agree_with_the_reference_numbers(model, numbers):
    data = mujoco.MjData(model)
    rng = np.random.default_rng(1)
    worst = 0.0
    for _ in range(1000):
        quat = rng.standard_normal(4)
        root = np.concatenate([rng.uniform(-1, 1, 3), quat / np.linalg.norm(quat)])
        joints = rng.uniform(SPEC.joint_lower, SPEC.joint_upper)
        data.qpos[:] = np.concatenate([root, joints])
        mujoco.mj_kinematics(model, data)
        wanted = _forward(numbers, root, dict(zip(SPEC.joint_names, joints, strict=True)))
        for name, position in wanted.items():
            found = data.site(name).xpos if name.endswith("FOOT") else data.body(name).xpos
            worst = max(worst, float(np.linalg.norm(found - position)))
    assert worst < 1e-4  # [m]


def test_masses_and_inertias_agree_with_the_reference_numbers(model, numbers):
    assert model.body_mass.sum() == pytest.approx(numbers["total_mass_kg"], rel=1e-6)
    for body in numbers["bodies"]:
        found = model.body(body["name"])
        assert found.mass[0] == pytest.approx(body["mass_kg"], rel=1e-6)
        # The principal axes may come in another order: compare the whole tensors.
        tensors = [
            _matrix(np.array(quat)) @ np.diag(diagonal) @ _matrix(np.array(quat)).T
            for quat, diagonal in (
                (found.iquat, found.inertia),
                (body["inertia_quat_wxyz"], body["inertia_diag_kgm2"]),
            )
        ]
        scale = max(body["inertia_diag_kgm2"])
        np.testing.assert_allclose(tensors[0], tensors[1], atol=1e-3 * scale)
        np.testing.assert_allclose(found.ipos, body["com_m"], atol=1e-6)


def test_default_pose_has_the_stated_height(model):
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("home").id)
    mujoco.mj_forward(model, data)
    heights = [data.site(name).xpos[2] for name in SPEC.foot_sites]
    np.testing.assert_allclose(heights, SPEC.foot_radius_m, atol=1e-4)
    thigh = data.body("LF_THIGH").xpos[2]
    assert thigh == pytest.approx(SPEC.leg_length_m, abs=1e-4)
    # Fore feet in front, left feet on the left; knees point at each other.
    feet = {name: data.site(name).xpos for name in SPEC.foot_sites}
    assert feet["LF_FOOT"][0] > 0.3 and feet["LF_FOOT"][1] > 0.2
    assert feet["RH_FOOT"][0] < -0.3 and feet["RH_FOOT"][1] < -0.2
    assert data.body("LF_SHANK").xpos[0] < data.body("LF_THIGH").xpos[0]
    assert data.body("LH_SHANK").xpos[0] > data.body("LH_THIGH").xpos[0]


def test_joints_turn_about_base_axes(model):
    data = mujoco.MjData(model)
    data.qpos[3] = 1.0
    mujoco.mj_forward(model, data)
    for name in SPEC.joint_names:
        axis = [1, 0, 0] if name.endswith("HAA") else [0, 1, 0]
        np.testing.assert_allclose(data.joint(name).xaxis, axis, atol=2e-6)


def test_stands_on_the_floor(model):
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("home").id)
    mujoco.mj_step(model, data, nstep=2000)  # 10 s
    # With kp = 80 Nm/rad the 45 kg robot sags; it stays level, where it was, on its feet alone.
    assert 0.48 < data.qpos[2] < SPEC.standing_height_m
    assert np.linalg.norm(data.qpos[:2]) < 0.02
    assert data.qpos[3] > 0.999
    assert np.abs(data.qvel).max() < 0.005  # [m/s, rad/s]
    touching = {model.geom(g).name for c in data.contact for g in c.geom} - {"floor"}
    assert touching == {"LF_FOOT", "RF_FOOT", "LH_FOOT", "RH_FOOT"}


def test_actuators_are_the_drives_of_the_spec(model):
    assert [model.actuator(i).name for i in range(model.nu)] == list(SPEC.joint_names)
    np.testing.assert_allclose(model.actuator_gainprm[:, 0], SPEC.kp)
    np.testing.assert_allclose(-model.actuator_biasprm[:, 2], SPEC.kd)
    np.testing.assert_allclose(model.actuator_forcerange[:, 1], SPEC.torque_limit)
    assert model.opt.timestep == SPEC.physics_step_s


def test_mirroring_twice_changes_nothing():
    order, sign = SPEC.mirror_joints
    pose = np.arange(12.0)
    once = pose[order] * sign
    assert once[0] == -pose[3] and once[1] == pose[4]
    np.testing.assert_array_equal(once[order] * sign, pose)
    # The default pose and the limits are symmetric.
    np.testing.assert_allclose(SPEC.default_joint_pos[order] * sign, SPEC.default_joint_pos)
    mirrored = np.sort([SPEC.joint_lower[order] * sign, SPEC.joint_upper[order] * sign], axis=0)
    np.testing.assert_allclose(mirrored, [SPEC.joint_lower, SPEC.joint_upper])


def test_targets_are_clamped_to_the_usable_range():
    np.testing.assert_allclose(SPEC.joint_targets(np.zeros(12)), SPEC.default_joint_pos)
    # LF_HFE: 0.4 + 0.5 * 1.
    assert SPEC.joint_targets(np.ones(12))[1] == pytest.approx(0.9)
    np.testing.assert_allclose(SPEC.joint_targets(np.full(12, 100.0)), SPEC.joint_upper)


# MuJoCo warns that the scene's time step is not the robot's.
@pytest.mark.filterwarnings("ignore:Attach conflict")
def test_robot_without_floor_can_be_attached():
    scene = mujoco.MjSpec()
    frame = scene.worldbody.add_frame()
    scene.attach(SPEC.spec(floor=False), prefix="a_", frame=frame)
    assert scene.compile().body("a_base").mass[0] == pytest.approx(19.2035)


def test_unknown_robot_lists_the_known():
    with pytest.raises(UnknownRobotError, match=r"unknown robot 'spot'; known robots: anymal_c"):
        robots.get("spot")
