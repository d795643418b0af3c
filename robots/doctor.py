"""What this machine has, and what each missing thing costs."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from legged_skills.robots.cores import usable_cores
from legged_skills.robots.errors import RenderError
from legged_skills.robots.gl import gl_status
from legged_skills.robots.video import ffmpeg_executable


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked for."""

    name: str
    """What."""
    found: str
    """What there is; empty if there is nothing."""
    cost: str
    """What cannot be done, or is slower, because it is missing; empty if nothing."""

    @property
    def ok(self) -> bool:
        """Whether nothing is lost."""
        return not self.cost


def examine() -> list[Finding]:
    """Looks at cores, memory, packages, graphics, video and ROS."""
    return [
        _python(),
        _cores(),
        _memory(),
        *_packages(),
        _graphics(),
        _display(),
        _ffmpeg(),
        _ros(),
    ]


def _finding(name: str, found: str, cost_if_missing: str) -> Finding:
    return Finding(name=name, found=found, cost="" if found else cost_if_missing)


def _python() -> Finding:
    return Finding(name="python", found=f"{platform.python_version()} ({sys.executable})", cost="")


def _cores() -> Finding:
    cores = usable_cores()
    return Finding(
        name="cores",
        found=str(cores),
        cost="training takes about twice as long as on two cores" if cores < 2 else "",
    )


def _memory() -> Finding:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError):
        return Finding(name="memory", found="unknown", cost="")
    small = total < 3.0
    return Finding(
        name="memory",
        found=f"{total:.1f} GiB",
        cost="training with 512 environments may not fit; use fewer" if small else "",
    )


def _packages() -> list[Finding]:
    needed = ("mujoco", "jax", "flax", "optax", "numpy")
    formats = {"ezc3d": "C3D", "h5py": "HDF5"}
    extra = "motion capture in {} is not read: pip install 'legged_skills[formats]'"
    return [
        *(_finding(name, _version(name), f"nothing works: pip install {name}") for name in needed),
        *(_finding(name, _version(name), extra.format(what)) for name, what in formats.items()),
    ]


def _version(name: str) -> str:
    """The version of an installed package, or nothing."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _graphics() -> Finding:
    status = gl_status()
    return Finding(
        name="OpenGL",
        found=(status.device or "works") if status.works else "",
        cost=""
        if status.works
        else "pictures and videos are made by ray casting, without OpenGL: plainer, and slower",
    )


def _display() -> Finding:
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or ""
    return _finding("display", display, "no window: use play --video FILE")


def _ffmpeg() -> Finding:
    try:
        path = ffmpeg_executable()
    except RenderError:
        path = ""
    return _finding("ffmpeg", path, "no videos: pip install imageio-ffmpeg")


def _ros() -> Finding:
    distribution = os.environ.get("ROS_DISTRO", "")
    if importlib.util.find_spec("rclpy") is not None:
        return Finding(name="ROS 2", found=distribution or "rclpy", cost="")
    if Path("/opt/ros").is_dir():
        return Finding(
            name="ROS 2", found="", cost="/opt/ros exists: source its setup file to use robots"
        )
    colcon = " (colcon is there)" if shutil.which("colcon") else ""
    return Finding(
        name="ROS 2", found="", cost=f"no robots and no digital twins; all else works{colcon}"
    )
