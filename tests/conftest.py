"""What all tests share. This file is read before any test imports NumPy, JAX or MuJoCo."""

import atexit
import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from legged_skills.mocap.clip import RobotClip
    from legged_skills.robots.spec import RobotSpec
    from legged_skills.sim2real.identified import Identified

# One thread each: the tests are many and small, and machines that run them have few cores.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
# What is compiled here runs a few times: to compile it takes longer than what its speed gains.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    " --xla_backend_optimization_level=0",
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Each function is compiled once, for all processes that test and for the commands that they start.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="legged_skills_compiled_")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.0"

# Silent broadcasting hides mistakes in shapes. JAX reads this when it is imported, also in the
# commands that tests start.
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"

ROOT = Path(__file__).resolve().parent.parent


class _Floor:
    """The computer, which several processes of tests share, or one has to itself.

    Locks of two files: that of the floor, and that of the queue for it, so that who wants to be
    alone gets there though the others' tests overlap.
    """

    def __init__(self) -> None:
        folder = os.environ["JAX_COMPILATION_CACHE_DIR"]
        self._queue, self._floor = (
            os.open(f"{folder}/{name}.lock", os.O_RDWR | os.O_CREAT) for name in ("queue", "floor")
        )
        self._taken = False

    def take(self, alone: bool) -> None:
        """Waits for a place, unless there is one that was kept."""
        if not self._taken:
            fcntl.flock(self._queue, fcntl.LOCK_EX)
            fcntl.flock(self._floor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            fcntl.flock(self._queue, fcntl.LOCK_UN)
            self._taken = True

    def leave(self) -> None:
        """Makes place."""
        fcntl.flock(self._floor, fcntl.LOCK_UN)
        self._taken = False


_floor = _Floor()


def _alone(item: pytest.Item | None) -> bool:
    return item is not None and item.get_closest_marker("alone") is not None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """Runs tests that are marked ``alone`` while no other process tests, one after the other."""
    _floor.take(_alone(item))
    try:
        return (yield)
    finally:
        if not (_alone(item) and _alone(nextitem)):
            _floor.leave()


@pytest.fixture(autouse=True)
def _strict_dtypes(request: pytest.FixtureRequest) -> Iterator[None]:
    """Makes JAX refuse silent promotion of dtypes, but for tests marked ``standard_dtypes``.

    Not by an environment variable: the Adam of optax raises a float to an integer power, so
    nothing that trains could run.
    """
    jax = sys.modules.get("jax")
    if jax is None or request.node.get_closest_marker("standard_dtypes"):
        yield
    else:
        with jax.numpy_dtype_promotion("strict"):
            yield


@pytest.fixture(autouse=True, scope="module")
def _forget_compiled() -> Iterator[None]:
    """Drops what JAX has compiled, after each file of tests.

    Each function that it compiled takes memory maps, of which Linux gives a process 65,530: all
    tests in one process would need more, and end in a segmentation fault of the compiler.
    """
    yield
    jax = sys.modules.get("jax")
    if jax is not None:
        jax.clear_caches()


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """The folder with package.xml."""
    return ROOT


@pytest.fixture(scope="session")
def mocap_dir() -> Path:
    """Raw motion capture, which is not part of the repository."""
    named = os.environ.get("LEGGED_SKILLS_MOCAP")
    path = Path(named) if named else ROOT.parent / "shared" / "mocap"
    if not path.is_dir():
        pytest.skip(f"no raw motion capture in {path} (LEGGED_SKILLS_MOCAP says where it is)")
    return path


@pytest.fixture(scope="session")
def wiggling_clip() -> "RobotClip":
    """Two seconds of an ANYmal that treads on the spot while its base drifts forward."""
    import numpy as np

    from legged_skills import robots
    from legged_skills.mocap.clip import RobotClip, finite_difference_qvel

    spec = robots.get("anymal_c")
    time = np.arange(100) * 0.02
    qpos = np.tile(spec.home_qpos, (100, 1))
    qpos[:, 0] = 0.2 * time
    qpos[:, 2] = 0.52
    for leg, phase in enumerate((0.0, np.pi, np.pi, 0.0)):
        sign = 1.0 if leg < 2 else -1.0
        qpos[:, 8 + 3 * leg] += 0.15 * np.sin(6.0 * time + phase)
        qpos[:, 9 + 3 * leg] += -0.2 * sign * np.cos(6.0 * time + phase)
    return RobotClip(
        name="wiggle",
        robot=spec.name,
        fps=50.0,
        joint_names=spec.joint_names,
        qpos=qpos,
        qvel=finite_difference_qvel(qpos, 50.0),
        foot_contact=np.ones((100, 4), dtype=bool),
    )


@pytest.fixture(scope="session")
def make_fit() -> "Callable[..., Identified]":
    """Makes drives as identified: a robot's own without damping, but for what is given."""
    import numpy as np

    from legged_skills.sim2real.identified import Identified

    def make(spec: "RobotSpec", **changes: Any) -> Identified:
        zeros = np.zeros(spec.num_joints)
        nominal: dict[str, Any] = {
            "robot": spec.name,
            "joint_names": spec.joint_names,
            "kp": spec.kp,
            "damping": zeros,
            "friction": zeros,
            "armature": zeros + 0.06,
            "command_delay_s": 0.0,
            "kp_error": zeros,
            "damping_error": zeros,
            "friction_error": zeros,
            "armature_error": zeros,
            "command_delay_error_s": 0.0,
            "fitted": np.ones((spec.num_joints, 4), bool),
            "residual_rms_rad": zeros,
            "seconds": 60.0,
        }
        return Identified(**nominal | changes)

    return make
