"""The package as ``colcon build`` installs it; where colcon is on the path."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PATIENCE_S = 300.0
CHECK = """
from pathlib import Path
import legged_skills
from ament_index_python.packages import get_package_prefix, get_package_share_directory
import legged_skills.sim2real.ros.bridge_config
share = Path(get_package_share_directory("legged_skills"))
print(get_package_prefix("legged_skills"))
print(legged_skills.__file__)
print(sorted(p.name for p in (share / "launch").iterdir()))
print(sorted(p.name for p in (share / "launch" / "params").iterdir()))
"""


@pytest.mark.parametrize("options", [[], ["--symlink-install"]], ids=["copied", "linked"])
def test_colcon_builds_and_installs(repo_root: Path, tmp_path: Path, options: list[str]):
    colcon = shutil.which("colcon")
    if colcon is None:
        pytest.skip("colcon is not on the path")
    pytest.importorskip("ament_index_python")
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "COLCON_HOME")}
    command = [colcon, "--log-base", str(tmp_path / "log"), "build", "--paths", str(repo_root)]
    command += [
        "--build-base",
        str(tmp_path / "build"),
        "--install-base",
        str(tmp_path / "install"),
    ]
    done = subprocess.run(
        [*command, *options],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    setup = tmp_path / "install" / "local_setup.sh"
    installed = tmp_path / "install" / "legged_skills"

    def run(*words: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["sh", "-c", f'. "{setup}" && exec "$@"', "sh", sys.executable, *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    done = run("-c", CHECK)
    assert done.returncode == 0, done.stdout + done.stderr
    prefix, module, launch, params = done.stdout.splitlines()
    assert prefix == str(installed)
    # Links lead to the build folder, and from there to the sources.
    assert module.startswith(str(tmp_path))
    names = ["anymal", "bridge", "op3", "sim"]
    assert launch == str(sorted([*(f"{name}.launch.py" for name in names), "params"]))
    assert params == "['anymal_c.yaml', 'op3.yaml']"
    assert (installed / "share" / "legged_skills" / "package.xml").is_file()
    program = installed / "lib" / "legged_skills" / "policy_bridge"
    done = run(str(program), "--fast")
    assert done.returncode == 2 and "usage: policy_bridge" in done.stderr
    assert (program.parent / "legged-skills").is_file()
