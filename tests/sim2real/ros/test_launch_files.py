"""The launch files under the real ``launch`` and ``launch_ros``, where these are installed.

Or where LEGGED_SKILLS_LAUNCH names folders of their sources, which are the folders ``launch`` of
github.com/ros2/launch and ``launch_ros`` of github.com/ros2/launch_ros; they need osrf-pycommon:

    pip install osrf-pycommon
    LEGGED_SKILLS_LAUNCH=ros2/launch/launch:ros2/launch_ros/launch_ros pytest -k launch_files
"""

import ast
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from legged_skills.sim2real.deploy.recorded_run import read_run
from legged_skills.tasks.twin_commands import RunTwin

FILES = ("anymal", "bridge", "op3", "sim")
SOURCES = os.environ.get("LEGGED_SKILLS_LAUNCH", "")


@pytest.mark.parametrize("name", FILES)
def test_arguments_have_descriptions_and_safe_defaults(repo_root: Path, name):
    tree = ast.parse((repo_root / "launch" / f"{name}.launch.py").read_text("utf-8"))
    arguments = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "DeclareLaunchArgument":
            keys = {k.arg: ast.unparse(k.value) for k in node.keywords}
            arguments[ast.literal_eval(node.args[0])] = keys
    assert "bundle" in arguments and (name in ("anymal", "op3") or "autostart" in arguments)
    for keys in arguments.values():
        assert ast.literal_eval(keys["description"]).endswith(".")
    assert "default_value" not in arguments["bundle"]
    # Names of twin, keyboard and robot are in no namespace, so that the bridge's must not be.
    assert "namespace" not in arguments
    if name == "sim":
        assert arguments["ball"]["default_value"] == "'false'"
        paths = RunTwin.__annotations__["path"]
        assert ast.literal_eval(arguments["path"]["choices"]) == list(get_args(paths))
    for switch in {"autostart", "dry_run"} & arguments.keys():
        assert arguments[switch]["default_value"] == "'false'"
        assert arguments[switch]["choices"] == "['true', 'false']"


RUNNER = """
import importlib.util, os, signal, sys
from unittest.mock import MagicMock
if importlib.util.find_spec("composition_interfaces") is None:
    # Of nodes in containers, which are not used here.
    for name in ("composition_interfaces", "composition_interfaces.srv"):
        sys.modules[name] = MagicMock()
import launch, launch_ros.actions
from launch.actions import IncludeLaunchDescription, RegisterEventHandler, Shutdown, TimerAction
from launch.event_handlers import OnProcessIO
from launch.launch_description_sources import PythonLaunchDescriptionSource

path, until, *arguments = sys.argv[1:]
said, over, KILL = "", False, "kill -9 after: "

def hear(event):
    global said, over
    said += event.text.decode(errors="replace")
    if not over and all(words in said for words in until.removeprefix(KILL).split("|")):
        over = True
        if until.startswith(KILL):
            print(said, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        # Somewhat later: what runs by then is to leave something behind.
        return TimerAction(period=1.0, actions=[Shutdown(reason="the test is over")])

if path:
    source = PythonLaunchDescriptionSource(path)
    pairs = [argument.split(":=", 1) for argument in arguments]
    service = launch.LaunchService(noninteractive=True)
    service.include_launch_description(launch.LaunchDescription([
        RegisterEventHandler(OnProcessIO(on_stdout=hear, on_stderr=hear)),
        IncludeLaunchDescription(source, launch_arguments=pairs),
        TimerAction(period=90.0, actions=[Shutdown(reason="too late")]),
    ]))
    sys.exit(service.run())
"""
"""What ``ros2 launch FILE NAME:=VALUE ...`` does, until the processes have said all words."""


@pytest.fixture
def ros2_launch(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Launches a file with an installation of the package as colcon makes it."""
    index = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    (index / "legged_skills").touch()
    folder = tmp_path / "lib" / "legged_skills"
    folder.mkdir(parents=True)
    for name, module in {
        "policy_bridge": "legged_skills.sim2real.ros.bridge_main",
        "legged-skills": "legged_skills",
    }.items():
        program = folder / name
        lines = ("#!/bin/sh", 'echo "started: $*"', f'exec "{sys.executable}" -m {module} "$@"')
        program.write_text("\n".join(lines) + "\n")
        program.chmod(0o755)
    environment = os.environ | {
        "AMENT_PREFIX_PATH": os.pathsep.join(
            filter(None, [str(tmp_path), os.environ.get("AMENT_PREFIX_PATH")])
        ),
        "PYTHONPATH": os.pathsep.join(filter(None, [SOURCES, os.environ.get("PYTHONPATH")])),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_DOMAIN_ID": str(1 + (os.getpid() + 71) % 90),
        "ROS_LOG_DIR": str(tmp_path / "log"),
        "ROS_HOME": str(tmp_path / "home"),
    }

    def launch(path: Path | str, *arguments: str, until: str = "") -> Any:
        return subprocess.run(
            [sys.executable, "-c", RUNNER, str(path), until, *arguments],
            # Not the repository's root, where ``launch`` is our folder of launch files.
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    done = launch("")
    if done.returncode:
        pytest.skip(f"no launch_ros here: {done.stderr.splitlines()[-1:]}")
    return launch


@pytest.mark.parametrize(("name", "robot"), [("anymal", "anymal_c"), ("op3", "op3")])
def test_bridge_is_started_by_launch(ros2_launch, repo_root, tmp_path, bundle_files, name, robot):
    done = ros2_launch(
        repo_root / "launch" / f"{name}.launch.py",
        f"bundle:={bundle_files[robot]}",
        "autostart:=true",
        "dry_run:=true",
        until=", dry run",
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert f"{robot} walk, {bundle_files[robot]}" in said and ", dry run" in said
    assert "process has finished cleanly" in said and "too late" not in said
    # It is recorded, unless somebody does not want that.
    (log,) = (tmp_path / "home" / "legged_skills").glob("*/log.000.npz")
    assert re.fullmatch(rf"\d{{8}}-\d{{6}}-{robot}", log.parent.name)
    assert read_run(log).header["robot"] == robot


@pytest.fixture
def unrecorded(ros2_launch, repo_root, bundle_files) -> Callable[[str], Any]:
    """Launches OP3's bridge without a robot and a log, until it has said some words."""

    def launch(until: str) -> Any:
        return ros2_launch(
            repo_root / "launch" / "op3.launch.py",
            f"bundle:={bundle_files['op3']}",
            "autostart:=true",
            "dry_run:=true",
            "log:=none",
            until=until,
        )

    return launch


def test_a_bridge_does_not_outlive_its_launch(unrecorded):
    done = unrecorded("kill -9 after: , dry run")
    said = done.stdout + done.stderr
    assert done.returncode == -signal.SIGKILL, said
    (pid,) = re.findall(r"process started with pid \[(\d+)\]", said)
    end = time.monotonic() + 30.0
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_launch_that_is_not_recorded(unrecorded, tmp_path):
    done = unrecorded(", dry run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(tmp_path.rglob("*.npz"))


def test_twin_bridge_and_keyboard_are_started_by_launch(ros2_launch, repo_root, bundle_files):
    done = ros2_launch(
        repo_root / "launch" / "sim.launch.py",
        f"bundle:={bundle_files['op3']}",
        "robot:=op3",
        "gap:=none",
        "ball:=true",
        "path:=slalom",
        "log:=none",
        "autostart:=true",
        "domain:=93",
        "teleop:=true",
        # No terminal here: what would be run in one is printed.
        "terminal:=echo to be run:",
        until="op3 walk, |domain 93|to be run",
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "op3, seed 0, gap none, domain 93" in said
    assert "started: twin --robot op3 --gap none --seed 0 --ball --path slalom\n" in said
    assert re.search(r"to be run: \S+/lib/legged_skills/legged-skills teleop", said)
    assert "too late" not in said


def test_what_cannot_be_launched(ros2_launch, repo_root):
    path = repo_root / "launch" / "bridge.launch.py"
    done = ros2_launch(path, "bundle:=x.onnx", "robot:=spot", until="never")
    assert done.returncode == 1
    assert 'Argument "robot" provided value "spot" is not valid' in done.stdout + done.stderr
