from pathlib import Path

import numpy as np
import pytest

from legged_skills.robots.errors import RenderError
from legged_skills.sim2real.twin.twin import Twin, TwinConfig
from legged_skills.sim2real.twin.view import Watch, positions, visible_model


def test_what_is_seen_is_robot_and_ball():
    twin = Twin(TwinConfig(robot="op3", gap="none", ball=True))
    assert positions(twin).shape == (visible_model(twin).nq,) == (34,)
    np.testing.assert_array_equal(positions(twin)[27:30], twin.robot.sim.objects_qpos[0, :3])


def test_a_film_of_some_cycles(tmp_path: Path):
    twin = Twin(TwinConfig(robot="anymal_c", gap="none"))
    watch = Watch(viewer=False, film=True)
    each = watch.begin(twin)
    for _ in range(17):
        twin.cycle()
        each()
    # One frame every 8 cycles of 5 ms.
    assert len(watch._frames) == 3
    watch.write(tmp_path / "twin.mp4", backend="sketch")
    assert (tmp_path / "twin.mp4").stat().st_size > 500


def test_without_having_watched_there_is_no_film(tmp_path: Path):
    with pytest.raises(RenderError, match="was not watched"):
        Watch(viewer=False, film=False).write(tmp_path / "twin.mp4")
