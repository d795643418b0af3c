import numpy as np

from legged_skills.tasks.twin_commands import RunTwin


def test_the_targets_ways_are_those_of_the_evaluation():
    path = RunTwin(path="square", speed=0.5)._path()
    assert path is not None
    # 4 s a side, first along x, then to the left.
    np.testing.assert_allclose(path(4.0), [2.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(path(6.0), [2.0, 1.0], atol=0.02)
    # An earlier time means that the target was put elsewhere.
    np.testing.assert_allclose(path(1.0), [0.5, 0.0], atol=1e-6)
    assert RunTwin()._path() is None
