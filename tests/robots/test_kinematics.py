"""Batched kinematics against MuJoCo's own, and against finite differences."""

import mujoco
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots import rotations
from legged_skills.robots.kinematics import BodyPoints, Kinematics, site_points

# A tree with what ANYmal C lacks: turned bodies, hinges away from the body's origin, two
# hinges in one body, a joint zero that is not 0, a body without a joint.
TREE = """
<mujoco>
  <worldbody>
    <body name="fixed" pos="1 2 3"/>
    <body name="root" pos="0 0 1">
      <freejoint/>
      <geom size="0.1"/>
      <body name="a" pos="0.1 0.2 0.3" quat="0.5 0.5 -0.5 0.5">
        <joint name="a1" axis="1 2 3" pos="0.02 -0.05 0.04"/>
        <joint name="a2" axis="0 1 0" ref="0.3"/>
        <geom size="0.1"/>
        <body name="b" pos="-0.2 0 0.1">
          <geom size="0.1"/>
          <body name="c" pos="0 0.3 0" quat="1 0.2 0 0">
            <joint name="c1" axis="0 0 -1" pos="0.1 0 0"/>
            <geom size="0.1"/>
            <site name="tip" pos="0.1 0.2 -0.3"/>
          </body>
        </body>
      </body>
      <body name="d" pos="0 -0.2 0">
        <joint name="d1" axis="1 0 0"/>
        <geom size="0.1"/>
      </body>
    </body>
  </worldbody>
</mujoco>
"""


def _models() -> dict[str, mujoco.MjModel]:
    return {
        **{name: robots.get(name).model() for name in robots.names()},
        "tree": mujoco.MjModel.from_xml_string(TREE),
    }


def _random_qpos(rng: np.random.Generator, model: mujoco.MjModel, frames: int) -> np.ndarray:
    qpos = rng.normal(size=(frames, model.nq))
    qpos[:, 3:7] = rotations.normalize(qpos[:, 3:7])
    return qpos


def _a_point_on_each_body(rng: np.random.Generator, model: mujoco.MjModel) -> BodyPoints:
    return BodyPoints(np.arange(model.nbody), rng.normal(size=(model.nbody, 3)))


@pytest.mark.parametrize("name", [*robots.names(), "tree"])
def test_poses_and_jacobian_equal_mujoco(name: str) -> None:
    rng = np.random.default_rng(0)
    model = _models()[name]
    data = mujoco.MjData(model)
    kinematics = Kinematics(model)
    qpos = _random_qpos(rng, model, 20)
    points = _a_point_on_each_body(rng, model)
    poses = kinematics.poses(qpos)
    points_w = kinematics.points(poses, points)
    jacobian = kinematics.jacobian(poses, points, points_w)
    for t in range(len(qpos)):
        data.qpos[:] = qpos[t]
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        np.testing.assert_allclose(poses.body_pos_w[:, t], data.xpos, atol=1e-9)
        matrices = rotations.to_matrix(poses.body_quat_w[:, t]).reshape(-1, 9)
        np.testing.assert_allclose(matrices, data.xmat, atol=1e-9)
        root = data.xmat[kinematics.root_body].reshape(3, 3)
        for i, body in enumerate(points.body_ids):
            expected = np.zeros((3, model.nv))
            mujoco.mj_jac(model, data, expected, None, points_w[t, i], body)
            # MuJoCo's turn is about the axes of the root body, ours about the world's.
            expected[:, 3:6] = expected[:, 3:6] @ root.T
            np.testing.assert_allclose(jacobian[t, i], expected, atol=1e-9)


@pytest.mark.parametrize("name", [*robots.names(), "tree"])
def test_jacobian_equals_central_differences(name: str) -> None:
    rng = np.random.default_rng(1)
    model = _models()[name]
    kinematics = Kinematics(model)
    qpos = _random_qpos(rng, model, 5)
    points = _a_point_on_each_body(rng, model)
    poses = kinematics.poses(qpos)
    jacobian = kinematics.jacobian(poses, points, kinematics.points(poses, points))
    step = 1e-6
    for column in range(kinematics.num_dofs):
        delta = np.zeros((len(qpos), kinematics.num_dofs))
        delta[:, column] = step
        ahead = kinematics.points(kinematics.poses(kinematics.integrate(qpos, delta)), points)
        behind = kinematics.points(kinematics.poses(kinematics.integrate(qpos, -delta)), points)
        # Error of central differences: step^2 of truncation, 1e-16 / step of rounding.
        np.testing.assert_allclose(jacobian[..., column], (ahead - behind) / (2 * step), atol=1e-8)


def test_movers_are_the_joints_above() -> None:
    model = _models()["tree"]
    kinematics = Kinematics(model)
    expected = {
        "world": [],
        "fixed": [],
        "root": [],
        "a": ["a1", "a2"],
        "b": ["a1", "a2"],
        "c": ["a1", "a2", "c1"],
        "d": ["d1"],
    }
    joints = [model.joint(i + 1).name for i in range(kinematics.num_joints)]
    for body, movers in expected.items():
        found = kinematics.movers(np.array([model.body(body).id]))
        assert [name for name, moves in zip(joints, found, strict=True) if moves] == movers
    both = kinematics.movers(np.array([model.body("b").id, model.body("d").id]))
    assert [name for name, moves in zip(joints, both, strict=True) if moves] == ["a1", "a2", "d1"]
    assert kinematics.movers(np.zeros(0, dtype=int)).tolist() == [False] * 4


@pytest.mark.parametrize("name", [*robots.names(), "tree"])
def test_movers_are_the_columns_of_the_jacobian(name: str) -> None:
    rng = np.random.default_rng(4)
    model = _models()[name]
    kinematics = Kinematics(model)
    points = _a_point_on_each_body(rng, model)
    poses = kinematics.poses(_random_qpos(rng, model, 3))
    jacobian = kinematics.jacobian(poses, points, kinematics.points(poses, points))
    moves = np.any(np.abs(jacobian[..., 6:]) > 1e-12, axis=(0, 2))
    for body in range(model.nbody):
        np.testing.assert_array_equal(kinematics.movers(np.array([body])), moves[body])


def test_steps_leave_quaternions_of_length_one() -> None:
    kinematics = Kinematics(_models()["tree"])
    qpos = np.array([[1.0, 2, 3, 2, 0, 0, 0, 0.1, 0.2, 0.3, 0.4]])
    step = np.array([[0.5, 0, 0, 0, 0, np.pi / 2, 1.0, 0, 0, -1.0]])
    half = np.sqrt(0.5)
    np.testing.assert_allclose(
        kinematics.integrate(qpos, step), [[1.5, 2, 3, half, 0, 0, half, 1.1, 0.2, 0.3, -0.6]]
    )


def test_site_points_are_where_mujoco_has_them() -> None:
    spec = robots.get("anymal_c")
    model = spec.model()
    data = mujoco.MjData(model)
    kinematics = Kinematics(model)
    data.qpos[:] = spec.home_qpos
    mujoco.mj_kinematics(model, data)
    feet = kinematics.points(
        kinematics.poses(spec.home_qpos[None]), site_points(model, spec.foot_sites)
    )
    expected = [data.site(name).xpos for name in spec.foot_sites]
    np.testing.assert_allclose(feet[0], expected, atol=1e-12)
    with pytest.raises(ValueError, match="no site named 'TAIL'"):
        site_points(model, ("LF_FOOT", "TAIL"))


def test_inputs_are_checked_and_untouched() -> None:
    model = _models()["tree"]
    kinematics = Kinematics(model)
    qpos = _random_qpos(np.random.default_rng(2), model, 3)
    qpos[:, 3:7] *= 2  # a quaternion that is not of length one is read as a direction
    before = qpos.copy()
    poses = kinematics.poses(qpos)
    kinematics.integrate(qpos, np.ones((3, kinematics.num_dofs)))
    np.testing.assert_array_equal(qpos, before)
    np.testing.assert_allclose(np.linalg.norm(poses.body_quat_w, axis=-1), 1, atol=1e-12)
    with pytest.raises(ValueError, match=r"qpos must be \(T, 11\)"):
        kinematics.poses(qpos[:, :-1])
    with pytest.raises(ValueError, match="offsets_b"):
        BodyPoints(np.array([1, 2]), np.zeros((1, 3)))
    with pytest.raises(ValueError, match="one free joint"):
        Kinematics(mujoco.MjModel.from_xml_string("<mujoco/>"))
