import dataclasses

import numpy as np
import pytest

from legged_skills.sim2real.ball_camera import BallCamera, CameraConfig
from legged_skills.sim2real.bundle_header import CommandComponent
from legged_skills.sim2real.deploy.intake import (
    BALL_COMPONENTS,
    BallIntake,
    VelocityIntake,
    intake_for,
)
from legged_skills.sim2real.deploy.snapshot import NEVER, CommandSnapshot

LOW, HIGH = (-0.5, -0.3, -1.0), (1.0, 0.4, 1.2)


def _header(bundle, names, ends):
    components = tuple(
        CommandComponent(name=name, unit="1", low=low, high=high)
        for name, (low, high) in zip(names, ends, strict=True)
    )
    return dataclasses.replace(bundle.header, command=components)


@pytest.fixture
def velocity(bundle):
    names = ("vx", "vy", "yaw_rate")
    return VelocityIntake(_header(bundle, names, zip(LOW, HIGH, strict=True)))


def _read(intake, now=0.0, size=3):
    into = CommandSnapshot(size)
    intake.read(now, into)
    return into


def test_velocity_is_clamped_to_what_was_trained(velocity):
    assert _read(velocity).time_s == NEVER
    velocity.velocity(np.array([0.2, -9.0, 9.0]), 3.0)
    found = _read(velocity)
    np.testing.assert_allclose(found.values, [0.2, -0.3, 1.2])
    assert found.time_s == 3.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_velocity_that_is_no_number_is_counted_and_does_not_refresh(velocity, bad):
    velocity.velocity(np.array([0.2, 0.0, 0.0]), 3.0)
    velocity.velocity(np.array([0.2, bad, 0.0]), 4.0)
    found = _read(velocity)
    assert (found.time_s, velocity.rejected) == (3.0, 1)
    np.testing.assert_allclose(found.values, [0.2, 0.0, 0.0])


def test_joystick_needs_its_button(velocity):
    velocity.joystick(np.array([1.0, 0.0, 0.0]), False, 1.0)
    assert _read(velocity).time_s == NEVER
    velocity.joystick(np.array([1.0, -1.0, 0.5]), True, 2.0)
    found = _read(velocity)
    np.testing.assert_allclose(found.values, [1.0, -0.3, 0.6])
    assert found.time_s == 2.0
    # Letting go asks to stand, at once.
    velocity.joystick(np.array([1.0, -1.0, 0.5]), False, 2.1)
    found = _read(velocity)
    np.testing.assert_array_equal(found.values, np.zeros(3))
    assert found.time_s == 2.1
    velocity.joystick(np.array([1.0, 0.0, 0.0]), False, 2.2)
    assert _read(velocity).time_s == 2.1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_stick_that_says_no_number_is_counted_and_does_not_refresh(velocity, bad):
    velocity.joystick(np.array([0.5, 0.0, 0.0]), True, 3.0)
    velocity.joystick(np.array([bad, 0.0, 0.0]), True, 4.0)
    found = _read(velocity)
    assert (found.time_s, velocity.rejected) == (3.0, 1)
    np.testing.assert_allclose(found.values, [0.5, 0.0, 0.0])


def test_joystick_goes_before_the_topic_while_it_is_held(velocity):
    velocity.joystick(np.array([0.0, 0.0, 0.0]), True, 2.0)
    velocity.velocity(np.array([1.0, 0.0, 0.0]), 2.4)
    assert _read(velocity).time_s == 2.0
    # Nor does silence hand over: the command gets old, and the robot stands.
    velocity.velocity(np.array([1.0, 0.0, 0.0]), 9.0)
    assert _read(velocity).time_s == 2.0
    velocity.forget()
    velocity.velocity(np.array([1.0, 0.0, 0.0]), 9.1)
    assert _read(velocity).time_s == 9.1
    velocity.joystick(np.array([0.0, 0.0, 0.0]), True, 3.0)
    velocity.joystick(np.array([0.0, 0.0, 0.0]), False, 3.1)
    velocity.velocity(np.array([0.5, 0.0, 0.0]), 3.2)
    np.testing.assert_allclose(_read(velocity).values, [0.5, 0.0, 0.0])


def test_which_command_can_be_made(bundle):
    assert isinstance(intake_for(bundle.header, 0.02), VelocityIntake)
    ends = [(-3.0, 3.0)] * 7
    assert isinstance(intake_for(_header(bundle, BALL_COMPONENTS, ends), 0.02), BallIntake)
    assert intake_for(_header(bundle, ("height",), [(0.0, 1.0)]), 0.02) is None


def test_ball_is_told_as_in_training():
    """The same pictures through the camera of the simulation, without errors."""
    config, step, rng = CameraConfig(period_s=0.04), 0.02, np.random.default_rng(0)
    camera = BallCamera(config, 1, step)
    ids = np.array([0])
    camera.set_factors(ids, np.zeros(1), np.zeros(1), np.zeros(1))
    target = np.array([[1.0, -2.0]])
    intake = BallIntake(step, config.range_m, config)
    camera.reset(ids, np.array([[1.0, 0.0]]), target, rng)
    intake.ball(np.array([1.0, 0.0]), 0.0, 10.0)
    intake.target(target[0], 0.0, 10.0)
    compared = 0
    for number in range(1, 60):
        now = 10.0 + step * number
        ball = np.array([[1.0 + 0.8 * step * number, -0.3 * step * number]])
        before = camera.age[0]
        camera.step(ball, target, rng)
        if camera.age[0] <= before:
            intake.ball(ball[0], 0.0, now)
            compared += 1
        found = _read(intake, now, 7)
        np.testing.assert_allclose(found.values[:2], camera.ball[0], atol=1e-5)
        np.testing.assert_allclose(found.values[2:4], camera.velocity[0], atol=1e-4)
        np.testing.assert_allclose(found.values[4], camera.told_age[0], atol=1e-6)
        np.testing.assert_allclose(found.values[5:], camera.target[0], atol=1e-6)
    assert compared > 20
    # The velocity has come near the true one.
    np.testing.assert_allclose(found.values[2:4], [0.8, -0.3], atol=0.01)


def test_pictures_that_come_again_or_were_overtaken_say_nothing():
    once, thrice = BallIntake(0.02, 3.0), BallIntake(0.02, 3.0)
    for number in range(40):
        seen_s, ball = 10.0 + number / 30.0, np.array([0.5 + number / 30.0, 0.0])
        once.ball(ball, 0.05, seen_s + 0.05)
        for late_s in (0.05, 0.06, 0.07):
            thrice.ball(ball, late_s, seen_s + late_s)
        if number:
            # The picture before comes once more.
            thrice.ball(ball - [1.0 / 30.0, 0.0], 0.08 + 1.0 / 30.0, seen_s + 0.08)
    at = seen_s + 0.08
    np.testing.assert_allclose(_read(thrice, at, 7).values, _read(once, at, 7).values, atol=1e-9)
    assert _read(once, at, 7).values[2] == pytest.approx(1.0, abs=0.01)
    assert thrice.rejected == 0


def test_no_ball_is_told_to_be_faster_than_balls_are():
    jumps, fast = BallIntake(0.02, 3.0), BallIntake(0.02, 3.0)
    for intake, way_m in ((jumps, 2.0), (fast, 0.5)):
        intake.ball(np.array([0.5, 0.0]), 0.0, 10.0)
        intake.ball(np.array([0.5 + way_m, 0.0]), 0.0, 10.1)
        intake.target(np.zeros(2), 0.0, 10.1)
    # As one that goes 0.5 m in 0.1 s, at 5 m/s; averaged with a constant of 0.15 s.
    for intake in (jumps, fast):
        assert _read(intake, 10.1, 7).values[2] == pytest.approx(0.4 * 5.0)


def test_age_of_pictures_counts():
    intake = BallIntake(0.02, 3.0)
    intake.ball(np.array([1.0, 0.5]), 0.3, 10.0)
    assert _read(intake, 10.0, 7).time_s == NEVER
    intake.target(np.array([9.0, 0.0]), 0.1, 10.0)
    found = _read(intake, 10.2, 7)
    np.testing.assert_allclose(found.values, [1.0, 0.5, 0.0, 0.0, 0.5, 3.0, 0.0])
    assert found.time_s == pytest.approx(9.7)
    # Ages are told up to the greatest of training.
    assert _read(intake, 60.0, 7).values[4] == 2.0


@pytest.mark.parametrize(
    ("position", "age"),
    [((np.nan, 0.0), 0.0), ((0.0, np.inf), 0.0), ((0.5, 0.0), 2.1), ((0.5, 0.0), -0.2)],
)
def test_positions_that_are_not_believed(position, age):
    intake = BallIntake(0.02, 3.0)
    intake.ball(np.array(position), age, 10.0)
    intake.target(np.array(position), age, 10.0)
    assert intake.rejected == 2
    assert _read(intake, 10.0, 7).time_s == NEVER


def test_ball_out_of_range_is_not_believed():
    intake = BallIntake(0.02, 3.0)
    intake.ball(np.array([3.0, 0.1]), 0.0, 10.0)
    assert intake.rejected == 1
    intake.ball(np.array([3.0, 0.0]), 0.0, 10.0)
    assert intake.rejected == 1
