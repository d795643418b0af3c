"""Rotations as unit quaternions in the order w, x, y, z, batched over leading axes.

All functions are pure: they never write into an argument. Arrays of float32 stay
float32, arrays of float64 stay float64, and a mixture becomes float64. A quaternion
``q`` of a body turns vectors of the body frame (``_b``) into the world frame (``_w``).
All functions raise ValueError for a wrong size of the last axis.

Letters in the shape comments: ``...`` any leading (batch) axes, ``T`` time.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

# Below this squared half angle [rad^2] series replace sin(x)/x; the first term left out is
# x^4 / 120, which is less than the rounding of a float64.
_SMALL_SQUARED = 1e-8


def _check(name: str, array: np.ndarray, size: int) -> None:
    """Rejects a wrong last axis, which would otherwise broadcast silently."""
    if array.ndim == 0 or array.shape[-1] != size:
        raise ValueError(f"{name} must have {size} as its last axis, got shape {array.shape}")


def _empty(a: np.ndarray, b: np.ndarray, size: int) -> Array:
    """An output for two broadcast operands, with ``size`` as its last axis."""
    if a.shape[:-1] == b.shape[:-1]:
        shape = a.shape[:-1]
    else:
        shape = np.broadcast_shapes(a.shape[:-1], b.shape[:-1])
    return np.empty((*shape, size), dtype=np.result_type(a, b, np.float32))


def identity(shape: tuple[int, ...] = ()) -> Array:
    """A new float64 array of identity quaternions wxyz, (*shape, 4)."""
    q = np.zeros((*shape, 4))
    q[..., 0] = 1.0
    return q


def multiply(a: Array, b: Array) -> Array:
    """The Hamilton product ``a b``: first turn by ``b``, then by ``a``.

    Args:
        a: quaternions wxyz, (..., 4).
        b: quaternions wxyz, (..., 4); broadcast against ``a``.

    Returns:
        Quaternions wxyz, (..., 4).
    """
    a, b = np.asarray(a), np.asarray(b)
    _check("a", a, 4)
    _check("b", b, 4)
    out = _empty(a, b, 4)
    aw, ax, ay, az = a[..., 0], a[..., 1], a[..., 2], a[..., 3]
    bw, bx, by, bz = b[..., 0], b[..., 1], b[..., 2], b[..., 3]
    out[..., 0] = aw * bw - ax * bx - ay * by - az * bz
    out[..., 1] = aw * bx + ax * bw + ay * bz - az * by
    out[..., 2] = aw * by - ax * bz + ay * bw + az * bx
    out[..., 3] = aw * bz + ax * by - ay * bx + az * bw
    return out


def conjugate(q: Array) -> Array:
    """The inverse turn of unit quaternions.

    Args:
        q: quaternions wxyz, (..., 4).

    Returns:
        Quaternions wxyz, (..., 4).
    """
    q = np.asarray(q)
    _check("q", q, 4)
    out = np.negative(q)
    out[..., 0] = q[..., 0]
    return out


def normalize(q: Array) -> Array:
    """Quaternions scaled to length one.

    Args:
        q: quaternions wxyz that are not zero, (..., 4).

    Returns:
        Unit quaternions wxyz, (..., 4).
    """
    q = np.asarray(q)
    _check("q", q, 4)
    return q / np.sqrt(np.sum(q * q, axis=-1, keepdims=True))


def _rotate(q: Array, v: Array, sign: int) -> Array:
    """Gives v + 2 w (u x v) + 2 u x (u x v) with u = sign * (x, y, z) of ``q``."""
    q, v = np.asarray(q), np.asarray(v)
    _check("q", q, 4)
    _check("v", v, 3)
    out = _empty(q, v, 3)
    w, x, y, z = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    if sign < 0:
        w = -w  # turning back is u -> -u, or, with the same products, w -> -w
    vx, vy, vz = v[..., 0], v[..., 1], v[..., 2]
    tx = 2 * (y * vz - z * vy)
    ty = 2 * (z * vx - x * vz)
    tz = 2 * (x * vy - y * vx)
    out[..., 0] = vx + w * tx + (y * tz - z * ty)
    out[..., 1] = vy + w * ty + (z * tx - x * tz)
    out[..., 2] = vz + w * tz + (x * ty - y * tx)
    return out


def rotate(q: Array, v_b: Array) -> Array:
    """Turns body-frame vectors into the world frame.

    Args:
        q: unit quaternions wxyz of the body, (..., 4).
        v_b: vectors in the body frame, (..., 3); broadcast against ``q``.

    Returns:
        Vectors in the world frame, (..., 3).
    """
    return _rotate(q, v_b, 1)


def rotate_inverse(q: Array, v_w: Array) -> Array:
    """Turns world-frame vectors into the body frame.

    Args:
        q: unit quaternions wxyz of the body, (..., 4).
        v_w: vectors in the world frame, (..., 3); broadcast against ``q``.

    Returns:
        Vectors in the body frame, (..., 3).
    """
    return _rotate(q, v_w, -1)


def from_rotvec(rotvec: Array) -> Array:
    """The exponential map: quaternions of rotation vectors.

    Args:
        rotvec: axis times angle [rad], (..., 3).

    Returns:
        Unit quaternions wxyz, (..., 4).
    """
    rotvec = np.asarray(rotvec)
    _check("rotvec", rotvec, 3)
    out = np.empty((*rotvec.shape[:-1], 4), dtype=np.result_type(rotvec, np.float32))
    half = 0.5 * rotvec
    squared = half[..., 0] ** 2 + half[..., 1] ** 2 + half[..., 2] ** 2
    angle = np.sqrt(squared)
    small = squared < _SMALL_SQUARED
    # sin(a)/a, with its series where a is small.
    ratio = np.where(small, 1 - squared / 6, np.sin(angle) / np.where(small, 1, angle))
    out[..., 0] = np.cos(angle)
    out[..., 1:] = half * ratio[..., None]
    return out


def from_axis_angle(axis: Array, angle: Array) -> Array:
    """Quaternions of turns about unit axes.

    Args:
        axis: unit vectors, (..., 3).
        angle: angles [rad], (...); broadcast against the leading axes of ``axis``.

    Returns:
        Unit quaternions wxyz, (..., 4).
    """
    axis, angle = np.asarray(axis), np.asarray(angle)
    _check("axis", axis, 3)
    half = 0.5 * angle
    sine = np.sin(half)
    out = _empty(axis, half[..., None], 4)
    out[..., 0] = np.cos(half)
    out[..., 1] = axis[..., 0] * sine
    out[..., 2] = axis[..., 1] * sine
    out[..., 3] = axis[..., 2] * sine
    return out


def from_yaw(angle: Array) -> Array:
    """Quaternions of turns about the vertical z axis.

    Args:
        angle: yaw angles [rad], (...).

    Returns:
        Unit quaternions wxyz, (..., 4).
    """
    half = 0.5 * np.asarray(angle)
    out = np.zeros((*half.shape, 4), dtype=np.result_type(half, np.float32))
    out[..., 0] = np.cos(half)
    out[..., 3] = np.sin(half)
    return out


def to_rotvec(q: Array) -> Array:
    """The logarithm: rotation vectors of quaternions, of angle at most pi.

    Args:
        q: unit quaternions wxyz of either sign, (..., 4).

    Returns:
        Axis times angle [rad], (..., 3).
    """
    q = np.asarray(q)
    _check("q", q, 4)
    w, x, y, z = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    squared = x * x + y * y + z * z
    sine = np.sqrt(squared)  # of the half angle
    small = squared < _SMALL_SQUARED
    half = np.arctan2(sine, np.abs(w))
    # asin(s)/s = 1 + s^2/6 + ... where the half angle is small.
    ratio = np.where(small, 1 + squared / 6, half / np.where(small, 1, sine))
    return q[..., 1:] * (np.copysign(2, w) * ratio)[..., None]


def to_matrix(q: Array) -> Array:
    """Rotation matrices of quaternions.

    Args:
        q: unit quaternions wxyz, (..., 4).

    Returns:
        Matrices that turn body-frame columns into the world frame, (..., 3, 3).
    """
    q = np.asarray(q)
    _check("q", q, 4)
    out = np.empty((*q.shape[:-1], 3, 3), dtype=np.result_type(q, np.float32))
    w, x, y, z = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    x2, y2, z2 = 2 * x, 2 * y, 2 * z
    xx, yy, zz, xy, xz, yz = x * x2, y * y2, z * z2, x * y2, x * z2, y * z2
    wx, wy, wz = w * x2, w * y2, w * z2
    out[..., 0, 0] = 1 - yy - zz
    out[..., 0, 1] = xy - wz
    out[..., 0, 2] = xz + wy
    out[..., 1, 0] = xy + wz
    out[..., 1, 1] = 1 - xx - zz
    out[..., 1, 2] = yz - wx
    out[..., 2, 0] = xz - wy
    out[..., 2, 1] = yz + wx
    out[..., 2, 2] = 1 - xx - yy
    return out


def from_matrix(matrix: Array) -> Array:
    """Quaternions of rotation matrices, with w >= 0.

    Of the four candidates, each exact but dividing by another component, the one with the
    largest divisor is taken (Shepperd 1978), so that no angle is badly conditioned.

    Args:
        matrix: rotation matrices, (..., 3, 3).

    Returns:
        Unit quaternions wxyz, (..., 4).

    Raises:
        ValueError: the last axes are not 3, 3.
    """
    matrix = np.asarray(matrix)
    if matrix.ndim < 2 or matrix.shape[-2:] != (3, 3):
        raise ValueError(f"matrix must have 3, 3 as its last axes, got shape {matrix.shape}")
    m = [[matrix[..., i, j] for j in range(3)] for i in range(3)]
    # K = 4 q q^T, row by row: its longest row is a multiple of q.
    rows = np.empty((*matrix.shape[:-2], 4, 4), dtype=np.result_type(matrix, np.float32))
    rows[..., 0, 0] = 1 + m[0][0] + m[1][1] + m[2][2]
    rows[..., 1, 1] = 1 + m[0][0] - m[1][1] - m[2][2]
    rows[..., 2, 2] = 1 - m[0][0] + m[1][1] - m[2][2]
    rows[..., 3, 3] = 1 - m[0][0] - m[1][1] + m[2][2]
    rows[..., 0, 1] = rows[..., 1, 0] = m[2][1] - m[1][2]
    rows[..., 0, 2] = rows[..., 2, 0] = m[0][2] - m[2][0]
    rows[..., 0, 3] = rows[..., 3, 0] = m[1][0] - m[0][1]
    rows[..., 1, 2] = rows[..., 2, 1] = m[1][0] + m[0][1]
    rows[..., 1, 3] = rows[..., 3, 1] = m[0][2] + m[2][0]
    rows[..., 2, 3] = rows[..., 3, 2] = m[2][1] + m[1][2]
    best = np.argmax(np.diagonal(rows, axis1=-2, axis2=-1), axis=-1)
    q = normalize(np.take_along_axis(rows, best[..., None, None], axis=-2)[..., 0, :])
    return np.where(q[..., :1] < 0, -q, q)


def yaw(q: Array) -> Array:
    """The heading: the angle about world z of the body's x axis, seen from above.

    Args:
        q: unit quaternions wxyz, (..., 4).

    Returns:
        Angles in [-pi, pi] [rad], (...).
    """
    q = np.asarray(q)
    _check("q", q, 4)
    w, x, y, z = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    return np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))


def heading(q: Array) -> Array:
    """The turn about world z that has the same ``yaw`` as ``q``, free of roll and pitch.

    Args:
        q: unit quaternions wxyz, (..., 4).

    Returns:
        Unit quaternions wxyz, (..., 4).
    """
    return from_yaw(yaw(q))


def slerp(a: Array, b: Array, fraction: Array) -> Array:
    """Turns steadily from ``a`` to ``b`` along the shorter way.

    Args:
        a: unit quaternions wxyz at fraction 0, (..., 4).
        b: unit quaternions wxyz at fraction 1, (..., 4).
        fraction: how far to go, (...); broadcast against the leading axes.

    Returns:
        Unit quaternions wxyz, (..., 4).
    """
    fraction = np.asarray(fraction)
    step = to_rotvec(multiply(conjugate(a), b))
    return multiply(a, from_rotvec(step * fraction[..., None]))


def align_signs(q: Array) -> Array:
    """Chooses between q and -q so that neighbours along the first axis are close.

    Args:
        q: unit quaternions wxyz over time, (T, ..., 4).

    Returns:
        The same rotations, with no jump of sign, (T, ..., 4).

    Raises:
        ValueError: the last axis is not 4, or there is no time axis.
    """
    q = np.asarray(q)
    _check("q", q, 4)
    if q.ndim < 2:
        raise ValueError(f"q must have a time axis before its last, got shape {q.shape}")
    flips = np.sum(q[1:] * q[:-1], axis=-1) < 0
    signs = np.ones(q.shape[:-1], dtype=q.dtype)
    signs[1:] = np.where(np.cumsum(flips, axis=0) % 2 == 1, -1, 1)
    return q * signs[..., None]


def angular_velocity_w(q: Array, dt: float) -> Array:
    """Angular velocity in the world frame by finite differences over the first axis.

    Central differences, (log q[t+1] q[t-1]^-1) / 2 dt, one-sided at the two ends.

    Args:
        q: unit quaternions wxyz over time, (T, ..., 4), T >= 2, of any sign.
        dt: time between neighbours [s].

    Returns:
        Angular velocity [rad/s], (T, ..., 3).

    Raises:
        ValueError: the last axis is not 4, or there are fewer than two frames.
    """
    q = np.asarray(q)
    _check("q", q, 4)
    if q.ndim < 2 or q.shape[0] < 2:
        raise ValueError(f"q must have at least two frames, got shape {q.shape}")
    out = np.empty((*q.shape[:-1], 3), dtype=np.result_type(q, np.float32))
    out[1:-1] = to_rotvec(multiply(q[2:], conjugate(q[:-2]))) / (2 * dt)
    out[0] = to_rotvec(multiply(q[1], conjugate(q[0]))) / dt
    out[-1] = to_rotvec(multiply(q[-1], conjugate(q[-2]))) / dt
    return out


def angular_velocity_b(q: Array, dt: float) -> Array:
    """Angular velocity in the body frame, as MuJoCo stores it for a free joint.

    Args:
        q: unit quaternions wxyz over time, (T, ..., 4), T >= 2, of any sign.
        dt: time between neighbours [s].

    Returns:
        Angular velocity [rad/s], (T, ..., 3).

    Raises:
        ValueError: the last axis is not 4, or there are fewer than two frames.
    """
    return rotate_inverse(q, angular_velocity_w(q, dt))
