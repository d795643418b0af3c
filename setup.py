"""Maps the folders of this repository to subpackages of ``legged_skills``.

The repository is at once a pip package and a ROS 2 ``ament_python`` package. The package is
described here and not in pyproject.toml, so that the setuptools of every ROS 2 release reads it.
"""

from pathlib import Path
from xml.etree import ElementTree

from setuptools import find_packages, setup

PKG = "legged_skills"
FOLDERS = ["robots", "mocap", "sim2real", "skill_module", "tasks"]
# colcon's symlink install runs a link to this file in a folder without the README.
ROOT = Path(__file__).resolve().parent
DATA = ["xml", "npz", "json", "html", "yaml"]

subpackages = find_packages(".", include=[p for f in FOLDERS for p in (f, f"{f}.*")])
# Depths are spelled out: the setuptools of ROS 2 Humble takes "**" for a single folder.
data_globs = [f"{depth}*.{suffix}" for depth in ("", "*/", "*/*/") for suffix in DATA]
launch_files = sorted(p for p in Path("launch").rglob("*") if p.suffix in (".py", ".yaml"))

setup(
    name=PKG,
    version=ElementTree.parse(ROOT / "package.xml").findtext("version"),
    description="Reusable movement skills for legged robots, from motion capture to hardware",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The legged_skills authors",
    license="Apache-2.0 AND BSD-3-Clause AND MIT AND CC-BY-NC-4.0",
    license_files=["LICENSE", "NOTICE"],
    python_requires=">=3.11",
    packages=[PKG] + [f"{PKG}.{name}" for name in subpackages],
    # No entry for PKG itself, or colcon's symlink install stops ("also a key").
    package_dir={f"{PKG}.{folder}": folder for folder in FOLDERS},
    package_data={f"{PKG}.{folder}": data_globs for folder in FOLDERS},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PKG}"]),
        (f"share/{PKG}", ["package.xml"]),
        *((f"share/{PKG}/{path.parent}", [str(path)]) for path in launch_files),
    ],
    zip_safe=False,
    # The lower bounds are the oldest releases that the tests have passed with.
    install_requires=[
        "numpy>=2.0",
        "scipy>=1.13",
        "mujoco>=3.17",  # the first with mujoco.batch
        "jax>=0.8",
        "flax>=0.12",
        "optax>=0.2.5",
        "tyro>=1.0",
        "rich>=13.7",
        "matplotlib>=3.9",
        "pillow>=10.1",  # the first whose own font comes in any size
        "PyOpenGL>=3.1.6",
        "imageio-ffmpeg>=0.5.1",
        "tensorboardX>=2.6.2.2",
        "PyYAML>=6.0.1",
        "onnx>=1.17",  # for writing bundles; the robot needs onnxruntime and NumPy only
        "onnxruntime>=1.19",
    ],
    extras_require={
        # Motion capture in binary formats of others: C3D, and HDF5 (dm_control's collections).
        "formats": ["ezc3d>=1.5.16", "h5py>=3.11"],
        # A second physics engine for validation.
        "bullet": ["pybullet>=3.2.7"],
        # The robots' full public models, for validation too; it downloads them.
        "menagerie": ["mujoco-menagerie>=2026.10"],
        # ROS 2 from PyPI, for machines without a distribution of it; a robot has its own.
        "ros": [
            "ros-jazzy-rclpy>=7.1.6",
            "ros-jazzy-rmw-fastrtps-cpp>=8.4.3",
            "ros-jazzy-sensor-msgs>=5.3.6",
            "ros-jazzy-geometry-msgs>=5.3.6",
            "ros-jazzy-std-msgs>=5.3.6",
            "ros-jazzy-std-srvs>=5.3.6",
            "ros-jazzy-nav-msgs>=5.3.6",
            "ros-jazzy-diagnostic-msgs>=5.3.6",
            "rosbags>=0.11",  # writes each deployment's log as a bag too
        ],
        "dev": [
            "ezc3d>=1.5.16",
            "h5py>=3.11",
            "pybullet>=3.2.7",
            "mujoco-menagerie>=2026.10",
            "hypothesis>=6.100",
            "build>=1.2",
            "pytest>=8.0",
            "pytest-xdist>=3.5",
            "rosbags>=0.11",
            # Exact: a newer checker may find new faults in code that has not changed.
            "pyright[nodejs]==1.1.414",
            "ruff==0.17.6",
        ],
    },
    entry_points={
        "console_scripts": [
            "legged-skills = legged_skills.cli:main",
            # What launch files start: it takes the arguments of ROS.
            "policy_bridge = legged_skills.sim2real.ros.bridge_main:main",
        ]
    },
)
