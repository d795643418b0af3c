"""The launch files under the real ``launch`` and ``launch_ros``, where these are installed."""

import ast
import importlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest

FILES = ("anymal", "op3", "sim")


@pytest.mark.parametrize("name", FILES)
def test_arguments_have_descriptions_and_safe_defaults(repo_root: Path, name):
    tree = ast.parse((repo_root / "launch" / f"{name}.launch.py").read_text("utf-8"))
    arguments = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "DeclareLaunchArgument":
            keys = {k.arg: ast.unparse(k.value) for k in node.keywords}
            arguments[ast.literal_eval(node.args[0])] = keys
    assert {"bundle", "autostart"} <= arguments.keys()
    for keys in arguments.values():
        assert ast.literal_eval(keys["description"]).endswith(".")
    assert "default_value" not in arguments["bundle"]
    for switch in {"autostart", "dry_run"} & arguments.keys():
        assert arguments[switch]["default_value"] == "'false'"
        assert arguments[switch]["choices"] == "['true', 'false']"


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation of the package, as colcon makes it, of which only the bridge can be run."""
    pytest.importorskip("launch_ros")
    index = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    (index / "legged_skills").touch()
    program = tmp_path / "lib" / "legged_skills" / "policy_bridge"
    program.parent.mkdir(parents=True)
    program.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -m legged_skills.sim2real.ros.bridge_main "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setenv("ROS_DOMAIN_ID", str(1 + (os.getpid() + 71) % 100))
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "log"))
    return tmp_path


@pytest.mark.parametrize(("name", "robot"), [("anymal", "anymal_c"), ("op3", "op3")])
def test_bridge_is_started_by_launch(repo_root, prefix, bundle_files, name, robot, capfd):
    # The launch folder of the repository is no package, and hides ROS's from the type checker.
    actions: Any = importlib.import_module("launch.actions")
    sources: Any = importlib.import_module("launch.launch_description_sources")
    launch: Any = importlib.import_module("launch")

    arguments: Any = {"bundle": bundle_files[robot], "autostart": "true", "dry_run": "true"}
    path = str(repo_root / "launch" / f"{name}.launch.py")
    service = launch.LaunchService(noninteractive=True)
    service.include_launch_description(
        launch.LaunchDescription(
            [
                actions.IncludeLaunchDescription(
                    sources.PythonLaunchDescriptionSource(path), launch_arguments=arguments.items()
                ),
                actions.TimerAction(
                    period=15.0, actions=[actions.Shutdown(reason="the test is over")]
                ),
            ]
        )
    )
    assert service.run() == 0
    said = "".join(capfd.readouterr())
    assert f"{robot} walk, {bundle_files[robot]}" in said and ", dry run" in said
    assert "has finished cleanly" in said
