import dataclasses

import pytest

from legged_skills import robots
from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.deploy.config import (
    CONFIGS,
    LONGEST_REST_S,
    DeployConfig,
    config_of,
)
from legged_skills.sim2real.deploy.parameters import parameters, replaced
from legged_skills.sim2real.gap import GAPS

ANYMAL = config_of("anymal_c")
NUMBERS = [p for p in parameters(ANYMAL) if p.low is not None and not isinstance(p.default, tuple)]


def test_every_robot_has_settings():
    assert CONFIGS.keys() == set(robots.names())
    with pytest.raises(SettingsError, match="no settings to deploy 'spot', expected one of anym"):
        config_of("spot")


def test_safety_numbers_that_the_documentation_states():
    for config in CONFIGS.values():
        assert config.tilt_limit_deg == 55.0
        assert config.command_timeout_s == 0.5
        assert config.joint_timeout_s == config.imu_timeout_s == 0.1
        assert config.fault_behaviour == "hold"
    assert config_of("op3").low_battery_v == 11.0


@pytest.mark.parametrize("robot", robots.names())
def test_attitude_is_that_of_training(robot):
    config, sensors = config_of(robot), GAPS[robot].sensors
    assert config.attitude == sensors.attitude
    assert config.filter_time_constant_s == sensors.filter.time_constant_s
    assert config.filter_tolerance == sensors.filter.tolerance
    assert (robot, config.attitude) in (("anymal_c", "robot"), ("op3", "filter"))


@pytest.mark.parametrize("robot", robots.names())
def test_joint_speed_limit_is_beyond_what_the_drives_can(robot):
    assert config_of(robot).joint_speed_radps > 1.5 * robots.get(robot).velocity_limit.max()


def test_every_setting_has_a_description_like_its_docstring():
    import ast
    import inspect

    tree = ast.parse(inspect.getsource(DeployConfig)).body[0]
    assert isinstance(tree, ast.ClassDef)
    texts = {}
    for field, text in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            assert isinstance(field.target, ast.Name)
            texts[field.target.id] = ast.literal_eval(text.value)
    assert len(texts) == len(parameters(ANYMAL)) > 20
    for parameter in parameters(ANYMAL):
        unit = f" [{parameter.unit}]" if parameter.unit not in ("", "1") else ""
        assert texts[parameter.name] == parameter.description[:-1] + unit + "."


@pytest.mark.parametrize("parameter", NUMBERS, ids=lambda p: p.name)
def test_range_of_each_number(parameter):
    kind = type(parameter.default)
    for value in (parameter.low, parameter.high):
        config = replaced(ANYMAL, {parameter.name: kind(value)})
        assert getattr(config, parameter.name) == value
    beyond = (kind(parameter.low - 1), kind(parameter.high + 1))
    for value in (*beyond, *((float("nan"),) if kind is float else ())):
        with pytest.raises(SettingsError, match=f"^{parameter.name} is .*expected a number from"):
            replaced(ANYMAL, {parameter.name: value})


def test_whole_numbers_stand_for_fractions_and_lists_for_tuples():
    config = replaced(ANYMAL, {"settle_s": 2, "imu_mounting_wxyz": [1, 0, 0, 0]})
    assert config.settle_s == 2.0 and isinstance(config.settle_s, float)
    assert config.imu_mounting_wxyz == (1.0, 0.0, 0.0, 0.0)
    assert dataclasses.replace(config, settle_s=ANYMAL.settle_s) != ANYMAL


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tilt": 3.0}, "unknown setting 'tilt', expected one of robot, ramp_speed_radps"),
        ({"settle_s": "1"}, "settle_s is '1', expected something like 1.5"),
        ({"settle_s": True}, "settle_s is True, expected something like 1.5"),
        ({"max_overruns": 2.5}, "max_overruns is 2.5, expected something like 5"),
        ({"imu_mounting_wxyz": [1.0, "x", 0, 0]}, "imu_mounting_wxyz is 'x'"),
        ({"imu_mounting_wxyz": [1.0, 0.0, 0.0]}, "expected a unit quaternion"),
        ({"imu_mounting_wxyz": [1.0, 0.5, 0.0, 0.0]}, "expected a unit quaternion"),
        ({"fault_behaviour": "dance"}, "fault_behaviour is 'dance', expected one of hold, damp"),
        ({"attitude": "none"}, "attitude is 'none', expected one of robot, filter"),
        ({"robot": "spot"}, "robot is 'spot', expected one of anymal_c, op3"),
    ],
)
def test_what_is_no_setting_is_named(values, message):
    with pytest.raises(SettingsError, match=message):
        replaced(ANYMAL, values)


@pytest.mark.parametrize("robot", robots.names())
def test_who_starts_a_bridge_waits_for_its_longest_soft_stop(repo_root, robot):
    slowest = {p.name: p for p in parameters(config_of(robot))}
    settings = {
        "ramp_speed_radps": slowest["ramp_speed_radps"].low,
        "ramp_min_s": slowest["ramp_min_s"].high,
        "settle_s": slowest["settle_s"].high,
    }
    assert replaced(config_of(robot), settings).rest_within_s < LONGEST_REST_S
    launched = (repo_root / "launch" / "bridge.launch.py").read_text("utf-8")
    assert f'sigterm_timeout="{LONGEST_REST_S:g}"' in launched
