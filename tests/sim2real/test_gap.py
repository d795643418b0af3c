import dataclasses
import json
from pathlib import Path

import pytest

from legged_skills import robots
from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.gap import GAPS, load_gap, widened
from legged_skills.sim2real.ranges import per


@pytest.mark.parametrize("name", robots.names())
def test_every_robot_has_a_gap_that_covers_what_deployments_met(name: str):
    gap, spec = GAPS[name], robots.get(name)
    ranges = gap.ranges
    assert ranges.link_mass == (0.7, 1.3)
    assert ranges.floor_friction == (0.4, 1.2)
    total = [c + s for c, s in zip(ranges.command_delay_s, ranges.sensor_delay_s, strict=True)]
    assert total == pytest.approx([{"anymal_c": 0.0, "op3": 0.01}[name], 0.05])
    # 5 to 15 N on 3.1 kg, and in proportion to the weight.
    weight = spec.model().body_subtreemass[0] * 9.81
    assert ranges.push_force_n[1] / weight == pytest.approx(15.0 / (3.1 * 9.81), rel=0.05)
    periods = spec.control_period_s / gap.timing.drive_period_s
    assert periods == pytest.approx(round(periods))


def test_the_ranges_widen_in_steps():
    gap = dataclasses.replace(GAPS["anymal_c"], training_level=1.5)
    levels = [gap.level(p) for p in (0.0, 0.02, 0.03, 0.15, 0.3, 1.0)]
    assert levels == pytest.approx([0.0, 0.0, 0.15, 0.75, 1.5, 1.5])
    assert dataclasses.replace(gap, ramp_share=0.0).level(0.0) == 1.5


def test_choices():
    assert load_gap("none", "anymal_c") is None
    assert load_gap("full", "op3") is GAPS["op3"]


def test_a_file_changes_what_it_names(tmp_path: Path):
    path = tmp_path / "gap.yaml"
    path.write_text("ranges: {payload_kg: [0, 2]}\npushes:\n  interval_s: [2, 4]\n")
    gap = load_gap(str(path), "anymal_c")
    assert gap is not None
    assert gap.ranges.payload_kg == (0.0, 2.0)
    assert gap.pushes.interval_s == (2.0, 4.0)
    assert gap.ranges.link_mass == GAPS["anymal_c"].ranges.link_mass
    path.write_text(json.dumps(gap.to_json() | {"fit": None}))
    assert load_gap(str(path), "anymal_c") == gap


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ranges: {paylod_kg: [0, 2]}", "unknown field 'paylod_kg', expected one of .*payload_kg"),
        ("ranges: {payload_kg: [0]}", r"payload_kg is \[0\], expected 2 numbers."),
        ("ranges: {payload_kg: [0, heavy]}", "payload_kg is 'heavy', expected a finite number."),
        (
            f"ranges: {{payload_kg: [0, {10**400}]}}",
            f"payload_kg is {10**400}, expected a finite number.",
        ),
        ("ranges: {payload_kg: [3, 2]}", "payload_kg is .*, expected a low and a high end."),
        ("ranges: 3", "ranges is 3, expected fields with their values."),
        ("[1, 2]", "expected fields of the gap with their values."),
        ("robot: op3", "robot is op3, expected anymal_c."),
        ("timing: {setpoint: 3}", "setpoint is 3, expected text like 'first_order'."),
        ("timing: {setpoint: cubic}", "setpoint is 'cubic', expected hold or first_order."),
        ("{", "neither YAML nor JSON"),
        ("ranges: {payload_kg: [2020-13-45, 2]}", "neither YAML nor JSON .*month must be in 1..12"),
        (f"ranges: {{payload_kg: [0, {'1' * 5000}]}}", "neither YAML nor JSON"),
        ("ranges: {floor_friction: [0, 1]}", "floor_friction begins at 0, expected at least 0.01"),
        ("pushes: {interval_s: [6, 2]}", r"interval_s is \[6.0, 2.0\], expected the least and"),
        ("pushes: {interval_s: [1, .inf]}", r"interval_s is .*, expected"),
        ("pushes: {duration_s: [-1, 1]}", r"duration_s is \[-1.0, 1.0\]"),
        ("terrain: {cell_m: 0}", "cell_m is 0.0, expected more than 0"),
        ("terrain: {size_m: 0.1}", "size_m is 0.1, expected at least 0.25"),
        ("terrain: {seed: -1}", "seed is -1, expected at least 0"),
        ("terrain: {levels: 2.7}", "levels is 2.7, expected a whole number"),
        ("sensors: {counts_per_turn: 0}", "counts_per_turn is 0, expected at least 1"),
        ("sensors: {attitude: foo}", "attitude is 'foo', expected robot or filter"),
        ("sensors: {imu_smoothing: -3}", "imu_smoothing is -3.0"),
        ("sensors: {filter: {time_constant_s: 0}}", "time_constant_s is 0.0"),
        ("drives: {battery_v: 0}", "battery_v is 0.0, expected more than 0"),
        ("drives: {stall_factor: 0}", "stall_factor is 0.0, expected at least 1"),
        ("training_level: -1", "training_level is -1.0, expected at least 0"),
        ("ramp_steps: 0", "ramp_steps is 0, expected at least 1"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str, message: str):
    path = tmp_path / "gap.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=message) as caught:
        load_gap(str(path), "anymal_c")
    assert str(path) in str(caught.value)


def test_what_is_neither_a_choice_nor_a_file():
    with pytest.raises(SettingsError, match="gap is 'half', expected none, full or a file"):
        load_gap("half", "anymal_c")


def test_the_documentation_lists_every_factor_as_it_is():
    text = (Path(__file__).parents[2] / "docs" / "reality_gap.md").read_text()
    columns = [GAPS[name].ranges for name in ("anymal_c", "op3")]
    for name in columns[0].__dataclass_fields__:
        ends = [getattr(column, name) for column in columns]
        cells = ["-" if low == high else f"{low:.4g} to {high:.4g}" for low, high in ends]
        assert f"| `{name}` | {per(name)} | {cells[0]} | {cells[1]} |" in text, name


def test_a_training_widens_what_the_gap_says():
    gap = dataclasses.replace(GAPS["anymal_c"], training_level=1.2)
    wide = widened(gap, 1.5)
    assert wide is not None and wide.training_level == pytest.approx(1.8)
    assert wide.ramp_share == gap.ramp_share
    at_once = widened(gap, 1.0, 0.1)
    assert at_once is not None and at_once.ramp_share == 0.1
    assert widened(None, 1.5) is None
