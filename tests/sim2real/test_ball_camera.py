import numpy as np
import pytest

from legged_skills.robots import rotations
from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.ball_camera import (
    BallCamera,
    CameraConfig,
    in_heading_frame,
    within,
)

STEP_S = 0.02


def _camera(n: int = 1, max_delay_s: float = 0.1, **config: float) -> BallCamera:
    """A camera that takes a picture in each step, if it is not told otherwise."""
    settings: dict[str, float] = {"period_s": STEP_S, "noise_m": 0.0, "noise_share": 0.0}
    camera = BallCamera(CameraConfig(**settings | config), n, STEP_S, max_delay_s)
    camera.reset(np.arange(n), np.zeros((n, 2)), np.zeros((n, 2)), np.random.default_rng(1))
    return camera


def _line(t: int, n: int = 1) -> np.ndarray:
    """(n, 2) a ball that moves by 0.5 m/s forward, 0.25 m/s to the right."""
    return np.tile(STEP_S * t * np.array([0.5, -0.25]), (n, 1))


def test_what_is_told_is_late():
    camera, rng = _camera(2), np.random.default_rng(0)
    camera.set_factors(np.arange(2), np.array([0.0, 0.06]), np.zeros(2), np.zeros(2))
    for t in range(1, 11):
        camera.step(_line(t, 2), 2.0 * _line(t, 2), rng)
    np.testing.assert_allclose(camera.ball, [_line(10)[0], _line(7)[0]], atol=1e-6)
    np.testing.assert_allclose(camera.target, [2 * _line(10)[0], 2 * _line(7)[0]], atol=1e-6)
    np.testing.assert_allclose(camera.told_age, [0.0, 0.06], atol=1e-7)


def test_pictures_come_at_their_rate():
    camera, rng = _camera(period_s=0.05), np.random.default_rng(0)
    ages = []
    for t in range(200):
        camera.step(_line(t), _line(t), rng)
        ages.append(float(camera.told_age[0]))
        if t > 3:
            taken = t - round(ages[-1] / STEP_S)
            np.testing.assert_allclose(camera.ball, _line(taken), atol=1e-5)
    # 20 pictures a second in steps of 20 ms: every second or third step.
    assert np.sum(np.array(ages) == 0.0) == pytest.approx(80, abs=1)
    assert max(ages[3:]) == pytest.approx(0.04)


def test_lost_pictures_age():
    n, rng = 2000, np.random.default_rng(0)
    camera = _camera(n, max_age_s=0.08)
    camera.set_factors(np.arange(n), np.zeros(n), np.zeros(n), np.full(n, 0.4))
    for t in range(1, 21):
        camera.step(_line(t, n), _line(t, n), rng)
    age = np.rint(camera.age / STEP_S).astype(int)
    # Geometric: 0.6, 0.24, 0.096, ...
    np.testing.assert_allclose(np.bincount(age)[:3] / n, [0.6, 0.24, 0.096], atol=0.03)
    np.testing.assert_allclose(camera.ball, STEP_S * (20 - age)[:, None] * [0.5, -0.25], atol=1e-5)
    assert camera.told_age.max() == np.float32(0.08) < camera.age.max()


def test_a_far_ball_is_not_found_and_a_far_target_is_drawn_in():
    camera, rng = _camera(range_m=2.0), np.random.default_rng(0)
    camera.step(np.array([[1.0, 1.0]]), np.array([[1.0, 1.0]]), rng)
    for _ in range(5):
        camera.step(np.array([[3.0, 0.0]]), np.array([[-3.0, 4.0]]), rng)
    np.testing.assert_allclose(camera.ball, [[1.0, 1.0]])
    np.testing.assert_allclose(camera.told_age, 0.1, atol=1e-6)
    np.testing.assert_allclose(camera.target, [[-1.2, 1.6]], atol=1e-6)
    camera.step(np.array([[1.5, 0.0]]), np.array([[0.0, 0.0]]), rng)
    np.testing.assert_allclose(camera.ball, [[1.5, 0.0]])
    np.testing.assert_allclose(camera.told_age, 0.0)


def test_noise_grows_with_distance():
    n, rng = 4000, np.random.default_rng(0)
    camera = _camera(n, noise_m=0.01, noise_share=0.03)
    camera.set_factors(np.arange(n), np.zeros(n), np.full(n, 1.5), np.zeros(n))
    camera.step(np.zeros((n, 2)), np.tile([0.0, 2.0], (n, 1)), rng)
    np.testing.assert_allclose(camera.ball.std(axis=0), 0.015, rtol=0.05)
    np.testing.assert_allclose(camera.target.std(axis=0), 1.5 * 0.07, rtol=0.05)
    np.testing.assert_allclose(camera.target.mean(axis=0), [0.0, 2.0], atol=0.01)


def test_velocity_is_an_average():
    camera, rng = _camera(2, smoothing_s=0.1), np.random.default_rng(0)
    camera.set_factors(np.arange(2), np.zeros(2), np.zeros(2), np.array([0.0, 0.5]))
    camera.step(_line(1, 2), _line(1, 2), rng)
    # One step of 20 ms: a weight of 0.02 / (0.02 + 0.1).
    np.testing.assert_allclose(camera.velocity[0], np.array([0.5, -0.25]) / 6.0, rtol=1e-4)
    for t in range(2, 120):
        camera.step(_line(t, 2), _line(t, 2), rng)
    np.testing.assert_allclose(camera.velocity, np.tile([0.5, -0.25], (2, 1)), rtol=1e-3)


def test_exact_restore():
    def make() -> BallCamera:
        camera = _camera(3, period_s=0.033, noise_m=0.01)
        factors = np.array([0.0, 0.05, 0.1]), np.ones(3), np.full(3, 0.3)
        camera.set_factors(np.arange(3), *factors)
        return camera

    one, other = make(), make()
    rngs = [np.random.default_rng(0), np.random.default_rng(9)]
    for t in range(7):
        one.step(_line(t, 3), _line(t, 3), rngs[0])
    other.restore({name: array.copy() for name, array in one.state().items()})
    rngs[1].bit_generator.state = rngs[0].bit_generator.state
    for t in range(7, 20):
        for camera, rng in zip((one, other), rngs, strict=True):
            camera.step(_line(t, 3), _line(t, 3), rng)
    for name, array in one.state().items():
        np.testing.assert_array_equal(array, other.state()[name])


def test_within():
    points = np.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    np.testing.assert_allclose(within(points, 1.0), [[0.6, 0.8], [0.3, 0.4], [0.0, 0.0]])


def test_unusable_settings():
    with pytest.raises(SettingsError, match="period_s is 0"):
        CameraConfig(period_s=0.0)


def test_the_frame_of_the_heading_leaves_pitch_out():
    left = rotations.from_yaw(np.array([0.5 * np.pi]))
    pitch = rotations.from_axis_angle(np.array([0.0, 1.0, 0.0]), np.array([0.3]))
    seen = in_heading_frame(rotations.multiply(left, pitch), np.array([[[0.0, 2.0], [1.0, 0.0]]]))
    np.testing.assert_allclose(seen, [[[2.0, 0.0], [0.0, -1.0]]], atol=1e-6)


def test_velocity_is_that_of_the_ball_however_late_pictures_are():
    camera, rng = _camera(smoothing_s=0.1), np.random.default_rng(0)
    camera.set_factors(np.arange(1), np.array([0.06]), np.zeros(1), np.zeros(1))
    for t in range(1, 120):
        camera.step(_line(t), _line(t), rng)
    np.testing.assert_allclose(camera.velocity[0], [0.5, -0.25], rtol=1e-3)


def test_a_ball_that_jumps_is_not_believed_to_be_that_fast():
    camera, rng = _camera(smoothing_s=0.1), np.random.default_rng(0)
    camera.step(np.array([[1.0, -1.0]]), np.zeros((1, 2)), rng)
    # At most 5 m/s, of which a step of 20 ms takes 1/6.
    np.testing.assert_allclose(camera.velocity[0], np.array([5.0, -5.0]) / 6.0, rtol=1e-5)
