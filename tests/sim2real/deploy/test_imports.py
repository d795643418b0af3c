import subprocess
import sys
from pathlib import Path


def test_deploying_needs_numpy_and_onnxruntime_only(repo_root: Path):
    names = [path.stem for path in (repo_root / "sim2real" / "deploy").glob("*.py")]
    assert {"controller", "guards", "log", "recorded_run", "states"} <= set(names)
    lines = "\n".join(
        f"import legged_skills.sim2real.deploy.{name}" for name in names if name != "__init__"
    )
    program = f"""
import sys
{lines}
heavy = {{"jax", "mujoco", "scipy", "matplotlib", "yaml", "rclpy", "onnx", "tyro", "rich"}}
print(*sorted(heavy & {{name.partition(".")[0] for name in sys.modules}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")
