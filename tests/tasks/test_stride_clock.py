"""The clock of strides, and the phase of clips that it stands for."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.mocap.clip import RobotClip
from legged_skills.mocap.library import shipped_clips
from legged_skills.skill_module.reference import Reference, build_reference
from legged_skills.tasks.stride_clock import StrideClock, stride_clock, stride_phases

OP3 = robots.get("op3")


def test_a_quarter_of_a_turn_at_a_time():
    clock = StrideClock(0.5 * np.pi)
    task = np.array([[0.0, 0.2, 0.0], [0.0, 0.0, 0.0]], np.float32)
    told, begun = np.zeros((2, 2), np.float32), []
    for _ in range(5):
        told = np.asarray(clock.advance(told, task))
        begun.append(told[0])
        np.testing.assert_array_equal(told[1], 0.0)
    # From a quarter before the top of the first foot's step.
    wanted = [[1, 0], [0, 1], [-1, 0], [0, -1], [1, 0]]
    np.testing.assert_allclose(begun, wanted, atol=1e-6)
    # Who is told to stand, and then to go, begins anew.
    told = clock.advance(clock.advance(told, 0.0 * task), task[:1])
    np.testing.assert_allclose(told[0], [1, 0], atol=1e-6)


def test_its_size_stays_one():
    clock, task = StrideClock(0.5 * np.pi), np.ones((2, 3), np.float32)
    told = clock.advance(np.array([[0.9, 0.0], [0.0, -1.1]], np.float32), task)
    np.testing.assert_allclose(told, [[0, 1], [1, 0]], atol=1e-6)


def test_once_round_in_its_period():
    clock = stride_clock("walk", 0.02, 0.8)
    assert clock is not None and 40 * clock.angle_rad == pytest.approx(2.0 * np.pi)
    assert stride_clock("walk", 0.02, 0.0) is None and stride_clock("dribble", 0.02, 0.8) is None


def _stepping(period_s: float, rows: int = 300) -> Reference:
    """Feet that go up and down in turn, the first one highest at time 0, on a tilted robot."""
    time = OP3.control_period_s * np.arange(rows)
    lift = 0.01 * np.cos(2.0 * np.pi * time / period_s)
    down = np.array([0.28, 0.0, -0.96])
    feet = np.array([0.1, 0.05, -0.2]) - lift[:, None] * down, np.array([0.1, -0.05, -0.2])
    return cast(
        Reference,
        SimpleNamespace(
            num_rows=rows,
            feet_b=np.hstack([feet[0], np.tile(feet[1], (rows, 1))]).astype(np.float32),
            gravity_b=np.tile(down, (rows, 1)),
            starts=np.array([0]),
            lengths=np.array([rows]),
        ),
    )


@pytest.mark.parametrize("period_s", [0.7, 0.75, 0.82])
def test_the_phase_is_that_of_the_feet(period_s: float):
    found = stride_phases(OP3, _stepping(period_s), 0.75)
    angle = 2.0 * np.pi * OP3.control_period_s / period_s * np.arange(len(found))
    middle = slice(50, -50)  # at the ends there is half a window
    wanted = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    np.testing.assert_allclose(found[middle], wanted[middle], atol=0.12)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)


def test_slow_steps_have_none():
    assert (stride_phases(OP3, _stepping(1.5), 0.75)[50:-50] == 0.0).all()


def test_a_mirror_image_is_half_a_stride_off():
    (path,) = [path for path in shipped_clips("op3") if path.stem == "humanoid3d_walk_00"]
    reference = build_reference(OP3, [RobotClip.load(path)], mirrored=True)
    phases, images = np.split(stride_phases(OP3, reference, 1.55), 2)
    both = (phases != 0.0).any(axis=1)
    assert both.mean() > 0.9
    np.testing.assert_allclose(images, -phases, atol=1e-3)


@pytest.mark.parametrize("component", [0, 1, 2])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_it_runs_for_any_part_of_a_command(component: int, sign: float):
    task = np.zeros((1, 3), np.float32)
    task[0, component] = 0.01 * sign
    told = StrideClock(0.5 * np.pi).advance(np.zeros((1, 2), np.float32), task)
    np.testing.assert_allclose(told, [[1.0, 0.0]], atol=1e-6)


def test_motions_after_one_another_have_phases_of_their_own():
    """The second one steps the other way round, from a base that is rolled."""
    one, both = _stepping(0.75, 200), _stepping(0.75, 400)
    both.feet_b[200:] = np.roll(one.feet_b, 3, axis=1) * np.tile([1.0, -1.0, 1.0], 2)
    both = SimpleNamespace(**vars(both) | {"starts": [0, 200], "lengths": [200, 200]})
    found = stride_phases(OP3, cast(Reference, both), 0.75)
    wanted = stride_phases(OP3, one, 0.75)
    np.testing.assert_array_equal(found[:200], wanted)
    np.testing.assert_allclose(found[200:], -wanted, atol=1e-5)


def test_stretches_that_hardly_step_have_none():
    usual = stride_phases(OP3, _stepping(0.75), 0.75)
    # Half of 0.01^2 is how much the feet go up and down; noise is less than that, and more.
    for noise, steps in ((0.004, 1.0), (0.011, 0.0)):
        shaken, rng = _stepping(0.75), np.random.default_rng(0)
        shaken.feet_b[150:, 5] += noise * rng.standard_normal(150).astype(np.float32)
        found = stride_phases(OP3, shaken, 0.75)
        assert (found[200:250] != 0.0).any(axis=1).mean() == pytest.approx(steps, abs=0.2)
        np.testing.assert_allclose(found[:80], usual[:80], atol=0.05)


def test_feet_that_swing_along_the_floor_do_not_step():
    """On a tilted robot the height of a foot is not its place along the base's z axis."""
    swings, time = _stepping(0.75), OP3.control_period_s * np.arange(300)
    level = np.array([0.96, 0.0, 0.28])
    assert level @ swings.gravity_b[0] == pytest.approx(0.0)
    forward = 0.1 * np.sin(2.0 * np.pi * time / 0.75)
    swings.feet_b[:, :3] += (forward[:, None] * level).astype(np.float32)
    wanted = stride_phases(OP3, _stepping(0.75), 0.75)
    np.testing.assert_allclose(stride_phases(OP3, swings, 0.75), wanted, atol=1e-4)


def test_a_foot_that_is_always_higher_steps_no_less():
    higher, usual = _stepping(0.75), stride_phases(OP3, _stepping(0.75), 0.75)
    higher.feet_b[:, :3] -= (0.03 * higher.gravity_b).astype(np.float32)
    np.testing.assert_allclose(stride_phases(OP3, higher, 0.75), usual, atol=1e-4)
