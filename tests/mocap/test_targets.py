"""Feet that stand are pinned; feet in the air keep their way."""

import numpy as np
import pytest

from legged_skills.mocap.targets import (
    pinned_feet,
    smooth_root,
    sole_orientations,
    swing_share,
)
from legged_skills.robots import rotations

FPS = 50.0
RADIUS = 0.03


def _pinned(path: np.ndarray, contact: np.ndarray) -> np.ndarray:
    floor = np.full((len(path), 1), RADIUS)
    return pinned_feet(path[:, None], contact[:, None], floor, FPS, 9.0, 0.06)[:, 0]


@pytest.fixture
def steps() -> tuple[np.ndarray, np.ndarray]:
    """Two contacts with a slow drift and a wrong height, and a swing of 0.4 m between."""
    time = np.arange(100)
    swing = np.clip((time - 39) / 21, 0, 1)
    path = np.zeros((100, 3))
    path[:, 0] = 0.4 * (swing - np.sin(2 * np.pi * swing) / (2 * np.pi)) + 0.0002 * time
    path[:, 1] = 0.2
    path[:, 2] = 0.038 + 0.1 * np.sin(np.pi * swing) ** 2
    return path, (time < 40) | (time >= 60)


def test_contacts_rest_on_the_floor(steps: tuple[np.ndarray, np.ndarray]) -> None:
    path, contact = steps
    out = _pinned(path, contact)
    speed = np.linalg.norm(np.gradient(out, axis=0) * FPS, axis=-1)
    assert np.max(speed[contact]) < 1e-3
    np.testing.assert_allclose(out[contact, 2], RADIUS, atol=1e-4)
    # Pinned to the mean of the drift: frames 0 to 39 drift by 0.0002 * 19.5 on average.
    np.testing.assert_allclose(out[:40, 0], 0.0002 * 19.5, atol=1e-4)


def test_swings_keep_their_shape(steps: tuple[np.ndarray, np.ndarray]) -> None:
    path, contact = steps
    out = _pinned(path, contact)
    # In mid-swing the corrections of both contacts have faded: 1 cm of height, 4 mm of drift.
    np.testing.assert_allclose(out[50], path[50], atol=0.005)
    assert np.max(np.linalg.norm(out - path, axis=1)) < 0.03
    # No jerk where the foot takes off or lands: the steepest change of speed is not much more
    # than the path's own.
    own = np.max(np.abs(np.diff(path, 2, axis=0)))
    assert np.max(np.abs(np.diff(out, 2, axis=0))) < 1.7 * own


def test_feet_never_go_through_the_floor(steps: tuple[np.ndarray, np.ndarray]) -> None:
    path, contact = steps
    path = path - [0, 0, 0.05]
    assert np.min(_pinned(path, contact)[:, 2]) >= RADIUS
    assert np.min(_pinned(path, np.zeros(100, dtype=bool))[:, 2]) >= RADIUS


def test_a_foot_that_always_stands(steps: tuple[np.ndarray, np.ndarray]) -> None:
    path, _ = steps
    out = _pinned(path[:30], np.ones(30, dtype=bool))
    np.testing.assert_allclose(out, np.tile([0.0002 * 14.5, 0.2, RADIUS], (30, 1)), atol=1e-9)


def test_arguments_are_untouched(steps: tuple[np.ndarray, np.ndarray]) -> None:
    path, contact = steps
    before = path.copy(), contact.copy()
    _pinned(path, contact)
    np.testing.assert_array_equal(path, before[0])
    np.testing.assert_array_equal(contact, before[1])


def test_smooth_root_ignores_the_sign_of_quaternions() -> None:
    root = np.zeros((60, 7))
    root[:, 0] = np.linspace(0, 1, 60)
    root[:, 3:] = rotations.from_yaw(np.linspace(0, 3, 60))
    flipped = root.copy()
    flipped[20:30, 3:] *= -1
    out = smooth_root(flipped, FPS, 4.0)
    np.testing.assert_allclose(out, smooth_root(root, FPS, 4.0))
    np.testing.assert_allclose(np.linalg.norm(out[:, 3:], axis=1), 1)
    # A steady motion stays as it is.
    np.testing.assert_allclose(out, root, atol=1e-3)


def test_a_foot_whose_height_on_the_floor_changes(steps: tuple[np.ndarray, np.ndarray]) -> None:
    # A sole that pitches in the air: its centre has to be higher there to touch the floor.
    path, contact = steps
    path = path * [1.0, 1.0, 0.2]
    floor = np.where(contact, 0.0, 0.02 * np.sin(np.pi * (np.arange(100) - 39) / 21))
    out = pinned_feet(path[:, None], contact[:, None], floor[:, None], FPS, 9.0, 0.06)[:, 0]
    assert np.min(out[:, 2] - floor) >= -1e-12
    np.testing.assert_allclose(out[contact, 2], 0.0, atol=1e-4)


def test_feet_are_apart_from_each_other(steps: tuple[np.ndarray, np.ndarray]) -> None:
    path, contact = steps
    both = np.stack([path, path[::-1] + np.array([0.0, 0.3, 0.0])], axis=1)
    stands = np.stack([contact, contact[::-1]], axis=1)
    floor = np.tile([RADIUS, 0.0], (100, 1))
    out = pinned_feet(both, stands, floor, FPS, 9.0, 0.06)
    np.testing.assert_allclose(out[:, 0], _pinned(path, contact))
    alone = pinned_feet(both[:, 1:], stands[:, 1:], floor[:, 1:], FPS, 9.0, 0.06)
    np.testing.assert_allclose(out[:, 1:], alone)
    assert np.max(np.abs(out[stands[:, 1], 1, 2])) < 1e-4


def test_swing_share_by_hand() -> None:
    # At 10 frames/s and a fade of 0.4 s: frames 0 to 2 stand, and 3 is at rest too.
    contact = np.zeros((12, 2), dtype=bool)
    contact[:3, 0] = True
    share = swing_share(contact, 10.0, 0.4)
    part = np.array([0.25, 0.5, 0.75])
    np.testing.assert_allclose(share[:4, 0], 0.0)
    np.testing.assert_allclose(share[4:7, 0], 3 * part**2 - 2 * part**3)
    np.testing.assert_allclose(share[7:, 0], 1.0)
    # A foot that never stands is always in the air.
    np.testing.assert_allclose(share[:, 1], 1.0)


def test_swing_share_between_two_contacts() -> None:
    contact = np.zeros((21, 1), dtype=bool)
    contact[[0, 1, 2, 18, 19, 20], 0] = True
    share = swing_share(contact, 10.0, 0.4)[:, 0]
    np.testing.assert_allclose(share, share[::-1])
    np.testing.assert_allclose(share[7:14], 1.0)
    assert np.all(np.diff(share[:11]) >= 0)
    # A short swing never leaves the neighbourhood of the floor altogether.
    contact[8:] = True
    assert 0.0 < swing_share(contact, 10.0, 0.4).max() < 1.0
    assert swing_share(np.ones((5, 1), dtype=bool), 10.0, 0.4).max() == 0.0


def test_orientations_of_soles() -> None:
    yaw, pitch = np.array([[0.0, 0.7], [1.2, -2.0]]), np.array([[0.3, 0.0], [-0.4, 0.5]])
    quats = sole_orientations(yaw, pitch)
    # The toe points along the heading, up by the pitch, and the sole does not roll: its y axis
    # stays level.
    toes = rotations.rotate(quats, np.array([1.0, 0.0, 0.0]))
    np.testing.assert_allclose(toes[..., 0], np.cos(yaw) * np.cos(pitch), atol=1e-12)
    np.testing.assert_allclose(toes[..., 1], np.sin(yaw) * np.cos(pitch), atol=1e-12)
    np.testing.assert_allclose(toes[..., 2], np.sin(pitch), atol=1e-12)
    across = rotations.rotate(quats, np.array([0.0, 1.0, 0.0]))
    np.testing.assert_allclose(across[..., 2], 0.0, atol=1e-12)


def test_a_contact_and_how_it_fades_in_closed_form() -> None:
    time = np.arange(100)
    path = np.zeros((100, 1, 3))
    path[:, 0, 0], path[:, 0, 2] = 0.002 * time, 0.038
    contact = ((time >= 40) & (time < 60))[:, None]
    # At half the frame rate there is no low-pass.
    floor = np.full((100, 1), RADIUS)
    out = pinned_feet(path, contact, floor, FPS, 0.5 * FPS, 0.06)[:, 0]
    place = np.array([0.002 * 49.5, 0.0, RADIUS])
    np.testing.assert_allclose(out[39:61], np.tile(place, (22, 1)), atol=1e-12)
    fade = np.exp(-np.arange(1, 40) / 3.0)[:, None]
    after, before = path[61:, 0], path[38::-1, 0]
    np.testing.assert_allclose(out[61:], after + (place - path[60, 0]) * fade, atol=1e-12)
    np.testing.assert_allclose(out[38::-1], before + (place - path[39, 0]) * fade, atol=1e-12)
