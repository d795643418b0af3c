"""Feet against MuJoCo's sites, and heights over the floor by hand."""

import mujoco
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots import rotations
from legged_skills.robots.feet import Feet
from legged_skills.robots.kinematics import Kinematics
from legged_skills.robots.spec import RobotSpec


@pytest.fixture(params=robots.names())
def spec(request: pytest.FixtureRequest) -> RobotSpec:
    return robots.get(request.param)


def _random_qpos(spec: RobotSpec, frames: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    quat = rotations.normalize(rng.standard_normal((frames, 4)))
    joints = rng.uniform(spec.joint_lower, spec.joint_upper, (frames, spec.num_joints))
    return np.hstack([rng.uniform(-1, 1, (frames, 3)), quat, joints])


def _sites(spec: RobotSpec, qpos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places (T, F, 3) and orientations (T, F, 3, 3) of the feet's sites by MuJoCo."""
    model = spec.model()
    data = mujoco.MjData(model)
    places = np.empty((len(qpos), spec.num_feet, 3))
    turns = np.empty((len(qpos), spec.num_feet, 3, 3))
    for t, pose in enumerate(qpos):
        data.qpos[:] = pose
        mujoco.mj_kinematics(model, data)
        places[t] = [data.site(name).xpos for name in spec.foot_sites]
        turns[t] = [data.site(name).xmat.reshape(3, 3) for name in spec.foot_sites]
    return places, turns


def test_points_are_where_the_sites_have_them(spec: RobotSpec) -> None:
    model = spec.model()
    kinematics, feet = Kinematics(model), Feet.of(model, spec)
    qpos = _random_qpos(spec, 20)
    poses = kinematics.poses(qpos)
    places, turns = _sites(spec, qpos)
    np.testing.assert_allclose(kinematics.points(poses, feet.centres), places, atol=1e-9)
    for points, local in ((feet.meeting, spec.foot_points_f), (feet.handles, feet.handles_f)):
        expected = places[:, :, None] + np.einsum("tfij,fsj->tfsi", turns, local)
        found = kinematics.points(poses, points)
        np.testing.assert_allclose(found, expected.reshape(found.shape), atol=1e-9)
    # The lowest of all points that meet the floor, less the ball's radius.
    lowest = (places[:, :, None] + np.einsum("tfij,fsj->tfsi", turns, spec.foot_points_f))[..., 2]
    np.testing.assert_allclose(
        feet.floor_distance(kinematics, poses), lowest.min(axis=2) - spec.foot_radius_m, atol=1e-9
    )


def test_handle_targets_are_where_the_handles_are(spec: RobotSpec) -> None:
    model = spec.model()
    kinematics, feet = Kinematics(model), Feet.of(model, spec)
    qpos = _random_qpos(spec, 10)
    places, turns = _sites(spec, qpos)
    targets = feet.handle_targets(places, rotations.from_matrix(turns))
    found = kinematics.points(kinematics.poses(qpos), feet.handles)
    if feet.has_soles:
        np.testing.assert_allclose(targets, found, atol=1e-9)
    else:  # a ball's only handle is its centre, however it is turned
        np.testing.assert_allclose(targets, places, atol=1e-12)


def test_a_robot_that_stands_has_its_feet_on_the_floor(spec: RobotSpec) -> None:
    model = spec.model()
    kinematics, feet = Kinematics(model), Feet.of(model, spec)
    qpos = np.tile(spec.home_qpos, (3, 1))
    qpos[1, 2] += 0.1
    qpos[2, 2] -= 0.02
    distance = feet.floor_distance(kinematics, kinematics.poses(qpos))
    np.testing.assert_allclose(distance, np.tile([[0.0], [0.1], [-0.02]], spec.num_feet), atol=2e-4)


def test_handles_of_balls_and_soles() -> None:
    anymal, op3 = (robots.get(name) for name in ("anymal_c", "op3"))
    balls, soles = (Feet.of(robot.model(), robot) for robot in (anymal, op3))
    assert (balls.has_soles, balls.handles_per_foot) == (False, 1)
    assert (soles.has_soles, soles.handles_per_foot) == (True, 3)
    np.testing.assert_array_equal(balls.handles_f, np.zeros((4, 1, 3)))
    # Three points of a sole, as far out as its toe and its sides, around its middle.
    for handles, points in zip(soles.handles_f, soles.points_f, strict=True):
        middle = points.mean(axis=0)
        half = 0.5 * np.ptp(points, axis=0)
        np.testing.assert_allclose(handles.mean(axis=0), middle, atol=1e-12)
        assert handles[:, 0].max() == pytest.approx(middle[0] + half[0])
        assert np.ptp(handles[:, 1]) == pytest.approx(2 * half[1])
        # They span a plane: turning about any axis moves at least one of them.
        assert np.linalg.matrix_rank(handles[1:] - handles[0]) == 2


def test_height_of_a_tilted_sole_by_hand() -> None:
    spec = robots.get("op3")
    feet = Feet.of(spec.model(), spec)
    angle = 0.3
    flat = rotations.identity((1, 2))
    np.testing.assert_allclose(feet.standing_height(flat), 0.0, atol=1e-12)
    np.testing.assert_allclose(
        feet.standing_height(rotations.from_yaw(np.full((1, 2), 1.2))), 0.0, atol=1e-12
    )
    # On its toe, or its heel: half of the sole, 63.5 mm, times the sine.
    for sign in (-1.0, 1.0):
        tilted = rotations.from_axis_angle(np.array([0.0, 1.0, 0.0]), np.full((1, 2), sign * angle))
        np.testing.assert_allclose(feet.standing_height(tilted), 0.0635 * np.sin(angle), atol=1e-9)
        # Rolled onto a side: 39 mm.
        rolled = rotations.from_axis_angle(np.array([1.0, 0.0, 0.0]), np.full((1, 2), sign * angle))
        np.testing.assert_allclose(feet.standing_height(rolled), 0.039 * np.sin(angle), atol=1e-9)


def test_a_ball_stands_at_its_radius_however_it_is_turned() -> None:
    spec = robots.get("anymal_c")
    feet = Feet.of(spec.model(), spec)
    quats = rotations.normalize(np.random.default_rng(1).standard_normal((7, 4, 4)))
    np.testing.assert_allclose(feet.standing_height(quats), 0.03, atol=1e-12)


def test_a_sole_at_its_standing_height_just_touches_the_floor() -> None:
    # The two computations, from an orientation and from a pose of the robot, agree.
    spec = robots.get("op3")
    model = spec.model()
    kinematics, feet = Kinematics(model), Feet.of(model, spec)
    qpos = _random_qpos(spec, 30)
    places, turns = _sites(spec, qpos)
    height = feet.standing_height(rotations.from_matrix(turns))
    distance = feet.floor_distance(kinematics, kinematics.poses(qpos))
    np.testing.assert_allclose(distance, places[..., 2] - height, atol=1e-9)
