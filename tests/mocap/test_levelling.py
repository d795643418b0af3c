"""Tilted floors are found by footprints, and brought to the level."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from legged_skills.mocap.levelling import floor_slope, levelled
from legged_skills.mocap.mapping import mapping_for
from legged_skills.mocap.source import SourceMotion
from legged_skills.robots import rotations
from legged_skills.robots.spec import RobotSpec


def _tilted(motion: SourceMotion, x: float, y: float) -> SourceMotion:
    """The source on a floor that rises by ``x`` and ``y`` per metre."""
    positions = motion.positions_w.copy()
    positions[..., 2] += positions[..., :2] @ np.array([x, y])
    return replace(motion, positions_w=positions)


def _feet(motion: SourceMotion, spec: RobotSpec) -> np.ndarray:
    mapping = mapping_for(motion, spec)
    return motion.positions_w[:, [motion.index(name) for name in mapping.feet]]


@pytest.mark.parametrize("degrees", [0.5, 1.5, -3.0])
def test_a_slope_along_the_way_is_found_and_taken_away(
    human, op3: RobotSpec, degrees: float
) -> None:
    slope = math.tan(math.radians(degrees))
    motion = _tilted(human.motion, slope, 0.0)
    # Slopes are pulled to 0 a little: the footprints are on no more than 1.8 m.
    found = floor_slope(_feet(motion, op3), motion.fps)
    assert found[0] == pytest.approx(slope, rel=0.1)
    assert abs(found[1]) < 0.1 * abs(slope)
    out = levelled(motion, mapping_for(motion, op3))
    np.testing.assert_allclose(out.positions_w[..., :2], motion.positions_w[..., :2])
    np.testing.assert_allclose(out.positions_w[..., 2], human.motion.positions_w[..., 2], atol=0.02)
    tilt = math.degrees(math.atan(float(np.hypot(*found))))
    assert out.source["note"] == f"its floor was tilted by {tilt:.1f} degrees and is levelled"


def test_slopes_turn_with_the_world(human, op3: RobotSpec) -> None:
    turn = rotations.from_yaw(np.array(1.0))
    motion = _tilted(human.motion, 0.03, 0.0)
    turned = replace(motion, positions_w=rotations.rotate(turn, motion.positions_w))
    found = floor_slope(_feet(turned, op3), motion.fps)
    before = floor_slope(_feet(motion, op3), motion.fps)
    expected = rotations.rotate(turn, np.array([*before, 0.0]))[:2]
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_level_floors_stay_as_they_are(human, op3: RobotSpec, dog, spec: RobotSpec) -> None:
    for source, robot in ((human, op3), (dog, spec)):
        assert levelled(source.motion, mapping_for(source.motion, robot)) is source.motion
    barely = _tilted(human.motion, math.tan(math.radians(0.15)), 0.0)
    assert levelled(barely, mapping_for(barely, op3)) is barely


def test_stairs_are_no_floor(human, op3: RobotSpec) -> None:
    steep = _tilted(human.motion, math.tan(math.radians(12)), 0.0)
    assert levelled(steep, mapping_for(steep, op3)) is steep


def test_who_stays_in_one_place_says_nothing_of_the_floor() -> None:
    # Two feet that rest and step in turn on the spot; then no footprint at all.
    time = np.arange(300)
    feet = np.zeros((300, 2, 3))
    feet[:, 0, 2] = 0.1 * np.maximum(0, np.sin(time / 15))
    feet[:, 1, 2] = 0.1 * np.maximum(0, -np.sin(time / 15)) + 0.02
    np.testing.assert_array_equal(floor_slope(feet, 60.0), [0.0, 0.0])
    flying = np.cumsum(np.full((300, 2, 3), 0.02), axis=0)
    np.testing.assert_array_equal(floor_slope(flying, 60.0), [0.0, 0.0])


def test_notes_are_kept(human, op3: RobotSpec) -> None:
    motion = _tilted(human.motion, 0.03, 0.0)
    motion = replace(motion, source={**motion.source, "note": "hands left out"})
    out = levelled(motion, mapping_for(motion, op3))
    assert out.source["note"].startswith("hands left out; its floor was tilted by ")
    assert motion.source["note"] == "hands left out"


def _walk(
    *prints: list[tuple[float, float, float]], stand: int = 20, swing: int = 10
) -> np.ndarray:
    """Feet that stand at given places for some frames each, and go from one to the next.

    Gives (T, F, 3) [m] for as many feet as there are lists.
    """
    feet = []
    for places in np.array(prints):
        parts = [np.repeat(places[:1], stand, axis=0)]
        for last, place in itertools.pairwise(places):
            way = np.linspace(0.0, 1.0, swing + 2)[1:-1, None]
            parts += [last + way * (place - last), np.repeat(place[None], stand, axis=0)]
        feet.append(np.concatenate(parts))
    return np.stack(feet, axis=1)


def _pulled(slope: float, sum_of_squares: float) -> float:
    """What is found of a slope along x, by footprints of that sum of squares [m^2]."""
    return slope * sum_of_squares / (sum_of_squares + (0.01 / 0.03) ** 2)


def test_slopes_by_hand() -> None:
    # Feet of different heights over the floor, each with footprints 2 m apart.
    left = [(0.0, 0.1, 0.0), (2.0, 0.1, 0.06)]
    right = [(1.0, -0.1, 0.08), (3.0, -0.1, 0.14)]
    found = floor_slope(_walk(left, right), 60.0)
    np.testing.assert_allclose(found, [_pulled(0.03, 4.0), 0.0], atol=1e-12)


def test_feet_that_swing_slowly_are_told_by_their_own_speed() -> None:
    # The left foot swings at 5 m/s; 6 % of that are more than the right one's 0.27 m/s.
    left = _walk([(x, 0.1, 0.03 * x) for x in (0.0, 1.0, 0.0, 1.0, 0.0)], stand=48)
    right = _walk([(x, -0.1, 0.03 * x) for x in (0.0, 0.5, 1.0)], swing=110)
    found = floor_slope(np.concatenate([left, right], axis=1), 60.0)
    np.testing.assert_allclose(found, [_pulled(0.03, 1.2 + 0.5), 0.0], atol=1e-12)


def test_a_step_onto_something_is_left_out() -> None:
    prints = [(0.5 * i, 0.0, 0.015 * i) for i in range(8)]
    onto = [*prints[:6], (2.75, 0.0, 0.0825 + 0.12), *prints[6:]]
    found = floor_slope(_walk(onto), 60.0)
    np.testing.assert_allclose(found, [_pulled(0.03, 0.25 * 42), 0.0], atol=1e-12)


def test_a_floor_that_is_only_uneven_is_not_tilted() -> None:
    # The best plane rises by 0.4 % and leaves nearly all of the unevenness.
    prints = [(float(i), 0.0, z) for i, z in enumerate((0.0, 0.02, -0.01, 0.02, 0.01))]
    np.testing.assert_array_equal(floor_slope(_walk(prints), 60.0), [0.0, 0.0])


@pytest.mark.parametrize(("length_m", "counts"), [(0.9, False), (1.1, True)])
def test_footprints_must_be_a_metre_apart(length_m: float, counts: bool) -> None:
    x = np.linspace(0.0, length_m, 4)
    found = floor_slope(_walk([(at, 0.0, 0.05 * at) for at in x]), 60.0)
    wanted = _pulled(0.05, float(np.sum((x - x.mean()) ** 2))) if counts else 0.0
    np.testing.assert_allclose(found, [wanted, 0.0], atol=1e-12)


def test_who_hardly_touches_the_floor_leaves_no_footprint() -> None:
    # For 3 of 60 frames a second each, less than 0.1 s.
    prints = [(0.5 * i, 0.0, 0.015 * i) for i in range(6)]
    np.testing.assert_array_equal(floor_slope(_walk(prints, stand=3), 60.0), [0.0, 0.0])
