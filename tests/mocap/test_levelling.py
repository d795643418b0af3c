"""Tilted floors are found by footprints, and brought to the level."""

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
