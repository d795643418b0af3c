"""Inverse kinematics of many frames at once."""

from dataclasses import replace

import numpy as np
import pytest

from legged_skills.mocap.solve import PoseProblem, solve_poses
from legged_skills.robots import rotations
from legged_skills.robots.kinematics import BodyPoints, Kinematics, site_points
from legged_skills.robots.spec import RobotSpec

CORNERS = np.array([[0.3, 0.2, 0.0], [0.3, -0.2, 0.0], [-0.3, 0.2, 0.0], [-0.3, -0.2, 0.1]])


@pytest.fixture
def problem(spec: RobotSpec) -> PoseProblem:
    model = spec.model()
    kinematics = Kinematics(model)
    feet = site_points(model, spec.foot_sites)
    return PoseProblem(
        kinematics=kinematics,
        points=BodyPoints(
            np.concatenate([np.full(4, kinematics.root_body), feet.body_ids]),
            np.concatenate([CORNERS, feet.offsets_b]),
        ),
        weights=np.ones(8),
        rest=spec.default_joint_pos,
        pull=0.0,
        lower=spec.joint_lower,
        upper=spec.joint_upper,
    )


def _random_poses(spec: RobotSpec, frames: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    qpos = np.tile(spec.home_qpos, (frames, 1))
    qpos[:, :3] += rng.normal(scale=0.2, size=(frames, 3))
    qpos[:, 3:7] = rotations.from_rotvec(rng.normal(scale=0.3, size=(frames, 3)))
    qpos[:, 7:] += rng.uniform(-0.35, 0.35, size=(frames, 12))
    return qpos


def _points(problem: PoseProblem, qpos: np.ndarray) -> np.ndarray:
    return problem.kinematics.points(problem.kinematics.poses(qpos), problem.points)


def test_finds_the_poses_that_made_the_targets(problem: PoseProblem, spec: RobotSpec) -> None:
    # More frames than a batch, so that the seams are seen too.
    truth = _random_poses(spec, 700)
    start = np.tile(spec.home_qpos, (700, 1))
    before = start.copy()
    exact = replace(problem, tolerance=1e-7, iterations=60)
    found = solve_poses(exact, start, _points(problem, truth))
    np.testing.assert_allclose(found[:, :3], truth[:, :3], atol=1e-6)
    np.testing.assert_allclose(found[:, 7:], truth[:, 7:], atol=1e-5)
    turned = rotations.multiply(rotations.conjugate(found[:, 3:7]), truth[:, 3:7])
    np.testing.assert_allclose(rotations.to_rotvec(turned), 0, atol=1e-6)
    np.testing.assert_array_equal(start, before)


def test_joint_limits_hold_and_the_rest_still_fits(problem: PoseProblem, spec: RobotSpec) -> None:
    truth = _random_poses(spec, 50)
    # The true left fore HAA is beyond a limit that is drawn in here.
    lower, upper = spec.joint_lower.copy(), spec.joint_upper.copy()
    truth[:, 7] = 0.3
    upper[0] = 0.1
    limited = replace(problem, lower=lower, upper=upper, iterations=60)
    found = solve_poses(limited, np.tile(spec.home_qpos, (50, 1)), _points(problem, truth))
    assert np.all(found[:, 7:] <= upper) and np.all(found[:, 7:] >= lower)
    np.testing.assert_allclose(found[:, 7], 0.1)
    # At the limit nothing else gets better: the gradient is zero in every other direction.
    jacobian = limited.kinematics.jacobian(
        limited.kinematics.poses(found), limited.points, _points(limited, found)
    ).reshape(50, -1, 18)
    residual = (_points(limited, found) - _points(problem, truth)).reshape(50, -1, 1)
    gradient = (jacobian.swapaxes(1, 2) @ residual)[..., 0]
    np.testing.assert_allclose(np.delete(gradient, 6, axis=1), 0, atol=1e-5)


def test_targets_out_of_reach_do_no_harm(problem: PoseProblem, spec: RobotSpec) -> None:
    targets = _points(problem, np.tile(spec.home_qpos, (3, 1)))
    targets[:, 4] += [0.0, 0.0, -1.0]
    found = solve_poses(problem, np.tile(spec.home_qpos, (3, 1)), targets)
    assert np.all(np.isfinite(found))
    assert np.all(found[:, 7:] >= spec.joint_lower) and np.all(found[:, 7:] <= spec.joint_upper)
    start = np.sum((_points(problem, np.tile(spec.home_qpos, (3, 1))) - targets) ** 2)
    assert np.sum((_points(problem, found) - targets) ** 2) < start


def test_the_pull_decides_what_the_targets_leave_open(
    problem: PoseProblem, spec: RobotSpec
) -> None:
    # Without feet, nothing but the pull says where the legs are.
    base = replace(
        problem,
        points=BodyPoints(problem.points.body_ids[:4], problem.points.offsets_b[:4]),
        weights=np.ones(4),
        pull=0.01,
    )
    start = _random_poses(spec, 5)
    found = solve_poses(base, start, _points(base, np.tile(spec.home_qpos, (5, 1))))
    np.testing.assert_allclose(found[:, 7:], np.tile(spec.default_joint_pos, (5, 1)), atol=1e-4)


def test_weights_may_differ_from_frame_to_frame(problem: PoseProblem, spec: RobotSpec) -> None:
    # A foot is asked for 1 m below the floor, in the second frame with hardly any weight.
    start = np.tile(spec.home_qpos, (2, 1))
    targets = _points(problem, start)
    targets[:, 4, 2] -= 1.0
    weights = np.ones((2, 8))
    weights[1, 4] = 1e-4
    found = solve_poses(replace(problem, weights=weights), start, targets)
    sunk = spec.home_qpos[2] - found[:, 2]
    assert sunk[0] > 0.05 and sunk[1] < 1e-3
    # The same as each frame by itself.
    alone = solve_poses(replace(problem, weights=weights[1]), start[1:], targets[1:])
    np.testing.assert_allclose(found[1:], alone, atol=1e-9)
