"""The model of OP3 against independent forward kinematics and the reference numbers."""

import json
from pathlib import Path

import mujoco
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.kinematics import Kinematics
from legged_skills.robots.rotations import rotate

SPEC = robots.get("op3")
ORDER = [
    "head_pan",
    "head_tilt",
    "l_sho_pitch",
    "l_sho_roll",
    "l_el",
    "r_sho_pitch",
    "r_sho_roll",
    "r_el",
    "l_hip_yaw",
    "l_hip_roll",
    "l_hip_pitch",
    "l_knee",
    "l_ank_pitch",
    "l_ank_roll",
    "r_hip_yaw",
    "r_hip_roll",
    "r_hip_pitch",
    "r_knee",
    "r_ank_pitch",
    "r_ank_roll",
]
AXES = {
    "head_pan": [0, 0, 1],
    "head_tilt": [0, -1, 0],
    "l_sho_pitch": [0, 1, 0],
    "r_sho_pitch": [0, -1, 0],
    "sho_roll": [-1, 0, 0],
    "el": [1, 0, 0],
    "hip_yaw": [0, 0, -1],
    "hip_roll": [-1, 0, 0],
    "l_hip_pitch": [0, 1, 0],
    "r_hip_pitch": [0, -1, 0],
    "l_knee": [0, 1, 0],
    "r_knee": [0, -1, 0],
    "l_ank_pitch": [0, -1, 0],
    "r_ank_pitch": [0, 1, 0],
    "ank_roll": [1, 0, 0],
}
"""Of the robot's URDF."""


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return SPEC.model()


@pytest.fixture(scope="module")
def numbers(repo_root: Path) -> dict:
    path = repo_root.parent / "shared" / "reference" / "op3_kinematics.json"
    if not path.is_file():
        pytest.skip(f"the reference numbers are not at {path}")
    return json.loads(path.read_text())


@pytest.fixture
def home(model: mujoco.MjModel) -> mujoco.MjData:
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("home").id)
    mujoco.mj_forward(model, data)
    return data


def _matrix(quat: np.ndarray) -> np.ndarray:
    """Rotation matrix of a quaternion wxyz, written out from Rodrigues' formula."""
    w, x, y, z = quat / np.linalg.norm(quat)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + 2 * w * cross + 2 * cross @ cross


def _forward(numbers: dict, root: np.ndarray, angles: dict[str, float]) -> dict[str, np.ndarray]:
    """Body positions and sole corners in the world, from the reference numbers alone."""
    pos, rot, out = {}, {}, {}
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
        corners = [
            np.array(geom["pos_m"]) + np.array(geom["size_m"]) * [x, y, -1.0]
            for geom in body.get("primitive_geoms", [])
            for x in (1, -1)
            for y in (1, -1)
        ]
        if corners:
            out[f"{name[0]}_sole"] = pos[name] + np.array(corners) @ rot[name].T
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
            if name.endswith("sole"):
                foot = data.site(f"{name[0]}_foot")
                points_f = SPEC.foot_points_f[SPEC.foot_names.index(f"{name[0]}_foot")]
                found = foot.xpos + points_f @ foot.xmat.reshape(3, 3).T
                # Corners may come in another order.
                gaps = np.linalg.norm(found[:, None] - position, axis=-1)
                assert found.shape == position.shape
                worst = max(worst, float(gaps.min(axis=0).max()), float(gaps.min(axis=1).max()))
            else:
                worst = max(worst, float(np.linalg.norm(data.body(name).xpos - position)))
    assert len(wanted) == 23
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


def test_drives_agree_with_the_reference_numbers(model, numbers):
    assert [act["joint"] for act in numbers["actuators"]] == list(SPEC.joint_names)
    assert all(act["kp"] == 21.1 for act in numbers["actuators"])
    for body in numbers["bodies"][1:]:
        joint = body["joints"][0]
        found = model.joint(joint["name"])
        assert found.damping[0] == joint["damping"]
        assert found.armature[0] == joint["armature"]
        assert found.frictionloss[0] == joint["frictionloss"]


def test_joint_order_and_axes_are_the_robots(model):
    assert list(SPEC.joint_names) == ORDER
    for name in ORDER:
        axis = AXES.get(name) or AXES[name[2:]]
        np.testing.assert_array_equal(model.joint(name).axis, axis)


def test_actuators_are_the_drives_of_the_spec(model):
    np.testing.assert_allclose(model.actuator_gainprm[:, 0], SPEC.kp)
    np.testing.assert_allclose(-model.actuator_biasprm[:, 2], SPEC.kd)
    np.testing.assert_allclose(model.actuator_forcerange[:, 1], SPEC.torque_limit)
    np.testing.assert_allclose(model.actuator_forcerange[:, 0], -SPEC.torque_limit)
    assert model.opt.timestep == SPEC.physics_step_s


def test_policy_runs_on_the_beat_of_the_bus():
    # The bus runs at 8 ms; a period that is no multiple of it beats against it.
    assert SPEC.control_period_s / 0.008 == pytest.approx(3.0)
    assert SPEC.substeps == 6


def test_default_pose_has_the_stated_height(home):
    for name in SPEC.foot_sites:
        site = home.site(name)
        assert site.xpos[2] == pytest.approx(SPEC.foot_radius_m, abs=1e-4)
        # x to the toes, y to the left, z up: the sole is flat.
        np.testing.assert_allclose(site.xmat.reshape(3, 3), np.eye(3), atol=1e-9)
    hips = [home.body(f"{side}_hip_pitch_link").xpos[2] for side in ("l", "r")]
    np.testing.assert_allclose(hips, SPEC.leg_length_m, atol=1e-4)
    # Knees bend forward, and feet are on their side.
    assert home.body("l_knee_link").xpos[0] > home.body("l_ank_pitch_link").xpos[0] + 0.03
    assert home.site("l_foot").xpos[1] == pytest.approx(0.0475, abs=1e-6)
    assert home.site("r_foot").xpos[1] == pytest.approx(-0.0475, abs=1e-6)
    # The arms hang, elbows out and hands below them, away from the body.
    assert home.body("l_el_link").xpos[1] > home.body("l_sho_roll_link").xpos[1] + 0.03
    forearm = home.body("l_el_link").xmat.reshape(3, 3)[:, 1]
    assert forearm[2] < -0.95
    assert home.body("r_el_link").xpos[1] < -0.1


def test_centre_of_mass_is_over_the_middle_of_the_soles(home):
    middle = np.mean([home.site(name).xpos for name in SPEC.foot_sites], axis=0)
    assert np.abs(home.subtree_com[1][:2] - middle[:2]).max() < 0.002  # [m]


def test_stands_on_the_floor(model, home):
    start = [home.site(name).xpos.copy() for name in SPEC.foot_sites]
    mujoco.mj_step(model, home, nstep=5000)  # 20 s
    # The knees give way by 2 degrees under the load; the soles stay where they were.
    assert SPEC.standing_height_m - 0.003 < home.qpos[2] < SPEC.standing_height_m
    tilt = np.arccos(1.0 - 2.0 * np.sum(np.square(home.qpos[4:6])))
    assert np.degrees(tilt) < 3.0
    assert abs(home.qpos[6]) < 1e-5  # no turn
    for name, before in zip(SPEC.foot_sites, start, strict=True):
        assert np.linalg.norm(home.site(name).xpos - before) < 0.001  # [m]
    assert np.abs(home.qvel).max() < 1e-4  # [m/s, rad/s]
    touching = {model.geom(g).name for c in home.contact for g in c.geom} - {"floor"}
    assert touching == {"l_foot", "l_foot_wide", "r_foot", "r_foot_wide"}


def test_hardly_slides_on_a_slope(model, home):
    slope = np.radians(5.0)
    slanted = SPEC.spec()
    slanted.option.gravity = [0.0, 9.81 * np.sin(slope), -9.81 * np.cos(slope)]
    slanted_model = slanted.compile()
    mujoco.mj_step(slanted_model, home, nstep=500)
    before = home.site("l_foot").xpos.copy()
    mujoco.mj_step(slanted_model, home, nstep=4500)
    assert np.linalg.norm(home.site("l_foot").xpos - before) < 0.001  # [m] in 18 s


def test_fallen_robot_is_lower_than_the_limit(model):
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("home").id)
    data.qvel[0] = 1.5  # a push to the front [m/s]
    mujoco.mj_step(model, data, nstep=1000)
    assert data.qpos[2] < SPEC.fallen_height_m
    touching = {model.geom(g).name for c in data.contact for g in c.geom} - {"floor"}
    assert touching & {"torso", "head", "l_forearm", "l_shin"}
    # It lies on the floor and not in it.
    assert min(c.dist for c in data.contact) > -0.003


def test_mirrored_pose_is_the_mirror_image_of_every_body(model):
    rng = np.random.default_rng(2)
    order, sign = SPEC.mirror_joints
    qpos = np.zeros((200, 27))
    qpos[:, 3] = 1.0
    qpos[:, 7:] = rng.uniform(SPEC.joint_lower, SPEC.joint_upper, (200, 20))
    image = qpos.copy()
    image[:, 7:] = qpos[:, 7:][:, order] * sign
    kinematics = Kinematics(model)
    poses, mirrored = kinematics.poses(qpos), kinematics.poses(image)
    for name in (model.body(i).name for i in range(1, model.nbody)):
        other = {"l_": "r_", "r_": "l_"}.get(name[:2], name[:2]) + name[2:]
        here, there = model.body(name).id, model.body(other).id
        # The frame of head_tilt_link is beside the robot's middle: compare a point in the middle.
        middle_b = np.array([0.0, -0.019 if name == "head_tilt_link" else 0.0, 0.0])
        found, wanted = (
            posed.body_pos_w[body] + rotate(posed.body_quat_w[body], middle_b)
            for posed, body in ((mirrored, here), (poses, there))
        )
        np.testing.assert_allclose(found, wanted * [1, -1, 1], atol=1e-9)
        # Reflected across y, a turn keeps its scalar and y, and changes the sign of x and z.
        wanted = poses.body_quat_w[there] * [1, -1, 1, -1]
        agreement = np.abs(np.sum(mirrored.body_quat_w[here] * wanted, axis=1))
        np.testing.assert_allclose(agreement, 1.0, atol=1e-9)


def test_limits_and_default_pose_are_symmetric():
    order, sign = SPEC.mirror_joints
    # Head: pan changes its sign, tilt does not. l_knee (11) becomes r_knee (17).
    pose = np.arange(20.0)
    mirrored = pose[order] * sign
    assert mirrored[0] == -0.0 and mirrored[1] == 1.0 and mirrored[17] == -11.0
    np.testing.assert_array_equal(SPEC.default_joint_pos[order] * sign, SPEC.default_joint_pos)
    limits = np.sort([SPEC.joint_lower[order] * sign, SPEC.joint_upper[order] * sign], axis=0)
    np.testing.assert_array_equal(limits, [SPEC.joint_lower, SPEC.joint_upper])


def test_knees_never_bend_backwards(model):
    lower = dict(zip(SPEC.joint_names, SPEC.joint_lower, strict=True))
    upper = dict(zip(SPEC.joint_names, SPEC.joint_upper, strict=True))
    assert lower["l_knee"] == 0.05 and upper["r_knee"] == -0.05
    kinematics = Kinematics(model)
    qpos = SPEC.home_qpos[None].copy()
    for joint, angle in lower.items():
        if joint in ("l_knee", "l_hip_pitch", "l_ank_pitch"):
            qpos[0, 7 + SPEC.joint_names.index(joint)] = angle if joint == "l_knee" else 0.0
    poses = kinematics.poses(qpos)
    knee, ankle = (
        poses.body_pos_w[model.body(f"l_{part}_link").id, 0] for part in ("knee", "ank_pitch")
    )
    # Even at its straightest the ankle is behind the knee: 0.11 m * sin(0.05).
    assert knee[0] - ankle[0] == pytest.approx(0.11 * np.sin(0.05), abs=1e-6)


def test_start_pose_of_the_robots_software_is_usable(model):
    """In degrees, the left side of op3_base_module's ini_pose.yaml for ROS 2."""
    left = {"sho_pitch": -15, "sho_roll": 45, "el": -45}
    left |= {"hip_pitch": -70, "knee": 142, "ank_pitch": 70}
    pose = np.zeros(20)
    for joint, angle in left.items():
        pose[SPEC.joint_names.index(f"l_{joint}")] = np.radians(angle)
        pose[SPEC.joint_names.index(f"r_{joint}")] = -np.radians(angle)
    pose[SPEC.joint_names.index("head_tilt")] = np.radians(-10)
    assert np.all((SPEC.joint_lower <= pose) & (pose <= SPEC.joint_upper))
    data = mujoco.MjData(model)
    data.qpos[3:] = np.concatenate([[1.0, 0.0, 0.0, 0.0], pose])
    mujoco.mj_kinematics(model, data)
    ends = np.zeros(6)
    for first, second in SPEC.self_collision:
        ids = model.geom(first).id, model.geom(second).id
        assert mujoco.mj_geomDistance(model, data, *ids, 1.0, ends) > 0.005, (first, second)


def test_collisions_are_seen(model):
    """Angles [rad] that put a link into another one, and the pair that tells."""
    cases = {
        ("self_l_forearm", "self_torso"): {"l_sho_roll": 1.0, "l_el": -2.4},
        ("self_l_foot_inner", "self_r_foot_inner"): {"l_hip_roll": 0.1, "r_hip_roll": -0.1},
        ("self_l_shank", "self_r_shank"): {"l_hip_roll": 0.2, "r_hip_roll": -0.2},
    }
    ends = np.zeros(6)
    for pair, angles in cases.items():
        assert pair in SPEC.self_collision
        data = mujoco.MjData(model)
        data.qpos[:] = SPEC.home_qpos
        for joint, angle in angles.items():
            data.qpos[7 + SPEC.joint_names.index(joint)] = angle
        mujoco.mj_kinematics(model, data)
        ids = [model.geom(name).id for name in pair]
        assert mujoco.mj_geomDistance(model, data, *ids, 1.0, ends) < 0.0, pair


def test_targets_are_clamped_to_the_usable_range():
    np.testing.assert_allclose(SPEC.joint_targets(np.zeros(20)), SPEC.default_joint_pos)
    # l_knee: 0.8 + 0.3 * 1.
    assert SPEC.joint_targets(np.ones(20))[11] == pytest.approx(1.1)
    np.testing.assert_allclose(SPEC.joint_targets(np.full(20, 100.0)), SPEC.joint_upper)


# MuJoCo warns that the scene's time step is not the robot's.
@pytest.mark.filterwarnings("ignore:Attach conflict")
def test_robot_without_floor_can_be_attached():
    scene = mujoco.MjSpec()
    frame = scene.worldbody.add_frame()
    scene.attach(SPEC.spec(floor=False), prefix="a_", frame=frame)
    assert scene.compile().body("a_body_link").mass[0] == pytest.approx(1.34928)


def test_a_robot_that_touches_itself_does_not_pass_through_itself() -> None:
    # Both legs are turned inwards as far as they go, in the air.
    turned = SPEC.default_joint_pos.copy()
    for joint in ("l_hip_roll", "r_hip_roll"):
        index = SPEC.joint_names.index(joint)
        ends = (SPEC.joint_lower[index], SPEC.joint_upper[index])
        turned[index] = min(ends, key=abs)  # outwards they go farther
    gap_m = {}
    for touches in (False, True):
        model = SPEC.model(touches_itself=touches)
        assert model.npair == (len(SPEC.self_collision) if touches else 0)
        # The same bodies, and nothing else that meets anything.
        assert model.nv == SPEC.model().nv and np.isclose(model.body_mass.sum(), 3.1, atol=0.1)
        data = mujoco.MjData(model)
        data.qpos[:], data.ctrl[:] = SPEC.home_qpos, turned
        data.qpos[2] = 1.0
        for _ in range(100):
            mujoco.mj_step(model, data)
        pairs = (
            mujoco.mj_geomDistance(model, data, model.geom(a).id, model.geom(b).id, 1.0, None)
            for a, b in SPEC.self_collision
        )
        gap_m[touches] = min(pairs)
    assert gap_m[False] < -0.01
    assert -0.004 < gap_m[True] < 0.001
    # Without what is only seen nothing that meets anything is lost.
    lean = SPEC.model(visible=False, touches_itself=True)
    assert lean.npair == len(SPEC.self_collision) and lean.ngeom < SPEC.model().ngeom
