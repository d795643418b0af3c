import numpy as np
import pytest

from legged_skills.robots.rotations import from_yaw
from legged_skills.sim2real.deploy.states import State
from legged_skills.sim2real.terrain import floor_period_m
from legged_skills.sim2real.twin.ball import TwinBall
from legged_skills.sim2real.twin.twin import Twin, TwinConfig
from legged_skills.sim2real.twin.view import positions


def _twin(gap: str = "none", path=None) -> Twin:
    return Twin(TwinConfig(robot="anymal_c", gap=gap, ball=True, seed=2), path)


def test_pictures_show_ball_and_target_from_the_robot():
    twin = _twin()
    ball = twin.ball
    assert isinstance(ball, TwinBall)
    twin.robot.sim.qpos[0, 3:7] = from_yaw(np.array(0.5 * np.pi))
    ball.set_target(np.array([0.0, 3.0]))
    pictures = [sent.picture for sent in (twin.cycle() for _ in range(40)) if sent.picture]
    # 30 a second, in 0.2 s.
    assert len(pictures) == 6
    assert pictures[-1].age_s == 0.0
    # The robot looks along y: the ball 0.8 m along x is to its right, the target ahead.
    assert pictures[-1].ball is not None
    np.testing.assert_allclose(pictures[-1].ball, [0.0, -0.8], atol=0.03)
    np.testing.assert_allclose(pictures[-1].target, [3.0, 0.0], atol=0.05)


def test_a_ball_out_of_range_is_not_found_and_a_far_target_is_drawn_in():
    twin = _twin()
    assert twin.ball is not None
    twin.robot.sim.objects_qpos[0, 0] = 7.0
    twin.ball.set_target(np.array([8.0, 0.0]))
    pictures = [sent.picture for sent in (twin.cycle() for _ in range(20)) if sent.picture]
    assert pictures
    assert pictures[-1].ball is None
    np.testing.assert_allclose(pictures[-1].target, [6.0, 0.0], atol=0.01)


def test_the_target_goes_its_way_from_where_it_was_put():
    twin = _twin(path=lambda t: np.array([2.0 * t, -t]))
    ball = twin.ball
    assert ball is not None
    twin.cycle()
    # It waits for the policy.
    np.testing.assert_allclose(ball.target_w, [0.8, 0.0], atol=1e-9)
    twin.told(State.POLICY)
    for _ in range(20):
        twin.cycle()
    np.testing.assert_allclose(ball.target_w, [0.8 + 0.2, -0.1], atol=1e-9)
    ball.set_target(np.array([1.0, 1.0]))
    for _ in range(20):
        twin.cycle()
    np.testing.assert_allclose(ball.target_w, [1.2, 0.9], atol=1e-9)


def test_the_gap_makes_pictures_late_noisy_and_some_missing():
    twin = _twin("full")
    assert twin.ball is not None
    factors = twin.robot.factors
    pictures = [sent.picture for sent in (twin.cycle() for _ in range(600)) if sent.picture]
    delay_s = factors["camera_delay_s"][0, 0]
    assert delay_s > 0.025
    assert pictures[0].age_s == pytest.approx(delay_s, abs=0.0026)
    # 3 s are 90 pictures without those that are lost.
    share = 1.0 - factors["camera_drop_rate"][0, 0]
    assert len(pictures) == pytest.approx(90 * share, abs=12)
    seen = np.array([p.ball for p in pictures if p.ball is not None])
    assert 0.002 < seen[:, 1].std() < 0.2


def test_reset_puts_the_ball_back():
    twin = _twin()
    assert twin.ball is not None
    height = twin.ball.pos_w[2]
    twin.robot.sim.objects_qvel[0, 0] = 2.0
    for _ in range(40):
        twin.cycle()
    assert twin.ball.pos_w[0] > 1.0
    twin.reset()
    np.testing.assert_allclose(twin.ball.pos_w, [0.8, 0.0, height], atol=1e-6)
    assert height == pytest.approx(0.11, abs=1e-3)


def test_neither_robot_nor_ball_comes_to_the_end_of_a_rough_floor():
    twin = _twin()
    assert twin.ball is not None
    robot, period = twin.robot, floor_period_m(twin.robot.gap)
    before, ball_before = robot.pos_w, twin.ball.pos_w
    x = 0.5 * period - 0.001
    robot.sim.qpos[0, 0] = robot.sim.objects_qpos[0, 0] = x
    robot.sim.qvel[0, 0] = 1.0
    robot.sim.objects_qvel[0, 0] = 1.0
    places = []
    for _ in range(12):
        twin.cycle()
        assert abs(robot.sim.qpos[0, 0]) <= 0.5 * period + 0.01
        places.append([*robot.truth().pos_w[:2], *twin.ball.pos_w[:2]])
    # The physics is a period behind, and nothing that is told of it is.
    assert robot.sim.qpos[0, 0] < -0.4 * period
    assert robot.sim.objects_qpos[0, 0] < -0.4 * period
    steps = np.diff(places, axis=0)
    assert (steps[:, [0, 2]] > 0.0).all() and (np.abs(steps) < 0.01).all()
    assert places[-1][0] > x and places[-1][2] > x
    assert positions(twin)[0] == places[-1][0]
    twin.reset()
    np.testing.assert_allclose(robot.pos_w, before, atol=1e-6)
    np.testing.assert_allclose(twin.ball.pos_w, ball_before, atol=1e-6)
