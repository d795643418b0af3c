"""Stretches, and the settings that the command line offers."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from legged_skills.mocap.stretch import RetargetSettings, Stretch
from legged_skills.robots.errors import SettingsError


def test_a_part_of_a_stretch_is_a_part_of_everything() -> None:
    frames = np.arange(20.0)
    shapes = {"qpos": (27,), "contact": (2,), "feet_w": (2, 3), "floor_distance": (2,)}
    shapes |= {"fitted_feet_w": (2, 3), "limb_errors": (2,)}
    arrays: dict[str, Any] = {
        f.name: np.broadcast_to(
            frames.reshape(-1, *[1] * len(shapes.get(f.name, ()))), (20, *shapes.get(f.name, ()))
        )
        for f in fields(Stretch)
    }
    part = Stretch(**arrays).part(5, 12)
    for f in fields(Stretch):
        np.testing.assert_array_equal(getattr(part, f.name), arrays[f.name][5:12])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"speed": 0.05}, r"speed is 0.05, expected 0.1 to 10"),
        ({"speed": float("nan")}, r"speed is nan, expected 0.1 to 10"),
        ({"slowest": 0.9}, r"slowest is 0.9, expected at least 1"),
        ({"slowest": float("nan")}, r"slowest is nan, expected at least 1"),
        ({"min_stretch_s": 0.0}, r"min_stretch_s is 0, expected at least 0.1"),
    ],
)
def test_settings_are_checked(changes: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        RetargetSettings(**changes)
