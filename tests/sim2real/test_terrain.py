import mujoco
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.sim2real.gap import GAPS
from legged_skills.sim2real.terrain import floor_name, floor_period_m, gap_model


@pytest.mark.parametrize("name", ["anymal_c", "op3"])
def test_rough_floors_come_again_after_their_period(name: str):
    gap = GAPS[name]
    model = gap_model(robots.get(name), gap)
    floor = model.hfield(floor_name(1))
    rows, columns = model.hfield_nrow[floor.id], model.hfield_ncol[floor.id]
    heights = model.hfield_data[model.hfield_adr[floor.id] :][: rows * columns]
    heights = heights.reshape(rows, columns)
    cells = round(floor_period_m(gap) / gap.terrain.cell_m)
    assert rows == columns == 2 * cells + 1
    np.testing.assert_array_equal(heights[:-cells], heights[cells:])
    np.testing.assert_array_equal(heights[:, :-cells], heights[:, cells:])
    # Within a period nothing comes again: heights are independent, and uniform from 0 to 1.
    one = heights[:cells, :cells]
    assert len(np.unique(one)) > 0.99 * cells**2
    assert one.std() == pytest.approx(1 / np.sqrt(12), abs=0.01)


def test_a_ray_down_meets_the_same_floor_one_period_on():
    gap = GAPS["anymal_c"]
    model = gap_model(robots.get("anymal_c"), gap)
    model.geom(floor_name(1)).pos[2] += 10.0
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    period = floor_period_m(gap)

    def depth(x: float, y: float) -> float:
        start = np.array([x, y, 20.0])
        geom = np.zeros(1, dtype=np.int32)
        return mujoco.mj_ray(model, data, start, np.array([0.0, 0, -1.0]), None, 1, -1, geom)

    for x, y in [(-10.13, 3.3), (-0.4, -15.9), (-31.0, -20.7)]:
        assert depth(x, y) == pytest.approx(depth(x + period, y), abs=1e-6)
        assert depth(x, y) == pytest.approx(depth(x, y % period), abs=1e-6)
        assert depth(x, y) != pytest.approx(depth(x + 0.31, y), abs=1e-5)


@pytest.mark.parametrize("number", [1, 2])
def test_rough_floors_are_level_in_the_mean(number: int):
    model = gap_model(robots.get("anymal_c"), GAPS["anymal_c"])
    floor = model.hfield(floor_name(number)).id
    cells = model.hfield_nrow[floor] * model.hfield_ncol[floor]
    data = model.hfield_data[model.hfield_adr[floor] :][:cells]
    height = model.geom(floor_name(number)).pos[2] + model.hfield_size[floor, 2] * data
    half = 0.5 * model.hfield_size[floor, 2]
    ends = [height.min(), height.mean(), height.max()]
    np.testing.assert_allclose(ends, [-half, 0.0, half], atol=0.02 * half)
