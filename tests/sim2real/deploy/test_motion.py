import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from legged_skills.sim2real.deploy.motion import Ramp, limited, smooth


def test_curve_by_hand():
    # 10 / 32 - 15 / 256 ... at a quarter: 10/64 - 15/256 + 6/1024.
    assert smooth(0.25) == pytest.approx(0.103515625, abs=1e-15)
    assert [smooth(x) for x in (-1.0, 0.0, 0.5, 1.0, 2.0)] == [0.0, 0.0, 0.5, 1.0, 1.0]


def test_speed_decides_on_long_ways_and_time_on_short_ones():
    start, goal = np.zeros(2), np.array([0.4, -1.0])
    # 1.875 x 1 rad / 0.5 rad/s.
    assert Ramp(start, goal, 0.5, 2.0, 0.02).duration_s == 3.75
    assert Ramp(start, goal, 5.0, 2.0, 0.02).duration_s == 2.0
    assert Ramp(start, start, 5.0, 2.0, 0.02).duration_s == 2.0


pose = arrays(np.float64, 3, elements=st.floats(-2.0, 2.0))


@settings(deadline=None)
@given(start=pose, goal=pose, speed=st.floats(0.05, 2.0), min_s=st.floats(0.0, 3.0))
def test_ramp_goes_from_start_to_goal_within_its_speed(start, goal, speed, min_s):
    ramp = Ramp(start, goal, speed, min_s, 0.02)
    np.testing.assert_array_equal(ramp.target, start)
    before, steps = start.copy(), 0
    while not ramp.done:
        target = ramp.step().copy()
        assert np.abs(target - before).max() <= speed * 0.02 * (1.0 + 1e-9) + 1e-12
        assert (target >= np.minimum(start, goal) - 1e-12).all()
        assert (target <= np.maximum(start, goal) + 1e-12).all()
        before, steps = target, steps + 1
    np.testing.assert_array_equal(ramp.target, goal)
    assert steps * 0.02 >= ramp.duration_s - 1e-9
    np.testing.assert_array_equal(ramp.step(), goal)


def test_ramp_keeps_copies():
    start, goal = np.zeros(2), np.ones(2)
    ramp = Ramp(start, goal, 1.0, 0.5, 0.5)
    start[:], goal[:] = 7.0, 7.0
    for _ in range(10):
        ramp.step()
    np.testing.assert_array_equal(ramp.target, [1.0, 1.0])


def test_limits_by_hand():
    lower, upper = np.full(4, -1.0), np.full(4, 1.0)
    wanted = np.array([0.05, 0.5, -0.5, 9.0])
    before = np.array([0.0, 0.0, 0.0, 0.95])
    np.testing.assert_allclose(limited(wanted, before, 0.1, lower, upper), [0.05, 0.1, -0.1, 1.0])


@settings(deadline=None)
@given(
    wanted=arrays(np.float64, 3, elements=st.floats(-1e9, 1e9)),
    before=arrays(np.float64, 3, elements=st.floats(-1.0, 1.0)),
    step=st.floats(0.0, 5.0),
)
def test_limits_hold_for_anything_finite(wanted, before, step):
    lower, upper = np.full(3, -1.0), np.full(3, 1.0)
    found = limited(wanted, before, step, lower, upper)
    assert (np.abs(found) <= 1.0).all()
    assert (np.abs(found - before) <= step + 1e-12).all()
