"""Trunks of people and dogs: where they face, how high they stand, and how they do not stand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from legged_skills.mocap.mapping import mapping_for
from legged_skills.mocap.source import SourceMotion
from legged_skills.mocap.trunk import Trunk, TrunkSettings, find_trunk
from legged_skills.robots import rotations
from legged_skills.robots.errors import ClipError
from legged_skills.robots.spec import RobotSpec

HIPS = ("left_hip", "right_hip")
SHOULDERS = ("left_shoulder", "right_shoulder")
TRUNK = HIPS + SHOULDERS
SETTINGS = TrunkSettings()


def _find(motion: SourceMotion, spec: RobotSpec) -> Trunk:
    mapping = mapping_for(motion, spec)
    feet = motion.positions_w[:, [motion.index(n) for n in mapping.feet]]
    return find_trunk(motion, mapping, feet, SETTINGS)


def _turned(motion: SourceMotion, names: tuple[str, ...], quat: np.ndarray) -> SourceMotion:
    """Some markers turned about their own middle, frame by frame; ``quat`` is (4,) or (T, 4)."""
    columns = [motion.index(name) for name in names]
    positions = motion.positions_w.copy()
    middle = positions[:, columns].mean(axis=1, keepdims=True)
    quats = np.broadcast_to(quat, (motion.num_frames, 4))[:, None]
    positions[:, columns] = middle + rotations.rotate(quats, positions[:, columns] - middle)
    return replace(motion, positions_w=positions)


def _moved(motion: SourceMotion, names: tuple[str, ...], by: np.ndarray) -> SourceMotion:
    """Some markers moved; ``by`` is (3,) or (T, 3)."""
    positions = motion.positions_w.copy()
    by = np.broadcast_to(by, (motion.num_frames, 3))[:, None]
    positions[:, [motion.index(name) for name in names]] += by
    return replace(motion, positions_w=positions)


def _only(frames: slice, by: list[float], count: int) -> np.ndarray:
    out = np.zeros((count, 3))
    out[frames] = by
    return out


def _hinge_at_hips(motion: SourceMotion, frames: slice, lean: float) -> SourceMotion:
    """The shoulders turned ahead about the hips."""
    positions = motion.positions_w.copy()
    hips = positions[:, [motion.index(name) for name in HIPS]].mean(axis=1)[:, None]
    turn = rotations.from_axis_angle(np.array([0.0, 1.0, 0.0]), np.array(lean))
    columns = [motion.index(name) for name in SHOULDERS]
    leaning = hips + rotations.rotate(turn, positions[:, columns] - hips)
    positions[frames, columns[0]], positions[frames, columns[1]] = (
        leaning[frames, 0],
        leaning[frames, 1],
    )
    return replace(motion, positions_w=positions)


def test_a_humans_trunk(human, op3: RobotSpec) -> None:
    trunk = _find(human.motion, op3)
    hips, shoulders = (
        human.motion.positions_w[:, [human.motion.index(name) for name in names]].mean(axis=1)
        for names in (HIPS, SHOULDERS)
    )
    np.testing.assert_allclose(trunk.centre_w, hips)
    np.testing.assert_allclose(trunk.ends_w, np.stack([shoulders, hips], axis=1))
    np.testing.assert_allclose(trunk.yaw, 0.0, atol=1e-5)
    # The robot's hip pitch axes over its soles, by the scale: the toes rest at the floor's height.
    height = (op3.standing_height_m - 0.0285) / human.scale
    assert trunk.height_m == pytest.approx(height, rel=1e-3)
    assert not any(np.any(mask) for mask in trunk.problems.values())
    assert set(trunk.problems) == {"lying", "sitting or kneeling", "bending", "jumping"}


def test_a_dogs_trunk(dog, spec: RobotSpec) -> None:
    trunk = _find(dog.motion, spec)
    front, rear = trunk.ends_w[:, 0], trunk.ends_w[:, 1]
    np.testing.assert_allclose(trunk.centre_w, 0.5 * (front + rear))
    # From shoulders to hips on the robot's base, by the scale.
    np.testing.assert_allclose(np.linalg.norm(front - rear, axis=1), 0.6 / dog.scale, atol=1e-6)
    np.testing.assert_allclose(trunk.yaw, 0.0, atol=1e-6)
    assert not any(np.any(mask) for mask in trunk.problems.values())


@pytest.mark.parametrize("kind", ["human", "dog"])
def test_headings_follow_a_turn_of_the_world(request, kind: str) -> None:
    source = request.getfixturevalue(kind)
    spec = request.getfixturevalue({"human": "op3", "dog": "spec"}[kind])
    before = _find(source.motion, spec)
    # Twice around: the heading goes on counting.
    angle = np.linspace(0.0, 4 * np.pi, source.motion.num_frames)
    turned = rotations.rotate(rotations.from_yaw(angle)[:, None], source.motion.positions_w)
    after = _find(replace(source.motion, positions_w=turned), spec)
    np.testing.assert_allclose(after.yaw - after.yaw[0], angle, atol=1e-4)
    assert after.height_m == pytest.approx(before.height_m, rel=1e-9)
    for name, mask in before.problems.items():
        np.testing.assert_array_equal(after.problems[name], mask)


def test_a_human_faces_where_chest_and_hips_face_on_average(human, op3: RobotSpec) -> None:
    # A twist of the shoulders by 30 degrees, which are wider than the hips, counts by width.
    twist = rotations.from_yaw(np.array(math.radians(30)))
    trunk = _find(_turned(human.motion, SHOULDERS, twist), op3)
    chest, hips = 2 * 0.0885, 2 * 0.054
    expected = math.atan2(chest * math.sin(math.pi / 6), chest * math.cos(math.pi / 6) + hips)
    np.testing.assert_allclose(trunk.yaw, expected, atol=1e-4)
    # Bending over does not turn a human around, though the shoulders are then ahead of the hips,
    # and neither does leaning back.
    for lean in (1.5, -0.5):
        bent = _hinge_at_hips(human.motion, slice(100, 160), lean)
        np.testing.assert_allclose(_find(bent, op3).yaw, 0.0, atol=1e-5)


@pytest.mark.parametrize(
    ("lower", "lean", "reason"),
    [
        (0.5, 0.0, "sitting or kneeling"),
        (0.5, 0.3, "sitting or kneeling"),
        (0.8, 1.4, "lying"),
        (0.0, 1.0, "bending"),
        (0.2, 1.0, "bending"),
        (-0.3, 0.0, "jumping"),
    ],
)
def test_ways_in_which_a_human_does_not_stand(
    human, op3: RobotSpec, lower: float, lean: float, reason: str
) -> None:
    frames = slice(100, 160)
    height = _find(human.motion, op3).height_m
    motion = _hinge_at_hips(human.motion, frames, lean)
    down = _only(frames, [0.0, 0.0, -lower * height], motion.num_frames)
    # Whoever goes up takes the feet along.
    moving = TRUNK if lower >= 0 else motion.marker_names
    trunk = _find(_moved(motion, moving, down), op3)
    expected = np.zeros(motion.num_frames, dtype=bool)
    expected[frames] = True
    for name, mask in trunk.problems.items():
        np.testing.assert_array_equal(mask, expected & (name == reason), err_msg=name)


def test_thresholds_of_a_human(human, op3: RobotSpec) -> None:
    height = _find(human.motion, op3).height_m

    def problems(lower: float, lean: float) -> set[str]:
        motion = _hinge_at_hips(human.motion, slice(100, 160), lean)
        down = _only(slice(100, 160), [0.0, 0.0, -lower * height], motion.num_frames)
        moving = TRUNK if lower >= 0 else motion.marker_names
        found = _find(_moved(motion, moving, down), op3).problems
        return {name for name, mask in found.items() if np.any(mask[100:160])}

    lean, low, high = SETTINGS.max_lean_rad, SETTINGS.low_hips, SETTINGS.high_trunk
    assert problems(0.0, lean - 0.03) == set()
    assert problems(0.0, lean + 0.03) == {"bending"}
    assert problems(1 - low - 0.02, 0.0) == set()
    assert problems(1 - low + 0.02, 0.0) == {"sitting or kneeling"}
    assert problems(1 - high + 0.02, 0.0) == set()
    assert problems(1 - high - 0.02, 0.0) == {"jumping"}


def test_the_standing_height_is_that_of_standing(human, op3: RobotSpec) -> None:
    # Two thirds of the time on a chair: the rest tells how high it stands.
    height = _find(human.motion, op3).height_m
    count = human.motion.num_frames
    down = _only(slice(0, 2 * count // 3), [0.0, 0.0, -0.45 * height], count)
    trunk = _find(_moved(human.motion, TRUNK, down), op3)
    assert trunk.height_m == pytest.approx(height, rel=0.01)
    assert np.all(trunk.problems["sitting or kneeling"][: 2 * count // 3])
    assert not np.any(trunk.problems["sitting or kneeling"][2 * count // 3 :])


def test_the_floor_is_where_the_feet_are(human, op3: RobotSpec) -> None:
    lifted = replace(human.motion, positions_w=human.motion.positions_w + np.array([0.0, 0.0, 3.0]))
    trunk, expected = _find(lifted, op3), _find(human.motion, op3)
    assert trunk.height_m == pytest.approx(expected.height_m)
    assert not any(np.any(mask) for mask in trunk.problems.values())


def test_sources_without_a_trunk_to_stand_on(human, op3: RobotSpec) -> None:
    under = _moved(human.motion, TRUNK, np.array([0.0, 0.0, -3.0]))
    with pytest.raises(ClipError, match=r"synthetic.bvh: the trunk is nowhere above the feet"):
        _find(under, op3)
    # On all fours from beginning to end, and upside down.
    bent = _hinge_at_hips(human.motion, slice(None), 1.5)
    with pytest.raises(ClipError, match=r"synthetic.bvh: stands upright on its feet in no frame"):
        _find(bent, op3)
    with pytest.raises(ClipError, match=r"in no frame"):
        _find(_hinge_at_hips(human.motion, slice(None), math.pi), op3)


def test_a_trunk_without_length_is_refused_or_stands(human, op3: RobotSpec) -> None:
    # All markers in one place: no heading, no height, but a sentence.
    flat = replace(human.motion, positions_w=np.zeros_like(human.motion.positions_w))
    with pytest.raises(ClipError, match="nowhere above the feet"):
        _find(flat, op3)
