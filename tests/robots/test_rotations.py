"""Rotations: group axioms, round trips, hand-computed turns, finite differences."""

import math

import numpy as np
import pytest

from legged_skills.robots import rotations

HALF = math.sqrt(0.5)
# A quarter turn about z takes x to y.
QUARTER_Z = np.array([HALF, 0.0, 0.0, HALF])


@pytest.fixture
def q() -> np.ndarray:
    """Random turns, with the identity, half turns and a tiny turn among them, (40, 4)."""
    random = np.random.default_rng(0).normal(size=(32, 4))
    special = np.array(
        [
            [1, 0, 0, 0],
            [-1, 0, 0, 0],
            [0, 1, 0, 0],
            [0, 0, 1, 0],
            [0, 0, 0, 1],
            [1, 1e-9, 0, 0],
            [1, 0, -3e-5, 2e-5],
            [1e-12, 0, HALF, HALF],
        ]
    )
    return rotations.normalize(np.concatenate([random, special]))


@pytest.fixture
def v() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(40, 3))


def assert_same_turn(a: np.ndarray, b: np.ndarray, atol: float = 1e-12) -> None:
    """The same rotations: q and -q are one."""
    signs = np.where(np.sum(a * b, axis=-1, keepdims=True) < 0, -1, 1)
    np.testing.assert_allclose(a, signs * b, atol=atol)


def test_group_axioms(q: np.ndarray) -> None:
    a, b, c = q, q[::-1], np.roll(q, 7, axis=0)
    one = rotations.identity((len(q),))
    product = rotations.multiply(rotations.multiply(a, b), c)
    np.testing.assert_allclose(product, rotations.multiply(a, rotations.multiply(b, c)), atol=1e-14)
    np.testing.assert_allclose(rotations.multiply(a, one), a)
    np.testing.assert_allclose(rotations.multiply(one, a), a)
    np.testing.assert_allclose(rotations.multiply(a, rotations.conjugate(a)), one, atol=1e-14)
    np.testing.assert_allclose(np.linalg.norm(product, axis=-1), 1, atol=1e-14)


def test_rotate_is_an_action_of_the_group(q: np.ndarray, v: np.ndarray) -> None:
    both = rotations.rotate(rotations.multiply(q, q[::-1]), v)
    np.testing.assert_allclose(both, rotations.rotate(q, rotations.rotate(q[::-1], v)), atol=1e-13)
    np.testing.assert_allclose(rotations.rotate_inverse(q, rotations.rotate(q, v)), v, atol=1e-13)
    turned_back = rotations.rotate(rotations.conjugate(q), v)
    np.testing.assert_allclose(rotations.rotate_inverse(q, v), turned_back, atol=1e-13)
    matrices = rotations.to_matrix(q)
    np.testing.assert_allclose(
        rotations.rotate(q, v), (matrices @ v[..., None])[..., 0], atol=1e-13
    )


def test_quarter_turns_by_hand() -> None:
    np.testing.assert_allclose(
        rotations.rotate(QUARTER_Z, np.array([1.0, 2.0, 3.0])), [-2.0, 1.0, 3.0], atol=1e-15
    )
    np.testing.assert_allclose(
        rotations.rotate_inverse(QUARTER_Z, np.array([1.0, 2.0, 3.0])), [2.0, -1.0, 3.0], atol=1e-15
    )
    np.testing.assert_allclose(
        rotations.from_axis_angle(np.array([0.0, 0.0, 1.0]), np.array(math.pi / 2)), QUARTER_Z
    )
    np.testing.assert_allclose(rotations.from_rotvec(np.array([0.0, 0.0, math.pi / 2])), QUARTER_Z)
    np.testing.assert_allclose(rotations.from_yaw(np.array(math.pi / 2)), QUARTER_Z)
    np.testing.assert_allclose(
        rotations.to_matrix(QUARTER_Z), [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-15
    )
    # First a quarter about z, then a quarter about x: x -> y -> z.
    quarter_x = np.array([HALF, HALF, 0.0, 0.0])
    both = rotations.multiply(quarter_x, QUARTER_Z)
    np.testing.assert_allclose(
        rotations.rotate(both, np.array([1.0, 0.0, 0.0])), [0, 0, 1], atol=1e-15
    )


def test_round_trips(q: np.ndarray) -> None:
    rotvec = rotations.to_rotvec(q)
    assert np.all(np.linalg.norm(rotvec, axis=-1) <= math.pi + 1e-12)
    assert_same_turn(rotations.from_rotvec(rotvec), q)
    matrix = rotations.to_matrix(q)
    assert_same_turn(rotations.from_matrix(matrix), q)
    assert np.all(rotations.from_matrix(matrix)[..., 0] >= 0)
    np.testing.assert_allclose(
        matrix @ matrix.swapaxes(-1, -2), np.tile(np.eye(3), (40, 1, 1)), atol=1e-14
    )
    np.testing.assert_allclose(np.linalg.det(matrix), 1, atol=1e-13)


def test_small_angles_are_exact() -> None:
    # Around the switch to the series, rotvec -> quaternion -> rotvec loses nothing.
    angles = np.logspace(-12, 0, 60)
    rotvec = np.stack([0.6 * angles, np.zeros_like(angles), -0.8 * angles], axis=1)
    np.testing.assert_allclose(
        rotations.to_rotvec(rotations.from_rotvec(rotvec)), rotvec, rtol=1e-12
    )


def test_yaw_and_heading() -> None:
    yaw = np.array([-3.0, -1.0, 0.0, 0.5, 3.0])
    np.testing.assert_allclose(rotations.yaw(rotations.from_yaw(yaw)), yaw)
    # Pitching and rolling, in the body's frame, do not change where the nose points.
    pitch = rotations.from_axis_angle(np.array([0.0, 1.0, 0.0]), np.array(0.7))
    roll = rotations.from_axis_angle(np.array([1.0, 0.0, 0.0]), np.array(-1.2))
    tilted = rotations.multiply(rotations.from_yaw(yaw), rotations.multiply(pitch, roll))
    np.testing.assert_allclose(rotations.yaw(tilted), yaw, atol=1e-15)
    np.testing.assert_allclose(rotations.heading(tilted), rotations.from_yaw(yaw), atol=1e-15)
    nose = rotations.rotate(tilted, np.array([1.0, 0.0, 0.0]))
    np.testing.assert_allclose(np.arctan2(nose[:, 1], nose[:, 0]), yaw, atol=1e-15)


def test_slerp(q: np.ndarray) -> None:
    a, b = q, q[::-1]
    assert_same_turn(rotations.slerp(a, b, np.zeros(len(q))), a)
    assert_same_turn(rotations.slerp(a, b, np.ones(len(q))), b)
    # A third of a quarter turn is 30 degrees: half angle 15 degrees.
    third = rotations.slerp(np.array([1.0, 0, 0, 0]), QUARTER_Z, np.array(1 / 3))
    np.testing.assert_allclose(
        third, [math.cos(math.pi / 12), 0, 0, math.sin(math.pi / 12)], atol=1e-15
    )
    # -q is the same turn, so nothing has to move.
    still = rotations.slerp(QUARTER_Z, -QUARTER_Z, np.array(0.5))
    assert_same_turn(still, QUARTER_Z)


def test_align_signs() -> None:
    steady = rotations.from_yaw(np.linspace(0, 6, 50))[:, None] * np.ones((1, 2, 1))
    flipped = steady.copy()
    flipped[10:20, 0] *= -1
    flipped[33, 1] *= -1
    np.testing.assert_array_equal(rotations.align_signs(flipped), steady)
    with pytest.raises(ValueError, match="time axis"):
        rotations.align_signs(QUARTER_Z)


def test_angular_velocity_of_a_steady_turn() -> None:
    # A body pitched by 90 degrees that turns about world z at 2 rad/s: in its own frame, whose x
    # axis points down, that is a turn about -x.
    dt = 0.01
    turn = rotations.from_yaw(2.0 * dt * np.arange(20))
    pitched = rotations.from_axis_angle(np.array([0.0, 1.0, 0.0]), np.array(math.pi / 2))
    q = rotations.multiply(turn, pitched)
    q[5] *= -1
    np.testing.assert_allclose(
        rotations.angular_velocity_w(q, dt), np.tile([0, 0, 2.0], (20, 1)), atol=1e-12
    )
    np.testing.assert_allclose(
        rotations.angular_velocity_b(q, dt), np.tile([-2.0, 0, 0], (20, 1)), atol=1e-12
    )
    with pytest.raises(ValueError, match="two frames"):
        rotations.angular_velocity_w(q[:1], dt)


def test_angular_velocity_is_the_derivative_of_rotate() -> None:
    # d/dt (R v) = omega x (R v), by central differences of a smooth tumble.
    dt = 1e-4
    time = dt * np.arange(-50, 51)
    rotvec = np.stack([np.sin(3 * time), 0.5 * np.cos(2 * time), time + time**2], axis=1)
    q = rotations.from_rotvec(rotvec)
    v_b = np.array([0.3, -1.0, 0.7])
    v_w = rotations.rotate(q, v_b)
    derivative = (v_w[2:] - v_w[:-2]) / (2 * dt)
    omega = rotations.angular_velocity_w(q, dt)[1:-1]
    np.testing.assert_allclose(np.cross(omega, v_w[1:-1]), derivative, atol=1e-6)


def test_angular_velocity_at_the_ends_is_one_sided() -> None:
    # Yaw t^2 at steps of 0.1 s: differences of 0.01, 0.03, 0.05 and 0.07 rad.
    q = rotations.from_yaw((0.1 * np.arange(5)) ** 2)
    yaw_rate = rotations.angular_velocity_w(q, 0.1)[:, 2]
    np.testing.assert_allclose(yaw_rate, [0.1, 0.2, 0.4, 0.6, 0.7], atol=1e-12)


FUNCTIONS = {
    "multiply": lambda q, v: rotations.multiply(q, q[::-1]),
    "conjugate": lambda q, v: rotations.conjugate(q),
    "normalize": lambda q, v: rotations.normalize(q),
    "rotate": rotations.rotate,
    "rotate_inverse": rotations.rotate_inverse,
    "from_rotvec": lambda q, v: rotations.from_rotvec(v),
    "from_axis_angle": lambda q, v: rotations.from_axis_angle(v, v[..., 0]),
    "from_yaw": lambda q, v: rotations.from_yaw(v[..., 0]),
    "to_rotvec": lambda q, v: rotations.to_rotvec(q),
    "to_matrix": lambda q, v: rotations.to_matrix(q),
    "from_matrix": lambda q, v: rotations.from_matrix(rotations.to_matrix(q)),
    "yaw": lambda q, v: rotations.yaw(q),
    "heading": lambda q, v: rotations.heading(q),
    "slerp": lambda q, v: rotations.slerp(q, q[::-1], v[..., 0]),
    "align_signs": lambda q, v: rotations.align_signs(q),
    "angular_velocity_w": lambda q, v: rotations.angular_velocity_w(q, 0.02),
    "angular_velocity_b": lambda q, v: rotations.angular_velocity_b(q, 0.02),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept_and_arguments_are_untouched(
    name: str, dtype: type, q: np.ndarray, v: np.ndarray
) -> None:
    q, v = q.astype(dtype), v.astype(dtype)
    q.flags.writeable = v.flags.writeable = False
    out = FUNCTIONS[name](q, v)
    assert out.dtype == dtype
    assert not np.shares_memory(out, q) and not np.shares_memory(out, v)
    assert np.all(np.isfinite(out))


def test_leading_axes_broadcast(q: np.ndarray) -> None:
    grid = q.reshape(5, 8, 4)
    x = np.array([1.0, 0.0, 0.0])
    assert rotations.rotate(grid, x).shape == (5, 8, 3)
    assert rotations.rotate(q[0], np.ones((6, 3))).shape == (6, 3)
    assert rotations.multiply(grid, q[0]).shape == (5, 8, 4)
    np.testing.assert_array_equal(
        rotations.multiply(grid[:, :1], grid[:1])[2, 3], rotations.multiply(grid[2, 0], grid[0, 3])
    )


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="q must have 4"):
        rotations.rotate(np.zeros(3), np.zeros(3))
    with pytest.raises(ValueError, match="v must have 3"):
        rotations.rotate(np.zeros(4), np.zeros(4))
    with pytest.raises(ValueError, match="a must have 4"):
        rotations.multiply(np.zeros((4, 3)), np.zeros((4, 4)))
    with pytest.raises(ValueError, match="matrix must have 3, 3"):
        rotations.from_matrix(np.zeros((3, 4)))
