"""What a mapping names on a robot, in its model."""

import math

import numpy as np
import pytest

from legged_skills.mocap.mapping import mapping_for
from legged_skills.mocap.robot_points import RobotPoints
from legged_skills.robots.kinematics import Kinematics
from legged_skills.robots.spec import RobotSpec


def test_robot_points_of_op3(op3: RobotSpec, human) -> None:
    robot = RobotPoints.of(op3, mapping_for(human.motion, op3))
    # Thigh and shank, with the knee at its least bend of 0.05 rad; the ankle 30.5 mm over the sole.
    reach = math.sqrt(0.11015**2 + 0.11**2 + 2 * 0.11015 * 0.11 * math.cos(0.05))
    np.testing.assert_allclose(robot.reach_m, reach, atol=1e-6)
    assert robot.straight_leg_m == pytest.approx(reach + 0.0305, abs=1e-4)
    assert len(robot.weights) == 4 + 6
    assert robot.weights[4:].sum() == pytest.approx(2 * robot.foot_weight)
    # Ankles are over the soles, and 24 mm behind their middles by the links' shapes.
    np.testing.assert_allclose(robot.ankles_f[:, 2], 0.0305, atol=1e-4)
    assert np.ptp(robot.ankles_f[:, 0]) < 1e-9


def test_robot_points_of_anymal(spec: RobotSpec, dog) -> None:
    robot = RobotPoints.of(spec, mapping_for(dog.motion, spec))
    kinematics = Kinematics(spec.model())
    # No leg reaches farther than it says, whatever the joints, and some nearly so.
    rng = np.random.default_rng(0)
    qpos = np.tile(spec.home_qpos, (3000, 1))
    qpos[:, 7:] = rng.uniform(spec.joint_lower, spec.joint_upper, (3000, 12))
    poses = kinematics.poses(qpos)
    legs = kinematics.points(poses, robot.ankles) - kinematics.points(poses, robot.hips)
    length = np.linalg.norm(legs, axis=-1)
    assert np.all(length.max(axis=0) <= robot.reach_m + 1e-9)
    np.testing.assert_allclose(length.max(axis=0), robot.reach_m, rtol=1e-3)
    # A ball is its own ankle.
    np.testing.assert_array_equal(robot.ankles_f, np.zeros((4, 3)))
    np.testing.assert_array_equal(robot.ankles.body_ids, robot.feet.centres.body_ids)


def test_points_and_weights_are_in_one_order(op3: RobotSpec, human) -> None:
    mapping = mapping_for(human.motion, op3)
    robot = RobotPoints.of(op3, mapping)
    offsets = np.arange(12.0).reshape(4, 3)
    points = robot.all_points(offsets)
    np.testing.assert_array_equal(points.offsets_b[:4], offsets)
    np.testing.assert_array_equal(points.body_ids[:4], op3.model().body("body_link").id)
    np.testing.assert_array_equal(points.offsets_b[4:], robot.feet.handles.offsets_b)
    np.testing.assert_allclose(robot.weights[:4], [m.weight for m in mapping.body_markers])
