import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from legged_skills import robots
from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.deploy.config import config_of
from legged_skills.sim2real.deploy.parameters import parameters, replaced
from legged_skills.sim2real.ros.bridge_config import BRIDGES, bridge_config_of
from legged_skills.sim2real.ros.parameter_files import (
    LAUNCHED,
    fault_table,
    main,
    parameter_table,
    table,
    text,
)


@pytest.mark.parametrize("robot", robots.names())
def test_files_are_those_that_the_settings_make(repo_root: Path, robot):
    path = repo_root / "launch" / "params" / f"{robot}.yaml"
    assert path.read_text("utf-8") == text(robot), "python -m ...ros.parameter_files launch/params"


@pytest.mark.parametrize("robot", robots.names())
def test_values_are_the_defaults(robot):
    values = yaml.safe_load(text(robot))["/**/policy_bridge"]["ros__parameters"]
    wanted = {p.name: p.default for p in table(robot)}
    assert len(wanted) > 40
    assert values.keys() == wanted.keys()
    for name, value in values.items():
        default = wanted[name]
        assert (tuple(value) if isinstance(value, list) else value) == default
        if not isinstance(value, list):
            assert type(value) is type(default), name


def test_every_setting_is_in_a_file_or_an_argument():
    both = [*parameters(config_of("op3")), *parameters(bridge_config_of("op3"))]
    names = [parameter.name for parameter in both]
    assert len(set(names)) == len(names)
    assert set(names) - {p.name for p in table("op3")} == set(LAUNCHED)


def test_writing_them(tmp_path):
    main(str(tmp_path))
    assert {path.stem for path in tmp_path.iterdir()} == set(BRIDGES) == set(robots.names())


@pytest.mark.parametrize("robot", robots.names())
@pytest.mark.parametrize("namespace", ["/", "/dog"])
def test_rclpy_takes_the_file(repo_root: Path, tmp_path, robot, namespace):
    pytest.importorskip("rclpy")
    path = tmp_path / "params.yaml"
    # Another value than the default, so that a file that is not heard would be noticed.
    changed = text(robot).replace("tilt_limit_deg: 55.0", "tilt_limit_deg: 41.5")
    path.write_text(changed)
    program = f"""
import rclpy
from legged_skills.sim2real.ros.bridge import BridgeNode
rclpy.init(args=["--ros-args", "--params-file", {str(path)!r}, "-r", "__ns:={namespace}"])
node = BridgeNode()
print(node.deploy.robot, node.deploy.tilt_limit_deg, node.config.driver, node.get_namespace())
node.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    driver = {"op3": "op3", "anymal_c": "ros2_control"}[robot]
    assert done.stdout.split() == [robot, "41.5", driver, namespace], done.stderr


def test_tables_of_the_documentation_are_those_that_the_settings_make(repo_root: Path):
    text = (repo_root / "docs" / "deployment.md").read_text("utf-8")
    for name, made in (("parameter_table", parameter_table()), ("fault_table", fault_table())):
        assert len(made.splitlines()) > 15
        assert made in text, f"write parameter_files.{name}() into docs/deployment.md"


@pytest.mark.parametrize("value", [90.0, float("nan")])
def test_each_number_of_a_list_must_be_in_range(value):
    offsets = [0.0] * 19 + [value]
    with pytest.raises(SettingsError, match="joint_offsets_rad is"):
        replaced(bridge_config_of("op3"), {"joint_offsets_rad": offsets})
