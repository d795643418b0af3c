import dataclasses

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real import ranges
from legged_skills.sim2real.gap import GAPS

SPEC = robots.get("anymal_c")
RANGES = GAPS["anymal_c"].ranges
LINKS = 13


def test_full_level_fills_the_ranges_evenly():
    factors = ranges.draw(RANGES, SPEC, LINKS, 4000, np.random.default_rng(0))
    for name, values in factors.items():
        low, high = getattr(RANGES, name)
        assert low <= values.min() and values.max() <= high, name
        # A uniform variable's mean is the middle; the standard error is width / sqrt(12 n).
        tolerance = 5.0 * (high - low) / np.sqrt(12.0 * len(values)) + 1e-12
        assert abs(values.mean(axis=0) - 0.5 * (low + high)).max() <= tolerance, name
    assert factors["link_mass"].shape == (4000, 13)
    assert factors["joint_offset_rad"].shape == (4000, 12)
    assert factors["com_offset_m"].shape == (4000, 3)
    assert factors["payload_kg"].shape == (4000, 1)


def test_level_goes_from_nominal_to_drawn():
    nominal = ranges.nominal(RANGES, SPEC, LINKS, 5)
    none = ranges.draw(RANGES, SPEC, LINKS, 5, np.random.default_rng(0), level=0.0)
    half = ranges.draw(RANGES, SPEC, LINKS, 5, np.random.default_rng(0), level=0.5)
    full = ranges.draw(RANGES, SPEC, LINKS, 5, np.random.default_rng(0), level=1.0)
    for name, value in nominal.items():
        np.testing.assert_array_equal(none[name], value)
        np.testing.assert_allclose(half[name], 0.5 * (value + full[name]), atol=1e-12)


def test_a_training_may_go_beyond_the_ranges_but_not_beyond_sense():
    wide = ranges.draw(RANGES, SPEC, LINKS, 4000, np.random.default_rng(0), level=1.5)
    assert 0.55 <= wide["link_mass"].min() < 0.56  # 1 + 1.5 * (0.7 - 1)
    assert 1.44 < wide["link_mass"].max() <= 1.45
    assert wide["interpolation"].min() == 0.0  # 1 + 1.5 * (0 - 1) would be -0.5
    assert wide["interpolation"].max() <= 1.0


def test_joints_err_partly_alike():
    offset = ranges.draw(RANGES, SPEC, LINKS, 20_000, np.random.default_rng(0))["joint_offset_rad"]
    # Two joints are the same if both take the common value: E[s^2] of a share s of U(0, 1).
    same = offset[:, 0] == offset[:, 7]
    np.testing.assert_allclose(same.mean(), 1.0 / 3.0, atol=0.015)
    np.testing.assert_allclose(np.corrcoef(offset[:, 0], offset[:, 7])[0, 1], 1 / 3, atol=0.03)
    axes = ranges.draw(RANGES, SPEC, LINKS, 1000, np.random.default_rng(0))["com_offset_m"]
    assert (axes[:, 0] != axes[:, 1]).all()


def test_nominal_is_the_robot_as_modelled():
    nominal = ranges.nominal(RANGES, SPEC, LINKS, 1)
    assert nominal["link_mass"][0, 0] == 1.0
    assert nominal["floor_friction"][0, 0] == SPEC.floor_friction
    # Delays are at least as long as the bus makes them.
    assert nominal["command_delay_s"][0, 0] == RANGES.command_delay_s[0]
    assert nominal["push_force_n"][0, 0] == 0.0


@pytest.mark.parametrize(("side", "value"), [("low", 0.7), ("high", 1.3)])
def test_an_edge_moves_one_factor_only(side: ranges.Side, value: float):
    rng = np.random.default_rng(0)
    factors = ranges.at_edge(RANGES, SPEC, LINKS, 4, "link_mass", side, rng)
    nominal = ranges.nominal(RANGES, SPEC, LINKS, 4)
    np.testing.assert_array_equal(factors.pop("link_mass"), np.full((4, 13), value))
    for name, values in factors.items():
        np.testing.assert_array_equal(values, nominal[name])


def test_corners_are_at_both_ends():
    rng = np.random.default_rng(0)
    mass = ranges.at_edge(RANGES, SPEC, LINKS, 50, "link_mass", "corners", rng)["link_mass"]
    assert set(np.unique(mass)) == {0.7, 1.3}
    assert ranges.sides("link_mass") == ("low", "high", "corners")
    assert ranges.sides("payload_kg") == ("low", "high")


def test_factors_that_do_not_vary_have_a_value():
    own = dataclasses.replace(GAPS["anymal_c"].ranges, floor_friction=(0.2, 0.2))
    fixed = own.fixed()
    assert fixed["floor_friction"] == 0.2 and fixed["battery"] == 1.0
    assert not fixed.keys() & set(own.names())


def test_a_factor_with_equal_ends_does_not_vary():
    assert "backlash_rad" not in RANGES.names()
    assert "backlash_rad" in GAPS["op3"].ranges.names()


@pytest.mark.parametrize(
    ("field", "ends", "message"),
    [
        ("payload_kg", (-1.0, 1.0), "payload_kg begins at -1, expected at least 0."),
        ("link_mass", (1.3, 0.7), r"link_mass is \(1.3, 0.7\), expected a low and a high end."),
        ("drop_rate", (0.0, 1.1), "drop_rate ends at 1.1, expected at most 1."),
        ("slope_rad", (0.0, np.nan), "slope_rad is .* expected a low and a high end."),
    ],
)
def test_bad_ends_are_refused(field: str, ends: tuple[float, float], message: str):
    with pytest.raises(SettingsError, match=message):
        dataclasses.replace(RANGES, **{field: ends})


def test_links_err_partly_alike():
    mass = ranges.draw(RANGES, SPEC, LINKS, 20_000, np.random.default_rng(0))["link_mass"]
    np.testing.assert_allclose((mass[:, 0] == mass[:, 7]).mean(), 1.0 / 3.0, atol=0.015)
