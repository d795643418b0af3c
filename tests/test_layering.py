"""The rules that keep the repository in layers, read from its files."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import legged_skills

PKG = "legged_skills"
# A folder may import itself and folders of a lower rank.
RANKS = {"robots": 0, "mocap": 1, "sim2real": 1, "skill_module": 2, "tasks": 3, PKG: 4}
FOLDERS = [name for name in RANKS if name != PKG]
MAX_BYTES = 5_000_000


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Yields the line and the full dotted name of everything a module imports.

    ``from a import b`` gives ``a.b``; a relative import keeps its dots in front.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            function = ast.unparse(node.func).rpartition(".")[2]
            name = node.args[0]
            if function in ("import_module", "__import__") and isinstance(name, ast.Constant):
                yield node.lineno, str(name.value)


def faults(source: str, folder: str) -> list[str]:
    """The imports in ``source``, a module of ``folder``, that break a rule."""
    found = []
    for line, name in imports(source):
        first, _, rest = name.partition(".")
        target = rest.partition(".")[0]
        if name.startswith("."):
            found.append(f"line {line}: relative import of {name}")
        elif first in FOLDERS:
            found.append(f"line {line}: bare import of {name}, expected {PKG}.{name}")
        elif first == PKG and target in FOLDERS:
            rank = RANKS.get(folder, len(RANKS))
            if target != folder and RANKS[target] >= rank:
                found.append(f"line {line}: {folder} must not import {name}")
    return found


def setup_literal(repo_root: Path, name: str) -> Any:
    """A list or table that is written out in setup.py, as a variable or as an argument."""
    for node in ast.walk(ast.parse((repo_root / "setup.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign | ast.keyword):
            named = node.arg if isinstance(node, ast.keyword) else ast.unparse(node.targets[0])
            if named == name:
                return ast.literal_eval(node.value)
    raise AssertionError(f"setup.py has no {name}")


def canonical(requirement: str) -> str:
    """The name of a distribution, without its version, as registries compare it."""
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")


def modules(repo_root: Path) -> Iterator[Path]:
    for folder in (*RANKS, "tests", "launch"):
        yield from sorted((repo_root / folder).rglob("*.py"))


def test_every_import_goes_down_the_ranks(repo_root: Path) -> None:
    paths = list(modules(repo_root))
    assert len(paths) > 10
    found = []
    for path in paths:
        relative = path.relative_to(repo_root)
        text = path.read_text(encoding="utf-8")
        found += [f"{relative}, {fault}" for fault in faults(text, relative.parts[0])]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("folder", "source"),
    [
        ("robots", "from legged_skills.mocap.clip import RobotClip"),
        ("mocap", "import legged_skills.sim2real.delay"),
        ("sim2real", "from legged_skills import mocap"),
        ("skill_module", "def f():\n    from legged_skills.tasks import walk"),
        ("mocap", "import importlib\nimportlib.import_module('legged_skills.tasks')"),
        ("tasks", "import mocap"),
        ("tests", "from robots.errors import ClipError"),
        ("tasks", "from . import walk"),
    ],
)
def test_broken_rules_are_found(folder: str, source: str) -> None:
    assert len(faults(source, folder)) == 1


@pytest.mark.parametrize(
    ("folder", "source"),
    [
        ("robots", "from legged_skills.robots.errors import ClipError\nimport numpy as np"),
        ("tasks", "from legged_skills import mocap, skill_module, __version__"),
        (PKG, "def f():\n    from legged_skills.tasks import walk"),
        ("tests", "import legged_skills.tasks"),
        ("launch", "from launch import LaunchDescription"),
    ],
)
def test_kept_rules_are_left_alone(folder: str, source: str) -> None:
    assert faults(source, folder) == []


def test_command_line_imports_what_it_needs_when_it_runs(repo_root: Path) -> None:
    heavy = {"jax", "mujoco", "matplotlib"}
    code = f"import sys, legged_skills.cli; print(*({heavy} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repo_root, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr


def test_launch_folder_is_no_package(repo_root: Path) -> None:
    # With it, "import launch" from here finds our folder, and no launch file works.
    assert not (repo_root / "launch" / "__init__.py").exists()


def test_folders_are_those_of_the_wheel(repo_root: Path) -> None:
    packages = {path.parent.name for path in repo_root.glob("*/__init__.py")}
    listed = set(setup_literal(repo_root, "FOLDERS"))
    assert listed == set(FOLDERS) == packages - {PKG}


def test_dependencies_are_those_imported(repo_root: Path) -> None:
    imported = set()
    for folder in RANKS:
        for path in (repo_root / folder).rglob("*.py"):
            imported |= {name.partition(".")[0] for _, name in imports(path.read_text("utf-8"))}
    # rclpy brings the first, and ROBOTIS the second.
    imported -= {PKG, *sys.stdlib_module_names, "rcl_interfaces", "robotis_controller_msgs"}
    # What one imports and what one installs may differ in name; two may share a name.
    found = importlib.metadata.packages_distributions()
    provided = {
        name: {canonical(given).removeprefix("ros-") for given in found.get(name, [name])}
        for name in imported
    }
    extras = setup_literal(repo_root, "extras_require")
    optional = [line for extra, lines in extras.items() if extra != "dev" for line in lines]
    lines = [*setup_literal(repo_root, "install_requires"), *optional]
    # Of ROS 2 a wheel "ros-jazzy-std-msgs" brings "ros-std-msgs", and that is imported by its own
    # name; the middleware is found by rclpy.
    needed = {canonical(line).removeprefix("ros-jazzy-") for line in lines} - {"rmw-fastrtps-cpp"}
    assert {name for name, given in provided.items() if not given & needed} == set()
    assert needed - set().union(*provided.values()) == set()


def test_every_folder_with_code_is_a_package(repo_root: Path) -> None:
    # setuptools leaves a folder without __init__.py out of the wheel.
    homes = {path.parent for folder in RANKS for path in (repo_root / folder).rglob("*.py")}
    assert [str(home) for home in homes if not (home / "__init__.py").is_file()] == []


def test_tests_are_no_packages(repo_root: Path) -> None:
    assert list((repo_root / "tests").rglob("__init__.py")) == []


def test_no_file_is_large(repo_root: Path) -> None:
    if not (repo_root / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repo_root,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    paths = [repo_root / name for name in listed.stdout.split("\0") if name]
    sizes = {str(path): path.stat().st_size for path in paths if path.is_file()}
    assert sizes
    assert {path: size for path, size in sizes.items() if size > MAX_BYTES} == {}


def test_version_is_the_same_everywhere(repo_root: Path) -> None:
    version = ElementTree.parse(repo_root / "package.xml").findtext("version")
    assert version == legged_skills.__version__
    changelog = (repo_root / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[(\d[^]]*)\]", changelog, re.MULTILINE)[0] == version
    try:
        installed = importlib.metadata.version(PKG)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("legged_skills is not installed, so that it has no metadata")
    assert installed == version
