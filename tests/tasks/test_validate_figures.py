import dataclasses
import math
from typing import Any

import pytest

from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.gap import GAPS
from legged_skills.sim2real.ranges import Ranges
from legged_skills.tasks.validate_figures import (
    Gates,
    engine_figures,
    factor_text,
    factor_title,
    missed_gates,
)
from legged_skills.tasks.validate_run import Group

RANGES = dataclasses.replace(
    GAPS["anymal_c"].ranges,
    **{f.name: (0.0, 0.0) for f in dataclasses.fields(Ranges)}
    | {name: (1.0, 1.0) for name in ("link_mass", "armature", "position_gain", "velocity_gain")}
    | {name: (1.0, 1.0) for name in ("strength", "battery", "floor_friction")}
    | {"payload_kg": (0.0, 5.0), "link_mass": (0.7, 1.3)},
)
"""Only payload and links' masses vary."""


def scores(falls: float, error: float, with_falls: float | None = None) -> dict[str, Any]:
    return {
        "episodes": 100,
        "fall_rate": falls,
        "falls_ci95": [0.0, 1.0],
        "velocity_error_mps": error,
        "yaw_error_radps": 0.1,
        "error_with_falls_mps": error if with_falls is None else with_falls,
        "torque_squared": 1000.0 * error,
    }


def result() -> dict[Group, dict[str, Any]]:
    return {
        Group(engine="nominal"): scores(0.0, 0.10),
        Group(engine="all"): scores(0.05, 0.15),
        Group(engine="corners"): scores(0.5, 0.4),
        Group(engine="edges", factor="payload_kg", side="high"): scores(0.0, 0.12),
        Group(engine="edges", factor="link_mass", side="low"): scores(0.02, 0.11, 0.13),
        Group(engine="edges", factor="link_mass", side="high"): scores(0.0, 0.16),
        Group(engine="edges", factor="link_mass", side="corners"): scores(0.0, 0.09),
    }


def test_engines_are_compared_with_the_nominal_one() -> None:
    engines = engine_figures(result(), RANGES)
    assert list(engines) == ["nominal", "all", "corners", "edges"]
    assert engines["nominal"]["error_ratio"] == engines["nominal"]["energy_ratio"] == 1.0
    assert engines["all"]["error_ratio"] == pytest.approx(1.5)
    assert engines["all"]["energy_ratio"] == pytest.approx(1.5)
    assert engines["all"]["fall_rate"] == 0.05
    assert engines["all"]["rise_mps"] == pytest.approx(0.05)
    wanted = {"fall_rate", "velocity_error_mps", "yaw_error_radps", "energy_ratio", "episodes"}
    assert all(wanted | {"falls_ci95"} <= engine.keys() for engine in engines.values())


def test_factors_are_sorted_by_what_they_cost_and_nominal_ends_are_filled_in() -> None:
    edges = engine_figures(result(), RANGES)["edges"]
    # Rises: masses high 0.06, masses low 0.03 (with falls), payload high 0.02, payload low 0
    # (nominal, not simulated), masses mixed -0.01.
    assert [(at["name"], at["side"], at["value"]) for at in edges["factors"]] == [
        ("link_mass", "high", 1.3),
        ("link_mass", "low", 0.7),
        ("payload_kg", "high", 5.0),
        ("payload_kg", "low", 0.0),
        ("link_mass", "corners", None),
    ]
    rises = [at["rise_mps"] for at in edges["factors"]]
    assert rises == pytest.approx([0.06, 0.03, 0.02, 0.0, -0.01])
    assert edges["factors"][3]["velocity_error_mps"] == 0.10
    assert [at["simulated"] for at in edges["factors"]] == [True, True, True, False, True]
    assert edges["factors"][2]["unit"] == "kg" and edges["factors"][0]["unit"] == "1"


def test_the_worst_factor_is_the_one_with_most_falls() -> None:
    edges = engine_figures(result(), RANGES)["edges"]
    assert edges["worst"] == {"name": "link_mass", "side": "low", "value": 0.7, "unit": "1"}
    assert edges["fall_rate"] == 0.02 and edges["velocity_error_mps"] == 0.11
    assert edges["energy_ratio"] == pytest.approx(1.1)


def test_gates_are_passed_up_to_their_value() -> None:
    assert missed_gates(engine_figures(result(), RANGES), Gates()) == []


@pytest.mark.parametrize(
    ("group", "score", "sentence"),
    [
        ("nominal", scores(0.03, 0.10), "nominal: falls 3.0%, expected at most 2.0%."),
        ("all", scores(0.06, 0.10), "all: falls 6.0%, expected at most 5.0%."),
        (
            "all",
            scores(0.0, 0.16),
            "all: velocity error over nominal 1.60, expected at most 1.50.",
        ),
        ("bullet", scores(0.06, 0.10), "bullet: falls 6.0%, expected at most 5.0%."),
        (
            "scene",
            scores(0.0, math.nan, 0.5),
            "scene: velocity error over nominal ?, expected at most 1.50.",
        ),
        (
            "payload_kg high",
            scores(0.03, 0.9),
            "edges, payload 5 kg: falls 3.0%, expected at most 2.0%.",
        ),
        (
            "link_mass corners",
            scores(0.03, 0.10),
            "edges, link mass mixed: falls 3.0%, expected at most 2.0%.",
        ),
    ],
)
def test_each_gate_can_be_missed(group: str, score: dict[str, Any], sentence: str) -> None:
    factor, _, side = group.partition(" ")
    key = Group(engine="edges", factor=factor, side=side) if side else Group(engine=group)
    assert missed_gates(engine_figures(result() | {key: score}, RANGES), Gates()) == [sentence]


def test_a_nominal_engine_that_measures_nothing_misses() -> None:
    figures = engine_figures({Group(engine="nominal"): scores(1.0, math.nan, 0.5)}, RANGES)
    missed = missed_gates(figures, Gates(max_factor_falls=1.0))
    assert missed == ["nominal: velocity error over nominal ?, expected at most 1.50."]


def test_corners_count_if_they_are_wanted() -> None:
    figures = engine_figures(result(), RANGES)
    assert missed_gates(figures, Gates(corners=True)) == [
        "corners: falls 50.0%, expected at most 5.0%.",
        "corners: velocity error over nominal 4.00, expected at most 1.50.",
    ]
    assert missed_gates(figures, Gates(max_error_ratio=1.4)) == [
        "all: velocity error over nominal 1.50, expected at most 1.40."
    ]


def test_factors_in_words() -> None:
    assert factor_title("payload_kg") == "payload"
    assert factor_title("joint_offset_rad") == "joint offset"
    assert factor_title("viscous_friction") == "viscous friction"
    assert factor_title("battery") == "battery"
    at = {"name": "start_velocity_mps", "value": -0.3, "unit": "m/s"}
    assert factor_text(at) == "start velocity -0.3 m/s"
    assert factor_text(at | {"value": None}) == "start velocity mixed"
    assert factor_text({"name": "strength", "value": 0.8, "unit": "1"}) == "strength 0.8"


@pytest.mark.parametrize(
    "wrong", [{"max_falls": 1.1}, {"max_factor_falls": -0.1}, {"max_error_ratio": math.nan}]
)
def test_gates_must_make_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Gates(**wrong)
