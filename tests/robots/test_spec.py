"""The numbers of each robot against its compiled model, and what a specification refuses."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.errors import SettingsError
from legged_skills.robots.kinematics import Kinematics, site_points
from legged_skills.robots.spec import RobotSpec

ANYMAL = robots.get("anymal_c")
ROUND = (int(mujoco.mjtGeom.mjGEOM_CAPSULE), int(mujoco.mjtGeom.mjGEOM_SPHERE))


@pytest.fixture(params=robots.names())
def spec(request: pytest.FixtureRequest) -> RobotSpec:
    return robots.get(request.param)


def _home(spec: RobotSpec, model: mujoco.MjModel) -> mujoco.MjData:
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("home").id)
    mujoco.mj_forward(model, data)
    return data


def _random_qpos(spec: RobotSpec, frames: int) -> np.ndarray:
    """(T, 7 + J) bases anywhere in any orientation, joints within their limits."""
    rng = np.random.default_rng(3)
    quat = rng.standard_normal((frames, 4))
    quat /= np.linalg.norm(quat, axis=1, keepdims=True)
    joints = rng.uniform(spec.joint_lower, spec.joint_upper, (frames, spec.num_joints))
    return np.hstack([rng.uniform(-1, 1, (frames, 3)), quat, joints])


def _reflected(qpos: np.ndarray, axis: int, joints: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """(T, 7 + J) the motion in a mirror across a world axis.

    A reflection turns a rotation about n by an angle into one about the reflected n by minus the
    angle: of the quaternion's vector part, only the component along the mirror's axis stays.
    """
    order, sign = joints
    out = qpos.copy()
    out[:, axis] *= -1.0
    out[:, 4:7] *= -1.0
    out[:, 4 + axis] *= -1.0
    out[:, 7:] = qpos[:, 7:][:, order] * sign
    return out


def _feet_w(spec: RobotSpec, model: mujoco.MjModel, qpos: np.ndarray) -> np.ndarray:
    """(T, F, 3)"""
    kinematics = Kinematics(model)
    return kinematics.points(kinematics.poses(qpos), site_points(model, spec.foot_sites))


def test_joints_are_in_the_order_of_qpos_and_actuators(spec):
    model = spec.model()
    assert [model.joint(i).name for i in range(1, model.njnt)] == list(spec.joint_names)
    assert [model.actuator(i).name for i in range(model.nu)] == list(spec.joint_names)
    assert [int(model.jnt_qposadr[i]) for i in model.actuator_trnid[:, 0]] == list(
        range(7, 7 + spec.num_joints)
    )
    assert model.joint(0).name == "root"
    assert model.body(int(model.jnt_bodyid[0])).name == spec.base_body


def test_default_pose_is_within_the_usable_range(spec):
    assert np.all(spec.joint_lower < spec.default_joint_pos)
    assert np.all(spec.default_joint_pos < spec.joint_upper)
    # Where the model has stops, they are no nearer than the usable range's ends.
    model = spec.model()
    assert np.all(model.jnt_range[1:, 0] <= spec.joint_lower + 1e-9)
    assert np.all(model.jnt_range[1:, 1] >= spec.joint_upper - 1e-9)


def test_acceleration_limit_is_the_torque_limit_over_the_inertia(spec):
    model = spec.model()
    data = _home(spec, model)
    inertia = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, inertia)
    # An element of the diagonal is what one joint feels while all others, and the base, are held.
    np.testing.assert_allclose(
        spec.acceleration_limit, spec.torque_limit / np.diag(inertia)[6:], rtol=0.01
    )


def test_feet_in_the_default_pose_stand_on_the_floor_with_all_their_points(spec):
    model = spec.model()
    data = _home(spec, model)
    for name, points_f in zip(spec.foot_sites, spec.foot_points_f, strict=True):
        site = data.site(name)
        points_w = site.xpos + points_f @ site.xmat.reshape(3, 3).T
        assert np.abs(points_w[:, 2] - spec.foot_radius_m).max() < 1e-4


def test_mirrored_pose_is_the_mirror_image(spec):
    model = spec.model()
    qpos = _random_qpos(spec, 200)
    image = _reflected(qpos, 1, spec.mirror_joints)
    feet_w = _feet_w(spec, model, qpos)[:, spec.mirror_feet] * [1.0, -1.0, 1.0]
    assert np.abs(_feet_w(spec, model, image) - feet_w).max() < 1e-5  # [m]


def test_front_back_mirrored_feet_are_the_reflection():
    model = ANYMAL.model()
    qpos = _random_qpos(ANYMAL, 500)
    assert ANYMAL.mirror_joints_front_back is not None
    image = _reflected(qpos, 0, ANYMAL.mirror_joints_front_back)
    feet_w = _feet_w(ANYMAL, model, qpos)[:, ANYMAL.mirror_feet_front_back] * [-1.0, 1.0, 1.0]
    assert np.abs(_feet_w(ANYMAL, model, image) - feet_w).max() < 1e-5  # [m]


def test_front_back_mirror_maps_limits_and_stance_onto_themselves():
    assert ANYMAL.mirror_joints_front_back is not None
    order, sign = ANYMAL.mirror_joints_front_back
    # LF_HFE becomes LH_HFE with the other sign; LF_HAA becomes LH_HAA.
    pose = np.arange(12.0)
    np.testing.assert_array_equal((pose[order] * sign)[:3], [6.0, -7.0, -8.0])
    np.testing.assert_allclose(
        ANYMAL.default_joint_pos[order] * sign, ANYMAL.default_joint_pos, atol=0
    )
    limits = np.sort([ANYMAL.joint_lower[order] * sign, ANYMAL.joint_upper[order] * sign], axis=0)
    np.testing.assert_array_equal(limits, [ANYMAL.joint_lower, ANYMAL.joint_upper])
    assert robots.get("op3").mirror_joints_front_back is None
    assert robots.get("op3").mirror_feet_front_back is None


def _other_side(name: str) -> str:
    """The name of a geom's mirror image: LF_FOOT and RF_FOOT, self_l_hip and self_r_hip."""
    if "self_" in name:
        return name.replace("_l_", "_x_").replace("_r_", "_l_").replace("_x_", "_r_")
    return {"L": "R", "R": "L"}[name[0]] + name[1:]


def test_geoms_that_must_stay_apart_are_round_and_apart_in_the_default_pose(spec):
    model = spec.model()
    data = _home(spec, model)
    ends = np.zeros(6)
    for pair in spec.self_collision:
        first, second = (model.geom(name) for name in pair)
        assert int(first.type[0]) in ROUND and int(second.type[0]) in ROUND
        gap = mujoco.mj_geomDistance(model, data, first.id, second.id, 10.0, ends)
        assert gap > 0.01, pair  # [m]


def test_pairs_that_must_stay_apart_are_the_same_on_both_sides(spec):
    pairs = {frozenset(pair) for pair in spec.self_collision}
    assert len(pairs) == len(spec.self_collision) > 0
    assert {frozenset(_other_side(name) for name in pair) for pair in pairs} == pairs
    model = spec.model()
    data = _home(spec, model)
    for name in {name for pair in pairs for name in pair}:
        mirrored = data.geom(_other_side(name)).xpos * [1.0, -1.0, 1.0]
        np.testing.assert_allclose(data.geom(name).xpos, mirrored, atol=1e-5)
        np.testing.assert_array_equal(model.geom(name).size, model.geom(_other_side(name)).size)


def test_selfcollision_geoms_touch_nothing_and_weigh_nothing(spec):
    model = spec.model()
    touching = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
    hulls = model.geom_group == 5
    assert hulls.sum() >= 8
    assert not np.any(hulls & touching)
    # MuJoCo's total with those geoms is the sum of the masses written in the file.
    text = spec.mjcf()
    written = sum(float(part.split('"')[0]) for part in text.split(' mass="')[1:])
    assert model.body_mass.sum() == pytest.approx(written, rel=1e-9)


def test_shank_of_anymal_ends_in_its_foot():
    model = ANYMAL.model()
    data = _home(ANYMAL, model)
    for leg in ANYMAL.foot_names:
        shank = data.geom(f"{leg}_SHANK")
        along = shank.xmat.reshape(3, 3)[:, 2] * model.geom(f"{leg}_SHANK").size[1]
        ends = shank.xpos + np.array([[1.0], [-1.0]]) * along
        foot = data.geom(f"{leg}_FOOT").xpos
        assert np.linalg.norm(ends - foot, axis=1).min() < 1e-5  # [m]


def test_arrays_cannot_be_changed(spec):
    arrays = [spec.default_joint_pos, spec.acceleration_limit, spec.foot_points_f]
    arrays += [*spec.mirror_joints, spec.mirror_feet]
    if spec.mirror_joints_front_back is not None:
        arrays += [*spec.mirror_joints_front_back, spec.mirror_feet_front_back]
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"acceleration_limit": np.ones(11)},
            r"acceleration_limit has shape \(11,\), expected one entry for each of the 12 joints",
        ),
        ({"foot_points_f": np.zeros((4, 3))}, r"foot_points_f has shape \(4, 3\)"),
        ({"foot_points_f": np.zeros((2, 1, 3))}, r"\(2, 1, 3\), expected \(4, 1, 3\)"),
        ({"mirror_feet": np.array([1, 2, 3, 0])}, "expected 0 to 3 with some pairs exchanged"),
        (
            {"mirror_joints": (np.zeros(12, dtype=int), np.ones(12))},
            "expected 0 to 11 with some pairs exchanged",
        ),
        (
            {"mirror_joints": (ANYMAL.mirror_joints[0], np.arange(12.0))},
            "expected 1 or -1, the same for the two joints of a pair",
        ),
        ({"mirror_feet_front_back": None}, "must be given both or not at all"),
        ({"self_collision": (("LF_FOOT", "LF_FOOT"),)}, "expected two different geoms"),
        ({"control_period_s": 0.012}, "0.012 s is not a multiple of the physics step 0.0025 s"),
    ],
)
def test_wrong_numbers_are_refused(changes, message):
    with pytest.raises(SettingsError, match=message):
        replace(ANYMAL, **changes)
