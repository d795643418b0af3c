import numpy as np

from legged_skills.robots.rotations import rotate_inverse, yaw
from legged_skills.sim2real.twin.attitude import from_gravity, from_roll_pitch_yaw, tilt_only


def test_roll_pitch_yaw_is_in_this_order():
    # A quarter turn about x, then one about z: what was along y is now along z.
    quat = from_roll_pitch_yaw(0.5 * np.pi, 0.0, 0.5 * np.pi)
    np.testing.assert_allclose(
        rotate_inverse(quat, np.array([0.0, 0.0, 1.0])), [0, 1, 0], atol=1e-12
    )
    np.testing.assert_allclose(
        rotate_inverse(quat, np.array([0.0, 1.0, 0.0])), [1, 0, 0], atol=1e-12
    )


def test_an_orientation_from_gravity_sees_that_gravity():
    gravity = np.array([0.3, -0.5, -0.7])
    quat = from_gravity(gravity, 0.8)
    seen = rotate_inverse(quat, np.array([0.0, 0.0, -1.0]))
    np.testing.assert_allclose(seen, gravity / np.linalg.norm(gravity), atol=1e-12)
    np.testing.assert_allclose(yaw(quat), 0.8, atol=1e-12)


def test_tilt_of_an_accelerometer():
    np.testing.assert_allclose(
        tilt_only(9.81 * np.array([0.0, np.sin(0.3), np.cos(0.3)])), from_roll_pitch_yaw(0.3, 0, 0)
    )
    np.testing.assert_allclose(
        tilt_only(9.81 * np.array([-np.sin(0.2), 0.0, np.cos(0.2)])),
        from_roll_pitch_yaw(0, 0.2, 0),
    )
    # Nose straight up: roll stays near 0 in place of being undefined.
    nose_up = tilt_only(np.array([9.81, 0.02, 0.01]))
    np.testing.assert_allclose(nose_up, from_roll_pitch_yaw(0.02, -0.5 * np.pi, 0), atol=2e-2)
