import numpy as np

from legged_skills.sim2real.delay_line import DelayLine


def test_reads_what_was_pushed_so_many_steps_ago():
    line = DelayLine(3, 2, max_delay=4)
    assert line.max_delay == 4
    line.fill(slice(None), np.zeros((3, 2)))
    for t in range(1, 8):
        line.push(np.full((3, 2), t))
    np.testing.assert_array_equal(line.read(np.array([0, 2, 4]))[:, 0], [7, 5, 3])


def test_fill_is_as_if_it_had_always_been_so():
    line = DelayLine(2, 1, max_delay=3)
    line.push(np.ones((2, 1)))
    line.fill(np.array([1]), np.array([[9.0]]))
    np.testing.assert_array_equal(line.read(np.array([0, 3])), [[1.0], [9.0]])
    line.push(np.full((2, 1), 5.0))
    np.testing.assert_array_equal(line.read(np.array([1, 1])), [[1.0], [9.0]])


def test_no_delay_needs_no_memory():
    line = DelayLine(1, 1, max_delay=0)
    line.push(np.array([[4.0]]))
    assert line.read(np.array([0]))[0, 0] == 4.0
