from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legged_skills.mocap.formats import units
from legged_skills.mocap.source import ReadOptions
from legged_skills.robots import rotations
from legged_skills.robots.errors import ClipError

PATH = Path("clip.x")
PERSON = ("Hips", "LeftForeArm", "Head", "LeftFoot", "RightFoot")
DOG = ("Hips", "Head", "Tail", "LeftForeArm", "LeftFoot")
STEPS = np.linspace(0, 1, 60)


def _walker(height: float, *, up: int = 1, ahead: int = 2) -> np.ndarray:
    """Five points of a body that walks two heights along an axis, feet lifted in turn."""
    body = np.zeros((60, 5, 3))
    side = 3 - up - ahead
    body[:, 0, up] = 0.55
    body[:, 1, up], body[:, 1, side] = 0.6, 0.25
    body[:, 2, up] = 1.0
    body[:, 3, up] = 0.08 * np.maximum(np.sin(12 * np.pi * STEPS), 0)
    body[:, 4, up] = 0.08 * np.maximum(-np.sin(12 * np.pi * STEPS), 0)
    body[..., ahead] += 2 * STEPS[:, None]
    return body * height


def _infer(positions: np.ndarray, names: tuple[str, ...] = PERSON, **options: Any) -> units.World:
    return units.infer_world(positions, names, ReadOptions(**options), PATH)


@pytest.mark.parametrize("unit", units.STANDARD_UNITS_M)
@pytest.mark.parametrize("height_m", [1.5, 1.7, 1.9])
def test_standard_units_of_people(unit: float, height_m: float) -> None:
    world = _infer(_walker(height_m / unit))
    assert world.unit_m == unit
    assert world.height_m == pytest.approx(height_m)
    assert world.unit_text == f"{unit:.3g} m (inferred: skeleton {height_m:.2f} m high)"


@pytest.mark.parametrize("unit", [1.0, 0.01, 0.001])
def test_standard_units_of_dogs(unit: float) -> None:
    assert _infer(_walker(0.7 / unit), DOG).unit_m == unit
    # The same size, had nobody a tail, would be no person's in any of these units.
    assert _infer(_walker(0.7 / unit), PERSON).unit_m != unit


def test_a_size_of_no_unit_is_scaled_to_a_person() -> None:
    world = _infer(_walker(255.0))
    assert world.unit_m == pytest.approx(1.7 / 255)
    assert world.unit_text == "0.00667 m (no standard unit fits; assumed a person 1.7 m high)"
    assert "assumed an animal 0.6 m high" in _infer(_walker(1e5), DOG).unit_text


def test_what_is_said_wins() -> None:
    positions = _walker(170.0)
    stated = units.infer_world(positions, PERSON, ReadOptions(), PATH, unit_m=0.02)
    assert stated.unit_m == 0.02
    assert stated.unit_text == "0.02 m (from the file: skeleton 3.4 m high)"
    given = units.infer_world(
        positions, PERSON, ReadOptions(unit_m=0.005, up_axis="z"), PATH, unit_m=0.02
    )
    assert (given.unit_m, given.up_axis, given.up_text) == (0.005, "z", "z")
    # All five points have one z in each frame, so that there is no height to tell.
    assert given.unit_text == "0.005 m (as given)"


@pytest.mark.parametrize("unit", [0.0, -1.0, 1e9, float("nan"), float("inf")])
def test_implausible_units_are_refused(unit: float) -> None:
    with pytest.raises(ClipError, match=r"clip\.x: the given unit is .* m long, expected 1e-06 to"):
        _infer(_walker(1.7), unit_m=unit)
    with pytest.raises(ClipError, match=r"clip\.x: the unit in the file is .* m long"):
        units.infer_world(_walker(1.7), PERSON, ReadOptions(), PATH, unit_m=unit)


@pytest.mark.parametrize(("up", "ahead"), [(1, 0), (1, 2), (2, 0), (2, 1)])
@pytest.mark.parametrize("default_up", ["y", "z"])
def test_the_floor_tells_the_vertical(up: int, ahead: int, default_up: units.UpAxis) -> None:
    positions = _walker(1.7, up=up, ahead=ahead)
    world = units.infer_world(positions, PERSON, ReadOptions(), PATH, default_up=default_up)
    assert world.up_axis == "xyz"[up]
    assert world.up_text == f"{'xyz'[up]} (inferred)"


def test_in_doubt_the_default_axis() -> None:
    cube = np.random.default_rng(0).uniform(-1, 1, (40, 20, 3))
    assert units.infer_world(cube, (), ReadOptions(), PATH, default_up="y").up_axis == "y"
    assert units.infer_world(cube, (), ReadOptions(), PATH, default_up="z").up_axis == "z"


@pytest.mark.parametrize("shape", [(10, 5, 3), (1, 1, 3), (0, 5, 3), (4, 0, 3)])
def test_no_size_at_all_is_taken_for_metres(shape: tuple[int, ...]) -> None:
    world = _infer(np.full(shape, 7.0))
    assert (world.unit_m, world.up_axis, world.height_m) == (1.0, "y", 0.0)
    assert world.unit_text == "1 m (assumed; the points have no height to tell it from)"


def test_unknown_points_are_left_out() -> None:
    positions = _walker(170.0)
    positions[::2, 3] = np.nan
    positions[5] = np.nan
    world = _infer(positions)
    assert world.unit_m == 0.01
    assert world.height_m == pytest.approx(1.7, rel=0.1)


def test_bodies_that_crouch_at_first_are_as_high_as_when_they_stand() -> None:
    # For 12 of 20 s half as high, which would be the height of no person.
    crouches = np.concatenate([_walker(0.85)] * 12 + [_walker(1.7)] * 8)
    world = _infer(crouches)
    assert world.unit_m == 1.0
    assert world.height_m == pytest.approx(1.7)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Tail", True),
        ("tail_03", True),
        ("TAIL", True),
        ("LeftPaw", True),
        ("lpaw", True),
        ("RHindToe", True),
        ("hind_left", True),
        ("Hock.L", True),
        ("LeftForeArm", False),
        ("Ponytail", False),
        ("PonyTail1", False),
        ("pony_tail", False),
        ("left_hindfoot", False),
        ("LeftHindFoot", True),
        ("tailbone", False),
        ("Spawn", False),
        ("Behind", False),
        ("", False),
    ],
)
def test_names_of_animals(name: str, expected: bool) -> None:
    assert units.is_animal(["Hips", name]) is expected


def test_turning_into_the_world() -> None:
    points = np.array([[[1.0, 2.0, 3.0], [-4.0, 5.0, 6.0]]])
    np.testing.assert_allclose(
        units.to_world(points, "y", 0.1), [[[0.3, 0.1, 0.2], [0.6, -0.4, 0.5]]]
    )
    np.testing.assert_allclose(units.to_world(points, "z", 2.0), 2 * points)
    assert not np.shares_memory(units.to_world(points, "z", 1.0), points)


@pytest.mark.parametrize("up_axis", ["y", "z"])
def test_orientations_turn_as_points_do(up_axis: units.UpAxis) -> None:
    rng = np.random.default_rng(2)
    quats = rotations.normalize(rng.normal(size=(6, 4)))
    body = rng.normal(size=(6, 3))
    in_file = rotations.rotate(quats, body)
    np.testing.assert_allclose(
        rotations.rotate(units.rotate_to_world(quats, up_axis), body),
        units.to_world(in_file, up_axis, 1.0),
        atol=1e-14,
    )
