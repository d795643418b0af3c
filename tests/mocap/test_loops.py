"""Periods repeated: each goes on where the one before ended."""

import math
from dataclasses import replace

import numpy as np
import pytest

from legged_skills.mocap.loops import WRAP, unrolled
from legged_skills.mocap.source import SourceMotion
from legged_skills.robots import rotations

FPS = 30.0


def _period(yaw: float, step: tuple[float, float], gap: float = 0.0) -> SourceMotion:
    """A second of a gait of a body with three points, which turns and moves over each period."""
    share = np.linspace(0.0, 1.0, 31)
    local = np.array([[0.0, 0.1, 0.9], [0.0, -0.1, 0.9], [0.2, 0.0, 0.0]])
    positions = np.repeat(local[None], 31, axis=0)
    # Up and down twice, and a foot that swings once.
    positions[:, :2, 2] += 0.05 * np.cos(4 * np.pi * share)[:, None]
    positions[:, 2, 0] += 0.3 * np.sin(2 * np.pi * share) + gap * share
    turned = rotations.rotate(rotations.from_yaw(yaw * share)[:, None], positions)
    turned[..., 0] += step[0] * share[:, None]
    turned[..., 1] += step[1] * share[:, None]
    return SourceMotion(
        marker_names=("left", "right", "foot"),
        positions_w=turned,
        fps=FPS,
        rotations_wxyz=np.tile(rotations.from_yaw(yaw * share)[:, None], (1, 3, 1)),
        parents=(-1, -1, 0),
        source={"file": "cycle.txt", "loop": WRAP},
    )


@pytest.mark.parametrize(("yaw", "step"), [(0.0, (1.2, 0.0)), (0.4, (0.5, 0.3)), (-2.0, (0, 0))])
def test_every_period_is_the_first_moved_and_turned(yaw: float, step: tuple) -> None:
    motion = _period(yaw, step)
    out = unrolled(motion, 4.0)
    assert out.num_frames == 4 * 30 + 1
    assert out.duration_s == pytest.approx(4.0)
    np.testing.assert_allclose(out.positions_w[:31], motion.positions_w, atol=1e-9)
    turn = rotations.from_yaw(np.array(yaw))
    assert out.rotations_wxyz is not None
    for start in (0, 30, 60):
        now, later = (out.positions_w[s : s + 31] for s in (start, start + 30))
        expected = rotations.rotate(turn, now) + np.array([*step, 0.0])
        np.testing.assert_allclose(later, expected, atol=1e-9)
        expected = rotations.multiply(turn, out.rotations_wxyz[start : start + 31])
        np.testing.assert_allclose(out.rotations_wxyz[start + 30 : start + 61], expected)
    assert out.source["loop"] == "repeated"
    assert out.source["note"] == "a cycle, repeated 4 times"
    assert (out.marker_names, out.parents, out.fps) == (motion.marker_names, motion.parents, FPS)


def test_ends_that_do_not_fit_are_brought_together() -> None:
    # The foot ends 3 cm ahead of where it began: no jump at the seams, 1 mm a frame more.
    out = unrolled(_period(0.0, (1.2, 0.0), gap=0.03), 4.0)
    closed = unrolled(_period(0.0, (1.2, 0.0)), 4.0)
    np.testing.assert_allclose(out.positions_w, closed.positions_w, atol=0.05)
    steps, expected = (np.diff(m.positions_w, axis=0) for m in (out, closed))
    assert np.max(np.abs(steps - expected)) < 0.002


def test_what_is_long_enough_or_no_period_stays_as_it_is() -> None:
    motion = _period(0.0, (1.2, 0.0))
    assert unrolled(motion, 1.0) is motion
    assert unrolled(motion, 1.01).num_frames == 61
    for loop in ("none", "repeated", ""):
        other = replace(motion, source={"file": "cycle.txt", "loop": loop})
        assert unrolled(other, 9.0) is other
    other = replace(motion, source={"file": "cycle.txt"})
    assert unrolled(other, 9.0) is other


def test_sources_without_orientations_and_with_notes() -> None:
    motion = replace(
        _period(0.3, (0.2, 0.0)),
        rotations_wxyz=None,
        source={"file": "cycle.txt", "loop": WRAP, "note": "hands left out"},
    )
    out = unrolled(motion, 2.5)
    assert out.rotations_wxyz is None
    assert out.source["note"] == "hands left out; a cycle, repeated 3 times"
    assert motion.source["note"] == "hands left out"
    assert not math.isclose(out.positions_w[-1, 0, 0], out.positions_w[0, 0, 0])


def test_ends_of_a_turning_cycle_are_brought_together() -> None:
    out = unrolled(_period(1.5, (0.5, 0.0), gap=0.03), 4.0)
    closed = unrolled(_period(1.5, (0.5, 0.0)), 4.0)
    steps, expected = (np.diff(motion.positions_w, axis=0) for motion in (out, closed))
    assert np.max(np.abs(steps - expected)) < 0.004


def test_cycles_do_not_climb() -> None:
    motion = _period(0.0, (1.2, 0.0))
    positions = motion.positions_w.copy()
    positions[..., 2] += 0.03 * np.linspace(0.0, 1.0, 31)[:, None]
    out = unrolled(replace(motion, positions_w=positions), 4.0)
    seams = out.positions_w[[30, 60, 90, 120], :, 2]
    np.testing.assert_allclose(seams, np.tile(positions[0, :, 2], (4, 1)), atol=1e-9)
